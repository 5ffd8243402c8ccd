"""Converting a model keeps everything about it but its neurons, and says what to take care of."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from plexus.errors import ConfigError
from plexus.nn import (
    Report,
    RotConv2d,
    SphericalConv2d,
    SphericalLinear,
    UnitConv2d,
    UnitLinear,
    convert,
)

IMAGES = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    """Two stages and a head, each with something to get wrong."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Conv2d(4, 5, 5, padding=2, bias=False, padding_mode="reflect"),
        nn.Conv2d(5, 6, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def kinds(model: nn.Module) -> list[str]:
    return [type(m).__name__ for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def reasons(report: Report) -> dict[str, str]:
    return {skip.name: skip.why for skip in report.skipped}


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (RotConv2d, ["RotConv2d", "RotConv2d", "Conv2d", "Linear"]),
        (UnitConv2d, ["UnitConv2d", "UnitConv2d", "UnitConv2d", "Linear"]),
        (SphericalConv2d, ["SphericalConv2d", "SphericalConv2d", "SphericalConv2d", "Linear"]),
        (UnitLinear, ["Conv2d", "Conv2d", "Conv2d", "UnitLinear"]),
        (SphericalLinear, ["Conv2d", "Conv2d", "Conv2d", "SphericalLinear"]),
    ],
)
def test_it_replaces_every_layer_of_a_kind_and_there_is_a_way_back(to: type[nn.Module], expected: list[str]) -> None:
    model = network().double()
    before = copy.deepcopy(model)
    report = convert(model, to)
    assert kinds(model) == expected
    assert [c.name for c in report.changed] == [name for name, m in model.named_modules() if type(m) is to]
    assert {c.before for c in report.changed} <= {"Conv2d", "Linear"}
    assert model.state_dict().keys() == before.state_dict().keys()
    convert(model, nn.Conv2d if issubclass(to, nn.Conv2d) else nn.Linear)
    assert kinds(model) == kinds(before)
    assert repr(model) == repr(before)
    if "Spherical" not in to.__name__:
        x = IMAGES.double()
        assert torch.equal(model.eval()(x), before.eval()(x))


def test_a_converted_layer_computes_with_the_weights_and_options_it_had() -> None:
    model = network()
    plain = copy.deepcopy(model[1])
    convert(model, partial(RotConv2d, rotations=4, reduce="continuous"), only=["1"])
    fresh = RotConv2d(4, 5, 5, padding=2, bias=False, padding_mode="reflect", rotations=4, reduce="continuous")
    fresh.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model[1](x), fresh(x))
    assert repr(model[1]) == repr(fresh)


def test_an_optimiser_built_before_still_trains_the_model() -> None:
    model = network()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    names = {name: id(p) for name, p in model.named_parameters()}
    convert(model, UnitConv2d)
    convert(model, UnitLinear)
    assert {name: id(p) for name, p in model.named_parameters()} == names
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model(IMAGES).square().sum().backward()
    optimiser.step()
    assert all((p != before[name]).any() for name, p in model.named_parameters() if "weight" in name)


@pytest.mark.parametrize("to", [UnitConv2d, SphericalConv2d, partial(RotConv2d, reduce="squeeze")])
def test_mode_dtype_gradients_and_hooks_stay(to: Any) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).double()
    model[0].weight.requires_grad_(False)
    model[0].eval()
    seen: list[str] = []
    handle = model[0].register_forward_hook(lambda *_: seen.append("after"))
    model[0].register_forward_pre_hook(lambda *_: seen.append("before"))
    convert(model, to)
    layer = model[0]
    assert not layer.training
    assert model[1].training
    assert {p.dtype for p in layer.parameters()} == {torch.float64}
    assert not any(p.requires_grad for name, p in layer.named_parameters() if name in ("weight", "angles"))
    assert layer.bias is not None
    assert layer.bias.requires_grad
    model(IMAGES.double())
    assert seen == ["before", "after"]
    handle.remove()
    model(IMAGES.double())
    assert seen == ["before", "after", "before"]


def test_a_layer_used_twice_is_replaced_once_everywhere() -> None:
    shared = nn.Conv2d(3, 3, 3, padding=1)
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared, nn.ReLU())})
    report = convert(model, UnitConv2d)
    assert [c.name for c in report.changed] == ["a"]
    assert type(model["a"]) is UnitConv2d
    assert model["b"][0] is model["a"]  # type: ignore[index]


