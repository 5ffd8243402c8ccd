"""The parts of the two U-Nets, level by level."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from plexus.models._unet_blocks import PoolHead, Raise, Residual, conv_bn_elu, double, group_norm
from plexus.nn import make_conv


@dataclass(frozen=True)
class Parts:
    """What a U-Net is made of; lists start at full size.

    Args:
        encoder: one a level, each but the first halving the size.
        bottleneck: after the last of them.
        up, decoder: one a level but the last: doubling the size, and what follows the merge.
        mask, presence: the heads.
    """

    encoder: list[nn.Module]
    bottleneck: nn.Module
    up: list[nn.Module]
    decoder: list[nn.Module]
    mask: nn.Module
    presence: nn.Module


def nerve(channels: int, maps: Sequence[int], neuron: str, dropout: float, in_size: Sequence[int]) -> Parts:
    """The notes' network: merges by concatenation, the encoder's maps last."""
    encoder: list[nn.Module] = [double(neuron, channels, maps[0], first=7)]
    for below, here in itertools.pairwise(maps):
        halve = nn.Sequential(*conv_bn_elu(neuron, below, below, 2), nn.Dropout(dropout))
        encoder.append(nn.Sequential(halve, double(neuron, below, here)))
    side = 2 ** (len(maps) - 1)
    parts = Parts(
        encoder,
        nn.Dropout(dropout),
        [nn.Upsample(scale_factor=2) for _ in maps[1:]],
        [
            nn.Sequential(double(neuron, below + here, here), nn.Dropout(dropout))
            for here, below in itertools.pairwise(maps)
        ],
        nn.Conv2d(maps[0], 1, 1),
        nn.Conv2d(maps[-1], 1, (in_size[0] // side, in_size[1] // side)),
    )
    start(parts)
    return parts


def modern(channels: int, maps: Sequence[int], neuron: str, dropout: float, stem: int) -> Parts:
    """Residual blocks throughout: merges by sums."""
    first = make_conv(neuron, channels, maps[0], 3, stride=stem, padding=1, bias=False)
    encoder: list[nn.Module] = [nn.Sequential(first, Residual(neuron, maps[0], maps[0]))]
    for below, here in itertools.pairwise(maps):
        encoder.append(Residual(neuron, below, here, stride=2))
    parts = Parts(
        encoder,
        nn.Dropout(dropout),
        [Raise(below, here) for here, below in itertools.pairwise(maps)],
        [Residual(neuron, here, here) for here in maps[:-1]],
        nn.Sequential(group_norm(maps[0]), nn.ReLU(inplace=True), nn.Conv2d(maps[0], 1, 1)),
        nn.Sequential(group_norm(maps[-1]), nn.ReLU(inplace=True), PoolHead(maps[-1])),
    )
    start(parts)
    return parts


def start(parts: Parts) -> None:
    """Draws every convolution's weights by He's rule (normal, variance 2 / fan in), biases zero."""
    whole = (*parts.encoder, *parts.up, *parts.decoder, parts.mask, parts.presence)
    for module in (m for part in whole for m in part.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
