"""Invented records of segmentations and representations: plausible, complete, and the same every time."""

import math
import random
from typing import Any

from PIL import Image, ImageDraw

from tests.report.records import HOSTILE, uri

FOLDS = 3
RESULTS = {"none": (0.601, 0.75, 0, 9), "0.5": (0.652, 0.7, 3, 4), "expected": (0.674, 0.71, 5, 2)}
"""Gate -> Dice, Dice of images with a target, targets missed, false masks."""


def make_segment(images: int = 60, *, name: str = "nerves", **parts: Any) -> dict[str, Any]:
    """A finished run of three folds; every fourth image has no target."""
    rng = random.Random(images)
    lines = [_segment_line(i, rng) for i in range(images)]
    there = sum(line["truth_area"] > 0 for line in lines)
    worst = sorted(lines, key=lambda line: (line["dice"], line["name"]))[:8]
    made: dict[str, Any] = {
        "format": 1,
        "kind": "segment",
        "created": "2026-03-14T09:26:53Z",
        "command": f"plexus segment train {name} --cv 3",
        "seed": 3,
        "finished": True,
        "config": {"data": name, "cv": 3, "size": [160, 160], "lr": 0.001, "neuron": "plain", "folds": None},
        "versions": {"plexus": "0.3.0", "python": "3.11.7", "torch": "2.13.0"},
        "machine": {"processor": "Example CPU 3.0 GHz", "cores": 2},
        "data": {
            "name": name, "fingerprint": "sha256:5f2b9c0e71d34a88", "images": images, "present": there, "groups": 7,
            "size": [160, 160], "skipped": ["broken-7.png: cannot identify image file"], "notes": ["2 soft masks"],
        },
        "model": {
            "preset": "modern", "parameters": 1_234_567, "neuron": "plain", "wiring": None, "latency_ms": 12.345,
        },
        "folds": [
            {
                "fold": k, "train": 2 * images // 3, "validation": images // 3,
                "epochs": [_segment_epoch(e, k, rng) for e in range(12)], "wiring": _segment_wiring(k),
            }
            for k in range(FOLDS)
        ],
        "gate": {
            "kind": "expected", "threshold": 0.5, "slope": 1.234, "offset": -0.25, "expected_dice": 0.777,
            "mask_threshold": 0.45, "min_area": 20,
        },
        "measured_on": "out-of-fold images",
        "results": {gate: _segment_result(*figures, images, there) for gate, figures in RESULTS.items()},
        "chosen": "expected",
        "images": lines,
        "calibration": [
            {"low": b / 10, "high": (b + 1) / 10, "predicted": b / 10 + 0.04, "observed": min(1, b / 9), "count": 3 + b}
            for b in range(10)
        ],
        "shown": [_segment_shown(line) for line in worst],
        "seconds": {"fold 0": 61.0, "judge": 4.2, "total": 187.3},
    }  # fmt: skip
    return made | parts


