"""Invented findings of audits for the tests of their page: plausible, complete, and the same every time."""

import base64
import io
import random
from typing import Any

from PIL import Image, ImageDraw

from tests.report.records import HOSTILE

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
            "fingerprint": "thumbnail", "threshold": 0.1234, "threshold_from": "data", "false_positive_rate": 1e-5,
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
    for ring in range(9):
        grey = (40 + 23 * ring + 17 * k) % 200
        r = 150 - 16 * ring
        draw.ellipse(
            (130 + 9 * k - r + dx, 120 - r + dy, 130 + 9 * k + r + dx, 120 + r + dy),
            fill=int(grey * (1.1 if moved else 1)),
        )
    return _uri(big.resize((80, 60), Image.Resampling.BOX), "JPEG")


def _outline(moved: bool) -> str:
    image = Image.new("RGBA", (80, 60))
    ImageDraw.Draw(image).ellipse((30, 20, 62, 40) if moved else (20, 20, 52, 42), outline=(255, 220, 0, 255))
    return _uri(image, "PNG")


def _uri(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()


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
