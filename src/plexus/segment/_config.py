"""Every option of a segmentation, checked as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from plexus.errors import ConfigError
from plexus.training._options import _NAMES, _is, kinds_of, read_value
from plexus.training._settings import Settings

_CHOICES: dict[str, tuple[str | int, ...]] = {
    "preset": ("modern", "nerve"),
    "neuron": ("plain", "rot8", "rot4", "unit"),
    "stem": (1, 2),
    "wiring": ("skips",),
    "loss": ("image", "batch"),
    "missing_mask": ("error", "empty"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
}
_AT_LEAST: dict[str, float] = {
    "epochs": 1, "batch_size": 1, "width": 1, "levels": 2, "seed": 0, "limit": 2, "devices": 1, "cv": 2,
    "weight_decay": 0, "presence_weight": 0, "rotation": 0, "shift": 0, "elastic": 0, "gate_lr": 0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SegmentConfig(Settings):
    """What `plexus segment train` is told.

    Args:
        data: a folder of images and masks, a CSV manifest, or parquet files.
        folds: the folds.json of an audit: one net per fold, measured on the images of that fold.
        cv: train this many nets, each measured on the images that it did not see; groups stay together.
        val: share of the images held out for validation, where there are neither folds nor cv.
        seed: of the folds, the weights, the order and the augmentation.
        size: pixels a side, or rows and columns, to which images are resized.
        limit: use at most this many images.
        group_from: a regular expression on the file name; its first group names the patient or the video.
        mask_suffix: what follows NAME in the name of its mask.
        missing_mask: of an image without a mask file: error | empty (nothing is to be seen in it).
        skip_unreadable: leave out images and masks that cannot be read, and record each.
        preset: modern (residual, group norm) | nerve (the network of the nerve segmentation notes).
        width: maps of the first level; each further level has twice as many.
        levels: resolutions of the network, the first included.
        neuron: of its convolutions larger than 1x1: plain | rot8 | rot4 | unit.
        stem: modern computes at half the size (2, far faster) or at the whole (1); nerve at the whole.
        wiring: skips (every level of the decoder may see every level of the encoder; the weakest are cut).
        keep: share of these connections to keep.
        cut: share of the epochs after which the others are cut.
        epochs: epochs in all.
        batch_size: images in a batch, per process.
        lr: peak learning rate (AdamW, one cycle).
        gate_lr: peak learning rate of the gates of wiring=skips.
        weight_decay: of all parameters but gates and the weights of unit neurons.
        loss: image (Dice per image) | batch (Dice over the whole batch, as in the notes); each with cross-entropy.
        positives_only: the Dice term counts images with a target only.
        presence_weight: weight of the cross-entropy of presence.
        augment: vary the training images: rotation, shift, gain and the next two.
        rotation: at most this many degrees either way.
        shift: at most this share of the side.
        gain: at most this share of the brightness either way.
        elastic: deviation of smooth random displacements, as a share of the side; 0 is none.
        flip: mirror half of the images left to right.
        gate: when a mask is left empty: expected (by the expected Dice) | none | a probability such as 0.5.
        onnx: write every net as ONNX, too.
        devices, strategy, precision: passed on to Lightning's Trainer; precision is 32-true | bf16-mixed | 16-mixed.

    Raises:
        ConfigError: one or more options out of range; the message lists all of them.

    Example:
        >>> SegmentConfig(data="scans", size=(96, 128)).shape
        (96, 128)
    """

    data: str = ""
    folds: str | None = None
    cv: int | None = None
    val: float = 0.15
    seed: int = 0
    size: int | tuple[int, int] = 160
    limit: int | None = None
    group_from: str | None = None
    mask_suffix: str = "_mask"
    missing_mask: str = "error"
    skip_unreadable: bool = False
    preset: str = "modern"
    width: int = 16
    levels: int = 5
    neuron: str = "plain"
    stem: int = 2
    wiring: str | None = None
    keep: float = 0.3
    cut: float = 0.5
    epochs: int = 40
    batch_size: int = 8
    lr: float = 1e-2
    gate_lr: float = 5e-2
    weight_decay: float = 5e-4
    loss: str = "image"
    positives_only: bool = False
    presence_weight: float = 0.5
    augment: bool = True
    rotation: float = 5.0
    shift: float = 0.0625
    gain: float = 0.1
    elastic: float = 0.0
    flip: bool = False
    gate: str = "expected"
    onnx: bool = True
    devices: int = 1
    strategy: str = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name in ("gate", "size"):
            object.__setattr__(self, name, self.read_option(name, getattr(self, name)))
        self.check()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images that the nets read."""
        return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])

    @classmethod
    def read_option(cls, key: str, value: Any) -> Any:
        """A value in the option's own type where that is plain."""
        if key == "gate" and isinstance(value, int | float) and not isinstance(value, bool):
            return f"{value:g}"
        if key == "size" and isinstance(value, tuple | list):
            return value[0] if len(value) == 1 else tuple(value)
        return read_value(key, value, _KINDS[key])

    @classmethod
    def faults(cls, options: Mapping[str, Any]) -> list[str]:
        """Everything that is wrong, one sentence each."""
        found = {name: fault for name, value in options.items() if (fault := _fault(name, value))}
        return [*found.values(), *_together({k: v for k, v in options.items() if k not in found})]


