"""Is a learned wiring, pruned, as good as the full net, and better than wirings that nothing was learned for?

The default legos (`deep`: conv, batch norm, ReLU; 15 of them on 32x32 images), merged by sum. A third of the edges is
kept, 45 of 135: the chain, so that no lego goes and all nets have the same parameters, and the strongest skips.

- `full`: every edge with its learned gate, nothing cut;
- `finetuned`: in one training: learn for 25 % of the epochs, choose by gate, let the others fade, cut them
  after 65 %, train on;
- `retrained`: `full`, then its strongest edges by gate, trained anew from fresh weights with gates at 1;
- `ablation`: the same, but the first net has all gates fixed at 1 and its edges are ranked by the rise of the
  validation loss when one is cut: what learned gates must beat;
- `chain`, `ones` (all edges, gates 1), `residual` (every second lego skips), `random_1` to `random_3` (the chain and
  random skips, 45 edges in all, drawn anew from every seed): nothing learned.

    plexus study run pruning --data CIFAR10_FOLDER --scale standard

Every net that is compared gets all epochs of training as `plexus fit` trains: AdamW under one cycle. `retrained` and
`ablation` thus cost two trainings, which `trainings` states. A record holds the `wiring` with its strengths: what was
kept, and of `full` every edge; agreement over seeds is computed from these. `gap` is the validation accuracy
before and after the cut.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-25, before seeds beyond the first ones were read, with the rule
unchanged and no early stop.

Cost: 1 to 4 minutes a trial on one core at `standard`, beside another, 100 trials; `quick` 5 seconds on digits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, higher, not_lower
from plexus.experiments.statistics import paired

from .evidence import Summary, gain, mean, metric

if TYPE_CHECKING:
    from torch import nn

    from plexus.graph import Wiring

    from .context import History, TrialContext


KEEP = 1 / 3
SELECT, CUT = 0.25, 0.65
_START = {"merge": "sum", "gate_init": (0.95, 0.27)}  # the preset's own
_FIXED = {"merge": "sum", "init": 1.0, "activation": "none"}


def trial(job: Job) -> dict[str, Any]:
    """Train one way to a wiring."""
    from .context import CYCLE, TrialContext, edges

    context = TrialContext(job, CYCLE)
    net, history, wiring, facts = WAYS[job.variant.options["way"]](context)
    kept = {"wiring": edges(wiring, strengths=True), "edges_kept": len(wiring.edges), "trainings": 1}
    return context.metrics(net, history) | kept | facts


Found = tuple["nn.Module", "History", "Wiring", dict[str, Any]]


def full(context: TrialContext) -> Found:
    """Learned gates on every edge."""
    net = learner(context)
    history = context.train(net)
    return net, history, net.body.wiring(), {}


def finetuned(context: TrialContext) -> Found:
    """Learn, choose, fade, cut and go on, all in the epochs of one training."""
    from plexus.wiring import derive

    from .context import MaskAnnealing

    whole = context.job.scale.epochs
    cut = min(max(round(CUT * whole), 2), whole - 1)
    choice = min(max(round(SELECT * whole), 1), cut - 1)
    net = learner(context)
    history = context.train(net, name="learn", span=(0, choice))
    wiring = strongest(net, context, "gate")
    faded = copy.deepcopy(net)
    fade = MaskAnnealing(faded.body, wiring, (cut - choice) * context.steps)
    history.extend(context.train(faded, name="fade", span=(choice, cut), callbacks=[fade]))
    plain = derive(faded, wiring)
    gap = {"before": context.score(faded, context.data.val)[1], "after": context.score(plain, context.data.val)[1]}
    history.extend(context.train(plain, name="final", span=(cut, whole)))
    return plain, history, wiring, {"gap": gap}


def retrained(context: TrialContext) -> Found:
    """The strongest edges of `full` by gate, trained anew."""
    return anew(context, learner(context), "gate")


def ablation(context: TrialContext) -> Found:
    """The strongest edges by ablation where no gate was learned, trained anew."""
    net = learner(context, **_FIXED)
    for connection in net.body.connections:
        connection.weight.requires_grad_(False)
    return anew(context, net, "ablation")


def anew(context: TrialContext, net: Any, method: str) -> Found:
    """Train a net, rank its edges, and train the best of them from fresh weights."""
    from plexus.wiring import derive

    context.train(net, name="search")
    wiring = strongest(net, context, method)
    after = context.score(derive(net, wiring), context.data.val)[1]
    gap = {"before": context.score(net, context.data.val)[1], "after": after}
    plain, history, _, _ = fixed(context, wiring)
    return plain, history, wiring, {"gap": gap, "trainings": 2}


def fixed(context: TrialContext, wiring: Wiring) -> Found:
    """A wiring with gates at 1."""
    from plexus.models import deep

    from .context import pattern

    net = pattern(context, deep, "gap", wiring, merge="sum")
    return net, context.train(net), wiring, {}


def ones(context: TrialContext) -> Found:
    """Every edge."""
    return fixed(context, learner(context, **_FIXED).body.wiring())


def chain(context: TrialContext) -> Found:
    """No skips."""
    from plexus.wiring import random_wiring

    legos = count(context)
    return fixed(context, random_wiring(legos, legos, _random(context)))


def residual(context: TrialContext) -> Found:
    """A skip over every pair of legos."""
    from plexus.wiring import residual_wiring

    return fixed(context, residual_wiring(count(context)))


def randomly(context: TrialContext) -> Found:
    """The chain and random skips."""
    from plexus.wiring import random_wiring

    random = _random(context, context.job.variant.options["draw"])
    return fixed(context, random_wiring(count(context), budget(context), random))


def learner(context: TrialContext, **options: Any) -> Any:
    """The supernet of the default legos."""
    from plexus.models import deep

    from .context import supernet

    return supernet(context, deep, "gap", **(options or _START))


def strongest(net: Any, context: TrialContext, method: Any) -> Wiring:
    """The chain and the strongest skips, ranked on 512 validation images."""
    from plexus.wiring import importance

    images, labels = context.data.val.images[:512].split(256), context.data.val.labels[:512].split(256)
    batches = [(context.read(x), y.to(context.device)) for x, y in zip(images, labels, strict=True)]
    ranked = importance(net, batches, method)
    pairs = list(pairwise(ranked.nodes[1:]))
    skips = sorted((e for e in ranked.edges if e[:2] not in pairs), key=lambda e: -e.strength)
    return ranked.keep([*pairs, *(e[:2] for e in skips[: budget(context) - len(pairs)])])


def count(context: TrialContext) -> int:
    """Count the legos that the images' size asks for."""
    from plexus.models import deep

    return len(deep(context.in_shape))


