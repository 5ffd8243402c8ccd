"""The training of a run, phase by phase, and its record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from plexus.data import pixel_statistics
from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.models import Autoencoder
from plexus.record import atomic_write, to_json
from plexus.represent._config import RepresentConfig
from plexus.represent._data import load_images
from plexus.represent._folder import open_run
from plexus.represent._module import RepresentationModule, Trained
from plexus.training import Batches, Loop, Schedule, check_devices, is_rank_zero, reduce_seed, wait
from plexus.wiring import importance, prune

_LEARN = 0.35
"""Share of the epochs that learn a wiring, before what is kept trains anew for all of them."""


class Work:
    """Images, nets and record of one run.

    Args:
        folder: the run folder.
        config: options of the run.
        listen: called with every epoch's entry.
        progress: show live progress bars.

    Raises:
        PlexusError: data that cannot be used, options that do not fit it, devices that are not there.
    """

    def __init__(
        self, folder: Path, config: RepresentConfig, listen: Callable[[dict[str, Any]], None] | None, *, progress: bool
    ) -> None:
        self.folder, self.config, self.listen, self.progress = folder, config, listen, progress
        self.images = load_images(config)
        self.given = _given(config)
        self.model(self.given)  # a misfit is told before anything is trained
        check_devices(config)
        self.record: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}

    def model(self, wiring: Wiring | None) -> Autoencoder:
        """A fresh autoencoder for these images, from the run's seed."""
        data, config = self.images.data, self.config
        mean, std = pixel_statistics(data.train.images)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(reduce_seed(config.seed))
            return Autoencoder(
                data.in_shape, config.dim, width=config.width, depth=config.depth, neuron=config.neuron,
                wiring=None if wiring is None else wiring.to_json(),
                variational=config.objective == "vae",
                classes=() if config.labels == "none" else data.classes,
                mean=mean.tolist(), std=std.clamp_min(1.0).tolist(),
            )  # fmt: skip

    def _net(self, wiring: Wiring | None) -> Trained:
        """A fresh autoencoder with what its training needs, all of it from the run's seed."""
        model = self.model(wiring)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(reduce_seed(self.config.seed + 1))
            return Trained(model, projected=self.config.teaches == "contrast")

    def begin(self) -> None:
        """Writes what is known before the training."""
        data, config = self.images.data, self.config
        self.record = open_run(self.folder)[1] | {
            "config": asdict(config),
            "data": {
                "name": data.name,
                "fingerprint": data.fingerprint,
                "classes": list(data.classes),
                "in_shape": list(data.in_shape),
                "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
                "labelled": 0 if config.labels == "none" else self.images.labelled,
                "skipped": list(data.skipped),
            },
            "epochs": [],
        }
        self.record["machine"]["threads"] = torch.get_num_threads()
        self.save()

    def train(self) -> Autoencoder:
        """All phases; what is done already is read back."""
        wiring = self._learned() if self.config.wiring == "learn" else self.given
        net = self._net(wiring)
        self._phase("train", net, self.config.epochs)
        self.record["model"] = {
            "parameters": sum(p.numel() for p in net.model.parameters()),
            "encoder": sum(p.numel() for part in (net.model.trunk, net.model.to_z) for p in part.parameters()),
            "wiring": None if wiring is None else asdict(wiring),
        }
        return net.model.eval()

    def save(self) -> None:
        """Writes the record as it stands."""
        if is_rank_zero():
            atomic_write(self.folder / "record.json", to_json(self.record))

    def _learned(self) -> Wiring:
        """The connections that a supernet in the encoder's place found strongest."""
        place = self.folder / "wiring.json"
        net = self._net(None)
        torch.manual_seed(reduce_seed(self.config.seed))
        body = net.model.with_every_connection()
        self._phase("learn", net, min(max(1, round(_LEARN * self.config.epochs)), self.config.epochs))
        if is_rank_zero() and not place.exists():
            atomic_write(place, prune(importance(body, method="gate"), keep=self.config.keep, net=body).to_json())
        wait()
        return Wiring.from_json(place.read_text())

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
        history = loop.run(name, module, batches, tags={"phase": name})
        self.record["epochs"] += history
        self.seconds[name] = max(time.monotonic() - start, sum(entry["seconds"] for entry in history))
        self.record["seconds"] = dict(self.seconds)
        self.save()


def _given(config: RepresentConfig) -> Wiring | None:
    """The wiring that a file holds."""
    if config.wiring in (None, "learn"):
        return None
    try:
        return Wiring.from_json(Path(str(config.wiring)).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ConfigError(f"wiring={config.wiring}: {reason}; name a wiring.json, or learn") from None
    except Exception as error:
        raise ConfigError(f"wiring={config.wiring}: not a wiring: {str(error).splitlines()[0]}") from None
