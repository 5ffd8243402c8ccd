"""Pruning: the weakest edges go first, but never so that a layer, or maps that share their sources, have no input.

What goes when is known at once. Every edge has a level at which it is cut: its rank by strength, or infinity for the
strongest of its group, which is never cut by itself. A layer goes when the last edge that reads it does, and takes all
its inputs along; going through the layers from the end backwards, that is a maximum over its readers and a minimum over
its inputs. A wiring of 100,000 map edges is a sort, and any budget a cut through the levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.wiring._cost import multiply_adds, parameters
from plexus.wiring._derive import derive
from plexus.wiring._edges import EdgeTable, Floats
from plexus.wiring._inspect import split_head

By = Literal["edges", "fan_in"]


def prune(
    wiring: Wiring,
    *,
    keep: float | None = None,
    fan_in: int | None = None,
    edges: int | None = None,
    threshold: float | None = None,
    max_params: int | None = None,
    max_macs: int | None = None,
    net: nn.Module | None = None,
    in_shape: Sequence[int] | None = None,
    by: By = "edges",
) -> Wiring:
    """Cut the weakest edges until a limit is met; layers that nobody reads any more go with all their inputs.

    The edges are those that `Wiring.count` counts: between layers, or where the wiring has maps between maps, so that
    an edge between layers goes with its last map edge. Everything that stays keeps at least its strongest input, a
    layer or each group of maps that share their sources, so the result can always be computed. Ties are cut from the
    earliest source on. A smaller limit keeps a subset of what a larger one keeps. A limit that asks for nothing gives
    an equal wiring back; `budget_range` tells in advance between which ends a limit does something.

    Args:
        wiring: edges with strengths, as `importance` gives them.
        keep: the largest fraction of edges to keep, 0 to 1: at most floor(keep * edges) stay, or the smallest wiring
            where that is more.
        fan_in: every layer or group of maps keeps this many of its strongest inputs, all where it has fewer.
        edges: the largest number of edges to keep.
        threshold: cut every edge whose strength lies below it and that is not the last of its kind.
        max_params: the most parameters that `derive(net, result)` may have; the largest wiring within it is returned.
        max_macs: the most multiply-adds of one image that it may cost, likewise.
        net: the trained supernet, needed for `max_params` and `max_macs` alone.
        in_shape: one image's, for `max_macs` where `net` has a `.start`; else it is the supernet's.
        by: for `max_params` and `max_macs`: cut the weakest of all `edges`, or lower the `fan_in` of all groups alike.

    Returns:
        A wiring whose nodes are the layers that stay.

    Raises:
        ConfigError: not exactly one limit, one out of range, or `edges`, `max_params` or `max_macs` below what the
            smallest wiring needs, which the message names.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("input", "head", 0.1), ("lego1", "head", 0.9)))
        >>> prune(w, keep=0.5).edges
        (Edge(source='lego1', target='head', strength=0.9),)
        >>> maps = {("input", "head"): [0.1, 0.3], ("lego1", "head"): [0.2, 0.9, 0.4]}
        >>> prune(Wiring(w.nodes, w.edges, maps), fan_in=2).maps["lego1", "head"]
        array([0. , 0.9, 0.4], dtype=float32)
    """
    limits = {
        "keep": keep, "fan_in": fan_in, "edges": edges, "threshold": threshold, "max_params": max_params,
        "max_macs": max_macs,
    }  # fmt: skip
    named = [name for name, limit in limits.items() if limit is not None]
    if len(named) != 1:
        one_of = "keep, fan_in, edges, threshold, max_params and max_macs"
        raise ConfigError(f"prune: give exactly one of {one_of}, got {', '.join(named) or 'none'}")
    if threshold is not None:
        if math.isnan(threshold):
            raise ConfigError("prune: threshold is not a number")
        return _Levels(wiring, below=threshold).wiring(math.inf)
    if keep is not None:
        if not 0 <= keep <= 1:
            raise ConfigError(f"prune: keep={keep} must be a share of the edges, 0 to 1")
        levels = _Levels(wiring)
        # 45 / 54 of 54 edges are 45, whatever the rounding
        return levels.wiring(levels.within(math.floor(keep * wiring.count() + 1e-9)))
    if fan_in is not None:
        if fan_in < 1:
            raise ConfigError(f"prune: fan_in={fan_in} must be 1 or more; everything that stays needs an input")
        levels = _Levels(wiring, "fan_in")
        return levels.wiring(max(levels.most - 1 - fan_in, -1))
    if edges is not None:
        levels = _Levels(wiring)
        if edges < levels.least:
            raise ConfigError(f"prune: edges={edges} cannot be met, the smallest wiring has {levels.least}")
        return levels.wiring(levels.within(edges))
    if net is None:
        raise ConfigError(f"prune: {named[0]} needs net=, the supernet whose {_MEASURES[named[0]]} are counted")
    measure = _params(net) if max_params is not None else _macs(net, in_shape)
    limit = max_params if max_params is not None else max_macs
    assert limit is not None
    try:
        return prune_to(wiring, measure, limit, by=by)
    except _UnmetError as unmet:
        need = f"the smallest wiring needs {unmet.least:.0f}; raise it or use narrower legos"
        raise ConfigError(f"prune: {named[0]}={limit} cannot be met, {need}") from None


def prune_to(wiring: Wiring, measure: Callable[[Wiring], float], most: float, *, by: By = "edges") -> Wiring:
    """Find the largest wiring on the way of `steps` whose cost is within a limit, by bisection.

    For any cost that does not grow when edges are cut: milliseconds, bytes of the file. About log2(edges) wirings are
    measured. Where a measurement is noisy, what is returned was measured to be within the limit.

    Args:
        wiring: edges with strengths.
        measure: returns what a wiring costs.
        most: the largest cost allowed.
        by: cut the weakest of all `edges`, or lower the `fan_in` of all layers or groups of maps alike.

    Raises:
        ConfigError: the smallest wiring costs more; the message names it.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("input", "head", 0.1), ("lego1", "head", 0.9)))
        >>> prune_to(w, lambda smaller: 10 * smaller.count(), 15).count()
        1
    """
    levels = _Levels(wiring, by)
    steps = levels.steps()
    low, high = 0, len(steps)
    cost = math.inf
    while low < high:
        middle = (low + high) // 2
        cost = measure(levels.wiring(steps[middle]))
        if cost <= most:
            high = middle
        else:
            low = middle + 1
    if low == len(steps):  # and so the smallest was the last to be measured
        raise _UnmetError(cost, most)
    return levels.wiring(steps[low])


class _UnmetError(ConfigError):
    """The smallest wiring costs more than the limit."""

    def __init__(self, least: float, most: float) -> None:
        super().__init__(f"prune_to: most={most} cannot be met, the smallest wiring needs {least}")
        self.least = least


def steps(wiring: Wiring, *, below: float = math.inf, by: By = "edges", points: int | None = None) -> Iterator[Wiring]:
    """Yield the wiring, then one with one more of its weakest edges cut each time, down to the smallest that computes.

    Args:
        wiring: edges with strengths.
        below: cut no edge of this strength or more.
        by: cut one edge each time, or lower the `fan_in` of all layers or groups of maps by one.
        points: yield this many at most, evenly spread over the way, both ends among them.

    Returns:
        An iterator, the whole wiring first (without layers that nobody reads).

    Raises:
        ConfigError: fewer than two points.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("input", "head", 0.1), ("lego1", "head", 0.9)))
        >>> [len(one.edges) for one in steps(w)]
        [2, 1]
    """
    if points is not None and points < 2:
        raise ConfigError(f"steps: points={points} must be 2 or more, the whole wiring and the smallest")
    levels = _Levels(wiring, by, below=below)
    way = levels.steps()
    if points is not None and points < len(way):
        way = way[np.linspace(0, len(way) - 1, points).round().astype(int)]
    yield from map(levels.wiring, way)


@dataclass(frozen=True)
class BudgetRange:
    """Ends between which a budget does something: below the first it cannot be met, from the last on it cuts nothing.

    Args:
        edges: of the smallest wiring and of the whole, as `Wiring.count` counts.
        fan_in: the fewest inputs that can be asked for, and the most that a layer or group of maps has.
        parameters: of the derived nets; None without a net.
        macs: multiply-adds of one image, likewise.

    Example:
        >>> budget_range(Wiring(("input", "head"), [("input", "head", 1.0)])).edges
        (1, 1)
    """

    edges: tuple[int, int]
    fan_in: tuple[int, int]
    parameters: tuple[int, int] | None = None
    macs: tuple[int, int] | None = None


def budget_range(wiring: Wiring, net: nn.Module | None = None, in_shape: Sequence[int] | None = None) -> BudgetRange:
    """Tell the least and the most that a budget of `prune` can mean, at the price of two derived nets.

    Before any training the strengths say nothing about which edges will stay, but the ends hardly depend on that: a net
    at its start tells whether a budget can be met, and whether it would cut anything.

    Args:
        wiring: edges with strengths.
        net: the supernet; without it, parameters and multiply-adds are not counted.
        in_shape: one image's, where `net` has a `.start`; else it is the supernet's.

    Raises:
        ConfigError: the wiring does not fit the net, or the shape of one image is missing.

    Example:
        >>> maps = {("input", "head"): [0.5, 0.25, 0.125]}
        >>> budget_range(Wiring(("input", "head"), [("input", "head", 1.0)], maps))
        BudgetRange(edges=(1, 3), fan_in=(1, 3), parameters=None, macs=None)
    """
    levels = _Levels(wiring)
    whole, smallest = levels.wiring(-1), levels.wiring(math.inf)
    edges = (smallest.count(), whole.count())
    fan_in = (1, int(np.bincount(levels.table.group, minlength=1).max()))
    if net is None:
        return BudgetRange(edges, fan_in)
    nets = [derive(net, end) for end in (smallest, whole)]
    least, most = (parameters(plain) for plain in nets)
    cheapest, dearest = (multiply_adds(plain, _shape(net, in_shape)) for plain in nets)
    return BudgetRange(edges, fan_in, (least, most), (cheapest, dearest))


class _Levels:
    """The level at which each edge of a wiring is cut, on the way from the whole to the smallest that computes."""

    def __init__(self, wiring: Wiring, by: By = "edges", *, below: float = math.inf) -> None:
        if by not in ("edges", "fan_in"):
            raise ConfigError(f"prune: by={by!r} is unknown; choose edges or fan_in")
        self.table = table = EdgeTable.of(wiring)
        order = table.weakest_first()
        rank = np.empty(len(table))
        rank[order] = np.arange(len(table))
        # the rows group by group, weakest first, and how many stronger ones each has in its group
        group = table.group
        rows = np.lexsort((rank, group))
        last = np.searchsorted(group[rows], group[rows], side="right") - 1
        stronger = np.empty(len(table))
        stronger[rows] = last - np.arange(len(table))
        self.most = int(stronger.max(initial=0)) + 1
        level: Floats = rank if by == "edges" else self.most - 1 - stronger
        level[(stronger == 0) | (table.strength >= below)] = math.inf
        self.level = self._with_unread(level)
        finite = self.level[np.isfinite(self.level)]
        self._ascending = np.sort(finite)
        self.least = len(table) - len(finite)

    def _with_unread(self, level: Floats) -> Floats:
        """Let a layer's inputs go when the last edge that reads it does; those that nobody reads at all at level -1."""
        table = self.table
        by_source, by_target = np.argsort(table.source, kind="stable"), np.argsort(table.target, kind="stable")
        nodes = np.arange(len(table.wiring.nodes) + 1)
        reads = np.searchsorted(table.source[by_source], nodes)
        inputs = np.searchsorted(table.target[by_target], nodes)
        for node in reversed(range(len(table.wiring.nodes))):
            if node != table.end:
                readers = by_source[reads[node] : reads[node + 1]]
                own = by_target[inputs[node] : inputs[node + 1]]
                level[own] = np.minimum(level[own], level[readers].max(initial=-1))
        return level

    def steps(self) -> Floats:
        """List the levels after which something is gone, the whole wiring's first."""
        return np.unique(np.append(self._ascending, -1.0))

    def within(self, most: int) -> float:
        """Return the first level after which at most so many edges are left, or the last there is."""
        cut = len(self.table) - most
        if cut <= 0:
            return -1.0
        return float(self._ascending[cut - 1]) if cut <= len(self._ascending) else math.inf

    def wiring(self, level: float) -> Wiring:
        """Make the wiring of all edges that are left after a level."""
        return self.table.subset((self.level > level) | (self.level == math.inf))


_MEASURES = {"max_params": "parameters", "max_macs": "multiply-adds"}


def _shape(net: nn.Module, in_shape: Sequence[int] | None) -> Sequence[int]:
    if in_shape is None and getattr(net, "start", None) is not None:
        raise ConfigError("prune: multiply-adds of a net with a start need in_shape=, the shape of one image")
    return split_head(net)[0].in_shape if in_shape is None else in_shape


# Counted on derived nets, not summed over edges: what a cut saves depends on what is left to read it.
def _params(net: nn.Module) -> Callable[[Wiring], int]:
    return lambda wiring: parameters(derive(net, wiring))


def _macs(net: nn.Module, in_shape: Sequence[int] | None) -> Callable[[Wiring], int]:
    shape = _shape(net, in_shape)
    return lambda wiring: multiply_adds(derive(net, wiring), shape)
