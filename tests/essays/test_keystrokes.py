"""Fingers from keystrokes: the order probabilities are exact, and the assignment is found."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammainc, gammaincc, gammaln
from scipy.stats import beta

from plexus.essays import EssayError
from plexus.essays.keystrokes import FINGERS, SAMPLE, infer, infer_two, power, shares

Counts = st.lists(st.integers(0, 300), min_size=2, max_size=4)


def orders(counts: Sequence[int]) -> dict[tuple[int, ...], float]:
    """The posterior of each order of keys by length, where all are equally likely before."""
    keys = "fghj"[: len(counts)]
    hand = infer("".join(k * n for k, n in zip(keys, counts, strict=True)), keys, prior="any")
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for way, posterior in hand.ranking:
        found[tuple(sorted(range(len(keys)), key=lambda i: FINGERS.index(way[keys[i]])))] += posterior
    return found


@given(st.integers(0, 500), st.integers(1, 500))
def test_two_keys_are_a_beta_tail(a: int, b: int) -> None:
    assert math.log(orders((a, b))[0, 1]) == pytest.approx(beta.logsf(0.5, a + 1, b + 1), abs=7e-3, rel=2e-3)


@given(st.tuples(*[st.integers(0, 40)] * 3).filter(any))
def test_three_keys_are_an_integral_over_the_middle_one(counts: tuple[int, int, int]) -> None:
    """P(G_a >= G_b >= G_c), over what the one between is, of gamma tails from SciPy; by Gauss's quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    x, known = 60 * (nodes + 1), orders(counts)
    for order in permutations(range(3)):
        a, b, c = (counts[i] + 1 for i in order)
        density = np.exp((b - 1) * np.log(x) - x - gammaln(b))
        expected = 60 * weights @ (density * gammaincc(a, x) * gammainc(c, x))
        assert known[order] == pytest.approx(expected, abs=3e-3)


def test_four_keys_are_the_share_of_ordered_draws() -> None:
    draws = np.random.default_rng(0).dirichlet([8, 6, 5, 3], size=400_000)
    ordered = (np.diff(draws, axis=1) <= 0).all(axis=1).mean()
    found = orders((7, 5, 4, 2))
    assert len(found) == 24
    assert found[0, 1, 2, 3] == pytest.approx(ordered, abs=4 * math.sqrt(0.25 / 400_000))


def test_the_notes_sample_without_crossed_fingers() -> None:
    hand = infer(SAMPLE)
    assert hand.counts == {"g": 34, "h": 33, "j": 22, "k": 2}
    assert hand.ranking[0][0] == {"h": "middle", "j": "ring", "g": "index", "k": "little"}
    assert hand.ranking[0][1] > 0.999
    expected = sum((n - 22.75) ** 2 / 22.75 for n in (34, 33, 22, 2))
    assert hand.chi_square == pytest.approx(expected)
    assert hand.p_value < 1e-5


def test_by_counts_alone_the_notes_sample_ranks_g_first() -> None:
    ranking = infer(SAMPLE, prior="any").ranking
    assert len(ranking) == 24
    assert ranking[0][0] == {"g": "middle", "h": "ring", "j": "index", "k": "little"}
    notes = [p for way, p in ranking if way == {"h": "middle", "j": "ring", "g": "index", "k": "little"}]
    assert notes[0] == pytest.approx(0.0376, abs=0.002)


@given(Counts.filter(lambda c: sum(c) > 0), st.sampled_from(["row", "any"]))
def test_the_posterior_is_one_and_falls(counts: list[int], prior: str) -> None:
    keys = "fghj"[: len(counts)]
    hand = infer("".join(k * n for k, n in zip(keys, counts, strict=True)), keys, prior=prior)  # type: ignore[arg-type]
    posteriors = [p for _, p in hand.ranking]
    assert sum(posteriors) == pytest.approx(1)
    assert posteriors == sorted(posteriors, reverse=True)
    assert all(len(set(way.values())) == len(counts) for way, _ in hand.ranking)


