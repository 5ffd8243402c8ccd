"""Cutting while a net learns: how much is left when, what waits for what, and that it goes on after a stop."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from plexus.models import separable
from plexus.nn import Connection, Supernet
from plexus.report import render
from plexus.training import FitConfig, GradualCut, Loop, Target, fit, keep_channels, keep_strongest, open_run
from plexus.wiring import Wiring, derive, importance, prune
from tests.report.pages import said
from tests.training.nets import batches, learn, schedule, supernet
from tests.training.test_loop import Stop, weights


def mixed(width: int = 8, share: int = 4) -> Supernet:
    """Depthwise legos, every map of every earlier one mixed into the next."""
    torch.manual_seed(0)
    legos = [nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU())]
    legos += [nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width), nn.ReLU()) for _ in range(3)]
    return Supernet(legos, (1, 8, 8), merge="mix", share=share)


def fan_ins(body: Any) -> list[set[int]]:
    """The sources of the groups of every connection."""
    return [{int(row.sum()) for row in connection.mask} for connection in body.connections]


def open_edges(body: Any) -> set[tuple[str, str]]:
    """The edges between layers that are not cut."""
    names = body.node_names()
    return {
        (names[k], target)
        for target, connection in zip(names[2:], body.connections, strict=True)
        for k in range(len(connection.channels))
        if connection.mask[connection.entries(k)].any()
    }


def play(cut: GradualCut, steps: int, hits: float = 1.0, first: int = 1) -> dict[int, int]:
    """The steps of a training in which nothing is learned; edges that are left after each."""
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(broadcast=lambda value: value))
    module: Any = SimpleNamespace(hits=hits)
    left = {}
    for trainer.global_step in range(first, steps + 1):
        cut.on_train_batch_end(trainer, module, None, None, 0)
        left[trainer.global_step] = sum(int(c.mask.sum()) for c in cut.body.connections)
    return left


@pytest.mark.parametrize(("progress", "others"), [(0.0, 1.0), (0.5, 0.125), (1.0, 0.0)])
def test_the_schedule_is_cubic(progress: float, others: float) -> None:
    body = mixed()
    sources = [sum(connection.channels) for connection in body.connections]
    GradualCut(body, Target(fan_in=5), 100, chance=0.5).apply(progress)
    assert fan_ins(body) == [{min(n, 5 + math.ceil(max(0, n - 5) * others))} for n in sources]
    layers: Any = supernet(merge="concat").body
    GradualCut(layers, Target(edges=5), 100, chance=0.5).apply(progress)
    assert sum(int(c.mask.sum()) for c in layers.connections) == math.ceil(5 + (9 - 5) * others)


def test_the_strongest_stay_and_every_group_keeps_as_many() -> None:
    body = mixed()
    before = [connection.weight.detach().clone() for connection in body.connections]
    GradualCut(body, Target(fan_in=5), 100, chance=0.5).apply(1.0)
    for connection, weight in zip(body.connections, before, strict=True):
        strength = weight.view(-1, 4, weight.shape[1]).square().mean(1).sqrt()
        for row, mask in zip(strength, connection.mask, strict=True):
            assert set(row.topk(min(5, len(row))).indices.tolist()) == set(mask.nonzero().flatten().tolist())
        assert torch.equal(connection.weight, weight)  # values are kept


def test_edges_of_layers_go_by_their_gates() -> None:
    body: Any = supernet(merge="concat").body
    with torch.no_grad():
        for i, connection in enumerate(body.connections):
            connection.weight.copy_(torch.linspace(-1, 1, len(connection.weight)) + 0.01 * i)
    strengths = importance(body, method="gate").strengths()
    GradualCut(body, Target(edges=5), 100, chance=0.5).apply(1.0)
    assert open_edges(body) == set(sorted(strengths, key=strengths.__getitem__)[-5:])


def test_any_order_can_be_asked_for() -> None:
    body = mixed()
    weakest = importance(body, method="gate")
    turned = Wiring(weakest.nodes, weakest.edges, {pair: 1 / maps for pair, maps in weakest.maps.items()})
    cut = GradualCut(body, Target(edges=20), 100, chance=0.1, rank=lambda: turned)
    cut.apply(1.0)
    assert body.wiring().maps.keys() == prune(turned, edges=20).maps.keys()
    for pair, maps in prune(turned, edges=20).maps.items():
        assert ((body.wiring().maps[pair] != 0) == (maps != 0)).all()


def test_what_is_cut_stays_cut() -> None:
    for body, target in ((mixed(), Target(fan_in=3)), (supernet().body, Target(edges=4)), (mixed(), Target(edges=30))):
        cut = GradualCut(body, target, 100, chance=0.5)  # type: ignore[arg-type]
        before = [c.mask.clone() for c in cut.body.connections]
        for progress in (0.2, 0.5, 0.6, 0.9, 1.0, 0.0):  # also if there is room for more again
            with torch.no_grad():
                for connection in cut.body.connections:
                    connection.weight.copy_(torch.randn_like(connection.weight))
            cut.apply(progress)
            after = [c.mask.clone() for c in cut.body.connections]
            assert all((new <= old).all() for new, old in zip(after, before, strict=True))
            before = after


def test_fewer_edges_than_can_be_leave_what_must_be() -> None:
    body: Any = supernet(merge="concat").body
    GradualCut(body, Target(edges=1), 100, chance=0.5).apply(1.0)
    assert 1 <= len(open_edges(body)) <= 4
    body(torch.zeros(1, 1, 8, 8))


def test_a_source_of_no_weight_comes_before_what_is_cut() -> None:
    connection = Connection([6], merge="mix", share=2)
    with torch.no_grad():
        connection.weight[:, 3:] = 0
        connection.mask[:, :2] = 0
    keep_strongest(connection, 3)
    assert (connection.mask.sum(1) == 3).all()
    assert not connection.mask[:, :2].any()


def test_it_cuts_from_a_tenth_to_six_tenths_of_the_steps() -> None:
    body = mixed()
    cut = GradualCut(body, Target(fan_in=3), 200, chance=0.5)
    left = play(cut, 200)
    whole, end = left[1], left[200]
    assert (cut.began, cut.blind) == (20, False)
    changes = [step for step in range(2, 201) if left[step] != left[step - 1]]
    assert (changes[0], changes[-1]) == (30, 120)
    assert all(step % 10 == 0 for step in changes)
    assert whole == left[20]
    assert end == left[120] == sum(len(c.mask) * min(3, sum(c.channels)) for c in body.connections)


def test_it_waits_until_the_net_beats_chance() -> None:
    body = mixed()
    cut = GradualCut(body, Target(fan_in=3), 200, chance=0.5)
    assert len(set(play(cut, 60, hits=0.54).values())) == 1  # .55 is the bar
    assert cut.began is None
    left = play(cut, 200, hits=1.0, first=61)
    assert [cut.began, cut.blind] == [70, False]
    assert left[169] > left[170] == left[200]


def test_it_does_not_wait_for_ever() -> None:
    cut = GradualCut(mixed(), Target(fan_in=3), 200, chance=0.5)
    left = play(cut, 200, hits=0.5)
    assert (cut.began, cut.blind) == (120, True)  # .85 - .5 / 2 of the steps
    assert left[169] > left[170] == left[200]


@pytest.mark.parametrize("steps", [1, 7, 10, 11, 15, 24])
def test_all_is_cut_in_the_shortest_training(steps: int) -> None:
    body = mixed()
    play(GradualCut(body, Target(fan_in=3), steps, chance=0.5), steps, hits=0.5)
    assert [max(rows) for rows in fan_ins(body)] == [min(3, sum(c.channels)) for c in body.connections]


def test_processes_follow_the_first_one() -> None:
    """Each sees images of its own, but all cut at the same step."""
    cut = GradualCut(mixed(), Target(fan_in=3), 200, chance=0.5)
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(broadcast=lambda value: True), global_step=20)
    cut.on_train_batch_end(trainer, SimpleNamespace(hits=0.0), None, None, 0)  # type: ignore[arg-type]
    assert cut.began == 20


def test_its_state_goes_on() -> None:
    one, two = (GradualCut(mixed(), Target(fan_in=3), 200, chance=0.5) for _ in range(2))
    play(one, 75, hits=0.7)
    two.body.load_state_dict(one.body.state_dict())
    two.load_state_dict(one.state_dict())
    assert two.state_dict() == one.state_dict()
    assert play(one, 200, hits=0.7, first=76) == play(two, 200, hits=0.7, first=76)
    assert all(torch.equal(a.mask, b.mask) for a, b in zip(one.body.connections, two.body.connections, strict=True))


@pytest.mark.parametrize("merge", ["mix", "sum"])
@pytest.mark.parametrize(("epoch", "batch"), [(5, 0), (8, 2), (11, 1)])
def test_a_training_goes_on_to_the_same_bits_while_it_cuts(tmp_path: Path, merge: str, epoch: int, batch: int) -> None:
    """Of 45 steps it cuts after 10 (or as soon as it sees something), 20, 30 and 40."""
    plan = schedule(epochs=15, whole=15)
    steps = 15 * batches(plan).steps
    target = Target(fan_in=2) if merge == "mix" else Target(edges=4)

    def net() -> tuple[Any, GradualCut]:
        made = supernet(merge="mix", share=2, gate_init=None) if merge == "mix" else supernet()
        return made, GradualCut(made.body, target, steps, chance=0.5)  # type: ignore[arg-type]

    whole, cut = net()
    learn(Loop(tmp_path / "whole", logs=()), "fit", whole, plan, callbacks=[cut])
    assert cut.began in (10, 20, 30)
    again, stopped = net()
    work = Loop(tmp_path / "stopped", logs=())
    with pytest.raises(ZeroDivisionError):
        learn(work, "fit", again, plan, callbacks=[stopped, Stop(epoch, batch, ZeroDivisionError())])
    again, resumed = net()
    learn(work, "fit", again, plan, callbacks=[resumed])
    assert weights(again) == weights(whole)
    assert resumed.state_dict() == cut.state_dict()
    assert any((c.mask == 0).any() for c in whole.body.connections)


def streams(width: int = 32) -> Supernet:
    torch.manual_seed(0)
    legos = separable((1, 8, 8), width=width)
    return Supernet(legos, (1, 8, 8), merge="mix", share=None, residual=True, reach=1)


@pytest.mark.parametrize(("progress", "channels"), [(0.0, 64), (0.5, 32 + 4), (1.0, 32)])
def test_all_legos_of_a_stream_keep_the_same_strongest_channels(progress: float, channels: int) -> None:
    body = streams()
    group = body.coupled()[-1]
    assert group == [2, 3, 4]
    own = [c.weight.detach()[:, -64:] for c in body.connections[2:]]
    strength = sum(w.square().mean(0) for w in own)
    GradualCut(body, Target(channels=0.5), 100, chance=0.5).apply(progress)
    strongest = set(strength.topk(channels).indices.tolist())  # type: ignore[union-attr]
    for connection in body.connections[2:]:
        assert set(connection.mask[0, -64:].nonzero().flatten().tolist()) == strongest
    plain = derive(body, body.wiring())
    assert plain(torch.zeros(1, 1, 8, 8)).shape[1] == 64  # the head's input is nobody's stream


def test_channels_that_are_cut_stay_cut_and_whole_vectors_are_left() -> None:
    body = streams(width=24)
    keep_channels(body, 0.9, left=1.0)
    assert all(connection.mask[0, -24:].all() for connection in body.connections[:2])
    body.connections[1].mask[0, -24:-16] = 0
    keep_channels(body, 0.9)
    assert [int(c.mask.sum()) for c in body.connections] == [24, 16, 40, 40, 40]
    keep_channels(body, 0.01)
    assert [int(c.mask.sum()) for c in body.connections] == [8] * 5
    keep_channels(body, 1.0)
    assert [int(c.mask.sum()) for c in body.connections] == [8] * 5


@pytest.mark.parametrize(("keep", "blind"), [(0.5, True), (1.0, False)])
def test_a_cut_before_the_net_has_learned_anything_is_told(keep: float, blind: bool, tmp_path: Path) -> None:
    _, record = open_run(fit(FitConfig(limit=100, epochs=1, keep=keep), run=tmp_path / "run"))
    assert record.blind == blind
    assert any("before the net was clearly better" in line for line in record.remarks()) == blind
    assert ("before the net was clearly better" in said(render(record))) == blind


def test_the_controls_of_streams_cost_what_the_result_does(tmp_path: Path) -> None:
    _, record = open_run(fit(FitConfig(limit=200, epochs=3, controls=True), run=tmp_path / "run"))
    rows = {row.name: row for row in record.results}
    assert list(rows) == ["final", "direct", "resnet", "uncut"]
    assert (rows["direct"].parameters, rows["direct"].macs) == (rows["final"].parameters, rows["final"].macs)
    assert (rows["uncut"].macs or 0) > (rows["final"].macs or 0)
    phases = [epoch.phase for epoch in record.epochs]
    assert phases == ["fit"] * 3 + ["direct"] * phases.count("direct") + ["resnet"] * 3
    assert f"{phases.count('direct')} ep." in rows["direct"].label
    assert all((rows[name].train_seconds or 0) > 0 for name in ("final", "direct", "resnet"))
    assert rows["uncut"].train_seconds is None
    assert all(row.val_accuracy is not None for row in record.results[:-1])
    page = said(render(record))
    assert rows["resnet"].label in page
    assert "A plain ResNet that takes" in page


@pytest.mark.parametrize("preset", ["mix", "deep"])
def test_the_control_is_a_random_wiring_of_as_many_edges(preset: Any, tmp_path: Path) -> None:
    config = FitConfig(preset=preset, width=8, limit=200, epochs=3, keep=0.4, controls=True)
    _, record = open_run(fit(config, run=tmp_path / "run"))
    rows = {row.name: row for row in record.results}
    assert list(rows) == ["final", "random", "resnet", "uncut"]
    assert rows["random"].accuracy is not None
    assert [epoch.phase for epoch in record.epochs] == ["fit"] * 3 + ["random"] * 3 + ["resnet"] * 3
    macs = [rows[name].macs or 0 for name in ("random", "final", "uncut")]
    assert macs[0] <= macs[2]
    assert abs(macs[0] - macs[1]) <= 0.3 * macs[1]
