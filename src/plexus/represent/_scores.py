"""What a representation is worth: recognition by neighbours and by a line, reconstruction, and what turning does."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor

from plexus.data import Split
from plexus.models import Autoencoder
from plexus.represent._space import Space, encode
from plexus.robustness import rotate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NEIGHBOURS = 5
MOST = 10_000
"""At most so many training images are neighbours or teach a line."""
TURNS = tuple(range(0, 360, 15))


def nearest(queries: Floats, known: Floats, k: int) -> tuple[Ints, Floats]:
    """Rows of the k most similar known directions of each query, and their similarities, the best first.

    Args:
        queries: of length 1, (m, d).
        known: of length 1, (n, d).
        k: at most n are found.

    Example:
        >>> rows, _ = nearest(np.eye(2), np.eye(2)[::-1], 1)
        >>> rows.tolist()
        [[1], [0]]
    """
    k = min(k, len(known))
    rows, values = [], []
    for chunk in np.array_split(queries, max(1, -(-len(queries) // 512))):
        scores = chunk @ known.T
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        ordered = np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), 1, kind="stable"), 1)
        rows.append(ordered)
        values.append(np.take_along_axis(scores, ordered, 1))
    return np.concatenate(rows).astype(np.int64), np.concatenate(values)


def knn_accuracy(space: Space, train: Floats, labels: Ints, test: Floats, truth: Ints) -> dict[str, Any]:
    """Share of test images whose five nearest training images vote for their class; the nearest decides a tie."""
    rows, _ = nearest(space.direction(test), space.direction(train), NEIGHBOURS)
    votes = np.stack([(labels[rows] == k).sum(1) for k in range(int(labels.max()) + 1)], 1).astype(float)
    votes[np.arange(len(rows)), labels[rows[:, 0]]] += 0.5
    return share(votes.argmax(1) == truth)


def linear_accuracy(train: Floats, labels: Ints, test: Floats, truth: Ints) -> dict[str, Any]:
    """Share of test images that logistic regression on standardised Z classifies correctly."""
    from sklearn.linear_model import LogisticRegression

    mean, std = train.mean(0), np.maximum(train.std(0), 1e-12)
    head = LogisticRegression(max_iter=1000).fit((train - mean) / std, labels)
    return share(head.predict((test - mean) / std) == truth)


def share(right: NDArray[np.bool_]) -> dict[str, Any]:
    """A share with its 95 % Wilson interval."""
    ci = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return {"value": float(right.mean()), "low": ci.low, "high": ci.high, "n": len(right)}


@torch.no_grad()
def reconstruction(model: Autoencoder, images: Tensor) -> dict[str, float]:
    """Mean squared error over images: of pixels on the scale 0..1, and as the share of variance left unexplained."""
    squared = unexplained = 0.0
    for chunk in images.split(256):
        rest = model(chunk.contiguous(memory_format=torch.channels_last)) - chunk.float()
        squared += (rest / 255).double().square().mean((1, 2, 3)).sum().item()
        unexplained += (rest / model.std).double().square().mean((1, 2, 3)).sum().item()
    return {"mse": squared / len(images), "unexplained": unexplained / len(images)}


def turning(model: Autoencoder, images: Tensor, *, most: int = 200) -> dict[str, Any] | None:
    r"""How far Z moves when images turn, relative to the distance between two images.

    .. math:: m(t) = \frac{\mathrm{median}_n \|z(R_t x_n) - z(x_n)\|}{\mathrm{median}_{n \ne k} \|z(x_n) - z(x_k)\|}

    Corners outside the inscribed circle are black at every angle. None for images that are not square.
    """
    if images.shape[2] != images.shape[3]:
        return None
    from scipy.spatial.distance import pdist

    x = images[:most].float()
    turned = [encode(model, rotate(x, [angle])[0]) for angle in TURNS]
    apart = float(np.median(pdist(turned[0]))) if len(x) > 1 else 0.0
    moved = [float(np.median(np.linalg.norm(z - turned[0], axis=1))) for z in turned]
    return {"angles": list(TURNS), "moved": [m / apart if apart else 0.0 for m in moved], "images": len(x)}


def scores(model: Autoencoder, space: Space, train: Split, test: Split) -> dict[str, Any]:
    """All figures of a model on test images; recognition where there are labels."""
    found: dict[str, Any] = reconstruction(model, test.images)
    if len(train.labels) and int(train.labels.min()) >= 0:
        learn = train.images[:MOST], train.labels[:MOST].numpy()
        if len(train) > MOST:
            rows = np.random.default_rng(0).permutation(len(train))[:MOST]
            learn = train.images[rows], train.labels[rows].numpy()
        z, held, truth = encode(model, learn[0]), encode(model, test.images), test.labels.numpy()
        found["knn"] = knn_accuracy(space, z, learn[1], held, truth)
        found["linear"] = linear_accuracy(z, learn[1], held, truth)
    return found
