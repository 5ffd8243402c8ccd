"""The front door: `fit` takes images as they are and gives a `Run`; `probe` turns images before any model."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexus import report
from plexus.data import Memory, in_memory, is_place
from plexus.errors import ConfigError, DataError, short
from plexus.given import Legos, labelled, named_legos, plain
from plexus.progress import whole
from plexus.record import write_together
from plexus.results import Probe
from plexus.run import Run, load
from plexus.training import MEMORY, FitConfig, declared
from plexus.training import fit as train

if TYPE_CHECKING:
    from torch import nn


def _with_options(function: Callable[..., Run]) -> Callable[..., Run]:
    """Write the options of a fit into a function's signature and docstring, where `help` and completion look."""
    signature, options = inspect.signature(function), declared(FitConfig)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    fields: dict[str, Any] = FitConfig.__pydantic_fields__  # type: ignore[attr-defined]
    names = [name for name in options if name not in ("data", *signature.parameters)]
    more = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=options[name].value, annotation=fields[name].annotation
        )
        for name in names
    ]
    function.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    text = "".join(f"        {name}: {options[name].text}.\n" for name in names)
    function.__doc__ = re.sub(r" {8}\*\*options: .*\n", lambda _: text, function.__doc__ or "")
    return function


@_with_options
def fit(
    data: Any = "digits",
    labels: Any = None,
    *,
    out: str | Path | None = None,
    legos: str | Legos | Sequence[nn.Module] | None = None,
    teacher: str | Path | Run | nn.Module | None = None,
    backbone: str | Path | Run | nn.Module | Callable[[], nn.Module] | None = None,
    progress: bool = True,
    **options: Any,
) -> Run:
    """Learn a wiring from images, prune it, and return the finished run.

    Args:
        data: ``digits``, a folder of class folders or parquet files, a CSV manifest, or a hub id; or images in memory:
            an array or tensor (N, H, W), (N, C, H, W) or (N, H, W, C) of any numbers, a list of arrays, Pillow images
            or paths, a torch `Dataset` of (image, label), a Hugging Face `Dataset`, a pair (images, labels), or a dict
            of such by split: train, val, test.
        labels: one class per image, whole numbers or text, where data does not bring them.
        out: the run folder; by default `runs/DATA-DATE-TIME`, as on the command line.
        legos: a function from the shape of an image (C, H, W) to a list of torch modules, ``FILE.py:function``, or a
            list of modules that have not seen data yet.
        teacher: a model whose answers are learned, too: a `Run` or its folder, an ``.onnx`` file,
            ``FILE.py:function+WEIGHTS.safetensors``, or a torch module that takes pixels 0..255.
        backbone: a learned net whose maps are read in place of pixels: ``efficientnet-lite0``, a `Run` or its folder,
            ``FILE.py:function+WEIGHTS.safetensors``, or a torch module that takes pixels 0..255, or a function that
            makes it.
        progress: show live progress where stderr is a terminal.
        **options: those of `plexus fit`, see `FitConfig`:

    Returns:
        The run: its model, its results, and what else it left.

    Raises:
        PlexusError: data that cannot be used, or an option that is wrong; one line says what to do.

    Example:
        >>> import numpy as np
        >>> fit(np.zeros((3, 8, 8)), [0, 1, 2], epochs="many")
        Traceback (most recent call last):
        plexus.errors.ConfigError: plexus.fit: epochs='many' must be a whole number
    """
    given: dict[str, Any] = {}
    values = {name: plain(value) for name, value in options.items()}
    if "data" in options or "labels" in options:
        raise ConfigError("give the images first: plexus.fit(data, ...) or plexus.fit(images, labels, ...)")
    if not is_place(data):
        values["data"] = MEMORY
    elif labels is not None:
        raise ConfigError(
            f"labels beside {short(str(data))}, which brings its own: leave them out, or give a list of paths"
        )
    else:
        values["data"] = str(data)
    if legos is not None:
        values["legos"], given["legos"] = named_legos(legos)
    if teacher is not None:
        values["teacher"], given["teacher"] = named_model(teacher, "teacher")
    if backbone is not None:
        values["backbone"], given["backbone"] = named_model(backbone, "backbone")
    config = FitConfig.from_mapping(values, name="plexus.fit")
    if not is_place(data):
        given["data"] = labelled(in_memory(data, labels, label=config.label))
    given = {name: value for name, value in given.items() if value is not None}
    called = [repr(str(data)) if is_place(data) else "IMAGES", *(f"{k}={v!r}" for k, v in options.items())]
    with whole(progress) as shown:
        folder = train(config, run=out, command=f"plexus.fit({', '.join(called)})", progress=progress, given=given)
        with shown.part("writing the page"):
            report.write_run(folder)
    return Run(folder, given)


