"""The threshold that unrelated pairs undercut at a stated rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits

from plexus.audit import estimate_threshold, fingerprint, near_duplicates, tail
from tests.audit.speckle import scene, view

WIDEST = 0.6


@pytest.mark.parametrize("rate", [1e-3, 1e-4, 1e-6])
def test_an_exponential_tail_gives_its_own_quantile(rate: float) -> None:
    z = np.quantile(np.random.default_rng(0).exponential(0.07, 200_000), np.linspace(0, 1, 20_001))
    expected = 1 - math.tanh(0.07 * math.log(1 / rate))
    assert np.arctanh(1 - estimate_threshold(1 - np.tanh(z), rate)) == pytest.approx(np.arctanh(1 - expected), rel=0.05)


def test_duplicates_among_the_pairs_hardly_move_it() -> None:
    far = 1 - np.tanh(np.random.default_rng(0).normal(0.05, 0.08, 10_000))
    alone = estimate_threshold(far, 1e-6)
    mixed = estimate_threshold(np.concatenate([far, np.full(200, 0.02)]), 1e-6)
    assert mixed == pytest.approx(alone, abs=0.01)


def test_a_smaller_rate_is_stricter() -> None:
    far = 1 - np.tanh(np.random.default_rng(0).normal(0.1, 0.1, 5000))
    found = [estimate_threshold(far, rate) for rate in (1e-3, 1e-4, 1e-5, 1e-6)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4


def test_it_is_never_wider_than_what_is_half_alike() -> None:
    assert estimate_threshold(1 - np.random.default_rng(0).normal(0, 1e-3, 1000), 1e-6) == WIDEST


def test_few_pairs_tell_nothing() -> None:
    assert estimate_threshold(np.linspace(0.5, 1, 199), 1e-6) == 0.35
    assert estimate_threshold(np.linspace(0.5, 1, 199), 1e-6, default=0.008) == 0.008
    assert estimate_threshold(np.linspace(0.5, 1, 200), 1e-6) != 0.35


@pytest.mark.parametrize("share", [0.12, 0.25, 0.4])
def test_many_alike_among_the_random_pairs_are_no_yardstick(share: float) -> None:
    far = 1 - np.tanh(np.random.default_rng(0).normal(0.05, 0.08, 6000))
    near = np.random.default_rng(1).uniform(0, 0.1, int(6000 * share / (1 - share)))
    assert estimate_threshold(np.concatenate([far, near])) == pytest.approx(estimate_threshold(far), abs=0.02)


def test_a_histogram_holds_every_pair() -> None:
    near = near_duplicates(fingerprint([view(scene(i)) for i in range(24)] + [view(scene(3), 1, 1)]))
    shown = near.calibration
    assert len(shown.edges) == len(shown.unrelated) + 1 == len(shown.candidates) + 1
    assert shown.edges[0] == 0
    assert shown.edges[-1] >= near.threshold
    assert sum(shown.unrelated) == 25 * 24 // 2  # all pairs of so few images are drawn
    assert sum(shown.candidates) >= len(near) == 1


def test_the_tail_of_chance_is_the_law_it_was_drawn_from() -> None:
    z = np.random.default_rng(0).exponential(0.1, 20_000)
    chance = tail(np.tanh(z), scale=5)
    assert chance is not None
    for score in (0.4, 0.5, 0.7):
        assert math.log(chance.expected(np.array([score]))[0]) == pytest.approx(
            math.log(100_000) - math.atanh(score) / 0.1, abs=0.35
        )
    assert chance.expected(np.array([chance.score(1.0)]))[0] == pytest.approx(1)


def test_copies_among_mirror_images_do_not_move_the_tail() -> None:
    z = np.random.default_rng(0).exponential(0.1, 20_000)
    alone, mixed = tail(np.tanh(z), 1), tail(np.concatenate([np.tanh(z), np.full(2000, 0.97)]), 1)
    assert alone is not None
    assert mixed is not None
    assert mixed.score(1.0) == pytest.approx(alone.score(1.0), abs=0.03)


def test_digits_that_resemble_each_other_are_not_sure_in_small_sets() -> None:
    digits = (load_digits().images * 15).astype(np.uint8)
    random = np.random.default_rng(0)
    for n in (40, 100):
        near = near_duplicates(fingerprint([digits[i] for i in random.permutation(len(digits))[:n]]))
        assert len(near) > (5 if n == 40 else 2)  # some are listed
        assert near.sure.sum() <= 2
        assert (near.expected[~near.sure] > 1).all()


@pytest.mark.parametrize("n", [12, 60])
def test_copies_are_sure_in_small_sets_of_other_scenes(n: int) -> None:
    images = [view(scene(i)) for i in range(n)]
    copies = [images[0][:, ::-1], view(scene(1), 2, 1), np.clip(images[2].astype(int) + 12, 0, 255).astype(np.uint8)]
    near = near_duplicates(fingerprint([*images, *copies]))
    found = zip(near.a.tolist(), near.b.tolist(), near.kinds, strict=True)
    assert sorted(found) == [(0, n, "mirrored"), (1, n + 1, "same"), (2, n + 2, "same")]
    assert near.sure.all()


def test_few_scores_have_no_tail() -> None:
    assert tail(np.linspace(0, 0.5, 199), 1) is None
