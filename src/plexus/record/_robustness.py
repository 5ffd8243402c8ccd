"""The record of a probe: models at every angle, per angle, per image and per group of angles."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from plexus.record._base import Count, Number, Part, Picture, Real, Record


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