def read_gate(gate: str) -> float | None:
    """The probability of a gate, or None for `none` and `expected`.

    Raises:
        ConfigError: it is none of these.

    Example:
        >>> read_gate("0.5"), read_gate("expected")
        (0.5, None)
    """
    if gate in ("none", "expected"):
        return None
    try:
        threshold = float(gate)
    except ValueError:
        threshold = math.nan
    if not 0 < threshold < 1:
        raise ConfigError(f"gate={gate!r} is unknown; choose none, expected, or a probability between 0 and 1")
    return threshold


def _fault(name: str, value: Any) -> str | None:
    """What is wrong with one option."""
    if name == "size":
        return _size_fault(value)
    if not _is(value, _KINDS[name]):
        return f"{name}={value!r} must be {_NAMES[_KINDS[name][0]]}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name}={value} must be finite"
    if value is None:
        return None
    if name in _CHOICES and value not in _CHOICES[name]:
        return f"{name}={value!r} is unknown; choose from {', '.join(map(str, _CHOICES[name]))}"
    if name in _AT_LEAST and value < _AT_LEAST[name]:
        return f"{name}={value} must be at least {_AT_LEAST[name]:g}"
    if name == "seed" and value >= 2**32:
        return f"seed={value} must be below {2**32}"
    if name == "val" and not 0 < value <= 0.5:
        return f"val={value} must be a share, above 0 and at most 0.5"
    if name in ("keep", "cut") and not (0 < value < 1 or (name == "keep" and value == 1)):
        return f"{name}={value} must be a share, between 0 and 1"
    if name == "lr" and value <= 0:
        return f"lr={value} must be above 0"
    if name in ("shift", "gain", "elastic") and value >= 1:
        return f"{name}={value} must be a share, 0 up to 1"
    if name == "gate":
        try:
            read_gate(value)
        except ConfigError as error:
            return str(error)
    return None


def _size_fault(value: Any) -> str | None:
    sides = value if isinstance(value, tuple | list) else (value,)
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side >= 8 for side in sides)
    if not whole or len(sides) not in (1, 2):
        return f"size={value!r} must be one number of pixels, or rows and columns, each at least 8"
    return None


def _together(options: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong between options that are right by themselves."""
    if options.get("wiring") == "skips" and options.get("epochs", 2) < 2:
        yield "wiring=skips needs epochs of at least 2: some before the cut and some after"
    if options.get("preset") == "nerve" and {"size", "levels"} <= options.keys():
        size, step = options["size"], 2 ** (options["levels"] - 1)
        if any(side % step for side in (size if isinstance(size, tuple | list) else (size,))):
            yield f"size={size!r} must be divisible by {step} for preset=nerve with levels={options['levels']}"


_KINDS = {f.name: kinds_of(str(f.type)) for f in fields(SegmentConfig) if f.name != "size"} | {"size": (int, tuple)}
