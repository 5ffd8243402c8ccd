"""The training of a representation, phase by phase, and the figures and pictures of its model."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from plexus.data import Split, data_uri, pixel_statistics
from plexus.errors import ConfigError, RunError, plural
from plexus.graph import Wiring
from plexus.models import Autoencoder
from plexus.nn import fold
from plexus.record import atomic_write
from plexus.represent import images as image_sets
from plexus.represent._config import RepresentConfig
from plexus.represent._train import REPRESENT
from plexus.represent.module import RepresentationModule, Trained
from plexus.represent.space import MOST, Space, digests, encode, nearest, scores, share, turning, units_in_use
from plexus.represent.variation import as_bytes, grid, interpolation, principal_axes, small, traversal
from plexus.training import Batches, Loop, Schedule, check_devices, export_onnx, is_rank_zero, reduce_seed, wait
from plexus.training.engine import Task
from plexus.wiring import importance, prune, read_wiring, write_wiring

_LEARN = 0.35
"""Fraction of the epochs that learn a wiring, before what is kept trains anew for all of them."""
TITLES = {"learn": "learning connections", "train": "learning"}
"""Phase -> the part of the progress."""
_MAP = 600  # images on the map
_SIDE = 48  # pixels of a picture on the page


class RepresentTask(Task[RepresentConfig]):
    """One autoencoder; where its wiring is learned, a supernet in the encoder's place before."""

    kind = REPRESENT

    def load(self) -> str:
        self.images = image_sets.load_images(self.config)
        mean, std = pixel_statistics(self.images.data.train.images)
        self.scale = {"mean": mean.tolist(), "std": std.clamp_min(1.0).tolist()}
        return self.images.data.fingerprint

    def check(self) -> None:
        self.wiring = _read_wiring(self.config)
        self.fresh(self.wiring)
        check_devices(self.config)

    def describe(self) -> dict[str, Any]:
        data, config = self.images.data, self.config
        facts = {
            "name": data.name,
            "classes": list(data.classes),
            "in_shape": list(data.in_shape),
            "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
            "labelled": 0 if config.labels == "none" else self.images.labelled,
            "skipped": list(data.skipped),
            "notes": list(data.notes),
            "white": data.white,
        }
        return {"data": facts, "epochs": []}

    def parts(self) -> dict[str, float]:
        return {title: 80.0 for name, title in TITLES.items() if name == "train" or self.config.wiring == "learn"}

    def header(self) -> list[str]:
        data, config = self.images.data, self.config
        return [
            f"data    {data.summary}",
            f"net     an autoencoder with {config.dim} numbers in Z; labels: {config.labels}; "
            f"{plural(config.epochs, 'epoch')}",
        ]

    def train(self) -> None:
        wiring = self._learned() if self.config.wiring == "learn" else self.wiring
        net = self._net(wiring)
        self._phase("train", net, self.config.epochs)
        self.model = net.model.eval()
        self.record["model"] = {
            "parameters": sum(p.numel() for p in net.model.parameters()),
            "encoder": sum(p.numel() for part in (net.model.trunk, net.model.to_z) for p in part.parameters()),
            "wiring": None if wiring is None else {"nodes": wiring.nodes, "edges": wiring.edges},
        }

    def evaluate(self) -> None:
        record, data, model = self.record, self.images.data, self.model
        z = encode(model, data.train.images[:MOST])
        axes, scale = principal_axes(model, z)
        seen = np.sort(np.concatenate([digests(data.train.images), digests(data.val.images)]))
        space = Space(z.mean(0), np.maximum(z.std(0), 1e-6), axes, scale, seen)
        record["results"] = self._figures(space)
        record["units"] = units_in_use(z, model, record["epochs"])
        record["pictures"] = _pictures(model, space, data.train, data.test)
        record["map"] = _map(model, data.test, data.classes)
        if self.config.onnx:
            record["onnx_difference"] = export(model, self.folder)
        space.save(self.folder / "space.npz")
        _save(model, self.folder)

    def fresh(self, wiring: Wiring | None) -> Autoencoder:
        """Make a fresh autoencoder for these images, from the run's seed."""
        data, config = self.images.data, self.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(reduce_seed(config.seed))
            return Autoencoder(
                data.in_shape, config.dim, width=config.width, depth=config.depth, neuron=config.neuron,
                wiring=None if wiring is None else wiring.to_json(),
                variational=config.objective == "vae",
                classes=() if config.labels == "none" else data.classes,
                **self.scale,
            )  # fmt: skip

    def _net(self, wiring: Wiring | None) -> Trained:
        """A fresh autoencoder with what its training needs, all of it from the run's seed."""
        model = self.fresh(wiring)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(reduce_seed(self.config.seed + 1))
            return Trained(model, projected=self.config.teaches == "contrast")

    def _learned(self) -> Wiring:
        """The connections that a supernet in the encoder's place found strongest."""
        path = self.folder / "wiring.json"
        net = self._net(None)
        torch.manual_seed(reduce_seed(self.config.seed))
        body = net.model.with_every_connection()
        self._phase("learn", net, min(max(1, round(_LEARN * self.config.epochs)), self.config.epochs))
        if is_rank_zero() and not path.exists():
            write_wiring(prune(importance(body, method="gate"), keep=self.config.keep), path)
        wait()
        return read_wiring(path)

    def _phase(self, name: str, net: Trained, epochs: int) -> None:
        start, config, data = time.monotonic(), self.config, self.images.data
        seed = config.seed * 2 + (name == "learn")
        schedule = Schedule(
            epochs=epochs, whole=epochs, first=0, lr=config.lr, gate_lr=config.gate_lr,
            weight_decay=config.weight_decay, seed=seed,
        )  # fmt: skip
        batches = Batches(data.train, data.val, size=config.batch_size, seed=seed, devices=config.devices)
        module = RepresentationModule(net, schedule, batches.steps, config, self.images.few)
        loop = Loop(self.folder, config, listen=self.listen, progress=self.progress)
        history = loop.run(name, module, batches, tags={"phase": name}, title=TITLES[name])
        self.record["epochs"] += history
        self.spend(name, start, history)

    def _figures(self, space: Space) -> dict[str, Any]:
        data, model = self.images.data, self.model
        figures = scores(model, space, data.train, data.test)
        figures["turning"] = turning(model, data.test.images)
        if model.classifier is not None:
            z = torch.from_numpy(encode(model, data.test.images)).float()
            with torch.no_grad():
                figures["classifier"] = share((model.classify(z).argmax(1) == data.test.labels).numpy())
        return figures


