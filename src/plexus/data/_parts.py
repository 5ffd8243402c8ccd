"""What a source gives before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from plexus.data._decode import Pixels
from plexus.data._split import Indices
from plexus.errors import DataError

_Sized = TypeVar("_Sized", bound=Sized)

Item = Path | bytes | Pixels | None
"""An image not yet decoded: a file, a file's bytes, finished pixels, or nothing where the cell is empty."""


@dataclass(frozen=True)
class Part:
    """One split as its source gives it.

    Args:
        labels: class indices, (N,).
        names: one per image.
        fetch: returns the images of some rows.
    """

    labels: Indices
    names: Sequence[str]
    fetch: Callable[[Indices], list[Item]]


@dataclass(frozen=True)
class Source:
    """Where images come from, before splitting and decoding.

    Args:
        name: a short name for people.
        where: what the user called it; begins every message.
        parts: ``train`` and, where given, ``val`` and ``test``.
        classes: the class names, an index into which is a label.
        join: what stands between ``where`` and an image's name in messages.
    """

    name: str
    where: str
    parts: Mapping[str, Part]
    classes: tuple[str, ...]
    join: str = ": "


ROLES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""The words by which folders, files and hub data sets name their splits."""


def printable(text: str) -> str:
    """Return the text as it is, or escaped where it would break a one-line message."""
    return text if text.isprintable() else ascii(text)


def with_train(parts: Mapping[str, _Sized], where: str) -> dict[str, _Sized]:
    """Return the splits in order, once it is certain that there is one to train on and none is empty.

    Raises:
        DataError: no train split, or an empty one; names it.
    """
    if "train" not in parts:
        found = ", ".join(parts) or "none"
        raise DataError(f"{where}: no train split (found: {found}): name the training images' files or folder train")
    for split, part in parts.items():
        if len(part) == 0:
            raise DataError(f"{where}: the {split} split holds no images: add some or take the split out")
    return {split: parts[split] for split in ("train", "val", "test") if split in parts}
