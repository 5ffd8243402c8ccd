"""Rotation probe: images turned about their centre, and one model's answers at every angle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from plexus.errors import ConfigError, short
from plexus.nn import evaluating
from plexus.progress import Step, bar
from plexus.robustness._curve import RotationCurve

_SHARED = 8  # angles in one batch: each is one thread's work, and the images of a batch stay in cache


def rotate(images: Tensor, angles: Sequence[float], mask: Literal["circle"] | None = "circle") -> Tensor:
    r"""Turn every image by every angle, counter-clockwise as `torch.rot90` does.

    .. math:: y(p) = x(R_{-a}\, p)

    about the centre; multiples of 90 degrees by `torch.rot90`, without interpolation, other angles bilinear. What
    comes from outside the image is 0; with a mask the half pixel beyond the outermost centres repeats them instead.

    Args:
        images: square images.
        angles: in degrees.
        mask: ``circle`` sets what lies outside the inscribed circle to 0, at all angles alike; None keeps the corners.

    Shape:
        (N, C, S, S) -> (A, N, C, S, S), of the images' dtype and device

    Raises:
        ConfigError: images that are not square floats, or another mask.

    Source: bilinear resampling as in Jaderberg et al. 2015, Spatial transformer networks.

    Example:
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
        >>> rotate(x, [90], mask=None).flatten().tolist()
        [2.0, 4.0, 1.0, 3.0]
    """
    _check_images(images, mask)
    n, c, side, _ = images.shape
    turned = images.new_empty((len(angles), n, c, side, side))
    smooth = [i for i, angle in enumerate(angles) if angle % 90 != 0]
    for i, angle in enumerate(angles):
        if angle % 90 == 0:
            turned[i] = torch.rot90(images, int(angle // 90) % 4, (-2, -1))
    if smooth:
        # All images of one angle share a grid: as channels of one image they share its interpolation weights, too.
        precise = images.float() if images.element_size() < 4 else images
        channels = precise.reshape(1, n * c, side, side).expand(len(smooth), -1, -1, -1)
        smoothed = F.grid_sample(
            channels, _grid([angles[i] for i in smooth], precise), padding_mode="border" if mask else "zeros",
            align_corners=False,
        ).view(len(smooth), n, c, side, side)  # fmt: skip
        if len(smooth) == len(angles):
            turned = smoothed.to(images.dtype)
        else:
            turned[torch.tensor(smooth, device=images.device)] = smoothed.to(images.dtype)
    if mask is not None:
        turned.mul_(_circle(side, images))
    return turned


def _circle(side: int, like: Tensor) -> Tensor:
    """Give 1 where a pixel's centre lies in the circle inscribed in a square of `side` pixels, else 0: (side, side)."""
    offset = torch.arange(side, device=like.device, dtype=torch.float64) - (side - 1) / 2
    return (offset[:, None] ** 2 + offset**2 <= (side / 2) ** 2).to(like.dtype)


def _check_images(images: Tensor, mask: str | None) -> None:
    """Refuse what cannot be turned, in one line."""
    if mask not in ("circle", None):
        raise ConfigError(f"mask={mask!r} is unknown; choose 'circle' or None")
    if images.ndim != 4:
        raise ConfigError(f"images have shape {tuple(images.shape)}; expected (N, C, H, W)")
    if not images.is_floating_point():
        raise ConfigError(f"images are {images.dtype}; give them as the model takes them, such as images.float()")
    if images.shape[2] != images.shape[3]:
        size = f"{images.shape[2]}x{images.shape[3]}"
        raise ConfigError(f"images are {size}, and a quarter turn swaps the sides; crop or resize them to squares")


def _grid(angles: Sequence[float], images: Tensor) -> Tensor:
    """Compute the point at which each output pixel is read: (A, S, S, 2) in [-1, 1]."""
    turns = [math.radians(angle) for angle in angles]
    rows = [[[math.cos(a), -math.sin(a), 0.0], [math.sin(a), math.cos(a), 0.0]] for a in turns]
    matrices = torch.tensor(rows, dtype=images.dtype)
    grid = F.affine_grid(matrices, [len(angles), 1, *images.shape[2:]], align_corners=False)
    return grid.to(images.device)


