"""Layers put into a graph; gates and cuts go into the kernels that read them, where they can.

A gate is a factor per channel and a cut channel is a factor of 0, so both commute with whatever treats channels one by
one (pooling, dropout; ReLU for factors >= 0), and a kernel takes both in: conv(s * x, W) = conv(x, W with slices s W).
A channel that nobody reads is not even zero: its filter goes, and its entries in whatever treats channels one by one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from plexus.nn import UNIT_LAYERS
from plexus.nn.scaling import keeps_scale, kernel_of, passes_scale
from plexus.wiring._builder import Builder, Value
from plexus.wiring._inspect import is_layer, trace, unchained
from plexus.wiring._needs import CONVS, NORMS, Channels, Need, is_dense, keeps_apart

_AUGMENTED = {f"i{name}" for name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "mod", "matmul")} | {"setitem"}
_SHORTEST = 1e-2  # biases are divided by the lengths of slices


def carry(builder: Builder, made: Value | None, norm: nn.Module, stream: Value | None, need: Need, name: str) -> Value:
    """Add what a mix gives to the stream of a residual net.

    Args:
        builder: the graph under construction.
        made: the mix's result; None where all of it has been cut.
        norm: the batch norm behind it.
        stream: that it is added to; None where one begins.
        need: of the connection.
        name: of what is added to the graph.

    Returns:
        The stream behind it, with the channels that are asked for.
    """
    if made is not None:
        made = apply(builder, norm, made, (need.rows, need.rows), f"{name}_norm")
    if stream is None:
        assert made is not None, "a stream begins with something"
        return made
    at = {channel: place for place, channel in enumerate(stream.present)}
    rows = stream.present if need.rows is None else tuple(sorted(need.rows))
    kept = builder.pick(stream, [at[c] for c in rows], f"{name}_stream")
    if made is not None:
        kept = builder.call_on_two(torch.add, kept, made)
    return Value(kept.node, kept.example, stream.channels, None if len(rows) == stream.channels else rows)


def apply(builder: Builder, module: nn.Module, x: Value, asked: Sequence[Channels], name: str) -> Value:
    """Put a lego or head into the graph, on channels that may owe something; its layers are copied.

    Factors and missing channels go into the first kernel they meet; layers they commute with are passed. Before a unit
    or spherical layer factors are multiplied in, as its kernel has length 1; missing channels take their slices along.
    Filters that nobody asks for are left out, and what belongs to their channels further on.

    Args:
        builder: the graph under construction.
        module: the lego or head, in evaluation mode.
        x: what it reads.
        asked: the channels asked of what it reads, then of the output of each of its layers.
        name: of its layers in the graph.

    Returns:
        Its output.
    """
    for i, leaf in enumerate(unchained(module)):  # layer by layer, since debts go into the first that can take them
        x = _layer(builder, copy.deepcopy(leaf), x, asked[i : i + 2], name if leaf is module else f"{name}_{i}")
    return x


def _layer(builder: Builder, leaf: nn.Module, x: Value, asked: Sequence[Channels], name: str) -> Value:
    layer = is_layer(leaf)
    if layer and hasattr(leaf, "inplace"):
        vars(leaf)["inplace"] = False  # a lego with one source reads it as it is, and so may others
    # A linear layer reads the last axis, which are the channels only where nothing spatial is left.
    takes_debts = keeps_scale(leaf) or (type(leaf) is nn.Linear and x.example.dim() == 2)
    if is_dense(leaf) or (x.owes and takes_debts):
        return filtered(builder, with_debts(leaf, x) if x.owes else leaf, x, asked[1], name)
    if x.owes:
        positive = x.scale is None or bool((x.scale >= 0).all())
        if passes_scale(leaf, positive=positive):
            return builder.call_module(leaf, x, name)
        if x.index is not None and asked[0] is not None and asked[0] <= set(x.index) and keeps_apart(leaf):
            # what is missing was not cut to zero but is asked for by nobody, so that its part of the layer can go
            return _narrowed_layer(builder, leaf, builder.pay_scale(x, name), name)
        if type(leaf) is nn.Flatten and leaf.start_dim == 1 and leaf.end_dim in (-1, x.example.dim() - 1):
            return builder.call_module(leaf, _flattened(x), name)
        if type(leaf) in UNIT_LAYERS and x.index and (cut := _narrowed(leaf, x.index, redrawn=builder.redrawn)):
            narrow, lengths = cut
            out = builder.call_module(narrow, builder.pay_scale(x, name), name)
            return replace(Value.exact(out.node, out.example), scale=None if builder.redrawn else lengths)
        # Batch norm ends up here, too: in evaluation its weight could take a factor in, in training it divides by the
        # deviation of the batch that it sees, so that the factor has to be there.
        x = builder.pay(x, name)
    if layer:
        out = builder.call_module(leaf, x, name)
        return Value.exact(out.node, out.example)
    return _custom(builder, leaf, x, name)


def filtered(builder: Builder, layer: nn.Module, x: Value, asked: Channels, name: str) -> Value:
    """Add a layer that reads `x` as it is, without the filters that nobody asks for, where these stand apart."""
    if asked is None or not is_dense(layer):
        out = builder.call_module(layer, x, name)
        return Value.exact(out.node, out.example)
    index, channels = sorted(asked), int(layer.out_channels)  # type: ignore[arg-type]
    _take(layer, ("weight", "bias"), index)
    vars(layer)["out_channels"] = len(index)
    out = builder.call_module(layer, x, name)
    return Value(out.node, out.example, channels, tuple(index))


def _narrowed_layer(builder: Builder, layer: Any, x: Value, name: str) -> Value:
    """Add a layer that treats channels one by one, or in groups, for those that are there."""
    assert x.index is not None
    if not isinstance(layer, CONVS):
        if isinstance(layer, NORMS):
            _take(layer, ("weight", "bias", "running_mean", "running_var"), x.index)
            layer.num_features = len(x.index)
        return builder.call_module(layer, x, name)
    takes, gives, there = layer.in_channels // layer.groups, layer.out_channels // layer.groups, set(x.index)
    groups = [g for g in range(layer.groups) if there.issuperset(range(g * takes, (g + 1) * takes))]
    places = [place for place, c in enumerate(x.index) if c // takes in groups]
    index, channels = [g * gives + i for g in groups for i in range(gives)], layer.out_channels
    _take(layer, ("weight", "bias"), index)
    layer.groups, layer.in_channels, layer.out_channels = len(groups), len(groups) * takes, len(index)
    out = builder.call_module(layer, builder.pick(x, places, f"{name}_channels"), name)
    return Value(out.node, out.example, channels, tuple(index))


def _take(layer: nn.Module, names: Sequence[str], index: Sequence[int]) -> None:
    """Leave of these parameters and buffers the entries of some channels."""
    for name in names:
        value = getattr(layer, name)
        if isinstance(value, nn.Parameter):
            setattr(layer, name, nn.Parameter(value.detach()[list(index)].clone(), requires_grad=value.requires_grad))
        elif value is not None:
            setattr(layer, name, value[list(index)].clone())


def _flattened(x: Value) -> Value:
    """Say what channels owe once flattened: every pixel of a channel owes what the channel did."""
    pixels = x.example[0, 0].numel()
    index = x.index and tuple(c * pixels + p for c in x.index for p in range(pixels))
    scale = None if x.scale is None else x.scale.repeat_interleave(pixels)
    return replace(x, channels=x.channels * pixels, index=index, scale=scale)


def _custom(builder: Builder, module: nn.Module, x: Value, name: str) -> Value:
    """Put a module of the user's in as the torch operations it is made of; whole where these cannot be told."""
    traced = _traced(module)
    if x.node in builder.shared and (traced is None or _overwrites(traced)):
        x = builder.call(torch.clone, x)
    if traced is None:
        out = builder.call_module(module, x, name)
        return Value.exact(out.node, out.example)
    copies: dict[fx.Node, Any] = {}
    names: dict[str, str] = {}  # a module that is called twice is held once: its weights are tied
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            copies[node] = x.node
        elif node.op != "output":
            copies[node] = builder.graph.node_copy(node, copies.__getitem__)
            if node.op in ("call_module", "get_attr"):
                if node.target not in names:
                    part = reduce(getattr, node.target.split("."), traced)
                    names[node.target] = builder.hold(part, f"{name}_{node.target.replace('.', '_')}")
                copies[node].target = names[node.target]
    (result,) = next(node for node in traced.graph.nodes if node.op == "output").args
    return Value.exact(copies[result], module(x.example))


