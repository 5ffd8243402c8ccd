"""The training of a segmentation, fold by fold, and the figures of its nets."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plexus.data import SampleSet, SegmentationDataset, load_segmentation, open_samples
from plexus.errors import DataError, plural
from plexus.progress import current
from plexus.record import atomic_write, to_json
from plexus.segment._config import SegmentConfig
from plexus.segment._module import SegmentationModule
from plexus.segment._train import SEGMENT
from plexus.segment.folds import assigned, grouped_folds, validation_fold
from plexus.segment.gate import Gate
from plexus.segment.measure import (
    Answers,
    calibration,
    entries,
    gated,
    gates_for,
    kinds_with,
    measure,
    one_group,
    outdone,
    shown,
    summary,
    worst,
)
from plexus.segment.nets import (
    Segmenter,
    build,
    enlarge,
    export,
    from_bytes,
    learned_skips,
    predict_proba,
    save_net,
    statistics,
    to_bytes,
)
from plexus.training import Batches, Loop, Schedule, check_devices, device, is_rank_zero
from plexus.training.engine import Task
from plexus.training.onnx_model import milliseconds


class SegmentTask(Task[SegmentConfig]):
    """A net per fold, each measured on the images that it did not see."""

    kind = SEGMENT

    def load(self) -> str:
        config = self.config
        samples = open_samples(
            config.data, masks=True, group_from=config.group_from, mask_suffix=config.mask_suffix,
            missing_mask=config.missing_mask, ignore=config.ignore,
        )  # fmt: skip
        self.found = samples.summary
        self.names = [sample.name for sample in samples.samples]
        torn = [samples.groups_told] if samples.torn_groups else []
        samples, self.notes = _for_training(samples, config)
        self.notes += torn
        if config.folds is not None:
            fold = assigned([s.name for s in samples.samples], self.names, config.folds, config.cv)
            samples = samples.take(np.flatnonzero(fold >= 0).tolist())
            if dropped := int((fold < 0).sum()):
                self.notes.append(f"{dropped} images that the audit dropped are left out")
        self.pairs = load_segmentation(
            samples, config.shape, missing_mask=config.missing_mask, skip_unreadable=config.skip_unreadable
        )
        return self.pairs.fingerprint

    def check(self) -> None:
        self.fold = self._folds()
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

    def describe(self) -> dict[str, Any]:
        pairs, config = self.pairs, self.config
        facts = {
            "name": pairs.source.name,
            "images": len(pairs),
            "present": int(pairs.present.sum()),
            "groups": len({g for g in pairs.groups if g is not None}) or None,
            "size": list(config.shape),
            "skipped": list(pairs.skipped),
            "notes": [*pairs.source.notes, *self.notes],
            "trained_size": [float(np.median([size[axis] for size in pairs.sizes])) for axis in (0, 1)],
            "channels": int(pairs.images.shape[1]),
            "white": pairs.source.white.value,
        }
        return {"data": facts, "folds": []}

    def parts(self) -> dict[str, float]:
        return {self._title(k): 80.0 / len(self.folds) for k in self.folds}

    def header(self) -> list[str]:
        pairs, config = self.pairs, self.config
        targets = int(pairs.present.sum())
        return [
            f"data    {self.found}; {len(pairs):,} are used, {targets:,} of them with a target, as "
            f"{'x'.join(map(str, config.shape))} pixels",
            f"net     {config.preset}; {len(self.folds)} to train, {plural(config.epochs, 'epoch')} each",
        ]

    def _title(self, k: int) -> str:
        return f"fold {k}" if self.crossed else "learning"

    def train(self) -> None:
        if is_rank_zero():
            pairs = self.pairs
            rows = zip(pairs.names, pairs.groups, pairs.hashes, self.fold.tolist(), strict=True)
            images = [{"name": n, "group": g, "sha256": h.removeprefix("sha256:"), "fold": f} for n, g, h, f in rows]
            listing = {"format": 1, "kind": "segment-images", "images": images}
            atomic_write(self.folder / "images.json", to_json(listing))
        self.nets: list[Segmenter] = []
        for k in self.folds:
            start = time.monotonic()
            learn, held = self._rows(k)
            with current().part(self._title(k), 2 if self.config.wiring == "skips" else 1):
                net, epochs = self._fold(k, learn, held)
            self.nets.append(net)
            self.record["folds"].append({"fold": k, "train": len(learn), "validation": len(held), "epochs": epochs})
            self.spend(f"fold {k}", start, epochs)

    def evaluate(self) -> None:
        record, config = self.record, self.config
        rows, answers = self._validated()
        pairs = self.pairs.take(rows)
        if not self.crossed and one_group(pairs):
            record["data"]["notes"].append("the validation images are of one group: figures of the gate may flatter")
        kinds = kinds_with(config.gate)
        gates = {kind: gates_for(kind, answers, pairs, seed=config.seed) for kind in kinds}
        chosen = next(k for k in kinds if k == config.gate or (k == "0.5" and config.gate not in kinds))
        record |= figures(
            answers, pairs, {kind: each for kind, (_, each) in gates.items()}, chosen, seed=config.seed,
            notes=record["data"]["notes"],
        )  # fmt: skip
        record["gate"] = gates[chosen][0].to_dict()
        record["gates"] = {kind: whole.to_dict() for kind, (whole, _) in gates.items()}
        record["measured_on"] = "out-of-fold images" if self.crossed else "validation images"
        first = self.nets[0].net
        record["model"] = {
            "preset": config.preset,
            "parameters": sum(p.numel() for p in first.parameters()),
            "neuron": config.neuron,
            "wiring": learned_skips(first),
        }
        shape = (record["data"]["channels"], *config.shape)
        for entry, net in zip(record["folds"], self.nets, strict=True):
            if (own := learned_skips(net.net)) is not None:
                entry["wiring"] = own
            save_net(net, self.folder / f"model-{entry['fold']}.safetensors")
            if config.onnx:
                entry["onnx_difference"] = export(net, self.folder / f"model-{entry['fold']}.onnx", shape)
        if config.onnx:  # one of them: they differ in their weights alone
            file = self.folder / f"model-{record['folds'][0]['fold']}.onnx"
            record["model"]["latency_ms"] = milliseconds(file.read_bytes(), shape)

    @property
    def folds(self) -> list[int]:
        """Numbers of the nets."""
        return sorted(set(self.fold[self.fold >= 0].tolist()))

    @property
    def crossed(self) -> bool:
        """True where every image is validated by some net."""
        return self.config.folds is not None or self.config.cv is not None

    def _fold(self, k: int, learn: NDArray[np.int64], held: NDArray[np.int64]) -> tuple[Segmenter, list[Any]]:
        """The net of one fold; learned skip connections are cut on the way."""
        config, whole = self.config, self.config.epochs
        train, val = self.pairs.split(learn), self.pairs.split(held)
        normalize, net = statistics(train), build(config, train.images.shape[1], config.seed * 1000 + k)
        loop, tell = Loop(self.folder, config, progress=self.progress), self.listen

        def phase(name: str, first: int, last: int) -> list[dict[str, Any]]:
            seed = (config.seed * 1000 + k) * 2 + (name == "learn")
            schedule = Schedule(
                epochs=last - first, whole=whole, first=first, lr=config.lr, gate_lr=config.gate_lr,
                weight_decay=config.weight_decay, seed=seed, augment=config.augment,
            )  # fmt: skip
            size, devices = config.batch_size, config.devices
            batches = Batches(train, val, size=size, seed=seed, val_size=max(size, 16), devices=devices)
            module = SegmentationModule(net, normalize, schedule, batches.steps, config)
            heard = None if tell is None else lambda entry: tell({"fold": k, "phase": name, **entry})
            history = loop.run(f"fold-{k}-{name}", module, batches, title="", listen=heard)
            current().step(1)
            return history

        cut, epochs = 0, list[dict[str, Any]]()
        if config.wiring == "skips":
            cut = min(max(round(config.cut * whole), 1), whole - 1)
            epochs += phase("learn", 0, cut)
            net = net.prune(float(config.keep))
        epochs += phase("final", cut, whole)
        return Segmenter(net, normalize).eval(), epochs

    def _rows(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)

    def _folds(self) -> NDArray[np.int64]:
        config, pairs = self.config, self.pairs
        if config.folds is not None:
            fold = assigned(pairs.names, self.names, config.folds, config.cv)
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

    def _validated(self) -> tuple[list[int], Answers]:
        """Every validated image, answered by the net that did not see it; kept in `oof.npz`."""
        rows = np.flatnonzero(self.fold >= 0)
        size = self.config.shape
        probability, logit = np.empty((len(rows), *size), np.uint8), np.empty(len(rows), np.float32)
        at = device()
        for k, net in zip(self.folds, self.nets, strict=True):
            mine = np.flatnonzero(self.fold[rows] == k)
            split = self.pairs.split(rows[mine])
            maps, logit[mine] = predict_proba([net.to(at)], split.images)
            probability[mine] = to_bytes(maps)
            net.cpu()
        answers = Answers(probability, logit, self.fold[rows])
        names, groups = ([part[i] or "" for i in rows] for part in (self.pairs.names, self.pairs.groups))
        file = io.BytesIO()
        np.savez_compressed(
            file, name=np.array(names, dtype=np.str_), group=np.array(groups, dtype=np.str_), fold=answers.fold,
            logit=logit, probability=probability, truth=np.packbits(self.pairs.masks[rows, 0].numpy(), axis=-1),
        )  # fmt: skip
        atomic_write(self.folder / "oof.npz", file.getvalue())
        return rows.tolist(), answers


def figures(
    answers: Answers, pairs: SegmentationDataset, gates: dict[str, Sequence[Gate]], chosen: str, *, seed: int,
    notes: list[str],
) -> dict[str, Any]:  # fmt: skip
    """Return the parts of a record that say how good the masks are.

    Args:
        answers: the nets' answers.
        pairs: the images.
        gates: kind -> the gate of each image.
        chosen: the kind whose masks are described one by one.
        seed: of the intervals.
        notes: what is worth telling is appended.
    """
    measured = measure(answers, pairs, gates)
    if behind := outdone(measured, chosen, pairs.groups, seed=seed):
        notes.append(behind)
    lines = entries(measured[chosen], pairs, answers.fold)
    masks = {}
    for i in worst(lines):
        small = from_bytes(answers.probability[i])
        large = enlarge(small, pairs.sizes[i])
        masks[i], _ = gated(gates[chosen][i], small, large, float(answers.logit[i]))
    return {
        "results": {kind: summary(each, pairs, seed=seed) for kind, each in measured.items()},
        "chosen": chosen,
        "images": lines,
        "calibration": calibration(measured[chosen], pairs),
        "shown": shown(pairs, masks, lines),
    }


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
