"""How far a study is: a value computed from its trials, for whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """What a listener is given when the study starts, and whenever a trial starts or ends.

    Args:
        study, scale: whose progress.
        total: trials of the study.
        records: of the trials that are done, those of earlier runs included.
        running: `VARIANT~SEED` of the trials under way.
        failed: `VARIANT~SEED` -> reason.
        left: trials not yet begun.
        to_go: seconds until the end as far as can be told, or None.
        best: name, mean of the measure and number of seeds of the best variant so far, or None.
        measure: what `best` compares.
        ended: `VARIANT~SEED` of the trial that has just ended, or None.
        value: its measure, where it did not fail.
        seconds: what it took.

    Example:
        >>> Progress("dropout", "quick", 10, (), ("none~0",), {}, 9, None, None, "test_accuracy").left
        9
    """

    study: str
    scale: str
    total: int
    records: tuple[Mapping[str, Any], ...]
    running: tuple[str, ...]
    failed: Mapping[str, str]
    left: int
    to_go: float | None
    best: tuple[str, float, int] | None
    measure: str
    ended: str | None = None
    value: float | None = None
    seconds: float | None = None


def best(records: Sequence[Mapping[str, Any]], measure: str) -> tuple[str, float, int] | None:
    """The variant with the highest mean so far: its name, the mean, the number of its seeds.

    Args:
        records: of finished trials.
        measure: the metric to compare.

    Example:
        >>> runs = [("a", 80.0), ("b", 81.0), ("a", 84.0)]
        >>> best([{"variant": v, "metrics": {"test_accuracy": x}} for v, x in runs], "test_accuracy")
        ('a', 82.0, 2)
    """
    found: dict[str, list[float]] = {}
    for record in records:
        found.setdefault(record["variant"], []).append(record["metrics"][measure])
    if not found:
        return None
    means = {name: sum(values) / len(values) for name, values in found.items()}
    top = max(means, key=lambda name: means[name])
    return top, means[top], len(found[top])


def to_go(
    records: Sequence[Mapping[str, Any]], variants: Sequence[str], running: Mapping[str, float], slots: int
) -> float | None:
    """Seconds until the last trial ends, if each takes as long as its variant did so far, or else as all did.

    Args:
        records: of finished trials.
        variants: of every trial that has not ended, those under way included.
        running: trial -> seconds since it began.
        slots: how many trials run at once.

    Example:
        >>> done = [{"variant": "a", "seconds": 10.0}, {"variant": "b", "seconds": 20.0}]
        >>> to_go(done, ["a", "c"], {"a~1": 4.0}, slots=1)
        21.0
    """
    if not records:
        return None
    found: dict[str, list[float]] = {}
    for record in records:
        found.setdefault(record["variant"], []).append(record["seconds"])
    every = sum(r["seconds"] for r in records) / len(records)
    means = {name: sum(values) / len(values) for name, values in found.items()}
    work = sum(means.get(v, every) for v in variants) - sum(running.values())
    return max(0.0, work / slots)
