"""Unit and spherical layers that read fewer maps than they were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from plexus.nn.scaling import kernel_of

_SHORTEST = 1e-2  # biases are divided by the lengths of slices


def narrowed(layer: nn.Module, index: Sequence[int], *, fresh: bool) -> tuple[nn.Module, Tensor] | None:
    """A unit or spherical layer of the input maps that stay, and the length c that these had in each filter.

    A filter u of length 1 reads the maps S alone: u_S x + b = c (v x + b / c), where v = u_S / c has length 1 again
    and c = |u_S|. The layer gives the bracket, and its output owes the factor c.

    Args:
        layer: `UnitConv2d`, `UnitLinear`, `SphericalConv2d` or `SphericalLinear`.
        index: the maps that stay.
        fresh: whether weights will be drawn anew: then biases stay, and nothing is owed.

    Returns:
        The layer and (O,) lengths; None where it cannot be had: a convolution in groups, or next to nothing of a
        filter left while there is a bias.
    """
    if getattr(layer, "groups", 1) != 1:
        return None
    chosen = list(index)
    weight, bias = cast(Tensor, layer.weight).detach()[:, chosen], layer.bias
    lengths = kernel_of(layer).detach()[:, chosen].flatten(1).norm(dim=1)
    if not fresh and bias is not None and bool((lengths < _SHORTEST).any()):
        return None
    new = _like(layer, len(chosen))
    state = {"weight": weight}
    if isinstance(bias, Tensor):
        state["bias"] = bias.detach() / (1 if fresh else lengths)
    new.load_state_dict(state)
    for name, parameter in new.named_parameters():
        parameter.requires_grad = layer.get_parameter(name).requires_grad
    return new.train(layer.training), torch.ones_like(lengths) if fresh else lengths


def _like(layer: Any, inputs: int) -> nn.Module:
    """A layer of the same settings for so many input maps."""
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
