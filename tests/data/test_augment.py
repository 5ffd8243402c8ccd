"""A shifted, mirrored batch is what slicing image by image gives."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from plexus.data import augment
from plexus.errors import ConfigError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shifted(image: NDArray[Any], down: int, right: int) -> NDArray[Any]:
    """Move an image (C, H, W) by whole pixels, copying its edge into what becomes free."""
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (height, height), (width, width)), mode="edge")
    return padded[:, height - down : 2 * height - down, width - right : 2 * width - right]


def explanations(before: NDArray[Any], after: NDArray[Any], rows: int, columns: int) -> list[tuple[int, int, bool]]:
    """All (down, right, mirrored) that make ``after`` of ``before``."""
    return [
        (down, right, mirrored)
        for down in range(-rows, rows + 1)
        for right in range(-columns, columns + 1)
        for mirrored in (False, True)
        if np.array_equal(shifted(before[:, :, ::-1] if mirrored else before, down, right), after)
    ]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16])
def test_every_image_is_shifted_within_a_tenth_and_maybe_mirrored(dtype: torch.dtype) -> None:
    before = torch.rand(12, 3, 20, 30, generator=generator(1)).mul(255).to(dtype)
    after = augment(before, generator())
    assert after.dtype == dtype
    assert after.shape == before.shape
    for x, y in zip(before.numpy(), after.numpy(), strict=True):
        assert len(explanations(x, y, 2, 3)) == 1


@pytest.mark.parametrize(("side", "reach"), [(32, 3), (8, 1), (28, 3), (4, 0), (57, 6)])
def test_shifts_reach_a_rounded_tenth_and_are_uniform(side: int, reach: int) -> None:
    ramp = torch.arange(side).float()
    batch = torch.stack([ramp[:, None].expand(side, side), ramp.expand(side, side)])[None].expand(2000, -1, -1, -1)
    moved = batch - augment(batch, generator(), flip=False)
    centre = moved[:, :, side // 2, side // 2]
    for axis in (0, 1):
        seen = Counter(centre[:, axis].int().tolist())
        assert set(seen) == set(range(-reach, reach + 1))
        expected = 2000 / (2 * reach + 1)
        assert all(abs(n - expected) < 6 * expected**0.5 for n in seen.values())


def test_rows_and_columns_and_images_move_independently() -> None:
    ramp = torch.arange(20.0)
    batch = torch.stack([ramp[:, None].expand(20, 20), ramp.expand(20, 20)])[None].expand(2000, -1, -1, -1)
    moved = (batch - augment(batch, generator(), flip=False))[:, :, 10, 10]
    assert abs(torch.corrcoef(moved.T)[0, 1]) < 0.1
    assert abs(torch.corrcoef(torch.stack([moved[:-1, 0], moved[1:, 0]]))[0, 1]) < 0.1


def test_half_are_mirrored() -> None:
    batch = torch.arange(2.0).expand(2000, 1, 1, 2)
    flipped = augment(batch, generator(), shift=0)[:, 0, 0, 0]
    assert abs(flipped.mean() - 0.5) < 0.06
    assert augment(batch, generator(), shift=0, flip=False).equal(batch)


def test_the_input_is_left_alone_and_may_be_a_view() -> None:
    base = torch.rand(4, 10, 10, 3, generator=generator(2))
    view, copy = base.permute(0, 3, 1, 2), base.clone()
    assert augment(view, generator()).equal(augment(view.contiguous(), generator()))
    assert base.equal(copy)


def test_it_follows_from_the_generator() -> None:
    batch = torch.rand(16, 1, 20, 20, generator=generator(3))
    stream = generator(4)
    state = torch.get_rng_state()
    first, second = augment(batch, stream), augment(batch, stream)
    assert first.equal(augment(batch, generator(4)))
    assert not first.equal(second)
    assert torch.get_rng_state().equal(state)


def test_an_empty_batch_stays_empty() -> None:
    assert augment(torch.zeros(0, 3, 8, 8), generator()).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(("shape", "shift"), [((3, 8, 8), 0.1), ((1, 3, 8, 8), -0.1), ((1, 3, 8, 8), 1.1)])
def test_wrong_arguments_are_refused(shape: tuple[int, ...], shift: float) -> None:
    with pytest.raises(ConfigError, match="expected"):
        augment(torch.zeros(shape), generator(), shift=shift)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_cutout_fills_one_square_with_the_mean_and_leaves_the_rest(dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (64, 3, 12, 16), generator=torch.Generator().manual_seed(0)).to(dtype)
    out = augment(images, torch.Generator().manual_seed(1), shift=0, flip=False, cutout=0.5)
    assert out.dtype == dtype
    mean = images.float().mean((2, 3))
    mean = mean.round() if dtype == torch.uint8 else mean
    for before, after, colour in zip(images, out, mean, strict=True):
        changed = (before != after).any(0)
        rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
        hole = after[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].float()
        assert torch.allclose(hole, colour[:, None, None].expand_as(hole), atol=1e-3)
        assert max(hole.shape[1:]) <= 6
        assert min(hole.shape[1:]) >= 3  # at least half of the square lies in the image


def test_a_crop_enlarges_a_part_that_lies_in_the_image() -> None:
    """A ramp stays a ramp: its slope tells how much is seen, its ends that nothing lies outside."""
    ramp = torch.arange(64.0).expand(200, 1, 64, 64)
    out = augment(ramp, torch.Generator().manual_seed(0), shift=0, flip=False, crop=0.4)
    slopes = (out[:, 0, 32, 48] - out[:, 0, 32, 16]) / 32
    assert 0.6 <= slopes.min() < 0.63
    assert 0.97 < slopes.max() <= 1.0
    assert out.min() >= 0
    assert out.max() <= 63
    flat = torch.full((5, 3, 8, 8), 77, dtype=torch.uint8)
    assert augment(flat, torch.Generator().manual_seed(0), crop=0.5).equal(flat)


def test_more_kinds_leave_the_draws_of_the_others_as_they_were() -> None:
    images = torch.rand(8, 1, 10, 10, generator=torch.Generator().manual_seed(3))
    plain = augment(images, torch.Generator().manual_seed(1))
    cut = augment(images, torch.Generator().manual_seed(1), cutout=0.3)
    assert 0.5 < (plain == cut).float().mean() < 1


@pytest.mark.parametrize("strength", [{"crop": 1.0}, {"crop": -0.1}, {"cutout": 1.5}])
def test_strengths_out_of_range_are_refused(strength: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"is not a share of the side"):
        augment(torch.zeros(1, 1, 4, 4), torch.Generator(), **strength)
