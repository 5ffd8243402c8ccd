"""Verdicts on claims: each part of a claim by one test, the claim by all of its parts, a ledger of many from records.

A rule is a function from the summary of a study to the parts of a claim, and is written before any trial is run. Parts
are made by `higher`, `lower`, `same`, `not_lower`, `not_higher`, `above` and `below`; `decide` makes a verdict of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from plexus.experiments._parts import SEEDS, Part, Word, above, below, higher, lower, not_higher, not_lower, same
from plexus.experiments._records import records
from plexus.experiments._study import Study
from plexus.experiments._summary import summary
from plexus.experiments.statistics import holm
from plexus.record import TrialRecord

MANY = 100
"""Seeds that nobody waits for."""
SCALES = ("full", "standard")
"""Those that can give a verdict, the larger first: a `quick` run proves code and no claim."""
__all__ = [
    "SCALES",
    "SEEDS",
    "Claim",
    "Part",
    "Verdict",
    "above",
    "below",
    "decide",
    "higher",
    "judge",
    "ledger",
    "lower",
    "not_higher",
    "not_lower",
    "same",
]


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim, and the figures of the part that decided it.

    Args:
        word: holds, fails or open.
        effect, low, high, unit: of the deciding part.
        why: the same in words.
        parts: all of them, as tested.
        takes: what would settle an open one; empty where that is not known.

    Example:
        >>> decide([Part("b is better", 1.2, p_holds=0.01)]).why
        'shown: b is better'
    """

    word: Word
    effect: float | None
    low: float | None
    high: float | None
    unit: str
    why: str
    parts: tuple[Part, ...] = ()
    takes: str = ""


@dataclass(frozen=True)
class Claim:
    """One sentence, and how it is judged.

    Args:
        id: its place in the list of claims.
        sentence: what is claimed.
        study: whose trials answer it.
        rule: in words, what `judge` computes.
        judge: parts of the claim with the evidence on each, from the summary of the study.
        procedure: what was wrong in the procedure that the claim first came from; empty where nothing is known.
        beside: further studies that the rule reads, by name under ``beside`` of the summary.
        whole: nothing is read of the study before all of its trials are there, since their number was fixed beforehand.

    Example:
        >>> from plexus.experiments import Scale, Study, Variant
        >>> pair = (Variant("a"), Variant("b"))
        >>> study = Study("ab", "Is b better?", "a", pair, {"full": Scale(None, 1, 3)}, "digits", trial=dict)
        >>> Claim(1, "b is better.", study, "not to be told", lambda summary: [Part("b is better")]).study.name
        'ab'
    """

    id: int
    sentence: str
    study: Study
    rule: str
    judge: Callable[[Mapping[str, Any]], Sequence[Part]]
    procedure: str = ""
    beside: tuple[Study, ...] = ()
    whole: bool = False


def decide(parts: Sequence[Part]) -> Verdict:
    """Decide a claim: it holds where every counted part holds, and fails where one fails.

    The p against a part is corrected after Holm over the parts; that all hold needs no correction, as each must pass
    its own test. The figures are those of the part that decides: the most refuted, else the least supported.

    Args:
        parts: one or more of them counted.

    Returns:
        The verdict.

    Example:
        >>> decide([Part("b is better", p_holds=0.01), Part("c is better", p_fails=0.2)]).why
        'not settled: c is better'
    """
    shown = _corrected(parts)
    counted = [part for part in shown if part.counted]
    if refuted := [part for part in counted if part.word == "fails"]:
        part, word = min(refuted, key=lambda part: part.p_fails or 0.0), "refuted"
    else:
        part = max(counted, key=lambda part: 2.0 if part.p_holds is None else part.p_holds)
        several = "shown" if len(counted) == 1 else "every part holds; the narrowest"
        word = several if part.word == "holds" else "not settled"
    why = f"{word}: {part.text}" + (f" ({part.note})" if part.note else "")
    takes = _takes(counted, part) if part.word == "open" else ""
    return Verdict(part.word, part.effect, part.low, part.high, part.unit, why, tuple(shown), takes)


def _corrected(parts: Sequence[Part]) -> list[Part]:
    """The p against each counted part after Holm."""
    tested = [i for i, part in enumerate(parts) if part.counted and part.p_fails is not None]
    shown = list(parts)
    for i, p in zip(tested, holm([parts[i].p_fails or 0.0 for i in tested]), strict=True):
        shown[i] = replace(parts[i], p_fails=p)
    return shown


