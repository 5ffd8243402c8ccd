"""Run lengths: column-major, counted from 1, back and forth without loss."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from plexus.errors import DataError
from plexus.segment.rle import decode, encode

MASKS = array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(lambda shape: arrays(np.bool_, shape))


def by_hand(mask: np.ndarray) -> str:
    """Walk down the columns, pixel by pixel."""
    runs: list[list[int]] = []
    before = False
    for number, inside in enumerate((x for column in mask.T for x in column), 1):
        if inside and not before:
            runs.append([number, 0])
        if inside:
            runs[-1][1] += 1
        before = bool(inside)
    return " ".join(f"{start} {length}" for start, length in runs)


@given(MASKS)
def test_any_mask_comes_back(mask: np.ndarray) -> None:
    text = encode(mask, min_area=0)
    assert text == by_hand(mask)
    np.testing.assert_array_equal(decode(text, mask.shape), mask)


@given(MASKS, st.integers(0, 30))
def test_small_masks_are_empty(mask: np.ndarray, least: int) -> None:
    assert bool(encode(mask, min_area=least)) == (mask.sum() >= max(least, 1))


def test_ten_pixels_are_the_least() -> None:
    mask = np.zeros((20, 20), bool)
    mask[3, :9] = True
    assert encode(mask) == ""
    mask[3, 9] = True
    assert encode(mask).split()[:4] == ["4", "1", "24", "1"]


def test_a_run_goes_on_in_the_next_column() -> None:
    mask = np.zeros((4, 3), bool)
    mask[2:, 0] = mask[:2, 1] = True
    assert encode(mask, min_area=1) == "3 4"


def test_views_encode_as_copies_do() -> None:
    mask = np.random.default_rng(0).random((30, 40)) < 0.3
    for view in (mask.T, mask[::-1, ::2], np.asfortranarray(mask)):
        assert encode(view) == by_hand(view)


def test_runs_in_any_order_are_read() -> None:
    np.testing.assert_array_equal(decode("5 2 1 2", (3, 2)), decode("1 2 5 2", (3, 2)))
    assert not decode("", (3, 2)).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "expected pairs of whole numbers"),
        ("1 x", "expected pairs of whole numbers"),
        ("1.5 2", "expected pairs of whole numbers"),
        (f"{10**30} 1", "expected pairs of whole numbers"),
        (f"{2**62} {2**62}", "leave an image of 3 rows and 2 columns"),
        ("0 2", "leave an image"),
        ("1 0", "leave an image"),
        ("6 2", "leave an image"),
        ("1 3 3 1", "overlap"),
    ],
)
def test_wrong_runs_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode(text, (3, 2))


def test_numbers_are_no_mask() -> None:
    with pytest.raises(ValueError, match="must be bool"):
        encode(np.ones((2, 2)))


def test_two_hundred_masks_take_a_fraction_of_a_second() -> None:
    rows, columns = np.mgrid[:420, :580]
    mask = ((rows - 200) / 80) ** 2 + ((columns - 300) / 100) ** 2 < 1
    start = time.process_time()
    for _ in range(200):
        decode(encode(mask), mask.shape)
    assert time.process_time() - start < 1  # five times what is asked for
