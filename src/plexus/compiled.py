"""Numba's decorator as the kernels use it: compiled once for each machine, or in each process where nothing is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function on its first call, without the GIL; the code is kept where there is a folder for it.

    Numba keeps it beside the source or in the user's cache, and raises where it may write to neither.

    Args:
        options: more for `numba.njit`.

    Example:
        >>> compiled()(lambda x: x + 1)(1)
        2
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return nb.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # "no locator available": each process compiles anew, for seconds
            return nb.njit(nogil=True, **options)(function)

    return decorate
