"""The tiled search against all products at once, and faiss against the tiled search."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plexus.audit import _search
from plexus.audit._search import Candidates, approximate, exact, grouped

F32 = NDArray[np.float32]


def unit(n: int, width: int = 12, seed: int = 0) -> F32:
    made = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def pairs(found: Candidates) -> set[tuple[int, int]]:
    listed = list(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert len(set(listed)) == len(listed)
    return set(listed)


def brute(vectors: F32, least: float) -> set[tuple[int, int]]:
    products = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    a, b = np.nonzero(np.triu(products > least, 1))
    return set(zip(a.tolist(), b.tolist(), strict=True))


@pytest.mark.parametrize(("rows", "columns"), [(7, 11), (1, 1), (64, 5), (100, 1000)])
def test_tiles_find_what_one_product_finds(rows: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_search, "ROWS", rows)
    monkeypatch.setattr(_search, "COLUMNS", columns)
    vectors = unit(61)
    done: list[int] = []
    found = exact(vectors, 0.4, 100, done.append)
    assert pairs(found) == brute(vectors, 0.4) != set()
    assert found.truncated == 0
    assert sum(done) == 61


def test_the_nearest_are_kept_and_the_rest_is_counted() -> None:
    vectors = unit(40)
    found = exact(vectors, -1.5, 3)
    products = vectors @ vectors.T
    for i in range(40):
        later = [j for j in np.argsort(-products[i]).tolist() if j > i][:3]
        assert {b for a, b in pairs(found) if a == i} == set(later)
    assert found.truncated == 36  # the last three have at most two later ones, the one before has three


def test_groups_are_searched_apart() -> None:
    vectors, groups = unit(60), np.random.default_rng(1).integers(-1, 4, 60)
    expected = {(a, b) for a, b in brute(vectors, 0.3) if groups[a] == groups[b] >= 0}
    assert pairs(grouped(vectors, groups, 0.3)) == expected != set()


def test_zero_vectors_and_empty_sets_have_no_pairs() -> None:
    assert pairs(exact(np.zeros((5, 3), np.float32), 0.1)) == set()
    assert pairs(exact(np.zeros((0, 3), np.float32), 0.1)) == set()
    assert pairs(grouped(np.ones((3, 1), np.float32), np.full(3, -1), 0.1)) == set()


def test_faiss_finds_them_up_to_the_recall_it_states(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(_search, "LEAST", 0)
    vectors = unit(3000, 24)
    vectors[1500:1600] = vectors[:100] + 0.02 * unit(100, 24, 1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found, expected = approximate(vectors, 0.9), brute(vectors, 0.9)
    assert pairs(found) <= expected
    assert {(i, 1500 + i) for i in range(100)} <= expected
    assert len(pairs(found) & expected) / len(expected) == pytest.approx(found.recall, abs=0.03)
    assert found.recall > 0.9


def test_faiss_looks_into_more_lists_where_the_bound_is_loose(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(_search, "LEAST", 0)
    vectors = unit(3000, 24)
    found, expected = approximate(vectors, 0.6, 3000), brute(vectors, 0.6)
    assert pairs(found) <= expected
    assert len(pairs(found) & expected) / len(expected) > 0.95


def test_faiss_leaves_small_sets_to_the_exact_search() -> None:
    pytest.importorskip("faiss")
    vectors = unit(13)
    assert pairs(approximate(vectors, 0.1)) == brute(vectors, 0.1)
