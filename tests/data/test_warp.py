"""A warp moves an image by what it says, and by chance that is given to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from plexus.data import augment_pair, warp
from plexus.errors import ConfigError, DataError
from plexus.robustness import rotate

STILL: dict[str, Any] = {"rotation": 0.0, "shift": 0.0, "gain": 0.0, "elastic": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6, channels: int = 2, height: int = 20, width: int = 30) -> Tensor:
    return torch.rand(n, channels, height, width, generator=seeded(1), dtype=torch.float64)


def shifted(image: NDArray[Any], down: int, right: int) -> NDArray[Any]:
    """An image (C, H, W) moved by whole pixels, its edge copied into what becomes free."""
    _, height, width = image.shape
    rows, columns = np.arange(height) - down, np.arange(width) - right
    return image[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]


def explanations(before: Tensor, after: Tensor, rows: int, columns: int) -> list[tuple[int, int, bool]]:
    """All (down, right, mirrored) that make `after` of `before`."""
    x, y = before.numpy(), after.numpy()
    return [
        (down, right, mirrored)
        for down in range(-rows, rows + 1)
        for right in range(-columns, columns + 1)
        for mirrored in (False, True)
        if np.allclose(shifted(x[:, :, ::-1] if mirrored else x, down, right), y, rtol=0, atol=1e-9)
    ]


def test_no_strength_is_the_identity() -> None:
    images = batch()
    moved = warp(images, seeded(), **STILL)
    assert torch.equal(moved, images)
    assert moved.data_ptr() != images.data_ptr()


def test_shifts_are_by_whole_pixels_and_keep_values() -> None:
    images = batch(60)
    moved = warp(images, seeded(), **{**STILL, "shift": 0.1})
    found = [explanations(x, y, 2, 3) for x, y in zip(images, moved, strict=True)]
    assert all(len(ways) == 1 and not ways[0][2] for ways in found)
    assert {ways[0][0] for ways in found} == set(range(-2, 3))
    assert {ways[0][1] for ways in found} == set(range(-3, 4))


def test_half_of_the_images_are_mirrored_and_only_left_to_right() -> None:
    images = batch(400, height=6, width=6)
    moved = warp(images, seeded(), **STILL, flip=True)
    kept = [torch.allclose(y, x) for x, y in zip(images, moved, strict=True)]
    turned = [torch.allclose(y, x.flip(-1)) for x, y in zip(images, moved, strict=True)]
    assert all(a != b for a, b in zip(kept, turned, strict=True))
    assert abs(sum(turned) - 200) < 60


def test_brightness_is_scaled_alone_within_its_bounds() -> None:
    images = batch(200) + 1
    factor = warp(images, seeded(), **{**STILL, "gain": 0.2}) / images
    assert torch.allclose(factor, factor[:, :1, :1, :1].expand_as(factor))
    each = factor[:, 0, 0, 0]
    assert 0.8 <= each.min() < 0.82
    assert 1.18 < each.max() <= 1.2


def test_a_turn_is_a_turn_about_the_centre() -> None:
    """Some angle within the bounds explains each image, as another rotation finds it."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 33), torch.linspace(-1, 1, 33), indexing="ij")
    blob = torch.exp(-((y - 0.3) ** 2 + (x + 0.2) ** 2) / 0.1)[None, None]
    moved = warp(blob.expand(12, -1, -1, -1), seeded(), **{**STILL, "rotation": 30.0})
    angles = torch.linspace(-30, 30, 121).tolist()
    turned = torch.cat(list(rotate(blob, angles)))
    inside = ((y**2 + x**2) < 0.9).float()
    rest = ((moved[:, None] - turned[None]) * inside).abs().amax((2, 3, 4))
    assert rest.amin(1).max() < 0.02
    assert len(set(rest.argmin(1).tolist())) > 6  # each image its own


