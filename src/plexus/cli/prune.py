"""`plexus prune`: another budget from the same training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from plexus.cli._options import OUTPUT, WIRING, command
from plexus.cli._show import trained


def prune(
    source: Path,
    /,
    *,
    keep: Annotated[float | None, WIRING("Share of the edges to keep, of all that the net had at first.")] = None,
    fan_in: Annotated[int | None, WIRING("Source maps that every group of maps keeps.")] = None,
    max_params: Annotated[str | None, WIRING("The most parameters, such as 200k.")] = None,
    max_macs: Annotated[str | None, WIRING("The most multiply-adds of one image, such as 5M.")] = None,
    max_ms: Annotated[float | None, WIRING("The most milliseconds for one image: onnxruntime, one thread.")] = None,
    max_kb: Annotated[float | None, WIRING("The largest model.onnx, in kilobytes.")] = None,
    run: Annotated[Path | None, OUTPUT("The new run folder.", default="beside RUN, named by the budget")] = None,
) -> None:
    """Cut the network that RUN learned further, to a smaller budget, and train on for the rest of the cycle.

    Parameters
    ----------
    source
        A run folder that `plexus fit` made.
    """
    from plexus.training import reprune

    budget: dict[str, Any] = {"keep": keep, "fan_in": fan_in, "max_params": max_params, "max_macs": max_macs}
    budget |= {"max_ms": max_ms, "max_kb": max_kb}
    trained(
        "fit",
        lambda: reprune(source, **budget, run=run, command=command(), progress=True),
    )
