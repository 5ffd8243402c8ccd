"""The rules of the claims on rotation neurons, each in words beside the function that computes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from plexus.experiments._evidence import BEST, Study, change, gain, mean, metric, variant
from plexus.experiments._statistics import mean_of, paired
from plexus.experiments._verdict import Part, above, higher, lower, not_lower, same

LAYERS = (1, 2, 3, 4)
MODELS = tuple(f"{k}_rot_{n}" for k in (8, 4) for n in LAYERS)
AGREEMENT, ANGLES = "rotation.agreement_interpolated", "rotation.angles_correct"
PATTERN = 0.9
"""Correlation from which two curves have the same pattern."""

EVERYWHERE = (
    "K_rot_4 has a lower test accuracy than the baseline and than each of K_rot_1, 2 and 3, for K = 8 and 4: every "
    "paired difference below 0 with p < .05; refuted where one drop is below the margin. Beside it, the notes' own "
    "measure: the highest validation accuracy over the epochs, against the baseline."
)


def everywhere(study: Study) -> Sequence[Part]:
    """Claim 6."""
    margin = study["margin"]
    return [
        *(
            lower(f"{k}_rot_4 below {base}", gain(study, f"{k}_rot_4", base), margin)
            for k in (8, 4)
            for base in ("baseline", f"{k}_rot_3", f"{k}_rot_2", f"{k}_rot_1")
        ),
        *(_notes(lower, study, f"{k}_rot_4", "baseline", f"{k}_rot_4 below baseline") for k in (8, 4)),
    ]


FEWER = (
    "Test accuracy falls from K_rot_1 to K_rot_4, by the least-squares line through the four, seed by seed: below 0 "
    "with p < .05, refuted where the fall is below the margin. And K_rot_1 is not below the baseline by the margin, a "
    "one-sided test; refuted where it is below it with p < .05. Both for K = 8 and 4. Beside it, K_rot_1 by the notes' "
    "own measure, the highest validation accuracy."
)


def fewer(study: Study) -> Sequence[Part]:
    """Claim 7."""
    margin = study["margin"]
    return [
        *(
            lower(
                f"{k}_rot_1 to {k}_rot_4 falls", change([metric(study, f"{k}_rot_{n}") for n in LAYERS]), margin
            )
            for k in (8, 4)
        ),
        *(
            not_lower(f"{k}_rot_1 no worse than baseline", gain(study, f"{k}_rot_1", "baseline"), margin)
            for k in (8, 4)
        ),
        *(_notes(not_lower, study, f"{k}_rot_1", "baseline", f"{k}_rot_1 no worse than baseline") for k in (8, 4)),
    ]  # fmt: skip


SKEW = (
    "For 1, 2, 3 and 4 rotation layers, 8 and 4 rotations differ in test accuracy by less than the margin, by two "
    "one-sided tests each; refuted where they differ with p < .05 and this does not show. Beside it, by the notes' own "
    "measure, the highest validation accuracy."
)


def skew(study: Study) -> Sequence[Part]:
    """Claim 8."""
    pairs = [(f"8_rot_{n}", f"4_rot_{n}") for n in LAYERS]
    return [
        *(same(f"{a} as {b}", gain(study, a, b), study["margin"]) for a, b in pairs),
        *(_notes(same, study, a, b, f"{a} as {b}") for a, b in pairs),
    ]


INVARIANT = (
    "Invariance is the share of test images that get the answer they get upright, right or wrong, over all angles but "
    "quarter turns. It is higher than the baseline's for each of the eight models, and K_rot_4's is higher than "
    "K_rot_1's, 2's and 3's, K = 8 and 4: every paired difference above 0 with p < .05; refuted where one gain is "
    "below the margin. Beside it, the notes' own measure, which mixes invariance with accuracy: the mean percentage of "
    "the angles at which an image is classified correctly."
)


def invariant(study: Study) -> Sequence[Part]:
    """Claim 9."""
    margin = study["margin"]
    pairs = [(m, "baseline") for m in MODELS] + [(f"{k}_rot_4", f"{k}_rot_{n}") for k in (8, 4) for n in (1, 2, 3)]
    return [
        *(higher(f"{a} agrees more than {b}", gain(study, a, b, AGREEMENT), margin) for a, b in pairs),
        *(
            higher(f"{a} right at more angles than {b}", gain(study, a, b, ANGLES), margin, counted=False)
            for a, b in pairs
        ),
    ]


EIGHT = (
    "The same invariance, in the mean over models with 1 to 4 rotation layers, is higher with 8 rotations than with 4: "
    "paired difference above 0 with p < .05; refuted where the gain is below the margin. Beside it, each number of "
    "layers, and the mean by the notes' own measure, the percentage of angles classified correctly."
)


def eight(study: Study) -> Sequence[Part]:
    """Claim 10."""
    margin = study["margin"]

    def over(path: str, k: int) -> dict[str, float]:
        return mean([metric(study, f"{k}_rot_{n}", path) for n in LAYERS])

    return [
        higher("8 rotations agree more than 4", paired(over(AGREEMENT, 4), over(AGREEMENT, 8)), margin),
        *(
            higher(f"8_rot_{n} agrees more than 4_rot_{n}", gain(study, f"8_rot_{n}", f"4_rot_{n}", AGREEMENT), margin,
                   counted=False)
            for n in LAYERS
        ),
        higher(
            "8 rotations right at more angles than 4", paired(over(ANGLES, 4), over(ANGLES, 8)), margin, counted=False
        ),
    ]  # fmt: skip


TRANSPLANT = (
    "The baseline's weights in a rotation net, untrained, have a lower test accuracy than in the baseline, for each of "
    "the eight models; and from K_rot_1 to K_rot_4 it falls, by the least-squares line, K = 8 and 4: below 0 with "
    "p < .05; refuted where a fall is below the margin. Beside it, by the notes' own measure, the percentage of angles "
    "classified correctly."
)


def transplant(study: Study) -> Sequence[Part]:
    """Claim 11."""

    def moved(name: str, path: str = "test_accuracy") -> dict[str, float]:
        return metric(study, "baseline", f"transplant.{name}.{path}")

    margin, plain = study["margin"], metric(study, "baseline", "test_accuracy")
    return [
        *(lower(f"{name} with the baseline's weights below the baseline", paired(plain, moved(name)), margin)
          for name in MODELS),
        *(lower(f"falls from {k}_rot_1 to {k}_rot_4", change([moved(f"{k}_rot_{n}") for n in LAYERS]), margin)
          for k in (8, 4)),
        *(
            lower(
                f"{name} with the baseline's weights right at fewer angles",
                paired(metric(study, "baseline", ANGLES), moved(name, ANGLES)), margin, counted=False,
            )
            for name in MODELS
        ),
    ]  # fmt: skip


SEASONS = (
    "The curves of accuracy against the angle of baseline and the eight models correlate: the mean of Pearson's r over "
    f"pairs of models, seed by seed, is above {PATTERN} (one-sided p < .05; refuted where it is below). And near 100 "
    "degrees (95 to 105) accuracy, in the mean over models, is lower than on both sides of it (70 to 85 and 115 to "
    "130): below 0 with p < .05; refuted where the dip is below the margin. All images are multiplied by the inscribed "
    "circle, which the notes did not do, and the dip may have come from corners."
)


def seasons(study: Study) -> Sequence[Part]:
    """Claim 12."""
    curves = _curves(study)
    alike = [float(np.mean([_correlation(a, b) for a, b in combinations(each, 2)])) for each in curves.values() if each]
    angles = np.array(next(iter(variant(study, "baseline")["others"].get("rotation.angles", {}).values()), []))
    away = np.abs(angles - 100)
    near, flanks = away <= 5, (away >= 15) & (away <= 30)
    whole = near.any() and (flanks & (angles < 100)).any() and (flanks & (angles > 100)).any()
    dips = [float(np.mean(each, 0)[near].mean() - np.mean(each, 0)[flanks].mean()) for each in curves.values()]
    return [
        above("all models have the same pattern", mean_of(alike) if alike else None, PATTERN, "correlation"),
        lower("accuracy dips near 100 degrees", mean_of(dips) if whole and dips else None, study["margin"]),
    ]


def _curves(study: Study) -> Mapping[str, list[list[float]]]:
    """Seed -> the curves of all nine models, of seeds that have them all."""
    found = [variant(study, m)["others"].get("rotation.accuracy", {}) for m in ("baseline", *MODELS)]
    return {seed: [each[seed] for each in found] for seed in found[0] if all(seed in each for each in found)}


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    x, y = np.array(a) - np.mean(a), np.array(b) - np.mean(b)
    length = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / length if length else 0.0


def _notes(rule: Callable[..., Part], study: Study, name: str, base: str, text: str) -> Part:
    """The same by the notes' own measure, beside the sound one."""
    found = gain(study, name, base, BEST)
    return rule(f"{text}, by the highest validation accuracy", found, study["margin"], counted=False)
