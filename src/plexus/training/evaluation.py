"""Evaluation of a fit's nets: edges, budgets, accuracy with intervals, size, speed, and the worst mistakes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor, nn

from plexus.data import ImageData, Split, data_uri
from plexus.graph import Wiring
from plexus.nn import fold
from plexus.progress import current
from plexus.training._backbone import Front
from plexus.training._classification import Normalize, accuracy, logits_of
from plexus.training._config import FitConfig
from plexus.training._cut import keep_channels, left, plain
from plexus.training._module import gated
from plexus.training.export import with_pixels
from plexus.training.nets import describe, neurons
from plexus.training.onnx_model import latencies, to_onnx
from plexus.wiring import edge_costs, importance, multiply_adds, parameters, prune

SHARES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1)
"""Of the edges that are kept: the budgets that the page shows."""
MEASURED = 1024
"""Training images that the statistics of batch norms are measured on, where a net is cut further."""
TRAINED = 2048
"""Training images, evenly drawn, that the result's accuracy on what it was trained on is measured at."""
Ranking = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Trained:
    """The nets of a fit.

    Args:
        supernet: trained, with masks over what was cut.
        final: the plain net of what is left.
        kept: the edges that are left.
        controls: names, labels and nets to compare with.
    """

    supernet: nn.Module
    final: nn.Module
    kept: Wiring
    controls: Sequence[tuple[str, str, nn.Module]] = ()


