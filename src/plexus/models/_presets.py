"""Presets: stacks of legos with the connection options that suit them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from plexus.errors import ConfigError


@dataclass(frozen=True)
class Preset:
    """A stack of legos and how to connect them.

    Args:
        legos: makes fresh, unsized legos for images of a given shape (C, H, W).
        options: `Connection` options.

    Example:
        >>> made = Preset(deep, {"merge": "sum"})
        >>> len(made.legos((3, 32, 32))), made.options["merge"]
        (15, 'sum')
    """

    legos: Callable[[Sequence[int]], list[nn.Module]]
    options: dict[str, Any] = field(default_factory=dict)


def deep(in_shape: Sequence[int], *, width: int = 16) -> list[nn.Module]:
    """Three stages of conv 3x3 + batch norm + ReLU legos of one width, with 2x2 max-pooling between the stages.

    Five legos a stage for images of 16 pixels or more, three for smaller ones.

    Args:
        in_shape: one image's, (C, H, W).
        width: maps of every lego.

    Returns:
        The legos; they take (N, C, H, W) and are sized at their first call.

    Example:
        >>> len(deep((3, 32, 32))), len(deep((1, 8, 8)))
        (15, 9)
    """
    side = min(in_shape[1:])
    per_stage = 5 if side >= 16 else 3
    legos: list[nn.Module] = []
    for i in range(3 * per_stage):
        parts: list[nn.Module] = [nn.LazyConv2d(width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        if i in (per_stage - 1, 2 * per_stage - 1) and side > 1:
            parts.append(nn.MaxPool2d(2))
            side //= 2
        legos.append(nn.Sequential(*parts))
    return legos


def blocks(in_shape: Sequence[int]) -> list[nn.Module]:
    """The notes' four convolutions, each one lego with its ReLU, pooling and dropout.

    Args:
        in_shape: one image's, (C, H, W).

    Returns:
        The legos; they take (N, C, H, W) and are sized at their first call.

    Example:
        >>> len(blocks((3, 32, 32)))
        4
    """
    legos: list[nn.Module] = []
    for maps in (32, 64):
        legos.append(nn.Sequential(nn.LazyConv2d(maps, 3, padding=1), nn.ReLU()))
        legos.append(nn.Sequential(nn.LazyConv2d(maps, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)))
    return legos


def legos8(in_shape: Sequence[int]) -> list[nn.Module]:
    """The notes' eight layers, each a lego: conv, conv, pool, dropout, twice.

    Args:
        in_shape: one image's, (C, H, W).

    Returns:
        The legos; they take (N, C, H, W) and are sized at their first call.

    Example:
        >>> [type(lego).__name__ for lego in legos8((3, 32, 32))][:4]
        ['Sequential', 'Sequential', 'MaxPool2d', 'Dropout']
    """
    legos: list[nn.Module] = []
    for maps in (32, 64):
        legos += [nn.Sequential(nn.LazyConv2d(maps, 3, padding=1), nn.ReLU())]
        legos += [nn.Sequential(nn.LazyConv2d(maps, 3), nn.ReLU())]
        legos += [nn.MaxPool2d(2), nn.Dropout(0.25)]
    return legos


def dense(in_shape: Sequence[int], *, width: int = 64) -> list[nn.Module]:
    """Three dense layers with batch norm and ReLU, for maps of one pixel as an encoder's Z.

    Args:
        in_shape: one input's, (C, H, W).
        width: units of each.

    Returns:
        The legos; they take (N, C, H, W) and are sized at their first call.

    Example:
        >>> len(dense((16, 1, 1)))
        3
    """
    return [nn.Sequential(nn.LazyConv2d(width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()) for _ in range(3)]


PRESETS = {
    "deep": Preset(deep, {"merge": "sum", "gate_init": (0.95, 0.27)}),
    "blocks": Preset(blocks, {"merge": "concat"}),
    "legos8": Preset(legos8, {"merge": "concat"}),
    "dense": Preset(dense, {"merge": "sum", "gate_init": (0.95, 0.27)}),
}
"""What `preset` chooses from, by name."""


def preset(name: str) -> Preset:
    """The preset of this name: deep, blocks or legos8.

    Args:
        name: deep | blocks | legos8.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> preset("blocks").options
        {'merge': 'concat'}
    """
    if name not in PRESETS:
        raise ConfigError(f"preset {name!r} is unknown; choose from {', '.join(PRESETS)}")
    return PRESETS[name]


def chain_of(legos: Sequence[nn.Module]) -> nn.Sequential:
    """The legos one after the other, with no other connection: the plain network.

    Args:
        legos: in their order.

    Example:
        >>> len(chain_of([nn.Flatten(), nn.ReLU()]))
        2
    """
    return nn.Sequential(*legos)