def tied() -> nn.Sequential:
    """Two layers with one weight."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


@pytest.mark.parametrize(("to", "key"), [(UnitLinear, "weight"), (SphericalLinear, "angles")])
def test_layers_that_share_a_weight_go_on_sharing_it(to: type[nn.Module], key: str) -> None:
    model = tied()
    convert(model, to)
    assert getattr(model[0], key) is getattr(model[2], key)
    assert len(list(model.parameters())) == 3
    convert(model, nn.Linear)
    assert model[0].weight is model[2].weight


def test_a_layer_stays_if_new_parameters_would_part_it_from_another() -> None:
    model = tied()
    with pytest.raises(
        ConfigError, match=r"no layer can become SphericalLinear.*shares its weight with 0, which stays"
    ):
        convert(model, SphericalLinear, last=1)
    model.append(nn.Linear(4, 2))
    report = convert(model, SphericalLinear, only=["2", "3"])
    assert [c.name for c in report.changed] == ["3"]
    assert reasons(report) == {"0": "not chosen by only", "2": "shares its weight with 0, which stays"}
    assert convert(model, UnitLinear, only=["2"]).changed  # the weight stays the same object
    assert model[0].weight is model[2].weight


def test_last_counts_layers_that_can_change_and_only_chooses_by_name_or_question() -> None:
    report = convert(network(), RotConv2d, last=1, dry_run=True)
    assert [c.name for c in report.changed] == ["1"]
    assert reasons(report) == {"0.0": "not among the last 1", "2": "1x1, nothing to rotate"}
    assert [c.name for c in convert(network(), RotConv2d, only=["0.*", "2"], dry_run=True).changed] == ["0.0"]
    few = convert(network(), UnitConv2d, only=lambda name, layer: layer.bias is None)
    assert [c.name for c in few.changed] == ["1"]
    assert reasons(few) == dict.fromkeys(("0.0", "2"), "not chosen by only")
    assert [c.name for c in convert(network(), UnitConv2d, only=["0.0", "1"], last=1).changed] == ["1"]


@pytest.mark.parametrize("to", [partial(RotConv2d, reduce="squeeze"), SphericalConv2d])
def test_a_dry_run_changes_nothing(to: Any) -> None:
    model = network()
    state, before, draws = copy.deepcopy(model.state_dict()), repr(model), torch.get_rng_state()
    dry = convert(model, to, dry_run=True)
    assert repr(model) == before
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), draws)
    assert dry.dry_run
    wet = convert(model, to)
    assert (dry.changed, dry.skipped, dry.warnings) == (wet.changed, wet.skipped, wet.warnings)
    assert str(dry).startswith("would convert")


class Own(nn.Conv2d):
    """A layer that may compute anything."""


def test_it_says_why_layers_stay() -> None:
    model = nn.ModuleDict(
        {
            "fits": nn.Conv2d(3, 4, 3),
            "even": nn.Conv2d(3, 4, 4),
            "oblong": nn.Conv2d(3, 4, (3, 1)),
            "point": nn.Conv2d(3, 4, 1),
            "lazy": nn.LazyConv2d(4, 3),
            "own": Own(3, 4, 3),
            "up": nn.ConvTranspose2d(3, 4, 3),
            "line": nn.Conv1d(3, 4, 3),
            "normed": weight_norm(nn.Conv2d(3, 4, 3)),
            "many": RotConv2d(3, 4, 3, reduce="concat"),
            "done": RotConv2d(3, 4, 3),
        }
    )
    report = convert(model, RotConv2d)
    assert [c.name for c in report.changed] == ["fits"]
    assert reasons(report) == {
        "even": "a 4x4 kernel has no centre tap",
        "oblong": "a 3x1 kernel is not square",
        "point": "1x1, nothing to rotate",
        "lazy": "has no size yet; run the model once first",
        "own": "a subclass of Conv2d, which may compute more",
        "up": "transposed",
        "line": "not a 2-D convolution",
        "normed": "a subclass of Conv2d, which may compute more",
        "many": "reduce='concat' gives more maps than it has filters",
        "done": "already so",
    }
    again = convert(model, RotConv2d)
    assert (again.changed, again.warnings) == ((), ())
    assert [c.before for c in convert(model, partial(RotConv2d, rotations=4)).changed] == [
        "RotConv2d(rotations=8, reduce=max)"
    ] * 2


def test_layers_whose_parents_read_their_weights_stay() -> None:
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 2))
    report = convert(model, UnitLinear)
    assert [c.name for c in report.changed] == ["1"]
    assert set(reasons(report)) == {"0.self_attn.out_proj", "0.linear1", "0.linear2"}


def test_it_warns_of_strides_heads_and_batch_norms_by_name() -> None:
    risky = nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(100, 2)
    )
    stride, head, norm = convert(copy.deepcopy(risky), RotConv2d).warnings
    assert stride.startswith("stride above 1 in 1:")
    assert head.startswith("4 reads 100 inputs from the 4 maps of 2, so it sees positions (Flatten + Linear)")
    assert norm.startswith("batch norm after a converted layer: 2 hold statistics")
    assert [w.split(":")[0] for w in convert(risky, UnitConv2d).warnings] == ["batch norm after a converted layer"]


def test_it_warns_of_strides_elsewhere_too_but_not_of_pooling_in_tiles() -> None:
    parts = [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.AvgPool2d((2, 2)), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 1, 2)]
    (stride,) = convert(nn.Sequential(*parts), RotConv2d).warnings
    assert stride.startswith("stride above 1 in 3, 4:")
    assert not convert(nn.Sequential(*parts[:3]), UnitConv2d).warnings
    (stride,) = convert(nn.Sequential(nn.Conv2d(3, 4, 3, stride=3)), RotConv2d).warnings
    assert stride.startswith("stride above 1 in 0:")


@pytest.mark.parametrize(
    "head",
    [
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)],
        [nn.AdaptiveMaxPool2d((1, 1)), nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)],
        [nn.Conv2d(4, 6, 1)],
    ],
)
def test_a_head_that_pools_first_needs_no_warning(head: list[nn.Module]) -> None:
    assert convert(nn.Sequential(nn.Conv2d(3, 4, 3), *head), RotConv2d).warnings == ()


def test_it_warns_of_parameters_that_are_new() -> None:
    (text,) = convert(nn.Sequential(nn.Conv2d(3, 4, 3)), partial(RotConv2d, reduce="squeeze")).warnings
    assert text == "squeeze starts from random weights in 0: train them"
    (text,) = convert(nn.Sequential(nn.Linear(3, 4)), SphericalLinear).warnings
    assert text == "new parameters in 0: build the optimiser after this"


def test_the_report_reads_as_a_list() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 2))
    assert str(convert(model, RotConv2d)).splitlines() == [
        "converted 1 layer to RotConv2d(rotations=8, reduce=max)",
        "  0: Conv2d -> RotConv2d(rotations=8, reduce=max)",
        "passed over 1",
        "  1: Conv2d: a 2x2 kernel has no centre tap",
        "warning: stride above 1 in 0: on even sizes with padding 1 this breaks even turns by 90 degrees; prefer "
        "stride 1 and a 2x2 max-pool",
    ]


@pytest.mark.parametrize("size", [9, 12])
@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
def test_a_net_of_rotation_neurons_and_a_global_pool_is_invariant_under_quarter_turns(
    size: int, pool: type[nn.Module]
) -> None:
    torch.manual_seed(0)
    between = [nn.MaxPool2d(2)] if size % 2 == 0 else []
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *between),
        *(nn.Conv2d(8, 8, 3), nn.ELU(), nn.Conv2d(8, 8, 3, padding=1)),
        *(pool(1), nn.Flatten(), nn.Linear(8, 4)),
    )
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    turned: list[Tensor] = [torch.rot90(images, k, (2, 3)) for k in range(4)]
    assert max((model(x) - model(images)).abs().max().item() for x in turned) > 1e-3
    convert(model, partial(RotConv2d, rotations=4))
    for x in turned:
        torch.testing.assert_close(model(x), model(images), rtol=0.0, atol=1e-4)


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        (nn.ReLU, {}, "is unknown; choose from RotConv2d, UnitConv2d, SphericalConv2d, UnitLinear, SphericalLinear"),
        ("rot8", {}, "to='rot8' is unknown"),
        (partial(UnitConv2d, rotations=4), {}, "UnitConv2d may set eps, not rotations"),
        (partial(nn.Conv2d, stride=2), {}, "Conv2d takes no options here, not stride"),
        (partial(RotConv2d, 3), {}, "RotConv2d may set rotations, reduce, not 3"),
        (partial(RotConv2d, rotations=5), {}, "rotations=5: expected 4 or 8"),
        (partial(RotConv2d, reduce="concat"), {}, "multiplies the maps that the next layer gets; use 'squeeze'"),
        (RotConv2d, {"last": 3}, "last=3 must lie between 1 and 2"),
        (RotConv2d, {"last": 0}, "last=0 must lie between 1 and 2"),
        (RotConv2d, {"only": ["stem"]}, "only='stem' fits no layer; there are 0.0, 1, 2"),
        (RotConv2d, {"only": ["2"]}, "no layer can become RotConv2d.*2: Conv2d, 1x1, nothing to rotate"),
    ],
)
def test_mistakes_are_told_and_change_nothing(to: Any, options: dict[str, Any], message: str) -> None:
    model = network()
    before = repr(model)
    with pytest.raises(ConfigError, match=message):
        convert(model, to, **options)
    assert repr(model) == before


def test_it_says_what_there_is_when_nothing_fits() -> None:
    with pytest.raises(ConfigError, match=r"no layer can become UnitConv2d.*; there is 2 Linear, 1 ReLU"):
        convert(nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)), UnitConv2d)
    with pytest.raises(ConfigError, match=r"the model itself is the Conv2d.*wrap it as nn.Sequential\(layer\)"):
        convert(nn.Conv2d(1, 1, 3), UnitConv2d)
