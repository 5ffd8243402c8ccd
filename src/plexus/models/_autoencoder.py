"""Autoencoder whose latent Z serves reconstruction and recognition."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from plexus.errors import ConfigError, RunError
from plexus.graph import Wiring
from plexus.models._presets import PRESETS
from plexus.nn import NEURONS as CONVOLUTIONS
from plexus.nn import Supernet, convert
from plexus.record import read_file
from plexus.user_code import check_numbers, check_sizes, check_weights, weights_header
from plexus.wiring import rebuild

NEURONS = ("plain", "rot8", "rot4", "unit")
WEIGHTS = "model.safetensors"
_WIRED = PRESETS["deep"].options  # connections of a wired trunk
_MOST = 8  # times `width`: the most maps of a level


class Autoencoder(nn.Module, PyTorchModelHubMixin):
    r"""Images to a latent Z of a few numbers and back, with a linear classifier on Z.

    .. math:: z = A\,h(x) + a, \qquad \hat x = g(z), \qquad \text{logits} = C z + c

    h is a convolutional trunk that halves the image until its shorter side is at most 4 pixels, g its mirror image.
    Pixels are standardised on the way in and brought back to 0..255 on the way out. A variational encoder gives a
    second vector, the log-variance of Z; its mean is Z.

    Args:
        in_shape: one image's shape, (C, H, W); at least 4 pixels a side.
        dim: numbers in Z, at most C * H * W.
        width: channels of the trunk's first level; each further one has twice as many, at most 8 times.
        depth: convolutions of a level.
        neuron: of the trunk's convolutions: plain | rot8 | rot4 | unit.
        wiring: JSON of a `Wiring` of the trunk's convolutions; without one they stand in a chain.
        variational: give a log-variance, too.
        classes: names of the classes; without them there is no classifier.
        mean, std: of the pixels of each channel, on the scale 0..255.

    Shape:
        Pixels (N, C, H, W) of any dtype, 0..255 -> reconstruction of the same shape, float32, not clamped.

    Raises:
        ConfigError: whatever does not fit, all in one message.

    Source: section "representations" of the notes; sub-pixel upsampling after Shi et al. 2016.

    Example:
        >>> net = Autoencoder((1, 28, 28), dim=16, classes=("cat", "dog")).eval()
        >>> pixels = torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8)
        >>> z = net.encode(pixels)
        >>> z.shape, net.decode(z).shape, net.classify(z).shape
        (torch.Size([2, 16]), torch.Size([2, 1, 28, 28]), torch.Size([2, 2]))
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        in_shape: Sequence[int],
        dim: int = 64,
        *,
        width: int = 32,
        depth: int = 1,
        neuron: Literal["plain", "rot8", "rot4", "unit"] = "plain",
        wiring: str | None = None,
        variational: bool = False,
        classes: Sequence[str] = (),
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__()
        self.in_shape, self.dim, self.variational = tuple(int(n) for n in in_shape), dim, variational
        self.classes = tuple(str(name) for name in classes)
        _check(self.in_shape, dim, width, depth, neuron, (mean, std))
        self.register_buffer("mean", _per_channel(mean))
        self.register_buffer("std", _per_channel(std))
        self._parts: dict[str, Any] = {"width": width, "depth": depth, "neuron": neuron}
        self._grow(*_trunk(self.in_shape, None if wiring is None else Wiring.from_json(wiring), **self._parts))
        self.decoder = _decoder(dim, self.in_shape, width=width)
        self.classifier = nn.Linear(dim, len(self.classes)) if self.classes else None

    def _grow(self, body: nn.Module, shape: Sequence[int]) -> None:
        self.trunk, self.maps_shape = body, tuple(shape)
        self.to_z = nn.Linear(prod(shape), self.dim * (2 if self.variational else 1))

    def with_every_connection(self) -> Supernet:
        """Put a supernet in the place of the trunk, to learn a wiring by; return it."""
        body, shape = _supernet(self.in_shape, **self._parts)
        self._grow(body, shape)
        return body

    def features(self, pixels: Tensor) -> Tensor:
        """Compute the trunk's result, (N, *maps_shape)."""
        return self.trunk((pixels.float() - self.mean) / self.std)

    def posterior(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and log-variance of Z, (N, dim) each; the latter is empty unless the encoder is variational."""
        z = self.to_z(self.features(pixels).flatten(1))
        return z[:, : self.dim], z[:, self.dim :]

    def encode(self, pixels: Tensor) -> Tensor:
        """Compute Z, (N, dim): of a variational encoder its mean."""
        return self.posterior(pixels)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Compute the pixels of Z, (N, C, H, W) on the scale 0..255, not clamped."""
        _, height, width = self.in_shape
        return self.decoder(z)[:, :, :height, :width] * self.std + self.mean

    def classify(self, z: Tensor) -> Tensor:
        """Compute the logits of Z, (N, classes).

        Raises:
            ConfigError: the model knows no classes.
        """
        if self.classifier is None:
            raise ConfigError("this autoencoder was trained without labels and knows no classes; fit a head on its Z")
        return self.classifier(z)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.decode(self.encode(pixels))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **more: Any) -> Any:
        """Read the autoencoder of a folder or of the hub, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, or a hub id.
            more: of the hub, such as `revision` or `cache_dir`.

        Raises:
            RunError: it is not there, or broken or foreign.
        """
        name = pretrained_model_name_or_path
        try:
            return super().from_pretrained(name, **more)
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
            raise RunError(f"{name}: no such folder, and not to be had from the hub: {_line(error)}") from None
        except (
            AttributeError,
            TypeError,
            ValueError,
            KeyError,
            RuntimeError,
            OSError,
            SafetensorError,
            ConfigError,
        ) as error:
            raise RunError(f"{name}: not an autoencoder of plexus, or broken: {_line(error)}") from None

    @classmethod
    def _from_pretrained(cls, *, model_id: str, map_location: str = "cpu", strict: bool = True, **more: Any) -> Any:
        """Do what the hub's mixin asks for, from safetensors alone: nothing is ever unpickled."""
        hub = ("revision", "cache_dir", "force_download", "token", "local_files_only")
        options = {name: more.pop(name) for name in hub if name in more}
        local = os.path.isdir(model_id)
        file = Path(model_id) / WEIGHTS if local else hf_hub_download(repo_id=model_id, filename=WEIGHTS, **options)
        header = weights_header(file)
        # The options are a stranger's as the weights are: a net of a billion channels is refused without its memory.
        check_sizes(
            header, channels=more["in_shape"][0], dim=more.get("dim", 1), width=more.get("width", 1),
            depth=more.get("depth", 1),
        )  # fmt: skip
        with torch.device("meta"):  # a wired trunk is sized by images; the decoder depends on the shape alike
            shapes = cls(**{**more, "wiring": None}).state_dict()
        wired = more.get("wiring") is not None
        check_weights({n: v for n, v in shapes.items() if not wired or n.startswith("decoder.")}, header)
        net, state = cls(**more), load_file(file, device=map_location)
        check_weights(net.state_dict(), header)
        check_numbers(state)
        net.load_state_dict(state)
        return net.eval()


