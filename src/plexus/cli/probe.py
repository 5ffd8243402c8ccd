"""`plexus probe`: models against turned images."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from plexus.cli._options import DATA, HARDWARE, NAME, OUTPUT, Json, Seed, command
from plexus.cli._show import print_json, print_lines
from plexus.errors import ConfigError, RunError
from plexus.progress import STARTING, whole

if TYPE_CHECKING:
    from plexus.record import RobustnessRecord


def probe(
    *names: str,
    angles: Annotated[float, DATA("Degrees from one angle to the next; 0, 90, 180, 270 always count.")] = 1,
    images: Annotated[int, DATA("How many test images, drawn by the seed.")] = 1000,
    mask: Annotated[
        Literal["circle", "none"], DATA("circle: black outside the inscribed circle, at 0 degrees too.")
    ] = "circle",
    seed: Annotated[Seed, DATA("Of the choice of images; the split is the run's own.")] = 0,
    size: Annotated[int | None, DATA("Resize images to SIZE x SIZE; a run knows its size.")] = None,
    mean: Annotated[float, DATA("Subtracted from pixels 0..255; a run does its own.")] = 0.0,
    std: Annotated[float, DATA("Pixels are then divided by it; a run does its own.")] = 1.0,
    batch_size: Annotated[int, HARDWARE("Images in one forward pass.")] = 128,
    out: Annotated[Path | None, OUTPUT("Folder for the two files.", default="RUN/probe, or probe-DATA")] = None,
    as_json: Json = False,
) -> None:
    """Turn test images through all angles and write `rotation.json` and the page `rotation.html`.

    plexus probe RUN|MODEL... DATA

    Parameters
    ----------
    names
        One or more models, then the data. A model is a run folder of `plexus fit`, an `.onnx` file, or
        `FILE.py:function` that returns a module (`+WEIGHTS.safetensors` loads its weights). Data is `digits`, a folder
        of images or parquet files, or a hub id, with the classes that the model knows; its test images are used.
    """
    if len(names) < 2:
        raise ConfigError("name a model and data: plexus probe RUN|MODEL... DATA")
    *models, data = names
    folder = out if out is not None else _folder(models, data)
    from plexus.record import check_place, write_together
    from plexus.report import render, rotation_lines

    check_place(folder, folder=True)
    figures, page = folder / "rotation.json", folder / "rotation.html"
    for place in (figures, page):
        check_place(place)
    with whole(weights={"turning images": 1}) as shown:
        with shown.part(STARTING):
            from plexus.robustness import probe_models
        record = probe_models(
            models, data, step=angles, images=images, mask=None if mask == "none" else mask, seed=seed, size=size,
            mean=mean, std=std, batch_size=batch_size, command=command(), progress=True,
        )  # fmt: skip
        with shown.part("writing the page"):
            text = render(record)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RunError(f"{folder}: cannot create the folder: {error.strerror}; name another with --out") from None
        write_together(folder, {figures.name: record.to_json(), page.name: text})
    if as_json:
        print_json(_figures(record))
    else:
        print_lines([*rotation_lines(record), f"open {page}"])


def _folder(models: list[str], data: str) -> Path:
    """Inside the run, where there is one; else beside the user."""
    if len(models) == 1 and Path(models[0]).is_dir():
        return Path(models[0]) / "probe"
    return Path(f"probe-{Path(data).name[:NAME] or 'data'}")


def _figures(record: RobustnessRecord) -> dict[str, Any]:
    raw = record.to_dict()
    models = {model["name"]: model["curve"]["summary"]["groups"] for model in raw["models"]}
    return {"data": raw["data"], "mask": record.mask, "models": models}
