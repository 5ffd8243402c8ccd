"""Sums that go through banks equal the plain ones in outputs, gradients and manners."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from plexus.nn import Supernet
from tests.nn.naive import naive_supernet
from tests.nn.nets import about, assert_like_naive, images, supernet


def arranged(net: Supernet, layout: str) -> Supernet:
    """The net with its kernels in a memory format."""
    return net.to(memory_format=getattr(torch, layout))  # type: ignore[call-overload]


def banked(**options: Any) -> tuple[Supernet, Tensor]:
    """A net whose sums go through banks, and images."""
    net = supernet(merge="sum", **options)
    x = images(net)
    net(x)
    return net, x.requires_grad_()


@pytest.mark.parametrize("widths", [(4, 4, 4, 4), (3, 6, 2, 9)], ids=["equal", "growing"])
@pytest.mark.parametrize("size", ["smallest", "largest"])
@pytest.mark.parametrize(
    ("axes", "layout"), [(1, None), (2, None), (2, "channels_last"), (3, None), (3, "channels_last_3d")]
)
def test_banked_sums_equal_the_plain_port(axes: int, layout: str | None, size: str, widths: Sequence[int]) -> None:
    net = supernet(axes, merge="sum", size=size, widths=widths)
    x = images(net)
    net(x)  # the sizes are known from here on
    if layout:
        net, x = arranged(net, layout), x.contiguous(memory_format=getattr(torch, layout))
    out = net(x)
    assert "Mix" in type(out.grad_fn).__name__
    assert_like_naive(net, x, passes=2)


def test_a_bank_gives_the_sums_the_layout_of_the_maps() -> None:
    net = arranged(supernet(merge="sum"), "channels_last")
    x = images(net).contiguous(memory_format=torch.channels_last)
    net(x)
    assert net(x).is_contiguous(memory_format=torch.channels_last)


def test_sums_are_banked_whenever_gradients_are_wanted() -> None:
    net, x = banked()
    assert "Mix" in type(net(x).grad_fn).__name__
    with torch.no_grad():
        plain = net.eval()(x)
    torch.testing.assert_close(net(x).detach(), plain)
    for other in (supernet(merge="sum", gate="channel"), supernet(merge="sum", project="conv", widths=(3, 6, 2, 9))):
        other(x)
        assert "Mix" not in type(other(x).grad_fn).__name__


def test_two_backward_passes_give_twice_the_gradient() -> None:
    net, x = banked()
    loss = net(x).square().sum()
    loss.backward(retain_graph=True)
    once = [torch.clone(p.grad) for p in [x, *net.parameters()] if p.grad is not None]
    loss.backward()
    for first, p in zip(once, [x, *net.parameters()], strict=True):
        torch.testing.assert_close(p.grad, 2 * first)


def test_gradients_of_a_few_equal_those_of_all() -> None:
    net, x = banked()
    wanted = [x, *net.parameters()]
    out = net(x).square().sum()
    whole = torch.autograd.grad(out, wanted, retain_graph=True)
    for one, expected in zip(wanted, whole, strict=True):
        (alone,) = torch.autograd.grad(out, [one], retain_graph=True)
        torch.testing.assert_close(alone, expected)


def test_frozen_gates_and_frozen_layers_leave_the_other_gradients_as_they_are() -> None:
    net, x = banked()
    whole = dict(
        zip(dict(net.named_parameters()), torch.autograd.grad(net(x).sum(), list(net.parameters())), strict=True)
    )
    for frozen in ("connections", "legos.0", "legos.3"):
        twin = copy.deepcopy(net)
        for name, p in twin.named_parameters():
            p.requires_grad_(not name.startswith(frozen))
        twin(x.detach()).sum().backward()
        for name, p in twin.named_parameters():
            if p.requires_grad:
                torch.testing.assert_close(p.grad, whole[name], msg=about(f"{frozen} frozen, {name}"))
            else:
                assert p.grad is None


def test_two_losses_of_one_pass_and_passes_that_interleave() -> None:
    net, x = banked()
    first, second = net(x), net(2 * x)
    expected = [
        torch.autograd.grad(naive_supernet(copy.deepcopy(net), y).sum(), x, allow_unused=True)[0] for y in (x, 2 * x)
    ]
    (late,) = torch.autograd.grad(second.sum(), x)
    (early,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(early, expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(late, expected[1], rtol=1e-4, atol=1e-5)


def test_nothing_refers_in_a_circle_so_that_memory_is_freed_at_once() -> None:
    net, x = banked()
    seen: list[weakref.ref[Tensor]] = []
    for lego in net.legos:
        lego.register_forward_hook(lambda _, __, out: seen.append(weakref.ref(out)))
    gc.disable()
    try:
        for backward in (True, False):
            out = net(x)
            assert "Mix" in type(out.grad_fn).__name__
            if backward:
                out.sum().backward()
            del out
        assert len(seen) == 2 * len(net.legos)
        assert [ref for ref in seen if ref() is not None] == []
    finally:
        gc.enable()


def test_sources_are_let_go_by_the_backward_pass() -> None:
    net, x = banked()
    loss = net(x).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_a_source_changed_after_the_fact_is_noticed() -> None:
    net, x = banked()
    outputs: list[Tensor] = []
    net.legos[1].register_forward_hook(lambda _, __, out: outputs.append(out))
    loss = net(x).sum()
    with torch.no_grad():
        outputs[0].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_training_steps_through_banks_are_those_of_the_plain_port() -> None:
    net, x = banked()
    twin, x = copy.deepcopy(net), x.detach()
    for module, run in ((net, net), (twin, lambda t: naive_supernet(twin, t))):
        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            run(x).square().mean().backward()
            optimizer.step()
    for (name, p), q in zip(net.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-5, msg=about(name))


def test_functional_transforms_see_the_same_net() -> None:
    net, x = banked()
    net.eval()
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(net, parameters, x[None]).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x.detach())
    net(x).square().sum().backward()
    for name, p in net.named_parameters():
        torch.testing.assert_close(each[name].sum(0), p.grad, rtol=1e-3, atol=1e-4)
