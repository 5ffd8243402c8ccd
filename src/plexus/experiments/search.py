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

Cost: about 20 minutes on one core at `standard`: 1,575 trainings of half a second, and 400 more for the searches;
`quick` less than a minute.
Expected: not run yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plexus.experiments._study import Job, Scale, Study, Variant
from plexus.graph import Edge, Wiring, stack_nodes

if TYPE_CHECKING:
    import torch
    from torch import nn

    from plexus.experiments._train import Bench

LEGOS = 3
NODES = stack_nodes(LEGOS)
TARGETS = NODES[2:]
CHOICES = tuple(range(1, 2 ** (i + 2)) for i in range(LEGOS))  # subsets of each connection's sources, none empty
BUDGET, METHOD = 5, "gate"
WIDTH = 8
POPULATION, ELDERS = 8, 3

Masks = tuple[int, ...]


def all_wirings() -> list[Masks]:
    """Every choice of sources, 315 of them."""
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
    """How many edges it has."""
    return sum(mask.bit_count() for mask in masks)


def trial(job: Job) -> dict[str, Any]:
    """Trains a wiring, or searches for one and trains what was found."""
    from plexus.experiments._train import CYCLE, Bench

    bench = Bench(job, CYCLE)
    options, facts = job.variant.options, dict[str, Any]()
    if "wiring" in options:
        masks = masks_of(job.variant.name)
    else:
        masks, facts = SEARCHES[options["search"]](bench)
    net = fresh(bench, masks)
    history = bench.train(net)
    return bench.metrics(net, history) | {"edges": edges_of(masks)} | facts


def legos(in_shape: Sequence[int]) -> list[nn.Module]:
    """Three of one width, pooling once."""
    from torch import nn

    def parts() -> list[nn.Module]:
        return [nn.LazyConv2d(WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()]

    return [nn.Sequential(*parts(), nn.MaxPool2d(2)), nn.Sequential(*parts()), nn.Sequential(*parts())]


def fresh(bench: Bench, masks: Masks) -> nn.Module:
    """A wiring from the seed's weights."""
    from plexus.experiments._nets import pattern

    return pattern(bench, legos, "gap", wiring_of(masks), merge="sum")


def gradient(bench: Bench) -> tuple[Masks, dict[str, Any]]:
    """One supernet, whose edges are ranked."""
    from plexus.experiments._nets import supernet
    from plexus.wiring import importance

    net = supernet(bench, legos, "gap", merge="sum", gate_init=0.5)
    history = bench.train(net, name="search")
    val = bench.data.val
    batches = [(bench.read(val.images), val.labels.to(bench.device))]
    most = sum(len(NODES[: i + 2]) for i in range(LEGOS))
    ranked = {method: importance(net, batches, method).strengths() for method in ("gate", "ablation")}
    masks = {method: [cut(each, edges) for edges in range(LEGOS, most + 1)] for method, each in ranked.items()}
    found = masks[METHOD][BUDGET - LEGOS]
    return found, {
        "found": name_of(found),
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

    def __init__(self, bench: Bench) -> None:
        self.bench, self.losses = bench, dict[Masks, float]()
        self.history: list[float] = []
        self.most = min(int(bench.job.scale.options["trainings"]), len(all_wirings()))

    @property
    def spent(self) -> bool:
        """Whether nothing more may be trained."""
        return len(self.losses) >= self.most

    @property
    def best(self) -> Masks:
        """The wiring of the lowest loss."""
        return min(self.losses, key=lambda m: self.losses[m])

    def __call__(self, masks: Masks) -> float:
        if masks not in self.losses:
            net = fresh(self.bench, masks)
            self.bench.train(net, name=name_of(masks))
            self.losses[masks] = self.bench.score(net, self.bench.data.val)[0]
            self.history.append(round(min(self.losses.values()), 5))
        return self.losses[masks]

    def report(self) -> tuple[Masks, dict[str, Any]]:
        """What was found, and at what cost."""
        return self.best, {"found": name_of(self.best), "trainings": len(self.losses), "history": self.history}


def evolution(bench: Bench) -> tuple[Masks, dict[str, Any]]:
    """The fittest of a few, mutated, again and again; the oldest make room."""
    score, random = Score(bench), _random(bench)
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


def randomly(bench: Bench) -> tuple[Masks, dict[str, Any]]:
    """As many as the evolution may train."""
    score = Score(bench)
    for masks in _draw(_random(bench))[: score.most]:
        score(masks)
    return score.report()


def _draw(random: torch.Generator) -> list[Masks]:
    import torch

    every = all_wirings()
    return [every[i] for i in torch.randperm(len(every), generator=random).tolist()]


def _pick(n: int, random: torch.Generator) -> int:
    import torch

    return int(torch.randint(n, (), generator=random))


def _random(bench: Bench) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(bench.job.seed)


SEARCHES: Mapping[str, Callable[[Bench], tuple[Masks, dict[str, Any]]]] = {
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
        "standard": Scale(images=None, epochs=10, seeds=5, options={"trainings": 40}),
        "full": Scale(images=None, epochs=30, seeds=10, options={"trainings": 40}),
    },
    data="digits",
    trial=trial,
)
