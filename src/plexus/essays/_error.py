"""The one error of the essays."""

from __future__ import annotations


class EssayError(ValueError):
    """Input that an essay cannot use; its message is one line and names the remedy.

    Example:
        >>> raise EssayError("n must be 0 or more, not -1")
        Traceback (most recent call last):
        plexus.essays._error.EssayError: n must be 0 or more, not -1
    """


def shown(value: object, limit: int = 40) -> str:
    """A value as a message quotes it: on one line, and short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
