"""Invented run records for the tests of the report: plausible, complete, and the same every time."""

import base64
import io
import math
import random
from typing import Any

from PIL import Image

from plexus.record import FitRecord

HOSTILE = '<img src=x onerror="window.pwned=1">'
LONG = "a/very/long/path/" * 12
PHASES = (("chain", 12), ("learn", 12), ("final", 12))
SHARES = (1.0, 0.8, 0.6, 0.45, 0.3, 0.2, 0.15)


def make_record(legos: int = 9, *, seed: int = 0, classes: tuple[str, ...] | None = None, **parts: Any) -> FitRecord:
    """A finished run of `legos` layers, n (n + 3) / 2 connections; `parts` replace whole parts of the record."""
    rng = random.Random(f"{seed} {legos}")
    classes = classes or tuple("0123456789")
    nodes = ["input", *(f"lego{i + 1}" for i in range(legos)), "head"]
    edges = _edges(nodes, rng)
    budgets = _budgets(edges, rng)
    chosen = min(4, len(budgets) - 1)
    for i, edge in enumerate(edges):
        edge["kept"] = i in budgets[chosen]["kept"]
    confusion = _confusion(len(classes), rng)
    made: dict[str, Any] = {
        "created": "2026-03-14T09:26:53Z",
        "command": "plexus fit digits --keep 0.3 --seed 0",
        "seed": seed,
        "finished": True,
        "config": {"keep": 0.3, "epochs": 12, "learning_rate": 0.006, "anneal": True, "penalty": 0.01, "size": None},
        "versions": {"plexus": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "lightning": "2.6.0"},
        "machine": {"processor": "Example CPU 3.0 GHz", "cores": 2},
        "data": {
            "spec": "digits",
            "name": "digits",
            "fingerprint": "sha256:5f2b9c0e71d34a8806c2f0b1d9ea4c77",
            "classes": list(classes),
            "in_shape": [1, 8, 8],
            "counts": {"train": 1222, "val": 215, "test": 360},
            "skipped": ["scans/broken-7.png: cannot identify image file"],
        },
        "nodes": nodes,
        "labels": {"input": "8x8x1", "head": f"pool, linear {len(classes)}"}
        | {name: f"Conv 3x3, 16 maps{', halved' if i in (2, 5) else ''}" for i, name in enumerate(nodes[1:-1])},
        "epochs": _epochs(edges, rng),
        "edges": edges,
        "budgets": budgets,
        "chosen": chosen,
        "results": [
            _result("chain", "chain", 0.9528, 19_210, 1_130_000, 0.31),
            _result("supernet", "all connections", 0.9806, 19_264, 1_204_000, 0.52),
            _result("pruned", "pruned, no fine-tune", 0.9778, 19_226, 1_151_000, 0.36),
            _result("final", "pruned and fine-tuned", 0.9833, 19_226, 1_151_000, 0.36),
        ],
        "gap": {
            "before": budgets[0]["val_accuracy"],
            "after": budgets[chosen]["val_accuracy"],
            "split": "val",
        },
        "then": "finetune",
        "confusion": confusion,
        "mistakes": [
            {
                "name": f"row {101 + 7 * k}",
                "image": ring(rng),
                "true": k % len(classes),
                "predicted": (k + 3) % len(classes),
                "probability": 0.99 - 0.05 * k,
            }
            for k in range(6)
        ],
        "seconds": {"chain": 9.6, "learn": 21.4, "final": 12.1, "total": 47.9},
    }
    return FitRecord.from_dict({"format": 1, **made, **parts})


def _edges(nodes: list[str], rng: random.Random) -> list[dict[str, Any]]:
    edges = []
    for t in range(2, len(nodes)):
        for s in range(t):
            previous = s == t - 1
            pull = rng.random() ** 3 + (0.25 if nodes[t] == "head" and s > 2 else 0) + (0.2 if s == 1 else 0)
            gate = rng.uniform(0.8, 0.99) if previous else min(0.95, pull)
            strength = gate * rng.uniform(0.5, 1.5)
            rise = 0.06 * strength**2 + rng.gauss(0, 0.004)
            pair = {"source": nodes[s], "target": nodes[t]}
            edges.append(
                pair
                | {"gate": round(gate, 4), "strength": round(strength, 4), "ablation": rise, "cost": 1 / len(nodes)}
            )
    return edges


