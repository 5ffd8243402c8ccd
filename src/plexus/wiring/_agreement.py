"""How alike several wirings are, beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from plexus.errors import ConfigError
from plexus.graph import HEAD, INPUT, Wiring


@dataclass(frozen=True)
class Agreement:
    """How alike wirings are; intervals are 95 % percentile bootstraps over the possible edges.

    Args:
        kappa: Cohen's kappa of "is this edge there", averaged over pairs of wirings: 1 the same, 0 as by chance.
        kappa_ci: its interval.
        spearman: rank correlation of the strengths (0 where there is no edge), averaged over pairs.
        spearman_ci: its interval.
        edges: how many edges were possible.
        wirings: how many wirings were compared.
    """

    kappa: float
    kappa_ci: tuple[float, float]
    spearman: float
    spearman_ci: tuple[float, float]
    edges: int
    wirings: int


def agreement(wirings: Sequence[Wiring], *, resamples: int = 1000, seed: int = 0) -> Agreement:
    """Compares wirings of one stack of legos, for instance from several seeds.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the share of possible edges on which two wirings agree and p_e the share
    expected from their edge counts alone. Two wirings that both have all edges, or none, count as kappa 1 (they agree
    and could not otherwise); a wiring whose strengths are all equal has no ranks, and counts as correlation 0, or 1 if
    the other's are all equal too.

    Args:
        wirings: two or more; nodes may be missing where a pruned wiring lost them.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        ConfigError: fewer than two wirings, or nodes listed in contradicting orders.

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
    there = np.array([[p in w.strengths() for p in pairs] for w in wirings], dtype=float)
    strength = np.array([[w.strengths().get(p, 0.0) for p in pairs] for w in wirings])
    rng = np.random.default_rng(seed)
    samples = [_measure(there[:, i], strength[:, i]) for i in rng.integers(0, len(pairs), (resamples, len(pairs)))]
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    kappa, spearman = _measure(there, strength)
    intervals = [(float(low[i]), float(high[i])) for i in range(2)]
    return Agreement(kappa, intervals[0], spearman, intervals[1], len(pairs), len(wirings))


def _possible(wirings: Sequence[Wiring]) -> list[tuple[str, str]]:
    """All edges a supernet over these nodes has: forward ones, but for what the first lego reads."""
    longest = max(wirings, key=lambda w: len(w.nodes))
    legos = {n for w in wirings for n in w.nodes} - {INPUT, HEAD}
    order = {n: i for i, n in enumerate(longest.nodes)}
    missing = legos - order.keys()
    if missing:
        numbered = sorted(legos, key=lambda n: int("".join(filter(str.isdigit, n)) or 0))
        order = {n: i for i, n in enumerate((INPUT, *numbered, HEAD))}
    nodes = sorted(order, key=order.__getitem__)
    pairs = [(s, t) for j, t in enumerate(nodes) for s in nodes[:j] if j >= 2]
    for w in wirings:
        for e in w.edges:
            if (e.source, e.target) not in pairs:
                raise ConfigError(f"agreement: edge {e.source} -> {e.target} does not fit the order {', '.join(nodes)}")
    return pairs


def _measure(there: np.ndarray, strength: np.ndarray) -> tuple[float, float]:
    ranks = np.array([rankdata(s) for s in strength])
    both = list(combinations(range(len(there)), 2))
    return (
        float(np.mean([_kappa(there[a], there[b]) for a, b in both])),
        float(np.mean([_correlation(ranks[a], ranks[b]) for a, b in both])),
    )


def _kappa(a: np.ndarray, b: np.ndarray) -> float:
    observed = (a == b).mean()
    expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return 1.0 if expected == 1 else float((observed - expected) / (1 - expected))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norms = float(np.sqrt((a**2).sum() * (b**2).sum()))
    if norms == 0:
        return float((a == 0).all() and (b == 0).all())
    return float((a * b).sum() / norms)
