"""Evidence becomes a verdict: each part of a claim by one test, the claim by all of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from plexus.experiments._statistics import ALPHA, Difference, holm

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
        counted: whether the claim's verdict rests on it; the notes' own procedure and further
            figures are shown beside it.
        bootstrap: the 95 % interval by bootstrap, where there is one.
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

    @property
    def word(self) -> Word:
        """The verdict on this part alone."""
        if self.p_holds is not None and self.p_holds < ALPHA:
            return "holds"
        return "fails" if self.p_fails is not None and self.p_fails < ALPHA else "open"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: the verdict, and the figures of the part that decided it."""

    word: Word
    effect: float | None
    low: float | None
    high: float | None
    unit: str
    why: str
    parts: tuple[Part, ...] = ()


def higher(text: str, found: Difference | None, margin: float, unit: str = "points", *, counted: bool = True) -> Part:
    """Above zero: p < .05, two-sided; refuted where any gain is smaller than the margin, by a one-sided test."""
    if found is None or found.n < SEEDS or found.p is None:
        return _nothing(text, found, unit, counted)
    fails = found.p_below(margin)
    small = fails is not None and fails < ALPHA
    holds = found.p if found.mean > 0 and not small else 1.0
    return _part(text, found, unit, holds, fails, counted)


def lower(text: str, found: Difference | None, margin: float, unit: str = "points", *, counted: bool = True) -> Part:
    """Below zero: `higher`, seen from the other side."""
    if found is None or found.n < SEEDS or found.p is None:
        return _nothing(text, found, unit, counted)
    fails = found.p_above(-margin)
    small = fails is not None and fails < ALPHA
    holds = found.p if found.mean < 0 and not small else 1.0
    return _part(text, found, unit, holds, fails, counted)


def same(text: str, found: Difference | None, margin: float, unit: str = "points", *, counted: bool = True) -> Part:
    """Within +-margin by two one-sided tests; refuted by p < .05, two-sided, where that does not show."""
    if found is None or found.n < SEEDS or found.p is None:
        return _nothing(text, found, unit, counted)
    holds = found.p_equivalent(margin)
    fails = 1.0 if holds is not None and holds < ALPHA else found.p
    return _part(text, found, unit, holds, fails, counted)


def not_lower(text: str, found: Difference | None, margin: float, *, counted: bool = True) -> Part:
    """Above -margin by a one-sided test; refuted where it is below zero with p < .05, two-sided."""
    if found is None or found.n < SEEDS or found.p is None:
        return _nothing(text, found, "points", counted)
    holds = found.p_above(-margin)
    shown = holds is not None and holds < ALPHA
    return _part(text, found, "points", holds, found.p if found.mean < 0 and not shown else 1.0, counted)


def not_higher(text: str, found: Difference | None, margin: float, *, counted: bool = True) -> Part:
    """Below +margin by a one-sided test; refuted where it is above zero with p < .05, two-sided."""
    if found is None or found.n < SEEDS or found.p is None:
        return _nothing(text, found, "points", counted)
    holds = found.p_below(margin)
    shown = holds is not None and holds < ALPHA
    return _part(text, found, "points", holds, found.p if found.mean > 0 and not shown else 1.0, counted)


def above(text: str, found: Difference | None, bound: float, unit: str, *, counted: bool = True) -> Part:
    """At or above a bound that was named beforehand: one-sided tests on either side of it."""
    if found is None or found.n < SEEDS or found.p is None:
        return _nothing(text, found, unit, counted)
    return _part(text, found, unit, found.p_above(bound), found.p_below(bound), counted)


def decide(parts: Sequence[Part]) -> Verdict:
    """Holds where every counted part holds, fails where one fails, its p corrected after Holm over the parts.

    That all hold needs no correction: each must pass its own test. The figures are those of the part that decides: the
    most refuted, else the least supported.
    """
    tested = [i for i, part in enumerate(parts) if part.counted and part.p_fails is not None]
    shown = list(parts)
    for i, p in zip(tested, holm([parts[i].p_fails or 0.0 for i in tested]), strict=True):
        shown[i] = replace(parts[i], p_fails=p)
    counted = [part for part in shown if part.counted]
    refuted = [part for part in counted if part.word == "fails"]
    if refuted:
        return _verdict("fails", min(refuted, key=lambda part: part.p_fails or 0.0), shown)
    weakest = max(counted, key=lambda part: 2.0 if part.p_holds is None else part.p_holds)
    return _verdict("holds" if weakest.word == "holds" else "open", weakest, shown)


def unknown(why: str) -> Verdict:
    """Open, for want of records."""
    return Verdict("open", None, None, None, "", why)


def _verdict(word: Word, part: Part, parts: Sequence[Part]) -> Verdict:
    said = {"holds": "every part holds; the narrowest", "fails": "refuted", "open": "not settled"}[word]
    if len([p for p in parts if p.counted]) == 1:
        said = {"holds": "shown", "fails": "refuted", "open": "not settled"}[word]
    why = f"{said}: {part.text}" + (f" ({part.note})" if part.note else "")
    return Verdict(word, part.effect, part.low, part.high, part.unit, why, tuple(parts))


def _part(text: str, found: Difference, unit: str, p_holds: float | None, p_fails: float | None, counted: bool) -> Part:
    return Part(
        text, found.mean, found.low, found.high, unit, p_holds, p_fails, found.n, "", counted, found.bootstrap
    )  # fmt: skip


def _nothing(text: str, found: Difference | None, unit: str, counted: bool) -> Part:
    seeds = found.n if found else 0
    effect = found.mean if found else None
    note = f"{seeds} seed{'' if seeds == 1 else 's'} of {SEEDS} needed" if found else "not run yet"
    return Part(text, effect, None, None, unit, None, None, seeds, note, counted)
