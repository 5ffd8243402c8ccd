"""The training of a fit, phase by phase; each leaves its result, so that any of them can be gone on with."""

from __future__ import annotations

import copy
import json
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from plexus.data import Augmentation, ImageData, pixel_statistics
from plexus.errors import ConfigError, RunError, plural, printable
from plexus.graph import Wiring
from plexus.models import Backbone, resnet
from plexus.progress import bar, current
from plexus.record import atomic_write, read_json
from plexus.training._backbone import STATISTICS, Front, front_is_whole, front_name, open_backbone, with_maps
from plexus.training._budget import Plan, before, like_milliseconds, plan
from plexus.training._classification import ClassificationModule, Normalize
from plexus.training._config import MEMORY, FitConfig
from plexus.training._cut import GradualCut, left, plain
from plexus.training._distill import Teacher, open_teacher
from plexus.training._fit import FIT, load_data
from plexus.training._loop import Batches, Loop, check_devices, wait
from plexus.training._module import Schedule
from plexus.training._read_model import read_model
from plexus.training._seeds import reduce_seed
from plexus.training.engine import Task
from plexus.training.evaluation import SHARES, Trained, costs, evaluate, take_turns, tested
from plexus.training.export import CALIBRATED, export, export_int8
from plexus.training.nets import Nets
from plexus.training.onnx_model import onnx_logits, to_onnx
from plexus.training.run_folder import is_rank_zero, read_checked
from plexus.wiring import edge_costs, importance, parameters, prune, random_maps, random_wiring, trace, write_wiring

GATE_LR = (0.05, 0.01)
"""Peak rate of gates, and of the weights of a mix, which are a layer's."""
CONTROLS = {
    "random": "random wiring", "direct": "never wider", "linear": "linear head", "resnet": "ResNet"
}  # fmt: skip
"""The part of the progress in which a control is trained, in the words of the tables and pages."""
MAPS = "maps of the backbone"
"""The part of the progress in which they are computed."""
AGAIN = 0.6
"""The fraction of the cycle of the rate at which a net that is cut further takes it up again."""


