"""A wide plain ResNet made smaller by Torch-Pruning to the milliseconds of the default result, beside that result."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Results
from torch import nn

from plexus.data import Augmentation, pixel_statistics
from plexus.models import resnet
from plexus.record import machine, versions
from plexus.training import (
    Batches,
    ClassificationModule,
    FitConfig,
    GradualCut,
    Loop,
    Normalize,
    Schedule,
    load_data,
    logits_of,
    plan,
)
from plexus.training.export import with_pixels
from plexus.training.nets import Nets
from plexus.training.onnx_model import to_onnx
from plexus.wiring import derive, multiply_adds, parameters, trace
from wiring_parts.family import EPOCHS, Place, in_turn

WIDTH = 32
"""Of the first stage; the ResNet of as many milliseconds as the result has 18 to 24."""
ROUND = 8  # channels are kept in whole vectors, as Torch-Pruning advises


def run(results: Any, *, data: str, seeds: list[int] | None, work: Path | None = None) -> None:
    """Train the wide net, prune it, train it as long again; `family` must have been run before."""
    for seed in seeds or range(5):
        key = f"pruned/{seed}"
        if key not in results and f"family/{seed}" in results:
            with Place(work, f"pruned{seed}") as folder:
                images = load_data(FitConfig(data=data, seed=seed, limit=10_000))
                results.put(key, _competitor(images, seed, results.values[f"family/{seed}"]["final"], folder))


def _competitor(images: Any, seed: int, ours: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    config = FitConfig(seed=seed)
    normalize = Normalize(*pixel_statistics(images.train.images))
    loop = Loop(folder / "resnet", logs=())
    torch.manual_seed(seed)
    net = resnet(images.in_shape, len(images.classes), width=WIDTH)

    def train(name: str, net: nn.Module, branch: int) -> dict[str, Any]:
        schedule = Schedule(
            epochs=EPOCHS, whole=EPOCHS, first=0, lr=config.lr, weight_decay=config.weight_decay,
            seed=10 * seed + branch, augment=Augmentation(),
        )  # fmt: skip
        batches = Batches(images.train, images.val, config.batch_size, schedule.seed)
        loop.run(name, ClassificationModule(net, normalize, len(images.classes), schedule, batches.steps), batches)
        right = logits_of(net, normalize, images.test.images).argmax(1).eq(images.test.labels)
        return {
            "accuracy": right.double().mean().item(),
            "train_seconds": loop.spent[name],
            "parameters": parameters(net),
            "macs": multiply_adds(copy.deepcopy(net).eval(), images.in_shape),
        }

    default = _onnx(_default(images, ours), images)
    wide, choice = train("wide", net, 6), Results(folder / "chosen.json")
    if "ratio" not in choice:
        choice.put("ratio", _ratio(net, default, images))
    small = _pruned(net, choice.values["ratio"], images.in_shape)
    pruned, final = train("small", small, 7), dict(ours)
    final["latency_ms"], pruned["latency_ms"] = in_turn([default, _onnx(small, images)], images.in_shape)
    return {
        "ratio": choice.values["ratio"], "final": final, "wide": wide, "pruned": pruned,
        "machine": machine(), "versions": versions("torch", "torch-pruning", "onnxruntime"),
    }  # fmt: skip


def _default(images: Any, ours: Mapping[str, Any]) -> nn.Module:
    """A net of the default result's shape: which channels stay is chance here, and costs nothing."""
    config, classes = FitConfig(data="digits"), len(images.classes)
    net: Any = Nets(config, images.in_shape, classes).supernet()
    GradualCut(net.body, plan(config, images.in_shape, classes).target, 100, chance=0.1).apply(1.0)
    plain = derive(net.eval(), net.body.wiring(), multiple=ROUND)
    assert parameters(plain) == ours["parameters"], "the default has changed: run `family` again"
    return plain


def _ratio(net: nn.Module, default: bytes, images: Any) -> float:
    """The share of channels to cut at which the net is as near as can be to the default's milliseconds."""
    found = {}
    low, high = 0.0, 0.95
    for _ in range(7):
        ratio = (low + high) / 2
        limit, time = in_turn([default, _onnx(_pruned(net, ratio, images.in_shape), images)], images.in_shape)
        found[ratio] = time / limit
        low, high = (ratio, high) if found[ratio] > 1 else (low, ratio)
    return min(found, key=lambda r: abs(found[r] - 1))


def _onnx(net: nn.Module, images: Any) -> bytes:
    plain = with_pixels(trace(copy.deepcopy(net).eval()), Normalize(torch.zeros(3), torch.ones(3)))
    return to_onnx(plain.eval(), images.in_shape, quick=True)


def _pruned(net: nn.Module, ratio: float, in_shape: tuple[int, ...]) -> nn.Module:
    """As Torch-Pruning's own guide does it: groups of channels by their magnitude, the same share in every layer."""
    import torch_pruning

    small = copy.deepcopy(net).eval()
    last = [layer for layer in small.modules() if isinstance(layer, nn.Linear)]
    torch_pruning.pruner.BasePruner(
        small, torch.zeros(1, *in_shape), importance=torch_pruning.importance.GroupMagnitudeImportance(),
        pruning_ratio=ratio, ignored_layers=last, round_to=ROUND,
    ).step()  # fmt: skip
    return small.train()


def table(values: Mapping[str, Any], points: Any) -> Iterator[tuple[str, str, str, bool]]:
    """The rows of this part; `points` writes differences with their interval."""
    runs = [v for k, v in values.items() if k.startswith("pruned/")]
    if not runs:
        return
    gain = [100 * (r["final"]["accuracy"] - r["pruned"]["accuracy"]) for r in runs]
    label = f"CIFAR-10, {EPOCHS} epochs, {len(runs)} seeds: default"
    yield f"{label} minus a ResNet made as fast by Torch-Pruning", ">= 1 pt", points(gain), np.mean(gain) >= 1
    ratio = float(np.mean([r["final"]["latency_ms"] / r["pruned"]["latency_ms"] for r in runs]))
    yield f"{label}: milliseconds over the pruned ResNet's", "<= 1.05x", f"{ratio:.2f}x", ratio <= 1.05
    spent = [r["final"]["train_seconds"] / (r["wide"]["train_seconds"] + r["pruned"]["train_seconds"]) for r in runs]
    yield f"{label}: training time over the ResNet's, before and after pruning", "", f"{np.mean(spent):.2f}x", True
    sizes = float(np.mean([r["final"]["parameters"] / r["pruned"]["parameters"] for r in runs]))
    yield f"{label}: parameters over the pruned ResNet's", "", f"{sizes:.2f}x", True
