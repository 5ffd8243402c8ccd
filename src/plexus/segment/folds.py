"""Folds of the images for validation: from an audit's file, by groups, or one validation split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plexus.audit import deal
from plexus.errors import DataError
from plexus.record import read_json

Indices = NDArray[np.int64]


def grouped_folds(present: Sequence[bool], groups: Sequence[str | None], k: int, seed: int) -> Indices:
    """Deal images out to k folds so that groups stay together and each fold has its share of present targets.

    Args:
        present: whether the target is in each image.
        groups: the group of each image; an image without one is a group of its own.
        k: how many folds.
        seed: of the order in which equal groups are dealt.

    Returns:
        The fold of each image, 0 to k-1.

    Raises:
        DataError: fewer groups than folds.

    Source: `plexus.audit.folds`, which deals the same way.

    Example:
        >>> grouped_folds([True] * 4, ["a", "a", "b", "b"], 2, seed=0)[[0, 2]].tolist() in ([0, 1], [1, 0])
        True
    """
    by = _numbered(groups)
    count = int(by.max(initial=-1)) + 1
    if count < k:
        what = "groups" if any(g is not None for g in groups) else "images"
        raise DataError(f"{count} {what} cannot be dealt out to {k} folds: ask for fewer folds or add {what}")
    fold = deal(by, np.asarray(present, np.int64), k, seed)
    if (np.bincount(fold, minlength=k) == 0).any():
        raise DataError(f"the groups are too uneven for {k} folds: one of them would have no image; ask for fewer")
    return fold


def validation_fold(present: Sequence[bool], groups: Sequence[str | None], share: float, seed: int) -> Indices:
    """0 for the images held out for validation, -1 for all others; one of round(1 / share) grouped folds is held out.

    Raises:
        DataError: fewer than two groups.
    """
    count = len(np.unique(_numbered(groups)))
    k = min(max(2, round(1 / share)), count)
    if k < 2:
        raise DataError("all images are of one group: nothing is left to validate on; give --group-from another rule")
    return np.where(grouped_folds(present, groups, k, seed) == 0, 0, -1)


def read_folds(path: str | Path) -> tuple[dict[str, int], tuple[str, ...], int]:
    """Read what an audit decided: the fold of each image by name, the names it dropped, and how many folds there are.

    Raises:
        DataError: no such file, or no folds file.
    """
    remedy = "name the folds.json of an audit"
    raw = read_json(path, remedy, kind="folds file", missing=remedy, error=DataError)
    if not isinstance(raw, dict) or raw.get("kind") != "folds" or raw.get("format") != 1:
        raise DataError(f"{path}: not a folds file; name the folds.json that `plexus audit` wrote")
    content: dict[str, Any] = raw
    folds, dropped, k = (content.get(key) for key in ("folds", "dropped", "k"))
    if (
        not isinstance(k, int)
        or isinstance(k, bool)
        or k < 2
        or not isinstance(folds, dict)
        or not isinstance(dropped, list)
    ):
        raise DataError(f"{path}: broken folds file: expected k of 2 or more, folds by name and dropped names")
    for name, fold in folds.items():
        if not _whole(fold) or not 0 <= fold < k:
            raise DataError(f"{path}: {name}: fold {fold!r} is not one of 0 to {k - 1}")
    return folds, tuple(map(str, dropped)), k


def assigned(names: Sequence[str], everything: Sequence[str], path: str | Path, cv: int | None) -> Indices:
    """Return the fold of each image by an audit's file, or -1 for those that the audit dropped.

    Args:
        names: images to train on.
        everything: all images of the data, of other splits too.
        path: the folds file.
        cv: the number of folds, where the user gave one.

    Raises:
        DataError: the file names unknown images, or misses some, or has another number of folds.
    """
    folds, dropped, k = read_folds(path)
    if cv not in (None, k):
        raise DataError(f"{path}: has {k} folds, not {cv}: leave --cv out, or audit again with --folds {cv}")
    names_there, gone = set(everything), set(dropped)
    if strange := [name for name in [*folds, *dropped] if name not in names_there]:
        raise DataError(f"{path}: names {_some(strange)} not in the data: audit this data again, or name its folder")
    if missing := [name for name in names if name not in folds and name not in gone]:
        raise DataError(f"{path}: misses {_few(missing)} of the data: audit this data again")
    fold_of = np.array([-1 if name in gone else folds[name] for name in names], np.int64)
    if empty := [fold for fold in range(k) if not (fold_of == fold).any()]:
        raise DataError(f"{path}: no image of the data is in fold {empty[0]}: audit this data again, or raise --limit")
    return fold_of


def _some(names: Sequence[str]) -> str:
    return f"{_few(names)}, which {'is' if len(names) == 1 else 'are'}"


def _few(names: Sequence[str]) -> str:
    return f"{names[0]!r}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbered(groups: Sequence[str | None]) -> Indices:
    """A number for each group; images without one get their own."""
    keys = [("", i) if group is None else (group, -1) for i, group in enumerate(groups)]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], np.int64)