def read_autoencoder(folder: str | Path) -> Autoencoder:
    """Read the autoencoder in a folder that `save_pretrained` or `plexus represent train` wrote, in evaluation mode.

    Args:
        folder: holds `config.json` and `model.safetensors`, or a folder `model` that does.

    Raises:
        RunError: there is none, or it is broken or foreign.

    Example:
        >>> read_autoencoder("/nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: /nowhere: no autoencoder there (no config.json); name a run of `plexus represent train`
    """
    path = Path(folder)
    path = path / "model" if (path / "model" / "config.json").is_file() else path
    if not (path / "config.json").is_file():
        raise RunError(f"{folder}: no autoencoder there (no config.json); name a run of `plexus represent train`")
    try:
        options = json.loads(read_file(path / "config.json", most=2**20))
        if not isinstance(options, Mapping):
            raise ValueError("config.json holds no options")
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: not an autoencoder of plexus, or broken: {_line(error)}") from None
    net: Autoencoder = Autoencoder.from_pretrained(path)
    return net


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor([float(v) for v in values]).view(1, -1, 1, 1)


Scale = tuple[Sequence[float], Sequence[float]]


def _check(shape: tuple[int, ...], dim: int, width: int, depth: int, neuron: str, scale: Scale) -> None:
    wrong = []
    if len(shape) != 3 or min(shape) < 1 or min(shape[1:]) < 4:
        raise ConfigError(f"in_shape={list(shape)} must be (channels, rows, columns), at least 4 pixels a side")
    if not 1 <= dim <= prod(shape):
        size = " x ".join(map(str, shape))
        wrong.append(f"dim={dim} must be between 1 and the {prod(shape)} numbers of an image ({size})")
    if width < 1 or depth < 1:
        wrong.append(f"width={width} and depth={depth} must be at least 1")
    if neuron not in NEURONS:
        wrong.append(f"neuron={neuron!r} is unknown; choose from {', '.join(NEURONS)}")
    if any(len(values) not in (1, shape[0]) for values in scale) or min(scale[1]) <= 0:
        wrong.append("mean and std must have one number, or one a channel, and std must be above 0")
    if wrong:
        raise ConfigError("; ".join(wrong))


