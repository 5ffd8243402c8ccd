"""Does it matter how connections resize their sources, over seeds enough to tell?

The trainings of `merging`, of the four ways to resize alone, from seeds that were never read: with the ten of
`merging` the claim stays open, its effects below the margin and their scatter over seeds above it.

    plexus study run resizing --data CIFAR10_FOLDER --scale standard

40 seeds at `standard`, 100 to 139: fixed on 2026-11-26, before any of them was trained, with the rule of `merging`
unchanged and no early stop. Drawn with replacement from its ten seeds, 40 settle the claim in 35 of 40 draws.

Cost: 15 seconds a training on one core at `standard`, 160 trainings; `quick` 5 seconds on digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plexus.experiments import Job, Study

from . import merging

RESIZED = ("default", "nearest", "bilinear", "bicubic")


def trial(job: Job) -> dict[str, Any]:
    """Train one supernet."""
    return merging.trial(job)


STUDY: Study = replace(
    merging.STUDY,
    name="resizing",
    question="Does it matter how connections resize their sources?",
    variants=tuple(map(merging.STUDY.variant, RESIZED)),
    scales={
        **merging.STUDY.scales,
        "standard": replace(merging.STUDY.scales["standard"], seeds=40, first=100),
        "full": replace(merging.STUDY.scales["full"], seeds=40, first=100),
    },
    trial=trial,
)
