"""The distance of outlines, against all pairs of points."""

import math

import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import arrays

from plexus.metrics import hausdorff95


def outline(mask: np.ndarray) -> list[tuple[int, int]]:
    """The pixels of a mask with a side to the outside."""
    points = {tuple(at) for at in np.argwhere(mask).tolist()}
    sides = ((0, 1), (1, 0), (0, -1), (-1, 0))
    return [(r, c) for r, c in points if any((r + i, c + j) not in points for i, j in sides)]


@given(arrays(np.bool_, (2, 7, 6)))
def test_it_is_the_larger_of_both_percentiles(both: np.ndarray) -> None:
    a, b = (outline(mask) for mask in both)
    found = hausdorff95(both[:1], both[1:])
    assert found.shape == (1,)
    if not a or not b:
        assert math.isnan(found[0])
        return
    distances = np.array([[math.dist(p, q) for q in b] for p in a])
    expected = max(np.percentile(distances.min(1), 95), np.percentile(distances.min(0), 95))
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_a_shift_of_a_long_edge_is_the_distance() -> None:
    a, b = np.zeros((2, 1, 60, 60), bool)
    a[0, 10:50, 10:50] = True
    b[0, 10:50, 13:53] = True
    assert hausdorff95(a, b).tolist() == hausdorff95(b, a).tolist() == [3.0]
    assert hausdorff95(a, a).tolist() == [0.0]


def test_a_far_speck_counts_only_beyond_the_percentile() -> None:
    a = np.zeros((1, 100, 100), bool)
    a[0, 10:50, 10:50] = True
    speck = a.copy()
    speck[0, 99, 99] = True
    assert hausdorff95(a, speck).tolist() == [0.0]
