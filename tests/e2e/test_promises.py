"""What every kind of run promises: bits that no interruption changes, nothing half-written, one line of remedy."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from safetensors.numpy import load_file

import plexus.represent
import plexus.segment
import plexus.training
from plexus.errors import ConfigError, DataError, PlexusError, RunError, TrainingError
from plexus.models import Autoencoder
from plexus.training import FitConfig
from plexus.wiring import prune
from tests.represent import shapes
from tests.segment import discs

LEGOS = """
from torch import nn
from beside import activation
def three(in_shape):
    block = lambda: nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.BatchNorm2d(4), activation(), nn.Dropout(0.1))
    return [block() for _ in range(3)]
"""
SEED = 2**63 - 1
"""The largest there is: whatever holds for it holds for small ones."""
SPENT = ("seconds", "created", "command", "latency_ms", "train_seconds", "machine", "config", "files", "spec")
"""Of a record: what differs from run to run, and from folder to folder."""


class PowerFails(Exception):  # noqa: N818 - no error of plexus
    """The power fails."""


@dataclass(frozen=True)
class Kind:
    """One kind of run, as small as can be.

    Args:
        package: has `resume` and `finished`.
        train: the verb.
        config: of images and a file that the run depends on.
        images: writes the images.
        file: writes the file; called again with True, another one.
    """

    package: ModuleType
    train: Callable[..., Path]
    config: Callable[..., Any]
    images: Callable[[Path], Path]
    file: Callable[[Path, bool], None]


def _legos(folder: Path, other: bool) -> None:
    """The module that the legos import is the one that changes."""
    (folder / "legos.py").write_text(LEGOS)
    (folder / "beside.py").write_text(f"from torch.nn import {'Tanh' if other else 'ReLU'} as activation\n")


def _folds(folder: Path, other: bool) -> None:
    names = sorted(path.name for path in (folder / "images").glob("*[0-9].png"))
    folds = {name: (i // 2 + other * (i // 8)) % 2 for i, name in enumerate(names)}
    (folder / "folds.json").write_text(
        json.dumps({"format": 1, "kind": "folds", "k": 2, "seed": 0, "dropped": [], "folds": folds})
    )


def _wiring(folder: Path, other: bool) -> None:
    wiring = Autoencoder((1, 12, 12), 5, width=4).with_every_connection().wiring()
    (folder / "wiring.json").write_text((wiring if other else prune(wiring, keep=0.5)).to_json())


def _seeded(options: dict[str, Any]) -> dict[str, Any]:
    return {"seed": SEED, **options}


KINDS = {
    "fit": Kind(
        plexus.training,
        plexus.training.fit,
        lambda folder, **options: FitConfig(
            data=str(folder / "images"),
            legos=f"{folder / 'legos.py'}:three",
            epochs=4,
            batch_size=8,
            **_seeded(options),
        ),
        lambda folder: shapes.write_shapes(folder, "bar", "disc"),
        _legos,
    ),
    "segment": Kind(
        plexus.segment,
        plexus.segment.train,
        lambda folder, **options: discs.small(folder / "images", folds=str(folder / "folds.json"), **_seeded(options)),
        lambda folder: discs.write_discs(folder, 12),
        _folds,
    ),
    "represent": Kind(
        plexus.represent,
        plexus.represent.train,
        lambda folder, **options: shapes.small(
            folder / "images", wiring=str(folder / "wiring.json"), epochs=4, **_seeded(options)
        ),
        lambda folder: shapes.write_shapes(folder, "bar", "disc"),
        _wiring,
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def folder(kind: Kind, tmp_path: Path) -> Path:
    """A folder with images and what the run depends on."""
    kind.images(tmp_path / "images")
    kind.file(tmp_path, False)
    return tmp_path


_WHOLE: dict[str, Path] = {}


@pytest.fixture
def whole(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never interrupted, the same for all tests."""
    if kind.package.__name__ not in _WHOLE:
        place = tmp_path_factory.mktemp("whole")
        kind.images(place / "images")
        kind.file(place, False)
        _WHOLE[kind.package.__name__] = kind.train(kind.config(place), run=place / "run")
    return _WHOLE[kind.package.__name__]


def stop_after(entries: int) -> Callable[[dict[str, Any]], None]:
    left = [entries]

    def listen(entry: dict[str, Any]) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise PowerFails

    return listen


def stopped(kind: Kind, folder: Path, entries: int = 1, **options: Any) -> Path:
    """A run that the power left in the middle of its training."""
    with pytest.raises(PowerFails):
        kind.train(kind.config(folder, **options), run=folder / "run", listen=stop_after(entries))
    return folder / "run"


