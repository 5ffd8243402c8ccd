"""What leaves a mask empty best, and whether the default net is ahead of a plain U-Net no smaller.

Command: python benchmarks/segment_gates.py SET [PLACE] [--seeds 0 1 ...] [--work FOLDER] [--out FILE]
    absence   PLACE: the crops of `benchmarks/absence_set.py`, of real ultrasound, 364 of 608 without the nerve
    nerve     PLACE: usgra-seg, the whole images with NAME_mask.png, which is in all 244 of them
    vessel    PLACE: the same images with NAME_vessel.png, which 25 of them do not have
    made      400 speckled phantoms (`benchmarks/segment_sets.py`), half of them without the target

On each of five leak-free folds two nets are trained: the U-Net of `plexus segment` with its presence head, as `plexus
segment train` trains it, for 30 passes over the images where it computes at the whole size (`made`), and 90 where at
half of it; and a plain one of 1.16 times its parameters (two 3x3 convolutions a level, batch norm, ReLU, pooling,
transposed convolutions) by the same loss without presence, for 30 passes. The records hold the seconds of both,
validation after each pass included. The plain one is trained twice, as in the notes (`plain`: images vary little, a
rate of .01) and with the variation and rate of the first one (`varied`). Empty images count in its Dice: it has nothing
else to tell presence with. From the same outputs every rule makes masks; what a rule has to choose it chooses by the
validation fold alone:

- none: inside where the probability is .5 or more; threshold: empty where presence is below .5; expected: the gate
  that is the default, which on a plain net reads the pixels alone;
- area: the threshold of the mask and the least area with the best mean Dice;
- rankseg: RankSEG's masks (Dai and Li 2023; package `rankseg`, RMA for Dice), and the least area likewise.

Dice is 1 where truth and answer are empty, 0 where one is; intervals by bootstrap over the images that the crops come
from, near-duplicates together, all rules of one net on the same draw. One to three minutes a net on one core, fifteen
nets a set; the outputs of every net are kept in the folder of --work.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Results
from numpy.typing import NDArray
from segment_sets import made, whole_images
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from plexus.metrics import bootstrap, dice, paired_bootstrap
from plexus.models import Segmentation
from plexus.record import machine, versions
from plexus.segment import SegmentConfig, choose_gate
from studies.absence import GROUP
from studies.segmentation import BATCH, pairs, predict, train

SIZES = {"absence": 80, "nerve": 80, "vessel": 80, "made": 64}
CUTS = (0.3, 0.4, 0.5, 0.6, 0.7)
AREAS = (0, 10, 20, 40, 80, 120, 160, 240, 320, 480)
PASSES = {1: 30, 2: 90}  # by the stride of the first convolution
NETS = ("presence", "plain", "varied")
PLAIN_RULES = ("none", "expected", "area", "rankseg")
RULES = {
    "presence": ("none", "threshold", "expected", "area", "rankseg"), "plain": PLAIN_RULES, "varied": PLAIN_RULES,
}  # fmt: skip
VARIED = ("rotation", "shift", "gain", "elastic", "flip")
DEFAULT = "presence/expected"
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


def outputs(place: str, size: int, seed: int, net: str, folder: Path) -> dict[str, Any]:
    """Probabilities, presence logits and truth of the validation and the test fold, kept in a file."""
    kept = folder / f"{net}-{seed}.npz"
    if not kept.is_file():
        whole = pairs(place, size, GROUP)
        rows, val, test = whole.split(seed)
        config = SegmentConfig(size=size)
        stem = config.stem_stride if net == "presence" else 1
        how: dict[str, Any] = {"net": Plain()}
        if net == "presence":
            how = {"stem": stem, "positives_only": config.positives_only}
        if net != "plain":
            how |= {"augment": {name: getattr(config, name) for name in VARIED}, "lr": config.lr}
        steps, passes = PASSES[stem] * (len(rows) // BATCH), PASSES[stem]
        torch.manual_seed(seed)
        held = whole.images[val], whole.masks[val]
        start = time.process_time()
        trained = train(whole.images[rows], whole.masks[rows], held, steps=steps, passes=passes, seed=seed, **how)
        found: dict[str, Any] = {"parameters": sum(p.numel() for p in trained.net.parameters())}
        found["seconds"] = time.process_time() - start
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


def judge(name: str, place: str, seeds: list[int], folder: Path, results: Results) -> None:
    """Score every rule of every net on all folds, and the differences that count."""
    scores: dict[str, list[float]] = {f"{net}/{rule}": [] for net in NETS for rule in RULES[net]}
    groups, there, sizes = list[str](), list[bool](), dict[str, int]()
    seconds: dict[str, list[float]] = {net: [] for net in NETS}
    learned, collapsed = list[bool](), list[str]()
    for seed in seeds:
        first = len(collapsed)
        for net in NETS:
            found = outputs(place, SIZES[name], seed, net, folder)
            sizes[net] = int(found["parameters"])
            seconds[net] += [float(found["seconds"])] if "seconds" in found else []
            if not masks("none", found).any():
                collapsed.append(f"{net} {seed}")
            for rule in RULES[net]:
                scores[f"{net}/{rule}"] += (100 * dice(masks(rule, found), found["test_truth"])).tolist()
        groups += found["test_group"].tolist()
        there += found["test_truth"].any((1, 2)).tolist()
        learned += [len(collapsed) == first] * len(found["test_truth"])
    facts = {
        "seeds": seeds, "images": len(there), "present": sum(there), "parameters": sizes, "machine": machine(),
        "seconds": {net: float(np.median(each)) for net, each in seconds.items() if each},
        "collapsed": collapsed, "versions": versions("torch", "rankseg"),
    }  # fmt: skip
    both_there = [a and b for a, b in zip(there, learned, strict=True)]
    for rule, each in scores.items():
        parts = {"mean": [True] * len(there), "positives": there, "empty": [not one for one in there]}
        if collapsed:  # a net that draws nothing anywhere has learned nothing: the other folds by themselves
            parts |= {"learned": learned, "learned positives": both_there}
        found = {part: _interval(part, [each], groups, rows) for part, rows in parts.items()}
        results.put(f"gates/{name}/{rule}", found | facts)
        if rule != DEFAULT:
            both = [scores[DEFAULT], each]
            less = {part: _interval(part, both, groups, rows) for part, rows in parts.items()}
            results.put(f"gates/{name}/{DEFAULT} - {rule}", less)


def _interval(part: str, scores: list[list[float]], groups: list[str], rows: list[bool]) -> list[float] | None:
    """Mean and its interval over some images, of one rule or of a difference of two; None where there are none."""
    at = np.flatnonzero(rows).tolist()
    if not at:
        return None
    each, theirs = [[one[i] for i in at] for one in scores], [groups[i] for i in at]
    found = bootstrap(each[0], theirs) if len(each) == 1 else paired_bootstrap(each[0], each[1], theirs)
    return [found.mean, found.low, found.high]


def table(values: Mapping[str, Any]) -> Iterator[str]:
    """The rows of docs/benchmarks.md."""
    titles = {
        "presence": "U-Net of `plexus segment`", "plain": "plain U-Net",
        "varied": "plain U-Net, with its variation and rate",
    }  # fmt: skip
    rules = {
        "none": ".5 a pixel, no gate", "threshold": "presence below .5: empty", "expected": "gate `expected`",
        "area": "threshold of the mask and least area", "rankseg": "RankSEG and least area",
    }  # fmt: skip

    def said(entry: list[float] | None, sign: str = "") -> str:
        return "" if entry is None else f"{entry[0]:{sign}.1f} ({entry[1]:.1f} to {entry[2]:.1f})"

    for name in SIZES:
        for net in NETS:
            for rule in RULES[net]:
                key = f"gates/{name}/{net}/{rule}"
                if key in values:
                    v, less = values[key], values.get(f"gates/{name}/{DEFAULT} - {net}/{rule}", {})
                    cells = [said(v["mean"]), said(v["positives"]), said(v["empty"])]
                    cells += [said(less.get("mean"), "+"), said(less.get("positives"), "+")]
                    yield f"| {name} | {titles[net]}: {rules[rule]} | {' | '.join(cells)} |"


def report(results: Results) -> None:
    """The tables of docs/benchmarks.md."""
    heads = ("mean Dice, %", "where the target is", "empty images right", "the default minus it", "where the target is")
    print(f"| set | rule | {' | '.join(heads)} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(*table(results.values), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=[*SIZES, "report"])
    parser.add_argument("place", nargs="?")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--work", type=Path, default=Path("segment-gates"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "segment.json")
    given = parser.parse_args()
    kept = Results(given.out)
    if given.set == "report":
        report(kept)
        raise SystemExit
    if given.set != "made" and given.place is None:
        parser.error(f"{given.set}: name the folder of its images")
    place = given.place
    if given.set == "made":
        place = str(made(given.work / "set"))
    elif given.set != "absence":
        place = str(whole_images(Path(place), given.work / "set", "_mask" if given.set == "nerve" else "_vessel"))
    judge(given.set, place, given.seeds, given.work, kept)