def _segment_line(i: int, rng: random.Random) -> dict[str, Any]:
    there = i % 4 != 3
    said = rng.random() < 0.9 if there else rng.random() < 0.25
    dice = round(rng.betavariate(6, 2), 4) if there and said else float(not there and not said)
    return {
        "name": f"{i // 10 + 1}_{i}.png", "group": str(i // 10 + 1), "fold": i % FOLDS,
        "truth_area": round(rng.uniform(0.01, 0.08), 4) if there else 0.0,
        "area": round(rng.uniform(0.01, 0.08), 4) * said,
        "presence": round(rng.betavariate(5, 2) if there else rng.betavariate(2, 5), 4), "dice": dice,
        "hausdorff95": round(rng.uniform(2, 30), 2) if there and said else None, "emptied": not said and i % 2 == 0,
    }  # fmt: skip


def _segment_epoch(e: int, k: int, rng: random.Random) -> dict[str, Any]:
    loss = 0.9 * 0.8**e + 0.02 * k
    return {
        "epoch": e, "train_loss": round(loss, 4), "val_loss": round(loss + 0.1 + 0.02 * rng.random(), 4),
        "val_dice": round(0.75 - 0.6 * 0.75**e - 0.03 * k, 4), "seconds": 4.2,
    }  # fmt: skip


def _segment_wiring(k: int) -> dict[str, Any]:
    pairs = [(f"enc{s}", f"dec{t}") for t in (4, 3, 2, 1) for s in range(1, 6) if s + t != 5 + k % 2]
    edges = [{"source": s, "target": t, "strength": 0.1 * int(s[3]) + 0.05 * int(t[3])} for s, t in pairs]
    return {"format": 1, "nodes": [*(f"enc{i}" for i in range(1, 6)), "dec4", "dec3", "dec2", "dec1"], "edges": edges}


def _segment_result(dice: float, present: float, missed: int, false: int, images: int, there: int) -> dict[str, Any]:
    def around(mean: float, n: int) -> dict[str, Any]:
        return {"mean": mean, "low": round(mean - 0.031, 4), "high": round(mean + 0.028, 4), "n": n}

    return {
        "dice": around(dice, images), "dice_present": around(present, there),
        "dice_nan_skipped": around(dice - 0.1, there + 3),
        "hausdorff95": around(12.34, there - missed),
        "presence": {
            "auc": 0.912, "accuracy": 1 - (missed + false) / images, "false_positives": false,
            "false_negatives": missed,
            "positives": there, "negatives": images - there,
        },
    }  # fmt: skip


def _segment_shown(line: dict[str, Any]) -> dict[str, Any]:
    image = Image.linear_gradient("L").resize((120, 90))
    boxes = {"truth": (30, 20, 70, 50), "prediction": (50, 30, 95, 60)}
    if not line["truth_area"]:
        del boxes["truth"]
    if not line["area"]:
        boxes.pop("prediction", None)
    colors = {"truth": (0, 158, 115, 255), "prediction": (230, 159, 0, 255)}
    layers = {key: Image.new("RGBA", image.size) for key in (*colors, "error")}
    for key, box in boxes.items():
        ImageDraw.Draw(layers[key]).ellipse(box, fill=colors[key])
        ImageDraw.Draw(layers["error"]).ellipse(box, fill=(86, 180, 233, 255) if key == "truth" else (213, 94, 0, 255))
    return {
        **{key: line[key] for key in ("name", "dice", "presence", "truth_area", "area")},
        "image": uri(image, "JPEG"), **{key: uri(layer, "PNG") for key, layer in layers.items()},
    }  # fmt: skip


def hostile_segment() -> dict[str, Any]:
    """Every text that may come from a user tries to become an element; some of it is very long, too."""
    made = make_segment(name=HOSTILE)
    made["command"] = f"plexus segment train '{HOSTILE}' {'long/' * 40}"
    made["data"] |= {"fingerprint": HOSTILE, "skipped": [HOSTILE], "notes": [f"</script>{HOSTILE}", "a" * 120]}
    made["config"] |= {HOSTILE: "b" * 90}
    made["measured_on"] = HOSTILE
    made["results"][HOSTILE] = made["results"].pop("expected")
    made["chosen"] = HOSTILE
    for line in (*made["images"], *made["shown"]):
        line["name"] = f"{'deep/' * 30}{HOSTILE}"
    for line in made["images"]:
        line["group"] = HOSTILE
    made["shown"][0] |= {"image": HOSTILE}
    made["shown"][1] |= {"truth": "javascript:alert(1)", "error": HOSTILE}
    for fold in made["folds"]:
        fold["wiring"]["nodes"][0] = HOSTILE
        for edge in fold["wiring"]["edges"]:
            edge["source"] = HOSTILE if edge["source"] == "enc1" else edge["source"]
    return made


CLASSES = ("cat", "dog", "horse", "ship")
BALANCES = (0.0, 0.25, 0.5, 1.0)
DIMS = (8, 32)
TILE, COLUMNS = 12, 10


def make_represent(images: int = 60, *, classes: tuple[str, ...] = CLASSES, **parts: Any) -> dict[str, Any]:
    """A finished run that was probed, tested with few shots and varied."""
    rng = random.Random(images)
    labels = [i % len(classes) if classes else -1 for i in range(images)]
    made: dict[str, Any] = {
        "format": 1,
        "kind": "represent",
        "created": "2026-03-14T09:26:53Z",
        "command": "plexus represent train animals --dim 16",
        "seed": 3,
        "finished": True,
        "config": {"data": "animals", "dim": 16, "balance": 0.25, "objective": "ae", "labels": "10", "wiring": None},
        "versions": {"plexus": "0.3.0", "python": "3.11.7", "torch": "2.13.0"},
        "machine": {"processor": "Example CPU 3.0 GHz", "cores": 2},
        "data": {
            "name": "animals", "fingerprint": "sha256:5f2b9c0e71d34a88", "classes": list(classes),
            "in_shape": [1, 28, 28], "counts": {"train": 1234, "val": 100, "test": images},
            "labelled": 40 if classes else 0, "skipped": ["broken-7.png: cannot identify image file"],
        },
        "model": {"parameters": 123_456, "encoder": 54_321, "wiring": None},
        "epochs": [_represent_epoch(e, known=bool(classes)) for e in range(8)],
        "results": {
            "mse": 0.0123, "unexplained": 0.218, "turning": _represent_turning(1.0),
            **({name: _represent_share(v) for name, v in (("classifier", 0.912), ("linear", 0.934), ("knn", 0.903))}
               if classes else {}),
        },
        "units": {"dim": 16, "active": 15, "effective": 9.87, "divergence": None, "collapsed": False},
        "pictures": {
            "reconstructions": _represent_picture(16, 2), "interpolations": _represent_picture(11, 4),
            "neighbours": _represent_picture(9, 8),
            "traversals": [{"deviation": 1.5 - 0.2 * k, "picture": _represent_picture(9, 3)} for k in range(6)],
        },
        "map": {
            "x": [round(rng.random(), 4) for _ in labels], "y": [round(rng.random(), 4) for _ in labels],
            "labels": labels, "names": [f"{classes[k] if classes else 'all'}/{i:03}.png" for i, k in enumerate(labels)],
            "classes": list(classes), "sprite": _represent_sprite(images), "tile": [TILE, TILE], "columns": COLUMNS,
        },
        "probe": {
            "data": "animals", "test": images,
            "rows": [
                _represent_row(16, 0.25, own=True),
                *(_represent_row(dim, 0.25) for dim in DIMS),
                *(_represent_row(16, balance) for balance in BALANCES if balance != 0.25),
            ],
        },
        "fewshot": [_represent_fewshot(5, 1), _represent_fewshot(5, 5)],
        "variations": [
            {"kind": "interpolation", "image": "tom.png", "to": "rex.png", "steps": 9, "reach": 2.0,
             "picture": _represent_picture(11, 1)},
            {"kind": "directions", "image": "tom.png", "to": None, "steps": 9, "reach": 2.0,
             "picture": _represent_picture(10, 8)},
        ],
        "onnx_difference": {"encoder.onnx": 1e-6, "decoder.onnx": 1e-5},
        "seconds": {"train": 61.0, "judge": 4.2},
    }  # fmt: skip
    return made | parts


def _represent_share(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.031, "high": value + 0.028, "n": 60}


def _represent_epoch(e: int, *, known: bool) -> dict[str, Any]:
    return {
        "phase": "train", "epoch": e, "train_loss": 1.2 * 0.8**e, "val_unexplained": 0.2 + 0.6 * 0.6**e,
        "val_accuracy": 0.92 - 0.6 * 0.5**e if known else None, "active": 15, "divergence": None, "seconds": 4.2,
    }  # fmt: skip


def _represent_turning(size: float) -> dict[str, Any]:
    angles = list(range(0, 360, 15))
    return {"angles": angles, "moved": [size * abs(math.sin(math.radians(a / 2))) for a in angles], "images": 200}


def _represent_row(dim: int, balance: float, *, own: bool = False) -> dict[str, Any]:
    return {
        "dim": dim, "balance": balance, "objective": "ae", "own": own, "mse": 0.01, "active": dim - 1,
        "unexplained": 0.15 + 0.3 * balance + 0.5 / dim, "knn": _represent_share(0.80 + 0.1 * balance),
        "linear": _represent_share(0.84 + 0.1 * balance), "turning": _represent_turning(0.8),
    }  # fmt: skip


def _represent_fewshot(ways: int, shots: int) -> dict[str, Any]:
    means = {"prototype": 0.61 + 0.04 * shots, "logistic": 0.6 + 0.05 * shots, "pixels": 0.45 + 0.03 * shots}
    return {
        "data": "animals", "classes": ["bee", "cow", "fox", "owl", "yak"], "trained_on": list(CLASSES), "ways": ways,
        "shots": shots, "queries": 15, "episodes": 1000, "seed": 0,
        "heads": {name: {"mean": m, "low": m - 0.005, "high": m + 0.005} for name, m in means.items()},
        "gains": {
            name: {"mean": means[name] - means["pixels"], "low": 0.1, "high": 0.2} for name in ("prototype", "logistic")
        },
    }  # fmt: skip


def _represent_picture(columns: int, rows: int) -> str:
    return uri(Image.linear_gradient("L").resize((30 * columns - 2, 30 * rows - 2)), "PNG")


def tint(i: int) -> tuple[int, int, int]:
    """Colour of thumbnail number i."""
    return (40 + 3 * (i % 60), 200 - 2 * (i % 60), 120)


def _represent_sprite(images: int) -> str:
    sprite = Image.new("RGB", (TILE * COLUMNS, TILE * -(-images // COLUMNS)), "white")
    pen = ImageDraw.Draw(sprite)
    for i in range(images):
        x, y = TILE * (i % COLUMNS), TILE * (i // COLUMNS)
        pen.rectangle((x, y, x + TILE - 1, y + TILE - 1), fill=tint(i))
    return uri(sprite, "PNG")


def hostile_represent() -> dict[str, Any]:
    """Every text that may come from a user tries to become an element; some of it is very long, too."""
    made = make_represent(classes=(HOSTILE, "b" * 90, "dog"))
    made["command"] = f"plexus represent train '{HOSTILE}' {'long/' * 40}"
    made["data"] |= {"name": HOSTILE, "fingerprint": HOSTILE, "skipped": [HOSTILE, "a" * 120]}
    made["config"] |= {HOSTILE: "b" * 90, "objective": HOSTILE}
    made["map"]["names"] = [f"{'deep/' * 30}{HOSTILE}</script>{HOSTILE}" for _ in made["map"]["names"]]
    made["probe"]["data"] = HOSTILE
    made["fewshot"][0]["classes"] = [HOSTILE, "c" * 120]
    made["fewshot"][0]["heads"][HOSTILE] = made["fewshot"][0]["heads"].pop("logistic")
    made["variations"][0] |= {"image": HOSTILE, "to": "d" * 120, "kind": HOSTILE}
    made["variations"][1] |= {"picture": f"javascript:{HOSTILE}"}
    made["pictures"]["neighbours"] = HOSTILE
    made["pictures"]["traversals"][0]["picture"] = "https://example.com/a.png"
    made["pictures"]["interpolations"] = "data:image/svg+xml;base64,PHN2Zy8+"
    return made