def budget(context: TrialContext) -> int:
    """Count the edges that are kept."""
    legos = count(context)
    return int(KEEP * legos * (legos + 3) / 2)


def _random(context: TrialContext, draw: int = 0) -> Any:
    import torch

    return torch.Generator().manual_seed(1_000 * context.job.seed + draw)


WAYS = {
    "full": full,
    "finetuned": finetuned,
    "retrained": retrained,
    "ablation": ablation,
    "chain": chain,
    "ones": ones,
    "residual": residual,
    "random": randomly,
}

STUDY = Study(
    name="pruning",
    question="Is a pruned learned wiring as good as the full net, and better than wirings nobody learned?",
    baseline="full",
    variants=(
        *(Variant(way, {"way": way}) for way in ("full", "finetuned", "retrained", "chain", "ones")),
        *(Variant(f"random_{draw}", {"way": "random", "draw": draw}) for draw in (1, 2, 3)),
        *(Variant(way, {"way": way}) for way in ("residual", "ablation")),
    ),
    scales={
        "quick": Scale(images=96, epochs=3, seeds=1),
        "standard": Scale(images=5_000, epochs=8, seeds=10),
        "full": Scale(images=None, epochs=200, seeds=10),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)


PRUNED = (
    "`retrained` is not below `full` by the margin, a one-sided test; refuted where it is below it with p < .05. And "
    "it is above the mean of the three random wirings of its seed, of as many edges: above 0 with p < .05; refuted "
    "where the gain is below the margin. Beside it, `finetuned` in its place, and `retrained` against all gates 1, the "
    "chain, the residual wiring, and edges chosen by ablation where no gate was learned."
)


def pruned(study: Summary) -> Sequence[Part]:
    """Claim 5."""
    margin = study["margin"]
    random = mean([metric(study, f"random_{draw}") for draw in (1, 2, 3)])
    return [
        not_lower("retrained no worse than full", gain(study, "retrained", "full"), margin),
        higher("retrained above random wirings", paired(random, metric(study, "retrained")), margin),
        not_lower("finetuned no worse than full", gain(study, "finetuned", "full"), margin, counted=False),
        higher("finetuned above random wirings", paired(random, metric(study, "finetuned")), margin, counted=False),
        *(
            higher(f"retrained above {name}", gain(study, "retrained", name), margin, counted=False)
            for name in ("ones", "chain", "residual", "ablation")
        ),
    ]
