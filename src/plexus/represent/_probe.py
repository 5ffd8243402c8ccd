"""Recognition and reconstruction of Z side by side, for one run or for siblings of other sizes and balances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plexus.data import load
from plexus.errors import ConfigError
from plexus.progress import bar, current
from plexus.represent._config import RepresentConfig
from plexus.represent._train import finished, open_run, resume, train
from plexus.represent.space import add_to_record, open_model, scores, turning, white_of


def probe(
    run: str | Path,
    data: str | Path,
    *,
    dims: Sequence[int] = (),
    balances: Sequence[float] = (),
    label: str | None = None,
    listen: Callable[[dict[str, Any]], None] | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Neighbour and linear accuracy of Z, reconstruction error, and how far Z moves when images turn.

    For every size and balance asked for beyond the run's own, a sibling is trained under RUN/probe with that one option
    changed; siblings that are there are read back, and one that was stopped goes on.

    Args:
        run: a finished run of `plexus represent train`.
        data: images with classes; of the classes that the run knows, where it was trained on some. Their training
            images are the neighbours and teach the line, their test images are measured.
        dims: sizes of Z.
        balances: 0 to 1.
        label: the column of the labels, where a table has several.
        listen: called with every epoch of a sibling's training.
        progress: show progress on stderr.

    Returns:
        One row per model: `dim`, `balance`, `mse`, `unexplained`, `knn`, `linear`, `turning`; also in the run's record.

    Raises:
        ConfigError: a size or a balance out of range.
        RunError: the run has not finished.

    Example:
        >>> probe("nowhere", "photos")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    run_folder = Path(run)
    model, _, record = open_model(run_folder, writes=True)
    config, _ = open_run(run_folder)
    wanted = _siblings(config, dims, balances)
    images = load(
        data, size=(model.in_shape[1], model.in_shape[2]), seed=config.seed, val=config.val, test=config.test,
        label=label, white=white_of(record),
    )  # fmt: skip
    if images.in_shape != model.in_shape:
        colours = {1: "grey", 3: "colour"}
        raise ConfigError(f"{data}: its images are {colours[images.in_shape[0]]}, those of the run are not")
    current().say(f"data    {images.summary}")
    trained = [name for name in images.classes if name in record["data"]["classes"]]
    if 2 <= len(trained) < len(images.classes):
        images = images.only(trained)
    rows = []
    with bar("measuring", len(wanted), progress) as step:
        for name, sibling in wanted.items():
            folder = run_folder if name is None else run_folder / "probe" / name
            if name is not None:
                _made(sibling, folder, listen, progress)
            model, space, record = open_model(folder)
            row: dict[str, Any] = {
                "dim": sibling.dim,
                "balance": sibling.balance,
                "objective": sibling.objective,
                "own": name is None,
            }
            row |= scores(model, space, images.train, images.test)
            row |= {"turning": turning(model, images.test.images), "active": record["units"]["active"]}
            rows.append(row)
            step(1, name or run_folder.name)
    result = {"data": images.name, "test": len(images.test), "rows": rows}
    add_to_record(run_folder, "probe", lambda before: result)
    return rows


def _siblings(
    config: RepresentConfig, dims: Sequence[int], balances: Sequence[float]
) -> dict[str | None, RepresentConfig]:
    """Folder name -> config; None is the run itself."""
    siblings: dict[str | None, RepresentConfig] = {None: config}
    for dim in dims:
        if dim != config.dim:
            siblings[f"dim-{dim}"] = replace(config, dim=dim, onnx=False)
    for balance in balances:
        if balance != config.balance:
            siblings[f"balance-{balance:g}"] = replace(config, balance=float(balance), onnx=False)
    return siblings


def _made(
    config: RepresentConfig, folder: Path, listen: Callable[[dict[str, Any]], None] | None, progress: bool
) -> None:
    """A sibling that is there, whole."""
    if not (folder / "config.yaml").is_file():
        train(config, run=folder, listen=listen, progress=progress)
    elif not finished(folder):
        resume(folder, listen=listen, progress=progress)
