"""Counts and pairs of double squares, against brute force and the notes' loop."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.essays import EssayError
from plexus.essays.squares import LARGEST, count, count_file, factors, is_prime, pairs, parse

SAMPLE = (
    1105, 65, 2147483646, 1257431873, 25, 1000582589, 1148284322, 5525, 0, 1475149141, 858320077, 1022907856,
    1041493518, 3, 1215306625, 372654318, 160225, 5928325, 2147483643, 1538292481,
)  # fmt: skip


def loop(n: int) -> int:
    """The notes' loop, corrected: x stops where it meets y."""
    x = np.arange(math.isqrt(n // 2) + 1)
    rest = n - x * x
    return int((np.round(np.sqrt(rest)).astype(int) ** 2 == rest).sum())


def as_printed(n: int) -> int:
    """The notes' loop: one or two steps too many."""
    found = 0
    for x in range(math.ceil(math.sqrt(n / 2)) + 2):
        y = n - x * x
        found += y >= 0 and math.isqrt(y) ** 2 == y
    return found


def test_every_n_up_to_100_000_is_counted_and_split_right() -> None:
    expected = np.zeros(100_001, int)
    for x in range(317):
        sums = x * x + np.arange(x, 317) ** 2
        np.add.at(expected, sums[sums <= 100_000], 1)
    assert [count(n) for n in range(100_001)] == expected.tolist()
    for n in np.flatnonzero(expected).tolist():
        found = pairs(n)
        assert len(set(found)) == len(found) == expected[n]
        assert found == sorted(found)
        assert all(0 <= x <= y and x * x + y * y == n for x, y in found)


@pytest.mark.parametrize("n", SAMPLE)
def test_the_sample_agrees_with_the_corrected_loop(n: int) -> None:
    assert count(n) == len(pairs(n)) == loop(n)


def test_the_loop_as_printed_counts_mirror_images() -> None:
    assert (as_printed(25), count(25)) == (4, 2)


@given(st.integers(0, LARGEST))
def test_pairs_are_as_many_as_counted(n: int) -> None:
    found = pairs(n)
    assert len(set(found)) == count(n)
    assert all(0 <= x <= y and x * x + y * y == n for x, y in found)


@given(st.integers(0, 2_000_000_000), st.integers(0, 2_000_000_000))
def test_a_sum_of_two_squares_has_its_pair(x: int, y: int) -> None:
    assert (min(x, y), max(x, y)) in pairs(x * x + y * y)


@given(st.integers(1, 2**31 - 1))
def test_the_corrected_loop_agrees(n: int) -> None:
    assert count(n) == loop(n)


@given(st.integers(1, LARGEST))
def test_factors_are_prime_and_multiply_to_n(n: int) -> None:
    found = list(factors(n))
    assert math.prod(p**e for p, e in found) == n
    assert len({p for p, _ in found}) == len(found)
    assert all(is_prime(p) for p, _ in found)


def test_primes_are_those_of_the_sieve() -> None:
    sieve = [n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1)) for n in range(20_000)]
    assert [is_prime(n) for n in range(20_000)] == sieve


@pytest.mark.parametrize(
    ("n", "found"),
    [
        (2_147_483_629 * 2_147_483_587, {2_147_483_629: 1, 2_147_483_587: 1}),
        (3_037_000_493**2, {3_037_000_493: 2}),
        (1009**6, {1009: 6}),
        (1_048_573**3, {1_048_573: 3}),
        (2**62, {2: 62}),
    ],
)
def test_hard_products_are_taken_apart(n: int, found: dict[int, int]) -> None:
    assert dict(factors(n)) == found


@pytest.mark.parametrize("n", [3215031751, 3825123056546413051, 341550071728321, 3474749660383])
def test_strong_pseudoprimes_are_composite(n: int) -> None:
    assert not is_prime(n)


@pytest.mark.parametrize("n", [-1, 2**63, 2.0, "5", None])
def test_what_is_no_such_number_is_refused(n: object) -> None:
    for function in (count, pairs):
        with pytest.raises(EssayError, match=r"from 0 to 9223372036854775807"):
            function(n)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["1.5", "", "x", "1e3", "-1", "٣", "1_0", "9223372036854775808", "9" * 5000, "--1"])
def test_words_that_are_no_such_number_are_refused(word: str) -> None:
    with pytest.raises(EssayError) as caught:
        parse(word)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150


def test_a_file_is_counted_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(map(str, (len(SAMPLE), *SAMPLE)))
    (tmp_path / "in.txt").write_text(text)
    expected = [(n, loop(n)) for n in SAMPLE]
    assert count_file(tmp_path / "in.txt") == expected
    monkeypatch.setattr("sys.stdin", io.StringIO(text.replace(" ", "\n")))
    assert count_file("-") == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"2\n5", "says 2 numbers, and 1 follow"),
        (b"1\n5 5", "says 1 numbers, and 2 follow"),
        (b"1\nfive", "'five' is not an integer"),
        (b"1\n-5", "'?-5'? is out of range"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_a_file_that_is_not_in_the_format_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "in.txt").write_bytes(content)
    with pytest.raises(EssayError, match=words):
        count_file(tmp_path / "in.txt")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EssayError, match="nowhere: cannot be read"):
        count_file(tmp_path / "nowhere")
