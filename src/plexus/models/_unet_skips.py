"""Which encoder levels a decoder level sees, and how they come together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring
from plexus.nn import Connection
from plexus.nn import functional as PF

GATES = (0.95, 0.27)  # at the start: a level's own skip nearly open, as in a plain U-Net, the others ajar


def unet_nodes(levels: int) -> tuple[str, ...]:
    """The nodes of a U-Net: `enc1` (full size) to `encL` (the bottleneck), then `dec(L-1)` to `dec1`.

    Example:
        >>> unet_nodes(3)
        ('enc1', 'enc2', 'enc3', 'dec2', 'dec1')
    """
    return (*(f"enc{i}" for i in range(1, levels + 1)), *(f"dec{i}" for i in range(levels - 1, 0, -1)))


def every_skip(levels: int) -> Wiring:
    """All edges from an encoder level to a decoder level, but for the one a U-Net always has, encL -> dec(L-1)."""
    edges = [(f"enc{s}", f"dec{t}", 1.0) for t in range(1, levels) for s in range(1, levels + 1)]
    return Wiring(unet_nodes(levels), [e for e in edges if e[:2] != (f"enc{levels}", f"dec{levels - 1}")])


def own_skips(levels: int) -> Wiring:
    """The plain U-Net's edges: every decoder level sees the encoder level of its size."""
    return Wiring(unet_nodes(levels), [(f"enc{i}", f"dec{i}", 1.0) for i in range(1, levels)])


def chosen(skips: str | Wiring, levels: int) -> Wiring:
    """The edges that `same`, `all` or a wiring stands for.

    Raises:
        ConfigError: another word, or a wiring with an edge that a U-Net of these levels has no place for.
    """
    if isinstance(skips, Wiring):
        known = every_skip(levels).strengths()
        for e in skips.edges:
            if (e.source, e.target) not in known:
                raise ConfigError(
                    f"UNet: skips has the edge {e.source} -> {e.target}, for which {levels} levels have no place"
                )
        return skips
    if skips not in ("same", "all"):
        raise ConfigError(f"UNet: skips={skips!r} is unknown; choose same, all, or give a Wiring")
    return own_skips(levels) if skips == "same" else every_skip(levels)


def strongest(wiring: Wiring, keep: float | int) -> Wiring:
    """The strongest edges: a share of them (float, 0 to 1) or a count (int); of equal ones the later source stays."""
    total = len(wiring.edges)
    share = isinstance(keep, float)
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 <= keep <= (1 if share else total):
        raise ConfigError(f"UNet.prune: keep={keep!r} must be a share, 0.0 to 1.0, or a count, 0 to {total}")
    count = math.floor(keep * total + 1e-9) if share else int(keep)
    place = {name: i for i, name in enumerate(wiring.nodes)}
    order = sorted(wiring.edges, key=lambda e: (e.strength, place[e.source], place[e.target]))
    return wiring.keep((e.source, e.target) for e in order[total - count :])


class Skips(nn.Module):
    """What one decoder level gets from the encoder: y = sum_k g_k P_k fit(x_k), with g the gates of a `Connection`.

    `fit` brings a source to the level's size: the mean over the pixels that fall together, or bilinear interpolation
    up. P_k is a 1x1 convolution without bias, at the smaller of both sizes; none for the level's own source, whose
    maps have the right number already.

    Args:
        sources: places of the encoder levels read, from 0.
        own: the place of the level's own.
        channels: maps of every encoder level.
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
        return self.join([self._bring(encoded[s], f"enc{s + 1}", size) for s in self.sources])

    def _bring(self, x: Tensor, name: str, size: Sequence[int]) -> Tensor:
        if name not in self.project:
            return x
        project = self.project[name]
        if x.shape[-1] < size[-1]:
            return PF.resize(project(x), size, "bilinear")
        return project(PF.resize(x, size, "area"))

    def edges(self, target: str) -> list[Edge]:
        """Its edges, with the gates as strengths."""
        gates = self.join.gates().tolist()
        return [Edge(f"enc{s + 1}", target, g) for s, g in zip(self.sources, gates, strict=True)]
