"""Docstrings in the house's style, turned into what mkdocstrings reads; an extension of griffe.

One line of `Args` may explain several arguments; `Source` and `Shape` are no sections of Google's; a set equation
(`.. math::`, TeX) is drawn as MathML, which browsers show without a script or a font from anywhere.
"""

from __future__ import annotations

import re
from typing import Any

import griffe
from latex2mathml.converter import convert

SHARED = re.compile(r"^( +)((?:\*{0,2}\w+, )+\*{0,2}\w+): (.*(?:\n\1 +.*)*)$", re.MULTILINE)
STATED = re.compile(r"^(Source|Shape): (.*)$", re.MULTILINE)
SET = re.compile(r"^( *)\.\. math:: ?(.*(?:\n\1 +.*)*)$", re.MULTILINE)
INLINE = re.compile(r":math:`([^`]+)`")
DOUBLE = re.compile(r"``([^`]+)``")
ARGS = re.compile(r"^Args:\n(?:(?: +.*)?\n?)*", re.MULTILINE)

FIELDS = {"NamedTuple", "BaseModel", "Part", "Record"}
"""Bases whose fields are the arguments; griffe sees no signature of theirs."""


class House(griffe.Extension):
    """Rewrite every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every module, class, function and attribute once it is read."""
        if obj.docstring is None:
            return
        obj.docstring.value = plain(obj.docstring.value)
        if isinstance(obj, griffe.Class) and FIELDS & {str(base) for base in obj.bases}:
            obj.docstring.value = obj.docstring.value.replace("Args:", "Attributes:", 1)


def plain(text: str) -> str:
    """A docstring with one argument a line, `Source` and `Shape` as paragraphs, and its equations as MathML.

    >>> print(plain("Two.\\n\\nArgs:\\n    a, b: numbers.\\n\\nSource: the notes."))
    Two.
    <BLANKLINE>
    Args:
        a: numbers.
        b: numbers.
    <BLANKLINE>
    **Source:** the notes.
    """
    text = SET.sub(lambda found: f'{found[1]}<div class="equation">{math(found[2], "block")}</div>\n', text)
    text = INLINE.sub(lambda found: math(found[1], "inline"), text)
    text = DOUBLE.sub(r"`\1`", text)
    text = ARGS.sub(lambda found: SHARED.sub(_one_each, found[0]), text)
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    text = re.sub(r"^(Source|Shape):\n +", r"\1: ", text, flags=re.MULTILINE)
    return STATED.sub(r"**\1:** \2", text)


def math(tex: str, display: str) -> str:
    """TeX as MathML, in one line: a line break would end the block."""
    return " ".join(str(convert(" ".join(tex.split()), display=display)).split())


def _one_each(found: re.Match[str]) -> str:
    return "\n".join(f"{found[1]}{name}: {found[3]}" for name in found[2].split(", "))
