"""Invented rotation probes for the tests of their page: plausible, complete, and the same every time."""

import math
import random
from typing import Any

from tests.report.records import HOSTILE, _picture

STEP = 15


def make_probe(models: int = 1, *, name: str = "net", classes: tuple[str, ...] | None = None) -> dict[str, Any]:
    """A probe of `models` models at 24 angles on 40 images, as `plexus.robustness.probe_models` returns it."""
    rng = random.Random(models)
    return {
        "format": 1,
        "kind": "rotation",
        "created": "2026-03-14T09:26:53Z",
        "command": "plexus probe runs/net digits --angles 15",
        "seed": 3,
        "versions": {"plexus": "0.2.0", "python": "3.11.7", "torch": "2.13.0"},
        "mask": "circle",
        "step": STEP,
        "data": {
            "name": "digits", "spec": "digits", "fingerprint": "sha256:5f2b9c0e71d34a88", "in_shape": [1, 8, 8],
            "classes": list(classes or map(str, range(10))), "images": 40, "test": 359,
        },
        "models": [_model(f"{name} {i + 1}" if models > 1 else name, i, rng) for i in range(models)],
    }  # fmt: skip


def _model(name: str, i: int, rng: random.Random) -> dict[str, Any]:
    angles = list(range(0, 360, STEP))
    accuracy = [round(0.55 + 0.4 * math.cos(math.radians(a)) / (i + 1), 4) for a in angles]
    scales = {"accuracy": 1, "mean": 0.9, "lower": 0.7, "median": 0.9, "upper": 1, "agreement": 0.98}
    curves = {key: [round(v * scale, 5) for v in accuracy] for key, scale in scales.items()}
    drift = [round(1 - v, 5) for v in accuracy]
    right = [rng.randint(0, 24) for _ in range(40)]
    return {
        "name": name,
        "source": f"runs/{name}",
        "own": i == 0,
        "seconds": 12.5,
        "curve": {
            "format": 1,
            "summary": {
                "images": 40, "mask": "circle", "angles": angles, "exact": [a % 90 == 0 for a in angles], **curves,
                "std": [0.1] * 24, "min": [0.0] * 24, "drift": drift,
                "percent_correct": [round(100 * n / 24, 5) for n in right],
                "first_failure": [*[15 * (1 + n % 12) for n in range(30)], *[None] * 10],
                "groups": {
                    "upright": _group(1, 0.95, 1, 0), "exact": _group(3, 0.412, 0.433, 0.871),
                    "interpolated": _group(20, 0.567, 0.578, 0.789),
                },
            },
        },
        "failures": [
            {
                "name": f"row {31 + 7 * k}", "true": k, "predicted": (k + 3) % 10, "angle": 345.0 if k % 2 else 15.0,
                "before": 0.9, "after": 0.123, "probability": 0.765, "upright": _picture(rng), "turned": _picture(rng),
            }
            for k in range(4)
        ],
    }  # fmt: skip


def _group(angles: int, accuracy: float, agreement: float, drift: float) -> dict[str, Any]:
    around = [[value - 0.05, min(1.0, value + 0.05)] for value in (accuracy, agreement)]
    return {
        "angles": angles, "accuracy": accuracy, "accuracy_ci": around[0], "agreement": agreement,
        "agreement_ci": around[1], "probability": accuracy / 2, "probability_ci": None,
        "drift": drift, "drift_ci": [drift - 0.02, drift + 0.02],
    }  # fmt: skip


def hostile_probe() -> dict[str, Any]:
    """Every text that may come from a user tries to become an element."""
    made = make_probe(2, name=HOSTILE, classes=(HOSTILE, "b" * 90, *"23456789"))
    made["command"] = f"plexus probe '{HOSTILE}' {'long/' * 40}"
    made["data"] |= {"name": HOSTILE, "spec": f"</script>{HOSTILE}", "fingerprint": HOSTILE}
    for model in made["models"]:
        model["source"] = HOSTILE
        for failure in model["failures"]:
            failure["name"] = HOSTILE
        model["failures"][0] |= {"upright": HOSTILE, "turned": "javascript:alert(1)"}
    return made
