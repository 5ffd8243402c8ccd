"""Sparse mixes equal a masked 1x1 convolution of the concatenation, in values, gradients and manners."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from plexus.errors import ConfigError
from plexus.nn import Supernet
from plexus.nn import functional as PF
from tests.nn.naive import naive_supernet


def drawn(
    widths: Sequence[int] = (3, 8, 8),
    *,
    groups: int = 3,
    share: int = 8,
    size: Sequence[int] = (8, 8),
    batch: int = 2,
    keep: float = 0.4,
    dtype: torch.dtype = torch.float32,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Sources, weight and mask."""
    g = torch.Generator().manual_seed(0)
    sources = [torch.randn(batch, c, *size, generator=g).to(dtype).requires_grad_() for c in widths]
    weight = torch.randn(groups * share, sum(widths), generator=g).to(dtype).requires_grad_()
    return sources, weight, (torch.rand(groups, sum(widths), generator=g) < keep).float()


def plain(sources: Sequence[Tensor], weight: Tensor, mask: Tensor) -> Tensor:
    """The same in float64, by a product of matrices."""
    x = torch.cat([x.double() for x in sources], 1)
    kernel = weight.double() * mask.double().repeat_interleave(len(weight) // len(mask), 0)
    return torch.einsum("mc,nc...->nm...", kernel, x)


def gradients(out: Tensor, leaves: Sequence[Tensor]) -> tuple[Tensor, ...]:
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return torch.autograd.grad(out, leaves, direction)


def assert_like_plain(sources: Sequence[Tensor], weight: Tensor, mask: Tensor) -> None:
    """Values and gradients, relative to the largest number of each."""
    out, expected = PF.mix(sources, weight, mask), plain(sources, weight, mask)
    leaves = [weight, *sources]
    pairs = [(out, expected), *zip(gradients(out, leaves), gradients(expected, leaves), strict=True)]
    for got, exact in pairs:
        assert got.shape == exact.shape
        torch.testing.assert_close(got.double(), exact.double(), rtol=0, atol=2e-6 * (1 + exact.abs().max().item()))


def fused(out: Tensor) -> bool:
    return type(out.grad_fn).__name__ == "_MixBackward"


@pytest.mark.parametrize("share", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("size", [(4, 4), (5, 5), (7, 7), (8, 8), (14, 14), (16, 16)])
def test_a_mix_is_a_masked_convolution(share: int, size: Sequence[int]) -> None:
    given = drawn(share=share, size=size)
    assert fused(PF.mix(*given))
    assert_like_plain(*given)


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("batch", [1, 9])
def test_any_number_of_edges_and_images(keep: float, batch: int) -> None:
    assert_like_plain(*drawn(keep=keep, batch=batch))


@pytest.mark.parametrize("share", [1, 2, 4])
@pytest.mark.parametrize("groups", [4, 8, 12])
@pytest.mark.parametrize("keep", [0.6, 0.9, 1.0])
def test_small_groups_of_which_little_is_cut(share: int, groups: int, keep: float) -> None:
    sources, weight, mask = drawn(share=share, groups=groups, keep=keep)
    assert_like_plain(sources, weight, mask)
    assert_like_plain(sources, weight, mask * 0.5)
    (grad,) = torch.autograd.grad(PF.mix(sources, weight, mask).square().sum(), weight)
    assert torch.equal(grad != 0, mask.repeat_interleave(share, 0) != 0)


@pytest.mark.parametrize("size", [(40,), (3, 4, 5)])
def test_maps_of_one_and_three_axes(size: Sequence[int]) -> None:
    given = drawn(size=size)
    assert fused(PF.mix(*given))
    assert_like_plain(*given)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 1)])
def test_maps_smaller_than_a_vector(size: Sequence[int]) -> None:
    assert_like_plain(*drawn(size=size))


def test_tensors_without_memory() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert PF.mix([torch.zeros(2, 3, 8, 8)], torch.zeros(8, 3), torch.zeros(1, 3)).shape == (2, 8, 8, 8)


def test_empty_batches() -> None:
    assert PF.mix(*drawn(batch=0)).shape == (0, 24, 8, 8)


