"""The ledger of claims: the sections of its page, and the same as Markdown and as lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from plexus.errors import plural, printable
from plexus.record import ClaimsRecord
from plexus.report._charts import CLEAR, SOFT, intervals
from plexus.report._formatting import NONE, coded, rounded, signed, span

_SIDES = {
    "points": (1, " points", "less", "more", "no difference", ""),
    "% of the epochs": (0, " %", "fewer", "more", "as many", " epochs"),
}  # fmt: skip
"""Units of differences: digits, the unit, the words of either side and of neither, and what is counted."""
_SCALES = {
    "correlation": ("a correlation of ", "", ", 95 %; 1 is full agreement"),
    "times": ("a factor of ", "",  ", 95 %; 1 is no difference"),
    "% of the ranking": ("", " % from the top of the ranking", " over the seeds; 0 is the best"),
}  # fmt: skip
"""Other units: what stands before and behind a figure, and what its scale means."""
_NULLS = {"points": 0.0, "% of the epochs": 0.0, "times": 1.0}
"""Units of differences, and the value that is none."""
_SAFE = re.compile(r"[\w./%~-]+\.html")
"""Links to files, and to nothing else."""
PLAIN = ("correlation", "% of the ranking", "% of the time", "% of images")
"""Units of figures that are no differences and carry no sign."""
Ledger = ClaimsRecord | Mapping[str, Any]


def sections(record: ClaimsRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    linked = {study.study: study.page for study in record.studies if _SAFE.fullmatch(study.page)}
    return {
        "headline": _headline(record),
        "lede": (
            "Every verdict is computed from the records of a study, by a rule that was written before it was run. "
            "Intervals are Student\u2019s, 95\u00a0%, over seeds; where a part refutes a claim, its p is corrected "
            "after Holm over the parts."
        ),
        "masthead": [f"{study.study} {study.scale or ''}".strip() for study in record.studies],
        "skip": ("claims", "the claims"),
        "plots": _plots(record),
        "claims": [
            (
                claim,
                coded(verdict(claim)),
                [(name, linked.get(name, "")) for name in (claim.study, *claim.beside)],
                [(part, _effect(part)) for part in claim.parts],
            )
            for claim in record.claims
        ],
    }


def verdict(claim: ClaimsRecord.Claim) -> str:
    """Return the verdict on a claim as sentences: what was found, how surely, and what an open one would take."""
    if not claim.parts:
        return f"Nobody has run it yet: `plexus study run {claim.study}` would make its trials."
    part = _deciding(claim)
    said = in_words(part.text.rstrip("."), claim.terms) if part is not None else ""
    text = f" {said}{f' ({part.note})' if part.note else ''}." if part is not None else ""
    several = "the weakest of its parts is" if len(claim.parts) > 1 else "shown is"
    start = {
        "holds": f"It holds; {several}:",
        "fails": "It is refuted, for it would need this to be true:",
        "open": "It is not settled; this is still to be shown:",
    }[claim.verdict]
    measure = _measured(claim)
    seeds = f", over {plural(part.n, 'seed')}" if part is not None and part.n else ""
    found = f" Measured: {measure}{seeds}." if measure else ""
    return f"{start}{text}{found}{_meaning(claim)}"


def in_words(text: str, terms: Mapping[str, str]) -> str:
    """Replace the names that a study gives its variants by its words for them.

    Args:
        text: of a part of a claim's rule.
        terms: name -> words.

    Example:
        >>> in_words("4_rot_1 as 8_rot_1", {"8_rot_1": "eight rotations", "rot_1": "one"})
        '4_rot_1 as eight rotations'
    """
    return re.sub(r"[\w.]*\w", lambda name: terms.get(name[0], name[0]), text)


def _deciding(claim: ClaimsRecord.Claim) -> ClaimsRecord.Evidence | None:
    """The part whose figures are the claim's."""
    parts = [part for part in claim.parts if part.counted and part.effect == claim.effect]
    return next((part for part in parts if part.text in claim.why), parts[0] if parts else None)


