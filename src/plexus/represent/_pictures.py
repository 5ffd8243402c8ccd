"""Rows of images as one embedded picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plexus.models import Autoencoder


def as_bytes(pixels: Tensor) -> Tensor:
    """Pixels as a model gives them, rounded and clamped to uint8."""
    return pixels.detach().round().clamp(0, 255).to(torch.uint8).cpu()


def grid(rows: Sequence[Tensor], *, gap: int = 1, side: int = 0) -> Image.Image:
    """Rows of uint8 images (N, C, H, W) as one picture on white, small ones enlarged to at least `side` pixels."""
    channels, height, width = rows[0].shape[1:]
    factor = max(1, -(-side // max(height, width)))
    height, width = height * factor, width * factor
    most = max(map(len, rows))
    canvas = np.full((len(rows) * (height + gap) - gap, most * (width + gap) - gap, channels), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            pixels = image.permute(1, 2, 0).numpy().repeat(factor, 0).repeat(factor, 1)
            y, x = i * (height + gap), j * (width + gap)
            canvas[y : y + height, x : x + width] = pixels
    return Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)


def small(images: Tensor, most: int) -> Tensor:
    """Images reduced so that their longer side is at most `most` pixels."""
    factor = max(images.shape[2:]) / most
    if factor <= 1:
        return images
    size = [max(1, round(side / factor)) for side in images.shape[2:]]
    return as_bytes(torch.nn.functional.interpolate(images.float(), size, mode="area"))


@torch.no_grad()
def decoded(model: Autoencoder, z: NDArray[np.float64]) -> Tensor:
    """Images of some Z, (N, d) -> uint8 (N, C, H, W)."""
    device = next(model.parameters()).device
    return torch.cat([as_bytes(model.decode(part)) for part in torch.from_numpy(z).float().to(device).split(256)])