def _budgets(edges: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    order = sorted(range(len(edges)), key=lambda i: -edges[i]["strength"])
    strongest = {
        max((i for i in order if edges[i]["target"] == t), key=lambda i: edges[i]["strength"])
        for t in {e["target"] for e in edges}
    }
    order.sort(key=lambda i: i not in strongest)
    budgets = []
    for share in SHARES:
        count = max(len(strongest), round(share * len(edges)))
        accuracy = 0.986 - 0.09 * (1 - share) ** 6 + rng.gauss(0, 0.0008)
        kept = sorted(order[:count])
        budgets.append(
            {
                "keep": share,
                "edges": count,
                "kept": kept,
                "parameters": 19_210 + count,
                "macs": 1_130_000 + 1_370 * count,
                "val_accuracy": round(accuracy, 4),
            }
        )
    return budgets


def _epochs(edges: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    epochs: list[dict[str, Any]] = []
    for phase, count in PHASES:
        start, speed = {"chain": (2.2, 0.30), "learn": (1.9, 0.38), "final": (0.25, 0.2)}[phase]
        for k in range(count):
            loss = 0.05 + start * math.exp(-speed * k) * rng.uniform(0.93, 1.07)
            entry: dict[str, Any] = {
                "phase": phase,
                "epoch": k,
                "train_loss": round(loss, 4),
                "val_loss": round(loss * 1.05 + 0.03 + rng.uniform(0, 0.03), 4),
                "val_accuracy": round(0.987 - 0.45 * loss / 2.2 - rng.uniform(0, 0.006), 4),
                "seconds": 0.8,
            }
            if phase == "learn":
                entry["gates"] = [_gate(edge, k, count, rng) for edge in edges]
            epochs.append(entry)
    return epochs


def _gate(edge: dict[str, Any], epoch: int, count: int, rng: random.Random) -> float:
    """From its start, .95 for the previous layer and .27 for the others, towards where it ends."""
    start = 0.95 if edge["gate"] > 0.8 else 0.27
    share = 1 / (1 + math.exp(-1.1 * (epoch - 0.45 * count)))
    return round(max(0.0, start + (edge["gate"] - start) * share + rng.gauss(0, 0.006)), 4)


def _result(name: str, label: str, accuracy: float, parameters: int, macs: int, latency: float) -> dict[str, Any]:
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / 360)
    interval = [round(accuracy - half, 4), round(min(1.0, accuracy + half), 4)]
    figures = {"parameters": parameters, "macs": macs, "latency_ms": latency}
    return {"name": name, "label": label, "accuracy": accuracy, "ci": interval, **figures}


def _confusion(count: int, rng: random.Random) -> list[list[int]]:
    return [
        [36 if i == j else int(rng.random() < 0.08) * rng.randint(1, 2) for j in range(count)] for i in range(count)
    ]


def ring(rng: random.Random) -> str:
    """A digit, more or less."""
    image = Image.new("L", (8, 8))
    cx, cy, r = rng.uniform(3, 4.5), rng.uniform(3, 4.5), rng.uniform(1.8, 2.8)
    image.putdata([int(255 * math.exp(-((math.hypot(i % 8 - cx, i // 8 - cy) - r) ** 2))) for i in range(64)])
    return uri(image, "PNG")


def uri(image: Image.Image, kind: str) -> str:
    """A picture as pages embed it."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()


def hostile_record() -> FitRecord:
    """Every text that may come from a user tries to become an element; some of it is very long, too."""
    record = make_record(9, classes=(HOSTILE, LONG, *"23456789"))
    record.command = f"plexus fit '{HOSTILE}' {LONG}"
    record.data.name, record.data.spec = HOSTILE, LONG
    record.data.skipped = [f"{HOSTILE}.png: unreadable", LONG]
    record.config |= {HOSTILE: LONG}
    record.labels |= {"input": HOSTILE, "lego1": f"</script>{HOSTILE}", "lego3": LONG}
    for mistake in record.mistakes:
        mistake.name = HOSTILE
    for result in record.results:
        result.label = HOSTILE
    return record
