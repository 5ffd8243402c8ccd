"""The code of a page: its blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("docs/**/*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
)
BLOCK = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
SAVED = re.compile(r"[Ss]ave (?:this|it) as `(\S+\.py)`[^`]*\Z")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SHELL = ("sh", "bash")
SHOWN = ("text", "json")
"""Blocks that are read and not run."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Args:
        language: what stands after the fence.
        code: its lines.
        line: where it begins in the page, from 1.
        saved_as: the file that the text before it names, if it does.
    """

    language: str
    code: str
    line: int
    saved_as: str | None = None


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for match in BLOCK.finditer(text):
        saved = SAVED.search(text[: match.start()])
        line = text.count("\n", 0, match.start(2)) + 1
        found.append(Block(match[1].strip(), match[2], line, saved[1] if saved else None))
    return found


def commands(code: str) -> Iterator[list[str]]:
    """The commands of a shell block, as words: comments and redirections left out, `;` and `&&` taken apart."""
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        words = list(lexer)
        ends = [i for i, word in enumerate(words) if word in (";", "&&", "|")]
        for start, end in pairwise([-1, *ends, len(words)]):
            command = words[start + 1 : end]
            aside = next((i for i, word in enumerate(command) if word in (">", ">>")), len(command))
            if command:
                yield command[:aside]


def spans(text: str) -> list[str]:
    """What stands in single backticks outside of blocks."""
    return SPAN.findall(BLOCK.sub("", text))
