"""Does ELU for ReLU improve a small network, over seeds enough to tell?

The trainings of `neurons`, of the plain network and the one with ELU alone, from seeds that were never read: with the
ten of `neurons` the claim stays open, an effect about half as large as its scatter over seeds.

    plexus study run elu --data CIFAR10_FOLDER --scale standard

36 seeds at `standard`, 100 to 135: fixed on 2026-11-26, before any of them was trained, with the rule of `neurons`
unchanged and no early stop. Drawn with replacement from its ten seeds, 30 settle the claim in 32 of 40 draws, 40 in 35.

Cost: 1 minute a training on one core at `standard`, 72 trainings; `quick` 3 seconds on digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plexus.experiments import Job, Study

from . import neurons


def trial(job: Job) -> dict[str, Any]:
    """Train one variant of mini-VGG."""
    return neurons.trial(job)


STUDY: Study = replace(
    neurons.STUDY,
    name="elu",
    question="Does ELU for ReLU improve a small network?",
    variants=tuple(map(neurons.STUDY.variant, ("baseline", "elu"))),
    scales={
        **neurons.STUDY.scales,
        "standard": replace(neurons.STUDY.scales["standard"], seeds=36, first=100),
        "full": replace(neurons.STUDY.scales["full"], seeds=36, first=100),
    },
    trial=trial,
)
