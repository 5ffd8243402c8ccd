"""Prices: of each connection, and of a net in multiply-adds and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from plexus.errors import ConfigError
from plexus.nn import RotConv2d, Supernet, evaluating
from plexus.wiring._inspect import blank_batch, connections, first_kernel, split_head

COSTS = ("bytes", "macs", "params")


def edge_costs(net: nn.Module, kind: Literal["bytes", "macs", "params"] = "bytes") -> list[float]:
    """Measure the cost of every edge relative to the mean edge, in the order of `Supernet.wiring().edges`.

    - `bytes`: numbers moved: the source read at its own size, and the merged channels touched at the target's.
    - `macs`: multiply-adds: one per number added up (sum, max), or those of the kernel slices the edge owns (concat)
      or of its weights that are not cut (mix); a rotation-max convolution counts as one plain convolution.
    - `params`: parameters of those kernel slices or weights; a sum owns none, and where no edge owns any, all cost the
      same.

    Args:
        net: a `Supernet`, or a classifier with one as `.body` and a `.head`.
        kind: bytes | macs | params.

    Returns:
        One number per edge, unitless, mean 1.

    Raises:
        ConfigError: an unknown kind.

    Example:
        >>> from plexus.nn import Supernet
        >>> edge_costs(Supernet([nn.Conv2d(1, 2, 3, padding=1)], (1, 8, 8), merge="concat"), "bytes")
        [0.6666666666666666, 1.3333333333333333]
    """
    if kind not in COSTS:
        raise ConfigError(f"cost={kind!r} is unknown; choose from {', '.join(COSTS)}")
    body, _ = split_head(net)
    sizes = _sizes(body)
    costs: dict[tuple[int, int], float] = {}
    for i, (_, connection, lego) in enumerate(connections(body)):
        target = connection.target_size(sizes[: i + 2])
        kernel = connection.squeeze.weight if connection.squeeze else None
        if connection.merge == "concat":
            kernel = first_kernel(lego)
        pixels = prod(target)
        mixed = connection.split_gates() if connection.merge == "mix" else None
        for k, channels in enumerate(connection.channels):
            slices = kernel[:, :channels].numel() if kernel is not None else 0
            if mixed is not None:
                if not mixed[k].any():
                    continue  # the wiring has no such edge
                slices = int(connection.mask[connection.entries(k)].count_nonzero()) * connection.share
            if kind == "bytes":
                costs[i, k] = channels * (prod(sizes[k]) + pixels)
            elif kind == "macs":
                costs[i, k] = slices * pixels if kernel is not None or mixed is not None else channels * pixels
            else:
                costs[i, k] = slices
    mean = sum(costs.values()) / len(costs) or 1.0
    return [cost / mean if any(costs.values()) else 1.0 for cost in costs.values()]


@torch.no_grad()
def multiply_adds(net: nn.Module, in_shape: Sequence[int]) -> int:
    """Count the multiply-adds of one image's forward pass, those of convolutions and matrix products.

    They are what torch's flop counter sees, but a `RotConv2d` counts as one plain convolution, whatever the route it
    takes: its rotations share their products, and what is left to each are additions. `squeeze` adds its own 1x1
    convolution.

    Args:
        net: takes one batch of images.
        in_shape: one image's, (C, *spatial).

    Example:
        >>> multiply_adds(nn.Conv2d(3, 4, 3, padding=1), (3, 8, 8))
        6912
    """
    parameter = next(net.parameters(), torch.zeros(()))
    counter = FlopCounterMode(display=False)
    with evaluating(net), _rotations_as_one(net, counter) as corrections, counter:
        net(parameter.new_zeros(1, *in_shape))
    return int(counter.get_total_flops()) // 2 + sum(corrections)


def parameters(net: nn.Module) -> int:
    """Count the parameters of a net.

    Args:
        net: all of its parameters count, frozen ones too.

    Example:
        >>> parameters(nn.Linear(3, 2))
        8
    """
    return sum(p.numel() for p in net.parameters())


@contextmanager
def _rotations_as_one(net: nn.Module, counter: FlopCounterMode) -> Iterator[list[int]]:
    """Collect, for every call of a `RotConv2d`, its multiply-adds less those that the counter saw."""
    # the counter sees operations of torch: of a hand-written kernel nothing, of the bank of rotated kernels all of them
    corrections: list[int] = []
    before_call: list[int] = []

    def before(*_: Any) -> None:
        before_call.append(int(counter.get_total_flops()))

    def after(layer: RotConv2d, _: Any, out: Tensor) -> None:
        seen = (int(counter.get_total_flops()) - before_call.pop()) // 2
        pixels = prod(out.shape) // out.shape[-3]
        kernels = [layer.weight] if layer.squeeze is None else [layer.weight, layer.squeeze.weight]
        corrections.append(pixels * sum(kernel.numel() for kernel in kernels) - seen)

    layers = [module for module in net.modules() if isinstance(module, RotConv2d)]
    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    handles += [layer.register_forward_hook(after) for layer in layers]
    try:
        yield corrections
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _sizes(body: Supernet) -> list[tuple[int, ...]]:
    """Measure the spatial sizes of the input and of every lego's output."""
    sizes = [body.in_shape[1:]]
    handles = [lego.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[2:]))) for lego in body.legos]
    try:
        with evaluating(body):
            body(blank_batch(body))
    finally:
        for handle in handles:
            handle.remove()
    return sizes
