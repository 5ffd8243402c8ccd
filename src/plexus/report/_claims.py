"""The ledger of claims: the sections of its page, and the same as Markdown and as lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plexus.errors import printable
from plexus.record import ClaimsRecord
from plexus.report._formatting import NONE, plural, rounded, signed, span

PLAIN = ("correlation", "% of the ranking", "% of the time")
"""Units of figures that are no differences and carry no sign."""
Ledger = ClaimsRecord | Mapping[str, Any]


def sections(record: ClaimsRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    return {
        "headline": _headline(record),
        "lede": (
            "Every verdict is computed from the records of a study, by a rule that was written before it was run. "
            "Intervals are Student\u2019s, 95\u00a0%, over seeds; where a part refutes a claim, its p is corrected "
            "after Holm over the parts."
        ),
        "masthead": [f"{study.study} {study.scale or ''}".strip() for study in record.studies],
        "skip": ("claims", "the claims"),
        "claims": [(claim, _effect(claim), [(part, _effect(part)) for part in claim.parts]) for claim in record.claims],
    }


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
        study = f"{claim.study}, {claim.scale}" if claim.scale else claim.study
        word = f"**{claim.verdict}**" if claim.parts else f"open: {claim.why}"
        lines.append(f"| {' | '.join(map(_cell, (claim.id, claim.sentence, study, word, _effect(claim))))} |")
    for claim in record.claims:
        lines += [
            "",
            f"## {claim.id}. {claim.sentence}",
            "",
            f"{claim.verdict}: {claim.why}.",
            "",
            f"Rule: {claim.rule}",
        ]
        lines += [""] * bool(claim.parts)
        lines += [f"- {'' if part.counted else '*beside* '}{_evidence(part)}" for part in claim.parts]
    if record.studies:
        head = ["| study | scale | trials | seeds | data |", "| --- | --- | ---: | ---: | --- |"]
        lines += ["", "## Studies", "", *head]
    for about in record.studies:
        images, epochs = about.settings.get("images") or "all", plural(about.settings.get("epochs") or 0, "epoch")
        trials = f"{about.trials} of {about.expected} | {len(about.seeds)}"
        spec = _cell(about.data.get("spec", ""))
        lines.append(f"| {about.study} | {about.scale} | {trials} | {spec}, {images} images, {epochs} |")
    return "\n".join(lines) + "\n"


def claims_lines(ledger: Ledger) -> list[str]:
    """Return the ledger for a terminal: two lines for each claim, then how many hold, fail and are open.

    Args:
        ledger: what `plexus.experiments.claims.ledger` returns, or the record of it.

    Raises:
        RunError: something else.

    Example:
        >>> claims_lines({"format": 1, "kind": "claims", "claims": [{"id": 1, "sentence": "ELU helps.", "study": "a"}]})
        [' 1  open   ELU helps.', '           a: ', 'Of 1 claims 0 hold, 0 fail and 1 is open.']
    """
    record, lines = _record(ledger), []
    for claim in record.claims:
        effect = _effect(claim)
        lines.append(f"{claim.id:>2}  {claim.verdict:<6} {claim.sentence}")
        lines.append(f"           {claim.study}: {claim.why}{f': {effect}' if effect else ''}")
    return [*map(printable, lines), _headline(record)]


def _record(ledger: Ledger) -> ClaimsRecord:
    return ledger if isinstance(ledger, ClaimsRecord) else ClaimsRecord.from_dict(ledger)


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
