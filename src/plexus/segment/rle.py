"""Masks as text: run lengths as Kaggle's submissions hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plexus.errors import DataError


def encode(mask: ArrayLike, *, min_area: int = 10) -> str:
    """Write a mask as run lengths: ``start length`` of each run, pixels counted from 1, down the columns.

    Args:
        mask: bool.
        min_area: a mask of fewer pixels becomes the empty text.

    Shape:
        (H, W).

    Raises:
        ValueError: not a bool mask of two dimensions.

    Example:
        >>> encode([[False, True], [True, True]], min_area=0)
        '2 3'
    """
    inside = np.asarray(mask)
    if inside.dtype != np.bool_ or inside.ndim != 2:
        raise ValueError(f"mask must be bool (H, W), got {inside.dtype} {inside.shape}")
    if np.count_nonzero(inside) < max(min_area, 1):
        return ""
    height, width = inside.shape
    turn = np.empty_like(inside)  # where a pixel differs from the one before it: found by rows, which is how they lie
    turn[1:] = inside[1:] != inside[:-1]
    turn[0, 1:] = inside[0, 1:] != inside[-1, :-1]
    turn[0, 0] = inside[0, 0]
    row, column = np.divmod(np.flatnonzero(turn), width)
    turns = np.sort(column * height + row)
    if inside[-1, -1]:
        turns = np.append(turns, inside.size)
    turns[1::2] -= turns[::2]
    turns[::2] += 1
    return " ".join(map(str, turns.tolist()))


def decode(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read run lengths as `encode` writes them; empty text is an empty mask.

    Args:
        text: ``start length`` of each run, in any order.
        shape: rows and columns of the mask.

    Returns:
        The mask, (H, W), in the order of its columns in memory.

    Raises:
        DataError: not pairs of whole numbers, runs that overlap, or that leave the image.

    Example:
        >>> decode("2 3", (2, 2)).tolist()
        [[False, True], [True, True]]
    """
    words = text.split()
    height, width = shape
    try:
        runs = np.array(words, np.int64).reshape(-1, 2)
    except (ValueError, OverflowError):
        raise DataError(
            f"run lengths {text[:40]!r}: expected pairs of whole numbers: start length start length"
        ) from None
    if (np.diff(runs[:, 0]) < 0).any():
        runs = runs[np.argsort(runs[:, 0], kind="stable")]
    starts, ends = runs[:, 0] - 1, runs.sum(1) - 1
    if (runs < 1).any() or (runs > height * width).any() or (ends > height * width).any():
        raise DataError(f"run lengths {text[:40]!r} leave an image of {height} rows and {width} columns")
    if (starts[1:] < ends[:-1]).any():
        raise DataError(f"run lengths {text[:40]!r} overlap: every pixel may be named once")
    turns = np.column_stack([starts, ends]).ravel()
    lengths = np.diff(turns, prepend=0, append=height * width)
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(width, height).T
