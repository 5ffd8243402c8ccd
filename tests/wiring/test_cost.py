"""Costs of edges and multiply-adds of nets, against sums done by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.models import Classifier, chain_of, head, preset
from plexus.nn import Supernet
from plexus.wiring import derive, edge_costs, multiply_adds
from tests.wiring.nets import classifier


def two_legos(**options: Any) -> Supernet:
    """lego1: 3x8x8 -> 4x4x4; lego2 keeps 4x4 and makes 5 maps."""
    legos = [nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.LazyConv2d(5, 3, padding=1, bias=False)]
    return Supernet(legos, (3, 8, 8), **options)


# edges: input -> lego2, lego1 -> lego2, input -> head, lego1 -> head, lego2 -> head; all targets are 4x4
BYTES = [3 * (64 + 16), 4 * (16 + 16), 3 * (64 + 16), 4 * (16 + 16), 5 * (16 + 16)]
EXPECTED = {
    ("concat", "bytes"): BYTES,
    ("sum", "bytes"): BYTES,
    ("sum", "macs"): [3 * 16, 4 * 16, 3 * 16, 4 * 16, 5 * 16],
    ("max", "macs"): [3 * 16, 4 * 16, 3 * 16, 4 * 16, 5 * 16],
    ("concat", "macs"): [3 * 9 * 5 * 16, 4 * 9 * 5 * 16, 3 * 16, 4 * 16, 5 * 16],
    ("concat", "params"): [3 * 9 * 5, 4 * 9 * 5, 0, 0, 0],
    ("squeeze", "params"): [3 * 4, 4 * 4, 3 * 5, 4 * 5, 5 * 5],
    ("squeeze", "macs"): [16 * 3 * 4, 16 * 4 * 4, 16 * 3 * 5, 16 * 4 * 5, 16 * 5 * 5],
    ("sum", "params"): [1, 1, 1, 1, 1],
    ("mix", "bytes"): BYTES,
    ("mix", "params"): [3 * 4, 4 * 4, 3 * 5, 4 * 5, 5 * 5],
    ("mix", "macs"): [16 * 3 * 4, 16 * 4 * 4, 16 * 3 * 5, 16 * 4 * 5, 16 * 5 * 5],
}


@pytest.mark.parametrize(("merge", "kind"), EXPECTED, ids=["-".join(key) for key in EXPECTED])
def test_costs_of_edges(merge: str, kind: Any) -> None:
    net, expected = two_legos(merge=merge, share=1), EXPECTED[merge, kind]
    costs = edge_costs(net, kind)
    assert costs == pytest.approx([5 * cost / sum(expected) for cost in expected])
    assert sum(costs) / len(costs) == pytest.approx(1)


def test_costs_of_a_mix_are_those_of_what_is_not_cut() -> None:
    net = two_legos(merge="mix", share=2, mix_to=4)
    first, last = net.connections
    first.mask[:, 0] = 0
    first.mask[0, 1] = 0
    last.mask[last.entries(1)] = 0
    expected = [2 * 3, 4 * 4, 3 * 4, 5 * 4]
    assert edge_costs(net, "params") == pytest.approx([4 * cost / sum(expected) for cost in expected])
    assert len(edge_costs(net, "bytes")) == len(net.wiring().edges) == 4


def test_the_kernel_that_a_pool_leads_to_is_counted() -> None:
    net = Supernet([nn.Conv2d(3, 4, 1), nn.Sequential(nn.MaxPool2d(2), nn.LazyConv2d(5, 3))], (3, 8, 8))
    assert edge_costs(net, "params") == pytest.approx([5 * c / 315 for c in (135, 180, 0, 0, 0)])


def test_costs_stand_in_the_order_of_the_edges() -> None:
    net = classifier("deep")
    costs = dict(zip(net.body.wiring().strengths(), edge_costs(net), strict=True))
    assert len(costs) == 54
    assert costs["lego1", "lego3"] == costs["lego2", "lego3"]  # 4 maps of 8x8 each
    assert costs["input", "lego3"] == pytest.approx(costs["lego1", "lego3"] / 4)  # 1 map
    assert costs["lego1", "lego4"] == pytest.approx(costs["lego1", "lego3"] * (64 + 16) / 128)  # lego4 works at 4x4


def test_measuring_costs_leaves_the_net_alone() -> None:
    net = classifier("deep")
    net.body.legos[0].eval()
    modes, state = [m.training for m in net.modules()], {k: v.clone() for k, v in net.state_dict().items()}
    edge_costs(net)
    multiply_adds(net, (1, 8, 8))
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


def test_an_unknown_cost_is_named() -> None:
    with pytest.raises(ConfigError, match="cost='time' is unknown; choose from bytes, macs, params"):
        edge_costs(two_legos(), "time")  # type: ignore[arg-type]


def test_multiply_adds_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),  # 8x8 places
        nn.Conv2d(4, 6, 3, stride=2, groups=2),  # 3x3 places
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 10),
    )
    assert multiply_adds(net, (3, 8, 8)) == 64 * 4 * 3 * 9 + 9 * 6 * 2 * 9 + 60
    assert multiply_adds(nn.Conv1d(2, 3, 5), (2, 9)) == 5 * 3 * 2 * 5
    assert multiply_adds(nn.ReLU(), (3, 8, 8)) == 0
    assert multiply_adds(net.double(), (3, 8, 8)) == 64 * 4 * 3 * 9 + 9 * 6 * 2 * 9 + 60


def test_a_sum_costs_no_multiplications_of_kernels_and_pruned_slices_none() -> None:
    shape = (3, 32, 32)
    legos = preset("deep").legos(shape)
    body = Supernet(legos, shape, **preset("deep").options)
    net = Classifier(body, head("gap", body.out_channels, 10))
    chain = Classifier(chain_of(legos), net.head)
    assert multiply_adds(net, shape) == multiply_adds(chain, shape)
    dense = two_legos(merge="concat")
    whole = multiply_adds(derive(dense, dense.wiring()), (3, 8, 8))
    cut = dense.wiring().keep([("lego1", "lego2"), ("lego2", "head")])
    assert multiply_adds(derive(dense, cut), (3, 8, 8)) == whole - 16 * 5 * 3 * 9
