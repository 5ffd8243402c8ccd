"""The augmentation moves an image and its mask as one, by what it says, and by chance that is given to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import ndimage
from torch import Tensor

from plexus.data import augment_pair
from plexus.errors import ConfigError, DataError

STILL: dict[str, Any] = {"rotation": 0.0, "shift": 0.0, "gain": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6, height: int = 20, width: int = 30) -> tuple[Tensor, Tensor]:
    generator = seeded(1)
    images = torch.rand(n, 2, height, width, generator=generator, dtype=torch.float64)
    return images, torch.rand(n, 1, height, width, generator=generator) < 0.4


def disc(n: int, height: int, width: int, radius: float) -> Tensor:
    """A soft disc left of the centre and above it."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((y - height * 0.4) ** 2 + (x - width * 0.35) ** 2).double().sqrt()
    return torch.sigmoid(radius - distance).expand(n, 1, height, width)


def test_no_strength_is_the_identity() -> None:
    images, masks = batch()
    moved, targets = augment_pair(images, masks, seeded(), **STILL)
    assert torch.equal(moved, images)
    assert torch.equal(targets, masks)
    assert moved.data_ptr() != images.data_ptr()
    assert targets.data_ptr() != masks.data_ptr()


def test_a_shift_is_one_by_whole_pixels() -> None:
    images, masks = batch(40)
    moved, targets = augment_pair(images, masks, seeded(), **{**STILL, "shift": 0.1})
    found = set()
    for image, mask, now, target in zip(images, masks, moved, targets, strict=True):
        for a in range(-2, 3):
            for b in range(-3, 4):
                rows, columns = (torch.arange(20) - a).clamp(0, 19), (torch.arange(30) - b).clamp(0, 29)
                if torch.allclose(now, image[:, rows][..., columns], rtol=0, atol=1e-12):
                    assert torch.equal(target, mask[:, rows][..., columns])
                    found.add((a, b))
                    break
            else:
                continue
            break
        else:
            pytest.fail("this image was not shifted by whole pixels within the limits")
    assert {a for a, _ in found} == set(range(-2, 3))
    assert {b for _, b in found} == set(range(-3, 4))


def test_a_shift_in_float32_keeps_masks_and_nearly_every_value() -> None:
    images, masks = batch(40)
    exact, targets = augment_pair(images, masks, seeded(), **{**STILL, "shift": 0.1})
    moved, same = augment_pair(images.float(), masks, seeded(), **{**STILL, "shift": 0.1})
    torch.testing.assert_close(moved.double(), exact, rtol=0, atol=1e-5)
    assert torch.equal(same, targets)


def test_a_rotation_turns_about_the_centre_by_its_angle() -> None:
    """Against scipy's, at the angle that the moments of the disc tell."""
    images = disc(8, 61, 81, 9.0)
    moved, _ = augment_pair(images, images > 0.5, seeded(), **{**STILL, "rotation": 20.0})
    y, x = torch.meshgrid(torch.arange(61) - 30.0, torch.arange(81) - 40.0, indexing="ij")

    def bearing(image: Tensor) -> float:
        return float(torch.rad2deg(torch.atan2((image * y).sum(), (image * x).sum())))

    angles = [bearing(image[0]) - bearing(images[0, 0]) for image in moved]
    assert max(angles) - min(angles) > 10
    for image, angle in zip(moved, angles, strict=True):
        assert abs(angle) < 20.1
        turned = ndimage.rotate(images[0, 0].numpy(), -angle, reshape=False, order=1, mode="nearest")
        assert abs(image[0].numpy() - turned).max() < 0.02


@pytest.mark.parametrize("options", [{}, {"elastic": 0.02}, {"rotation": 40.0, "flip": True, "elastic": 0.01}])
def test_image_and_mask_move_together(options: dict[str, Any]) -> None:
    """An image that is its own mask stays it."""
    images = disc(16, 64, 48, 10.0)
    masks = images[:, 0] > 0.5
    moved, targets = augment_pair(masks[:, None].double(), masks, seeded(), **{"gain": 0.0, **options})
    assert torch.equal(targets, moved[:, 0] >= 0.5)
    assert (targets != masks).flatten(1).any(1).all()
    assert targets.flatten(1).any(1).all()


def test_a_flip_mirrors_half_of_all() -> None:
    images, masks = batch(200, 4, 5)
    moved, targets = augment_pair(images, masks, seeded(), **STILL, flip=True)
    mirrored = torch.tensor([torch.allclose(a, b.flip(-1)) for a, b in zip(moved, images, strict=True)])
    torch.testing.assert_close(moved[mirrored], images[mirrored].flip(-1))
    torch.testing.assert_close(moved[~mirrored], images[~mirrored])
    assert torch.equal(targets[mirrored], masks[mirrored].flip(-1))
    assert torch.equal(targets[~mirrored], masks[~mirrored])
    assert 70 < int(mirrored.sum()) < 130


