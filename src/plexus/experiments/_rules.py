"""The rules of the claims on wirings and neurons, each in words beside the function that computes it.

A rule names its variants, its measure and its margin, and was written before any trial was run. `margin` is the
study's: a smaller difference, in points of test accuracy, counts as none. Speed is the number of epochs to a fixed
training loss, and changes of it below 10 % count as none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import rankdata

from plexus.experiments._evidence import BEST, SPEED, Study, area, gain, mean, metric, slower, variant
from plexus.experiments._statistics import paired
from plexus.experiments._verdict import Part, higher, lower, not_higher, not_lower, same

ALIKE = 0.8
"""Rank correlation from which two seeds move their gates the same way."""

SIGMOID = (
    "Weights without a sigmoid that start where sigmoid(.5) does (`none_0.62`) need more epochs than sigmoid gates to "
    "the fixed training loss: above 0 with p < .05, refuted where they need less than 10 % more. The notes' own "
    "comparison beside it starts them at .5 (`none`), so that start and sigmoid change together; and the area under "
    "the validation curve."
)


def sigmoid(study: Study) -> Sequence[Part]:
    """Claim 1."""
    margin = study["speed_margin"]
    return [
        higher("ungated weights from .62 need more epochs", slower(study, "none_0.62", "sigmoid"), margin, SPEED),
        higher("ungated weights from .5 need more epochs", slower(study, "none", "sigmoid"), margin, SPEED,
               counted=False),
        *(
            lower(f"area under the validation curve lower for `{name}`", area(study, name, "sigmoid"), study["margin"],
                  counted=False)
            for name in ("none_0.62", "none")
        ),
    ]  # fmt: skip


INIT = (
    "Epochs to the fixed training loss stay within 10 %, by two one-sided tests each. As the notes did it: weights 0 "
    "and 1 before the sigmoid against .5 (gates of .5 and .73 against .62). With true gate values: gates of .05 and "
    ".95 against .5. Refuted where one differs with p < .05 and this does not show. Beside it, gaussian and chain "
    "starts, and the area under the validation curve."
)


def init(study: Study) -> Sequence[Part]:
    """Claim 2."""
    pairs = (
        ("init_0", "sigmoid", True), ("init_1", "sigmoid", True), ("gate_0.05", "gate_0.5", True),
        ("gate_0.95", "gate_0.5", True), ("gaussian", "sigmoid", False), ("chain", "sigmoid", False),
    )  # fmt: skip
    return [
        *(
            same(f"{a} as fast as {b}", slower(study, a, b), study["speed_margin"], SPEED, counted=counted)
            for a, b, counted in pairs
        ),
        *(
            same(f"area under the validation curve of {a} as of {b}", area(study, a, b), study["margin"], counted=False)
            for a, b, counted in pairs
            if counted
        ),
    ]


RESIZE = (
    "`nearest`, `bilinear` and `bicubic` differ from `area` by less than the margin in test accuracy, by two one-sided "
    "tests each; refuted where one differs with p < .05 and this does not show. Beside it what the notes looked at, "
    "convergence: epochs to the fixed training loss within 10 %."
)


def resize(study: Study) -> Sequence[Part]:
    """Claim 3."""
    names = ("nearest", "bilinear", "bicubic")
    return [
        *(same(f"{name} as area", gain(study, name, "default"), study["margin"]) for name in names),
        *(
            same(f"{name} as fast as area", slower(study, name, "default"), study["speed_margin"], SPEED, counted=False)
            for name in names
        ),
    ]


SAME_WAY = (
    "How far each gate has moved from its start, in rank: Spearman's correlation between two seeds, in the mean over "
    f"pairs of seeds, is above {ALIKE} in 95 % of bootstrap samples of the gates; refuted where it is below in 95 %. "
    "All gates start at one value (`sigmoid`), so that a common start makes no agreement. Beside it, gates started at "
    ".05 and .95."
)


def same_way(study: Study) -> Sequence[Part]:
    """Claim 4."""
    return [
        _alike(study, "sigmoid", "gates move alike from every seed", counted=True),
        *(_alike(study, name, f"from {name}", counted=False) for name in ("gate_0.05", "gate_0.95")),
    ]


def _alike(study: Study, name: str, text: str, *, counted: bool) -> Part:
    paths: Mapping[str, Any] = variant(study, name)["others"].get("gates", {})
    if len(paths) < 3:
        return Part(text, unit="correlation", n=len(paths), note="not run yet" if not paths else "3 seeds needed",
                    counted=counted)  # fmt: skip
    moved = np.array([np.subtract(history[-1], history[0]) for history in paths.values()])
    drawn = np.random.default_rng(0).integers(0, moved.shape[1], (2000, moved.shape[1]))
    found, samples = float(_correlation(moved)), _correlation(moved[:, drawn])
    low, high = np.quantile(samples, (0.025, 0.975)).tolist()
    below = float((samples < ALIKE).mean())
    far = f"they moved by {np.abs(moved).mean():.3f} in the mean"
    return Part(text, found, low, high, "correlation", below, 1 - below, len(paths), far, counted)


def _correlation(moved: np.ndarray) -> np.ndarray:
    """Spearman's, in the mean over pairs of seeds; (seeds, ..., gates) gives (...)."""
    ranks = rankdata(moved, axis=-1)
    ranks = ranks - ranks.mean(-1, keepdims=True)
    length = np.sqrt((ranks**2).sum(-1, keepdims=True))
    unit = ranks / np.where(length == 0, 1.0, length)
    return np.asarray(np.mean([(unit[a] * unit[b]).sum(-1) for a, b in combinations(range(len(moved)), 2)], axis=0))


