"""Random keystrokes: which finger rests on which key."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise, permutations
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import chisquare

from plexus.essays import EssayError, quoted

FINGERS = ("middle", "ring", "index", "little")
"""From the longest to the shortest."""
SAMPLE = (
    "gh jgh jg hjg hjg hjg hjg hjg hkg hjg hg jg hjg hjg hg hjg hg hjg h gh gh ghj ghj ghj g hjg khg hg hg hg hjg "
    "hjg hjg hjg h ghj"
)
"""The notes' sample."""
_ROW = ("index", "middle", "ring", "little")
_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl;", "zxcvbnm,./")
_MOST = 10**7
Prior = Literal["row", "any"]


@dataclass(frozen=True)
class Hand:
    """The evidence of the keystrokes of one hand.

    Args:
        counts: keystrokes of each key, keys from left to right.
        ranking: assignments key -> finger with their posterior, the likeliest first.
        chi_square, p_value: against all keys being equally likely.
    """

    counts: dict[str, int]
    ranking: tuple[tuple[dict[str, str], float], ...]
    chi_square: float
    p_value: float


@dataclass(frozen=True)
class Power:
    """The chance that so many keystrokes are enough.

    Args:
        keystrokes: how many are typed.
        right: fraction of simulations in which the true assignment has a posterior of ``posterior`` or more.
        wrong: fraction in which another one has.
        posterior: what was asked for.
    """

    keystrokes: int
    right: float
    wrong: float
    posterior: float


def infer(text: str, keys: str | None = None, *, prior: Prior = "row") -> Hand:
    r"""Rank the ways to lay one hand's fingers on keys.

    Model: keystrokes are independent; a longer finger is struck at least as often, p(middle) >= p(ring) >= p(index)
    >= p(little); given an assignment all such p are equally likely (the flat Dirichlet density within the order).
    Then the marginal likelihood of an assignment with order k_1, k_2, ... is, up to a constant,

    .. math:: P(G_1 \ge G_2 \ge \dots), \quad G_i \sim \mathrm{Gamma}(n_{k_i} + 1)

    independent, n being the counts: integrated numerically, not sampled. The posterior is this times the prior. With
    fewer than four keys several assignments have one order of keys by length, and share its posterior.

    Args:
        text: the keystrokes; blanks are ignored, capitals count as small letters.
        keys: the hand's keys from left to right, two to four [default: those of the text, as a QWERTY keyboard has
            them]. They may include keys that were never struck.
        prior: every assignment that it allows is equally likely. "row": fingers do not cross, so their order along
            the keys is index to little or little to index, both hands alike; "any": crossed fingers too.

    Returns:
        Counts, ranking and test.

    Raises:
        EssayError: no keystrokes, one key only, more keys than fingers, or a keystroke outside the keys.

    Example:
        >>> hand = infer(SAMPLE)
        >>> hand.counts
        {'g': 34, 'h': 33, 'j': 22, 'k': 2}
        >>> best, posterior = hand.ranking[0]
        >>> best, posterior > 0.99
        ({'g': 'index', 'h': 'middle', 'j': 'ring', 'k': 'little'}, True)
    """
    counts = _counts(text, keys)
    numbers = tuple(counts.values())
    ways = _assignments(len(counts), prior)
    logs = np.array([_log_order(tuple(numbers[i] for i in _by_length(way))) for way in ways])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    order = np.argsort(-weights, kind="stable")
    test = chisquare(numbers)
    ranking = tuple((dict(zip(counts, ways[i], strict=True)), float(weights[i])) for i in order)
    return Hand(counts, ranking, float(test.statistic), float(test.pvalue))


