"""Puts connections into a graph: resizing, gates and the merge, over the sources that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.nn import Connection
from plexus.nn import functional as PF
from plexus.wiring._builder import Builder, Maps, folded, nodes, pointwise, uniform

_AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}

Kept = list[tuple[int, Maps]]


def merge(
    builder: Builder, connection: Connection, sources: Sequence[Maps | None], size: tuple[int, ...], name: str
) -> Maps:
    """A connection over the sources that stay.

    Args:
        builder: the graph under construction.
        connection: says how; its gates are taken as they are now.
        sources: in its order; None marks a cut one, which counts as a gate of 0.
        size: the spatial size that all sources together, the cut ones too, ask for.
        name: of what is added to the graph.

    Returns:
        The merged maps, which may owe factors and maps that were cut.
    """
    gates = [g.detach() for g in connection.split_gates()]
    kept = [(k, _fit(builder, connection, maps, size)) for k, maps in enumerate(sources) if maps is not None]
    if connection.merge == "sum":
        return _sum(builder, connection, kept, gates, name)
    if connection.merge == "max":
        return _max(builder, connection, kept, gates, name)
    joined = _concat(builder, connection, kept, gates)
    if connection.squeeze is None:
        return joined
    conv = folded(pointwise(connection.squeeze.weight, len(size)), joined)
    out = builder.module(conv, joined, f"{name}_squeeze")
    return Maps.plain(out.node, out.example)


def _fit(builder: Builder, connection: Connection, maps: Maps, size: tuple[int, ...]) -> Maps:
    """Maps at a spatial size, each source brought to it once, from the smallest version that serves."""
    if maps.size == size:
        return maps
    key = (maps.node, size)
    if key not in builder.fitted:
        if connection.size == "largest":
            fitted = builder.call(F.pad, maps, PF.padding(maps.size, size))
        elif connection.resize == "area":
            steps = [m for (node, s), m in builder.fitted.items() if node is maps.node and PF.divides(size, s)]
            nested = [m for m in steps if PF.divides(m.size, maps.size)]  # a mean of means is the mean
            fitted = _area(builder, min(nested, key=lambda m: m.example.numel(), default=maps), size)
        else:
            mode = PF.interpolation(connection.resize, len(size))
            corners = {} if mode == "nearest" else {"align_corners": False}
            fitted = builder.call(F.interpolate, maps, size=list(size), mode=mode, **corners)
        builder.fitted[key] = fitted
    return replace(builder.fitted[key], index=maps.index, scale=maps.scale)


def _area(builder: Builder, maps: Maps, size: tuple[int, ...]) -> Maps:
    if PF.divides(size, maps.size):
        return builder.call(_AVG_POOL[len(size)], maps, [a // b for a, b in zip(maps.size, size, strict=True)])
    return builder.call(_ADAPTIVE[len(size)], maps, list(size))


def _concat(builder: Builder, connection: Connection, kept: Kept, gates: Sequence[Tensor]) -> Maps:
    index: list[int] = []
    scales: list[Tensor] = []
    for k, maps in kept:
        own = list(maps.index or range(maps.total))
        index += [connection.maps(k).start + c for c in own]
        gate = gates[k].expand(connection.channels[k])[own]
        scales.append(gate if maps.scale is None else gate * maps.scale)
    parts = [maps for _, maps in kept]
    node = parts[0].node if len(parts) == 1 else builder.graph.call_function(torch.cat, (nodes(parts), 1))
    scale, total = torch.cat(scales), sum(connection.channels)
    return Maps(
        node,
        torch.cat([m.example for m in parts], 1),
        total,
        index=None if len(index) == total else tuple(index),
        scale=None if bool((scale == 1).all()) else scale,
    )


def _terms(
    builder: Builder, connection: Connection, kept: Kept, gates: Sequence[Tensor], name: str
) -> list[tuple[Maps, Tensor]]:
    """Sources after their own 1x1 convolutions, at full width, and the factor each still needs, () or one per map."""
    terms = []
    for k, maps in kept:
        assert maps.index is None, "a sum or maximum has all its maps"
        factor = gates[k] if maps.scale is None else gates[k] * maps.scale
        bare, project = replace(maps, scale=None), connection.projections[k]
        if isinstance(project, nn.Linear):
            conv = pointwise(project.weight * factor, len(maps.size))
            bare, factor = builder.module(conv, bare, f"{name}_project{k}"), factor.new_ones(())
        elif not uniform(factor):
            bare, factor = builder.scaled(bare, factor, f"{name}_gates{k}"), factor.new_ones(())
        wide = builder.widened(bare, connection.out_channels)
        terms.append((Maps.plain(wide.node, wide.example), factor.flatten()[0]))
    return terms


def _sum(builder: Builder, connection: Connection, kept: Kept, gates: Sequence[Tensor], name: str) -> Maps:
    """f_1 * (x_1 + f_2 / f_1 * x_2 + ...): the largest factor is left for the reader to fold in."""
    terms = _terms(builder, connection, kept, gates, name)
    terms.sort(key=lambda term: -abs(term[1].item()))
    (total, first), *others = terms
    base = first.item()
    if base == 0:
        return builder.scaled(total, first, name)
    for maps, factor in others:
        alpha = factor.item() / base
        total = builder.pair(torch.add, total, maps, **({} if alpha == 1 else {"alpha": alpha}))
    return replace(total, scale=None if base == 1 else first.expand(connection.out_channels).clone())


def _max(builder: Builder, connection: Connection, kept: Kept, gates: Sequence[Tensor], name: str) -> Maps:
    terms = _terms(builder, connection, kept, gates, name)
    paid = [builder.scaled(maps, factor, name) for maps, factor in terms]
    total = reduce(lambda a, b: builder.pair(torch.maximum, a, b), paid)
    # a gate of 0 still offers a 0 to the maximum
    return builder.call(F.relu, total) if len(kept) < len(connection.channels) else total
