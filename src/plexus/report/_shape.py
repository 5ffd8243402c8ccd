"""Records of other versions or hands: every part has the kind that the page expects, or is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ANY = "*"
"""Stands for every name of an object, in a shape."""


def shaped(value: Any, shape: Any) -> Any:
    """A value of JSON with the given shape.

    Args:
        value: anything.
        shape: a dict of names and the shapes below them, other names being left as they are; a list of one shape, for
            a list whose entries must be of it; None for anything.

    Returns:
        The value; objects and lists where the shape has them, empty where the value has something else.

    Example:
        >>> shaped({"rows": [1, {"x": 2}], "name": "a"}, {"rows": [{}], "map": {}})
        {'rows': [{'x': 2}], 'name': 'a', 'map': {}}
    """
    if isinstance(shape, dict):
        found = dict(value) if isinstance(value, Mapping) else {}
        if ANY in shape:
            return {name: shaped(part, shape[ANY]) for name, part in found.items()}
        return found | {name: shaped(found.get(name), part) for name, part in shape.items()}
    if isinstance(shape, list):
        rows = list(value) if isinstance(value, list | tuple) else []
        return [shaped(row, shape[0]) for row in rows if shape[0] is None or isinstance(row, Mapping)]
    return value
