"""Steps of training: the learning rate, what is random, what the gates are told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from plexus.errors import TrainingError
from plexus.nn import SphericalLinear, UnitConv2d, convert
from plexus.training import ClassificationModule, Loop, gated, one_cycle, ramp, step_seed
from plexus.wiring import edge_costs
from tests.training.nets import images, learn, normalize, schedule, supernet


def test_one_cycle_is_torchs() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # torch starts at 1/25, peaks at step .3 n - 1 and ends near 0; with many steps the grids agree
    n = 10_000
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=n, cycle_momentum=False)
    worst = 0.0
    for step in range(n - 1):
        worst = max(worst, abs(float(torchs.get_last_lr()[0]) - one_cycle(step / n)))
        optimizer.step()
        torchs.step()
    assert worst < 1e-3
    assert one_cycle(0) == pytest.approx(1 / 25)
    assert one_cycle(0.3) == 1
    assert one_cycle(1) == pytest.approx(0, abs=1e-12)
    assert one_cycle(2) == pytest.approx(0, abs=1e-12)


def test_parts_of_a_cycle_make_the_whole_but_for_a_ramp() -> None:
    def rates(first: int, epochs: int) -> list[float]:
        task = ClassificationModule(supernet(), normalize(), 2, schedule(first=first, epochs=epochs, whole=5), steps=3)
        made = task.configure_optimizers()
        found = []
        for _ in range(3 * epochs):
            found.append(made["lr_scheduler"]["scheduler"].get_last_lr()[1])
            made["optimizer"].step()
            made["lr_scheduler"]["scheduler"].step()
        return found

    whole = rates(0, 5)
    assert rates(0, 2) == whole[:6]
    assert rates(2, 3) == pytest.approx([rate * ramp(i / 3) for i, rate in enumerate(whole[6:])])
    assert rates(2, 3)[2:] == whole[8:]


def test_gates_have_their_own_rate_and_no_decay() -> None:
    net = supernet()
    task = ClassificationModule(net, normalize(), 2, schedule(gate_lr=0.7, weight_decay=0.1), steps=3)
    others, gates = task.configure_optimizers()["optimizer"].param_groups
    assert {id(p) for p in gates["params"]} == {id(c.weight) for c in gated(net)}
    assert len(others["params"]) + len(gates["params"]) == len(list(net.parameters()))
    assert (gates["weight_decay"], others["weight_decay"]) == (0.0, 0.1)
    assert (gates["initial_lr"], others["initial_lr"]) == (0.7, 1e-2)
    plain = ClassificationModule(nn.Linear(2, 2), normalize(), 2, schedule(), steps=3)
    assert len(plain.configure_optimizers()["optimizer"].param_groups) == 1


def test_directions_have_no_decay() -> None:
    net = supernet()
    convert(net.body, UnitConv2d, last=2)
    convert(net.head, SphericalLinear)
    task = ClassificationModule(net, normalize(), 2, schedule(weight_decay=0.1), steps=3)
    others, gates, directions = task.configure_optimizers()["optimizer"].param_groups
    units = [part.weight for part in net.modules() if isinstance(part, UnitConv2d)]
    angles = [part.angles for part in net.modules() if isinstance(part, SphericalLinear)]
    assert {id(p) for p in directions["params"]} == {id(p) for p in (*units, *angles)}
    assert len(units) == 2
    assert len(angles) == 1
    assert (directions["weight_decay"], directions["initial_lr"], others["weight_decay"]) == (0.0, 1e-2, 0.1)
    listed = [id(p) for group in (others, gates, directions) for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in net.parameters())


def trained(folder: Path, **changes: object) -> nn.Module:
    net = supernet()
    learn(Loop(folder), "learn", net, schedule(**changes))
    return net


def test_everything_random_comes_from_the_seed(tmp_path: Path) -> None:
    nets = []
    for k, seed in enumerate((3, 3, 4)):
        torch.manual_seed(100 + k)
        nets.append(trained(tmp_path / str(k), seed=seed, augment=True).state_dict())
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
    assert any(not torch.equal(nets[0][name], nets[2][name]) for name in nets[0])


def test_gates_rest_while_warming_up(tmp_path: Path) -> None:
    """Bit by bit: neither a gradient nor a decay nor a moment touches them; everything else moves."""
    net, before = trained(tmp_path, warmup=0.999), supernet()
    for ours, theirs in zip(gated(net), gated(before), strict=True):
        assert torch.equal(ours.weight, theirs.weight)
    kernels = [m.weight for n in (net, before) for m in n.modules() if isinstance(m, nn.Conv2d)]
    assert not any(torch.equal(a, b) for a, b in zip(kernels[:3], kernels[3:], strict=True))


def test_gates_move_after_the_warm_up(tmp_path: Path) -> None:
    net, before = trained(tmp_path, warmup=0.5), supernet()
    assert not any(torch.equal(a.weight, b.weight) for a, b in zip(gated(net), gated(before), strict=True))


def test_the_penalty_is_the_mean_of_gate_times_cost() -> None:
    net = supernet()
    costs = torch.tensor(edge_costs(net, "bytes"))
    task = ClassificationModule(net, normalize(), 2, schedule(), 3, penalty=2.0, costs=costs)
    gates = torch.cat([c.gates() for c in gated(net)])
    cost = task.regularization()
    assert cost is not None
    torch.testing.assert_close(cost, 2 * (gates * costs).sum() / len(gates))
    cost.backward()
    assert all((c.weight.grad > 0).all() for c in gated(net) if c.weight.grad is not None)
    assert all(c.weight.grad is not None for c in gated(net))
    assert "costs" not in task.state_dict()


def test_the_penalty_pushes_gates_down(tmp_path: Path) -> None:
    def total(penalty: float) -> float:
        net = supernet()
        costs = torch.tensor(edge_costs(net, "bytes"))
        learn(Loop(tmp_path / str(penalty)), "learn", net, schedule(), penalty=penalty, costs=costs)
        return sum(c.gates().sum().item() for c in gated(net))

    assert total(100.0) < total(0.0)


def test_a_loss_that_is_no_number_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"became (nan|inf) in epoch \d; fit anew with a lower --lr than 1e\+30"):
        trained(tmp_path, lr=1e30)


def test_pixels_are_normalized_by_map() -> None:
    pixels = images().train.images
    expected = (pixels.double() - 100) / 50
    torch.testing.assert_close(normalize()(pixels).double(), expected)


def test_one_image_is_doubled_only_where_the_net_refuses_it() -> None:
    """It is tried on a copy: neither running statistics nor random numbers know of it."""
    refuses = nn.Sequential(
        nn.BatchNorm2d(1), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(1, 2)
    )
    image = images().train.images[:1]
    for net, expected in ((refuses, True), (supernet(), False)):
        module = ClassificationModule(net, normalize(), 2, schedule(), steps=3)
        before, dice = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
        assert module.needs_two(image) is expected
        assert torch.equal(torch.get_rng_state(), dice)
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_seeds_of_any_size_start_steps_apart() -> None:
    largest = 2**63 - 1
    seeds = {step_seed(seed, step, rank) for seed in (0, 1, 10**11, largest) for step in (0, 1, 500) for rank in (0, 3)}
    assert len(seeds) == 24
    assert all(0 <= seed <= largest for seed in seeds)
    assert step_seed(3, 7, 1) == (3 * 1_000_003 + 7) * 64 + 1
