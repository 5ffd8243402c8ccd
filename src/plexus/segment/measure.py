"""Measures of a run's masks, gate by gate, at the size of the images themselves; pictures of the worst."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.data import SegmentationDataset, data_uri
from plexus.metrics import bootstrap, dice, hausdorff95, paired_bootstrap, presence
from plexus.segment._config import read_gate
from plexus.segment.folds import grouped_folds
from plexus.segment.gate import Gate, choose_gate
from plexus.segment.nets import Floats, enlarge, from_bytes

_T = TypeVar("_T")
Mask = NDArray[np.bool_]
BINS = 10
KINDS = ("none", "0.5", "expected")
SHOWN = 24
_GROUPS = 10
"""The fewest groups of which gates are compared: an interval of fewer is too narrow."""
SIDE = 420
"""Pixels of the longer side, at most."""
TRUTH, PREDICTION, MISSED, EXTRA = (0, 158, 115), (230, 159, 0), (86, 180, 233), (213, 94, 0)  # told apart by all eyes


@dataclass(frozen=True, eq=False)
class Answers:
    """The outputs of nets for some images.

    Args:
        probability: uint8 in steps of 1/255, each (H, W), at the size of the nets.
        logit: of presence, (N,).
        fold: which net said it; -1 where it was the mean of all.
    """

    probability: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
    logit: Floats
    fold: NDArray[np.int64]


def kinds_with(gate: str) -> tuple[str, ...]:
    """Return the gates that are compared: the three, and the user's own."""
    own = read_gate(gate)
    return KINDS if gate in KINDS or own == 0.5 else (*KINDS, gate)


def gates_for(kind: str, answers: Answers, pairs: SegmentationDataset, *, seed: int) -> tuple[Gate, list[Gate]]:
    """Return the gate that all images choose, and for each image the gate that only the other folds' images chose.

    Args:
        kind: none | expected | a probability.
        answers: answers of nets that did not see the images.
        pairs: the images with their masks.
        seed: of the parts, where there is one validation split only: it is then dealt out by groups, or by
            images where all are of one group.
    """
    probability, truth = Maps(answers.probability, _ignored(pairs)), pairs.masks[:, 0].numpy() > 0
    if pairs.masks.shape[1] > 1:
        truth = truth & (pairs.masks[:, 1].numpy() == 0)
    groups = pairs.groups if pairs.source.has_groups else None
    fold = answers.fold
    if len(np.unique(fold)) < 2:
        dealt = (None,) * len(pairs) if one_group(pairs) else pairs.groups
        parts = min(5, len({g if g is not None else i for i, g in enumerate(dealt)}))
        fold = grouped_folds(pairs.present.tolist(), dealt, parts, seed) if parts > 1 else fold
    whole = choose_gate(kind, probability, answers.logit, truth, groups=groups)
    each: dict[int, Gate] = {}
    for k in np.unique(fold).tolist():
        others = np.flatnonzero(fold != k)
        if not len(others):  # a single image, which must not choose its own gate
            each[k] = Gate("expected") if kind == "expected" else whole
            continue
        at = others.tolist()
        theirs = [groups[i] for i in at] if groups else None
        each[k] = choose_gate(kind, probability.take(at), answers.logit[others], truth[others], groups=theirs)
    return whole, [each[k] for k in fold.tolist()]


def _ignored(pairs: SegmentationDataset) -> NDArray[np.bool_] | None:
    return pairs.masks[:, 1].numpy() > 0 if pairs.masks.shape[1] > 1 else None


