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

from typing import Any

from plexus.experiments import Job

from . import merging
from .evidence import again


def trial(job: Job) -> dict[str, Any]:
    """Train one supernet."""
    return merging.trial(job)


STUDY = again(
    merging.STUDY, ("default", "nearest", "bilinear", "bicubic"), trial,
    name="resizing", question="Does it matter how connections resize their sources?", seeds=40,
)  # fmt: skip
