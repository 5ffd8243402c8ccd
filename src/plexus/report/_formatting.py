"""Numbers, times and settings in words: pure functions that know no record."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

THIN = "\u202f"  # narrow no-break space, between a number and its unit
MINUS = "\u2212"
NONE = "\u2013"  # stands where nothing was measured
Interval = Sequence[float | None] | None
PLAIN = str.maketrans({THIN: " ", MINUS: "-", "\u2013": "-", "\u00d7": "x", "\u201c": "'", "\u201d": "'"})
"""Letters that a terminal may not have, and what stands for them."""


def percent(fraction: float | None) -> str:
    """Return a fraction as a percentage with one decimal: .983 -> 98.3 %."""
    return NONE if fraction is None else f"{100 * fraction:.1f}{THIN}%"


def points(difference: float) -> str:
    """Return a difference of fractions in percentage points, with its sign: -.0046 -> "-0.5 points"."""
    return f"{signed(100 * difference, 1)} points"


def signed(value: float, digits: int) -> str:
    """Return a number with a true minus sign or a plus, and neither for what rounds to zero."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else (MINUS if value < 0 else "+") + text


def decimal(value: float | None, digits: int = 3) -> str:
    """Return a number with fixed decimals and a true minus sign."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def rounded(value: float, digits: int) -> str:
    """Return a number with fixed decimals, and no sign on what rounds to zero."""
    return decimal(round(value, digits) + 0.0, digits)


def span(pair: Interval, digits: int = 2) -> str:
    """Return an interval in words; nothing where an end is missing."""
    if not pair or pair[0] is None or pair[1] is None:
        return ""
    return f"{rounded(pair[0], digits)} to {rounded(pair[1], digits)}"


def count(value: float | None) -> str:
    """Return a whole number with its thousands apart: 19226 -> 19,226."""
    return NONE if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """Return three significant digits and a suffix: 1151000 -> 1.15 M."""
    if value is None:
        return NONE
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            digits = max(0, 2 - int(math.log10(max(1.0, abs(value) / size * 1.0005))))
            return f"{value / size:.{digits}f}{THIN}{suffix}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """Return time in the two units that matter: 47.9 -> 48 s, 125 -> 2 min 5 s."""
    if seconds is None:
        return NONE
    if seconds < 9.95:
        return f"{seconds:.1f}{THIN}s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours}{THIN}h {minutes}{THIN}min"
    return f"{minutes}{THIN}min {rest}{THIN}s" if minutes else f"{rest}{THIN}s"


def day(created: str) -> str:
    """Return an ISO time as a date: 14 March 2026; other text as it is."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y}"


def times(sides: Sequence[float]) -> str:
    """Return sizes with a sign between them: 1 x 28 x 28."""
    return " \u00d7 ".join(f"{side:g}" for side in sides)


def coded(text: str) -> Markup:
    """Return text whose parts in backquotes are commands, as HTML; all of it is escaped, and no option is broken."""
    return Markup(re.sub(r"`([^`]+)`", lambda match: f"<code>{_unbroken(match[1])}</code>", str(escape(text))))


def command(text: str) -> Markup:
    """Return a command as HTML; all of it is escaped, and no option is broken at its hyphens."""
    return Markup(_unbroken(str(escape(text))))


def _unbroken(text: str) -> str:
    return re.sub(r"--[a-z0-9-]+", r"<span>\g<0></span>", text)


def setting(value: Any) -> str:
    """Return the value of an option in words."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(setting, value)) if isinstance(value, list | tuple) else str(value)


def facts(groups: Mapping[str, Mapping[str, Any]], *, whole: str = "Configuration") -> list[dict[str, Any]]:
    """Return groups of name and value as pages list them; what is empty is left out, but for options not set.

    Args:
        groups: title -> name -> value.
        whole: the group in which nothing is left out.
    """
    shown = []
    for title, group in groups.items():
        rows = [(name, setting(value)) for name, value in group.items() if title == whole or value not in (None, "")]
        if rows:
            shown.append({"title": title, "rows": rows})
    return shown