class FitTask(Task[FitConfig]):
    """One cycle in which all edges are there at first, and the weakest go: see `FitConfig`."""

    kind = FIT
    judged = len(SHARES) + 5

    def load(self) -> str:
        memory = self.given.get("data")
        if memory is None and self.config.data == MEMORY:
            again = "give them again in Python: plexus.load(RUN).prune(..., data=IMAGES)"
            raise RunError(f"{self.folder}: the images were in memory; {again}")
        self.data = load_data(self.config, memory)
        return self.data.fingerprint

    def check(self) -> None:
        self.normalize, start = self._input()
        front = self.normalize if isinstance(self.normalize, Front) else None
        self.plan = self._plan(front, start)
        config = self.config if self.plan.width is None else replace(self.config, width=self.plan.width)
        self.nets = Nets(
            config, self.data.in_shape, len(self.data.classes), self.given.get("legos"), front=front, start=start
        )
        self.nets.supernet()
        self.seen = self.data  # or the maps of a backbone, once they are computed
        self.teacher = open_teacher(self.config, self.data, self.given.get("teacher"))
        check_devices(self.config)
        self.loop = Loop(
            self.folder, self.config, listen=self.listen, progress=self.progress, logs=("csv", "tensorboard")
        )

    def _input(self) -> tuple[Normalize | Front, Backbone | None]:
        """Open what makes of pixels the nets' input, and the backbone where it is a part of them, as it learns."""
        config = self.config
        backbone = open_backbone(config, self.data.in_shape, read_model, given=self.given.get("backbone"))
        if backbone is not None and not backbone.learns:
            front = Front(backbone, front_name(config, self.given.get("backbone")))
            if front_is_whole(front.net):
                self._check_onnx(front)
            return front, None
        mean, std = pixel_statistics(self.data.train.images)
        plain = config.start_from is None and backbone is None  # an encoder or a backbone brings its own
        return Normalize(mean if plain else mean * 0, std.clamp_min(1.0) if plain else std * 0 + 1), backbone

    def _check_onnx(self, front: Front) -> None:
        """Refuse now what could not be written after all training."""
        try:
            to_onnx(front.net, front.in_shape)
        except Exception as error:  # the exporter meets the user's code, and raises whatever it likes
            raise ConfigError(
                f"backbone={self.config.backbone}: ONNX cannot express it ({type(error).__name__}); write its forward "
                "without branches that depend on pixels"
            ) from None

    def _plan(self, front: Front | None, start: Backbone | None) -> Plan:
        """The plan, made once: a budget of milliseconds is measured, and no two measurements are the same."""
        path = self.folder / "checkpoints" / "plan.json"
        if is_rank_zero() and not path.exists():
            path.parent.mkdir(exist_ok=True)
            made = plan(
                self.config, self.data.in_shape, len(self.data.classes), self.given.get("legos"), front=front,
                start=start, names=len(json.dumps(list(self.data.classes), ensure_ascii=False).encode()),
            )  # fmt: skip
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
            "class_counts": data.train.labels.bincount(minlength=len(data.classes)).tolist(),
            "original_size": list(data.original or ()),
            "skipped": list(data.skipped),
            "notes": list(data.notes),
            "white": data.white,
            "greys": data.greys(),
            "fit": data.fit,
        }
        if (memory := self.given.get("data")) is not None:
            facts |= {"scale": memory.scale and list(memory.scale), "numbers": memory.numbers}
        parts = {"data": facts, "epochs": [], "plan": self.plan.to_dict()}
        if words := self._front_words():
            parts["front"] = words
        return parts | ({"teacher": self.teacher.opened.name} if self.teacher is not None else {})

    def _front_words(self) -> str:
        """The backbone in a line; empty without one."""
        front, backbone = self.nets.front, self.nets.backbone
        if front is not None:
            facts = f"{front.parameters:,} parameters, {front.macs:,} multiply-adds"
            return f"{front.name}, which stays as it is: maps {front.backbone.words}; {facts}"
        if backbone is None:
            return ""
        name = front_name(self.config, self.given.get("backbone"))
        return f"{name}, which learns: maps {backbone.words}; {parameters(backbone):,} parameters"

    def parts(self) -> dict[str, float]:
        maps = {MAPS: 60.0} if self.nets.front is not None else {}
        return maps | dict.fromkeys(("learning", *(CONTROLS[name] for name in self._competitors())), 80.0)

    def header(self) -> list[str]:
        data, config = self.data, self.config
        layers = len(self.nets.legos())
        (name, limit), *_ = [*config.budget().items(), ("", 0)]
        target = self.plan.target
        if target.channels:
            left = f"{target.channels:.0%} of the channels left"
        else:
            left = (
                f"{target.fan_in} sources for every group of maps"
                if target.fan_in
                else f"{plural(target.edges or 0, 'edge')} left"
            )
        lines = [
            f"data    {data.summary}",
            f"net     {config.stack}: {plural(layers, 'layer')}"
            + (f", {self.nets.config.width} channels at first" if self.nets.config.width else ""),
            f"budget  {f'{name}={limit:g}: ' if name else ''}{left}; {plural(config.epochs, 'epoch')}",
        ]
        if words := self._front_words():
            lines.insert(1, f"front   {words}")
        if self.teacher is not None:
            lines.append(f"teacher {self.teacher.opened.name}, {config.teacher_share:.0%} of the loss")
        return [printable(line) for line in lines] + ([f"        {self.plan.note}"] if self.plan.note else [])

    def train(self) -> None:
        config, whole = self.config, self.config.epochs
        if self.nets.front is not None:
            self.seen = self._maps(self.nets.front)
        net: Any = self.nets.supernet()
        if (self.folder / "checkpoints" / "start").exists():  # cut further: what was learned is there
            self.loop.run(
                "start", self._module(net, self._schedule(0, whole, 2)), self._batches(self._schedule(0, 1, 2))
            )
            first = round(AGAIN * whole)
            schedule = self._schedule(min(first, whole - 1), whole, 3)
            bounds: dict[str, Any] = {"first": 0.0, "last": 0.5}
        else:
            schedule, bounds = self._schedule(0, whole, 2), {}
        steps = self._batches(schedule).steps * schedule.epochs
        cut = GradualCut(net.body, self.plan.target, steps, chance=self._chance(), **bounds)
        penalty = (
            {"penalty": config.penalty, "costs": torch.tensor(edge_costs(net, config.cost))} if config.penalty else {}
        )
        self._phase("fit", net, schedule, callbacks=[cut], **penalty)
        less = any((c.mask[..., c.first :] == 0).any() for c in net.body.connections)
        self.record["blind"] = bool(self._decide("blind", lambda: int(cut.blind and less)))
        kept = self._kept(net)
        final = plain(net.eval(), kept)
        self.trained = Trained(net, final, kept, self._controls(kept, final))

    def _maps(self, front: Front) -> ImageData:
        """The maps of the backbone, computed once; those of the training images too, where they stay what they are."""
        place, data, start = self.folder / "checkpoints" / "maps", self.data, time.monotonic()
        again = not any(self.config.strengths().values()) and self.teacher is None
        with bar(MAPS, STATISTICS + sum(map(len, data.splits.values())), self.progress) as step:
            front.measure(data.train.images)
            step(STATISTICS)
            if is_rank_zero():
                place.mkdir(parents=True, exist_ok=True)
                with_maps(front, data, place, step, train=again)
            wait()
            seen = with_maps(front, data, place, lambda *_, **__: None, train=again)
        self.spend("maps", start)
        return seen

    def _chance(self) -> float:
        """The accuracy of always answering with the commonest class."""
        labels = self.data.train.labels
        return labels.bincount().max().item() / len(labels)

    def _kept(self, net: Any) -> Wiring:
        """The wiring that is left, with the strength of every edge."""
        kept = left(importance(net, method="gate"), net.body)
        limit: dict[str, Any] = {
            name: int(before(self.nets.front, name, value))
            for name, value in self.config.budget().items()
            if name in ("max_params", "max_macs")
        }
        if limit and self.nets.options["merge"] != "mix":  # which edges stay decides what they cost
            kept = prune(kept, **limit, net=net)
        return kept

    def _controls(self, kept: Wiring, final: nn.Module) -> list[tuple[str, str, nn.Module]]:
        """Competitors: a random choice of edges, or the same net without the cut; and a plain residual net.

        The net without the cut has the shape that was left, from the first step, and as much processor time. The
        residual net takes as many milliseconds as the result, and as many epochs.
        """
        rows: list[tuple[str, str, nn.Module]] = []
        if "direct" in self._competitors():
            net = self.nets.pattern(kept)
            epochs = self._decide("direct", lambda: self._epochs_of(net))
            label = f"never wider, {epochs} ep."
            rows.append(("direct", label, self._phase("direct", net, self._schedule(0, epochs, 4, whole=epochs))))
        elif "random" in self._competitors():
            rows.append(("random", "random wiring", self._random(kept)))
        if "linear" in self._competitors():
            rows.append(
                (
                    "linear",
                    "linear head",
                    self._phase("linear", self._linear(), self._schedule(0, self.config.epochs, 6)),
                )
            )
        if "resnet" in self._competitors():
            rows.append(self._resnet(final))
        return rows

    def _competitors(self) -> list[str]:
        """The controls of this run, by name."""
        linear = ["linear"] if self.nets.front is not None or self.nets.backbone is not None else []
        if not self.config.controls:
            return linear
        first = "direct" if self.nets.options.get("residual") else "random"
        return [first, *linear] if linear or self.nets.encoder is not None else [first, "resnet"]

    def _linear(self) -> nn.Module:
        """A linear layer on the pooled last map of the backbone: is what stands above it worth anything?"""
        backbone = self.nets.backbone if self.nets.front is None else self.nets.front.backbone
        assert backbone is not None
        return self.nets.linear(backbone.shapes[-1][0])

    def _resnet(self, final: nn.Module) -> tuple[str, str, nn.Module]:
        """A plain residual net that takes as long for an image as the result."""
        shape, classes = self.data.in_shape, len(self.data.classes)
        limit = costs(final, self.normalize, shape)["latency_ms"]

        def make(width: int) -> nn.Module:
            torch.manual_seed(reduce_seed(self.config.seed))
            return trace(resnet(shape, classes, width=width))

        width = self._decide(
            "resnet", lambda: like_milliseconds(lambda w: make(w).eval(), limit, shape) if limit else 16
        )
        net = make(width).train()
        return (
            "resnet",
            f"ResNet, {width} to {8 * width}",
            self._phase("resnet", net, self._schedule(0, self.config.epochs, 5)),
        )

    def _decide(self, name: str, choose: Callable[[], int]) -> int:
        """Choose once: what is measured would come out otherwise when the run is gone on with."""
        path = self.folder / "checkpoints" / f"{name}.json"
        if is_rank_zero() and not path.exists():
            atomic_write(path, json.dumps(choose()))
        wait()
        return int(read_json(path, "fit anew"))

    def _epochs_of(self, net: nn.Module) -> int:
        """The epochs that a net can be trained in the processor time of the fit: a few steps are timed."""
        module = self._module(copy.deepcopy(net), self._schedule(0, 1, 4))
        images, labels = (t[: self.config.batch_size] for t in (self.seen.train.images, self.seen.train.labels))
        times = []
        for _ in range(8):
            start = time.process_time()
            module.loss(images, labels, torch.Generator()).backward()
            times.append(time.process_time() - start)
        each = statistics.median(times[3:]) * self._batches(self._schedule(0, 1, 4)).steps
        return max(3, round(self.loop.spent["fit"] / each))

    def _random(self, kept: Wiring) -> nn.Module:
        """A random wiring of as many edges, trained for as many epochs: what is the choice of edges worth?"""
        chance = torch.Generator().manual_seed(reduce_seed(self.config.seed))
        if kept.maps:
            wiring = random_maps(importance(self.nets.supernet(), method="gate"), chance, like=kept)
        else:
            legos = len(self.nets.legos())
            most = legos * (legos + 3) // 2
            wiring = random_wiring(legos, min(max(len(kept.edges), legos), most), chance)
        fresh, schedule = self.nets.pattern(wiring), self._schedule(0, self.config.epochs, 4)
        return self._phase("random", fresh, schedule)

    def evaluate(self) -> None:
        nets, data = self.trained, self.data
        self.record |= evaluate(nets, self.config, self.seen, self.normalize, self.ranking(), data.test)
        self.record["data"]["copies"] = data.copies()
        body: Any = nets.supernet.body
        kept = tuple(edge for edge in body.wiring().edges if edge[:2] in nets.kept.strengths())
        write_wiring(Wiring(nets.kept.nodes, kept, nets.kept.maps), self.folder / "wiring.json")
        if self.teacher is not None:
            self.record["results"].insert(-1, self._taught_by(self.teacher))
        if before := self._before():
            self.record["results"].insert(1, before)
        current().step(1, "writing the models")
        for row in (row for row in self.record["results"] if row["name"] != "before"):
            row["train_seconds"] = self.loop.spent.get("fit" if row["name"] == "final" else row["name"])
        facts = export(nets.final, self.normalize, self.folder, data.in_shape, data.classes)
        model = (self.folder / "model.onnx").read_bytes()
        for entry in (self.record["results"][0], self.record["budgets"][0]):  # the file itself, with its notes
            entry |= {"onnx": model, "kb": len(model) / 1000}
        if self.config.int8:
            self._int8(model)
        current().step(1, "milliseconds")
        take_turns([*self.record["results"], *self.record["budgets"]], data.in_shape)
        shutil.rmtree(
            self.folder / "checkpoints" / "maps", ignore_errors=True
        )  # computed again where they are asked for
        if "model.py" in facts:
            self.record["machine"]["model.py"] = facts["model.py"]

    def _before(self) -> dict[str, Any] | None:
        """The row of the net that this one was cut from, on the same test images; its time is measured anew."""
        place = self.folder / "checkpoints" / "start"
        if not (place / "final.json").is_file():
            return None
        row: dict[str, Any] = json.loads(read_checked(place / "final.json"))
        return row | {"name": "before", "label": "before pruning", "onnx": read_checked(place / "model.onnx")}

    def _taught_by(self, teacher: Teacher) -> dict[str, Any]:
        """The row of the teacher, on the same test images; what it costs, where that is known."""
        test, known = self.data.test, teacher.opened.figures
        row: dict[str, Any] = {"name": "teacher", "label": "the teacher"}
        if known is not None:
            row |= {name: getattr(known, name) for name in ("parameters", "macs", "latency_ms", "kb")}
        else:
            row["parameters"] = parameters(teacher.model) or None
        return row | tested(torch.cat([teacher(images).cpu() for images in test.images.split(100)]), test)

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
            "kb": made["kb"],
            "onnx": path.read_bytes(),
        }
        self.record["results"].insert(1, entry)
        self.record["machine"]["int8"] = ", ".join(f"{ms:.3f} ms in {name}" for name, ms in made["tried"].items())

    def ranking(self, most: int = 512) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Validation images by which edges are ranked."""
        images, labels = self.seen.val.images[:most], self.seen.val.labels[:most]
        return [(self.normalize(x), y) for x, y in zip(images.split(256), labels.split(256), strict=True)]

    def _schedule(self, first: int, last: int, branch: int, *, whole: int | None = None) -> Schedule:
        """The part of a cycle from one epoch to another; `branch` sets the random numbers apart."""
        config = self.config
        return Schedule(
            epochs=last - first,
            whole=whole or config.epochs,
            first=first,
            lr=config.lr,
            gate_lr=GATE_LR[self.nets.options["merge"] == "mix"] if config.gate_lr is None else config.gate_lr,
            weight_decay=config.weight_decay,
            start_lr=config.backbone_lr if config.backbone_lr else None,
            warmup=config.warmup,
            seed=config.seed * 10 + branch,
            augment=Augmentation(**config.strengths()),
        )

    def _batches(self, schedule: Schedule) -> Batches:
        config, train = self.config, self.seen.train
        weights = self._class_weights()[train.labels].double().numpy() if config.balance == "sampling" else None
        return Batches(
            train, self.seen.val, size=config.batch_size, seed=schedule.seed, devices=config.devices, weights=weights
        )

    def _class_weights(self) -> torch.Tensor:
        """A weight for each class that makes their sums over the training images equal, and its mean over these 1."""
        counts = self.data.train.labels.bincount(minlength=len(self.data.classes))
        return len(self.data.train) / (len(self.data.classes) * counts.float())

    def _module(self, net: nn.Module, schedule: Schedule, **options: Any) -> ClassificationModule:
        steps = self._batches(schedule).steps
        if self.config.balance == "weights":
            options["weights"] = self._class_weights()
        if self.teacher is not None:
            options["taught"] = self.teacher.loss
        return ClassificationModule(net, self.normalize, len(self.data.classes), schedule, steps, **options)

    def _phase(
        self, name: str, net: nn.Module, schedule: Schedule, *, callbacks: Sequence[Any] = (), **options: Any
    ) -> nn.Module:
        start = time.monotonic()
        module, title = self._module(net, schedule, **options), CONTROLS.get(name, "learning")
        history = self.loop.run(
            name, module, self._batches(schedule), tags={"phase": name}, title=title, callbacks=callbacks
        )
        self.record["epochs"] += history
        self.spend(name, start, history)
        return net
