"""Invented records of plexus's own studies in which every claim is true, false, or not to be told."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from plexus.experiments import Study, load, summary
from plexus.record import TrialRecord

EPOCHS = 12


def invent(
    name: str,
    *,
    accuracy: Callable[[str], float] = lambda _: 0.0,
    slowness: Callable[[str], float] = lambda _: 1.0,
    extra: Callable[[str, int], Mapping[str, Any]] = lambda *_: {},
    seeds: int = 5,
    noise: float = 0.05,
) -> list[TrialRecord]:
    """Records of a study: `accuracy` in points above 60, `slowness` in epochs against the baseline's.

    Seeds differ by points, and variants of one seed together, so that only paired differences are small.
    """
    study, rng = load(name), random.Random(f"{name} {seeds} {noise}")
    found = []
    for seed in range(seeds):
        luck = rng.gauss(0, 2.0)
        for v in study.variants:
            pace = slowness(v.name) * math.exp(rng.gauss(0, noise / 5))
            loss = [2.3 * math.exp(-0.3 * e / pace) for e in range(EPOCHS)]
            top = 60 + luck + accuracy(v.name) + rng.gauss(0, noise)
            metrics = {
                study.measure: top,
                "test_accuracy": top, "val_accuracy": top + 0.5, "best_val_accuracy": top + 1.0, "train_loss": loss,
                "val_loss": loss, "val_accuracy_curve": [top - 10 * x for x in loss],
            }  # fmt: skip
            found.append(
                TrialRecord.from_dict({
                    "study": name, "variant": v.name, "options": dict(v.options), "seed": seed, "scale": "standard",
                    "metrics": metrics | dict(extra(v.name, seed)), "data": {}, "seconds": 1.0,
                })
            )  # fmt: skip
    return found


def summed(name: str, **how: Any) -> tuple[Study, dict[str, Any]]:
    """A study and the summary of its invented records."""
    study = load(name)
    return study, summary(study, invent(name, **how), "standard")


def layers(name: str) -> int:
    """Count the layers of a variant that rotate."""
    return int(name[-1]) if "_rot_" in name else 0


def turned(
    agreement: Callable[[str], float],
    *,
    dip: float = 3.0,
    shift: Callable[[str], float] = lambda _: 0.0,
    transplanted: Callable[[int], float] = lambda n: 40.0 - 5 * n,
) -> Callable[[str, int], dict[str, Any]]:
    """The parts of a rotation record: curves with a dip at 100 degrees, shifted by model, and transplants."""

    def extra(name: str, seed: int) -> dict[str, Any]:
        rng = random.Random(f"{name} {seed}")
        angles = list(range(0, 360, 10))
        curve = [
            40 + 20 * math.cos(math.radians(a - shift(name))) - dip * (a == 100) + rng.gauss(0, 0.05) for a in angles
        ]
        value = agreement(name) + rng.gauss(0, 0.05)
        made: dict[str, Any] = {
            "rotation": {
                "angles": angles, "accuracy": curve, "agreement_interpolated": value, "angles_correct": value - 10,
            }
        }  # fmt: skip
        if name == "baseline":
            made["transplant"] = {
                f"{k}_rot_{n}": {
                    "test_accuracy": transplanted(n) + rng.gauss(0, 0.05),
                    "rotation": {"angles_correct": 10.0 - n + rng.gauss(0, 0.05)},
                }
                for k in (8, 4)
                for n in (1, 2, 3, 4)
            }
        return made

    return extra


def moved(alike: float, *, gates: int = 14) -> Callable[[str, int], dict[str, Any]]:
    """Histories of gates whose moves are shared by all seeds to a part, and else their own."""

    def extra(name: str, seed: int) -> dict[str, Any]:
        common, own = random.Random(name), random.Random(f"{name} {seed}")
        ends = [alike * common.gauss(0, 1) + (1 - alike) * own.gauss(0, 1) for _ in range(gates)]
        return {"gates": [[0.62 + 0.01 * e * end for end in ends] for e in range(4)]}

    return extra
