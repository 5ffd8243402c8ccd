"""Studies: variants of one question, trained from several seeds, compared with statistics.

A study is one Python file with a constant `STUDY`; its trials are independent, each leaves one small JSON record, and
everything said about a study is computed from those. `statistics` compares trials that are paired by their seed;
`claims` makes verdicts and a ledger. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazy_loader import attach

if TYPE_CHECKING:
    from plexus.experiments import claims, statistics
    from plexus.experiments._files import load, load_module, names, studies_folder
    from plexus.experiments._records import failures, records, stale
    from plexus.experiments._runner import Progress, run
    from plexus.experiments._study import Job, Scale, Study, Variant
    from plexus.experiments._summary import speed, summary

__getattr__, __dir__, __all__ = attach(
    __name__,
    submodules=["claims", "statistics"],
    submod_attrs={
        "_files": ["load", "load_module", "names", "studies_folder"],
        "_records": ["failures", "records", "stale"],
        "_runner": ["Progress", "run"],
        "_study": ["Job", "Scale", "Study", "Variant"],
        "_summary": ["speed", "summary"],
    },
)
