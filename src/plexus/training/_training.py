"""The training of a fit, phase by phase; each leaves its result, so that any of them can be gone on with."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from plexus.data import ImageData, pixel_statistics
from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.record import FitRecord, atomic_write
from plexus.training._classification import ClassificationModule, MaskAnnealing, Normalize
from plexus.training._config import FitConfig
from plexus.training._loop import Batches, Loop, check_devices, wait
from plexus.training._module import Schedule
from plexus.training._nets import Nets
from plexus.training._run_folder import is_rank_zero
from plexus.wiring import derive, edge_costs, importance, prune


class Training:
    """Chain, learn, supernet, anneal, final: see `FitConfig`.

    Args:
        folder: the run folder.
        config: options of the run.
        data: the images.
        listen: called with every epoch's entry.
        progress: show live progress bars.

    Raises:
        ConfigError: legos that do not fit the images, or devices that are not there.
    """

    def __init__(
        self,
        folder: Path,
        config: FitConfig,
        data: ImageData,
        listen: Callable[[dict[str, Any]], None],
        *,
        progress: bool,
    ) -> None:
        self.folder, self.config, self.data = folder, config, data
        plain = config.start_from is None  # an encoder brings its own
        mean, std = pixel_statistics(data.train.images)
        self.normalize = Normalize(mean if plain else mean * 0, std.clamp_min(1.0) if plain else std * 0 + 1)
        self.nets = Nets(config, data.in_shape, len(data.classes))
        self.nets.supernet()  # a misfit is told before anything is trained
        check_devices(config)
        self.loop = Loop(folder, config, listen=listen, progress=progress, logs=("csv", "tensorboard"))
        self.record = FitRecord.read(folder / "record.json")
        self.record.config = asdict(config)
        self.record.machine["threads"] = torch.get_num_threads()
        self.record.epochs = []
        self.record.data = FitRecord.Data(
            spec=config.data,
            name=data.name,
            fingerprint=data.fingerprint,
            classes=list(data.classes),
            in_shape=list(data.in_shape),
            counts={"train": len(data.train), "val": len(data.val), "test": len(data.test)},
            skipped=list(data.skipped),
        )
        self.record.then = config.then
        self.save()

    def train(self) -> None:
        """All phases; what is done already is read back."""
        config, whole = self.config, self.config.epochs
        choice, cut = config.spans()
        if config.anneal == "off":
            choice = cut
        self.chain = self._phase("chain", self.nets.chain(), self._schedule(0, whole, 1)) if config.controls else None
        self.learned = self.nets.supernet()
        costs = torch.tensor(edge_costs(self.learned, config.cost))
        self._phase("learn", self.learned, self._schedule(0, choice, 2), penalty=config.penalty, costs=costs)
        self.supernet = copy.deepcopy(self.learned)
        if config.controls:
            self._phase("supernet", self.supernet, self._schedule(choice, whole, 2))
        self.kept = self._select()
        self.faded = copy.deepcopy(self.learned)
        if cut > choice:
            schedule = self._schedule(choice, cut, 2)
            steps = self._batches(schedule).steps * (cut - choice)
            fade = MaskAnnealing(self.faded.body, self.kept, steps)  # type: ignore[arg-type]
            self._phase("anneal", self.faded, schedule, label="learn", callbacks=[fade])
        self.cut = derive(self.faded, self.kept)
        if config.then == "finetune":
            self.final = self._phase("final", copy.deepcopy(self.cut), self._schedule(cut, whole, 2))
        else:
            self.final = self._phase("final", self.nets.pattern(self.kept), self._schedule(0, whole, 3))

    def batches(self, most: int = 512) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Validation images by which edges are ranked."""
        images, labels = self.data.val.images[:most], self.data.val.labels[:most]
        return [(self.normalize(x), y) for x, y in zip(images.split(256), labels.split(256), strict=True)]

    def save(self) -> None:
        """Writes the record as it stands."""
        if is_rank_zero():
            self.record.write(self.folder / "record.json")

    def _schedule(self, first: int, last: int, branch: int) -> Schedule:
        """The part of the cycle from one epoch to another; `branch` sets the random numbers apart."""
        config = self.config
        return Schedule(
            epochs=last - first,
            whole=config.epochs,
            first=first,
            lr=config.lr,
            gate_lr=config.gate_lr,
            weight_decay=config.weight_decay,
            warmup=config.warmup,
            seed=config.seed * 10 + branch,
            augment=config.data != "digits" if config.augment is None else config.augment,
        )

    def _batches(self, schedule: Schedule) -> Batches:
        size, devices = self.config.batch_size, self.config.devices
        return Batches(self.data.train, self.data.val, size=size, seed=schedule.seed, devices=devices)

    def _phase(
        self, name: str, net: nn.Module, schedule: Schedule,
        *, label: str = "", callbacks: Sequence[Any] = (), penalty: float = 0.0, costs: torch.Tensor | None = None,
    ) -> nn.Module:  # fmt: skip
        start, batches = time.monotonic(), self._batches(schedule)
        module = ClassificationModule(
            net, self.normalize, len(self.data.classes), schedule, batches.steps, penalty=penalty, costs=costs
        )
        history = self.loop.run(name, module, batches, tags={"phase": label or name}, callbacks=callbacks)
        self.record.epochs += [FitRecord.Epoch(**entry) for entry in history]
        spent = time.monotonic() - start, sum(entry["seconds"] for entry in history)  # the latter with earlier sittings
        self.record.seconds[name] = max(self.record.seconds.get(name) or 0.0, *spent)
        self.save()
        return net

    def _select(self) -> Wiring:
        """The edges to keep; decided once, by one process, and read back ever after."""
        place = self.folder / "checkpoints" / "kept.json"
        if is_rank_zero() and not place.exists():
            ranked = importance(self.learned, self.batches(), self.config.rank)
            limit = {"keep": self.config.keep, "max_params": self.config.max_params}
            try:
                kept = prune(ranked, **limit, net=self.learned)  # type: ignore[arg-type]
            except ConfigError as error:
                remedy = f"what was learned is kept: go on with `plexus prune {self.folder} --max-params MORE`"
                raise ConfigError(f"{error}; {remedy}") from None
            atomic_write(place, kept.to_json())
        wait()
        return Wiring.from_json(place.read_text())
