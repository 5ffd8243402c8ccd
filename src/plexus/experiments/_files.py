"""Studies in Python files: by path, or by name in the nearest folder `studies`."""

from __future__ import annotations

import difflib
import hashlib
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from plexus.errors import ConfigError, PlexusError
from plexus.experiments._study import Study
from plexus.user_code import run_file

FOLDER = "studies"
PACKAGE = "plexus_studies_"
_HAS_STUDY = re.compile(r"^STUDY\b", re.MULTILINE)


def studies_folder(start: str | Path = ".") -> Path | None:
    """Return the nearest folder `studies` with a study in it, at or above a place.

    Args:
        start: where to begin; the working directory unless given.

    Returns:
        The folder, or None where there is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "studies").mkdir()
        ...     _ = Path(folder, "studies", "gain.py").write_text("STUDY = ...")
        ...     studies_folder(Path(folder, "studies")).name
        'studies'
    """
    here = Path(start).absolute()
    return next((p / FOLDER for p in (here, *here.parents) if _studies(p / FOLDER)), None)


def names(start: str | Path = ".") -> list[str]:
    """Return the names of the studies in the nearest folder `studies`.

    Args:
        start: where to look, and above; the working directory unless given.

    Returns:
        Names of files without their `.py`, in order; none where there is no such folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "studies").mkdir()
        ...     _ = Path(folder, "studies", "gain.py").write_text("STUDY = ...")
        ...     names(folder)
        ['gain']
    """
    folder = studies_folder(start)
    return [] if folder is None else _studies(folder)


def load(name: str | Path) -> Study:
    """Load the `STUDY` of a Python file.

    The file may import what lies beside it, by its name as in a script or with a dot as in a package.

    Args:
        name: a path that ends in `.py`, or one of `names()`.

    Returns:
        The study.

    Raises:
        ConfigError: no such study or file, the file cannot be run, or it has no `STUDY`.

    Example:
        >>> import tempfile
        >>> text = '''
        ... from plexus.experiments import Scale, Study, Variant
        ... def trial(job):
        ...     return {"test_accuracy": 90.0}
        ... STUDY = Study("gain", "?", "a", (Variant("a"),), {"quick": Scale(None, 1, 3)}, "digits", trial)
        ... '''
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "gain.py")
        ...     _ = file.write_text(text)
        ...     load(file).baseline
        'a'
    """
    text = str(name)
    if not text.endswith(".py"):
        text = str(_named(text))
    study = getattr(load_module(text), "STUDY", None)
    if not isinstance(study, Study):
        raise ConfigError(f"{name}: has no study: give the file a constant STUDY = plexus.experiments.Study(...)")
    return study


def load_module(path: str | Path) -> ModuleType:
    """Run a Python file as a module of its folder, so that it can import what lies beside it.

    Args:
        path: the file.

    Returns:
        The module.

    Raises:
        ConfigError: no such file, or whatever it raises, in one line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "parts.py").write_text("ANSWER = 42")
        ...     _ = Path(folder, "whole.py").write_text("from .parts import ANSWER")
        ...     load_module(Path(folder, "whole.py")).ANSWER
        42
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"{path}: no such file; a study is one Python file with a constant STUDY")
    folder = file.resolve().parent
    package = PACKAGE + hashlib.sha256(bytes(folder)).hexdigest()[:8]  # two folders may have files of the same name
    _enter(package, folder)
    try:
        return run_file(file, f"{package}.{file.stem}")
    except PlexusError as error:
        raise ConfigError(f"{path}: {error}") from error
    except Exception as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Home:
    """The folder of a study's file, from which another process must import before it can unpickle the study.

    Args:
        package: the name that the folder's modules are known by.
        folder: on this machine.
        sources: file name -> content of the Python files in it, for a machine that does not have the folder.
    """

    package: str
    folder: str
    sources: Mapping[str, bytes] | None = None

    def enter(self) -> None:
        """Make the folder's modules importable in this process."""
        if self.package in sys.modules:
            return
        folder = Path(self.folder)
        if self.sources is not None:
            folder = Path(tempfile.mkdtemp(prefix="plexus-studies-"))
            for name, content in self.sources.items():
                (folder / name).write_bytes(content)
        _enter(self.package, folder)


def home_of(study: Study, *, travels: bool = False) -> Home | None:
    """Return where a study was loaded from; None where a plain import finds it.

    Args:
        study: any.
        travels: take the folder's sources along.
    """
    package = study.trial.__module__.partition(".")[0]
    if not package.startswith(PACKAGE):
        return None
    folder = Path(sys.modules[package].__path__[0])
    return Home(package, str(folder), {p.name: p.read_bytes() for p in folder.glob("*.py")} if travels else None)


def _enter(package: str, folder: Path) -> None:
    """Name a folder's package, for imports with a dot, and let Python find its files, for those without."""
    if package not in sys.modules:
        module = ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last, so that a file named as a library does not take its place


def _studies(folder: Path) -> list[str]:
    """Names of the files in a folder that define a study, seen without running them."""
    files = sorted(folder.glob("*.py"))
    return [p.stem for p in files if _HAS_STUDY.search(p.read_text(encoding="utf-8", errors="replace"))]


def _named(name: str) -> Path:
    """The file of a study in the nearest folder."""
    folder = studies_folder()
    if folder is None:
        raise ConfigError(
            f"unknown study {name!r}: there is no folder {FOLDER}/ here or above; run a file of your own, "
            "`plexus study run FILE.py`, or go to a clone of plexus, which has the studies of the notes"
        )
    there = _studies(folder)
    if name in there:
        return folder / f"{name}.py"
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(there)}"
    raise ConfigError(f"unknown study {name!r}: {hint}; or name a .py file")
