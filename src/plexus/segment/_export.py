"""A net as ONNX, checked against the net."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from plexus.errors import TrainingError
from plexus.nn import fold
from plexus.record import atomic_write
from plexus.segment._nets import Segmenter
from plexus.training._export import to_onnx

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
    content = to_onnx(plain, in_shape, OUTPUTS)
    pixels = torch.rand(3, *in_shape, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        expected = plain(pixels)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    got = session.run(list(OUTPUTS), {"pixels": pixels.numpy()})
    difference = max(float((torch.from_numpy(g) - e).abs().max()) for g, e in zip(got, expected, strict=True))
    largest = max(1.0, *(e.abs().max().item() for e in expected))
    if not difference <= 1e-3 * largest:
        raise TrainingError(f"{path.name} differs from the trained net by {difference:.2g}; it was not written")
    atomic_write(path, content)
    return difference
