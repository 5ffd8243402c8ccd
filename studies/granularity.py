"""Between what should a wiring be learned: whole layers, maps and layers, or single maps?

Nets of 15 legos in three stages, of 16, 8 and 4 pixels for images of 32, and of about equal parameters, 8,100 to 8,600:

- `layers_*`: 3x3 convolutions of 8 maps; an edge joins two layers, merged by sum; 45 of 135 stay;
- `columns_*`: 3x3 convolutions of 7 maps; an edge brings one map to a layer (concatenation, a gate for every map), and
  owns a column of its kernel; 8 for every layer stay, the head reads all maps;
- `map_*`: depthwise 3x3 convolutions of 24 maps; an edge joins two maps (`merge="mix"`, a signed weight); 3,600 of
  70,200 stay, 10 for every map.

Each in three ways, of as many edges and epochs:

- `learned`: dense at first; the weakest of all edges are cut from .1 to .6 of the steps, every 10 steps;
- `random_cuts`: the same schedule, but a random order in which edges go;
- `random`: a random wiring from the first step on, with the chain between layers, and as many sources for every layer
  of columns or every map.

Beside them a stream to which each of 15 depthwise convolutions of 17 maps adds by a dense 1x1 convolution: `residual`
as many epochs as the others, `residual_longer` for so many that it takes the processor time of `map_learned`
(`processor_seconds` in every record).

    plexus study run granularity --data CIFAR10_FOLDER --scale standard

All are trained as `plexus fit` trains: AdamW under one cycle, weights of mixes with a rate of .01 and no decay.
`parameters` are those of the net that stays, without weights that are 0 for good.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-26, with the rule, before any trial of them was run. No early stop.

At `full` nets of about 41,000 parameters, a budget of Wortsman et al. (2019), see all training images.

Cost: about 1.5 minutes of processor time a trial on one core at `standard`, 110 trials; `quick` 5 seconds on digits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, higher
from plexus.experiments.statistics import Difference
from plexus.graph import HEAD

from .evidence import Summary, gain

if TYPE_CHECKING:
    import torch
    from torch import nn

    from plexus.graph import Wiring
    from plexus.nn import Supernet
    from plexus.training import GradualCut

    from .context import TrialContext

KEPT = 1 / 3  # of the edges between layers
LONGER = 1.375  # epochs of the residual net in the processor time of one of `map_learned`, measured beforehand


@dataclass(frozen=True)
class Size:
    """Maps of a lego for each kind of net, and how many maps a layer of columns and a map read."""

    widths: dict[str, int]
    columns: int
    sources: int


SIZES = {
    "small": Size({"layers": 8, "columns": 7, "map": 24, "residual": 17}, columns=8, sources=10),
    "large": Size({"layers": 17, "columns": 16, "map": 64, "residual": 46}, columns=18, sources=29),
}
MERGES: dict[str, dict[str, Any]] = {
    "layers": {"merge": "sum", "gate_init": (0.95, 0.27)},
    "columns": {"merge": "concat", "gate": "channel"},
    "map": {"merge": "mix", "share": 1},
    "residual": {"merge": "mix", "share": None, "residual": True, "reach": 1},
}


def trial(job: Job) -> dict[str, Any]:
    """Train one net."""
    from .context import CYCLE, TrialContext

    between, way = job.variant.options["between"], job.variant.options["way"]
    if way == "longer":
        job = replace(job, scale=replace(job.scale, epochs=round(LONGER * job.scale.epochs)))
    mixes = MERGES[between]["merge"] == "mix"
    context = TrialContext(job, replace(CYCLE, gate_lr=1e-2, channels_last=False) if mixes else CYCLE)
    net, cut = made(context, between, way, SIZES[job.scale.options.get("size", "small")])
    start = time.process_time()
    history = context.train(net, callbacks=cut)
    facts: dict[str, Any] = {"processor_seconds": round(time.process_time() - start, 2)}
    if cut:
        facts |= {"began": cut[0].began, "blind": cut[0].blind}
    return context.metrics(net, history) | what_stays(net, between) | facts


def made(context: TrialContext, between: str, way: str, size: Size) -> tuple[Any, list[GradualCut]]:
    """Make a net, and the schedule that cuts it where there is one."""
    import torch
    from torch import nn

    from plexus.training import GradualCut, Target

    from .context import pattern, supernet

    random = torch.Generator().manual_seed(context.job.seed)

    legos = partial(stages, between=between, size=size)
    net = supernet(context, legos, "gap", **MERGES[between])
    if between == "residual":
        net.head.insert(0, nn.ReLU())  # type: ignore[operator]  # what comes out of a stream has passed none
        return net, []
    if way == "random":
        wiring = drawn(ranking(net, between)(), between, random, size)
        if between != "map":
            return pattern(context, legos, "gap", wiring, merge=MERGES[between]["merge"]), []
        start_sparse(net.body, wiring)  # type: ignore[arg-type]
        return net, []
    images = context.data.train
    cut = GradualCut(
        net.body, Target(edges=budget(between, len(net.body.legos), context.in_shape[0], size)),  # type: ignore[arg-type]
        context.job.scale.epochs * context.steps, chance=float(images.labels.bincount().max()) / len(images),
        rank=ranking(net, between, random if way == "random_cuts" else None),
    )  # fmt: skip
    return net, [cut]


def stages(in_shape: Sequence[int], *, between: str, size: Size) -> list[nn.Module]:
    """Make the legos of `deep` behind a pooling, with depthwise convolutions where mixes join them."""
    from torch import nn

    from plexus.models import deep

    width, mixes = size.widths[between], MERGES[between]["merge"] == "mix"
    legos: list[Any] = deep(in_shape, width=width)
    for i, lego in enumerate(legos):
        inputs, groups = (width, width) if i else (in_shape[0], 1)
        if mixes:
            lego[0] = nn.Conv2d(inputs, width, 3, padding=1, groups=groups, bias=False)
    if min(in_shape[1:]) >= 16:
        legos[0].append(nn.MaxPool2d(2))
    return legos


def budget(between: str, legos: int, channels: int, size: Size) -> int:
    """Count the edges that stay, of nets of so many legos for images of so many channels."""
    if between == "layers":
        return int(KEPT * legos * (legos + 3) / 2)
    if between == "columns":
        read = size.widths[between] * legos  # by the head: all
        return size.columns * (legos - 1) + channels + read
    return size.sources * size.widths[between] * legos


def ranking(net: Any, between: str, random: torch.Generator | None = None) -> Callable[[], Wiring]:
    """Rank edges by what they weigh at present, or in a random order that stays."""
    import torch

    from plexus.wiring import Edge, Wiring, importance

    order: dict[tuple[str, str], Any] = {}

    def ranked() -> Wiring:
        found = (
            importance(net, method="strength", maps=True) if between == "columns" else importance(net, method="gate")
        )
        if random is not None:
            for pair, strength in (found.maps or found.strengths()).items():
                order.setdefault(pair, torch.rand(getattr(strength, "shape", ()), generator=random).numpy() + 0.01)
            maps = {pair: order[pair] * (there != 0) for pair, there in found.maps.items()}
            found = Wiring(found.nodes, [Edge(s, t, float(order[s, t].mean())) for s, t, _ in found.edges], maps)
        if between == "columns":
            maps = {(s, t): there + 1e6 * (there != 0) * (t == HEAD) for (s, t), there in found.maps.items()}
            found = Wiring(found.nodes, found.edges, maps)
        return found

    return ranked


def drawn(whole: Wiring, between: str, random: torch.Generator, size: Size) -> Wiring:
    """Draw a random wiring of as many edges."""
    from plexus.wiring import Wiring, random_maps, random_wiring

    legos = len(whole.nodes) - 2
    if between == "layers":
        return random_wiring(legos, budget(between, legos, 0, size), random)
    if between == "map":
        return random_maps(whole, random, fan_in=size.sources)
    found = random_maps(whole, random, fan_in=size.columns)
    read = {pair: maps for pair, maps in whole.maps.items() if pair[1] == HEAD}
    maps = {pair: maps for pair, maps in found.maps.items() if pair[1] != HEAD} | read
    return Wiring(whole.nodes, [(*pair, 1.0) for pair in maps], maps)


def start_sparse(body: Supernet, wiring: Wiring) -> None:
    """Give a mix its wiring, and its weights the start that belongs to so many sources, in place."""
    import torch

    body.set_wiring(wiring)
    with torch.no_grad():
        for connection in body.connections:
            mask = connection.mask
            connection.weight.mul_((mask.shape[1] / mask.sum(1, keepdim=True)).sqrt())


def what_stays(net: Any, between: str) -> dict[str, int]:
    """Count the parameters and the edges that are left."""
    from plexus.nn import Supernet
    from plexus.wiring import derive, importance, parameters, prune

    if not isinstance(net.body, Supernet):
        return {"parameters": parameters(net)}
    if MERGES[between]["merge"] == "mix":
        cut = sum(c.share * int((c.mask == 0).sum()) for c in net.body.connections)
        left = sum(c.share * int((c.mask != 0).sum()) for c in net.body.connections)
        return {"parameters": parameters(net) - cut, "edges": left}
    wiring = importance(net, method="gate", maps=between == "columns")
    if between == "layers":
        wiring = wiring.keep([(s, t) for s, t, strength in wiring.edges if strength > 0])
    wiring = prune(wiring, keep=1.0)
    return {"parameters": parameters(derive(net, wiring)), "edges": wiring.count()}


_WAYS = ("learned", "random", "random_cuts")
STUDY = Study(
    name="granularity",
    question="Between what should a wiring be learned: whole layers, maps and layers, or single maps?",
    baseline="residual",
    variants=(
        Variant("residual", {"between": "residual", "way": "as_long"}),
        Variant("residual_longer", {"between": "residual", "way": "longer"}),
        *(
            Variant(f"{between}_{way}", {"between": between, "way": way})
            for between in ("map", "columns", "layers")
            for way in _WAYS
        ),
    ),
    scales={
        "quick": Scale(images=96, epochs=2, seeds=1),
        "standard": Scale(images=5_000, epochs=8, seeds=10),
        "full": Scale(images=None, epochs=8, seeds=10, options={"size": "large"}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
    terms={
        "map_learned": "wiring learned between maps",
        "map_random": "random wiring between maps",
        "residual": "the residual net",
    },
)


LEARNED = (
    "`map_learned` is above `map_random`, of equal edges, parameters and epochs: above 0 with p < .05, by 2 points or "
    "more in the mean. And above `residual`, of equal parameters and epochs, likewise, by 4 points or more. Refuted "
    "where a gain is shown to be smaller than that. Beside it the same for columns and for layers, for random cuts on "
    "the same schedule, and against the residual net of equal processor time."
)


def learned(study: Summary) -> Sequence[Part]:
    """Claim 19."""
    return [
        by("map_learned above map_random", gain(study, "map_learned", "map_random"), 2.0),
        by("map_learned above residual", gain(study, "map_learned", "residual"), 4.0),
        by("map_learned above map_random_cuts", gain(study, "map_learned", "map_random_cuts"), 2.0, counted=False),
        by("map_learned above residual_longer", gain(study, "map_learned", "residual_longer"), 0.0, counted=False),
        *(
            by(
                f"{name}_learned above {name}_{way}",
                gain(study, f"{name}_learned", f"{name}_{way}"),
                2.0,
                counted=False,
            )
            for name in ("columns", "layers")
            for way in ("random", "random_cuts")
        ),
        *(
            by(f"map_learned above {name}_learned", gain(study, "map_learned", f"{name}_learned"), 0.0, counted=False)
            for name in ("columns", "layers")
        ),
    ]


def by(text: str, difference: Difference | None, least: float, *, counted: bool = True) -> Part:
    """Test for above zero, and ask for so many points in the mean."""
    part = higher(text, difference, least, counted=counted)
    small = part.p_holds is not None and part.effect is not None and part.effect < least
    return replace(part, p_holds=1.0) if small else part
