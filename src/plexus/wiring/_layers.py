"""Puts legos and heads into a graph, layer by layer, pushing what the maps owe as far as it goes for free."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch import fx, nn

from plexus.nn import UNIT_LAYERS
from plexus.nn.scaling import keeps_scale, passes_scale
from plexus.wiring._builder import Builder, Maps, folded
from plexus.wiring._narrow import narrowed
from plexus.wiring._parts import flat
from plexus.wiring._trace import is_layer, trace


def apply(builder: Builder, module: nn.Module, maps: Maps, name: str) -> Maps:
    """A lego or head on maps that may owe something; its layers are copied, and become parts of the graph.

    Factors and missing maps go into the first kernel they meet; layers they commute with are passed. Before a unit or
    spherical layer factors are multiplied in, as its kernel has length 1; missing maps take their slices along.

    Args:
        builder: the graph under construction.
        module: the lego or head, in evaluation mode.
        maps: what it reads.
        name: of its layers in the graph.

    Returns:
        Its output.
    """
    leaves = flat(module)
    for i, leaf in enumerate(leaves):
        maps = _layer(builder, copy.deepcopy(leaf), maps, name if leaf is module else f"{name}_{i}")
    return maps


def _layer(builder: Builder, leaf: nn.Module, maps: Maps, name: str) -> Maps:
    layer = is_layer(leaf)
    if layer and hasattr(leaf, "inplace"):
        vars(leaf)["inplace"] = False  # a lego with one source reads it as it is, and so may others
    if maps.owes:
        positive = maps.scale is None or bool((maps.scale >= 0).all())
        if keeps_scale(leaf) or (type(leaf) is nn.Linear and maps.example.dim() == 2):
            out = builder.module(folded(leaf, maps), maps, name)
            return Maps.plain(out.node, out.example)
        if passes_scale(leaf, positive=positive):
            return builder.module(leaf, maps, name)
        if type(leaf) is nn.Flatten and leaf.start_dim == 1 and leaf.end_dim in (-1, maps.example.dim() - 1):
            return builder.module(leaf, _flattened(maps), name)
        if (
            type(leaf) in UNIT_LAYERS
            and maps.index is not None
            and (cut := narrowed(leaf, maps.index, fresh=builder.fresh))
        ):
            leaf, lengths = cut
            out = builder.module(leaf, builder.unscaled(maps, name), name)
            return replace(Maps.plain(out.node, out.example), scale=None if builder.fresh else lengths)
        maps = builder.settled(maps, name)
    if layer:
        out = builder.module(leaf, maps, name)
        return Maps.plain(out.node, out.example)
    return _custom(builder, leaf, maps, name)


def _flattened(maps: Maps) -> Maps:
    """What maps owe once flattened: every spatial place of a map owes what the map did."""
    places = maps.example[0, 0].numel()
    index = maps.index and tuple(c * places + p for c in maps.index for p in range(places))
    scale = None if maps.scale is None else maps.scale.repeat_interleave(places)
    return replace(maps, total=maps.total * places, index=index, scale=scale)


def _custom(builder: Builder, module: nn.Module, maps: Maps, name: str) -> Maps:
    """A module of the user's as the torch operations it is made of; kept whole where these cannot be told."""
    traced = _traced(module)
    if maps.node in builder.shared and (traced is None or _overwrites(traced)):
        maps = builder.call(torch.clone, maps)
    if traced is None:
        out = builder.module(module, maps, name)
        return Maps.plain(out.node, out.example)
    seen: dict[fx.Node, Any] = {}
    names: dict[str, str] = {}
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            seen[node] = maps.node
        elif node.op != "output":
            seen[node] = builder.graph.node_copy(node, seen.__getitem__)
            if node.op in ("call_module", "get_attr"):
                if node.target not in names:
                    part = reduce(getattr, node.target.split("."), traced)
                    names[node.target] = builder.add(part, f"{name}_{node.target.replace('.', '_')}")
                seen[node].target = names[node.target]
    (result,) = next(node for node in traced.graph.nodes if node.op == "output").args
    return Maps.plain(seen[result], module(maps.example))


def _traced(module: nn.Module) -> fx.GraphModule | None:
    """The module as operations; None if it cannot be traced, or does other things in training than in evaluation."""
    try:
        training = trace(copy.deepcopy(module).train())  # tracing leaves constants in what it traces
        traced = trace(module)
    except Exception:  # it runs the user's forward on symbols: any error of theirs can come out
        return None
    plain = sum(node.op == "placeholder" for node in traced.graph.nodes) == 1
    return traced if plain and training.code == traced.code else None


def _overwrites(traced: fx.GraphModule) -> bool:
    """Whether some operation may write into its argument."""
    for node in traced.graph.nodes:
        target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        if node.op == "call_module":
            if getattr(traced.get_submodule(target), "inplace", False):
                return True
        elif (
            node.kwargs.get("inplace")
            or node.kwargs.get("out") is not None
            or (node.op.startswith("call") and (target.endswith("_") or target in _AUGMENTED))
        ):
            return True
    return False


_AUGMENTED = {f"i{name}" for name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "mod", "matmul")} | {"setitem"}
