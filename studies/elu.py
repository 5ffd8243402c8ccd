"""Does ELU help, over seeds enough to tell?

`baseline` and `elu` of `neurons` from seeds that were never read. With its ten seeds the claim stays open: ELU was .84
points above ReLU, with 1.80 points of scatter between seeds, where half a point counts. With 36 the 95 % interval is
.6 points to either side, and an effect of that size shows in seven of eight such studies.

    plexus study run elu --data CIFAR10_FOLDER --scale standard

36 seeds at `standard`, 100 to 135: fixed on 2026-11-27, before any of them was trained, with the rule of `neurons`
unchanged and no early stop: until all are there the claim is open.

Cost: 3 minutes a training on one core at `standard`, 72 trainings; `quick` 4 seconds on digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plexus.experiments import Job, Study

from . import neurons


def trial(job: Job) -> dict[str, Any]:
    """Train mini-VGG with ReLU or ELU."""
    return neurons.trial(job)


STUDY: Study = replace(
    neurons.STUDY,
    name="elu",
    question="Does ELU improve a small network?",
    variants=tuple(neurons.STUDY.variant(name) for name in ("baseline", "elu")),
    scales={
        name: replace(scale, seeds=2 if name == "quick" else 36, first=100)
        for name, scale in neurons.STUDY.scales.items()
    },
    trial=trial,
)
