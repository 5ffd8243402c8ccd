"""Kleiber's law: how metabolic rate, heart rate, lifespan and heartbeats per lifetime go with body mass."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from os import PathLike
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from plexus.essays import EssayError, quoted

QUANTITIES = ("metabolic_rate_w", "heart_rate_bpm", "lifespan_yr")
LIFETIME = "heartbeats_per_lifetime"
_MINUTES = 365.25 * 24 * 60


@dataclass(frozen=True)
class Animal:
    """One row of the table.

    Args:
        species: its name.
        group: its class, such as "mammal".
        mass_kg: body mass.
        metabolic_rate_w, heart_rate_bpm, lifespan_yr: at rest; the longest; None where not known.
        source: of the values.
    """

    species: str
    group: str
    mass_kg: float
    metabolic_rate_w: float | None
    heart_rate_bpm: float | None
    lifespan_yr: float | None
    source: str

    @property
    def heartbeats_per_lifetime(self) -> float | None:
        """Multiply the heart rate at rest by the longest life."""
        if self.heart_rate_bpm is None or self.lifespan_yr is None:
            return None
        return self.heart_rate_bpm * self.lifespan_yr * _MINUTES


@dataclass(frozen=True)
class Fit:
    """An allometric law, quantity = factor * mass^exponent.

    Args:
        quantity: what was fitted.
        group: "all", or a class.
        n: animals.
        exponent: the slope.
        low, high: its 95 % interval.
        factor: the quantity at 1 kg.
        r2: fraction of the logarithms' variance that the line explains.
    """

    quantity: str
    group: str
    n: int
    exponent: float
    low: float
    high: float
    factor: float
    r2: float


@dataclass(frozen=True)
class Verdict:
    """One sentence of the notes, and the data's answer to it.

    Args:
        sentence: the notes'.
        holds: False where the interval leaves out the exponent that the sentence says; True where it has it and is
            within a quarter of it, the exponent of a heart rate that no lifespan makes up for; else None.
        why: the figures.
    """

    sentence: str
    holds: bool | None
    why: str


def animals(path: str | PathLike[str] | None = None) -> list[Animal]:
    """Read the table.

    Args:
        path: a CSV file with columns species, class, mass_kg, source, and any of metabolic_rate_w, heart_rate_bpm,
            lifespan_yr; lines that begin with # and empty fields are left out [default: the table of plexus, 21
            mammals and birds].

    Returns:
        One per row.

    Raises:
        EssayError: a file or a value that cannot be used.

    Example:
        >>> [a.species for a in animals() if a.mass_kg > 400]
        ['horse', 'Asian elephant']
    """
    if path is None:
        return _read(files("plexus.essays").joinpath("data/animals.csv").read_text(encoding="utf-8"), "animals.csv")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise EssayError(f"{path}: not a text file; expected CSV in UTF-8") from None
    except (OSError, ValueError) as error:
        raise EssayError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return _read(text, str(path))


def fit(table: Iterable[Animal], quantity: str, group: str = "all") -> Fit:
    r"""Fit an allometric exponent by least squares in logarithms.

    .. math:: \log y = \log a + b \log m + \varepsilon, \quad b \pm t_{n-2}(0.975)\, s_b

    The fit is blind to phylogeny: it takes related species for independent ones, so its interval is too narrow.

    Args:
        table: the animals.
        quantity: one of ``QUANTITIES``, or ``LIFETIME``.
        group: "all", or only one class.

    Returns:
        The fit.

    Raises:
        EssayError: an unknown quantity, fewer than three animals with a value, or all of one mass.

    Source:
        Kleiber 1932, Body size and metabolism; Felsenstein 1985, Phylogenies and the comparative method.

    Example:
        >>> law = fit(animals(), "metabolic_rate_w")
        >>> law.low < 0.75 < law.high
        True
    """
    if quantity not in (*QUANTITIES, LIFETIME):
        raise EssayError(f"{quoted(quantity)} is not a quantity; choose from {', '.join((*QUANTITIES, LIFETIME))}")
    chosen = [a for a in table if group in ("all", a.group) and getattr(a, quantity) is not None]
    if len(chosen) < 3:
        raise EssayError(f"{quantity} of {group}: {len(chosen)} animals have a value, and a fit needs 3; add rows")
    x = np.log([a.mass_kg for a in chosen])
    y = np.log([getattr(a, quantity) for a in chosen])
    if np.ptp(x) < 1e-9:
        raise EssayError(f"{quantity} of {group}: all animals have one mass; add others")
    # not scipy's linregress: from the correlation, it gives laws without scatter a standard error of NaN or 0
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx))
    rest = dy - slope * dx
    squares, total = float(rest @ rest), float(dy @ dy)
    half = float(student.ppf(0.975, len(x) - 2)) * math.sqrt(squares / (len(x) - 2) / float(dx @ dx))
    factor, r2 = math.exp(float(y.mean()) - slope * float(x.mean())), 1 - squares / total if total > 0 else 1.0
    return Fit(quantity, group, len(x), slope, slope - half, slope + half, factor, r2)


def fits(table: Sequence[Animal]) -> list[Fit]:
    """Fit whatever the table has rows for: all animals, then each class.

    Args:
        table: the animals.

    Raises:
        EssayError: not a single quantity can be fitted.

    Example:
        >>> [(f.group, f.n) for f in fits(animals()) if f.quantity == "lifespan_yr"]
        [('all', 20), ('bird', 6), ('mammal', 14)]
    """
    laws, reasons = [], []
    for quantity in (*QUANTITIES, LIFETIME):
        for group in ("all", *sorted({a.group for a in table} - {"all"})):
            try:
                laws.append(fit(table, quantity, group))
            except EssayError as error:
                reasons.append(str(error))
    if not laws:
        raise EssayError(reasons[0])
    return laws


def verdicts(table: Sequence[Animal], group: str = "all") -> list[Verdict]:
    """Judge the notes' two sentences by the data.

    "heartbeat proportional to mass" says an exponent of 1, for the heart rate or for the number of beats; "heartbeats
    per lifetime tend to be constant" says 0 for their number.

    Args:
        table: the animals.
        group: "all", or only one class. All together mix classes that may differ in level, which bends the line.

    Raises:
        EssayError: fewer than three rows with heart rate and lifespan.

    Example:
        >>> [v.holds for v in verdicts(animals(), "mammal")]
        [False, True]
        >>> [v.holds for v in verdicts(animals(), "bird")]  # six species are too few to say
        [False, None]
    """
    rate, beats = fit(table, "heart_rate_bpm", group), fit(table, LIFETIME, group)
    chosen = [a for a in table if group in ("all", a.group)]
    pairs = [(a.mass_kg, a.heartbeats_per_lifetime) for a in chosen if a.heartbeats_per_lifetime is not None]
    masses, numbers = zip(*pairs, strict=True)
    spread, span = max(numbers) / min(numbers), max(masses) / min(masses)
    heart = f"heart rate goes with mass^{rate.exponent:.2f} ({rate.low:.2f} to {rate.high:.2f})"
    number = f"heartbeats per lifetime go with mass^{beats.exponent:.2f} ({beats.low:.2f} to {beats.high:.2f})"
    return [
        Verdict(
            "heartbeat proportional to mass",
            _holds((rate, beats), 1),
            f"{heart}, {number}; the sentence needs 1",
        ),
        Verdict(
            "the number of heartbeats per lifetime tends to be constant",
            _holds((beats,), 0),
            f"{number}; they differ {spread:.1f}-fold while mass differs {span:,.0f}-fold",
        ),
    ]


def _holds(laws: Sequence[Fit], exponent: float) -> bool | None:
    fitting = [f for f in laws if f.low <= exponent <= f.high]
    if not fitting:
        return False
    return True if any(exponent - 0.25 < f.low and f.high < exponent + 0.25 for f in fitting) else None


def _read(text: str, name: str) -> list[Animal]:
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    try:
        rows = list(csv.reader([line for _, line in lines], strict=True))
    except csv.Error as error:
        raise EssayError(f"{name}: not a CSV file: {error}") from None
    if not rows:
        raise EssayError(f"{name}: empty; expected a header line and one line per animal")
    header = [column.strip() for column in rows[0]]
    if missing := [c for c in ("species", "class", "mass_kg", "source") if c not in header]:
        raise EssayError(f"{name}: has no column {missing[0]!r}; expected species, class, mass_kg, source and values")
    if not set(QUANTITIES) & set(header):
        raise EssayError(f"{name}: has no values; expected any of the columns {', '.join(QUANTITIES)}")
    table = []
    for (i, _), cells in zip(lines[1:], rows[1:], strict=False):
        where = f"{name}, line {i}"
        if len(cells) != len(header):
            raise EssayError(f"{where}: {len(cells)} fields, and the header has {len(header)}; correct it")
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        for column in ("species", "class", "source"):
            if not row[column]:
                raise EssayError(f"{where}: {column} is empty; fill it in")
        mass, *values = (_number(row.get(column, ""), f"{where}: {column}") for column in ("mass_kg", *QUANTITIES))
        if mass is None:
            raise EssayError(f"{where}: mass_kg is empty; fill it in or take the line out")
        metabolic, heart, life = values
        table.append(Animal(row["species"], row["class"], mass, metabolic, heart, life, row["source"]))
    if not table:
        raise EssayError(f"{name}: has a header and no animals; add one line each")
    return table


def _number(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise EssayError(f"{where}: {quoted(text)} is not a number") from None
    if not 1e-12 <= value <= 1e12:
        raise EssayError(f"{where}: {quoted(text)} must be above 0 and finite, from 1e-12 to 1e12")
    return value
