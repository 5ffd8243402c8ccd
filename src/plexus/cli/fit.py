"""`plexus fit`: from images to a plain model."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from cyclopts import Parameter

import plexus.training
from plexus.cli._options import (
    Config,
    PrintConfig,
    Resume,
    Run,
    command,
    given,
    option_class,
    refuse_more,
    settings,
)
from plexus.training import FitConfig

Options = option_class(
    FitConfig,
    __name__,
    {
        "str": str, "int": int, "float": float, "bool": bool, "tuple[float, ...]": tuple[float, ...],
        "max_params": str,  # 200k is a count, too
    },
    ["gate_init"],
)  # fmt: skip
NONE = Options()


def fit(
    data: str | None = None,
    *,
    run: Run = None,
    resume: Resume = None,
    config: Config = None,
    print_config: PrintConfig = False,
    options: Annotated[Options, Parameter(name="*")] = NONE,  # type: ignore[valid-type]
) -> None:
    """Learn how layers should be connected, from images.

    Trains every connection at once, each with a gate; fades out and cuts the weakest; trains on; and leaves
    `model.safetensors`, `model.py`, `model.onnx`, `wiring.json`, `record.json` and `report.html` in a run folder.

    Parameters
    ----------
    data
        `digits` (the default; built in), a folder of class folders, a folder of parquet files, or a hub id.
    """
    said = given(data, options)
    if resume is not None:
        refuse_more(resume, said, run, config)
        if plexus.training.finished(resume):
            print(f"{resume}: the run is finished; its report is written again", file=sys.stderr)
        _trained(lambda listen: plexus.training.resume(resume, listen=listen, progress=True))
        return
    made = settings(FitConfig, said, config, either=("keep", "max_params"))
    if print_config:
        print(made.to_yaml(), end="")
        return
    _trained(lambda listen: plexus.training.fit(made, run=run, command=command(), listen=listen, progress=True))


def _trained(work: Any) -> None:
    from plexus.cli._show import trained

    trained(work)
