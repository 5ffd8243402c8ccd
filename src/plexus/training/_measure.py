"""What a trained net is worth: accuracy with an interval, size, speed, and where it is wrong."""

from __future__ import annotations

import base64
import io
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor, nn

from plexus.data import Split
from plexus.nn import fold
from plexus.training._classification import Normalize, logits_of
from plexus.wiring import multiply_adds, parameters


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
    device = next(net.parameters()).device
    x = torch.zeros(1, *in_shape, device=device).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(runs + 5):
        start = time.perf_counter()
        net(x)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    net.train(training)
    return 1000 * statistics.median(times[5:])


def confusion(logits: Tensor, labels: Tensor, classes: int) -> list[list[int]]:
    """Counts, rows true and columns predicted."""
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    counts.index_put_((labels, logits.argmax(1)), torch.ones_like(labels), accumulate=True)
    return counts.tolist()


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
    """A uint8 image (C, H, W) as a PNG data URI, small ones enlarged without smoothing, large ones reduced."""
    pixels = image[0] if image.shape[0] == 1 else image.permute(1, 2, 0)
    png = Image.fromarray(pixels.numpy())
    if max(png.size) > side:
        png.thumbnail((side, side))
    file = io.BytesIO()
    png.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
