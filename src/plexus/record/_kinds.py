"""The kinds of records, each with the entries that its verbs and its page read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from plexus.errors import RunError
from plexus.record._base import FORMAT, Count, Number, Part, Picture, Real, Record, plain, read_json


class FitRecord(Record):
    """Record of a training of `plexus fit`: `record.json` of its run folder.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        nodes: names in computing order, the input first and the head last.
        labels: node -> what it is, for people.
        epochs: of every phase, in order; gates (one per edge) while learning.
        edges: one entry per connection.
        budgets: descending keep; each with the indices into `edges` that it keeps.
        chosen: index into `budgets`.
        results: test-set figures of each network; neurons, in words, where not all are plain.
        gap: accuracy before and after cutting, without any training in between.
        then: "finetune" or "retrain".
        confusion: counts, rows true and columns predicted.
        mistakes: the worst mistakes.

    Example:
        >>> record = FitRecord(command="plexus fit digits", nodes=["input", "lego1", "head"])
        >>> FitRecord.from_dict(record.to_dict()) == record
        True
    """

    class Edge(Part):
        """One connection: its gate after learning, its importance, what it costs, and whether it was kept."""

        source: str
        target: str
        gate: Number = None
        strength: Number = None
        ablation: Number = None
        cost: Number = None
        kept: bool | None = None

    class Budget(Part):
        """One way to cut, and what it left."""

        keep: Number = None
        edges: Count = None
        kept: list[int] = []
        parameters: Count = None
        macs: Count = None
        val_accuracy: Number = None

    class Result(Part):
        """One network on the test images."""

        name: str = ""
        label: str = ""
        neurons: str = ""
        accuracy: Number = None
        ci: list[Real] | None = Field(default=None, min_length=2, max_length=2)
        parameters: Count = None
        macs: Count = None
        latency_ms: Number = None

    class Gap(Part):
        """Accuracy of one split before and after cutting."""

        before: Number = None
        after: Number = None
        split: str = ""

    class Mistake(Part):
        """One image that was misclassified."""

        name: str = ""
        image: Picture = ""
        true: Count = None
        predicted: Count = None
        probability: Number = None

    kind: Literal["fit"] = "fit"
    data: Record.Data = Field(default_factory=Record.Data)
    nodes: list[str] = []
    labels: dict[str, str] = {}
    epochs: list[Record.Epoch] = []
    edges: list[Edge] = []
    budgets: list[Budget] = []
    chosen: int | None = None
    results: list[Result] = []
    gap: Gap = Field(default_factory=Gap)
    then: str = ""
    confusion: list[list[int]] = []
    mistakes: list[Mistake] = []

    def _misfit(self) -> str | None:
        for i, edge in enumerate(self.edges):
            for end, node in (("source", edge.source), ("target", edge.target)):
                if node not in self.nodes:
                    return f"edges[{i}] has {end} {node!r:.40}, which is not among the nodes"
        for i, budget in enumerate(self.budgets):
            if any(not 0 <= k < len(self.edges) for k in budget.kept):
                return f"budgets[{i}] keeps connections that are not among the {len(self.edges)} edges"
        if self.chosen is not None and not 0 <= self.chosen < len(self.budgets):
            return f"'chosen' is {self.chosen}, but there are {len(self.budgets)} budgets"
        return None


class SegmentRecord(Record):
    """Record of `plexus segment`: `record.json` of a run folder, or `evaluation.json` of a run on other data.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        model: the network; its wiring where all nets share one.
        folds: one entry per net.
        gate: the numbers of the chosen gate.
        gates: kind of gate -> its numbers.
        measured_on: which images the figures are of.
        results: kind of gate -> its figures, each with a 95 % interval.
        chosen: the kind of gate whose masks are described below.
        images: figures of every image.
        calibration: presence foretold against presence found, in bins.
        shown: the worst images as pictures.

    Example:
        >>> SegmentRecord.from_dict({"format": 1, "kind": "segment", "folds": [{"fold": 0}]}).folds[0].epochs
        []
    """

    class Edge(Part):
        """One skip connection."""

        source: str
        target: str
        strength: Number = None

    class Wiring(Part):
        """Which levels of the decoder see which of the encoder."""

        nodes: list[str] = []
        edges: list[SegmentRecord.Edge] = []

    class Model(Part):
        """The network, as every fold trains it."""

        preset: str = ""
        neuron: str = ""
        parameters: Count = None
        wiring: SegmentRecord.Wiring | None = None

    class Fold(Part):
        """The net of one fold and its training."""

        fold: int
        train: Count = None
        validation: Count = None
        epochs: list[Record.Epoch] = []
        wiring: SegmentRecord.Wiring | None = None

    class Estimate(Part):
        """A mean over n images with its interval."""

        mean: Number = None
        low: Number = None
        high: Number = None
        n: Count = None

    class Presence(Part):
        """Targets missed and masks that should not be."""

        auc: Number = None
        accuracy: Number = None
        false_positives: Count = None
        false_negatives: Count = None
        positives: Count = None
        negatives: Count = None

    class Result(Part):
        """The figures of one gate."""

        dice: SegmentRecord.Estimate | None = None
        dice_present: SegmentRecord.Estimate | None = None
        dice_nan_skipped: SegmentRecord.Estimate | None = None
        hausdorff95: SegmentRecord.Estimate | None = None
        presence: SegmentRecord.Presence = Field(default_factory=lambda: SegmentRecord.Presence())

    class Image(Part):
        """The figures of one image."""

        name: str = ""
        group: str | None = None
        fold: Count = None
        truth_area: Number = None
        area: Number = None
        presence: Number = None
        dice: Number = None
        hausdorff95: Number = None
        emptied: bool = False

    class Bin(Part):
        """Images of about one probability."""

        low: Number = None
        high: Number = None
        predicted: Number = None
        observed: Number = None
        count: Count = None

    class Shown(Part):
        """One image with its layers, as pictures."""

        name: str = ""
        dice: Number = None
        presence: Number = None
        truth_area: Number = None
        area: Number = None
        image: Picture = ""
        truth: Picture = ""
        prediction: Picture = ""
        error: Picture = ""

    verb: ClassVar[str] = "segment train"
    kind: Literal["segment"] = "segment"
    data: Record.Data = Field(default_factory=Record.Data)
    model: Model = Field(default_factory=Model)
    folds: list[Fold] = []
    gate: dict[str, Any] = {}
    gates: dict[str, dict[str, Any]] = {}
    measured_on: str = ""
    results: dict[str, Result] = {}
    chosen: str = ""
    images: list[Image] = []
    calibration: list[Bin] = []
    shown: list[Shown] = []


class RepresentRecord(Record):
    """Record of a representation: `record.json` of a run folder of `plexus represent train`.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        model: its size.
        epochs: of every phase, in order.
        results: figures on test images.
        units: how much of Z is in use.
        pictures: rows of images, as pictures.
        map: test images in the plane.
        onnx_difference: exported file -> how far it is from the model.
        probe: the same network trained anew, one option changed at a time.
        fewshot: tests on classes never seen, the newest first.
        variations: what was asked of `plexus represent vary`, the newest first.

    Example:
        >>> RepresentRecord.from_dict({"format": 1, "kind": "represent", "results": {"mse": 0.5}}).results.mse
        0.5
    """

    class Model(Part):
        """Numbers of parameters, and the encoder's wiring where it has one."""

        parameters: Count = None
        encoder: Count = None
        wiring: dict[str, Any] | None = None

    class Share(Part):
        """A fraction of the images with its interval."""

        value: Number = None
        low: Number = None
        high: Number = None

    class Turning(Part):
        """How far Z moves when images turn."""

        angles: list[Real] = []
        moved: list[Number] = []

    class Results(Part):
        """Reconstruction and recognition on test images."""

        mse: Number = None
        unexplained: Number = None
        classifier: RepresentRecord.Share | None = None
        linear: RepresentRecord.Share | None = None
        knn: RepresentRecord.Share | None = None
        turning: RepresentRecord.Turning | None = None

    class Units(Part):
        """How many numbers of Z carry something."""

        dim: Count = None
        active: Count = None
        effective: Number = None
        divergence: Number = None
        collapsed: bool = False

    class Traversal(Part):
        """Images along one direction of Z."""

        deviation: Number = None
        picture: Picture = ""

    class Pictures(Part):
        """Rows of images."""

        reconstructions: Picture = ""
        interpolations: Picture = ""
        neighbours: Picture = ""
        traversals: list[RepresentRecord.Traversal] = []

    class Map(Part):
        """Test images in the plane, with one picture of all thumbnails."""

        x: list[Real] = []
        y: list[Real] = []
        labels: list[int] = []
        names: list[str] = []
        classes: list[str] = []
        sprite: Picture = ""
        tile: list[Real] = []
        columns: Count = None

    class Sibling(Part):
        """A network of the probe."""

        own: bool = False
        dim: Count = None
        balance: Number = None
        objective: str = ""
        mse: Number = None
        unexplained: Number = None
        linear: RepresentRecord.Share | None = None
        knn: RepresentRecord.Share | None = None
        turning: RepresentRecord.Turning | None = None
        active: Count = None

    class Probe(Part):
        """What became of the network when one option was changed."""

        data: str = ""
        test: Count = None
        rows: list[RepresentRecord.Sibling] = []

    class Estimate(Part):
        """A mean over episodes with its interval."""

        mean: Number = None
        low: Number = None
        high: Number = None

    class FewShot(Part):
        """One few-shot test."""

        data: str = ""
        classes: list[str] = []
        ways: Count = None
        shots: Count = None
        episodes: Count = None
        heads: dict[str, RepresentRecord.Estimate] = {}
        gains: dict[str, RepresentRecord.Estimate] = {}

    class Variation(Part):
        """One picture of `plexus represent vary`."""

        kind: str = ""
        image: str = ""
        to: str | None = None
        picture: Picture = ""

    verb: ClassVar[str] = "represent train"
    kind: Literal["represent"] = "represent"
    data: Record.Data = Field(default_factory=Record.Data)
    model: Model = Field(default_factory=Model)
    epochs: list[Record.Epoch] = []
    results: Results = Field(default_factory=Results)
    units: Units = Field(default_factory=Units)
    pictures: Pictures = Field(default_factory=Pictures)
    map: Map = Field(default_factory=Map)
    onnx_difference: dict[str, Number] = {}
    probe: Probe = Field(default_factory=Probe)
    fewshot: list[FewShot] = []
    variations: list[Variation] = []

    def _misfit(self) -> str | None:
        drawn = self.map
        if len({len(drawn.x), len(drawn.y), len(drawn.labels), len(drawn.names)}) > 1:
            return "'map' has as many places as labels and names, or it is no map"
        if drawn.x and (len(drawn.tile) != 2 or not drawn.columns):
            return "'map' does not say how its thumbnails lie"
        return None


