"""Parts of the U-Nets: blocks, the levels made of them, and the skips between encoder and decoder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring
from plexus.nn import Connection, make_conv
from plexus.nn import functional as PF

GATES = (0.95, 0.27)  # at the start: a level's own skip nearly open, as in a plain U-Net, the others ajar


@dataclass(frozen=True)
class Parts:
    """All of a U-Net; lists start at full size.

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


def nerve(in_channels: int, widths: Sequence[int], neuron: str, dropout: float, in_size: Sequence[int]) -> Parts:
    """Make the notes' network: merges by concatenation, the encoder's channels last."""
    encoder: list[nn.Module] = [double(neuron, in_channels, widths[0], first=7)]
    for below, here in itertools.pairwise(widths):
        halve = nn.Sequential(*conv_bn_elu(neuron, below, below, 2), nn.Dropout(dropout))
        encoder.append(nn.Sequential(halve, double(neuron, below, here)))
    shrink = 2 ** (len(widths) - 1)
    parts = Parts(
        encoder,
        nn.Dropout(dropout),
        [nn.Upsample(scale_factor=2) for _ in widths[1:]],
        [
            nn.Sequential(double(neuron, below + here, here), nn.Dropout(dropout))
            for here, below in itertools.pairwise(widths)
        ],
        nn.Conv2d(widths[0], 1, 1),
        nn.Conv2d(widths[-1], 1, (in_size[0] // shrink, in_size[1] // shrink)),
    )
    _he_normal(parts)
    return parts


def modern(in_channels: int, widths: Sequence[int], neuron: str, dropout: float, stem: int) -> Parts:
    """Make a network of residual blocks: merges by sums."""
    first = make_conv(neuron, in_channels, widths[0], 3, stride=stem, padding=1, bias=False)
    encoder: list[nn.Module] = [nn.Sequential(first, Residual(neuron, widths[0], widths[0]))]
    for below, here in itertools.pairwise(widths):
        encoder.append(Residual(neuron, below, here, stride=2))
    parts = Parts(
        encoder,
        nn.Dropout(dropout),
        [Raise(below, here) for here, below in itertools.pairwise(widths)],
        [Residual(neuron, here, here) for here in widths[:-1]],
        nn.Sequential(group_norm(widths[0]), nn.ReLU(inplace=True), nn.Conv2d(widths[0], 1, 1)),
        nn.Sequential(group_norm(widths[-1]), nn.ReLU(inplace=True), PoolHead(widths[-1])),
    )
    _he_normal(parts)
    return parts


def _he_normal(parts: Parts) -> None:
    """Draw every convolution's weights by He's rule (normal, variance 2 / fan in), biases zero."""
    whole = (*parts.encoder, *parts.up, *parts.decoder, parts.mask, parts.presence)
    for module in (m for part in whole for m in part.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def conv_bn_elu(neuron: str, channels: int, out: int, kernel: int) -> list[nn.Module]:
    """Make the notes' unit: a convolution that keeps the size (2x2: halves it), batch norm, ELU; Keras' constants.

    A 2x2 kernel has no centre to turn about, so that rotation neurons leave it plain.
    """
    halves = kernel == 2
    kind = "plain" if halves and neuron.startswith("rot") else neuron
    conv = make_conv(kind, channels, out, kernel, stride=2 if halves else 1, padding=0 if halves else kernel // 2)
    return [conv, nn.BatchNorm2d(out, eps=1e-3, momentum=0.01), nn.ELU(inplace=True)]


def double(neuron: str, channels: int, out: int, *, first: int = 3) -> nn.Sequential:
    """Make two of the notes' units, the first with a kernel of side `first`."""
    return nn.Sequential(*conv_bn_elu(neuron, channels, out, first), *conv_bn_elu(neuron, out, out, 3))


class Residual(nn.Module):
    """y = s(x) + W_2 a(n(W_1 a(n(x)))), with n group norm, a ReLU and W 3x3 convolutions (He et al. 2016).

    Where the channels' number or the size changes, s is an average over 2x2 pixels and a 1x1 convolution; otherwise x.
    """

    def __init__(self, neuron: str, channels: int, out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(channels), group_norm(out)
        self.conv1 = make_conv(neuron, channels, out, 3, stride=stride, padding=1, bias=False)
        self.conv2 = make_conv(neuron, out, out, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(channels, out, 1, bias=False) if channels != out or stride > 1 else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        kept = x
        if self.shortcut is not None:
            kept = self.shortcut(x if self.stride == 1 else F.avg_pool2d(x, self.stride))
        x = self.conv1(F.relu(self.norm1(x), inplace=True))
        return kept + self.conv2(F.relu(self.norm2(x), inplace=True))


class Raise(nn.Module):
    """A 1x1 convolution without bias, then twice the size by bilinear interpolation."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # before the interpolation, with which it commutes: a quarter of the work
        return PF.resize(x, [2 * side for side in x.shape[2:]], "bilinear")


def group_norm(channels: int) -> nn.GroupNorm:
    """Make a group norm of about 4 channels a group, at most 8 groups."""
    return nn.GroupNorm(math.gcd(channels, min(8, max(1, channels // 4))), channels)


class PoolHead(nn.Module):
    """One logit from the mean and the maximum of every channel, so that any size will do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


def unet_nodes(levels: int) -> tuple[str, ...]:
    """Name the nodes of a U-Net: `enc1` (full size) to `encL` (the bottleneck), then `dec(L-1)` to `dec1`.

    Example:
        >>> unet_nodes(3)
        ('enc1', 'enc2', 'enc3', 'dec2', 'dec1')
    """
    return (*(f"enc{i}" for i in range(1, levels + 1)), *(f"dec{i}" for i in range(levels - 1, 0, -1)))


def every_skip(levels: int) -> Wiring:
    """List all edges from an encoder level to a decoder level, but for the one a U-Net always has, encL -> dec(L-1)."""
    edges = [(f"enc{s}", f"dec{t}", 1.0) for t in range(1, levels) for s in range(1, levels + 1)]
    return Wiring(unet_nodes(levels), [e for e in edges if e[:2] != (f"enc{levels}", f"dec{levels - 1}")])


def own_skips(levels: int) -> Wiring:
    """List the plain U-Net's edges: every decoder level sees the encoder level of its size."""
    return Wiring(unet_nodes(levels), [(f"enc{i}", f"dec{i}", 1.0) for i in range(1, levels)])


def chosen_skips(skips: str | Wiring, levels: int) -> Wiring:
    """List the edges that `same`, `all` or a wiring stands for.

    Raises:
        ConfigError: another word, or a wiring with an edge that a U-Net of these levels has no place for.
    """
    if isinstance(skips, Wiring):
        possible = every_skip(levels).strengths()
        for e in skips.edges:
            if (e.source, e.target) not in possible:
                raise ConfigError(
                    f"UNet: skips has the edge {e.source} -> {e.target}, for which {levels} levels have no place"
                )
        return skips
    if skips not in ("same", "all"):
        raise ConfigError(f"UNet: skips={skips!r} is unknown; choose same, all, or give a Wiring")
    return own_skips(levels) if skips == "same" else every_skip(levels)


def strongest(wiring: Wiring, keep: float | int) -> Wiring:
    """Pick the strongest edges: a fraction of them (float, 0 to 1) or a count (int); of equal ones the later source."""
    total = len(wiring.edges)
    fraction = isinstance(keep, float)
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 <= keep <= (1 if fraction else total):
        raise ConfigError(f"UNet.prune: keep={keep!r} must be a share, 0.0 to 1.0, or a count, 0 to {total}")
    count = math.floor(keep * total + 1e-9) if fraction else int(keep)
    order = {name: i for i, name in enumerate(wiring.nodes)}
    weakest_first = sorted(wiring.edges, key=lambda e: (e.strength, order[e.source], order[e.target]))
    return wiring.keep((e.source, e.target) for e in weakest_first[total - count :])


class Skips(nn.Module):
    """Input of one decoder level from the encoder: y = sum_k g_k P_k fit(x_k), with g the gates of a `Connection`.

    `fit` brings a source to the level's size: the mean over the pixels that fall together, or bilinear interpolation
    up. P_k is a 1x1 convolution without bias, at the smaller of both sizes; none for the level's own source, whose
    channels have the right number already.

    Args:
        sources: numbers of the encoder levels read, from 0.
        own: the number of the level's own.
        channels: of every encoder level.
    """

    def __init__(self, sources: Sequence[int], own: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.sources = tuple(sorted(sources, key=lambda s: (s == own, s)))  # own last: it has a start of its own
        self.project = nn.ModuleDict(
            {f"enc{s + 1}": nn.Conv2d(channels[s], channels[own], 1, bias=False) for s in self.sources if s != own}
        )
        start = GATES if own in self.sources else GATES[1]
        self.join = Connection([channels[own]] * len(self.sources), merge="sum", gate_init=start)

    def forward(self, encoded: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        return self.join([self._brought(encoded[s], f"enc{s + 1}", size) for s in self.sources])

    def _brought(self, x: Tensor, name: str, size: Sequence[int]) -> Tensor:
        if name not in self.project:
            return x
        project = self.project[name]
        if x.shape[-1] < size[-1]:  # both commute with a 1x1 convolution, which costs less on fewer pixels
            return PF.resize(project(x), size, "bilinear")
        return project(PF.resize(x, size, "area"))

    def edges(self, target: str) -> list[Edge]:
        """List its edges, with the gates as strengths."""
        gates = self.join.gates().tolist()
        return [Edge(f"enc{s + 1}", target, g) for s, g in zip(self.sources, gates, strict=True)]
