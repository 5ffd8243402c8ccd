"""Registration finds the shift, and the distance is that of the shifted spectra."""

from __future__ import annotations

import numpy as np
import pytest

from plexus.audit._reduce import HIGH, REGISTERED, band, frequencies, reduced, spectra
from plexus.audit._register import register
from tests.audit.speckle import scene, view

BOX = np.array([2.0, 2.0])  # pixels in a box of the copy


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (0, -1), (2, 3), (-4, 4), (-3, 1)])
def test_it_finds_the_shift_and_little_else(down: int, right: int) -> None:
    copies = np.stack([reduced(view(scene(3))), reduced(view(scene(3), down, right))])
    distance, shift = register(copies, np.array([0]), np.array([1]))
    # the second view begins further down, so that what it shows lies further up
    np.testing.assert_allclose(shift[0] * BOX, [-down, -right], atol=0.5)
    assert distance[0] < 0.12


def test_the_distance_is_one_minus_the_correlation_at_the_shift_found() -> None:
    copies = np.stack([reduced(view(scene(4))), reduced(view(scene(4), 1, 2)), reduced(view(scene(5)))])
    a, b = np.array([0, 0, 1]), np.array([1, 2, 2])
    distance, shift = register(copies, a, b)
    unit = band(spectra(copies), REGISTERED, HIGH).astype(complex)
    u, v = (f.astype(float) for f in frequencies())
    radius = np.hypot(u[:, None], v[None])
    inside = (radius >= REGISTERED) & (radius <= HIGH) & ~((v[None] == 0) & (u[:, None] < 0))
    for p in range(3):
        turn = np.exp(-2j * np.pi * (u[:, None] * shift[p, 0] / 72 + v[None] * shift[p, 1] / 96))[inside]
        expected = 1 - (unit[a[p]] * unit[b[p]].conj() * turn).sum().real
        assert distance[p] == pytest.approx(expected, abs=1e-5)
        for dy in np.linspace(-2.5, 2.5, 21):  # no other shift is much better
            for dx in np.linspace(-2.5, 2.5, 21):
                other = np.exp(-2j * np.pi * (u[:, None] * dy / 72 + v[None] * dx / 96))[inside]
                assert 1 - (unit[a[p]] * unit[b[p]].conj() * other).sum().real > expected - 0.02


def test_order_and_batches_do_not_matter() -> None:
    copies = np.random.default_rng(0).integers(0, 256, (12, 72, 96), dtype=np.uint8)
    a, b = np.triu_indices(12, 1)
    whole, there = register(copies, a, b)
    back, again = register(copies, b[::-1], a[::-1], batch=2)
    np.testing.assert_allclose(whole, back[::-1], atol=1e-5)
    best = whole < 0.9  # where the peak is sharp
    np.testing.assert_allclose(there[best], -again[::-1][best], atol=1e-2)


def test_flat_copies_are_far_from_everything() -> None:
    copies = np.stack([np.full((72, 96), 5, np.uint8), reduced(view(scene(0)))])
    distance, _ = register(copies, np.array([0, 0]), np.array([0, 1]))
    assert distance.tolist() == [1, 1]


def test_no_pairs() -> None:
    distance, shift = register(np.zeros((2, 72, 96), np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert distance.shape == (0,)
    assert shift.shape == (0, 2)