@given(st.permutations([200, 120, 70, 20]))
def test_the_fingers_follow_the_counts(counts: list[int]) -> None:
    hand = infer("".join(k * n for k, n in zip("fghj", counts, strict=True)), "fghj", prior="any")
    by_count = sorted(hand.counts, key=hand.counts.__getitem__, reverse=True)
    assert [hand.ranking[0][0][key] for key in by_count] == ["middle", "ring", "index", "little"]


def test_a_left_hand_is_told_from_a_right_one() -> None:
    left = infer("a" * 5 + "s" * 30 + "d" * 40 + "f" * 20)
    assert left.ranking[0][0] == {"a": "little", "s": "ring", "d": "middle", "f": "index"}


def test_two_hands_are_judged_apart() -> None:
    text = "a" * 3 + "s" * 9 + "d" * 12 + "f" * 8 + "j" * 80 + "k" * 120 + "l" * 90 + ";" * 30
    left, right = infer_two(text, "asdf", "jkl;")
    assert left == infer(text[:32], "asdf")
    assert right == infer(text[32:], "jkl;")


def test_blanks_and_capitals_do_not_count() -> None:
    assert infer("G h\n\tGH g", "gh") == infer("ghghg", "gh")


def test_very_many_keystrokes_are_no_trouble() -> None:
    hand = infer("g" * 200_000 + "h" * 10 + "jk", prior="any")
    assert hand.ranking[0][0]["g"] == "middle"
    assert sum(p for _, p in hand.ranking) == pytest.approx(1)


def test_shares_fall_with_the_fingers_length() -> None:
    hand = infer(SAMPLE)
    found = dict(zip("ghjk", shares(hand), strict=True))
    assert sum(found.values()) == pytest.approx(1)
    assert found["h"] >= found["j"] >= found["g"] >= found["k"] > 0


def test_more_keystrokes_say_more_and_are_seldom_wrong() -> None:
    curve = power([0.24, 0.37, 0.32, 0.07], keystrokes=[5, 100, 1000], simulations=60)
    assert curve[0].right < 0.3 < 0.8 < curve[1].right <= curve[2].right == 1
    assert all(point.wrong < 0.1 for point in curve)
    assert curve == power([0.24, 0.37, 0.32, 0.07], keystrokes=[5, 100, 1000], simulations=60)


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("", None, "empty"),
        (" \n", None, "empty"),
        ("ggg", None, "one distinct key, 'g'"),
        ("asdfg", None, "two to four keys"),
        ("gé", None, "where is 'é' on the keyboard"),
        ("ghx", "gh", "'x', which is none of the keys"),
        ("gh", "ggh", "name a key twice"),
        ("gh", "g", "two to four keys"),
    ],
)
def test_texts_that_say_nothing_are_refused(text: str, keys: str | None, words: str) -> None:
    with pytest.raises(EssayError, match=words) as caught:
        infer(text, keys)
    assert "\n" not in str(caught.value)


def test_other_bad_input_is_refused() -> None:
    with pytest.raises(EssayError, match="under both hands"):
        infer_two("asdf", "as", "sd")
    with pytest.raises(EssayError, match="none of the keys"):
        infer_two("asdfx", "as", "df")
    with pytest.raises(EssayError, match="prior must be row or any"):
        infer("gh", prior="none")  # type: ignore[arg-type]
    for bad in ([1.0], [1, -1], [math.nan, 1], [0, 0]):
        with pytest.raises(EssayError, match="shares must be"):
            power(bad)
    with pytest.raises(EssayError, match="no assignment fits"):
        power([0.4, 0.1, 0.2, 0.3])
    with pytest.raises(EssayError, match="several assignments fit"):
        power([0.5, 0.5])
    with pytest.raises(EssayError, match="posterior must be"):
        power([0.6, 0.4], posterior=1)
    with pytest.raises(EssayError, match="simulations go from"):
        power([0.6, 0.4], simulations=0)
