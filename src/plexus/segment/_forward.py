"""What the nets of a run say of images: a probability for every pixel, and a presence logit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from plexus.segment._nets import Segmenter

Floats = NDArray[np.float32]


@torch.inference_mode()
def answers(
    nets: Sequence[Segmenter], images: Tensor, *, flips: bool = False, batch: int = 16
) -> tuple[Floats, Floats]:
    """Probabilities of pixels and presence logits, each the mean over the nets.

    Args:
        nets: in evaluation mode, all on one device.
        images: uint8, (N, C, H, W).
        flips: average over each image and its left-right mirror image, too.
        batch: images in one forward pass.

    Returns:
        (N, H, W) and (N,).
    """
    at = next(nets[0].parameters()).device
    probabilities, logits = [], []
    for chunk in images.split(batch):
        found = [_answer(net, chunk.to(at), flips=flips) for net in nets]
        probabilities.append(torch.stack([p for p, _ in found]).mean(0).cpu().numpy())
        logits.append(torch.stack([x for _, x in found]).mean(0).cpu().numpy())
    if not probabilities:
        return np.empty((0, *images.shape[2:]), np.float32), np.empty(0, np.float32)
    return np.concatenate(probabilities), np.concatenate(logits)


def _answer(net: Segmenter, images: Tensor, *, flips: bool) -> tuple[Tensor, Tensor]:
    out = net(images)
    probability, logit = out.mask_logits[:, 0].float().sigmoid(), out.presence_logit.float()
    if flips:
        mirrored = net(images.flip(-1))
        probability = (probability + mirrored.mask_logits[:, 0].float().sigmoid().flip(-1)) / 2
        logit = (logit + mirrored.presence_logit.float()) / 2
    return probability, logit


def to_bytes(probability: Floats) -> NDArray[np.uint8]:
    """Probabilities in steps of 1/255, as they are kept; .5 lies between two of them."""
    return np.rint(probability * 255).astype(np.uint8)


def from_bytes(kept: NDArray[np.uint8]) -> Floats:
    """What `to_bytes` kept."""
    return kept.astype(np.float32) / np.float32(255)


def enlarge(probability: Floats, size: tuple[int, int]) -> Floats:
    """A map of probabilities (H, W) at the image's own size, by bilinear interpolation (antialiased downwards)."""
    if probability.shape == size:
        return probability
    small = torch.from_numpy(np.ascontiguousarray(probability))[None, None]
    smaller = size[0] < probability.shape[0] or size[1] < probability.shape[1]
    return F.interpolate(small, size, mode="bilinear", antialias=smaller, align_corners=False)[0, 0].numpy()