def one_group(pairs: SegmentationDataset) -> bool:
    """Tell if all images are of one patient or video, so that nothing can be tried on another."""
    return None not in pairs.groups and len(set(pairs.groups)) == 1


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of one gate, one entry per image.

    Args:
        dice: 1 where both masks are empty, 0 where one is.
        both_empty: whether neither has a pixel.
        hausdorff95: pixels; NaN where a mask is empty.
        area: of the mask, as a share of the image.
        emptied: whether the gate took a mask away.
        probability: of presence, calibrated.
    """

    dice: NDArray[np.float64]
    both_empty: NDArray[np.bool_]
    hausdorff95: NDArray[np.float64]
    area: NDArray[np.float64]
    emptied: NDArray[np.bool_]
    probability: NDArray[np.float64]


def measure(answers: Answers, pairs: SegmentationDataset, gates: dict[str, Sequence[Gate]]) -> dict[str, Measured]:
    """Figures of several gates; images are read again one by one, at their own size.

    Args:
        answers: the nets' answers.
        pairs: the images.
        gates: kind -> the gate of each image.
    """
    rows = in_parallel(lambda i: list(_image(i, answers, pairs, gates)), len(pairs))
    measured: dict[str, Measured] = {}
    for at, kind in enumerate(gates):
        columns = [np.array(column) for column in zip(*(row[at] for row in rows), strict=True)]
        measured[kind] = Measured(*columns)
    return measured


def _image(
    i: int, answers: Answers, pairs: SegmentationDataset, gates: dict[str, Sequence[Gate]]
) -> Iterator[tuple[float, bool, float, float, bool, float]]:
    truth, ignored, scores = pairs.truth(i), pairs.ignored(i), {}
    small = from_bytes(answers.probability[i])
    large = enlarge(small, pairs.sizes[i])
    for each in gates.values():
        gate = each[i]
        mask, emptied = gated(gate, small, large, float(answers.logit[i]))
        if ignored is not None:
            mask = mask & ~ignored  # neither right nor wrong there
        key = (float(gate.cuts(small[None])[0]), bool(mask.any()))
        if key not in scores:
            score = float(dice(mask[None], truth[None])[0])
            scores[key] = score, not (mask.any() or truth.any()), float(hausdorff95(mask[None], truth[None])[0])
        p = float(gate.presence(answers.logit[i : i + 1], small[None])[0])
        yield *scores[key], float(mask.mean()), emptied, p


def gated(gate: Gate, small: Floats, large: Floats, logit: float) -> tuple[Mask, bool]:
    """Return the mask of one image at its own size, and whether the gate took it away.

    The gate decides on the nets' own map, by which it was chosen.

    Args:
        gate: what decides.
        small: probabilities at the size of the nets.
        large: the same, at the image's own size.
        logit: of presence.
    """
    mask = large >= gate.cuts(small[None])[0] - 1e-6  # kept bytes may lie on the threshold, and enlarging rounds
    if gate.apply(small[None], np.array([logit], np.float32))[0].any():
        return mask, False
    return np.zeros_like(mask), bool(mask.any())


def summary(measured: Measured, pairs: SegmentationDataset, *, seed: int) -> dict[str, Any]:
    """Return the figures of one gate over all images, with 95 % intervals that resample groups."""
    present, groups = pairs.present, pairs.groups
    keys = np.array([f"g{g}" if g is not None else f"i{i}" for i, g in enumerate(groups)])

    def interval(values: NDArray[np.float64]) -> dict[str, Any] | None:
        use = np.isfinite(values)
        if not use.any():
            return None
        estimate = bootstrap(values[use], keys[use], seed=seed)
        return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n}

    answered = measured.area > 0
    counts = presence(measured.probability, present)
    return {
        "dice": interval(measured.dice),
        "dice_present": interval(np.where(present, measured.dice, np.nan)),
        "dice_nan_skipped": interval(np.where(measured.both_empty, np.nan, measured.dice)),
        "hausdorff95": interval(measured.hausdorff95),
        "presence": {
            "auc": counts.auc,
            "accuracy": float((answered == present).mean()),
            "false_positives": int((answered & ~present).sum()),
            "false_negatives": int((~answered & present).sum()),
            "positives": int(present.sum()),
            "negatives": int((~present).sum()),
        },
    }


def outdone(measured: Mapping[str, Measured], chosen: str, groups: Sequence[str | None], *, seed: int) -> str | None:
    """Say of the chosen gate that another scores more on the very same images, where chance does not explain it.

    Args:
        measured: the figures of each gate.
        chosen: whose masks are used.
        groups: of the images, which are resampled.
        seed: of the interval.

    Returns:
        A sentence with the paired difference of the mean Dice, its 95 % interval and the remedy; None where no gate is
        ahead, or the images are of fewer than ten groups.
    """
    best = max(measured, key=lambda kind: float(measured[kind].dice.mean()))
    if len({i if g is None else g for i, g in enumerate(groups)}) < _GROUPS:
        return None
    ahead = paired_bootstrap(measured[best].dice, measured[chosen].dice, groups, seed=seed)
    if ahead.low <= 0:
        return None
    return (
        f"the gate {best} scores {ahead.mean:.3f} more Dice than {chosen} ({ahead.low:.3f} to {ahead.high:.3f}), the "
        f"gate that was chosen: --gate {best} of predict, evaluate and submit uses it"
    )


def entries(measured: Measured, pairs: SegmentationDataset, fold: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return one line per image."""
    areas = in_parallel(lambda i: float(pairs.truth(i).mean()), len(pairs))
    return [
        {
            "name": pairs.names[i],
            "group": pairs.groups[i],
            "fold": int(fold[i]) if fold[i] >= 0 else None,
            "truth_area": areas[i],
            "area": float(measured.area[i]),
            "presence": float(measured.probability[i]),
            "dice": float(measured.dice[i]),
            "hausdorff95": float(measured.hausdorff95[i]),
            "emptied": bool(measured.emptied[i]),
        }
        for i in range(len(pairs))
    ]


