"""What may be a lego, what happens to it, and what is said of one that does not fit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.nn import Recurrent, Supernet
from tests.contract import check_layer
from tests.nn.naive import naive_supernet
from tests.nn.nets import assert_like_naive, images, supernet


class TwoOutputs(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Silent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ([], "legos is empty"),
        ([nn.Conv2d(3, 3, 1), nn.Conv2d(5, 4, 1)], r"lego2 \(Conv2d\) does not accept maps \(6, 8, 8\): .*channels"),
        ([nn.MaxPool2d(8), nn.MaxPool2d(2)], r"lego2 \(MaxPool2d\) does not accept maps \(6, 1, 1\)"),
        (
            [nn.Flatten()],
            r"lego1 \(Flatten\) must give one tensor \(N, C, \*spatial\), got \[2, 192\] from \[2, 3, 8, 8\]",
        ),
        ([TwoOutputs()], r"lego1 \(TwoOutputs\) must give one tensor .*, got tuple"),
        ([nn.GRU(8, 8)], r"lego1 \(GRU\) .* wrap it in plexus.nn.Recurrent"),
        ([Silent()], r"lego1 \(Silent\) does not accept maps \(3, 8, 8\): KeyError"),
        ([nn.ZeroPad2d(-4)], r"lego1 \(ZeroPad2d\)"),
    ],
)
def test_a_misfit_is_named_in_one_line(stack: list[nn.Module], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Supernet(stack, (3, 8, 8))
    assert "\n" not in str(caught.value)
    assert all(lego.training for lego in stack)


def test_a_lego_given_twice_is_refused() -> None:
    lego = nn.Conv2d(3, 3, 1)
    with pytest.raises(ConfigError, match="same module appears twice"):
        Supernet([lego, nn.ReLU(), lego], (3, 8, 8))


def test_legos_of_another_net_are_told_where_they_no_longer_fit() -> None:
    stack = [nn.LazyConv2d(4, 3, padding=1), nn.Sequential(nn.ReLU(), nn.LazyConv2d(4, 1))]
    Supernet(stack, (3, 8, 8), merge="concat")
    with pytest.raises(ConfigError, match=r"lego2 \(Sequential\) .*was in another Supernet.*fresh legos$") as caught:
        Supernet(stack, (3, 8, 8), merge="sum")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"lego1 \(Conv2d\) .*was in another Supernet"):
        Supernet(stack, (1, 8, 8))
    with pytest.raises(ConfigError) as caught:
        Supernet([nn.Conv2d(5, 3, 1)], (3, 8, 8))
    assert "another" not in str(caught.value)


@pytest.mark.parametrize("shape", [(3,), (3, 8, 8, 8, 8), (0, 8), (3, 0, 8)])
def test_a_shape_must_be_channels_and_space(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"in_shape=.* must be"):
        Supernet([nn.ReLU()], shape)


def test_connection_options_are_checked_as_those_of_a_connection() -> None:
    with pytest.raises(ConfigError, match="merge='mean' is unknown"):
        Supernet([nn.ReLU()], (3, 8), merge="mean")


def test_lazy_legos_are_sized_and_modes_and_statistics_left_alone() -> None:
    stack = [nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Dropout().eval()), nn.LazyConv2d(5, 1)]
    net = Supernet(stack, (3, 8, 8))
    assert net.legos[1].get_parameter("weight").shape == (5, 7, 1, 1)
    first: Any = net.legos[0]
    norm = first[1]
    assert norm.num_batches_tracked == 0
    assert norm.running_mean.abs().sum() == 0
    assert [m.training for m in first] == [True, True, False]
    assert net.training
    assert all(m.training for name, m in net.named_modules() if name != "legos.0.2")


def test_recurrent_legos() -> None:
    torch.manual_seed(0)
    stack = [Recurrent(nn.LSTM(3, 4)), nn.LazyConv1d(5, 3, stride=2), Recurrent(nn.GRU(12, 6, batch_first=True))]
    net = Supernet(stack, (3, 9))
    x = images(net)
    assert_like_naive(net, x)
    assert net(x).shape == (3, 18, 4)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_recurrent_runs_along_the_sequence(kind: Any, batch_first: bool, bidirectional: bool) -> None:
    rnn = kind(3, 4, batch_first=batch_first, bidirectional=bidirectional)
    x = torch.randn(2, 3, 5)
    out = Recurrent(rnn)(x)
    assert out.shape == (2, 8 if bidirectional else 4, 5)
    for n in range(2):
        alone = rnn(x[n].T)[0]  # one sequence, (L, C), means the same in both layouts
        torch.testing.assert_close(out[n].T, alone)
    check_layer(lambda: Recurrent(kind(2, 3)), lambda dtype: [torch.ones(1, 2, 3, dtype=dtype)], gradcheck=False)


class Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_a_sequential_with_a_forward_of_its_own_is_called_as_it_is(merge: str) -> None:
    parts = [nn.Conv2d(3, 3, 3, padding=1), nn.Sequential(Residual(nn.LazyConv2d(6 if merge == "concat" else 3, 1)))]
    net = Supernet(parts, (3, 8, 8), merge=merge)
    assert_like_naive(net, images(net))


def test_a_module_used_twice_in_a_lego_is_called_twice() -> None:
    relu = nn.LeakyReLU(0.5)
    net = Supernet([nn.Conv1d(2, 2, 1), nn.Sequential(relu, nn.AvgPool1d(2), relu, nn.LazyConv1d(2, 1))], (2, 8))
    assert_like_naive(net, images(net))


class Noisy(nn.Module):
    """Writes into its input in training only, through a view."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x.flatten(1).mul_(torch.rand(()) + 1)
        return x


