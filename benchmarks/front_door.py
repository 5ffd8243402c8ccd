"""The first hour in Python: lines from arrays to a saved model, a second fit in one process, scikit-learn's checks.

Claim: who knows scikit-learn gets from arrays to an ONNX file in five lines, fits again within 20 s, and meets an
estimator that keeps to all rules that images allow.

    python benchmarks/front_door.py             # all parts
    python benchmarks/front_door.py checks      # one of them

Each part writes its own key of `benchmarks/results/front_door.json` and leaves the others as they are.
"""

from __future__ import annotations

import ast
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import run_parts

RECORD = Path(__file__).parent / "results" / "front_door.json"
LINES = """\
import plexus
run = plexus.fit(X, y, epochs=3)
run.export("onnx", "net.onnx")
"""
"""From arrays X (N, H, W) and y (N,) to a saved model; it is run as it stands here."""


def lines() -> dict[str, Any]:
    """Statements of Python from arrays to a saved ONNX model, and that it answers as the run does."""
    import numpy as np
    import onnxruntime
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images, digits.target
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            space: dict[str, Any] = {"X": images, "y": labels}
            exec(LINES, space)
            session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
        finally:
            os.chdir(before)
        feed = {session.get_inputs()[0].name: images[:, None].astype(np.float32)}
        answers = space["run"].classes[session.run(None, feed)[0].argmax(1)]
        agree = float((answers == space["run"].predict(images)).mean())
    return {"lines": len(ast.parse(LINES).body), "code": LINES, "agreement": agree}


def second() -> dict[str, Any]:
    """Seconds of `plexus.fit("digits")` with its defaults, the first and the second time in one process."""
    import plexus

    calls = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(2):
            wall, work = time.monotonic(), time.process_time()
            run = plexus.fit("digits", out=Path(folder) / str(i), progress=False)
            calls.append(
                {
                    "seconds": time.monotonic() - wall,
                    "processor_seconds": time.process_time() - work,
                    "parts": run.record.seconds,
                    "accuracy": run.results["final"].accuracy,
                }
            )
    return {"calls": calls, "load": os.getloadavg()[0]}


def checks() -> dict[str, Any]:
    """Estimator checks of scikit-learn, of `PlexusClassifier(epochs=10)`."""
    import sklearn
    from sklearn.utils.estimator_checks import check_estimator

    from plexus.sklearn import PlexusClassifier

    work = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks warn about what they try
        rows = check_estimator(PlexusClassifier(epochs=10), on_fail=None, on_skip=None)
    told = {row["check_name"]: str(row["exception"]).splitlines()[0] for row in rows if row["status"] != "passed"}
    return {
        "sklearn": sklearn.__version__,
        "counts": dict(Counter(row["status"] for row in rows)),
        "not_passed": told,
        "processor_seconds": time.process_time() - work,
    }


PARTS: dict[str, Callable[[], dict[str, Any]]] = {"lines": lines, "second": second, "checks": checks}


if __name__ == "__main__":
    run_parts(__doc__, PARTS, RECORD, "torch", "lightning", "onnxruntime")
