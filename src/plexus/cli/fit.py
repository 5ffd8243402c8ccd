"""`plexus fit`: from images to a plain model."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

import plexus.training
from plexus.cli._options import Config, Data, PrintConfig, Resume, Run, option_class, train_or_resume
from plexus.training import BUDGETS, FitConfig

Options = option_class(FitConfig, __name__)
NONE = Options()


def fit(
    data: Data = None,
    *,
    run: Run = None,
    resume: Resume = None,
    config: Config = None,
    print_config: PrintConfig = False,
    options: Annotated[Options, Parameter(name="*")] = NONE,  # type: ignore[valid-type]
) -> None:
    """Learn how a network should be wired, from images, and cut what it does not need.

    Trains with every connection there at first; cuts the weakest while it learns; trains on; and leaves
    `model.safetensors`, `model.py`, `model.onnx`, `wiring.json`, `record.json` and `report.html` in a run folder.

    Parameters
    ----------
    data
        `digits` (the default; built in), a folder of class folders, a CSV manifest (path, label, and
        split where there are splits), a folder of parquet files, or a hub id.
    """
    train_or_resume(
        "fit", FitConfig, plexus.training, plexus.training.fit, data=data, options=options, file=config, run=run,
        resume=resume, print_config=print_config, either=BUDGETS,
    )  # fmt: skip
