"""A mistake on the command line is one line on stderr and exit code 2; nothing is made or trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from plexus.cli import main
from plexus.record import FitRecord, machine
from plexus.training import FitConfig


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr."""
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("plexus: ")
    assert err.count("\n") == 1
    return err


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    run = tmp_path / "begun"
    run.mkdir()
    (run / "config.yaml").write_text(FitConfig().to_yaml())
    FitRecord(machine=machine()).write(run / "record.json")
    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "--epoch", "3"], "Did you mean --epochs?"),
        (["fitt"], 'Did you mean "fit"?'),
        (["fit", "--epochs", "many", "--width", "0"], "width=0 must be at least 1"),
        (["fit", "--epochs", "many", "--width", "0"], "epochs='many' must be a whole number"),
        (["fit", "digits", "more"], "more"),
        (["fit", "--epoch", "3"], "See `plexus fit --help`"),
        (["segment", "train", "--epoch", "3"], "See `plexus segment train --help`"),
        (["study", "run", "--seed", "3"], "See `plexus study run --help`"),
        (["predict"], "RUN"),
        (["predict", "no", "a.png", "--csv", "."], ".: is a folder; name another file with --csv"),  # before all else
        (["represent", "vary", "no", "a.png", "--out", "a.txt"], "a.txt: a picture is written as .png, .jpg or .webp"),
        (["represent", "vary", "no", "a.png", "--out", "x.png/"], "no: not a run folder"),
        (["predict", "runs/try"], "name at least one image or folder: plexus predict runs/try IMAGE..."),
        (["fit", "--lr", "-1", "--keep", "2", "--merge", "luck"], "merge='luck' is unknown; choose from mix"),
        (["fit", "--keep", ".3", "--max-params", "200k"], "give one budget"),
        (["fit", "--max-params", "some"], "max_params='some' must be a whole number"),
        (["fit", "--config", "nowhere.yaml"], "nowhere.yaml: cannot read the config"),
        (["fit", "nowhere"], "nowhere: no such folder"),
        (["audit", "photos/cat.jpg"], "photos/cat.jpg: no such file: check the name"),
        (["fit", "photos/list.csv"], "photos/list.csv: no such file: check the name"),
        (["fit", "--preset", "blocks"], "preset=blocks needs images of 10 pixels or more, not 8: pass --size 32"),
        (["fit", "--preset", "legos8"], "preset=legos8 needs images of 10 pixels or more, not 8: pass --size 32"),
        (["fit", "--preset", "blocks", "--width", "32"], "width=32 belongs to preset=separable, mix, deep and maps"),
        (["fit", "--neuron", "rot6"], "neuron='rot6' is unknown; choose from plain, rot8, rot4, unit, spherical"),
        (["fit", "--neurons", "rot8"], "Did you mean --neuron?"),
        (["fit", "--dense", "rot8"], "dense='rot8' is unknown; choose from plain, unit, spherical"),
        (["fit", "--last", "2"], "last=2 counts convolutions that become another neuron; say which with neuron"),
        (["fit", "--neuron", "unit", "--last", "0"], "last=0 must be at least 1"),
        (["fit", "--neuron", "rot8", "--last", "10"], "neuron='rot8': last=10 must lie between 1 and 9"),
        (["fit", "--resume", "nowhere"], "nowhere: not a run folder"),
        (["fit", "--resume", "nowhere", "--epochs", "3"], "leave the other options out"),
        (["fit", "--run", "/proc/plexus"], "/proc/plexus: cannot create the run folder"),
        (["report", "nowhere"], "nowhere/record.json: cannot read the run record"),
        (["predict", "nowhere", "a.png"], "nowhere/record.json: cannot read the run record"),
        (["prune", "nowhere", "--keep", ".2"], "nowhere: not a run folder"),
    ],
)
def test_it_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    assert words in told(capsys, *arguments)
    assert [p for p in tmp_path.rglob("*") if p.name != "runs"] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n- b\n", ["expected lines of option: value"]),
        ("a: [", ["not YAML"]),
        ("epoch: 3\nLR: 1\n", ["unknown option 'epoch'; did you mean 'epochs'?", "unknown option 'LR'"]),
        ("epochs: many\nkeep: 3\ngate_init: [a, b]\n", ["epochs='many'", "keep=3", "gate_init=['a', 'b']"]),
        ("controls: 1\nseed: true\nlr: .nan\n", ["controls=1 must be true or false", "seed=True", "lr=nan"]),
        ("keep: .3\nmax_params: 5000\n", ["give one budget"]),
        ("select: .8\nval: 1\n", ["option 'select' is gone: edges are cut while the net learns", "val=1"]),
    ],
)
def test_all_mistakes_of_a_config_are_told_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "fit.yaml").write_text(text)
    line = told(capsys, "fit", "--config", "fit.yaml", "--print-config")
    assert [word for word in ["fit.yaml", *words] if word not in line] == []


