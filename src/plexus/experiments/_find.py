"""Finds a study: by its name among plexus's own, or in a Python file."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from types import ModuleType

from plexus.errors import ConfigError, PlexusError
from plexus.experiments._study import Study
from plexus.user_code import run_file

_OTHERS = frozenset({"claims"})  # modules beside the studies that are none


def names() -> list[str]:
    """The names of plexus's own studies.

    Example:
        >>> "toy" in names()
        False
    """
    here = Path(__file__).parent
    return sorted(p.stem for p in here.glob("*.py") if not p.stem.startswith("_") and p.stem not in _OTHERS)


def load(name: str | Path) -> Study:
    """A study by its name, or the `STUDY` of a Python file.

    Args:
        name: one of `names()`, or a path that ends in `.py`.

    Returns:
        The study.

    Raises:
        ConfigError: no such study or file, the file cannot be run, or it has no `STUDY`.

    Example:
        >>> load("neurons").baseline in {variant.name for variant in load("neurons").variants}
        True
    """
    text = str(name)
    if text in names():
        return _study_of(importlib.import_module(f"plexus.experiments.{text}"), text)
    if text.endswith(".py"):
        return _study_of(_module(Path(text)), text)
    near = difflib.get_close_matches(text, names(), n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names()) or 'none'}; or name a .py file"
    raise ConfigError(f"unknown study {text!r}: {hint}")


def _module(path: Path) -> ModuleType:
    """The module in a file."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; a study is one Python file with a constant STUDY")
    try:
        return run_file(path, f"plexus_study_{path.stem}")
    except PlexusError as error:
        raise ConfigError(f"{path}: {error}") from error
    except Exception as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error


def _study_of(module: ModuleType, name: str) -> Study:
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise ConfigError(f"{name}: has no study: give the file a constant STUDY = plexus.experiments.Study(...)")
    return study
