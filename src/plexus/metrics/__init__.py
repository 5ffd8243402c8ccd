"""Scores of masks and of answers: Dice, surface distance, presence, bootstrap intervals; NumPy and SciPy alone."""

from plexus.metrics._bootstrap import Interval, bootstrap, paired_bootstrap
from plexus.metrics._masks import DiceSummary, dice, dice_summary, hausdorff95
from plexus.metrics._presence import Presence, presence, roc

__all__ = [
    "DiceSummary",
    "Interval",
    "Presence",
    "bootstrap",
    "dice",
    "dice_summary",
    "hausdorff95",
    "paired_bootstrap",
    "presence",
    "roc",
]
