"""Wirings to compare with: random ones, between layers and between maps, and the residual one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring, stack_nodes
from plexus.wiring._edges import EdgeTable, Ints, Strata, strata


def random_wiring(legos: int, edges: int, generator: torch.Generator) -> Wiring:
    """Make the chain and random skips, `edges` connections in all, every choice of skips equally likely.

    Args:
        legos: how many legos the stack has.
        edges: connections wanted: at least one per lego, at most legos (legos + 3) / 2.
        generator: source of randomness.

    Raises:
        ConfigError: `edges` out of range.

    Example:
        >>> len(random_wiring(9, 20, torch.Generator().manual_seed(0)).edges)
        20
    """
    nodes = stack_nodes(legos)
    chain = list(pairwise(nodes[1:]))
    skips = [(s, t) for j, t in enumerate(nodes[2:], 2) for s in nodes[: j - 1]]
    if not legos <= edges <= legos + len(skips):
        raise ConfigError(f"random_wiring: {edges} edges do not fit {legos} legos; {legos} to {legos + len(skips)} do")
    picked = torch.randperm(len(skips), generator=generator)[: edges - legos].tolist()
    return Wiring(nodes, tuple(Edge(s, t) for s, t in chain + [skips[i] for i in picked]))


def residual_wiring(legos: int) -> Wiring:
    """Make the chain with a skip over every pair of legos, as in a residual net.

    Args:
        legos: how many layers.

    Example:
        >>> len(residual_wiring(15).edges)
        22
    """
    nodes = stack_nodes(legos)
    pairs = list(pairwise(nodes[1:]))
    pairs += [(nodes[i - 2], nodes[i + 1]) for i in range(3, legos + 1, 2)]
    return Wiring(nodes, tuple(Edge(s, t) for s, t in pairs))


def random_maps(
    whole: Wiring,
    generator: torch.Generator,
    *,
    fan_in: int | None = None,
    like: Wiring | None = None,
    same: Strata = "fan_in",
) -> Wiring:
    """Draw map edges at random, as control for a wiring that learning picked from the same ones.

    Either every group of maps that share their sources (every layer, where maps are read by layers) reads `fan_in`
    maps; or as many map edges are drawn as `like` has, counted by `same`: in each such group (equal fan-in), in each
    block between two layers, or in each group's part of each block (equal profile: how much is read from how far stays
    as learned, which maps is chance). Within these counts every choice is equally likely.

    Args:
        whole: the map edges to draw from, as `Supernet.wiring` gives them; strengths are not read.
        generator: source of randomness.
        fan_in: maps that every group reads; all, where there are fewer.
        like: the wiring whose counts to keep; legos that it lost are read by nobody.
        same: `fan_in` | `profile` | `block` | `count` (their number alone); with the last two a group may be left
            without an input.

    Returns:
        A wiring of strengths 1. Layers that happen not to be read keep their inputs, as these are among the edges that
        were asked for; `derive` leaves such layers out.

    Raises:
        ConfigError: not exactly one of `fan_in` and `like`, one that does not fit `whole`, or no map edges.

    Example:
        >>> pairs = [("input", "head"), ("lego1", "head")]
        >>> maps = {pairs[0]: np.ones((2, 3)), pairs[1]: np.ones((2, 4))}
        >>> whole = Wiring(("input", "lego1", "head"), [(*pair, 1.0) for pair in pairs], maps)
        >>> one = random_maps(whole, torch.Generator().manual_seed(0), fan_in=3)
        >>> one.count(), random_maps(whole, torch.Generator(), like=one, same="profile").count()
        (6, 6)
    """
    if not whole.maps:
        raise ConfigError("random_maps: this wiring has no map edges; random_wiring draws edges between layers")
    if (fan_in is None) == (like is None):
        raise ConfigError("random_maps: give either fan_in or like")
    table = EdgeTable.of(whole)
    if like is None:
        assert fan_in is not None
        if fan_in < 1:
            raise ConfigError(f"random_maps: fan_in={fan_in} must be 1 or more")
        stratum = table.group
        wanted = np.minimum(np.bincount(stratum), fan_in)
    else:
        stratum, wanted = _counts(table, like, same)
    # the first so many of each stratum in a random order: every choice is equally likely
    order = np.lexsort((torch.rand(len(table), generator=generator, dtype=torch.float64).numpy(), stratum))
    first = np.searchsorted(stratum[order], np.arange(len(wanted)))
    chosen = np.zeros(len(table), bool)
    chosen[order] = np.arange(len(table)) - first[stratum[order]] < wanted[stratum[order]]
    return table.subset(chosen, strength=1.0)


def _counts(table: EdgeTable, like: Wiring, same: Strata) -> tuple[Ints, Ints]:
    """Number the strata of a table's rows, and count how many edges another wiring has in each."""
    whole = table.wiring
    if like.granularity != whole.granularity:
        raise ConfigError(
            f"random_maps: like is a wiring at {like.granularity} level, the whole at {whole.granularity}"
        )
    other = EdgeTable.of(like)
    if unknown := set(like.nodes) - set(whole.nodes):
        raise ConfigError(f"random_maps: like has the node {min(unknown)!r}, which the whole lacks")
    number = np.array([whole.nodes.index(name) for name in like.nodes], np.intp)
    # numbered together, so that equal strata have equal numbers
    ends = ((table.source, number[other.source]), (table.target, number[other.target]), (table.row, other.row))
    joint = strata(same, *(np.concatenate(pair) for pair in ends))
    size = int(joint.max(initial=-1)) + 1
    stratum, wanted = joint[: len(table)], np.bincount(joint[len(table) :], minlength=size)
    if (wanted > np.bincount(stratum, minlength=size)).any():
        raise ConfigError("random_maps: like has map edges that the whole has no room for; give the supernet's wiring")
    return stratum, wanted