def infer_two(text: str, left: str, right: str, *, prior: Prior = "row") -> tuple[Hand, Hand]:
    """Rank assignments for two hands whose keys are known apart.

    The share of keystrokes that a hand gets says nothing of its fingers, and no finger is compared with one of the
    other hand: each is judged by its own keystrokes, and the posterior of both is the product.

    Args:
        text: the keystrokes of both hands.
        left: the left hand's keys, from left to right.
        right: the right hand's keys.
        prior: as for ``infer``.

    Returns:
        The left hand and the right.

    Raises:
        EssayError: as ``infer``; or a key is under both hands.

    Example:
        >>> left, right = infer_two("dddds sdsf kkkl jkkl;", "asdf", "jkl;")
        >>> sum(left.counts.values()), left.ranking[0][0]["d"], right.ranking[0][0]["k"]
        (9, 'middle', 'middle')
    """
    left, right = _keys(left), _keys(right)
    if both := sorted(set(left) & set(right)):
        raise EssayError(f"the key {both[0]!r} is under both hands; name it once")
    struck = _struck(text)
    _no_others(struck, left + right)
    return (
        infer("".join(c for c in struck if c in left), left, prior=prior),
        infer("".join(c for c in struck if c in right), right, prior=prior),
    )


def shares(hand: Hand) -> list[float]:
    """Estimate the probability of each key, if the likeliest assignment is the true one.

    Args:
        hand: what ``infer`` returned.

    Returns:
        (n + 1) / (N + keys), made to fall with the fingers' length by pooling neighbours that do not.

    Source:
        Barlow, Bartholomew, Bremner and Brunk 1972, Statistical Inference under Order Restrictions.

    Example:
        >>> [round(share, 3) for share in shares(infer(SAMPLE))]
        [0.305, 0.358, 0.305, 0.032]
    """
    numbers = np.array(list(hand.counts.values()), dtype=float) + 1
    order = list(_by_length(tuple(hand.ranking[0][0].values())))
    fitted = np.empty_like(numbers)
    fitted[order] = isotonic_regression(numbers[order], increasing=False).x
    return [float(share) for share in fitted / fitted.sum()]


def power(
    shares: Sequence[float],
    *,
    keystrokes: Sequence[int] = (10, 20, 50, 100, 200, 500, 1000, 2000),
    posterior: float = 0.95,
    simulations: int = 200,
    prior: Prior = "row",
    seed: int = 0,
) -> list[Power]:
    """Simulate how many keystrokes make the true assignment all but certain: a power curve.

    With fewer than four keys several assignments have one order of keys by length and cannot be told apart; then the
    posterior is that of the order.

    Args:
        shares: how likely each key is struck, keys from left to right; the true assignment is the one that ``prior``
            allows and whose fingers' lengths fit them: for two to four keys of one hand.
        keystrokes: the lengths to try.
        posterior: what the true assignment's must reach.
        simulations: texts per length.
        prior: as for ``infer``.
        seed: of the simulated texts.

    Returns:
        One point per length.

    Raises:
        EssayError: shares that are no probabilities, that fit no single assignment, or numbers out of range.

    Example:
        >>> [point.right > 0.9 for point in power([.24, .37, .32, .07], keystrokes=[2, 2000], simulations=20)]
        [False, True]
    """
    p = np.asarray(shares, dtype=float)
    if p.ndim != 1 or not 2 <= len(p) <= 4 or not np.isfinite(p).all() or p.min() < 0 or p.sum() <= 0:
        raise EssayError(f"shares must be two to four numbers of 0 or more, not {quoted(list(shares))}")
    if not 0.5 <= posterior < 1:
        raise EssayError(f"posterior must be at least 0.5 and below 1, not {posterior}")
    if not 1 <= simulations <= 10_000 or not all(1 <= n <= 100_000 for n in keystrokes):
        raise EssayError("simulations go from 1 to 10000 and keystrokes from 1 to 100000")
    ways = Counter(_by_length(way) for way in _assignments(len(p), prior))
    orders = sorted(ways)
    fitting = [order for order in orders if all(p[a] >= p[b] for a, b in pairwise(order))]
    if len(fitting) != 1:
        which = "no assignment fits" if not fitting else "several assignments fit"
        raise EssayError(f"{which} shares {quoted([round(float(s), 3) for s in p])} under prior {prior!r}; give others")
    random = np.random.default_rng(seed)
    points = []
    for n in keystrokes:
        right = wrong = 0
        for row in random.multinomial(n, p / p.sum(), size=simulations):
            logs = np.array([_log_order(tuple(int(row[i]) for i in order)) for order in orders])
            odds = np.exp(logs - logs.max()) * [ways[order] for order in orders]
            odds /= odds.sum()
            if odds.max() >= posterior:
                hit = orders[int(odds.argmax())] == fitting[0]
                right += hit
                wrong += not hit
        points.append(Power(n, right / simulations, wrong / simulations, posterior))
    return points


