"""What was cut is not computed: steps of a cut supernet, and the milliseconds of the plain net that is left."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.record import machine
from plexus.training import FitConfig, GradualCut, Normalize, Target, plan
from plexus.training.evaluation import costs
from plexus.training.nets import Nets
from plexus.wiring import derive

SHAPE, CLASSES, BATCH, RUNS = (3, 32, 32), 10, 64, 15
PRESETS = {"separable": 1.5, "mix": 1.5}


def run(results: Any, **_: Any) -> None:
    """Measure fresh nets: which edges stay is chance, what they cost is not. One thread."""
    torch.set_num_threads(1)
    for preset in PRESETS:
        config: Any = FitConfig(data="digits", preset=preset)
        chosen = plan(config, SHAPE, CLASSES)
        whole: Any = Nets(config, SHAPE, CLASSES).supernet()
        half, final = copy.deepcopy(whole), copy.deepcopy(whole)
        GradualCut(final.body, chosen.target, 100, chance=0.1).apply(1.0)
        GradualCut(half.body, _half(chosen.target, half), 100, chance=0.1).apply(1.0)
        plain = _plain(final)
        times = _steps({"whole": whole, "half": half, "final": final, "plain": plain})
        dense, left = _costs(_plain(whole)), _costs(plain)
        results.put(f"execution/{preset}", {
            "steps": times, "edges": [_edges(net) for net in (whole, half, final)],
            "whole": dense, "final": left | {"nonzero": _nonzero(plain)}, "machine": machine(),
        })  # fmt: skip


def _half(target: Target, net: Any) -> Target:
    """Half of the edges, cut as the target is."""
    if target.channels is not None:
        return Target(channels=0.5**0.5)  # edges go with the square
    return Target(edges=sum(int(c.mask.count_nonzero()) for c in net.body.connections) // 2)


def _edges(net: Any) -> int:
    """Weights that are there: where maps share their sources, several to an edge."""
    return sum(c.share * int(c.mask.count_nonzero()) for c in net.body.connections)


def _plain(net: Any) -> nn.Module:
    return derive(net, net.body.wiring(), multiple=8)


def _costs(net: nn.Module) -> dict[str, Any]:
    return costs(copy.deepcopy(net).eval(), Normalize(torch.zeros(3), torch.ones(3)), SHAPE)


def _nonzero(net: nn.Module) -> int:
    """Multiply-adds of one image by weights that are not 0."""
    total = 0

    def count(layer: nn.Module, _: Any, out: Tensor) -> None:
        nonlocal total
        pixels = out.shape[2] * out.shape[3] if out.dim() == 4 else 1
        total += int(layer.weight.count_nonzero()) * pixels  # type: ignore[operator, union-attr]

    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        net.eval()(torch.zeros(1, *SHAPE))
    for handle in handles:
        handle.remove()
    return total


def _steps(nets: Mapping[str, nn.Module]) -> dict[str, float]:
    """Processor seconds of a training step of each, medians of runs in turn."""
    images = torch.rand(BATCH, *SHAPE).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH,))
    nets = {name: net.to(memory_format=torch.channels_last).train() for name, net in nets.items()}
    optimizers = {name: torch.optim.AdamW(net.parameters()) for name, net in nets.items()}
    times: dict[str, list[float]] = {name: [] for name in nets}
    for _ in range(RUNS):
        for name, net in nets.items():
            start = time.process_time()
            optimizers[name].zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizers[name].step()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(each[3:]) for name, each in times.items()}


def table(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """The rows of this part."""
    for preset, target in PRESETS.items():
        found = values.get(f"execution/{preset}")
        if found is None:
            continue
        steps, final, whole = found["steps"], found["final"], found["whole"]
        for name, label in (("half", "with half of its edges"), ("final", "cut to its end")):
            step = steps[name] / steps["plain"]
            yield (
                f"training step, `{preset}` {label} over the plain net",
                f"<= {target}x",
                f"{step:.2f}x",
                step <= target,
            )
        rate = final["latency_ms"] / final["nonzero"] / (whole["latency_ms"] / whole["macs"])
        label = (
            f"milliseconds of the plain net of `{preset}` for a multiply-add that is not 0, over those with nothing cut"
        )
        yield label, f"<= {target}x", f"{rate:.2f}x", rate <= target
