"""All results as one table: figure, target, measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.stats import t as student

from wiring_parts import defaults, execution, family, granularity, pruned, recipe


def markdown(values: Mapping[str, Any]) -> str:
    """A markdown table of what has been measured."""
    lines = ["| figure | target | measured | met |", "| --- | --- | --- | --- |"]
    for figure, target, measured, met in _rows(values):
        verdict = ("yes" if met else "no") if target.startswith((">", "<", ".", "within")) else ""
        lines.append(f"| {figure} | {target} | {measured} | {verdict} |")
    return "\n".join(lines)


def interval(samples: list[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval (Student's t)."""
    x = np.asarray(samples)
    half = float(student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")
    return float(x.mean()), half


def _each(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {k.split("/")[1]: v for k, v in sorted(values.items()) if k.startswith(f"{name}/")}


def _points(samples: list[float]) -> str:
    mean, half = interval(samples)
    return f"{mean:+.2f} ± {half:.2f} pt" if len(samples) > 1 else f"{mean:+.2f} pt"


def _percent(samples: list[float]) -> str:
    mean, half = interval(samples)
    return f"{mean:.2f} ± {half:.2f} %"


def _rows(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    if "exact" in values:
        yield (
            "derive with nothing cut, largest difference",
            "<= 1e-5",
            f"{values['exact']:.1e}",
            values["exact"] <= 1e-5,
        )
    for key, (figure, target) in SPEED.items():
        if f"speed/{key}" in values:
            value = values[f"speed/{key}"]["ratio"]
            yield (
                figure,
                f"<= {target:.2f}x" if target else "",
                f"{value:.2f}x",
                target is None or value <= target,
            )
    yield from family.table(values, _points)
    yield from pruned.table(values, _points)
    yield from execution.table(values)
    yield from granularity.table(_points, interval)
    yield from recipe.table(values, _points)
    yield from defaults.table(values)
    yield from _digits(_each(values, "digits"))
    yield from _cifar(_each(values, "cifar"), _each(values, "cifar-ones"))
    yield from _retrain(
        {n: _each(values, f"retrain-{n}") for n in ("chain", "residual", "random", "search", "gate", "ablation")}
    )


CONCAT = (
    ("step", "training step", 1.15),
    ("step memory", "peak activation memory", 1.25),
    ("plain port", "training step of a plain port", None),
    ("plain port memory", "peak activation memory of a plain port", None),
)
SPEED: dict[str, tuple[str, float | None]] = {
    "deep step": ("training step, `deep` supernet over its chain", 2.0),
    "deep pruned step": ("training step, `deep` pruned to 30 % over its chain", 1.3),
    "deep pruned inference": ("inference, derived net of 30 % over the chain", 1.2),
    "deep plain port": ("training step, plain weighted-sum port over the chain", None),
    **{
        f"{name} {key}": (f"{what}, `{name}` body over its convolutions on ready-made inputs", target)
        for name in ("blocks", "legos8")
        for key, what, target in CONCAT
    },
    **{
        f"{name} {key} all legos": (
            f"{what}, `{name}` body over all its legos (pooling, dropout) on ready-made inputs",
            None,
        )
        for name in ("blocks", "legos8")
        for key, what, _ in CONCAT
    },
}


def _digits(runs: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    if not runs:
        return
    final = [100 * r["final"]["accuracy"] for r in runs.values()]
    full = [100 * r["supernet"]["accuracy"] for r in runs.values()]
    slowest, share = max(r["seconds"] for r in runs.values()), max(r["kept"] / r["edges"] for r in runs.values())
    yield "digits: seconds of a fit, slowest", "<= 120 s", f"{slowest:.0f} s", slowest <= 120
    yield (
        f"digits: pruned to {share:.0%} and fine-tuned, {len(runs)} seeds",
        ">= 98.0 %",
        _percent(final),
        np.mean(final) >= 98,
    )
    gain = [a - b for a, b in zip(final, full, strict=True)]
    yield "digits: pruned against the full supernet", "within .5 pt", _points(gain), np.mean(gain) >= -0.5


def _cifar(runs: dict[str, Any], ones: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    both = [s for s in runs if s in ones]
    if not both:
        return
    rows = {n: [100 * runs[s][n]["accuracy"] for s in both] for n in ("chain", "supernet", "pruned", "final")}
    rows["ones"] = [100 * ones[s]["accuracy"] for s in both]
    for name, label in (
        ("chain", "chain"),
        ("ones", "all gates 1"),
        ("supernet", "learned, all edges"),
        ("final", "learned, pruned to 30 %"),
    ):
        yield f"CIFAR-10, 8 epochs, {len(both)} seeds: {label}", "", _percent(rows[name]), True
    for name, label, target in (("chain", "chain", 8.0), ("ones", "gates at 1", 2.0), ("supernet", "unpruned", -1.0)):
        gain = [a - b for a, b in zip(rows["final"], rows[name], strict=True)]
        yield f"CIFAR-10: pruned against {label}", f">= {target:+g} pt", _points(gain), np.mean(gain) >= target
    gap = [100 * (runs[s]["gap"]["after"] - runs[s]["gap"]["before"]) for s in both]
    yield "CIFAR-10: cutting without fine-tuning, validation images", ">= -1 pt", _points(gap), np.mean(gap) >= -1
    sizes = [runs[s]["final"]["parameters"] / runs[s]["chain"]["parameters"] for s in both]
    yield (
        "CIFAR-10: parameters over the chain's",
        ".99 .. 1.01",
        f"{min(sizes):.3f} .. {max(sizes):.3f}",
        max(abs(v - 1) for v in sizes) <= 0.01,
    )


def _retrain(nets: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, str, bool]]:
    seeds = [s for s in nets["gate"] if all(s in runs for runs in nets.values())]
    if not seeds:
        return
    rows = {n: [100 * runs[s]["accuracy"] for s in seeds] for n, runs in nets.items()}
    labels = {"chain": "chain", "residual": "residual, 22 edges", "random": "random, 45 edges"}
    labels |= {"gate": "learned, 45 edges by gate", "ablation": "learned, 45 edges by ablation"}
    for name, label in labels.items():
        yield f"CIFAR-10, trained anew 8 epochs, {len(seeds)} seeds: {label}", "", _percent(rows[name]), True
    for method in ("gate", "ablation"):
        for name, target in (("random", 1.5), ("residual", 3.0)):
            gain = [a - b for a, b in zip(rows[method], rows[name], strict=True)]
            mean, half = interval(gain)
            met = mean >= target and mean - half > 0
            yield f"learned by {method} against {name}", f">= {target:+g} pt, interval off 0", _points(gain), met
    cost = [(nets["search"][s]["seconds"] + nets["gate"][s]["seconds"]) / nets["chain"][s]["seconds"] for s in seeds]
    yield (
        "search and retraining over the chain's training time",
        "<= 4x",
        f"{np.median(cost):.1f}x",
        float(np.median(cost)) <= 4,
    )
