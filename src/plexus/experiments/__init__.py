"""Studies: variants of one question, trained from several seeds, compared with statistics.

A study is one Python file with a constant `STUDY`; its trials are independent, each leaves one small JSON record, and
everything said about a study is computed from those. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.experiments._find import load, names
    from plexus.experiments._records import failures, records, stale
    from plexus.experiments._runner import Progress, run
    from plexus.experiments._study import Job, Scale, Study, Variant

_HOMES = {
    "Job": "_study",
    "Progress": "_runner",
    "Scale": "_study",
    "Study": "_study",
    "Variant": "_study",
    "failures": "_records",
    "load": "_find",
    "names": "_find",
    "records": "_records",
    "run": "_runner",
    "stale": "_records",
}
__all__ = [
    "Job",
    "Progress",
    "Scale",
    "Study",
    "Variant",
    "failures",
    "load",
    "names",
    "records",
    "run",
    "stale",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
