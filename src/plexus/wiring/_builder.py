"""Builds a plain `torch.fx` graph lego by lego, keeping account of what each tensor of maps still owes."""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from plexus.nn import Connection
from plexus.nn import functional as PF
from plexus.nn._lego import folds_into, passes
from plexus.wiring._parts import flat

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


@dataclass(frozen=True)
class Maps:
    """A node of the graph whose value stands for `scale * value`, spread to `index` among `total` maps, zero elsewhere."""

    node: fx.Node
    example: Tensor
    total: int
    index: tuple[int, ...] | None = None
    scale: Tensor | None = None

    @property
    def owes(self) -> bool:
        return self.index is not None or self.scale is not None


class Builder:
    """The graph under construction, the modules it calls, and one blank batch that is computed along with it."""

    def __init__(self, example: Tensor, *, fold: bool) -> None:
        self.graph, self.fold = fx.Graph(), fold
        self.parts: dict[str, Any] = {}
        self._fitted: dict[tuple[fx.Node, tuple[int, ...]], Maps] = {}
        self.input = Maps(self.graph.placeholder("x"), example, example.shape[1])

    # one operation each

    def call(self, function: Any, maps: Maps, *args: Any, **kwargs: Any) -> Maps:
        node = self.graph.call_function(function, (maps.node, *args), kwargs)
        return replace(maps, node=node, example=function(maps.example, *args, **kwargs))

    def module(self, layer: nn.Module, maps: Maps, name: str) -> Maps:
        self.parts[name] = layer
        return replace(maps, node=self.graph.call_module(name, (maps.node,)), example=layer(maps.example))

    def constant(self, value: Tensor, name: str) -> fx.Node:
        self.parts[name] = value
        return self.graph.get_attr(name)

    def scaled(self, maps: Maps, factor: Tensor, name: str) -> Maps:
        """Maps times a factor, () or one per map."""
        if factor.dim() == 0 or bool((factor == factor[0]).all()):
            value = factor.flatten()[0].item()
            return maps if value == 1 else self.call(operator.mul, maps, value)
        shaped = factor.view(1, -1, *[1] * (maps.example.dim() - 2)).clone()
        node = self.graph.call_function(operator.mul, (maps.node, self.constant(shaped, name)))
        return replace(maps, node=node, example=maps.example * shaped)

    def settled(self, maps: Maps, name: str) -> Maps:
        """The maps with everything they owe paid: factors multiplied in, zeros put where maps were cut."""
        if maps.scale is not None:
            maps = replace(self.scaled(maps, maps.scale, f"{name}_scale"), scale=None)
        if maps.index is not None:
            have = {original: here for here, original in enumerate(maps.index)}
            order = torch.tensor([have.get(c, len(have)) for c in range(maps.total)], device=maps.example.device)
            padded = self.call(F.pad, maps, [0, 0] * (maps.example.dim() - 2) + [0, 1])
            node = self.graph.call_function(torch.index_select, (padded.node, 1, self.constant(order, f"{name}_order")))
            maps = Maps(node, padded.example.index_select(1, order), maps.total)
        return maps

    # layers

    def layers(self, module: nn.Module, maps: Maps, name: str, reader: nn.Module) -> Maps:
        """A lego or head, leaf by leaf."""
        for i, leaf in enumerate(flat(module)):
            maps = self.layer(leaf, maps, f"{name}_{i}" if module is not leaf else name)
        return maps

    def layer(self, leaf: nn.Module, maps: Maps, name: str) -> Maps:
        leaf = copy.deepcopy(leaf)
        if maps.owes:
            positive = maps.scale is None or bool((maps.scale >= 0).all())
            if folds_into(leaf) or (type(leaf) is nn.Linear and maps.example.dim() == 2):
                return self.module(_folded(leaf, maps), Maps(maps.node, maps.example, leaf.weight.shape[0]), name)
            if passes(leaf, positive=positive):
                return self.module(leaf, maps, name)
            if type(leaf) is nn.Flatten and (leaf.start_dim, leaf.end_dim) in ((1, -1), (1, maps.example.dim() - 1)):
                return self.module(leaf, _flattened(maps), name)
            maps = self.settled(maps, name)
        if type(leaf).__module__.startswith("torch.nn"):
            out = self.module(leaf, maps, name)
        else:
            out = self._inlined(leaf, maps, name)
        return Maps(out.node, out.example, out.example.shape[1])

    def _inlined(self, module: nn.Module, maps: Maps, name: str) -> Maps:
        """A module of the user's as the torch operations it is made of; kept whole where it cannot be traced."""
        try:
            traced = fx.symbolic_trace(module)
        except Exception:  # tracing runs the user's forward on symbols: any error of theirs can come out
            return self.module(module, maps, name)
        seen: dict[fx.Node, Any] = {}
        for node in traced.graph.nodes:
            if node.op == "placeholder":
                seen[node] = maps.node
            elif node.op == "output":
                return replace(maps, node=seen[node.args[0]], example=module(maps.example))
            else:
                seen[node] = self.graph.node_copy(node, lambda n: seen[n])
                if node.op in ("call_module", "get_attr"):
                    seen[node].target = f"{name}_{node.target.replace('.', '_')}"
                    self.parts[seen[node].target] = reduce(getattr, node.target.split("."), traced)
        raise AssertionError("a traced graph ends in its output")

    # connections

    def merge(
        self,
        connection: Connection,
        sources: Sequence[Maps | None],
        size: tuple[int, ...],
        name: str,
        reader: nn.Module | None,
    ) -> Maps:
        """The connection over the sources that stay; None marks a cut one."""
        kept = [(k, self.fit(connection, s, size)) for k, s in enumerate(sources) if s is not None]
        gates = [g.detach() for g in connection.split_gates()]
        owed = {k: gates[k] if s.scale is None else gates[k] * s.scale for k, s in kept if s.index is None}
        if connection.merge == "sum":
            merged = self._sum(connection, kept, owed, name)
        elif connection.merge == "max":
            merged = self._max(connection, kept, owed, name, cut=len(kept) < len(sources))
        else:
            merged = self._concat(connection, kept, gates)
            if connection.squeeze is not None:
                conv = _pointwise(connection.squeeze.weight, len(size))
                folded = _folded(conv, merged)
                merged = self.module(
                    folded, Maps(merged.node, merged.example, connection.out_channels), f"{name}_squeeze"
                )
        if self.fold or merged.scale is None:
            return merged
        return replace(self.scaled(merged, merged.scale, f"{name}_gates"), scale=None)

    def fit(self, connection: Connection, maps: Maps, size: tuple[int, ...]) -> Maps:
        """Maps at a spatial size, each source brought to it once, from the smallest version that serves."""
        here = tuple(maps.example.shape[2:])
        if here == size:
            return maps
        key = (maps.node, size)
        if key not in self._fitted:
            if connection.size == "smallest" and connection.resize == "area":
                steps = [s for n, s in self._fitted if n is maps.node and _divides(size, s) and _divides(s, here)]
                base = self._fitted[maps.node, min(steps)] if steps else maps
                self._fitted[key] = self._area(base, size)
            elif connection.size == "smallest":
                mode = {1: {"bilinear": "linear"}, 3: {"bilinear": "trilinear"}}.get(len(size), {}).get(
                    connection.resize, connection.resize
                )
                corners = {} if mode == "nearest" else {"align_corners": False}
                self._fitted[key] = self.call(F.interpolate, maps, size=list(size), mode=mode, **corners)
            else:
                self._fitted[key] = self.call(F.pad, maps, PF.padding(here, size))
        return replace(self._fitted[key], index=maps.index, scale=maps.scale)

    def _area(self, maps: Maps, size: tuple[int, ...]) -> Maps:
        here = tuple(maps.example.shape[2:])
        if _divides(size, here):
            return self.call(_AVG_POOL[len(size)], maps, [a // b for a, b in zip(here, size, strict=True)])
        return self.call(_ADAPTIVE[len(size)], maps, list(size))

    def _widened(self, maps: Maps, channels: int) -> Maps:
        missing = channels - maps.example.shape[1]
        return maps if missing == 0 else self.call(F.pad, maps, [0, 0] * (maps.example.dim() - 2) + [0, missing])

    def _projected(self, connection: Connection, k: int, maps: Maps, factor: Tensor, name: str) -> tuple[Maps, Tensor]:
        """A source after its own 1x1 convolution, if it has one, and the factor it still owes."""
        maps = replace(self.settled(replace(maps, scale=None), name), scale=None)
        project = connection.projections[k]
        if not isinstance(project, nn.Linear):
            return maps, factor
        conv = _pointwise(project.weight * factor, maps.example.dim() - 2)
        return self.module(conv, maps, f"{name}_project{k}"), factor.new_ones(())

    def _sum(self, connection: Connection, kept: list[tuple[int, Maps]], owed: dict[int, Tensor], name: str) -> Maps:
        terms = [self._projected(connection, k, maps, owed[k], f"{name}_{k}") for k, maps in kept]
        terms = [
            (maps, f)
            if f.dim() == 0 or bool((f == f[0]).all())
            else (self.scaled(maps, f, f"{name}_{k}_gates"), f.new_ones(()))
            for (k, _), (maps, f) in zip(kept, terms, strict=True)
        ]
        terms.sort(key=lambda t: (-t[0].example.shape[1], -abs(t[1].flatten()[0].item())))
        base = terms[0][1].flatten()[0].item()
        if base == 0:
            base = 1.0
            total = self.scaled(self._widened(terms[0][0], connection.out_channels), terms[0][1].new_zeros(()), name)
        else:
            total = self._widened(terms[0][0], connection.out_channels)
        for maps, f in terms[1:]:
            alpha = f.flatten()[0].item() / base
            wide = self._widened(maps, connection.out_channels)
            extra = {} if alpha == 1 else {"alpha": alpha}
            node = self.graph.call_function(torch.add, (total.node, wide.node), extra)
            total = Maps(node, torch.add(total.example, wide.example, **extra), connection.out_channels)
        scale = None if base == 1 else torch.full((connection.out_channels,), base, device=total.example.device)
        return Maps(total.node, total.example, connection.out_channels, scale=scale)

    def _max(
        self, connection: Connection, kept: list[tuple[int, Maps]], owed: dict[int, Tensor], name: str, *, cut: bool
    ) -> Maps:
        total: Maps | None = None
        for k, maps in kept:
            maps, factor = self._projected(connection, k, maps, owed[k], f"{name}_{k}")
            wide = self._widened(self.scaled(maps, factor, f"{name}_{k}_gates"), connection.out_channels)
            if total is None:
                total = wide
            else:
                node = self.graph.call_function(torch.maximum, (total.node, wide.node))
                total = replace(total, node=node, example=torch.maximum(total.example, wide.example))
        assert total is not None
        total = Maps(total.node, total.example, connection.out_channels)
        return self.call(F.relu, total) if cut else total  # a gate of 0 still offers a 0 to the maximum

    def _concat(self, connection: Connection, kept: list[tuple[int, Maps]], gates: list[Tensor]) -> Maps:
        index: list[int] = []
        scales: list[Tensor] = []
        for k, maps in kept:
            own = maps.index or tuple(range(maps.total))
            index += [sum(connection.channels[:k]) + c for c in own]
            gate = gates[k].expand(connection.channels[k])[list(own)]
            scales.append(gate if maps.scale is None else gate * maps.scale)
        nodes, examples = [m.node for _, m in kept], [m.example for _, m in kept]
        node = nodes[0] if len(nodes) == 1 else self.graph.call_function(torch.cat, (nodes, 1))
        scale = torch.cat(scales)
        total = sum(connection.channels)
        whole = len(index) == total
        return Maps(
            node,
            torch.cat(examples, 1),
            total,
            None if whole else tuple(index),
            None if bool((scale == 1).all()) else scale,
        )

    def finish(self, maps: Maps) -> fx.GraphModule:
        self.graph.output(self.settled(maps, "out").node)
        self.graph.lint()
        module = fx.GraphModule(self.parts, self.graph, class_name="Net")
        module.graph.eliminate_dead_code()
        module.recompile()
        module.delete_all_unused_submodules()
        return module


def _divides(small: Sequence[int], big: Sequence[int]) -> bool:
    return all(b % a == 0 for a, b in zip(small, big, strict=True))


def _pointwise(kernel: Tensor, axes: int) -> nn.Module:
    conv = _CONV[axes](kernel.shape[1], kernel.shape[0], 1, bias=False, device=kernel.device)
    conv.weight = nn.Parameter(kernel.detach().clone().view(*kernel.shape, *[1] * axes))
    return conv


def _folded(layer: Any, maps: Maps) -> nn.Module:
    """A convolution or linear layer that reads `maps` as they are: input slices picked and scaled."""
    weight = layer.weight.detach()
    if maps.index is not None:
        weight = weight[:, list(maps.index)]
    if maps.scale is not None:
        weight = weight * maps.scale.to(weight.dtype).view(1, -1, *[1] * (weight.dim() - 2))
    layer.weight = nn.Parameter(weight.clone(), requires_grad=layer.weight.requires_grad)
    setattr(layer, "in_features" if isinstance(layer, nn.Linear) else "in_channels", weight.shape[1])
    return layer  # type: ignore[no-any-return]


def _flattened(maps: Maps) -> Maps:
    """What maps owe once flattened: every spatial place of a map owes what the map did."""
    places = maps.example[0, 0].numel()
    index = maps.index and tuple(c * places + p for c in maps.index for p in range(places))
    scale = None if maps.scale is None else maps.scale.repeat_interleave(places)
    return replace(maps, total=maps.total * places, index=index, scale=scale)
