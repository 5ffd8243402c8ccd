"""Spherical layers: angles in place of weights, and plain weights in files."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from plexus.nn import SphericalConv2d, SphericalLinear
from tests.contract_drop_in import check_drop_in

IMAGES = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def from_angles(angles: Tensor) -> Tensor:
    """The filters, (O, D), of a layer with these angles: what it answers to every unit vector."""
    entries = angles.shape[1] + 1
    layer = SphericalLinear(entries, len(angles), bias=False, dtype=angles.dtype)
    return torch.func.functional_call(layer, {"angles": angles}, torch.eye(entries, dtype=angles.dtype)).T


def to_angles(weight: Tensor) -> Tensor:
    """The angles of a layer that was given these filters."""
    layer = SphericalLinear(weight.shape[1], len(weight), bias=False, dtype=torch.float64)
    layer.set_weight(weight)
    return layer.angles.detach()


@pytest.mark.parametrize(
    ("make", "plain", "x"),
    [
        (lambda: SphericalConv2d(4, 3, 3, padding=1), lambda: nn.Conv2d(4, 3, 3, padding=1), IMAGES),
        (lambda: SphericalLinear(4, 5), lambda: nn.Linear(4, 5), ROWS),
    ],
    ids=["conv", "linear"],
)
def test_it_stands_for_a_plain_layer(make: Callable[[], nn.Module], plain: Callable[[], nn.Module], x: Tensor) -> None:
    # a filter of zeros has no direction and becomes a unit filter like any other
    check_drop_in(make, plain, x, rounding=1e-5, zero=False)


@pytest.mark.parametrize("entries", [2, 3, 4, 7, 8, 30])
def test_angles_are_those_of_the_textbook(entries: int) -> None:
    angles = torch.empty(5, entries - 1, dtype=torch.float64).uniform_(
        -4, 4, generator=torch.Generator().manual_seed(0)
    )
    expected = torch.empty(5, entries, dtype=torch.float64)
    for row, given in zip(expected, angles.tolist(), strict=True):
        left = 1.0
        for k, a in enumerate(given):
            row[k] = math.sin(a) * left
            left *= math.cos(a)
        row[-1] = left
    torch.testing.assert_close(from_angles(angles), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("entries", [2, 3, 27, 576])
def test_angles_give_back_the_direction(entries: int) -> None:
    weight = torch.randn(6, entries, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight[1, 1:] = 0.0
    weight[2, :-1] = 0.0
    weight[3, -1] = 0.0
    weight[4] *= 1e-40  # its squares leave float32
    unit = weight / weight.abs().amax(1, keepdim=True)
    unit = unit / unit.norm(dim=1, keepdim=True)
    torch.testing.assert_close(from_angles(to_angles(weight)), unit, rtol=1e-13, atol=1e-13)
    single = from_angles(to_angles(weight).float())
    torch.testing.assert_close(single.double(), unit, rtol=0.0, atol=3e-7)


def test_gradients_exist_at_the_poles() -> None:
    angles = torch.tensor([[0.3, math.pi / 2, 0.2, math.pi / 2, 0.1], [0.0] * 5], dtype=torch.float64)
    assert torch.autograd.gradcheck(from_angles, (angles.requires_grad_(),))
    angles = to_angles(torch.eye(6)).float().requires_grad_()
    from_angles(angles).square().sum().backward()
    assert angles.grad is not None
    assert torch.isfinite(angles.grad).all()


def test_columns_of_the_jacobian_shrink_as_documented() -> None:
    """|dw / da_k| = prod_{j<k} cos a_j: about .05 at the end of 576 entries."""
    weight = torch.randn(40, 576, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    angles = to_angles(weight)
    jacobian = torch.autograd.functional.jacobian(lambda a: from_angles(a[None])[0], angles[0])
    products = angles.cos().cumprod(1)
    assert isinstance(jacobian, Tensor)
    torch.testing.assert_close(jacobian.norm(dim=0)[1:], products[0, :-1].abs())
    assert jacobian[:, 0].norm().item() == pytest.approx(1.0)
    assert products[:, -2].abs().median().item() == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("layer", [SphericalConv2d(4, 6, 3), SphericalLinear(4, 6)], ids=["conv", "linear"])
def test_filters_keep_length_one_while_they_learn(layer: nn.Module) -> None:
    layer = copy.deepcopy(layer)
    x = IMAGES if isinstance(layer, nn.Conv2d) else ROWS
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.3)
    before = layer.weight.detach().clone()  # type: ignore[operator]
    for _ in range(5):
        optimiser.zero_grad()
        (layer(x) - 1).square().mean().backward()
        optimiser.step()
    after = layer.weight
    assert isinstance(after, Tensor)
    assert (after - before).abs().max() > 0.1
    torch.testing.assert_close(after.flatten(1).norm(dim=1), torch.ones(6))


def test_the_parameters_are_angles_and_the_state_is_weights() -> None:
    layer = SphericalConv2d(2, 3, 3)
    assert [(n, tuple(p.shape)) for n, p in layer.named_parameters()] == [("angles", (3, 17)), ("bias", (3,))]
    net = nn.Sequential(nn.ReLU(), layer)
    assert list(net.state_dict()) == ["1.weight", "1.bias"]
    assert net.state_dict()["1.weight"].shape == (3, 2, 3, 3)
    assert not net.state_dict()["1.weight"].requires_grad
    assert net.state_dict(keep_vars=True)["1.weight"].requires_grad


def test_loading_keeps_the_direction_and_leaves_the_given_state_alone() -> None:
    plain, layer = nn.Conv2d(2, 3, 3), SphericalConv2d(2, 3, 3)
    state = plain.state_dict()
    for assign in (False, True):
        layer.load_state_dict(state, assign=assign)
        unit = plain.weight / plain.weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        torch.testing.assert_close(layer.weight, unit, rtol=0.0, atol=1e-6)
    assert list(state) == ["weight", "bias"]
    layer.set_weight(-plain.weight)
    torch.testing.assert_close(layer.weight, -unit, rtol=0.0, atol=1e-6)


def test_starting_anew_draws_other_filters() -> None:
    layer = SphericalLinear(5, 4)
    before, angles = layer.weight.detach(), layer.angles
    layer.reset_parameters()
    assert layer.angles is angles
    assert list(dict(layer.named_parameters())) == ["angles", "bias"]
    assert (layer.weight - before).abs().max() > 0.1


def test_a_filter_with_one_entry_keeps_its_sign() -> None:
    plain, layer = nn.Linear(1, 3), SphericalLinear(1, 3)
    plain.weight.data = torch.tensor([[2.0], [-3.0], [0.0]])
    layer.load_state_dict(plain.state_dict())
    assert layer.weight.tolist() == [[1.0], [-1.0], [1.0]]
    assert copy.deepcopy(layer).weight.tolist() == [[1.0], [-1.0], [1.0]]
    layer(torch.ones(2, 1)).sum().backward()
    assert layer.angles.shape == (3, 0)
    assert SphericalConv2d(1, 2, 1)(torch.ones(1, 1, 2, 2)).shape == (1, 2, 2, 2)


def test_mistakes_are_told() -> None:
    with pytest.raises(TypeError, match="eps"):
        SphericalConv2d(1, 2, 3, eps=1e-8)
    with pytest.raises(RuntimeError, match=r"size mismatch for 0.weight: expected \(2, 3\), got \(2, 4\)"):
        nn.Sequential(SphericalLinear(3, 2)).load_state_dict(nn.Sequential(nn.Linear(4, 2)).state_dict())
