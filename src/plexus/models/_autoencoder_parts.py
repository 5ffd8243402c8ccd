"""The two halves of the autoencoder: a trunk that shrinks images to maps, and a decoder that grows images from Z."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.nn import NEURONS, Supernet, convert
from plexus.wiring import rebuild

WIRED = {"merge": "sum", "gate_init": (0.95, 0.27)}
"""How the legos of a wired trunk are connected, as in the preset `deep`."""
_MOST = 8  # times `width`: the most maps of a level


def levels(in_shape: Sequence[int]) -> int:
    """How often the trunk halves an image: until its shorter side is at most 4, and at least twice.

    Example:
        >>> levels((1, 28, 28)), levels((3, 8, 8)), levels((3, 96, 128))
        (3, 2, 5)
    """
    side, count = min(in_shape[1:]), 0
    while side > 4 or count < 2:
        side, count = -(-side // 2), count + 1
    return count


def encoder_legos(in_shape: Sequence[int], *, width: int = 32, depth: int = 1, pooled: bool = False) -> list[nn.Module]:
    """The trunk's legos, convolution 3x3 + batch norm + ReLU each, unsized.

    Args:
        in_shape: one image's shape, (C, H, W).
        width: maps of the first level; each further one has twice as many, at most 8 times.
        depth: legos of a level; its first halves the maps.
        pooled: halve by 2x2 max-pooling after the convolution, which keeps turns by 90 degrees exact, and not by
            stride.

    Example:
        >>> [lego[0].stride for lego in encoder_legos((1, 28, 28), depth=2)]
        [(2, 2), (1, 1), (2, 2), (1, 1), (2, 2), (1, 1)]
    """
    legos: list[nn.Module] = []
    for level in range(levels(in_shape)):
        maps = width * min(2**level, _MOST)
        for i in range(depth):
            halve = i == 0
            conv = nn.LazyConv2d(maps, 3, stride=2 if halve and not pooled else 1, padding=1, bias=False)
            parts: list[nn.Module] = [conv, nn.BatchNorm2d(maps), nn.ReLU()]
            if halve and pooled:
                parts.append(nn.MaxPool2d(2, ceil_mode=True))
            legos.append(nn.Sequential(*parts))
    return legos


def trunk(
    in_shape: Sequence[int], *, width: int, depth: int, neuron: str, wiring: Wiring | None = None
) -> tuple[nn.Module, torch.Size]:
    """The maps-making half of the encoder, and the shape of its maps for one image.

    Args:
        in_shape, width, depth: as for `encoder_legos`.
        neuron: plain | rot8 | rot4 | unit.
        wiring: of the legos; without one they stand in a chain.

    Raises:
        ConfigError: an unknown neuron, or a wiring of other legos.
    """
    legos = encoder_legos(in_shape, width=width, depth=depth, pooled=neuron.startswith("rot"))
    if wiring is None:
        body: nn.Module = nn.Sequential(*legos)
        shape = _shape(body, in_shape)
        turned(body, neuron)
    else:
        if len(wiring.nodes) != len(legos) + 2:
            raise ConfigError(
                f"wiring: it connects {len(wiring.nodes) - 2} legos, the encoder has {len(legos)}; learn one with the "
                "same depth and size of images"
            )
        stack = nn.ModuleList(Supernet(legos, in_shape, **WIRED).legos)
        turned(stack, neuron)
        body = rebuild(list(stack), wiring, in_shape, **WIRED)
        shape = _shape(body, in_shape)
    return body, shape


def supernet(in_shape: Sequence[int], *, width: int, depth: int, neuron: str) -> tuple[Supernet, torch.Size]:
    """A trunk with every connection, each through a gate."""
    legos = encoder_legos(in_shape, width=width, depth=depth, pooled=neuron.startswith("rot"))
    stack = nn.ModuleList(Supernet(legos, in_shape, **WIRED).legos)
    turned(stack, neuron)
    body = Supernet(list(stack), in_shape, **WIRED)
    return body, _shape(body, in_shape)


def decoder(dim: int, in_shape: Sequence[int], *, width: int) -> nn.Sequential:
    """Z to standardised pixels, a little larger than the image where its sides are no multiples of the grid.

    Linear, then by level: convolution 3x3 to four times the maps, whose quadruples become 2x2 pixels.

    Shape:
        (N, dim) -> (N, C, H', W') with H' >= H and W' >= W.
    """
    count = levels(in_shape)
    grid = [-(-side // 2**count) for side in in_shape[1:]]
    maps = [max(width * min(2**level, _MOST) // 2, 4) for level in reversed(range(count))]
    start = maps[0] * grid[0] * grid[1]
    parts: list[nn.Module] = [
        nn.Linear(dim, start, bias=False), nn.BatchNorm1d(start), nn.ReLU(), nn.Unflatten(1, (maps[0], *grid)),
    ]  # fmt: skip
    for before, after in pairwise(maps):
        parts += [nn.Conv2d(before, 4 * after, 3, padding=1, bias=False), nn.PixelShuffle(2)]
        parts += [nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*parts, nn.Conv2d(maps[-1], 4 * in_shape[0], 3, padding=1), nn.PixelShuffle(2))


def turned(body: nn.Module, neuron: str) -> None:
    """Makes a sized body's convolutions that neuron, in place."""
    if neuron != "plain":
        convert(body, NEURONS[neuron])


@torch.no_grad()
def _shape(body: nn.Module, in_shape: Sequence[int]) -> torch.Size:
    """Of the maps for one image; sizes what is lazy."""
    body.eval()
    shape: Tensor = body(torch.zeros(1, *in_shape))
    body.train()
    return shape.shape[1:]
