"""Evaluation of a fit's nets: edges, budgets, accuracy with intervals, size, speed, and the worst mistakes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor, nn

from plexus.data import ImageData, Split, data_uri
from plexus.graph import Wiring
from plexus.nn import fold
from plexus.training._classification import Normalize, accuracy, logits_of
from plexus.training._config import FitConfig
from plexus.training.nets import describe, neurons
from plexus.wiring import derive, edge_costs, importance, multiply_adds, parameters, prune

BUDGETS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)
_WORDS = {"finetune": "fine-tuned", "retrain": "retrained from scratch"}
Ranking = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Trained:
    """The nets of a fit.

    Args:
        chain: the legos one after the other, where there are controls.
        learned: the supernet at the choice.
        supernet: the supernet with nothing cut, trained to the end where there are controls.
        faded: the supernet when the edges were cut.
        cut: the plain net just then.
        final: the plain net at the end.
        kept: the edges that were chosen.
    """

    chain: nn.Module | None
    learned: nn.Module
    supernet: nn.Module
    faded: nn.Module
    cut: nn.Module
    final: nn.Module
    kept: Wiring


def evaluate(
    nets: Trained, config: FitConfig, data: ImageData, normalize: Normalize, ranking: Ranking
) -> dict[str, Any]:
    """Measure all nets of a fit.

    Args:
        nets: trained to their end.
        config: options of the run.
        data: the images.
        normalize: pixels to the nets' input.
        ranking: validation images by which edges are ranked.

    Returns:
        Parts of the record.
    """
    body: Any = nets.supernet.body
    shape = "x".join(map(str, (*data.in_shape[1:], data.in_shape[0])))
    dense = "" if config.dense == "plain" else f"{config.dense} "
    labels = {"input": shape, "head": f"{dense}{config.head}, {len(data.classes)} classes"}
    budgets = _budgets(nets, config, data, normalize, ranking)
    before, after = (accuracy(net, normalize, data.val) for net in (nets.faded, nets.cut))
    logits = logits_of(nets.final, normalize, data.test.images)
    return {
        "nodes": list(body.node_names()),
        "labels": labels | {f"lego{i}": describe(lego) for i, lego in enumerate(body.legos, 1)},
        "edges": _edges(nets, config, ranking[:1]),
        "budgets": budgets,
        "chosen": [b["edges"] for b in budgets].index(len(nets.kept.edges)),
        "gap": {"before": before, "after": after, "split": "val"},
        "results": _results(nets, config, data, normalize),
        "confusion": confusion(logits, data.test.labels, len(data.classes)),
        "mistakes": mistakes(logits, data.test),
    }


def _edges(nets: Trained, config: FitConfig, ranking: Ranking) -> list[dict[str, Any]]:
    body: Any = nets.supernet.body
    strength, ablation = (importance(nets.supernet, ranking, how).strengths() for how in ("strength", "ablation"))
    kept = nets.kept.strengths()
    return [
        {
            "source": e.source,
            "target": e.target,
            "gate": e.strength,
            "strength": strength[e[:2]],
            "ablation": ablation[e[:2]],
            "cost": cost,
            "kept": e[:2] in kept,
        }
        for e, cost in zip(body.wiring().edges, edge_costs(nets.supernet, config.cost), strict=True)
    ]


def _budgets(
    nets: Trained, config: FitConfig, data: ImageData, normalize: Normalize, ranking: Ranking
) -> list[dict[str, Any]]:
    """Accuracy on validation images when the supernet is cut to a budget, by one ranking, with no training after."""
    ranked = importance(nets.learned, ranking, config.rank)
    index = {e[:2]: i for i, e in enumerate(ranked.edges)}
    wirings = {len(w.edges): w for keep in reversed(BUDGETS) for w in [prune(ranked, keep=keep)]}
    wirings[len(nets.kept.edges)] = nets.kept
    budgets = []
    for edges, wiring in sorted(wirings.items(), reverse=True):
        net = derive(nets.supernet, wiring)
        budgets.append(
            {
                "keep": edges / len(ranked.edges),
                "edges": edges,
                "kept": sorted(index[e[:2]] for e in wiring.edges),
                "parameters": parameters(net),
                "macs": multiply_adds(net, data.in_shape),
                "val_accuracy": accuracy(net, normalize, data.val),
            }
        )
    return budgets


def _results(nets: Trained, config: FitConfig, data: ImageData, normalize: Normalize) -> list[dict[str, Any]]:
    """Every net on the test images, which nothing was chosen by."""
    body: Any = nets.supernet.body
    whole = derive(nets.supernet, body.wiring())
    note = "" if config.controls else " (stopped at the choice)"
    rows = [
        ("chain", "chain", nets.chain),
        ("supernet", f"supernet, all edges{note}", whole),
        ("pruned", "pruned, when cut", nets.cut),
        ("final", f"pruned, {_WORDS[config.then]}", nets.final),
    ]
    results = []
    for name, label, net in rows:
        if net is not None:
            entry = result(name, label, net, normalize, data.test, data.in_shape)
            results.append(entry | ({"neurons": words} if (words := neurons(net)) else {}))
    return results


def result(
    name: str, label: str, net: nn.Module, normalize: Normalize, split: Split, in_shape: Sequence[int]
) -> dict[str, Any]:
    """One row of the results: accuracy with its 95 % Wilson interval, parameters, multiply-adds, latency.

    Unit and spherical layers are folded before they are timed, as they are in the files that a run leaves.
    """
    plain = fold(net)
    right = int(logits_of(net, normalize, split.images).argmax(1).eq(split.labels).sum())
    ci = binomtest(right, len(split)).proportion_ci(method="wilson")
    return {
        "name": name,
        "label": label,
        "accuracy": right / len(split),
        "ci": [ci.low, ci.high],
        "parameters": parameters(net),
        "macs": multiply_adds(plain, in_shape),
        "latency_ms": latency(plain, in_shape),
    }


@torch.no_grad()
def latency(net: nn.Module, in_shape: Sequence[int], *, runs: int = 30) -> float:
    """Milliseconds for one image, the median of `runs` after a warm-up."""
    training = net.training
    net.eval()
    at = next(net.parameters()).device
    x = torch.zeros(1, *in_shape, device=at).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(runs + 5):
        start = time.perf_counter()
        net(x)
        if at.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    net.train(training)
    return 1000 * statistics.median(times[5:])


def confusion(logits: Tensor, labels: Tensor, classes: int) -> list[list[int]]:
    """Counts, rows true and columns predicted."""
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    counts.index_put_((labels, logits.argmax(1)), torch.ones_like(labels), accumulate=True)
    rows: list[list[int]] = counts.tolist()
    return rows


def mistakes(logits: Tensor, split: Split, *, most: int = 24) -> list[dict[str, Any]]:
    """The images that were most surely taken for another class."""
    probabilities, predicted = logits.softmax(1).max(1)
    wrong = (predicted != split.labels).nonzero().flatten()
    worst = wrong[probabilities[wrong].argsort(descending=True, stable=True)][:most].tolist()
    return [
        {
            "name": split.names[i],
            "image": picture(split.images[i]),
            "true": int(split.labels[i]),
            "predicted": int(predicted[i]),
            "probability": probabilities[i].item(),
        }
        for i in worst
    ]


def picture(image: Tensor, *, side: int = 96) -> str:
    """Return an image as a PNG data URI, reduced where it is larger.

    Args:
        image: uint8, (C, H, W).
        side: pixels of the longer side, at most.

    Example:
        >>> picture(torch.zeros(1, 2, 2, dtype=torch.uint8))[:22]
        'data:image/png;base64,'
    """
    pixels = image[0] if image.shape[0] == 1 else image.permute(1, 2, 0)
    png = Image.fromarray(pixels.numpy())
    if max(png.size) > side:
        png.thumbnail((side, side))
    return data_uri(png)
