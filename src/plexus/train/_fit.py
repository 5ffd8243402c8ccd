"""The whole of a fit: chain, learn, anneal, cut, final; each step leaves its result, so that any of them can be resumed."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from plexus.data import ImageData, load
from plexus.errors import ConfigError, RunError
from plexus.graph import Wiring
from plexus.record import RunRecord, atomic_write
from plexus.train import _measure as measure
from plexus.train._callbacks import Fade
from plexus.train._config import FitConfig
from plexus.train._export import export
from plexus.train._nets import Nets, describe
from plexus.train._phase import Phases
from plexus.train._run import Lock, leader, new_run, open_run
from plexus.train._task import Normalize, Schedule
from plexus.wiring import derive, edge_costs, importance, multiply_adds, parameters, prune

BUDGETS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)
Listener = Callable[[dict[str, Any]], None]


def fit(
    config: FitConfig, *, run: str | Path | None = None, command: str = "", listen: Listener | None = None, progress: bool = False
) -> Path:
    """Learns a wiring from images, prunes it, and leaves model, record and evidence in a run folder.

    Args:
        config: what to do.
        run: the run folder; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces the run, for the record.
        listen: called with every epoch's figures.
        progress: show live progress bars where stderr is a terminal.

    Returns:
        The run folder.

    Raises:
        PlexusError: see its children; each message says what to do.

    Example:
        >>> fit(FitConfig(epochs=4, final_epochs=1), run="runs/try")  # doctest: +SKIP
        PosixPath('runs/try')
    """
    data = _load(config)
    Nets(config, data.in_shape, len(data.classes)).supernet()  # a misfit is told before a folder is made
    folder = new_run(config, run, command=command)
    return _go(folder, config, data, listen, progress)


def resume(run: str | Path, *, listen: Listener | None = None, progress: bool = False) -> Path:
    """Goes on with a run that was stopped, to the very weights it would have reached.

    Raises:
        RunError: not a run folder, or the data is no longer what it was.
    """
    config, record = open_run(run)
    if record.finished:
        return Path(run)
    data = _load(config)
    was = record.data.get("fingerprint")
    if was not in (None, data.fingerprint):
        raise RunError(f"{run}: the images under {config.data} are not those of the start; a run cannot go on with other data")
    return _go(Path(run), config, data, listen, progress)


def cut_again(
    source: str | Path, *, keep: float | None = None, max_params: int | None = None, then: str | None = None,
    run: str | Path | None = None, command: str = "", listen: Listener | None = None, progress: bool = False,
) -> Path:  # fmt: skip
    """Cuts the supernet that a run learned to another budget and trains on, in a new run folder.

    Args:
        source: a run folder whose learning is done.
        keep, max_params: the new budget; exactly one of them.
        then: finetune | retrain; by default as in that run.
        run: the new run folder; by default beside the old one, named by the budget.
        command, listen, progress: as for `fit`.

    Returns:
        The new run folder.

    Raises:
        ConfigError: not exactly one budget, or one out of range.
        RunError: the source has not finished learning, or the new folder exists.
    """
    source = Path(source)
    config, record = open_run(source)
    if (keep is None) == (max_params is None):
        raise ConfigError("give one budget: --keep or --max-params")
    config = replace(config, keep=keep, max_params=max_params, then=then or config.then)
    if not (source / "checkpoints" / "learn" / "history.json").exists():
        raise RunError(f"{source}: the learning is not done; finish it with `plexus fit --resume {source}`")
    data = _load(config)
    if record.data.get("fingerprint") not in (None, data.fingerprint):
        raise RunError(f"{source}: the images under {config.data} are not those the run learned from")
    budget = f"keep-{keep:g}" if keep is not None else f"max-{max_params}"
    folder = new_run(config, run if run is not None else source.with_name(f"{source.name}-{budget}"), command=command)
    for phase in ("chain", "learn", "supernet"):
        if (source / "checkpoints" / phase / "history.json").exists():
            shutil.copytree(source / "checkpoints" / phase, folder / "checkpoints" / phase)
    return _go(folder, config, data, listen, progress)


def _load(config: FitConfig) -> ImageData:
    return load(
        config.data, size=config.size, seed=config.seed, val=config.val, test=config.test,
        skip_unreadable=config.skip_unreadable, limit=config.limit,
    )  # fmt: skip


def _go(folder: Path, config: FitConfig, data: ImageData, listen: Listener | None, progress: bool) -> Path:
    if not leader():
        _Fit(folder, config, data, lambda entry: None, progress=False).train()
        return folder
    with Lock(folder):
        work = _Fit(folder, config, data, listen or (lambda entry: None), progress=progress)
        work.train()
        work.judge()
    return folder


class _Fit:
    def __init__(self, folder: Path, config: FitConfig, data: ImageData, listen: Listener, *, progress: bool) -> None:
        self.folder, self.config, self.data, self.listen = folder, config, data, listen
        pixels = data.train.images.double()
        self.normalize = Normalize(pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp_min(1.0))
        self.nets = Nets(config, data.in_shape, len(data.classes))
        self.phases = Phases(folder, config, data, self.normalize, listen=self._entry, progress=progress)
        self.record = RunRecord.read(folder / "record.json")
        self.record.config = asdict(config)
        self.record.epochs = []
        self.record.data = {
            "spec": config.data,
            "name": data.name,
            "fingerprint": data.fingerprint,
            "classes": list(data.classes),
            "in_shape": list(data.in_shape),
            "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
            "skipped": list(data.skipped),
        }
        self.record.then = config.then

    # training

    def train(self) -> None:
        """All phases; what is done already is read back."""
        config, phases, whole = self.config, self.phases, self.config.epochs
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
            fade = Fade(self.faded.body, self.kept, phases.steps * (cut - choice))  # type: ignore[arg-type]
            self._phase("anneal", self.faded, self._schedule(choice, cut, 2), label="learn", callbacks=[fade])
        self.cut = derive(self.faded, self.kept)
        if config.then == "finetune":
            self.final = self._phase("final", copy.deepcopy(self.cut), self._schedule(cut, whole, 2))
        else:
            self.final = self._phase("final", self.nets.pattern(self.kept), self._schedule(0, whole, 3))

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

    def _phase(self, name: str, net: nn.Module, schedule: Schedule, **more: Any) -> nn.Module:
        start = time.monotonic()
        net, history = self.phases.run(name, net, schedule, **more)
        self.record.epochs += [entry for entry in history if entry not in self.record.epochs]
        self.record.seconds[name] = self.record.seconds.get(name, 0.0) + time.monotonic() - start
        self._save()
        return net

    def _entry(self, entry: dict[str, Any]) -> None:
        self.listen(entry)

    def _save(self) -> None:
        if leader():
            self.record.write(self.folder / "record.json")

    def _batches(self, most: int = 512) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Validation images by which edges are ranked."""
        images, labels = self.data.val.images[:most], self.data.val.labels[:most]
        return [(self.normalize(x), y) for x, y in zip(images.split(256), labels.split(256), strict=True)]

    def _select(self) -> Wiring:
        """The edges to keep; decided once and read back ever after."""
        place = self.folder / "checkpoints" / "kept.json"
        if place.exists():
            return Wiring.from_json(place.read_text())
        ranked = importance(self.learned, self._batches(), self.config.rank)
        kept = prune(ranked, keep=self.config.keep, max_params=self.config.max_params, net=self.learned)
        if leader():
            atomic_write(place, kept.to_json())
        return kept

    # judging

    def judge(self) -> None:
        """Everything the record says about the trained nets, and the files for use elsewhere."""
        record, data, config = self.record, self.data, self.config
        start = time.monotonic()
        body = self.supernet.body
        record.nodes = list(body.node_names())
        shape = "x".join(map(str, (*data.in_shape[1:], data.in_shape[0])))
        record.labels = {"input": shape, "head": f"{config.head}, {len(data.classes)} classes"}
        record.labels |= {f"lego{i}": describe(lego) for i, lego in enumerate(body.legos, 1)}  # type: ignore[arg-type]
        self._edges()
        self._budgets()
        before, after = (measure.accuracy(net, self.normalize, data.val) for net in (self.faded, self.cut))
        record.gap = {"before": before, "after": after, "split": "val"}
        whole = derive(self.supernet, body.wiring())
        note = "" if config.controls else " (stopped at the choice)"
        rows = [("chain", "chain", self.chain), ("supernet", f"supernet, all edges{note}", whole)]
        rows += [("pruned", "pruned, when cut", self.cut), ("final", f"pruned, {_WORDS[config.then]}", self.final)]
        record.results = [
            measure.result(name, label, net, self.normalize, data.test, data.in_shape) for name, label, net in rows if net is not None
        ]
        logits = measure.logits_of(self.final, self.normalize, data.test.images)
        record.confusion = measure.confusion(logits, data.test.labels, len(data.classes))
        record.mistakes = measure.mistakes(logits, data.test)
        kept = Wiring(self.kept.nodes, tuple(e for e in body.wiring().edges if e[:2] in self.kept.strengths()))
        atomic_write(self.folder / "wiring.json", kept.to_json())
        facts = export(self.final, self.normalize, self.folder, data.in_shape, data.classes)
        if "model.py" in facts:
            record.machine["model.py"] = facts["model.py"]
        record.seconds["judge"] = time.monotonic() - start
        record.seconds["total"] = sum(s for name, s in record.seconds.items() if name != "total")
        record.finished = True
        self._save()

    def _edges(self) -> None:
        gates = self.supernet.body.wiring().edges
        strength = importance(self.supernet, self._batches(256), "strength").strengths()
        ablation = importance(self.supernet, self._batches(256), "ablation").strengths()
        kept = self.kept.strengths()
        self.record.edges = [
            {
                "source": e.source, "target": e.target, "gate": e.strength, "strength": strength[e[:2]],
                "ablation": ablation[e[:2]], "cost": cost, "kept": e[:2] in kept,
            }
            for e, cost in zip(gates, edge_costs(self.supernet, self.config.cost), strict=True)
        ]  # fmt: skip

    def _budgets(self) -> None:
        """Accuracy on validation images when the supernet is cut to a budget, by the same ranking, with no training after."""
        ranked = importance(self.learned, self._batches(), self.config.rank)
        place = {e[:2]: i for i, e in enumerate(ranked.edges)}
        wirings = {len(w.edges): (keep, w) for keep in reversed(BUDGETS) for w in [prune(ranked, keep=keep)]}
        chosen = len(self.kept.edges)
        wirings[chosen] = (chosen / len(ranked.edges), self.kept)
        self.record.budgets = []
        for edges, (_, wiring) in sorted(wirings.items(), reverse=True):
            net = derive(self.supernet, wiring)
            if edges == chosen:
                self.record.chosen = len(self.record.budgets)
            self.record.budgets.append(
                {
                    "keep": edges / len(ranked.edges),
                    "edges": edges,
                    "kept": sorted(place[e[:2]] for e in wiring.edges),
                    "parameters": parameters(net),
                    "macs": multiply_adds(net, self.data.in_shape),
                    "val_accuracy": measure.accuracy(net, self.normalize, self.data.val),
                }
            )


_WORDS = {"finetune": "fine-tuned", "retrain": "retrained from scratch"}
