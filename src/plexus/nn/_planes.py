"""Depthwise layers that read each plane once: 3x3 convolution, batch norm and ReLU in one go, pooling by 2.

torch does these one after the other, and some of them by several times slower in one memory format than in the other.
Where maps are channels first, in float32 on the CPU, these take a quarter of the time; elsewhere they call torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from plexus.errors import ConfigError
from plexus.nn import kernels
from plexus.nn._modules import has_hooks, is_chain
from plexus.nn._sums import may_fuse


def depthwise_norm(
    x: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5, relu: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Convolve each map by a 3x3 kernel of its own, normalise by the statistics of the batch, and cut off below 0.

    z_c = x_c * K_c;  y_c = relu(w_c (z_c - mean z_c) / sqrt(var z_c + eps) + b_c)

    Args:
        x: feature maps, (N, C, H, W).
        kernel: (C, 1, 3, 3); around the maps there are zeros.
        weight: w, (C,).
        bias: b, (C,).
        eps: of the batch norm.
        relu: whether to cut off.

    Returns:
        y, (N, C, H, W); the mean and the biased variance of z by channel, (C,), without gradients.

    Raises:
        ConfigError: kernels, weight or bias of another number of maps.

    Source: Ioffe and Szegedy 2015, behind the depthwise convolution of Howard et al. 2017.

    Example:
        >>> ones = torch.ones(2)
        >>> y, mean, var = depthwise_norm(torch.randn(3, 2, 8, 8), torch.randn(2, 1, 3, 3), ones, 0 * ones, relu=False)
        >>> y.mean().abs() < 1e-6, y.std(correction=0).round(decimals=3)
        (tensor(True), tensor(1.))
    """
    tensors, c = (kernel, weight, bias), x.shape[1]
    if [tuple(t.shape) for t in tensors] != [(c, 1, 3, 3), (c,), (c,)]:
        raise ConfigError(
            f"depthwise_norm: {c} maps need kernels ({c}, 1, 3, 3) and a weight and a bias ({c},), "
            f"got {', '.join(str(tuple(t.shape)) for t in tensors)}"
        )
    if may_fuse() and kernels.planar(x) and all(t.dtype == x.dtype and t.device == x.device for t in tensors):
        return _DepthwiseNorm.apply(x, kernel, weight, bias, eps, relu)
    z = F.conv2d(x, kernel, padding=1, groups=len(kernel))
    with torch.no_grad():
        var, mean = torch.var_mean(
            z.float() if z.dtype in (torch.float16, torch.bfloat16) else z, (0, 2, 3), correction=0
        )
    y = F.batch_norm(z, None, None, weight, bias, training=True, eps=eps)
    return F.relu(y) if relu else y, mean, var


def max_halved(x: Tensor) -> Tensor:
    """Take the largest of every 2x2 pixels; an odd last row or column is left out.

    The gradient goes to the first of equals.

    Args:
        x: feature maps, (N, C, H, W).

    Returns:
        (N, C, H // 2, W // 2).

    Example:
        >>> max_halved(torch.arange(16.0).view(1, 1, 4, 4)).flatten().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """
    return _Largest.apply(x) if may_fuse() and kernels.planar(x) else F.max_pool2d(x, 2)


def mean_halved(x: Tensor) -> Tensor:
    """Take the mean of every 2x2 pixels; an odd last row or column is left out.

    Args:
        x: feature maps, (N, C, H, W).

    Returns:
        (N, C, H // 2, W // 2).

    Example:
        >>> mean_halved(torch.arange(16.0).view(1, 1, 4, 4)).flatten().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """
    return _Average.apply(x) if may_fuse() and kernels.planar(x) else F.avg_pool2d(x, 2)


