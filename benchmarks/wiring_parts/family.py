"""The default result beside what a good engineer would write, and cut to a half and a quarter."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np

from plexus.record import FitRecord, machine
from plexus.training import FitConfig, finished, fit, open_run, resume
from plexus.training.onnx_model import milliseconds

EPOCHS = 12
LARGE_EPOCHS = 15
IN_SHAPE = (3, 32, 32)
SHARES = {"half": 0.7, "quarter": 0.5}
"""Of the channels: multiply-adds go with their square."""


def run(results: Any, *, data: str, seeds: list[int] | None, work: Path | None = None) -> None:
    """The default fit with its controls, on 10,000 images of which 1,500 validate, and all test images."""
    for seed in seeds or range(5):
        key = f"family/{seed}"
        if key not in results:
            with Place(work, seed) as folder:
                config = FitConfig(data=data, seed=seed, limit=10_000, epochs=EPOCHS, controls=True)
                results.put(key, _rows(_fit(config, folder)))


def cut(results: Any, *, data: str, seeds: list[int] | None, work: Path | None = None) -> None:
    """A fit of which nothing is cut, and the same cut to about a half and a third of its multiply-adds."""
    for seed in seeds or range(5):
        models = {}
        for name, share in {"whole": 1.0, **SHARES}.items():
            key = f"cut-{name}/{seed}"
            with Place(work, f"{name}{seed}") as folder:
                if key not in results:
                    config = FitConfig(data=data, seed=seed, limit=10_000, epochs=EPOCHS, keep=share)
                    results.put(key, _rows(_fit(config, folder)))
                if (folder / "model.onnx").is_file():
                    models[name] = (folder / "model.onnx").read_bytes()
        if f"cut-time/{seed}" not in results and len(models) == 1 + len(SHARES):
            times = in_turn(list(models.values()), IN_SHAPE)
            results.put(f"cut-time/{seed}", {**dict(zip(models, times, strict=True)), "machine": machine()})


def large(results: Any, *, data: str, seeds: list[int] | None, work: Path | None = None) -> None:
    """The default fit within 41,000 parameters on all training images."""
    for seed in seeds or range(1):
        key = f"large/{seed}"
        if key not in results:
            with Place(work, f"large{seed}") as folder:
                config = FitConfig(data=data, seed=seed, epochs=LARGE_EPOCHS, max_params=41_000)
                results.put(key, _rows(_fit(config, folder)))


def in_turn(models: Sequence[bytes], in_shape: Sequence[int]) -> list[float]:
    """Milliseconds of each model, the shortest of 25 measurements in turn: other work makes single ones longer."""
    rounds = [[milliseconds(model, in_shape, rounds=3) for model in models] for _ in range(25)]
    return [min(times) for times in zip(*rounds, strict=True)]


class Place:
    """A run's folder: of one's own, which is gone on with, or one that goes when it is read."""

    def __init__(self, work: Path | None, name: object) -> None:
        self.work, self.name = work, f"s{name}"

    def __enter__(self) -> Path:
        self.scratch = None if self.work else tempfile.TemporaryDirectory()
        return Path(self.work or self.scratch.name) / self.name  # type: ignore[union-attr]

    def __exit__(self, *_: object) -> None:
        if self.scratch:
            self.scratch.cleanup()


def _fit(config: FitConfig, folder: Path) -> FitRecord:
    if not folder.exists():
        fit(config, run=folder)
    elif not finished(folder):
        resume(folder)
    return open_run(folder)[1]


def _rows(record: FitRecord) -> dict[str, Any]:
    """What counts of a run: every network's figures, and where and with what it was measured."""
    figures = ("label", "accuracy", "ci", "parameters", "macs", "latency_ms", "kb", "train_seconds")
    rows = {row.name: {name: getattr(row, name) for name in figures} for row in record.results}
    return {**rows, "machine": record.machine, "versions": record.versions, "created": record.created}


def seeds_of(runs: Sized) -> str:
    return f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"


def table(values: Mapping[str, Any], points: Any) -> Iterator[tuple[str, str, str, bool]]:
    """The rows of these parts; `points` writes differences with their interval."""
    runs = {k: v for k, v in values.items() if k.startswith("family/")}
    if runs:
        ours, direct, plain = ([r[name] for r in runs.values()] for name in ("final", "direct", "resnet"))
        gain = [100 * (a["accuracy"] - b["accuracy"]) for a, b in zip(ours, plain, strict=True)]
        kept = [100 * (a["accuracy"] - b["accuracy"]) for a, b in zip(ours, direct, strict=True)]
        label = f"CIFAR-10, {EPOCHS} epochs, {len(runs)} seeds: default"
        yield f"{label} minus a plain ResNet of as many milliseconds", ">= 1.5 pt", points(gain), np.mean(gain) >= 1.5
        for name, unit, target in (
            ("latency_ms", "milliseconds", "<= 1.05x"),
            ("train_seconds", "training time", "<= 2x"),
            ("parameters", "parameters", "<= 1x"),
        ):
            ratio = float(np.mean([a[name] for a in ours]) / np.mean([b[name] for b in plain]))
            yield f"{label}: {unit} over the ResNet's", target, f"{ratio:.2f}x", ratio <= float(target[3:-1])
        yield f"{label} minus the same net never wider, as much time", "> 0 pt", points(kept), np.mean(kept) > 0
    whole = {k.split("/")[1]: v for k, v in values.items() if k.startswith("cut-whole/")}
    for name, (time, loss) in {"half": (0.65, 0.5), "quarter": (0.4, 2.0)}.items():
        small = {k.split("/")[1]: v for k, v in values.items() if k.startswith(f"cut-{name}/")}
        both = [(small[s]["final"], whole[s]["final"]) for s in small if s in whole]
        if both:
            share = float(np.mean([a["macs"] / b["macs"] for a, b in both]))
            timed = [v for k, v in values.items() if k.startswith("cut-time/")]
            times = float(np.mean([v[name] / v["whole"] for v in timed])) if timed else math.nan
            lost = [100 * (b["accuracy"] - a["accuracy"]) for a, b in both]
            what = f"cut to {share:.0%} of the multiply-adds, {seeds_of(both)}"
            yield f"{what}: milliseconds", f"<= {time:.2f}x", f"{times:.2f}x", times <= time
            yield f"{what}: accuracy lost", f"<= {loss} pt", points(lost), np.mean(lost) <= loss
    if big := [r["final"] for k, r in values.items() if k.startswith("large/")]:
        accuracy = 100 * float(np.mean([r["accuracy"] for r in big]))
        what = f"CIFAR-10, all training images, {LARGE_EPOCHS} epochs, {seeds_of(big)}"
        yield f"{what}, {big[0]['parameters']:,} parameters", ">= 80.9 %", f"{accuracy:.1f} %", accuracy >= 80.9
