"""Invented audits, probes, studies and ledgers: plausible, complete, and the same every time."""

import math
import random
from typing import Any

from PIL import Image, ImageDraw

from plexus.experiments import Scale, Study, Variant
from plexus.record import TrialRecord
from tests.report.records import HOSTILE, ring, uri

KINDS = ("class", "presence", "overlap", None, None)


def make_audit(pairs: int = 12, *, name: str = "scans", **parts: Any) -> dict[str, Any]:
    """Findings with `pairs` pairs of 2 * `pairs` images; every kind of pair comes up, contradictions first."""
    rng = random.Random(pairs)
    kinds = sorted((KINDS[k % len(KINDS)] for k in range(pairs)), key=lambda kind: kind is None)
    found = [_pair(k, kind, rng) for k, kind in enumerate(kinds)]
    images = [_image(i, found[i // 2], rng) for i in range(2 * pairs)]
    by_kind = {kind: kinds.count(kind) for kind in ("class", "presence", "overlap")}
    made: dict[str, Any] = {
        "format": 1,
        "kind": "audit",
        "created": "2026-03-14T09:26:53Z",
        "command": f"plexus audit {name} --group-from '^[0-9]+'",
        "seed": 3,
        "versions": {"plexus": "0.3.0", "python": "3.11.7"},
        "data": {
            "name": name, "layout": "pairs", "images": 2 * pairs + 8, "classes": ["benign", "malignant"], "groups": 7,
            "splits": {"train": 2 * pairs, "test": 8}, "masks": True, "notes": ["3 masks of 0 and 1 were scaled"],
        },
        "settings": {
            "fingerprint": "thumbnail", "threshold": 0.1234, "threshold_from": "data",
            "scope": "all", "min_dice": 0.5,
        },
        "calibration": {
            "edges": [round(0.05 * i, 2) for i in range(21)],
            "unrelated": [0, 0, 0, 1, 7, 40, 300, 2100, 9000, 15000, 12000, 7000, 3000, 900, 200, 40, 9, 2, 0, 0],
            "candidates": [5, 6, 1, 0, 2, 4, 9, 3, *[0] * 12],
        },
        "images": images,
        "pairs": found,
        "clusters": [
            {"id": k, "images": [2 * k, 2 * k + 1], "diameter": 0.0521, "flagged": False} for k in range(min(pairs, 6))
        ] + ([{"id": 77, "images": list(range(2 * pairs)), "diameter": 0.875, "flagged": True}] if pairs > 5 else []),
        "problems": [
            {"name": "broken-7.png", "kind": "unreadable", "text": "cannot identify image file"},
            {"name": "black-2.png", "kind": "zero", "text": "every pixel is 0"},
        ],
        "summary": {
            "pairs": pairs, "exact": sum(p["exact"] for p in found), "contradictions": by_kind,
            "leaks": sum(p["leak"] is not None for p in found), "clusters": min(pairs, 6) + (pairs > 5),
            "flagged": int(pairs > 5), "unreadable": 1, "degenerate": 1, "kept": 2 * pairs - 1, "dropped": 9,
        },
        "seconds": {"decode": 12.3, "search": 0.4},
    }  # fmt: skip
    return made | parts


def with_suspects(made: dict[str, Any], suspects: int = 3) -> dict[str, Any]:
    """The findings, with doubtful labels of some of the images; the last one on weak evidence and without example."""
    found = [
        {
            "image": 2 * k, "given": "benign", "suggested": "malignant", "given_probability": 0.02 + 0.01 * k,
            "probability": 0.97 - 0.01 * k, "quality": 0.02 + 0.01 * k,
            "evidence": "strong" if k < suspects - 1 else "weak", "example": 2 * k + 1 if k < suspects - 1 else None,
        }
        for k in range(suspects)
    ]  # fmt: skip
    origin = {"labels": "cross-validation, 5 folds of 12 epochs"}
    return made | {
        "suspects": found, "settings": made["settings"] | origin, "summary": made["summary"] | {"suspects": suspects}
    }  # fmt: skip


def _pair(k: int, kind: str | None, rng: random.Random) -> dict[str, Any]:
    return {
        "a": 2 * k, "b": 2 * k + 1, "distance": round(rng.uniform(0.001, 0.12), 4), "exact": k % 4 == 1,
        "shift": [-2, 3] if k % 3 == 0 else None, "contradiction": kind,
        "dice": {"presence": 0.0, "overlap": 0.312}.get(kind or "", None if kind else 0.9),
        "leak": ["train", "test"] if k % 5 == 4 else None,
    }  # fmt: skip


def _image(i: int, pair: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    second = i % 2 == 1
    present = not (second and pair["contradiction"] == "presence")
    keep = not (second and pair["contradiction"])
    return {
        "name": f"train/{i // 8 + 1}_{i}.png",
        "label": "malignant" if second and pair["contradiction"] == "class" else "benign",
        "group": str(i // 8 + 1), "split": "test" if second and pair["leak"] else "train", "present": present,
        "area": round(rng.uniform(0.01, 0.1), 4) if present else 0.0,
        "size": [120, 160], "cluster": i // 2, "fold": i % 5,
        "keep": keep, "why": "" if keep else "contradicts a near-duplicate",
    }  # fmt: skip


def make_pictures(findings: dict[str, Any], kinds: int = 6) -> dict[int, dict[str, str | None]]:
    """Thumbnails of every image in a pair, of half its size; pictures of a pair differ by its shift and some light."""
    made = [[_scene(k, moved) for moved in (False, True)] for k in range(kinds)]
    mask = [_outline(False), _outline(True)]
    return {
        i: {"image": made[i // 2 % kinds][i % 2], "mask": mask[i % 2] if findings["images"][i]["present"] else None}
        for pair in findings["pairs"]
        for i in (pair["a"], pair["b"])
    }


def _scene(k: int, moved: bool) -> str:
    """Rings; the second picture is 10 % brighter and lies 1.5 thumbnail pixels further right, 1 higher."""
    big = Image.new("L", (320, 240))
    draw = ImageDraw.Draw(big)
    dx, dy = (6, -4) if moved else (0, 0)
    for level in range(9):
        grey = (40 + 23 * level + 17 * k) % 200
        r = 150 - 16 * level
        draw.ellipse(
            (130 + 9 * k - r + dx, 120 - r + dy, 130 + 9 * k + r + dx, 120 + r + dy),
            fill=int(grey * (1.1 if moved else 1)),
        )
    return uri(big.resize((80, 60), Image.Resampling.BOX), "JPEG")


def _outline(moved: bool) -> str:
    image = Image.new("RGBA", (80, 60))
    ImageDraw.Draw(image).ellipse((30, 20, 62, 40) if moved else (20, 20, 52, 42), outline=(255, 220, 0, 255))
    return uri(image, "PNG")


def hostile_audit() -> dict[str, Any]:
    """Every text that may come from a user tries to become an element; some of it is very long, too."""
    made = make_audit(name=HOSTILE)
    made["command"] = f"plexus audit '{HOSTILE}' {'long/' * 40}"
    made["data"] |= {"layout": HOSTILE, "classes": [HOSTILE], "splits": {HOSTILE: 3}, "notes": [HOSTILE, "a" * 120]}
    made["settings"]["fingerprint"] = HOSTILE
    for i, image in enumerate(made["images"]):
        image |= {
            "name": f"{i}{'deep/' * 30}{HOSTILE}",
            "label": HOSTILE,
            "group": HOSTILE,
            "why": HOSTILE,
            "split": HOSTILE,
        }
    for pair in made["pairs"]:
        pair["leak"] = [HOSTILE, f"</script>{HOSTILE}"]
    for problem in made["problems"]:
        problem |= {"name": HOSTILE, "text": HOSTILE}
    made["images"][0]["name"] = "__proto__"
    return made


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
                "before": 0.9, "after": 0.123, "probability": 0.765, "upright": ring(rng), "turned": ring(rng),
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


def make_records(study: Study, *, seeds: int = 5, effect: float = 1.5, extras: bool = False) -> list[TrialRecord]:
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
                TrialRecord.from_dict({
                    "study": study.name, "variant": v.name, "options": dict(v.options), "seed": seed,
                    "scale": "standard", "settings": {"images": 5000, "epochs": 10, "options": {}},
                    "data": {"spec": study.data, "fingerprint": "sha256:5f2b9c0e71d34a88", "images": 5000},
                    "metrics": metrics | (_extras(i, rng) if extras else {}),
                    "versions": {"plexus": "0.1.0", "torch": "2.13.0"},
                    "machine": {"processor": "Example CPU 3.0 GHz", "cores": 2},
                    "started": "2026-03-14T09:26:53Z", "seconds": 61.5,
                })
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


def make_search(seeds: int = 3) -> tuple[Study, list[TrialRecord]]:
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
        seed, name = record.seed, record.variant
        record.metrics["edges"] = 5 if name not in names else 3 + names.index(name) % 3
        if name not in names:
            pick = {"gradient": few[-1 - seed % 2], "evolution": names[-2], "random": names[3]}[name]
            record.metrics |= {"found": pick, "trainings": 1 if name == "gradient" else 8}
            record.metrics |= {"chosen": {m: {"5": pick} for m in ("gate", "ablation")}} if name == "gradient" else {}
        record.seconds = {"total": 0.2 if name == "gradient" else 1.0}
        found.append(record)
    return study, found


PART = {
    "text": "elu no better than baseline", "effect": 0.314, "low": -0.1, "high": 0.728, "unit": "points",
    "p_holds": 0.2, "p_fails": 0.01, "n": 5, "note": "", "counted": True, "bootstrap": (0.05, 0.6), "verdict": "fails",
}  # fmt: skip


def make_ledger(text: str = "ELU does not help.") -> dict[str, Any]:
    """Three claims: one refuted, one that holds, one that was not run."""
    claim = {
        "id": 14, "sentence": text, "study": "neurons", "scale": "standard", "rule": f"A rule: {text}",
        "verdict": "fails", "effect": 0.314, "low": -0.1, "high": 0.728, "unit": "points", "why": f"refuted: {text}",
        "parts": [PART | {"text": text}, PART | {"counted": False, "bootstrap": None, "note": text}],
    }  # fmt: skip
    open_claim: dict[str, Any] = {
        "id": 18, "scale": None, "verdict": "open", "effect": None, "low": None, "high": None, "unit": "", "parts": [],
        "why": "not run yet",
    }  # fmt: skip
    rank = {"id": 4, "verdict": "holds", "effect": -0.91, "low": -0.95, "high": -0.8, "unit": "correlation"}
    study = {
        "study": "neurons", "question": text, "scale": "standard", "trials": 24, "expected": 25, "seconds": 60.0,
        "seeds": [0, 1, 2, 3, 4], "data": {"spec": text}, "settings": {"images": 8000, "epochs": 12},
        "measure": "test_accuracy",
    }  # fmt: skip
    return {
        "format": 1, "kind": "claims", "claims": [claim | rank, claim, claim | open_claim], "studies": [study],
    }  # fmt: skip


def hostile_study(found: dict[str, Any], records: list[TrialRecord]) -> dict[str, Any]:
    """A summary whose every text tries to become an element."""
    found |= {"study": HOSTILE, "question": HOSTILE, "baseline": HOSTILE, "measure": HOSTILE, "scale": HOSTILE}
    found |= {"data": {"spec": HOSTILE, HOSTILE: HOSTILE}, "versions": {"plexus": HOSTILE}}
    for variant in found["variants"]:
        variant["name"] = HOSTILE
        variant["others"]["wiring"] = {HOSTILE: [[HOSTILE, "head", 1.0]]}
    return found | {"records": [record.to_dict() | {"variant": HOSTILE} for record in records]}
