"""Layers whose filters are points on the unit sphere, given by angles.

The notes' other way to unit-norm neurons, kept so that it can be compared; `plexus.nn._unit` is the way to use.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_HALF = (torch.float16, torch.bfloat16)


def from_angles(angles: Tensor) -> Tensor:
    """Return the points on the unit sphere at these angles: w_k = sin a_k prod_{j<k} cos a_j, and w_D = prod_j cos a_j.

    Angles are latitudes: 0 is the equator, so that the small entries of a long filter have small angles and keep
    their precision. The products are built by doubling, whose gradient divides by nothing and so exists at the poles.
    (O, D - 1) to (O, D), rows of length 1, in the dtype of `angles`.
    """
    if angles.dtype in _HALF:  # a product of many cosines needs the digits
        return from_angles(angles.float()).to(angles.dtype)
    ones = angles.new_ones(angles.shape[0], 1)
    products, reach = angles.cos(), 1
    while reach < angles.shape[1]:
        products = torch.cat([products[:, :reach], products[:, reach:] * products[:, :-reach]], 1)
        reach *= 2
    return torch.cat([angles.sin(), ones], 1) * torch.cat([ones, products], 1)


def to_angles(weight: Tensor) -> Tensor:
    """Return the angles of the filters' directions, whatever their lengths; the inverse of `from_angles`.

    (O, ...) with D entries a filter to (O, D - 1) in float64: all but the last within 90 degrees of 0. A filter of
    zeros has no direction and gets angles 0, that is its last entry becomes 1.
    """
    flat = weight.detach()
    flat = (flat.cpu() if flat.device.type == "mps" else flat).double().flatten(1)
    if flat.shape[1] < 2:
        return flat[:, :0]
    behind = flat.square().flip(1).cumsum(1).flip(1).sqrt()[:, 1:]
    # only the last angle sees a sign, so only there the circle is whole
    behind = torch.cat([behind[:, :-1], flat[:, -1:]], 1)
    return torch.atan2(flat[:, :-1], behind)


class _Spherical(nn.Module):
    """A layer with `angles` in place of `weight`, which lives on in the state_dict."""

    angles: nn.Parameter
    sign: Tensor | None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        parts = self._parameters
        weight, bias = parts.pop("weight"), parts.pop("bias")
        assert weight is not None
        self._filters = tuple(weight.shape)
        self.angles = nn.Parameter(to_angles(weight).to(weight))
        parts["bias"] = bias
        # one entry has no angle: its direction is a sign, which is nothing to learn
        self.register_buffer("sign", None if self.angles.shape[1] else torch.ones_like(weight), persistent=False)
        self._set_sign(weight)

    @property
    def weight(self) -> Tensor:
        """Return the filters, of length 1, computed anew at every look: to set them, call `set_weight`."""
        # while the plain layer below is being built or drawn anew, it reads and fills a weight of its own
        own = self._parameters.get("weight")
        if own is not None:
            return own
        return (from_angles(self.angles) if self.sign is None else self.sign).view(self._filters)

    @torch.no_grad()
    def set_weight(self, weight: Tensor) -> None:
        """Turn the filters into the directions of these, (O, ...)."""
        self.angles.copy_(to_angles(weight))
        self._set_sign(weight)

    def _set_sign(self, weight: Tensor) -> None:
        if self.sign is not None:
            self.sign = torch.where(weight.detach() < 0, -1.0, 1.0).to(self.sign)

    def reset_parameters(self) -> None:
        if "angles" in self._parameters:
            self._parameters["weight"] = nn.Parameter(self.angles.new_empty(self._filters))
        super().reset_parameters()  # type: ignore[misc]
        if "angles" in self._parameters:
            weight = self._parameters.pop("weight")
            assert weight is not None
            self.set_weight(weight)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # taken out and put back behind the weight, so that keys come in the order of torch's layer
        own = {key: destination.pop(key) for key in list(destination) if key.startswith(prefix)}
        own.pop(prefix + "angles")
        weight = self.weight
        destination[prefix + "weight"] = weight if keep_vars else weight.detach()
        destination.update(own)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        ours, theirs, state = prefix + "angles", prefix + "weight", dict(state_dict)
        weight = state.pop(theirs, None)
        if weight is not None and tuple(weight.shape) == self._filters:
            state[ours] = to_angles(weight).to(self.angles)
            self._set_sign(weight)
        elif weight is not None:
            state[ours] = self.angles
            error_msgs.append(f"size mismatch for {theirs}: expected {self._filters}, got {tuple(weight.shape)}")
        super()._load_from_state_dict(state, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        missing_keys[:] = [theirs if key == ours else key for key in missing_keys]


class SphericalConv2d(_Spherical, nn.Conv2d):  # type: ignore[override]
    """A `torch.nn.Conv2d` with filters of length 1 that are learned as D - 1 spherical angles each.

    w_k = sin a_k prod_{j<k} cos a_j and w_D = prod_j cos a_j, with D taps over all input channels.

    This is here to be compared, not to be preferred: the coordinates are ill-conditioned. The length of the Jacobian's
    column k is prod_{j<k} cos a_j, so the same step turns a filter ever less from the first angle to the last: .05 of
    the first at D = 576. `UnitConv2d` moves on the same sphere without that.

    `angles` are the parameter; `weight` can be read, not written to (see `set_weight`). The state_dict holds `weight`
    as `nn.Conv2d` does, so that it moves both ways; loading keeps the directions, to rounding, and drops the lengths.
    A filter with one entry (D = 1) keeps its sign and learns nothing.

    Args:
        args, options: as for `nn.Conv2d`.

    Shape:
        As `nn.Conv2d`; angles (O, D - 1).

    Source: the research notes, as another way to unit-norm neurons.

    Example:
        >>> layer = SphericalConv2d(3, 16, 3, padding=1)
        >>> layer(torch.randn(2, 3, 32, 32)).shape, layer.angles.shape
        (torch.Size([2, 16, 32, 32]), torch.Size([16, 26]))
    """

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight, self.bias)


class SphericalLinear(_Spherical, nn.Linear):  # type: ignore[override]
    """A `torch.nn.Linear` with rows of length 1 that are learned as spherical angles; see `SphericalConv2d`.

    Args:
        args, options: as for `nn.Linear`.

    Shape:
        As `nn.Linear`; angles (out_features, in_features - 1).

    Source: the research notes, as another way to unit-norm neurons.

    Example:
        >>> layer = SphericalLinear(8, 4)
        >>> layer.weight.norm(dim=1)
        tensor([1.0000, 1.0000, 1.0000, 1.0000], grad_fn=<LinalgVectorNormBackward0>)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


SPHERICAL = (SphericalConv2d, SphericalLinear)
