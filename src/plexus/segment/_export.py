"""A net as ONNX, checked against the net."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from plexus.nn import fold
from plexus.segment._nets import Segmenter
from plexus.training import export_onnx as write_onnx

OUTPUTS = ("mask_logits", "presence_logit")


class _Plain(nn.Module):
    """Answers with a plain tuple."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        out = self.net(pixels)
        return out.mask_logits, out.presence_logit


def export_onnx(net: Segmenter, path: Path, in_shape: Sequence[int]) -> float:
    """Writes a net as ONNX: `pixels` 0..255 in; `mask_logits` and `presence_logit` out; for any number of images.

    Args:
        net: in evaluation mode; unit layers are folded.
        path: the file.
        in_shape: one image's shape.

    Returns:
        The largest difference of logits.

    Raises:
        TrainingError: the file would not compute what the net does.
    """
    plain = _Plain(fold(copy.deepcopy(net).cpu())).eval()
    return write_onnx(plain, path, in_shape, OUTPUTS)
