"""The folder of a representation: its record, its model, and what is known of the space of Z."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plexus.errors import PlexusError, RunError
from plexus.models import Autoencoder, read_autoencoder
from plexus.record import atomic_write, to_json
from plexus.represent._config import RepresentConfig
from plexus.training._run_folder import absolute, is_rank_zero, make_run, open_folder, read_record

KIND, VERB = "represent", "represent train"
Floats = NDArray[np.float64]


def new_run(config: RepresentConfig, folder: str | Path | None, *, command: str) -> tuple[Path, RepresentConfig]:
    """Creates the run folder; the config it holds has absolute paths.

    Raises:
        RunError: the folder exists and is not empty, or cannot be made.
    """
    wiring = config.wiring if config.wiring in (None, "learn") else absolute(str(config.wiring))
    data = config.data if config.data == "digits" else absolute(config.data)
    config = replace(config, data=data, wiring=wiring)
    return make_run(config, folder, {"kind": KIND, "verb": VERB, "command": command}), config


def open_run(folder: str | Path) -> tuple[RepresentConfig, dict[str, Any]]:
    """The config and record of a run folder.

    Raises:
        RunError: there is none, or it is broken or of another kind.
    """
    record = open_folder(folder, kind=KIND, verb=VERB)
    try:
        return RepresentConfig.read(Path(folder) / "config.yaml"), record
    except PlexusError as error:
        raise RunError(f"{error}; the run folder was changed or is of another version of plexus") from None


def finished(run: str | Path) -> bool:
    """Whether a run reached its end and its model is there.

    Args:
        run: a run folder.

    Raises:
        RunError: not a run folder, or a broken one.

    Example:
        >>> finished("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    _, record = open_run(run)
    return record.get("finished") is True and (Path(run) / "model" / "model.safetensors").is_file()


def add_to_record(run: Path, name: str, value: Callable[[Any], Any]) -> dict[str, Any]:
    """Writes what a verb has found into the run's record.

    Args:
        run: the run folder.
        name: the part.
        value: what is to stand there, from what stood there.

    Returns:
        The whole record.
    """
    record = read_record(run / "record.json", kind=KIND, verb=VERB)
    record[name] = value(record.get(name))
    if is_rank_zero():
        atomic_write(run / "record.json", to_json(record))
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
        import io

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
    import hashlib

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
    return read_autoencoder(place), Space.read(place), record


@torch.no_grad()
def encode(model: Autoencoder, images: Tensor, *, batch: int = 256) -> Floats:
    """Z of uint8 images, (N, d), in float64."""
    device = next(model.parameters()).device
    parts = [
        model.encode(x.to(device).contiguous(memory_format=torch.channels_last)).double().cpu()
        for x in images.split(batch)
    ]
    return torch.cat(parts).numpy()