def run_planes(layer: nn.Module, x: Tensor, channels: Tensor | None = None) -> Tensor:
    """Compute layer(x), and so much of it plane by plane as can be.

    In an `nn.Sequential` these are a depthwise 3x3 convolution (stride 1, zeros around, no bias) with the batch norm in
    training behind it, and with the ReLU behind that; and max-pools by 2. What has hooks is called as it is.

    Args:
        layer: any module.
        x: what it reads.
        channels: the only channels of the result that are computed, by number; all by default. The layer must be
            `narrowable`; one that reads single channels gets those alone.

    Returns:
        What it gives, and statistics of batch norms updated as it does.

    Raises:
        ConfigError: weights of another shape than their layer was made with.

    Example:
        >>> layer = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        >>> run_planes(layer, torch.randn(2, 4, 8, 8)).shape, layer[1].num_batches_tracked
        (torch.Size([2, 4, 8, 8]), tensor(1))
        >>> run_planes(layer, torch.randn(2, 2, 8, 8), torch.tensor([0, 3])).shape
        torch.Size([2, 2, 8, 8])
    """
    if channels is None:
        return layer(x) if has_hooks(layer) or not may_fuse() else _run(_leaves(layer), x, None)
    parts = _leaves(layer)
    first = max((i for i, part in enumerate(parts) if _is_dense(part)), default=0)
    return _run(parts[first:], _run(parts[:first], x, None), channels)


def _run(parts: Sequence[nn.Module], x: Tensor, channels: Tensor | None) -> Tensor:
    """Run layers one after the other, all for the same channels."""
    parts = list(parts)
    while parts:
        conv, norm = parts[0], parts[1] if len(parts) > 1 else None
        planes = may_fuse() and kernels.planar(x)
        if planes and isinstance(norm, nn.BatchNorm2d) and _fits(x, conv, norm, channels):
            relu = len(parts) > 2 and type(parts[2]) is nn.ReLU and not has_hooks(parts[2])
            x, parts = _normed(x, conv, norm, relu, channels), parts[3 if relu else 2 :]
            continue
        if planes and _halves(conv):
            x = max_halved(x)
        else:
            x = conv(x) if channels is None or type(conv) in _ALIKE else _narrowed(conv, x, channels)
        parts = parts[1:]
    return x


def narrowable(layer: nn.Module) -> str:
    """Tell whether single channels of a layer can be computed without the others.

    Args:
        layer: any module.

    Returns:
        `inputs` where each is made of the same channel of the input (depthwise convolutions, batch norms, ReLU, pools),
        `filters` where each has a filter of its own over all of the input, behind which come such layers; else "".

    Example:
        >>> conv, depthwise = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4)
        >>> narrowable(nn.Sequential(conv, nn.ReLU(), depthwise)), narrowable(depthwise), narrowable(nn.Softmax(1))
        ('filters', 'inputs', '')
    """
    if any(has_hooks(part) for part in layer.modules()):
        return ""
    for part in reversed(_leaves(layer)):
        if _is_dense(part):
            return "filters"
        if not (type(part) in _ALIKE or _is_depthwise(part) or type(part) is nn.BatchNorm2d):
            return ""
    return "inputs"


_ALIKE = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.Identity)


def _leaves(layer: nn.Module) -> list[nn.Module]:
    """List the layers of nested chains in order; one with hooks stays whole."""
    if not is_chain(layer) or has_hooks(layer):
        return [layer]
    return [leaf for part in layer for leaf in _leaves(part)]


def _is_dense(layer: nn.Module) -> bool:
    return type(layer) is nn.Conv2d and layer.groups == 1 and layer.padding_mode == "zeros"


def _is_depthwise(layer: nn.Module) -> bool:
    return (
        type(layer) is nn.Conv2d
        and layer.groups == layer.in_channels == layer.out_channels > 1
        and (layer.padding_mode == "zeros")
    )