def _read_wiring(config: RepresentConfig) -> Wiring | None:
    """The wiring that a file holds."""
    if config.wiring in (None, "learn"):
        return None
    try:
        wiring = read_wiring(str(config.wiring))
    except RunError as error:
        reason = str(error).removeprefix(f"{config.wiring}: ").partition(";")[0]
        raise ConfigError(f"wiring={config.wiring}: {reason}; name a wiring.json, or learn") from None
    if wiring.maps:
        raise ConfigError(f"wiring={config.wiring}: it joins maps, an encoder's joins layers; name another, or learn")
    return wiring


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
    learned = train.images[:MOST]
    rows, _ = nearest(space.direction(z[:8]), space.direction(encode(model, learned)), 8)
    pictures["neighbours"] = _uri(*(torch.cat([images[i : i + 1], learned[row]]) for i, row in enumerate(rows)))
    return pictures


def _row(model: Autoencoder, space: Space, z: np.ndarray, axis: int) -> torch.Tensor:
    return traversal(model, space, z, axis, steps=9, reach=2.0)


def _uri(*rows: torch.Tensor) -> str:
    return data_uri(grid([small(row, _SIDE) for row in rows], gap=2))


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
        "sprite": data_uri(grid(list(thumbs.split(columns)), gap=0)),
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


class _Encoder(nn.Module):
    """Pixels to Z, and to logits where the model knows classes."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        z = self.model.encode(pixels)
        return z if self.model.classifier is None else (z, self.model.classify(z))


class _Decoder(nn.Module):
    """Z to pixels, clamped to 0..255."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        return self.model.decode(z).clamp(0, 255)


def export(model: Autoencoder, folder: Path) -> dict[str, float]:
    """Write `encoder.onnx` (`pixels` 0..255 to `z`, and `logits`) and `decoder.onnx` (`z` to `pixels`).

    Args:
        model: in evaluation mode; unit layers are folded.
        folder: where to.

    Returns:
        The largest difference of each to the model.

    Raises:
        TrainingError: a file would not compute what the model does.
    """
    plain = cast(Autoencoder, fold(copy.deepcopy(model).cpu()).eval())
    encoder, decoder = _Encoder(plain).eval(), _Decoder(plain).eval()
    names = ("z",) if model.classifier is None else ("z", "logits")
    return {
        "encoder.onnx": export_onnx(encoder, folder / "encoder.onnx", model.in_shape, names),
        "decoder.onnx": export_onnx(decoder, folder / "decoder.onnx", (model.dim,), ("pixels",), source="z"),
    }
