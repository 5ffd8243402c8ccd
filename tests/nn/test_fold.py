"""Folding gives a plain model of equal output and leaves the original alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.nn import RotConv2d, SphericalConv2d, SphericalLinear, UnitConv2d, UnitLinear, fold

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("conv", "linear"), [(UnitConv2d, UnitLinear), (SphericalConv2d, SphericalLinear)])
def test_a_folded_model_is_plain_and_computes_the_same(conv: type[nn.Conv2d], linear: type[nn.Linear]) -> None:
    torch.manual_seed(0)
    shared = conv(4, 4, 3, padding="same", dilation=2, padding_mode="circular", bias=False)
    model = nn.Sequential(
        *(conv(3, 4, 3, stride=2, padding=1), nn.Sequential(shared, nn.ReLU(), shared), RotConv2d(4, 4, 3)),
        *(nn.Flatten(), linear(16, 5)),
    ).eval()
    model[4].bias.requires_grad_(False)
    before, state = repr(model), {key: value.clone() for key, value in model.state_dict().items()}
    plain = fold(model)
    assert [type(m) for m in plain.modules() if hasattr(m, "weight")] == [nn.Conv2d, nn.Conv2d, RotConv2d, nn.Linear]
    assert (plain(IMAGES) - model(IMAGES)).abs().max() <= 1e-6
    assert plain[1][0] is plain[1][2]  # type: ignore[index]
    assert plain.state_dict().keys() == state.keys()
    assert not plain.training
    assert [p.requires_grad for p in plain.parameters()] == [True, True, True, True, True, True, False]
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(1.0)
    assert repr(model) == before
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("layer", [UnitLinear(3, 4), SphericalLinear(3, 4), UnitLinear(3, 4, eps=0.9)])
def test_a_layer_by_itself_folds_too(layer: nn.Linear) -> None:
    layer = layer.double()
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = fold(layer)
    assert type(plain) is nn.Linear
    torch.testing.assert_close(plain(x), layer(x))
    assert plain.bias is not layer.bias
    assert type(fold(nn.ReLU())) is nn.ReLU


def test_a_folded_layer_keeps_filters_of_zeros() -> None:
    layer = UnitConv2d(1, 2, 3)
    with torch.no_grad():
        layer.weight[0] = 0.0
    plain = fold(layer)
    lengths = plain.weight.flatten(1).norm(dim=1)  # type: ignore[operator]
    torch.testing.assert_close(lengths, torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize(("kind", "key"), [(UnitLinear, "weight"), (SphericalLinear, "angles")])
def test_what_shares_a_weight_goes_on_sharing_it(kind: type[nn.Linear], key: str) -> None:
    model = nn.Sequential(kind(4, 4), nn.ReLU(), kind(4, 4))
    setattr(model[2], key, getattr(model[0], key))
    model[2].bias = model[0].bias
    plain = fold(model)
    assert plain[0].weight is plain[2].weight  # type: ignore[index]
    assert plain[0].bias is plain[2].bias  # type: ignore[index]
    assert plain[0].weight is not getattr(model[0], key)  # type: ignore[index]
    x = torch.randn(3, 4)
    torch.testing.assert_close(plain(x), model(x))


@pytest.mark.parametrize("other", [nn.Linear(4, 4), UnitLinear(4, 4, eps=0.5), nn.Embedding(4, 4)])
def test_a_weight_that_two_layers_read_differently_is_refused(other: nn.Module) -> None:
    model = nn.Sequential(nn.Flatten(), UnitLinear(4, 4), other)
    other.weight = model[1].weight
    with pytest.raises(ConfigError, match=r"fold: 1 and 2 share a weight .* layer.weight = nn.Parameter"):
        fold(model)
    other.weight = nn.Parameter(model[1].weight.detach().clone())  # type: ignore[operator]
    assert type(fold(model)[1]) is nn.Linear  # type: ignore[index]
