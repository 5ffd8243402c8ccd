"""Files that are read and written safely: never half there, never a pipe or a device."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from plexus.errors import RunError, TrainingError

MOST = 2**30
"""Bytes that a file of options, decisions or records has at most; a larger one was named by mistake."""


def read_file(path: str | Path, most: int | None = None) -> bytes:
    """Return the content of a regular file; a pipe would be waited for, a device such as /dev/zero has no end.

    Args:
        path: of a file.
        most: bytes it may have.

    Raises:
        OSError: it cannot be read, is something else than a regular file, or larger; `strerror` says so.

    Example:
        >>> read_file("/dev/zero")
        Traceback (most recent call last):
        OSError: [Errno 22] a device, not a regular file: '/dev/zero'
    """
    with open_file(path) as file:
        if most is not None and os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most:,} bytes, too large for such a file", os.fspath(path))
        return file.read()


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file for reading; see `read_file`.

    Args:
        path: of a file.

    Raises:
        OSError: it cannot be opened, or is something else than a regular file.

    Example:
        >>> open_file("/")
        Traceback (most recent call last):
        IsADirectoryError: [Errno 21] Is a directory: '/'
    """
    _refuse_devices(path)  # first: to open a device may do something to it
    return open(path, "rb")


def _refuse_devices(path: str | Path) -> None:
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise OSError(errno.EINVAL, f"{kind}, not a regular file", os.fspath(path))


def atomic_write(path: str | Path, content: bytes | str) -> Path:
    """Write a file so that a reader, or a run killed at any moment, sees the old content or the new, never a part.

    Args:
        path: the file; its folder must exist.
        content: text is written as UTF-8.

    Returns:
        The path.

    Raises:
        TrainingError: the disk is full; the old file is untouched.
        RunError: the folder is missing or may not be written, or a pipe or device is there, such as /dev/null.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     atomic_write(f"{folder}/record.json", "{}").read_text()
        '{}'
    """
    path = Path(path)
    _replace({path: content})
    return path


def write_together(folder: str | Path, files: Mapping[str, bytes | str | None]) -> None:
    """Write files of a folder that belong together: none takes its place before all are written; see `atomic_write`.

    Where one of them is refused its place, the old ones are put back; only a process killed in that moment leaves some
    old and some new.

    Args:
        folder: must exist.
        files: name -> content; None takes away what an earlier run left there.

    Raises:
        TrainingError: the disk is full; the old files are untouched.
        RunError: one of them may not be written, or is a folder, a pipe or a device; the old files are untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_together(folder, {"figures.json": "{}", "page.html": "<p>"})
        ...     write_together(folder, {"figures.json": "[]", "page.html": None})
        ...     [(path.name, path.read_text()) for path in Path(folder).iterdir()]
        [('figures.json', '[]')]
    """
    _replace({Path(folder, name): content for name, content in files.items()})


def check_place(path: str | Path, *, folder: bool = False, remedy: str = "name another place with --out") -> None:
    """Refuse a place where nothing can be written, before anything is computed for it; nothing is made there.

    Args:
        path: of a file to write, or of a folder to fill; its parents need not be there.
        folder: it is one.
        remedy: for the message.

    Raises:
        RunError: a file is where a folder should be, or the other way round, or nothing may be written there.

    Example:
        >>> check_place("nowhere/new.csv")
        >>> check_place(__file__, folder=True)
        Traceback (most recent call last):
        plexus.errors.RunError: ..._files.py: is a file; name another place with --out
    """
    whole = Path(path).absolute()
    if not folder and whole.is_dir():
        raise RunError(f"{path}: is a folder; {remedy}")
    if folder and whole.is_symlink() and not whole.exists():
        raise RunError(f"{path}: is a link that leads nowhere; {remedy}")
    above = next(place for place in (*([whole] if folder else []), *whole.parents) if place.exists())
    if not above.is_dir():
        raise RunError(f"{path}: {'is' if above == whole else f'{above} is'} a file; {remedy}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise RunError(f"{path}: {above} may not be written; {remedy}")


def _lock(file: int) -> bool:
    """Mark a file as one that a living process writes; False where another holds it, or the disk has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(path: Path) -> None:
    """Take away what killed processes were about to put in the file's place."""
    name = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{8}\.tmp")
    try:
        with os.scandir(path.parent) as entries:
            lefts = [entry.path for entry in entries if name.fullmatch(entry.name)]
    except OSError:
        return  # writing will say why
    for left in lefts:
        with contextlib.suppress(OSError), open(left, "rb") as file:
            if _lock(file.fileno()):
                os.unlink(left)


def _replace(files: Mapping[Path, bytes | str | None]) -> None:
    """Temporary files in the same folders, flushed to the disk; once all are there each is renamed over its target."""
    at = Path()
    try:
        with contextlib.ExitStack() as held:
            ready = []
            for at, content in files.items():
                _refuse_others(at)
                _sweep(at)
                data = content.encode() if isinstance(content, str) else content
                ready.append((at, None if data is None else held.enter_context(_written(at, data))))
            with contextlib.ExitStack() as undo:  # of several, those in place go back where a later one is refused
                for at, temporary in ready:
                    if len(ready) > 1:
                        undo.callback(_restore, at, held.enter_context(_kept(at)))
                    if temporary is None:
                        at.unlink(missing_ok=True)
                    else:
                        temporary.replace(at)
                undo.pop_all()
        for folder in {path.parent for path in files}:
            _flush(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainingError(f"{at}: the disk is full; make room, then go on; a run with --resume RUN") from error
        remedies = {
            errno.EINVAL: "name another file",
            errno.EISDIR: "take this folder away, or name another place",
            errno.ENOENT: "its folder is not there: make it, or see what took it away",
        }
        remedy = remedies.get(error.errno or 0, "choose a folder you may write to")
        raise RunError(f"{at}: cannot write: {error.strerror}; {remedy}") from error


def _refuse_others(path: Path) -> None:
    """A file renamed to /dev/null, which root may do, would take its place for everyone."""
    if path.exists():
        _refuse_devices(path)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))


@contextlib.contextmanager
def _written(path: Path, data: bytes) -> Iterator[Path]:
    """A new file beside the path, locked; it is taken away unless it was renamed."""
    temporary, file = _locked(path)
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before the rename, else a power cut may leave the new name with no content
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _locked(path: Path) -> tuple[Path, BinaryIO]:
    while True:
        temporary = _hidden(path)
        file = temporary.open("xb")
        _lock(file.fileno())
        if temporary.exists():  # else another's sweep took it in the moment before its lock
            return temporary, file
        file.close()


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[Path | None]:
    """The old file under a second name, or None where there is none."""
    if not os.path.lexists(path):
        yield None
        return
    old = _hidden(path)
    try:
        try:
            os.link(path, old, follow_symlinks=False)
        except OSError:  # a disk without links, or somebody else's file
            shutil.copy2(path, old, follow_symlinks=False)
        yield old
    finally:
        old.unlink(missing_ok=True)


def _restore(path: Path, old: Path | None) -> None:
    with contextlib.suppress(OSError):
        if old is None:
            path.unlink(missing_ok=True)
        else:
            old.replace(path)


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _flush(folder: Path) -> None:
    """Flush a folder to the disk: a rename is in it."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
