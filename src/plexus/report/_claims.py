"""The ledger of claims, as a page, as Markdown and as lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report._page import document, embedded
from plexus.report._rotation_view import printable
from plexus.report._study_view import rounded
from plexus.report._words import NONE, plural, signed

STYLES = ("base.css", "figures.css", "study.css")
SCRIPTS = ("tools.js", "page.js")
PLAIN = ("correlation", "% of the ranking", "% of the time")
"""Units of figures that are no differences and carry no sign."""


def render_claims(ledger: Mapping[str, Any]) -> str:
    """The ledger as one HTML page; see `render` for what the page may do.

    Args:
        ledger: what `plexus.experiments.claims.ledger` returns.

    Returns:
        The page.

    Raises:
        RunError: something else.

    Example:
        >>> "Of 0 claims" in render_claims({"format": 1, "kind": "claims", "claims": [], "studies": []})
        True
    """
    _check(ledger)
    claims = [
        claim | {"effect": effect(claim), "parts": [p | {"effect": effect(p)} for p in claim["parts"]]}
        for claim in ledger["claims"]
    ]
    return document(
        "claims.html.j2",
        STYLES,
        SCRIPTS,
        {
            "claims": claims,
            "studies": ledger["studies"],
            "headline": headline(ledger),
            "data": Markup(embedded({})),
        },
    )


def write_claims(ledger: Mapping[str, Any], path: str | Path) -> Path:
    """Writes `render_claims`'s page to a file, whole or not at all, and returns its path.

    Args:
        ledger: what `plexus.experiments.claims.ledger` returns.
        path: the file; its folder must be there.

    Raises:
        RunError: something else, or a file that cannot be written.
        TrainingError: the disk is full.

    Example:
        >>> import tempfile
        >>> from plexus.experiments.claims import ledger
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_claims(ledger([], folder), Path(folder, "claims.html")).name
        'claims.html'
    """
    return atomic_write(path, render_claims(ledger))


def claims_markdown(ledger: Mapping[str, Any]) -> str:
    """The ledger as Markdown: a table of verdicts, then every claim with its rule and its parts.

    Args:
        ledger: what `plexus.experiments.claims.ledger` returns.

    Raises:
        RunError: something else.

    Example:
        >>> from plexus.experiments.claims import ledger
        >>> claims_markdown(ledger([], "/nowhere")).splitlines()[2]
        'Of 0 claims 0 hold, 0 fail and 0 are open.'
    """
    _check(ledger)
    lines = [
        "# Claims", "", headline(ledger), "",
        "Written by `plexus claims --markdown` from the records in `results/`; no verdict is set by hand. Intervals",
        "are Student's, 95 %, over seeds; where a part refutes a claim, its p is corrected after Holm over the parts.",
        "*Beside* marks figures the verdict does not rest on, the notes' own procedure among them.", "",
        "| | claim | study | verdict | effect |", "| ---: | --- | --- | --- | --- |",
    ]  # fmt: skip
    for claim in ledger["claims"]:
        study = f"{claim['study']}, {claim['scale']}" if claim["scale"] else claim["study"]
        word = f"**{claim['verdict']}**" if claim["parts"] else f"open: {claim['why']}"
        cells = (claim["id"], claim["sentence"], study, word, effect(claim))
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    for claim in ledger["claims"]:
        lines += ["", f"## {claim['id']}. {claim['sentence']}", "", f"{claim['verdict']}: {claim['why']}.", ""]
        lines += [f"Rule: {claim['rule']}"]
        lines += [""] * bool(claim["parts"])
        lines += [f"- {'' if p['counted'] else '*beside* '}{_part(p)}" for p in claim["parts"]]
    if ledger["studies"]:
        lines += [
            "",
            "## Studies",
            "",
            "| study | scale | trials | seeds | data |",
            "| --- | --- | ---: | ---: | --- |",
        ]
        lines += [
            f"| {s['study']} | {s['scale']} | {s['trials']} of {s['expected']} | {len(s['seeds'])} | "
            f"{_cell(s['data'].get('spec', ''))}, {s['settings'].get('images') or 'all'} images, "
            f"{plural(s['settings'].get('epochs', 0), 'epoch')} |"
            for s in ledger["studies"]
        ]
    return "\n".join(lines) + "\n"


def claims_lines(ledger: Mapping[str, Any]) -> list[str]:
    """The ledger for a terminal: a line for each claim.

    Args:
        ledger: what `plexus.experiments.claims.ledger` returns.

    Raises:
        RunError: something else.

    Example:
        >>> from plexus.experiments.claims import ledger
        >>> claims_lines(ledger([], "/nowhere"))
        ['Of 0 claims 0 hold, 0 fail and 0 are open.']
    """
    _check(ledger)
    made = []
    for claim in ledger["claims"]:
        made.append(f"{claim['id']:>2}  {claim['verdict']:<6} {claim['sentence']}")
        made.append(f"           {claim['study']}: {claim['why']}{f': {found}' if (found := effect(claim)) else ''}")
    return [*map(printable, made), headline(ledger)]


def headline(ledger: Mapping[str, Any]) -> str:
    """How many hold, fail and are open."""
    counts = {word: sum(c["verdict"] == word for c in ledger["claims"]) for word in ("holds", "fails", "open")}
    words = {"holds": ("hold", "holds"), "fails": ("fail", "fails"), "open": ("are open", "is open")}
    held, failed, left = (f"{n} {words[word][n == 1]}" for word, n in counts.items())
    return f"Of {len(ledger['claims'])} claims {held}, {failed} and {left}."


def effect(found: Mapping[str, Any]) -> str:
    """A figure with its interval and unit; empty where there is none."""
    value, low, high = found["effect"], found["low"], found["high"]
    if value is None:
        return ""
    unit = found["unit"]
    digits = 0 if unit.startswith("% of the epochs") else 2
    said = rounded(value, digits) if unit in PLAIN else signed(value, digits)
    span = "" if low is None or high is None else f" ({rounded(low, digits)} to {rounded(high, digits)})"
    return f"{said}{span} {unit}".strip()


def _part(part: Mapping[str, Any]) -> str:
    figure = effect(part) or NONE
    ends = part["bootstrap"]
    boot = f", bootstrap {rounded(ends[0], 2)} to {rounded(ends[1], 2)}" if ends else ""
    seeds = f", {plural(part['n'], 'seed')}" if part["n"] else ""
    note = f"; {part['note']}" if part["note"] else ""
    return f"{part['verdict']}: {part['text']}: {figure}{boot}{seeds}{note}"


def _cell(value: Any) -> str:
    """Text that stays in its cell."""
    return " ".join(str(value).replace("|", "\\|").split())


def _check(ledger: Mapping[str, Any]) -> None:
    if not isinstance(ledger, Mapping) or ledger.get("kind") != "claims" or ledger.get("format") != 1:
        raise RunError('not a ledger of claims: expected "kind": "claims" and "format": 1')
