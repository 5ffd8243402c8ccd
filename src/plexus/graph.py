"""Wiring, the value that carries everything: the layers, the edges between them, and how strong each is."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from plexus.errors import ConfigError

if TYPE_CHECKING:
    import networkx as nx

FORMAT = "plexus.wiring/1"
"""Of the JSON that a wiring is written as."""
INPUT = "input"
"""The first node of a stack of layers: the image."""
HEAD = "head"
"""The last node of a stack of layers: what makes the answer."""
_ARROW = " -> "  # between the names of an edge, where one text names it


def stack_nodes(legos: int) -> tuple[str, ...]:
    """Name the nodes of a stack of layers: `input, lego1, ..., legon, head`.

    Args:
        legos: how many layers.

    Example:
        >>> stack_nodes(2)
        ('input', 'lego1', 'lego2', 'head')
    """
    return (INPUT, *(f"lego{i}" for i in range(1, legos + 1)), HEAD)


class Edge(NamedTuple):
    """Connection by which `target` reads the output of `source`, with a strength.

    Args:
        source: the node that is read.
        target: the node that reads it.
        strength: unitless; 0 is not at all.

    Example:
        >>> Edge("input", "lego2").strength
        1.0
    """

    source: str
    target: str
    strength: float = 1.0


@dataclass(frozen=True, init=False, eq=False)
class Wiring:
    """Directed acyclic graph of layers whose edges carry a strength, down to single feature maps where it is known.

    Nodes are listed in an order in which the net can be computed: every edge points forward in it. A supernet of n
    legos has the nodes `input, lego1, ..., legon, head`; that `lego1` reads the input is not a choice and so no edge.

    Args:
        nodes: names, each once.
        edges: (source, target, strength) triples; `Edge` or any sequence of three. Their order does not matter.
        maps: the strength of every map edge, for all edges or for none; 0 is a map edge that is not there. An array
            (C,) says which of the source's C maps the whole target reads (map -> layer); (T, C) says it for each of
            T groups of the target's maps, where those of a group share their sources (map -> map).

    Attributes:
        granularity: `layer`, `map` (map -> layer) or `mix` (map -> map).

    Raises:
        ConfigError: an empty or repeated name or one with ' -> ' in it, an unknown node, a repeated edge, a cycle, a
            strength that is not a finite number, or map edges that fit neither the edges nor each other.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("input", "head", 0.5), ("lego1", "head", 1.0)))
        >>> w.sources("head")
        ('input', 'lego1')
        >>> Wiring.from_json(w.to_json()) == w
        True
        >>> pruned = Wiring(w.nodes, w.edges[1:], {("lego1", "head"): [0.5, 0.0, 0.25]})
        >>> pruned.granularity, pruned.count()
        ('map', 2)
    """

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    maps: Mapping[tuple[str, str], NDArray[np.float32]]

    def __init__(
        self,
        nodes: Sequence[str],
        edges: Iterable[tuple[str, str, float]],
        maps: Mapping[tuple[str, str], ArrayLike] | None = None,
    ) -> None:
        nodes = tuple(nodes)
        if not all(isinstance(n, str) and n for n in nodes):
            raise ConfigError(f"wiring: node names must be non-empty strings, got {nodes!r}")
        if joined := next((n for n in nodes if _ARROW in n), None):
            raise ConfigError(f"wiring: node {joined!r} holds {_ARROW!r}, which is between the names of an edge")
        order = {name: i for i, name in enumerate(nodes)}
        if len(order) != len(nodes):
            raise ConfigError(f"wiring: node {_repeated(nodes)!r} is listed twice; name every node once")
        checked = [_edge(e) for e in edges]
        for e in checked:
            for end in (e.source, e.target):
                if end not in order:
                    raise ConfigError(f"wiring: edge {e.source} -> {e.target} names unknown node {end!r}")
            if not math.isfinite(e.strength):
                raise ConfigError(f"wiring: edge {e.source} -> {e.target} has strength {e.strength}; it must be finite")
        pairs = [(e.source, e.target) for e in checked]
        if len(set(pairs)) != len(pairs):
            source, target = _repeated(pairs)
            raise ConfigError(f"wiring: edge {source} -> {target} is listed twice; keep one")
        if any(order[e.source] >= order[e.target] for e in checked):
            nodes = _in_order(nodes, pairs)
            order = {name: i for i, name in enumerate(nodes)}
        # one order for equal wirings, so that they compare, hash and print alike
        checked.sort(key=lambda e: (order[e.target], order[e.source]))
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "edges", tuple(checked))
        object.__setattr__(self, "maps", _map_edges(checked, maps) if maps else {})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Wiring):
            return NotImplemented
        same = (self.nodes, self.edges, self.maps.keys()) == (other.nodes, other.edges, other.maps.keys())
        return same and all(np.array_equal(own, other.maps[pair]) for pair, own in self.maps.items())

    def __hash__(self) -> int:
        return hash((self.nodes, self.edges, self.map_bytes()))

    @property
    def granularity(self) -> str:
        """The granularity of the edges: `layer`, `map` (map -> layer) or `mix` (map -> map)."""
        return ("mix" if next(iter(self.maps.values())).ndim == 2 else "map") if self.maps else "layer"

    def count(self) -> int:
        """Count the edges at the finest granularity known; maps that share their sources count once."""
        return sum(int(np.count_nonzero(array)) for array in self.maps.values()) if self.maps else len(self.edges)

    def sources(self, target: str) -> tuple[str, ...]:
        """List the nodes that `target` reads, in node order."""
        return tuple(e.source for e in self.edges if e.target == target)

    def strengths(self) -> dict[tuple[str, str], float]:
        """Map (source, target) to strength."""
        return {(e.source, e.target): e.strength for e in self.edges}

    def keep(self, pairs: Iterable[tuple[str, str]]) -> Wiring:
        """Keep the nodes and only these (source, target) pairs; a pair that is no edge is refused by name."""
        wanted, edges = set(pairs), self.strengths()
        for source, target in sorted(wanted - edges.keys()):
            raise ConfigError(f"wiring: there is no edge {source} -> {target} to keep")
        return Wiring(
            self.nodes,
            tuple(e for e in self.edges if (e.source, e.target) in wanted),
            {pair: strength for pair, strength in self.maps.items() if pair in wanted},
        )

    def to_json(self) -> str:
        """Write JSON text, the same for equal wirings; of map edges it holds the digest of `map_bytes` alone."""
        edges = [{"source": e.source, "target": e.target, "strength": e.strength} for e in self.edges]
        raw: dict[str, Any] = {"format": FORMAT, "nodes": list(self.nodes), "edges": edges}
        if self.maps:
            raw |= {"granularity": self.granularity, "maps_sha256": hashlib.sha256(self.map_bytes()).hexdigest()}
        return json.dumps(raw, indent=1)

    def map_bytes(self) -> bytes:
        """Write the map edges as safetensors, an array for each edge, named `source -> target`; empty without any."""
        return save({f"{s}{_ARROW}{t}": strength for (s, t), strength in self.maps.items()}) if self.maps else b""

    @classmethod
    def from_json(cls, text: str | bytes, maps: bytes = b"") -> Wiring:
        """Read `to_json`'s text, and `map_bytes`' where there are map edges; anything else raises a ConfigError."""
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"wiring: this is not JSON ({error})") from None
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ConfigError(f'wiring: expected a JSON object with "format": "{FORMAT}"')
        nodes, edges = raw.get("nodes"), raw.get("edges")
        if not isinstance(nodes, list) or not isinstance(edges, list):
            raise ConfigError('wiring: "nodes" and "edges" must be lists')
        for e in edges:
            if not isinstance(e, dict) or not set(Edge._fields) <= e.keys():
                raise ConfigError(f'wiring: an edge is {{"source", "target", "strength"}}, got {json.dumps(e)}')
        arrays = None
        if "maps_sha256" in raw or maps:
            if hashlib.sha256(maps).hexdigest() != raw.get("maps_sha256"):
                missing = "are missing" if not maps else "are those of another wiring"
                raise ConfigError(f"wiring: its map edges {missing}; they lie in the safetensors file written with it")
            try:
                arrays = {_pair(name): array for name, array in load(maps).items()}
            except SafetensorError as error:
                raise ConfigError(f"wiring: its map edges are not safetensors ({error})") from None
        return cls(tuple(nodes), tuple(Edge(e["source"], e["target"], e["strength"]) for e in edges), arrays)

    def to_networkx(self) -> nx.DiGraph:
        """Make a `networkx.DiGraph` with the same nodes and edges; the edge attribute is `strength`."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from(self.nodes)
        graph.add_edges_from((e.source, e.target, {"strength": e.strength}) for e in self.edges)
        return graph


