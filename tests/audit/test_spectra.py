"""Reduced copies, the band they are searched by, and registration: distances are those of the shifted spectra."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plexus.audit import Fingerprints, fingerprint, near_duplicates
from tests.audit.speckle import scene, view

U8 = NDArray[np.uint8]
BOX = np.array([2.0, 2.0])  # pixels of a view in a box of its copy
WINDOW = np.outer(*[np.minimum(1, 2 * np.hanning(n + 2)[1:-1]) for n in (72, 96)])
U, V = np.fft.fftfreq(72)[:, None] * 72, np.fft.fftfreq(96)[None] * 96


def reduced(pixels: U8) -> U8:
    copy: U8 = fingerprint([pixels]).rows[0]
    return copy


def spectrum(copy: U8) -> NDArray[np.complex128]:
    """The whole spectrum of a windowed copy, by numpy."""
    centred = (copy - (copy * WINDOW).sum() / WINDOW.sum()) * WINDOW
    return np.fft.fft2(centred)


def band(low: float, high: float) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (np.hypot(U, V) >= low) & (np.hypot(U, V) <= high)
    return inside


def everything(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(n, 1)


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
    copy = reduced(np.full(size, 9, np.uint8))
    assert copy.shape == (72, 96)
    assert (copy == 9).all()


def test_colour_counts_by_its_luminance() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (144, 192, 3), dtype=np.uint8)
    np.testing.assert_array_equal(reduced(colour), reduced(np.asarray(Image.fromarray(colour).convert("L"))))


def test_vectors_correlate_as_images_do_in_their_band() -> None:
    prints = fingerprint([view(scene(0)), view(scene(0), 1, 1), view(scene(1))])
    filtered = [np.fft.ifft2(spectrum(copy.astype(float)) * band(3, 10)).real.ravel() for copy in prints.rows]
    # the column v = 0 is counted once of its two halves, as half of the others: weights differ there by a factor of 2
    np.testing.assert_allclose(np.linalg.norm(prints.vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(prints.vectors @ prints.vectors.T, np.corrcoef(filtered), atol=1e-4)


def test_vectors_are_the_spectrum_of_the_windowed_copy() -> None:
    prints = fingerprint(list(np.random.default_rng(0).integers(0, 256, (3, 72, 96), dtype=np.uint8)))
    once = band(3, 10) & (V >= 0) & ~((V == 0) & (U < 0))  # each of the pairs F(u, v), F(-u, -v) once
    for copy, vector in zip(prints.rows.astype(float), prints.vectors, strict=True):
        expected = spectrum(copy)[once]
        expected /= np.linalg.norm(expected)
        half = len(vector) // 2
        one, two = (np.sort_complex(v.round(4)) for v in (vector[:half] + 1j * vector[half:], expected))
        np.testing.assert_allclose(one, two, atol=2e-4)


def test_gain_and_offset_change_nothing() -> None:
    copy = np.random.default_rng(0).integers(20, 100, (72, 96), dtype=np.uint8)
    plain, brighter = fingerprint([copy, 2 * copy + 7]).vectors
    np.testing.assert_allclose(plain, brighter, atol=1e-4)


def test_a_flat_copy_is_zero_and_not_noise() -> None:
    flat = [np.full((720, 960), 77, np.uint8), np.full((720, 960), 77, np.uint8)]
    flat[1][::2, ::2] += 1  # not constant, and nothing of it is left in the copy
    prints = fingerprint(flat)
    assert prints.usable.tolist() == [False, True]
    assert not prints.vectors.any()
    distance, _ = fingerprint([*flat, view(scene(0))]).compare(np.array([0, 1]), np.array([1, 2]))
    assert distance.tolist() == [1, 1]  # from everything, themselves included


def test_no_images_and_no_pairs() -> None:
    prints = fingerprint([])
    assert prints.vectors.shape == (0, 292)
    assert len(near_duplicates(prints)) == 0
    none = np.zeros(0, np.int64)
    distance, shift = fingerprint([view(scene(0))]).compare(none, none)
    assert shift is not None
    assert (distance.shape, shift.shape) == ((0,), (0, 2))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (0, -1), (2, 3), (-4, 4), (-3, 1)])
def test_registration_finds_the_shift_and_little_else(down: int, right: int) -> None:
    prints = fingerprint([view(scene(3)), view(scene(3), down, right)])
    distance, shift = prints.compare(np.array([0]), np.array([1]))
    assert shift is not None
    # the second view begins further down, so that what it shows lies further up
    np.testing.assert_allclose(shift[0], [-down, -right], atol=0.5)
    assert distance[0] < 0.12


def test_the_distance_is_one_minus_the_correlation_at_the_shift_found() -> None:
    prints = fingerprint([view(scene(4)), view(scene(4), 1, 2), view(scene(5))])
    a, b = everything(3)
    distance, pixels = prints.compare(a, b)
    assert pixels is not None
    once = band(4, 20) & (V >= 0) & ~((V == 0) & (U < 0))
    unit = [spectrum(copy)[once] for copy in prints.rows.astype(float)]
    unit = [spectrum / np.linalg.norm(spectrum) for spectrum in unit]

    def at(p: int, down: float, right: float) -> float:
        turn = np.exp(-2j * np.pi * (U * down / 72 + V * right / 96))[once]
        return float(1 - (unit[a[p]] * unit[b[p]].conj() * turn).sum().real)

    for p, shift in enumerate(pixels / BOX):
        expected = at(p, *shift)
        assert distance[p] == pytest.approx(expected, abs=1e-5)
        for down in np.linspace(-2.5, 2.5, 21):  # no other shift is much better
            for right in np.linspace(-2.5, 2.5, 21):
                assert at(p, down, right) > expected - 0.02


def test_the_order_of_pairs_does_not_matter() -> None:
    prints: Fingerprints = fingerprint(list(np.random.default_rng(0).integers(0, 256, (12, 72, 96), dtype=np.uint8)))
    a, b = everything(12)
    forth, there = prints.compare(a, b)
    back, again = prints.compare(b[::-1], a[::-1])
    assert there is not None
    assert again is not None
    np.testing.assert_allclose(forth, back[::-1], atol=1e-5)
    best = forth < 0.9  # where the peak is sharp
    np.testing.assert_allclose(there[best], -again[::-1][best], atol=1e-2)


def test_many_pairs_of_many_images_are_compared_in_parts() -> None:
    """More images and pairs than one part of the registration holds: every pair as if it were alone."""
    copies = np.random.default_rng(0).integers(0, 256, (4200, 72, 96), dtype=np.uint8)
    n = len(copies)
    nothing = np.zeros(n, np.int64)
    prints = Fingerprints(
        "thumbnail", tuple(map(str, range(n))), copies, np.zeros((n, 32), np.uint8), nothing,
        np.full((n, 2), (72, 96)), np.ones(n, bool),
    )  # fmt: skip
    a, b = np.arange(n - 1), np.arange(1, n)
    distance, _ = prints.compare(a, b)
    for p in (0, 1023, 1024, 2047, 2048, n - 2):
        assert distance[p] == pytest.approx(prints.compare(a[p : p + 1], b[p : p + 1])[0][0], abs=1e-6)
