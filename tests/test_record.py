"""The run record: what is written comes back, and a file is there whole or not at all."""

import errno
import fcntl
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plexus.errors import PlexusError, RunError, TrainingError
from plexus.record import (
    KINDS,
    FitRecord,
    SegmentRecord,
    TrialRecord,
    atomic_write,
    open_file,
    read_file,
    read_record,
    record_of,
    write_together,
)  # fmt: skip

ROOT = Path(__file__).parents[1]
NODES = ["input", "lego1", "lego2", "head"]
EDGES = [{"source": "input", "target": "lego2", "gate": 0.3}, {"source": "lego1", "target": "head", "gate": 0.9}]


def record(**parts: Any) -> FitRecord:
    return FitRecord(**{"command": "plexus fit digits", "nodes": NODES, "edges": EDGES} | parts)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = record(
        data={"classes": ["<b>", "ü", "\u2028"]},
        budgets=[{"kept": [0, 1]}, {"kept": [1]}],
        chosen=1,
        confusion=[[1, 0], [0, 2]],
    )
    path = written.write(tmp_path / "record.json")
    assert FitRecord.read(path) == written
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
    assert FitRecord.read(made.write(tmp_path / "record.json")).data.skipped == ["\\udcff.png"]


def test_a_mapping_of_python_values_is_taken_as_json() -> None:
    assert FitRecord.from_dict({"format": 1, "nodes": ("a", "b"), "seed": None}) == FitRecord(nodes=["a", "b"])


def test_missing_parts_take_their_defaults() -> None:
    assert FitRecord.from_dict({"format": 1, "confusion": None}) == FitRecord()


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "not a run record"),
        ({}, "not a run record"),
        ({"format": 2}, "not a run record"),
        ({"format": 1, "epoch": []}, "'epoch'"),
        ({"format": 1, "epochs": {}}, "'epochs' should be a list"),
        ({"format": 1, "finished": 1}, "'finished' should be true or false"),
        ({"format": 1, "epochs": [3]}, r"epochs\[0\]"),
        ({"format": 1, "nodes": ["a"], "edges": [{"source": "a", "target": "b"}]}, r"edges\[0\] has target 'b'"),
        ({"format": 1, "budgets": [{"kept": [0]}]}, r"budgets\[0\]"),
        ({"format": 1, "chosen": 0}, "'chosen' is 0"),
        ({"format": 1, "chosen": -1, "budgets": [{}]}, "'chosen' is -1"),
    ],
)
def test_a_broken_record_is_refused_by_name(raw: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=named):
        FitRecord.from_dict(raw)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(RunError, match=named) as caught:
        FitRecord.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b'{"format": 1, "nodes": ["a'])
