"""The one engine: makes a run folder, trains and evaluates its task, goes on with a stopped one; knows no torch."""

from __future__ import annotations

import datetime
import os
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Generic, TypeVar

from plexus.errors import PlexusError, PlexusWarning, RunError
from plexus.progress import STARTING, current, whole
from plexus.record import FORMAT, Record, atomic_write, machine, to_json, versions
from plexus.training._config import MEMORY
from plexus.training._process import undisturbed
from plexus.training.run_folder import Lock, discard, fingerprint, is_rank_zero, make_run_folder
from plexus.user_code import split_weights

C = TypeVar("C")
Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Kind(Generic[C]):
    """One kind of run, as far as it is known without torch.

    Args:
        name: in the record: fit | segment | represent.
        verb: of the command line, which makes such runs and goes on with them.
        config: the class of its options; `data` and `seed` are among them.
        record: the class of its record.
        task: MODULE:CLASS of its `Task`, loaded once the run folder is there.
        paths: options that hold a path, with the words that are none there.
        outputs: the files that a finished run must have, from its record; a ValueError says why it can have none.
    """

    name: str
    verb: str
    config: type[C]
    record: type[Record]
    task: str
    paths: Mapping[str, tuple[str, ...]]
    outputs: Callable[[Any], Sequence[str]]

    @property
    def again(self) -> str:
        """The advice of messages where a run cannot go on."""
        return f"{self.verb.split()[-1]} anew"

    def files(self, config: C) -> dict[str, str]:
        """Return the paths that a config names beside its data: option -> path."""
        values = {name: getattr(config, name) for name in self.paths if name != "data"}
        return {name: path for name, path in values.items() if path is not None and path not in self.paths[name]}


