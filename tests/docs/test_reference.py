"""Every public name is explained as the reference needs it; see `docstrings` for the rule."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from types import GenericAlias
from typing import Any

import pytest
from torch import Tensor

from plexus.errors import ConfigError
from scripts.docs import public_modules
from tests.docs.docstrings import complaints, documented, public_names

MODULES = public_modules()
NAMES = [f"{module}.{name}" for module in MODULES for name in public_names(importlib.import_module(module))]


def test_the_public_packages_are_found() -> None:
    assert {"plexus.nn", "plexus.nn.functional", "plexus.wiring", "plexus.training", "plexus.errors"} <= set(MODULES)
    assert not {"plexus.cli", "plexus.nn.kernels"} & set(MODULES)
    assert "plexus.nn.RotConv2d" in NAMES


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_says_what_it_is(module: str) -> None:
    assert (importlib.import_module(module).__doc__ or "").strip().split("\n")[0].endswith((".", ":", ";"))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_explained(name: str) -> None:
    place, _, last = name.rpartition(".")
    module = importlib.import_module(place)
    thing = getattr(module, last)
    explains_itself = callable(thing) and not isinstance(thing, GenericAlias)
    found = complaints(name, thing) if explains_itself else []
    if not explains_itself and not documented(module, last):
        found = [f"{name}: a constant without a line below it that says what it is"]
    assert found == []


def good(x: Tensor) -> Tensor:
    """Doubles.

    Args:
        x: numbers, (N,).

    Returns:
        (N,).

    Example:
        >>> good(2)
        4
    """
    return 2 * x


def bare(x: Tensor) -> Tensor:
    return x


def silent(x: int) -> int:
    """Refuses.

    Args:
        y: what is not there.
    """
    return _refuse(x)


def _refuse(x: int) -> int:
    if x:
        raise ConfigError("no")
    assert x == 0
    return x


def equation() -> None:
    """It holds.

    .. math:: a = b

    Example:
        >>> equation()
    """


@dataclass(frozen=True)
class Pair:
    """Two.

    Args:
        a, b: the two.

    Example:
        >>> Pair(1, 2).a
        1
    """

    a: int
    b: int

    def swap(self) -> Pair:
        return Pair(self.b, self.a)

    def refuse(self) -> int:
        """Refuses."""
        return _refuse(self.a)


BARE = 3
TOLD = 4
"""How many there are."""


@pytest.mark.parametrize(
    ("thing", "wrong"),
    [
        (good, []),
        (
            bare,
            ["no first sentence", "x is not explained", "without a shape", "no section Example"],
        ),
        (silent, ["x is not explained", "y is no parameter", "it can raise", "no section Example"]),
        (equation, ["an equation without"]),
        (Pair, ["swap: no docstring", "refuse: it can raise"]),
    ],
)
def test_what_is_missing_is_named(thing: Any, wrong: list[str]) -> None:
    found = complaints("it", thing)
    assert len(found) == len(wrong)
    assert all(words in line for words, line in zip(wrong, found, strict=True))


def test_no_example_is_skipped() -> None:
    def lazy() -> None: ...

    lazy.__doc__ = (
        (equation.__doc__ or "")
        .replace("()", "()  # doctest: " + "+SKIP")
        .replace("a = b", "")
        .replace(".. math::", "")
    )
    assert complaints("it", lazy) == ["it: an example that is skipped"]


def test_a_constant_needs_a_line_of_its_own() -> None:
    here = sys.modules[__name__]
    assert documented(here, "TOLD")
    assert not documented(here, "BARE")
