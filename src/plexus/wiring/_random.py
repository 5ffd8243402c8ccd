"""Wirings to compare with: random ones and a residual one."""

from __future__ import annotations

import torch

from plexus.errors import ConfigError
from plexus.graph import HEAD, INPUT, Edge, Wiring


def names(legos: int) -> tuple[str, ...]:
    """The nodes of a stack: `input, lego1, ..., head`."""
    return (INPUT, *(f"lego{i}" for i in range(1, legos + 1)), HEAD)


def random_wiring(legos: int, edges: int, generator: torch.Generator) -> Wiring:
    """The chain and random skips, `edges` connections in all, every choice of skips equally likely.

    Args:
        legos: how many legos the stack has.
        edges: connections wanted: at least one per lego, at most legos (legos + 3) / 2.
        generator: source of randomness.

    Raises:
        ConfigError: `edges` out of range.

    Example:
        >>> len(random_wiring(9, 20, torch.Generator().manual_seed(0)).edges)
        20
    """
    nodes = names(legos)
    chain = list(zip(nodes[1:-1], nodes[2:], strict=True))
    skips = [(s, t) for j, t in enumerate(nodes[2:], 2) for s in nodes[: j - 1]]
    if not legos <= edges <= legos + len(skips):
        raise ConfigError(f"random_wiring: {edges} edges do not fit {legos} legos; {legos} to {legos + len(skips)} do")
    picked = torch.randperm(len(skips), generator=generator)[: edges - legos].tolist()
    return Wiring(nodes, tuple(Edge(s, t) for s, t in chain + [skips[i] for i in picked]))


def residual_wiring(legos: int) -> Wiring:
    """The chain with a skip over every pair of legos, as in a residual net.

    Example:
        >>> len(residual_wiring(15).edges)
        22
    """
    nodes = names(legos)
    pairs = list(zip(nodes[1:-1], nodes[2:], strict=True))
    pairs += [(nodes[i - 2], nodes[i + 1]) for i in range(3, legos + 1, 2)]
    return Wiring(nodes, tuple(Edge(s, t) for s, t in pairs))
