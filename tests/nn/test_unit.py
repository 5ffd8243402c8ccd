"""Unit-norm layers: filters of length 1, gradients along the sphere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from plexus.errors import ConfigError
from plexus.nn import UnitConv2d, UnitLinear
from plexus.nn.functional import norm_penalty, unit_weight
from tests.contract_drop_in import check_drop_in

IMAGES = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def filters(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("make", "plain", "x"),
    [
        (lambda: UnitConv2d(4, 6, 3, 1, 1, groups=2), lambda: nn.Conv2d(4, 6, 3, 1, 1, groups=2), IMAGES),
        (lambda: UnitLinear(4, 5, False), lambda: nn.Linear(4, 5, False), ROWS),
    ],
    ids=["conv", "linear"],
)
def test_it_stands_for_a_plain_layer(make: Callable[[], nn.Module], plain: Callable[[], nn.Module], x: Tensor) -> None:
    check_drop_in(make, plain, x)


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3), (2, 3, 4), (3, 1)])
def test_each_filter_is_divided_by_its_length(shape: tuple[int, ...]) -> None:
    weight = filters(shape)
    expected = torch.stack([w / sum(v * v for v in w.flatten().tolist()) ** 0.5 for w in weight])
    torch.testing.assert_close(unit_weight(weight), expected, rtol=1e-14, atol=1e-14)


def test_a_convolution_and_a_linear_layer_use_it() -> None:
    conv = UnitConv2d(4, 6, (3, 1), stride=2, padding=(2, 1), dilation=2, padding_mode="reflect").double()
    linear = UnitLinear(4, 5).double()
    x = F.pad(IMAGES.double(), (1, 1, 2, 2), mode="reflect")
    unit = conv.weight / conv.weight.square().sum((1, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(conv(IMAGES.double()), F.conv2d(x, unit, conv.bias, stride=2, dilation=2))
    rows = linear.weight / linear.weight.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(linear(ROWS.double()), ROWS.double() @ rows.T + linear.bias)


def test_gradients_are_those_of_the_formula_to_second_order() -> None:
    weight = filters((3, 2, 2, 2)).requires_grad_()
    assert torch.autograd.gradcheck(unit_weight, (weight,))
    assert torch.autograd.gradgradcheck(unit_weight, (weight,))
    jacobian = torch.func.jacrev(unit_weight)(weight.detach())
    torch.testing.assert_close(jacobian, torch.autograd.functional.jacobian(unit_weight, weight.detach()))


@pytest.mark.parametrize("kind", [UnitConv2d, UnitLinear])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_filters_keep_length_one_while_gradients_stay_orthogonal(kind: type[nn.Module], decay: float) -> None:
    layer, x = (UnitConv2d(4, 6, 3), IMAGES) if kind is UnitConv2d else (UnitLinear(4, 5), ROWS)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9, weight_decay=decay)
    for _ in range(5):
        optimiser.zero_grad()
        (layer(x) - 1).square().mean().backward()
        grad, weight = layer.weight.grad, layer.weight.detach()
        assert grad is not None
        along = (grad * weight).flatten(1).sum(1) / (grad.flatten(1).norm(dim=1) * weight.flatten(1).norm(dim=1))
        assert grad.abs().sum() > 0.01
        assert along.abs().max() < 1e-5
        optimiser.step()
        lengths = unit_weight(layer.weight).flatten(1).norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_normalised_in_float32(dtype: torch.dtype) -> None:
    weight = filters((8, 64, 3, 3), torch.float32).to(dtype) * 30  # the sum of squares leaves float16
    exact = weight.double() / weight.double().flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    unit = unit_weight(weight)
    assert unit.dtype == dtype
    torch.testing.assert_close(unit, exact.to(dtype), rtol=0.0, atol=2e-5)
    assert (unit.double().flatten(1).norm(dim=1) - 1).abs().max() < 1e-3
    layer = UnitLinear(4, 5).to(dtype)
    layer(ROWS.to(dtype)).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_filter_of_zeros_stays_and_can_learn(dtype: torch.dtype) -> None:
    weight = torch.zeros(2, 3, dtype=dtype)
    weight[1] = torch.tensor([3.0, 0.0, 4.0])
    weight.requires_grad_()
    unit = unit_weight(weight)
    torch.testing.assert_close(unit[0], torch.zeros(3, dtype=dtype))
    (grad,) = torch.autograd.grad(unit, weight, torch.ones_like(unit))
    assert torch.isfinite(grad).all()
    assert grad[0].any()


def test_the_smallest_filters_have_length_one_unless_they_count_as_zero() -> None:
    weight = torch.tensor([[3e-6, 4e-6], [0.3, 0.4]], dtype=torch.float64)
    torch.testing.assert_close(unit_weight(weight), torch.tensor([[0.6, 0.8], [0.6, 0.8]], dtype=torch.float64))
    torch.testing.assert_close(unit_weight(weight, 1e-4)[0], weight[0])


def test_the_layout_of_the_weight_is_kept() -> None:
    weight = filters((4, 3, 3, 3)).to(memory_format=torch.channels_last).requires_grad_()
    unit = unit_weight(weight)
    assert unit.is_contiguous(memory_format=torch.channels_last)
    unit.square().sum().backward()


def test_the_penalty_sums_squared_distances_from_length_one() -> None:
    tied = nn.Conv2d(2, 2, 1)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), UnitConv2d(3, 2, 3), nn.ReLU(), tied, nn.Linear(4, 2), tied).double()
    each = [
        sum((w.square().sum().item() ** 0.5 - 1) ** 2 for w in net[k].weight)  # type: ignore[union-attr]
        for k in (0, 1, 3, 4)
    ]
    assert norm_penalty(net).item() == pytest.approx(sum(each), rel=1e-12)
    assert norm_penalty(net, only=["0", "4"]).item() == pytest.approx(each[0] + each[3], rel=1e-12)
    assert norm_penalty(net, only=lambda name, layer: isinstance(layer, nn.Linear)).item() == pytest.approx(each[3])
    assert norm_penalty(net[0]).item() == pytest.approx(each[0], rel=1e-12)
    assert norm_penalty(net.bfloat16()).dtype == torch.float32
    computed = nn.Sequential(*(weight_norm(nn.Linear(3, 2)) for _ in range(4)))
    torch.testing.assert_close(norm_penalty(computed), sum(norm_penalty(layer) for layer in computed))


def test_the_penalty_draws_filters_to_length_one() -> None:
    layer = nn.Linear(3, 2).double()
    with torch.no_grad():
        layer.weight[0] = 0.0
    for _ in range(200):
        layer.zero_grad()
        norm_penalty(layer).backward()
        with torch.no_grad():
            assert layer.weight.grad is not None
            layer.weight -= 0.1 * layer.weight.grad
    torch.testing.assert_close(layer.weight.norm(dim=1), torch.tensor([0.0, 1.0], dtype=torch.float64))


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="UnitConv2d: eps=0 must lie between 0 and 1"):
        UnitConv2d(1, 2, 3, eps=0)
    with pytest.raises(ConfigError, match="UnitLinear: eps=nan must lie"):
        UnitLinear(1, 2, eps=float("nan"))
    with pytest.raises(TypeError, match="kernal_size"):
        UnitConv2d(1, 2, kernal_size=3)
    with pytest.raises(ConfigError, match=r"output axis and others, got shape \(3,\)"):
        unit_weight(torch.ones(3))
    with pytest.raises(ConfigError, match="no convolution or linear layer chosen in ReLU"):
        norm_penalty(nn.ReLU())
    with pytest.raises(ConfigError, match="only='head' fits no layer; there are 0"):
        norm_penalty(nn.Sequential(nn.Linear(1, 1)), only="head")
    with pytest.raises(ConfigError, match="layer '0' has no size yet"):
        norm_penalty(nn.Sequential(nn.LazyLinear(2)))