def _narrowed(layer: Any, x: Tensor, channels: Tensor) -> Tensor:
    """Run a convolution or a batch norm for some of its channels."""
    weight, bias = (cast(Any, None if t is None else t[channels]) for t in (layer.weight, layer.bias))
    if type(layer) is nn.BatchNorm2d:
        layer = cast(Any, layer)
        if layer.running_mean is None:
            return F.batch_norm(x, None, None, weight, bias, True, 0.0, layer.eps)
        mean, var = layer.running_mean[channels], layer.running_var[channels]
        part = _momentum(layer) if layer.training else 0.0
        y = F.batch_norm(x, mean, var, weight, bias, layer.training, part, layer.eps)
        if layer.training:
            layer.running_mean[channels], layer.running_var[channels] = mean, var
        return y
    groups = 1 if layer.groups == 1 else len(channels)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, groups)


def _fits(x: Tensor, conv: nn.Module, norm: nn.BatchNorm2d, channels: Tensor | None) -> bool:
    """Tell whether two layers are what `depthwise_norm` computes."""
    return (
        type(conv) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and conv.in_channels == conv.out_channels == conv.groups == norm.num_features
        and x.shape[1] == (conv.in_channels if channels is None else len(channels))
        and (conv.kernel_size, conv.stride, conv.dilation) == ((3, 3), (1, 1), (1, 1))
        and (conv.padding, conv.padding_mode, conv.bias) == ((1, 1), "zeros", None)
        and norm.training
        and norm.affine
        and conv.weight.dtype == norm.weight.dtype == torch.float32
        and not has_hooks(conv)
        and not has_hooks(norm)
    )


def _normed(x: Tensor, conv: Any, norm: Any, relu: bool, channels: Tensor | None) -> Tensor:
    """Run both layers, and move the statistics."""
    tensors = (conv.weight, norm.weight, norm.bias)
    kernel, weight, bias = tensors if channels is None else (t[channels] for t in tensors)
    y, mean, var = depthwise_norm(x, kernel, weight, bias, eps=norm.eps, relu=relu)
    if norm.track_running_stats:
        with torch.no_grad():
            part, count = _momentum(norm), x.numel() // x.shape[1]
            at = slice(None) if channels is None else channels
            for running, new in ((norm.running_mean, mean), (norm.running_var, var * (count / (count - 1)))):
                running[at] = running[at].lerp(new.to(running.dtype), part)
    return y


def _momentum(norm: Any) -> float:
    """Count a batch; return the share of it in the running statistics."""
    norm.num_batches_tracked.add_(1)
    return norm.momentum if norm.momentum is not None else 1.0 / float(norm.num_batches_tracked)


def _halves(layer: nn.Module) -> bool:
    """Tell whether a layer is a max-pool by 2."""
    return (
        type(layer) is nn.MaxPool2d
        and all(value in (2, (2, 2)) for value in (layer.kernel_size, layer.stride))
        and layer.padding in (0, (0, 0))
        and layer.dilation in (1, (1, 1))
        and not layer.ceil_mode
        and not layer.return_indices
        and not has_hooks(layer)
    )


class _DepthwiseNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        kernel = kernel.contiguous()
        z, mean, var = kernels.convolve(x, kernel)
        std = (var + eps).sqrt()
        factor = weight.detach() / std
        offset = bias.detach() - mean * factor
        y = kernels.scale(z, factor.float(), offset.float(), relu)
        ctx.save_for_backward(x, kernel, z, factor, offset, mean, std)
        ctx.relu = relu
        mean, var = mean.to(x.dtype), var.to(x.dtype)
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, z, factor, offset, mean, std = ctx.saved_tensors
        gradients = kernels.convolve_back(grad.contiguous(), x, z, kernel, factor, offset, mean, std, ctx.relu)
        return *(g.to(x.dtype) for g in gradients), None, None


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, winner = kernels.largest(x)
        ctx.save_for_backward(winner)
        ctx.shape = x.shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (winner,) = ctx.saved_tensors
        return kernels.largest_back(grad.contiguous(), winner, ctx.shape)


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return kernels.average(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return kernels.average_back(grad.contiguous(), ctx.shape)