def test_gain_is_one_factor_an_image_and_leaves_masks_alone() -> None:
    images, masks = batch(300, 4, 5)
    moved, targets = augment_pair(images, masks, seeded(), **{**STILL, "gain": 0.2})
    factor = moved / images
    assert torch.allclose(factor, factor[:, :1, :1, :1].expand_as(factor))
    each = factor[:, 0, 0, 0]
    assert 0.8 <= each.min() < 0.81
    assert 1.19 < each.max() <= 1.2
    assert each.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(targets, masks)


def test_an_elastic_field_is_smooth_and_of_its_strength() -> None:
    """Read off images whose values are their own coordinates."""
    y, x = torch.meshgrid(torch.arange(80.0).double(), torch.arange(100.0).double(), indexing="ij")
    images = torch.stack([y, x]).expand(200, 2, 80, 100)
    moved, _ = augment_pair(images, torch.zeros(200, 80, 100), seeded(), **STILL, elastic=0.02)
    field = (moved - images)[:, :, 20:60, 25:75]  # away from the edge, which is repeated
    assert field[:, :, 19, 24].std().item() == pytest.approx(0.02 * 80, rel=0.15)  # a control point
    assert field.mean().abs() < 0.1
    assert field.diff(dim=2).abs().max() < 0.7  # neighbours stay in order
    assert field.diff(dim=3).abs().max() < 0.7


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("axes", [3, 4])
def test_masks_keep_their_shape_their_type_and_two_values(kind: torch.dtype, axes: int) -> None:
    images, masks = batch()
    given = (masks if axes == 4 else masks[:, 0]).to(kind)
    moved, targets = augment_pair(images.float(), given, seeded(), elastic=0.02)
    assert targets.shape == given.shape
    assert targets.dtype == kind
    assert set(targets.double().unique().tolist()) == {0.0, 1.0}
    assert moved.dtype == torch.float32


def test_chance_comes_from_the_generator_alone() -> None:
    images, masks = batch()
    options: dict[str, Any] = {"elastic": 0.02, "flip": True}
    before = torch.random.get_rng_state()
    first, again, other = (augment_pair(images, masks, seeded(s), **options) for s in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    generator = seeded(3)
    augment_pair(images, masks, generator, **options)
    assert not torch.equal(augment_pair(images, masks, generator, **options)[0], first[0])


def test_one_strength_leaves_the_chance_of_the_others_alone() -> None:
    images, masks = batch()
    both = augment_pair(images, masks, seeded(), **{**STILL, "shift": 0.1, "gain": 0.1})
    shifted = augment_pair(images, masks, seeded(), **{**STILL, "shift": 0.1})
    bright = augment_pair(images, masks, seeded(), **{**STILL, "gain": 0.1})
    factor = (bright[0] / images)[:, :1, :1, :1]
    torch.testing.assert_close(both[0], shifted[0] * factor)
    assert torch.equal(both[1], shifted[1])


@pytest.mark.parametrize(("name", "value"), [("rotation", -1), ("shift", 1.5), ("gain", 2), ("elastic", float("nan"))])
def test_strengths_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"augment_pair: {name}={value} is out of range"):
        augment_pair(*batch(), seeded(), **{name: value})


def test_batches_that_do_not_fit_are_refused() -> None:
    images, masks = batch()
    with pytest.raises(DataError, match=r"floating point \(N, C, H, W\), got torch.uint8"):
        augment_pair((images * 255).byte(), masks, seeded())
    with pytest.raises(DataError, match=r"masks \(6, 1, 30, 20\) do not fit images \(6, 2, 20, 30\)"):
        augment_pair(images, masks.mT, seeded())


def test_no_small_target_is_lost() -> None:
    """One pixel, turned to between the pixels of the grid, stays a target; one that leaves the image does not."""
    masks = torch.zeros(300, 1, 33, 33)
    masks[:, 0, 9, 16] = 1
    moved, targets = augment_pair(masks, masks, seeded(), **{**STILL, "rotation": 45.0})
    assert (moved.amax((1, 2, 3)) < 0.5).any()  # none of its pixels has half of it
    sums = targets.sum((1, 2, 3))
    assert sums.min() >= 1
    assert sums.max() <= 2
    assert torch.equal(targets.flatten(1).argmax(1), moved.flatten(1).argmax(1))
    _, gone = augment_pair(masks, masks, seeded(), **{**STILL, "shift": 0.5})
    assert 0 < int((gone.sum((1, 2, 3)) == 0).sum()) < 300
