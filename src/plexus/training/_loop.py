"""The one place that trains: a phase runs to its end, or on from its checkpoint, and leaves weights and history."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from torch.utils.data import DataLoader

from plexus.data import Split, loader
from plexus.errors import ConfigError, RunError, TrainingError
from plexus.progress import Step, bar
from plexus.training._callbacks import AtomicCheckpoints, Checkpoints, EarlyEnd, Steps, quiet
from plexus.training._module import Entry, History, TrainingModule, exact_state, load_exact
from plexus.training.run_folder import is_rank_zero, read_checked, write_checked

Listener = Callable[[Entry], None]


class Hardware(Protocol):
    """The part of a config that says what the machine is to do."""

    @property
    def devices(self) -> int: ...
    @property
    def strategy(self) -> str: ...
    @property
    def precision(self) -> str: ...


@dataclass(frozen=True)
class Machine:
    """One device in full precision, unless told otherwise.

    Args:
        devices, strategy, precision: passed on to Lightning's Trainer.

    Example:
        >>> Machine().precision
        '32-true'
    """

    devices: int = 1
    strategy: str = "auto"
    precision: str = "32-true"


@dataclass(frozen=True, eq=False)
class Batches:
    """The batches of a phase: a new order every epoch, which the seed and the epoch alone decide.

    Args:
        train: what is learned from.
        val: what every epoch is measured on.
        size: images in a batch, per process.
        seed: of the orders.
        val_size: images in a validation batch; by default 256, or `size` if that is more.
        first: epochs of the same orders that came before.
        devices: processes that share the images.
        weights: of the training images, where they are drawn with replacement: see `EpochSampler`.

    Raises:
        ConfigError: from `loaders`, without images, or with a size below 1.

    Example:
        >>> split = Split(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), torch.arange(5), tuple("abcde"))
        >>> Batches(split, split, size=2, seed=0).steps
        3
    """

    train: Split
    val: Split
    size: int
    seed: int
    val_size: int | None = None
    first: int = 0
    devices: int = 1
    weights: NDArray[np.float64] | None = None

    @property
    def steps(self) -> int:
        """Optimiser steps in an epoch."""
        return math.ceil(math.ceil(len(self.train) / self.devices) / self.size)

    def loaders(self, rank: int = 0, world: int = 1) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Return the loaders of training and validation of one process."""
        many = max(self.size, 256) if self.val_size is None else self.val_size
        train = loader(
            self.train, self.size, seed=self.seed, shuffle=True, rank=rank, world=world, first=self.first,
            weights=self.weights,
        )  # fmt: skip
        return train, loader(self.val, many, seed=self.seed, shuffle=False, rank=rank, world=world)


