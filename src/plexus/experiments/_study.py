"""Studies: variants of one question, each trained from several seeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plexus.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=,-]*", re.ASCII)  # names of folders and files, on every system


@dataclass(frozen=True)
class Scale:
    """The cost of a study: what it spends on a trial, and how many seeds it takes.

    Args:
        images: training images, drawn by the seed; None takes all.
        epochs: the same for every variant.
        seeds: how many.
        first: the first of them; the others follow it. Seeds that were never read begin behind those that were.
        options: whatever else the trial function reads from the scale; plain JSON values.

    Example:
        >>> Scale(images=200, epochs=4, seeds=5, first=10).each()
        range(10, 15)
    """

    images: int | None
    epochs: int
    seeds: int
    options: Mapping[str, Any] = field(default_factory=dict)
    first: int = 0

    def each(self, count: int | None = None) -> range:
        """Return the seeds, or as many from the first on as are asked for."""
        return range(self.first, self.first + (self.seeds if count is None else count))


@dataclass(frozen=True)
class Variant:
    """One thing to compare.

    Args:
        name: letters, digits and `._+=,-`; it names files.
        options: what sets it apart, as plain JSON values; records made with other options are stale.

    Example:
        >>> Variant("half", {"p": 0.5}).options["p"]
        0.5
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """The input of a trial function: one variant and one seed.

    Args:
        study, variant, seed: which trial this is.
        scale, scale_name: how much to spend on it.
        data: a spec for `plexus.data.load`.
        folder: empty at first, for this trial alone, and there again when a stopped trial is run again; removed when
            the trial has ended.

    Example:
        >>> job = Job("dropout", Variant("half", {"p": 0.5}), 3, Scale(None, 4, 5), "quick", "digits", Path("work"))
        >>> job.variant.name, job.seed, job.scale.epochs
        ('half', 3, 4)
    """

    study: str
    variant: Variant
    seed: int
    scale: Scale
    scale_name: str
    data: str
    folder: Path


Trial = Callable[[Job], dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """A question, and the variants whose comparison answers it.

    Args:
        name: letters, digits and `._+=,-`; it names a folder.
        question: one sentence.
        baseline: the name of the variant that the others are compared with.
        variants: in the order to show them.
        scales: name -> Scale: `quick` proves the code in a minute, `standard` gives the answer on two cores within
            an hour or so, `full` is for a GPU.
        data: what trials are trained on unless another is asked for.
        trial: a module-level function that trains one variant from one seed and returns its metrics as JSON values,
            `measure` among them. All that is random in it must come from `job.seed`, and the same seed must give every
            variant the same split and the same order of images: then differences between variants are paired. An
            entry "data" ({"fingerprint": ..., "images": ...}), where there is one, goes to the record's own "data".
        margin: differences of the measure that are smaller than this, in points, count as none.
        measure: the metric that is compared, in percent.
        terms: name of a variant, or another word of the rules -> what it is in words, for sentences on claims.

    Raises:
        ConfigError: a name that cannot name a file, a repeated variant, no such baseline, no scale.

    Example:
        >>> def trial(job):
        ...     return {"test_accuracy": 90.0 + job.variant.options["gain"] + 0.1 * job.seed}
        >>> study = Study(
        ...     name="gain",
        ...     question="Does the gain matter?",
        ...     baseline="none",
        ...     variants=(Variant("none", {"gain": 0.0}), Variant("some", {"gain": 1.0})),
        ...     scales={"quick": Scale(images=None, epochs=1, seeds=3)},
        ...     data="digits",
        ...     trial=trial,
        ... )
        >>> study.variant("some").options
        {'gain': 1.0}
    """

    name: str
    question: str
    baseline: str
    variants: tuple[Variant, ...]
    scales: Mapping[str, Scale]
    data: str
    trial: Trial
    margin: float = 0.5
    measure: str = "test_accuracy"
    terms: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [v.name for v in self.variants]
        for name in (self.name, *self.scales, *names):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ConfigError(f"study {self.name!r}: {name!r} cannot name a file: use letters, digits and ._+=,-")
        if repeated := next((n for n in names if names.count(n) > 1), None):
            raise ConfigError(f"study {self.name!r} has two variants named {repeated!r}")
        if self.baseline not in names:
            raise ConfigError(f"study {self.name!r}: the baseline {self.baseline!r} is not among its variants")
        if not self.scales:
            raise ConfigError(f"study {self.name!r} has no scale: give it at least 'quick'")

    def variant(self, name: str) -> Variant:
        """Return the variant of that name."""
        return next(v for v in self.variants if v.name == name)
