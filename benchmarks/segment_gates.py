"""What leaves a mask empty best, and whether the default net is ahead of a plain U-Net no smaller.

Command: python benchmarks/segment_gates.py CROPS [--seeds 0 1 ...] [--work FOLDER] [--out FILE]

CROPS is the absence set of `benchmarks/absence_set.py`: crops of real ultrasound, 364 of 608 without the nerve. On each
of five leak-free folds two nets are trained alike, for as many steps: the U-Net of `plexus segment` with its presence
head, and a plain one of 1.16 times its parameters (two 3x3 convolutions a level, batch norm, ReLU, pooling, transposed
convolutions) by the same loss without presence. From the same outputs every rule makes masks; what a rule has to choose
it chooses by the validation fold alone:

- none: inside where the probability is .5 or more; threshold: empty where presence is below .5; expected: the default;
- area: the threshold of the mask and the least area with the best mean Dice;
- rankseg: RankSEG's masks (Dai and Li 2023; package `rankseg`, RMA for Dice), and the least area likewise.

Dice is 1 where truth and answer are empty, 0 where one is; intervals by bootstrap over the images that the crops come
from, all rules of one net on the same draw. About 3 minutes a net on one core: 30 minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Results
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from plexus.metrics import bootstrap, dice, paired_bootstrap
from plexus.models import Segmentation
from plexus.record import machine, versions
from plexus.segment import choose_gate
from studies.absence import GROUP
from studies.segmentation import BATCH, pairs, predict, train

SIZE, PASSES = 80, 30
CUTS = (0.3, 0.4, 0.5, 0.6, 0.7)
AREAS = (0, 10, 20, 40, 80, 120, 160, 240, 320, 480)
NETS = ("presence", "plain")
RULES = {"presence": ("none", "threshold", "expected", "area", "rankseg"), "plain": ("none", "area", "rankseg")}
Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]


class Plain(nn.Module):
    """A U-Net as it is usually written; it says nothing of presence."""

    def __init__(self, width: int = 8, levels: int = 4) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(levels)]
        self.down = nn.ModuleList(self.block(a, b) for a, b in zip([1, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.join = nn.ModuleList(self.block(2 * w, w) for w in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, 1, 1)

    @staticmethod
    def block(inputs: int, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Segmentation:
        kept = []
        for i, level in enumerate(self.down):
            x = level(x if i == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for up, join, skip in zip(self.up, self.join, reversed(kept[:-1]), strict=True):
            x = join(torch.cat([skip, up(x)], 1))
        return Segmentation(self.last(x), x.new_zeros(len(x)))


def outputs(place: str, seed: int, net: str, folder: Path) -> dict[str, Any]:
    """Probabilities, presence logits and truth of the validation and the test fold, kept in a file."""
    kept = folder / f"{net}-{seed}.npz"
    if not kept.is_file():
        whole = pairs(place, SIZE, GROUP)
        rows, val, test = whole.split(seed)
        steps = PASSES * (len(rows) // BATCH)
        torch.manual_seed(seed)
        made = {"net": Plain()} if net == "plain" else {}
        held = whole.images[val], whole.masks[val]
        trained = train(whole.images[rows], whole.masks[rows], held, steps=steps, passes=PASSES, seed=seed, **made)
        found: dict[str, Any] = {"parameters": sum(p.numel() for p in trained.net.parameters())}
        for name, part in (("val", val), ("test", test)):
            found[f"{name}_map"], found[f"{name}_logit"] = predict(trained.net, whole.images[part])
            found[f"{name}_truth"] = whole.masks[part][:, 0].numpy()
            found[f"{name}_group"] = np.array([whole.samples.samples[r].group for r in part.tolist()])
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **found)
    with np.load(kept) as read:
        return dict(read)


def masks(rule: str, found: dict[str, Any]) -> Masks:
    """The masks of the test fold by a rule."""
    val, truth, test = found["val_map"], found["val_truth"], found["test_map"]
    if rule in ("none", "threshold", "expected"):
        gate = choose_gate(
            "0.5" if rule == "threshold" else rule, val, found["val_logit"], truth, groups=found["val_group"].tolist()
        )
        return gate.apply(test, found["test_logit"])
    if rule == "area":
        ways: dict[Any, Callable[[Maps], Masks]] = {cut: (lambda maps, c=cut: maps >= np.float32(c)) for cut in CUTS}
    else:
        ways = {"rankseg": ranked}
    made = {name: way(val) for name, way in ways.items()}
    best = max(
        ((name, least) for name in made for least in AREAS),
        key=lambda choice: dice(emptied(made[choice[0]], choice[1]), truth).mean(),
    )
    return emptied(ways[best[0]](test), best[1])


def ranked(maps: Maps) -> Masks:
    """The masks of the highest expected Dice, by RankSEG."""
    from rankseg import RankSEG

    solver = RankSEG(metric="dice", output_mode="multilabel", solver="RMA")
    chosen: Masks = solver.predict(torch.from_numpy(maps)[:, None])[:, 0].bool().numpy()
    return chosen


def emptied(found: Masks, least: int) -> Masks:
    """Leave masks of fewer pixels empty."""
    return found & (found.sum((1, 2)) >= least)[:, None, None]


def judge(place: str, seeds: list[int], folder: Path, results: Results) -> None:
    """Score every rule of every net on all folds, and the differences that count."""
    scores: dict[str, list[float]] = {f"{net}/{rule}": [] for net in NETS for rule in RULES[net]}
    groups, there, sizes = list[str](), list[bool](), dict[str, int]()
    for seed in seeds:
        for net in NETS:
            found = outputs(place, seed, net, folder)
            sizes[net] = int(found["parameters"])
            for rule in RULES[net]:
                scores[f"{net}/{rule}"] += (100 * dice(masks(rule, found), found["test_truth"])).tolist()
        groups += found["test_group"].tolist()
        there += found["test_truth"].any((1, 2)).tolist()
    present = np.array(there)
    facts = {"seeds": seeds, "parameters": sizes, "machine": machine(), "versions": versions("torch", "rankseg")}
    for name, each in scores.items():
        mean = bootstrap(each, groups)
        positives = float(np.mean(np.array(each)[present]))
        empty = float(np.mean(np.array(each)[~present]))
        results.put(f"gates/{name}", {"mean": mean.mean, "low": mean.low, "high": mean.high, "positives": positives,
                                      "empty": empty, **facts})  # fmt: skip
    positives = {name: np.array(each)[present].tolist() for name, each in scores.items()}
    where = [group for group, one in zip(groups, there, strict=True) if one]
    for name in scores:
        if name != "presence/expected":
            whole = paired_bootstrap(scores["presence/expected"], scores[name], groups)
            only = paired_bootstrap(positives["presence/expected"], positives[name], where)
            results.put(
                f"gates/presence/expected - {name}",
                {"mean": [whole.mean, whole.low, whole.high], "positives": [only.mean, only.low, only.high]},
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--work", type=Path, default=Path("segment-gates"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "segment.json")
    given = parser.parse_args()
    judge(given.crops, given.seeds, given.work, Results(given.out))
