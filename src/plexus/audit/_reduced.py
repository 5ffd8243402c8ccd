"""Small grey copies of images, filters of them, and the vectors and sketches that the search compares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

ROWS, COLUMNS = 72, 96
"""Size of a reduced copy."""
COARSE, FINE = 24, 48
"""Sides of the squares that copies become: for the search and the first alignment, and for the comparison."""
BAND = 3.0, 12.0
"""Half-waves per image that the search compares."""
BITS = 256
"""Of a sketch."""
SLACK = 2.5
"""Standard deviations by which a sketch may be farther than the vectors it stands for."""
HELD = 0.25
"""Detail of a cell of the fine square that counts as some; an even surface has none."""
NOISE = 4.0
"""Grey levels of local contrast that count as none: compression and sensors leave as much."""

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Copies:
    """Reduced copies (N, 72, 96), and the same as `coarse` squares (N, 24, 24)."""

    rows: U8
    squares: F32


def reduced(pixels: U8) -> U8:
    """Reduce an image to 72 x 96 grey values: boxes of whole pixels are averaged, then antialiased bilinear filtering.

    Args:
        pixels: (H, W) or (H, W, 3), 0..255.

    Shape:
        (72, 96), uint8, whatever the size of the image.

    Example:
        >>> reduced(np.full((420, 580), 7, np.uint8)).mean()
        np.float64(7.0)
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if image.mode != "L":
        image = image.convert("L")
    # two steps: averages of boxes are far faster, and the filter at the end has no more aliasing than it alone
    factor = min(image.width // COLUMNS, image.height // ROWS)
    if factor > 1:
        image = image.reduce(factor)
    return np.asarray(image.resize((COLUMNS, ROWS), Image.Resampling.BILINEAR))


def coarse(copies: U8, batch: int = 2048) -> F32:
    """Detail of copies on squares of side 24, to search and to align: (N, 72, 96) to (N, 24, 24)."""
    out = np.empty((len(copies), COARSE, COARSE), np.float32)
    for i in range(0, len(copies), batch):
        out[i : i + batch] = _detail(_square(copies[i : i + batch], COARSE), COARSE / 8, 4.0)
    return out


def fine(copies: U8) -> tuple[F32, F32]:
    """Squares of side 48, (N, 48, 48): without their lowest frequencies, to align; and their detail, to compare.

    The detail of an even border and next to it is 0: equal frames are no likeness.
    """
    square = _square(copies, FINE)
    detail = _detail(square, 2.5, 4.0)
    bordered, rectangle = content(copies)
    at = (np.arange(FINE) + 0.5) / FINE
    inset = 3 / FINE
    top, bottom, left, right = (side[:, None] for side in rectangle.T)
    rows = ((at >= top + inset * (top > 0)) & (at <= bottom - inset * (bottom < 1)))[:, :, None]
    detail[bordered] *= rows & ((at >= left + inset * (left > 0)) & (at <= right - inset * (right < 1)))[:, None]
    return square - _blurred(square, FINE / 8), detail


def detailed(copies: U8, batch: int = 1024) -> F32:
    """Return the share of cells with detail, 0..1: .6 of photographs, more of speckle, .2 of one square on even ground.

    Args:
        copies: (N, 72, 96).

    Shape:
        (N,).

    Example:
        >>> square = np.full((1, 72, 96), 20, np.uint8)
        >>> square[:, 20:50, 30:60] = 200
        >>> f"{detailed(square)[0]:.1f}, {detailed(square * 0)[0]:.1f}"
        '0.2, 0.0'
    """
    parts = [np.zeros(0, np.float32)]
    for i in range(0, len(copies), batch):
        parts.append((np.abs(fine(copies[i : i + batch])[1]) > HELD).mean((1, 2), dtype=np.float32))
    return np.concatenate(parts)


def _detail(squares: F32, sigma: float, around: float) -> F32:
    """The part that a blur takes away, divided by its local contrast.

    An edge then counts no more than faint texture, so that two silhouettes before an empty sky have little in common,
    and a text or a dark corner counts by its area.
    """
    detail = squares - _blurred(squares, sigma)
    contrast = np.sqrt(np.maximum(_blurred(detail * detail, around), 0))
    return (detail / (contrast + NOISE)).astype(np.float32)


def unit_vectors(squares: F32, batch: int = 8192) -> F32:
    """Cosine coefficients of 3 to 12 half-waves, weighted by frequency, of norm 1: (N, 24, 24) to (N, D).

    An image without any detail gives 0.
    """
    basis, weight, inside = _cosines()
    out = np.empty((len(squares), int(inside.sum())), np.float32)  # one image's numbers side by side, to be compared
    for i in range(0, len(squares), batch):
        coefficients = (basis @ squares[i : i + batch] @ basis.T)[:, inside] * weight[inside]
        length = np.sqrt((coefficients**2).sum(1, keepdims=True))
        # a flat image is nothing but rounding: less than a hundredth of a grey level
        flat = length < 0.01 / NOISE * COARSE
        out[i : i + batch] = np.where(flat, 0, coefficients / np.where(flat, 1, length))
    return out


def centred(vectors: F32, mean: F32) -> F32:
    """Vectors without what all have in common, of norm 1 again; 0 stays 0."""
    moved = np.where(vectors.any(1, keepdims=True), vectors - mean, 0)
    length = np.sqrt((moved**2).sum(1, keepdims=True))
    unit: F32 = (moved / np.where(length > 0, length, 1)).astype(np.float32, order="C")
    return unit


def sketches(vectors: F32, batch: int = 8192) -> U64:
    """Signs of 256 random projections, (N, D) to (N, 4): the fraction of bits that differ is the angle over pi.

    Source: Charikar, "Similarity estimation techniques from rounding algorithms" (2002).
    """
    planes = np.random.default_rng(0).standard_normal((vectors.shape[1], BITS)).astype(np.float32)
    bits = np.empty((len(vectors), BITS // 64), np.uint64)
    for i in range(0, len(vectors), batch):
        bits[i : i + batch] = np.packbits(vectors[i : i + batch] @ planes > 0, axis=1).view(np.uint64)
    return bits


def differing(correlation: float) -> int:
    """Return the bits that sketches of vectors with this correlation differ in, at most, but for one pair in 160."""
    p = math.acos(correlation) / math.pi
    return math.ceil(BITS * p + SLACK * math.sqrt(BITS * p * (1 - p)))


def content(copies: U8, batch: int = 2048) -> tuple[I64, F32]:
    """Copies with an even border or bars, and the rectangles within: indices, and top, bottom, left, right (M, 4)."""
    found: list[tuple[I64, F32]] = [(np.zeros(0, np.int64), np.zeros((0, 4), np.float32))]
    for start in range(0, len(copies), batch):
        bordered, rectangle = _content(copies[start : start + batch])
        found.append((bordered + start, rectangle))
    indices, rectangles = zip(*found, strict=True)
    return np.concatenate(indices), np.concatenate(rectangles)


def _content(copies: U8) -> tuple[I64, F32]:
    values = copies.astype(np.int16)
    edges = [_even(values, axis, end) for axis in (1, 2) for end in (False, True)]
    # the filter of the reduction lets the first line within show through the border, and the border through that line
    edges = [np.where(edge > 0, edge + 1.25 / (ROWS if k < 2 else COLUMNS), 0) for k, edge in enumerate(edges)]
    top, bottom, left, right = edges
    bordered = np.flatnonzero((np.maximum.reduce(edges) >= 0.03) & (top + bottom <= 0.6) & (left + right <= 0.6))
    rectangle = np.stack([top, 1 - bottom, left, 1 - right], 1)[bordered].astype(np.float32)
    return bordered, rectangle


def within(copies: U8, rows: I64, rectangles: F32) -> U8:
    """Rectangles (M, 4) of some copies, each as large as a copy: (M, 72, 96)."""
    out = np.empty((len(rows), ROWS, COLUMNS), np.uint8)
    for k, (i, (top, bottom, left, right)) in enumerate(zip(rows.tolist(), rectangles.tolist(), strict=True)):
        box = (left * COLUMNS, top * ROWS, right * COLUMNS, bottom * ROWS)
        out[k] = np.asarray(Image.fromarray(copies[i]).resize((COLUMNS, ROWS), Image.Resampling.BILINEAR, box))
    return out


def _even(values: NDArray[np.int16], axis: int, end: bool) -> NDArray[np.float64]:
    """The fraction of a side, from one end, in which all values are nearly that of the corner."""
    across = 3 - axis
    corner = values[:, -1 if end else 0, -1 if end else 0][:, None]
    far: NDArray[np.bool_] = np.maximum(values.max(across) - corner, corner - values.min(across)) > 10
    if end:
        far = far[:, ::-1]
    length = values.shape[axis]
    edge: NDArray[np.float64] = np.where(far.any(1), far.argmax(1), length) / length
    return edge


def _square(copies: U8, side: int) -> F32:
    """Averages over the cells of a square grid."""
    down, right = _cells(ROWS, side), _cells(COLUMNS, side)
    square: F32 = down @ (copies.astype(np.float32) @ right.T)
    return square


def _blurred(squares: F32, sigma: float) -> F32:
    blur = _blur(squares.shape[1], sigma)
    made: F32 = (blur @ squares @ blur.T).astype(np.float32, copy=False)
    return made


@cache
def _cells(length: int, cells: int) -> F32:
    edges, at = np.linspace(0, length, cells + 1), np.arange(length)
    share = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    return (np.clip(share, 0, None) * cells / length).astype(np.float32)


@cache
def _blur(side: int, sigma: float) -> F32:
    made: F32 = gaussian_filter(np.eye(side), (sigma, 0), mode="nearest").astype(np.float32)
    return made


@cache
def _cosines() -> tuple[F32, F32, NDArray[np.bool_]]:
    """The basis (13, 24), the weights, and the band (13, 13)."""
    k = np.arange(int(BAND[1]) + 1)
    basis = np.cos(np.pi * np.outer(k, (np.arange(COARSE) + 0.5) / COARSE)) / math.sqrt(COARSE / 2)
    radius = np.hypot(k[:, None], k[None])
    return basis.astype(np.float32), radius.astype(np.float32), (radius >= BAND[0]) & (radius <= BAND[1])
