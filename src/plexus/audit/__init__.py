"""What is wrong with a set of labelled images: near-duplicates, contradictions among them, leaks; and leak-free folds.

`fingerprint` reads the images, `near_duplicates` finds the pairs, `contradictions` compares their labels, `folds` deals
images so that nothing leaks. `audit` does it all.
"""

from plexus.audit._audit import Audit, audit
from plexus.audit._cache import cache_folder
from plexus.audit._clean import Cleaned, clean
from plexus.audit._clusters import Cluster, clusters
from plexus.audit._contradictions import Contradiction, contradictions
from plexus.audit._files import check_clean, check_folder, read_decisions, write_clean, write_files
from plexus.audit._fingerprint import fingerprint
from plexus.audit._fingerprints import Fingerprints, Problem
from plexus.audit._folds import Folds, folds
from plexus.audit._labels import Labels, read_labels
from plexus.audit._near import NearDuplicates, near_duplicates
from plexus.audit._pictures import pictures

__all__ = [
    "Audit",
    "Cleaned",
    "Cluster",
    "Contradiction",
    "Fingerprints",
    "Folds",
    "Labels",
    "NearDuplicates",
    "Problem",
    "audit",
    "cache_folder",
    "check_clean",
    "check_folder",
    "clean",
    "clusters",
    "contradictions",
    "fingerprint",
    "folds",
    "near_duplicates",
    "pictures",
    "read_decisions",
    "read_labels",
    "write_clean",
    "write_files",
]
