"""Presets have the layers and the sizes they promise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.models import PRESETS, Classifier, chain_of, head, mix, preset
from plexus.nn import Supernet
from plexus.wiring import parameters
from tests.contract import check_layer


def chain(name: str, shape: tuple[int, int, int], end: str = "gap", classes: int = 10) -> Classifier:
    """The plain network of a preset."""
    body = chain_of(preset(name).legos(shape))
    maps = body(torch.zeros(2, *shape)).shape[1]
    net = Classifier(body, head(end, maps, classes))
    net(torch.zeros(2, *shape))
    return net


def gated(name: str, shape: tuple[int, int, int], end: str = "gap") -> Classifier:
    body = Supernet(preset(name).legos(shape), shape, **preset(name).options)
    net = Classifier(body, head(end, body.out_channels, 10))
    net(torch.zeros(2, *shape))
    return net


@pytest.mark.parametrize(("shape", "count", "sizes"), [((3, 32, 32), 15, (32, 16, 8)), ((1, 8, 8), 9, (8, 4, 2))])
def test_deep_has_three_stages_of_one_width(shape: tuple[int, int, int], count: int, sizes: tuple[int, ...]) -> None:
    body = Supernet(preset("deep").legos(shape), shape, **preset("deep").options)
    assert len(body.legos) == count
    x, seen = torch.randn(2, *shape), []
    for lego in body.legos:
        lego.register_forward_hook(lambda _, args, out: seen.append((args[0].shape[2], out.shape[1])))
    body(x)
    assert seen == [(size, 16) for size in sizes for _ in range(count // 3)]
    assert len(body.wiring().edges) == count * (count + 3) // 2


def test_deep_costs_no_parameters_more_than_its_chain_but_the_gates() -> None:
    shape = (3, 32, 32)
    kernels = 3 * 16 * 9 + 14 * 16 * 16 * 9
    assert parameters(chain("deep", shape)) == kernels + 15 * 2 * 16 + 16 * 10 + 10 == 33338
    assert parameters(gated("deep", shape)) == 33338 + 135


def test_deep_starts_near_the_chain() -> None:
    strengths = gated("deep", (1, 8, 8)).body.wiring().strengths()  # type: ignore[operator]
    assert strengths["lego3", "lego4"] == pytest.approx(0.95)
    assert strengths["lego2", "lego4"] == pytest.approx(0.27)


@pytest.mark.parametrize(("name", "count"), [("blocks", 4), ("legos8", 8)])
def test_the_chain_of_the_notes_is_their_network(name: str, count: int) -> None:
    net = chain(name, (3, 32, 32), "flatten512")
    assert len(preset(name).legos((3, 32, 32))) == count
    assert parameters(net) == 1_250_858
    assert [type(m).__name__ for m in net.body.modules() if not isinstance(m, nn.Sequential)] == [
        *("Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Dropout") * 2
    ]


@pytest.mark.parametrize(("name", "gates"), [("blocks", 2 + 3 + 4 + 5), ("legos8", sum(range(2, 10)))])
def test_the_notes_presets_concatenate_everything(name: str, gates: int) -> None:
    net = gated(name, (3, 32, 32))
    assert isinstance(net.body, Supernet)
    assert [c.merge for c in net.body.connections] == ["concat"] * len(net.body.connections)
    assert sum(len(c.weight) for c in net.body.connections) == gates
    assert net.body.connections[0].gates().tolist() == pytest.approx([0.6225] * 2, abs=1e-4)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("end", ["gap", "flatten512"])
def test_every_preset_trains_with_every_head(name: str, end: str) -> None:
    net = gated(name, (3, 16, 16), end)
    net(torch.randn(2, 3, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_legos_are_made_anew_each_time() -> None:
    first, second = preset("blocks").legos((3, 16, 16)), preset("blocks").legos((3, 16, 16))
    assert not {id(m) for lego in first for m in lego.modules()} & {id(m) for lego in second for m in lego.modules()}


@pytest.mark.parametrize(("axes", "end"), [(1, "gap"), (2, "gap"), (3, "gap"), (2, "flatten512")])
def test_a_classifier_is_a_layer(axes: int, end: str) -> None:
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[axes]

    def make() -> Classifier:
        net = Classifier(conv(2, 3, 1), head(end, 3, 4, axes=axes))
        net.eval()(torch.zeros(1, 2, *[3] * axes))
        return net.eval()

    def given(dtype: torch.dtype) -> list[torch.Tensor]:
        return [torch.randn(2, 2, *[3] * axes, generator=torch.Generator().manual_seed(0)).to(dtype)]

    check_layer(make, given, gradcheck=end == "gap")


def test_unknown_names_are_told() -> None:
    with pytest.raises(ConfigError, match="preset 'vgg' is unknown; choose from separable, mix, deep, blocks, legos8"):
        preset("vgg")
    with pytest.raises(ConfigError, match="head='mean' is unknown; choose gap or flatten512"):
        head("mean", 3, 2)


@pytest.mark.parametrize("side", [8, 28, 32, 64, 128, 224])
def test_the_mix_ends_at_eight_pixels_or_less(side: int) -> None:
    legos: list[Any] = list(mix((3, side, side), width=8))
    body = Supernet(legos, (3, side, side), merge="mix").eval()
    with torch.no_grad():
        outputs = [torch.zeros(1, 3, side, side)]
        for lego in legos:  # each takes as many maps as it gives, of any size
            maps = outputs[-1]
            outputs.append(lego(maps if len(outputs) == 1 else maps[:, :1].expand(-1, lego[0].in_channels, -1, -1)))
        assert body(outputs[0]).shape[0] == 1
    assert 2 <= outputs[-1].shape[-1] <= 8
    assert outputs[1].shape[-1] <= 32  # most of the time is not spent at full size
    assert legos[0][0].groups == 1
    assert all(lego[0].groups == lego[0].in_channels == lego[0].out_channels for lego in legos[1:])
    widths = [lego[0].out_channels for lego in legos]
    assert widths == sorted(widths)
    assert set(widths) == {8 * 2**k for k in range(len(set(widths)))}
