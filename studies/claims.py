"""The ledger: what the notes claim, each sentence with its study, a rule written before any run, and its judge."""

from __future__ import annotations

from plexus.experiments.claims import Claim

from . import absence, duplicates, gates, granularity, merging, neurons, pruning, representation, rotation, search

CLAIMS: tuple[Claim, ...] = (
    Claim(1, "Sigmoid gates converge faster than ungated weights.", gates.STUDY, gates.SIGMOID, gates.sigmoid),
    Claim(2, "The start of the gates has no effect on convergence.", gates.STUDY, gates.INIT, gates.init),
    Claim(3, "The resize method has no significant effect.", merging.STUDY, merging.RESIZE, merging.resize),
    Claim(4, "Gates converge the same way from every seed.", gates.STUDY, gates.SAME_WAY, gates.same_way),
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
        rotation.STUDY, rotation.FEWER, rotation.fewer,
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
    Claim(14, "ELU does not help significantly.", neurons.STUDY, neurons.ELU, neurons.elu),
    Claim(
        15, "Dropping contradictory near-duplicates improves Dice; the share of contradictions is about 40 %.",
        duplicates.STUDY, duplicates.CONTRADICTIONS, duplicates.contradictions,
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
        search.STUDY, search.RANK, search.rank,
    ),
    Claim(
        19, "Between maps, learned wiring beats random wiring and a residual net of equal parameters.",
        granularity.STUDY, granularity.LEARNED, granularity.learned,
    ),
)  # fmt: skip
