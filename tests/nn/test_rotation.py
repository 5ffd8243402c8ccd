"""Laws of rotated kernels: turns, the best of all rotations, and turned inputs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.nn import RotConv2d
from plexus.nn.functional import ring_rotate, rot_conv2d

# one step clockwise, as the notes write it down: out[i] = in[STEP[i]], row by row
STEP = [3, 0, 1, 6, 4, 2, 7, 8, 5]


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def test_one_step_is_the_notes_shift() -> None:
    w = drawn(2, 3, 3, 3)
    assert torch.equal(ring_rotate(w, 1), w.flatten(2)[..., STEP].view_as(w))


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_turns_add_up_and_even_ones_are_exact(size: int) -> None:
    w = drawn(2, size, size)
    assert torch.equal(ring_rotate(w, 2), torch.rot90(w, -1, (1, 2)))
    assert torch.equal(ring_rotate(ring_rotate(w, 3), 2), ring_rotate(w, 5))
    assert torch.equal(ring_rotate(w, -1), ring_rotate(w, 7))
    assert torch.equal(ring_rotate(w, 8), w)


def test_an_outer_ring_moves_as_far_as_an_inner_one() -> None:
    w = torch.zeros(5, 5)
    w[0, 0] = w[1, 1] = 1
    turned = ring_rotate(w, 1)
    assert turned[0, 2] == turned[1, 2] == 1
    assert turned.sum() == 2


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (4, 4)])
def test_a_kernel_without_rings_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"only square kernels of odd size"):
        ring_rotate(torch.zeros(shape), 1)


@pytest.mark.parametrize("rotations", [4, 8])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_it_is_the_best_of_plain_convolutions(rotations: int, groups: int, size: int) -> None:
    x, w, b = drawn(2, 4, 9, 8), drawn(6, 4 // groups, size, size), drawn(6)
    options: dict[str, Any] = {"stride": 2, "padding": 2, "dilation": 1, "groups": groups}
    each = [F.conv2d(x, ring_rotate(w, s * 8 // rotations), **options) for s in range(rotations)]
    best = torch.stack(each).amax(0) + b.view(-1, 1, 1)
    torch.testing.assert_close(rot_conv2d(x, w, b, rotations=rotations, **options), best)
    joined = rot_conv2d(x, w, b, rotations=rotations, reduce="concat", **options)
    torch.testing.assert_close(joined, torch.cat([y + b.view(-1, 1, 1) for y in each], 1))
    mixer = drawn(6, 6 * rotations, 1, 1)
    mixed = rot_conv2d(x, w, b, rotations=rotations, reduce="squeeze", squeeze=mixer, **options)
    torch.testing.assert_close(mixed, F.conv2d(torch.cat(each, 1), mixer, b))


def test_a_tie_gives_the_gradient_to_the_first_rotation() -> None:
    w = torch.ones(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    x = drawn(1, 1, 3, 3)
    rot_conv2d(x, w).sum().backward()
    torch.testing.assert_close(w.grad, x)


@pytest.mark.parametrize("count", [4, 8])
def test_continuous_is_the_peak_of_the_polynomial_through_the_rotations(count: int) -> None:
    y = drawn(500, count)
    # one tap in the corner answers rotation s with what lies under the place that the corner is turned to
    x, corner = torch.zeros(500, 1, 3, 3, dtype=torch.float64), torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    corner[0, 0, 0, 0] = 1
    for s in range(count):
        x[:, 0] += ring_rotate(corner[0, 0], s * 8 // count) * y[:, s, None, None]
    assert torch.equal(rot_conv2d(x, corner, rotations=count, reduce="concat").flatten(1), y)
    angles = torch.linspace(0, 2 * math.pi, 2881, dtype=torch.float64)
    coefficients = torch.fft.rfft(y, dim=1) / count
    orders = torch.arange(count // 2 + 1, dtype=torch.float64)
    weights = torch.where((orders == 0) | (orders == count // 2), 1.0, 2.0)
    waves = torch.exp(1j * orders[:, None] * angles)
    waves[-1] = torch.cos(count // 2 * angles)  # the highest order has no phase
    brute = (coefficients * weights) @ waves
    peaks = rot_conv2d(x, corner, rotations=count, reduce="continuous").flatten()
    torch.testing.assert_close(peaks, brute.real.amax(1), rtol=0, atol=1e-4)
    assert (peaks >= y.amax(1)).all()


def test_continuous_is_never_below_max() -> None:
    x, w = drawn(2, 3, 8, 8), drawn(5, 3, 3, 3)
    gain = rot_conv2d(x, w, reduce="continuous") - rot_conv2d(x, w)
    assert (gain >= 0).all()
    assert gain.max() > 0.1


@pytest.mark.parametrize("reduce", ["max", "continuous"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("stride", "size"), [(1, 8), (1, 7), (2, 7)])
def test_turning_the_input_turns_the_output(reduce: Any, dtype: torch.dtype, stride: int, size: int) -> None:
    torch.manual_seed(0)
    layer = RotConv2d(3, 5, 3, stride, padding=1, reduce=reduce, dtype=dtype)
    x = drawn(2, 3, size, size).to(dtype)
    for turns in range(4):
        turned = layer(torch.rot90(x, turns, (2, 3)))
        torch.testing.assert_close(turned, torch.rot90(layer(x), turns, (2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [15, 16])
def test_a_net_of_quarter_turns_gives_the_same_logits_at_all_of_them(size: int) -> None:
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for maps in (1, 8, 8):
        parts += [RotConv2d(maps, 8, 3, padding=1, rotations=4), nn.ReLU()]
    net = nn.Sequential(*parts[:4], nn.MaxPool2d(2) if size % 2 == 0 else nn.Identity(), *parts[4:])
    net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)])
    x = drawn(4, 1, size, size).float()
    for turns in range(1, 4):
        torch.testing.assert_close(net(torch.rot90(x, turns, (2, 3))), net(x), rtol=0, atol=1e-4)


def test_a_zero_kernel_gives_zero_and_no_nan() -> None:
    x, w = drawn(1, 2, 5, 5).requires_grad_(), torch.zeros(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    for reduce in ("max", "continuous"):
        y = rot_conv2d(x, w, reduce=reduce)
        grads = torch.autograd.grad(y.sum(), (x, w))
        assert (y == 0).all()
        assert all(torch.isfinite(g).all() for g in grads)


def test_options_that_do_not_fit_are_told() -> None:
    x, w = drawn(1, 2, 5, 5), drawn(3, 2, 3, 3)
    with pytest.raises(ConfigError, match="rotations=5: expected 4 or 8"):
        rot_conv2d(x, w, rotations=5)
    with pytest.raises(ConfigError, match="squeeze: a kernel"):
        rot_conv2d(x, w, reduce="squeeze")
    with pytest.raises(ConfigError, match="squeeze: a kernel"):
        rot_conv2d(x, w, squeeze=drawn(3, 24, 1, 1))
