"""The rule of the claim on the learned wiring among all that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import binom, rankdata, spearmanr

from plexus.experiments._evidence import Study, metric, variant
from plexus.experiments._verdict import SEEDS, Part

TOP, COST = 10.0, 2.0
"""Percent of the wirings that are near the top, and of brute force's time that is a fraction."""

RANK = (
    "Among all wirings of as many edges as `gradient` keeps, ranked by mean test accuracy over seeds (ties share their "
    f"mean rank), the wiring it finds stands, in the median over seeds, in the best {TOP:g} %. Tested by how many "
    "seeds are there: p is the chance that as many random wirings would be, and refuted where so few are unlikely (p < "
    ".05) with a median there. And its trials, search and training of what was found, take at most "
    f"{COST:g} % of the time of training all 315, by seconds, in the mean over seeds. Beside it: edges ranked by "
    "ablation in place of the gate; evolution and random search, among all wirings; and the noise of the ranking, the "
    "rank correlation of single seeds."
)


def rank(study: Study) -> Sequence[Part]:
    """Claim 18."""
    table = means(study)
    edges = next(iter(metric(study, "gradient", "edges").values()), None)
    same = {name: mean for name, mean in table.items() if next(iter(metric(study, name, "edges").values())) == edges}
    few = f"{len(same)} wirings of {edges:g} edges" if edges else ""
    others = variant(study, "gradient")["others"]
    ablation = others.get(f"chosen.ablation.{edges:g}", {}) if edges else {}
    return [
        _near(f"gradient in the best {TOP:g} %", others.get("found", {}), same, few, counted=True),
        _cheap(study, table),
        _near(f"by ablation in the best {TOP:g} %", ablation, same, few, counted=False),
        *(
            _near(
                f"{name} in the best {TOP:g} % of all", variant(study, name)["others"].get("found", {}), table,
                f"{len(table)} wirings, after {_price(study, name)} trainings", counted=False,
            )
            for name in ("evolution", "random")
        ),
        noise(study, list(table)),
    ]  # fmt: skip


def means(study: Study) -> dict[str, float]:
    """Every wiring with its mean over seeds; empty as long as one of them lacks a seed of the others."""
    wirings = [v for v in study["variants"] if "wiring" in v["options"]]
    whole = all(v["points"] and v["points"].keys() == wirings[0]["points"].keys() for v in wirings)
    return {v["name"]: v["mean"] for v in wirings} if whole else {}


def share(name: str, table: Mapping[str, float]) -> float:
    """Rank of a wiring in percent of all of a table, the best first; ties share their mean rank.

    Example:
        >>> share("b", {"a": 90.0, "b": 95.0, "c": 95.0, "d": 80.0})
        37.5
    """
    ranks = rankdata([-mean for mean in table.values()])
    return 100.0 * float(ranks[list(table).index(name)]) / len(table)


def _near(text: str, found: Mapping[str, Any], table: Mapping[str, float], note: str, *, counted: bool) -> Part:
    """Whether what the seeds found stands near the top."""
    shares = [share(name, table) for name in found.values() if name in table]
    if len(shares) < SEEDS or len(shares) < len(found):
        why = "not run yet" if not shares else "some wirings or seeds are missing"
        return Part(text, unit="% of the ranking", n=len(shares), note=why, counted=counted)
    inside = sum(s <= TOP for s in shares)
    middle = median(shares)
    said = f"{inside} of {len(shares)} seeds are; {note}; shown from the best seed to the worst"
    chance = float(binom.sf(inside - 1, len(shares), TOP / 100)) if middle <= TOP else 1.0
    return Part(
        text, middle, min(shares), max(shares), "% of the ranking", chance,
        float(binom.cdf(inside, len(shares), 0.5)), len(shares), said,
        counted,
    )  # fmt: skip


def _cheap(study: Study, table: Mapping[str, float]) -> Part:
    text = f"its cost at most {COST:g} % of brute force's"
    spent, brute = variant(study, "gradient").get("seconds", {}), [variant(study, n)["seconds"] for n in table]
    costs = [100.0 * s / sum(b[seed] for b in brute) for seed, s in spent.items() if all(seed in b for b in brute)]
    if not table or len(costs) < SEEDS:
        return Part(text, unit="% of the time", n=len(costs), note="not run yet" if not costs else "seeds are missing")
    mean = sum(costs) / len(costs)
    price = f"{_price(study, 'gradient')} training of the supernet and one of what was found, against {len(table)}"
    holds, fails = (0.0, None) if mean <= COST else (1.0, 0.0)  # a measurement; nothing is drawn by chance
    return Part(text, mean, min(costs), max(costs), "% of the time", holds, fails, len(costs), price)


def _price(study: Study, name: str) -> str:
    return f"{next(iter(metric(study, name, 'trainings').values()), 0):g}"


def noise(study: Study, names: Sequence[str]) -> Part:
    """Rank correlation of two seeds, in the mean over pairs, and the reliability of a mean (Spearman-Brown)."""
    text = "single seeds rank the wirings alike"
    each = [metric(study, name) for name in names]
    seeds = [s for s in (each[0] if each else {}) if all(s in points for points in each)]
    if len(seeds) < 2 or len(names) < 3:
        return Part(text, unit="correlation", n=len(seeds), note="not run yet", counted=False)
    columns = [np.array([points[s] for points in each]) for s in seeds]
    found = [float(spearmanr(a, b).statistic) for a, b in combinations(columns, 2)]
    r, k = sum(found) / len(found), len(seeds)
    whole = f"reliability of the mean over {k} seeds {k * r / (1 + (k - 1) * r):.2f}"
    return Part(text, r, min(found), max(found), "correlation", n=k, note=whole, counted=False)
