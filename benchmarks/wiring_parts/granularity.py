"""The rows of the study `granularity`, from the records that `plexus study run granularity` leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from .family import seeds_of

RECORDS = Path(__file__).parents[2] / "results" / "granularity"
LARGE = {
    ("map_learned", "map_random"): ("between maps, learned minus random wiring", 4.0),
    ("map_learned", "residual"): ("between maps, learned minus a residual net of equal parameters", None),
}
ROWS = {
    ("map_learned", "map_random"): ("between maps, learned minus random wiring", 2.0),
    ("map_learned", "residual"): ("between maps, learned minus a residual net of equal parameters", 4.0),
    ("map_learned", "residual_longer"): ("between maps, learned minus a residual net of as much processor time", None),
    ("map_learned", "map_random_cuts"): ("between maps, learned minus random cuts", None),
    ("columns_learned", "columns_random"): ("between maps and layers, learned minus random wiring", None),
    ("columns_learned", "columns_random_cuts"): ("between maps and layers, learned minus random cuts", None),
    ("layers_learned", "layers_random"): ("between layers, learned minus random wiring", None),
    ("layers_learned", "layers_random_cuts"): ("between layers, learned minus random cuts", None),
}


def table(
    points: Callable[[list[float]], str], interval: Callable[[list[float]], tuple[float, float]]
) -> Iterator[tuple[str, str, str, bool]]:
    """The rows of every pair of variants: three seeds or more of nets of 8,200 parameters, or any of 41,000."""
    runs = _runs("standard")
    for (name, base), (label, least) in ROWS.items():
        gain = _gains(runs, name, base)
        if len(gain) < 3:
            continue
        mean, half = interval(gain)
        target = "" if least is None else f">= +{least:g} pt, interval off 0"
        met = least is None or (float(np.mean(gain)) >= least and mean - half > 0)
        yield f"`granularity`, {len(gain)} seeds: {label}", target, points(gain), met
    runs = _runs("full")
    if learned := [accuracy for (variant, _), accuracy in runs.items() if variant == "map_learned"]:
        what = f"`granularity`, 41,000 parameters, all training images, {seeds_of(learned)}: "
        best = float(np.mean(learned))
        yield f"{what}between maps, learned", ">= 80.9 %", f"{best:.1f} %", best >= 80.9
        for (name, base), (label, least) in LARGE.items():
            if gain := _gains(runs, name, base):
                met = least is None or float(np.mean(gain)) >= least
                yield f"{what}{label}", "" if least is None else f">= +{least:g} pt", points(gain), met


def _runs(scale: str) -> dict[tuple[str, int], float]:
    found = [json.loads(path.read_text("utf-8")) for path in sorted((RECORDS / scale).glob("*.json"))]
    return {(r["variant"], r["seed"]): r["metrics"]["test_accuracy"] for r in found}


def _gains(runs: dict[tuple[str, int], float], name: str, base: str) -> list[float]:
    seeds = [seed for variant, seed in runs if variant == name and (base, seed) in runs]
    return [runs[name, seed] - runs[base, seed] for seed in seeds]