def _struck(text: str) -> str:
    return "".join(text.lower().split())


def _keys(keys: str) -> str:
    keys = _struck(keys)
    if len(set(keys)) != len(keys):
        raise EssayError(f"keys {quoted(keys)} name a key twice; name each once")
    if not 2 <= len(keys) <= 4:
        raise EssayError(
            f"a hand has two to four keys here, and {quoted(keys)} are {len(keys)}; see --left and --right"
        )
    return keys


def _no_others(struck: str, keys: str) -> None:
    if others := sorted(set(struck) - set(keys)):
        raise EssayError(
            f"the text has {others[0]!r}, which is none of the keys {quoted(keys)}; name it or take it out"
        )


def _counts(text: str, keys: str | None) -> dict[str, int]:
    struck = _struck(text)
    if not struck:
        raise EssayError("the text is empty; type some keystrokes")
    if len(struck) > _MOST:
        raise EssayError(f"the text has {len(struck)} keystrokes; at most {_MOST} are taken")
    if keys is None:
        distinct = set(struck)
        if len(distinct) == 1:
            raise EssayError(f"one distinct key, {struck[0]!r}, says nothing of fingers; type with two to four keys")
        where = {key: (column, row) for row, line in enumerate(_ROWS) for column, key in enumerate(line)}
        if strange := sorted(distinct - where.keys()):
            raise EssayError(f"where is {strange[0]!r} on the keyboard? name the keys from left to right with --keys")
        keys = "".join(sorted(distinct, key=where.__getitem__))
    keys = _keys(keys)
    _no_others(struck, keys)
    counts = Counter(struck)
    return {key: counts[key] for key in keys}


@cache
def _assignments(keys: int, prior: Prior) -> tuple[tuple[str, ...], ...]:
    """List the fingers of the keys from left to right, for every assignment that the prior allows."""
    if prior not in ("row", "any"):
        raise EssayError(f"prior must be row or any, not {quoted(prior)}")
    if prior == "any":
        return tuple(permutations(_ROW, keys))
    straight = list(combinations(_ROW, keys))
    return (*straight, *(way[::-1] for way in straight))


def _by_length(fingers: tuple[str, ...]) -> tuple[int, ...]:
    """Return the keys' places, from that of the longest finger to that of the shortest."""
    return tuple(sorted(range(len(fingers)), key=lambda i: FINGERS.index(fingers[i])))


def _log_order(counts: tuple[int, ...]) -> float:
    """Return log P(G_1 >= G_2 >= ...) for independent G_i ~ Gamma(n_i + 1), by the trapezoid rule in logarithms.

    From the last to the first, inner(x) = log P(x >= G_i >= G_i+1 >= ...) becomes the integral of the next density
    times itself. In logarithms, since counts of hundreds make some orders as unlikely as e^-300.
    """
    shapes = [n + 1 for n in counts]
    spread = [10 * math.sqrt(a) + 10 for a in shapes]
    edges = [(max(a - s, 1e-9 * a), a + s + 10) for a, s in zip(shapes, spread, strict=True)]
    low, high = min(e[0] for e in edges), max(e[1] for e in edges)
    # a common grid for all, and a fine one where each density has its mass
    x = np.unique(np.concatenate([np.linspace(low, high, 1200), *(np.linspace(*e, 400) for e in edges)]))
    log_x, log_width = np.log(x), np.log(np.diff(x))
    inner = np.zeros_like(x)
    for shape in reversed(shapes):
        density = (shape - 1) * log_x - x - math.lgamma(shape) + inner
        areas = np.logaddexp(density[1:], density[:-1]) - math.log(2) + log_width
        inner = np.concatenate([[-np.inf], np.logaddexp.accumulate(areas)])
    return float(inner[-1])