class Copied(nn.Module):
    """A module that is given a copy."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.clone())


@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    "part",
    [nn.ReLU(inplace=True), nn.Dropout2d(0.5, inplace=True), nn.ELU(inplace=True), Noisy(), nn.Dropout(inplace=True)],
    ids=lambda part: type(part).__name__,
)
def test_a_first_lego_that_overwrites_its_input_spares_the_images(part: nn.Module, train: bool, merge: str) -> None:
    torch.manual_seed(0)
    net = Supernet([nn.Sequential(part, nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)), nn.LazyConv2d(4, 1)], (3, 4, 4))
    norm: Any = net.legos[0].get_submodule("1")
    assert norm.num_batches_tracked == 0  # to find out cost no statistics
    net = Supernet([nn.Sequential(part, nn.Conv2d(3, 4, 1)), nn.LazyConv2d(4, 1)], (3, 4, 4), merge=merge).train(train)
    twin, x = copy.deepcopy(net), images(net)
    twin.legos[0] = Copied(twin.legos[0])  # type: ignore[index]
    for seed in range(2):  # plain, then banked
        before = x.clone()
        torch.manual_seed(seed)
        out = net(x)
        assert torch.equal(x, before)
        torch.manual_seed(seed)
        torch.testing.assert_close(out, naive_supernet(twin, x))


def test_building_draws_what_its_layers_draw_and_no_more() -> None:
    torch.manual_seed(0)
    nn.LazyConv2d(4, 1)(torch.zeros(1, 3, 4, 4))
    expected = torch.rand(3)
    torch.manual_seed(0)
    Supernet([nn.Sequential(nn.Dropout(0.5), nn.LazyConv2d(4, 1))], (3, 4, 4))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("where", ["legos.1", "legos.1.0", "legos.2", "legos.4.0"])
def test_hooks_see_what_a_layer_really_reads(where: str) -> None:
    net = supernet(merge="concat").eval()
    twin, x = copy.deepcopy(net), images(net)
    seen: list[Tensor] = []
    for module in (net, twin):
        module.get_submodule(where).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    torch.testing.assert_close(net(x), naive_supernet(twin, x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(*seen, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "lego",
    [
        nn.LazyConv2d(6, 3, groups=6),
        nn.LazyConvTranspose2d(4, 2, stride=2),
        nn.LazyConv2d(4, 3, padding=1, padding_mode="reflect"),
        torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 4, 1)),
        nn.AdaptiveMaxPool2d(3),
        nn.LazyBatchNorm2d(),
        nn.ELU(),
        nn.LeakyReLU(0.1),
        nn.GELU(),
    ],
    ids=lambda lego: type(lego).__name__,
)
def test_layers_that_a_gate_can_or_cannot_be_folded_into(lego: nn.Module) -> None:
    torch.manual_seed(0)
    net = Supernet([nn.Conv2d(3, 3, 1), nn.Sequential(lego)], (3, 8, 8), init="gaussian")
    assert_like_naive(net, images(net))
