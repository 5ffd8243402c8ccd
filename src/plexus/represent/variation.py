"""Variations of images along directions of Z, and between two images; rows of images as pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plexus.data import data_uri, read_batches
from plexus.errors import ConfigError, RunError
from plexus.models import Autoencoder
from plexus.record import atomic_write, check_place, read_file
from plexus.represent.space import Space, add_to_record, encode, open_model, white_of

Floats = NDArray[np.float64]
_KEPT = 12  # variations that the page shows, the newest
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


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


def principal_axes(model: Autoencoder, z: Floats, *, most: int = 16) -> tuple[Floats, Floats]:
    r"""Principal axes of Z and the deviation along each, by how much the image changes on the way.

    .. math:: c_k = \| g(\bar z + s_k a_k) - g(\bar z - s_k a_k) \|

    at the mean Z, with a_k the axes of its covariance and s_k^2 the variances.

    Args:
        model: gives g.
        z: (n, d).
        most: axes to look at, those of the largest variance.

    Returns:
        (k, d) and (k,), the largest change first.
    """
    mean = z.mean(0)
    variances, axes = np.linalg.eigh(np.cov(z, rowvar=False).reshape(z.shape[1], -1))
    order = np.argsort(-variances)[:most]
    axes, scale = axes[:, order].T, np.sqrt(np.maximum(variances[order], 0))
    steps = scale[:, None] * axes
    change = (decoded(model, mean + steps).float() - decoded(model, mean - steps).float()).flatten(1).norm(dim=1)
    first = np.argsort(-change.numpy(), kind="stable")
    return axes[first], scale[first]


def traversal(model: Autoencoder, space: Space, z: Floats, axis: int, *, steps: int, reach: float) -> Tensor:
    """Images from `-reach` to `reach` deviations along an axis, the image itself in the middle: (steps, C, H, W)."""
    along = np.linspace(-reach, reach, steps)[:, None] * space.scale[axis] * space.axes[axis]
    return decoded(model, z[None] + along)


def interpolation(model: Autoencoder, a: Floats, b: Floats, *, steps: int) -> Tensor:
    """Images on the straight line in Z from one image to another: (steps, C, H, W)."""
    t = np.linspace(0, 1, steps)[:, None]
    return decoded(model, (1 - t) * a + t * b)


def vary(
    run: str | Path,
    image: str | Path,
    *,
    to: str | Path | None = None,
    directions: int = 8,
    steps: int = 9,
    reach: float = 2.0,
    out: str | Path | None = None,
) -> Path:
    """Decode variations of an image, as a picture and for the run's page.

    Args:
        run: a finished run of `plexus represent train`.
        image: an image file.
        to: another one; then the line between both is decoded in place of the directions.
        directions: how many, those that change images most.
        steps: images of a row; odd, so that the image itself stands in the middle.
        reach: deviations of Z to either side.
        out: the picture to write, where none is yet; by default RUN/vary/NAME.png, or NAME-2.png and so on where
            another picture has that name.

    Returns:
        The picture: a row per direction, or one row from image to image; the image as it is stands first.

    Raises:
        ConfigError: numbers out of range, or a place that is no single image.
        RunError: a run that has not finished, or a picture that is there already or cannot be written.

    Example:
        >>> vary("nowhere", "seven.png", to="one.png")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    if steps < 3 or steps % 2 == 0:
        raise ConfigError(f"steps={steps} must be odd, 3 or more: the image itself stands in the middle")
    if directions < 1 or not 0 < reach < float("inf"):
        raise ConfigError(f"directions={directions} must be at least 1, and reach={reach:g} above 0 and finite")
    folder, stem = Path(run), Path(image).stem if to is None else f"{Path(image).stem}-{Path(to).stem}"
    path = Path(out) if out is not None else folder / "vary" / f"{stem}.png"
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"{path}: a picture is written as .png, .jpg or .webp; name such a file")
    if out is not None and (path.exists() or path.is_symlink()):
        raise RunError(f"{path}: exists and is not overwritten; name another file with --out")
    check_place(path)
    model, space, record = open_model(folder, writes=True)
    white = white_of(record)
    first = _single(image, model, white)
    z = encode(model, first)[0]
    rows, kind = [], "directions"
    if to is not None:
        other = _single(to, model, white)
        line = interpolation(model, z, encode(model, other)[0], steps=steps)
        rows.append(torch.cat([first, line, other]))
        kind = "interpolation"
    else:
        for k in range(min(directions, len(space.axes))):
            rows.append(torch.cat([first, traversal(model, space, z, k, steps=steps, reach=reach)]))
    path = _write(grid(rows, gap=2, side=56), path)
    entry: dict[str, Any] = {"kind": kind, "image": _named(image), "to": _named(to) if to else None}
    entry |= {"steps": steps, "reach": reach, "picture": data_uri(grid(rows))}
    add_to_record(folder, "variations", lambda before: [entry, *(before or [])][:_KEPT])
    return path


def _single(image: str | Path, model: Autoencoder, white: int | None) -> Tensor:
    if not Path(image).is_file():
        raise ConfigError(f"{image}: no such file; name one image")
    parts = [pixels for _, pixels in read_batches([image], model.in_shape, white=white)]
    if len(parts) != 1 or len(parts[0]) != 1:
        raise ConfigError(f"{image}: holds several images; name a single image file")
    return parts[0]


def _named(image: str | Path) -> str:
    """The name with its folder: images of two classes often have one name."""
    return "/".join(Path(image).absolute().parts[-2:])


def _write(picture: Image.Image, path: Path) -> Path:
    """Write the picture under its name, or beside other pictures of that name, and return where."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot write there: {error.strerror}; name another file with --out") from None
    file = io.BytesIO()
    picture.save(file, _FORMATS[path.suffix.lower()])
    others = (path.with_stem(f"{path.stem}-{i}") for i in count(2))
    free = next(p for p in chain([path], others) if not p.exists() or read_file(p) == file.getvalue())
    return atomic_write(free, file.getvalue())
