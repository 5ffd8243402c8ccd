"""How good masks and answers are: Dice, surface distance, presence, and bootstrap intervals; NumPy and SciPy alone."""

from plexus.metrics._bootstrap import Interval, bootstrap, paired_bootstrap
from plexus.metrics._dice import DiceSummary, dice, dice_summary
from plexus.metrics._hausdorff import hausdorff95
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
