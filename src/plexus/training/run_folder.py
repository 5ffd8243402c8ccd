"""Folders that runs leave: made whole or not at all, owned by one process at a time, never over a user's; no torch."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import plexus
from plexus.errors import RunError
from plexus.record import FORMAT, atomic_write, digest, read_file, read_json, to_json
from plexus.user_code import split_weights

_RUN = "PLEXUS_RUN"  # the processes that Lightning starts for other devices find the run folder by it
_last: list[Path] = []


def is_rank_zero() -> bool:
    """Return whether this process is the one that writes files: the only one, or rank 0 of several.

    Example:
        >>> is_rank_zero()  # nothing else was started
        True
    """
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


def last_run() -> Path | None:
    """Return the run folder that this process made or opened last.

    Example:
        >>> last_run() is None or last_run().name != ""
        True
    """
    return _last[-1] if _last else None


def _work_in(folder: Path | None) -> None:
    """Name the run folder to the processes that are started from here; None where there is none any more."""
    if folder is None:
        os.environ.pop(_RUN, None)
    else:
        os.environ[_RUN] = str(folder)
        _last[:] = [folder]


def make_run_folder(
    folder: str | Path | None, files: Mapping[str, str], *, data: str, verb: str, now: datetime.datetime
) -> Path:
    """Make a run folder with its config and an unfinished record: both or nothing.

    Args:
        folder: where; by default `runs/DATA-DATE-TIME`.
        files: name -> content.
        data: what the default folder is named by.
        verb: that goes on with it, for the message where the folder is in use.
        now: the time to name it with.

    Returns:
        The folder.

    Raises:
        RunError: the folder exists and is not empty, or cannot be made.
    """
    if not is_rank_zero():  # that one made it
        if _RUN not in os.environ:
            raise RunError(
                f"this is process {os.environ.get('LOCAL_RANK')} of several, and the first did not say which run "
                "folder it made: start plexus in one process, and it starts those for other devices itself"
            )
        return Path(os.environ[_RUN])
    _last.clear()
    stem = Path(data).name[:100] or "data"  # no file system takes names of more than 255
    path = Path(folder) if folder is not None else _unused(Path("runs") / f"{stem}-{now:%Y%m%d-%H%M%S}")
    make_folder(path, {name: text.encode() for name, text in files.items()}, verb=verb, write=atomic_write)
    _work_in(path)
    return path


def _unused(path: Path) -> Path:
    """The path, or with a number behind it where another run began in the same second."""
    return next(p for k in count(1) if not (p := path if k == 1 else path.with_name(f"{path.name}-{k}")).exists())


_RESERVE = bytearray(2**20)
"""Given back where a run folder is taken away: to list its files needs memory, which may be what was short."""


def discard(folder: Path) -> None:
    """Take back a run folder in which nothing was trained."""
    if is_rank_zero():
        _RESERVE.clear()
        shutil.rmtree(folder, ignore_errors=True)
        _work_in(None)
        _last.clear()


class Lock:
    """Keeps a second process out of a run folder; gone with the process, however it ends.

    Raises:
        RunError: on entry, where another process holds it or the folder may not be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Lock:
        if not is_rank_zero():
            return self
        try:
            # The config is written once and never replaced: a lock on a file that is replaced would be on the old one.
            self._file = (self.folder / "config.yaml").open("r+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RunError(
                f"{self.folder}: another process is at work in this run folder; wait for it, or stop it"
            ) from None
        except OSError as error:
            raise RunError(f"{self.folder}: cannot go on in this run folder: {error.strerror}") from None
        _work_in(self.folder)
        for left in self.folder.rglob(".*.tmp"):  # what a killed process was about to write
            left.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: Any) -> None:
        if is_rank_zero():
            self._file.close()
            _work_in(None)


def make_folder(
    path: Path, files: Mapping[str, bytes], *, verb: str = "", write: Callable[[Path, bytes], object] = Path.write_bytes
) -> None:
    """Fill a folder beside the path and move it there, so that it is there whole or not at all.

    Args:
        path: the folder to make.
        files: path inside it -> content.
        verb: that goes on with such a folder, for the message.
        write: each file; many of them need not each wait for the disk.

    Raises:
        RunError: the folder exists and is not empty, or cannot be made.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     make_folder(Path(folder, "new"), {"a.txt": b"here"})
        ...     Path(folder, "new", "a.txt").read_text()
        'here'
    """
    refuse_used(path, verb=verb)
    # Beside the path, so that it is on the same file system: a rename there is one step.
    aside = path.absolute().with_name(f".{path.absolute().name}.{secrets.token_hex(4)}.new")
    try:
        with _held_aside(aside):
            for name, content in files.items():
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                write(aside / name, content)
            aside.rename(path)  # replaces an empty folder, and refuses any other
    except OSError as error:
        refuse_used(path, verb=verb)  # another process made it just now
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        what = "run folder" if verb else "folder"
        raise RunError(f"{path}: cannot create the {what}: {error.strerror}; choose one you may write to") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _held_aside(aside: Path) -> Iterator[None]:
    """Make a folder, locked while it is filled; those of the same name whose process was killed are taken away.

    A lock and not the number of the process tells who lives: containers that share a disk count from 1 each.
    """
    aside.parent.mkdir(parents=True, exist_ok=True)
    above = os.open(aside.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network disks have no locks
            fcntl.flock(above, fcntl.LOCK_EX)  # between making and locking, another's sweep would take it
        _sweep(aside)
        aside.mkdir()
        held = _locked(aside)
    finally:
        os.close(above)
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def _sweep(aside: Path) -> None:
    name = re.compile(re.escape(aside.name[: -len("01234567.new")]) + r"[0-9a-f]+\.new")
    for left in [entry.path for entry in os.scandir(aside.parent) if name.fullmatch(entry.name) and entry.is_dir()]:
        if (held := _locked(Path(left))) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)


