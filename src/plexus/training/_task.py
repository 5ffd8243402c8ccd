"""The training of a fit, phase by phase; each leaves its result, so that any of them can be gone on with."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from plexus.data import Augmentation, pixel_statistics
from plexus.errors import RunError, printable
from plexus.graph import Wiring
from plexus.progress import current
from plexus.record import atomic_write, read_json
from plexus.training._budget import Plan, plan
from plexus.training._classification import ClassificationModule, Normalize
from plexus.training._config import MEMORY, FitConfig
from plexus.training._cut import GradualCut, left, plain
from plexus.training._fit import FIT, load_data
from plexus.training._loop import Batches, Loop, check_devices, wait
from plexus.training._module import Schedule, reduce_seed
from plexus.training.engine import Task
from plexus.training.evaluation import SHARES, Trained, evaluate, tested
from plexus.training.export import CALIBRATED, export, export_int8, milliseconds, onnx_logits
from plexus.training.nets import Nets
from plexus.training.run_folder import is_rank_zero
from plexus.wiring import edge_costs, importance, prune, random_maps, random_wiring, write_wiring

GATE_LR = (0.05, 0.01)
"""Peak rate of gates, and of the weights of a mix, which are a layer's."""
CONTROL = "training the random wiring"
"""The part of the progress in which the control is trained."""
AGAIN = 0.6
"""The fraction of the cycle of the rate at which a net that is cut further takes it up again."""


