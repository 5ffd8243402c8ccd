"""No input makes plexus show a traceback, say more than one line, or touch a file of the user's.

In this process, so that thousands of commands take seconds; a warning is an error here as everywhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from plexus.cli import main
from tests.e2e.hostile import DEEP, IMAGES, NAMES, SPECIAL, classes, masks, png, runs, tree

pytestmark = pytest.mark.e2e

RUNS: dict[str, list[str]] = {
    "predict": ["predict", "RUN", "good.png"],
    "report": ["report", "RUN"],
    "probe": ["probe", "RUN", "digits", "--out", "new"],
    "prune": ["prune", "RUN", "--keep", ".2", "--run", "new"],
    "fit": ["fit", "--resume", "RUN"],
    "segment train": ["segment", "train", "--resume", "RUN"],
    "segment predict": ["segment", "predict", "RUN", "good.png", "--out", "new"],
    "segment evaluate": ["segment", "evaluate", "RUN", "masks", "--out", "new"],
    "segment submit": ["segment", "submit", "RUN", "good.png", "--out", "new.csv"],
    "represent train": ["represent", "train", "--resume", "RUN"],
    "represent embed": ["represent", "embed", "RUN", "good.png", "--out", "new.parquet"],
    "represent search": ["represent", "search", "RUN", "good.png", "classes"],
    "represent vary": ["represent", "vary", "RUN", "good.png", "--out", "new.png"],
    "represent fewshot": ["represent", "fewshot", "RUN", "classes"],
    "represent probe": ["represent", "probe", "RUN", "classes"],
}
MEAGRE = {("report", name) for name in ("finished", "deep yaml", "other", "another")} | {("fit", "finished")}
"""A record that says little has a page that says little, and a config that says nothing is all defaults."""
DATA: dict[str, list[str]] = {
    "fit": ["fit", "DATA", "--run", "new"],
    "audit": ["audit", "DATA", "--out", "new", "--cache", "cache"],
    "segment train": ["segment", "train", "DATA", "--run", "new"],
    "represent train": ["represent", "train", "DATA", "--run", "new"],
}
FILES: dict[str, list[str]] = {
    "fit --config": ["fit", "--config", "FILE", "--run", "new"],
    "fit --legos": ["fit", "digits", "--legos", "FILE:legos", "--run", "new"],
    "segment --config": ["segment", "train", "--config", "FILE", "--run", "new"],
    "segment --folds": ["segment", "train", "masks", "--folds", "FILE", "--run", "new"],
    "represent --config": ["represent", "train", "--config", "FILE", "--run", "new"],
    "audit --decisions": ["audit", "classes", "--decisions", "FILE", "--out", "new", "--cache", "cache"],
    "audit FILE": ["audit", "FILE", "--out", "new", "--cache", "cache"],
    "audit --fingerprint": ["audit", "classes", "--fingerprint", "FILE:f", "--out", "new", "--cache", "cache"],
    "study run": ["study", "run", "FILE", "--results", "new"],
    "study report": ["study", "report", "FILE", "--results", "new"],
    "study --results": ["study", "report", "pruning", "--results", "FILE"],
    "claims": ["claims", "--results", "FILE"],
    "probe": ["probe", "FILE:net", "digits", "--out", "new"],
    "probe .onnx": ["probe", "FILE", "digits", "--out", "new"],
}
CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "bytes": b"\xff\xfe\x00\x80",
    "deep": DEEP.encode(),
    "list": b"[1, 2]",
    "number": b"7",
    "html": b"<b>no</b>\n",
    "null": b"null",
    "endless number": b"[" + b"9" * 5000 + b"]",
    "exits": b"raise SystemExit(0)\n",
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with something good in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.png").write_bytes(png())
    classes(tmp_path / "classes")
    masks(tmp_path / "masks")
    return tmp_path


@pytest.fixture
def told(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused in one line, and looks at the user's files before and after."""

    def told(arguments: Sequence[object], *, well: bool = False) -> str:
        for made in ("new", "cache"):  # of the command before
            shutil.rmtree(place / made, ignore_errors=True)
        before = tree(place)
        words = [str(a) for a in arguments]
        code: object = 0
        try:
            main(words)
        except SystemExit as left:
            code = left.code
        err = capsys.readouterr().err
        after = tree(place)
        assert {k: v for k, v in after.items() if k in before} == before, words
        assert code == 2 or (well and not code), (words, code, err)
        if code:
            assert err.startswith("plexus: "), words
            assert err.count("\n") == 1, err
            assert "Traceback" not in err
            assert after == before, "what was refused left something behind"
        return err

    return told


@pytest.mark.parametrize("verb", RUNS)
def test_what_is_no_run_is_told(verb: str, place: Path, told: Callable[..., str]) -> None:
    for kind, run in runs(place / "runs").items():
        if (verb, kind) in MEAGRE:
            continue
        told([str(run) if word == "RUN" else word for word in RUNS[verb]])


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("verb", DATA)
def test_data_with_a_hostile_image_is_told(verb: str, kind: str, place: Path, told: Callable[..., str]) -> None:
    """Alone, and among good ones; an audit tells what it cannot read and goes on."""
    alone = place / "alone" / "a"
    alone.mkdir(parents=True)
    IMAGES[kind](alone / "bad.png")
    for data in ("alone", "alone/a", "alone/a/bad.png"):
        told([data if word == "DATA" else word for word in DATA[verb]], well=verb == "audit")
    if kind in ("folder", "loop", "dangling") and verb != "audit":
        return  # no image is lost, and the good ones would be trained on
    if verb == "segment train":
        IMAGES[kind](place / "masks" / "bad.png")
        IMAGES[kind](place / "masks" / "bad_mask.png")
        data = "masks"
    else:
        IMAGES[kind](place / "classes" / "a" / "bad.png")
        data = "classes"
    told([data if word == "DATA" else word for word in DATA[verb]], well=verb == "audit")


