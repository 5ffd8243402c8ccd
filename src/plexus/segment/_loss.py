"""The loss of a segmenter: overlap, pixels, presence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError, DataError
from plexus.models import Segmentation

KINDS = ("image", "batch")
_TINY = 1e-12  # smooth=0 and nothing anywhere: 0 / 0 counts as 0


def segmentation_loss(
    out: Segmentation,
    mask: Tensor,
    *,
    kind: str = "image",
    positives_only: bool = False,
    presence_weight: float = 0.5,
    smooth: float = 1.0,
) -> Tensor:
    r"""What a segmenter is trained to make small.

    .. math::
        L = -D + B_{pixels} + w\,B_{presence}, \quad
        D = \frac{2 \sum p\,t + s}{\sum p + \sum t + s}

    where p = sigmoid(mask logits) and t is the truth. With `image`, D is the mean over images of each one's own Dice,
    and B_pixels the mean binary cross-entropy of all pixels. With `batch` (the notes') the sums go over the whole
    batch, and there is no B_pixels. B_presence is the binary cross-entropy of the presence logit; the truth is present
    where an image's mask has a pixel.

    Args:
        out: logits, (N, 1, H, W) and (N,).
        mask: the truth, (N, 1, H, W) or (N, H, W), boolean or 0 to 1.
        kind: image | batch.
        positives_only: D over the images with a target alone; 0 where the batch has none.
        presence_weight: w.
        smooth: s, in pixels.

    Returns:
        A scalar, in float32 or wider; the least is -1, where all is right and certain.

    Raises:
        ConfigError: an unknown kind, or a weight or smoothing below 0.
        DataError: a mask of another shape than the logits.

    Source: the notes' loss for the ultrasound nerve challenge; Dice loss after Milletari et al. 2016.

    Example:
        >>> sure = Segmentation(torch.full((1, 1, 4, 4), 50.0), torch.tensor([50.0]))
        >>> segmentation_loss(sure, torch.ones(1, 1, 4, 4))
        tensor(-1.)
    """
    if kind not in KINDS:
        raise ConfigError(f"segmentation_loss: kind={kind!r} is unknown; choose from {', '.join(KINDS)}")
    if not presence_weight >= 0 or not smooth >= 0:
        raise ConfigError(f"segmentation_loss: presence_weight={presence_weight} and smooth={smooth} must be 0 or more")
    logits, presence = out
    if mask.dim() == 3:
        mask = mask[:, None]
    if mask.shape != logits.shape:
        raise DataError(f"segmentation_loss: logits of shape {tuple(logits.shape)}, but masks {tuple(mask.shape)}")
    wide = torch.promote_types(logits.dtype, torch.float32)  # sums over a batch's pixels overflow half types
    logits, presence, truth = logits.to(wide), presence.to(wide), mask.to(wide)
    present = (truth > 0).flatten(1).any(1)
    loss = -_dice(logits, truth, present, per_image=kind == "image", positives_only=positives_only, smooth=smooth)
    if kind == "image":
        loss = loss + F.binary_cross_entropy_with_logits(logits, truth)
    return loss + presence_weight * F.binary_cross_entropy_with_logits(presence, present.to(wide))


def _dice(
    logits: Tensor, truth: Tensor, present: Tensor, *, per_image: bool, positives_only: bool, smooth: float
) -> Tensor:
    """The soft Dice: of the batch, or the mean over images."""
    counted = present.to(truth.dtype) if positives_only else torch.ones_like(present, dtype=truth.dtype)
    probability = logits.sigmoid()
    common, total = (probability * truth).sum((1, 2, 3)), (probability + truth).sum((1, 2, 3))
    count = counted.sum()
    if not per_image:
        whole = (2 * (common * counted).sum() + smooth) / ((total * counted).sum() + smooth).clamp_min(_TINY)
        return whole * (count > 0)
    each = (2 * common + smooth) / (total + smooth).clamp_min(_TINY)
    return (each * counted).sum() / count.clamp_min(1)
