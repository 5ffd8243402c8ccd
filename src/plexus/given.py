"""Arguments from Python, as options have them: plain values, a name for legos in memory, images with labels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plexus.data import Memory
from plexus.errors import ConfigError, DataError, short
from plexus.training import MEMORY

Legos = Callable[[Sequence[int]], Sequence[Any]]
"""A function from the shape of an image, (C, H, W), to a list of modules."""


def labelled(memory: Memory) -> Memory:
    """Return images in memory, once it is certain that they have labels.

    Args:
        memory: the images.

    Raises:
        DataError: they have none.

    Example:
        >>> from plexus.data import in_memory
        >>> len(labelled(in_memory(np.zeros((3, 8, 8)), [0, 1, 2])).samples)
        3
    """
    if not memory.samples.has_labels:
        raise DataError("the images have no labels: give one class per image: plexus.fit(images, labels)")
    return memory


def plain(value: Any) -> Any:
    """Return a number of numpy as Python's, a path as text, a list as the tuple that options hold.

    Args:
        value: of an option.

    Example:
        >>> plain([np.int64(3), Path("a")])
        (3, 'a')
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    return tuple(map(plain, value)) if isinstance(value, list) else value


def named_legos(legos: Any) -> tuple[str, Legos | None]:
    """Return the name that the options have for legos, and the function, where they are in memory.

    Args:
        legos: a function, a list of modules, or ``FILE.py:function``.

    Raises:
        ConfigError: none of these.

    Example:
        >>> named_legos("layers.py:stack")
        ('layers.py:stack', None)
    """
    if isinstance(legos, str):
        return legos, None
    if isinstance(legos, Path) or not (callable(legos) or isinstance(legos, Iterable)):
        raise ConfigError(f"legos are {short(legos)}: give a function, a list of modules, or FILE.py:function")
    if callable(legos) and not isinstance(legos, Iterable):  # a list of torch's is both
        return MEMORY, legos
    return MEMORY, lambda in_shape: copy.deepcopy(list(legos))
