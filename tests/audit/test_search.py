"""The search against all products at once: tiles, groups, and faiss up to the recall that it states."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree

from plexus.audit import Fingerprints, NearDuplicates, near_duplicates

F32 = NDArray[np.float32]
Pairs = set[tuple[int, int]]


def unit(n: int, width: int = 12, seed: int = 0) -> F32:
    rows = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def prints(vectors: F32, groups: NDArray[np.int64] | None = None) -> Fingerprints:
    """Fingerprints that are compared by the cosine of these vectors."""
    n = len(vectors)
    digests = np.arange(8 * n, dtype=np.int32).view(np.uint8).reshape(n, 32)  # no two files are the same
    names = tuple(None if g < 0 else f"g{g}" for g in groups.tolist()) if groups is not None else (None,) * n
    return Fingerprints(
        "blockhist", tuple(map(str, range(n))), vectors, digests, digests[:, :16], np.ones((n, 2), np.int64),
        np.ones(n, bool), groups=names,
    )  # fmt: skip


def pairs(near: NearDuplicates) -> Pairs:
    listed = list(zip(near.a.tolist(), near.b.tolist(), strict=True))
    assert len(set(listed)) == len(listed)
    return set(listed)


def brute(vectors: F32, threshold: float) -> Pairs:
    """All pairs by a tree: |a - b|^2 = 2 (1 - a.b)."""
    return KDTree(vectors).query_pairs((2 * threshold) ** 0.5)


@pytest.mark.parametrize("n", [61, 1024, 1025, 8300])  # tiles are of 1,024 rows and 8,192 columns
def test_tiles_find_what_one_product_finds(n: int) -> None:
    vectors = unit(n)
    near = near_duplicates(prints(vectors), threshold=0.1 if n > 1000 else 0.6, search="exact")
    assert pairs(near) == brute(vectors, near.threshold) != set()
    assert near.notes == ()


def test_the_nearest_are_kept_and_the_rest_is_counted() -> None:
    vectors = unit(40)
    near = near_duplicates(prints(vectors), threshold=1.99, neighbours=3)
    products = vectors @ vectors.T
    for i in range(40):
        later = [j for j in np.argsort(-products[i]).tolist() if j > i][:3]
        assert {b for a, b in pairs(near) if a == i} == set(later)
    # the last three have at most two later ones, the one before has three
    assert near.notes == (
        "36 images have more than 3 neighbours each; only so many of these are pairs, and those in other splits",
    )


def test_groups_are_searched_apart() -> None:
    vectors, groups = unit(60), np.random.default_rng(1).integers(-1, 4, 60)
    expected = {(a, b) for a, b in brute(vectors, 0.7) if groups[a] == groups[b] >= 0}
    assert pairs(near_duplicates(prints(vectors, groups), threshold=0.7, scope="group")) == expected != set()


@pytest.mark.parametrize("n", [0, 1, 5])
def test_zero_vectors_and_empty_sets_have_no_pairs(n: int) -> None:
    assert pairs(near_duplicates(prints(np.zeros((n, 3), np.float32)), threshold=0.9)) == set()


def test_faiss_finds_them_up_to_the_recall_it_states() -> None:
    pytest.importorskip("faiss")
    vectors = unit(4200, 24)
    vectors[1500:1600] = vectors[:100] + 0.02 * unit(100, 24, 1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near, expected = near_duplicates(prints(vectors), threshold=0.15, search="faiss"), brute(vectors, 0.15)
    assert pairs(near) <= expected
    assert {(i, 1500 + i) for i in range(100)} <= expected
    recall = len(pairs(near) & expected) / len(expected)
    stated = [float(note.split()[-3]) for note in near.notes if "recall" in note]
    assert recall == pytest.approx(stated[0] if stated else 1, abs=0.03)
    assert recall > 0.9


def test_faiss_looks_into_more_lists_where_the_bound_is_loose() -> None:
    pytest.importorskip("faiss")
    vectors = unit(4200, 24)
    near, expected = (
        near_duplicates(prints(vectors), threshold=0.4, search="faiss", neighbours=4199),
        brute(vectors, 0.4),
    )
    assert pairs(near) <= expected
    assert len(pairs(near) & expected) / len(expected) > 0.95


def test_faiss_leaves_small_sets_to_the_exact_search() -> None:
    pytest.importorskip("faiss")
    vectors = unit(13)
    near = near_duplicates(prints(vectors), threshold=0.9, search="faiss")
    assert pairs(near) == brute(vectors, 0.9)


def test_the_largest_seed_is_taken() -> None:
    vectors = unit(4000)
    vectors[7] = vectors[3]
    near = near_duplicates(prints(vectors), threshold=1e-4, search="faiss", seed=2**63 - 1)
    assert (3, 7) in pairs(near)
