"""The backward half of `derive`: which channels anybody reads, from the head back to the images."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import HEAD, Wiring
from plexus.nn import Connection, Supernet
from plexus.nn.scaling import has_hooks
from plexus.wiring._inspect import connections, unchained

Channels = frozenset[int] | None
"""Some channels of a value, by number; None for all of them."""

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
# one channel of the result is a function of one channel of the input, the same function for all
_ALIKE: tuple[type[nn.Module], ...] = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.LPPool1d, nn.LPPool2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Identity, nn.Upsample),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh),
)


class Need(NamedTuple):
    """Demands on a layer that somebody reads, and on the connection before it.

    Args:
        layers: the channels asked of the lego's input, then of the output of each layer that it is made of; nothing
            for a lego that nobody reads, whose connection is still part of a stream.
        columns: (groups, sum of channels), the source maps that the connection reads for each group of its maps; one
            group except for a mix, none for the first lego, which has no connection.
        rows: the channels asked of the connection's result, by the lego and by the stream that goes on.
    """

    layers: tuple[Channels, ...]
    columns: Tensor
    rows: Channels


def needs(body: Supernet, head: nn.Module | None, wiring: Wiring, multiple: int = 1) -> dict[str, Need]:
    """Find the layers the answer depends on, and the channels that each of them has to give and to read.

    Args:
        body: the supernet; its own masks count for a mix, where they are the wiring.
        head: needs all that the last connection gives, as does whoever reads a net without a head.
        wiring: which edges stay.
        multiple: a lego's channels are rounded up to multiples of this, and to whole groups of a mix.

    Returns:
        The needs of every layer that is read, and of `head`, by name.

    Raises:
        ConfigError: the wiring is another net's, or leaves a layer that is read without an input.
    """
    names = body.node_names()
    asked = {
        name: torch.zeros(channels, dtype=torch.bool)
        for name, channels in zip(names, body.connections[-1].channels, strict=False)
    }
    found: dict[str, Need] = {}
    stream: Need | None = None  # of the connection behind this one, where this one's result goes on to it
    tables = zip(connections(body), body.reads(wiring), body.adds, strict=True)
    for (target, connection, lego), present, adds in reversed([*tables]):
        alive = target == HEAD or bool(asked[target].any())
        if not alive and stream is None:
            continue
        if target != HEAD:
            grouped = connection.merge == "mix" and connection.share < connection.out_channels
            _round_up(asked[target], multiple, connection.share if grouped else 1)
        layers = _backwards(lego or head, None if target == HEAD else asked[target]) if alive else ()
        rows = layers[0] if alive else frozenset()
        if stream is not None:
            rows = None if rows is None or stream.rows is None else rows | stream.rows
        present = present.cpu() & (connection.mask.cpu() != 0) if connection.merge == "mix" else present.cpu()
        if not present.any() and not adds:
            raise ConfigError(
                f"derive: {target} is read but has no input in this wiring; keep at least one edge into it"
            )
        columns = _columns(connection, present, rows)
        if not columns.any() and not adds:  # what is read of it has been cut from its input: the rest stands for it
            layers, columns, rows = _backwards(lego or head, None), present, None
        found[target] = Need(layers, columns, rows)
        stream = found[target] if adds else None
        for k in range(len(connection.channels)):
            read = columns[:, connection.maps(k)].any(0)
            # maps of several sources meet in one map of a sum: there a source has all of them, or is not there
            asked[names[k]] |= read.any() if connection.merge in ("sum", "max") else read
    if asked[names[1]].any():
        _round_up(asked[names[1]], multiple)
        layers = _backwards(body.legos[0], asked[names[1]])
        found[names[1]] = Need(layers, torch.zeros(0, 0, dtype=torch.bool), layers[0])
    return found


def _round_up(asked: Tensor, multiple: int, share: int = 1) -> None:
    """Ask for channels that nobody reads, too, until their number is a multiple; in place.

    Channels that share their sources in a mix come together: a convolution in groups needs groups of one size.
    """
    if multiple == 1:
        return
    groups = asked.view(-1, share if len(asked) % share == 0 else 1)
    whole = groups.any(1)
    spare = (~whole).nonzero().flatten()
    together = math.lcm(multiple, groups.shape[1]) // groups.shape[1]
    whole[spare[: -int(whole.sum()) % together]] = True
    groups[whole] = True


def is_dense(layer: nn.Module) -> bool:
    """Tell whether each output channel of a layer is a filter of its own over all input channels."""
    return bool(type(layer) in CONVS and layer.groups == 1 and not has_hooks(layer))


def keeps_apart(layer: nn.Module) -> bool:
    """Tell whether channels pass through a layer one by one, or in groups, and can be taken out of it."""
    if has_hooks(layer) or getattr(layer, "return_indices", False):
        return False
    return type(layer) in (*_ALIKE, *NORMS) or (isinstance(layer, CONVS) and type(layer) in CONVS and layer.groups > 1)


def _columns(connection: Connection, present: Tensor, wanted: Channels) -> Tensor:
    """Of the source maps that are there, mark those that serve the wanted channels of the result."""
    if wanted is None or connection.merge not in ("concat", "mix"):
        return present
    keep = torch.zeros(connection.out_channels, dtype=torch.bool)
    keep[list(wanted)] = True
    return present & (keep.view(len(present), -1).any(1, keepdim=True) if connection.merge == "mix" else keep)


def _backwards(module: nn.Module | None, asked: Tensor | None) -> tuple[Channels, ...]:
    """Walk back through a lego's layers, from the channels asked of its output to those of its input."""
    whole = asked is None or bool(asked.all())
    channels: list[Channels] = [None if asked is None or whole else frozenset(asked.nonzero().flatten().tolist())]
    for layer in reversed(unchained(module) if module is not None else []):
        channels.append(_asked_of_input(layer, channels[-1]))
    return tuple(reversed(channels))


def _asked_of_input(layer: nn.Module, asked: Channels) -> Channels:
    if asked is None or not keeps_apart(layer):
        return None
    if not isinstance(layer, CONVS):
        return asked
    gives, takes = layer.out_channels // layer.groups, layer.in_channels // layer.groups
    return frozenset(group * takes + i for group in {c // gives for c in asked} for i in range(takes))
