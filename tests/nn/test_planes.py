"""Depthwise layers that work plane by plane give what torch's layers give one after the other."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.nn import functional as PF

SIZES = [(4, 4), (2, 9), (9, 2), (5, 7), (8, 8), (7, 7), (16, 16), (14, 14), (3, 40)]


def drawn(size: Sequence[int] = (8, 8), *, batch: int = 3, channels: int = 5) -> list[Tensor]:
    """Maps, kernels, and a batch norm's weight and bias."""
    g = torch.Generator().manual_seed(0)
    shapes = [(batch, channels, *size), (channels, 1, 3, 3), (channels,), (channels,)]
    return [torch.randn(shape, generator=g).add_(0.3).requires_grad_() for shape in shapes]


def plain(x: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor, *, relu: bool = True) -> Tensor:
    """The definition, in float64."""
    x, kernel, weight, bias = (t.double() for t in (x, kernel, weight, bias))
    wide = F.pad(x, (1, 1, 1, 1))
    z = sum(
        kernel[:, 0, a, b, None, None] * wide[:, :, a : a + x.shape[2], b : b + x.shape[3]]
        for a in range(3)
        for b in range(3)
    )
    assert isinstance(z, Tensor)
    normed = (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    y = weight[:, None, None] * normed + bias[:, None, None]
    return y.clamp(min=0) if relu else y


def assert_near(got: Tensor, expected: Tensor, within: float = 5e-6) -> None:
    assert got.shape == expected.shape
    atol = within * (1 + expected.abs().max().item())
    torch.testing.assert_close(got.double(), expected.double(), rtol=0, atol=atol)


def gradients(out: Tensor, leaves: Sequence[Tensor]) -> tuple[Tensor, ...]:
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return torch.autograd.grad(out, leaves, direction)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_convolution_norm_and_relu_in_one(size: Sequence[int], relu: bool) -> None:
    leaves = drawn(size)
    y, mean, var = PF.depthwise_norm(*leaves, relu=relu)
    assert type(y.grad_fn).__name__ == "_DepthwiseNormBackward"
    expected = plain(*leaves, relu=relu)
    assert_near(y, expected)
    for got, exact in zip(gradients(y, leaves), gradients(expected, leaves), strict=True):
        assert_near(got, exact)
    z = F.conv2d(leaves[0].double(), leaves[1].double(), padding=1, groups=5)
    assert_near(mean, z.mean((0, 2, 3)))
    assert_near(var, z.var((0, 2, 3), correction=0))
    assert not mean.requires_grad
    assert not var.requires_grad


def test_float64_goes_through_torch_and_passes_gradcheck() -> None:
    leaves = [t.detach().double().requires_grad_() for t in drawn((3, 4), batch=2, channels=2)]
    assert torch.autograd.gradcheck(lambda *t: PF.depthwise_norm(*t, relu=False)[0], leaves)
    y, mean, var = PF.depthwise_norm(*leaves)
    torch.testing.assert_close(y, plain(*leaves), rtol=1e-10, atol=1e-10)
    assert mean.dtype == var.dtype == torch.float64


def test_a_large_mean_costs_no_digits() -> None:
    x, kernel, weight, bias = drawn((16, 16))
    kernel = torch.zeros_like(kernel)
    kernel[:, 0, 1, 1] = 1.0
    _, mean, var = PF.depthwise_norm(x + 1000, kernel, weight, bias)
    exact = (x + 1000).double()
    torch.testing.assert_close(var.double(), exact.var((0, 2, 3), correction=0), rtol=1e-4, atol=0)
    torch.testing.assert_close(mean.double(), exact.mean((0, 2, 3)), rtol=1e-6, atol=0)


def test_the_number_of_threads_changes_no_bit() -> None:
    leaves, before, results = drawn((9, 7), batch=5), torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        y, mean, var = PF.depthwise_norm(*leaves)
        halves = [PF.max_halved(y), PF.mean_halved(y)]
        results.append((y, mean, var, *halves, *gradients(halves[0] + halves[1], leaves)))
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(("ours", "theirs"), [(PF.max_halved, F.max_pool2d), (PF.mean_halved, F.avg_pool2d)])
@pytest.mark.parametrize("size", SIZES)
def test_pooling_by_two(size: Sequence[int], ours: Any, theirs: Any) -> None:
    x = drawn(size)[0].detach().round(decimals=0).requires_grad_()  # rounded: many are equal
    got, expected = ours(x), theirs(x, 2)
    assert type(got.grad_fn).__name__ in ("_LargestBackward", "_AverageBackward")
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(gradients(got, [x]), gradients(expected, [x]))
    wide = x.double()
    torch.testing.assert_close(ours(wide), theirs(wide, 2), rtol=0, atol=0)


def test_what_is_not_a_number_stays_seen() -> None:
    for value in (float("nan"), float("inf")):
        for place in ((0, 0), (0, 1), (1, 0), (1, 1)):
            x = torch.ones(2, 3, 8, 8)
            x[(1, 2, *place)] = value
            for halved in (PF.max_halved, PF.mean_halved):
                assert (~torch.isfinite(halved(x))).nonzero().tolist() == [[1, 2, 0, 0]]
            y, mean, var = PF.depthwise_norm(x, torch.ones(3, 1, 3, 3), torch.ones(3), torch.zeros(3))
            assert torch.isfinite(y[:, :2]).all()
            assert torch.isnan(y[:, 2]).any()
            assert not torch.isfinite(mean[2])
            assert not torch.isfinite(var[2])


def test_misfits_are_told() -> None:
    x, kernel, weight, bias = drawn()
    for misfit in ((kernel[:4], weight, bias), (kernel, weight[:4], bias), (kernel[..., :2], weight, bias)):
        with pytest.raises(ConfigError, match=r"5 maps need kernels \(5, 1, 3, 3\)"):
            PF.depthwise_norm(x, *misfit)


# --- layers


def depthwise(channels: int = 4, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, **{"padding": 1, "groups": channels, "bias": False, **options})


def lego(*parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(depthwise(), nn.BatchNorm2d(4), *parts)


CHAINS = {
    "lego": lambda: lego(nn.ReLU()),
    "in place": lambda: lego(nn.ReLU(inplace=True)),
    "pooled": lambda: lego(nn.ReLU(), nn.MaxPool2d(2)),
    "no relu": lambda: lego(nn.Conv2d(4, 6, 1)),
    "nested": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), lego(nn.ReLU()), nn.Sequential(lego(nn.ReLU6()), nn.MaxPool2d(2))
    ),
    "average of all": lambda: nn.Sequential(depthwise(), nn.BatchNorm2d(4, momentum=None), nn.ReLU()),
    "momentum": lambda: nn.Sequential(depthwise(), nn.BatchNorm2d(4, momentum=0.3, eps=0.1), nn.ReLU()),
    "no statistics": lambda: nn.Sequential(depthwise(), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU()),
}
OTHERS = {
    "bias": lambda: nn.Sequential(depthwise(bias=True), nn.BatchNorm2d(4), nn.ReLU()),
    "stride": lambda: nn.Sequential(depthwise(stride=2), nn.BatchNorm2d(4), nn.ReLU()),
    "dilation": lambda: nn.Sequential(depthwise(dilation=2, padding=2), nn.BatchNorm2d(4), nn.ReLU()),
    "padding": lambda: nn.Sequential(depthwise(padding=2), nn.BatchNorm2d(4), nn.ReLU()),
    "reflected": lambda: nn.Sequential(depthwise(padding_mode="reflect"), nn.BatchNorm2d(4), nn.ReLU()),
    "groups": lambda: nn.Sequential(depthwise(groups=2), nn.BatchNorm2d(4), nn.ReLU()),
    "not affine": lambda: nn.Sequential(depthwise(), nn.BatchNorm2d(4, affine=False), nn.ReLU()),
    "overlapping": lambda: nn.MaxPool2d(3, 2),
    "padded": lambda: nn.MaxPool2d(2, padding=1),
    "rounded up": lambda: nn.MaxPool2d(2, ceil_mode=True),
    "stretched": lambda: nn.MaxPool2d(2, dilation=2),
    "frozen": lambda: lego(nn.ReLU()).eval(),
}


