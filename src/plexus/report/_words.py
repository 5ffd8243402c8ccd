"""Numbers and results in words: the sentences of the page, each a pure function of the record."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from plexus.record import FitRecord

THIN = "\u202f"  # narrow no-break space, between a number and its unit
MINUS = "\u2212"
NONE = "\u2013"  # stands where nothing was measured


def number(value: Any) -> float | None:
    """The value as a finite float, or None for anything else.

    Example:
        >>> number(3), number(None), number(float("nan")), number(True)
        (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def percent(share: Any) -> str:
    """A share as a percentage with one decimal: .983 -> 98.3 %."""
    value = number(share)
    return NONE if value is None else f"{100 * value:.1f}{THIN}%"


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign: -.0046 -> "-0.5 points"."""
    return f"{signed(100 * difference, 1)} points"


def signed(value: float, digits: int) -> str:
    """With a true minus sign, and none for what rounds to zero."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return (MINUS if value < 0 else "+") + text


def decimal(value: Any, digits: int = 3) -> str:
    """A number with fixed decimals and a true minus sign."""
    known = number(value)
    return NONE if known is None else f"{known:.{digits}f}".replace("-", MINUS)


def count(value: Any) -> str:
    """A whole number with its thousands apart: 19226 -> 19,226."""
    known = number(value)
    return NONE if known is None else f"{known:,.0f}"


def short(value: Any) -> str:
    """Three significant digits and a suffix: 1151000 -> 1.15 M."""
    known = number(value)
    if known is None:
        return NONE
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(known) >= 0.9995 * size:
            digits = max(0, 2 - int(math.log10(max(1.0, abs(known) / size * 1.0005))))
            return f"{known / size:.{digits}f}{THIN}{suffix}"
    return f"{known:.0f}"


def duration(seconds: Any) -> str:
    """Time in the two units that matter: 47.9 -> 48 s, 125 -> 2 min 5 s."""
    known = number(seconds)
    if known is None:
        return NONE
    if known < 9.95:
        return f"{known:.1f}{THIN}s"
    whole = round(known)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours}{THIN}h {minutes}{THIN}min"
    return f"{minutes}{THIN}min {rest}{THIN}s" if minutes else f"{rest}{THIN}s"


def day(created: str) -> str:
    """An ISO time as a date: 14 March 2026; other text is left as it is."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y}"


def plural(amount: float, thing: str) -> str:
    """A count with its noun: 1 connection, 16 connections."""
    return f"{count(amount)} {thing}{'' if amount == 1 else 's'}"


def result(record: FitRecord, name: str) -> FitRecord.Result | None:
    """The entry of `results` with this name, if its accuracy was measured."""
    return next((r for r in record.results if r.name == name and r.accuracy is not None), None)


def headline(record: FitRecord) -> str:
    """The result in one sentence."""
    kept = kept_count(record)
    start = f"Kept {count(kept)} of {plural(len(record.edges), 'connection')}" if kept is not None else ""
    best = result(record, "final") or result(record, "pruned")
    if not record.finished:
        done = len(record.epochs)
        return f"This run has not finished: {plural(done, 'epoch')} recorded so far."
    if best is None:
        return f"{start}; the net was not tested." if start else "A run without a tested net."
    chain = result(record, "chain")
    against = f" against {percent(chain.accuracy)} for the chain" if chain else " of the test images right"
    size = f", {short(best.parameters)} parameters" if best.parameters is not None else ""
    return f"{start or 'Trained'}: {percent(best.accuracy)}{against}{size}."


def kept_count(record: FitRecord) -> int | None:
    """How many connections the chosen budget keeps, or None before pruning."""
    if record.chosen is not None:
        return len(record.budgets[record.chosen].kept)
    marked = [edge.kept for edge in record.edges if edge.kept is not None]
    return sum(marked) if marked else None


def verdict(record: FitRecord) -> str:
    """Whether final net and chain differ by more than their 95 % intervals can explain."""
    final, chain = result(record, "final"), result(record, "chain")
    if not final or not chain or final.ci is None or chain.ci is None:
        return ""
    (low, high), (chain_low, chain_high) = final.ci, chain.ci
    if low > chain_high or high < chain_low:
        return "The 95 % intervals of the two do not overlap."
    return "The 95 % intervals of the two overlap, so this run alone does not settle which is better."


def gap(record: FitRecord) -> str:
    """What cutting alone changed, with no training in between."""
    before, after = record.gap.before, record.gap.after
    if before is None or after is None:
        return ""
    split = {"val": "validation", "test": "test"}.get(record.gap.split, "validation")
    kept = kept_count(record)
    cut = f" {plural(len(record.edges) - kept, 'connection')}" if kept is not None else ""
    return (
        f"Cutting{cut}, with no training afterwards, took {split} accuracy from {percent(before)} to {percent(after)}: "
        f"{points(after - before)}."
    )
