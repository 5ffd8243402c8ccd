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
