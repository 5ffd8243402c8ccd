"""Where do learned, evolved and randomly searched wirings stand among all that there are?

Three legos (conv, batch norm, ReLU; the first with pooling) have connections of 2, 3 and 4 sources: 3 x 7 x 15 = 315
wirings in which every connection has a source. All are trained, alike and from several seeds, and the ranking by mean
test accuracy over seeds is the truth. Against it stand

- `gradient`: one supernet with sigmoid gates, trained as long as any wiring; its edges ranked by gate and by ablation
  (`chosen`: for each number of edges the strongest of them, every connection keeping its strongest source). `found` is
  the choice by METHOD at BUDGET edges;
- `evolution`: a population under mutation and tournaments, fitness minus the validation loss;
- `random`: wirings drawn without repetition.

The latter two train what they look at, at the same seed as the exhaustive trials and exactly as these, and choose by
the validation loss. `trainings` is the price of each in trainings of one wiring; brute force pays 315.

    plexus study run search --scale standard

A variant `w1_7_15` lists, for the connections into lego 2, lego 3 and the head, which sources are read: bit k of the
number stands for source k, 0 the input. `w2_4_8` is the chain. A lego that nobody reads takes no part, so that wirings
which differ only in what it reads are one and the same net, and tie. `edges` counts all edges of a wiring.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-25, before seeds beyond the first ones were read, with the rule
unchanged and no early stop.

Cost: half a second to a second a training on one core at `standard`: 3,150 trainings, and 820 more for the searches;
`quick` less than a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import SEEDS, Part
from plexus.graph import Edge, Wiring, stack_nodes

from .evidence import Summary, entry, metric

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .context import TrialContext


LEGOS = 3
NODES = stack_nodes(LEGOS)
TARGETS = NODES[2:]
CHOICES = tuple(range(1, 2 ** (i + 2)) for i in range(LEGOS))  # subsets of each connection's sources, none empty
BUDGET, METHOD = 5, "gate"
WIDTH = 8
POPULATION, ELDERS = 8, 3
TOP, COST = 10.0, 2.0
"""Percent of the wirings that are near the top, and of brute force's time that is little."""

Masks = tuple[int, ...]


def all_wirings() -> list[Masks]:
    """List every choice of sources, 315 of them."""
    return [(a, b, c) for a in CHOICES[0] for b in CHOICES[1] for c in CHOICES[2]]


def name_of(masks: Masks) -> str:
    """The variant's name.

    Example:
        >>> name_of((2, 4, 8)), masks_of("w2_4_8")
        ('w2_4_8', (2, 4, 8))
    """
    return "w" + "_".join(map(str, masks))


def masks_of(name: str) -> Masks:
    """The sources that a variant's name stands for."""
    return tuple(int(part) for part in name.removeprefix("w").split("_"))


def wiring_of(masks: Masks) -> Wiring:
    """The same as a wiring.

    Example:
        >>> [e[:2] for e in wiring_of((2, 4, 9)).edges][2:]
        [('input', 'head'), ('lego3', 'head')]
    """
    pairs = [
        (source, target)
        for target, mask in zip(TARGETS, masks, strict=True)
        for k, source in enumerate(NODES)
        if mask >> k & 1
    ]
    return Wiring(NODES, tuple(Edge(s, t) for s, t in pairs))


def edges_of(masks: Masks) -> int:
    """Count its edges."""
    return sum(mask.bit_count() for mask in masks)


def trial(job: Job) -> dict[str, Any]:
    """Train a wiring, or search for one and train what was found."""
    from .context import CYCLE, TrialContext

    context = TrialContext(job, CYCLE, brief=True)
    options, facts = job.variant.options, dict[str, Any]()
    if "wiring" in options:
        masks = masks_of(job.variant.name)
    else:
        masks, facts = SEARCHES[options["search"]](context)
    net = fresh(context, masks)
    history = context.train(net)
    return context.metrics(net, history) | {"edges": edges_of(masks)} | facts


