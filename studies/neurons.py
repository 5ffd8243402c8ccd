"""Do unit-norm neurons speed convergence, and does ELU help?

The notes' network (mini-VGG) with one kind of neuron changed: filters of unit norm in the convolutions, in the dense
layers, in both, or ELU for ReLU. The notes say that unit norm speeds convergence for either alone, that both together
cancel out, and that ELU does not help significantly.

    plexus study run neurons --data CIFAR10_FOLDER --scale standard

Training is the notes': Adam at 1e-3, batches of 32, shifts of 10 % and flips. A record also carries
`best_val_accuracy`, the highest over the epochs: what the notes report, since they choose by the images they report on.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-25, before seeds beyond the first ones were read, with the rule
unchanged and no early stop.

Cost: 2 to 3 minutes a training on one core at `standard`, beside another, 50 trainings; `quick` 6 seconds on digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, higher, lower, not_higher, same

from .evidence import BEST, SPEED, Summary, area, gain, slower


def trial(job: Job) -> dict[str, Any]:
    """Train one variant of mini-VGG."""
    import torch

    from plexus.models import variant

    from .context import NOTES, TrialContext

    context = TrialContext(job, NOTES, small=16)
    torch.manual_seed(job.seed)
    net = variant(job.variant.options["net"], context.classes, context.in_shape)
    history = context.train(net)
    return context.metrics(net, history)


STUDY = Study(
    name="neurons",
    question="Do unit-norm neurons or ELU speed up or improve a small network?",
    baseline="baseline",
    variants=tuple(
        Variant(name, {"net": name}) for name in ("baseline", "norm_conv", "norm_dense", "norm_conv_dense", "elu")
    ),
    scales={
        "quick": Scale(images=160, epochs=2, seeds=2),
        "standard": Scale(images=8_000, epochs=10, seeds=10),
        "full": Scale(images=None, epochs=200, seeds=10, options={"patience": 10}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
    terms={
        "norm_conv": "unit norm in the convolutions",
        "norm_dense": "unit norm in the dense layers",
        "norm_conv_dense": "unit norm in both",
        "elu": "ELU",
    },
)


UNIT = (
    "`norm_conv` and `norm_dense` each need fewer epochs than the baseline to the fixed training loss: below 0 with "
    "p < .05, refuted where they save less than 10 %. And `norm_conv_dense` needs as many as the baseline, within 10 % "
    "by two one-sided tests; refuted where it differs with p < .05 and this does not show. Beside it, the area under "
    "the validation curve."
)


def unit(study: Summary) -> Sequence[Part]:
    """Claim 13."""
    margin = study["speed_margin"]
    return [
        *(
            lower(f"{name} needs fewer epochs", slower(study, name, "baseline"), margin, SPEED)
            for name in ("norm_conv", "norm_dense")
        ),
        same("norm_conv_dense needs as many epochs", slower(study, "norm_conv_dense", "baseline"), margin, SPEED),
        *(
            higher(f"area under the validation curve higher for {name}", area(study, name, "baseline"), study["margin"],
                   counted=False)
            for name in ("norm_conv", "norm_dense", "norm_conv_dense")
        ),
    ]  # fmt: skip


ELU = (
    "`elu` is not above the baseline by the margin in test accuracy, a one-sided test; refuted where it is above it "
    "with p < .05 and this does not show. Beside it, by the notes' own measure, the highest validation accuracy over "
    "the epochs; and epochs to the fixed training loss."
)


def elu(study: Summary) -> Sequence[Part]:
    """Claim 14."""
    return [
        not_higher("elu no better than baseline", gain(study, "elu", "baseline"), study["margin"]),
        not_higher(
            "elu no better by the highest validation accuracy", gain(study, "elu", "baseline", BEST), study["margin"],
            counted=False,
        ),
        lower("elu needs fewer epochs", slower(study, "elu", "baseline"), study["speed_margin"], SPEED, counted=False),
    ]  # fmt: skip