def _measured(figure: ClaimsRecord.Figure) -> str:
    """An effect with its interval in words."""
    if figure.effect is None:
        return ""
    known = figure.low is not None and figure.high is not None
    if sides := _SIDES.get(figure.unit):
        low, high = _side(figure.low or 0.0, *sides[:5]), _side(figure.high or 0.0, *sides[:5])
        inside = f" (95 % interval: {low} to {high})" if known else ""
        return f"{_side(figure.effect, *sides[:5])}{sides[5]}{inside}"
    start, end, scale = _SCALES.get(figure.unit, ("", f" {figure.unit}", ""))
    inside = f" ({span((figure.low, figure.high))}{scale})" if known else ""
    return f"{start}{rounded(figure.effect, 2)}{end}{inside}"


def _side(value: float, digits: int, unit: str, less: str, more: str, none: str) -> str:
    """A difference in words: how much, and on which side."""
    size = rounded(abs(value), digits)
    return none if float(size) == 0 else f"{size}{unit} {less if value < 0 else more}"


def _meaning(claim: ClaimsRecord.Claim) -> str:
    """Say what the interval tells, chance or a side; of an open claim, what would settle it."""
    null, low, high = _NULLS.get(claim.unit), claim.low, claim.high
    inside = null is not None and low is not None and high is not None and low <= null <= high
    if claim.verdict == "open":
        both = " The interval holds both sides." if inside else ""
        return f"{both} {claim.takes[:1].upper()}{claim.takes[1:]}." if claim.takes else both
    if claim.verdict == "holds" or null is None or low is None or claim.effect is None:
        return ""
    if inside:
        return " If there is an effect, it is smaller than what would count."
    return " The difference is beyond chance, and on the wrong side."


def _plots(record: ClaimsRecord) -> list[tuple[str, Markup]]:
    """All effects that decided, with their intervals, on one axis for each unit."""
    shown = []
    for unit in dict.fromkeys(claim.unit for claim in record.claims if claim.effect is not None):
        rows: list[dict[str, Any]] = []
        names = []
        for claim in record.claims:
            if claim.unit == unit and claim.effect is not None and claim.low is not None and claim.high is not None:
                color = {"holds": "var(--supernet)", "fails": "var(--final)", "open": SOFT}[claim.verdict]
                names.append(f"claim {claim.id}")
                rows.append(
                    {
                        "at": len(rows), "mean": claim.effect, "low": claim.low, "high": claim.high, "stroke": color,
                        "fill": CLEAR if claim.verdict == "open" else color,
                        "text": f"{claim.id}. {claim.sentence} {claim.verdict}: {_effect(claim)}",
                    }
                )  # fmt: skip
        if rows:
            title = f"Effects that decided, in {unit}"
            shown.append((title, intervals(names, rows, title, null=_NULLS.get(unit), title=unit)))
    return shown


