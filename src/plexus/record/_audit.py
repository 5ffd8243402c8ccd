"""The record of an audit: images, pairs that are alike, labels that are likely wrong, and what to do with them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from plexus.record._base import Count, Number, Part, Picture, Real, Record

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