def test_an_elastic_field_is_smooth_and_of_its_size() -> None:
    """Ramps tell by how much each pixel was displaced."""
    side = 41
    ramp = torch.arange(side, dtype=torch.float64)
    images = torch.stack([ramp[:, None].expand(side, side), ramp.expand(side, side)])[None].expand(200, -1, -1, -1)
    moved = warp(images, seeded(), **{**STILL, "elastic": 0.02}) - images
    inner = moved[:, :, 5:-5, 5:-5]
    knots = inner[:, :, 5::10, 5::10]  # at the control points
    assert abs(knots.std().item() / (0.02 * side) - 1) < 0.1
    assert abs(inner.mean().item()) < 0.1
    assert (inner.diff(dim=2).abs().max() < 0.6) & (inner.diff(dim=3).abs().max() < 0.6)


def test_the_generator_alone_decides() -> None:
    images = batch()
    first = warp(images, seeded(3), flip=True)
    torch.manual_seed(99)
    assert torch.equal(first, warp(images, seeded(3), flip=True))
    assert not torch.equal(first, warp(images, seeded(4), flip=True))
    running = seeded(3)
    warp(images, running)
    assert not torch.equal(first, warp(images, running, flip=True))


def test_one_strength_leaves_the_chance_of_the_others_as_it_was() -> None:
    images = batch()
    moved = warp(images, seeded(), **{**STILL, "shift": 0.1})
    both = warp(images, seeded(), **{**STILL, "shift": 0.1, "gain": 0.3})
    brighter = warp(images, seeded(), **{**STILL, "gain": 0.3})
    assert torch.allclose(both, moved * (brighter / images)[:, :1, :1, :1])


def test_images_of_a_batch_move_on_their_own() -> None:
    one = batch(1).expand(8, -1, -1, -1)
    moved = warp(one, seeded())
    assert all(not torch.allclose(moved[0], other) for other in moved[1:])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_integers_become_float32_with_the_same_motion(dtype: torch.dtype) -> None:
    images = (batch() * 255).to(dtype)
    moved = warp(images, seeded())
    assert moved.dtype == torch.float32
    assert torch.equal(moved, warp(images.float(), seeded()))
    assert images.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_floating_point_keeps_its_type(dtype: torch.dtype) -> None:
    moved = warp(batch().to(dtype), seeded())
    assert moved.dtype == dtype
    assert torch.allclose(moved.double(), warp(batch(), seeded()), atol=2e-2 if dtype == torch.float16 else 1e-4)


def test_values_stay_between_those_of_the_image() -> None:
    images = batch()
    moved = warp(images, seeded(), rotation=180, shift=1, gain=0, elastic=0.3)
    assert moved.min() >= images.min() - 1e-9
    assert moved.max() <= images.max() + 1e-9


def test_pairs_of_images_and_masks_move_the_same_way() -> None:
    images = batch()
    masks = torch.zeros(6, 1, 20, 30, dtype=torch.bool)
    options: dict[str, Any] = {"rotation": 20.0, "shift": 0.15, "gain": 0.2, "elastic": 0.05, "flip": True}
    assert torch.allclose(warp(images, seeded(5), **options), augment_pair(images, masks, seeded(5), **options)[0])


def test_no_gradient_is_lost() -> None:
    images = batch(2, 1, 6, 6).requires_grad_()
    warp(images, seeded()).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_single_pixels_and_empty_batches() -> None:
    assert warp(torch.ones(3, 1, 1, 1), seeded(), **{**STILL, "rotation": 90}).tolist() == [[[[1.0]]]] * 3
    assert warp(torch.ones(0, 1, 8, 8), seeded()).shape == (0, 1, 8, 8)


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (1, 1, 1, 8, 8)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"^warp: images must be \(N, C, H, W\), got \("):
        warp(torch.zeros(shape), seeded())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rotation": 181.0}, "warp: rotation=181.0 is out of range; expected 0 to 180"),
        ({"rotation": -1.0}, "rotation=-1.0"),
        ({"shift": 1.5}, "warp: shift=1.5 is out of range; expected 0 to 1"),
        ({"gain": -0.1}, "gain=-0.1"),
        ({"elastic": float("nan")}, "elastic=nan"),
    ],
)
def test_a_strength_out_of_range_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        warp(batch(), seeded(), **options)