class Task(ABC, Generic[C]):
    """The work of one kind of run in its folder; the engine calls the methods in the order they stand here.

    Args:
        folder: the run folder.
        config: options of the run.
        record: what the folder's record says so far; grows, and is written by `save`.
        listen: called with every epoch's entry.
        progress: show progress on stderr.
        given: what the options only name, as it was in memory: option -> object.
    """

    kind: ClassVar[Kind[Any]]
    judged = 1
    """Steps of the progress that `evaluate` has."""

    def __init__(
        self, folder: Path, config: C, record: dict[str, Any], *, listen: Listener | None, progress: bool,
        given: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.config, self.record = folder, config, record
        self.listen, self.progress, self.given = listen, progress, given or {}

    def parts(self) -> dict[str, float]:
        """Return what the work consists of: title of a part of the progress -> its weight, the judging being 10."""
        return {"learning": 80.0}

    def header(self) -> list[str]:
        """Return what the user should know before the training, once it is checked: lines of words."""
        return []

    @abstractmethod
    def load(self) -> str:
        """Read the data and return its fingerprint."""

    @abstractmethod
    def check(self) -> None:
        """Refuse what would fail later: legos that do not fit the images, devices that are not there."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the parts of the record that are known before the training; lists that phases extend are empty."""

    @abstractmethod
    def train(self) -> None:
        """Run all phases; those that are done are read back."""

    @abstractmethod
    def evaluate(self) -> None:
        """Complete the record, and write the files that the run is made for."""

    def save(self) -> None:
        """Write the record as it stands."""
        if is_rank_zero():
            write_parts(self.kind, self.record, self.folder)

    def spend(self, name: str, start: float, epochs: Sequence[Mapping[str, Any]] = ()) -> None:
        """Write down what a part of the work took: since the start, or with earlier sittings."""
        seconds = self.record.setdefault("seconds", {})
        earlier = sum(entry["seconds"] for entry in epochs)
        seconds[name] = max(seconds.get(name) or 0.0, time.monotonic() - start, earlier)
        self.save()


def start(
    kind: Kind[C],
    config: C,
    *,
    run: str | Path | None,
    command: str,
    listen: Listener | None,
    progress: bool,
    origin: Path | None = None,
    fill: Callable[[Path], None] | None = None,
    given: Mapping[str, Any] | None = None,
) -> Path:
    """Make a run folder, train, evaluate.

    The folder with the config is there before anything long begins, so that a run that is stopped at any moment can
    be gone on with; it is taken back where the data or the options turn out to be unusable.

    Args:
        kind: of the run.
        config: what to do.
        run: the run folder; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces the run, for the record.
        listen, progress: see `Task`.
        origin: a run that this one starts from; its data and files must be the same still.
        fill: puts into the new folder what is done already.
        given: see `Task`.

    Returns:
        The run folder.

    Raises:
        PlexusError: see its children; each message says what to do.
    """
    folder, config = new_run(kind, config, run, command=command)
    with whole(progress), undisturbed(), Lock(folder):
        # Until training begins nothing in the folder is worth keeping; from then on it is never taken back.
        try:
            if fill is not None and is_rank_zero():
                fill(folder)
            task = _prepare(kind, folder, config, listen, progress, origin or folder, given)
        except BaseException:  # whatever it was: nothing was begun
            discard(folder)
            raise
        _perform(task)
    return folder


def train_only(kind: Kind[C], config: C, *, progress: bool, given: Mapping[str, Any] | None = None) -> Task[C]:
    """Train without evaluating, in a temporary folder that is gone afterwards; the net is left in the task.

    Args:
        kind: of the run.
        config: what to do.
        progress, given: see `Task`.

    Returns:
        The task, trained.

    Raises:
        PlexusError: see its children; each message says what to do.
    """
    with TemporaryDirectory(prefix="plexus-") as place:
        folder, config = new_run(kind, config, Path(place) / "run", command="")
        with whole(progress), undisturbed(), Lock(folder):
            try:
                task: Task[C] = _prepare(kind, folder, config, None, progress, folder, given)
                task.train()
            finally:
                discard(folder)
    return task


def resume(kind: Kind[Any], run: str | Path, *, listen: Listener | None, progress: bool) -> Path:
    """Go on with a run that was stopped, to the very weights it would have reached; a finished one is left as it is.

    Raises:
        RunError: not a run folder, or the data or a file that it was started with is no longer what it was.
    """
    folder = Path(run)
    config, _ = open_run(kind, folder)
    if not finished(kind, folder):
        with whole(progress), undisturbed(), Lock(folder):
            _perform(_prepare(kind, folder, config, listen, progress, folder))
    return folder


def finished(kind: Kind[Any], run: str | Path) -> bool:
    """Return whether a run reached its end and its files are there.

    Raises:
        RunError: not a run folder, or a broken one.
    """
    _, record = open_run(kind, run)
    try:
        outputs = kind.outputs(record)
    except ValueError as error:
        raise RunError(f"{Path(run) / 'record.json'}: broken: {error}; {kind.again}") from None
    return bool(record.finished) and all((Path(run) / name).is_file() for name in outputs)


def open_run(kind: Kind[C], folder: str | Path) -> tuple[C, Any]:
    """Return the config and record of a run folder, as they stand in `config.yaml` and `record.json`.

    Raises:
        RunError: there is none, or it is broken or of another kind.
    """
    path = Path(folder)
    if not (path / "config.yaml").is_file():
        raise RunError(f"{path}: not a run folder (it has no config.yaml); name one of `plexus {kind.verb}`")
    record = kind.record.read(path / "record.json")
    if not record.machine:
        raise RunError(f"{path / 'record.json'}: broken: it does not name the machine; {kind.again}")
    try:
        config: C = kind.config.read(path / "config.yaml")  # type: ignore[attr-defined]
    except PlexusError as error:
        raise RunError(f"{error}; the run folder was changed or is of another version of plexus") from None
    return config, record


def parts_of(record: Record) -> dict[str, Any]:
    """Return the parts of a record that were ever set, as plain JSON types."""
    return {name: part for name, part in record.to_dict().items() if name in record.model_fields_set}


def write_parts(kind: Kind[Any], parts: Mapping[str, Any], folder: Path) -> None:
    """Write the parts of a record that there are, once they have been checked, whole or not at all."""
    atomic_write(folder / "record.json", to_json(parts_of(kind.record.from_dict(parts))))


def new_run(
    kind: Kind[C], config: C, folder: str | Path | None, *, command: str, now: datetime.datetime | None = None
) -> tuple[Path, C]:
    """Make a run folder with its config and an unfinished record.

    Args:
        kind: of the run.
        config: options of the run.
        folder: where; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces it.
        now: the time to name and stamp it with.

    Returns:
        The folder, and the config it holds: its paths are absolute, so that a run can go on from anywhere.

    Raises:
        RunError: the folder exists and is not empty, or cannot be made.
    """
    options: Any = config
    values = {name: getattr(config, name) for name in kind.paths}
    config = replace(options, **{name: _absolute(path, kind.paths[name]) for name, path in values.items()})
    now = now or datetime.datetime.now(datetime.UTC)
    record = {
        "format": FORMAT,
        "kind": kind.name,
        "created": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "command": command,
        "seed": options.seed,
        "finished": False,
        "versions": versions("torch", "lightning"),
        "machine": machine(),
    }
    files = {"record.json": to_json(record), "config.yaml": config.to_yaml()}  # type: ignore[attr-defined]
    return make_run_folder(
        folder, files, data="arrays" if options.data == MEMORY else options.data, verb=kind.verb, now=now
    ), config


def _absolute(path: str | None, words: Sequence[str]) -> str | None:
    """A path that is there, from the root, also in FILE.py:function; anything else, as a hub id, as it is."""
    if path is None or path in words:
        return path
    where, weights = split_weights(path)
    file, _, function = where.rpartition(":")
    if file.endswith(".py"):
        return f"{os.path.abspath(file)}:{function}" + (f"+{os.path.abspath(weights)}" if weights else "")
    return os.path.abspath(path) if os.path.exists(path) else path


def _prepare(
    kind: Kind[Any], folder: Path, config: Any, listen: Listener | None, progress: bool, origin: Path,
    given: Mapping[str, Any] | None = None,
) -> Task[Any]:  # fmt: skip
    """The task, once its data and files are there and the same as ever, and all that can be checked is checked."""
    before = parts_of(kind.record.read(origin / "record.json")).get("data", {})
    files = {name: fingerprint(path) for name, path in kind.files(config).items()}
    for name, path in kind.files(config).items():
        if (before.get("files") or {}).get(name, files[name]) != files[name]:  # older records do not know
            raise RunError(f"{name}={path} is not what the run started with; bring it back, or {kind.again}")
    # The files come before the images, and both before the nets: a change is told as such, not as a misfit of layers.
    module, _, name = kind.task.partition(":")
    record = parts_of(kind.record.read(folder / "record.json"))
    shown = current()
    with shown.part(STARTING):
        make = getattr(import_module(module), name)
    task: Task[Any] = make(folder, config, record, listen=listen, progress=progress, given=given)
    with shown.part("reading images"):
        images = task.load()
    if before.get("fingerprint") not in (None, "", images):
        raise RunError(
            f"the images under {config.data} are not those the run started with; bring them back, or {kind.again}"
        )
    with shown.part("planning"):
        task.check()
    shown.expect({**task.parts(), "judging": 10.0, "writing the page": 1.0})  # before that nobody knows a share
    for line in task.header():
        shown.say(line)
    import torch

    task.record |= {"config": asdict(config), **task.describe()}
    task.record["data"] |= {"fingerprint": images, **({"files": files} if files else {})}
    _note_threads(task.record["machine"], torch.get_num_threads())
    task.save()
    return task


def _note_threads(machine: dict[str, Any], threads: int) -> None:
    """Keep the number of threads that a run began with, and warn where it goes on with another."""
    began = machine.setdefault("threads", threads)
    if threads != began:
        machine["threads_resumed"] = threads
        warnings.warn(
            f"the run began with {began} threads and goes on with {threads}: sums are taken in another order, so the "
            f"weights will differ in their last digits; OMP_NUM_THREADS={began} goes on to the very same",
            PlexusWarning,
            stacklevel=2,
        )


def _perform(task: Task[Any]) -> None:
    """Train and, in the process that writes, evaluates."""
    task.train()
    if is_rank_zero():
        start = time.monotonic()
        with current().part("judging", task.judged):
            task.evaluate()
        seconds = task.record["seconds"]
        seconds["evaluation"] = time.monotonic() - start
        seconds["total"] = sum(spent for name, spent in seconds.items() if name != "total")
        task.record["finished"] = True
        task.save()
