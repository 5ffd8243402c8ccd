"""The start of a classifier from a representation in place of pixels."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.models._autoencoder import Autoencoder

STARTS = ("z", "features")


class Start(nn.Module):
    r"""Pixels to the Z of an autoencoder, as an image of one pixel, or to what its trunk gives.

    .. math:: y = \frac{e(x) - m}{s}

    with e the encoder and m, s the running mean and standard deviation of each channel, as batch normalisation keeps
    them. A frozen encoder computes as it did after its training, whatever the mode: its batch norms are constants.

    Args:
        model: the autoencoder; its parts are copied.
        at: z | features.
        frozen: the encoder stays as it is; otherwise it learns with what follows.

    Shape:
        Pixels (N, C, H, W), 0..255 -> (N, dim, 1, 1) for z, (N, *maps_shape) for features.

    Raises:
        ConfigError: another `at`.

    Source: section "representations" of the notes: new networks start from Z in place of pixels.

    Example:
        >>> start = Start(Autoencoder((1, 8, 8), dim=16))
        >>> start(torch.zeros(2, 1, 8, 8)).shape, start.out_shape
        (torch.Size([2, 16, 1, 1]), (16, 1, 1))
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Autoencoder, at: Literal["z", "features"] = "z", *, frozen: bool = True) -> None:
        super().__init__()
        if at not in STARTS:
            raise ConfigError(f"start_at={at!r} is unknown; choose from {', '.join(STARTS)}")
        self.register_buffer("mean", model.mean.clone())
        self.register_buffer("std", model.std.clone())
        self.trunk = copy.deepcopy(model.trunk)
        self.to_z = _mean_of(model) if at == "z" else None
        self.out_shape = (model.dim, 1, 1) if at == "z" else model.maps_shape
        self.unflatten = nn.Unflatten(1, self.out_shape)
        if frozen:
            _constant(self.trunk)
            self.requires_grad_(False)
        self.scale = nn.BatchNorm2d(self.out_shape[0], affine=False)

    def forward(self, pixels: Tensor) -> Tensor:
        y = self.trunk((pixels - self.mean) / self.std)
        return self.scale(y if self.to_z is None else self.unflatten(self.to_z(torch.flatten(y, 1))))


def check_start(model: Autoencoder, in_shape: Sequence[int], where: str) -> None:
    """Refuse an encoder that reads other images than the data has.

    Args:
        model: the autoencoder whose encoder is to stand before a classifier.
        in_shape: one image of the data, (C, H, W).
        where: the encoder's name, for the message.

    Raises:
        ConfigError: the shapes differ; names both, and what to do.

    Example:
        >>> check_start(Autoencoder((1, 8, 8), dim=16), (1, 8, 8), "runs/digits")
    """
    if tuple(in_shape) != model.in_shape:
        colours = {1: "grey", 3: "colour"}
        (c, h, w), (mc, mh, mw) = tuple(in_shape), model.in_shape
        remedy = f"pass --size {mh}" if c == mc and mh == mw else "name a run on images like these"
        raise ConfigError(
            f"start_from={where}: its encoder reads {colours.get(mc, mc)} images of {mw}x{mh}, the data has "
            f"{colours.get(c, c)} ones of {w}x{h} (width x height); {remedy}"
        )


def _mean_of(model: Autoencoder) -> nn.Linear:
    """Copy the linear layer that gives Z: of a variational encoder the half that gives its mean."""
    whole = model.to_z
    layer = nn.Linear(whole.in_features, model.dim)
    with torch.no_grad():
        layer.weight.copy_(whole.weight[: model.dim])
        layer.bias.copy_(whole.bias[: model.dim])
    return layer


@torch.no_grad()
def _constant(module: nn.Module) -> None:
    """Make every batch norm a fixed factor and shift per channel, as a 1x1 convolution of each channel by itself.

    In evaluation mode it would compute the same, but training switches modes of all that is in a net.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            assert child.running_var is not None
            assert child.running_mean is not None
            factor = child.weight / (child.running_var + child.eps).sqrt()
            fixed = nn.Conv2d(child.num_features, child.num_features, 1, groups=child.num_features)
            fixed.weight.copy_(factor.view(-1, 1, 1, 1))
            assert fixed.bias is not None
            fixed.bias.copy_(child.bias - child.running_mean * factor)
            setattr(module, name, fixed)
        else:
            _constant(child)
