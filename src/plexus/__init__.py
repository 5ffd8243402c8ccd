"""Learn how a network's layers should be connected, and keep a small, plain PyTorch model.

`plexus.fit` takes images as they are, by name, path or hub id, or in memory, and gives a `Run`: its model, its results,
and ways to predict, prune and export. `plexus.load` opens a run again, `plexus.audit` finds what is wrong with a set of
images, `plexus.probe` turns images before a model, and `plexus.sklearn.PlexusClassifier` is the same for scikit-learn.

The parts: images go through ``plexus.data`` to a supernet of ``plexus.nn``; training gives every connection a
strength; ``plexus.wiring`` prunes the weak ones and derives an ordinary ``torch.nn.Module``.

Importing ``plexus`` loads nothing heavy: torch comes in with the name that needs it.
"""

from __future__ import annotations

from plexus import start as _start  # isort: skip  # takes signals, before what takes long to load

import os as _os
from typing import TYPE_CHECKING

from lazy_loader import attach

__version__ = "0.1.0"


def _prepare(environment: _os._Environ[str]) -> None:
    """Set what other libraries read once, as they are imported; what the user has set stays.

    onnxruntime reports to a public host, and writes a device id, unless it is told not to. altair asks for the home,
    numba and others for a cache below it: in a container there may be none, or it may not be written.
    """
    environment.setdefault("ORT_DISABLE_TELEMETRY", "1")
    home = _os.path.expanduser("~")
    if home == "~":  # no HOME, and no entry for this user
        environment["HOME"] = home = _own_folder()
    if "XDG_CACHE_HOME" not in environment:
        place = _os.path.join(home, ".cache")
        while not _os.path.exists(place) and _os.path.dirname(place) != place:
            place = _os.path.dirname(place)
        if not (_os.path.isdir(place) and _os.access(place, _os.W_OK | _os.X_OK)):
            environment["XDG_CACHE_HOME"] = _own_folder()


def _own_folder() -> str:
    """A folder that this user alone may write: compiled code is loaded from caches."""
    import stat
    import tempfile

    try:
        path = _os.path.join(tempfile.gettempdir(), f"plexus-{_os.getuid()}")
        _os.makedirs(path, mode=0o700, exist_ok=True)
        status = _os.lstat(path)
        if stat.S_ISDIR(status.st_mode) and status.st_uid == _os.getuid() and not status.st_mode & 0o077:
            return path
    except OSError:  # no temporary folder either
        pass
    return f"{_os.devnull}/none"  # nobody can make it: libraries do without


_prepare(_os.environ)

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
    from plexus.front import fit, probe
    from plexus.results import Probe, Results
    from plexus.run import Run, load

# `audit` is both: a package of functions, and, called, the audit itself; see `plexus.audit`.
__getattr__, __dir__, __all__ = attach(
    __name__,
    submodules={
        "audit", "data", "errors", "essays", "experiments", "graph", "metrics", "models", "nn", "record", "report",
        "represent", "robustness", "segment", "sklearn", "training", "wiring",
    },
    submod_attrs={"front": ["fit", "probe"], "results": ["Probe", "Results"], "run": ["Run", "load"]},
)  # fmt: skip
