"""Concatenation of gated maps: value, gradients and memory layout."""

from __future__ import annotations

import pytest
import torch

from plexus.nn.functional import weighted_cat


def _maps(layout: torch.memory_format, dtype: torch.dtype = torch.float64) -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, c, 4, 3, generator=generator, dtype=dtype) for c in (1, 3, 2)]
    scale = torch.randn(6, generator=generator, dtype=dtype)
    return [x.contiguous(memory_format=layout).requires_grad_() for x in maps], scale.requires_grad_()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_value_and_gradients(layout: torch.memory_format) -> None:
    maps, scale = _maps(layout)
    out = weighted_cat(maps, scale)
    assert out.equal(torch.cat(maps, 1) * scale.view(1, -1, 1, 1))
    assert out.is_contiguous(memory_format=layout)
    assert torch.autograd.gradcheck(lambda s, *x: weighted_cat(x, s), (scale, *maps))


def test_the_maps_set_the_type() -> None:
    maps, scale = _maps(torch.contiguous_format, torch.float32)
    out = weighted_cat([x.bfloat16() for x in maps], scale)
    assert out.dtype == torch.bfloat16


def test_fixed_sources_get_no_gradient() -> None:
    maps, scale = _maps(torch.contiguous_format)
    maps[0].requires_grad_(False)
    weighted_cat(maps, scale).sum().backward()
    assert maps[0].grad is None
    assert scale.grad is not None
    torch.testing.assert_close(scale.grad, torch.cat([x.detach().sum((0, 2, 3)) for x in maps]))
