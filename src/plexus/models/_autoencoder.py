"""An encoder-decoder whose latent Z serves reconstruction and recognition."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from plexus.errors import ConfigError, RunError
from plexus.graph import Wiring
from plexus.models._autoencoder_parts import decoder, supernet, trunk
from plexus.nn import Supernet

NEURONS = ("plain", "rot8", "rot4", "unit")
WEIGHTS = "model.safetensors"


class Autoencoder(nn.Module, PyTorchModelHubMixin):
    r"""Images to a latent Z of a few numbers and back, with a linear classifier on Z.

    .. math:: z = A\,h(x) + a, \qquad \hat x = g(z), \qquad \text{logits} = C z + c

    h is a convolutional trunk that halves the image until its shorter side is at most 4 pixels, g its mirror image.
    Pixels are standardised on the way in and brought back to 0..255 on the way out. A variational encoder gives a
    second vector, the log-variance of Z; its mean is Z.

    Args:
        in_shape: one image's shape, (C, H, W); at least 4 pixels a side.
        dim: numbers in Z, at most C * H * W.
        width: maps of the trunk's first level.
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
        neuron: str = "plain",
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
        found = None if wiring is None else Wiring.from_json(wiring)
        self._grow(*trunk(self.in_shape, **self._parts, wiring=found))
        self.decoder = decoder(dim, self.in_shape, width=width)
        self.classifier = nn.Linear(dim, len(self.classes)) if self.classes else None

    def _grow(self, body: nn.Module, shape: Sequence[int]) -> None:
        self.trunk, self.maps_shape = body, tuple(shape)
        self.to_z = nn.Linear(prod(shape), self.dim * (2 if self.variational else 1))

    def with_every_connection(self) -> Supernet:
        """Puts a supernet in the place of the trunk, to learn a wiring by; returns it."""
        body, shape = supernet(self.in_shape, **self._parts)
        self._grow(body, shape)
        return body

    def features(self, pixels: Tensor) -> Tensor:
        """The trunk's maps, (N, *maps_shape)."""
        return self.trunk((pixels.float() - self.mean) / self.std)

    def posterior(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of Z, (N, dim) each; the latter is empty for an encoder that is not variational."""
        z = self.to_z(self.features(pixels).flatten(1))
        return z[:, : self.dim], z[:, self.dim :]

    def encode(self, pixels: Tensor) -> Tensor:
        """Z, (N, dim): of a variational encoder its mean."""
        return self.posterior(pixels)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Pixels of Z, (N, C, H, W) on the scale 0..255, not clamped."""
        _, height, width = self.in_shape
        return self.decoder(z)[:, :, :height, :width] * self.std + self.mean

    def classify(self, z: Tensor) -> Tensor:
        """Logits of Z, (N, classes).

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
        """The autoencoder of a folder or of the hub, in evaluation mode.

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
        """What the hub's mixin calls: weights are read from safetensors alone, nothing is ever unpickled."""
        hub = ("revision", "cache_dir", "force_download", "token", "local_files_only")
        options = {name: more.pop(name) for name in hub if name in more}
        local = os.path.isdir(model_id)
        file = Path(model_id) / WEIGHTS if local else hf_hub_download(repo_id=model_id, filename=WEIGHTS, **options)
        net = cls(**more)
        net.load_state_dict(load_file(file, device=map_location))
        return net.eval()


def read_autoencoder(folder: str | Path) -> Autoencoder:
    """The autoencoder in a folder that `save_pretrained` or `plexus represent train` wrote, in evaluation mode.

    Args:
        folder: holds `config.json` and `model.safetensors`, or a folder `model` that does.

    Raises:
        RunError: there is none, or it is broken or foreign.

    Example:
        >>> read_autoencoder("/nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: /nowhere: no autoencoder there (no config.json); name a run of `plexus represent train`
    """
    place = Path(folder)
    place = place / "model" if (place / "model" / "config.json").is_file() else place
    if not (place / "config.json").is_file():
        raise RunError(f"{folder}: no autoencoder there (no config.json); name a run of `plexus represent train`")
    try:
        known = json.loads((place / "config.json").read_bytes())
        if not isinstance(known, Mapping):
            raise ValueError("config.json holds no options")
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{place}: not an autoencoder of plexus, or broken: {_line(error)}") from None
    net: Autoencoder = Autoencoder.from_pretrained(place)
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
