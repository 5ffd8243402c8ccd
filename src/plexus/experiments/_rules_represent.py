"""The rule of the claim on representations, in words beside the function that computes it; see `_rules`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from plexus.experiments._evidence import Study, gain, metric, variant
from plexus.experiments._statistics import Difference, mean_of
from plexus.experiments._verdict import Part, above, higher

FASTER = (
    "The frozen start (`z`) reaches, in fewer epochs than it took the network on pixels, the validation accuracy that "
    "the latter ends with: how many times fewer is above 1 with p < .05, refuted where it is below 1 with p < .05. A "
    "start that never reaches it counts as if it did in the epoch after the last. Beside it: whether it is 3 times; "
    "the start that learns on (`tuned`); the same in seconds, without and with those of learning Z, where a start that "
    "never reaches it counts as 0 times; and test accuracy."
)


def faster(study: Study) -> Sequence[Part]:
    """Claim 17."""
    return [
        above("a frozen Z needs fewer epochs", times(study, "z"), 1.0, "times"),
        above("a frozen Z needs 3 times fewer epochs", times(study, "z"), 3.0, "times", counted=False),
        above("an encoder that learns on needs fewer epochs", times(study, "tuned"), 1.0, "times", counted=False),
        above("a frozen Z needs fewer seconds", times(study, "z", "seconds"), 1.0, "times", counted=False),
        above("fewer even with those of learning Z", times(study, "z", "all seconds"), 1.0, "times", counted=False),
        *(
            higher(f"`{name}` ends above pixels", gain(study, name, "pixels"), study["margin"], counted=False)
            for name in ("z", "tuned")
        ),
    ]


def times(study: Study, name: str, unit: str = "epochs") -> Difference | None:
    """How many times less a start needs to the accuracy that pixels end with, seed by seed."""
    curves = [variant(study, n)["curves"].get("val_accuracy_curve", {}).get("seeds", {}) for n in ("pixels", name)]
    ratios = []
    for seed in (seed for seed in curves[0] if seed in curves[1]):
        level, spent = curves[0][seed][-1], []
        for n, curve in zip(("pixels", name), (curves[0][seed], curves[1][seed]), strict=True):
            epoch = 1.0 if unit == "epochs" else metric(study, n, "train_seconds").get(seed, 0.0) / len(curve)
            before = metric(study, n, "z_seconds").get(seed, 0.0) if unit == "all seconds" else 0.0
            never = unit != "epochs" and max(curve) < level
            spent.append(math.inf if never else reached(curve, level) * epoch + before)
        if spent[1]:
            ratios.append(spent[0] / spent[1])
    return mean_of(ratios) if ratios else None


def reached(curve: Sequence[float], level: float) -> int:
    """The first epoch, counted from 1, at a level or above; the one after the last where none is.

    Example:
        >>> reached([10.0, 30.0, 20.0], 25.0), reached([10.0], 25.0)
        (2, 2)
    """
    return next((i for i, value in enumerate(curve, 1) if value >= level), len(curve) + 1)
