"""Invented records of representations for the tests of their page: plausible, complete, and the same every time."""

import math
import random
from typing import Any

from PIL import Image, ImageDraw

from tests.report.audits import _uri
from tests.report.records import HOSTILE

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
        "epochs": [_epoch(e, known=bool(classes)) for e in range(8)],
        "results": {
            "mse": 0.0123, "unexplained": 0.218, "turning": _turning(1.0),
            **({name: _share(v) for name, v in (("classifier", 0.912), ("linear", 0.934), ("knn", 0.903))}
               if classes else {}),
        },
        "units": {"dim": 16, "active": 15, "effective": 9.87, "divergence": None, "collapsed": False},
        "pictures": {
            "reconstructions": _picture(16, 2), "interpolations": _picture(11, 4), "neighbours": _picture(9, 8),
            "traversals": [{"deviation": 1.5 - 0.2 * k, "picture": _picture(9, 3)} for k in range(6)],
        },
        "map": {
            "x": [round(rng.random(), 4) for _ in labels], "y": [round(rng.random(), 4) for _ in labels],
            "labels": labels, "names": [f"{classes[k] if classes else 'all'}/{i:03}.png" for i, k in enumerate(labels)],
            "classes": list(classes), "sprite": _sprite(images), "tile": [TILE, TILE], "columns": COLUMNS,
        },
        "probe": {
            "data": "animals", "test": images,
            "rows": [
                _row(16, 0.25, own=True),
                *(_row(dim, 0.25) for dim in DIMS),
                *(_row(16, balance) for balance in BALANCES if balance != 0.25),
            ],
        },
        "fewshot": [_fewshot(5, 1), _fewshot(5, 5)],
        "variations": [
            {"kind": "interpolation", "image": "tom.png", "to": "rex.png", "steps": 9, "reach": 2.0,
             "picture": _picture(11, 1)},
            {"kind": "directions", "image": "tom.png", "to": None, "steps": 9, "reach": 2.0,
             "picture": _picture(10, 8)},
        ],
        "onnx_difference": {"encoder.onnx": 1e-6, "decoder.onnx": 1e-5},
        "seconds": {"train": 61.0, "judge": 4.2},
    }  # fmt: skip
    return made | parts


def _share(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.031, "high": value + 0.028, "n": 60}


def _epoch(e: int, *, known: bool) -> dict[str, Any]:
    return {
        "phase": "train", "epoch": e, "train_loss": 1.2 * 0.8**e, "val_unexplained": 0.2 + 0.6 * 0.6**e,
        "val_accuracy": 0.92 - 0.6 * 0.5**e if known else None, "active": 15, "divergence": None, "seconds": 4.2,
    }  # fmt: skip


def _turning(size: float) -> dict[str, Any]:
    angles = list(range(0, 360, 15))
    return {"angles": angles, "moved": [size * abs(math.sin(math.radians(a / 2))) for a in angles], "images": 200}


def _row(dim: int, balance: float, *, own: bool = False) -> dict[str, Any]:
    return {
        "dim": dim, "balance": balance, "objective": "ae", "own": own, "mse": 0.01, "active": dim - 1,
        "unexplained": 0.15 + 0.3 * balance + 0.5 / dim, "knn": _share(0.80 + 0.1 * balance),
        "linear": _share(0.84 + 0.1 * balance), "turning": _turning(0.8),
    }  # fmt: skip


def _fewshot(ways: int, shots: int) -> dict[str, Any]:
    means = {"prototype": 0.61 + 0.04 * shots, "logistic": 0.6 + 0.05 * shots, "pixels": 0.45 + 0.03 * shots}
    return {
        "data": "animals", "classes": ["bee", "cow", "fox", "owl", "yak"], "trained_on": list(CLASSES), "ways": ways,
        "shots": shots, "queries": 15, "episodes": 1000, "seed": 0,
        "heads": {name: {"mean": m, "low": m - 0.005, "high": m + 0.005} for name, m in means.items()},
        "gains": {
            name: {"mean": means[name] - means["pixels"], "low": 0.1, "high": 0.2} for name in ("prototype", "logistic")
        },
    }  # fmt: skip


def _picture(columns: int, rows: int) -> str:
    return _uri(Image.linear_gradient("L").resize((30 * columns - 2, 30 * rows - 2)), "PNG")


def tint(i: int) -> tuple[int, int, int]:
    """Colour of thumbnail number i."""
    return (40 + 3 * (i % 60), 200 - 2 * (i % 60), 120)


def _sprite(images: int) -> str:
    sprite = Image.new("RGB", (TILE * COLUMNS, TILE * -(-images // COLUMNS)), "white")
    pen = ImageDraw.Draw(sprite)
    for i in range(images):
        x, y = TILE * (i % COLUMNS), TILE * (i // COLUMNS)
        pen.rectangle((x, y, x + TILE - 1, y + TILE - 1), fill=tint(i))
    return _uri(sprite, "PNG")


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