class AuditRecord(Record):
    """Findings of `plexus audit`: `findings.json`.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        settings: how pairs were found.
        calibration: distances of unrelated pairs and of candidates, as histograms with the same edges.
        images: every image, in the order that all indices mean.
        pairs: near-duplicates, contradictions first.
        clusters: images that hang together.
        problems: images that cannot be used.
        summary: counts of it all.

    Example:
        >>> AuditRecord.from_dict({"format": 1, "kind": "audit", "images": [], "pairs": [{"a": 0, "b": 1}]})
        Traceback (most recent call last):
        plexus.errors.RunError: broken: pair 0 does not name two of the 0 images; audit again
    """

    class Settings(Part):
        """How pairs were found."""

        fingerprint: str = ""
        threshold: Number = None
        threshold_from: str = ""
        false_positive_rate: Number = None
        scope: str = ""
        min_dice: Number = None

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
        leak: list[str] | None = Field(default=None, min_length=2, max_length=2)

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
        exact: int = 0
        contradictions: dict[str, int] = {}
        leaks: int = 0
        clusters: int = 0
        flagged: int = 0
        unreadable: int = 0
        degenerate: int = 0
        kept: int = 0
        dropped: int = 0

    verb: ClassVar[str] = "audit"
    remedy: ClassVar[str] = "audit again"
    kind: Literal["audit"] = "audit"
    data: Record.Data = Field(default_factory=Record.Data)
    settings: Settings = Field(default_factory=Settings)
    calibration: Calibration = Field(default_factory=Calibration)
    images: list[Image] = []
    pairs: list[Pair] = []
    clusters: list[Cluster] = []
    problems: list[Problem] = []
    summary: Summary = Field(default_factory=Summary)

    def _misfit(self) -> str | None:
        total = len(self.images)
        for k, pair in enumerate(self.pairs):
            if not (0 <= pair.a < total and 0 <= pair.b < total):
                return f"pair {k} does not name two of the {total} images"
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
        """What was measured of one model; every angle of every image stands beside the summary."""

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

    class Model(Part):
        """One model."""

        name: str = ""
        source: str = ""
        own: bool = False
        seconds: Number = None
        curve: RobustnessRecord.Curve
        failures: list[RobustnessRecord.Failure] = []

    verb: ClassVar[str] = "probe"
    remedy: ClassVar[str] = "probe again"
    kind: Literal["rotation"] = "rotation"
    data: Record.Data = Field(default_factory=Record.Data)
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
        """How alike the wirings of several seeds are."""

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
                "records": [t if isinstance(t, TrialRecord) else TrialRecord._parse(t) for t in raw["records"]]
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
        scale: str | None = None
        rule: str = ""
        why: str = ""
        parts: list[ClaimsRecord.Evidence] = []

    class Study(Part):
        """One study, and how much of it was done."""

        study: str
        scale: str | None = None
        trials: int = 0
        expected: Count = None
        seeds: list[int] = []
        data: dict[str, Any] = {}
        settings: dict[str, Any] = {}

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


