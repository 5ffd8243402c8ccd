"""The record of a segmentation: folds, gate, calibration, and how good its masks are."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from plexus.record._base import Count, Number, Part, Picture, Record


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
