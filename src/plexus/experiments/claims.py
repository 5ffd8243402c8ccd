"""The ledger: what the notes claim, each claim with a study, a rule written before any run, and a computed verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plexus.errors import ConfigError
from plexus.experiments import _rules as rules
from plexus.experiments import _rules_masks as masks
from plexus.experiments import _rules_represent as represent
from plexus.experiments import _rules_rotation as turns
from plexus.experiments._evidence import Judge
from plexus.experiments._find import load
from plexus.experiments._records import records
from plexus.experiments._rules_search import RANK, rank
from plexus.experiments._summary import summary
from plexus.experiments._verdict import SEEDS, Verdict, decide, unknown

SCALES = ("full", "standard")
"""Those that can give a verdict, the larger first: a `quick` run proves code and no claim."""


@dataclass(frozen=True)
class Claim:
    """One sentence of the notes, and how it is judged.

    Args:
        id: its place in the list of claims.
        sentence: what the notes say.
        study: whose trials answer it.
        rule: in words, what `judge` computes.
        judge: parts of the claim with the evidence on each, from the summary of the study.
    """

    id: int
    sentence: str
    study: str
    rule: str
    judge: Judge


CLAIMS: tuple[Claim, ...] = (
    Claim(1, "Sigmoid gates converge faster than ungated weights.", "gates", rules.SIGMOID, rules.sigmoid),
    Claim(2, "The start of the gates has no effect on convergence.", "gates", rules.INIT, rules.init),
    Claim(3, "The resize method has no significant effect.", "merging", rules.RESIZE, rules.resize),
    Claim(4, "Gates converge the same way from every seed.", "gates", rules.SAME_WAY, rules.same_way),
    Claim(
        5, "The pruned wiring, retrained, is as good as the full net, and better than random wirings of equal size.",
        "pruning", rules.PRUNED, rules.pruned,
    ),
    Claim(
        6, "Rotation neurons everywhere give the lowest validation accuracy.", "rotation", turns.EVERYWHERE,
        turns.everywhere,
    ),
    Claim(
        7, "Accuracy improves as early rotation layers are removed; one rotation layer matches or beats the baseline.",
        "rotation", turns.FEWER, turns.fewer,
    ),
    Claim(
        8, "8 rotations follow 4 rotations in accuracy: the skew of 45 degrees does not matter.", "rotation",
        turns.SKEW, turns.skew,
    ),
    Claim(
        9, "Every rotation model is more rotation-invariant than the baseline, most of all with rotation everywhere.",
        "rotation", turns.INVARIANT, turns.invariant,
    ),
    Claim(10, "8 rotations are more invariant than 4.", "rotation", turns.EIGHT, turns.eight),
    Claim(
        11, "Transplanted weights fail, least where fewest layers rotate.", "rotation", turns.TRANSPLANT,
        turns.transplant,
    ),
    Claim(
        12, "Accuracy against the angle has the same seasonal pattern in all models, with a dip near 100 degrees.",
        "rotation", turns.SEASONS, turns.seasons,
    ),
    Claim(
        13, "Unit norm speeds convergence for conv and for dense layers alone; both together cancel out.", "neurons",
        rules.UNIT, rules.unit,
    ),
    Claim(14, "ELU does not help significantly.", "neurons", rules.ELU, rules.elu),
    Claim(
        15, "Dropping contradictory near-duplicates improves Dice; the share of contradictions is about 40 %.",
        "duplicates", masks.CONTRADICTIONS, masks.contradictions,
    ),
    Claim(
        16, "Gating masks by the presence of the target improves mean Dice.", "absence", masks.GATE, masks.gate,
    ),
    Claim(
        17, "Networks that start from Z train faster.", "representation", represent.FASTER, represent.faster,
    ),
    Claim(
        18, "The gradient-learned wiring ranks near the top of all wirings, at a fraction of the cost.", "search",
        RANK, rank,
    ),
)  # fmt: skip


def ledger(folder: str | Path, *, scale: str | None = None) -> dict[str, Any]:
    """Every claim with its verdict, from the records in a results folder; in JSON's types.

    The largest scale is used at which the study has three seeds of every variant, else the one with the most records.

    Args:
        folder: the results folder; none, or an empty one, leaves every claim open.
        scale: judge at this scale only.

    Raises:
        RunError: a record that is none.

    Example:
        >>> found = ledger("/nowhere")
        >>> len(found["claims"]), {claim["verdict"] for claim in found["claims"]}, found["claims"][0]["why"]
        (18, {'open'}, 'not run yet')
    """
    found = {name: _summaries(folder, name, scale) for name in dict.fromkeys(claim.study for claim in CLAIMS)}
    return {
        "format": 1,
        "kind": "claims",
        "claims": [_row(claim, found[claim.study]) for claim in CLAIMS],
        "studies": [_about(s) for s in found.values() if s is not None],
    }


def judge(claim: Claim, study: Mapping[str, Any] | None) -> Verdict:
    """The verdict on a claim from the summary of its study; None is a study without records."""
    return unknown("not run yet") if study is None or not study["trials"] else decide(claim.judge(study))


def _summaries(folder: str | Path, name: str, scale: str | None) -> dict[str, Any] | None:
    """The summary that can say most on a study."""
    try:
        study = load(name)
    except ConfigError:
        return None
    found = [(s, records(folder, study, s)) for s in ((scale,) if scale else SCALES) if s in study.scales]
    known = [(s, rows) for s, rows in found if rows]
    if not known:
        return None
    whole = [(s, rows) for s, rows in known if _complete(rows, [v.name for v in study.variants])]
    chosen, rows = whole[0] if whole else max(known, key=lambda pair: len(pair[1]))
    return summary(study, rows, chosen)


def _complete(rows: Sequence[Mapping[str, Any]], variants: Sequence[str]) -> bool:
    return all(sum(r["variant"] == v for r in rows) >= SEEDS for v in variants)


def _row(claim: Claim, study: Mapping[str, Any] | None) -> dict[str, Any]:
    verdict = judge(claim, study)
    return {
        "id": claim.id,
        "sentence": claim.sentence,
        "study": claim.study,
        "scale": study["scale"] if study else None,
        "rule": claim.rule,
        "verdict": verdict.word,
        "effect": verdict.effect,
        "low": verdict.low,
        "high": verdict.high,
        "unit": verdict.unit,
        "why": verdict.why,
        "parts": [asdict(part) | {"verdict": part.word} for part in verdict.parts],
    }


def _about(study: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("study", "question", "scale", "trials", "expected", "seconds", "seeds", "data", "settings", "measure")
    return {key: study[key] for key in keys}
