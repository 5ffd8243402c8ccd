"""Wirings to compare with, random and residual, and how alike several wirings are, beyond chance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import torch
from scipy.stats import rankdata

from plexus.errors import ConfigError
from plexus.graph import HEAD, INPUT, Edge, Wiring, stack_nodes


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


def agreement(wirings: Sequence[Wiring], *, resamples: int = 1000, seed: int = 0) -> Agreement:
    """Compare wirings of one stack of legos, for instance from several seeds.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the fraction of possible edges on which two wirings agree and p_e the
    fraction expected from their edge counts alone. Two wirings that both have all edges, or none, count as kappa 1
    (they agree and could not otherwise); a wiring whose strengths are all equal has no ranks, and counts as correlation
    0, or 1 if the other's are all equal too.

    Args:
        wirings: two or more; legos that a pruned wiring lost may be missing, and are known by their numbers.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        ConfigError: fewer than two wirings, or wirings of different stacks.

    Source: Cohen 1960, A coefficient of agreement for nominal scales.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("lego1", "head", 1.0),))
        >>> agreement([w, w]).kappa
        1.0
    """
    if len(wirings) < 2:
        raise ConfigError(f"agreement: give at least two wirings, got {len(wirings)}")
    pairs = _possible(wirings)
    if not pairs:
        raise ConfigError("agreement: these wirings have no possible edges")
    strengths = [w.strengths() for w in wirings]
    present = np.array([[p in edges for p in pairs] for edges in strengths], dtype=float)
    strength = np.array([[edges.get(p, 0.0) for p in pairs] for edges in strengths])
    kappa, spearman = _measure(present, strength)
    drawn = np.random.default_rng(seed).integers(0, len(pairs), (resamples, len(pairs)))
    intervals = [
        np.percentile(samples, [2.5, 97.5]).tolist() for samples in _measure(present[:, drawn], strength[:, drawn])
    ]
    return Agreement(float(kappa), tuple(intervals[0]), float(spearman), tuple(intervals[1]), len(pairs), len(wirings))


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


def _measure(present: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average kappa and correlation over pairs of wirings; arrays of (wirings, ..., edges) give (...)."""
    ranks = rankdata(strength, axis=-1)
    both = list(combinations(range(len(present)), 2))
    kappa = sum(_kappa(present[a], present[b]) for a, b in both)
    spearman = sum(_correlation(ranks[a], ranks[b]) for a, b in both)
    return np.asarray(kappa / len(both)), np.asarray(spearman / len(both))


def _kappa(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    observed, rate_a, rate_b = (a == b).mean(-1), a.mean(-1), b.mean(-1)
    expected = rate_a * rate_b + (1 - rate_a) * (1 - rate_b)
    certain = expected == 1
    return np.where(certain, 1.0, (observed - expected) / np.where(certain, 1.0, 1 - expected))


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    lengths = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    both_flat = ~a.any(-1) & ~b.any(-1)
    return np.where(lengths == 0, both_flat, (a * b).sum(-1) / np.where(lengths == 0, 1.0, lengths))
