"""Classifiers, and presets: stacks of legos with the connection options that suit them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.models._notes import legos8, refuse_small

_GATES = (0.95, 0.27)  # at the start: the previous layer nearly open, so that the net trains as a chain; others ajar
_POOL = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


class Classifier(nn.Module):
    """A body and a head that makes logits of what it gives: head(body(start(x))).

    Args:
        body: a `Supernet`, a chain, or any module giving (N, C, *spatial).
        head: a module giving (N, classes) from it.
        start: stands before the body, as a `Start` from an encoder's Z; none for a body that reads pixels.

    Example:
        >>> Classifier(nn.Conv2d(1, 4, 3), head("gap", 4, 10))(__import__("torch").ones(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, body: nn.Module, head: nn.Module, start: nn.Module | None = None) -> None:
        super().__init__()
        self.start, self.body, self.head = start, body, head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x if self.start is None else self.start(x)))


def head(kind: str, channels: int, classes: int, *, axes: int = 2) -> nn.Sequential:
    """Make the end of a classifier.

    Args:
        kind: `gap` (global average pooling, then one linear layer) or `flatten512` (the notes': flatten, 512 ReLU
            units, dropout .5, one linear layer; sized at its first call).
        channels: that come in, for `gap`.
        classes: logits that go out.
        axes: spatial axes that come in.

    Raises:
        ConfigError: an unknown kind.

    Example:
        >>> head("gap", 16, 10)
        Sequential(
          (0): AdaptiveAvgPool2d(output_size=1)
          (1): Flatten(start_dim=1, end_dim=-1)
          (2): Linear(in_features=16, out_features=10, bias=True)
        )
    """
    if kind == "gap":
        return nn.Sequential(_POOL[axes](1), nn.Flatten(), nn.Linear(channels, classes))
    if kind == "flatten512":
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, classes))
    raise ConfigError(f"head={kind!r} is unknown; choose gap or flatten512")


@dataclass(frozen=True)
class Preset:
    """A stack of legos and how to connect them.

    Args:
        legos: makes fresh, unsized legos for images of a given shape (C, H, W).
        options: `Connection` options.

    Example:
        >>> sums = Preset(deep, {"merge": "sum"})
        >>> len(sums.legos((3, 32, 32))), sums.options["merge"]
        (15, 'sum')
    """

    legos: Callable[[Sequence[int]], list[nn.Module]]
    options: dict[str, Any] = field(default_factory=dict)