def claims_markdown(ledger: Ledger) -> str:
    """Return the ledger as Markdown: a table of verdicts, then every claim with its rule and its parts.

    Args:
        ledger: what `plexus.experiments.claims.ledger` returns, or the record of it.

    Raises:
        RunError: something else.

    Example:
        >>> claims_markdown({"format": 1, "kind": "claims", "claims": []}).splitlines()[2]
        'Of 0 claims 0 hold, 0 fail and 0 are open.'
    """
    record = _record(ledger)
    lines = [
        "# Claims", "", _headline(record), "",
        "Written by `plexus claims --markdown` from the records in `results/`; no verdict is set by hand. Intervals",
        "are Student's, 95 %, over seeds; where a part refutes a claim, its p is corrected after Holm over the parts.",
        "*Beside* marks figures the verdict does not rest on, the notes' own procedure among them.", "",
        "| | claim | study | verdict | effect |", "| ---: | --- | --- | --- | --- |",
    ]  # fmt: skip
    for claim in record.claims:
        study = f"{_studies(claim)}, {claim.scale}" if claim.scale else _studies(claim)
        word = f"**{claim.verdict}**" if claim.parts else f"open: {claim.why}"
        lines.append(f"| {' | '.join(map(_cell, (claim.id, claim.sentence, study, word, _effect(claim))))} |")
    for claim in record.claims:
        lines += [
            "",
            f"## {claim.id}. {claim.sentence}",
            "",
            f"**{claim.verdict}**. {verdict(claim)}",
            "",
            *([f"The procedure it comes from: {claim.procedure}", ""] if claim.procedure else []),
            f"Rule: {claim.rule}",
        ]
        lines += [""] * bool(claim.parts)
        lines += [f"- {'' if part.counted else '*beside* '}{_evidence(part)}" for part in claim.parts]
    if record.studies:
        head = ["| study | scale | trials | seeds | data |", "| --- | --- | ---: | ---: | --- |"]
        lines += ["", "## Studies", "", *head]
    for about in record.studies:
        images, number = about.settings.get("images") or "all", about.settings.get("epochs") or 0
        epochs = plural(number, "epoch") if number else "nothing trained"
        trials = f"{about.trials} of {about.expected} | {len(about.seeds)}"
        spec = _cell(about.data.get("spec", ""))
        told = f"{spec}, {images} images, {epochs}"
        if about.apart:
            told += f"; {plural(about.apart, 'trial')} on another machine than the baseline of the seed"
        lines.append(f"| {about.study} | {about.scale} | {trials} | {told} |")
    return "\n".join(lines) + "\n"


def claims_lines(ledger: Ledger) -> list[str]:
    """Return the ledger for a terminal: two lines for each claim, then how many hold, fail and are open.

    Args:
        ledger: what `plexus.experiments.claims.ledger` returns, or the record of it.

    Raises:
        RunError: something else.

    Example:
        >>> claim = {"id": 1, "sentence": "ELU helps.", "study": "a"}
        >>> claims_lines({"format": 1, "kind": "claims", "claims": [claim]})[1]
        '           a: Nobody has run it yet: `plexus study run a` would make its trials.'
    """
    record, lines = _record(ledger), []
    for claim in record.claims:
        lines.append(f"{claim.id:>2}  {claim.verdict:<6} {claim.sentence}")
        lines.append(f"           {_studies(claim)}: {verdict(claim)}")
    return [*map(printable, lines), _headline(record)]


def _record(ledger: Ledger) -> ClaimsRecord:
    return ledger if isinstance(ledger, ClaimsRecord) else ClaimsRecord.from_dict(ledger)


def _studies(claim: ClaimsRecord.Claim) -> str:
    return " and ".join((claim.study, *claim.beside))


def _headline(record: ClaimsRecord) -> str:
    """Count those that hold, fail and are open."""
    verdicts = [claim.verdict for claim in record.claims]
    words = {"holds": ("hold", "holds"), "fails": ("fail", "fails"), "open": ("are open", "is open")}
    held, failed, left = (f"{verdicts.count(v)} {each[verdicts.count(v) == 1]}" for v, each in words.items())  # type: ignore[arg-type]
    return f"Of {len(verdicts)} claims {held}, {failed} and {left}."


def _effect(figure: ClaimsRecord.Figure) -> str:
    """A figure with its interval and unit; empty where there is none."""
    if figure.effect is None:
        return ""
    digits = 0 if figure.unit.startswith("% of the epochs") else 2
    value = rounded(figure.effect, digits) if figure.unit in PLAIN else signed(figure.effect, digits)
    ends = span((figure.low, figure.high), digits)
    return f"{value}{f' ({ends})' if ends else ''} {figure.unit}".strip()


def _evidence(part: ClaimsRecord.Evidence) -> str:
    boot = f", bootstrap {span(part.bootstrap)}" if part.bootstrap else ""
    seeds = f", {plural(part.n, 'seed')}" if part.n else ""
    note = f"; {part.note}" if part.note else ""
    return f"{part.verdict}: {part.text}: {_effect(part) or NONE}{boot}{seeds}{note}"


def _cell(value: Any) -> str:
    """Text that stays in its cell."""
    return " ".join(str(value).replace("|", "\\|").split())