@pytest.mark.parametrize("verb", DATA)
def test_places_without_images_are_told(verb: str, place: Path, told: Callable[..., str]) -> None:
    (place / "void").mkdir()
    (place / "circle" / "a").mkdir(parents=True)
    (place / "circle" / "a" / "up").symlink_to("..")
    (place / "self").symlink_to("self")
    for name in NAMES:
        (place / "void" / "deep" / name).mkdir(parents=True)
    for data in ("void", "circle", "self", "nowhere", "null\0byte", "x" * 5000, "", " ", "/dev/null", "/proc/self/mem"):
        told([data if word == "DATA" else word for word in DATA[verb]])


@pytest.mark.parametrize("kind", CONTENTS)
def test_results_that_are_broken_are_told(kind: str, place: Path, told: Callable[..., str]) -> None:
    """A ledger or a page is made of the records that are good, or refused."""
    folder = place / "results" / "pruning" / "quick"
    folder.mkdir(parents=True)
    for name in ("gate~0.json", "gate~1.failed.json", "summary.json", "it's\n<b>~0.json"):
        (folder / name).write_bytes(CONTENTS[kind])
    told(["study", "report", "pruning", "--results", "results", "--scale", "quick", "--out", "page.html"])
    told(["claims", "--results", "results"], well=True)


def test_nothing_of_the_users_is_written_over(place: Path, told: Callable[..., str]) -> None:
    (place / "notes.txt").write_text("mine")
    (place / "notes").mkdir()
    (place / "notes" / "record.json").write_text("mine")
    for there in ("notes.txt", "notes", "notes/record.json/new"):
        for verb, option in (("fit", "--run"), ("segment train", "--run"), ("represent train", "--run")):
            told([*verb.split(), "masks" if "segment" in verb else "classes", option, there])
        told(["audit", "classes", "--out", "new", "--cache", "cache", "--write-clean", there])
    for there in ("notes.txt", "notes.txt/new"):
        told(["audit", "classes", "--out", there, "--cache", "cache"])
        told(["study", "run", "pruning", "--results", there])
        told(["probe", "notes", "digits", "--out", there])


def test_audit_of_hostile_names(place: Path, told: Callable[..., str]) -> None:
    for name in NAMES:
        (place / "names" / name).mkdir(parents=True)
        (place / "names" / name / f"{name}.png").write_bytes(png())
        IMAGES["corrupt"](place / "names" / name / f"bad {name}.png")
    told(["audit", "names", "--out", "new", "--cache", "cache", "--write-clean", "clean"], well=True)
    page = (place / "new" / "audit.html").read_text()
    assert "<img src=x" not in page
    assert not (place / "gone").exists()


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("what", [*FILES, "segment --wiring", "essay"])
def test_what_is_no_regular_file_is_told(what: str, kind: str, place: Path, told: Callable[..., str]) -> None:
    """A pipe would be waited for, and a device has no end."""
    suffix = {"audit FILE": "csv", "probe .onnx": "onnx"}.get(what, "py")
    SPECIAL[kind](place / f"own.{suffix}")
    more = {"segment --wiring": ["represent", "train", "classes", "--wiring", "FILE", "--run", "new"]}
    more["essay"] = ["essay", "keystrokes", "FILE"]
    told([word.replace("FILE", f"own.{suffix}") for word in {**FILES, **more}[what]])


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("verb", RUNS)
def test_runs_of_what_is_no_regular_file_are_told(verb: str, kind: str, place: Path, told: Callable[..., str]) -> None:
    (place / "odd").mkdir()
    for name in ("record.json", "config.yaml", "model.onnx"):
        SPECIAL[kind](place / "odd" / name)
    told(["odd" if word == "RUN" else word for word in RUNS[verb]])


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("what", FILES)
def test_files_that_say_nothing_are_told(what: str, kind: str, place: Path, told: Callable[..., str]) -> None:
    suffix = {"audit FILE": "csv", "probe .onnx": "onnx"}.get(what, "py")
    file = place / f"it's\n<b>.{suffix}"
    file.write_bytes(CONTENTS[kind])
    if "config" in what and kind in ("empty", "null"):
        return  # a config that says nothing is one: all defaults, and a training
    told([word.replace("FILE", str(file)) for word in FILES[what]])


@pytest.mark.parametrize("what", FILES)
def test_what_is_no_file_is_told(what: str, place: Path, told: Callable[..., str]) -> None:
    (place / "self.py").symlink_to("self.py")
    (place / "folder.py").mkdir()
    for file in ("self.py", "folder.py", "nowhere.py", "x" * 5000 + ".py", "null\0byte.py"):
        told([word.replace("FILE", file) for word in FILES[what]], well=what in ("claims",))
