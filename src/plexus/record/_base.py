"""The base of all records: parts with types, checked where they are read."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from plexus.errors import PlexusError, RunError
from plexus.record._files import MOST, atomic_write, read_file

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
    """Return the same value in JSON's own types: arrays and tensors as their numbers, NaN and infinity as None.

    Args:
        value: anything; what JSON has no type for, such as a path, becomes text.

    Example:
        >>> plain({"size": (1, 2), "rate": float("inf"), "file": Path("a")})
        {'size': [1, 2], 'rate': None, 'file': 'a'}
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
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
