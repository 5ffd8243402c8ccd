"""Segmenters: pixels in, mask and presence out; built, written, read, exported, and asked, also window by window."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from plexus.data import Split, pixel_statistics, to_shape
from plexus.errors import PlexusError, RunError
from plexus.graph import Wiring
from plexus.models import Segmentation, UNet
from plexus.nn import fold
from plexus.record import atomic_write, open_file
from plexus.segment._config import SegmentConfig
from plexus.training import Normalize, exact_state, export_onnx, load_exact, reduce_seed
from plexus.user_code import check_numbers, check_sizes, check_weights, weights_header

Floats = NDArray[np.float32]
_OUTPUTS = ("mask_logits", "presence_logit")


class Segmenter(nn.Module):
    """A U-Net with its normalisation in front.

    Args:
        net: reads normalised images.
        normalize: pixels 0..255 to the net's input.

    Shape:
        Pixels (N, C, H, W) of any dtype -> a `Segmentation`.
    """

    def __init__(self, net: UNet, normalize: Normalize) -> None:
        super().__init__()
        self.net, self.normalize = net, normalize

    def forward(self, pixels: Tensor) -> Segmentation:
        return self.net(self.normalize(pixels))


def build(config: SegmentConfig, channels: int, seed: int) -> UNet:
    """Build the net that a config asks for, from a seed; torch's own random numbers stay where they were.

    Raises:
        ConfigError: images too small for the levels, and whatever else does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(reduce_seed(seed))
        return UNet(
            channels,
            preset=config.preset,
            width=config.width,
            levels=config.levels,
            neuron=config.neuron,
            skips="all" if config.wiring == "skips" else "same",
            in_size=config.shape,
            stem=config.stem_stride,
        )


def statistics(split: Split) -> Normalize:
    """Return the normalisation of the images that a net learns from, channel by channel."""
    mean, std = pixel_statistics(split.images, correction=0)
    return Normalize(mean, std.clamp_min(1.0))


def learned_skips(net: UNet) -> dict[str, Any] | None:
    """Return the skip connections with their gates, where they were learned, in JSON's own types."""
    return json.loads(net.wiring().to_json()) if net.gated else None


def save_net(net: Segmenter, path: Path) -> None:
    """Write the U-Net's own `state_dict`; how to build and feed it stands in the file's metadata."""
    facts: dict[str, Any] = {
        "unet": net.net.options,
        "wiring": learned_skips(net.net),
        "mean": net.normalize.mean.flatten().tolist(),
        "std": net.normalize.std.flatten().tolist(),
    }
    state = {name: value.detach().cpu().contiguous() for name, value in exact_state(net.net).items()}
    atomic_write(path, save(state, {"plexus": json.dumps(facts)}))


def load_net(path: str | Path) -> Segmenter:
    """Read a net that `save_net` wrote, in evaluation mode; only weights are read, nothing is executed.

    Raises:
        RunError: no such file, or a broken or foreign one.
    """
    try:
        open_file(path).close()
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["plexus"])
        wiring, options, state = facts["wiring"], facts["unet"], load_file(path)
        skips = "same" if wiring is None else Wiring.from_json(json.dumps(wiring))
        header = weights_header(path)
        check_sizes(header, **{name: options[name] for name in ("in_channels", "width", "levels")})
        with torch.device("meta"):
            check_weights(exact_state(UNet(**options, skips=skips)), header)
        check_numbers(state)
        net = UNet(**options, skips=skips)
        load_exact(net, state)
        return Segmenter(net, Normalize(torch.tensor(facts["mean"]), torch.tensor(facts["std"]))).eval()
    except FileNotFoundError:
        raise RunError(f"{path}: no such file; finish the run with `plexus segment train --resume RUN`") from None
    except (KeyError, ValueError, TypeError, RuntimeError, OSError, SafetensorError, PlexusError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path}: not a net of `plexus segment train`, or broken: {reason}") from None


def load_nets(run: Path, folds: Sequence[int]) -> list[Segmenter]:
    """Read the nets of a run's folds."""
    return [load_net(run / f"model-{fold}.safetensors") for fold in folds]


