"""A plain `torch.fx` graph under construction, with an account of what each of its values still owes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Value:
    """A node of the graph; it stands for `scale * value`, spread to `index` among `channels`, zero elsewhere.

    The two debts, a factor per channel and channels that were cut, travel along until something takes them for free:
    a kernel whose slices are picked and scaled, or the end of the net.

    Args:
        node: computes the value.
        example: the value for a blank batch, (N, C, *spatial) or, once flattened, (N, C).
        channels: that it stands for.
        index: which of these the C channels are; None for all.
        scale: a factor for each of the C channels; None for 1.
    """

    node: fx.Node
    example: Tensor
    channels: int
    index: tuple[int, ...] | None = None
    scale: Tensor | None = None

    @classmethod
    def exact(cls, node: fx.Node, example: Tensor) -> Value:
        """Make a value that owes nothing."""
        return cls(node, example, example.shape[1])

    @property
    def owes(self) -> bool:
        """The value differs from what it stands for."""
        return self.index is not None or self.scale is not None

    @property
    def present(self) -> tuple[int, ...]:
        """The channels that are there, of those it stands for."""
        return tuple(range(self.channels)) if self.index is None else self.index

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial size."""
        return tuple(self.example.shape[2:])


class Builder:
    """The graph, the modules and constants it calls, and one blank batch that is computed along with it.

    Args:
        example: the blank batch, (N, C, *spatial).
        redrawn: all weights will be drawn anew, so that what they are now need not be kept.
        mix: how mixes are to be executed: `auto` | `fastest` | `dense` | `grouped`.

    Attributes:
        input: the images.
        mixes: the convolutions that stand for mixes, each with the standard deviation of its weights at the start.
        parts: modules and constants by name.
        resized: (node, size) -> what was brought to that size already, so that no source is resampled twice.
        shared: nodes that somebody reads later, too, so that nobody may write into them.
    """

    def __init__(self, example: Tensor, *, redrawn: bool = False, mix: str = "auto") -> None:
        self.redrawn, self.mix = redrawn, mix
        self.mixes: list[tuple[nn.Module, Tensor]] = []
        self.graph = fx.Graph()
        self.parts: dict[str, Any] = {}
        self.resized: dict[tuple[fx.Node, tuple[int, ...]], Value] = {}
        self.input = Value.exact(self.graph.placeholder("x"), example)
        self.shared: set[fx.Node] = {self.input.node}

    def call(self, function: Callable[..., Any], x: Value, *args: Any, **kwargs: Any) -> Value:
        """Add function(x, ...), which leaves the channels and their debts as they are."""
        node = self.graph.call_function(function, (x.node, *args), kwargs)
        return replace(x, node=node, example=function(x.example, *args, **kwargs))

    def call_on_two(self, function: Callable[..., Any], a: Value, b: Value, **kwargs: Any) -> Value:
        """Add function(a, b, ...) of two values that owe nothing."""
        node = self.graph.call_function(function, (a.node, b.node), kwargs)
        return Value.exact(node, function(a.example, b.example, **kwargs))

    def call_module(self, layer: nn.Module, x: Value, name: str) -> Value:
        """Add layer(x), which leaves the channels and their debts as they are."""
        name = self.hold(layer, name)
        return replace(x, node=self.graph.call_module(name, (x.node,)), example=layer(x.example))

    def pick(self, x: Value, places: Sequence[int], name: str) -> Value:
        """Take the channels at these places of those that are there; the result owes nothing."""
        places, have = list(places), x.example.shape[1]
        first, count = places[0], len(places)
        if places == list(range(have)):
            return Value.exact(x.node, x.example)
        if places == list(range(first, first + count)):  # a view, where gathering would copy
            node = self.graph.call_function(torch.narrow, (x.node, 1, first, count))
            return Value.exact(node, x.example.narrow(1, first, count))
        order = torch.tensor(places, device=x.example.device)
        node = self.graph.call_function(torch.index_select, (x.node, 1, self.constant(order, name)))
        return Value.exact(node, x.example.index_select(1, order))

    def join(self, parts: Sequence[Value]) -> Value:
        """Set values side by side as they are; the result owes nothing."""
        if len(parts) == 1:
            return Value.exact(parts[0].node, parts[0].example)
        node = self.graph.call_function(torch.cat, ([x.node for x in parts], 1))
        return Value.exact(node, torch.cat([x.example for x in parts], 1))

    def constant(self, value: Tensor, name: str) -> fx.Node:
        """Add a tensor that the net holds as a buffer."""
        return self.graph.get_attr(self.hold(value, name))

    def hold(self, part: Any, name: str) -> str:
        """Keep a module or tensor under this name, or the next that is free; return it."""
        while (
            name in self.parts
        ):  # names of a user's own parts may collide with ours: lego1_0 of a Sequential, or theirs
            name += "_"
        self.parts[name] = part
        return name

    def multiply(self, x: Value, factor: Tensor, name: str) -> Value:
        """Multiply by a factor, () or one per channel; the debts stay."""
        if is_uniform(factor):
            # a number stands in the code: no buffer, and the value keeps its dtype whatever the factor's
            number = factor.flatten()[0].item()
            return x if number == 1 else self.call(operator.mul, x, number)
        shaped = factor.view(1, -1, *[1] * (x.example.dim() - 2)).clone()
        # a buffer, not a parameter: a gate that was learned and is now a constant, so that optimizers leave it alone
        node = self.graph.call_function(operator.mul, (x.node, self.constant(shaped, name)))
        return replace(x, node=node, example=x.example * shaped)

    def pay_scale(self, x: Value, name: str) -> Value:
        """Multiply in the factors that are owed."""
        return x if x.scale is None else replace(self.multiply(x, x.scale, f"{name}_scale"), scale=None)

    def pay(self, x: Value, name: str) -> Value:
        """Pay all that is owed: multiply factors in, put zeros where channels were cut."""
        x = self.pay_scale(x, name)
        if x.index is None:
            return x
        # One channel of zeros at the end, which all that were cut point to: a pad and a gather. A tensor of zeros to
        # write into would need the batch's size, and an operation in place.
        at = {channel: i for i, channel in enumerate(x.index)}
        order = torch.tensor([at.get(c, len(at)) for c in range(x.channels)], device=x.example.device)
        padded = self.pad_channels(x, len(at) + 1)
        node = self.graph.call_function(torch.index_select, (padded.node, 1, self.constant(order, f"{name}_order")))
        return Value.exact(node, padded.example.index_select(1, order))

    def pad_channels(self, x: Value, channels: int) -> Value:
        """Append channels of zeros until there are so many."""
        missing = channels - x.example.shape[1]
        return x if missing == 0 else self.call(F.pad, x, [0, 0] * (x.example.dim() - 2) + [0, missing])

    def finish(self, x: Value) -> fx.GraphModule:
        """Make the net that returns this value."""
        self.graph.output(x.node)
        self.graph.lint()
        module = fx.GraphModule(self.parts, self.graph, class_name="Net")
        module.graph.eliminate_dead_code()  # a module of the user's may compute what it does not use
        module.recompile()
        module.delete_all_unused_submodules()
        return module


def is_uniform(factor: Tensor) -> bool:
    """Tell whether a factor, () or one per channel, is the same for all."""
    return factor.dim() == 0 or bool((factor == factor[0]).all())
