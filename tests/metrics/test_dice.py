"""Dice says exactly what its definition says, against a count pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plexus.metrics import dice, dice_summary

MASKS = arrays(np.bool_, (2, 3, 4, 5))


@given(MASKS, st.sampled_from([1.0, 0.0, math.nan]))
def test_it_is_twice_the_common_pixels_over_all(both: np.ndarray, empty: float) -> None:
    a, b = both
    expected = []
    for x, y in zip(a, b, strict=True):
        p, q = ({tuple(at) for at in np.argwhere(mask)} for mask in (x, y))
        expected.append(2 * len(p & q) / (len(p) + len(q)) if p or q else empty)
    np.testing.assert_allclose(dice(a, b, empty=empty), expected, rtol=1e-15)
    np.testing.assert_array_equal(dice(a, b), dice(b, a))


def test_all_empty_and_all_truth_score_what_the_definition_says() -> None:
    truth = np.zeros((5, 6, 6), bool)
    truth[:2, 2:4, 2:4] = True
    nothing, everything = dice_summary(np.zeros_like(truth), truth), dice_summary(truth, truth)
    assert (nothing.mean, nothing.present, nothing.nan_skipped) == (3 / 5, 0, 0)
    assert (everything.mean, everything.present, everything.nan_skipped) == (1, 1, 1)
    false_alarms = dice_summary(np.ones_like(truth), truth)
    present = 2 * 4 / (36 + 4)
    assert false_alarms.mean == pytest.approx(2 * present / 5)
    assert (false_alarms.present, false_alarms.nan_skipped) == pytest.approx((present, 2 * present / 5))


def test_with_nothing_present_two_of_the_means_are_nan() -> None:
    summary = dice_summary(np.zeros((2, 3, 3), bool), np.zeros((2, 3, 3), bool))
    assert summary.mean == 1
    assert math.isnan(summary.present)
    assert math.isnan(summary.nan_skipped)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2), bool), "prediction must be bool, got float64"),
        (np.zeros((2, 2), bool), np.zeros((2, 2), bool), r"prediction must be \(N, H, W\)"),
        (np.zeros((1, 2, 2), bool), np.zeros((1, 2, 3), bool), "must have one shape"),
    ],
)
def test_wrong_masks_are_refused(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dice(a, b)
