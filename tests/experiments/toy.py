"""A study that does arithmetic, and whose variants go wrong on demand."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from plexus.errors import DataError
from plexus.experiments import Job, Scale, Study, Variant


def trial(job: Job) -> dict[str, Any]:
    gain, fault = job.variant.options["gain"], job.variant.options.get("fault")
    first = not (job.folder / "begun").exists()
    (job.folder / "begun").write_text(str(os.getpid()))
    if fault == "raise":
        raise ZeroDivisionError("too\nfew")
    if fault == "error":
        raise DataError("photos/: no images found: expected photos/CLASS/IMAGE.png")
    if fault == "exit":
        raise SystemExit(3)
    if fault == "nan":
        return {"test_accuracy": float("nan")}
    if fault == "kill" or (fault == "kill once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    alone = multiprocessing.parent_process() is None
    if fault == "hang" or (fault == "hang once" and first and job.seed == 0 and not alone):
        threading.Event().wait()
    drawn = [random.random(), float(np.random.rand()), torch.rand(()).item()]
    return {
        "test_accuracy": np.float64(80 + gain + sum(drawn)),
        "drawn": drawn,
        "train_loss": (1.0, float("inf")),
        "threads": torch.get_num_threads(),
        "pid": os.getpid(),
        "data": {"fingerprint": "sha256:0", "images": job.scale.images},
    }


def toy(*variants: Variant, **changes: Any) -> Study:
    return replace(STUDY, variants=variants or STUDY.variants, **changes)


STUDY = Study(
    name="toy",
    question="Does the gain matter?",
    baseline="none",
    variants=(Variant("none", {"gain": 0}), Variant("some", {"gain": 1}), Variant("much", {"gain": 2})),
    scales={"quick": Scale(images=10, epochs=1, seeds=2), "full": Scale(images=None, epochs=9, seeds=5)},
    data="digits",
    trial=trial,
)
