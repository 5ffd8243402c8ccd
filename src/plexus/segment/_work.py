"""The training of a run, fold by fold, and its record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plexus.data import SampleSet, load_segmentation, open_samples
from plexus.errors import DataError
from plexus.record import atomic_write, to_json
from plexus.segment._config import SegmentConfig
from plexus.segment._folder import open_run
from plexus.segment._folds import assigned, grouped_folds, validation_fold
from plexus.segment._module import SegmentationModule
from plexus.segment._nets import Segmenter, build, statistics
from plexus.training import Batches, Loop, Schedule, check_devices, is_rank_zero


class Work:
    """Images, folds and record of one run.

    Args:
        folder: the run folder.
        config: options of the run.
        listen: called with every epoch's entry.
        progress: show live progress bars.

    Raises:
        PlexusError: data that cannot be used, folds that do not fit it, devices that are not there.
    """

    def __init__(
        self, folder: Path, config: SegmentConfig, listen: Callable[[dict[str, Any]], None], *, progress: bool
    ) -> None:
        self.folder, self.config, self.listen, self.progress = folder, config, listen, progress
        samples = open_samples(
            config.data, masks=True, group_from=config.group_from, mask_suffix=config.mask_suffix,
            missing_mask=config.missing_mask,
        )  # fmt: skip
        names = [sample.name for sample in samples.samples]
        samples, self.notes = _for_training(samples, config)
        self.dropped: tuple[str, ...] = ()
        if config.folds is not None:
            found = assigned([s.name for s in samples.samples], names, config.folds, config.cv)
            self.dropped = tuple(s.name for s, fold in zip(samples.samples, found, strict=True) if fold < 0)
            samples = samples.take(np.flatnonzero(found >= 0).tolist())
            if self.dropped:
                self.notes.append(f"{len(self.dropped)} images that the audit dropped are left out")
        self.pairs = load_segmentation(
            samples, config.shape, missing_mask=config.missing_mask, skip_unreadable=config.skip_unreadable
        )
        self.fold = self._folds(names)
        self._check()
        self.seconds: dict[str, float] = {}
        self.record: dict[str, Any] = {}

    @property
    def folds(self) -> list[int]:
        """Numbers of the nets."""
        return sorted(set(self.fold[self.fold >= 0].tolist()))

    @property
    def crossed(self) -> bool:
        """Whether every image is validated by some net."""
        return self.config.folds is not None or self.config.cv is not None

    def begin(self) -> None:
        """Writes what is known before the training."""
        pairs, config = self.pairs, self.config
        self.record = open_run(self.folder)[1] | {
            "config": asdict(config),
            "data": {
                "name": pairs.source.name,
                "fingerprint": pairs.fingerprint,
                "images": len(pairs),
                "present": int(pairs.present.sum()),
                "groups": len({g for g in pairs.groups if g is not None}) or None,
                "size": list(config.shape),
                "skipped": list(pairs.skipped),
                "notes": [*pairs.source.notes, *self.notes],
                "trained_size": [float(np.median([size[axis] for size in pairs.sizes])) for axis in (0, 1)],
                "channels": int(pairs.images.shape[1]),
            },
            "folds": [],
        }
        self.record["machine"]["threads"] = torch.get_num_threads()
        self.save()
        if is_rank_zero():
            rows = zip(pairs.names, pairs.groups, pairs.hashes, self.fold.tolist(), strict=True)
            images = [{"name": n, "group": g, "sha256": h.removeprefix("sha256:"), "fold": f} for n, g, h, f in rows]
            listing = {"format": 1, "kind": "segment-images", "images": images}
            atomic_write(self.folder / "images.json", to_json(listing))

    def train(self) -> list[Segmenter]:
        """The net of every fold; what is done already is read back."""
        nets = []
        for k in self.folds:
            start = time.monotonic()
            learn, held = self._rows(k)
            net, epochs = self._fold(k, learn, held)
            nets.append(net)
            self.record["folds"].append({"fold": k, "train": len(learn), "validation": len(held), "epochs": epochs})
            spent = max(time.monotonic() - start, sum(entry["seconds"] for entry in epochs))
            self.seconds[f"fold {k}"] = spent
            self.record["seconds"] = dict(self.seconds)
            self.save()
        return nets

    def _fold(self, k: int, learn: NDArray[np.int64], held: NDArray[np.int64]) -> tuple[Segmenter, list[Any]]:
        """The net of one fold; learned skip connections are cut on the way."""
        config, whole = self.config, self.config.epochs
        train, val = self.pairs.split(learn), self.pairs.split(held)
        normalize, net = statistics(train), build(config, train.images.shape[1], config.seed * 1000 + k)
        loop = Loop(self.folder, config, progress=self.progress)

        def phase(name: str, first: int, last: int) -> list[dict[str, Any]]:
            seed = (config.seed * 1000 + k) * 2 + (name == "learn")
            schedule = Schedule(
                epochs=last - first, whole=whole, first=first, lr=config.lr, gate_lr=config.gate_lr,
                weight_decay=config.weight_decay, seed=seed, augment=config.augment,
            )  # fmt: skip
            size, devices = config.batch_size, config.devices
            batches = Batches(train, val, size=size, seed=seed, val_size=max(size, 16), devices=devices)
            module = SegmentationModule(net, normalize, schedule, batches.steps, config)
            return loop.run(
                f"fold-{k}-{name}", module, batches, title=f"fold {k}",
                listen=lambda entry: self.listen({"fold": k, "phase": name, **entry}),
            )  # fmt: skip

        cut, epochs = 0, list[dict[str, Any]]()
        if config.wiring == "skips":
            cut = min(max(round(config.cut * whole), 1), whole - 1)
            epochs += phase("learn", 0, cut)
            net = net.prune(float(config.keep))
        epochs += phase("final", cut, whole)
        return Segmenter(net, normalize).eval(), epochs

    def save(self) -> None:
        """Writes the record as it stands."""
        if is_rank_zero():
            atomic_write(self.folder / "record.json", to_json(self.record))

    def _rows(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)

    def _folds(self, names: list[str]) -> NDArray[np.int64]:
        config, pairs = self.config, self.pairs
        if config.folds is not None:
            fold = assigned(pairs.names, names, config.folds, config.cv)
            self._tell_split_groups(fold)
            return fold
        if config.cv is not None:
            return grouped_folds(pairs.present.tolist(), pairs.groups, config.cv, config.seed)
        declared = np.array([sample.split == "val" for sample in pairs.source.samples])
        if declared.any() and not declared.all():
            return np.where(declared, 0, -1)
        return validation_fold(pairs.present.tolist(), pairs.groups, config.val, config.seed)

    def _tell_split_groups(self, fold: NDArray[np.int64]) -> None:
        """An audit without groups may deal a patient's images out to several folds."""
        seen: dict[str, set[int]] = {}
        for group, k in zip(self.pairs.groups, fold.tolist(), strict=True):
            if group is not None:
                seen.setdefault(group, set()).add(k)
        if torn := sum(len(ks) > 1 for ks in seen.values()):
            self.notes.append(f"{torn} groups are in more than one fold of {self.config.folds}: figures may flatter")

    def _check(self) -> None:
        """What would fail later is told now."""
        for k in self.folds:
            learn, held = self._rows(k)
            where = f"fold {k}" if self.crossed else "the training images"
            if not len(learn) or not len(held):
                raise DataError(f"{where}: no image is left to train or to validate on; add images or ask for fewer")
            if not self.pairs.present[learn].any():
                raise DataError(
                    f"{where}: not one of the {len(learn)} training images has anything in its mask; no net can learn "
                    "from that: check --mask-suffix, add images, or ask for fewer folds"
                )
        build(self.config, int(self.pairs.images.shape[1]), 0)
        check_devices(self.config)


def _for_training(samples: SampleSet, config: SegmentConfig) -> tuple[SampleSet, list[str]]:
    """Images of the test split are never trained on; then at most `limit` of the rest, drawn by the seed."""
    rows = [i for i, sample in enumerate(samples.samples) if sample.split != "test"]
    notes = []
    if left := len(samples) - len(rows):
        notes.append(f"{left} images of the test split are left for `plexus segment evaluate`")
    if not rows:
        raise DataError(f"{config.data}: holds images of a test split only; name data to train on")
    if config.limit is not None and config.limit < len(rows):
        order = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(1,))).permutation(len(rows))
        rows = sorted(rows[i] for i in order[: config.limit])
    return samples.take(rows), notes
