"""Rotation-max convolutions in source that depends on torch alone: the few lines of the one-bank route."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.nn import RotConv2d
from plexus.nn.functional import ring_rotate

_CLASS = '''class RotConv2d(nn.Conv2d):
    """A convolution that answers the best match over rotations of its kernels: y = max_s(x * R_s W) + b."""

    # (kernel size, rotations) -> for each rotation, the taps of the kernel in the order in which it reads them
    TURNS = {turns}

    def __init__(self, *shape, rotations, **options):
        super().__init__(*shape, **options)
        self.rotations = rotations

    def forward(self, x):
        size = self.kernel_size[0]
        turns = torch.tensor(self.TURNS[size, self.rotations], device=x.device)
        bank = self.weight.flatten(2)[:, :, turns].transpose(1, 2).flatten(0, 1).unflatten(-1, (size, size))
        y = self._conv_forward(x, bank, None).unflatten(1, (self.out_channels, self.rotations)).max(2).values
        return y if self.bias is None else y + self.bias.view(-1, 1, 1)
'''


def definition(modules: Iterable[nn.Module]) -> list[str]:
    """The lines that define the class of the rotation-max convolutions among these modules; none if there are none."""
    layers = [module for module in modules if type(module) is RotConv2d]
    kinds = sorted({(int(layer.kernel_size[0]), layer.rotations) for layer in layers})
    turns = {kind: _turns(*kind) for kind in kinds}
    rows = [f"        {kind}: [{', '.join(map(str, taps))}]," for kind, taps in turns.items()]
    return _CLASS.replace("{turns}", "\n".join(["{", *rows, "    }"])).splitlines() if layers else []


def _turns(size: int, count: int) -> list[list[int]]:
    """For each rotation, the taps of the kernel in the order in which it reads them."""
    taps = torch.arange(size * size).view(size, size)
    return [ring_rotate(taps, s * 8 // count).flatten().tolist() for s in range(count)]


def constructor(name: str, layer: RotConv2d) -> str:
    """The call that builds a layer like this one.

    Raises:
        ConfigError: a reduction other than max.
    """
    if layer.reduce != "max":
        raise ConfigError(
            f"to_source: {name} is a RotConv2d with reduce={layer.reduce!r}; only 'max' can be written out"
        )
    options = {
        **{key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")},
        "bias": layer.bias is not None,
        **{key: getattr(layer, key) for key in ("padding_mode", "rotations")},
    }
    shape = f"{layer.in_channels}, {layer.out_channels}, {layer.kernel_size}"
    return f"RotConv2d({shape}, {', '.join(f'{key}={value!r}' for key, value in options.items())})"
