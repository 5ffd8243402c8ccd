"""What a fit gains from something learned before: the maps of a backbone, the answers of a teacher.

Claim 1: on few images a net that reads the maps of EfficientNet-Lite0, as it is, beats one that learns from pixels, and
is no worse than a linear layer on the backbone's pooled last map, trained as long.

Claim 2: taught by a net of about ten times its size, the default net gains a point of accuracy over labels alone.

    python benchmarks/front_door_learned.py backbone --data ../shared/data/cifar10    # some 20 minutes of one core
    python benchmarks/front_door_learned.py distil --data ../shared/data/cifar10      # some 30 minutes of one core

CIFAR-10, 2,000 test images for `backbone` (112 pixels; from scratch 32), all for `distil`. Seeds draw the images, the
weights and the order; in `distil` all seeds have the same images, and one teacher. Every training is kept in
`benchmarks/results/front_door.json` as soon as it is done; what is there is not done again. Trained, not judged:
accuracy is of the derived net in torch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import Results

from plexus.data import Memory, in_memory, load
from plexus.record import machine, versions
from plexus.training import FIT, MEMORY, FitConfig, accuracy, engine
from plexus.training.export import with_pixels
from plexus.wiring import multiply_adds, parameters

RECORD = Path(__file__).parent / "results" / "front_door.json"
SIZES = (2_000, 8_500)
TESTED = 2_000
WIDTH = 104
"""Of the teacher, of the default family: about ten times the parameters."""


def images(place: str, count: int, seed: int, tested: int | None) -> Memory:
    """Draw images for training and validation, and the first of the test images."""
    data = load(place, seed=seed, limit=count)
    train = np.concatenate([data.train.images.numpy(), data.val.images.numpy()])
    labels = np.concatenate([data.train.labels.numpy(), data.val.labels.numpy()])
    test = data.test.images[:tested].numpy(), data.test.labels[:tested].numpy()
    return in_memory({"train": (train, labels), "test": test})


def train(memory: Memory, given: dict[str, Any] | None = None, **options: Any) -> tuple[dict[str, Any], Any]:
    """Train a net, and its linear head where it has a backbone: accuracies on test images, processor seconds."""
    work, config = time.process_time(), FitConfig(data=MEMORY, augment=options.pop("augment", None), **options)
    task: Any = engine.train_only(FIT, config, progress=False, given={"data": memory, **(given or {})})
    nets = {"final": task.trained.final, **{name: net for name, _, net in task.trained.controls}}
    spent = time.process_time() - work
    figures: dict[str, Any] = {
        "accuracy": {name: accuracy(net, task.normalize, task.seen.test) for name, net in nets.items()},
        "processor_seconds": spent, "phases": task.loop.spent, "parameters": parameters(task.trained.final),
        "macs": multiply_adds(task.trained.final, task.nets.pixels_shape),
    }  # fmt: skip
    if task.nets.front is not None:
        figures["backbone"] = {"parameters": task.nets.front.parameters, "macs": task.nets.front.macs}
    return figures, task


def backbone(place: str, results: Results, seeds: list[int], sizes: list[int], epochs: int, tested: int) -> None:
    """Train on the maps of EfficientNet-Lite0 at 112 pixels, and from scratch at 32 with the defaults."""
    for seed in seeds:
        for count in sizes:
            memory = None
            for name, options in (
                ("maps", {"backbone": "efficientnet-lite0", "size": 112, "epochs": epochs}),
                ("scratch", {"epochs": 24}),
            ):
                key = f"backbone/{count}/{name}/{seed}"
                if key not in results:
                    memory = memory or images(place, count, seed, tested)
                    results.put(key, train(memory, seed=seed, **options)[0])
    rows = {
        f"{count} {name}": [results.values[f"backbone/{count}/{kind}/{seed}"]["accuracy"][of] for seed in seeds]
        for count in sizes
        for name, kind, of in (
            ("wiring", "maps", "final"), ("linear head", "maps", "linear"), ("scratch", "scratch", "final")
        )
    }  # fmt: skip
    results.put(
        "backbone",
        {"accuracy": {name: {"mean": statistics.mean(v), "each": v} for name, v in rows.items()}, "seeds": seeds,
         "epochs": epochs, "tested": tested, "machine": machine(), "versions": versions("torch")},
    )  # fmt: skip


def distil(place: str, results: Results, seeds: list[int], count: int, epochs: int, tested: int | None) -> None:
    """Train a teacher, and the default net with and without it."""
    from safetensors.torch import load_file, save_file
    from scipy.stats import t

    memory, weights = images(place, count, 0, tested), results.path.with_suffix(".teacher.safetensors")
    if "distil/teacher" not in results or not weights.is_file():
        figures, task = train(memory, width=WIDTH, epochs=epochs)
        save_file(with_pixels(task.trained.final, task.normalize).state_dict(), weights)
        results.put("distil/teacher", figures)
    else:  # the layers that the same options leave, and the weights that were kept
        task = train(memory, width=WIDTH, epochs=1)[1]
    teacher = with_pixels(task.trained.final, task.normalize).eval()
    teacher.load_state_dict(load_file(weights))
    for seed in seeds:
        options = {"seed": seed, "epochs": epochs}
        for name, more in (("alone", {}), ("taught", {"teacher": MEMORY})):
            if (key := f"distil/{name}/{seed}") not in results:
                results.put(key, train(memory, {"teacher": teacher} if more else {}, **options, **more)[0])

    def each(name: str) -> list[float]:
        return [results.values[f"distil/{name}/{seed}"]["accuracy"]["final"] for seed in seeds]

    gains = [100 * (a - b) for a, b in zip(each("taught"), each("alone"), strict=True)]
    mean, width = statistics.mean(gains), 0.0
    if len(gains) > 1:
        width = float(t.ppf(0.975, len(gains) - 1)) * statistics.stdev(gains) / len(gains) ** 0.5
    large, small = results.values["distil/teacher"], results.values[f"distil/alone/{seeds[0]}"]
    results.put(
        "distil",
        {
            "points": {"mean": mean, "low": mean - width, "high": mean + width, "each": gains},
            "seeds": seeds,
            "teacher": large["accuracy"]["final"],
            "taught": each("taught"),
            "alone": each("alone"),
            "size_ratio": large["parameters"] / small["parameters"],
            "images": count,
            "epochs": epochs,
            "machine": machine(),
            "versions": versions("torch"),
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["backbone", "distil"])
    parser.add_argument("--data", required=True, help="CIFAR-10, a folder of parquet files or a hub id")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--images", type=int, nargs="+", help="for training and validation")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--tested", type=int, help="test images")
    given = parser.parse_args()
    kept = Results(given.record)
    if given.part == "backbone":
        backbone(
            given.data,
            kept,
            given.seeds or [0, 1, 2],
            given.images or list(SIZES),
            given.epochs,
            given.tested or TESTED,
        )
    else:
        distil(
            given.data, kept, given.seeds or [0, 1, 2, 3, 4], (given.images or [5_000])[0], given.epochs, given.tested
        )
