"""A wiring built from fresh weights is the pattern itself, with gates of 1."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import networkx as nx
import pytest
import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.nn import Connection, Supernet
from plexus.wiring import derive, fresh, rebuild
from tests.nn.naive import brought_to, widened
from tests.nn.nets import legos
from tests.wiring.nets import assert_same, some_of

SHAPE = (3, 8, 8)


def naive_pattern(plain: nn.Module, wiring: Wiring, x: Tensor, net: Supernet) -> Tensor:
    """The pattern, run lego by lego with the layers of `plain`; `net` says how sources are merged."""
    parts = dict(plain.named_children())
    net(x)
    sizes, outputs = net.sizes(x.shape[2:]), {"input": x}
    for at, target in enumerate(net.node_names()[1:], -1):
        if target != "head" and target not in nx.ancestors(wiring.to_networkx(), "head"):
            continue
        here = x
        if at >= 0:
            here = _merged(net.connections[at], sizes[at], wiring, target, outputs, parts, net.node_names())
        for key, layer in parts.items():
            if key == target or (key.startswith(f"{target}_") and key.split("_")[1].isdigit()):
                here = layer(here)
        outputs[target] = here
    return here


def _merged(
    connection: Connection,
    size: tuple[int, ...],
    wiring: Wiring,
    target: str,
    outputs: dict[str, Tensor],
    parts: dict[str, nn.Module],
    names: tuple[str, ...],
) -> Tensor:
    kept = {name: brought_to(outputs[name], size, connection) for name in wiring.sources(target)}
    if connection.merge in ("concat", "squeeze"):
        joined = torch.cat(list(kept.values()), 1)
        return parts[f"{target}_squeeze"](joined) if connection.merge == "squeeze" else joined
    for name in kept:
        project = parts.get(f"{target}_project{names.index(name)}")
        kept[name] = widened(kept[name], connection.out_channels) if project is None else project(kept[name])
    maps = torch.stack(list(kept.values()))
    if connection.merge == "sum":
        return maps.sum(0)
    return maps.amax(0) if len(kept) == len(connection.channels) else maps.amax(0).clamp(min=0)


@pytest.mark.parametrize("merge", ["concat", "squeeze", "sum", "max"])
@pytest.mark.parametrize("project", ["pad", "conv"])
def test_it_is_the_pattern_with_gates_of_one(merge: str, project: str) -> None:
    for size, share in itertools.product(["smallest", "largest"], [1.0, 0.4]):
        options: dict[str, Any] = {"merge": merge, "size": size, "project": project}
        torch.manual_seed(0)
        net = Supernet(legos(2, widths=(4, 6, 4, 5)), SHAPE, **options).eval()
        wiring = some_of(net.wiring(), share, 3)
        plain = rebuild(legos(2, widths=(4, 6, 4, 5)), wiring, SHAPE, gate_init=(0.9, 0.1), **options).eval()
        x = torch.randn(2, *SHAPE)
        assert_same(plain(x), naive_pattern(plain, wiring, x, net))


def test_weights_are_fresh_and_follow_the_seed() -> None:
    given = Supernet(legos(2), SHAPE)
    wiring = given.wiring()
    before = copy.deepcopy(given.state_dict())

    def build(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return {k: v for k, v in rebuild(list(given.legos), wiring, SHAPE).state_dict().items() if "weight" in k}

    first, again, other = build(1), build(1), build(2)
    olds = [v for k, v in before.items() if k.startswith("legos")]
    for key, value in first.items():
        assert torch.equal(value, again[key])
        if value.dim() > 1:
            assert not torch.equal(value, other[key])
            assert not any(value.shape == old.shape and torch.equal(value, old) for old in olds)
    for key, value in given.state_dict().items():
        assert torch.equal(value, before[key])


def test_statistics_start_anew_and_the_net_is_in_training() -> None:
    net = Supernet([nn.Sequential(nn.LazyConv2d(4, 3), nn.BatchNorm2d(4))], SHAPE)
    net(torch.randn(8, *SHAPE) + 5)
    plain = rebuild(list(net.legos), net.wiring(), SHAPE)
    assert plain.training
    state = plain.state_dict()
    assert state["lego1_1.running_mean"].abs().sum() == 0
    assert state["lego1_1.num_batches_tracked"] == 0


def test_kernels_are_drawn_for_the_inputs_that_stay() -> None:
    torch.manual_seed(0)
    stack = [nn.LazyConv2d(40, 3, padding=1), nn.LazyConv2d(50, 3)]
    names = ("input", "lego1", "lego2", "head")
    plain = rebuild(stack, Wiring(names, (("input", "lego2", 1.0), ("lego2", "head", 1.0))), SHAPE)
    assert {name for name, _ in plain.named_children()} == {"lego2"}
    weight = plain.get_parameter("lego2.weight")
    assert weight.shape == (50, 3, 3, 3)
    bound = 1 / math.sqrt(3 * 9)  # torch's own: uniform within 1 / sqrt(inputs)
    assert 0.95 * bound < weight.abs().max() <= bound


def test_maps_of_cut_sources_are_not_given_out() -> None:
    names = ("input", "lego1", "head")
    plain = rebuild([nn.LazyConv2d(4, 3)], Wiring(names, (("lego1", "head", 1.0),)), SHAPE)
    assert plain(torch.ones(1, *SHAPE)).shape == (1, 4, 6, 6)
    kept = derive(Supernet([nn.LazyConv2d(4, 3)], SHAPE), Wiring(names, (("lego1", "head", 1.0),)))
    assert kept(torch.ones(1, *SHAPE)).shape == (1, 7, 6, 6)


class Dense(nn.Module):
    """Its parameters stand bare, so that only the module itself can draw them anew."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(4, 3))

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.kernel, 1.0, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("mc,nchw->nmhw", self.kernel, x)


def test_a_module_of_the_users_draws_its_own_weights() -> None:
    plain = rebuild([Dense()], Wiring(("input", "lego1", "head"), (("lego1", "head", 1.0),)), SHAPE)
    (kernel,) = plain.parameters()
    assert (kernel >= 1).all()


def test_fresh_works_in_place() -> None:
    conv = nn.Conv1d(2, 2, 1)
    before = conv.weight.clone()
    net = nn.Sequential(conv, nn.ReLU())
    assert fresh(net) is net
    assert not torch.equal(conv.weight, before)


def test_a_wiring_of_other_legos_is_refused() -> None:
    with pytest.raises(ConfigError, match="node 'lego2' is not in the net"):
        rebuild([nn.ReLU()], Wiring(("input", "lego1", "lego2", "head"), (("lego1", "head", 1.0),)), SHAPE)
