"""The run record: everything a run has to say, as plain JSON, written so that it is never half there."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from plexus.errors import RunError, TrainingError

FORMAT = 1
"""Of the JSON that a run record is written as."""


@dataclass(kw_only=True)
class RunRecord:
    """What `record.json` holds; every part but `format` may be missing while a run is under way.

    The record is data and nothing else: the report is a function of it. Parts are plain lists and dicts, so that a
    training loop can append to them and write the record again after every epoch.

    Args:
        kind: what made the record, "fit" for a training run.
        created: time of the start, ISO 8601 in UTC.
        command: the command line that reproduces the run.
        seed: the seed everything random came from.
        finished: whether the run reached its end.
        config: option -> value.
        versions: library -> version.
        machine: what the run was measured on.
        data: spec, name, fingerprint, classes, in_shape, counts, skipped.
        nodes: names in computing order, the input first and the head last.
        labels: node -> what it is, for people.
        epochs: phase, epoch, train_loss, val_loss, val_accuracy, seconds, and gates (one per edge) while learning.
        edges: one entry per connection: source, target, gate, strength, ablation, cost, kept.
        budgets: descending keep; each with edges, kept (indices into `edges`), parameters, macs, val_accuracy.
        chosen: index into `budgets`.
        results: test-set figures of each network: name, label, accuracy, ci, parameters, macs, latency_ms; and neurons,
            in words, where not all are plain.
        gap: accuracy before and after cutting, without any training in between.
        then: "finetune" or "retrain".
        confusion: counts, rows true and columns predicted.
        mistakes: the worst mistakes: name, image (a data URI), true, predicted, probability.
        seconds: phase -> time spent.
        format: of the record itself.

    Raises:
        RunError: from `from_dict` and `read`, naming what is wrong.

    Example:
        >>> record = RunRecord(command="plexus fit digits", nodes=["input", "lego1", "head"])
        >>> RunRecord.from_dict(record.to_dict()) == record
        True
    """

    format: int = FORMAT
    kind: str = "fit"
    created: str = ""
    command: str = ""
    seed: int = 0
    finished: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    edges: list[dict[str, Any]] = field(default_factory=list)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    chosen: int | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    gap: dict[str, Any] = field(default_factory=dict)
    then: str = ""
    confusion: list[list[int]] = field(default_factory=list)
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types only: tuples become lists, NaN and infinity become None."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def to_json(self) -> str:
        """The text of `record.json`: one part a line, one list entry a line."""
        return "{\n" + ",\n".join(f"{_dump(name)}: {_lines(part)}" for name, part in self.to_dict().items()) + "\n}\n"

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> RunRecord:
        """A record from its dict; a part that is missing or None takes its empty default."""
        if not isinstance(raw, Mapping) or raw.get("format") != FORMAT:
            raise RunError(f'not a run record: expected a JSON object with "format": {FORMAT}')
        given = {name: part for name, part in _plain(raw).items() if part is not None}
        for name, part in given.items():
            if name not in _KINDS:
                raise RunError(f"not a run record of this version: unknown part {name!r}; upgrade plexus")
            if type(part) is not _KINDS[name]:
                raise RunError(f"broken run record: {name!r} should be a {_KINDS[name].__name__}, got {part!r:.40}")
        record = cls(**given)
        if broken := _broken(record):
            raise RunError(f"broken run record: {broken}")
        return record

    def write(self, path: str | Path) -> Path:
        """Writes the record whole or not at all; see `atomic_write`."""
        return atomic_write(path, self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> RunRecord:
        """Reads a record; a file that is missing, broken or foreign raises a RunError that names it."""
        try:
            return cls.from_dict(json.loads(Path(path).read_bytes()))
        except OSError as error:
            raise RunError(f"{path}: cannot read the run record: {error.strerror}; name a run folder") from None
        except (ValueError, RecursionError):
            raise RunError(f"{path}: not a run record: the file is not JSON, or it was cut short") from None
        except RunError as error:
            raise RunError(f"{path}: {error}") from None


def atomic_write(path: str | Path, content: bytes | str) -> Path:
    """Writes a file so that a reader, or a run killed at any moment, sees the old content or the new, never a part.

    Args:
        path: the file; its folder must exist.
        content: text is written as UTF-8.

    Returns:
        The path.

    Raises:
        TrainingError: the disk is full; the old file is untouched.
        RunError: the folder is missing or may not be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     atomic_write(f"{folder}/record.json", "{}").read_text()
        '{}'
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    try:
        _replace(path, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainingError(f"{path}: the disk is full; make room, then go on with --resume") from error
        raise RunError(f"{path}: cannot write: {error.strerror}; choose a folder you may write to") from error
    return path


def _replace(path: Path, data: bytes) -> None:
    """Temporary file in the same folder, flushed to the disk, then renamed over the target."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_KINDS: dict[str, type] = {name: type(part) for name, part in vars(RunRecord()).items()} | {"chosen": int}


def _broken(record: RunRecord) -> str | None:
    """What is wrong inside the record, or None: entries that are no objects, names and indices that lead nowhere."""
    for name in ("epochs", "edges", "budgets", "results", "mistakes"):
        for i, entry in enumerate(getattr(record, name)):
            if not isinstance(entry, dict):
                return f"{name}[{i}] should be an object, got {entry!r:.40}"
    for i, edge in enumerate(record.edges):
        for end in ("source", "target"):
            if edge.get(end) not in record.nodes:
                return f"edges[{i}] has {end} {edge.get(end)!r:.40}, which is not among the nodes"
    for i, budget in enumerate(record.budgets):
        if any(type(k) is not int or not 0 <= k < len(record.edges) for k in budget.get("kept") or ()):
            return f"budgets[{i}] keeps connections that are not among the {len(record.edges)} edges"
    if record.chosen is not None and not 0 <= record.chosen < len(record.budgets):
        return f"'chosen' is {record.chosen}, but there are {len(record.budgets)} budgets"
    return None


def _plain(value: Any) -> Any:
    """The same value in JSON's own types; numpy scalars and 0-d tensors give their number, NaN and infinity None."""
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return str(value).encode(errors="backslashreplace").decode()  # file names need not be UTF-8


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _lines(part: Any) -> str:
    if isinstance(part, list) and part and isinstance(part[0], dict | list):
        return "[\n  " + ",\n  ".join(map(_dump, part)) + "\n]"
    return _dump(part)