def _traced(module: nn.Module) -> fx.GraphModule | None:
    """Trace a module; None if it cannot be, or does other things in training than in evaluation."""
    try:
        training = trace(copy.deepcopy(module).train())  # tracing leaves constants in what it traces
        traced = trace(module)
    except Exception:  # it runs the user's forward on symbols: any error of theirs can come out
        return None
    # The code is what is the same or not: a branch on `self.training` leaves one of its sides, and no trace of the if.
    one_input = sum(node.op == "placeholder" for node in traced.graph.nodes) == 1
    return traced if one_input and training.code == traced.code else None


def _overwrites(traced: fx.GraphModule) -> bool:
    """Tell whether some operation may write into its argument."""
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


def with_debts(layer: Any, x: Value) -> nn.Module:
    """Change a convolution or linear layer to read `x` as it is: input slices picked and scaled, for good."""
    weight = layer.weight.detach()
    if x.index is not None:
        weight = weight[:, list(x.index)]
    if x.scale is not None:
        weight = weight * x.scale.to(weight.dtype).view(1, -1, *[1] * (weight.dim() - 2))
    layer.weight = nn.Parameter(weight.clone(), requires_grad=layer.weight.requires_grad)
    setattr(layer, "in_features" if isinstance(layer, nn.Linear) else "in_channels", weight.shape[1])
    return layer


