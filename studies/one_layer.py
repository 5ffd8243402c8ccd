"""Does one layer of rotation-max neurons cost accuracy, over seeds enough to tell?

`baseline`, `8_rot_1` and `4_rot_1` of `rotation` from seeds that were never read, without the probe of turned images.
With its ten seeds the claim stays open: 4 rotations in the last layer were .73 points below the plain net, with 1.73
points of scatter between seeds, where half a point counts. With 80 the standard error is .19 points, and an effect of
.73 shows, corrected for the four parts of the claim, in nearly nine of ten such studies.

    plexus study run one_layer --data CIFAR10_FOLDER --scale standard

80 seeds at `standard`, 100 to 179: fixed on 2026-11-27, before any of them was trained, with the rule of `rotation`
unchanged and no early stop: until all are there the claim is open.

Cost: 46 seconds a training on one core at `standard`, 240 trainings; `quick` 4 seconds on digits.
"""

from __future__ import annotations

from typing import Any

from plexus.experiments import Job

from . import rotation
from .evidence import again


def trial(job: Job) -> dict[str, Any]:
    """Train mini-VGG with no rotations or some in its last layer."""
    return rotation.trained(job)[2]


STUDY = again(
    rotation.STUDY, ("baseline", "8_rot_1", "4_rot_1"), trial,
    name="one_layer", question="Does one layer of rotation-max neurons cost accuracy?", seeds=80,
)  # fmt: skip