@pytest.mark.parametrize("name", [*CHAINS, *OTHERS])
def test_chains_of_layers(name: str) -> None:
    layer = {**CHAINS, **OTHERS}[name]()
    for p in layer.parameters():
        nn.init.normal_(p, generator=torch.Generator().manual_seed(p.numel()))
    twin, x = copy.deepcopy(layer), drawn((9, 8), channels=4)[0]
    for _ in range(3):
        got, expected = PF.run_planes(layer, x), twin(x)
        if name in CHAINS:
            assert type(got.grad_fn).__name__ not in ("ReluBackward0", "MaxPool2DWithIndicesBackward0")
        assert_near(got, expected)
        ours, theirs = gradients(got, [x, *layer.parameters()]), gradients(expected, [x, *twin.parameters()])
        for a, b in zip(ours, theirs, strict=True):
            assert_near(a, b, 2e-5)
    for own, exact in zip(layer.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(own, exact, rtol=1e-5, atol=1e-6)


def test_layers_with_hooks_are_called() -> None:
    for watched in range(3):
        layer, calls = lego(nn.ReLU()), list[nn.Module]()
        layer[watched].register_forward_hook(lambda module, *_, calls=calls: calls.append(module))
        PF.run_planes(layer, torch.randn(2, 4, 8, 8))
        assert calls == [layer[watched]]


def test_other_layouts_and_small_maps_go_through_torch() -> None:
    layer = lego(nn.ReLU())
    last = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    assert type(PF.run_planes(layer, last).grad_fn).__name__ == "ReluBackward0"
    assert type(PF.run_planes(layer, torch.randn(2, 4, 1, 40)).grad_fn).__name__ == "ReluBackward0"
    assert PF.run_planes(layer, torch.randn(2, 4, 1, 1)).shape == (2, 4, 1, 1)
