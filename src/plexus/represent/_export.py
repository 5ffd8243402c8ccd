"""Encoder and decoder as ONNX, checked against the model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import onnxruntime
import torch
from torch import Tensor, nn

from plexus.errors import TrainingError
from plexus.models import Autoencoder
from plexus.nn import fold
from plexus.record import atomic_write
from plexus.training._export import to_onnx


class _Encoder(nn.Module):
    """Pixels to Z, and to logits where the model knows classes."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        z = self.model.encode(pixels)
        return z if self.model.classifier is None else (z, self.model.classify(z))


class _Decoder(nn.Module):
    """Z to pixels, clamped to 0..255."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        return self.model.decode(z).clamp(0, 255)


def export_onnx(model: Autoencoder, folder: Path) -> dict[str, float]:
    """Writes `encoder.onnx` (`pixels` 0..255 to `z`, and `logits`) and `decoder.onnx` (`z` to `pixels`).

    Args:
        model: in evaluation mode; unit layers are folded.
        folder: where to.

    Returns:
        The largest difference of each to the model.

    Raises:
        TrainingError: a file would not compute what the model does.
    """
    plain = cast(Autoencoder, fold(copy.deepcopy(model).cpu()).eval())
    dice = torch.Generator().manual_seed(0)
    pixels = torch.rand(3, *model.in_shape, generator=dice) * 255
    names = ("z",) if model.classifier is None else ("z", "logits")
    return {
        "encoder.onnx": _one(_Encoder(plain), folder / "encoder.onnx", pixels, "pixels", names),
        "decoder.onnx": _one(
            _Decoder(plain), folder / "decoder.onnx", torch.randn(3, model.dim, generator=dice), "z", ("pixels",)
        ),
    }


def _one(net: nn.Module, path: Path, given: Tensor, name: str, outputs: Sequence[str]) -> float:
    net.eval()
    content = to_onnx(net, given.shape[1:], outputs, given=name)
    with torch.no_grad():
        expected = net(given)
    expected = expected if isinstance(expected, tuple) else (expected,)
    got = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(
        list(outputs), {name: given.numpy()}
    )
    difference = max(float((torch.from_numpy(g) - e).abs().max()) for g, e in zip(got, expected, strict=True))
    largest = max(1.0, *(e.abs().max().item() for e in expected))
    if not difference <= 1e-3 * largest:
        raise TrainingError(f"{path.name} differs from the trained model by {difference:.2g}; it was not written")
    atomic_write(path, content)
    return difference