PRUNED = (
    "`retrained` is not below `full` by the margin, a one-sided test; refuted where it is below it with p < .05. And "
    "it is above the mean of the three random wirings of its seed, of as many edges: above 0 with p < .05; refuted "
    "where the gain is below the margin. Beside it, `finetuned` in its place, and `retrained` against all gates 1, the "
    "chain, the residual wiring, and edges chosen by ablation where no gate was learned."
)


def pruned(study: Study) -> Sequence[Part]:
    """Claim 5."""
    margin = study["margin"]
    random = mean([metric(study, f"random_{draw}") for draw in (1, 2, 3)])
    return [
        not_lower("retrained no worse than full", gain(study, "retrained", "full"), margin),
        higher("retrained above random wirings", paired(random, metric(study, "retrained")), margin),
        not_lower("finetuned no worse than full", gain(study, "finetuned", "full"), margin, counted=False),
        higher("finetuned above random wirings", paired(random, metric(study, "finetuned")), margin, counted=False),
        *(
            higher(f"retrained above {name}", gain(study, "retrained", name), margin, counted=False)
            for name in ("ones", "chain", "residual", "ablation")
        ),
    ]


UNIT = (
    "`norm_conv` and `norm_dense` each need fewer epochs than the baseline to the fixed training loss: below 0 with "
    "p < .05, refuted where they save less than 10 %. And `norm_conv_dense` needs as many as the baseline, within 10 % "
    "by two one-sided tests; refuted where it differs with p < .05 and this does not show. Beside it, the area under "
    "the validation curve."
)


def unit(study: Study) -> Sequence[Part]:
    """Claim 13."""
    margin = study["speed_margin"]
    return [
        *(
            lower(f"{name} needs fewer epochs", slower(study, name, "baseline"), margin, SPEED)
            for name in ("norm_conv", "norm_dense")
        ),
        same("norm_conv_dense needs as many epochs", slower(study, "norm_conv_dense", "baseline"), margin, SPEED),
        *(
            higher(f"area under the validation curve higher for {name}", area(study, name, "baseline"), study["margin"],
                   counted=False)
            for name in ("norm_conv", "norm_dense", "norm_conv_dense")
        ),
    ]  # fmt: skip


ELU = (
    "`elu` is not above the baseline by the margin in test accuracy, a one-sided test; refuted where it is above it "
    "with p < .05 and this does not show. Beside it, by the notes' own measure, the highest validation accuracy over "
    "the epochs; and epochs to the fixed training loss."
)


def elu(study: Study) -> Sequence[Part]:
    """Claim 14."""
    return [
        not_higher("elu no better than baseline", gain(study, "elu", "baseline"), study["margin"]),
        not_higher(
            "elu no better by the highest validation accuracy", gain(study, "elu", "baseline", BEST), study["margin"],
            counted=False,
        ),
        lower("elu needs fewer epochs", slower(study, "elu", "baseline"), study["speed_margin"], SPEED, counted=False),
    ]  # fmt: skip
