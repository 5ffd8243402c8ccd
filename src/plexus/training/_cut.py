"""Cutting while the net learns: the weakest edges go a few at a time, and what stays keeps its values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from plexus.graph import Wiring
from plexus.nn import Connection, Supernet
from plexus.wiring import derive, importance, prune

EVERY = 10
"""Steps between two cuts: Adam's moments have moved on by then, and ranking all edges costs next to nothing."""
MEMORY = 0.98
"""Of the running mean of the accuracy: it looks back over some fifty batches."""


@dataclass(frozen=True)
class Target:
    """The part of a wiring that is to be left: as many sources for every group of maps, or as many edges in all.

    Args:
        fan_in: source maps that every group of a mix keeps.
        edges: edges that are kept in all, of whatever granularity.
        channels: the share of the channels that every stream of a residual net keeps, in whole vectors of 8.

    Example:
        >>> Target(fan_in=16).fan_in
        16
    """

    fan_in: int | None = None
    edges: int | None = None
    channels: float | None = None


class GradualCut(L.Callback):
    r"""Cut the weakest edges while the net trains, ever fewer at a time, until the target is reached.

    .. math:: k(t) = K + (N - K) (1 - u)^3, \quad u = (t - t_0) / (t_1 - t_0)

    of N edges are left after step t; with a `fan_in`, of the N sources of every group; with `channels`, of the N
    channels of every stream. An edge is as strong as its gate, a map edge as the root mean square of the weights that
    are cut together, a channel as that of all weights that read it. What is cut stays cut.

    The first cut waits until the net beats chance clearly, as before that the weights say nothing about the images: its
    running accuracy on training batches must exceed the share of the commonest class by a tenth of what is left to 1.

    Args:
        body: the supernet whose masks are set.
        target: what is left at the end.
        steps: optimiser steps of the training.
        chance: the accuracy of always giving the commonest class.
        first, last: t_0 and t_1 as fractions of the steps. Where the net takes longer than t_0 to beat chance, cutting
            takes as many steps from then on, but ends at `latest` at the latest.
        latest: fraction of the steps at which all is cut, whatever the accuracy.
        rank: returns a wiring of all edges of the body, by whose strengths they are cut for `edges`; by default
            `importance` by gate.

    Attributes:
        began: the step of the first cut; None before it.
        blind: whether the net had not beaten chance when cutting had to begin.

    Raises:
        ConfigError: a supernet whose edges cannot be ranked by their gates.

    Source: Zhu and Gupta 2017, To prune, or not to prune (the cubic schedule).

    Example:
        >>> body = Supernet([torch.nn.Conv2d(1, 8, 3, padding=1)], (1, 4, 4), merge="mix")
        >>> cut = GradualCut(body, Target(fan_in=4), steps=100, chance=0.5)
        >>> cut.apply(1.0)
        >>> int(body.connections[0].mask.sum())
        4
    """

    def __init__(
        self, body: Supernet, target: Target, steps: int,
        *, chance: float, first: float = 0.1, last: float = 0.6, latest: float = 0.85,
        rank: Callable[[], Wiring] | None = None,
    ) -> None:  # fmt: skip
        self.body, self.target, self.steps = body, target, steps
        self.bar = chance + 0.1 * (1 - chance)
        self.first, self.span, self.latest = first * steps, (last - first) * steps, latest * steps
        self.began: int | None = None
        self.blind = False
        self._seen = [0.0, 0.0]  # a running mean of the batches' accuracy, and its weight
        self.rank = rank or partial(importance, body, method="gate")
        self._whole = self.rank().count()

    @property
    def state_key(self) -> str:
        return "GradualCut"

    def state_dict(self) -> dict[str, Any]:
        return {"began": self.began, "blind": self.blind, "seen": self._seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.began, self.blind, self._seen = state_dict["began"], state_dict["blind"], state_dict["seen"]

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step: int = trainer.global_step
        if self.began is None:
            hits: float = module.hits  # type: ignore[assignment]
            self._seen = [MEMORY * old + (1 - MEMORY) * new for old, new in zip(self._seen, (hits, 1.0), strict=True)]
        last = step == self.steps
        if step % EVERY and not last:
            return
        if self.began is None and (step >= self.first or last):
            # each process has seen other images; the first one decides for all, and its state is in the checkpoint
            sees = trainer.strategy.broadcast(self._seen[0] > self.bar * self._seen[1])
            if sees or last or step >= self.latest - self.span / 2:
                self.began, self.blind = step, not sees
        if self.began is not None:
            end = max(min(self.began + self.span, self.latest), self.began + 1.0)
            self.apply(1.0 if last else min(1.0, (step - self.began) / (end - self.began)))

    @torch.no_grad()
    def apply(self, progress: float) -> None:
        """Cut down to what is left at u = `progress`, 0 to 1."""
        open_ = (1 - progress) ** 3
        if self.target.channels is not None:
            keep_channels(self.body, self.target.channels, open_)
            return
        if self.target.fan_in is not None:
            for connection in self.body.connections:
                keep_strongest(connection, self.target.fan_in, open_)
            return
        assert self.target.edges is not None
        count = math.ceil(self.target.edges + (self._whole - self.target.edges) * open_)
        ranked = left(self.rank(), self.body)  # what is cut does not come back
        # by `keep`, which is met as far as every layer keeps an input; the half makes the rounding exact
        self.body.set_wiring(prune(ranked, keep=min(1.0, (count + 0.5) / ranked.count())))


def keep_strongest(connection: Connection, fan_in: int, left: float = 0.0) -> None:
    """Cut a mix so that every group of its maps keeps its strongest sources, in place.

    Args:
        connection: a mix.
        fan_in: sources that every group keeps; all, where there are fewer.
        left: the fraction of the others that stays, too.

    Example:
        >>> mix = Connection([8], merge="mix")
        >>> keep_strongest(mix, 3)
        >>> mix.mask.sum(1).tolist()
        [3.0]
    """
    strength = map_strength(connection)
    sources = strength.shape[1]
    count = min(sources, fan_in + math.ceil(max(0, sources - fan_in) * left))
    # -1 marks what is cut already: a weight that happens to be 0 still comes before it
    best = strength.masked_fill(connection.mask == 0, -1.0).topk(count, 1).indices
    connection.mask.copy_(torch.zeros_like(connection.mask).scatter_(1, best, 1.0) * connection.mask)


VECTOR = 8
"""Channels that a processor computes at once."""


@torch.no_grad()
def keep_channels(body: Supernet, share: float, left: float = 0.0, *, of_left: bool = False) -> None:
    """Cut a residual net so that every stream keeps its strongest channels, in place.

    A channel is read by all legos of its stream, and each gives a map of it that a mix reads. All of these go together,
    so that what remains is a narrower net without a gap: nothing has to be gathered, and no vector is half empty.

    Args:
        body: a residual supernet.
        share: of the channels of every stream, in whole vectors, one at least.
        left: the fraction of the others that stays, too.
        of_left: take the share of the channels that are still there.

    Example:
        >>> legos = [nn.Conv2d(1, 32, 3), nn.Conv2d(32, 32, 3, groups=32, padding=1)]
        >>> body = Supernet(legos, (1, 8, 8), merge="mix", share=None, residual=True, reach=1)
        >>> keep_channels(body, 0.5)
        >>> [int(connection.mask.sum()) for connection in body.connections]
        [16, 16]
    """
    for group in body.coupled():
        readers = [body.connections[i] for i in group]
        own = [slice(sum(c.channels) - c.channels[-1], None) for c in readers]  # each reads its own lego's maps
        squares = sum(c.weight[:, at].square().mean(0) for c, at in zip(readers, own, strict=True))
        there = torch.stack([c.mask[0, at] != 0 for c, at in zip(readers, own, strict=True)]).any(0)
        whole = int(there.sum()) if of_left else len(there)
        final = min(whole, VECTOR * max(1, round(share * whole / VECTOR)))
        count = min(int(there.sum()), final + math.ceil((whole - final) * left))
        best = squares.masked_fill(~there, -1.0).topk(count).indices  # type: ignore[union-attr]
        for connection, at in zip(readers, own, strict=True):
            mask = torch.zeros_like(connection.mask[0, at])
            mask[best] = 1
            connection.mask[0, at] *= mask


def map_strength(connection: Connection) -> Tensor:
    """Return the root mean square of the weights that every entry of a mix's mask cuts, (groups, sources)."""
    return connection.weight.detach().unflatten(0, (-1, connection.share)).square().mean(1).sqrt()


def plain(net: nn.Module, wiring: Wiring) -> nn.Module:
    """Make the plain net of a wiring as a run hands it over: `derive`, with channels in whole vectors.

    Args:
        net: the supernet with its head.
        wiring: what stays.

    Example:
        >>> body = Supernet([nn.Conv2d(1, 16, 3)], (1, 4, 4), merge="mix")
        >>> plain(body, body.wiring())(torch.ones(1, 1, 4, 4)).shape
        torch.Size([1, 16, 2, 2])
    """
    return derive(net, wiring, multiple=8)


def left(ranked: Wiring, body: Supernet) -> Wiring:
    """Keep of a wiring what the masks of a supernet leave.

    Args:
        ranked: all edges of the net, with strengths.
        body: the supernet.

    Returns:
        The edges that are there; a layer that nobody reads is gone with all its inputs.

    Example:
        >>> body = Supernet([torch.nn.Conv2d(1, 1, 1)], (1, 4, 4))
        >>> body.connections[0].mask[0] = 0
        >>> left(importance(body, method="gate"), body).edges[0].source
        'lego1'
    """
    if ranked.maps:
        return prune(ranked, keep=1.0)  # what is cut has strength 0, and is no map edge
    names = body.node_names()
    there = [
        (names[k], target)
        for target, connection in zip(names[2:], body.connections, strict=True)
        for k in range(len(connection.channels))
        if connection.mask[connection.entries(k)].any()
    ]
    return prune(ranked.keep(there), keep=1.0)
