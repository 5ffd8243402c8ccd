"""The space of Z: how it lies over the training images, and the model that encodes into it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plexus.errors import RunError
from plexus.models import Autoencoder, read_autoencoder
from plexus.record import atomic_write
from plexus.represent._train import REPRESENT, finished, open_run
from plexus.training import is_rank_zero
from plexus.training.engine import parts_of, write_parts

Floats = NDArray[np.float64]


def add_to_record(run: Path, name: str, value: Callable[[Any], Any]) -> dict[str, Any]:
    """Writes what a verb has found into the run's record.

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
    """How Z lies over the training images.

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
        """Writes the arrays, whole or not at all."""
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean, std=self.std, axes=self.axes, scale=self.scale, seen=self.seen)
        atomic_write(path, buffer.getvalue())

    @classmethod
    def read(cls, run: Path) -> Space:
        """Reads what `save` wrote; nothing is unpickled.

        Raises:
            RunError: it is missing or broken.
        """
        path = run / "space.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(*(file[name] for name in ("mean", "std", "axes", "scale", "seen")))
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{path}: missing or broken: {error}; finish the run, or train anew") from None


def digests(images: Tensor) -> NDArray[np.uint64]:
    """64 bits of a digest of each image's pixels, uint8 (N, C, H, W) -> (N,)."""
    found = [hashlib.sha256(image.numpy().tobytes()).digest()[:8] for image in images.contiguous()]
    return np.frombuffer(b"".join(found), np.uint64)


def open_model(run: str | Path) -> tuple[Autoencoder, Space, dict[str, Any]]:
    """The model, space and record of a finished run.

    Raises:
        RunError: the run has not finished, or is none.
    """
    place = Path(run)
    _, record = open_run(place)
    if not finished(place):
        raise RunError(f"{place}: the run has not finished; go on with `plexus represent train --resume {place}`")
    return read_autoencoder(place), Space.read(place), parts_of(record)


@torch.no_grad()
def encode(model: Autoencoder, images: Tensor, *, batch: int = 256) -> Floats:
    """Z of uint8 images, (N, d), in float64."""
    device = next(model.parameters()).device
    parts = [
        model.encode(x.to(device).contiguous(memory_format=torch.channels_last)).double().cpu()
        for x in images.split(batch)
    ]
    return torch.cat(parts).numpy()
