"""Presence: the area under the curve is the share of pairs in the right order."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plexus.metrics import presence, roc

ANSWERS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), st.booleans()), min_size=1, max_size=25)


@given(ANSWERS)
def test_it_counts_pairs_and_errors(answers: list[tuple[float, bool]]) -> None:
    score, there = np.array([s for s, _ in answers]), np.array([t for _, t in answers])
    found = presence(score, there)
    yes, no = score[there].tolist(), score[~there].tolist()
    assert (found.positives, found.negatives) == (len(yes), len(no))
    assert found.false_positives == sum(s >= 0.5 for s in no)
    assert found.false_negatives == sum(s < 0.5 for s in yes)
    wrong = found.false_positives + found.false_negatives
    assert found.accuracy == pytest.approx(1 - wrong / len(answers))
    if yes and no:
        pairs = sum((p > q) + 0.5 * (p == q) for p in yes for q in no)
        assert found.auc == pytest.approx(pairs / len(yes) / len(no))
    else:
        assert math.isnan(found.auc)


@given(ANSWERS)
def test_the_area_under_the_curve_is_the_auc(answers: list[tuple[float, bool]]) -> None:
    score, there = np.array([s for s, _ in answers]), np.array([t for _, t in answers])
    assume(there.any() and not there.all())
    false, true = roc(score, there)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true, false) == pytest.approx(presence(score, there).auc)
    for cut, x, y in zip(sorted(set(score.tolist()), reverse=True), false[1:], true[1:], strict=True):
        assert x == pytest.approx((score[~there] >= cut).mean())
        assert y == pytest.approx((score[there] >= cut).mean())


@pytest.mark.parametrize(
    ("score", "there", "message"),
    [
        ([], np.zeros(0, bool), "1 or more"),
        ([0.5], [1], "truth must be bool"),
        ([math.nan], [True], "NaN"),
        ([0.1, 0.2], [True], "must both be"),
    ],
)
def test_wrong_answers_are_refused(score: list[float], there: list[bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        presence(score, there)


def test_a_curve_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="both present and absent"):
        roc([0.1, 0.2], [True, True])