class FitTask(Task[FitConfig]):
    """One cycle in which all edges are there at first, and the weakest go: see `FitConfig`."""

    kind = FIT
    judged = len(SHARES) + 4

    def load(self) -> str:
        memory = self.given.get("data")
        if memory is None and self.config.data == MEMORY:
            again = "give them again in Python: plexus.load(RUN).prune(..., data=IMAGES)"
            raise RunError(f"{self.folder}: the images were in memory; {again}")
        self.data = load_data(self.config, memory)
        return self.data.fingerprint

    def check(self) -> None:
        mean, std = pixel_statistics(self.data.train.images)
        plain = self.config.start_from is None  # an encoder brings its own
        self.normalize = Normalize(mean if plain else mean * 0, std.clamp_min(1.0) if plain else std * 0 + 1)
        self.plan = self._plan()
        config = self.config if self.plan.width is None else replace(self.config, width=self.plan.width)
        self.nets = Nets(config, self.data.in_shape, len(self.data.classes), self.given.get("legos"))
        self.nets.supernet()
        check_devices(self.config)
        self.loop = Loop(
            self.folder, self.config, listen=self.listen, progress=self.progress, logs=("csv", "tensorboard")
        )

    def _plan(self) -> Plan:
        """The plan, made once: a budget of milliseconds is measured, and no two measurements are the same."""
        path = self.folder / "checkpoints" / "plan.json"
        if is_rank_zero() and not path.exists():
            path.parent.mkdir(exist_ok=True)
            made = plan(self.config, self.data.in_shape, len(self.data.classes), self.given.get("legos"))
            atomic_write(path, json.dumps(made.to_dict()))
        wait()
        return Plan.from_dict(read_json(path, "fit anew"))

    def describe(self) -> dict[str, Any]:
        data = self.data
        facts: dict[str, Any] = {
            "spec": self.config.data,
            "name": data.name,
            "classes": list(data.classes),
            "in_shape": list(data.in_shape),
            "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
            "skipped": list(data.skipped),
            "notes": list(data.notes),
            "white": data.white,
            "fit": data.fit,
        }
        if (memory := self.given.get("data")) is not None:
            facts |= {"scale": memory.scale and list(memory.scale), "numbers": memory.numbers}
            facts["notes"] = list(data.notes)
        return {"data": facts, "epochs": [], "plan": self.plan.to_dict()}

    def parts(self) -> dict[str, float]:
        return dict.fromkeys(("learning", *([CONTROL] if self.config.controls else [])), 80.0)

    def header(self) -> list[str]:
        data, config = self.data, self.config
        layers = len(self.nets.legos())
        (name, limit), *_ = [*config.budget().items(), ("", 0)]
        target = self.plan.target
        left = f"{target.fan_in} sources for every group of maps" if target.fan_in else f"{target.edges:,} edges left"
        lines = [
            f"data    {data.summary}",
            f"net     {config.stack}: {layers} layers"
            + (f", {self.nets.config.width} channels at first" if self.nets.config.width else ""),
            f"budget  {f'{name}={limit:g}: ' if name else ''}{left}; {config.epochs} epochs",
        ]
        return [printable(line) for line in lines] + ([f"        {self.plan.note}"] if self.plan.note else [])

    def train(self) -> None:
        config, whole = self.config, self.config.epochs
        net: Any = self.nets.supernet()
        if (self.folder / "checkpoints" / "start").exists():  # cut further: what was learned is there
            self.loop.run(
                "start", self._module(net, self._schedule(0, whole, 2)), self._batches(self._schedule(0, 1, 2))
            )
            first = round(AGAIN * whole)
            schedule = self._schedule(min(first, whole - 1), whole, 3)
            bounds = {"first": 0.0, "last": 0.5}
        else:
            schedule, bounds = self._schedule(0, whole, 2), {}
        steps = self._batches(schedule).steps * schedule.epochs
        cut = GradualCut(net.body, self.plan.target, steps, chance=self._chance(), **bounds)
        penalty = (
            {"penalty": config.penalty, "costs": torch.tensor(edge_costs(net, config.cost))} if config.penalty else {}
        )
        self._phase("fit", net, schedule, title="learning", callbacks=[cut], **penalty)
        kept = self._kept(net)
        self.trained = Trained(net, plain(net.eval(), kept), kept, self._controls(kept) if config.controls else [])

    def _chance(self) -> float:
        """The accuracy of always answering with the commonest class."""
        labels = self.data.train.labels
        return labels.bincount().max().item() / len(labels)

    def _kept(self, net: Any) -> Wiring:
        """The wiring that is left, with the strength of every edge."""
        kept = left(importance(net, method="gate"), net.body)
        limit = {name: value for name, value in self.config.budget().items() if name in ("max_params", "max_macs")}
        if limit and self.nets.options["merge"] != "mix":  # which edges stay decides what they cost
            kept = prune(kept, **limit, net=net)
        return kept

    def _controls(self, kept: Wiring) -> list[tuple[str, str, nn.Module]]:
        """Competitors, trained for as many epochs: what is the choice of edges worth?"""
        chance = torch.Generator().manual_seed(reduce_seed(self.config.seed))
        if kept.maps:
            wiring = random_maps(importance(self.nets.supernet(), method="gate"), chance, like=kept)
        else:
            legos = len(self.nets.legos())
            most = legos * (legos + 3) // 2
            wiring = random_wiring(legos, min(max(len(kept.edges), legos), most), chance)
        fresh, schedule = self.nets.pattern(wiring), self._schedule(0, self.config.epochs, 4)
        net = self._phase("random", fresh, schedule, title=CONTROL)
        return [("random", "random wiring", net)]

    def evaluate(self) -> None:
        nets, data = self.trained, self.data
        self.record |= evaluate(nets, self.config, data, self.normalize, self.ranking())
        body: Any = nets.supernet.body
        kept = tuple(edge for edge in body.wiring().edges if edge[:2] in nets.kept.strengths())
        write_wiring(Wiring(nets.kept.nodes, kept, nets.kept.maps), self.folder / "wiring.json")
        current().step(1, "writing the models")
        facts = export(nets.final, self.normalize, self.folder, data.in_shape, data.classes)
        model = (self.folder / "model.onnx").read_bytes()
        self.record["results"][0] |= {"latency_ms": milliseconds(model, data.in_shape), "kb": len(model) / 1000}
        if self.config.int8:
            self._int8(model)
        if "model.py" in facts:
            self.record["machine"]["model.py"] = facts["model.py"]

    def _int8(self, model: bytes) -> None:
        """Write the model in eight bits, and test it as it will be used."""
        data, final = self.data, self.record["results"][0]
        current().step(1, "the int8 file")
        path = self.folder / "model-int8.onnx"
        made = export_int8(model, path, data.train.images[:CALIBRATED], max_kb=self.config.max_kb)
        entry = {
            "name": "int8",
            "label": "the same, int8" if made["arithmetic"] == "int8" else "int8 weights",
            **{key: final[key] for key in ("parameters", "macs")},
            **tested(onnx_logits(path.read_bytes(), data.test.images), data.test),
            **{key: made[key] for key in ("latency_ms", "kb")},
        }
        self.record["results"].insert(1, entry)
        self.record["machine"]["int8"] = ", ".join(f"{ms:.3f} ms in {name}" for name, ms in made["tried"].items())

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
            gate_lr=GATE_LR[self.nets.options["merge"] == "mix"] if config.gate_lr is None else config.gate_lr,
            weight_decay=config.weight_decay,
            warmup=config.warmup,
            seed=config.seed * 10 + branch,
            augment=Augmentation(**config.strengths()),
        )

    def _batches(self, schedule: Schedule) -> Batches:
        config, train = self.config, self.data.train
        weights = self._class_weights()[train.labels].double().numpy() if config.balance == "sampling" else None
        return Batches(
            train, self.data.val, size=config.batch_size, seed=schedule.seed, devices=config.devices, weights=weights
        )

    def _class_weights(self) -> torch.Tensor:
        """A weight for each class that makes their sums over the training images equal, and its mean over these 1."""
        counts = self.data.train.labels.bincount(minlength=len(self.data.classes))
        return len(self.data.train) / (len(self.data.classes) * counts.float())

    def _module(self, net: nn.Module, schedule: Schedule, **options: Any) -> ClassificationModule:
        steps = self._batches(schedule).steps
        if self.config.balance == "weights":
            options["weights"] = self._class_weights()
        return ClassificationModule(net, self.normalize, len(self.data.classes), schedule, steps, **options)

    def _phase(
        self, name: str, net: nn.Module, schedule: Schedule, *, title: str, callbacks: Sequence[Any] = (),
        **options: Any,
    ) -> nn.Module:  # fmt: skip
        start = time.monotonic()
        module = self._module(net, schedule, **options)
        history = self.loop.run(
            name, module, self._batches(schedule), tags={"phase": name}, title=title, callbacks=callbacks
        )
        self.record["epochs"] += history
        self.spend(name, start, history)
        return net