def test_the_command_line_overrides_the_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "fit.yaml").write_text("lr: 1e-3\nmax_params: 20k\nepochs: 9\n")
    with pytest.raises(SystemExit) as left:
        main(["fit", "photos", "--config", "fit.yaml", "--keep", ".2", "--gate-lr", "1e-2", "--print-config"])
    assert left.value.code == 0
    (tmp_path / "again.yaml").write_text(capsys.readouterr().out)
    config = FitConfig.read(tmp_path / "again.yaml")
    assert config == FitConfig(data="photos", lr=1e-3, epochs=9, keep=0.2, gate_lr=0.01)


def test_a_used_folder_is_left_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep me")
    assert "exists and is not an empty folder; name another with --run" in told(capsys, "fit", "--run", "mine")
    assert (tmp_path / "mine" / "note.txt").read_text() == "keep me"
    assert "exists and is not an empty folder" in told(capsys, "fit", "--run", "mine/note.txt")


def test_a_used_run_folder_can_be_gone_on_with(capsys: pytest.CaptureFixture[str], unfinished: Path) -> None:
    assert f"go on with `plexus fit --resume {unfinished}`" in told(capsys, "fit", "--run", unfinished)


def test_an_unfinished_run_has_nothing_to_give(capsys: pytest.CaptureFixture[str], unfinished: Path) -> None:
    assert "finish it with" in told(capsys, "predict", unfinished, "a.png")
    assert "finish it with" in told(capsys, "prune", unfinished, "--keep", ".2")
    assert "give one budget" in told(capsys, "prune", unfinished)
    assert "give one budget" in told(capsys, "prune", unfinished, "--keep", ".2", "--max-params", "9k")
    assert "keep=2.0 must be above 0 and at most 1" in told(capsys, "prune", unfinished, "--keep", "2")
    assert "Unknown option" in told(capsys, "prune", unfinished, "--keep", ".2", "--then", "retrain")


def test_a_broken_run_is_named(capsys: pytest.CaptureFixture[str], unfinished: Path) -> None:
    (unfinished / "config.yaml").write_text("epochs: -1\nmore: 3")
    assert "epochs=-1" in told(capsys, "fit", "--resume", unfinished)
    (unfinished / "record.json").write_text("{")
    assert "record.json: not a run record" in told(capsys, "fit", "--resume", unfinished)


def test_a_model_that_is_none_is_named(capsys: pytest.CaptureFixture[str], unfinished: Path) -> None:
    (unfinished / "model.onnx").write_bytes(b"not a model")
    assert "model.onnx: cannot be loaded" in told(capsys, "predict", unfinished, "a.png")


def test_an_unfinished_run_has_a_page(capsys: pytest.CaptureFixture[str], unfinished: Path) -> None:
    with pytest.raises(SystemExit) as left:
        main(["report", str(unfinished)])
    assert left.value.code == 0
    assert (unfinished / "report.html").read_text().startswith("<!doctype html>")
    assert not FitRecord.read(unfinished / "record.json").finished


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom plexus.cli import main\n"
        "try: main(['fit', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'lightning', 'datasets', 'pandas', 'numpy', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--max-params" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
