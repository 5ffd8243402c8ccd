"""The value that carries everything: a wiring, which layer reads which, and how strongly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import networkx as nx

from plexus.errors import ConfigError

FORMAT = "plexus.wiring/1"
INPUT, HEAD = "input", "head"


class Edge(NamedTuple):
    """One connection: `target` reads the output of `source` with this strength (unitless, 0 = not at all)."""

    source: str
    target: str
    strength: float = 1.0


@dataclass(frozen=True)
class Wiring:
    """A directed acyclic graph of layers whose edges carry a strength.

    Nodes are listed in an order in which the net can be computed: every edge points forward in it. A supernet of n
    legos has the nodes `input, lego1, ..., legon, head`; that `lego1` reads the input is not a choice and so no edge.

    Args:
        nodes: names, each once.
        edges: (source, target, strength) triples; `Edge` or any sequence of three. Their order does not matter.

    Raises:
        ConfigError: an empty or repeated name, an unknown node, a repeated edge, a cycle, or a strength that is not finite.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("input", "head", 0.5), ("lego1", "head", 1.0)))
        >>> w.sources("head")
        ('input', 'lego1')
        >>> Wiring.from_json(w.to_json()) == w
        True
    """

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        nodes = tuple(self.nodes)
        if not all(isinstance(n, str) and n for n in nodes):
            raise ConfigError(f"wiring: node names must be non-empty strings, got {nodes!r}")
        place = {name: i for i, name in enumerate(nodes)}
        if len(place) != len(nodes):
            raise ConfigError(f"wiring: node {_repeated(nodes)!r} is listed twice; name every node once")
        edges = [_edge(e) for e in self.edges]
        for e in edges:
            for end in (e.source, e.target):
                if end not in place:
                    raise ConfigError(f"wiring: edge {e.source} -> {e.target} names unknown node {end!r}")
            if not math.isfinite(e.strength):
                raise ConfigError(f"wiring: edge {e.source} -> {e.target} has strength {e.strength}; it must be finite")
        pairs = [(e.source, e.target) for e in edges]
        if len(set(pairs)) != len(pairs):
            source, target = _repeated(pairs)
            raise ConfigError(f"wiring: edge {source} -> {target} is listed twice; keep one")
        if any(place[e.source] >= place[e.target] for e in edges):
            nodes = _in_order(nodes, pairs)
            place = {name: i for i, name in enumerate(nodes)}
        edges.sort(key=lambda e: (place[e.target], place[e.source]))
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "edges", tuple(edges))

    def sources(self, target: str) -> tuple[str, ...]:
        """Names that `target` reads, in node order."""
        return tuple(e.source for e in self.edges if e.target == target)

    def strengths(self) -> dict[tuple[str, str], float]:
        """(source, target) -> strength."""
        return {(e.source, e.target): e.strength for e in self.edges}

    def keep(self, pairs: Iterable[tuple[str, str]]) -> Wiring:
        """The same nodes with only these (source, target) pairs; unknown pairs are refused by name."""
        wanted, known = set(pairs), self.strengths()
        for source, target in wanted - known.keys():
            raise ConfigError(f"wiring: there is no edge {source} -> {target} to keep")
        return Wiring(self.nodes, tuple(e for e in self.edges if (e.source, e.target) in wanted))

    def to_json(self) -> str:
        """JSON text, the same for equal wirings."""
        edges = [{"source": e.source, "target": e.target, "strength": e.strength} for e in self.edges]
        return json.dumps({"format": FORMAT, "nodes": list(self.nodes), "edges": edges}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Wiring:
        """Reads `to_json`'s text; anything else raises a ConfigError that says what is wrong."""
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"wiring: this is not JSON ({error})") from None
        if not isinstance(raw, Mapping) or raw.get("format") != FORMAT:
            raise ConfigError(f'wiring: expected a JSON object with "format": "{FORMAT}"')
        try:
            edges = tuple(Edge(e["source"], e["target"], e["strength"]) for e in raw["edges"])
            return cls(tuple(raw["nodes"]), edges)
        except (KeyError, TypeError) as error:
            raise ConfigError(f"wiring: nodes or edges are malformed ({error!r})") from None

    def to_networkx(self) -> nx.DiGraph:
        """A `networkx.DiGraph` with the same nodes and edges; the edge attribute is `strength`."""
        graph = nx.DiGraph()
        graph.add_nodes_from(self.nodes)
        graph.add_edges_from((e.source, e.target, {"strength": e.strength}) for e in self.edges)
        return graph


def _edge(raw: Any) -> Edge:
    if isinstance(raw, str) or not isinstance(raw, Sequence) or len(raw) != 3:
        raise ConfigError(f"wiring: an edge is (source, target, strength), got {raw!r}")
    source, target, strength = raw
    if isinstance(strength, bool) or not isinstance(strength, int | float):
        raise ConfigError(f"wiring: edge {source} -> {target} has strength {strength!r}; it must be a number")
    return Edge(source, target, float(strength))


def _repeated(items: Sequence[Any]) -> Any:
    return next(item for i, item in enumerate(items) if item in items[:i])


def _in_order(nodes: Sequence[str], pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """A topological order that keeps the given one where it can."""
    place = {name: i for i, name in enumerate(nodes)}
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(pairs)
    try:
        return tuple(nx.lexicographical_topological_sort(graph, key=place.__getitem__))
    except nx.NetworkXUnfeasible:
        cycle = [source for source, _ in nx.find_cycle(graph)]
        raise ConfigError(f"wiring: {' -> '.join([*cycle, cycle[0]])} is a cycle; a wiring must be acyclic") from None
