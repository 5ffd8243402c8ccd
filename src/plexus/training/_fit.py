"""Fit, go on with a fit, or cut it to another budget. Torch is loaded once the folder is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexus.errors import ConfigError, DataError, RunError, short
from plexus.record import FitRecord, to_json
from plexus.training import engine
from plexus.training._config import BUDGETS, LITE, MEMORY, STACK, FitConfig
from plexus.training._options import declared, read_yaml
from plexus.training.engine import Kind, Listener
from plexus.training.run_folder import read_checked, write_checked

if TYPE_CHECKING:
    from plexus.data import ImageData

FIT = Kind(
    name="fit",
    verb="fit",
    config=FitConfig,
    record=FitRecord,
    task="plexus.training._task:FitTask",
    paths={
        "data": ("digits", MEMORY),
        "legos": (MEMORY,),
        "start_from": (),
        "teacher": (MEMORY,),
        "backbone": (MEMORY, LITE),
    },
    outputs=lambda record: (
        "model.safetensors",
        "model.onnx",
        *(["model-int8.onnx"] if record.config.get("int8") else []),
    ),
)
"""Runs of `plexus fit`, as the engine knows them: their options, record, task and files."""


def fit(
    config: FitConfig,
    *,
    run: str | Path | None = None,
    command: str = "",
    listen: Listener | None = None,
    progress: bool = False,
    given: Mapping[str, Any] | None = None,
) -> Path:
    """Learn a wiring from images, prune it, and leave model, record and evidence in a run folder.

    The folder with the config is there before anything long begins, so that a run that is stopped at any moment can
    be gone on with; it is taken back where the data or the legos turn out to be unusable.

    Args:
        config: what to do.
        run: the run folder; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces the run, for the record.
        listen: called with every epoch's figures.
        progress: show live progress bars where stderr is a terminal.
        given: what the config only names: `data`, a `plexus.data.Memory`, and `legos`, a function.

    Returns:
        The run folder.

    Raises:
        PlexusError: see its children; each message says what to do.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:  # too few images; the run folder is taken back
        ...     fit(FitConfig(data="digits", limit=5), run=f"{folder}/run")
        Traceback (most recent call last):
        plexus.errors.DataError: --limit 5 is too low for 10 classes: at least 20
    """
    if not isinstance(config, FitConfig):
        raise ConfigError(f"fit takes a FitConfig, not {short(config)}; `plexus.fit` takes data as they are")
    return engine.start(FIT, config, run=run, command=command, listen=listen, progress=progress, given=given)


def resume(run: str | Path, *, listen: Listener | None = None, progress: bool = False) -> Path:
    """Go on with a run that was stopped, to the very weights it would have reached.

    Args:
        run: a run folder.
        listen, progress: as for `fit`.

    Returns:
        The run folder.

    Raises:
        RunError: not a run folder, or the images, the legos or the encoder are no longer what they were.

    Example:
        >>> resume("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus fit`
    """
    if not finished(run):
        _refuse_earlier(Path(run))
    return engine.resume(FIT, run, listen=listen, progress=progress)


def load_data(config: FitConfig, memory: Any = None) -> ImageData:
    """Load the images of a run, split as its options say.

    Args:
        config: of the run.
        memory: the images where they were in memory.

    Raises:
        DataError: they are not there, or were in memory and are not given.

    Example:
        >>> len(load_data(FitConfig(limit=100)).train)
        85
    """
    from plexus.data import load

    if memory is None and config.data == MEMORY:
        raise DataError("the images were in memory; give them again: plexus.load(RUN).prune(..., data=IMAGES)")
    return load(
        config.data if memory is None else memory.samples, size=config.side, seed=config.seed, val=config.val,
        test=config.test, skip_unreadable=config.skip_unreadable, limit=config.limit, label=config.label,
        group_from=config.group_from,
        fit=config.fit or "auto", cache=config.cache,
    )  # fmt: skip


def finished(run: str | Path) -> bool:
    """Return whether a run reached its end and its models are there.

    Args:
        run: a run folder.

    Raises:
        RunError: not a run folder, or a broken one.

    Example:
        >>> finished("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus fit`
    """
    return engine.finished(FIT, run)


def open_run(folder: str | Path) -> tuple[FitConfig, FitRecord]:
    """Return the config and record of a run folder.

    Args:
        folder: a run folder.

    Returns:
        Both, as they stand in `config.yaml` and `record.json`.

    Raises:
        RunError: there is none, or it is broken or of another kind.

    Example:
        >>> open_run("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus fit`
    """
    return engine.open_run(FIT, folder)


def reprune(
    source: str | Path,
    *,
    run: str | Path | None = None,
    command: str = "",
    listen: Listener | None = None,
    progress: bool = False,
    given: Mapping[str, Any] | None = None,
    **budget: Any,
) -> Path:
    """Cut the net of a run further, to a smaller budget, and train on, in a new run folder.

    Training takes up the cycle of the learning rate where it has fallen to a good half of its peak; what was learned is
    not learned again. Edges that are gone do not come back: a larger budget needs another `fit`.

    Args:
        source: a run folder whose training is done.
        run: the new run folder; by default beside the old one, named by the budget.
        command, listen, progress, given: as for `fit`.
        **budget: one of keep (a share of the edges that the net had at first), fan_in, max_params, max_macs, max_ms and
            max_kb, as for `FitConfig`.

    Returns:
        The new run folder.

    Raises:
        ConfigError: not exactly one budget, one out of range, one that cannot be met, or one that is met already.
        RunError: the source has not finished learning, what it was started with has changed, or the new folder exists.

    Example:
        >>> reprune("nowhere", keep=0.2)
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus fit`
    """
    source = Path(source)
    config, record = open_run(source)
    chosen = {name: value for name, value in budget.items() if value is not None}
    if len(chosen) != 1 or not chosen.keys() <= set(BUDGETS):
        options = " or ".join(f"--{name.replace('_', '-')}" for name in BUDGETS)
        raise ConfigError(f"give one budget: {options}")
    _refuse_earlier(source)
    stack = {name: value for name in STACK if (value := getattr(config, name)) != declared(FitConfig)[name].value}
    values = FitConfig.from_mapping({**stack, **chosen}, name="options").budget()
    width = config.width if record.plan.width is None else record.plan.width
    if width is None and config.stack in ("separable", "mix"):  # the net's own, which another budget must not change
        width = {"separable": 32, "mix": 48}[config.stack]
    config = replace(config, **{**dict.fromkeys(BUDGETS), **values, "width": width})
    if not _done(source, "fit"):
        raise RunError(f"{source}: the learning is not done; finish it with `plexus fit --resume {source}`")
    ((name, value),) = values.items()
    _refuse_idle(source, record, name, value)
    folder = f"{source.absolute().name}-{name.replace('_', '-')}-{value:g}"

    def fill(folder: Path) -> None:
        _copy(source, record, folder)

    return engine.start(
        FIT, config, run=source.absolute().with_name(folder) if run is None else run, command=command, listen=listen,
        progress=progress, origin=source, fill=fill, given=given,
    )  # fmt: skip


def _refuse_earlier(folder: Path) -> None:
    """Refuse to train on in a run of the versions that trained in phases, choice, fading and cut."""
    if FitConfig.gone.keys() & read_yaml(folder / "config.yaml").keys():
        raise RunError(f"{folder}: the run is of an earlier version of plexus, which trained in other phases; fit anew")


def _refuse_idle(source: Path, record: FitRecord, name: str, value: float) -> None:
    """Refuse a budget that the net meets already; an unfinished run has not measured all of them."""
    final = next((row for row in record.results if row.name == "final"), None)
    small = next((row for row in record.results if row.name == "int8"), final)
    maps = [edge.maps for edge in record.edges if edge.maps]
    kept, whole = (
        map(sum, zip(*maps, strict=True)) if maps else (sum(bool(e.kept) for e in record.edges), len(record.edges))
    )
    needs = {
        "keep": kept / whole if whole else None,
        "fan_in": record.plan.fan_in,
        "max_params": final.parameters if final else None,
        "max_macs": final.macs if final else None,
        "max_ms": final.latency_ms if final else None,
        "max_kb": small.kb if small else None,
    }[name]
    if needs is not None and needs <= value:
        raise ConfigError(
            f"{name}={value:g} is met by {source} already, which has {needs:.4g}: nothing would be cut; "
            "choose less, or fit anew with more"
        )


def _done(folder: Path, phase: str) -> bool:
    return (folder / "checkpoints" / phase / "history.json").is_file()


def _copy(source: Path, record: FitRecord, folder: Path) -> None:
    """Take over the training as a start; the history comes last, as it says that the rest is there."""
    to = folder / "checkpoints" / "start"
    to.mkdir(parents=True, exist_ok=True)
    if (final := record.result("final")) is not None and (source / "model.onnx").is_file():
        write_checked(to / "final.json", to_json(final.model_dump()).encode())
        write_checked(to / "model.onnx", (source / "model.onnx").read_bytes())
    for name in ("weights.safetensors", "history.json"):
        write_checked(to / name, read_checked(source / "checkpoints" / "fit" / name))
