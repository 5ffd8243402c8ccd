"""Do networks that start from a latent Z train faster than from pixels?

One network, an encoder to Z of 64 and three dense layers behind it, in three forms: all of it from fresh weights
(`pixels`); the encoder as an autoencoder without labels left it, frozen (`z`); and that encoder, learning on (`tuned`).
The autoencoder sees the same training images, at the default balance, with the contrastive term in place of labels. The
notes say that new networks start from Z in place of pixels and train faster.

    plexus study run representation --data CIFAR10_FOLDER --scale standard

Training is that of `plexus fit`: AdamW under one cycle of the rate, shifts of 10 % and flips. A record also carries the
seconds of the training and those of the autoencoder before it.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-25, before seeds beyond the first ones were read, with the rule
unchanged and no early stop.

Cost: half a minute to three a trial on one core at `standard`, beside other work, 30 trials; `quick` 20 seconds on
digits.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, above, higher
from plexus.experiments.statistics import Difference, mean_of

from .evidence import Summary, entry, gain, metric

if TYPE_CHECKING:
    pass


DIM = 64


def trial(job: Job) -> dict[str, Any]:
    """Train one form of the network; of the autoencoder first, where it starts from one."""
    import torch

    from plexus.models import Classifier, Start, dense, head

    from .context import CYCLE, Pixels, TrialContext

    context = TrialContext(job, CYCLE)
    context.pixels = Pixels(torch.zeros(context.in_shape), 1.0).to(context.device)  # an encoder brings its own scale
    form = job.variant.options["start"]
    model, z_seconds = (_encoder(job, context), 0.0) if form == "pixels" else _learned(job)
    torch.manual_seed(job.seed)
    body = torch.nn.Sequential(*dense((DIM, 1, 1)))
    net = Classifier(body, head("gap", 64, context.classes), Start(model, frozen=form == "z"))
    with torch.no_grad():
        net.eval()(torch.zeros(2, *context.in_shape))
    begun = time.perf_counter()
    history = context.train(net)
    spent = time.perf_counter() - begun
    return context.metrics(net, history) | {"train_seconds": spent, "z_seconds": z_seconds}


def _encoder(job: Job, context: Any) -> Any:
    """A fresh autoencoder for these images; only its encoder is used."""
    import torch

    from plexus.data import pixel_statistics
    from plexus.models import Autoencoder

    mean, std = pixel_statistics(context.data.train.images)
    torch.manual_seed(job.seed)
    dim = min(DIM, math.prod(context.in_shape))
    return Autoencoder(context.in_shape, dim, mean=mean.tolist(), std=std.clamp_min(1.0).tolist())


def _learned(job: Job) -> tuple[Any, float]:
    """The autoencoder of this seed, from the very images that the network is trained on, and the seconds it took."""
    from plexus.models import read_autoencoder
    from plexus.represent import RepresentConfig, finished, resume, train

    from .context import VAL

    run = job.folder / "z"
    if run.exists():
        finished(run) or resume(run)
    else:
        limit = None if job.scale.images is None else round(job.scale.images / (1 - VAL))
        config = RepresentConfig(
            data=job.data, seed=job.seed, val=VAL, limit=limit, labels="none", dim=DIM,
            epochs=job.scale.options["z_epochs"], flip=job.data != "digits", onnx=False,
        )  # fmt: skip
        train(config, run=run)
    seconds = json.loads((run / "record.json").read_text())["seconds"]["train"]
    return read_autoencoder(run), seconds


STUDY = Study(
    name="representation",
    question="Do networks that start from a latent Z train faster than from pixels?",
    baseline="pixels",
    variants=tuple(Variant(name, {"start": name}) for name in ("pixels", "z", "tuned")),
    scales={
        "quick": Scale(images=300, epochs=2, seeds=2, options={"z_epochs": 1}),
        "standard": Scale(images=3_000, epochs=10, seeds=10, options={"z_epochs": 10}),
        "full": Scale(images=None, epochs=40, seeds=10, options={"z_epochs": 40}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)


FASTER = (
    "The frozen start (`z`) reaches, in fewer epochs than it took the network on pixels, the validation accuracy that "
    "the latter ends with: how many times fewer is above 1 with p < .05, refuted where it is below 1 with p < .05. A "
    "start that never reaches it counts as if it did in the epoch after the last. Beside it: whether it is 3 times; "
    "the start that learns on (`tuned`); the same in seconds, without and with those of learning Z, where a start that "
    "never reaches it counts as 0 times; and test accuracy."
)


def faster(study: Summary) -> Sequence[Part]:
    """Claim 17."""
    return [
        above("a frozen Z needs fewer epochs", times(study, "z"), 1.0, "times"),
        above("a frozen Z needs 3 times fewer epochs", times(study, "z"), 3.0, "times", counted=False),
        above("an encoder that learns on needs fewer epochs", times(study, "tuned"), 1.0, "times", counted=False),
        above("a frozen Z needs fewer seconds", times(study, "z", "seconds"), 1.0, "times", counted=False),
        above("fewer even with those of learning Z", times(study, "z", "all seconds"), 1.0, "times", counted=False),
        *(
            higher(f"`{name}` ends above pixels", gain(study, name, "pixels"), study["margin"], counted=False)
            for name in ("z", "tuned")
        ),
    ]


def times(study: Summary, name: str, unit: str = "epochs") -> Difference | None:
    """Compute how many times less a start needs to the accuracy that pixels end with, seed by seed."""
    curves = [entry(study, n)["curves"].get("val_accuracy_curve", {}).get("seeds", {}) for n in ("pixels", name)]
    ratios = []
    for seed in (seed for seed in curves[0] if seed in curves[1]):
        level, spent = curves[0][seed][-1], []
        for n, curve in zip(("pixels", name), (curves[0][seed], curves[1][seed]), strict=True):
            epoch = 1.0 if unit == "epochs" else metric(study, n, "train_seconds").get(seed, 0.0) / len(curve)
            before = metric(study, n, "z_seconds").get(seed, 0.0) if unit == "all seconds" else 0.0
            never = unit != "epochs" and max(curve) < level
            spent.append(math.inf if never else reached(curve, level) * epoch + before)
        if spent[1]:
            ratios.append(spent[0] / spent[1])
    return mean_of(ratios) if ratios else None


def reached(curve: Sequence[float], level: float) -> int:
    """Return the first epoch, counted from 1, at a level or above; the one after the last where none is.

    Example:
        >>> reached([10.0, 30.0, 20.0], 25.0), reached([10.0], 25.0)
        (2, 2)
    """
    return next((i for i, value in enumerate(curve, 1) if value >= level), len(curve) + 1)
