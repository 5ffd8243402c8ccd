"""The space of Z: how it lies over the training images, the model that encodes into it, and what it is worth."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor

from plexus.data import Split
from plexus.errors import RunError
from plexus.models import Autoencoder, read_autoencoder
from plexus.record import atomic_write, check_place, open_file
from plexus.represent._train import REPRESENT, finished, open_run
from plexus.represent.module import active_units
from plexus.robustness import rotate
from plexus.training import is_rank_zero
from plexus.training.engine import parts_of, write_parts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NEIGHBOURS = 5
MOST = 10_000
"""At most so many training images are neighbours or teach a line."""
TURNS = tuple(range(0, 360, 15))


def white_of(record: Mapping[str, Any]) -> int | None:
    """Return the value that is white in 16-bit images, as in a run's training; None where there were none."""
    white: int | None = record["data"].get("white")
    return white


def add_to_record(run: Path, name: str, value: Callable[[Any], Any]) -> dict[str, Any]:
    """Write what a verb has found into the run's record.

    Args:
        run: the run folder.
        name: the part.
        value: what is to stand there, from what stood there.

    Returns:
        The whole record.
    """
    record = parts_of(open_run(run)[1])
    record[name] = value(record.get(name))
    if is_rank_zero():
        write_parts(REPRESENT, record, run)
    return record


@dataclass(frozen=True, eq=False)
class Space:
    """The distribution of Z over the training images.

    Args:
        mean: of Z, (d,).
        std: of each unit, (d,), never 0.
        axes: principal axes, (k, d), by how much the decoded image changes per deviation along them.
        scale: deviation along each, (k,).
        seen: digests of the images that were trained or validated on, sorted.
    """

    mean: Floats
    std: Floats
    axes: Floats
    scale: Floats
    seen: NDArray[np.uint64]

    def direction(self, z: Floats) -> Floats:
        """Z about the mean, each unit by its deviation, scaled to length 1: its inner products are similarities."""
        centred = (z - self.mean) / self.std
        return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)

    def save(self, path: Path) -> None:
        """Write the arrays, whole or not at all."""
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean, std=self.std, axes=self.axes, scale=self.scale, seen=self.seen)
        atomic_write(path, buffer.getvalue())

    @classmethod
    def read(cls, run: Path) -> Space:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            RunError: it is missing or broken.
        """
        path = run / "space.npz"
        try:
            with open_file(path) as stored, np.load(stored, allow_pickle=False) as file:
                return cls(*(file[name] for name in ("mean", "std", "axes", "scale", "seen")))
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{path}: missing or broken: {error}; finish the run, or train anew") from None


def digests(images: Tensor) -> NDArray[np.uint64]:
    """64 bits of a digest of each image's pixels, uint8 (N, C, H, W) -> (N,)."""
    parts = [hashlib.sha256(image.numpy().tobytes()).digest()[:8] for image in images.contiguous()]
    return np.frombuffer(b"".join(parts), np.uint64)


def open_model(run: str | Path, *, writes: bool = False) -> tuple[Autoencoder, Space, dict[str, Any]]:
    """Open the model, space and record of a finished run.

    Args:
        run: the run folder.
        writes: `add_to_record` will follow.

    Raises:
        RunError: the run has not finished, or is none, or may not be written where it must.
    """
    folder = Path(run)
    _, record = open_run(folder)
    if writes:
        check_place(folder / "record.json", remedy="it goes into the run's record: copy the run to a place of yours")
    if not finished(folder):
        raise RunError(f"{folder}: the run has not finished; go on with `plexus represent train --resume {folder}`")
    return read_autoencoder(folder), Space.read(folder), parts_of(record)


@torch.no_grad()
def encode(model: Autoencoder, images: Tensor, *, batch: int = 256) -> Floats:
    """Z of uint8 images, (N, d), in float64."""
    device = next(model.parameters()).device
    parts = [
        model.encode(x.to(device).contiguous(memory_format=torch.channels_last)).double().cpu()
        for x in images.split(batch)
    ]
    return torch.cat(parts).numpy()


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
    """Return a share with its 95 % Wilson interval."""
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
    r"""Measure how far Z moves when images turn, relative to the distance between two images.

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
    """Return all figures of a model on test images; recognition where there are labels."""
    figures: dict[str, Any] = reconstruction(model, test.images)
    if len(train.labels) and int(train.labels.min()) >= 0:
        learn = train.images[:MOST], train.labels[:MOST].numpy()
        if len(train) > MOST:
            rows = np.random.default_rng(0).permutation(len(train))[:MOST]
            learn = train.images[rows], train.labels[rows].numpy()
        z, held, truth = encode(model, learn[0]), encode(model, test.images), test.labels.numpy()
        figures["knn"] = knn_accuracy(space, z, learn[1], held, truth)
        figures["linear"] = linear_accuracy(z, learn[1], held, truth)
    return figures


def units_in_use(z: Floats, model: Autoencoder, epochs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how much of Z is in use; a variational encoder whose units mostly carry nothing has collapsed."""
    variances = np.linalg.eigvalsh(np.cov(z, rowvar=False).reshape(z.shape[1], -1)).clip(0)
    active = active_units(torch.from_numpy(z), prior=model.variational)
    return {
        "dim": model.dim,
        "active": active,
        "effective": float(variances.sum() ** 2 / max((variances**2).sum(), 1e-300)),
        "divergence": epochs[-1]["divergence"] if epochs else None,
        "collapsed": active < model.dim / 2,
    }
