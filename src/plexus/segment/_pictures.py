"""Pictures of the worst images: the image, and transparent layers of truth, prediction and error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.data import SegmentationDataset, data_uri

Mask = NDArray[np.bool_]
SHOWN = 24
SIDE = 420
"""Pixels of the longer side, at most."""
TRUTH, PREDICTION, MISSED, EXTRA = (0, 158, 115), (230, 159, 0), (86, 180, 233), (213, 94, 0)  # told apart by all eyes


def shown(pairs: SegmentationDataset, masks: dict[int, Mask], figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Images with their layers, in the order of `masks`.

    Args:
        pairs: the images.
        masks: image -> predicted mask at the image's own size.
        figures: the line of each image.
    """
    return [_one(pairs, i, mask, figures[i]) for i, mask in masks.items()]


def worst(figures: list[dict[str, Any]], most: int = SHOWN) -> list[int]:
    """The images with the lowest Dice; of equal ones those with the most pixels wrong, then by name."""

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
    error[mask & ~truth] = (*EXTRA, 255)
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
