"""The net of a fold: pixels in, mask and presence out; written with all it takes to build it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from plexus.data import Split, pixel_statistics
from plexus.errors import PlexusError, RunError
from plexus.graph import Wiring
from plexus.models import Segmentation, UNet
from plexus.record import atomic_write
from plexus.segment._config import SegmentConfig
from plexus.training import Normalize, exact_state, load_exact, reduce_seed


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
    """The net that a config asks for, from a seed; torch's own random numbers stay where they were.

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
            stem=config.stem if config.preset == "modern" else 1,
        )


def statistics(split: Split) -> Normalize:
    """Return the normalisation of the images that a net learns from, channel by channel."""
    mean, std = pixel_statistics(split.images, correction=0)
    return Normalize(mean, std.clamp_min(1.0))


def wiring_of(net: UNet) -> Wiring | None:
    """The skip connections with their gates, where they were learned."""
    return net.wiring() if net.gated else None


def save_net(net: Segmenter, path: Path) -> None:
    """Writes the U-Net's own `state_dict`; how to build and feed it stands in the file's metadata."""
    wiring = wiring_of(net.net)
    facts: dict[str, Any] = {
        "unet": net.net.options,
        "wiring": json.loads(wiring.to_json()) if wiring else None,
        "mean": net.normalize.mean.flatten().tolist(),
        "std": net.normalize.std.flatten().tolist(),
    }
    state = {name: value.detach().cpu().contiguous() for name, value in exact_state(net.net).items()}
    atomic_write(path, save(state, {"plexus": json.dumps(facts)}))


def load_net(path: str | Path) -> Segmenter:
    """A net that `save_net` wrote, in evaluation mode; only weights are read, nothing is executed.

    Raises:
        RunError: no such file, or a broken or foreign one.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["plexus"])
        wiring = facts["wiring"]
        net = UNet(**facts["unet"], skips="same" if wiring is None else Wiring.from_json(json.dumps(wiring)))
        load_exact(net, load_file(path))
        return Segmenter(net, Normalize(torch.tensor(facts["mean"]), torch.tensor(facts["std"]))).eval()
    except FileNotFoundError:
        raise RunError(f"{path}: no such file; finish the run with `plexus segment train --resume RUN`") from None
    except (KeyError, ValueError, TypeError, RuntimeError, OSError, SafetensorError, PlexusError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path}: not a net of `plexus segment train`, or broken: {reason}") from None


def load_nets(run: Path, folds: Sequence[int]) -> list[Segmenter]:
    """The nets of a run's folds."""
    return [load_net(run / f"model-{fold}.safetensors") for fold in folds]