KINDS: dict[str, type[Record]] = {
    str(kind.model_fields["kind"].default): kind
    for kind in (
        FitRecord, SegmentRecord, RepresentRecord, AuditRecord, RobustnessRecord, TrialRecord, StudyRecord, ClaimsRecord
    )
}  # fmt: skip
"""What a record's `kind` says -> its class."""


def record_of(raw: Mapping[str, Any]) -> Record:
    """Return the record of a dict, in the class that its kind says.

    Args:
        raw: what a record's file holds.

    Raises:
        RunError: no record, or a broken one.

    Example:
        >>> type(record_of({"format": 1, "kind": "audit"})).__name__
        'AuditRecord'
    """
    return _chosen(raw).from_dict(raw)


def read_record(path: str | Path) -> Record:
    """Read a record of any kind.

    Args:
        path: `record.json`, `evaluation.json`, `findings.json`, `rotation.json`, or the file of a trial.

    Returns:
        The record, in the class that its kind says.

    Raises:
        RunError: the file is missing, broken or foreign; the message names it and the remedy.

    Example:
        >>> read_record("nowhere/record.json")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere/record.json: cannot read the run record: No such file or directory; ...
    """
    raw = read_json(path)
    try:
        return _chosen(raw)._parse(raw)
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def _chosen(raw: Any) -> type[Record]:
    if not isinstance(raw, Mapping):
        return FitRecord  # which says what is wrong
    if "kind" not in raw:
        return StudyRecord if "variants" in raw else TrialRecord if "variant" in raw else FitRecord
    kind = raw["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise RunError(f"not a run record of this version: unknown kind {kind!r:.40}; upgrade plexus")
    return KINDS[kind]
