"""Five small questions, answered exactly: `squares`, `shields`, `fitness`, `kleiber` and `keystrokes`.

They need nothing else of plexus, and no torch.
"""

from __future__ import annotations

__all__ = ["EssayError"]


class EssayError(ValueError):
    """Input that an essay cannot use; its message is one line and names the remedy.

    Example:
        >>> raise EssayError("n must be 0 or more, not -1")
        Traceback (most recent call last):
        plexus.essays.EssayError: n must be 0 or more, not -1
    """


def quoted(value: object, limit: int = 40) -> str:
    """Quote a value as a message does: on one line, and short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