def evaluate(
    nets: Trained, config: FitConfig, data: ImageData, normalize: Normalize | Front, ranking: Ranking,
    pixels: Split | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure all nets of a fit.

    Args:
        nets: trained to their end.
        config: options of the run.
        data: the images, or the maps of a backbone.
        normalize: pixels to the nets' input.
        pixels: the test images themselves, where the data are maps.
        ranking: validation images by which edges are ranked.

    Returns:
        Parts of the record; `take_turns` is still to measure its rows.
    """
    body: Any = nets.supernet.body
    pixels = data.test if pixels is None else pixels
    channels, *size = pixels.images.shape[1:]
    shape = "x".join(map(str, (*size, channels)))
    if isinstance(normalize, Front):
        shape += f", maps of {normalize.name}: {normalize.backbone.words}"
    dense = "" if config.dense == "plain" else f"{config.dense} "
    labels = {"input": shape, "head": f"{dense}{config.head}, {len(data.classes)} classes"}
    uncut = copy.deepcopy(nets.supernet)
    for connection in gated(uncut):
        connection.uncut()
    current().step(0, "what every connection is worth")
    edges = _edges(nets, uncut, config, ranking[:1])
    current().step(1)
    logits = logits_of(nets.final, normalize, data.test.images)
    return {
        "nodes": list(body.node_names()),
        "labels": labels | {f"lego{i}": describe(lego) for i, lego in enumerate(body.legos, 1)},
        "edges": edges,
        "budgets": _budgets(nets, edges, data, normalize),
        "chosen": 0,
        "results": _results(nets, uncut, data, normalize),
        "confusion": confusion(logits, data.test.labels, len(data.classes)),
        "mistakes": mistakes(logits, pixels),
        "correct": surest(logits, pixels),
    }


def _edges(nets: Trained, uncut: nn.Module, config: FitConfig, ranking: Ranking) -> list[dict[str, Any]]:
    """Every edge that the net had at first; those that were cut have no strength left."""
    body: Any = nets.supernet.body
    strength, ablation = (importance(nets.supernet, ranking, how).strengths() for how in ("strength", "ablation"))
    gates, kept, names = importance(nets.supernet, method="gate").strengths(), nets.kept, body.node_names()
    pairs = [
        (names[k], t) for t, connection in zip(names[2:], body.connections, strict=True) for k in connection.reached()
    ]
    entries = []
    for pair, cost in zip(pairs, edge_costs(uncut, config.cost), strict=True):
        entry = {
            "source": pair[0],
            "target": pair[1],
            "gate": gates.get(pair, 0.0),
            "strength": strength.get(pair, 0.0),
            "ablation": ablation.get(pair, 0.0),
            "cost": cost,
            "kept": pair in kept.strengths(),
        }
        connection, k = body.connections[names.index(pair[1]) - 2], names.index(pair[0])
        if kept.maps:
            there = np.count_nonzero(kept.maps[pair]) if pair in kept.maps else 0
            entry["maps"] = [int(there), connection.mask[connection.entries(k)].numel()]
        entries.append(entry)
    return entries


def _budgets(
    nets: Trained, edges: Sequence[dict[str, Any]], data: ImageData, normalize: Normalize | Front
) -> list[dict[str, Any]]:
    """Measure the net cut further, with no training after but for the statistics of batch norms; a row for each cut."""
    index = {(e["source"], e["target"]): i for i, e in enumerate(edges)}
    whole, budgets = nets.kept.count(), {}
    for share in SHARES:
        current().step(1, f"cut to {share:.0%}")
        wiring = nets.kept if share == 1 else _cut_on(nets, share)
        if wiring.count() in budgets:
            continue
        net = (
            nets.final
            if share == 1
            else renormed(plain(nets.supernet, wiring), normalize, data.train.images[:MEASURED])
        )
        budgets[wiring.count()] = {
            "keep": wiring.count() / whole,
            "edges": wiring.count(),
            "kept": sorted(index[e[:2]] for e in wiring.edges),
            "val_accuracy": accuracy(net, normalize, data.val),
            **sizes(net, normalize, data.in_shape),
        }
    return list(budgets.values())


def _cut_on(nets: Trained, share: float) -> Wiring:
    """Keep a share of the edges that are left; in a residual net, of the channels of every stream."""
    if not nets.supernet.body.residual:  # type: ignore[union-attr]
        return prune(nets.kept, keep=share)
    net: Any = copy.deepcopy(nets.supernet)
    keep_channels(net.body, share, of_left=True)
    return left(importance(net, method="gate"), net.body)


@torch.no_grad()
def renormed(net: nn.Module, normalize: Callable[[Tensor], Tensor], images: Tensor, *, batch: int = 128) -> nn.Module:
    """Measure the statistics of a net's batch norms anew, as cutting moved the maps that they stand behind; in place.

    Args:
        net: its weights stay; it ends in evaluation mode.
        normalize: pixels to the net's input.
        images: uint8, (N, C, H, W), of the training.
        batch: images in one forward pass.

    Example:
        >>> norm = nn.BatchNorm2d(1)
        >>> _ = renormed(norm, nn.Identity(), torch.full((2, 1, 1, 1), 3.0))
        >>> norm.running_mean.item()
        3.0
    """
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    net.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for part in images.split(batch):
        if len(part) > 1:
            net(normalize(part).contiguous(memory_format=torch.channels_last))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return net.eval()


def _results(nets: Trained, uncut: nn.Module, data: ImageData, normalize: Normalize | Front) -> list[dict[str, Any]]:
    """Every net on the test images, which nothing was chosen by; the uncut one was not trained to its end."""
    whole = plain(uncut, importance(uncut, method="gate"))
    rows: list[tuple[str, str, nn.Module]] = [("final", "learned wiring", nets.final), *nets.controls]
    results = []
    current().step(1, "test images")
    for name, label, net in rows:
        entry = result(name, label, net, normalize, data.test, data.in_shape)
        entry["val_accuracy"] = accuracy(net, normalize, data.val)
        if name == "final":
            drawn = np.linspace(0, len(data.train) - 1, min(TRAINED, len(data.train))).astype(np.int64)
            entry["train_accuracy"] = accuracy(net, normalize, data.train.take(drawn))
        results.append(entry | ({"neurons": words} if (words := neurons(net)) else {}))
    entry = {"name": "uncut", "label": "nothing cut", **sizes(whole, normalize, data.in_shape)}
    return [*results, entry]


def result(
    name: str, label: str, net: nn.Module, normalize: Normalize | Front, split: Split, in_shape: Sequence[int]
) -> dict[str, Any]:
    """Return one row of the results: accuracy with its 95 % Wilson interval, and the net's size; see `take_turns`."""
    figures = tested(logits_of(net, normalize, split.images), split)
    return {"name": name, "label": label, **figures, **sizes(net, normalize, in_shape)}


def tested(logits: Tensor, split: Split) -> dict[str, Any]:
    """Accuracy of logits, (N, classes), with its 95 % Wilson interval; balanced, too, where classes are unequal."""
    hits = logits.argmax(1).eq(split.labels)
    ci = binomtest(int(hits.sum()), len(split)).proportion_ci(method="wilson")
    accuracy = int(hits.sum()) / len(split)
    return {"accuracy": accuracy, "ci": [ci.low, ci.high], **balanced(hits, split.labels)}


def balanced(hits: Tensor, labels: Tensor) -> dict[str, float]:
    r"""Return the balanced accuracy, where the largest class has half as many images again as the smallest.

    .. math:: \frac{1}{K} \sum_k \frac{\mathrm{hits}_k}{n_k}

    over the classes that have images.

    Args:
        hits: whether each image was right, (N,).
        labels: the true classes, (N,).

    Returns:
        ``balanced_accuracy``, or nothing.

    Example:
        >>> balanced(torch.tensor([True, True, True, False]), torch.tensor([0, 0, 0, 1]))
        {'balanced_accuracy': 0.5}
    """
    counts = labels.bincount()
    counts = counts[there := counts > 0]
    if len(counts) < 2 or counts.max() <= 1.5 * counts.min():
        return {}
    right = torch.bincount(labels, weights=hits.double())[there]
    return {"balanced_accuracy": (right / counts).mean().item()}


def costs(net: nn.Module, normalize: Normalize | Front, in_shape: Sequence[int]) -> dict[str, Any]:
    """Return the cost of a net: `sizes`, and latency_ms (onnxruntime, one thread), None where there is no file."""
    row = sizes(net, normalize, in_shape)
    take_turns([row], normalize.in_shape if isinstance(normalize, Front) else in_shape)
    return row


def sizes(net: nn.Module, normalize: Normalize | Front, in_shape: Sequence[int]) -> dict[str, Any]:
    """Return the size of a net as the file that a run leaves, its unit and spherical layers folded.

    Returns:
        parameters, macs (multiply-adds of one image), kb (of the file), onnx (the file, for `take_turns`); the last two
        are None where ONNX cannot express the net.
    """
    front = normalize if isinstance(normalize, Front) else None
    figures = {"parameters": parameters(net), "macs": multiply_adds(fold(net), front.out_shape if front else in_shape)}
    if front is not None:  # what comes before the net costs, too
        figures = {"parameters": figures["parameters"] + front.parameters, "macs": figures["macs"] + front.macs}
        in_shape = front.in_shape
    try:
        model = to_onnx(with_pixels(net, normalize).eval(), in_shape, quick=True)
    except Exception:  # the exporter meets layers of the user's, and raises whatever it likes
        return figures | {"kb": None, "onnx": None}
    return figures | {"kb": len(model) / 1000, "onnx": model}


def take_turns(rows: Sequence[dict[str, Any]], in_shape: Sequence[int]) -> None:
    """Replace the file under `onnx` by latency_ms, measured in turn; rows without such an entry stay as they are.

    Args:
        rows: of a record; changed in place.
        in_shape: of an image.
    """
    waiting = [row for row in rows if "onnx" in row]
    models = [model for row in waiting if (model := row["onnx"]) is not None]
    found = dict(zip(models, latencies(models, in_shape), strict=True))
    for row in waiting:
        row["latency_ms"] = found.get(row.pop("onnx"))


def confusion(logits: Tensor, labels: Tensor, classes: int) -> list[list[int]]:
    """Counts, rows true and columns predicted."""
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    counts.index_put_((labels, logits.argmax(1)), torch.ones_like(labels), accumulate=True)
    rows: list[list[int]] = counts.tolist()
    return rows


def mistakes(logits: Tensor, split: Split, *, most: int = 24) -> list[dict[str, Any]]:
    """Return the images that were most surely taken for another class."""
    probabilities, predicted = logits.softmax(1).max(1)
    wrong = (predicted != split.labels).nonzero().flatten()
    worst = wrong[probabilities[wrong].argsort(descending=True, stable=True)][:most].tolist()
    return [_example(split, i, int(predicted[i]), probabilities[i].item()) for i in worst]


def surest(logits: Tensor, split: Split, *, most: int = 24) -> list[dict[str, Any]]:
    """Return, of each class in order, the image that was recognised most surely; classes without a hit have none."""
    probabilities, predicted = logits.softmax(1).max(1)
    best: dict[int, int] = {}
    for i in probabilities.argsort(descending=True, stable=True).tolist():
        if predicted[i] == split.labels[i]:
            best.setdefault(int(predicted[i]), i)
    return [_example(split, i, label, probabilities[i].item()) for label, i in sorted(best.items())[:most]]


def _example(split: Split, i: int, predicted: int, probability: float) -> dict[str, Any]:
    return {
        "name": split.names[i],
        "image": picture(split.images[i]),
        "true": int(split.labels[i]),
        "predicted": predicted,
        "probability": probability,
    }


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