def _levels(in_shape: Sequence[int]) -> int:
    """Count how often the trunk halves an image: until its shorter side is at most 4, and at least twice."""
    side, count = min(in_shape[1:]), 0
    while side > 4 or count < 2:
        side, count = -(-side // 2), count + 1
    return count


def _legos(in_shape: Sequence[int], *, width: int, depth: int, neuron: str) -> list[nn.Module]:
    """Make the trunk's legos, convolution 3x3 + batch norm + ReLU each, unsized; the first of a level halves the size.

    Where convolutions rotate it does so by 2x2 max-pooling, which keeps turns by 90 degrees exact, and not by stride.
    """
    pooled = neuron.startswith("rot")
    legos: list[nn.Module] = []
    for level in range(_levels(in_shape)):
        channels = width * min(2**level, _MOST)
        for i in range(depth):
            halve = i == 0
            conv = nn.LazyConv2d(channels, 3, stride=2 if halve and not pooled else 1, padding=1, bias=False)
            parts: list[nn.Module] = [conv, nn.BatchNorm2d(channels), nn.ReLU()]
            if halve and pooled:
                parts.append(nn.MaxPool2d(2, ceil_mode=True))
            legos.append(nn.Sequential(*parts))
    return legos


def _trunk(in_shape: Sequence[int], wiring: Wiring | None, **parts: Any) -> tuple[nn.Module, torch.Size]:
    """Make the first half of the encoder, its legos in a chain or wired, and tell its result's shape for one image."""
    legos = _legos(in_shape, **parts)
    if wiring is None:
        body: nn.Module = nn.Sequential(*legos)
        shape = _shape(body, in_shape)  # sizes the legos, which only then can be converted
        _become(body, parts["neuron"])
        return body, shape
    if len(wiring.nodes) != len(legos) + 2:
        raise ConfigError(
            f"wiring: it connects {len(wiring.nodes) - 2} legos, the encoder has {len(legos)}; learn one with the "
            "same depth and size of images"
        )
    body = rebuild(_sized(legos, in_shape, parts["neuron"]), wiring, in_shape, **_WIRED)
    return body, _shape(body, in_shape)


def _supernet(in_shape: Sequence[int], **parts: Any) -> tuple[Supernet, torch.Size]:
    """Make a trunk with every connection, each through a gate."""
    body = Supernet(_sized(_legos(in_shape, **parts), in_shape, parts["neuron"]), in_shape, **_WIRED)
    return body, _shape(body, in_shape)


def _sized(legos: list[nn.Module], in_shape: Sequence[int], neuron: str) -> list[nn.Module]:
    """Size the legos for reading all earlier ones, then make their convolutions that neuron."""
    stack = nn.ModuleList(Supernet(legos, in_shape, **_WIRED).legos)
    _become(stack, neuron)
    return list(stack)


def _decoder(dim: int, in_shape: Sequence[int], *, width: int) -> nn.Sequential:
    """Make what turns Z into standardised pixels, a few more than the image has if its sides don't fit the grid.

    Linear, then by level: convolution 3x3 to four times the channels, whose quadruples become 2x2 pixels.

    Shape:
        (N, dim) -> (N, C, H', W') with H' >= H and W' >= W.
    """
    count = _levels(in_shape)
    grid = [-(-side // 2**count) for side in in_shape[1:]]
    widths = [max(width * min(2**level, _MOST) // 2, 4) for level in reversed(range(count))]
    start = widths[0] * grid[0] * grid[1]
    parts: list[nn.Module] = [
        nn.Linear(dim, start, bias=False), nn.BatchNorm1d(start), nn.ReLU(), nn.Unflatten(1, (widths[0], *grid)),
    ]  # fmt: skip
    for before, after in pairwise(widths):
        parts += [nn.Conv2d(before, 4 * after, 3, padding=1, bias=False), nn.PixelShuffle(2)]
        parts += [nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*parts, nn.Conv2d(widths[-1], 4 * in_shape[0], 3, padding=1), nn.PixelShuffle(2))


def _become(body: nn.Module, neuron: str) -> None:
    """Turn a sized body's convolutions into that neuron, in place."""
    if neuron != "plain":
        convert(body, CONVOLUTIONS[neuron])


@torch.no_grad()
def _shape(body: nn.Module, in_shape: Sequence[int]) -> torch.Size:
    """Tell the shape of the result for one image; sizes what is lazy."""
    body.eval()
    shape: Tensor = body(torch.zeros(1, *in_shape))
    body.train()
    return shape.shape[1:]