def weights(run: Path) -> dict[str, bytes]:
    """Every tensor that a run left."""
    return {
        f"{path.relative_to(run)}:{name}": value.tobytes()
        for path in sorted(run.rglob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def said(run: Path) -> Any:
    """All that a record says, but for what differs from run to run."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: kept(v) for k, v in value.items() if k not in SPENT}
        return [kept(v) for v in value] if isinstance(value, list) else value

    return kept(json.loads((run / "record.json").read_text()))


@pytest.mark.parametrize("entries", [1, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(kind: Kind, folder: Path, whole: Path, entries: int) -> None:
    """Within a phase, and when one was done by an earlier process: weights, files and every figure are the same."""
    run = stopped(kind, folder, entries)
    assert not kind.package.finished(run)
    kind.package.resume(run)
    assert kind.package.finished(run)
    assert weights(run) == weights(whole)
    assert said(run) == said(whole)
    assert not list(run.rglob("*.tmp"))


def test_a_second_process_is_locked_out(kind: Kind, folder: Path) -> None:
    run = stopped(kind, folder)
    with (run / "config.yaml").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process is at work in this run folder"):
            kind.package.resume(run)
    kind.package.resume(run)
    assert kind.package.finished(run)


def test_a_full_disk_is_told_and_nothing_is_half_written(
    kind: Kind, folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def full(file: int) -> None:
        if os.fstat(file).st_size > 9_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(TrainingError, match="the disk is full; make room, then go on; a run with --resume RUN"):
            kind.train(kind.config(folder), run=folder / "run")
    assert not list((folder / "run").rglob("*.tmp"))
    kind.package.resume(folder / "run")
    assert weights(folder / "run") == weights(whole)


def test_an_unreadable_image_is_named_or_left_out(kind: Kind, folder: Path) -> None:
    image = sorted(path for path in (folder / "images").rglob("*.png") if "mask" not in path.name)[0]
    image.write_bytes(b"no image")
    with pytest.raises(DataError, match=rf"{image.name}.*--skip-unreadable") as told:
        kind.train(kind.config(folder), run=folder / "run")
    assert "\n" not in str(told.value)
    assert not (folder / "run").exists()
    run = kind.train(kind.config(folder, skip_unreadable=True), run=folder / "run")
    (skipped,) = json.loads((run / "record.json").read_text())["data"]["skipped"]
    assert image.name in skipped


@pytest.mark.parametrize("options", [{"strategy": "nonsense"}, {"devices": 3, "strategy": "ddp_spawn_everywhere"}])
def test_devices_that_are_not_there_are_told_before_anything(kind: Kind, folder: Path, options: Any) -> None:
    with pytest.raises(ConfigError, match=r"devices=\d, strategy=.nonsense|devices=\d, strategy=.ddp_spawn_everywhere"):
        kind.train(kind.config(folder, **options), run=folder / "run")
    assert not (folder / "run").exists()


def test_images_that_changed_are_refused(kind: Kind, folder: Path) -> None:
    run = stopped(kind, folder)
    image = sorted(path for path in (folder / "images").rglob("*.png") if "mask" not in path.name)[0]
    image.write_bytes(sorted((folder / "images").rglob("*[0-9].png"))[-1].read_bytes())
    with pytest.raises(RunError, match=r"are not those the run started with; bring them back, or (fit|train) anew"):
        kind.package.resume(run)


def test_files_that_changed_are_refused_until_they_are_back(kind: Kind, folder: Path) -> None:
    run = stopped(kind, folder)
    kind.file(folder, True)
    with pytest.raises(RunError, match=r"(legos|folds|wiring)=.* is not what the run started with; bring it back, or"):
        kind.package.resume(run)
    kind.file(folder, False)
    kind.package.resume(run)
    assert kind.package.finished(run)
    if kind is KINDS["fit"]:
        kind.file(folder, True)
        with pytest.raises(RunError, match=r"legos=.* is not what the run started with"):
            plexus.training.reprune(run, keep=0.2, run=folder / "again")
        assert not (folder / "again").exists()


def test_a_record_that_knows_no_files_goes_on(tmp_path: Path) -> None:
    """Older versions did not write them down."""
    kind = KINDS["fit"]
    kind.images(tmp_path / "images")
    kind.file(tmp_path, False)
    run = stopped(kind, tmp_path)
    record = json.loads((run / "record.json").read_text())
    assert record["data"].pop("files").keys() == {"legos"}
    (run / "record.json").write_text(json.dumps(record))
    kind.file(tmp_path, True)
    kind.package.resume(run)
    assert kind.package.finished(run)


def test_larger_seeds_are_refused(kind: Kind, folder: Path) -> None:
    with pytest.raises(ConfigError, match="seed"):
        kind.config(folder, seed=SEED + 1)


def test_folders_that_are_no_runs_are_told(kind: Kind, folder: Path) -> None:
    (folder / "letter").mkdir()
    (folder / "letter" / "a.txt").write_text("dear")
    for broken in ("letter", "nowhere"):
        with pytest.raises(RunError, match=r"not a run folder \(it has no config.yaml\)"):
            kind.package.resume(folder / broken)
    with pytest.raises(RunError, match="exists and is not an empty folder; name another with --run"):
        kind.train(kind.config(folder), run=folder / "letter")
    assert (folder / "letter" / "a.txt").read_text() == "dear"
    (folder / "letter" / "config.yaml").write_text("epochs: 3\n")
    for content in ("{", '{"format": 1, "kind": "audit"}', '{"format": 1}', "[]"):
        (folder / "letter" / "record.json").write_text(content)
        with pytest.raises(PlexusError) as told:
            kind.package.resume(folder / "letter")
        assert str(folder / "letter") in str(told.value)
        assert "\n" not in str(told.value)
