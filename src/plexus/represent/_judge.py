"""What a run says about its model: figures on test images, pictures, and the files for use elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from plexus.data import Split
from plexus.models import Autoencoder
from plexus.record import atomic_write
from plexus.represent._export import export_onnx
from plexus.represent._folder import Space, digests, encode
from plexus.represent._module import active_units
from plexus.represent._pictures import as_bytes, grid, small, uri
from plexus.represent._scores import MOST, nearest, scores, share, turning
from plexus.represent._vary import interpolation, principal_axes, traversal
from plexus.represent._work import Work

_MAP = 600  # images on the map
_SIDE = 48  # pixels of a picture on the page


def judge(work: Work, model: Autoencoder) -> None:
    """Completes the record, and writes the model and what is known of its space.

    Args:
        work: a training that has run to its end.
        model: in evaluation mode.

    Raises:
        TrainingError: an exported model does not compute what the model does, or the disk is full.
    """
    start, record, data = time.monotonic(), work.record, work.images.data
    z = encode(model, data.train.images[:MOST])
    axes, scale = principal_axes(model, z)
    seen = np.sort(np.concatenate([digests(data.train.images), digests(data.val.images)]))
    space = Space(z.mean(0), np.maximum(z.std(0), 1e-6), axes, scale, seen)
    record["results"] = _figures(model, space, work)
    record["units"] = _units(z, model, record["epochs"])
    record["pictures"] = _pictures(model, space, data.train, data.test)
    record["map"] = _map(model, data.test, data.classes)
    if work.config.onnx:
        record["onnx_difference"] = export_onnx(model, work.folder)
    space.save(work.folder / "space.npz")
    _save(model, work.folder)
    record["seconds"]["judge"] = time.monotonic() - start
    record["finished"] = True
    work.save()


def _figures(model: Autoencoder, space: Space, work: Work) -> dict[str, Any]:
    data = work.images.data
    found = scores(model, space, data.train, data.test)
    found["turning"] = turning(model, data.test.images)
    if model.classifier is not None:
        z = torch.from_numpy(encode(model, data.test.images)).float()
        with torch.no_grad():
            found["classifier"] = share((model.classify(z).argmax(1) == data.test.labels).numpy())
    return found


def _units(z: np.ndarray, model: Autoencoder, epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """How much of Z is in use; a variational encoder whose units mostly carry nothing has collapsed."""
    variances = np.linalg.eigvalsh(np.cov(z, rowvar=False).reshape(z.shape[1], -1)).clip(0)
    active = active_units(torch.from_numpy(z), prior=model.variational)
    found = {
        "dim": model.dim,
        "active": active,
        "effective": float(variances.sum() ** 2 / max((variances**2).sum(), 1e-300)),
        "divergence": epochs[-1]["divergence"] if epochs else None,
        "collapsed": active < model.dim / 2,
    }
    return found


def _pictures(model: Autoencoder, space: Space, train: Split, test: Split) -> dict[str, Any]:
    """Reconstructions, traversals, interpolations and neighbours, as rows of images."""
    shown = _spread(test, 16)
    images = test.images[shown]
    z = encode(model, images)
    with torch.no_grad():
        back = as_bytes(model(images))
    pictures: dict[str, Any] = {"reconstructions": _uri(images, back)}
    pictures["traversals"] = [
        {"deviation": float(space.scale[k]), "picture": _uri(*(_row(model, space, z[i], k) for i in range(3)))}
        for k in range(min(6, len(space.axes)))
    ]
    pairs = [(i, (i + 5) % len(images)) for i in range(0, min(8, len(images)), 2)]
    lines = (torch.cat([images[a : a + 1], interpolation(model, z[a], z[b], steps=9), images[b : b + 1]])
             for a, b in pairs)  # fmt: skip
    pictures["interpolations"] = _uri(*lines)
    known = train.images[:MOST]
    rows, _ = nearest(space.direction(z[:8]), space.direction(encode(model, known)), 8)
    pictures["neighbours"] = _uri(*(torch.cat([images[i : i + 1], known[row]]) for i, row in enumerate(rows)))
    return pictures


def _row(model: Autoencoder, space: Space, z: np.ndarray, axis: int) -> torch.Tensor:
    return traversal(model, space, z, axis, steps=9, reach=2.0)


def _uri(*rows: torch.Tensor) -> str:
    return uri(grid([small(row, _SIDE) for row in rows], gap=2))


def _spread(split: Split, count: int) -> torch.Tensor:
    """Rows of some images, every class in turn."""
    classes = sorted(set(split.labels.tolist()))
    rows = [(split.labels == k).nonzero().flatten().tolist() for k in classes]
    turn = [r[i] for i in range(max(map(len, rows))) for r in rows if i < len(r)]
    return torch.tensor(turn[:count])


def _map(model: Autoencoder, test: Split, classes: tuple[str, ...]) -> dict[str, Any]:
    """Test images in the plane, neighbours in Z beside each other, with one picture of all of them."""
    from sklearn.manifold import TSNE

    rows = np.sort(np.random.default_rng(0).permutation(len(test))[:_MAP])
    z = encode(model, test.images[rows])
    if len(rows) < 4:
        return {}
    perplexity = min(30.0, (len(rows) - 1) / 3)
    spread = (z - z.mean(0)) / max(z.std(), 1e-12)
    at = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(spread.astype(np.float32))
    low, high = at.min(0), at.max(0)
    at = (at - low) / np.maximum(high - low, 1e-12)
    thumbs = small(test.images[rows], 32)
    columns = 30
    return {
        "x": [round(float(x), 4) for x in at[:, 0]],
        "y": [round(float(y), 4) for y in at[:, 1]],
        "labels": test.labels[rows].tolist(),
        "names": [test.names[i] for i in rows.tolist()],
        "classes": list(classes),
        "sprite": uri(grid(list(thumbs.split(columns)), gap=0)),
        "tile": [int(thumbs.shape[3]), int(thumbs.shape[2])],
        "columns": columns,
    }


def _save(model: Autoencoder, folder: Path) -> None:
    """`model/` as the hub keeps it: whole or not at all, the weights last."""
    with TemporaryDirectory(dir=folder, prefix=".model.") as aside:
        model.save_pretrained(aside)
        (folder / "model").mkdir(exist_ok=True)
        for name in ("README.md", "config.json", "model.safetensors"):
            if (Path(aside) / name).is_file():
                atomic_write(folder / "model" / name, (Path(aside) / name).read_bytes())
