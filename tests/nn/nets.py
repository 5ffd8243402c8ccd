"""Small supernets for tests, and their comparison with the plain port."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plexus.nn import Supernet
from tests.nn.naive import naive_supernet

CONV: dict[int, Any] = {1: nn.LazyConv1d, 2: nn.LazyConv2d, 3: nn.LazyConv3d}
NORM: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOL: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOL: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


def legos(axes: int, *, widths: Sequence[int] = (4, 4, 4, 4)) -> list[nn.Module]:
    """Conv + norm + ReLU, then one with a pool, a bare pool, an unusual one and a conv that sheds its rim."""
    a, b, c, d = widths
    return [
        nn.Sequential(CONV[axes](a, 3, padding=1, bias=False), NORM[axes](a), nn.ReLU()),
        nn.Sequential(CONV[axes](b, 3, padding=1), nn.ReLU(), MAX_POOL[axes](2)),
        AVG_POOL[axes](1),
        nn.Sequential(CONV[axes](c, 1), nn.ELU(), CONV[axes](c, 1, groups=c)),
        nn.Sequential(nn.Dropout(0.0), nn.ReLU(), CONV[axes](d, 2)),
    ]


def supernet(axes: int = 2, *, widths: Sequence[int] = (4, 4, 4, 4), seed: int = 0, **options: Any) -> Supernet:
    """A small net with gates that differ."""
    torch.manual_seed(seed)
    shape = {1: (3, 8), 2: (3, 8, 8), 3: (2, 4, 8, 6)}[axes]
    net = Supernet(legos(axes, widths=widths), shape, **options)
    with torch.no_grad():
        for connection in net.connections:
            connection.weight.add_(torch.randn_like(connection.weight))
    return net


def images(net: Supernet, count: int = 3, seed: int = 1) -> Tensor:
    return torch.randn(count, *net.in_shape, generator=torch.Generator().manual_seed(seed))


def gradients(net: Supernet, x: Tensor, out: Tensor) -> list[Tensor]:
    """Gradients of an uneven loss: of the images, then of every parameter."""
    slopes = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    return list(torch.autograd.grad((out * slopes).sum(), [x, *net.parameters()]))


def about(name: str) -> Callable[[str], str]:
    """Puts a name before a message."""
    return lambda message: f"{name}: {message}"


def assert_like_naive(net: Supernet, x: Tensor, *, passes: int = 1) -> None:
    """Outputs, gradients and normalization statistics of the net against the plain port, the last of so many passes."""
    twin = copy.deepcopy(net)
    x, x_twin = x.detach().requires_grad_(), x.detach().clone().requires_grad_()
    for _ in range(passes):
        out, expected = net(x), naive_supernet(twin, x_twin)
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    names = ["images", *(name for name, _ in net.named_parameters())]
    for name, got, wanted in zip(names, gradients(net, x, out), gradients(twin, x_twin, expected), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4, msg=about(name))
    for (name, got), wanted in zip(net.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(got, wanted, msg=about(name))