def _narrowed(layer: nn.Module, index: Sequence[int], *, redrawn: bool) -> tuple[nn.Module, Tensor] | None:
    """Make a unit or spherical layer of the input channels that stay; say the length c that these had in each filter.

    A filter u of length 1 reads the channels S alone: u_S x + b = c (v x + b / c), where v = u_S / c has length 1 again
    and c = |u_S|. The layer gives the bracket, and its output owes the factor c.

    Args:
        layer: `UnitConv2d`, `UnitLinear`, `SphericalConv2d` or `SphericalLinear`.
        index: the channels that stay.
        redrawn: weights will be drawn anew: then biases stay, and nothing is owed.

    Returns:
        The layer and (O,) lengths; None where it cannot be had: a convolution in groups, or next to nothing of a
        filter left while there is a bias.
    """
    if getattr(layer, "groups", 1) != 1:
        return None
    chosen = list(index)
    # Slices may have any length: the new layer brings them to 1 itself, by its norm or by taking them as angles.
    weight, bias = cast(Tensor, layer.weight).detach()[:, chosen], layer.bias
    lengths = kernel_of(layer).detach()[:, chosen].flatten(1).norm(dim=1)
    if not redrawn and bias is not None and bool((lengths < _SHORTEST).any()):
        return None
    narrow = _like(layer, len(chosen))
    state = {"weight": weight}
    if isinstance(bias, Tensor):
        state["bias"] = bias.detach() / (1 if redrawn else lengths)
    narrow.load_state_dict(state)
    for name, parameter in narrow.named_parameters():
        parameter.requires_grad = layer.get_parameter(name).requires_grad
    return narrow.train(layer.training), torch.ones_like(lengths) if redrawn else lengths


def _like(layer: Any, inputs: int) -> nn.Module:
    """Make a layer of the same settings for so many input channels."""
    options: dict[str, Any] = {"bias": layer.bias is not None}
    if hasattr(layer, "eps"):
        options["eps"] = layer.eps
    if isinstance(layer, nn.Linear):
        outputs = layer.out_features
    else:
        outputs = layer.out_channels
        options |= {k: getattr(layer, k) for k in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
    with torch.random.fork_rng(devices=[]):  # drawn here and overwritten; nobody's numbers change
        return type(layer)(inputs, outputs, **options).to(layer.weight)
