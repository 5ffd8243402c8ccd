"""Trained weights move into a twin of other neurons, or the difference is named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.models import mini_vgg, variant
from plexus.nn import RotConv2d, SphericalLinear, transplant


def test_every_weight_and_buffer_arrives_as_a_copy() -> None:
    source = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    source(torch.randn(4, 1, 4, 4))  # moves the running statistics
    target = nn.Sequential(RotConv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), SphericalLinear(8, 3))
    assert transplant(source, target) is target
    for key, value in source.state_dict().items():
        expected = value / value.norm(dim=1, keepdim=True) if key == "3.weight" else value
        torch.testing.assert_close(target.state_dict()[key], expected)
    with torch.no_grad():
        source.get_parameter("0.weight").zero_()
    assert target.get_parameter("0.weight").any()


def test_variants_of_the_notes_are_twins() -> None:
    source = mini_vgg(3, (1, 12, 12))
    for name in ("8_rot_4", "4_rot_1", "norm_conv_dense", "elu"):
        target = transplant(source, variant(name, 3, (1, 12, 12)))
        assert all(torch.equal(value, source.state_dict()[key]) for key, value in target.state_dict().items())


def test_what_only_the_target_has_is_kept_and_named() -> None:
    target = nn.Sequential(RotConv2d(1, 2, 3, reduce="squeeze"))
    kept = target.state_dict()["0.squeeze.weight"].clone()
    source = nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.warns(UserWarning, match=r"the source has no 0\.squeeze\.weight: kept as they are"):
        transplant(source, target)
    assert torch.equal(target.state_dict()["0.squeeze.weight"], kept)
    assert torch.equal(target.state_dict()["0.weight"], source.state_dict()["0.weight"])
    twin = nn.Sequential(RotConv2d(1, 2, 3, reduce="squeeze"))
    assert torch.equal(transplant(target, twin).state_dict()["0.squeeze.weight"], kept)
    with pytest.warns(UserWarning, match=r"has no squeeze\.weight"):
        transplant(nn.Conv2d(1, 2, 3), RotConv2d(1, 2, 3, reduce="squeeze"))


def test_differences_are_named_and_change_nothing() -> None:
    source = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    target = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2))
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(ConfigError) as error:
        transplant(source, target)
    assert str(error.value) == (
        "transplant: the two are not twins: the source lacks 2.weight, 2.bias; the target lacks 1.weight, 1.bias; "
        "shapes differ: 0.weight (2, 3) against (2, 4)"
    )
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())
    deep = nn.Sequential(*(nn.Linear(1, 1) for _ in range(5)))
    with pytest.raises(ConfigError, match=r"the source lacks 0\.weight, .*, 2\.bias and 4 more$"):
        transplant(nn.ReLU(), deep)


@pytest.mark.parametrize(("kind", "key"), [(nn.Linear, "weight"), (SphericalLinear, "angles")])
def test_a_weight_that_only_the_target_shares_is_named(kind: type[nn.Module], key: str) -> None:
    source = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    target = nn.Sequential(kind(2, 2), kind(2, 2))
    setattr(target[1], key, getattr(target[0], key))
    before = target.state_dict()["0.weight"].clone()
    with pytest.raises(ConfigError, match=r"the target shares what differs in the source: 0\.weight and 1\.weight$"):
        transplant(source, target)
    assert torch.equal(target.state_dict()["0.weight"], before)
    source[1].weight = source[0].weight
    transplant(source, target)
    shared = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match=r"shares what differs in the source: 0\.bias and 1\.bias"):
        transplant(source, nn.Sequential(shared, shared))
