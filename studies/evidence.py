"""Paired differences of a number, a speed, a trend: what the rules of the claims read of a summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from plexus.experiments import Job, Study, speed
from plexus.experiments.statistics import Difference, mean_of, paired

Summary = Mapping[str, Any]
"""Returned by `plexus.experiments.summary`."""
SPEED = "% of the epochs"
BEST = "best_val_accuracy"
"""Highest validation accuracy over the epochs: what the notes report, who chose by what they reported."""


def again(
    study: Study, names: Sequence[str], trial: Callable[[Job], dict[str, Any]],
    *, name: str, question: str, seeds: int, quick: int = 1,
) -> Study:  # fmt: skip
    """Return a study of some variants of another one on seeds from 100 on, which that one never read.

    Args:
        study: the other one.
        names: of the variants, the baseline first.
        trial: in the module that says what is asked.
        name, question: of the new study.
        seeds: at `standard` and `full`.
        quick: seeds at `quick`.
    """
    scales = {at: replace(s, seeds=quick if at == "quick" else seeds, first=100) for at, s in study.scales.items()}
    return replace(
        study, name=name, question=question, baseline=names[0], variants=tuple(map(study.variant, names)),
        scales=scales, trial=trial,
    )  # fmt: skip


def entry(study: Summary, name: str) -> Mapping[str, Any]:
    """Return the entry of a variant in the summary, or an empty one."""
    empty: dict[str, Any] = {"points": {}, "epochs_to": {}, "area": {"points": {}}, "curves": {}, "metrics": {}}
    return next((v for v in study["variants"] if v["name"] == name), empty | {"others": {}})


def metric(study: Summary, name: str, path: str = "") -> dict[str, float]:
    """Return a number of a variant's records by its path, seed -> value; the study's measure for none."""
    of = entry(study, name)
    return dict(of["metrics"].get(path, {}) if path else of["points"])


def gain(study: Summary, name: str, base: str, path: str = "") -> Difference | None:
    """Compare a number, paired by seed, `name` minus `base`."""
    return paired(metric(study, base, path), metric(study, name, path))


def slower(study: Summary, name: str, base: str) -> Difference | None:
    """Compare the epochs to the fixed loss, in percent of the base's; negative is faster."""
    return speed(entry(study, base), entry(study, name))


def area(study: Summary, name: str, base: str) -> Difference | None:
    """Compare the area under the validation curve, in points."""
    return paired(entry(study, base)["area"]["points"], entry(study, name)["area"]["points"])


def change(values: Sequence[Mapping[str, float]]) -> Difference | None:
    """Return the least-squares change of a number from the first to the last of equal steps, seed by seed.

    Args:
        values: seed -> value, for every step; seeds that some step lacks are left out.

    Example:
        >>> change([{"0": 3.0, "1": 5.0}, {"0": 2.0, "1": 4.5}, {"0": 1.0, "1": 4.0}]).mean
        -1.5
    """
    steps = [i - (len(values) - 1) / 2 for i in range(len(values))]
    shared = [s for s in values[0] if all(s in v for v in values)]
    scale = (len(values) - 1) / sum(step * step for step in steps)
    changes = [scale * sum(step * v[s] for step, v in zip(steps, values, strict=True)) for s in shared]
    return mean_of(changes) if changes else None


def mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average several numbers, seed by seed; seeds that one of them lacks are left out."""
    shared = [s for s in values[0] if all(s in v for v in values)] if values else []
    return {s: sum(v[s] for v in values) / len(values) for s in shared}