def _takes(counted: Sequence[Part], part: Part) -> str:
    """Find by how many seeds an open claim would be settled, if they go on as they began."""
    if part.at is None:
        return part.takes
    for n in range(1 + max(each.n for each in counted), MANY + 1):
        words = {each.word for each in _corrected([each.at(n) if each.at else each for each in counted])}
        if words == {"holds"} or "fails" in words:
            then = "fail" if "fails" in words else "hold"
            return f"about {n} seeds would settle it, should effect and scatter stay as they are: it would {then}"
    return f"more than {MANY} seeds would settle it, should effect and scatter stay as they are"


def judge(
    claim: Claim, study: Mapping[str, Any] | None, beside: Mapping[str, Mapping[str, Any] | None] | None = None
) -> Verdict:
    """Judge a claim.

    Args:
        claim: which.
        study: the summary of its study; None where nothing was run.
        beside: those of the claim's further studies, by name.

    Returns:
        The verdict.

    Example:
        >>> from plexus.experiments import Scale, Study, Variant, summary
        >>> study = Study("one", "?", "a", (Variant("a"),), {"full": Scale(None, 1, 3)}, "digits", trial=dict)
        >>> judge(Claim(1, "a is good.", study, "?", lambda s: [Part("a")]), summary(study, [])).why
        'not run yet'
    """
    if study is None or not study["trials"]:
        return Verdict("open", None, None, None, "", "not run yet")
    others = {other.name: (beside or {}).get(other.name) or summary(other, []) for other in claim.beside}
    there, planned = study["trials"], study["expected"]
    waits = claim.whole and there < planned
    if waits:
        study = summary(claim.study, [], study["scale"])
    parts = claim.judge({**study, "beside": others} if others else study)
    if waits:
        note = f"nothing is read before the last of {planned} trials; {there} are there"
        parts = [replace(part, note=note) if part.counted and part.effect is None else part for part in parts]
    return decide(parts)


def ledger(claims: Sequence[Claim], folder: str | Path, *, scale: str | None = None) -> dict[str, Any]:
    """Judge claims from the records in a results folder.

    The largest scale is used at which a study has `SEEDS` seeds of every variant, else the one with the most records.

    Args:
        claims: which.
        folder: of results; none, or an empty one, leaves every claim open.
        scale: judge at this scale only.

    Returns:
        Every claim with its verdict, and what is known of each study, in JSON's types.

    Raises:
        RunError: a record that is none.

    Example:
        >>> ledger([], "/nowhere")
        {'format': 1, 'kind': 'claims', 'claims': [], 'studies': []}
    """
    studies = {study.name: study for claim in claims for study in (claim.study, *claim.beside)}
    summaries = {name: _summary(folder, study, scale) for name, study in studies.items()}
    keys = (
        "study", "question", "scale", "trials", "expected", "apart", "seconds", "seeds", "data", "settings", "measure",
    )  # fmt: skip
    return {
        "format": 1,
        "kind": "claims",
        "claims": [_row(claim, summaries) for claim in claims],
        "studies": [{key: each[key] for key in keys} for each in summaries.values() if each is not None],
    }


def _summary(folder: str | Path, study: Study, scale: str | None) -> dict[str, Any] | None:
    """The summary that can say most on a study."""
    at = {s: records(folder, study, s) for s in ((scale,) if scale else SCALES) if s in study.scales}
    at = {s: rows for s, rows in at.items() if rows}
    if not at:
        return None
    complete = (s for s, rows in at.items() if _complete(rows, study))
    chosen = next(complete, max(at, key=lambda s: len(at[s])))
    return summary(study, at[chosen], chosen)


def _complete(rows: Sequence[TrialRecord], study: Study) -> bool:
    return all(sum(row.variant == v.name for row in rows) >= SEEDS for v in study.variants)


def _row(claim: Claim, summaries: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    study = summaries[claim.study.name]
    verdict = judge(claim, study, summaries)
    return {
        "id": claim.id,
        "sentence": claim.sentence,
        "study": claim.study.name,
        "beside": [other.name for other in claim.beside],
        "scale": study["scale"] if study else None,
        "rule": claim.rule,
        "procedure": claim.procedure,
        "terms": {name: words for s in (claim.study, *claim.beside) for name, words in s.terms.items()},
        "verdict": verdict.word,
        "effect": verdict.effect,
        "low": verdict.low,
        "high": verdict.high,
        "unit": verdict.unit,
        "why": verdict.why,
        "takes": verdict.takes,
        "parts": [_evidence(part) for part in verdict.parts],
    }


def _evidence(part: Part) -> dict[str, Any]:
    """A part in JSON's types."""
    told = asdict(replace(part, at=None)) | {"verdict": part.word}
    return {key: value for key, value in told.items() if key not in ("at", "takes")}
