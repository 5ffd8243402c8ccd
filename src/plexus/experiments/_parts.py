"""Parts of claims: each says one thing, and is tested by one pair of p-values, for it and against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from plexus.errors import plural
from plexus.experiments.statistics import ALPHA, Difference

Word = Literal["holds", "fails", "open"]
SEEDS = 3
"""Fewer settle nothing."""


@dataclass(frozen=True)
class Part:
    """One thing that a claim says, and the evidence on it.

    Args:
        text: what would have to be true.
        effect, low, high: what was found, with its 95 % interval.
        unit: of the three.
        p_holds, p_fails: small where the data speak for it, or against it; None where they say nothing.
        n: seeds.
        note: why nothing can be said, or what else should be known.
        counted: whether the claim's verdict rests on it; further figures are shown beside it.
        bootstrap: the 95 % interval by bootstrap, where there is one.
        takes: what would settle it, where that is no number of seeds.
        at: the same part at another number of seeds, should effect and scatter stay as they are.

    Example:
        >>> Part("b is better", 1.2, 0.8, 1.6, p_holds=0.01).word, Part("b is better").word
        ('holds', 'open')
    """

    text: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = "points"
    p_holds: float | None = None
    p_fails: float | None = None
    n: int = 0
    note: str = ""
    counted: bool = True
    bootstrap: tuple[float, float] | None = None
    takes: str = ""
    at: Callable[[int], Part] | None = field(default=None, repr=False, compare=False)

    @property
    def word(self) -> Word:
        """The verdict on this part alone."""
        if _small(self.p_holds):
            return "holds"
        return "fails" if _small(self.p_fails) else "open"


def higher(
    text: str, difference: Difference | None, margin: float, unit: str = "points", *, counted: bool = True
) -> Part:
    """Test for above zero: p < .05, two-sided; refuted where any gain is below the margin, by a one-sided test.

    Args:
        text: what would have to be true.
        difference: what was found; None where nothing was run.
        margin: the smallest gain that counts.
        unit: of the difference.
        counted: see `Part`.

    Returns:
        The part; open where fewer than `SEEDS` seeds are there.

    Example:
        >>> from plexus.experiments.statistics import mean_of
        >>> [higher("b is better", mean_of(gains), 0.5).word for gains in ([1.2, 0.9, 1.1], [0.0, 0.1, -0.1])]
        ['holds', 'fails']
    """
    return _part(text, difference, unit, counted, lambda d: _higher(d, margin))


def lower(
    text: str, difference: Difference | None, margin: float, unit: str = "points", *, counted: bool = True
) -> Part:
    """Test for below zero: `higher`, seen from the other side.

    Args:
        text, difference, margin, unit, counted: as of `higher`.

    Returns:
        The part.

    Example:
        >>> from plexus.experiments.statistics import mean_of
        >>> lower("b needs fewer epochs", mean_of([-12.0, -9.0, -11.0]), 2.0, "% of the epochs").word
        'holds'
    """
    return _part(text, difference, unit, counted, lambda d: _higher(_mirrored(d), margin))


def same(
    text: str, difference: Difference | None, margin: float, unit: str = "points", *, counted: bool = True
) -> Part:
    """Test for within +-margin, by two one-sided tests; refuted by p < .05, two-sided, where that does not show.

    Args:
        text, difference, unit, counted: as of `higher`.
        margin: smaller differences count as none.

    Returns:
        The part.

    Example:
        >>> from plexus.experiments.statistics import mean_of
        >>> [same("b is as good", mean_of(gains), 0.5).word for gains in ([0.0, 0.1, -0.1], [1.2, 0.9, 1.1])]
        ['holds', 'fails']
    """

    def test(d: Difference) -> _Ps:
        holds = d.p_equivalent(margin)
        return holds, 1.0 if _small(holds) else d.p

    return _part(text, difference, unit, counted, test)


def not_lower(text: str, difference: Difference | None, margin: float, *, counted: bool = True) -> Part:
    """Test for above -margin, one-sided; refuted where it is below zero with p < .05, two-sided.

    Args:
        text, difference, margin, counted: as of `same`.

    Returns:
        The part.

    Example:
        >>> from plexus.experiments.statistics import mean_of
        >>> [not_lower("b is no worse", mean_of(gains), 0.5).word for gains in ([0.2, 0.3, -0.1], [-1.2, -0.9, -1.1])]
        ['holds', 'fails']
    """
    return _part(text, difference, "points", counted, lambda d: _not_lower(d, margin))


def not_higher(text: str, difference: Difference | None, margin: float, *, counted: bool = True) -> Part:
    """Test for below +margin, one-sided; refuted where it is above zero with p < .05, two-sided.

    Args:
        text, difference, margin, counted: as of `same`.

    Returns:
        The part.

    Example:
        >>> from plexus.experiments.statistics import mean_of
        >>> not_higher("b is no better", mean_of([-0.2, -0.3, 0.1]), 0.5).word
        'holds'
    """
    return _part(text, difference, "points", counted, lambda d: _not_lower(_mirrored(d), margin))


def above(text: str, mean: Difference | None, bound: float, unit: str, *, counted: bool = True) -> Part:
    """Test for above a bound that was named beforehand, by one-sided tests on either side of it.

    Args:
        text, unit, counted: as of `higher`.
        mean: see `plexus.experiments.statistics.mean_of`.
        bound: where it holds from.

    Returns:
        The part.

    Example:
        >>> from plexus.experiments.statistics import mean_of
        >>> above("three times fewer", mean_of([3.4, 3.5, 3.6]), 3.0, "times").word
        'holds'
    """
    return _part(text, mean, unit, counted, lambda d: (d.p_above(bound), d.p_below(bound)))


def below(text: str, mean: Difference | None, bound: float, unit: str, *, counted: bool = True) -> Part:
    """Test for below a bound that was named beforehand: `above`, seen from the other side.

    Args:
        text, mean, bound, unit, counted: as of `above`.

    Returns:
        The part.

    Example:
        >>> from plexus.experiments.statistics import mean_of
        >>> below("a third at most", mean_of([0.24, 0.25, 0.26]), 0.33, "of it").word
        'holds'
    """
    return _part(text, mean, unit, counted, lambda d: (d.p_below(bound), d.p_above(bound)))


_Ps = tuple[float | None, float | None]
"""P-values that are small where the data speak for a part, and against it."""


def _small(p: float | None) -> bool:
    return p is not None and p < ALPHA


def _mirrored(difference: Difference) -> Difference:
    return replace(difference, mean=-difference.mean)


def _higher(difference: Difference, margin: float) -> _Ps:
    fails = difference.p_below(margin)
    return difference.p if difference.mean > 0 and not _small(fails) else 1.0, fails


def _not_lower(difference: Difference, margin: float) -> _Ps:
    holds = difference.p_above(-margin)
    return holds, difference.p if difference.mean < 0 and not _small(holds) else 1.0


def _part(text: str, d: Difference | None, unit: str, counted: bool, test: Callable[[Difference], _Ps]) -> Part:
    """Make a part by its test; open where there are too few seeds for any."""
    if d is None:
        return Part(text, unit=unit, note="not run yet", counted=counted)
    if d.n < SEEDS or d.p is None:
        note = f"{plural(d.n, 'seed')} of {SEEDS} needed"
        return Part(text, d.mean, None, None, unit, n=d.n, note=note, counted=counted)
    holds, fails = test(d)

    def at(n: int) -> Part:
        return _part(text, d.at(n), unit, counted, test)

    return Part(text, d.mean, d.low, d.high, unit, holds, fails, d.n, "", counted, d.bootstrap, at=at)