def _locked(folder: Path) -> int | None:
    """Lock a folder; None where another process holds it, or the disk has no locks."""
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def refuse_used(path: Path, *, verb: str = "") -> None:
    """Refuse a place that holds something of the user's.

    Args:
        path: where a folder is to be.
        verb: that makes run folders there; without it, one that takes --out.

    Raises:
        RunError: the path exists and is not an empty folder.

    Example:
        >>> refuse_used(Path("nowhere"))
    """
    try:
        used = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as error:
        raise RunError(f"{path}: cannot look into the folder: {error.strerror}; name another") from None
    if used and verb and (path / "config.yaml").is_file():
        raise RunError(
            f"{path}: the run folder exists and is not empty; go on with `plexus {verb} --resume {path}`, "
            "or name another with --run"
        )
    if used:
        raise RunError(f"{path}: exists and is not an empty folder; name another with {'--run' if verb else '--out'}")


CHECKSUMS = "checksums.json"


def write_checked(path: Path, content: bytes) -> None:
    """Write a file of a phase, whole or not at all, and its checksum beside it.

    The checksum comes first, and that of the file it replaces stays with it: whenever and however often the process
    dies, what lies there is one of the two. A file that was none of them before does not become one.

    Args:
        path: the file.
        content: its bytes.

    Raises:
        TrainingError: the disk is full.
        RunError: nothing may be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_checked(Path(folder, "history.json"), b"[]")
        ...     read_checked(Path(folder, "history.json"))
        b'[]'
    """
    sums = _checksums(path.parent)
    try:
        there = digest(path.read_bytes())  # after two deaths that may be older than the checksum before
    except OSError:
        there = ""
    sums[path.name] = [digest(content), *([there] if there in sums.get(path.name, ()) else [])]
    facts = {"format": FORMAT, "plexus": plexus.__version__, "files": sums}
    atomic_write(path.parent / CHECKSUMS, to_json(facts))
    atomic_write(path, content)


def read_checked(path: Path) -> bytes:
    """Return the bytes of a file that `write_checked` left.

    Args:
        path: the file.

    Raises:
        RunError: it is not there, or is not what was left there.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}; remove its folder to train the phase anew") from None
    if digest(content) not in _checksums(path.parent).get(path.name, ()):
        raise RunError(
            f"{path}: broken, or changed since it was written: its checksum is not that in {CHECKSUMS}; "
            f"remove the folder {path.parent} to train the phase anew"
        )
    return content


def _checksums(folder: Path) -> dict[str, list[str]]:
    """The digests that each file of a phase may have; none where they cannot be read."""
    try:
        facts = read_json(folder / CHECKSUMS)
        files = facts["files"] if facts["format"] == FORMAT else {}
        return {name: [str(one) for one in sums] for name, sums in files.items()}
    except (RunError, KeyError, TypeError, AttributeError):
        return {}


def fingerprint(option: str) -> str:
    """Return the digest of what a run depends on: FILE, FILE.py:function+WEIGHTS, or the model in a run folder.

    Of Python files it covers the modules beside them that they import; of folders, the model and its options.
    """
    path, weights = Path(option), ""
    if not path.exists() and ".py:" in option:
        where, weights = split_weights(option)
        path = Path(where.rpartition(":")[0])
    if path.is_dir():
        names = ("config.json", "model.safetensors", "model.onnx")
        files = [file for part in ("", "model") for name in names if (file := path / part / name).is_file()]
    else:
        files = [path, *(_imported(path) if path.suffix == ".py" and path.is_file() else ())]
        files += [Path(weights)] if weights else []
    try:
        return digest(*(read_file(file) for file in files))
    except (OSError, ValueError) as error:  # a name that no file system takes: reading it will say what is wrong
        return f"unreadable: {getattr(error, 'strerror', None) or error}"


def _imported(script: Path) -> list[Path]:
    """The modules of a script's own folder that it imports, at any depth; nothing is executed."""
    finder = ModuleFinder(path=[str(script.parent)])
    try:
        finder.run_script(str(script))
    except (SyntaxError, ValueError, OSError, RecursionError):
        return []  # running it will say what is wrong
    files = {name: getattr(module, "__file__", None) for name, module in finder.modules.items()}
    return sorted(Path(file) for name, file in files.items() if file and name != "__main__")
