"""Ways to execute a sparse mix of feature maps with plain torch, and the choice between them.

A mix gives M maps, in groups that read the same source maps. `dense` is one 1x1 convolution over all maps that any
group reads; what a group does not read has weight 0. `grouped` gathers for each group its own maps and convolves these
in groups; groups that read fewer maps than others repeat one of them, with weight 0.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from statistics import median

import torch
from torch import Tensor, nn

from plexus.wiring._builder import Builder, Value

# one number moved, in multiply-adds: what a core does in the time it takes to copy a float of a feature map
_MOVE = 10.0
_RUNS, _WARM = 7, 2
_CONV: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class Plan:
    """One way to execute a mix.

    Args:
        picks: for each source, the channels of it that are joined, by place.
        gather: the channels of these that the convolution reads, by place, group after group.
        weight: its kernel, (rows, inputs of a group).
        real: which entries of the kernel belong to one, (rows, inputs of a group).
        groups: of the convolution.
        rows: which maps of the mix it gives.
    """

    picks: tuple[Sequence[int], ...]
    gather: Sequence[int]
    weight: Tensor
    real: Tensor
    groups: int
    rows: tuple[int, ...]

    def cost(self, channels: Sequence[int], pixels: int) -> float:
        """Estimate the time of it, in multiply-adds."""
        joined = sum(map(len, self.picks))
        moved = sum(len(pick) for pick, have in zip(self.picks, channels, strict=True) if len(pick) < have)
        moved += joined if len(self.picks) > 1 else 0
        moved += 0 if list(self.gather) == list(range(joined)) else len(self.gather)
        return pixels * (_MOVE * moved + self.weight.numel())

    def std(self) -> Tensor:
        """Return the standard deviation of every weight at the start: that of N(0, 2 / fan-in), 0 for repeats."""
        return self.real * (2 / self.real.sum(1, keepdim=True).clamp(min=1)).sqrt()

    def emit(self, builder: Builder, sources: Sequence[Value], name: str) -> tuple[nn.Module, Value]:
        """Put it into the graph, over sources of one size; give the convolution and what it gives."""
        pairs = enumerate(zip(sources, self.picks, strict=True))
        parts = [builder.pick(x, pick, f"{name}_from{i}") for i, (x, pick) in pairs]
        read = builder.pick(builder.join(parts), self.gather, f"{name}_maps")
        axes, (rows, inputs) = read.example.dim() - 2, self.weight.shape
        # drawn nowhere, so that making it moves nobody's random numbers
        conv: nn.Module = _CONV[axes](inputs * self.groups, rows, 1, groups=self.groups, bias=False, device="meta")
        conv.weight = nn.Parameter(self.weight.to(read.example).view(rows, inputs, *[1] * axes).clone())
        out = builder.call_module(conv, read, f"{name}_mix")
        return conv, Value.exact(out.node, out.example)


def dense(weight: Tensor, live: Tensor, counts: Sequence[int], rows: Sequence[int], share: int) -> Plan:
    """Plan one convolution over the maps that any group reads.

    Args:
        weight: (M, C) over the channels that the sources have, not yet masked; on the CPU.
        live: (M / share, C), which of them each group reads.
        counts: channels of each source.
        rows: which of the M maps are asked for.
        share: maps of a group.
    """
    owners = torch.tensor([row // share for row in rows])
    used = live[owners].any(0)
    places = [part.nonzero().flatten().tolist() for part in used.split(list(counts))]
    real = live[owners][:, used]
    kernel = weight[list(rows)][:, used] * real
    return Plan(tuple(places), range(int(used.sum())), kernel, real, 1, tuple(rows))


def grouped(weight: Tensor, live: Tensor, counts: Sequence[int], rows: Sequence[int], share: int) -> Plan:
    """Plan a convolution in groups over gathered maps; arguments as for `dense`."""
    groups = sorted({row // share for row in rows})
    parts = [used.nonzero().flatten().tolist() for used in live[groups].any(0).split(list(counts))]
    # what is picked is copied once more when it is joined, so that picking pays for less than half of a source
    picks = [part if 2 * len(part) < count else list(range(count)) for part, count in zip(parts, counts, strict=True)]
    joined = [sum(counts[:k]) + place for k, pick in enumerate(picks) for place in pick]
    at = {place: i for i, place in enumerate(joined)}
    most = max(1, int(live[groups].sum(1).max()))
    wanted = {group: [row for row in rows if row // share == group] for group in groups}
    height = max(map(len, wanted.values()))
    gather: list[int] = []
    kernels, reals, given = [], [], []
    for group in groups:
        # equal heights, too: maps that nobody asks for fill the group up
        spare = [row for row in range(group * share, (group + 1) * share) if row not in wanted[group]]
        members = sorted(wanted[group] + spare[: height - len(wanted[group])])
        own = live[group].nonzero().flatten().tolist()
        real = torch.arange(most) < len(own)
        own += (own[:1] or joined[:1]) * (most - len(own))
        gather += [at[place] for place in own]
        given += members
        reals.append(real.expand(height, most))
        kernels.append(weight[members][:, own] * real)
    return Plan(tuple(picks), gather, torch.cat(kernels), torch.cat(reals), len(groups), tuple(given))


PLANS = {"dense": [dense], "grouped": [grouped], "auto": [dense, grouped], "fastest": [dense, grouped]}
"""The ways to choose between, by the word for it."""


def choose(plans: Sequence[Plan], sources: Sequence[Value], choice: str) -> Plan:
    """Take the cheapest plan by the numbers it moves and multiplies, or the one that is `fastest` here and now."""
    if choice == "fastest":
        return min(plans, key=lambda plan: _seconds(plan, sources))
    channels, pixels = [x.example.shape[1] for x in sources], prod(sources[0].size)
    return min(plans, key=lambda plan: plan.cost(channels, pixels))


def _seconds(plan: Plan, sources: Sequence[Value]) -> float:
    """Measure the median time of a plan for one image."""
    examples = [torch.randn_like(x.example[:1]) for x in sources]
    scratch = Builder(examples[0])
    nodes = [scratch.input.node, *(scratch.graph.placeholder(f"x{i}") for i in range(1, len(sources)))]
    values = [Value.exact(node, example) for node, example in zip(nodes, examples, strict=True)]
    net, times = scratch.finish(plan.emit(scratch, values, "part")[1]), []
    for _ in range(_WARM + _RUNS):
        start = time.perf_counter()
        net(*examples)
        times.append(time.perf_counter() - start)
    return median(times[_WARM:])
