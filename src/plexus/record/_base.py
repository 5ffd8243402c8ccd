"""The base of all records: parts with types, checked where they are read, in files that are never half there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from plexus.errors import PlexusError, RunError, TrainingError

FORMAT = 1
"""Of the JSON that a record is written as."""
_BITMAP = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}\Z")


def _scalar(value: Any) -> Any:
    """The number in a numpy scalar or 0-d tensor; None for NaN and infinity, which JSON does not know."""
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[int | float | None, BeforeValidator(_scalar)]  # a union, so that 1 is not written back as 1.0
Real = Annotated[int | float, BeforeValidator(_scalar)]
Count = Annotated[int | None, BeforeValidator(_scalar)]
Picture = Annotated[str, BeforeValidator(lambda uri: uri if isinstance(uri, str) and _BITMAP.match(uri) else "")]
"""An embedded bitmap; anything else a page might be made to load is dropped here."""


class Part(BaseModel):
    """Part of a record; names that this version does not know are kept, so that writing it again loses nothing."""

    # strict: "1" is no number and 1 is no bool, so that a foreign file is told and not reinterpreted
    model_config = ConfigDict(extra="allow", strict=True, validate_assignment=True)


class Record(Part):
    """The parts that every kind of record has; see its kinds for the rest.

    A record is data and nothing else: a page is a function of it. Parts that are not there yet are empty, so that the
    record of a run that is under way, or was stopped, reads like any other.

    Args:
        format: of the record itself.
        kind: what made the record.
        created: time of the start, ISO 8601 in UTC.
        command: the command line that reproduces it.
        seed: the seed everything random came from.
        finished: whether the end was reached.
        config: option -> value.
        versions: library -> version.
        machine: what it was measured on.
        data: what it was made from.
        seconds: part of the work -> time spent.

    Raises:
        RunError: from `from_dict` and `read`, naming the file, what is wrong, and the remedy.

    Example:
        >>> record = Record(kind="fit", command="plexus fit digits", seconds={"train": 1.5})
        >>> record.to_json().splitlines()[2]
        '"kind": "fit",'
    """

    model_config = ConfigDict(extra="forbid")
    verb: ClassVar[str] = "fit"
    remedy: ClassVar[str] = "train anew"

    class Data(Part):
        """The data of a run, as far as the kind of run knows it."""

        name: str = ""
        spec: str = ""
        fingerprint: str = ""
        classes: list[str] = []
        in_shape: list[int] = []
        counts: dict[str, int] = {}
        class_counts: list[int] = []
        copies: dict[str, int] = {}
        original_size: list[Real] = []
        labelled: Count = None
        images: Count = None
        present: Count = None
        test: Count = None
        groups: Count = None
        layout: str = ""
        splits: dict[str, int] = {}
        masks: bool | None = None
        size: list[int] = []
        trained_size: list[Real] = []
        channels: Count = None
        white: Count = None
        greys: Count = None
        fit: Literal["squash", "letterbox", "crop"] | None = None
        skipped: list[str] = []
        notes: list[str] = []
        scale: list[Real] | None = Field(default=None, min_length=2, max_length=2)
        numbers: bool = False

    class Epoch(Part):
        """One epoch of a training; what was not measured is None."""

        phase: str = ""
        epoch: int = 0
        train_loss: Number = None
        val_loss: Number = None
        val_accuracy: Number = None
        val_dice: Number = None
        val_unexplained: Number = None
        gates: list[Number] | None = None
        seconds: Number = None

    format: int = FORMAT
    kind: str = ""
    created: str = ""
    command: str = ""
    seed: int = 0
    finished: bool = False
    config: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    data: Data = Field(default_factory=Data)
    seconds: dict[str, Number] = {}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only: tuples become lists, NaN and infinity None."""
        return {name: plain(getattr(self, name)) for name in type(self).model_fields}

    def to_json(self) -> str:
        """Return the text of the file: one part a line, one list entry a line."""
        return to_json(self.to_dict())

    def write(self, path: str | Path) -> Path:
        """Write the record whole or not at all; see `atomic_write`."""
        return atomic_write(path, self.to_json())

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Return the record of a dict; a part that is missing or None takes its empty default."""
        return cls._parse(plain(raw))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return the record in a file; one that is missing, broken or foreign raises a RunError that names it."""
        raw = read_json(path, cls.remedy)
        try:
            return cls._parse(raw)
        except RunError as error:
            raise RunError(f"{path}: {error}") from None

    @classmethod
    def _parse(cls, raw: Any) -> Self:
        kind = cls.model_fields["kind"].default
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise RunError(f'not a run record: expected a JSON object with "format": {FORMAT}; {cls.remedy}')
        if raw.get("kind", kind) != kind:
            raise RunError(f"not the record of `plexus {cls.verb}`; name a folder that it made")
        try:
            record = cls(**{name: part for name, part in raw.items() if part is not None})
        except ValidationError as error:
            raise RunError(_complaint(error, cls.remedy)) from None
        record.check()
        return record

    def check(self) -> None:
        """Refuse parts of the right types that do not fit together, such as an index that leads nowhere.

        Raises:
            RunError: they do not.
        """
        if misfit := self._misfit():
            raise RunError(f"broken: {misfit}; {self.remedy}")

    def _misfit(self) -> str | None:
        """Return what does not fit, or None."""
        return None


