"""Turning images: direction, exactness at quarter turns, the mask, and bilinear interpolation by an own formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from plexus.errors import ConfigError
from plexus.robustness import rotate


def images(n: int = 3, c: int = 2, side: int = 9, seed: int = 0) -> Tensor:
    return torch.randn(n, c, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bilinear(image: Tensor, degrees: float, *, repeat: bool) -> Tensor:
    """One map, pixel by pixel: row and column are turned back about the centre, counter-clockwise with rows down."""
    side = image.shape[-1]
    middle, a = (side - 1) / 2, math.radians(degrees)
    out = torch.zeros_like(image)

    def at(row: int, column: int) -> float:
        if repeat:
            row, column = min(max(row, 0), side - 1), min(max(column, 0), side - 1)
        return float(image[row, column]) if 0 <= row < side and 0 <= column < side else 0.0

    for i in range(side):
        for j in range(side):
            right, up = j - middle, middle - i
            x, y = right * math.cos(a) + up * math.sin(a), -right * math.sin(a) + up * math.cos(a)
            row, column = middle - y, middle + x
            if repeat:
                row, column = min(max(row, 0), side - 1), min(max(column, 0), side - 1)
            top, left = math.floor(row), math.floor(column)
            down, over = row - top, column - left
            out[i, j] = (
                at(top, left) * (1 - down) * (1 - over)
                + at(top, left + 1) * (1 - down) * over
                + at(top + 1, left) * down * (1 - over)
                + at(top + 1, left + 1) * down * over
            )
    return out


def inside(side: int) -> Tensor:
    """Which pixels have their centre in the inscribed circle."""
    rows = [[math.hypot(i - (side - 1) / 2, j - (side - 1) / 2) <= side / 2 for j in range(side)] for i in range(side)]
    return torch.tensor(rows)


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("angle", [0, 90, 180, 270, 360, -90, 450.0])
def test_quarter_turns_are_rot90_bit_by_bit(side: int, angle: float) -> None:
    x = images(side=side)
    expected = torch.rot90(x, round(angle / 90), (2, 3))
    assert torch.equal(rotate(x, [angle], mask=None)[0], expected)
    assert torch.equal(rotate(x, [angle])[0], expected * inside(side))


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("angle", [17.5, 133, 301])
def test_other_angles_are_bilinear(side: int, angle: float) -> None:
    x = images(2, 2, side)
    masks: Any = ((None, False), ("circle", True))
    for mask, repeat in masks:
        got = rotate(x, [angle], mask)[0]
        expected = torch.stack([torch.stack([bilinear(m, angle, repeat=repeat) for m in image]) for image in x])
        wanted = expected * inside(side) if mask else expected
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_interpolation_turns_the_way_rot90_does(quarter: int) -> None:
    x = images()
    near = rotate(x, [90 * quarter + 1e-7], mask=None)[0]  # interpolated, and next to the exact turn
    torch.testing.assert_close(
        near[..., 1:-1, 1:-1], torch.rot90(x, quarter, (2, 3))[..., 1:-1, 1:-1], rtol=0, atol=1e-6
    )


def test_a_corner_moves_counter_clockwise() -> None:
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 0, 2] = 1  # top, in the middle
    turned = rotate(x, [45, 90], mask="circle")
    assert turned[1, 0, 0].argmax() == 10  # left, in the middle
    assert turned[0, 0, 0].argmax() == 6  # between them


def test_all_angles_at_once_are_each_angle_alone() -> None:
    x, angles = images(), [0, 10, 90, 200, 270.0, 359]
    together = rotate(x, angles)
    assert together.shape == (6, *x.shape)
    for i, angle in enumerate(angles):
        torch.testing.assert_close(together[i], rotate(x, [angle])[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(together[i, 1:2], rotate(x[1:2], [angle])[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [8, 9, 32])
def test_the_mask_is_the_same_at_every_angle(side: int) -> None:
    turned = rotate(torch.ones(1, 1, side, side), [0, 1, 45, 90, 222.2])
    for one in turned:
        torch.testing.assert_close(one[0, 0], inside(side).float(), rtol=0, atol=1e-5)


def test_the_images_stay_as_they_are() -> None:
    x = images()
    before = x.clone()
    rotate(x, [0, 33])
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_dtype_is_kept_and_the_grid_is_precise(dtype: torch.dtype) -> None:
    x = images(side=32).to(dtype)
    got = rotate(x, [33.0])
    assert got.dtype == dtype
    expected = rotate(x.double(), [33.0])
    torch.testing.assert_close(
        got.double(), expected, rtol=0, atol={torch.bfloat16: 2e-2, torch.float16: 3e-3}.get(dtype, 1e-4)
    )


@pytest.mark.parametrize(
    ("x", "mask", "words"),
    [
        (torch.zeros(1, 1, 4, 6), "circle", "images are 4x6, and a quarter turn swaps the sides; crop or resize"),
        (torch.zeros(1, 4, 4), "circle", r"images have shape \(1, 4, 4\); expected \(N, C, H, W\)"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), None, r"images are torch.uint8; .*images.float\(\)"),
        (torch.zeros(1, 1, 4, 4), "square", "mask='square' is unknown; choose 'circle' or None"),
    ],
)
def test_what_cannot_be_turned_is_told(x: Tensor, mask: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rotate(x, [10], mask)
