"""Bootstrap intervals: their groups, their width, and that they hold the truth as often as they say."""

import math

import numpy as np
import pytest

from plexus.metrics import bootstrap, paired_bootstrap


def test_of_two_groups_the_draws_are_known() -> None:
    found = bootstrap([0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"])
    assert (found.mean, found.low, found.high, found.n) == (0.75, 0.0, 1.0, 4)  # aa and bb each have chance 1/4


def test_its_width_is_that_of_the_mean() -> None:
    x = np.random.default_rng(1).normal(5, 2, 400)
    found = bootstrap(x, resamples=4000)
    half = 1.96 * x.std() / math.sqrt(len(x))
    assert found.mean == pytest.approx(x.mean())
    assert (found.mean - found.low, found.high - found.mean) == pytest.approx((half, half), rel=0.06)


def test_copies_in_one_group_add_no_certainty() -> None:
    x = np.random.default_rng(2).normal(size=30)
    once, copied = bootstrap(x, seed=3), bootstrap(np.repeat(x, 20), np.repeat(np.arange(30), 20), seed=3)
    assert (copied.mean, copied.low, copied.high) == pytest.approx((once.mean, once.low, once.high))
    assert (once.n, copied.n) == (30, 600)
    alone = bootstrap(np.repeat(x, 20), seed=3)
    assert alone.high - alone.low < 0.4 * (copied.high - copied.low)


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(300):
        patient = rng.normal(size=40)
        x = np.repeat(patient, 5) + rng.normal(0, 0.5, 200)
        found = bootstrap(x, np.repeat(np.arange(40), 5), resamples=400)
        held += found.low <= 0 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_images_without_a_group_stand_alone() -> None:
    x = np.random.default_rng(5).normal(size=20)
    assert bootstrap(x, [None] * 20) == bootstrap(x) == bootstrap(x, np.arange(20))


def test_nan_is_left_out_and_counted() -> None:
    assert bootstrap([1.0, math.nan, 3.0, 5.0], ["a", "b", "c", "a"]) == bootstrap([1.0, 3.0, 5.0], ["a", "c", "a"])
    nothing = bootstrap([math.nan])
    assert nothing.n == 0
    assert math.isnan(nothing.mean)


def test_one_group_gives_no_interval() -> None:
    found = bootstrap([1.0, 2.0], ["a", "a"])
    assert (found.mean, found.n) == (1.5, 2)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_seed_repeats_and_another_differs() -> None:
    x = np.random.default_rng(6).normal(size=50)
    assert bootstrap(x, seed=1) == bootstrap(x, seed=1)
    assert bootstrap(x, seed=1).low != bootstrap(x, seed=2).low


def test_many_groups_are_drawn_in_pieces() -> None:
    x = np.random.default_rng(7).normal(size=3000)
    found = bootstrap(x, resamples=1500)  # counts of all draws at once would not fit one piece
    half = 1.96 * x.std() / math.sqrt(3000)
    assert (found.mean - found.low, found.high - found.mean) == pytest.approx((half, half), rel=0.1)


def test_pairs_share_what_makes_images_hard() -> None:
    rng = np.random.default_rng(8)
    hard = rng.normal(size=100)
    a, b = hard + 0.1, hard + rng.normal(0, 0.01, 100)
    found = paired_bootstrap(a, b)
    assert found == bootstrap(a - b)
    assert found.low > 0.09


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one group each"):
        bootstrap([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="one shape"):
        paired_bootstrap([1.0], [1.0, 2.0])
