"""The rules of the claims on segmentation, each in words beside the function that computes it; see `_rules`."""

from __future__ import annotations

from collections.abc import Sequence

from plexus.experiments._evidence import Study, gain, metric
from plexus.experiments._statistics import mean_of
from plexus.experiments._verdict import Part, above, higher

CONTRADICTIONS = (
    "Trained on what the audit keeps (`audited`), the mean Dice on untouched test images is higher than trained on "
    "everything (`corrupted`): above 0 with p < .05, refuted where the gain is below the margin. Half of the "
    "images were made to contradict another; how many do in the notes' own set can only be seen on that set. "
    "Beside it: dropping both images of a pair, the upper bound without contradictions, and the share of images that "
    "the notes' fingerprint, as published, reports on untouched ultrasound images."
)


def contradictions(study: Study) -> Sequence[Part]:
    """Claim 15."""
    margin = study["margin"]
    flagged = list(metric(study, "corrupted", "published_images").values())
    share = mean_of(flagged) if flagged else None
    return [
        higher("Dice higher without contradictory near-duplicates", gain(study, "audited", "corrupted"), margin),
        Part("about 40 % of the notes' images contradict another", unit="%", note="the notes' images are not at hand"),
        higher("Dice higher when both images of a pair go", gain(study, "both", "corrupted"), margin, counted=False),
        higher("Dice higher without any contradictions", gain(study, "clean", "corrupted"), margin, counted=False),
        above(
            "the notes' fingerprint as published reports 40 % of untouched images or more", share, 40.0, "% of images",
            counted=False,
        ),
    ]  # fmt: skip


GATE = (
    "The notes' gate (`threshold`: empty below a presence probability of .5) against none, the same net: mean Dice, 1 "
    "where truth and prediction are empty, higher with p < .05; refuted where the gain is below the margin. Beside it: "
    "the gate by expected Dice against the notes', and what each costs where the target is there."
)


def gate(study: Study) -> Sequence[Part]:
    """Claim 16."""
    margin, present = study["margin"], "dice_present"
    return [
        higher("Dice higher with the notes' gate", gain(study, "threshold", "none"), margin),
        higher("Dice higher with the gate by expected Dice", gain(study, "expected", "none"), margin, counted=False),
        higher("expected Dice better than the notes' gate", gain(study, "expected", "threshold"), margin,
               counted=False),
        *(
            higher(f"Dice where the target is there, `{name}`", gain(study, name, "none", present), margin,
                   counted=False)
            for name in ("threshold", "expected")
        ),
    ]  # fmt: skip
