"""The records of findings: an audit, a probe, the trials of a study, and what is computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from plexus.record._base import FORMAT, Count, Number, Part, Picture, Real, Record, plain

SHOWN_PAIRS = 20_000
"""Pairs on a page: one with more would be too heavy to open."""


class AuditRecord(Record):
    """Findings of `plexus audit`: `findings.json`.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        settings: how pairs were found.
        calibration: distances of unrelated pairs and of candidates, as histograms with the same edges.
        images: every image, in the order that all indices mean.
        pairs: near-duplicates, contradictions first.
        copies: groups of more than 8 exact copies; each copy is in a pair with the first, and with no other.
        scenes: groups of more than 32 nearly equal images; each image is in a pair with the first.
        suspects: images whose label is likely wrong, the likeliest first; empty where labels were not judged.
        clusters: images that hang together.
        problems: images that cannot be used.
        summary: counts of it all.

    Example:
        >>> AuditRecord.from_dict({"format": 1, "kind": "audit", "images": [], "pairs": [{"a": 0, "b": 1}]})
        Traceback (most recent call last):
        plexus.errors.RunError: broken: pair 0 does not name two of the 0 images; audit again
    """

    class Settings(Part):
        """Settings of the search for pairs."""

        fingerprint: str = ""
        threshold: Number = None
        threshold_from: str = ""
        doubt: str = ""
        false_pairs: Number = None
        kinds: list[str] = []
        scope: str = ""
        min_dice: Number = None
        ignore: Count = None
        labels: str = ""

    class Calibration(Part):
        """Two histograms of distances."""

        edges: list[Real] = []
        unrelated: list[int] = []
        candidates: list[int] = []

    class Image(Part):
        """One image: what is known of it, and what becomes of it."""

        name: str
        label: str | None = None
        group: str | None = None
        split: str | None = None
        present: bool | None = None
        area: Number = None
        size: list[Real] | None = None
        cluster: Count = None
        fold: Count = None
        keep: bool | None = None
        why: str | None = None
        decision: str | None = None

    class Drawn(Part):
        """Thumbnail and outline of one image; they are given to the page and lie in no record."""

        image: Picture = ""
        mask: Picture = ""

    class Pair(Part):
        """Two images, by their indices, that are near-duplicates."""

        a: int
        b: int
        distance: Number = None
        exact: bool = False
        shift: list[Real] | None = None
        contradiction: Literal["class", "presence", "overlap"] | None = None
        dice: Number = None
        kind: str = "same"
        sure: bool | None = None
        expected: Number = None
        leak: list[str] | None = Field(default=None, min_length=2, max_length=2)

    class Copies(Part):
        """Exact copies, by their indices: a group so large that not all its pairs are listed."""

        images: list[int] = []

    class Scene(Part):
        """Nearly equal images, by their indices: a group so large that of its pairs so many are not listed."""

        images: list[int] = []
        unlisted: int = 0

    class Suspect(Part):
        """An image, by its index, whose label is likely wrong: see `plexus.audit.Suspect`."""

        image: int
        given: str
        suggested: str
        given_probability: Number = None
        probability: Number = None
        quality: Number = None
        evidence: Literal["strong", "weak"] = "weak"
        example: Count = None

    class Cluster(Part):
        """Images, by their indices, that hang together."""

        id: Count = None
        images: list[int] = []
        diameter: Number = None
        flagged: bool = False

    class Problem(Part):
        """One image that cannot be used as it is."""

        name: str = ""
        kind: str = ""
        text: str = ""

    class Summary(Part):
        """Counts."""

        pairs: int = 0
        unlisted: int = 0
        compared: Count = None
        sure: Count = None
        exact: int = 0
        contradictions: dict[str, int] = {}
        leaks: int = 0
        torn_groups: Count = None
        clusters: int = 0
        flagged: int = 0
        unreadable: int = 0
        degenerate: int = 0
        kept: int = 0
        dropped: int = 0
        contradicting: Count = None
        ties: Count = None
        suspects: Count = None
        relabelled: int = 0

    verb: ClassVar[str] = "audit"
    remedy: ClassVar[str] = "audit again"
    kind: Literal["audit"] = "audit"
    settings: Settings = Field(default_factory=Settings)
    calibration: Calibration = Field(default_factory=Calibration)
    images: list[Image] = []
    pairs: list[Pair] = []
    copies: list[Copies] = []
    scenes: list[Scene] = []
    suspects: list[Suspect] = []
    clusters: list[Cluster] = []
    problems: list[Problem] = []
    summary: Summary = Field(default_factory=Summary)

    def shown_pairs(self) -> list[tuple[Pair, int]]:
        """Return the pairs to look at, each with the number of pairs that it stands for.

        Of the pairs of exact copies in one large group those that say the same are shown once: their images have the
        same class and split, and contradict or leak alike. Of all others the first 20,000.

        Returns:
            Pairs in their order.

        Example:
            >>> image, copies = AuditRecord.Image(name="a.png"), AuditRecord.Copies(images=[0, 1, 2])
            >>> pairs = [AuditRecord.Pair(a=0, b=k, exact=True) for k in (1, 2)]
            >>> record = AuditRecord(images=[image] * 3, pairs=pairs, copies=[copies])
            >>> [(pair.b, count) for pair, count in record.shown_pairs()]
            [(1, 2)]
        """
        group = {i: k for k, copies in enumerate(self.copies) for i in copies.images}
        shown: list[tuple[AuditRecord.Pair, int]] = []
        place: dict[tuple[object, ...], int] = {}
        for pair in self.pairs if group else self.pairs[:SHOWN_PAIRS]:
            key = None
            if pair.a in group and group.get(pair.b) == group[pair.a]:
                hub = self.copies[group[pair.a]].images[0]
                other = self.images[pair.b if hub == pair.a else pair.a]
                key = (hub, other.label, other.split, other.present, pair.contradiction)
            if key in place:
                first, stands = shown[place[key]]
                shown[place[key]] = first, stands + 1
            elif len(shown) < SHOWN_PAIRS:
                if key is not None:
                    place[key] = len(shown)
                shown.append((pair, 1))
        return shown

    def _misfit(self) -> str | None:
        total = len(self.images)
        for k, copies in enumerate(self.copies):
            if not copies.images or any(not 0 <= i < total for i in copies.images):
                return f"copies[{k}] names images that are not among the {total}"
        for k, scene in enumerate(self.scenes):
            if not scene.images or any(not 0 <= i < total for i in scene.images):
                return f"scenes[{k}] names images that are not among the {total}"
        for k, pair in enumerate(self.pairs):
            if not (0 <= pair.a < total and 0 <= pair.b < total):
                return f"pair {k} does not name two of the {total} images"
        for k, suspect in enumerate(self.suspects):
            if not (0 <= suspect.image < total and 0 <= (suspect.example or 0) < total):
                return f"suspects[{k}] does not name one of the {total} images"
        for k, cluster in enumerate(self.clusters):
            if any(not 0 <= i < total for i in cluster.images):
                return f"clusters[{k}] names images that are not among the {total}"
        return None


class RobustnessRecord(Record):
    """Record of `plexus probe`, any model at every angle: `rotation.json`.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        mask: "circle", or None where corners were kept.
        step: degrees from one angle to the next.
        models: one entry per model.

    Example:
        >>> RobustnessRecord.from_dict({"format": 1, "kind": "rotation", "mask": "circle"}).models
        []
    """

    class Group(Part):
        """Means over some of the angles, with their intervals over images; empty where there was no such angle."""

        angles: int = 0
        accuracy: Number = None
        accuracy_ci: list[Real] | None = None
        agreement: Number = None
        agreement_ci: list[Real] | None = None
        probability: Number = None
        probability_ci: list[Real] | None = None
        drift: Number = None
        drift_ci: list[Real] | None = None

    class Summary(Part):
        """Figures per angle, per image, and per group of angles."""

        images: int = 0
        angles: list[Real] = []
        exact: list[bool] = []
        accuracy: list[Real] = []
        mean: list[Real] = []
        lower: list[Real] = []
        upper: list[Real] = []
        agreement: list[Real] = []
        drift: list[Real] = []
        percent_correct: list[Real] = []
        first_failure: list[Number] = []
        groups: dict[str, RobustnessRecord.Group] = {}

    class Curve(Part):
        """Measurements of one model; every angle of every image stands beside the summary."""

        summary: RobustnessRecord.Summary

    class Failure(Part):
        """One image that fails at a small turn."""

        name: str = ""
        true: Count = None
        predicted: Count = None
        angle: Number = None
        before: Number = None
        after: Number = None
        probability: Number = None
        upright: Picture = ""
        turned: Picture = ""

    class Unmasked(Part):
        """Upright images with their corners: how many are right, and how many get the answer they get masked."""

        accuracy: Number = None
        ci: list[Real] | None = Field(default=None, min_length=2, max_length=2)
        same: Number = None

    class Model(Part):
        """One model."""

        name: str = ""
        source: str = ""
        own: bool = False
        seconds: Number = None
        unmasked: RobustnessRecord.Unmasked | None = None
        curve: RobustnessRecord.Curve
        failures: list[RobustnessRecord.Failure] = []

    verb: ClassVar[str] = "probe"
    remedy: ClassVar[str] = "probe again"
    kind: Literal["rotation"] = "rotation"
    mask: str | None = None
    step: Number = None
    models: list[Model] = []

    def _misfit(self) -> str | None:
        for i, model in enumerate(self.models):
            found = model.curve.summary
            curves = (found.exact, found.accuracy, found.mean, found.lower, found.upper, found.agreement, found.drift)
            if not found.angles or any(len(curve) != len(found.angles) for curve in curves):
                return f"models[{i}] has curves that are not as long as its {len(found.angles)} angles"
            if not found.percent_correct:
                return f"models[{i}] has no images"
        return None


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
