"""The records of studies: a trial, the summary of many, and the ledger of claims that they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from plexus.record._base import FORMAT, Count, Number, Part, Real, Record, plain


class TrialRecord(Record):
    """Record of one trial of a study: `RESULTS/STUDY/SCALE/VARIANT~SEED.json`.

    Its file is flat, says `started` for `created`, and has one number of seconds; `to_dict` gives that form.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        study, variant, scale: which trial.
        options: of the variant.
        settings: of the scale.
        metrics: what the trial measured; free in form, the study's measure among it.

    Example:
        >>> trial = TrialRecord.from_dict({"study": "a", "variant": "b", "options": {}, "metrics": {}, "seconds": 1.5})
        >>> trial.variant, trial.seconds["total"]
        ('b', 1.5)
    """

    verb: ClassVar[str] = "study run"
    remedy: ClassVar[str] = "delete it and run --resume"
    kind: Literal["trial"] = "trial"
    finished: bool = True
    data: dict[str, Any] = {}  # type: ignore[assignment]  # free in form, as the metrics
    study: str
    variant: str
    scale: str = ""
    options: dict[str, Any]
    settings: dict[str, Any] = {}
    metrics: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the form of the file."""
        names = ("study", "variant", "options", "seed", "scale", "settings", "data", "metrics", "versions", "machine")
        parts = {name: plain(getattr(self, name)) for name in names}
        return parts | {"started": self.created, "seconds": self.seconds.get("total")}

    @classmethod
    def _parse(cls, raw: Any) -> Self:
        return super()._parse({"format": FORMAT, **_flat(raw)} if isinstance(raw, dict) else raw)


class StudyRecord(Record):
    """Summary of a study's trials, of `plexus.experiments.summary`, with the trials themselves.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        study, question, scale: which study.
        baseline: the variant that others are held against.
        measure: the metric that decides.
        margin, speed_margin: differences that count as none, in points and in percent of the epochs.
        level: the training loss that speeds are taken at.
        settings: of the scale.
        trials, expected: how many there are, and how many there should be.
        apart: trials that ran on another kind of machine than the baseline of their seed.
        seeds: that any trial was made with.
        variants: one entry per variant.
        records: the trials.

    Example:
        >>> found = StudyRecord.from_dict({"study": "gates", "variants": [], "seeds": [0, 1]})
        >>> found.kind, found.seeds
        ('study', [0, 1])
    """

    class Difference(Part):
        """A mean over seeds with its intervals, and what it says."""

        mean: Real
        low: Number = None
        high: Number = None
        bootstrap: list[Real] | None = None
        p_holm: Number = None
        verdict: Literal["higher", "lower", "equivalent", "open"] = "open"

    class Curve(Part):
        """A curve over epochs: of every seed, and their mean, least and greatest."""

        seeds: dict[str, list[Real]] = {}
        mean: list[Real] = []
        low: list[Real] = []
        high: list[Real] = []

    class Area(Part):
        """Mean height of the validation curve, by seed."""

        points: dict[str, Real] = {}

    class Agreement(Part):
        """Agreement of the wirings of several seeds."""

        kappa: Real
        kappa_ci: list[Real] = Field(min_length=2, max_length=2)

    class Variant(Part):
        """One variant: its measure by seed, curves, metrics that are numbers by their place, and all others."""

        name: str
        options: dict[str, Any] = {}
        points: dict[str, Real] = {}
        mean: Number = None
        interval: list[Number] | None = None
        difference: StudyRecord.Difference | None = None
        speed: StudyRecord.Difference | None = None
        area: StudyRecord.Area = Field(default_factory=lambda: StudyRecord.Area())
        curves: dict[str, StudyRecord.Curve] = {}
        metrics: dict[str, dict[str, Real]] = {}
        others: dict[str, dict[str, Any]] = {}
        agreement: StudyRecord.Agreement | None = None

    verb: ClassVar[str] = "study report"
    remedy: ClassVar[str] = "summarize the trials again"
    kind: Literal["study"] = "study"
    data: dict[str, Any] = {}  # type: ignore[assignment]  # as in its trials
    study: str = ""
    question: str = ""
    scale: str = ""
    baseline: str = ""
    measure: str = ""
    margin: Real = 0
    speed_margin: Real = 0
    level: Number = None
    settings: dict[str, Any] = {}
    trials: int = 0
    expected: Count = None
    apart: int = 0
    seeds: list[int] = []
    variants: list[Variant] = []
    records: list[TrialRecord] = []

    @classmethod
    def _parse(cls, raw: Any) -> Self:
        if isinstance(raw, dict):
            known = {"study", "variants", "seeds"} <= raw.keys()
            raw = ({"format": FORMAT} if known else {}) | _flat(raw)
        if isinstance(raw, dict) and isinstance(raw.get("records"), list):
            raw = raw | {
                "records": [r if isinstance(r, TrialRecord) else TrialRecord._parse(r) for r in raw["records"]]
            }
        return super()._parse(raw)


class ClaimsRecord(Record):
    """The ledger of claims, of `plexus.experiments.claims.ledger`.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        claims: each with its rule, its verdict and the parts of its evidence.
        studies: whose trials answer them.

    Example:
        >>> ClaimsRecord.from_dict({"format": 1, "kind": "claims", "claims": []}).studies
        []
    """

    class Figure(Part):
        """A verdict, and the effect with its interval that decided it."""

        verdict: Literal["holds", "fails", "open"] = "open"
        effect: Number = None
        low: Number = None
        high: Number = None
        unit: str = ""

    class Evidence(Figure):
        """One thing that a claim says."""

        text: str = ""
        n: int = 0
        note: str = ""
        counted: bool = True
        bootstrap: list[Real] | None = Field(default=None, min_length=2, max_length=2)

    class Claim(Figure):
        """One sentence of the notes."""

        id: int
        sentence: str
        study: str = ""
        beside: list[str] = []
        scale: str | None = None
        rule: str = ""
        procedure: str = ""
        terms: dict[str, str] = {}
        why: str = ""
        takes: str = ""
        parts: list[ClaimsRecord.Evidence] = []

    class Study(Part):
        """One study, how much of it was done, and where its page is, from the ledger's."""

        study: str
        scale: str | None = None
        trials: int = 0
        expected: Count = None
        apart: int = 0
        seeds: list[int] = []
        data: dict[str, Any] = {}
        settings: dict[str, Any] = {}
        page: str = ""

    verb: ClassVar[str] = "claims"
    remedy: ClassVar[str] = "compute the ledger again"
    kind: Literal["claims"] = "claims"
    claims: list[Claim] = []
    studies: list[Study] = []


def _flat(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A trial or summary as studies write it: `started` is the time of its start, `seconds` one number."""
    parts = dict(raw)
    if "started" in parts:
        parts["created"] = parts.pop("started")
    seconds = parts.get("seconds")
    return parts | ({} if isinstance(seconds, dict) or seconds is None else {"seconds": {"total": seconds}})
