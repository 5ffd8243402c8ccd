"""Do sigmoid gates converge faster than bare weights, and does the start of the gates matter?

The notes' four convolutions, each one lego, all connected by concatenation; flatten and 512 dense units behind. One
thing at a time differs from the notes' default, a scalar gate sigmoid(w) with w = .5 at the start:

- `none`: the weight itself, .5, in place of the gate, as in the notes; `none_0.62` starts where sigmoid(.5) does, so
  that only the sigmoid is missing;
- `init_0`, `init_1`, `gaussian`, `chain`: other starts of w. These are values before the sigmoid, as in the notes, and
  so put the gates between .5 and .73 only;
- `gate_0.05`, `gate_0.5`, `gate_0.95`: starts of the gate itself (`gate_0.5` is `init_0` by another name, and must
  give its numbers);
- `channel`: one gate for each map.

    plexus study run gates --data CIFAR10_FOLDER --scale standard

Training is the notes', see `neurons`: Adam at 1e-3 for gates and weights alike. A record holds `edges` and `gates`, one
list of values before the first epoch and one after each; of channel gates the means.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-25, before seeds beyond the first ones were read, with the rule
unchanged and no early stop.

Cost: 1.5 to 2 minutes a training on one core at `standard`, beside another (`channel` 4), 110 trainings; `quick` 10
seconds on digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import scipy

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, higher, lower, same

from .evidence import SPEED, Summary, area, entry, slower

SAME_START = 0.6224593312018546  # sigmoid(.5)
ALIKE = 0.8
"""Rank correlation from which two seeds move their gates the same way."""


def trial(job: Job) -> dict[str, Any]:
    """Train one supernet."""
    from plexus.models import blocks

    from .context import gated_trial

    return gated_trial(job, blocks, "flatten512")


STUDY = Study(
    name="gates",
    question="Do sigmoid gates converge faster than bare weights, and does their start matter?",
    baseline="sigmoid",
    variants=(
        Variant("sigmoid", {"init": 0.5}),
        Variant("none", {"init": 0.5, "activation": "none"}),
        Variant("none_0.62", {"gate_init": SAME_START, "activation": "none"}),
        Variant("init_0", {"init": 0.0}),
        Variant("init_1", {"init": 1.0}),
        Variant("gate_0.05", {"gate_init": 0.05}),
        Variant("gate_0.5", {"gate_init": 0.5}),
        Variant("gate_0.95", {"gate_init": 0.95}),
        Variant("gaussian", {"init": "gaussian"}),
        Variant("chain", {"init": "chain"}),
        Variant("channel", {"init": 0.5, "gate": "channel"}),
    ),
    scales={
        "quick": Scale(images=96, epochs=2, seeds=1),
        "standard": Scale(images=2_000, epochs=8, seeds=10),
        "full": Scale(images=None, epochs=200, seeds=10, options={"patience": 10}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
    terms={f"gate_{at}": f"gates that start at {at}" for at in ("0.05", "0.5", "0.95")},
)


SIGMOID = (
    "Weights without a sigmoid that start where sigmoid(.5) does (`none_0.62`) need more epochs than sigmoid gates to "
    "the fixed training loss: above 0 with p < .05, refuted where they need less than 10 % more. The notes' own "
    "comparison beside it starts them at .5 (`none`), so that start and sigmoid change together; and the area under "
    "the validation curve."
)


def sigmoid(study: Summary) -> Sequence[Part]:
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


def init(study: Summary) -> Sequence[Part]:
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


SAME_WAY = (
    "How far each gate has moved from its start, in rank: Spearman's correlation between two seeds, in the mean over "
    f"pairs of seeds, is above {ALIKE} in 95 % of bootstrap samples of the gates; refuted where it is below in 95 %. "
    "All gates start at one value (`sigmoid`), so that a common start makes no agreement. The verdict is on the 135 "
    "gates of `many_gates`; beside it, the 14 of `gates`, also started at .05 and .95."
)


def same_way(study: Summary) -> Sequence[Part]:
    """Claim 4."""
    text = "gates move alike from every seed"
    starts = [v["name"] for v in study["variants"] if v["name"] in ("gate_0.05", "gate_0.95")]
    return [
        _alike(study, "sigmoid", text, counted=True),
        *(_alike(study, name, f"{text}, from {name}", counted=False) for name in starts),
    ]


def _alike(study: Summary, name: str, text: str, *, counted: bool) -> Part:
    paths: Mapping[str, Any] = entry(study, name)["others"].get("gates", {})
    if len(paths) < 3:
        return Part(text, unit="correlation", n=len(paths), note="not run yet" if not paths else "3 seeds needed",
                    counted=counted)  # fmt: skip
    moved = np.array([np.subtract(history[-1], history[0]) for history in paths.values()])
    drawn = np.random.default_rng(0).integers(0, moved.shape[1], (2000, moved.shape[1]))
    correlation, samples = float(_correlation(moved)), _correlation(moved[:, drawn])
    low, high = np.quantile(samples, (0.025, 0.975)).tolist()
    below = float((samples < ALIKE).mean())
    far = f"they moved by {np.abs(moved).mean():.3f} in the mean"
    takes = _gates_needed(moved.shape[1], correlation, low, high)
    return Part(text, correlation, low, high, "correlation", below, 1 - below, len(paths), far, counted, takes=takes)


def _gates_needed(gates: int, correlation: float, low: float, high: float) -> str:
    """Say how many gates would tell the correlation from the bound: Fisher's z scatters as 1 / sqrt(gates)."""
    z, bottom, top, bound = np.arctanh(np.clip([correlation, low, high, ALIKE], -0.999, 0.999))
    width = (top - bottom) / 2 * scipy.stats.norm.ppf(0.95) / scipy.stats.norm.ppf(0.975)
    few = f"the interval is over the {gates} gates, and further seeds do not narrow it"
    if not (needed := gates * (width / max(abs(z - bound), 1e-3)) ** 2) < 10_000:
        return f"{few}; so near to {ALIKE} no number of gates would settle it"
    return f"{few}: about {float(f'{needed:.1g}'):,.0f} gates would tell {correlation:.2f} from {ALIKE}"


def _correlation(moved: np.ndarray) -> np.ndarray:
    """Spearman's, in the mean over pairs of seeds; (seeds, ..., gates) gives (...)."""
    # scipy's own takes one pair at a time, and here are thousands of bootstrap samples
    ranks = scipy.stats.rankdata(moved, axis=-1)
    ranks = ranks - ranks.mean(-1, keepdims=True)
    length = np.sqrt((ranks**2).sum(-1, keepdims=True))
    unit = ranks / np.where(length == 0, 1.0, length)
    return np.asarray(np.mean([(unit[a] * unit[b]).sum(-1) for a, b in combinations(range(len(moved)), 2)], axis=0))
