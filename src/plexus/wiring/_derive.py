"""From a trained supernet and a wiring to a plain torch module."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from plexus.errors import ConfigError
from plexus.graph import HEAD, INPUT, Wiring
from plexus.nn import Supernet
from plexus.wiring._builder import Builder, Maps
from plexus.wiring._parts import connections, split


def derive(net: nn.Module, wiring: Wiring, *, fold: bool = True) -> nn.Module:
    """The net that a wiring picks from a supernet, as plain torch modules: no gates, no class of plexus.

    A cut edge counts as a gate of 0, so with nothing cut the result computes what the supernet does (to about 1e-6 in
    float32). Layers that do not reach the head are left out. Weights are copied.

    With `fold`, gates go into the kernel slices of the next convolution or linear layer, through max-pool, average-pool,
    ReLU and dropout on the way (they commute with factors >= 0); a sum keeps one factor per source but the first. What
    is left is multiplied in as a constant.

    Args:
        net: a `Supernet`, or a classifier with one as `.body` and a `.head`.
        wiring: which edges stay; strengths are not read.
        fold: False multiplies every gate in where it stands.

    Returns:
        A `torch.fx.GraphModule`, in the training or evaluation mode of `net`, trainable, exportable.

    Raises:
        ConfigError: the wiring names a node or an edge the net lacks, or leaves a layer that is read without an input.

    Example:
        >>> from plexus.nn import Supernet
        >>> net = Supernet([nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()], (3, 8, 8))
        >>> plain = derive(net, net.wiring())
        >>> x = torch.randn(2, 3, 8, 8)
        >>> torch.allclose(plain(x), net(x), atol=1e-6)
        True
    """
    body, head = split(net)
    alive = _alive(body, wiring)
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        with torch.no_grad():
            graph_module = _build(body, head, wiring, alive, fold)
    finally:
        for module, training in modes.items():
            module.training = training
    return graph_module.train(net.training)


def rebuild(
    legos: Sequence[nn.Module], wiring: Wiring, in_shape: Sequence[int], **connection_options: Any
) -> nn.Module:
    """A wiring as a net of its own, with fresh weights and every gate at 1: "try it exclusively".

    Args:
        legos: the stack the wiring was found on, `lego1` first; copied, resized to what they still read, and re-initialised.
        wiring: which edges to build.
        in_shape: one image's shape, (C, *spatial).
        **connection_options: as for `Supernet`; `merge` and `size` shape the net, gates do not matter.

    Returns:
        A plain `torch.fx.GraphModule`, in training mode.

    Raises:
        ConfigError: as for `Supernet` and `derive`.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("lego1", "head", 1.0),))
        >>> rebuild([nn.LazyConv2d(4, 3)], w, (3, 8, 8))(torch.ones(1, 3, 8, 8)).shape
        torch.Size([1, 4, 6, 6])
    """
    options = {k: v for k, v in connection_options.items() if k not in ("init", "gate_init", "activation", "gate")}
    body = Supernet(copy.deepcopy(list(legos)), in_shape, activation="none", init=1.0, **options)
    return fresh(derive(body.train(), wiring))


def fresh(net: nn.Module) -> nn.Module:
    """The same net with every layer's own initialisation drawn anew, from torch's global generator; in place."""
    for module in net.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return net


def _alive(body: Supernet, wiring: Wiring) -> set[str]:
    """Nodes the head depends on; checks the wiring against the net."""
    known = body.node_names()
    for name in wiring.nodes:
        if name not in known:
            raise ConfigError(f"derive: the wiring's node {name!r} is not in the net, which has {', '.join(known)}")
    order = {name: i for i, name in enumerate(known)}
    for e in wiring.edges:
        if order[e.source] >= order[e.target] or e.target == known[1]:
            raise ConfigError(f"derive: the net has no connection {e.source} -> {e.target}")
    alive, todo = {HEAD}, [HEAD]
    while todo:
        name = todo.pop()
        sources = wiring.sources(name)
        if not sources and name not in (INPUT, known[1]):
            raise ConfigError(f"derive: {name} is read but has no input in this wiring; keep at least one edge into it")
        for source in sources:
            if source not in alive:
                alive.add(source)
                todo.append(source)
    return alive


def _build(body: Supernet, head: nn.Module | None, wiring: Wiring, alive: set[str], fold: bool) -> fx.GraphModule:
    names = body.node_names()
    device = body.connections[0].weight.device
    builder = Builder(torch.zeros(2, *body.in_shape, device=device), fold=fold)  # type: ignore[arg-type]
    sizes = _sizes(body, device)  # type: ignore[arg-type]
    outputs: dict[str, Maps] = {INPUT: builder.input}
    if names[1] in alive:
        outputs[names[1]] = builder.layers(body.legos[0], builder.input, names[1], body.legos[0])
    for (target, connection, lego), size in zip(connections(body), sizes, strict=True):
        if target not in alive:
            continue
        kept = set(wiring.sources(target))
        sources = [outputs.get(name) if name in kept else None for name in names[: len(connection.channels)]]
        reader = lego if lego is not None else head
        merged = builder.merge(connection, sources, size, target, reader)
        outputs[target] = merged if reader is None else builder.layers(reader, merged, target, reader)
    return builder.finish(outputs[HEAD])


def _sizes(body: Supernet, device: torch.device) -> list[tuple[int, ...]]:
    """The spatial size of every connection's result for the shape the net was built for."""
    body(torch.zeros(2, *body.in_shape, device=device))
    return body._sizes[body.in_shape[1:]]