def calibration(measured: Measured, pairs: SegmentationDataset) -> list[dict[str, Any]]:
    """Predicted against observed presence, in bins of equal width; empty bins are left out."""
    bin_of = np.minimum((measured.probability * BINS).astype(int), BINS - 1)
    return [
        {
            "low": b / BINS,
            "high": (b + 1) / BINS,
            "predicted": float(measured.probability[bin_of == b].mean()),
            "observed": float(pairs.present[bin_of == b].mean()),
            "count": int((bin_of == b).sum()),
        }
        for b in range(BINS)
        if (bin_of == b).any()
    ]


def in_parallel(function: Callable[[int], _T], count: int) -> list[_T]:
    """Return function(0), ..., function(count - 1); Pillow lets go of the interpreter while it decodes."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, range(count)))


class Maps(Sequence[Floats]):
    """Kept bytes as probabilities, one map at a time: little memory, and the very numbers that are measured.

    Where pixels are ignored they are 0, so that no choice depends on them.
    """

    def __init__(
        self, kept: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None
    ) -> None:
        self._kept, self._ignored = kept, ignored

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, i: Any) -> Any:
        maps = from_bytes(self._kept[i])
        return maps if self._ignored is None else np.where(self._ignored[i], np.float32(0), maps)

    def take(self, rows: Sequence[int]) -> Maps:
        ignored = None if self._ignored is None else self._ignored[list(rows)]
        return Maps([self._kept[i] for i in rows], ignored)


def shown(pairs: SegmentationDataset, masks: dict[int, Mask], figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Images with their layers, in the order of `masks`.

    Args:
        pairs: the images.
        masks: image -> predicted mask at the image's own size.
        figures: the line of each image.
    """
    return [_one(pairs, i, mask, figures[i]) for i, mask in masks.items()]


def worst(figures: list[dict[str, Any]], most: int = SHOWN) -> list[int]:
    """Return the images with the lowest Dice; of equal ones those with the most pixels wrong, then by name."""

    def key(i: int) -> tuple[float, float, str]:
        entry = figures[i]
        return entry["dice"], -max(entry["area"], entry["truth_area"]), entry["name"]

    return sorted(range(len(figures)), key=key)[:most]


def _one(pairs: SegmentationDataset, i: int, mask: Mask, figures: dict[str, Any]) -> dict[str, Any]:
    pixels, truth = Image.fromarray(pairs.source.pixels(i)), pairs.truth(i)
    scale = min(1.0, SIDE / max(pixels.size))
    size = (max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale)))
    small = pixels.resize(size, Image.Resampling.BILINEAR) if size != pixels.size else pixels
    error = np.zeros((*truth.shape, 4), np.uint8)
    error[truth & ~mask] = (*MISSED, 255)
    ignored = pairs.ignored(i)
    error[mask & ~truth & (True if ignored is None else ~ignored)] = (*EXTRA, 255)
    return {
        **{key: figures[key] for key in ("name", "dice", "presence", "truth_area", "area")},
        "image": data_uri(small, "JPEG", quality=85),
        "truth": _layer(_coloured(truth, TRUTH), size),
        "prediction": _layer(_coloured(mask, PREDICTION), size),
        "error": _layer(error, size),
    }


def _coloured(mask: Mask, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    out = np.zeros((*mask.shape, 4), np.uint8)
    out[mask] = (*colour, 255)
    return out


def _layer(pixels: NDArray[np.uint8], size: tuple[int, int]) -> str:
    layer = Image.fromarray(pixels)
    layer = layer.resize(size, Image.Resampling.NEAREST) if layer.size != size else layer
    return data_uri(layer.quantize(4))
