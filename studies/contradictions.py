"""How many contradictions does the notes' fingerprint report where there are none?

The notes call two images near-duplicates where their fingerprints are closer than .008, and say that about 40 % of
5,635 images of nerves contradict another: one mask is empty, the other is not. Those images are not at hand. What can
be told without them is whether the fingerprint measures contradictions at all. So this study takes ultrasound images
of which no two are near-duplicates, by the audit's own search, and tosses for each whether its target is there, with a
chance of .41. Then nothing contradicts anything, and a fingerprint that measures contradictions reports none.

- `published`: the notes' code as it was published, which takes strips of an image and counts grey values 0 and 1 only;
- `intended`: what it was meant to be, histograms of nine grey levels in blocks of 20 x 20 pixels;
- `published_middle`, `intended_middle`: the same on the inner three fifths of both sides, where no border is.

    plexus study run contradictions --data USGRA_FOLDER --scale standard

Each seed draws 160 of the images and their labels; variants of one seed share both. The measure is the percentage of
images that are reported as the near-duplicate of one that is labelled otherwise. It can only grow with the number of
images, as each has more that it may be paired with: what 160 images show is a lower bound for a larger set alike.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-26 together with the rule, before any trial was run. Known by then
was that the published fingerprint puts 91 % of all 244 images into a pair (`duplicates`), near-duplicates among them
and labels aside.

Cost: a few seconds a trial on one core; nothing is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, below
from plexus.experiments.statistics import mean_of

from .duplicates import NOTES
from .evidence import Summary, metric

PRESENT = 0.41
"""Chance that a target is there: images of the notes' set whose mask is not empty are two in five."""
COUNTED = 40.0
"""Percent of images that contradict another, as the notes say."""


def trial(job: Job) -> dict[str, Any]:
    """Draw images and labels, and count whom the fingerprint reports."""
    from plexus.audit import fingerprint, near_duplicates

    clean, n = _clean(job.data)
    rng = np.random.default_rng(job.seed)
    rows = np.sort(rng.permutation(len(clean))[: job.scale.images])
    present = rng.random(len(rows)) < PRESENT
    images = [_middle(clean[i]) if job.variant.options["middle"] else clean[i] for i in rows]
    near = near_duplicates(fingerprint(images, job.variant.options["fingerprint"]), threshold=NOTES)
    wrong = present[near.a] != present[near.b]
    return {
        "reported": 100 * len(np.union1d(near.a[wrong], near.b[wrong])) / len(rows),
        "paired": 100 * len(np.union1d(near.a, near.b)) / len(rows),
        "pairs": 100 * len(near) / (len(rows) * (len(rows) - 1) / 2),
        "present": 100 * float(present.mean()),
        "data": {"images": len(rows), "clean": len(clean), "all": n},
    }


def _middle(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The inner three fifths of both sides."""
    y, x = (side // 5 for side in pixels.shape[:2])
    return pixels[y : pixels.shape[0] - y, x : pixels.shape[1] - x]


@lru_cache(maxsize=1)
def _clean(data: str) -> tuple[list[NDArray[np.uint8]], int]:
    """Images of which no two are near-duplicates, and how many there were: of every pair the second goes."""
    from plexus.audit import fingerprint, near_duplicates
    from plexus.data import open_samples

    samples = open_samples(data, masks=True)
    near = near_duplicates(fingerprint(samples))
    kept = np.ones(len(samples), bool)
    for a, b in sorted(zip(near.a.tolist(), near.b.tolist(), strict=True)):
        kept[b] &= not kept[a]
    return [samples.pixels(i) for i in np.flatnonzero(kept).tolist()], len(samples)


STUDY = Study(
    name="contradictions",
    question="How many contradictions does the notes' fingerprint report where there are none?",
    baseline="published",
    variants=(
        Variant("published", {"fingerprint": "blockhist-published", "middle": False}),
        Variant("published_middle", {"fingerprint": "blockhist-published", "middle": True}),
        Variant("intended", {"fingerprint": "blockhist", "middle": False}),
        Variant("intended_middle", {"fingerprint": "blockhist", "middle": True}),
    ),
    scales={
        "quick": Scale(images=40, epochs=0, seeds=2),
        "standard": Scale(images=160, epochs=0, seeds=10),
        "full": Scale(images=None, epochs=0, seeds=10),
    },
    data="usgra",
    trial=trial,
    measure="reported",
)

WHERE_NONE_ARE = (
    "The notes' images are not at hand; whether their 40 % can have been contradictions is told by what their "
    "fingerprint reports where there are none: on ultrasound images without near-duplicates, whose labels are tossed, "
    "the fingerprint as published (`contradictions`, `published`) reports less than 40 % of the images as "
    "contradictory, one-sided p < .05; refuted where it reports more, p < .05. Then the figure is no evidence of "
    "contradictions; how many there were stays unknown. Beside it: the middle of the images, and the fingerprint as "
    "it was meant."
)


def where_none_are(study: Summary) -> list[Part]:
    """The second half of claim 15."""
    texts: Mapping[str, str] = {
        "published": "the notes' fingerprint, as published, reports less than 40 % where nothing contradicts",
        "published_middle": "less than 40 % on the middle of the images",
        "intended": "less than 40 % by the fingerprint as it was meant",
        "intended_middle": "less than 40 % by that on the middle of the images",
    }
    found = {name: list(metric(study, name).values()) for name in texts}
    return [
        below(text, mean_of(found[name]) if found[name] else None, COUNTED, "% of images", counted=name == "published")
        for name, text in texts.items()
    ]
