"""Does ELU help, over seeds enough to tell?

`baseline` and `elu` of `neurons` from seeds that were never read. With its ten seeds the claim stays open: ELU was .84
points above ReLU, with 1.80 points of scatter between seeds, where half a point counts. With 36 the 95 % interval is
.6 points to either side, and an effect of .84 shows in nearly four of five such studies.

    plexus study run elu --data CIFAR10_FOLDER --scale standard

36 seeds at `standard`, 100 to 135: fixed on 2026-11-27, before any of them was trained, with the rule of `neurons`
unchanged and no early stop: until all are there the claim is open.

Cost: 3 minutes a training on one core at `standard`, 72 trainings; `quick` 4 seconds on digits.
"""

from __future__ import annotations

from typing import Any

from plexus.experiments import Job

from . import neurons
from .evidence import again


def trial(job: Job) -> dict[str, Any]:
    """Train mini-VGG with ReLU or ELU."""
    return neurons.trial(job)


STUDY = again(
    neurons.STUDY, ("baseline", "elu"), trial,
    name="elu", question="Does ELU improve a small network?", seeds=36, quick=2,
)  # fmt: skip
