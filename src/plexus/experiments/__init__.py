"""Studies: variants of one question, trained from several seeds, compared with statistics.

A study is one Python file with a constant `STUDY`; its trials are independent, each leaves one small JSON record, and
everything said about a study is computed from those. `statistics` compares trials that are paired by their seed;
`claims` makes verdicts and a ledger. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.experiments import claims, statistics
    from plexus.experiments._files import load, load_module, names, studies_folder
    from plexus.experiments._records import failures, records, stale
    from plexus.experiments._runner import Progress, run
    from plexus.experiments._study import Job, Scale, Study, Variant
    from plexus.experiments._summary import speed, summary

_HOMES = {
    "Job": "_study",
    "Progress": "_runner",
    "Scale": "_study",
    "Study": "_study",
    "Variant": "_study",
    "failures": "_records",
    "load": "_files",
    "load_module": "_files",
    "names": "_files",
    "records": "_records",
    "run": "_runner",
    "speed": "_summary",
    "stale": "_records",
    "studies_folder": "_files",
    "summary": "_summary",
}
__all__ = [
    "Job",
    "Progress",
    "Scale",
    "Study",
    "Variant",
    "claims",
    "failures",
    "load",
    "load_module",
    "names",
    "records",
    "run",
    "speed",
    "stale",
    "statistics",
    "studies_folder",
    "summary",
]


def __getattr__(name: str) -> Any:
    if name in ("claims", "statistics"):
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
