"""The record of a representation: how well Z recognises, reconstructs and draws."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from plexus.record._base import Count, Number, Part, Picture, Real, Record


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
