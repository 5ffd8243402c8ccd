"""The training of a fit, phase by phase; each leaves its result, so that any of them can be gone on with."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from plexus.data import load, pixel_statistics
from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.training._classification import ClassificationModule, MaskAnnealing, Normalize
from plexus.training._config import FitConfig
from plexus.training._fit import FIT
from plexus.training._loop import Batches, Loop, check_devices, wait
from plexus.training._module import Schedule
from plexus.training.engine import Task
from plexus.training.evaluation import Trained, evaluate
from plexus.training.export import export
from plexus.training.nets import Nets
from plexus.training.run_folder import is_rank_zero
from plexus.wiring import derive, edge_costs, importance, prune, read_wiring, write_wiring


class FitTask(Task[FitConfig]):
    """Chain, learn, supernet, anneal, final: see `FitConfig`."""

    kind = FIT

    def load(self) -> str:
        c = self.config
        self.data = load(
            c.data, size=c.size, seed=c.seed, val=c.val, test=c.test, skip_unreadable=c.skip_unreadable, limit=c.limit,
            label=c.label,
        )  # fmt: skip
        return self.data.fingerprint

    def check(self) -> None:
        mean, std = pixel_statistics(self.data.train.images)
        plain = self.config.start_from is None  # an encoder brings its own
        self.normalize = Normalize(mean if plain else mean * 0, std.clamp_min(1.0) if plain else std * 0 + 1)
        self.nets = Nets(self.config, self.data.in_shape, len(self.data.classes))
        self.nets.supernet()
        check_devices(self.config)
        self.loop = Loop(
            self.folder, self.config, listen=self.listen, progress=self.progress, logs=("csv", "tensorboard")
        )

    def describe(self) -> dict[str, Any]:
        data = self.data
        facts = {
            "spec": self.config.data,
            "name": data.name,
            "classes": list(data.classes),
            "in_shape": list(data.in_shape),
            "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
            "skipped": list(data.skipped),
        }
        return {"data": facts, "epochs": [], "then": self.config.then}

    def train(self) -> None:
        config, whole = self.config, self.config.epochs
        choice, cut = config.spans()
        if config.anneal == "off":
            choice = cut
        chain = self._phase("chain", self.nets.chain(), self._schedule(0, whole, 1)) if config.controls else None
        learned = self.nets.supernet()
        costs = torch.tensor(edge_costs(learned, config.cost))
        self._phase("learn", learned, self._schedule(0, choice, 2), penalty=config.penalty, costs=costs)
        supernet = copy.deepcopy(learned)
        if config.controls:
            self._phase("supernet", supernet, self._schedule(choice, whole, 2))
        kept = self._select(learned)
        faded = copy.deepcopy(learned)
        if cut > choice:
            schedule = self._schedule(choice, cut, 2)
            steps = self._batches(schedule).steps * (cut - choice)
            fade = MaskAnnealing(faded.body, kept, steps)  # type: ignore[arg-type]
            self._phase("anneal", faded, schedule, label="learn", callbacks=[fade])
        plain = derive(faded, kept)
        if config.then == "finetune":
            final = self._phase("final", copy.deepcopy(plain), self._schedule(cut, whole, 2))
        else:
            final = self._phase("final", self.nets.pattern(kept), self._schedule(0, whole, 3))
        self.trained = Trained(chain, learned, supernet, faded, plain, final, kept)

    def evaluate(self) -> None:
        nets, data = self.trained, self.data
        self.record |= evaluate(nets, self.config, data, self.normalize, self.ranking())
        body: Any = nets.supernet.body
        kept = tuple(edge for edge in body.wiring().edges if edge[:2] in nets.kept.strengths())
        write_wiring(Wiring(nets.kept.nodes, kept, nets.kept.maps), self.folder / "wiring.json")
        facts = export(nets.final, self.normalize, self.folder, data.in_shape, data.classes)
        if "model.py" in facts:
            self.record["machine"]["model.py"] = facts["model.py"]

    def ranking(self, most: int = 512) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Validation images by which edges are ranked."""
        images, labels = self.data.val.images[:most], self.data.val.labels[:most]
        return [(self.normalize(x), y) for x, y in zip(images.split(256), labels.split(256), strict=True)]

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
        self.record["epochs"] += history
        self.spend(name, start, history)
        return net

    def _select(self, learned: nn.Module) -> Wiring:
        """The edges to keep; decided once, by one process, and read back ever after."""
        path = self.folder / "checkpoints" / "kept.json"
        if is_rank_zero() and not path.exists():
            ranked = importance(learned, self.ranking(), self.config.rank)
            limit = {"keep": self.config.keep, "max_params": self.config.max_params}
            try:
                kept = prune(ranked, **limit, net=learned)  # type: ignore[arg-type]
            except ConfigError as error:
                remedy = f"what was learned is kept: go on with `plexus prune {self.folder} --max-params MORE`"
                raise ConfigError(f"{error}; {remedy}") from None
            write_wiring(kept, path)
        wait()
        return read_wiring(path)
