"""Kinds of fingerprints: how one image becomes a row, by a reduced copy, by histograms of blocks, or by a network."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plexus.audit._reduced import COLUMNS, ROWS, reduced
from plexus.audit._scan import BATCH, Images, Method
from plexus.data import to_shape
from plexus.errors import ConfigError, DataError, RunError
from plexus.record import read_file
from plexus.user_code import first_line, user_model

if TYPE_CHECKING:
    from torch import nn

KINDS = ("thumbnail", "blockhist", "embedding", "blockhist-published")
BLOCK, BINS = 20, 9
"""Side of a block in pixels, and grey levels that are counted in it."""

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Embed = Callable[[U8], F32]


def method_of(kind: str, images: Images, model: nn.Module | str | Path | None, size: tuple[int, int] | None) -> Method:
    """Return the way from pixels to rows; see `plexus.audit.fingerprint` for the arguments."""
    if kind == "thumbnail":
        return Method("thumbnail", (ROWS, COLUMNS), np.uint8, reduced)
    if kind == "embedding":
        assert model is not None
        return _embedding(model, size)
    height, width = size or _usual_size(images)
    if height < BLOCK or width < BLOCK:
        raise DataError(f"images of {height} x {width} pixels hold no block of {BLOCK} x {BLOCK}: use the thumbnails")
    published = kind == "blockhist-published"
    bins = height // BLOCK * (1 if published else width // BLOCK) * BINS
    histogram: Callable[[U8], F32] = _blockhist_published if published else _blockhist
    return Method(
        f"{kind}-{height}x{width}", (bins,), np.float32, lambda p: histogram(to_shape(p, (1, height, width))[0])
    )


def _blockhist(pixels: U8) -> F32:
    """Counts of 9 grey levels in each block of 20 x 20 pixels, as the notes meant it: (H, W) to (H//20 * W//20 * 9,).

    Rows and columns that fill no block are left out.
    """
    rows, columns = len(pixels) // BLOCK, pixels.shape[1] // BLOCK
    bins = np.minimum(pixels[: rows * BLOCK, : columns * BLOCK].astype(np.int64) * BINS // 255, BINS - 1)
    block = np.arange(rows * BLOCK)[:, None] // BLOCK * columns + np.arange(columns * BLOCK)[None] // BLOCK
    counts = np.bincount((block * BINS + bins).ravel(), minlength=rows * columns * BINS)
    return counts.astype(np.float32)


def _blockhist_published(pixels: U8) -> F32:
    """The notes' code as published: one histogram for each strip of blocks, of grey values 0 and 1 only.

    The loop ran over the first axis of the blocks, so that a block was a strip of 20 rows; and pixels 0..255 were
    counted in 9 bins on [0, 1], of which the last holds its upper edge. (H, W) to (H//20 * 9,).
    """
    rows, columns = len(pixels) // BLOCK, pixels.shape[1] // BLOCK
    strips = pixels[: rows * BLOCK, : columns * BLOCK].reshape(rows, -1)
    counts = np.zeros((rows, BINS), np.float32)
    counts[:, 0], counts[:, -1] = (strips == 0).sum(1), (strips == 1).sum(1)
    return counts.ravel()


def _embedding(model: nn.Module | str | Path, size: tuple[int, int] | None) -> Method:
    """A network of the user's; a trial on a blank image tells the vectors' length and the channels it takes."""
    onnx = isinstance(model, str | Path) and str(model).endswith(".onnx")
    embed, name, fixed = _onnx_embedder(Path(str(model))) if onnx else _torch_embedder(model)
    fixed = fixed if size is None or onnx else None
    height, width = size or (224, 224)
    shapes = [fixed] if fixed is not None else [(1, height, width), (3, height, width)]
    errors = []
    for shape in shapes:
        try:
            length = embed(np.zeros((2, *shape), np.uint8)).shape[1]
        except ConfigError as error:
            errors.append(error)
            continue
        key = None if name is None else f"embedding-{name}-{'x'.join(map(str, shape))}"
        return Method(key, (length,), np.float32, partial(to_shape, in_shape=shape), embed)
    raise errors[-1]


def _torch_embedder(model: nn.Module | str | Path) -> tuple[Embed, str | None, tuple[int, ...] | None]:
    """Embed by a module, or by the one that ``FILE.py:function[+WEIGHTS.safetensors]`` returns.

    A module may say by ``cache_key`` what its weights are, else it is not cached; and by ``in_shape`` what it reads.
    """
    import torch

    module = user_model(str(model)) if isinstance(model, str | Path) else model
    module.eval()
    device = next((p.device for p in module.parameters()), torch.device("cpu"))

    def run(pixels: U8) -> Any:
        with torch.inference_mode():
            output = module(torch.from_numpy(pixels).float().to(device))
        if not isinstance(output, torch.Tensor) or output.ndim < 2 or len(output) != len(pixels):
            raise ValueError(f"expected one tensor (N, ...), got {type(output).__name__}")
        return output.float().cpu().numpy()

    name, key = (
        str(model) if isinstance(model, str | Path) else type(model).__name__,
        getattr(module, "cache_key", None),
    )
    shape = getattr(module, "in_shape", None)
    fixed = tuple(shape) if isinstance(shape, Sequence) and len(shape) == 3 else None
    return _batched(run, name), key if isinstance(key, str) else None, fixed


def _onnx_embedder(file: Path) -> tuple[Embed, str, tuple[int, ...] | None]:
    """Embed by an ONNX file; its hash names the cache, and (C, H, W) comes with it where the file fixes them."""
    import onnxruntime

    if not file.is_file():
        raise RunError(f"{file}: there is no such file; name an .onnx file or FILE.py:function")
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each kind of broken file
        raise RunError(f"{file}: cannot be loaded: {first_line(error)}") from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        raise RunError(f"{file}: takes {[(i.type, i.shape) for i in inputs]}; expected one float batch (N, C, H, W)")
    batch, *shape = inputs[0].shape
    fixed = tuple(shape) if all(isinstance(size, int) for size in shape) else None

    def run(pixels: U8) -> Any:
        return session.run(None, {inputs[0].name: pixels.astype(np.float32)})[0]

    embed = _batched(run, str(file), batch if isinstance(batch, int) else BATCH)
    return embed, hashlib.sha256(read_file(file)).hexdigest()[:16], fixed


def _batched(run: Callable[[U8], Any], name: str, batch: int = BATCH) -> Embed:
    """Pixels (N, C, H, W), 0..255, to vectors (N, D), in batches; errors of a user's model become one line."""

    def embed(pixels: U8) -> F32:
        try:
            parts = [np.asarray(run(pixels[i : i + batch]), np.float32) for i in range(0, len(pixels), batch)]
        except Exception as error:
            raise ConfigError(f"{name}: cannot take images {pixels.shape[1:]}: {first_line(error)}") from None
        rows = np.concatenate([part.reshape(len(part), -1) for part in parts])
        if not np.isfinite(rows).all():
            raise ConfigError(f"{name}: gives numbers that are not finite for some images; it cannot compare them")
        return rows

    return embed


def _usual_size(images: Images) -> tuple[int, int]:
    """The most frequent size among up to 50 images, spread evenly."""
    sizes: Counter[tuple[int, int]] = Counter()
    for i in np.unique(np.linspace(0, len(images) - 1, 50).astype(int)).tolist() if len(images) else []:
        try:
            height, width = images.look(i).pixels.shape[:2]
        except DataError:
            continue
        sizes[height, width] += 1
    return max(sizes, key=lambda s: (sizes[s], s)) if sizes else (420, 580)
