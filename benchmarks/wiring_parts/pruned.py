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
from plexus.training import Batches, ClassificationModule, FitConfig, Loop, Normalize, Schedule, load_data, logits_of
from plexus.training.evaluation import costs
from plexus.training.export import milliseconds
from plexus.wiring import trace
from wiring_parts.family import EPOCHS, Place

WIDTH = 32
"""Of the first stage; the ResNet of as many milliseconds as the result has 18 to 24."""
ROUND = 8  # channels are kept in whole vectors, as Torch-Pruning advises


def run(results: Any, *, data: str, seeds: list[int] | None, work: Path | None = None) -> None:
    """Train the wide net, prune it, train it as long again; `family` must have been run before.

    The default result's milliseconds are measured again beside the pruned net's where its run lies in `work`.
    """
    for seed in seeds or range(5):
        key = f"torch-pruning/{seed}"
        if key in results or f"family/{seed}" not in results:
            continue
        ours = dict(results.values[f"family/{seed}"]["final"])
        with Place(work, f"pruned{seed}") as folder:
            images = load_data(FitConfig(data=data, seed=seed, limit=10_000))
            model = (work or Path()) / f"s{seed}" / "model.onnx"
            if work and model.exists():
                ours["latency_ms"] = milliseconds(model.read_bytes(), images.in_shape)
            results.put(key, _competitor(images, seed, ours, folder))


def _competitor(images: Any, seed: int, ours: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    config = FitConfig(seed=seed)
    normalize = Normalize(*pixel_statistics(images.train.images))
    loop = Loop(folder / "resnet", logs=())
    torch.manual_seed(seed)
    net = resnet(images.in_shape, len(images.classes), width=WIDTH)

    def train(name: str, net: nn.Module, branch: int) -> dict[str, Any]:
        plan = Schedule(
            epochs=EPOCHS, whole=EPOCHS, first=0, lr=config.lr, weight_decay=config.weight_decay,
            seed=10 * seed + branch, augment=Augmentation(),
        )  # fmt: skip
        batches = Batches(images.train, images.val, config.batch_size, plan.seed)
        loop.run(name, ClassificationModule(net, normalize, len(images.classes), plan, batches.steps), batches)
        right = logits_of(net, normalize, images.test.images).argmax(1).eq(images.test.labels)
        return {
            "accuracy": right.double().mean().item(),
            "train_seconds": loop.spent[name],
            **_cost(net, normalize, images),
        }

    wide = train("wide", net, 6)
    choice = Results(folder / "choice.json")
    if "ratio" not in choice:
        choice.put("ratio", _ratio(net, ours["latency_ms"], normalize, images))
    small = _pruned(net, choice.values["ratio"], images.in_shape)
    return {
        "ratio": choice.values["ratio"], "final": dict(ours), "wide": wide, "pruned": train("pruned", small, 7),
        "machine": machine(), "versions": versions("torch", "torch-pruning", "onnxruntime"),
    }  # fmt: skip


def _ratio(net: nn.Module, limit: float, normalize: Normalize, images: Any) -> float:
    """The share of channels to cut at which the net is as near as can be to so many milliseconds."""
    found = {}
    low, high = 0.0, 0.95
    for _ in range(7):
        ratio = (low + high) / 2
        found[ratio] = _cost(_pruned(net, ratio, images.in_shape), normalize, images)["latency_ms"]
        low, high = (ratio, high) if found[ratio] > limit else (low, ratio)
    return min(found, key=lambda r: abs(found[r] - limit))


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


def _cost(net: nn.Module, normalize: Normalize, images: Any) -> dict[str, Any]:
    return costs(trace(copy.deepcopy(net).eval()), normalize, images.in_shape)


def table(values: Mapping[str, Any], points: Any) -> Iterator[tuple[str, str, str, bool]]:
    """The rows of this part; `points` writes differences with their interval."""
    runs = [v for k, v in values.items() if k.startswith("torch-pruning/")]
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
