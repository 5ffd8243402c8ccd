"""`plexus prune`: another budget from the same training."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def prune(
    source: Path,
    /,
    *,
    keep: Annotated[float | None, Parameter(help="Share of the edges to keep.")] = None,
    max_params: Annotated[str | None, Parameter(help="In place of keep, the most parameters, such as 200k.")] = None,
    then: Annotated[str | None, Parameter(help="finetune | retrain [default: as in the run]")] = None,
    run: Annotated[
        Path | None, Parameter(help="The new run folder [default: beside RUN, named by the budget].")
    ] = None,
) -> None:
    """Cut the network that RUN learned to another budget and train on; the learning itself is not done again.

    Parameters
    ----------
    source
        A run folder that `plexus fit` made.
    """
    from plexus.cli._show import trained
    from plexus.training import reprune

    command = shlex.join(["plexus", *sys.argv[1:]])
    budget = {"keep": keep, "max_params": max_params, "then": then}
    trained(
        lambda listen: reprune(source, **budget, run=run, command=command, listen=listen, progress=True)  # type: ignore[arg-type]
    )
