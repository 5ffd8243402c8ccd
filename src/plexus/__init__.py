"""Learn how a network's layers should be connected, and keep a small, plain PyTorch model.

`plexus.fit` takes images as they are, by name, path or hub id, or in memory, and gives a `Run`: its model, its results,
and ways to predict, prune and export. `plexus.load` opens a run again, `plexus.audit` finds what is wrong with a set of
images, `plexus.probe` turns images before a model, and `plexus.sklearn.PlexusClassifier` is the same for scikit-learn.

The parts: images go through ``plexus.data`` to a supernet of ``plexus.nn``; training gives every connection a
strength; ``plexus.wiring`` prunes the weak ones and derives an ordinary ``torch.nn.Module``.

Importing ``plexus`` loads nothing heavy: torch comes in with the name that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazy_loader import attach

__version__ = "0.1.0"

if TYPE_CHECKING:
    from plexus import (
        audit,
        data,
        errors,
        essays,
        experiments,
        graph,
        metrics,
        models,
        nn,
        record,
        report,
        represent,
        robustness,
        segment,
        sklearn,
        training,
        wiring,
    )
    from plexus.run import Probe, Results, Run, fit, load, probe

# `audit` is both: a package of functions, and, called, the audit itself; see `plexus.audit`.
__getattr__, __dir__, __all__ = attach(
    __name__,
    submodules={
        "audit", "data", "errors", "essays", "experiments", "graph", "metrics", "models", "nn", "record", "report",
        "represent", "robustness", "segment", "sklearn", "training", "wiring",
    },
    submod_attrs={"run": ["Probe", "Results", "Run", "fit", "load", "probe"]},
)  # fmt: skip