class Loop:
    """Train phases one after the other; each leaves its weights and its history, and is never done twice.

    A phase lies in FOLDER/checkpoints/NAME: `last.ckpt` while it trains, `weights.safetensors` and `history.json` when
    it is done. A process that was stopped at any moment goes on from there to the same bits.

    Args:
        folder: of the run, or of a study's trial.
        machine: says devices, strategy and precision; every config of a run does.
        listen: called with every epoch's entry, by one process.
        progress: show progress on stderr, where no other is shown.
        logs: of csv | tensorboard, which to keep under FOLDER/logs.
        save_every: seconds between checkpoints; 0 writes one after every epoch.

    Attributes:
        spent: processor seconds of the epochs of every phase, by name.

    Example:
        >>> import tempfile
        >>> from plexus.training import ClassificationModule, Normalize, Schedule
        >>> split = Split(torch.zeros(6, 1, 4, 4, dtype=torch.uint8), torch.arange(6) % 2, tuple("abcdef"))
        >>> net, batches = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), Batches(split, split, size=4, seed=0)
        >>> plan = Schedule(epochs=2, whole=2, first=0, lr=1e-3)
        >>> module = ClassificationModule(net, Normalize(torch.zeros(1), torch.ones(1)), 2, plan, batches.steps)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [entry["epoch"] for entry in Loop(folder, logs=()).run("net", module, batches)]
        [0, 1]
    """

    def __init__(
        self, folder: str | Path, machine: Hardware | None = None, *, listen: Listener | None = None,
        progress: bool = False, logs: Sequence[str] = ("csv",), save_every: float = 0.0,
    ) -> None:  # fmt: skip
        self.folder, self.machine, self.listen = Path(folder), machine or Machine(), listen
        self.progress, self.logs, self.save_every = progress, logs, save_every
        self.spent: dict[str, float] = {}

    def done(self, name: str) -> bool:
        """Return whether a phase has run to its end."""
        return (self._place(name) / "history.json").exists()

    def run(
        self,
        name: str,
        module: TrainingModule,
        batches: Batches,
        *,
        tags: Mapping[str, Any] | None = None,
        title: str | None = None,
        callbacks: Sequence[L.Callback] = (),
        listen: Listener | None = None,
        stop: Callable[[Sequence[Entry]], bool] | None = None,
    ) -> list[Entry]:
        """Train the module's net in place; a phase that is done is read back.

        Every process ends with the weights that the first one left on the disk, on the CPU and in the module's memory
        layout, so that what is computed from them does not depend on when and how often the phase was stopped.

        Args:
            name: of the phase, once in the folder.
            module: what is trained, and how.
            batches: what it is trained on.
            tags: written into every entry.
            title: of the part of the progress; by default the name.
            callbacks: of Lightning, beside history and checkpoints.
            listen: in place of the loop's own.
            stop: asked before every epoch with all entries so far; True ends the phase early.

        Returns:
            An entry for each epoch: tags, epoch, what the module measured, seconds.

        Raises:
            TrainingError: the loss is no longer a number, or the disk is full.
            RunError: what an earlier process left does not belong to this net.
            KeyboardInterrupt: stopped by SIGINT or SIGTERM; the last checkpoint is there.
        """
        folder = self._place(name)
        steps = module.schedule.epochs * module.steps
        with bar(name if title is None else title, steps, self.progress) as step:
            if self.done(name):
                step(steps, skipped=True)
            else:
                history = History(tags or {}, listen or self.listen)
                with quiet():
                    self._fit(folder, module, batches, [*callbacks, history], history, step, stop)
                if is_rank_zero():
                    _leave(folder, module.net, history.epochs)
                wait()
        # Read back also by the process that trained: else bits would depend on who did.
        module.cpu()
        epochs = _read_back(folder, module.net)
        self.spent[name] = sum(epoch.pop("processor_seconds", 0.0) for epoch in epochs)
        return epochs

    def _place(self, name: str) -> Path:
        return self.folder / "checkpoints" / name

    def _fit(
        self, folder: Path, module: TrainingModule, batches: Batches, callbacks: list[L.Callback], history: History,
        step: Step, stop: Callable[[Sequence[Entry]], bool] | None,
    ) -> None:  # fmt: skip
        checkpoint = folder / "last.ckpt"
        # The history comes before what reads it: Lightning calls callbacks in their order.
        callbacks += [EarlyEnd(history, stop)] if stop else []
        callbacks += [Checkpoints(checkpoint, self.save_every), Steps(history, step)]
        trainer = make_trainer(
            self.machine,
            max_epochs=module.schedule.epochs,
            callbacks=callbacks,
            plugins=[AtomicCheckpoints()],
            logger=self._loggers(folder.name),
            enable_progress_bar=False,
            default_root_dir=self.folder,
        )
        if checkpoint.exists():
            _check(checkpoint, module)
        before = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(
                module,
                *batches.loaders(trainer.global_rank, trainer.world_size),
                ckpt_path=str(checkpoint) if checkpoint.exists() else None,
                weights_only=True,  # nothing is unpickled
            )
        except (SystemExit, SIGTERMException):  # Lightning makes Ctrl-C an exit of its own, and then ignores more
            raise KeyboardInterrupt from None
        finally:
            if threading.current_thread() is threading.main_thread() and before is not None:
                signal.signal(signal.SIGINT, before)
        if trainer.interrupted:  # some hooks let Lightning end quietly
            raise KeyboardInterrupt
        epochs = len(history.epochs)
        if trainer.global_step != epochs * module.steps or (epochs < module.schedule.epochs and not stop):
            expected = module.schedule.epochs * module.steps
            raise RunError(f"{folder.name} ended after {trainer.global_step} of {expected} steps; go on with --resume")

    def _loggers(self, name: str) -> list[Logger] | bool:
        loggers: list[Logger] = []
        if "csv" in self.logs:
            loggers.append(CSVLogger(self.folder / "logs", name=name, version=f"from-{time.time_ns()}"))
        if "tensorboard" in self.logs:
            loggers.append(TensorBoardLogger(self.folder / "logs", name=name, version="board"))
        return loggers or False


