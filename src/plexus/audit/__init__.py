"""Faults of labelled image sets: near-duplicates, contradictions among them, leaks; and leak-free folds.

`fingerprint` reads the images, `near_duplicates` finds the pairs, `contradictions` compares their labels, `folds` deals
images so that nothing leaks. `audit` does it all, and so does the package itself, called: `plexus.audit("photos")`.
"""

import sys
from types import ModuleType
from typing import Any

from plexus.audit._audit import Audit, audit
from plexus.audit._clean import Cleaned, clean
from plexus.audit._cleaned_set import check_clean, write_clean
from plexus.audit._clusters import Cluster, clusters
from plexus.audit._contradictions import Contradiction, Labels, contradictions, read_labels
from plexus.audit._decisions import Decisions, read_decisions
from plexus.audit._files import FILES, write_files
from plexus.audit._fingerprint import Fingerprints, Problem, fingerprint
from plexus.audit._folds import Folds, deal, folds
from plexus.audit._near import NearDuplicates, near_duplicates
from plexus.audit._pictures import pictures
from plexus.audit._poses import KINDS
from plexus.audit._scan import cache_folder
from plexus.audit._suspects import Predict, Predictions, Suspect, suspects
from plexus.audit._threshold import Calibration, Tail, estimate_threshold, tail

__all__ = [
    "FILES",
    "KINDS",
    "Audit",
    "Calibration",
    "Cleaned",
    "Cluster",
    "Contradiction",
    "Decisions",
    "Fingerprints",
    "Folds",
    "Labels",
    "NearDuplicates",
    "Predict",
    "Predictions",
    "Problem",
    "Suspect",
    "Tail",
    "audit",
    "cache_folder",
    "check_clean",
    "clean",
    "clusters",
    "contradictions",
    "deal",
    "estimate_threshold",
    "fingerprint",
    "folds",
    "near_duplicates",
    "pictures",
    "read_decisions",
    "read_labels",
    "suspects",
    "tail",
    "write_clean",
    "write_files",
]


class _Callable(ModuleType):
    """A package that can be called.

    `plexus.audit` is this package as soon as anything imports it, whatever else the name was given; for
    `plexus.audit(images)` to work beside `from plexus.audit import folds`, the package itself must be callable.
    """

    def __call__(self, images: Any, labels: Any = None, **options: Any) -> Audit:
        """Audit images: a place, a list of paths, or images in memory; see `audit` for the options."""
        return audit(images if labels is None else (images, labels), **options)


sys.modules[__name__].__class__ = _Callable