def _edge(raw: Any) -> Edge:
    if isinstance(raw, str) or not isinstance(raw, Sequence) or len(raw) != 3:
        raise ConfigError(f"wiring: an edge is (source, target, strength), got {raw!r}")
    source, target, strength = raw
    if not isinstance(source, str) or not isinstance(target, str):
        raise ConfigError(f"wiring: an edge joins two named nodes, got {raw!r}")
    if isinstance(strength, bool) or not isinstance(strength, Real):
        raise ConfigError(f"wiring: edge {source} -> {target} has strength {strength!r}; it must be a number")
    try:
        return Edge(source, target, float(strength) + 0.0)  # -0.0 becomes 0.0
    except OverflowError:
        raise ConfigError(f"wiring: edge {source} -> {target} has a strength too large for a float") from None


def _map_edges(edges: Sequence[Edge], maps: Mapping[tuple[str, str], ArrayLike]) -> dict[tuple[str, str], Any]:
    """Check map edges: all edges have them, all of one granularity, all of one source or target of one size."""
    pairs = [(e.source, e.target) for e in edges]
    for source, target in [*(maps.keys() - set(pairs)), *(set(pairs) - maps.keys())]:
        lack = "is no edge" if (source, target) in maps else "has none"
        raise ConfigError(f"wiring: map edges are given for all edges or for none, and {source} -> {target} {lack}")
    checked: dict[tuple[str, str], Any] = {}
    sizes: dict[tuple[str, str], int] = {}
    for source, target in pairs:
        what = f"wiring: the map edges {source} -> {target}"
        try:
            array = np.array(maps[source, target], dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
        except (TypeError, ValueError):
            raise ConfigError(f"{what} must be an array of numbers") from None
        if array.ndim not in (1, 2) or array.ndim != next(iter(checked.values()), array).ndim:
            raise ConfigError(f"{what} have shape {array.shape}; all must be (maps,), or all (groups of maps, maps)")
        if not np.isfinite(array).all():
            raise ConfigError(f"{what} must be finite")
        if not array.any():
            raise ConfigError(f"{what} are all 0; leave the edge out")
        ends = [("source", source, array.shape[-1]), *([("target", target, len(array))] if array.ndim == 2 else [])]
        for end, name, size in ends:
            if sizes.setdefault((end, name), size) != size:
                raise ConfigError(f"{what} have shape {array.shape}, but another edge has {sizes[end, name]} at {name}")
        array.setflags(write=False)
        checked[source, target] = array
    return checked


def _pair(name: str) -> tuple[str, str]:
    source, arrow, target = name.partition(_ARROW)
    if not arrow:
        raise ConfigError(f"wiring: map edges are named 'source -> target', got {name!r}")
    return source, target


def _repeated(items: Sequence[Any]) -> Any:
    return next(item for i, item in enumerate(items) if item in items[:i])


def _in_order(nodes: Sequence[str], pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Sort topologically, keeping the order of `nodes` where it can be kept."""
    order, pairs = {name: i for i, name in enumerate(nodes)}, list(pairs)
    if all(order[source] < order[target] for source, target in pairs):
        return tuple(nodes)
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(pairs)
    try:
        return tuple(nx.lexicographical_topological_sort(graph, key=order.__getitem__))
    except nx.NetworkXUnfeasible:
        cycle = [source for source, _ in nx.find_cycle(graph)]
        raise ConfigError(f"wiring: {' -> '.join([*cycle, cycle[0]])} is a cycle; a wiring must be acyclic") from None
