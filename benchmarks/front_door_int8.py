"""Eight bits beside the float model: accuracy, milliseconds, kilobytes; for depthwise and for dense convolutions.

Claim: at most .5 points lost, at most .8 of the milliseconds, at most .35 of the kilobytes.

    python benchmarks/front_door_int8.py [--data FOLDER]

Nets: the default family (depthwise and grouped 1x1 convolutions) on scikit-learn's digits and on 2,000 images of
CIFAR-10, and `--preset deep` (dense 3x3 convolutions) on CIFAR-10. Milliseconds are the medians of 9 measurements in
turn of the file's processor time, one image, onnxruntime, one thread. Writes the key `int8` of
results/front_door.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from measure import Results

from plexus.data import load
from plexus.record import cores, machine
from plexus.training import FitConfig, export_int8, fit
from plexus.training.onnx_model import milliseconds, onnx_logits

ROUNDS = 9


def measured(config: FitConfig, folder: Path) -> dict[str, Any]:
    """One net, in float and in both kinds of eight bits."""
    run = fit(config, run=folder / "run", progress=True)
    data = load(
        config.data, size=config.size, seed=config.seed, val=config.val, test=config.test, limit=config.limit
    )  # fmt: skip
    files = {"float model": (run / "model.onnx").read_bytes()}
    for name, arithmetic in (("int8 weights", "float"), ("static int8 (QDQ)", "int8")):
        export_int8(files["float model"], folder / "a.onnx", data.train.images, arithmetic=arithmetic)  # type: ignore[arg-type]
        files[name] = (folder / "a.onnx").read_bytes()
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(ROUNDS):
        for name, content in files.items():
            times[name].append(milliseconds(content, data.in_shape, rounds=1))
    rows = {}
    for name, content in files.items():
        right = onnx_logits(content, data.test.images).argmax(1).eq(data.test.labels)
        rows[name] = {
            "accuracy": right.double().mean().item(), "milliseconds": median(times[name]), "kb": len(content) / 1000
        }  # fmt: skip
    base = rows["float model"]
    for row in rows.values():
        row |= {
            "points_lost": 100 * (base["accuracy"] - row["accuracy"]),
            "milliseconds_over_float": row["milliseconds"] / base["milliseconds"],
            "kb_over_float": row["kb"] / base["kb"],
        }
    return {"test_images": len(data.test), "files": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/cifar10", help="CIFAR-10 as parquet files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "front_door.json")
    arguments = parser.parse_args()
    small: dict[str, Any] = {"data": arguments.data, "limit": 2000}
    nets = {
        "digits, default family": FitConfig(data="digits"),
        "CIFAR-10, default family": FitConfig(**small, epochs=8),
        "CIFAR-10, --preset deep": FitConfig(**small, preset="deep", epochs=4),
    }
    made: dict[str, Any] = {}
    for name, config in nets.items():
        with tempfile.TemporaryDirectory() as folder:
            made[name] = measured(config, Path(folder))
            print(name, made[name], flush=True)
            Results(arguments.out).put(
                "int8",
                {"nets": made, "machine": {**machine(), "cores": cores(), "load": os.getloadavg()[0]}},
            )


if __name__ == "__main__":
    main()
