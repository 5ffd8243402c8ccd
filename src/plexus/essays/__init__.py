"""Five small questions, answered exactly: `squares`, `shields`, `fitness`, `kleiber` and `keystrokes`.

They need nothing else of plexus, and no torch.
"""

from plexus.essays._error import EssayError

__all__ = ["EssayError"]