def probe(
    models: Any, data: Any = None, labels: Any = None, *, out: str | Path | None = None, progress: bool = True,
    **options: Any,
) -> Probe:  # fmt: skip
    """Turn test images through all angles and return how models hold up.

    Args:
        models: a `Run`, a run folder, an ``.onnx`` file, ``FILE.py:function``, a torch module, or a list of these.
        data: ``digits``, a folder or a hub id, whose test images are used; or images in memory as `fit` takes them, on
            the scale of the run's training or that a module takes, which are all used; by default those that the first
            run was tested on.
        labels: one class per image, where data does not bring them; for a module, the number of its logit.
        out: a folder for `rotation.json` and the page `rotation.html`; nothing is written without one.
        progress: show a bar where stderr is a terminal.
        **options: of `plexus.robustness.probe_models`: step, images, mask, seed, size, mean, std, batch_size.

    Returns:
        The probe; prints as its figures.

    Raises:
        PlexusError: models or data that cannot be used; one line says what to do.

    Example:
        >>> import numpy as np
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        >>> probe(net, np.ones((4, 8, 8)), [0, 1, 0, 1], step=90).record.models[0].curve.summary.angles
        [0.0, 90.0, 180.0, 270.0]
    """
    from plexus.robustness import probe_models

    several = list(models) if isinstance(models, list | tuple) else [models]
    given = [model.folder if isinstance(model, Run) else model for model in several]
    if strange := next((m for m in given if not (isinstance(m, str | Path) or hasattr(m, "state_dict"))), None):
        raise ConfigError(f"probe: {short(strange)} is no model; give a Run, a run folder, a file or a torch module")
    if data is None:
        data = _tested_on(several[0])
    images = data if is_place(data) or isinstance(data, Memory) else _images_to_turn(several, data, labels)
    try:
        record = probe_models(given, images, progress=progress, command="plexus.probe(...)", **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise ConfigError(
            f"probe: unknown option {str(error).split()[-1]}; see plexus.robustness.probe_models"
        ) from None
    found = Probe(record)
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        write_together(out, {"rotation.json": record.to_json(), "rotation.html": report.render(record)})
    return found


def named_model(model: Any, option: str) -> tuple[str, Any]:
    """Return the name that the options have for a model, and the model, where it is in memory.

    Args:
        model: a `Run`, a name or path, a torch module, or for a backbone a function that makes it.
        option: its name, ``teacher`` or ``backbone``.

    Raises:
        ConfigError: none of these.

    Example:
        >>> named_model(Path("runs/large"), "teacher")
        ('runs/large', None)
    """
    if isinstance(model, str | Path | Run):
        return str(model.folder if isinstance(model, Run) else model), None
    if not hasattr(model, "state_dict") and not (option == "backbone" and callable(model)):
        raise ConfigError(f"{option} is {short(model)}: give a torch module, a Run, or the name of a file")
    return MEMORY, model


def _as_run(model: Any) -> Run | None:
    """The run that a model is of; None for files and modules."""
    if isinstance(model, Run):
        return model
    return load(model) if isinstance(model, str | Path) and Path(model).is_dir() else None


def _images_to_turn(models: Sequence[Any], data: Any, labels: Any) -> Memory:
    """Return images on the scale of the runs' training, as `Run.predict` takes them; without a run, on their own."""
    runs = [run for model in models if (run := _as_run(model)) is not None]
    scales = {run.scale: run for run in runs}
    if len(scales) > 1:
        usual = ", ".join(f"{run.folder.name} {_ends(scale)}" for scale, run in scales.items())
        raise ConfigError(f"probe: the runs were trained on different scales ({usual}): probe them one at a time")
    return labelled(runs[0]._memory(data, labels) if runs else in_memory(data, labels))


def _ends(scale: tuple[float, float] | None) -> str:
    low, high = scale or (0, 255)
    return f"{low:g}..{high:g}"


def _tested_on(model: Any) -> Any:
    """Return the data of a run, for a probe that names none: a place, or the test images where they were in memory."""
    run = _as_run(model)
    if run is None:
        raise ConfigError("probe: name the images, too: plexus.probe(model, images, labels)")
    if run.config.data != MEMORY:
        return run.config.data
    memory = run._given.get("data")
    if memory is None:
        raise DataError(f"{run.folder}: its images were in memory: give images: plexus.probe(run, images, labels)")
    from plexus.training import load_data

    split = load_data(run.config, memory)
    names = set(split.test.names)
    rows = [i for i, sample in enumerate(memory.samples.samples) if sample.name in names]
    return replace(memory, samples=memory.samples.take(rows))
