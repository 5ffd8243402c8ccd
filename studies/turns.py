"""How do 8 and 4 rotations compare with no rotation and with each other, over seeds enough to tell?

The trainings of `rotation`, of the plain network and the eight with 8 or 4 rotations in their last 1 to 4 convolutions
alone, from seeds that were never read: with the ten of `rotation` three claims stay open, whose effects are about as
large as their scatter over seeds.

    plexus study run turns --data CIFAR10_FOLDER --scale standard

40 seeds at `standard`, 100 to 139: fixed on 2026-11-26, before any of them was trained, with the rules of `rotation`
unchanged and no early stop. Drawn with replacement from its ten seeds, 40 settle claim 7 in 17 of 25 draws, claim 8 in
25 and claim 10 in 20.

Cost: 15 seconds a training on one core at `standard`, 360 trainings; `quick` 15 seconds on digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plexus.experiments import Job, Study

from . import rotation


def trial(job: Job) -> dict[str, Any]:
    """Train one variant of mini-VGG and probe it."""
    return rotation.trial(job)


STUDY: Study = replace(
    rotation.STUDY,
    name="turns",
    question="How do 8 and 4 rotations compare, with no rotation and with each other?",
    variants=tuple(map(rotation.STUDY.variant, ("baseline", *rotation.TURNED))),
    scales={
        **rotation.STUDY.scales,
        "standard": replace(rotation.STUDY.scales["standard"], seeds=40, first=100),
        "full": replace(rotation.STUDY.scales["full"], seeds=40, first=100),
    },
    trial=trial,
)
