"""Segmentation on real ultrasound, and what its parts cost, each with its target.

Command: python benchmarks/segment.py PART... [--usgra FOLDER] [--results FOLDER] [--out FILE] [--work FOLDER]
    nerve     the modern default against the notes' network, five leak-free folds, 160x160       (30 minutes)
    absence   the gates on crops of which 60 % are empty, from the records of `plexus study run absence`
    frame     the default net on one image of 256x256, as ONNX, float and int8; its weights fresh, which costs the same
    rle       run lengths of 1,000 masks 420x580, encoded and decoded
    report    prints all results so far as a table
USGRA is usgra-seg by Timm Kandaouroff (CC-BY 4.0), as pairs NAME.png and NAME_mask.png below train and test. A training
that was stopped goes on where it was. Times are of one process; every number is kept in FILE as soon as it is known.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from measure import Results, medians

from plexus.audit import audit, write_files
from plexus.data import open_samples
from plexus.metrics import Interval, bootstrap, paired_bootstrap
from plexus.record import AuditRecord, machine, versions
from plexus.segment import SegmentConfig, finished, resume, train
from plexus.segment.nets import Segmenter, build, export
from plexus.segment.rle import decode, encode
from plexus.training import Normalize, export_int8
from plexus.training.onnx_model import milliseconds

HERE = Path(__file__).parent
USGRA = HERE.parents[1] / "shared" / "data" / "usgra"
EPOCHS, WIDTH = 25, 8
NETS: dict[str, dict[str, Any]] = {
    "modern": {"preset": "modern", "stem": 2, "loss": "image"},
    "nerve": {"preset": "nerve", "loss": "batch"},
}
VARIED: dict[str, Any] = {
    "rotation": 5.0, "shift": 0.0625, "gain": 0.1, "elastic": 0.0, "flip": False, "lr": 0.01,
}  # fmt: skip
"""As the notes vary images, and learn."""
SIDE = 256
GATES = ("none", "threshold", "expected")


def nerve(results: Results, given: argparse.Namespace) -> None:
    """Each net on each fold of the audit; every image is measured by the net that did not see it."""
    samples = open_samples(given.usgra)
    found = audit(samples, seed=0)
    write_files(found, given.work / "audit")
    scores, clusters = {}, _clusters(found.findings)
    for name, options in NETS.items():
        run = given.work / name
        if run.exists():
            finished(run) or resume(run)
        else:
            config = SegmentConfig(
                data=str(given.usgra), folds=str(given.work / "audit" / "folds.json"), width=WIDTH, epochs=EPOCHS,
                gate="none", onnx=False, **VARIED, **options,
            )  # fmt: skip
            train(config, run=run)
        record = json.loads((run / "record.json").read_text())
        rows = record["images"]
        scores[name] = {row["name"]: 100 * row["dice"] for row in rows}
        values = list(scores[name].values())
        results.put(f"nerve/{name}", _said(bootstrap(values, [clusters[row["name"]] for row in rows])))
        results.put(f"nerve/{name} parameters", record["model"]["parameters"])
        results.put(f"nerve/{name} hausdorff95", record["results"]["none"]["hausdorff95"])
    names = sorted(scores["modern"])
    pairs = [[scores[net][name] for name in names] for net in ("modern", "nerve")]
    results.put("nerve/modern - nerve", _said(paired_bootstrap(*pairs, [clusters[name] for name in names])))


def absence(results: Results, given: argparse.Namespace) -> None:
    """Every crop is a test image once; what is drawn anew are the clusters of the images they come from."""
    scores: dict[str, list[float]] = {gate: [] for gate in GATES}
    groups: list[str] = []
    for path in sorted((given.results / "absence" / "standard").glob("none~*.json")):
        for gate in GATES:
            record = json.loads(path.with_name(path.name.replace("none", gate)).read_text())
            scores[gate] += record["metrics"]["images"]
        groups += record["metrics"]["groups"]
    for gate in GATES:
        results.put(f"absence/{gate}", _said(bootstrap(scores[gate], groups)))
    for a, b in (("threshold", "none"), ("expected", "threshold"), ("expected", "none")):
        results.put(f"absence/{a} - {b}", _said(paired_bootstrap(scores[a], scores[b], groups)))


def rle(results: Results, given: argparse.Namespace) -> None:
    """Ellipses of the sizes of nerves."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:420, :580]
    masks = [
        ((y - random.integers(50, 370)) / random.integers(20, 60)) ** 2
        + ((x - random.integers(60, 520)) / random.integers(30, 90)) ** 2
        < 1
        for _ in range(1000)
    ]
    start = time.process_time()
    texts = [encode(mask) for mask in masks]
    middle = time.process_time()
    back = [decode(text, (420, 580)) for text in texts]
    end = time.process_time()
    assert all(np.array_equal(a, b) for a, b in zip(masks, back, strict=True))
    results.put("rle/encode", middle - start)
    results.put("rle/decode", end - middle)


