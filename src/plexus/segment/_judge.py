"""What a run says about its nets, and the files that it leaves."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from plexus.data import SegmentationDataset
from plexus.record import atomic_write
from plexus.segment._export import export_onnx
from plexus.segment._forward import answers, enlarge, from_bytes, to_bytes
from plexus.segment._gate import Gate
from plexus.segment._measure import (
    Answers,
    calibration,
    entries,
    gated,
    gates_for,
    kinds_with,
    measure,
    one_group,
    summary,
)
from plexus.segment._nets import Segmenter, save_net, wiring_of
from plexus.segment._pictures import shown, worst
from plexus.segment._work import Work
from plexus.training import device


def judge(work: Work, nets: Sequence[Segmenter]) -> None:
    """Completes the record, and writes the nets and their answers.

    Args:
        work: a run whose nets are trained.
        nets: the net of each fold.

    Raises:
        TrainingError: an exported net does not compute what the net does, or the disk is full.
    """
    start, record, config = time.monotonic(), work.record, work.config
    rows, found = _validated(work, nets)
    pairs = work.pairs.take(rows)
    if not work.crossed and one_group(pairs):
        record["data"]["notes"].append("the validation images are of one group: figures of the gate may flatter")
    kinds = kinds_with(config.gate)
    gates = {kind: gates_for(kind, found, pairs, seed=config.seed) for kind in kinds}
    chosen = next(k for k in kinds if k == config.gate or (k == "0.5" and config.gate not in kinds))
    record |= figures(found, pairs, {kind: each for kind, (_, each) in gates.items()}, chosen, seed=config.seed)
    record["gate"] = gates[chosen][0].to_dict()
    record["gates"] = {kind: whole.to_dict() for kind, (whole, _) in gates.items()}
    record["measured_on"] = "out-of-fold images" if work.crossed else "validation images"
    first = nets[0].net
    wiring = wiring_of(first)
    record["model"] = {
        "preset": config.preset,
        "parameters": sum(p.numel() for p in first.parameters()),
        "neuron": config.neuron,
        "wiring": json.loads(wiring.to_json()) if wiring else None,
    }
    for entry, net in zip(record["folds"], nets, strict=True):
        if (own := wiring_of(net.net)) is not None:
            entry["wiring"] = json.loads(own.to_json())
        save_net(net, work.folder / f"model-{entry['fold']}.safetensors")
        if config.onnx:
            shape = (record["data"]["channels"], *config.shape)
            entry["onnx_difference"] = export_onnx(net, work.folder / f"model-{entry['fold']}.onnx", shape)
    work.seconds["judge"] = time.monotonic() - start
    work.seconds["total"] = sum(work.seconds.values())
    record["seconds"] = dict(work.seconds)
    record["finished"] = True
    work.save()


def figures(
    found: Answers, pairs: SegmentationDataset, gates: dict[str, Sequence[Gate]], chosen: str, *, seed: int
) -> dict[str, Any]:
    """The parts of a record that say how good the masks are.

    Args:
        found: the nets' answers.
        pairs: the images.
        gates: kind -> the gate of each image.
        chosen: the kind whose masks are described one by one.
        seed: of the intervals.
    """
    measured = measure(found, pairs, gates)
    lines = entries(measured[chosen], pairs, found.fold)
    masks = {}
    for i in worst(lines):
        small = from_bytes(found.probability[i])
        large = enlarge(small, pairs.sizes[i])
        masks[i], _ = gated(gates[chosen][i], small, large, float(found.logit[i]))
    return {
        "results": {kind: summary(each, pairs, seed=seed) for kind, each in measured.items()},
        "chosen": chosen,
        "images": lines,
        "calibration": calibration(measured[chosen], pairs),
        "shown": shown(pairs, masks, lines),
    }


def _validated(work: Work, nets: Sequence[Segmenter]) -> tuple[list[int], Answers]:
    """Every validated image, answered by the net that did not see it; kept in `oof.npz`."""
    rows = np.flatnonzero(work.fold >= 0)
    size = work.config.shape
    probability, logit = np.empty((len(rows), *size), np.uint8), np.empty(len(rows), np.float32)
    at = device()
    for k, net in zip(work.folds, nets, strict=True):
        mine = np.flatnonzero(work.fold[rows] == k)
        split = work.pairs.split(rows[mine])
        maps, logit[mine] = answers([net.to(at)], split.images)
        probability[mine] = to_bytes(maps)
        net.cpu()
    found = Answers(probability, logit, work.fold[rows])
    names, groups = ([part[i] or "" for i in rows] for part in (work.pairs.names, work.pairs.groups))
    file = io.BytesIO()
    np.savez_compressed(
        file, name=np.array(names, dtype=np.str_), group=np.array(groups, dtype=np.str_), fold=found.fold,
        logit=logit, probability=probability, truth=np.packbits(work.pairs.masks[rows, 0].numpy(), axis=-1),
    )  # fmt: skip
    atomic_write(work.folder / "oof.npz", file.getvalue())
    return rows.tolist(), found
