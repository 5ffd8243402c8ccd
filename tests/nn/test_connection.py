"""A connection computes its formula, for every option, on one to three axes."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from plexus.errors import ConfigError
from plexus.nn import Connection
from plexus.nn import functional as PF
from tests.contract import check_layer
from tests.nn.naive import naive_connection

CHANNELS = (3, 5, 2)
SIZES: dict[int, list[tuple[int, ...]]] = {
    1: [(7,), (4,), (9,)],
    2: [(8, 6), (4, 6), (5, 9)],
    3: [(4, 5, 6), (4, 3, 3), (2, 6, 3)],
}
WAYS: Any = [("smallest", r) for r in ("area", "nearest", "bilinear", "bicubic")] + [("largest", "area")]


def sources(axes: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = [(2, c, *s) for c, s in zip(CHANNELS, SIZES[axes], strict=True)]
    return [torch.randn(shape, dtype=dtype, generator=draw) for shape in shapes]


def disturbed(connection: Connection) -> Connection:
    """The same with gates that differ."""
    with torch.no_grad():
        connection.weight.add_(torch.randn(connection.weight.shape, generator=torch.Generator().manual_seed(1)))
    return connection


@pytest.mark.parametrize(
    ("merge", "project"),
    [("concat", "pad"), ("squeeze", "pad"), ("sum", "pad"), ("sum", "conv"), ("max", "pad"), ("max", "conv")],
)
@pytest.mark.parametrize("gate", ["scalar", "channel"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_resizes_multiplies_and_merges(merge: Any, project: str, gate: str, axes: int) -> None:
    torch.manual_seed(0)
    given = sources(axes)
    for (size, resize), activation in itertools.product(WAYS, ["sigmoid", "none"]):
        if resize == "bicubic" and axes != 2:
            continue
        options: dict[str, Any] = {
            "size": size,
            "resize": resize,
            "activation": activation,
            "project": project,
            "gate": gate,
        }
        connection = disturbed(Connection(CHANNELS, merge=merge, **options)).double()
        expected = naive_connection(connection, given)
        got = connection(given)
        assert got.shape == (2, connection.out_channels, *expected.shape[2:])
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12, msg=f"{options}")


@pytest.mark.parametrize(
    "options",
    [
        {"merge": "concat"},
        {"merge": "concat", "gate": "channel", "size": "largest"},
        {"merge": "sum"},
        {"merge": "sum", "gate": "channel"},
        {"merge": "sum", "project": "conv", "gate": "channel", "activation": "none"},
        {"merge": "max", "resize": "bilinear"},
        {"merge": "max", "project": "conv"},
        {"merge": "squeeze", "squeeze_to": 4},
        {"merge": "mix", "mix_to": 4, "share": 2},
    ],
    ids=lambda o: "-".join(map(str, o.values())),
)
def test_it_is_a_layer(options: dict[str, Any]) -> None:
    def make() -> torch.nn.Module:
        return disturbed(Connection((2, 3), **options))

    class OfTwo(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.join = make()

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.join([a, b])

    def given(dtype: torch.dtype) -> list[Tensor]:
        draw = torch.Generator().manual_seed(3)
        return [torch.randn(2, c, n, 2, dtype=dtype, generator=draw) for c, n in ((2, 4), (3, 2))]

    check_layer(OfTwo, given)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_a_sum_has_the_gradients_of_its_formula(layout: torch.memory_format, gate: str) -> None:
    shapes = [(2, 3, 4, 4), (2, 5, 4, 4), (2, 5, 4, 4)]
    given = [torch.randn(s, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_() for s in shapes]
    gates = [torch.randn(() if gate == "scalar" else s[1], dtype=torch.float64, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(lambda *t: PF.weighted_sum(t[:3], t[3:]), (*given, *gates))


def test_a_sum_asks_only_for_the_gradients_that_are_wanted() -> None:
    x, frozen = torch.randn(1, 2, 3), torch.randn(1, 2, 3, requires_grad=True)
    gates = [torch.tensor(0.5, requires_grad=True), torch.tensor(2.0)]
    PF.weighted_sum([x, frozen], gates).sum().backward()
    torch.testing.assert_close(gates[0].grad, x.sum())
    torch.testing.assert_close(frozen.grad, torch.full_like(frozen, 2.0))


def test_area_means_over_cells_and_nearest_takes_the_first() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert PF.resize(x, (2, 2), "area").flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert PF.resize(x, (2, 2), "nearest").flatten().tolist() == [0, 2, 8, 10]
    assert PF.resize(x, (4, 2), "area").flatten().tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]
    assert PF.resize(torch.arange(5.0).view(1, 1, 5), (2,), "area").flatten().tolist() == [1, 3]  # 0 1 2 | 2 3 4
    assert PF.resize(x, (4, 4), "area") is x


def test_padding_is_centred_and_an_odd_rest_goes_behind() -> None:
    assert PF.pad_to(torch.ones(1, 1, 2), (4,)).tolist() == [[[0, 1, 1, 0]]]
    assert PF.pad_to(torch.ones(1, 1, 2), (5,)).tolist() == [[[0, 1, 1, 0, 0]]]
    image = PF.pad_to(torch.ones(1, 1, 1, 2), (2, 5))[0, 0]
    assert image.tolist() == [[0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert PF.pad_to(torch.ones(1, 1, 1, 1, 1), (1, 2, 3))[0, 0].tolist() == [[[0, 1, 0], [0, 0, 0]]]


def test_a_target_size_is_taken_axis_by_axis() -> None:
    given = [torch.ones(1, 1, 8, 2), torch.ones(1, 1, 4, 6)]
    assert Connection((1, 1))(given).shape == (1, 2, 4, 2)
    assert Connection((1, 1), size="largest")(given).shape == (1, 2, 8, 6)


def test_missing_maps_count_as_zero() -> None:
    given = [torch.full((1, 1, 2), -3.0), torch.full((1, 2, 2), -5.0)]
    total = Connection((1, 2), merge="sum", activation="none", init=1.0)(given)
    largest = Connection((1, 2), merge="max", activation="none", init=1.0)(given)
    assert total[0, :, 0].tolist() == [-8, -5]
    assert largest[0, :, 0].tolist() == [-3, 0]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_mix_weighs_every_map_for_every_map(axes: int) -> None:
    given, draw = sources(axes), torch.Generator().manual_seed(4)
    for size, resize in WAYS:
        if resize == "bicubic" and axes != 2:
            continue
        connection = Connection(CHANNELS, merge="mix", mix_to=6, share=3, size=size, resize=resize).double()
        connection.mask.copy_((torch.rand(2, 10, generator=draw) < 0.6).double())
        got = connection(given)
        torch.testing.assert_close(got, naive_connection(connection, given), rtol=1e-12, atol=1e-12)
        got.square().sum().backward()
        assert connection.weight.grad is not None
        cut = connection.mask.repeat_interleave(3, 0) == 0
        assert torch.equal(connection.weight.grad == 0, cut)


def test_a_mix_starts_with_hes_weights_and_nothing_cut() -> None:
    connection = Connection([100, 300], merge="mix", mix_to=200, generator=torch.Generator().manual_seed(0))
    assert connection.weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.02)
    assert connection.weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert connection.mask.shape == (25, 400)
    assert bool((connection.mask == 1).all())
    assert (connection.out_channels, connection.activation) == (200, "none")
    again = Connection([100, 300], merge="mix", mix_to=200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(connection.weight, again.weight)
    assert Connection([3, 16], merge="mix").out_channels == 16
    assert "[3, 16] -> 16, merge=mix, share=8, size=smallest" in repr(Connection([3, 16], merge="mix"))


def test_blocks_of_a_mix_are_addressed_by_source() -> None:
    connection = Connection(CHANNELS, merge="mix", mix_to=6, share=3)
    connection.mask[connection.entries(1)] = 0
    blocks = connection.split_gates()
    assert [tuple(block.shape) for block in blocks] == [(6, 3), (6, 5), (6, 2)]
    assert not blocks[1].any()
    assert torch.equal(blocks[2], connection.weight[connection.entries(2)])


@pytest.mark.parametrize("merge", ["concat", "sum", "max", "squeeze"])
@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_a_mask_cuts_as_a_gate_of_zero_does(merge: Any, gate: Any) -> None:
    torch.manual_seed(0)
    given = sources(2, torch.float32)
    masked = Connection(CHANNELS, merge=merge, gate=gate, activation="none", init=0.7)
    zeroed = Connection(CHANNELS, merge=merge, gate=gate, activation="none", init=0.7)
    zeroed.load_state_dict(masked.state_dict())
    with torch.no_grad():
        masked.mask[masked.entries(1)] = 0
        zeroed.weight[zeroed.entries(1)] = 0
    assert torch.equal(masked(given), zeroed(given))
    assert "mask" in masked.state_dict()
    masked(given).sum().backward()
    assert masked.weight.grad is not None
    assert (masked.weight.grad[masked.entries(1)] == 0).all()


def test_entries_and_split_gates_address_the_same_numbers() -> None:
    for gate in ("scalar", "channel"):
        connection = disturbed(Connection(CHANNELS, gate=gate))
        for k, part in enumerate(connection.split_gates()):
            assert part.shape == (() if gate == "scalar" else (CHANNELS[k],))
            assert torch.equal(connection.gates()[connection.entries(k)], part.reshape(-1))
        assert connection.weight.shape == ((3,) if gate == "scalar" else (10,))


def test_widths() -> None:
    assert Connection(CHANNELS).out_channels == 10
    assert Connection(CHANNELS, merge="sum").out_channels == 5
    assert Connection(CHANNELS, merge="max", project="conv").out_channels == 5
    assert Connection(CHANNELS, merge="squeeze").out_channels == 2
    assert Connection(CHANNELS, merge="squeeze", squeeze_to=7).out_channels == 7


def sigmoid(w: float) -> float:
    return 1 / (1 + math.exp(-w))


@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_starts(gate: Any) -> None:
    counts = [1, 1, 1] if gate == "scalar" else list(CHANNELS)

    def spread(*values: float) -> Tensor:
        return torch.cat([torch.full((n,), v) for n, v in zip(counts, values, strict=True)])

    def start(**options: Any) -> Connection:
        return Connection(CHANNELS, gate=gate, **options)

    assert torch.equal(start().weight, spread(0.5, 0.5, 0.5))
    assert torch.equal(start(init=1).weight, spread(1, 1, 1))
    assert torch.equal(start(init="chain").weight, spread(0.5, 0.5, 1))
    torch.testing.assert_close(start(init=1.0).gates(), spread(*[sigmoid(1.0)] * 3))
    torch.testing.assert_close(start(gate_init=0.2).gates(), spread(0.2, 0.2, 0.2))
    torch.testing.assert_close(start(gate_init=(0.95, 0.27)).gates(), spread(0.27, 0.27, 0.95))
    assert torch.equal(start(gate_init=(0.95, 0.27), activation="none").gates(), spread(0.27, 0.27, 0.95))
    drawn = 0.5 + 0.1 * torch.randn(sum(counts), generator=torch.Generator().manual_seed(7))
    assert torch.equal(start(init="gaussian", generator=torch.Generator().manual_seed(7)).weight, drawn)


def test_one_source_is_last_and_first_at_once() -> None:
    assert Connection([4], gate_init=(0.9, 0.1)).gates().tolist() == pytest.approx([0.9])
    x = torch.randn(1, 4, 3)
    torch.testing.assert_close(Connection([4], merge="sum", activation="none", init=2.0)([x]), 2 * x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"merge": "avg"}, "merge='avg' is unknown; choose from concat, sum, max, squeeze"),
        ({"gate": "pixel"}, "gate='pixel' is unknown; choose from scalar, channel"),
        ({"size": "median"}, "size='median' is unknown; choose from smallest, largest"),
        ({"resize": "lanczos"}, "resize='lanczos' is unknown; choose from area, nearest, bilinear, bicubic"),
        ({"activation": "tanh"}, "activation='tanh' is unknown; choose from sigmoid, none"),
        ({"project": "copy"}, "project='copy' is unknown; choose from pad, conv"),
        ({"init": "ones"}, "init='ones' is unknown"),
        ({"init": math.nan}, "init=nan is unknown"),
        ({"init": [1.0]}, "init=\\[1.0\\] is unknown"),
        ({"gate_init": 1.0}, "gate_init=1.0 must be a gate value in \\(0, 1\\)"),
        ({"gate_init": (0.5, 0.5, 0.5)}, "gate_init=\\(0.5, 0.5, 0.5\\) must be"),
        ({"gate_init": (0.5, math.nan)}, "gate_init=\\(0.5, nan\\) must be"),
        ({"gate_init": "ab"}, "gate_init='ab' must be"),
        ({"squeeze_to": 3}, 'squeeze_to=3 needs merge="squeeze"'),
        ({"squeeze_to": 0, "merge": "squeeze"}, "squeeze_to=0 needs"),
        ({"mix_to": 8}, 'mix_to=8 needs merge="mix"'),
        ({"merge": "mix"}, "share=8 must divide the 2 channels of the mix"),
        ({"merge": "mix", "mix_to": 0}, "must divide the 0 channels"),
        ({"merge": "mix", "mix_to": 8, "share": 0}, "share=0 must divide"),
        ({"merge": "mix", "mix_to": 8, "gate": "channel"}, 'merge="mix" has no gates'),
        ({"merge": "mix", "mix_to": 8, "gate_init": 0.5}, 'merge="mix" has no gates'),
        ({"channels": []}, "channels=\\[\\] must list at least one source"),
        ({"channels": [3, 0]}, "channels=\\[3, 0\\] must list"),
    ],
)
def test_an_option_out_of_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Connection(**{"channels": [1, 2], **options})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 1, 4), (1, 3, 4)], "expected sources of \\[1, 2\\] channels, .* got \\[1, 3\\]"),
        ([(1, 1, 4)], "expected sources of \\[1, 2\\] channels, .* got \\[1\\]"),
        ([(1, 1), (1, 2)], "got \\[\\(1, 1\\), \\(1, 2\\)\\]"),
        (
            [(1, 1, 4), (1, 2, 4, 4)],
            "agree in batch size and number of axes, got \\[\\(1, 1, 4\\), \\(1, 2, 4, 4\\)\\]",
        ),
        ([(1, 1, 4), (3, 2, 4)], "agree in batch size"),
    ],
)
def test_sources_that_do_not_fit_are_told(shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Connection([1, 2])([torch.ones(s) for s in shapes])


@pytest.mark.parametrize("axes", [1, 3])
def test_bicubic_exists_for_images_only(axes: int) -> None:
    with pytest.raises(ConfigError, match=f"resize='bicubic' does not exist for {axes}-D maps"):
        Connection(CHANNELS, resize="bicubic")(sources(axes, torch.float32))


def test_half_precision_sums_keep_their_gates_and_their_dtype() -> None:
    given = [x.to(torch.bfloat16).requires_grad_() for x in sources(2, torch.float32)]
    connection = disturbed(Connection(CHANNELS, merge="sum"))
    got = connection(given)
    assert got.dtype == torch.bfloat16
    expected = naive_connection(connection, [x.float() for x in given])
    torch.testing.assert_close(got.float(), expected, rtol=0.02, atol=0.02)
    got.sum().backward()
    assert given[0].grad is not None
    assert connection.weight.grad is not None
    assert connection.weight.grad.dtype == torch.float32


def test_repr_says_what_goes_in_and_out() -> None:
    assert repr(Connection([1, 2], merge="sum")).startswith("Connection(\n  [1, 2] -> 2, merge=sum, gate=scalar")
