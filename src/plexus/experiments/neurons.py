"""Do unit-norm neurons speed convergence, and does ELU help?

The notes' network (mini-VGG) with one kind of neuron changed: filters of unit norm in the convolutions, in the dense
layers, in both, or ELU for ReLU. The notes say that unit norm speeds convergence for either alone, that both together
cancel out, and that ELU does not help significantly.

    plexus study run neurons --data CIFAR10_FOLDER --scale standard

Training is the notes': Adam at 1e-3, batches of 32, shifts of 10 % and flips. A record also carries
`best_val_accuracy`, the highest over the epochs: what the notes report, since they choose by the images they report on.

Cost: about 43 minutes on one core at `standard` (15 trainings of 2 to 3 minutes, beside another); `quick` 6 seconds on
digits.
Expected: at `standard` on CIFAR-10, three seeds (test accuracy, lowest and highest seed): baseline 59.7 % (57.6 to
61.5), norm_conv 62.2 (60.8 to 63.4), norm_dense 60.6 (59.1 to 62.5), norm_conv_dense 61.2 (60.0 to 63.4), elu 60.8
(60.3 to 61.3). Unit norm in the convolutions is 2.5 pt (.8 to 4.2) ahead and reaches the fixed loss in 13 % (0 to 26)
fewer epochs; with the four comparisons corrected for, nothing is settled by three seeds.
"""

from __future__ import annotations

from typing import Any

from plexus.experiments._study import Job, Scale, Study, Variant


def trial(job: Job) -> dict[str, Any]:
    """Trains one variant of mini-VGG."""
    import torch

    from plexus.experiments._train import NOTES, Bench
    from plexus.models import variant

    bench = Bench(job, NOTES, small=16)
    torch.manual_seed(job.seed)
    net = variant(job.variant.options["net"], bench.classes, bench.in_shape)
    history = bench.train(net)
    return bench.metrics(net, history)


STUDY = Study(
    name="neurons",
    question="Do unit-norm neurons or ELU speed up or improve a small network?",
    baseline="baseline",
    variants=tuple(
        Variant(name, {"net": name}) for name in ("baseline", "norm_conv", "norm_dense", "norm_conv_dense", "elu")
    ),
    scales={
        "quick": Scale(images=160, epochs=2, seeds=2),
        "standard": Scale(images=8_000, epochs=10, seeds=3),
        "full": Scale(images=None, epochs=200, seeds=5, options={"patience": 10}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)
