"""Do networks that start from a latent Z train faster than from pixels?

One network, an encoder to Z of 64 and three dense layers behind it, in three forms: all of it from fresh weights
(`pixels`); the encoder as an autoencoder without labels left it, frozen (`z`); and that encoder, learning on (`tuned`).
The autoencoder sees the same training images, at the default balance, with the contrastive term in place of labels. The
notes say that new networks start from Z in place of pixels and train faster.

    plexus study run representation --data CIFAR10_FOLDER --scale standard

Training is that of `plexus fit`: AdamW under one cycle of the rate, shifts of 10 % and flips. A record also carries the
seconds of the training and those of the autoencoder before it.

Cost: about 30 minutes on one core at `standard` beside other work (15 trials of half a minute to three); `quick` 20
seconds on digits.
Expected: at `standard` on CIFAR-10, five seeds (test accuracy, lowest and highest seed): pixels 53.1 % (51.8 to 53.9),
z 44.0 (43.5 to 44.3), tuned 52.6 (50.8 to 53.3). The frozen start never reaches what pixels end with; the one that
learns on needs as many epochs (1.0 times fewer, .9 to 1.1). On digits z reaches it in 1.1 times fewer (.7 to 1.6).
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

from plexus.experiments._study import Job, Scale, Study, Variant

DIM = 64


def trial(job: Job) -> dict[str, Any]:
    """Trains one form of the network; of the autoencoder first, where it starts from one."""
    import torch

    from plexus.experiments._train import CYCLE, Bench, Pixels
    from plexus.models import Classifier, Start, dense, head

    bench = Bench(job, CYCLE)
    bench.pixels = Pixels(torch.zeros(bench.in_shape), 1.0).to(bench.device)  # an encoder brings its own scale
    form = job.variant.options["start"]
    model, z_seconds = (_encoder(job, bench), 0.0) if form == "pixels" else _learned(job)
    torch.manual_seed(job.seed)
    body = torch.nn.Sequential(*dense((DIM, 1, 1)))
    net = Classifier(body, head("gap", 64, bench.classes), Start(model, frozen=form == "z"))
    with torch.no_grad():
        net.eval()(torch.zeros(2, *bench.in_shape))
    begun = time.perf_counter()
    history = bench.train(net)
    spent = time.perf_counter() - begun
    return bench.metrics(net, history) | {"train_seconds": spent, "z_seconds": z_seconds}


def _encoder(job: Job, bench: Any) -> Any:
    """A fresh autoencoder for these images; only its encoder is used."""
    import torch

    from plexus.data import pixel_statistics
    from plexus.models import Autoencoder

    mean, std = pixel_statistics(bench.data.train.images)
    torch.manual_seed(job.seed)
    return Autoencoder(
        bench.in_shape, min(DIM, math.prod(bench.in_shape)), mean=mean.tolist(), std=std.clamp_min(1.0).tolist(),
    )  # fmt: skip


def _learned(job: Job) -> tuple[Any, float]:
    """The autoencoder of this seed, from the very images that the network is trained on, and the seconds it took."""
    from plexus.experiments._train import VAL
    from plexus.models import read_autoencoder
    from plexus.represent import RepresentConfig, finished, resume, train

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
        "standard": Scale(images=3_000, epochs=10, seeds=5, options={"z_epochs": 10}),
        "full": Scale(images=None, epochs=40, seeds=5, options={"z_epochs": 40}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)
