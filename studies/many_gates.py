"""Do gates converge the same way from every seed, where there are gates enough to tell?

What `gates` asks of its 14 gates, in a net of 135: the interval of a correlation is over the gates, and further seeds
do not narrow it. The legos are the fifteen of `deep` (conv, batch norm, ReLU; 16 maps), all connected by concatenation,
global average pooling behind; all else is as in `gates`: the notes' training, scalar gates that all start at
sigmoid(.5), a record with `edges` and `gates`.

    plexus study run many_gates --data CIFAR10_FOLDER --scale standard

10 seeds at `standard`, 100 to 109: fixed on 2026-11-27, before any of them was trained, with the rule of `gates`
unchanged and no early stop: until all are there the claim is open.

Cost: 3 minutes a training on one core at `standard`, 10 trainings; `quick` 4 seconds on digits.
"""

from __future__ import annotations

from typing import Any

from plexus.experiments import Job, Scale, Study, Variant


def trial(job: Job) -> dict[str, Any]:
    """Train one supernet."""
    from plexus.models import deep

    from .context import gated_trial

    return gated_trial(job, deep, "gap")


STUDY = Study(
    name="many_gates",
    question="Do gates converge the same way from every seed?",
    baseline="sigmoid",
    variants=(Variant("sigmoid", {"init": 0.5}),),
    scales={
        "quick": Scale(images=96, epochs=2, seeds=1, first=100),
        "standard": Scale(images=2_000, epochs=8, seeds=10, first=100),
        "full": Scale(images=None, epochs=200, seeds=10, first=100, options={"patience": 10}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)
