"""Does it matter how a connection merges its sources, and how it brings them to one size?

The notes' four convolutions, each one lego, all connected; global average pooling behind, since the notes' dense head
would grow to 100 million parameters for `largest`. One factor at a time differs from the default, concatenation after
area averaging to the smallest source:

- merge: `sum`, `max` (missing maps count as 0), `squeeze` (concat, then a 1x1 convolution);
- resize: `nearest`, `bilinear`, `bicubic`;
- size: `largest`, which pads with zeros instead of averaging.

    plexus study run merging --data CIFAR10_FOLDER --scale standard

Training is the notes', see `neurons`; gates as in `gates`, w = .5 at the start. Nets of different merges have different
numbers of parameters, which every record states.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-25, before seeds beyond the first ones were read, with the rule
unchanged and no early stop.

Cost: 2.5 minutes a training on one core at `standard`, beside another, 80 trainings (`largest` takes several times as
long; no claim rests on it, `sum`, `max` and `squeeze`); `quick` 8 seconds on digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, same

from .evidence import SPEED, Summary, gain, slower


def trial(job: Job) -> dict[str, Any]:
    """Train one supernet."""
    from plexus.models import blocks

    from .context import gated_trial

    return gated_trial(job, blocks, "gap")


STUDY = Study(
    name="merging",
    question="Does it matter how connections merge and resize their sources?",
    baseline="default",
    variants=(
        Variant("default", {"merge": "concat", "resize": "area", "size": "smallest"}),
        *(
            Variant(merge, {"merge": merge, "resize": "area", "size": "smallest"})
            for merge in ("sum", "max", "squeeze")
        ),
        *(
            Variant(resize, {"merge": "concat", "resize": resize, "size": "smallest"})
            for resize in ("nearest", "bilinear", "bicubic")
        ),
        Variant("largest", {"merge": "concat", "resize": "area", "size": "largest"}),
    ),
    scales={
        "quick": Scale(images=96, epochs=2, seeds=1),
        "standard": Scale(images=2_000, epochs=8, seeds=10),
        "full": Scale(images=None, epochs=200, seeds=10, options={"patience": 10}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
    terms={"area": "resizing by areas", "nearest": "resizing to the nearest pixel"},
)


RESIZE = (
    "`nearest`, `bilinear` and `bicubic` differ from `area` by less than the margin in test accuracy, by two one-sided "
    "tests each; refuted where one differs with p < .05 and this does not show. Beside it what the notes looked at, "
    "convergence: epochs to the fixed training loss within 10 %."
)


def resize(study: Summary) -> Sequence[Part]:
    """Claim 3."""
    names = ("nearest", "bilinear", "bicubic")
    return [
        *(same(f"{name} as area", gain(study, name, "default"), study["margin"]) for name in names),
        *(
            same(f"{name} as fast as area", slower(study, name, "default"), study["speed_margin"], SPEED, counted=False)
            for name in names
        ),
    ]
