"""Test accuracy of learned wirings against their controls."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from plexus.data import ImageData, load
from plexus.graph import Wiring
from plexus.record import FitRecord
from plexus.training import Batches, ClassificationModule, FitConfig, Loop, Normalize, Schedule, accuracy, fit
from plexus.training.nets import Nets
from plexus.wiring import importance, random_wiring, residual_wiring

EDGES = 45
METHODS = ("gate", "ablation")


def digits(results: Any, *, data: str, seeds: list[int] | None) -> None:
    """The default fit on digits; the committed results are of the preset `deep` and of the phases of that time."""
    for seed in seeds or range(5):
        key = f"digits/{seed}"
        if key not in results:
            results.put(key, _fit(FitConfig(data="digits", seed=seed)))


def cifar(results: Any, *, data: str, seeds: list[int] | None) -> None:
    """Chain, gates at 1, learned, pruned: 8 epochs each."""
    for seed in seeds or range(5):
        config = cifar_config(data, seed, epochs=8)
        if f"cifar/{seed}" not in results:
            results.put(f"cifar/{seed}", _fit(config))
        if f"cifar-ones/{seed}" not in results:
            bench = Bench(config)
            full = bench.nets.supernet().body.wiring()
            results.put(f"cifar-ones/{seed}", bench.train("ones", bench.nets.pattern(full)))


def retrain(results: Any, *, data: str, seeds: list[int] | None) -> None:
    """45 edges from fresh weights, gates at 1: learned, random, residual; and the chain. 8 epochs each."""
    for seed in seeds or range(5):
        bench = Bench(cifar_config(data, seed, epochs=8))
        chain_pairs = list(zip(bench.names[1:-1], bench.names[2:], strict=True))
        fixed = {
            "chain": Wiring(bench.names, tuple((s, t, 1.0) for s, t in chain_pairs)),  # type: ignore[misc]
            "residual": residual_wiring(len(bench.names) - 2),
            "random": random_wiring(len(bench.names) - 2, EDGES, torch.Generator().manual_seed(seed)),
        }
        for name, wiring in fixed.items():
            if f"retrain-{name}/{seed}" not in results:
                results.put(f"retrain-{name}/{seed}", bench.train(name, bench.nets.pattern(wiring)))
        missing = [m for m in METHODS if f"retrain-{m}/{seed}" not in results]
        if missing:
            net = bench.nets.supernet()
            found = bench.train("search", net)
            if f"retrain-search/{seed}" not in results:
                results.put(f"retrain-search/{seed}", found)
            for method in missing:
                start = time.monotonic()
                ranked = importance(net, bench.batches(), method)
                seconds = time.monotonic() - start
                learned = strongest(ranked, chain_pairs, EDGES)
                row = bench.train(method, bench.nets.pattern(learned))
                edges = [f"{e.source}>{e.target}" for e in learned.edges]
                results.put(f"retrain-{method}/{seed}", {**row, "ranking_seconds": seconds, "pattern": " ".join(edges)})


def strongest(ranked: Wiring, chain: list[tuple[str, str]], edges: int) -> Wiring:
    """The chain and the strongest skips."""
    skips = sorted((e for e in ranked.edges if e[:2] not in chain), key=lambda e: -e.strength)
    return ranked.keep([*chain, *(e[:2] for e in skips[: edges - len(chain)])])


def cifar_config(data: str, seed: int, *, epochs: int) -> FitConfig:
    """5,000 training and 1,250 validation images, edges between layers.

    The committed results of `cifar` chose edges after a quarter of the epochs, faded the others out by two thirds, and
    trained a chain and the net with nothing cut beside it; now edges are cut while the net learns.
    """
    return FitConfig(data=data, seed=seed, limit=6250, val=0.2, epochs=epochs, preset="deep", keep=0.3)


def _fit(config: FitConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        start = time.monotonic()
        folder = fit(config, run=Path(place) / "run")
        seconds = time.monotonic() - start
        record = FitRecord.read(folder / "record.json")
    rows = {r.name: {"accuracy": r.accuracy, "parameters": r.parameters} for r in record.results}
    kept = sum(e.kept is True for e in record.edges)
    return {
        **rows,
        "kept": kept,
        "edges": len(record.edges),
        "seconds": seconds,
        "phases": record.seconds,
    }


class Bench:
    """Trains single nets with the parts that a fit is made of.

    Args:
        config: the data, the seed, and the epochs every net gets.
    """

    _data: dict[tuple[str, int], ImageData] = {}  # noqa: RUF012 - one decoded set serves all nets of a seed

    def __init__(self, config: FitConfig) -> None:
        self.config = config
        key = (config.data, config.seed)
        if key not in self._data:
            self._data.clear()
            self._data[key] = load(config.data, seed=config.seed, val=config.val, limit=config.limit)
        self.data = self._data[key]
        pixels = self.data.train.images.double()
        self.normalize = Normalize(pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)))
        self.nets = Nets(config, self.data.in_shape, len(self.data.classes))
        self.names = self.nets.supernet().body.node_names()

    def batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """512 validation images, by which edges are ranked."""
        images, labels = self.data.val.images[:512].split(256), self.data.val.labels[:512].split(256)
        return [(self.normalize(x), y) for x, y in zip(images, labels, strict=True)]

    def train(self, name: str, net: nn.Module) -> dict[str, Any]:
        """Trains a net for all epochs and measures it on the test images."""
        config = self.config
        schedule = Schedule(
            epochs=config.epochs, whole=config.epochs, first=0, lr=config.lr, gate_lr=config.gate_lr,
            weight_decay=config.weight_decay, seed=config.seed * 10 + 1, augment=True,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as place:
            start = time.monotonic()
            batches = Batches(self.data.train, self.data.val, size=config.batch_size, seed=schedule.seed)
            module = ClassificationModule(net, self.normalize, len(self.data.classes), schedule, batches.steps)
            Loop(place, config, logs=()).run(name, module, batches)
            seconds = time.monotonic() - start
        right, val = (accuracy(net, self.normalize, split) for split in (self.data.test, self.data.val))
        return {
            "accuracy": right,
            "val": val,
            "parameters": sum(p.numel() for p in net.parameters()),
            "seconds": seconds,
        }
