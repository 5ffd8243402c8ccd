"""Training steps, inference and memory as ratios, measured in turn in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from measure import Step, medians, ratio
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from plexus.models import Classifier, chain_of, head, preset
from plexus.nn import Supernet
from plexus.wiring import derive, prune

SHAPE, BATCH, CLASSES = (3, 32, 32), 64, 10


def run(results: Any, **_: Any) -> None:
    """All ratios; each with the medians in milliseconds it comes from."""
    _deep(results)
    for name in ("blocks", "legos8"):
        _concat(results, name)


def _deep(results: Any) -> None:
    torch.manual_seed(0)
    chosen = preset("deep")
    body = Supernet(chosen.legos(SHAPE), SHAPE, **chosen.options)
    net = _laid_out(Classifier(body, head("gap", body.out_channels, CLASSES)))
    ranked = body.wiring()
    strengths = torch.rand(len(ranked.edges), generator=torch.Generator().manual_seed(0)).tolist()
    ranked = type(ranked)(ranked.nodes, tuple((*e[:2], s) for e, s in zip(ranked.edges, strengths, strict=True)))
    pruned = _laid_out(derive(net, prune(ranked, keep=0.3)))
    chain = _laid_out(Classifier(_warm(chain_of(chosen.legos(SHAPE))), head("gap", body.out_channels, CLASSES)))
    port = _laid_out(Classifier(Port(chosen.legos(SHAPE), "sum"), head("gap", body.out_channels, CLASSES)))
    steps = {
        name: _classify(n)
        for name, n in {"chain": chain, "step": net, "pruned step": pruned, "plain port": port}.items()
    }
    times = medians(steps)
    for name in ("step", "pruned step", "plain port"):
        results.put(f"speed/deep {name}", ratio(times[name], times["chain"]))
    times = medians({"chain": _infer(chain), "pruned": _infer(pruned)})
    results.put("speed/deep pruned inference", ratio(times["pruned"], times["chain"]))


def _concat(results: Any, name: str) -> None:
    """The body's forward and backward against its convolution legos alone, each on inputs that lie ready."""
    torch.manual_seed(0)
    chosen = preset(name)
    body = _laid_out(Supernet(chosen.legos(SHAPE), SHAPE, **chosen.options))
    port = _laid_out(Port(chosen.legos(SHAPE), "concat"))
    x = _images()
    out = torch.randn_like(body(x))
    steps: dict[str, Step] = {"step": lambda: body(x).backward(out), "plain port": lambda: port(x).backward(out)}
    memory = {"step": peak(lambda: body(x)), "plain port": peak(lambda: port(x))}
    for base, legos in (("", _convolutions(body)), (" all legos", list(body.legos))):
        inputs = [(lego, _seen(body, lego, x)) for lego in legos]
        steps[f"ready{base}"] = _alone(inputs)
        memory[f"ready{base}"] = sum(maps.numel() * 4 for _, maps in inputs) + peak(_outputs(inputs))
    times = medians(steps)
    for base in ("", " all legos"):
        for key in ("step", "plain port"):
            results.put(f"speed/{name} {key}{base}", ratio(times[key], times[f"ready{base}"]))
            results.put(f"speed/{name} {key} memory{base}", ratio(memory[key], memory[f"ready{base}"]))


def _convolutions(body: Supernet) -> list[nn.Module]:
    return [lego for lego in body.legos if any(isinstance(layer, nn.Conv2d) for layer in lego.modules())]


def _alone(inputs: list[tuple[nn.Module, Tensor]]) -> Step:
    """Forward and backward of every lego on an input that lies ready."""
    grads = [torch.randn_like(lego(maps)) for lego, maps in inputs]

    def step() -> None:
        for (lego, maps), grad in zip(inputs, grads, strict=True):
            maps.grad = None
            lego(maps).backward(grad)

    return step


def _outputs(inputs: list[tuple[nn.Module, Tensor]]) -> Callable[[], Any]:
    return lambda: [lego(maps) for lego, maps in inputs]


class Port(nn.Module):
    """The notes' connections as one would first write them: resize, scale, merge, for every connection anew."""

    def __init__(self, legos: Sequence[nn.Module], merge: str) -> None:
        super().__init__()
        self.legos, self.merge = nn.ModuleList(legos), merge
        self.gates = nn.ParameterList(nn.Parameter(torch.full((i + 2,), 0.5)) for i in range(len(self.legos)))
        with torch.no_grad():
            self(torch.zeros(2, *SHAPE))

    def forward(self, x: Tensor) -> Tensor:
        outs = [x]
        for lego, weights in zip(self.legos, self.gates, strict=True):
            outs.append(lego(x))
            size = min(o.shape[-1] for o in outs)
            maps = [torch.sigmoid(w) * F.adaptive_avg_pool2d(o, size) for w, o in zip(weights, outs, strict=True)]
            if self.merge == "concat":
                x = torch.cat(maps, 1)
            else:
                width = max(m.shape[1] for m in maps)
                x = torch.stack([F.pad(m, (0, 0, 0, 0, 0, width - m.shape[1])) for m in maps]).sum(0)
        return x


def peak(forward: Callable[[], Any]) -> int:
    """The most bytes that a forward pass and what it saves for backward hold at once."""
    forward()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        kept = forward()
    del kept
    held = most = 0
    raw = seen.profiler.kineto_results.events()  # type: ignore[union-attr]
    for event in sorted((e for e in raw if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def _classify(net: nn.Module) -> Step:
    x, y = _images(), torch.randint(0, CLASSES, (BATCH,))
    optimizer = torch.optim.AdamW(net.parameters())

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


def _infer(net: nn.Module) -> Step:
    x = _images()

    def step() -> None:
        with torch.no_grad():
            net(x)

    net.eval()
    return step


def _images() -> Tensor:
    return torch.randn(BATCH, *SHAPE).contiguous(memory_format=torch.channels_last)


def _laid_out(net: Any) -> Any:
    return net.to(memory_format=torch.channels_last).train()


def _warm(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        net(torch.zeros(2, *SHAPE))
    return net


def _seen(body: Supernet, lego: nn.Module, x: Tensor) -> Tensor:
    """What a lego reads in the body, gates paid, as an input that lies ready."""
    found: list[Tensor] = []
    handle = lego.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].detach().clone()))
    body(x)
    handle.remove()
    return found[0].requires_grad_(lego is not body.legos[0])
