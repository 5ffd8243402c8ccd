"""The fused loops give what the sums say, whatever the size, the layout, the dtype and the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from plexus.nn.kernels import mix, unmix
from plexus.nn.kernels._stream_loops import BLOCK


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(count: int, *shape: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(dtype) for _ in range(count)]


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 32 * BLOCK, 45 * BLOCK + 7])
def test_one_pass_gives_the_sums(size: int, threads: int) -> None:
    tensors, weights = drawn(4, size), torch.tensor([0.5, -1.0, 0.0, 2.0])
    stacked = torch.stack(tensors).double()
    torch.testing.assert_close(mix(tensors, weights).double(), weights.double() @ stacked, rtol=1e-5, atol=1e-5)
    source, *grads = tensors
    dx, dw = unmix(source, grads, weights[1:])
    torch.testing.assert_close(dx.double(), weights[1:].double() @ stacked[1:], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dw.double(), stacked[1:] @ stacked[0], rtol=1e-4, atol=1e-3)


def test_the_number_of_threads_changes_no_bit() -> None:
    tensors, weights, before = drawn(3, 77 * BLOCK + 1), torch.tensor([0.3, 0.7]), torch.get_num_threads()
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append((mix(tensors[1:], weights), *unmix(tensors[0], tensors[1:], weights)))
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_callers_of_several_threads_do_not_meet(threads: int) -> None:
    tensors, weights = drawn(3, 40 * BLOCK), torch.tensor([0.5, -1.0, 2.0])
    expected = mix(tensors, weights)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(got, expected) for got in pool.map(lambda _: mix(tensors, weights), range(16)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_take_the_plain_way(dtype: torch.dtype) -> None:
    tensors, weights = drawn(3, 50, dtype=dtype), torch.tensor([0.5, -1.0, 2.0])
    expected = weights @ torch.stack(tensors).float()
    got, (dx, dw) = mix(tensors, weights), unmix(tensors[0], tensors, weights)
    assert got.dtype == dx.dtype == dtype
    assert dw.dtype == torch.float32
    for sums in (got, dx):
        torch.testing.assert_close(sums.float(), expected, rtol=0.02, atol=0.05)
    torch.testing.assert_close(dw, torch.stack(tensors).float() @ tensors[0].float(), rtol=0.02, atol=0.2)


def test_layout_and_strangers_memory_are_respected() -> None:
    wide = [x.contiguous(memory_format=torch.channels_last) for x in drawn(2, 2, 5, 4, 3)]
    got = mix(wide, torch.tensor([1.0, 2.0]))
    assert got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got, wide[0] + 2 * wide[1])
    base = drawn(1, 30)[0]
    torch.testing.assert_close(mix([base[10:20], base[20:30]], torch.tensor([1.0, 1.0])), base[10:20] + base[20:30])


def test_what_is_not_a_number_stays_seen() -> None:
    bad = torch.tensor([1.0, float("nan"), float("inf")])
    got = mix([bad, torch.ones(3)], torch.tensor([1.0, 1.0]))
    assert torch.equal(torch.isfinite(got), torch.tensor([True, False, False]))
    _, dw = unmix(bad, [torch.ones(3)], torch.tensor([1.0]))
    assert not torch.isfinite(dw).any()
