"""Is a learned wiring, pruned, as good as the full net, and better than wirings that nothing was learned for?

The default legos (`deep`: conv, batch norm, ReLU; 15 of them on 32x32 images), merged by sum. A third of the edges is
kept, 45 of 135: the chain, so that no lego goes and all nets have the same parameters, and the strongest skips.

- `full`: every edge with its learned gate, nothing cut;
- `finetuned`: as `plexus fit` does it: learn for 25 % of the epochs, choose by gate, let the others fade, cut them
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

Cost: about 56 minutes on one core at `standard`, beside another (30 trials of 1 to 4 minutes); `quick` 5 seconds on
digits.
Expected: at `standard` on CIFAR-10, three seeds (test accuracy, lowest and highest seed): full 53.2 % (52.2 to 54.6),
finetuned 53.8 (53.1 to 54.3), retrained 56.3 (54.0 to 57.7), ablation 54.2 (53.7 to 54.4), chain 46.1 (44.5 to 47.0),
ones 51.6 (51.2 to 52.3), residual 55.0 (53.9 to 55.6), random 55.0 in the mean of three (51.9 to 57.4). A third of the
edges, fine-tuned, comes to what all of them do; that a chosen third trained anew beats random ones is not shown.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from plexus.experiments._study import Job, Scale, Study, Variant

if TYPE_CHECKING:
    from torch import nn

    from plexus.experiments._train import Bench, History
    from plexus.graph import Wiring

KEEP = 1 / 3
SELECT, CUT = 0.25, 0.65
_START = {"merge": "sum", "gate_init": (0.95, 0.27)}  # the preset's own
_FIXED = {"merge": "sum", "init": 1.0, "activation": "none"}


def trial(job: Job) -> dict[str, Any]:
    """Trains one way to a wiring."""
    from plexus.experiments._nets import edges
    from plexus.experiments._train import CYCLE, Bench

    bench = Bench(job, CYCLE)
    net, history, wiring, facts = WAYS[job.variant.options["way"]](bench)
    kept = {"wiring": edges(wiring, strengths=True), "edges_kept": len(wiring.edges), "trainings": 1}
    return bench.metrics(net, history) | kept | facts


Found = tuple["nn.Module", "History", "Wiring", dict[str, Any]]


def full(bench: Bench) -> Found:
    """Learned gates on every edge."""
    net = learner(bench)
    history = bench.train(net)
    return net, history, net.body.wiring(), {}


def finetuned(bench: Bench) -> Found:
    """Learn, choose, fade, cut and go on, all in the epochs of one training."""
    from plexus.training import set_masks
    from plexus.wiring import derive

    whole = bench.job.scale.epochs
    cut = min(max(round(CUT * whole), 2), whole - 1)
    choice = min(max(round(SELECT * whole), 1), cut - 1)
    net = learner(bench)
    history = bench.train(net, name="learn", span=(0, choice))
    wiring = strongest(net, bench, "gate")
    faded, kept = copy.deepcopy(net), set(wiring.strengths())

    def fade(step: int) -> None:
        done = (step - choice * bench.steps + 1) / max(1.0, 0.6 * (cut - choice) * bench.steps)
        set_masks(faded.body, kept, max(0.0, 1 - done))

    history.extend(bench.train(faded, name="fade", span=(choice, cut), each=fade))
    plain = derive(faded, wiring)
    gap = {"before": bench.score(faded, bench.data.val)[1], "after": bench.score(plain, bench.data.val)[1]}
    history.extend(bench.train(plain, name="final", span=(cut, whole)))
    return plain, history, wiring, {"gap": gap}


def retrained(bench: Bench) -> Found:
    """The strongest edges of `full` by gate, trained anew."""
    return anew(bench, learner(bench), "gate")


def ablation(bench: Bench) -> Found:
    """The strongest edges by ablation where no gate was learned, trained anew."""
    net = learner(bench, **_FIXED)
    for connection in net.body.connections:
        connection.weight.requires_grad_(False)
    return anew(bench, net, "ablation")


def anew(bench: Bench, net: Any, method: str) -> Found:
    """Trains a net, ranks its edges, and trains the best of them from fresh weights."""
    from plexus.wiring import derive

    bench.train(net, name="search")
    wiring = strongest(net, bench, method)
    after = bench.score(derive(net, wiring), bench.data.val)[1]
    gap = {"before": bench.score(net, bench.data.val)[1], "after": after}
    plain, history, _, _ = fixed(bench, wiring)
    return plain, history, wiring, {"gap": gap, "trainings": 2}


def fixed(bench: Bench, wiring: Wiring) -> Found:
    """A wiring with gates at 1."""
    from plexus.experiments._nets import pattern
    from plexus.models import deep

    net = pattern(bench, deep, "gap", wiring, merge="sum")
    return net, bench.train(net), wiring, {}


def ones(bench: Bench) -> Found:
    """Every edge."""
    return fixed(bench, learner(bench, **_FIXED).body.wiring())


def chain(bench: Bench) -> Found:
    """No skips."""
    from plexus.wiring import random_wiring

    legos = count(bench)
    return fixed(bench, random_wiring(legos, legos, _random(bench)))


def residual(bench: Bench) -> Found:
    """A skip over every pair of legos."""
    from plexus.wiring import residual_wiring

    return fixed(bench, residual_wiring(count(bench)))


def randomly(bench: Bench) -> Found:
    """The chain and random skips."""
    from plexus.wiring import random_wiring

    random = _random(bench, bench.job.variant.options["draw"])
    return fixed(bench, random_wiring(count(bench), budget(bench), random))


def learner(bench: Bench, **options: Any) -> Any:
    """The supernet of the default legos."""
    from plexus.experiments._nets import supernet
    from plexus.models import deep

    return supernet(bench, deep, "gap", **(options or _START))


def strongest(net: Any, bench: Bench, method: str) -> Wiring:
    """The chain and the strongest skips, ranked on 512 validation images."""
    from plexus.wiring import importance

    images, labels = bench.data.val.images[:512].split(256), bench.data.val.labels[:512].split(256)
    batches = [(bench.read(x), y.to(bench.device)) for x, y in zip(images, labels, strict=True)]
    ranked = importance(net, batches, method)
    pairs = list(pairwise(ranked.nodes[1:]))
    skips = sorted((e for e in ranked.edges if e[:2] not in pairs), key=lambda e: -e.strength)
    return ranked.keep([*pairs, *(e[:2] for e in skips[: budget(bench) - len(pairs)])])


def count(bench: Bench) -> int:
    """How many legos the images' size asks for."""
    from plexus.models import deep

    return len(deep(bench.in_shape))


def budget(bench: Bench) -> int:
    """How many edges are kept."""
    legos = count(bench)
    return int(KEEP * legos * (legos + 3) / 2)


def _random(bench: Bench, draw: int = 0) -> Any:
    import torch

    return torch.Generator().manual_seed(1_000 * bench.job.seed + draw)


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
        "standard": Scale(images=5_000, epochs=8, seeds=3),
        "full": Scale(images=None, epochs=200, seeds=5),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)
