"""Parts of `benchmarks/audit.py`: wrong labels planted in real sets, and the time to open many files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import Results
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from plexus.audit import deal, suspects
from plexus.data import SampleSet, open_samples
from plexus.training import cross_validated

DATA = Path(__file__).parents[2] / "shared" / "data"
HUB = {"mnist": "ylecun/mnist", "cifar10": "uoft-cs/cifar10"}
IMAGES, WRONG = 10_000, 0.03
FILES, CLASSES = 60_000, 10


def planted_labels(results: Results, name: str, *, folds: int, epochs: int) -> None:
    """3 % of 10,000 labels changed to another class, evenly; how far up they come by cross-validation."""
    folder = DATA / name
    if not folder.is_dir():
        print(f"{folder} is not there: put the parquet files of {HUB[name]} there")
        return
    samples, wrong = _wrong(open_samples(folder).take(range(IMAGES)))
    labels = np.array([samples.classes.index(str(s.label)) for s in samples.samples])
    fold = deal(np.arange(IMAGES), labels, folds, seed=0)
    wall, used = time.perf_counter(), time.process_time()
    found = cross_validated(samples, fold, epochs=epochs)
    wall, used = time.perf_counter() - wall, time.process_time() - used
    chances = found.probabilities.astype(np.float64)
    own = chances[np.arange(IMAGES), labels]
    other = np.where(np.arange(chances.shape[1]) == labels[:, None], 0, chances).max(1)
    listed = suspects(samples, found)
    results.put(
        f"labels/{name} {folds}x{epochs}",
        {
            "average_precision": float(average_precision_score(wrong, other / (own + other))),
            "average_precision_self_confidence": float(average_precision_score(wrong, 1 - own)),
            "accuracy_where_right": float((chances.argmax(1) == labels)[~wrong].mean()),
            "planted": int(wrong.sum()),
            **_lists(wrong, {"listed": [s.image for s in listed]}),
            **_lists(wrong, {"strong": [s.image for s in listed if s.evidence == "strong"]}),
            "seconds": wall,
            "cpu": used,
            "folds": folds,
            "epochs": epochs,
        },
    )


def _wrong(samples: SampleSet) -> tuple[SampleSet, NDArray[np.bool_]]:
    """The set with some wrong labels, and which they are."""
    random = np.random.default_rng(0)
    wrong = np.zeros(len(samples), bool)
    wrong[random.choice(len(samples), round(WRONG * len(samples)), replace=False)] = True
    changed = [replace(sample, split=None) for sample in samples.samples]
    for i in np.flatnonzero(wrong).tolist():
        others = [name for name in samples.classes if name != changed[i].label]
        changed[i] = replace(changed[i], label=others[random.integers(len(others))])
    return replace(samples, samples=tuple(changed)), wrong


def _lists(wrong: NDArray[np.bool_], lists: dict[str, list[int]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, images in lists.items():
        right = int(wrong[images].sum())
        figures |= {name: len(images), f"{name}_precision": right / max(1, len(images))}
        figures[f"{name}_recall"] = right / int(wrong.sum())
    return figures


def labels_mnist(results: Results, work: Path) -> None:
    """MNIST, 5 folds of 6 epochs."""
    planted_labels(results, "mnist", folds=5, epochs=6)


def labels_cifar10(results: Results, work: Path) -> None:
    """CIFAR-10, 3 folds of 12 epochs."""
    planted_labels(results, "cifar10", folds=3, epochs=12)


def labels_cifar10_long(results: Results, work: Path) -> None:
    """CIFAR-10, 3 folds of 20 epochs."""
    planted_labels(results, "cifar10", folds=3, epochs=20)


def opening(results: Results, work: Path) -> None:
    """60,000 files in class folders, alone and below train and test: found, none decoded; median of three."""
    for layout, split in (("classes", ("",)), ("splits", ("train", "test"))):
        folder = work / f"many-{layout}"
        if not (folder / "done").exists():
            for i in range(FILES):
                place = folder / split[i % len(split)] / f"class{i % CLASSES}"
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{i:05}.png").write_bytes(b"\x89PNG")
            (folder / "done").touch()
        times = sorted(_timed(lambda at=folder: open_samples(at)) for _ in range(3))
        results.put(f"opening/{layout}", {"files": FILES, "seconds": times[1][0], "cpu": times[1][1]})


def _timed(step: Callable[[], object]) -> tuple[float, float]:
    wall, used = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - used
