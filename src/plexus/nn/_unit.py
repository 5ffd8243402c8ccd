"""Layers whose filters have length 1, and the penalty that asks for it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from plexus.errors import ConfigError
from plexus.nn import kernels
from plexus.nn._modules import Only, chosen
from plexus.nn._sums import may_fuse

EPS = 1e-8
_FILTERED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_HALF = (torch.float16, torch.bfloat16)


def unit_weight(weight: Tensor, eps: float = EPS) -> Tensor:
    """Scale each filter to length 1: u_o = W_o / |W_o|, with |.| over all axes but the first.

    A filter no longer than `eps` counts as zero and is left as it is, so that it gives zero and a finite gradient.
    Half types are normalised in float32. The gradient is orthogonal to the filter: (g - u <u, g>) / |W|.

    Args:
        weight: (O, ...), two axes or more.
        eps: the length up to which a filter counts as zero.

    Returns:
        The shape and dtype of `weight`.

    Raises:
        ConfigError: a weight with fewer than two axes, or an eps that is not a small positive number.

    Source: the research notes' unit-norm neuron.

    Example:
        >>> unit_weight(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    if weight.dim() < 2:
        raise ConfigError(f"unit_weight: weight must have an output axis and others, got shape {tuple(weight.shape)}")
    _check_eps("unit_weight", eps)
    if weight.dtype in _HALF:
        return unit_weight(weight.float(), eps).to(weight.dtype)
    return _Unit.apply(weight, eps) if may_fuse() else weight / _lengths(weight, eps)


def norm_penalty(module: nn.Module, only: Only = None) -> Tensor:
    """Measure how far the filters are from length 1: sum over layers and filters of (|W_o| - 1)^2.

    Add it to the loss, times a factor, for filters that are drawn to the unit sphere and not bound to it.

    Args:
        module: a layer or a network.
        only: which of its convolutions and linear layers: all by default; a predicate of (name, layer); or names and
            glob patterns. Transposed convolutions never count.

    Returns:
        A scalar in the dtype of the weights (float32 for half types).

    Raises:
        ConfigError: no layer to count, one without a size yet, or a name that fits none.

    Source: the research notes, as another way to unit-norm neurons.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> layer.weight.data = torch.tensor([[3.0, 4.0]])
        >>> norm_penalty(layer)
        tensor(16., grad_fn=<SumBackward0>)
    """
    picked = chosen([(name, part) for name, part in module.named_modules() if isinstance(part, _FILTERED)], only)
    if not picked:
        raise ConfigError(f"norm_penalty: no convolution or linear layer chosen in {type(module).__name__}")
    weights: dict[int, Tensor] = {}  # a weight that layers share counts once
    for name, part in picked:
        assert isinstance(part, _FILTERED)
        if is_lazy(part.weight):
            raise ConfigError(f"norm_penalty: layer {name!r} has no size yet; run the model once first")
        weight = part.weight  # once: a parametrised layer computes it anew at every look
        weights[id(weight)] = weight
    return torch.cat([_distance(weight) for weight in weights.values()]).sum()


def _distance(weight: Tensor) -> Tensor:
    weight = weight.float() if weight.dtype in _HALF else weight
    return (torch.linalg.vector_norm(weight.flatten(1), dim=1) - 1).square()


def _check_eps(name: str, eps: float) -> None:
    if not 0 < eps < 1:
        raise ConfigError(f"{name}: eps={eps!r} must lie between 0 and 1, for example 1e-8")


def _lengths(weight: Tensor, eps: float) -> Tensor:
    """Return |W_o|, shaped to divide the weight; 1 where a filter counts as zero."""
    lengths = torch.linalg.vector_norm(weight, dim=list(range(1, weight.dim())), keepdim=True)
    return lengths.masked_fill(lengths <= eps, 1.0)


class _Unit(torch.autograd.Function):
    """One pass over the weights forward and one backward where there is a loop for them."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, eps: float) -> Tensor:
        if kernels.fusible(weight):
            unit, lengths = kernels.unit(weight, eps)
        else:
            lengths = _lengths(weight, eps)
            unit = weight / lengths
        ctx.eps = eps
        ctx.save_for_backward(weight, unit, lengths)
        return unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        weight, unit, lengths = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: lengths and directions depend on the weight
            lengths = _lengths(weight, ctx.eps)
            unit = weight / lengths
        elif kernels.fusible(weight, grad):
            return kernels.unit_back(grad, unit, lengths), None
        along = (grad * unit).sum(list(range(1, weight.dim())), keepdim=True)
        return (grad - unit * along) / lengths.view_as(along), None


class UnitConv2d(nn.Conv2d):
    """A drop-in for `torch.nn.Conv2d` whose filters have length 1: y_o = x * (W_o / |W_o|) + b_o.

    The length |W_o| is over input channels and taps. `weight` is stored as it is, so that a state_dict moves both ways
    between this and `nn.Conv2d`. As gradients are orthogonal to the filters, steps only lengthen `weight`, and weight
    decay would only shorten it: both change the size of later steps and nothing else, so exempt `weight` from decay
    by a parameter group of its own. Directly before a batch norm the layer equals `nn.Conv2d`.

    Args:
        args, options: as for `nn.Conv2d`.
        eps: a filter no longer than this counts as zero and gives zero.

    Shape:
        As `nn.Conv2d`.

    Raises:
        ConfigError: an eps that is not a small positive number.

    Source: the research notes' unit-norm neuron; `plexus.nn.functional.unit_weight` is the formula,
    `plexus.nn.fold` makes a plain layer of equal output.

    Example:
        >>> layer = UnitConv2d(3, 16, 3, padding=1)
        >>> layer(torch.randn(2, 3, 32, 32)).shape
        torch.Size([2, 16, 32, 32])
    """

    def __init__(self, *args: Any, eps: float = EPS, **options: Any) -> None:
        _check_eps("UnitConv2d", eps)
        super().__init__(*args, **options)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, unit_weight(self.weight, self.eps), self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, eps={self.eps}"


class UnitLinear(nn.Linear):
    """A drop-in for `torch.nn.Linear` whose rows have length 1: y = x (W / |W|)^T + b.

    What `UnitConv2d` says of weights, decay and conversion holds here too.

    Args:
        args, options: as for `nn.Linear`.
        eps: a row no longer than this counts as zero and gives zero.

    Shape:
        As `nn.Linear`.

    Raises:
        ConfigError: an eps that is not a small positive number.

    Source: the research notes' unit-norm neuron.

    Example:
        >>> layer = UnitLinear(2, 1, bias=False)
        >>> layer.weight.data = torch.tensor([[3.0, 4.0]])
        >>> layer(torch.tensor([[1.0, 0.0]])).item()
        0.6000000238418579
    """

    def __init__(self, *args: Any, eps: float = EPS, **options: Any) -> None:
        _check_eps("UnitLinear", eps)
        super().__init__(*args, **options)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, unit_weight(self.weight, self.eps), self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, eps={self.eps}"
