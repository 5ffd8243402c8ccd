"""A phase leaves its result, is never done twice, and goes on from its last checkpoint to the same bits."""

from __future__ import annotations

import io
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from plexus.errors import RunError, TrainingError
from plexus.nn import SphericalConv2d, SphericalLinear, convert
from plexus.training import Loop
from plexus.training.run_folder import write_checked
from tests.training.nets import batches, learn, schedule, supernet


class Stop(L.Callback):
    """Raises in an epoch, before the batch of a number."""

    def __init__(self, epoch: int, batch: int, error: BaseException) -> None:
        self.at, self.error = (epoch, batch), error

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, index: int) -> None:
        if (trainer.current_epoch, index) == self.at:
            raise self.error


def weights(net: nn.Module) -> list[bytes]:
    return [value.detach().numpy().tobytes() for value in net.state_dict().values()]


@pytest.mark.parametrize(("epoch", "batch"), [(0, 1), (1, 0), (1, 2), (2, 0)])
def test_it_goes_on_to_the_same_bits(tmp_path: Path, epoch: int, batch: int) -> None:
    whole, entries = supernet(), list[dict[str, Any]]()
    plan = schedule(epochs=3, whole=3, augment=True)
    learn(Loop(tmp_path / "whole", listen=entries.append), "learn", whole, plan)
    again = list[dict[str, Any]]()
    work = Loop(tmp_path / "stopped", listen=again.append)
    with pytest.raises(ZeroDivisionError):
        learn(work, "learn", supernet(), plan, callbacks=[Stop(epoch, batch, ZeroDivisionError())])
    assert not work.done("learn")
    net: nn.Module = supernet()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*LeafSpec")
        history = learn(work, "learn", net, plan)
    assert weights(net) == weights(whole)
    bare = [
        [{k: v for k, v in e.items() if not k.endswith("seconds")} for e in found]
        for found in (entries, again, history)
    ]
    assert bare[0] == bare[1] == bare[2]
    assert [e["epoch"] for e in history] == [0, 1, 2]


def spherical() -> nn.Module:
    """A net whose state has weights where it learns angles."""
    net = supernet()
    convert(net.body, SphericalConv2d)
    convert(net.head, SphericalLinear)
    return net


def test_angles_go_on_and_are_read_back_to_the_same_bits(tmp_path: Path) -> None:
    def angles(net: nn.Module) -> list[bytes]:
        return [value.detach().numpy().tobytes() for value in net.parameters()]

    plan = schedule(epochs=3, whole=3)
    whole, stopped, read = spherical(), spherical(), spherical()
    learn(Loop(tmp_path / "whole"), "learn", whole, plan)
    work = Loop(tmp_path / "stopped")
    with pytest.raises(ZeroDivisionError):
        learn(work, "learn", spherical(), plan, callbacks=[Stop(1, 2, ZeroDivisionError())])
    learn(work, "learn", stopped, plan)
    learn(work, "learn", read, plan)
    assert angles(stopped) == angles(read) == angles(whole)


def test_ctrl_c_is_an_interrupt_and_not_an_exit(tmp_path: Path) -> None:
    work = Loop(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        learn(work, "learn", supernet(), schedule(), callbacks=[Stop(1, 1, KeyboardInterrupt())])
    state = torch.load(tmp_path / "checkpoints" / "learn" / "last.ckpt", weights_only=True)
    assert state["global_step"] == batches(schedule()).steps == 3
    assert len(state["callbacks"]) == 1  # the history


def test_what_is_done_is_read_back(tmp_path: Path) -> None:
    first, second, entries = supernet(), supernet(), list[dict[str, Any]]()
    history = learn(Loop(tmp_path), "learn", first, schedule())
    again = learn(Loop(tmp_path, listen=entries.append), "learn", second, schedule(lr=9.0))
    assert weights(first) == weights(second)
    assert (again, entries) == (history, [])
    assert not (tmp_path / "checkpoints" / "learn" / "last.ckpt").exists()


def test_an_entry_says_what_happened(tmp_path: Path) -> None:
    history = learn(Loop(tmp_path), "anneal", supernet(), schedule(first=4, whole=9), label="learn")
    assert [(e["phase"], e["epoch"]) for e in history] == [("learn", 4), ("learn", 5)]
    for entry in history:
        assert entry.keys() == {"phase", "epoch", "train_loss", "val_loss", "val_accuracy", "seconds", "gates"}
        assert len(entry["gates"]) == 9
        assert 0 <= entry["val_accuracy"] <= 1


def test_another_net_is_refused_by_name(tmp_path: Path) -> None:
    work = Loop(tmp_path)
    learn(work, "learn", supernet(), schedule())
    with pytest.raises(RunError, match="not of these layers"):
        learn(work, "learn", supernet(gate="channel", merge="concat"), schedule())
    with pytest.raises(ZeroDivisionError):
        learn(work, "other", supernet(), schedule(), callbacks=[Stop(1, 0, ZeroDivisionError())])
    with pytest.raises(RunError, match=r"last.ckpt.*not of these layers"):
        learn(work, "other", supernet(gate="channel", merge="concat"), schedule())
    (tmp_path / "checkpoints" / "other" / "last.ckpt").write_bytes(b"cut short")
    with pytest.raises(RunError, match=r"last.ckpt: broken"):
        learn(work, "other", supernet(), schedule())


class Trap:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("trapped",)


def test_content_of_the_right_type_that_was_not_written_here_is_refused(tmp_path: Path) -> None:
    loop, folder = Loop(tmp_path), tmp_path / "checkpoints" / "learn"
    learn(loop, "learn", supernet(), schedule())
    for text in ("[]", '[{"epoch": 99}]', '[{"epoch": "one"}]', "{}"):
        (folder / "history.json").write_text(text)
        with pytest.raises(RunError, match=r"history.json: broken, or changed"):
            learn(loop, "learn", supernet(), schedule())


def test_a_checkpoint_with_a_pickle_or_without_numbers_is_refused_even_where_its_checksum_fits(tmp_path: Path) -> None:
    loop, last = Loop(tmp_path), tmp_path / "checkpoints" / "learn" / "last.ckpt"
    with pytest.raises(ZeroDivisionError):
        learn(loop, "learn", supernet(), schedule(), callbacks=[Stop(1, 0, ZeroDivisionError())])
    state = torch.load(last, weights_only=True)
    write_checked(last, pickle.dumps(Trap()))
    with pytest.raises(RunError) as told:
        learn(loop, "learn", supernet(), schedule())
    assert "weights_only" not in str(told.value)
    assert not Path("trapped").exists()
    next(iter(state["state_dict"].values())).fill_(float("nan"))
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_checked(last, buffer.getvalue())
    with pytest.raises(RunError, match="NaN"):
        learn(loop, "learn", supernet(), schedule())


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, folder = Loop(tmp_path), tmp_path / "checkpoints" / "learn"
    with pytest.raises(ZeroDivisionError):
        learn(loop, "learn", supernet(), schedule(), callbacks=[Stop(1, 0, ZeroDivisionError())])
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert before.keys() == {"last.ckpt", "checksums.json"}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TrainingError, match="the disk is full"):
        learn(loop, "learn", supernet(), schedule())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
