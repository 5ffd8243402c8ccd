"""Invented studies with their records: plausible, complete, and the same every time."""

import math
import random
from typing import Any

from plexus.experiments import Scale, Study, Variant

NODES = ["input", *(f"lego{i}" for i in range(1, 8)), "head"]


def trial(job: Any) -> dict[str, Any]:
    """Never called: these records are invented."""
    raise AssertionError(job)


def make_study(variants: int = 4, *, name: str = "neurons", question: str = "Do unit norms help?") -> Study:
    """A study whose first variant is the baseline."""
    names = ("baseline", "norm_conv", "norm_dense", "norm_conv_dense", "elu", *(f"variant_{i}" for i in range(5, 60)))
    return Study(
        name=name,
        question=question,
        baseline="baseline",
        variants=tuple(Variant(n, {"number": i}) for i, n in enumerate(names[:variants])),
        scales={"quick": Scale(300, 2, 2), "standard": Scale(5000, 10, 5)},
        data="uoft-cs/cifar10",
        trial=trial,
    )


def make_records(study: Study, *, seeds: int = 5, effect: float = 1.5, extras: bool = False) -> list[dict[str, Any]]:
    """Records at `standard`: variant i is `effect` * i points better and 8 * i percent faster, seeds differ by points.

    With `extras` they hold gates, wirings and rotation curves, too.
    """
    rng = random.Random(f"{study.name} {len(study.variants)}")
    found = []
    for seed in range(seeds):
        luck = rng.gauss(0, 1.5)
        for i, v in enumerate(study.variants):
            speed = 0.25 * (1 + 0.08 * i)
            loss = [round(2.3 * math.exp(-speed * e) + 0.2 + rng.uniform(0, 0.02), 4) for e in range(10)]
            top = 52 + luck + effect * i + rng.gauss(0, 0.3)
            curve = [round(top * (1 - 0.6 * math.exp(-speed * (e + 1))), 2) for e in range(10)]
            metrics: dict[str, Any] = {
                "test_accuracy": round(top, 2), "val_accuracy": round(top + 0.4, 2), "train_loss": loss,
                "val_loss": [x + 0.1 for x in loss], "val_accuracy_curve": curve, "parameters": 1_250_858,
                "seconds": 60.0,
            }  # fmt: skip
            found.append(
                {
                    "study": study.name, "variant": v.name, "options": dict(v.options), "seed": seed,
                    "scale": "standard", "settings": {"images": 5000, "epochs": 10, "options": {}},
                    "data": {"spec": study.data, "fingerprint": "sha256:5f2b9c0e71d34a88", "images": 5000},
                    "metrics": metrics | (_extras(i, rng) if extras else {}),
                    "versions": {"plexus": "0.1.0", "torch": "2.13.0"},
                    "machine": {"processor": "Example CPU 3.0 GHz", "cores": 2},
                    "started": "2026-03-14T09:26:53Z", "seconds": 61.5,
                }
            )  # fmt: skip
    return found


def _extras(i: int, rng: random.Random) -> dict[str, Any]:
    pairs = [(s, t) for k, t in enumerate(NODES) for s in NODES[:k] if k >= 2]
    ends = [rng.random() for _ in pairs]
    angles = list(range(0, 360, 10))
    wave = [55 + 35 * math.cos(math.radians(a)) / (i + 1) for a in angles]
    rotation = {"angles": angles, "accuracy": [round(w, 2) for w in wave], "angles_correct": 50.0 + i}
    return {
        "gates": [[round(0.5 + (end - 0.5) * e / 10, 4) for end in ends] for e in range(11)],
        "wiring": [[s, t, round(e, 2)] for (s, t), e in zip(pairs, ends, strict=True) if e > 0.6],
        "rotation": rotation,
        **({} if i else {"transplant": {"8_rot_1": {"test_accuracy": 20.0, "rotation": rotation}}}),
    }


def make_search(seeds: int = 3) -> tuple[Study, list[dict[str, Any]]]:
    """A search among 21 wirings; its gradient finds the best of five edges with one seed, the second with the next."""
    names = [f"w{k}" for k in range(21)]
    study = Study(
        name="search",
        question="Where do searches stand among all wirings?",
        baseline="w0",
        variants=(
            *(Variant(n, {"wiring": [["input", "head"]] * (3 + k % 3)}) for k, n in enumerate(names)),
            *(Variant(n, {"search": n}) for n in ("gradient", "evolution", "random")),
        ),
        scales={"standard": Scale(None, 4, seeds)},
        data="digits",
        trial=trial,
    )
    few = [n for k, n in enumerate(names) if 3 + k % 3 == 5]  # w2, w5, ..., w20: the last is the best
    found = []
    for record in make_records(study, seeds=seeds, effect=1.0):
        seed, name = record["seed"], record["variant"]
        record["metrics"]["edges"] = 5 if name not in names else 3 + names.index(name) % 3
        if name not in names:
            pick = {"gradient": few[-1 - seed % 2], "evolution": names[-2], "random": names[3]}[name]
            record["metrics"] |= {"found": pick, "trainings": 1 if name == "gradient" else 8}
            record["metrics"] |= (
                {"chosen": {m: {"5": pick} for m in ("gate", "ablation")}} if name == "gradient" else {}
            )
        record["seconds"] = 0.2 if name == "gradient" else 1.0
        found.append(record)
    return study, found
