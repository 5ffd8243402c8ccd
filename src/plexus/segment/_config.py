"""Every option of a segmentation, checked as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from plexus.errors import ConfigError
from plexus.training import Options, option

WHOLE = 64  # pixels a side up to which nets compute at the whole size by default
_SKIPS, _VARIED = {"wiring": "skips"}, {"augment": True}


def read_gate(gate: str) -> float | None:
    """Return the probability of a gate, or None for `none` and `expected`.

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
        raise ConfigError(f"gate={gate!r} must be none, expected, or a probability between 0 and 1")
    return threshold


def _gate(value: Any) -> Any:
    """A number as text."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


def _checked(gate: str) -> str:
    try:
        read_gate(gate)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return gate


def _sides(value: Any) -> Any:
    """One number, or rows and columns."""
    if isinstance(value, list | tuple):
        return value[0] if len(value) == 1 else tuple(value)
    return value


Side = Annotated[int, Field(ge=8)]


@dataclass(frozen=True, kw_only=True)
class SegmentConfig(Options):
    """Options of `plexus segment train`; `plexus segment train --help` says what each is.

    Raises:
        ConfigError: options out of range, unknown, or of no effect beside the others; the message lists all of them.

    Example:
        >>> SegmentConfig(data="scans", size=(96, 128)).shape
        (96, 128)
    """

    data: str = option("", "data", "a folder of images and masks, a CSV manifest, or parquet files")
    folds: str | None = option(
        None, "data", "the folds.json of an audit: a net per fold, measured on the images of that fold"
    )
    cv: int | None = option(
        None, "data", "train so many nets, each measured on images it did not see; groups stay together", ge=2
    )
    val: float = option(
        0.15,
        "data",
        "share of the images held out for validation, without folds and cv",
        gt=0,
        le=0.5,
        needs={"folds": None, "cv": None},
    )
    size: Annotated[Side | tuple[Side, Side], BeforeValidator(_sides)] = option(
        160,
        "data",
        "pixels a side, or rows and columns, to which images are resized",
        must="one number of pixels, or rows and columns, each at least 8",
    )
    limit: int | None = option(None, "data", "use at most this many images", ge=2)
    group_from: str | None = option(
        None, "data", "regex on the file name; its first group names the patient or the video"
    )
    mask_suffix: str = option("_mask", "data", "what follows NAME in the name of its mask")
    missing_mask: Literal["error", "empty"] = option(
        "error", "data", "for an image without a mask file; empty: nothing is in it"
    )
    ignore: int | None = option(
        None, "data", "a value in masks, such as 255, whose pixels count neither in the loss nor in any score",
        ge=0, le=65535,
    )  # fmt: skip
    skip_unreadable: bool = option(False, "data", "leave out images and masks that cannot be read")
    augment: bool = option(True, "data", "vary the training images by the next five")
    rotation: float = option(15.0, "data", "turn by at most this many degrees either way", ge=0, needs=_VARIED)
    shift: float = option(0.1, "data", "shift by at most this share of the side", ge=0, lt=1, needs=_VARIED)
    gain: float = option(0.2, "data", "change the brightness by at most this share", ge=0, lt=1, needs=_VARIED)
    elastic: float = option(
        0.03, "data", "std of smooth displacements, as a share of the side", ge=0, lt=1, needs=_VARIED
    )
    flip: bool = option(True, "data", "mirror half of the images left to right", needs=_VARIED)
    preset: Literal["modern", "nerve"] = option(
        "modern", "network", "residual with group norm, or that of the nerve notes"
    )
    width: int = option(16, "network", "channels of the first level; each further one has twice as many", ge=1)
    levels: int = option(5, "network", "resolutions of the network, the first included", ge=2)
    neuron: Literal["plain", "rot8", "rot4", "unit"] = option(
        "plain", "network", "neuron of the convolutions larger than 1x1"
    )
    stem: Literal[1, 2] | None = option(
        None, "network", f"preset modern computes at the whole size (1) or half of it (2: above {WHOLE} pixels a side)"
    )
    wiring: Literal["skips"] | None = option(
        None, "wiring", "every decoder level may see every encoder level; the weakest connections are cut"
    )
    keep: float = option(0.3, "wiring", "share of these connections to keep", gt=0, le=1, needs=_SKIPS)
    cut: float = option(0.5, "wiring", "share of the epochs after which the others are cut", gt=0, lt=1, needs=_SKIPS)
    gate_lr: float = option(0.05, "wiring", "peak learning rate of their gates", ge=0, needs=_SKIPS)
    epochs: int = option(90, "training", "passes over the training images", ge=1)
    batch_size: int = option(8, "training", "images in a batch, per process", ge=1)
    lr: float = option(0.005, "training", "peak learning rate (AdamW, one cycle)", gt=0)
    loss: Literal["image", "batch"] = option(
        "image", "training", "Dice of each image with cross-entropy, or of the whole batch as in the notes"
    )
    positives_only: bool = option(
        True, "training", "Dice counts images with a target only: the net draws as if it were there, the gate decides"
    )
    presence_weight: float = option(0.5, "training", "weight of the cross-entropy of presence", ge=0)
    gate: Annotated[str, BeforeValidator(_gate), AfterValidator(_checked)] = option(
        "expected",
        "output",
        "when a mask is left empty: expected (by the expected Dice), none, or a probability",
        must="none, expected, or a probability between 0 and 1",
    )
    onnx: bool = option(True, "output", "write every net as ONNX, too")

    @property
    def stem_stride(self) -> int:
        """Return the stem of the net: the one that is given, or by the size of the images."""
        if self.preset == "nerve":
            return 1
        return self.stem or (1 if max(self.shape) <= WHOLE else 2)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images that the nets read."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @classmethod
    def between(cls, options: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong between options that are right by themselves."""
        if options.get("wiring") == "skips" and options.get("epochs", 2) < 2:
            yield "wiring=skips needs epochs of at least 2: some before the cut and some after"
        if options.get("preset") == "nerve" and {"size", "levels"} <= options.keys():
            size, step = _sides(options["size"]), 2 ** (options["levels"] - 1)
            if any(side % step for side in (size if isinstance(size, tuple) else (size,))):
                yield f"size={size!r} must be divisible by {step} for preset=nerve with levels={options['levels']}"
