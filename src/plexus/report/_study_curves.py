"""What is drawn over angles and over epochs beside the measure: rotation curves and gates, where records hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from plexus.report._rotation_view import COLORS
from plexus.report._words import number


def turned(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rotation curves where records hold them, in the mean over seeds: anything with angles and accuracies.

    Curves of one kind (`transplant`, say, or none for what was trained) belong together.
    """
    made = []
    for v in found:
        for path, angles in v["others"].items():
            start = path.removesuffix("angles")
            each = list(v["others"].get(f"{start}accuracy", {}).values()) if start != path else []
            first: Any = next(iter(angles.values()), None)
            if not each or not _numbers(first) or any(not _numbers(c) or len(c) != len(first) for c in each):
                continue
            share = 100.0 if max(max(c) for c in each) > 1.5 else 1.0
            mean = [sum(column) / len(column) / share for column in zip(*each, strict=True)]
            kind, _, name = start.strip(".").removesuffix("rotation").strip(".").partition(".")
            exact = [a % 90 == 0 for a in first]
            curve = {"angles": first, "exact": exact, "accuracy": mean}
            made.append({"name": name or v["name"], "kind": kind, "summary": curve})
    return made


def circles(curves: Sequence[Mapping[str, Any]], base: str, *, each: int = 4) -> list[list[dict[str, Any]]]:
    """The curves a few at a time, those that differ by a number together, the baseline's among them every time."""
    first = next((c for c in curves if c["name"] == base and not c["kind"]), None)
    families: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for c in curves:
        if c is not first or len(curves) == 1:
            numbered = re.fullmatch(r"(.*)_\d+", c["name"])
            families.setdefault((c["kind"], numbered[1] if numbered else ""), []).append(c)
    made = []
    for _, rest in sorted(families.items(), key=lambda family: family[0][0]):  # what was trained comes first
        for i in range(0, len(rest), each):
            group = [
                {**c, "name": f"{c['kind']} {c['name']}".strip(), "color": f"var({COLORS[k]})", "dashed": False}
                for k, c in enumerate(rest[i : i + each])
            ]
            if first is not None and len(curves) > 1:
                group.insert(0, {**first, "color": "var(--soft)", "dashed": True})
            made.append(group)
    return made


def moved(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[list[float]]]]:
    """Histories of gates: (variant, seed, 1 + epochs x gates), of the first seed that has one."""
    made = []
    for v in found:
        for path, seeds in v["others"].items():
            if path.rpartition(".")[2] != "gates":
                continue
            seed, history = next(iter(seeds.items()))
            if isinstance(history, list) and len(history) > 1 and all(_numbers(h) for h in history):
                made.append((v["name"], seed, history))
    return made


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(number(v) is not None for v in value)
