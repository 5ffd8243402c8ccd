"""The ledger: what the notes claim, each sentence with its study, a rule written before any run, and its judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from plexus.experiments import Study
from plexus.experiments.claims import Claim, Part

from . import (
    absence,
    contradictions,
    duplicates,
    elu,
    gates,
    granularity,
    many_gates,
    merging,
    neurons,
    one_layer,
    pruning,
    representation,
    resizing,
    rotation,
    search,
    searches,
)
from .evidence import Summary

BEST_EPOCH = (
    "The notes report the highest validation accuracy over the epochs: the epoch is chosen by the very images that are "
    "reported, which favours curves that jump."
)
PERCENT_CORRECT = (
    "The notes' measure, the share of angles at which an image is classified correctly, mixes invariance with "
    "accuracy: a net that is right more often seems more invariant."
)
PROCEDURES = {
    1: "The notes changed two things at once: weights without a sigmoid began at .5, gates with one at sigmoid(.5) "
    "= .62.",
    2: "The notes started at 0 and 1 before the sigmoid, which are gates of .5 and .73: hardly another start than .62.",
    3: "The notes looked at how fast the loss falls, not at what is recognised in the end.",
    4: "All gates of the notes start at one value and move little, so that curves look alike whatever gates learn.",
    **dict.fromkeys((6, 7, 8, 14), BEST_EPOCH),
    **dict.fromkeys((9, 10, 11), PERCENT_CORRECT),
    12: "The notes turned whole images: corners that leave the frame alone can make a pattern over the angle.",
    15: "The fingerprint as published takes strips of an image in place of blocks and counts black pixels alone, so "
    "that a common black border makes images alike: what it reports needs no contradiction.",
    16: "The notes leave a mask empty below a presence probability of .5, which is not where the expected Dice turns.",
}
"""Claim -> what was wrong in the notes' own procedure, where a record or its rule shows it."""


def _both_halves(study: Summary) -> list[Part]:
    """Dice from one study, the share of contradictions from another."""
    return [*duplicates.contradictions(study), *contradictions.where_none_are(study["beside"]["contradictions"])]


def _again(rule: Callable[[Summary], Sequence[Part]], first: Study) -> Callable[[Summary], list[Part]]:
    """A rule on the fresh seeds of a study, and beside it on the seeds of the first one, which left it open."""

    def judge(study: Summary) -> list[Part]:
        before = (part for part in rule(study["beside"][first.name]) if part.counted)
        return [*rule(study), *(replace(p, text=f"{p.text}, in `{first.name}`", counted=False) for p in before)]

    return judge


def _fewer(study: Summary) -> list[Part]:
    """The fall over layers from one study, a single layer from fresh seeds of another."""
    return [*rotation.falls(study["beside"][rotation.STUDY.name]), *_again(rotation.last, rotation.STUDY)(study)]


_CLAIMS = (
    Claim(1, "Sigmoid gates converge faster than ungated weights.", gates.STUDY, gates.SIGMOID, gates.sigmoid),
    Claim(2, "The start of the gates has no effect on convergence.", gates.STUDY, gates.INIT, gates.init),
    Claim(
        3, "The resize method has no significant effect.",
        resizing.STUDY, merging.RESIZE, _again(merging.resize, merging.STUDY), beside=(merging.STUDY,), whole=True,
    ),
    Claim(
        4, "Gates converge the same way from every seed.",
        many_gates.STUDY, gates.SAME_WAY, _again(gates.same_way, gates.STUDY), beside=(gates.STUDY,), whole=True,
    ),
    Claim(
        5, "The pruned wiring, retrained, is as good as the full net, and better than random wirings of equal size.",
        pruning.STUDY, pruning.PRUNED, pruning.pruned,
    ),
    Claim(
        6, "Rotation neurons everywhere give the lowest validation accuracy.",
        rotation.STUDY, rotation.EVERYWHERE, rotation.everywhere,
    ),
    Claim(
        7, "Accuracy improves as early rotation layers are removed; one rotation layer matches or beats the baseline.",
        one_layer.STUDY, rotation.FEWER, _fewer, beside=(rotation.STUDY,), whole=True,
    ),
    Claim(
        8, "8 rotations follow 4 rotations in accuracy: the skew of 45 degrees does not matter.",
        rotation.STUDY, rotation.SKEW, rotation.skew,
    ),
    Claim(
        9, "Every rotation model is more rotation-invariant than the baseline, most of all with rotation everywhere.",
        rotation.STUDY, rotation.INVARIANT, rotation.invariant,
    ),
    Claim(10, "8 rotations are more invariant than 4.", rotation.STUDY, rotation.EIGHT, rotation.eight),
    Claim(
        11, "Transplanted weights fail, least where fewest layers rotate.",
        rotation.STUDY, rotation.TRANSPLANT, rotation.transplanted,
    ),
    Claim(
        12, "Accuracy against the angle has the same seasonal pattern in all models, with a dip near 100 degrees.",
        rotation.STUDY, rotation.SEASONS, rotation.seasons,
    ),
    Claim(
        13, "Unit norm speeds convergence for conv and for dense layers alone; both together cancel out.",
        neurons.STUDY, neurons.UNIT, neurons.unit,
    ),
    Claim(
        14, "ELU does not help significantly.",
        elu.STUDY, neurons.ELU, _again(neurons.elu, neurons.STUDY), beside=(neurons.STUDY,), whole=True,
    ),
    Claim(
        15, "Dropping contradictory near-duplicates improves Dice; the share of contradictions is about 40 %.",
        duplicates.STUDY, duplicates.CONTRADICTIONS + contradictions.WHERE_NONE_ARE, _both_halves,
        beside=(contradictions.STUDY,),
    ),
    Claim(
        16, "Gating masks by the presence of the target improves mean Dice.",
        absence.STUDY, absence.GATED, absence.gated,
    ),
    Claim(
        17, "Networks that start from Z train faster.",
        representation.STUDY, representation.FASTER, representation.faster,
    ),
    Claim(
        18, "The gradient-learned wiring ranks near the top of all wirings, at a fraction of the cost.",
        search.STUDY, search.RANK, search.rank, beside=(searches.STUDY,),
    ),
    Claim(
        19, "Between maps, learned wiring beats random wiring and a residual net of equal parameters.",
        granularity.STUDY, granularity.LEARNED, granularity.learned,
    ),
)  # fmt: skip
CLAIMS: tuple[Claim, ...] = tuple(replace(claim, procedure=PROCEDURES.get(claim.id, "")) for claim in _CLAIMS)
