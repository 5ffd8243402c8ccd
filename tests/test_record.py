"""The run record: what is written comes back, and a file is there whole or not at all."""

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from plexus.errors import PlexusError, RunError, TrainingError
from plexus.record import RunRecord, atomic_write

NODES = ["input", "lego1", "lego2", "head"]
EDGES = [{"source": "input", "target": "lego2", "gate": 0.3}, {"source": "lego1", "target": "head", "gate": 0.9}]


def record(**parts: Any) -> RunRecord:
    return RunRecord(**{"command": "plexus fit digits", "nodes": NODES, "edges": EDGES} | parts)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = record(
        data={"classes": ["<b>", "ü", "\u2028"]},
        budgets=[{"kept": [0, 1]}, {"kept": [1]}],
        chosen=1,
        confusion=[[1, 0], [0, 2]],
    )
    path = written.write(tmp_path / "record.json")
    assert RunRecord.read(path) == written
    assert json.loads(path.read_text(encoding="utf-8"))["data"]["classes"] == ["<b>", "ü", "\u2028"]


def test_values_become_plain_json() -> None:
    class Scalar:
        def item(self) -> float:
            return 0.5

    made = record(config={"size": (1, 2), "path": Path("a/b"), "rate": Scalar()}, epochs=[{"train_loss": math.nan}])
    plain = json.loads(made.to_json())
    assert plain["config"] == {"size": [1, 2], "path": str(Path("a/b")), "rate": 0.5}
    assert plain["epochs"] == [{"train_loss": None}]


def test_a_name_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    made = record(data={"skipped": ["\udcff.png"]})
    assert RunRecord.read(made.write(tmp_path / "record.json")).data == {"skipped": ["\\udcff.png"]}


def test_a_mapping_of_python_values_is_taken_as_json() -> None:
    assert RunRecord.from_dict({"format": 1, "nodes": ("a", "b"), "seed": None}) == RunRecord(nodes=["a", "b"])


def test_missing_parts_take_their_defaults() -> None:
    assert RunRecord.from_dict({"format": 1, "confusion": None}) == RunRecord()


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "not a run record"),
        ({}, "not a run record"),
        ({"format": 2}, "not a run record"),
        ({"format": 1, "epoch": []}, "'epoch'"),
        ({"format": 1, "epochs": {}}, "'epochs' should be a list"),
        ({"format": 1, "finished": 1}, "'finished' should be a bool"),
        ({"format": 1, "epochs": [3]}, r"epochs\[0\]"),
        ({"format": 1, "nodes": ["a"], "edges": [{"source": "a", "target": "b"}]}, r"edges\[0\] has target 'b'"),
        ({"format": 1, "budgets": [{"kept": [0]}]}, r"budgets\[0\]"),
        ({"format": 1, "chosen": 0}, "'chosen' is 0"),
        ({"format": 1, "chosen": -1, "budgets": [{}]}, "'chosen' is -1"),
    ],
)
def test_a_broken_record_is_refused_by_name(raw: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=named):
        RunRecord.from_dict(raw)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(RunError, match=named) as caught:
        RunRecord.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b'{"format": 1, "nodes": ["a'])
def test_a_file_cut_short_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"record\.json: not a run record"):
        RunRecord.read(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere\.json: cannot read"):
        RunRecord.read(tmp_path / "nowhere.json")


def test_atomic_write_takes_text_and_bytes(tmp_path: Path) -> None:
    assert atomic_write(tmp_path / "a", "ü").read_bytes() == "ü".encode()
    assert atomic_write(tmp_path / "a", b"\x00").read_bytes() == b"\x00"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, TrainingError), (errno.EROFS, RunError)])
def test_a_failed_write_leaves_the_old_file(
    call: str, number: int, error: type[PlexusError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    path = atomic_write(tmp_path / "a", "old")
    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(error, match="a: "):
        atomic_write(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    path = atomic_write(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]


def test_a_missing_folder_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        atomic_write(tmp_path / "nowhere" / "a", "x")