def make_trainer(machine: Hardware, **more: Any) -> L.Trainer:
    """Return Lightning's Trainer as plexus uses it; the only place that makes one.

    Raises:
        ConfigError: devices, a strategy or a precision that Lightning will not have, with its own words.
    """
    try:
        return L.Trainer(
            accelerator="auto",
            devices=machine.devices,
            strategy=machine.strategy,
            precision=machine.precision,  # type: ignore[arg-type]
            use_distributed_sampler=False,  # `loader` shares the images out itself, in an order that the seed decides
            enable_checkpointing=False,  # Lightning's own is not whole or not at all
            enable_model_summary=False,
            num_sanity_val_steps=0,  # it would draw from the metrics of the first epoch
            log_every_n_steps=10**9,  # figures are logged by the epoch
            **more,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        asked = f"devices={machine.devices}, strategy={machine.strategy!r}, precision={machine.precision!r}"
        raise ConfigError(f"{asked}: {str(error).splitlines()[0]}") from None


def check_devices(machine: Hardware) -> None:
    """Refuse early what Lightning will not have.

    Args:
        machine: says devices, strategy and precision.

    Raises:
        ConfigError: with Lightning's own words.

    Example:
        >>> check_devices(Machine(strategy="nonsense"))
        Traceback (most recent call last):
        plexus.errors.ConfigError: devices=1, strategy='nonsense', precision='32-true': You selected an invalid ...
    """
    with quiet():
        make_trainer(machine, logger=False, enable_progress_bar=False)


def wait() -> None:
    """Wait until all processes of the run are here; one alone does not wait.

    Example:
        >>> wait()
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def _leave(folder: Path, net: nn.Module, epochs: Sequence[Entry]) -> None:
    """Write what a phase has made; the history comes last, as it says that the rest is there."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.cpu().contiguous() for k, v in exact_state(net).items()}
    if wrong := next((name for name, value in state.items() if value.isnan().any()), None):
        raise TrainingError(f"{folder.name}: {wrong} holds NaN, which is no number; train anew with a lower --lr")
    write_checked(folder / "weights.safetensors", save(state))
    write_checked(folder / "history.json", json.dumps(epochs).encode())


def _read_back(folder: Path, net: nn.Module) -> list[Entry]:
    """Load what a phase left into the net and returns its history."""
    try:
        load_exact(net, load(read_checked(folder / "weights.safetensors")))
        epochs: list[Entry] = json.loads(read_checked(folder / "history.json"))
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise RunError(f"{folder}: {_misfit(error)}") from None
    if is_rank_zero():
        (folder / "last.ckpt").unlink(missing_ok=True)
    return epochs


def _check(checkpoint: Path, module: TrainingModule) -> None:
    """Refuse a checkpoint that is broken or of another net, before Lightning does it with a traceback."""
    try:
        content = torch.load(BytesIO(read_checked(checkpoint)), map_location="cpu", weights_only=True)
        shapes = [{k: v.shape for k, v in kind.items()} for kind in (content["state_dict"], module.state_dict())]
        history = History.__qualname__ in content["callbacks"]
    except RunError:
        raise
    except Exception as error:  # a broken file can raise anything
        raise RunError(f"{checkpoint}: {_misfit(error)}") from None
    if shapes[0] != shapes[1]:
        raise RunError(f"{checkpoint}: {_misfit(ValueError('other layers'))}")
    if any(v.isnan().any() for v in content["state_dict"].values()):
        raise RunError(f"{checkpoint}: {_misfit(ValueError('it holds values that are no numbers, NaN'))}")
    if not history:
        raise RunError(f"{checkpoint}: {_misfit(ValueError('written by another version of plexus'))}")


def _misfit(error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if "weights_only" in reason:  # torch advises to unpickle what a stranger may have made
        reason = "it holds other things than weights"
    return f"broken, or not of these layers ({reason}); remove it to train the phase anew"
