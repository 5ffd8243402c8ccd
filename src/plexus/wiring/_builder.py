"""A plain `torch.fx` graph under construction, with an account of what each tensor of maps still owes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Maps:
    """A node of the graph; its value stands for `scale * value`, spread to `index` among `total` maps, zero elsewhere.

    Args:
        node: where the value is computed.
        example: the value for a blank batch, (N, C, *spatial) or, once flattened, (N, C).
        total: maps that it stands for.
        index: which of these the C maps are; None for all.
        scale: a factor for each of the C maps; None for 1.
    """

    node: fx.Node
    example: Tensor
    total: int
    index: tuple[int, ...] | None = None
    scale: Tensor | None = None

    @classmethod
    def plain(cls, node: fx.Node, example: Tensor) -> Maps:
        """A value that owes nothing."""
        return cls(node, example, example.shape[1])

    @property
    def owes(self) -> bool:
        """Whether the value differs from what it stands for."""
        return self.index is not None or self.scale is not None

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial size."""
        return tuple(self.example.shape[2:])


class Builder:
    """The graph, the modules and constants it calls, and one blank batch that is computed along with it.

    Args:
        example: the blank batch, (N, C, *spatial).
        fresh: whether all weights will be drawn anew, so that what they are now need not be kept.
    """

    def __init__(self, example: Tensor, *, fresh: bool = False) -> None:
        self.fresh = fresh
        self.graph = fx.Graph()
        self.parts: dict[str, Any] = {}
        self.fitted: dict[tuple[fx.Node, tuple[int, ...]], Maps] = {}
        self.shared: set[fx.Node] = set()
        self.input = Maps.plain(self.graph.placeholder("x"), example)

    def call(self, function: Callable[..., Any], maps: Maps, *args: Any, **kwargs: Any) -> Maps:
        """function(maps, ...), which leaves the maps' number and debts as they are."""
        node = self.graph.call_function(function, (maps.node, *args), kwargs)
        return replace(maps, node=node, example=function(maps.example, *args, **kwargs))

    def pair(self, function: Callable[..., Any], a: Maps, b: Maps, **kwargs: Any) -> Maps:
        """function(a, b, ...) of two values that owe nothing."""
        node = self.graph.call_function(function, (a.node, b.node), kwargs)
        return Maps.plain(node, function(a.example, b.example, **kwargs))

    def module(self, layer: nn.Module, maps: Maps, name: str) -> Maps:
        """layer(maps), which leaves the maps' number and debts as they are."""
        name = self.add(layer, name)
        return replace(maps, node=self.graph.call_module(name, (maps.node,)), example=layer(maps.example))

    def constant(self, value: Tensor, name: str) -> fx.Node:
        """A tensor that the net holds as a buffer."""
        return self.graph.get_attr(self.add(value, name))

    def add(self, part: Any, name: str) -> str:
        """Holds a module or tensor under this name, or the next that is free."""
        while name in self.parts:
            name += "_"
        self.parts[name] = part
        return name

    def scaled(self, maps: Maps, factor: Tensor, name: str) -> Maps:
        """Maps times a factor, () or one per map."""
        if uniform(factor):
            value = factor.flatten()[0].item()
            return maps if value == 1 else self.call(operator.mul, maps, value)
        shaped = factor.view(1, -1, *[1] * (maps.example.dim() - 2)).clone()
        node = self.graph.call_function(operator.mul, (maps.node, self.constant(shaped, name)))
        return replace(maps, node=node, example=maps.example * shaped)

    def unscaled(self, maps: Maps, name: str) -> Maps:
        """The maps with their factors multiplied in."""
        return maps if maps.scale is None else replace(self.scaled(maps, maps.scale, f"{name}_scale"), scale=None)

    def settled(self, maps: Maps, name: str) -> Maps:
        """The maps with everything they owe paid: factors multiplied in, zeros put where maps were cut."""
        maps = self.unscaled(maps, name)
        if maps.index is None:
            return maps
        have = {original: here for here, original in enumerate(maps.index)}
        order = torch.tensor([have.get(c, len(have)) for c in range(maps.total)], device=maps.example.device)
        padded = self.widened(maps, len(have) + 1)
        node = self.graph.call_function(torch.index_select, (padded.node, 1, self.constant(order, f"{name}_order")))
        return Maps.plain(node, padded.example.index_select(1, order))

    def widened(self, maps: Maps, channels: int) -> Maps:
        """The value followed by maps of zeros until there are so many."""
        missing = channels - maps.example.shape[1]
        return maps if missing == 0 else self.call(F.pad, maps, [0, 0] * (maps.example.dim() - 2) + [0, missing])

    def finish(self, maps: Maps) -> fx.GraphModule:
        """The net that returns these maps."""
        self.graph.output(maps.node)
        self.graph.lint()
        module = fx.GraphModule(self.parts, self.graph, class_name="Net")
        module.graph.eliminate_dead_code()
        module.recompile()
        module.delete_all_unused_submodules()
        return module


def uniform(factor: Tensor) -> bool:
    """Whether a factor, () or one per map, is the same for all."""
    return factor.dim() == 0 or bool((factor == factor[0]).all())


def folded(layer: Any, maps: Maps) -> nn.Module:
    """A convolution or linear layer changed to read `maps` as they are: input slices picked and scaled."""
    weight = layer.weight.detach()
    if maps.index is not None:
        weight = weight[:, list(maps.index)]
    if maps.scale is not None:
        weight = weight * maps.scale.to(weight.dtype).view(1, -1, *[1] * (weight.dim() - 2))
    layer.weight = nn.Parameter(weight.clone(), requires_grad=layer.weight.requires_grad)
    setattr(layer, "in_features" if isinstance(layer, nn.Linear) else "in_channels", weight.shape[1])
    return layer


def pointwise(kernel: Tensor, axes: int) -> nn.Module:
    """A 1x1 convolution with this kernel, (M, C)."""
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[axes]
    conv: nn.Module = kind(kernel.shape[1], kernel.shape[0], 1, bias=False, device=kernel.device, dtype=kernel.dtype)
    conv.weight = nn.Parameter(kernel.detach().clone().view(*kernel.shape, *[1] * axes))
    return conv


def nodes(maps: Sequence[Maps]) -> list[fx.Node]:
    """Where these are computed."""
    return [m.node for m in maps]
