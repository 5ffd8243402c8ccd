"""The edges of a wiring as flat arrays, at its finest granularity: what pruning, chance and agreement work on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plexus.errors import ConfigError
from plexus.graph import HEAD, INPUT, Wiring

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Strata = Literal["count", "fan_in", "block", "profile"]
"""Ways to split edges into strata; wirings that have as many in each are alike in count, fan-in, blocks or profile."""


def strata(by: Strata, source: Ints, target: Ints, row: Ints) -> Ints:
    """Number the stratum of each edge from 0, in the order of targets.

    Args:
        by: `count` makes one of all; `fan_in` one of each group of the target that shares its sources; `block` one of
            each pair of layers; `profile` one of each group and source layer.
        source, target: numbers of the layers.
        row: number of the group within the target.
    """
    keys = {"count": (), "fan_in": (target, row), "block": (target, source), "profile": (target, row, source)}
    if by not in keys:
        raise ConfigError(f"strata {by!r} are unknown; choose from {', '.join(keys)}")
    number = np.zeros(len(source), np.intp)
    for key in keys[by]:
        number = number * (key.max(initial=0) + 1) + key
    return np.unique(number, return_inverse=True)[1]


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """One row for each edge that is there: between layers where the wiring knows no maps, between maps where it does.

    A group is what must not be left without an input: a layer, or where maps read maps those of a layer that share
    their sources. So at every granularity a row reads "this group reads this source", and one code serves all three.

    Attributes:
        wiring: where the rows come from.
        strength: of each row.
        source, target: numbers of its nodes.
        row: number of its group among those of the target.
        block: number of its edge in `wiring.edges`; rows lie in this order.
        place: where it lies in that edge's array of maps.
    """

    wiring: Wiring
    strength: Floats
    source: Ints
    target: Ints
    row: Ints
    block: Ints
    place: Ints

    @classmethod
    def of(cls, wiring: Wiring) -> EdgeTable:
        """Lay the edges of a wiring out."""
        order = {name: i for i, name in enumerate(wiring.nodes)}
        maps = wiring.maps
        arrays = [np.atleast_2d(np.float64(maps[e[:2]] if maps else e.strength)) for e in wiring.edges]
        # an edge between layers is there whatever its strength; a map edge of strength 0 is not
        places = [np.flatnonzero(a) if maps else np.zeros(1, np.intp) for a in arrays]
        ends = np.array([(order[e.source], order[e.target]) for e in wiring.edges], np.intp).reshape(-1, 2)
        block = np.repeat(np.arange(len(places)), [len(p) for p in places])
        source, target = ends[block].T
        row = _joined(p // a.shape[1] for a, p in zip(arrays, places, strict=True))
        strength = _joined((a.ravel()[p] for a, p in zip(arrays, places, strict=True)), np.float64)
        return cls(wiring, strength, source, target, row, block, _joined(places))

    def __len__(self) -> int:
        return len(self.strength)

    @property
    def group(self) -> Ints:
        """The group of each row, numbered in the order of targets."""
        return strata("fan_in", self.source, self.target, self.row)

    @property
    def end(self) -> int:
        """The node whose output is the answer."""
        nodes = self.wiring.nodes
        return nodes.index(HEAD) if HEAD in nodes else len(nodes) - 1

    def weakest_first(self) -> Ints:
        """Sort the rows by strength, ties from the earliest source on.

        A skip from afar goes before the previous layer, which the chain needs.
        """
        return np.lexsort((self.place, self.target, self.source, self.strength))

    def subset(self, kept: Bools, strength: float | None = None) -> Wiring:
        """Make the wiring of some rows, without the layers that none of them touches; `strength` overrides theirs."""
        edges, maps = [], {}
        bounds = np.searchsorted(self.block, np.arange(len(self.wiring.edges) + 1))
        for e, first, last in zip(self.wiring.edges, bounds, bounds[1:], strict=False):
            chosen = first + np.flatnonzero(kept[first:last])
            if len(chosen) == 0:
                continue
            edges.append(e if strength is None else (e.source, e.target, strength))
            if self.wiring.maps:
                maps[e.source, e.target] = array = np.zeros_like(self.wiring.maps[e.source, e.target])
                array.flat[self.place[chosen]] = self.strength[chosen] if strength is None else strength
        used = {INPUT, self.wiring.nodes[self.end]} | {name for e in edges for name in e[:2]}
        return Wiring(tuple(n for n in self.wiring.nodes if n in used), edges, maps)


def _joined(parts: Iterable[NDArray[Any]], kind: type = np.intp) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *parts])