def deep(in_shape: Sequence[int], *, width: int = 16) -> list[nn.Module]:
    """Make three stages of conv 3x3 + batch norm + ReLU legos of one width, with 2x2 max-pooling between the stages.

    Five legos a stage for images of 16 pixels or more, three for smaller ones.

    Args:
        in_shape: one image's, (C, H, W).
        width: channels of every lego.

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


def mix(in_shape: Sequence[int], *, width: int = 48) -> list[nn.Module]:
    """Make stages of depthwise convolutions, which look around, for mixes between them, which choose what to look at.

    The first lego is a full convolution, with stride 2 from 48 pixels on and 4 from 160 on; it and the last of every
    stage end in a 2x2 max-pool where there is something left to halve. Widths double from stage to stage, and the last
    stage sees 8 pixels or less, so that every output sees most of the image.

    Args:
        in_shape: one image's, (C, H, W).
        width: channels of the first stage; a multiple of 8 runs fastest.

    Returns:
        The legos; they take (N, C, H, W), the first of the image, all others of as many channels as they give.

    Example:
        >>> legos = mix((3, 32, 32), width=48)
        >>> len(legos), legos[-1][0].out_channels
        (10, 96)
    """
    side = min(in_shape[1:])
    stride = 4 if side >= 160 else 2 if side >= 48 else 1
    side = -(-side // stride)
    if side > 20:  # a first stage at full size would take most of the time
        side //= 2
        sizes = [side]
        first = [nn.MaxPool2d(2)]
    else:
        sizes, first = [side], []
    while sizes[-1] > 8:
        sizes.append(sizes[-1] // 2)
    if len(sizes) == 1 and side > 3:
        sizes.append(side // 2)
    legos: list[nn.Module] = []
    for stage, size in enumerate(sizes):
        channels = width * 2**stage
        count = 5 if size <= 20 else 2
        for i in range(count):
            start = not legos
            inputs = in_shape[0] if start else channels
            conv = nn.Conv2d(
                inputs, channels, 3, stride if start else 1, padding=1, groups=1 if start else channels, bias=False
            )
            pools: list[nn.Module] = [
                *(first if start else []),
                *([nn.MaxPool2d(2)] if i == count - 1 and stage < len(sizes) - 1 else []),
            ]
            legos.append(nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(), *pools))
    return legos


def separable(in_shape: Sequence[int], *, width: int = 32) -> list[nn.Module]:
    """Make stages of depthwise convolutions for a residual net: each looks around in every channel of the stream.

    Image to stream: a full convolution, with a stride, and a 2x2 max-pool where that leaves much, so that the first
    stage has 40 pixels or fewer. Widths double from stage to stage and sizes halve, until the last has 8 or fewer.

    Args:
        in_shape: one image's, (C, H, W).
        width: channels of the first stage; a multiple of 8 runs fastest.

    Returns:
        The legos; they take (N, C, H, W), the first of the image, all others of as many channels as they give.

    Source: Howard et al. 2017, MobileNets; residual as in Sandler et al. 2018, without their wider layers.

    Example:
        >>> legos = separable((3, 32, 32))
        >>> len(legos), legos[-1][0].out_channels
        (9, 128)
    """
    side = min(in_shape[1:])
    stride = 4 if side >= 96 else 2 if side >= 48 else 1
    side = -(-side // stride)
    pool = side > 40
    sizes = [side // 2 if pool else side]
    while sizes[-1] > 8 or (len(sizes) == 1 and sizes[-1] > 3):
        sizes.append(sizes[-1] // 2)
    first = [nn.Conv2d(in_shape[0], width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    legos: list[nn.Module] = []
    for stage in range(len(sizes)):
        channels, count = width * 2**stage, min(stage + 2, 4)
        for i in range(count):
            conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
            parts: list[nn.Module] = [conv, nn.BatchNorm2d(channels), nn.ReLU()]
            if not legos:
                parts = [*first, *([nn.MaxPool2d(2)] if pool else []), *parts]
            if i == count - 1 and stage < len(sizes) - 1:
                parts.append(nn.MaxPool2d(2))
            legos.append(nn.Sequential(*parts))
    return legos


def maps(in_shape: Sequence[int], *, width: int = 64) -> list[nn.Module]:
    """Make three legos for the maps of a backbone: a 1x1 convolution chooses among them, a depthwise one looks around.

    Joined side by side, with the maps themselves open to the head, they start as a linear layer and what they add.

    Args:
        in_shape: one input's, (C, H, W).
        width: channels of every lego.

    Returns:
        The legos; they take (N, C, H, W) and are sized at their first call.

    Example:
        >>> len(maps((1456, 4, 4)))
        3
    """
    look = min(in_shape[1:]) > 1
    legos: list[nn.Module] = []
    for _ in range(3):
        parts: list[nn.Module] = [nn.LazyConv2d(width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        if look:
            conv = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
            parts += [conv, nn.BatchNorm2d(width), nn.ReLU()]
        legos.append(nn.Sequential(*parts))
    return legos


def blocks(in_shape: Sequence[int]) -> list[nn.Module]:
    """Make the notes' four convolutions, each one lego with its ReLU, pooling and dropout.

    Args:
        in_shape: one image's, (C, H, W), sides of 10 pixels or more.

    Returns:
        The legos; they take (N, C, H, W) and are sized at their first call.

    Raises:
        ConfigError: smaller images.

    Example:
        >>> len(blocks((3, 32, 32)))
        4
    """
    refuse_small("blocks", in_shape)
    legos: list[nn.Module] = []
    for width in (32, 64):
        legos.append(nn.Sequential(nn.LazyConv2d(width, 3, padding=1), nn.ReLU()))
        legos.append(nn.Sequential(nn.LazyConv2d(width, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)))
    return legos


def dense(in_shape: Sequence[int], *, width: int = 64) -> list[nn.Module]:
    """Make three dense layers with batch norm and ReLU, for images of one pixel, as an encoder's Z.

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
    "separable": Preset(separable, {"merge": "mix", "share": None, "residual": True, "reach": 1}),
    "mix": Preset(mix, {"merge": "mix"}),
    "deep": Preset(deep, {"merge": "sum", "gate_init": _GATES}),
    "blocks": Preset(blocks, {"merge": "concat"}),
    "legos8": Preset(legos8, {"merge": "concat"}),
    "maps": Preset(maps, {"merge": "concat", "gate_init": (0.95, 0.95)}),
    "dense": Preset(dense, {"merge": "sum", "gate_init": _GATES}),
}
"""Presets by name."""


def preset(name: str) -> Preset:
    """Look a preset up by its name.

    Args:
        name: separable | mix | deep | blocks | legos8 | maps | dense.

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
    """Set the legos one after the other, with no other connection: the plain network.

    Args:
        legos: in their order.

    Example:
        >>> len(chain_of([nn.Flatten(), nn.ReLU()]))
        2
    """
    return nn.Sequential(*legos)
