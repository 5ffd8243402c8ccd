"""One Z for reconstruction and recognition, against its targets.

Command: python benchmarks/represent.py PART... [--mnist SPEC] [--cifar SPEC] [--seeds N ...] [--work DIR]
    labels    MNIST with 10 labels a class: test error, and reconstruction against a plain autoencoder    (30 minutes)
    fewer     MNIST with 2, 5 and 10 labels a class, 12,000 images                                        (15 minutes)
    photos    CIFAR-10 with 100 labels a class: beside the labels alone, at both balances                 (25 minutes)
    fewshot   5-way 1-shot on classes never seen: MNIST 5 to 9, CIFAR-10 vehicles (4-way)                 (20 minutes)
    balance   recognition and reconstruction over five balances, and over four sizes of Z                 (15 minutes)
    methods   what images without labels should teach                                                     (15 minutes)
    start     networks that start from Z, from the records of `plexus study run representation`
    report    prints all results so far as a table
MNIST is ylecun/mnist, CIFAR-10 uoft-cs/cifar10, from the hub or as folders of their parquet files. A training that was
stopped goes on where it was; every number is kept in FILE as soon as it is known. Minutes are of two processes, one
for each of two cores, as with --seeds 0 1 and --seeds 2.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import Results

from plexus.represent import RepresentConfig, fewshot, finished, probe, resume, train
from plexus.represent.episodes import interval

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
FEW: dict[str, Any] = {"labels": "10", "balance": 0.05, "epochs": 14, "batch_size": 256, "onnx": False}
SMALL: dict[str, Any] = {"labels": "10", "limit": 12_000, "epochs": 10, "onnx": False}
PHOTOS: dict[str, Any] = {"labels": "100", "limit": 15_000, "epochs": 10, "flip": True, "gain": 0.2, "onnx": False}
PLAIN: dict[str, Any] = {"labels": "none", "balance": 0.0}
TAUGHT = {f"fewer/{n}": f"MNIST, 12,000 images, {n} labels a class" for n in (2, 5, 10)} | {
    f"photos/{name}": f"CIFAR-10, 100 labels a class, {name}" for name in ("joint", "recogniser", "labels")
}
DIGITS = ("0", "1", "2", "3", "4")
ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
SHOTS: dict[str, dict[str, Any]] = {
    "mnist": {"classes": DIGITS, "epochs": 6, "batch_size": 256, "onnx": False},
    "cifar": {"classes": ANIMALS, "epochs": 6, "limit": 15_000, "batch_size": 256, "flip": True, "gain": 0.2,
              "onnx": False},
}  # fmt: skip


def trained(given: argparse.Namespace, name: str, config: RepresentConfig) -> tuple[Path, dict[str, Any]]:
    """A run that is there, whole, and its record."""
    run = given.work / name
    if not run.exists():
        train(config, run=run)
    elif not finished(run):
        resume(run)
    return run, json.loads((run / "record.json").read_text())


def labels(results: Results, given: argparse.Namespace) -> None:
    """Every seed draws its own labels; both nets see the same images."""
    for seed in given.seeds:
        joint = RepresentConfig(data=given.mnist, seed=seed, **FEW)
        for name, config in (("joint", joint), ("plain", replace(joint, **PLAIN))):
            _, record = trained(given, f"labels-{name}-{seed}", config)
            results.put(f"labels/{name}/{seed}", _kept(record))


def fewer(results: Results, given: argparse.Namespace) -> None:
    """Labels a class from few to very few; every seed draws its own."""
    for seed in given.seeds:
        for count in ("2", "5", "10"):
            config = RepresentConfig(data=given.mnist, seed=seed, **{**SMALL, "labels": count})
            _, record = trained(given, f"fewer-{count}-{seed}", config)
            results.put(f"fewer/{count}/{seed}", _kept(record))


def photos(results: Results, given: argparse.Namespace) -> None:
    """The same labels, images and epochs; the plain net is the same encoder and classifier, taught by labels alone."""
    for seed in given.seeds:
        joint = RepresentConfig(data=given.cifar, seed=seed, **PHOTOS)
        recogniser = replace(joint, balance=1.0)
        for name, config in (
            ("joint", joint), ("recogniser", recogniser), ("labels", replace(recogniser, consistency="none"))
        ):  # fmt: skip
            _, record = trained(given, f"photos-{name}-{seed}", config)
            results.put(f"photos/{name}/{seed}", _kept(record))


def shots(results: Results, given: argparse.Namespace) -> None:
    """Every seed is a training of its own; episodes are drawn by the seed, alike for both nets."""
    for seed in given.seeds:
        for data, options in SHOTS.items():
            joint = RepresentConfig(data=getattr(given, data), seed=seed, balance=0.5, **options)
            for name, config in (("joint", joint), ("plain", replace(joint, **PLAIN))):
                run, _ = trained(given, f"shots-{data}-{name}-{seed}", config)
                ways = 5 if data == "mnist" else 4
                found = fewshot(run, getattr(given, data), ways=ways, seed=seed)
                results.put(f"shots/{data}/{name}/{seed}", {"heads": found["heads"], "gains": found["gains"]})


def balance(results: Results, given: argparse.Namespace) -> None:
    """Siblings of one run, each with one option changed; the classes of all test images are asked for."""
    base = RepresentConfig(data=given.mnist, **SMALL)
    run, _ = trained(given, "balance", base)
    for row in probe(run, given.mnist, balances=(0.0, 0.25, 0.5, 0.75, 1.0), dims=(8, 16, 32)):
        kept = {key: row[key] for key in ("dim", "balance", "mse", "unexplained", "knn", "linear", "active")}
        results.put(f"balance/{row['dim']}/{row['balance']:g}", kept)


def methods(results: Results, given: argparse.Namespace) -> None:
    """The same images, epochs and balance; only what the images without labels teach changes."""
    base = RepresentConfig(data=given.mnist, **SMALL)
    for seed in given.seeds:
        for labelled, kinds in (("10", ("pseudo", "contrast", "none")), ("none", ("contrast", "none"))):
            for kind in kinds:
                config = replace(base, seed=seed, labels=labelled, consistency=kind)
                _, record = trained(given, f"methods-{labelled}-{kind}-{seed}", config)
                results.put(f"methods/{labelled}/{kind}/{seed}", _kept(record))


def start(results: Results, given: argparse.Namespace) -> None:
    """Epochs and seconds to the accuracy that the net on pixels ends with, in the mean over seeds."""
    for path in sorted((given.results / "representation").glob("*/*.json")):
        record = json.loads(path.read_text())
        metrics = {key: value for key, value in record["metrics"].items() if isinstance(value, int | float)}
        curve = record["metrics"]["val_accuracy_curve"]
        results.put(f"start/{record['data']['spec']}/{record['variant']}/{record['seed']}", metrics | {"curve": curve})


def report(results: Results, given: argparse.Namespace) -> None:
    """The table of docs/benchmarks.md."""
    known = results.values
    print("| figure | target | measured |\n| --- | --- | --- |")
    joint, plain = (_seeds(known, f"labels/{name}") for name in ("joint", "plain"))
    if joint:
        error = [100 * (1 - row["classifier"]["value"]) for row in joint.values()]
        print(f"| MNIST, 100 labels, 51,000 images, Z of 64: test error | <= 1.5 %, stretch .9 % | {_span(error)} % |")
        more = [100 * (joint[s]["mse"] / plain[s]["mse"] - 1) for s in joint if s in plain]
        print(f"| the same Z: squared error over a plain autoencoder's | <= 10 %, stretch 5 % | {_span(more)} % |")
    for key, text in TAUGHT.items():
        if rows := _seeds(known, key):
            values = [100 * (1 - row["classifier"]["value"]) for row in rows.values()]
            print(f"| {text}: test error | | {_span(values)} % |")
    for data in SHOTS:
        for name in ("joint", "plain"):
            for head in ("prototype", "logistic", "pixels"):
                if rows := _seeds(known, f"shots/{data}/{name}"):
                    values = [100 * row["heads"][head]["mean"] for row in rows.values()]
                    print(f"| {data}, 1 shot, {name}, {head} | | {_span(values)} % |")
    for key, row in known.items():
        if key.startswith("balance/"):
            print(f"| Z of {row['dim']}, balance {row['balance']:g} | | k-NN {100 * row['knn']['value']:.1f} %, linear "
                  f"{100 * row['linear']['value']:.1f} %, error {row['mse']:.4f} |")  # fmt: skip
    for key in sorted({key.rpartition("/")[0] for key in known if key.startswith("methods/")}):
        rows = _seeds(known, key)
        text = f"k-NN error {_span([100 * (1 - row['knn']['value']) for row in rows.values()])} %"
        if "classifier" in next(iter(rows.values())):
            text = f"test error {_span([100 * (1 - row['classifier']['value']) for row in rows.values()])} %, {text}"
        print(f"| labels {key.split('/')[1]}, images without labels teach {key.split('/')[2]} | | {text} |")


def _kept(record: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in record["results"].items() if key != "turning"}
    return found | {"active": record["units"]["active"], "seconds": record["seconds"]["train"]}


def _seeds(known: dict[str, Any], key: str) -> dict[str, Any]:
    return {name.rpartition("/")[2]: row for name, row in known.items() if name.rpartition("/")[0] == key}


def _span(values: list[float]) -> str:
    """Mean with its 95 % interval over seeds, or the lone value."""
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else "-"
    found = interval(np.array(values))
    return f"{found['mean']:.1f} ({found['low']:.1f} to {found['high']:.1f})"


PARTS = {
    "labels": labels, "fewer": fewer, "photos": photos, "fewshot": shots, "balance": balance, "methods": methods,
    "start": start, "report": report,
}  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--mnist", default=str(DATA / "mnist"), help="ylecun/mnist")
    parser.add_argument("--cifar", default=str(DATA / "cifar10"), help="uoft-cs/cifar10")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=HERE.parent / "results", help="records of the studies")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "represent.json")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "plexus-represent")
    arguments = parser.parse_args()
    for part in arguments.parts:
        PARTS[part](Results(arguments.out), arguments)
