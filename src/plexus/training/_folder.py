"""Folders that runs leave: made whole or not at all, never over something of the user's; knows no torch."""

from __future__ import annotations

import datetime
import errno
import hashlib
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plexus
from plexus.errors import RunError
from plexus.record import FORMAT, KINDS, to_json
from plexus.training._run import _RUN, _cores, _processor, _version, leader
from plexus.training._settings import Settings


def make_run(
    config: Settings, folder: str | Path | None, facts: Mapping[str, Any], *, now: datetime.datetime | None = None
) -> Path:
    """Creates a run folder with its config and an unfinished record: both or nothing.

    Args:
        config: options of the run; its `data` and `seed` are read.
        folder: where; by default `runs/DATA-DATE-TIME`.
        facts: `kind` of the run, the `verb` that goes on with it, and the `command` line that reproduces it.
        now: the time to name and stamp it with.

    Returns:
        The folder.

    Raises:
        RunError: the folder exists and is not empty, or cannot be made.
    """
    if not leader():  # the process that leads made it
        return Path(os.environ[_RUN])
    options: Any = config
    now = now or datetime.datetime.now(datetime.UTC)
    stem = Path(options.data).name or "data"
    place = Path(folder) if folder is not None else Path("runs") / f"{stem}-{now:%Y%m%d-%H%M%S}"
    record = {
        "format": FORMAT,
        "kind": facts["kind"],
        "created": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "command": facts["command"],
        "seed": options.seed,
        "finished": False,
        "config": {},
        "versions": versions(),
        "machine": {"processor": _processor(), "cores": _cores(), "system": platform.platform(terse=True)},
    }
    make_folder(
        place,
        {"record.json": to_json(record).encode(), "config.yaml": config.to_yaml().encode()},
        again=facts["verb"],
    )
    os.environ[_RUN] = str(place)
    return place


def versions() -> dict[str, str]:
    """Of what a run depends on."""
    libraries = {name: _version(name) for name in ("torch", "lightning")}
    return {"plexus": plexus.__version__, "python": platform.python_version(), **libraries}


def make_folder(place: Path, files: Mapping[str, bytes], *, again: str = "") -> None:
    """Fills a folder beside the place and moves it there, so that it is there whole or not at all.

    Args:
        place: the folder to make.
        files: path inside it -> content.
        again: the verb that goes on with such a folder, for the message.

    Raises:
        RunError: the folder exists and is not empty, or cannot be made.
    """
    refuse_used(place, again=again)
    aside = place.absolute().with_name(f".{place.absolute().name}.{os.getpid()}.new")
    try:
        aside.mkdir(parents=True)
        for name, content in files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_bytes(content)
        aside.rename(place)  # replaces an empty folder, and refuses any other
    except OSError as error:
        refuse_used(place, again=again)  # another process made it just now
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(f"{place}: cannot create the folder: {error.strerror}; choose one you may write to") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def refuse_used(place: Path, *, again: str = "") -> None:
    """Nothing of the user's is overwritten.

    Raises:
        RunError: the place exists and is not an empty folder.
    """
    try:
        used = place.exists() and (not place.is_dir() or any(place.iterdir()))
    except OSError as error:
        raise RunError(f"{place}: cannot look into the folder: {error.strerror}; name another") from None
    if used and again and (place / "config.yaml").is_file():
        raise RunError(
            f"{place}: the run folder exists and is not empty; go on with `plexus {again} --resume {place}`, "
            "or name another with --run"
        )
    if used:
        raise RunError(f"{place}: exists and is not an empty folder; name another with {'--run' if again else '--out'}")


def check_place(place: Path) -> None:
    """Nothing is computed for a place that cannot be made.

    Raises:
        RunError: a part of the path is a file, or nothing may be written there.
    """
    above = next(folder for folder in place.absolute().parents if folder.exists())
    if not above.is_dir():
        raise RunError(f"{place}: cannot be made: {above} is a file; name another place with --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise RunError(f"{place}: cannot be made: you may not write to {above}; name another place with --out")


def open_folder(folder: str | Path, *, kind: str, verb: str) -> dict[str, Any]:
    """The record of a run folder that holds a config.

    Raises:
        RunError: there is none, or it is broken or of another kind.
    """
    place = Path(folder)
    if not (place / "config.yaml").is_file():
        raise RunError(f"{place}: not a run folder (it has no config.yaml); name one of `plexus {verb}`")
    return read_record(place / "record.json", kind=kind, verb=verb)


def read_record(path: Path, *, kind: str, verb: str) -> dict[str, Any]:
    """A record of one kind.

    Raises:
        RunError: it is missing, broken or of another kind.
    """
    record = KINDS[kind].read(path)
    if "machine" not in record.model_fields_set:
        raise RunError(f"{path}: broken: it does not name the machine; train anew")
    return {name: part for name, part in record.to_dict().items() if name in record.model_fields_set}


def digest(*contents: bytes) -> str:
    """`sha256:` and the digest of some bytes."""
    total = hashlib.sha256()
    for content in contents:
        total.update(len(content).to_bytes(8, "little") + content)
    return f"sha256:{total.hexdigest()}"


def absolute(path: str) -> str:
    """A path that is there, from the root; anything else, as a hub id, as it is."""
    return os.path.abspath(path) if os.path.exists(path) else path
