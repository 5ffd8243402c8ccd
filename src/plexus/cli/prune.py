"""`plexus prune`: another budget from the same training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from plexus.cli._options import OUTPUT, TRAINING, WIRING, command
from plexus.cli._show import trained


def prune(
    source: Path,
    /,
    *,
    keep: Annotated[float | None, WIRING("Share of the edges to keep.")] = None,
    max_params: Annotated[str | None, WIRING("In place of keep, the most parameters, such as 200k.")] = None,
    then: Annotated[str | None, TRAINING("finetune or retrain.", default="as in the run")] = None,
    run: Annotated[Path | None, OUTPUT("The new run folder.", default="beside RUN, named by the budget")] = None,
) -> None:
    """Cut the network that RUN learned to another budget and train on; the learning itself is not done again.

    Parameters
    ----------
    source
        A run folder that `plexus fit` made.
    """
    from plexus.training import reprune

    budget = {"keep": keep, "max_params": max_params, "then": then}
    trained(
        "fit",
        lambda listen: reprune(source, **budget, run=run, command=command(), listen=listen, progress=True),  # type: ignore[arg-type]
    )