def legos(in_shape: Sequence[int]) -> list[nn.Module]:
    """Three of one width, pooling once."""
    from torch import nn

    def parts() -> list[nn.Module]:
        return [nn.LazyConv2d(WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()]

    return [nn.Sequential(*parts(), nn.MaxPool2d(2)), nn.Sequential(*parts()), nn.Sequential(*parts())]


def fresh(context: TrialContext, masks: Masks) -> nn.Module:
    """A wiring from the seed's weights."""
    from .context import pattern

    return pattern(context, legos, "gap", wiring_of(masks), merge="sum")


def gradient(context: TrialContext) -> tuple[Masks, dict[str, Any]]:
    """One supernet, whose edges are ranked."""
    from plexus.wiring import importance

    from .context import supernet

    net = supernet(context, legos, "gap", merge="sum", gate_init=0.5)
    history = context.train(net, name="search")
    val = context.data.val
    batches = [(context.read(val.images), val.labels.to(context.device))]
    most = sum(len(NODES[: i + 2]) for i in range(LEGOS))
    ranked = {method: importance(net, batches, method).strengths() for method in ("gate", "ablation")}
    masks = {method: [cut(each, edges) for edges in range(LEGOS, most + 1)] for method, each in ranked.items()}
    best = masks[METHOD][BUDGET - LEGOS]
    return best, {
        "found": name_of(best),
        "chosen": {method: {str(edges_of(m)): name_of(m) for m in each} for method, each in masks.items()},
        "trainings": 1,
        "gates": history.gates,
    }


def cut(strengths: Mapping[tuple[str, str], float], edges: int) -> Masks:
    """The strongest edges, each connection keeping its strongest.

    Args:
        strengths: of all nine edges.
        edges: how many to keep, at least one for each connection.

    Example:
        >>> all_edges = wiring_of((3, 7, 15)).edges
        >>> cut({e[:2]: float(k) for k, e in enumerate(all_edges)}, 4)  # the last are the strongest
        (2, 4, 12)
    """
    order = sorted(strengths, key=lambda pair: -strengths[pair])
    kept = [next(pair for pair in order if pair[1] == target) for target in TARGETS]
    kept += [pair for pair in order if pair not in kept][: edges - len(kept)]
    return tuple(sum(1 << NODES.index(s) for s, t in kept if t == target) for target in TARGETS)


class Score:
    """Trains wirings, each once, and remembers their validation losses."""

    def __init__(self, context: TrialContext) -> None:
        self.context, self.losses = context, dict[Masks, float]()
        self.history: list[float] = []
        self.most = min(int(context.job.scale.options["trainings"]), len(all_wirings()))

    @property
    def spent(self) -> bool:
        """True where nothing more may be trained."""
        return len(self.losses) >= self.most

    @property
    def best(self) -> Masks:
        """The wiring of the lowest loss."""
        return min(self.losses, key=lambda m: self.losses[m])

    def __call__(self, masks: Masks) -> float:
        if masks not in self.losses:
            net = fresh(self.context, masks)
            self.context.train(net, name=name_of(masks))
            self.losses[masks] = self.context.score(net, self.context.data.val)[0]
            self.history.append(round(min(self.losses.values()), 5))
        return self.losses[masks]

    def report(self) -> tuple[Masks, dict[str, Any]]:
        """Return what was found, and at what cost."""
        return self.best, {"found": name_of(self.best), "trainings": len(self.losses), "history": self.history}


def evolution(context: TrialContext) -> tuple[Masks, dict[str, Any]]:
    """The fittest of a few, mutated, again and again; the oldest make room."""
    score, random = Score(context), _random(context)
    population = _draw(random)[: min(POPULATION, score.most)]
    for masks in population:
        score(masks)
    while not score.spent:
        rivals = [population[_pick(len(population), random)] for _ in range(ELDERS)]
        child = mutated(min(rivals, key=score), random)
        if child in score.losses:  # nothing to learn from, but it may still be a parent
            child = mutated(child, random)
        score(child)
        population = [*population[1:], child]
    return score.report()


def mutated(masks: Masks, random: torch.Generator) -> Masks:
    """One edge more, or one less; never a connection without a source."""
    while True:
        i = _pick(LEGOS, random)
        changed = masks[i] ^ 1 << _pick(i + 2, random)
        if changed:
            return (*masks[:i], changed, *masks[i + 1 :])


def randomly(context: TrialContext) -> tuple[Masks, dict[str, Any]]:
    """As many as the evolution may train."""
    score = Score(context)
    for masks in _draw(_random(context))[: score.most]:
        score(masks)
    return score.report()


def _draw(random: torch.Generator) -> list[Masks]:
    import torch

    every = all_wirings()
    return [every[i] for i in torch.randperm(len(every), generator=random).tolist()]


def _pick(n: int, random: torch.Generator) -> int:
    import torch

    return int(torch.randint(n, (), generator=random))


def _random(context: TrialContext) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(context.job.seed)


SEARCHES: Mapping[str, Callable[[TrialContext], tuple[Masks, dict[str, Any]]]] = {
    "gradient": gradient,
    "evolution": evolution,
    "random": randomly,
}

STUDY = Study(
    name="search",
    question="Where do learned, evolved and randomly searched wirings stand in the ranking of all 315?",
    baseline=name_of((2, 4, 8)),
    variants=(
        *(Variant(name_of(m), {"wiring": [list(e[:2]) for e in wiring_of(m).edges]}) for m in all_wirings()),
        *(Variant(name, {"search": name}) for name in SEARCHES),
    ),
    scales={
        "quick": Scale(images=40, epochs=1, seeds=1, options={"trainings": 10}),
        "standard": Scale(images=None, epochs=10, seeds=10, options={"trainings": 40}),
        "full": Scale(images=None, epochs=30, seeds=10, options={"trainings": 40}),
    },
    data="digits",
    trial=trial,
)


RANK = (
    "Among all wirings of as many edges as `gradient` keeps, ranked by mean test accuracy over seeds (ties share their "
    "mean rank), the wiring it finds stands, in the median over the fresh seeds of `searches`, in the best "
    f"{TOP:g} %. Tested by how many seeds are there: p is the chance that as many random wirings would be, and refuted "
    "where so few are unlikely (p < .05) with a median there. And its trials, search and training of what was found, "
    f"take at most {COST:g} % of the time of training all 315, by seconds, in the mean over seeds. Beside it: edges "
    "ranked by ablation in place of the gate, and by gate from the ten seeds of the ranking; evolution and random "
    "search, among all wirings; and the noise of the ranking, the rank correlation of single seeds."
)


def rank(study: Summary) -> Sequence[Part]:
    """Claim 18."""
    table = means(study)
    edges = next(iter(metric(study, "gradient", "edges").values()), None)
    same = {name: mean for name, mean in table.items() if next(iter(metric(study, name, "edges").values())) == edges}
    few = f"{len(same)} wirings of {edges:g} edges" if edges else ""
    ranked = entry(study, "gradient")["others"].get("found", {})
    others = entry(study["beside"]["searches"], "gradient")["others"]
    ablation = others.get(f"chosen.ablation.{edges:g}", {}) if edges else {}
    return [
        _near(f"gradient in the best {TOP:g} %", others.get("found", {}), same, few, counted=True),
        _cheap(study, table),
        _near(f"by ablation in the best {TOP:g} %", ablation, same, few, counted=False),
        _near(f"gradient in the best {TOP:g} %, seeds of the ranking", ranked, same, few, counted=False),
        *(
            _near(
                f"{name} in the best {TOP:g} % of all", entry(study, name)["others"].get("found", {}), table,
                f"{len(table)} wirings, after {_price(study, name)} trainings", counted=False,
            )
            for name in ("evolution", "random")
        ),
        noise(study, list(table)),
    ]  # fmt: skip


def means(study: Summary) -> dict[str, float]:
    """Map every wiring to its mean over seeds; empty as long as one of them lacks a seed of the others."""
    wirings = [v for v in study["variants"] if "wiring" in v["options"]]
    whole = all(v["points"] and v["points"].keys() == wirings[0]["points"].keys() for v in wirings)
    return {v["name"]: v["mean"] for v in wirings} if whole else {}


def rank_of(name: str, table: Mapping[str, float]) -> float:
    """Return the rank of a wiring in percent of all of a table, the best first; ties share their mean rank.

    Example:
        >>> rank_of("b", {"a": 90.0, "b": 95.0, "c": 95.0, "d": 80.0})
        37.5
    """
    ranks = scipy.stats.rankdata([-mean for mean in table.values()])
    return 100.0 * float(ranks[list(table).index(name)]) / len(table)


def _near(text: str, found: Mapping[str, Any], table: Mapping[str, float], note: str, *, counted: bool) -> Part:
    """Test whether what the seeds found stands near the top."""
    shares = [rank_of(name, table) for name in found.values() if name in table]
    if len(shares) < SEEDS or len(shares) < len(found):
        why = "not run yet" if not shares else "some wirings or seeds are missing"
        return Part(text, unit="% of the ranking", n=len(shares), note=why, counted=counted)
    inside = sum(s <= TOP for s in shares)
    middle = median(shares)
    said = f"{inside} of {len(shares)} seeds are; {note}; shown from the best seed to the worst"
    chance = float(scipy.stats.binom.sf(inside - 1, len(shares), TOP / 100)) if middle <= TOP else 1.0
    return Part(
        text, middle, min(shares), max(shares), "% of the ranking", chance,
        float(scipy.stats.binom.cdf(inside, len(shares), 0.5)), len(shares), said,
        counted, takes=_seeds_needed(2 * len(shares)),
    )  # fmt: skip


def _seeds_needed(n: int) -> str:
    """Say what so many seeds would have to show."""
    most = int(scipy.stats.binom.ppf(0.05, n, 0.5)) - 1
    return (
        f"with {n} seeds it would hold if {n // 2 + 1} of them are in the best {TOP:g} %, and be refuted if only "
        f"{most} are; between the two it stays open"
    )


def _cheap(study: Summary, table: Mapping[str, float]) -> Part:
    text = f"its cost at most {COST:g} % of brute force's"
    spent, brute = entry(study, "gradient").get("seconds", {}), [entry(study, n)["seconds"] for n in table]
    costs = [100.0 * s / sum(b[seed] for b in brute) for seed, s in spent.items() if all(seed in b for b in brute)]
    if not table or len(costs) < SEEDS:
        return Part(text, unit="% of the time", n=len(costs), note="not run yet" if not costs else "seeds are missing")
    mean = sum(costs) / len(costs)
    price = f"{_price(study, 'gradient')} training of the supernet and one of what was found, against {len(table)}"
    holds, fails = (0.0, None) if mean <= COST else (1.0, 0.0)  # a measurement; nothing is drawn by chance
    return Part(text, mean, min(costs), max(costs), "% of the time", holds, fails, len(costs), price)


def _price(study: Summary, name: str) -> str:
    return f"{next(iter(metric(study, name, 'trainings').values()), 0):g}"


def noise(study: Summary, names: Sequence[str]) -> Part:
    """Correlate the ranks of two seeds, in the mean over pairs, and the reliability of a mean (Spearman-Brown)."""
    text = "single seeds rank the wirings alike"
    each = [metric(study, name) for name in names]
    seeds = [s for s in (each[0] if each else {}) if all(s in points for points in each)]
    if len(seeds) < 2 or len(names) < 3:
        return Part(text, unit="correlation", n=len(seeds), note="not run yet", counted=False)
    columns = [np.array([points[s] for points in each]) for s in seeds]
    each_r = [float(scipy.stats.spearmanr(a, b).statistic) for a, b in combinations(columns, 2)]
    r, k = sum(each_r) / len(each_r), len(seeds)
    whole = f"reliability of the mean over {k} seeds {k * r / (1 + (k - 1) * r):.2f}"
    return Part(text, r, min(each_r), max(each_r), "correlation", n=k, note=whole, counted=False)
