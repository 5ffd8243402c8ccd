"""The rows of the study `granularity`, from the records that `plexus study run granularity --scale standard` leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

RECORDS = Path(__file__).parents[2] / "results" / "granularity" / "standard"
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
    """The rows of every pair of variants of which three seeds or more are there."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(RECORDS.glob("*.json"))]
    runs = {(r["variant"], r["seed"]): r["metrics"]["test_accuracy"] for r in found}
    for (name, base), (label, least) in ROWS.items():
        seeds = [seed for variant, seed in runs if variant == name and (base, seed) in runs]
        if len(seeds) < 3:
            continue
        gain = [runs[name, seed] - runs[base, seed] for seed in seeds]
        mean, half = interval(gain)
        target = "" if least is None else f">= +{least:g} pt, interval off 0"
        met = least is None or (float(np.mean(gain)) >= least and mean - half > 0)
        yield f"`granularity`, {len(seeds)} seeds: {label}", target, points(gain), met
