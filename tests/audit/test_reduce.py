"""Reduced copies and what is compared of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from plexus.audit._reduce import LOW, MIDDLE, band, reduced, spectra, vectors
from tests.audit.speckle import scene, view


@pytest.mark.parametrize(("high", "wide"), [(432, 576), (420, 580), (72, 96), (150, 1000)])
def test_a_copy_holds_what_lies_at_the_middles_of_its_boxes(high: int, wide: int) -> None:
    y, x = np.mgrid[:high, :wide] + 0.5
    pixels = np.rint(20 + 150 * y / high + 60 * x / wide).astype(np.uint8)
    rows, columns = (np.arange(72) + 0.5) / 72, (np.arange(96) + 0.5) / 96
    expected = 20 + 150 * rows[:, None] + 60 * columns
    assert np.abs(reduced(pixels) - expected)[2:-2, 2:-2].max() <= 1.6  # rounded three times


def test_fine_noise_is_averaged_away() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (432, 576), dtype=np.uint8)
    assert reduced(pixels).std() < 1.5 * pixels.std() / 6  # no aliasing: as good as the mean of 36 pixels


@pytest.mark.parametrize("size", [(420, 580), (72, 96), (32, 32), (8, 2000), (1, 1)])
def test_every_size_has_a_copy(size: tuple[int, int]) -> None:
    pixels = np.full(size, 9, np.uint8)
    assert reduced(pixels).shape == (72, 96)
    assert (reduced(pixels) == 9).all()


def test_colour_counts_by_its_luminance() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (144, 192, 3), dtype=np.uint8)
    np.testing.assert_array_equal(reduced(colour), reduced(np.asarray(Image.fromarray(colour).convert("L"))))


def test_spectra_are_those_of_the_windowed_copy() -> None:
    copies = np.random.default_rng(0).integers(0, 256, (3, 72, 96), dtype=np.uint8)
    side = [np.minimum(1, 2 * np.hanning(n + 2)[1:-1]) for n in (72, 96)]
    window = np.outer(*side)
    for copy, found in zip(copies.astype(float), spectra(copies), strict=True):
        centred = (copy - (copy * window).sum() / window.sum()) * window
        whole = np.fft.fft2(centred)
        expected = whole[np.arange(-20, 21)][:, np.arange(21)]
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(whole).max())


def test_vectors_correlate_as_images_do_in_their_band() -> None:
    copies = np.stack([reduced(view(scene(0))), reduced(view(scene(0), 1, 1)), reduced(view(scene(1)))])
    filtered = []
    u = np.fft.fftfreq(72)[:, None] * 72
    v = np.fft.fftfreq(96)[None] * 96
    inside = (np.hypot(u, v) >= LOW) & (np.hypot(u, v) <= MIDDLE)
    window = np.outer(*[np.minimum(1, 2 * np.hanning(n + 2)[1:-1]) for n in (72, 96)])
    for copy in copies.astype(float):
        centred = (copy - (copy * window).sum() / window.sum()) * window
        filtered.append(np.fft.ifft2(np.fft.fft2(centred) * inside).real.ravel())
    # the column v = 0 is counted once of its two halves, as half of the others: weights differ there by a factor of 2
    found = vectors(copies)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found @ found.T, np.corrcoef(filtered), atol=1e-4)


def test_gain_and_offset_change_nothing() -> None:
    copy = np.random.default_rng(0).integers(20, 100, (1, 72, 96), dtype=np.uint8)
    np.testing.assert_allclose(vectors(copy), vectors(2 * copy + 7), atol=1e-4)


def test_a_flat_copy_is_zero_and_not_noise() -> None:
    assert not vectors(np.full((2, 72, 96), 77, np.uint8)).any()
    assert not band(spectra(np.zeros((1, 72, 96), np.uint8)), 3, 20).any()


def test_no_copies_give_no_vectors() -> None:
    assert vectors(np.zeros((0, 72, 96), np.uint8)).shape == (0, 292)