@torch.inference_mode()
def predict_proba(
    nets: Sequence[Segmenter], images: Tensor, *, flips: bool = False, batch: int = 16
) -> tuple[Floats, Floats]:
    """Return probabilities of pixels and presence logits, each the mean over the nets.

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
        each = [_predict_one(net, chunk.to(at), flips=flips) for net in nets]
        probabilities.append(torch.stack([p for p, _ in each]).mean(0).cpu().numpy())
        logits.append(torch.stack([x for _, x in each]).mean(0).cpu().numpy())
    if not probabilities:
        return np.empty((0, *images.shape[2:]), np.float32), np.empty(0, np.float32)
    return np.concatenate(probabilities), np.concatenate(logits)


def _predict_one(net: Segmenter, images: Tensor, *, flips: bool) -> tuple[Tensor, Tensor]:
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
    """Return the probabilities that `to_bytes` kept."""
    return kept.astype(np.float32) / np.float32(255)


def enlarge(probability: Floats, size: tuple[int, int]) -> Floats:
    """Resize a map of probabilities (H, W) to the image's own size, bilinearly (antialiased downwards)."""
    if probability.shape == size:
        return probability
    small = torch.from_numpy(np.ascontiguousarray(probability))[None, None]
    smaller = size[0] < probability.shape[0] or size[1] < probability.shape[1]
    return F.interpolate(small, size, mode="bilinear", antialias=smaller, align_corners=False)[0, 0].numpy()


def places(length: int, window: int) -> list[int]:
    """Starts of windows of which neighbours share half of one or more, the first and the last flush with the edges.

    Example:
        >>> places(100, 40), places(40, 40)
        ([0, 20, 40, 60], [0])
    """
    count = 1 + -(-max(0, length - window) // max(1, window // 2))
    return np.linspace(0, length - window, count).round().astype(int).tolist()


def blend_weights(size: tuple[int, int]) -> Floats:
    """Weights of a window's pixels: a pyramid, highest in the middle and above 0 at the edge.

    Example:
        >>> blend_weights((1, 4)).tolist()
        [[0.5, 1.0, 1.0, 0.5]]
    """

    def tent(n: int) -> Floats:
        steps = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)).astype(np.float32)
        return steps / steps.max()

    return tent(size[0])[:, None] * tent(size[1])


def windowed(
    nets: Sequence[Segmenter],
    image: NDArray[np.uint8],
    size: tuple[int, int],
    trained: tuple[float, float],
    *,
    channels: int,
    flips: bool = False,
) -> tuple[Floats, float]:
    r"""Probabilities of an image of any size, at the scale of training.

    The image is resized by net size / trained size, but to no less than the net's size; windows of the net's size
    cover it, each sharing half with its neighbour. Of a pixel in windows k with weights w_k,

    .. math:: p = \sum_k w_k p_k / \sum_k w_k

    and the target is present if it is in any window: the presence logit is the greatest.

    Args:
        nets: see `predict_proba`.
        image: (H, W) or (H, W, 3).
        size: rows and columns that the nets read.
        trained: rows and columns that such an image had in its file in training.
        channels: of the nets' images.
        flips: see `predict_proba`.

    Returns:
        Probabilities (H', W') at that scale, and the presence logit.
    """
    rows, columns = (
        max(side, round(own * side / usual)) for own, side, usual in zip(image.shape[:2], size, trained, strict=True)
    )
    whole = torch.from_numpy(to_shape(image, (channels, rows, columns)))
    starts = [(y, x) for y in places(rows, size[0]) for x in places(columns, size[1])]
    tiles = torch.stack([whole[:, y : y + size[0], x : x + size[1]] for y, x in starts])
    probabilities, logits = predict_proba(nets, tiles, flips=flips)
    weight = blend_weights(size)
    total, weights = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for (y, x), probability in zip(starts, probabilities, strict=True):
        at = np.s_[y : y + size[0], x : x + size[1]]
        total[at] += weight * probability
        weights[at] += weight
    total /= weights
    return total, float(logits.max())


class _Plain(nn.Module):
    """Answers with a plain tuple."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        out = self.net(pixels)
        return out.mask_logits, out.presence_logit


def export(net: Segmenter, path: Path, in_shape: Sequence[int]) -> float:
    """Write a net as ONNX: `pixels` 0..255 in; `mask_logits` and `presence_logit` out; for any number of images.

    Args:
        net: in evaluation mode; unit layers are folded.
        path: the file.
        in_shape: one image's shape.

    Returns:
        The largest difference of logits.

    Raises:
        TrainingError: the file would not compute what the net does.
    """
    return export_onnx(_Plain(fold(copy.deepcopy(net).cpu())).eval(), path, in_shape, _OUTPUTS)
