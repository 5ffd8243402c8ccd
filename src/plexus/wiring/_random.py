"""Wirings to compare with: random ones and a residual one."""

from __future__ import annotations

from itertools import pairwise

import torch

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring, stack_nodes


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
    nodes = stack_nodes(legos)
    chain = list(pairwise(nodes[1:]))
    skips = [(s, t) for j, t in enumerate(nodes[2:], 2) for s in nodes[: j - 1]]
    if not legos <= edges <= legos + len(skips):
        raise ConfigError(f"random_wiring: {edges} edges do not fit {legos} legos; {legos} to {legos + len(skips)} do")
    picked = torch.randperm(len(skips), generator=generator)[: edges - legos].tolist()
    return Wiring(nodes, tuple(Edge(s, t) for s, t in chain + [skips[i] for i in picked]))


def residual_wiring(legos: int) -> Wiring:
    """The chain with a skip over every pair of legos, as in a residual net.

    Args:
        legos: how many layers.

    Example:
        >>> len(residual_wiring(15).edges)
        22
    """
    nodes = stack_nodes(legos)
    pairs = list(pairwise(nodes[1:]))
    pairs += [(nodes[i - 2], nodes[i + 1]) for i in range(3, legos + 1, 2)]
    return Wiring(nodes, tuple(Edge(s, t) for s, t in pairs))
