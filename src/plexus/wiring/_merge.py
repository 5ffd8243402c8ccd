"""Connections put into a graph, over the sources that stay; their gates become factors of the channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.nn import Connection
from plexus.nn import functional as PF
from plexus.wiring._builder import Builder, Value, is_uniform
from plexus.wiring._fold import filtered, with_debts
from plexus.wiring._mix import Mix, choose
from plexus.wiring._needs import Need

Kept = list[tuple[int, Value]]
"""The sources of a connection that stay, each with its number in it, all of one spatial size."""
_AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def merge(
    builder: Builder,
    connection: Connection,
    sources: Sequence[Value | None],
    need: Need,
    size: tuple[int, ...],
    name: str,
) -> Value:
    """Put a connection into the graph, over the sources that stay.

    Args:
        builder: the graph under construction.
        connection: says how; its gates are taken as they are now.
        sources: in its order; None marks a cut one, which counts as a gate of 0.
        need: which of their channels are read, and which of the merged ones.
        size: the spatial size that all sources together, the cut ones too, ask for.
        name: of what is added to the graph.

    Returns:
        The merged channels, which may owe factors and channels that were cut.
    """
    gates = [g.detach() for g in connection.split_gates()]  # constants from here on
    kept = [(k, _resize(builder, connection, x, size)) for k, x in enumerate(sources) if x is not None]
    if connection.merge in ("sum", "max"):
        for k, _ in kept:
            read = need.columns[0, connection.maps(k)]
            gates[k] = gates[k] if read.all() else gates[k] * read.to(gates[k])
        together = _sum if connection.merge == "sum" else _max
        return together(builder, connection, kept, gates, name)
    kept = _with_something_read(builder, connection, kept, need.columns, name)
    if connection.merge == "mix":
        return _mix(builder, connection, kept, need, name)
    joined = _concat(builder, connection, kept, gates, need.columns[0], name)
    if connection.squeeze is None:
        return joined
    conv = with_debts(_pointwise(connection.squeeze.weight, len(size)), joined)
    return filtered(builder, conv, joined, need.rows, f"{name}_squeeze")


def _with_something_read(builder: Builder, connection: Connection, kept: Kept, columns: Tensor, name: str) -> Kept:
    """Leave out sources of which nothing that is there is read; if that is all of them, one stays, with its zeros."""

    def is_read(k: int, x: Value) -> bool:
        return bool(columns[:, connection.maps(k)][:, list(x.present)].any())

    read = [(k, x) for k, x in kept if is_read(k, x)]
    if read:
        return read
    k, x = kept[0]
    return [(k, builder.pay(x, f"{name}_zeros"))]


def _mix(builder: Builder, connection: Connection, kept: Kept, need: Need, name: str) -> Value:
    """Mix the source maps that are read, in the way that the builder asks for; factors go into the weights."""
    places = [connection.maps(k).start + c for k, x in kept for c in x.present]
    weight, live = connection.weight.detach().cpu()[:, places], need.columns[:, places]
    factors = [x.example.new_ones(len(x.present)) if x.scale is None else x.scale for _, x in kept]
    wanted = sorted(range(connection.out_channels) if need.rows is None else need.rows)
    sources = [x for _, x in kept]
    mix = Mix(
        weight * torch.cat(factors).to(weight),
        live,
        [len(x.present) for x in sources],
        wanted,
        connection.share,
        prod(sources[0].size),
    )
    plan = choose(mix, sources, builder.mix)
    conv, out = plan.emit(builder, sources, name)
    builder.mixes.append((conv, plan.std()))
    index = None if len(plan.rows) == connection.out_channels else plan.rows
    return Value(out.node, out.example, connection.out_channels, index)


def _resize(builder: Builder, connection: Connection, x: Value, size: tuple[int, ...]) -> Value:
    """Bring a source to a spatial size, once, from the smallest version of it that serves."""
    if x.size == size:
        return x
    key = (x.node, size)
    if key not in builder.resized:
        if connection.size == "largest":
            resized = builder.call(F.pad, x, PF.padding(x.size, size))
        elif connection.resize == "area":
            steps = [v for (node, s), v in builder.resized.items() if node is x.node and PF.divides(size, s)]
            nested = [v for v in steps if PF.divides(v.size, x.size)]  # a mean of means is the mean
            resized = _area(builder, min(nested, key=lambda v: v.example.numel(), default=x), size)
        else:
            mode = PF.interpolation(connection.resize, len(size))
            corners = {} if mode == "nearest" else {"align_corners": False}
            resized = builder.call(F.interpolate, x, size=list(size), mode=mode, **corners)
        builder.resized[key] = resized
    # resampling mixes pixels of one channel, never channels: the debts of this very source stay what they are
    return replace(builder.resized[key], index=x.index, scale=x.scale)


def _area(builder: Builder, x: Value, size: tuple[int, ...]) -> Value:
    if PF.divides(size, x.size):  # equal cells: a plain average-pool, which is faster and exports everywhere
        return builder.call(_AVG_POOL[len(size)], x, [a // b for a, b in zip(x.size, size, strict=True)])
    return builder.call(_ADAPTIVE[len(size)], x, list(size))


def _concat(
    builder: Builder, connection: Connection, kept: Kept, gates: Sequence[Tensor], read: Tensor, name: str
) -> Value:
    """Set sources side by side. All is left owing: gates as factors, cut sources and cut channels as an index."""
    index: list[int] = []
    scales: list[Tensor] = []
    parts: list[Value] = []
    for k, x in kept:
        first = connection.maps(k).start
        # a source may have lost channels of its own further up, and others may read more of it
        places = [place for place, c in enumerate(x.present) if read[first + c]]
        own = [x.present[place] for place in places]
        parts.append(builder.pick(x, places, f"{name}_from{k}"))
        index += [first + c for c in own]
        gate = gates[k].expand(connection.channels[k])[own]
        scales.append(gate if x.scale is None else gate * x.scale[places])
    joined = builder.join(parts)
    scale, total = torch.cat(scales), sum(connection.channels)
    return replace(
        joined,
        channels=total,
        index=None if len(index) == total else tuple(index),
        scale=None if bool((scale == 1).all()) else scale,
    )


def _terms(
    builder: Builder, connection: Connection, kept: Kept, gates: Sequence[Tensor], name: str
) -> list[tuple[Value, Tensor]]:
    """Bring the sources of a sum or maximum to full width; each comes with the one factor, (), that it still needs."""
    terms = []
    for k, x in kept:
        assert x.index is None, "a sum or maximum has all its channels"
        factor = gates[k] if x.scale is None else gates[k] * x.scale
        bare, project = replace(x, scale=None), connection.projections[k]
        if isinstance(project, nn.Linear):  # a kernel of its own takes the factor in
            conv = _pointwise(project.weight * factor, len(x.size))
            bare, factor = builder.call_module(conv, bare, f"{name}_project{k}"), factor.new_ones(())
        elif not is_uniform(factor):
            # channels of one sum are read by one kernel slice each, whatever source they come from: factors that
            # differ between sources cannot go into it
            bare, factor = builder.multiply(bare, factor, f"{name}_gates{k}"), factor.new_ones(())
        wide = builder.pad_channels(bare, connection.out_channels)
        terms.append((Value.exact(wide.node, wide.example), factor.flatten()[0]))
    return terms


def _sum(builder: Builder, connection: Connection, kept: Kept, gates: Sequence[Tensor], name: str) -> Value:
    """f_1 * (x_1 + f_2 / f_1 * x_2 + ...): the largest factor is left for the reader to fold in."""
    terms = _terms(builder, connection, kept, gates, name)
    terms.sort(key=lambda term: -abs(term[1].item()))  # the largest first: all ratios are at most 1, none overflows
    (total, first), *others = terms
    base = first.item()
    if base == 0:  # then all are
        return builder.multiply(total, first, name)
    for x, factor in others:
        alpha = factor.item() / base
        total = builder.call_on_two(torch.add, total, x, **({} if alpha == 1 else {"alpha": alpha}))
    return replace(total, scale=None if base == 1 else first.expand(connection.out_channels).clone())


def _max(builder: Builder, connection: Connection, kept: Kept, gates: Sequence[Tensor], name: str) -> Value:
    terms = _terms(builder, connection, kept, gates, name)
    # a maximum needs its factors before it: max(f_1 x_1, f_2 x_2) has none in common
    paid = [builder.multiply(x, factor, name) for x, factor in terms]
    total = reduce(lambda a, b: builder.call_on_two(torch.maximum, a, b), paid)
    # a gate of 0 still offers a 0 to the maximum
    return builder.call(F.relu, total) if len(kept) < len(connection.channels) else total


def _pointwise(kernel: Tensor, axes: int) -> nn.Module:
    """Make a 1x1 convolution with this kernel, (M, C)."""
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[axes]
    conv: nn.Module = kind(kernel.shape[1], kernel.shape[0], 1, bias=False, device=kernel.device, dtype=kernel.dtype)
    conv.weight = nn.Parameter(kernel.detach().clone().view(*kernel.shape, *[1] * axes))
    return conv