def test_a_file_cut_short_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"record\.json: not a run record"):
        FitRecord.read(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere\.json: cannot read"):
        FitRecord.read(tmp_path / "nowhere.json")


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


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def held(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_files_that_belong_together_are_all_new_or_all_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_together(tmp_path, {"a": "1", "b": "1", "c": "1"})
    write_together(tmp_path, {"a": "2", "c": None})
    old = {"a": "2", "b": "1"}
    assert held(tmp_path) == old
    (tmp_path / "d").mkdir()
    for last in ({"d": "3"}, {"d": None}):
        with pytest.raises(RunError, match="d: cannot write: Is a directory; take this folder away, or name another"):
            write_together(tmp_path, {"a": "3", "b": None, "new": "3", **last})
        assert held(tmp_path) == old
    rename = Path.replace

    def refuse(self: Path, to: Path) -> Path:
        if to.name == "z" and not to.exists():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return rename(self, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        for link in (os.link, fail):
            patch.setattr(os, "link", link)
            with pytest.raises(RunError, match="z: cannot write: Operation not permitted"):
                write_together(tmp_path, {"a": "3", "b": None, "new": "3", "z": "3"})
            assert held(tmp_path) == old
    sync, calls = os.fsync, []

    def full(file: int) -> None:
        calls.append(file)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match="e: the disk is full"):
        write_together(tmp_path, {"a": "3", "b": "3", "e": "3"})
    assert held(tmp_path) == old


def test_a_missing_folder_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        atomic_write(tmp_path / "nowhere" / "a", "x")


@pytest.mark.parametrize("study", sorted(path.name for path in (ROOT / "results").iterdir() if path.is_dir()))
def test_the_trials_of_the_repository_read_as_they_were_written(study: str) -> None:
    files = sorted((ROOT / "results" / study).rglob("*~*.json"))
    assert files
    for file in files:
        trial = read_record(file)
        assert isinstance(trial, TrialRecord)
        assert trial.finished
        assert trial.to_dict() == json.loads(file.read_bytes())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_record_of_any_kind_of_which_every_part_is_missing_reads(kind: str) -> None:
    needed = {"study": "a", "variant": "b", "options": {}, "metrics": {}} if kind == "trial" else {}
    found = record_of({"format": 1, "kind": kind, **needed})
    assert (type(found), found.kind, found.finished) == (KINDS[kind], kind, kind == "trial")
    assert record_of({**found.to_dict(), "format": 1, "kind": kind}).to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"kind": "segment", "folds": [{}]}, "'folds[0].fold' is missing; train anew"),
        ({"kind": "segment", "results": {"none": {"dice": 3}}}, "'results.none.dice' should be an object, got 3"),
        ({"kind": "represent", "map": {"x": [0.5]}}, "'map' has as many places"),
        ({"kind": "represent", "results": {"mse": "low"}}, "'results.mse' should be a number, got 'low'; train anew"),
        (
            {"kind": "audit", "pairs": [{"a": 0, "b": 1}], "images": [{"name": "x"}]},
            "pair 0 does not name two of the 1",
        ),
        ({"kind": "audit", "clusters": [{"images": [-1]}]}, "clusters[0] names images that are not among the 0"),
        ({"kind": "audit", "summary": []}, "'summary' should be an object, got []; audit again"),
        ({"kind": "rotation", "models": [{"curve": {"summary": {"angles": [0]}}}]}, "curves that are not as long"),
        ({"kind": "rotation", "models": [{}]}, "'models[0].curve' is missing; probe again"),
        ({"kind": "trial", "study": "a"}, "'variant' is missing; delete it and run --resume"),
        ({"kind": "claims", "claims": [{"id": 1, "sentence": "s", "verdict": "maybe"}]}, "'claims[0].verdict' should"),
        ({"kind": "dance"}, "unknown kind 'dance'; upgrade plexus"),
        ({"kind": 7}, "unknown kind 7; upgrade plexus"),
    ],
)
def test_what_is_broken_is_told_with_the_remedy(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(RunError, match=re.escape(told)):
        record_of({"format": 1, **raw})


def test_a_record_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = SegmentRecord().write(tmp_path / "record.json")
    with pytest.raises(RunError, match=r"record\.json: not the record of `plexus fit`; name a folder that it made"):
        FitRecord.read(path)


def test_names_that_this_version_does_not_know_are_written_again() -> None:
    raw = {"format": 1, "kind": "segment", "folds": [{"fold": 0, "epochs": [{"lr": 0.5}], "weights": [1, 2]}]}
    assert record_of(raw).to_dict()["folds"] == raw["folds"]


def test_what_was_filled_in_place_is_written() -> None:
    made = SegmentRecord(data=SegmentRecord.Data(name="scans"))
    made.data.notes.append("soft masks")
    made.folds.append(SegmentRecord.Fold(fold=0))
    assert made.to_dict()["data"] == {"name": "scans", "notes": ["soft masks"]}
    assert made.to_dict()["folds"] == [{"fold": 0}]


def test_numbers_keep_their_kind() -> None:
    made = FitRecord(seconds={"a": 1, "b": 1.0, "c": math.inf})
    assert repr(FitRecord.from_dict(made.to_dict()).seconds) == "{'a': 1, 'b': 1.0, 'c': None}"


def test_records_are_read_without_torch_or_numpy() -> None:
    code = "import sys, plexus.record as r; r.FitRecord(); print({'torch', 'lightning', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_killed_processes_were_about_to_write_is_swept(tmp_path: Path) -> None:
    dead, alive = tmp_path / ".page.html.00000000.tmp", tmp_path / ".page.html.00000001.tmp"
    others = [tmp_path / name for name in (".page.html.tmp", ".page.html.mine.tmp", ".other.html.00000000.tmp")]
    for file in (dead, alive, *others):
        file.write_text("half")
    with alive.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        atomic_write(tmp_path / "page.html", "whole")
    assert {p.name for p in tmp_path.iterdir()} == {"page.html", alive.name, *(p.name for p in others)}
    assert (tmp_path / "page.html").read_text() == "whole"


def test_nothing_is_written_in_the_place_of_a_pipe_or_a_device(tmp_path: Path) -> None:
    """As root, a rename would take the device's place for every process of the machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name, kind in (("pipe", "a pipe"), ("null", "a device")):
        with pytest.raises(RunError, match=f"cannot write: {kind}, not a regular file; name another file"):
            atomic_write(tmp_path / name, "text")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "null").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "pipe"]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opened, it would be waited for
    for place, kind in (
        (tmp_path / "pipe", "a pipe"),
        (Path("/dev/zero"), "a device"),
        (Path("/dev/null"), "a device"),
    ):
        with pytest.raises(OSError, match=f"{kind}, not a regular file"):
            read_file(place)
        with pytest.raises(OSError, match=f"{kind}, not a regular file"):
            open_file(place)
    (tmp_path / "large").write_bytes(b"x" * 11)
    assert read_file(tmp_path / "large", most=11) == b"x" * 11
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_file(tmp_path / "large", most=10)
