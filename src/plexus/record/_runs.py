"""The records of runs: a training, a segmentation, a representation, each with the entries that its page reads."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from plexus.record._base import Count, Number, Part, Picture, Real, Record


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
        plan: width of the net and target of the cutting, decided before the first epoch; a note on the budget.
        front: the backbone whose maps are read in place of pixels, in words.
        blind: whether cutting began before the net was clearly better than the commonest class.
        teacher: the name of the model whose answers were learned, too.
        gap: accuracy before and after cutting, without any training in between.
        then: "finetune" or "retrain".
        confusion: counts, rows true and columns predicted.
        mistakes: the worst mistakes.
        correct: of each class the image that was recognised most surely.

    Example:
        >>> record = FitRecord(command="plexus fit digits", nodes=["input", "lego1", "head"])
        >>> FitRecord.from_dict(record.to_dict()) == record
        True
    """

    class Edge(Part):
        """One connection: gate after learning, importance, cost, whether it was kept; map edges kept, and possible."""

        source: str
        target: str
        gate: Number = None
        strength: Number = None
        ablation: Number = None
        cost: Number = None
        kept: bool | None = None
        maps: list[int] | None = Field(default=None, min_length=2, max_length=2)

    class Budget(Part):
        """One way to cut, and what it left."""

        keep: Number = None
        edges: Count = None
        kept: list[int] = []
        parameters: Count = None
        macs: Count = None
        latency_ms: Number = None
        kb: Number = None
        val_accuracy: Number = None

    class Result(Part):
        """One network on the test images."""

        name: str = ""
        label: str = ""
        neurons: str = ""
        accuracy: Number = None
        val_accuracy: Number = None
        train_accuracy: Number = None
        ci: list[Real] | None = Field(default=None, min_length=2, max_length=2)
        balanced_accuracy: Number = None
        parameters: Count = None
        macs: Count = None
        latency_ms: Number = None
        kb: Number = None
        train_seconds: Number = None

    class Plan(Part):
        """The decisions that were made before the first epoch."""

        width: Count = None
        fan_in: Count = None
        edges: Count = None
        channels: Number = None
        note: str = ""

    class Gap(Part):
        """Accuracy of one split before and after cutting."""

        before: Number = None
        after: Number = None
        split: str = ""

    class Mistake(Part):
        """One image, its class, and the class that it was taken for, with the probability of that."""

        name: str = ""
        image: Picture = ""
        true: Count = None
        predicted: Count = None
        probability: Number = None

    kind: Literal["fit"] = "fit"
    nodes: list[str] = []
    labels: dict[str, str] = {}
    epochs: list[Record.Epoch] = []
    edges: list[Edge] = []
    budgets: list[Budget] = []
    chosen: int | None = None
    results: list[Result] = []
    plan: Plan = Field(default_factory=Plan)
    front: str = ""
    blind: bool = False
    teacher: str = ""
    gap: Gap = Field(default_factory=Gap)
    then: str = ""
    confusion: list[list[int]] = []
    mistakes: list[Mistake] = []
    correct: list[Mistake] = []

    def result(self, name: str) -> Result | None:
        """Return the entry of `results` with this name, if its accuracy was measured.

        Args:
            name: of a network: final, resnet, ...

        Example:
            >>> FitRecord(results=[{"name": "final", "accuracy": 0.9}]).result("final").accuracy
            0.9
        """
        return next((row for row in self.results if row.name == name and row.accuracy is not None), None)

    def remarks(self) -> list[str]:
        """Return what a reader of the figures should know first, in sentences."""
        blind = (
            "The cut began before the net was clearly better than always answering with the commonest class, so that "
            "chance had a part in what stays; more epochs or more images would help."
        )
        return [*([self.plan.note] if self.plan.note else []), *([blind] if self.blind else [])]

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
        """The levels of the encoder that each level of the decoder sees."""

        nodes: list[str] = []
        edges: list[SegmentRecord.Edge] = []

    class Model(Part):
        """The network, as every fold trains it; milliseconds of one image, onnxruntime on one thread."""

        preset: str = ""
        neuron: str = ""
        parameters: Count = None
        latency_ms: Number = None
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

    def missed_by_gate(self) -> str:
        """Return which gate draws masks of the target where the chosen one does not, in words; empty where none does.

        Example:
            >>> def gate(dice):
            ...     return {"dice_present": {"mean": dice}}
            >>> SegmentRecord(results={"none": gate(0.7), "expected": gate(0.0)}, chosen="expected").missed_by_gate()
            ' by the gate expected; with none Dice is 0.700 where the target is'
        """
        present = {kind: row.dice_present.mean or 0.0 for kind, row in self.results.items() if row.dice_present}
        best = max(present, key=lambda kind: present[kind], default="")
        if not best or present[best] < 0.0005:
            return ""
        return f" by the gate {self.chosen}; with {best} Dice is {present[best]:.3f} where the target is"


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
        """Distance by which Z moves when images turn."""

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
        """The numbers of Z that carry something."""

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
        """The network after one option was changed."""

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
