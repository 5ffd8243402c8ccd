"""Fingerprints by a network of the user's: a torch module, FILE.py:function, or an ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plexus.errors import ConfigError, RunError
from plexus.user_code import first_line, user_model

if TYPE_CHECKING:
    from torch import nn

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Embed = Callable[[U8], F32]
BATCH = 32


def embedder(model: nn.Module | str | Path, batch: int = BATCH) -> tuple[Embed, str | None, tuple[int, ...] | None]:
    """A function from pixels (N, C, H, W), 0..255, to vectors (N, D); a name for the cache; and (C, H, W) where fixed.

    Args:
        model: a module that takes float pixels 0..255 and gives one tensor, flattened here; or an ``.onnx`` file; or
            ``FILE.py:function``, which returns a module, and may be followed by ``+WEIGHTS.safetensors``.
        batch: images in one pass.

    Raises:
        ConfigError: a name or a function that gives no module, or a model that cannot take the images.
        RunError: an ONNX file that is missing or broken.
    """
    if isinstance(model, str | Path) and str(model).endswith(".onnx"):
        return _onnx(Path(model), batch)
    module = user_model(str(model)) if isinstance(model, str | Path) else model
    what = str(model) if isinstance(model, str | Path) else type(model).__name__
    import torch

    module.eval()
    place = next((p.device for p in module.parameters()), torch.device("cpu"))

    def run(pixels: U8) -> Any:
        with torch.inference_mode():
            got = module(torch.from_numpy(pixels).float().to(place))
        if not isinstance(got, torch.Tensor) or got.ndim < 2 or len(got) != len(pixels):
            raise ValueError(f"expected one tensor (N, ...), got {type(got).__name__}")
        return got.float().cpu().numpy()

    return _batched(run, what, batch), None, None


def _onnx(file: Path, batch: int) -> tuple[Embed, str | None, tuple[int, ...] | None]:
    import onnxruntime

    if not file.is_file():
        raise RunError(f"{file}: there is no such file; name an .onnx file or FILE.py:function")
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each kind of broken file
        raise RunError(f"{file}: cannot be loaded: {first_line(error)}") from None
    takes = session.get_inputs()
    if len(takes) != 1 or takes[0].type != "tensor(float)" or len(takes[0].shape) != 4:
        raise RunError(f"{file}: takes {[(i.type, i.shape) for i in takes]}; expected one float batch (N, C, H, W)")
    fixed, *shape = takes[0].shape
    known = tuple(shape) if all(isinstance(size, int) for size in shape) else None
    name = hashlib.sha256(file.read_bytes()).hexdigest()[:16]

    def run(pixels: U8) -> Any:
        return session.run(None, {takes[0].name: pixels.astype(np.float32)})[0]

    return _batched(run, str(file), fixed if isinstance(fixed, int) else batch), name, known


def _batched(run: Callable[[U8], Any], what: str, batch: int) -> Embed:
    """In parts; whatever a user's model raises is told in one line."""

    def embed(pixels: U8) -> F32:
        try:
            parts = [np.asarray(run(pixels[i : i + batch]), np.float32) for i in range(0, len(pixels), batch)]
        except Exception as error:
            raise ConfigError(f"{what}: cannot take images {pixels.shape[1:]}: {first_line(error)}") from None
        made = np.concatenate([part.reshape(len(part), -1) for part in parts])
        if not np.isfinite(made).all():
            raise ConfigError(f"{what}: gives numbers that are not finite for some images; it cannot compare them")
        return made

    return embed