def rotation(
    model: nn.Module,
    images: Tensor | NDArray[Any],
    labels: Tensor | NDArray[Any] | Sequence[int],
    angles: Iterable[float] = range(360),
    mask: Literal["circle"] | None = "circle",
    device: torch.device | str | None = None,
    progress: bool = True,
    *,
    batch_size: int = 128,
) -> RotationCurve:
    r"""Classify every image at every angle.

    .. math:: p_{an} = \mathrm{softmax}(f(R_a x_n))_{y_n}, \qquad
              d_{an} = \|f(R_a x_n) - f(x_n)\| / \|f(x_n)\|

    Images turn counter-clockwise, as with `torch.rot90`; see `rotate`. The model is probed in evaluation mode and
    afterwards is in the mode it was in.

    Args:
        model: gives logits, (N, K).
        images: float, as the model takes them: scaled and normalised; a tensor, or an array.
        labels: the true classes, 0..K-1.
        angles: in degrees, in any order.
        mask: ``circle`` sets what lies outside the inscribed circle to 0 at all angles, 0 degrees too; None keeps it.
        device: where the images are moved, batch by batch; by default where the model's first parameter is.
        progress: show a bar where stderr is a terminal.
        batch_size: images in one forward pass.

    Shape:
        images (N, C, S, S), labels (N,) -> A x N probabilities, predictions and drifts

    Raises:
        ConfigError: no images or angles, labels that do not fit, images that are not square, or a model that gives
            something else than finite logits.

    Source: the research notes' probe, which turns the test images by 0 to 359 degrees.

    Example:
        >>> net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
        >>> curve = rotation(net, torch.rand(5, 1, 8, 8), torch.zeros(5, dtype=torch.long), angles=(0, 90, 180))
        >>> curve.agreement.tolist()  # a pooled mean sees no quarter turn
        [1.0, 1.0, 1.0]
    """
    turns = _angles(angles)
    images, labels = _tensor(images, "images"), _tensor(labels, "labels")
    _check(images, labels, mask, batch_size)
    chosen = _device(model, device)
    n = max(1, min(len(images), batch_size // min(_SHARED, len(turns))))
    answers: list[list[Tensor]] = [[], [], []]
    upright: list[Tensor] = []
    with evaluating(model), torch.no_grad(), bar("turning images", len(turns) * len(images), progress) as step:
        for start in range(0, len(images), n):
            x, y = images[start : start + n].to(chosen), labels[start : start + n].to(chosen, torch.int64)
            first = _logits(model, rotate(x, [0], mask)[0], y)
            parts = list(_turned(model, x, y, first, turns, mask, max(1, batch_size // len(x)), step))
            for kept, several in zip(answers, zip(*parts, strict=True), strict=True):
                kept.append(torch.cat(several).cpu())
            upright.append(first.argmax(1).cpu())
    probability, predicted, drift = (torch.cat(part, 1).numpy() for part in answers)
    return RotationCurve(
        angles=turns,
        labels=labels.cpu().to(torch.int64).numpy(),
        upright=torch.cat(upright).numpy(),
        probability=probability,
        predicted=predicted,
        drift=drift,
        mask=mask,
    )


def _turned(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    first: Tensor,
    turns: Sequence[float],
    mask: Literal["circle"] | None,
    a: int,
    step: Step,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield probability of the true class, prediction and drift of the images at `a` angles at a time, each (a, N)."""
    scale = first.double().norm(dim=1).clamp_min(1e-12)  # zero logits drift far, not by NaN
    for start in range(0, len(turns), a):
        some = turns[start : start + a]
        logits = _logits(model, rotate(x, some, mask).flatten(0, 1), y, some).view(len(some), *first.shape)
        truth = y.expand(len(some), -1).unsqueeze(2)
        probability = logits.float().softmax(2).gather(2, truth).squeeze(2)
        drift = ((logits.double() - first.double()).norm(dim=2) / scale).float()
        yield probability, logits.argmax(2), drift
        step(len(some) * len(x))


def _logits(model: nn.Module, x: Tensor, y: Tensor, turns: Sequence[float] = (0,)) -> Tensor:
    logits = model(x)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(x) or not logits.is_floating_point():
        answer = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ConfigError(f"the model gives {answer} for {len(x)} images; expected logits of shape ({len(x)}, classes)")
    if int(y.max()) >= logits.shape[1]:
        raise ConfigError(f"labels go up to {int(y.max())}, but the model has {logits.shape[1]} classes (0 to K-1)")
    if not bool(logits.isfinite().all()):
        between = f"{turns[0]:g}" if len(turns) == 1 else f"{turns[0]:g} to {turns[-1]:g}"
        raise ConfigError(f"the model's logits are NaN or infinite at {between} degrees; check its weights and inputs")
    return logits


def _tensor(values: Any, name: str) -> Tensor:
    """A tensor as it is; an array or a list as one, double numbers in the single precision of models."""
    if isinstance(values, Tensor):
        return values
    try:
        array = np.asarray(values)
        return torch.tensor(array.astype(np.float32) if array.dtype == np.float64 else array)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{name} are {short(values)}; give a tensor or an array of numbers") from None


def _angles(angles: Iterable[float]) -> tuple[float, ...]:
    try:
        turns = tuple(float(angle) for angle in angles)
    except (TypeError, ValueError):
        raise ConfigError(f"angles={short(angles)} must be numbers in degrees, such as range(360)") from None
    if not turns or not all(map(math.isfinite, turns)):
        raise ConfigError("angles must be one or more finite numbers in degrees, such as range(360)")
    return turns


def _check(images: Tensor, labels: Tensor, mask: str | None, batch_size: int) -> None:
    _check_images(images, mask)
    if len(images) == 0:
        raise ConfigError("there are no images to probe; give one or more")
    if labels.shape != images.shape[:1]:
        raise ConfigError(f"labels have shape {tuple(labels.shape)}; expected ({len(images)},), one per image")
    if labels.is_floating_point() or labels.is_complex():
        raise ConfigError(f"labels are {labels.dtype}; expected class indices, such as torch.int64")
    if int(labels.min()) < 0:
        raise ConfigError(f"labels hold {int(labels.min())}; expected class indices from 0")
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}; expected 1 or more")


def _device(model: nn.Module, device: torch.device | str | None) -> torch.device:
    first = next((t.device for t in (*model.parameters(), *model.buffers())), None)
    if device is None:
        return first or torch.device("cpu")
    wanted = torch.device(device)
    if first is not None and (first.type != wanted.type or wanted.index not in (None, first.index)):
        raise ConfigError(
            f"device={str(device)!r}, but the model is on {first}; move it first: model.to({str(device)!r})"
        )
    return wanted
