"""Candidates for near-duplicates: pairs of vectors with a large dot product, exactly or by faiss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plexus.errors import ConfigError

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

ROWS, COLUMNS = 1024, 8192
"""Of a tile of products: 32 MiB."""
MIN_RECALL, TRIED = 0.98, 500
"""Recall that faiss shall have at least, for each direction of a pair, and the images on which it is tried out."""
MIN_VECTORS = 4000
"""Fewer vectors than this are no work, and too few to learn lists from."""
MEASURED = 1000
"""Images whose neighbours are searched exactly too, to measure the recall of faiss."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs a < b, and what was left out.

    Args:
        a, b: indices, (P,).
        truncated: images with more neighbours than were kept.
        recall: of an approximate search; 1 where it was exact.
    """

    a: I64
    b: I64
    truncated: int
    recall: float = 1.0


def exact(vectors: F32, least: float, most: int = 64, step: Callable[[int], None] | None = None) -> Candidates:
    """Pairs whose dot product is above a bound, by tiled products: memory for one tile and for the pairs.

    Args:
        vectors: (N, D), of norm 1, or 0 for images that have no neighbours.
        least: the bound.
        most: nearest later images that are kept for each image.
        step: called with the number of images done.

    Example:
        >>> v = np.eye(3, dtype=np.float32)[[0, 1, 0]]
        >>> pairs = exact(v, 0.5)
        >>> pairs.a.tolist(), pairs.b.tolist()
        ([0], [2])
    """
    n, truncated = len(vectors), 0
    a: list[I64] = []
    b: list[I64] = []
    for i in range(0, n, ROWS):
        block = vectors[i : i + ROWS]
        rows: list[I64] = []
        columns: list[I64] = []
        values: list[F32] = []
        for j in range(i, n, COLUMNS):
            tile = block @ vectors[j : j + COLUMNS].T
            flat = np.flatnonzero(tile > least)
            later = flat % tile.shape[1] + j > flat // tile.shape[1] + i
            flat = flat[later]
            rows.append(flat // tile.shape[1])
            columns.append(flat % tile.shape[1] + j)
            values.append(tile.ravel()[flat])
        row, column, more = _nearest(np.concatenate(rows), np.concatenate(columns), np.concatenate(values), most)
        truncated += more
        a.append(row + i)
        b.append(column)
        if step:
            step(len(block))
    none = np.zeros(0, np.int64)
    return Candidates(np.concatenate([none, *a]), np.concatenate([none, *b]), truncated)


def _nearest(row: I64, column: I64, value: F32, most: int) -> tuple[I64, I64, int]:
    """The `most` largest values of each row."""
    if not len(row):
        return row, column, 0
    order = np.lexsort((-value, row))
    row, column = row[order], column[order]
    counts = np.bincount(row)
    starts = np.cumsum(counts) - counts
    kept = np.arange(len(row)) - starts[row] < most
    return row[kept], column[kept], int((counts > most).sum())


def grouped(vectors: F32, groups: I64, least: float, most: int = 64) -> Candidates:
    """Find the pairs of `exact` within each group; images with group -1 have none.

    Example:
        >>> v = np.ones((4, 1), np.float32)
        >>> pairs = grouped(v, np.array([0, 1, 0, -1]), 0.5)
        >>> pairs.a.tolist(), pairs.b.tolist()
        ([0], [2])
    """
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    none = np.zeros(0, np.int64)
    a, b, truncated = [none], [none], 0
    for rows in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(rows) > 1:
            within = exact(vectors[rows], least, most)
            a.append(rows[within.a])
            b.append(rows[within.b])
            truncated += within.truncated
    return Candidates(np.concatenate(a), np.concatenate(b), truncated)


def has_faiss() -> bool:
    return find_spec("faiss") is not None


def require_faiss() -> None:
    """Raise a `ConfigError` that says how to install it where it is missing."""
    if not has_faiss():
        raise ConfigError("the search 'faiss' needs faiss: pip install 'plexus-nn[faiss]', or --search exact")


def approximate(vectors: F32, least: float, most: int = 64, *, seed: int = 0) -> Candidates:
    """Find the pairs of `exact`, up to a recall that is measured on 1,000 images, by an inverted file of faiss.

    Raises:
        ConfigError: faiss is not installed.

    Source: Johnson, Douze, Jegou, "Billion-scale similarity search with GPUs" (2017); index IVFFlat.
    """
    require_faiss()
    import faiss

    n, width = vectors.shape
    if n < MIN_VECTORS:
        return exact(vectors, least, most)
    data = np.ascontiguousarray(vectors)
    lists = max(1, min(round(4 * n**0.5), n // 40))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = (seed + 1) % 2**31  # faiss keeps a C int
    index.train(data[np.random.default_rng(seed).permutation(n)[: 64 * lists]])
    index.add(data)
    index.nprobe = _lists_to_probe(index, data, least, most, seed)
    wanted = min(most + 1, n)
    pairs: list[NDArray[np.int64]] = []
    truncated = 0
    for i in range(0, n, ROWS):
        value, near = index.search(data[i : i + ROWS], wanted)
        # -1 where fewer were found; and every image is its own neighbour
        row, k = np.nonzero((value > least) & (near >= 0) & (near != np.arange(i, i + len(value))[:, None]))
        truncated += int((np.bincount(row, minlength=1) >= most).sum())
        pairs.append(_keys(row + i, near[row, k].astype(np.int64), n))
    both = np.unique(np.concatenate([np.zeros(0, np.int64), *pairs]))
    a, b = np.divmod(both, n)
    return Candidates(a, b, truncated, _recall(data, both, least, most, seed))


def _lists_to_probe(index: Any, data: F32, least: float, most: int, seed: int) -> int:
    """The fewest lists, doubling, that hold the neighbours of some images; all of them where the bound is loose."""
    asked = np.sort(np.random.default_rng(seed + 1).permutation(len(data))[:TRIED])
    pairs = []
    for rows, products in _products(data, asked):
        row, column = np.nonzero(products > least)
        row, column, _ = _nearest(row, column, products[row, column], most)
        pairs.append(rows[row] * len(data) + column)
    true = np.concatenate(pairs)
    probed = max(1, index.nlist // 24)
    while len(true) and probed < index.nlist:
        index.nprobe = probed
        _, near = index.search(data[asked], min(most + 1, len(data)))
        if np.isin(true, (asked[:, None] * len(data) + near).ravel()).mean() >= MIN_RECALL:
            break
        probed = min(2 * probed, index.nlist)
    return int(probed)


def _recall(vectors: F32, pairs: I64, least: float, most: int, seed: int) -> float:
    """The fraction of some images' true neighbours, at most `most` each, that is among the pairs."""
    n, hits, total = len(vectors), 0, 0
    asked = np.sort(np.random.default_rng(seed).permutation(n)[:MEASURED])
    for rows, products in _products(vectors, asked):
        near = np.argpartition(-products, min(most, n - 1) - 1, axis=1)[:, :most]
        row, k = np.nonzero(np.take_along_axis(products, near, 1) > least)
        keys = _keys(rows[row], near[row, k], n)
        hits, total = hits + int(np.isin(keys, pairs).sum()), total + len(keys)
    return hits / total if total else 1.0


def _products(vectors: F32, asked: I64) -> Iterator[tuple[I64, F32]]:
    """Some images, 64 at a time, and their products with all; -2 with themselves."""
    for start in range(0, len(asked), 64):
        rows = asked[start : start + 64]
        products = vectors[rows] @ vectors.T
        products[np.arange(len(rows)), rows] = -2
        yield rows, products


def _keys(one: I64, two: I64, n: int) -> I64:
    """One number for each pair, whatever its order."""
    return np.minimum(one, two) * n + np.maximum(one, two)