def test_float64_goes_through_torch_and_passes_gradcheck() -> None:
    sources, weight, mask = drawn(size=(2, 3), widths=(2, 3), groups=2, share=2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda w, *x: PF.mix(x, w, mask), (weight, *sources))
    torch.testing.assert_close(PF.mix(sources, weight, mask), plain(sources, weight, mask), rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Input #")  # that gradcheck is for float64
def test_float32_passes_gradcheck() -> None:
    sources, weight, mask = drawn(size=(4, 5), widths=(1, 2), groups=2, share=1, batch=1)
    # y is linear in each argument, so that large steps are exact and round-off is small beside them
    assert torch.autograd.gradcheck(lambda w, *x: PF.mix(x, w, mask), (weight, *sources), eps=0.5, atol=1e-4, rtol=1e-4)


def test_a_mask_between_0_and_1_scales() -> None:
    sources, weight, mask = drawn()
    assert_like_plain(sources, weight, mask * 0.25)


def test_a_mask_of_booleans() -> None:
    sources, weight, mask = drawn()
    assert torch.equal(PF.mix(sources, weight, mask.bool()), PF.mix(sources, weight, mask))


def test_what_is_cut_has_no_gradient() -> None:
    sources, weight, mask = drawn()
    (grad,) = torch.autograd.grad(PF.mix(sources, weight, mask).square().sum(), weight)
    cut = mask.repeat_interleave(8, 0) == 0
    assert (grad[cut] == 0).all()
    assert (grad[~cut] != 0).all()


def test_layouts_other_than_channels_first() -> None:
    sources, weight, mask = drawn()
    expected = PF.mix(sources, weight, mask)
    last = [x.contiguous(memory_format=torch.channels_last) for x in sources]
    assert torch.equal(PF.mix(last, weight, mask), expected)
    turned = [x.transpose(2, 3).contiguous().transpose(2, 3) for x in sources]
    assert torch.equal(PF.mix(turned, weight.t().contiguous().t(), mask.t().contiguous().t()), expected)


def test_the_number_of_threads_changes_no_bit() -> None:
    sources, weight, mask = drawn(batch=5, groups=4, size=(9, 7))
    before, results = torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        out = PF.mix(sources, weight, mask)
        results.append((out, *gradients(out, [weight, *sources])))
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_what_is_not_a_number_stays_seen() -> None:
    sources, weight, _ = drawn(size=(5, 5))
    with torch.no_grad():
        sources[0][0, 0, 4, 4] = float("nan")
        sources[0][1, 1, 0, 0] = float("inf")
    out = PF.mix(sources, weight, torch.ones(3, 19))
    bad = ~torch.isfinite(out)
    assert bad[0, :, 4, 4].all()
    assert bad[1, :, 0, 0].all()
    assert bad.sum() == 2 * 24
    (grad,) = torch.autograd.grad(out.sum(), weight)
    assert not torch.isfinite(grad[:, :2]).any()


def test_frozen_sources_and_frozen_weights() -> None:
    sources, weight, mask = drawn()
    whole = gradients(PF.mix(sources, weight, mask), [weight, *sources])
    for frozen in range(4):
        leaves = [t.detach().requires_grad_(k != frozen) for k, t in enumerate([weight, *sources])]
        wanted = [t for t in leaves if t.requires_grad]
        expected = [g for k, g in enumerate(whole) if k != frozen]
        got = gradients(PF.mix(leaves[1:], leaves[0], mask), wanted)
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_a_source_that_nobody_reads_gets_zeros() -> None:
    sources, weight, mask = drawn()
    mask[:, :3] = 0
    grads = gradients(PF.mix(sources, weight, mask), sources)
    assert grads[0].count_nonzero() == 0
    assert grads[1].count_nonzero() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, w, m: ([s[0][:1], *s[1:]], w, m), "one batch and spatial size"),
        (lambda s, w, m: ([s[0][..., :4], *s[1:]], w, m), "one batch and spatial size"),
        (lambda s, w, m: (s[:2], w, m), "sources of 11 maps"),
        (lambda s, w, m: (s, w, m[:, 1:]), "sources of 19 maps"),
        (lambda s, w, m: (s, w[1:], m), "3 groups do not divide 23"),
        (lambda s, w, m: ([], w, m), "expected sources"),
    ],
)
def test_misfits_are_told(change: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PF.mix(*change(*drawn()))


def test_compiled_exported_and_transformed_programs_see_torch() -> None:
    sources, weight, mask = drawn()

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(weight.detach())

        def forward(self, *sources: Tensor) -> Tensor:
            return PF.mix(sources, self.weight, mask)

    program = torch.export.export(Net(), tuple(x.detach() for x in sources))
    assert any("conv" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(*sources), PF.mix(sources, weight, mask), rtol=1e-5, atol=1e-5)

    def loss(weight: Tensor) -> Tensor:
        return PF.mix(sources, weight, mask).square().sum()

    torch.testing.assert_close(
        torch.func.grad(loss)(weight), torch.autograd.grad(loss(weight), weight)[0], rtol=1e-4, atol=1e-3
    )


# --- several mixes of the same sources


def stack(sources: Sequence[Tensor], weights: Sequence[Tensor], masks: Sequence[Tensor], mix: Any) -> Tensor:
    """Three mixes, each over all sources and all earlier results."""
    seen = list(sources)
    for weight, mask in zip(weights, masks, strict=True):
        seen.append(torch.tanh(mix(seen, weight, mask)))
    return seen[-1]


def layered(**options: Any) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    sources, weights, masks = drawn(**options)[0], [], []
    for i in range(3):
        _, weight, mask = drawn([*(x.shape[1] for x in sources), *[24] * i], **options)
        weights.append(weight)
        masks.append(mask)
    return sources, weights, masks


def test_mixes_through_a_bank_equal_the_plain_ones() -> None:
    sources, weights, masks = layered()
    leaves = [*sources, *weights]
    expected = stack(sources, weights, masks, plain)
    out = stack(sources, weights, masks, partial(PF.mix, bank=PF.MixBank()))
    for got, exact in zip((out, *gradients(out, leaves)), (expected, *gradients(expected, leaves)), strict=True):
        torch.testing.assert_close(got.double(), exact.double(), rtol=1e-4, atol=1e-4)


def test_graphs_walked_twice_and_in_part() -> None:
    sources, weights, masks = layered()
    leaves = [*sources, *weights]
    loss = stack(sources, weights, masks, partial(PF.mix, bank=PF.MixBank())).square().sum()
    whole = torch.autograd.grad(loss, leaves, retain_graph=True)
    again = torch.autograd.grad(loss, leaves, retain_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    for leaf, expected in zip(leaves, whole, strict=True):
        (alone,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        assert torch.equal(alone, expected)


def test_nothing_refers_in_a_circle_so_that_memory_is_freed_at_once() -> None:
    gc.disable()
    try:
        for backward in (True, False):
            sources, weights, masks = layered()
            inside = [x * 1.0 for x in sources]
            seen = [weakref.ref(x) for x in inside]
            out = stack(inside, weights, masks, partial(PF.mix, bank=PF.MixBank()))
            del inside
            if backward:
                out.sum().backward()
            del out
            assert [ref for ref in seen if ref() is not None] == []
    finally:
        gc.enable()


def test_a_source_changed_after_the_fact_is_noticed() -> None:
    sources, weight, mask = drawn()
    inside = [x * 1.0 for x in sources]
    out = PF.mix(inside, weight, mask)
    with torch.no_grad():
        inside[0].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


# --- nets


def legos(width: int, count: int) -> list[nn.Module]:
    def lego(i: int) -> nn.Module:
        conv = (
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False) if i else nn.Conv2d(3, width, 3, padding=1)
        )
        return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(), *[nn.MaxPool2d(2)] * (i % 2))

    return [lego(i) for i in range(count)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_net_of_depthwise_legos_trains_as_its_plain_port(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    net = Supernet(legos(16, 4), (3, 16, 16), merge="mix")
    for connection in net.connections:
        connection.mask.copy_(torch.rand(connection.mask.shape) < 0.5)
    net.to(memory_format=layout)  # type: ignore[call-overload]
    twin, x = copy.deepcopy(net), torch.randn(6, 3, 16, 16).contiguous(memory_format=layout).requires_grad_()
    for _ in range(2):
        got, expected = net(x), naive_supernet(twin, x)
        assert fused(got)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
        direction = torch.randn(got.shape)
        ours = torch.autograd.grad(got, [x, *net.parameters()], direction)
        theirs = torch.autograd.grad(expected, [x, *twin.parameters()], direction)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * (1 + b.abs().max().item()))
    for a, b in zip(net.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_net_lets_go_of_its_sources_at_once() -> None:
    net, seen = Supernet(legos(8, 3), (3, 8, 8), merge="mix"), list[weakref.ref[Tensor]]()
    for lego in net.legos:
        lego.register_forward_hook(lambda _, __, out: seen.append(weakref.ref(out)))
    gc.disable()
    try:
        net(torch.randn(4, 3, 8, 8)).sum().backward()
        assert len(seen) == 3
        assert [ref for ref in seen if ref() is not None] == []
    finally:
        gc.enable()
