"""Ways to execute a sparse mix of feature maps with plain torch, and the choice between them.

A mix gives M maps, in groups that read the same source maps. `dense` is one 1x1 convolution over all maps that any
group reads; what a group does not read has weight 0. `grouped` gathers for each group its own maps and convolves these
in groups; groups that read fewer maps than others repeat one of them, with weight 0.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plexus.wiring._builder import Builder, Value

# In multiply-adds at the rate of a dense convolution on one core: a number copied, and an operation started. Read off
# onnxruntime's own profile of nets of 40 maps, where small feature maps cost what it takes to start.
_MOVE, _START = 5.0, 60_000.0
_ROUNDS, _WARM = 9, 2
_CONV: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class Mix:
    """A mix that is to be executed.

    Args:
        weight: (M, C) over the channels that the sources have, not yet masked; on the CPU.
        live: (M / share, C), which of them each group of maps reads.
        counts: channels of each source.
        rows: which of the M maps are asked for.
        share: maps of a group.
        pixels: of one map.
    """

    weight: Tensor
    live: Tensor
    counts: Sequence[int]
    rows: Sequence[int]
    share: int
    pixels: int

    def groups(self) -> list[int]:
        """List the groups of which some map is asked for."""
        return sorted({row // self.share for row in self.rows})

    def joined(self) -> tuple[list[list[int]], list[int]]:
        """Choose what to take of every source before they are joined; say which of all C channels that makes."""
        picks, first = [], 0
        places: list[int] = []
        for used in self.live[self.groups()].any(0).split(list(self.counts)):
            some, count = used.nonzero().flatten().tolist(), len(used)
            # what is picked is copied twice, now and when it is joined, and is one more operation
            saved = _MOVE * self.pixels * (count - 2 * len(some))
            picks.append(some if saved > _START else list(range(count)))
            places += [first + place for place in picks[-1]]
            first += count
        return picks, places


@dataclass(frozen=True)
class Plan:
    """One way to execute a mix.

    Args:
        picks: for each source, the channels of it that are joined, by place.
        gather: the channels of these that the convolution reads, by place, group after group.
        weight: its kernel, (rows, inputs of a group).
        real: which entries of the kernel belong to a source map that is read, (rows, inputs of a group).
        groups: of the convolution.
        rows: which maps of the mix it gives.
    """

    picks: Sequence[Sequence[int]]
    gather: Sequence[int]
    weight: Tensor
    real: Tensor
    groups: int
    rows: tuple[int, ...]

    def cost(self, mix: Mix) -> float:
        """Estimate the time of it, in multiply-adds."""
        joined = sum(map(len, self.picks))
        copies = [len(pick) for pick, count in zip(self.picks, mix.counts, strict=True) if len(pick) < count]
        copies += [joined] if len(self.picks) > 1 else []
        copies += [len(self.gather)] if list(self.gather) != list(range(joined)) else []
        return mix.pixels * (_MOVE * sum(copies) + self.weight.numel()) + _START * (1 + len(copies))

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


def dense(mix: Mix) -> Plan:
    """Plan one convolution over the maps that any group reads."""
    picks, joined = mix.joined()
    owners = torch.tensor([row // mix.share for row in mix.rows])
    used = mix.live[owners][:, joined].any(0).nonzero().flatten().tolist()
    columns = [joined[i] for i in used]
    real = mix.live[owners][:, columns]
    return Plan(picks, used, mix.weight[list(mix.rows)][:, columns] * real, real, 1, tuple(mix.rows))


def grouped(mix: Mix) -> Plan:
    """Plan a convolution in groups over gathered maps."""
    picks, joined = mix.joined()
    at = {place: i for i, place in enumerate(joined)}
    wanted = {group: [row for row in mix.rows if row // mix.share == group] for group in mix.groups()}
    most = max(1, int(mix.live[list(wanted)].sum(1).max()))
    height = max(map(len, wanted.values()))
    gather: list[int] = []
    kernels, reals, given = [], [], []
    for group, asked in wanted.items():
        # equal heights, too: maps that nobody asks for fill the group up
        spare = [row for row in range(group * mix.share, (group + 1) * mix.share) if row not in asked]
        members = sorted(asked + spare[: height - len(asked)])
        own = mix.live[group].nonzero().flatten().tolist()
        real = torch.arange(most) < len(own)
        own += (own[:1] or joined[:1]) * (most - len(own))
        gather += [at[place] for place in own]
        given += members
        reals.append(real.expand(height, most))
        kernels.append(mix.weight[members][:, own] * real)
    return Plan(picks, gather, torch.cat(kernels), torch.cat(reals), len(wanted), tuple(given))


PLANS = {"dense": [dense], "grouped": [grouped], "auto": [dense, grouped], "fastest": [dense, grouped]}
"""The ways to choose between, by the word for it."""


def choose(mix: Mix, sources: Sequence[Value], choice: str) -> Plan:
    """Take the plan that is asked for, or that moves and multiplies least, or that is `fastest` here and now."""
    plans = [plan(mix) for plan in PLANS[choice]]
    costs = [plan.cost(mix) for plan in plans] if choice != "fastest" else _seconds(plans, sources)
    return plans[costs.index(min(costs))]


def _seconds(plans: Sequence[Plan], sources: Sequence[Value]) -> list[float]:
    """Measure the plans for one image, in turns, so that what else the machine does hits them alike."""
    examples = [torch.randn_like(x.example[:1]) for x in sources]
    nets, times = [], [[] for _ in plans]  # type: ignore[var-annotated]
    for plan in plans:
        scratch = Builder(examples[0])
        nodes = [scratch.input.node, *(scratch.graph.placeholder(f"x{i}") for i in range(1, len(sources)))]
        values = [Value.exact(node, example) for node, example in zip(nodes, examples, strict=True)]
        nets.append(scratch.finish(plan.emit(scratch, values, "part")[1]))
    for _ in range(_WARM + _ROUNDS):
        for net, taken in zip(nets, times, strict=True):
            start = time.perf_counter()
            net(*examples)
            taken.append(time.perf_counter() - start)
    return [min(taken[_WARM:]) for taken in times]  # whatever disturbs only adds