def frame(results: Results, given: argparse.Namespace) -> None:
    """Processor time of one thread, which a busy machine changes little, and what two threads take as it is now."""
    config = SegmentConfig(data="none", size=SIDE)
    net = Segmenter(build(config, 1, 0), Normalize(torch.tensor([100.0]), torch.tensor([50.0]))).eval()
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.rayleigh(50, (64, 1, SIDE, SIDE)).clip(0, 255).astype(np.uint8))
    given.work.mkdir(parents=True, exist_ok=True)
    files = {name: given.work / f"frame-{name}.onnx" for name in ("float", "int8")}
    export(net, files["float"], (1, SIDE, SIDE))
    export_int8(files["float"], files["int8"], images, arithmetic="int8")
    for name, file in files.items():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        one = images[:1].float().numpy()
        both = medians({"two": lambda one=one, session=session: session.run(None, {"pixels": one})}, runs=30)["two"]
        facts = {
            "ms": milliseconds(file.read_bytes(), (1, SIDE, SIDE)), "two_threads_wall_ms": both, "kb":
            file.stat().st_size / 1000, "parameters": sum(p.numel() for p in net.parameters()),
            "load": os.getloadavg()[0], "machine": machine(), "versions": versions("onnxruntime", "torch"),
        }  # fmt: skip
        results.put(f"frame/{name}", facts)


def report(results: Results, given: argparse.Namespace) -> None:
    """The table of docs/benchmarks.md."""
    known = results.values
    rows = [
        (f"nerve, five leak-free folds: {net}, mean Dice", "", f"nerve/{net}", "%") for net in ("modern", "nerve")
    ] + [("modern minus nerve, paired", "", "nerve/modern - nerve", "pt")]
    rows += [(f"absence set: gate {gate}, mean Dice", "", f"absence/{gate}", "%") for gate in GATES]
    rows += [
        ("absence set: threshold minus none", ">= 0", "absence/threshold - none", "pt"),
        ("absence set: expected minus threshold", ">= 0", "absence/expected - threshold", "pt"),
        ("absence set: expected minus none", ">= 0", "absence/expected - none", "pt"),
    ]
    print("| figure | target | measured |\n| --- | --- | --- |")
    for label, target, key, unit in rows:
        if key in known:
            v = known[key]
            sign = "+" if unit == "pt" else ""
            middle = format(v["mean"], f"{sign}.1f")
            print(f"| {label} | {target} | {middle} ({v['low']:.1f} to {v['high']:.1f}) {unit} |")
    for name in ("float", "int8"):
        if f"frame/{name}" in known:
            took = known[f"frame/{name}"]["ms"]
            print(f"| the default net, a frame of 256x256 as ONNX, {name}, one thread | <= 30 ms | {took:.1f} ms |")
    if "rle/encode" in known:
        both = known["rle/encode"] + known["rle/decode"]
        print(f"| run lengths of 1,000 masks 420x580, encoded and decoded, CPU time | <= 1 s | {both:.2f} s |")


def _clusters(findings: AuditRecord) -> dict[str, str]:
    """Image -> its cluster of near-duplicates, or itself."""
    return {i.name: i.name if i.cluster is None else f"cluster {i.cluster}" for i in findings.images}


def _said(found: Interval) -> dict[str, float]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": found.n}


PARTS = {"nerve": nerve, "absence": absence, "frame": frame, "rle": rle, "report": report}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--usgra", type=Path, default=USGRA)
    parser.add_argument("--results", type=Path, default=HERE.parent / "results", help="records of the studies")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "segment.json")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "plexus-segment")
    arguments = parser.parse_args()
    for part in arguments.parts:
        PARTS[part](Results(arguments.out), arguments)
