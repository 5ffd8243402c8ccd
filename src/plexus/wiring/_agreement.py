"""Likeness of several wirings, beyond chance."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plexus.errors import ConfigError
from plexus.graph import HEAD, INPUT, Wiring, stack_nodes
from plexus.wiring._edges import Floats, Ints, Strata, strata


@dataclass(frozen=True)
class Agreement:
    """Likeness of wirings; intervals are 95 % percentile bootstraps over the possible edges.

    Args:
        kappa: Cohen's kappa of "is this edge there", averaged over pairs of wirings: 1 the same, 0 as by chance.
        kappa_ci: its interval.
        spearman: rank correlation of the strengths (0 where there is no edge), averaged over pairs.
        spearman_ci: its interval.
        edges: how many edges were possible.
        wirings: how many wirings were compared.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("lego1", "head", 1.0),))
        >>> same = agreement([w, w, w])
        >>> same.wirings, same.edges
        (3, 2)
    """

    kappa: float
    kappa_ci: tuple[float, float]
    spearman: float
    spearman_ci: tuple[float, float]
    edges: int
    wirings: int


def agreement(
    wirings: Sequence[Wiring], *, chance: Strata | None = None, resamples: int = 1000, seed: int = 0
) -> Agreement:
    """Compare wirings of one stack of legos, for instance from several seeds, edge by edge or map edge by map edge.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the fraction of possible edges on which two wirings agree and p_e the
    fraction expected by chance, which is: both as dense as they are in every stratum of the edges, but drawn
    independently. With `count` all edges are one stratum, so that p_e follows from the edge counts alone. But in a
    wiring of equal fan-in an early layer reads most of the few maps before it, and a late one a small part of many;
    two such wirings drawn at random agree more often than their counts say, and have kappa 0 only with `fan_in`, where
    each group of maps that share their sources (each layer, where maps are read by layers) is a stratum. `block` makes
    one of each pair of layers and `profile` one of each group and source layer: then kappa 0 says that beyond how much
    is read from where, the maps that are read agree as by chance. `random_maps` draws by the same four.

    Two wirings that both have all edges, or none, in every stratum count as kappa 1 (they agree and could not
    otherwise); a wiring whose strengths are all equal has no ranks, and counts as correlation 0, or 1 if the other's
    are all equal too. The correlation is not corrected for chance.

    Args:
        wirings: two or more, all with map edges or none; legos that a pruned wiring lost may be missing, and are known
            by their numbers. Map edges of a lego that no wiring reads are not among the possible ones.
        chance: `count` | `fan_in` | `block` | `profile`; by default `fan_in` for map edges, else `count`.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        ConfigError: fewer than two wirings, or wirings of different stacks.

    Source: Cohen 1960, A coefficient of agreement for nominal scales; strata: Barlow et al. 1991, A comparison of
        methods for calculating a stratified kappa.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("lego1", "head", 1.0),))
        >>> agreement([w, w]).kappa
        1.0
    """
    if len(wirings) < 2:
        raise ConfigError(f"agreement: give at least two wirings, got {len(wirings)}")
    layout = _laid_out(wirings, chance)
    kappa, spearman = layout.measure(np.ones(layout.edges))
    random, n = np.random.default_rng(seed), layout.edges
    # a sample with replacement is a number of times for each edge: nothing as large as the sample has to be copied
    draws = (np.bincount(random.integers(0, n, n), minlength=n).astype(float) for _ in range(resamples))
    samples = np.array([layout.measure(times) for times in draws])
    low, high = np.percentile(samples, [2.5, 97.5], axis=0).tolist()
    return Agreement(kappa, (low[0], high[0]), spearman, (low[1], high[1]), n, len(wirings))


class _Layout:
    """All possible edges of several wirings, stratum by stratum, as arrays (wirings, edges)."""

    def __init__(self, present: Floats, strength: Floats, stratum: Ints) -> None:
        self.edges = len(stratum)
        order = np.argsort(stratum, kind="stable")
        self._present = present[:, order]
        self._starts = np.flatnonzero(np.diff(stratum[order], prepend=-1))
        self._pairs = np.triu_indices(len(present), 1)
        self._sorted = [_ties(row) for row in strength[:, order]]

    def measure(self, times: Floats) -> tuple[float, float]:
        """Average kappa and correlation over pairs of wirings, with every edge counted so many times."""
        kappa, spearman = self._kappa(times), self._spearman(times)
        return float(kappa[self._pairs].mean()), float(spearman[self._pairs].mean())

    def _kappa(self, times: Floats) -> Floats:
        total, counted = times.sum(), self._present * times
        both, own = counted @ self._present.T, counted.sum(1)
        observed = (total - own[:, None] - own + 2 * both) / total
        size = np.add.reduceat(times, self._starts)
        there = np.add.reduceat(counted, self._starts, axis=1)
        absent, size = size - there, np.maximum(size, 1)  # a stratum may be left out of a bootstrap sample
        expected = ((there / size) @ there.T + (absent / size) @ absent.T) / total
        certain = expected == 1
        return np.where(certain, 1.0, (observed - expected) / np.where(certain, 1.0, 1 - expected))

    def _spearman(self, times: Floats) -> Floats:
        total = times.sum()
        ranks = np.empty((len(self._sorted), self.edges))
        for row, (order, starts, lengths) in zip(ranks, self._sorted, strict=True):
            size = np.add.reduceat(times[order], starts)
            rank = np.cumsum(size) - size / 2  # mean rank of equal strengths less 1/2; so the mean of all is total / 2
            row[order] = np.repeat(rank - total / 2, lengths)
        products = (ranks * times) @ ranks.T
        squares = np.diag(products)
        lengths, both_flat = np.sqrt(np.outer(squares, squares)), np.add.outer(squares, squares) == 0
        return np.where(lengths == 0, both_flat, products / np.where(lengths == 0, 1.0, lengths))


def _ties(strength: Floats) -> tuple[Ints, Ints, Ints]:
    """Sort strengths; give the order, where each run of equal ones starts in it, and how long it is."""
    order = np.argsort(strength, kind="stable")
    starts = np.flatnonzero(np.diff(strength[order], prepend=-np.inf))
    return order, starts, np.diff(starts, append=len(order))


def _laid_out(wirings: Sequence[Wiring], chance: Strata | None) -> _Layout:
    """Lay all possible edges, or map edges, of the wirings out."""
    pairs = _possible(wirings)
    grain = {w.granularity for w in wirings}
    if len(grain) > 1:
        raise ConfigError(f"agreement: wirings of one granularity can be compared, got {', '.join(sorted(grain))}")
    maps = grain != {"layer"}
    number = {name: i for i, name in enumerate(dict.fromkeys(name for pair in pairs for name in pair))}
    sizes = _sizes(wirings)
    shapes = {(s, t): (sizes["reads", t], sizes["gives", s]) if maps else (1, 1) for s, t in pairs
              if not maps or {("reads", t), ("gives", s)} <= sizes.keys()}  # fmt: skip
    if not shapes:
        raise ConfigError("agreement: these wirings have no possible edges")
    present, strength = [], []
    for w in wirings:
        arrays = w.maps if maps else {pair: np.full((1, 1), value) for pair, value in w.strengths().items()}
        flat = [np.ravel(arrays[pair]) if pair in arrays else np.zeros(math.prod(shapes[pair])) for pair in shapes]
        strength.append(np.concatenate(flat))
        there = [np.full(math.prod(shapes[pair]), pair in arrays) for pair in shapes]
        present.append(strength[-1] != 0 if maps else np.concatenate(there))
    lengths = [math.prod(shape) for shape in shapes.values()]
    source, target = (np.repeat([number[pair[end]] for pair in shapes], lengths) for end in (0, 1))
    row = np.concatenate([np.repeat(np.arange(groups), channels) for groups, channels in shapes.values()])
    stratum = strata(chance or ("fan_in" if maps else "count"), source, target, row)
    return _Layout(np.array(present, float), np.array(strength, float), stratum)


def _sizes(wirings: Sequence[Wiring]) -> dict[tuple[str, str], int]:
    """Count the maps that each layer gives, and the groups of those that it reads."""
    sizes: dict[tuple[str, str], int] = {}
    for w in wirings:
        for (source, target), array in w.maps.items():
            groups, channels = np.atleast_2d(array).shape
            for key, size in ((("gives", source), channels), (("reads", target), groups)):
                if sizes.setdefault(key, size) != size:
                    what = "maps" if key[0] == "gives" else "groups of maps"
                    raise ConfigError(f"agreement: {key[1]} has {sizes[key]} {what} in one wiring, {size} in another")
    return sizes


def _possible(wirings: Sequence[Wiring]) -> list[tuple[str, str]]:
    """List all edges a supernet over these nodes has: forward ones, but for what the first lego reads."""
    legos = {name for w in wirings for name in w.nodes} - {INPUT, HEAD}
    numbers = [re.fullmatch(r"lego([1-9]\d*)", name) for name in legos]
    if all(numbers):  # a pruned wiring may have lost any of them
        nodes = stack_nodes(max((int(n[1]) for n in numbers if n), default=0))
    else:
        nodes = max((w.nodes for w in wirings), key=len)
        if not legos <= set(nodes):
            raise ConfigError(f"agreement: no wiring has all of {', '.join(sorted(legos))}, so their order is unknown")
    pairs = [(s, t) for j, t in enumerate(nodes) for s in nodes[:j] if j >= 2]
    for w in wirings:
        for e in w.edges:
            if (e.source, e.target) not in pairs:
                raise ConfigError(f"agreement: edge {e.source} -> {e.target} does not fit the order {', '.join(nodes)}")
    return pairs
