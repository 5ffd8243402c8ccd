"""From a trained supernet and a wiring to a plain torch module.

The steps: backwards from the head, which layers it depends on and which channels of each (`_needs`); a walk over these
in order, in which every connection (`_merge`) and layer (`_fold`) is put into a graph with what its readers can take
over for it; the graph as a module, traced.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from plexus.errors import ConfigError
from plexus.graph import HEAD, INPUT, Wiring
from plexus.nn import Supernet, evaluating
from plexus.wiring._builder import Builder, Value
from plexus.wiring._fold import apply, carry
from plexus.wiring._inspect import blank_batch, connections, split_head, trace
from plexus.wiring._merge import merge
from plexus.wiring._mix import PLANS
from plexus.wiring._needs import needs

Mixes = list[tuple[nn.Module, Tensor]]
"""The convolutions that stand for mixes, each with the standard deviation of its weights at the start."""


def derive(
    net: nn.Module,
    wiring: Wiring,
    *,
    fold: bool = True,
    mix: Literal["auto", "dense", "grouped", "fastest"] = "auto",
    multiple: int = 1,
) -> nn.Module:
    """Make the net that a wiring picks from a supernet of plain modules: no gates, no class of plexus but its neurons.

    A cut edge counts as a gate of 0, so with nothing cut the result computes what the supernet does (to about 1e-6 in
    float32). What nobody reads is left out: layers, and single filters with all that belongs to their channels, as far
    as the layers between keep channels apart. Weights are copied. Without a head the result has all channels of the
    supernet's, those that were cut as zeros.

    With `fold`, gates go into the kernel slices of the next convolution or linear layer, through max-pool,
    average-pool, ReLU and dropout on the way (they commute with factors >= 0); a sum keeps one factor per source but
    the first. What is left is multiplied in as a constant, as before unit and spherical layers, whose kernels stay of
    length 1; `plexus.nn.fold` makes plain layers of these.

    A mix becomes `dense`, one 1x1 convolution over all source maps that are still read, with weights of 0 where a group
    of maps does not read one; or `grouped`, a gather and a convolution in groups, in which groups with fewer sources
    repeat one with weight 0. So both have the wiring until they are trained on: then these zeros move, too.

    Args:
        net: a `Supernet`, or a classifier with one as `.body`, a `.head`, and perhaps a `.start`.
        wiring: which edges stay, down to single maps; strengths are not read, but a map edge of strength 0 is none.
        fold: False multiplies every gate in where it stands.
        mix: `dense` | `grouped` | `auto`, for each mix the one that moves and multiplies less | `fastest`, for each mix
            the one that takes less time here, measured.
        multiple: round the channels of every lego up to multiples of this, and to whole groups that share their
            sources, by channels that nobody reads. Processors compute whole vectors of them: in onnxruntime a depthwise
            convolution of 47 channels took five times as long as one of 48.

    Returns:
        A `torch.fx.GraphModule`, in the training or evaluation mode of `net`, trainable, exportable. A module of the
        user's becomes the torch operations it is made of; it stays whole if it cannot be traced or if it does other
        things in training than in evaluation.

    Raises:
        ConfigError: the wiring names a node or an edge the net lacks, or leaves a layer that is read without an input;
            or an unknown `mix`.

    Example:
        >>> from plexus.nn import Supernet
        >>> net = Supernet([nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()], (3, 8, 8))
        >>> plain = derive(net, net.wiring())
        >>> x = torch.randn(2, 3, 8, 8)
        >>> torch.allclose(plain(x), net(x), atol=1e-6)
        True
    """
    if mix not in PLANS:
        raise ConfigError(f"derive: mix={mix!r} is unknown; choose from {', '.join(PLANS)}")
    if multiple < 1:
        raise ConfigError(f"derive: multiple={multiple} must be 1 or more")
    plain: nn.Module = _build(net, wiring, fold=fold, mix=mix, multiple=multiple)[0]
    start = getattr(net, "start", None)
    if start is not None:
        plain = trace(nn.Sequential(copy.deepcopy(start), plain))
    return plain.train(net.training)


def rebuild(
    legos: Sequence[nn.Module], wiring: Wiring, in_shape: Sequence[int], **connection_options: Any
) -> nn.Module:
    """Build a wiring as a net of its own, with fresh weights and every gate at 1: "try it exclusively".

    The weights of a mix start N(0, 2 / fan-in), the fan-in being the source maps that are left.

    Args:
        legos: the stack the wiring was found on, `lego1` first; copied, resized to what they still read, and
            re-initialised.
        wiring: which edges to build.
        in_shape: one image's shape, (C, *spatial).
        **connection_options: as for `Supernet`; `merge` and `size` shape the net, gates do not matter.

    Returns:
        A plain `torch.fx.GraphModule`, in training mode; it gives the channels that are there, without zeros for cut
        ones.

    Raises:
        ConfigError: as for `Supernet` and `derive`.

    Example:
        >>> w = Wiring(("input", "lego1", "head"), (("lego1", "head", 1.0),))
        >>> rebuild([nn.LazyConv2d(4, 3)], w, (3, 8, 8))(torch.ones(1, 3, 8, 8)).shape
        torch.Size([1, 4, 6, 6])
    """
    options = {k: v for k, v in connection_options.items() if k not in ("init", "gate_init", "activation", "gate")}
    if options.get("merge") != "mix":
        options |= {"activation": "none", "init": 1.0}
    body = Supernet(copy.deepcopy(list(legos)), in_shape, **options)
    # Twice: a module of the user's can draw its own weights only while it is whole, before it is traced into pieces;
    # the rest again afterwards, when kernels have the size that stays and start values follow from it.
    fresh(body)
    # in groups, so that there are no weights but the wiring's
    plain, mixes = _build(body, wiring, fold=True, mix="grouped", redrawn=True)
    fresh(plain.train())
    with torch.no_grad():
        for conv, std in mixes:
            conv.get_parameter("weight").normal_().mul_(std.view_as(conv.get_parameter("weight")))
    return plain


def fresh(net: nn.Module) -> nn.Module:
    """Draw every layer's own initialisation anew, from torch's global generator; in place.

    Args:
        net: layers without `reset_parameters` stay as they are.

    Returns:
        `net` itself.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> with torch.no_grad():
        ...     _ = layer.weight.fill_(9)
        >>> bool((fresh(layer).weight.abs() < 1).all())
        True
    """
    for module in net.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return net


@torch.no_grad()
def _build(
    net: nn.Module, wiring: Wiring, *, fold: bool, mix: str = "auto", multiple: int = 1, redrawn: bool = False
) -> tuple[fx.GraphModule, Mixes]:
    """Build the net, in evaluation mode; `redrawn` says that its weights will be, and asks for no zeros at the end."""
    body, head = split_head(net)
    needed, names = needs(body, head, wiring, multiple), body.node_names()
    with evaluating(net):
        blank = blank_batch(body)
        result = body(blank)  # so that `body.sizes` knows this size, and what is lazy gets its own
        if head is not None:
            head(result)
        builder = Builder(blank, redrawn=redrawn, mix=mix)
        outputs: dict[str, Value] = {INPUT: builder.input}
        if names[1] in needed:
            outputs[names[1]] = apply(builder, body.legos[0], builder.input, needed[names[1]].layers, names[1])
        stream: Value | None = None
        for i, ((target, connection, lego), size) in enumerate(
            zip(connections(body), body.sizes(blank.shape[2:]), strict=True)
        ):
            need = needed.get(target)
            if need is None:
                continue
            # Later layers may read any of these, and a connection over one source with a gate of 1 hands the very node
            # on: whoever overwrites its input has to copy it first.
            builder.shared = {value.node for value in outputs.values()}
            # A cut source still counts for its place among the channels and for the size that all are brought to.
            read = [bool(part.any()) for part in need.columns.split(connection.channels, 1)]
            sources = [outputs[name] if reads else None for name, reads in zip(names, read, strict=False)]
            merged = merge(builder, connection, sources, need, size, target) if any(read) else None
            if body.residual:
                before = stream if body.adds[i] else None
                merged = stream = carry(builder, merged, body.norms[i], before, need, target)
                builder.shared.add(stream.node)
            assert merged is not None, "what is read has an input"
            if not fold:
                merged = builder.pay_scale(merged, target)
            reader = lego if lego is not None else head
            if need.layers:
                outputs[target] = merged if reader is None else apply(builder, reader, merged, need.layers, target)
        answer = outputs[HEAD]
        plain = builder.finish(builder.pay_scale(answer, "out") if redrawn else builder.pay(answer, "out"))
        return plain, builder.mixes
