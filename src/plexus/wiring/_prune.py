"""Pruning: the weakest edges go first, but never so that a layer is left without an input."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from plexus.errors import ConfigError
from plexus.graph import HEAD, INPUT, Wiring
from plexus.wiring._cost import parameters
from plexus.wiring._derive import derive


def prune(
    wiring: Wiring,
    *,
    keep: float | None = None,
    threshold: float | None = None,
    max_params: int | None = None,
    net: nn.Module | None = None,
) -> Wiring:
    """Cut the weakest edges until a limit is met; layers that nobody reads any more go with all their inputs.

    Every layer that stays keeps at least its strongest input, so the result can always be computed. Where `keep` or
    `threshold` asks for less than that, the smallest such wiring is returned. Ties are cut from the earliest source on.

    Args:
        wiring: edges with strengths, as `importance` gives them.
        keep: the largest fraction of edges to keep, 0 to 1: at most floor(keep * edges) stay.
        threshold: cut every edge whose strength lies below it.
        max_params: the most parameters that `derive(net, result)` may have; the largest wiring within it is returned.
        net: the trained supernet, needed for `max_params` alone.

    Returns:
        A wiring whose nodes are the layers that stay.

    Raises:
        ConfigError: not exactly one limit, one out of range, or `max_params` below what the smallest wiring needs.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("input", "head", 0.1), ("lego1", "head", 0.9)))
        >>> prune(w, keep=0.5).edges
        (Edge(source='lego1', target='head', strength=0.9),)
    """
    limits = {"keep": keep, "threshold": threshold, "max_params": max_params}
    named = [name for name, limit in limits.items() if limit is not None]
    if len(named) != 1:
        raise ConfigError(
            f"prune: give exactly one of keep, threshold and max_params, got {', '.join(named) or 'none'}"
        )
    if keep is not None:
        if not 0 <= keep <= 1:
            raise ConfigError(f"prune: keep={keep} must be a share of the edges, 0 to 1")
        most = math.floor(keep * len(wiring.edges) + 1e-9)  # 45 / 54 of 54 edges are 45, whatever the rounding
        for smaller in steps(wiring):
            if len(smaller.edges) <= most:
                break
        return smaller
    if threshold is not None:
        if math.isnan(threshold):
            raise ConfigError("prune: threshold is not a number")
        return list(steps(wiring, below=threshold))[-1]
    assert max_params is not None
    if net is None:
        raise ConfigError("prune: max_params needs net=, the supernet whose parameters are counted")
    return _largest_within(list(steps(wiring)), max_params, net)


def steps(wiring: Wiring, *, below: float = math.inf) -> Iterator[Wiring]:
    """Yield the wiring, then one with one more of its weakest edges cut each time, down to the smallest that computes.

    Args:
        wiring: edges with strengths.
        below: cut no edge of this strength or more.

    Returns:
        An iterator, the whole wiring first.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("input", "head", 0.1), ("lego1", "head", 0.9)))
        >>> [len(one.edges) for one in steps(w)]
        [2, 1]
    """
    order = {name: i for i, name in enumerate(wiring.nodes)}
    edges = wiring.strengths()
    _drop_unread(edges, wiring)
    yield _subset(wiring, edges)
    # Ties go from the earliest source on: a skip from afar before the previous layer, which the chain needs.
    for source, target in sorted(edges, key=lambda e: (edges[e], order[e[0]], order[e[1]])):
        strength = edges.get((source, target))
        # An edge may be gone already, with the layer it led to. The last into a layer stays: the layer is read, or it
        # would have been dropped, and being the last it is its strongest.
        if strength is None or strength >= below or sum(t == target for _, t in edges) == 1:
            continue
        del edges[source, target]
        _drop_unread(edges, wiring)
        yield _subset(wiring, edges)


def _drop_unread(edges: dict[tuple[str, str], float], wiring: Wiring) -> None:
    """Take the inputs of layers that nobody reads, from the end backwards, so that what these alone read goes, too."""
    end = _end(wiring)
    read = {source for source, _ in edges}
    for name in reversed(wiring.nodes):
        if name not in read and name != end:
            for pair in [p for p in edges if p[1] == name]:
                del edges[pair]
            read = {source for source, _ in edges}


def _subset(wiring: Wiring, edges: dict[tuple[str, str], float]) -> Wiring:
    used = {INPUT, _end(wiring)} | {name for pair in edges for name in pair}
    return Wiring(tuple(n for n in wiring.nodes if n in used), tuple(e for e in wiring.edges if e[:2] in edges))


def _end(wiring: Wiring) -> str:
    return HEAD if HEAD in wiring.nodes else wiring.nodes[-1]


def _largest_within(candidates: list[Wiring], most: int, net: nn.Module) -> Wiring:
    """Bisect: parameters never grow from one step to the next."""
    # Counted on derived nets, not summed over edges: what a cut saves depends on what is left to read it.
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if parameters(derive(net, candidates[middle])) <= most:
            high = middle
        else:
            low = middle + 1
    if low == len(candidates):
        least = parameters(derive(net, candidates[-1]))
        raise ConfigError(
            f"prune: max_params={most} cannot be met, the smallest wiring needs {least}; raise it or use narrower legos"
        )
    return candidates[low]
