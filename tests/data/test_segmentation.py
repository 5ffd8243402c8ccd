"""Images and masks at the nets' size; truths at their own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from plexus.data import load_segmentation, open_samples, resize_mask, stack
from plexus.errors import DataError
from tests.segment.discs import disc, write_discs


def test_pairs_are_what_the_files_hold(tmp_path: Path) -> None:
    pairs = load_segmentation(open_samples(write_discs(tmp_path / "d", 4), masks=True), (32, 32))
    for i, name in enumerate(pairs.names):
        number = int(name.partition("-")[2].removesuffix(".png"))
        pixels, mask = disc(number, present=number != 3)
        assert np.array_equal(pairs.images[i, 0].numpy(), pixels)
        assert np.array_equal(pairs.masks[i, 0].numpy(), mask)
        assert np.array_equal(pairs.truth(i), mask)
        assert pairs.present[i] == mask.any()
        assert pairs.sizes[i] == (32, 32)
    assert (pairs.images.dtype, pairs.images.shape) == (torch.uint8, (4, 1, 32, 32))
    some = pairs.take([2, 0])
    assert some.names == (pairs.names[2], pairs.names[0])
    assert torch.equal(some.masks[1], pairs.masks[0])


def test_masks_shrink_by_area() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((24, 36)) < 0.5
    area = mask.reshape(8, 3, 12, 3).mean((1, 3))  # nine pixels each: a half is never met exactly
    assert np.array_equal(resize_mask(mask, (8, 12)), area >= 0.5)
    even = np.array([[1, 0, 1, 0], [0, 1, 0, 0]], bool)
    assert resize_mask(even, (1, 2)).tolist() == [[True, False]]  # a half is enough


def test_a_small_mask_does_not_vanish() -> None:
    mask = np.zeros((40, 40), bool)
    mask[20, 20:22] = True
    small = resize_mask(mask, (4, 4))
    assert small.sum() == 1
    assert small[2, 2]
    assert not resize_mask(np.zeros((40, 40), bool), (4, 4)).any()


def test_sizes_and_colours_mix(tmp_path: Path) -> None:
    write_discs(tmp_path, 2)
    Image.new("RGB", (50, 20), (200, 10, 10)).save(tmp_path / "wide.png")
    Image.new("L", (50, 20)).save(tmp_path / "wide_mask.png")
    pairs = load_segmentation(open_samples(tmp_path, masks=True), (32, 32))
    at = pairs.names.index("wide.png")
    assert pairs.images.shape == (3, 3, 32, 32)
    assert pairs.images[at, :, 5, 5].tolist() == [200, 10, 10]
    assert pairs.truth(at).shape == (20, 50)
    grey = load_segmentation(open_samples(tmp_path, masks=True), (32, 32), channels=1)
    luminance = round(0.299 * 200 + 0.587 * 10 + 0.114 * 10)
    assert abs(int(grey.images[at, 0, 5, 5]) - luminance) <= 1


def test_greys_become_colours() -> None:
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2)
    assert np.array_equal(stack([pixels], 3)[0], [pixels] * 3)


def test_hashes_are_of_the_files(tmp_path: Path) -> None:
    pairs = load_segmentation(open_samples(write_discs(tmp_path, 2), masks=True), (32, 32))
    content = (tmp_path / pairs.names[0]).read_bytes()
    expected = hashlib.sha256(len(content).to_bytes(8, "little") + content).hexdigest()
    assert pairs.hashes[0] == f"sha256:{expected}"


def test_another_mask_is_other_data(tmp_path: Path) -> None:
    first = load_segmentation(open_samples(write_discs(tmp_path, 2), masks=True), (32, 32)).fingerprint
    assert load_segmentation(open_samples(tmp_path, masks=True), (16, 16)).fingerprint == first
    Image.new("L", (32, 32), 255).save(tmp_path / "p0-1_mask.png")
    assert load_segmentation(open_samples(tmp_path, masks=True), (32, 32)).fingerprint != first


def test_unreadable_files(tmp_path: Path) -> None:
    write_discs(tmp_path, 4)
    (tmp_path / "p0-1.png").write_bytes(b"no image")
    Image.new("L", (9, 9)).save(tmp_path / "p1-2_mask.png")
    source = open_samples(tmp_path, masks=True)
    with pytest.raises(DataError, match=r"p0-1.png: .*\(and 1 more\): mend it, or .*--skip-unreadable"):
        load_segmentation(source, (32, 32))
    pairs = load_segmentation(source, (32, 32), skip_unreadable=True)
    assert pairs.names == ("p0-0.png", "p1-3.png")
    assert [line.partition(":")[0] for line in pairs.skipped] == ["p0-1.png", "p1-2.png"]
    assert "9x9" in pairs.skipped[1]


def test_missing_masks(tmp_path: Path) -> None:
    write_discs(tmp_path, 4)
    (tmp_path / "p0-1_mask.png").unlink()
    with pytest.raises(DataError, match=r"p0-1\.png"):
        load_segmentation(open_samples(tmp_path, masks=True), (32, 32))
    pairs = load_segmentation(open_samples(tmp_path, masks=True, missing_mask="empty"), (32, 32), missing_mask="empty")
    assert pairs.present.tolist() == [True, False, True, False]
    assert not pairs.truth(1).any()
