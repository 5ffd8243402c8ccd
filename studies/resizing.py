"""Does the method that brings sources to one size matter, over seeds enough to tell?

The four resize methods of `merging` from seeds that were never read. With its ten seeds the claim stays open: `nearest`
was .24 points above `area`, with .92 points of scatter between seeds, where half a point counts. The trials of one seed
share first weights, batches and test images, so that the scatter is of what training makes of the method alone; 40
seeds leave open no more than a twentieth of a point between what would hold and what would fail, for one method.

    plexus study run resizing --data CIFAR10_FOLDER --scale standard

40 seeds at `standard`, 100 to 139: fixed on 2026-11-27, before any of them was trained, with the rule of `merging`
unchanged and no early stop: until all are there the claim is open.

Cost: 70 seconds a training on one core at `standard`, 160 trainings; `quick` 4 seconds on digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plexus.experiments import Job, Study

from . import merging


def trial(job: Job) -> dict[str, Any]:
    """Train one supernet."""
    return merging.trial(job)


STUDY: Study = replace(
    merging.STUDY,
    name="resizing",
    question="Does it matter how connections resize their sources?",
    variants=tuple(merging.STUDY.variant(name) for name in ("default", "nearest", "bilinear", "bicubic")),
    scales={
        name: replace(scale, seeds=1 if name == "quick" else 40, first=100)
        for name, scale in merging.STUDY.scales.items()
    },
    trial=trial,
)