def _complaint(error: ValidationError, remedy: str) -> str:
    """The first of pydantic's errors in one line of ours."""
    first = error.errors(include_url=False)[0]
    place = ""
    for step in first["loc"]:
        if step in ("int", "float"):  # the members of a union
            break
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    if first["type"] == "extra_forbidden":
        return f"not a run record of this version: unknown part {place!r}; upgrade plexus"
    if first["type"] == "missing":
        return f"broken: {place!r} is missing; {remedy}"
    either = first["loc"][-1] == "int"  # a whole number or any other
    wanted = "a number" if either else _WORDS.get(first["type"]) or first["msg"].removeprefix("Input should be ")
    return f"broken: {place!r} should be {wanted}, got {first['input']!r:.40}; {remedy}"


_WORDS = {
    "list_type": "a list", "dict_type": "an object", "model_type": "an object", "bool_type": "true or false",
    "int_type": "a whole number", "float_type": "a number", "string_type": "text",
}  # fmt: skip


def read_json(
    path: str | Path,
    remedy: str = Record.remedy,
    *,
    kind: str = "run record",
    missing: str = "name a run folder",
    error: type[PlexusError] = RunError,
) -> Any:
    """Read a JSON file; NaN and infinity, which are no JSON, become None.

    Args:
        path: the file.
        remedy: what the message about a broken file says at its end.
        kind: what the file should be, for the messages.
        missing: the remedy where it cannot be read.
        error: the class to raise.

    Raises:
        RunError: or the class asked for: it cannot be read, or is no JSON.

    Example:
        >>> read_json("nowhere/record.json")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere/record.json: cannot read the run record: No such file or directory; ...
    """
    try:
        return json.loads(read_file(path, MOST), parse_constant=lambda _: None)
    except OSError as fault:
        raise error(f"{path}: cannot read the {kind}: {fault.strerror}; {missing}") from None
    except (ValueError, RecursionError):
        raise error(f"{path}: not a {kind}: the file is not JSON, or it was cut short; {remedy}") from None


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


def to_json(parts: Mapping[str, Any]) -> str:
    """Return an object as JSON text, one part a line and one list entry a line; NaN and infinity become null.

    Args:
        parts: name -> anything that `plain` takes.

    Example:
        >>> print(to_json({"loss": float("nan"), "rows": [[1], [2]]}), end="")
        {
        "loss": null,
        "rows": [
          [1],
          [2]
        ]
        }
    """
    return "{\n" + ",\n".join(f"{_dump(str(name))}: {_lines(plain(part))}" for name, part in parts.items()) + "\n}\n"


def plain(value: Any) -> Any:
    """Return the same value in JSON's own types; scalars of numpy and torch give their number, NaN and infinity None.

    Args:
        value: anything; what JSON has no type for, such as a path, becomes text.

    Example:
        >>> plain({"size": (1, 2), "rate": float("inf"), "file": Path("a")})
        {'size': [1, 2], 'rate': None, 'file': 'a'}
    """
    value = _scalar(value)
    if isinstance(value, Part):
        parts = {name: plain(part) for name, part in value}  # what was never set, nor filled in place, is not written
        return {name: part for name, part in parts.items() if part or name in value.model_fields_set}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value).encode(errors="backslashreplace").decode()  # file names need not be UTF-8


def spreadsheet_cell(value: Any) -> Any:
    """Return a value as a table may hold it that a spreadsheet opens: a text never begins a formula.

    Args:
        value: a text gets an apostrophe in front where it would; numbers stay.

    Example:
        >>> spreadsheet_cell("=HYPERLINK(1).png"), spreadsheet_cell(-1)
        ("'=HYPERLINK(1).png", -1)
    """
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value


_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Signs that begin a formula, those of full width included, which some spreadsheets take for the others."""


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _lines(part: Any) -> str:
    if isinstance(part, list) and part and isinstance(part[0], dict | list):
        return "[\n  " + ",\n  ".join(map(_dump, part)) + "\n]"
    return _dump(part)


def digest(*contents: bytes) -> str:
    """Return ``sha256:`` and the digest of some bytes; the length of each counts.

    Args:
        contents: bytes, in their order.

    Example:
        >>> digest(b"ab", b"c") == digest(b"a", b"bc")
        False
    """
    total = hashlib.sha256()
    for content in contents:
        total.update(len(content).to_bytes(8, "little") + content)
    return f"sha256:{total.hexdigest()}"


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
    try:
        if path.exists():  # a file renamed to /dev/null, which root may do, would take its place for everyone
            _refuse_devices(path)
        _replace(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainingError(f"{path}: the disk is full; make room, then go on; a run with --resume RUN") from error
        remedies = {
            errno.EINVAL: "name another file",
            errno.ENOENT: "its folder is not there: make it, or see what took it away",
        }
        remedy = remedies.get(error.errno or 0, "choose a folder you may write to")
        raise RunError(f"{path}: cannot write: {error.strerror}; {remedy}") from error
    return path


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
        plexus.errors.RunError: ..._base.py: is a file; name another place with --out
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


def _replace(path: Path, data: bytes) -> None:
    """Temporary file in the same folder, flushed to the disk, then renamed over the target."""
    _sweep(path)
    try:
        _put(path, data)
    except FileNotFoundError:  # another's sweep took it in the moment before its lock; or the folder is gone
        _put(path, data)


def _put(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            _lock(file.fileno())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before the rename, else a power cut may leave the new name with no content
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself is in the folder
    finally:
        os.close(folder)
