"""Likely wrong labels by confident learning: what a net that did not learn from an image makes of it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plexus.audit._fingerprint import Fingerprints
from plexus.audit._near import NearDuplicates
from plexus.audit._poses import F64
from plexus.audit._reduced import I64
from plexus.data import SampleSet
from plexus.errors import DataError, printable

STRONG = 0.1
"""Share of right labels among those at least as doubtful, up to which evidence is strong."""
EQUAL, LEAST = 1e-3, 1e-12
"""Logarithms of likelihoods that differ by less are equal; and the probability that one of 0 stands for."""
TEMPERATURES = tuple(2.0 ** (k / 4) for k in range(-8, 13))
"""By which the logarithms of probabilities are divided."""
RELABEL = "relabel:"
"""Begins the decision that gives an image another class, which follows."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of classes, of a net that did not learn from the images.

    Args:
        classes: names of the columns; more than those of the set are fine.
        probabilities: (N, K), rows that sum to 1; NaN for an image that is not judged.
        origin: words for where they come from.
        learned: (N,) True where the net learned from the image, which is why it is not judged.
        notes: what is worth telling, one line each.

    Example:
        >>> Predictions(("cat", "dog"), np.array([[0.9, 0.1]]), "my net").probabilities.shape
        (1, 2)
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.floating]
    origin: str
    learned: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()


Predict = Callable[[SampleSet, NDArray[np.int64]], Predictions]
"""Makes predictions of a set; the fold of each image, -1 for none, is for those who cross-validate."""


@dataclass(frozen=True)
class Suspect:
    """An image whose label is likely wrong.

    Args:
        image: its index.
        given: the label that it has.
        suggested: the most likely class.
        given_probability, probability: of either.
        quality: share of the given class in its probability and that of the best other one together; 0 is worst.
        evidence: ``strong`` where two ways to count wrong labels agree on it, by class and by pairs of classes, and no
            more than one in ten of the labels that are as doubtful would be right by the net's own probabilities (of a
            few hundred images, about one in three); else ``weak``.
        example: index of the image that the net takes for the suggested class most surely, of those labelled so.

    Example:
        >>> Suspect(3, "cat", "dog", 0.01, 0.98, 0.0101, "strong").suggested
        'dog'
    """

    image: int
    given: str
    suggested: str
    given_probability: float
    probability: float
    quality: float
    evidence: Literal["strong", "weak"]
    example: int | None = None


def suspects(samples: SampleSet, predictions: Predictions, near: NearDuplicates | None = None) -> tuple[Suspect, ...]:
    """Find likely wrong labels by confident learning, the likeliest first.

    Args:
        samples: the set, with a class for each image.
        predictions: of a net that did not learn from the images.
        near: sure near-duplicates of what the net learned from are not judged either.

    Returns:
        The suspects.

    Raises:
        DataError: no labels, fewer than two classes, or predictions of another set or other classes.

    Source: Northcutt, Jiang and Chuang, Confident Learning, JAIR 70 (2021), by the library cleanlab: `prune_by_class`
        and `prune_by_noise_rate`.

    Example:
        >>> from plexus.data import in_memory
        >>> labels = np.arange(40) % 2
        >>> sure = np.where(labels[:, None] == (0, 1), 0.9, 0.1)
        >>> labels[7] = 0  # it is a 1
        >>> samples = in_memory(np.zeros((40, 8, 8)), labels).samples
        >>> [(s.image, s.suggested) for s in suspects(samples, Predictions(("0", "1"), sure, "a net"))]
        [(7, '1')]
    """
    judged = _judged(samples, predictions, near)
    column = {name: k for k, name in enumerate(predictions.classes)}
    labels = np.array([column[str(samples.samples[i].label)] for i in judged], np.int64)
    if len(np.unique(labels)) < 2:
        return ()
    chances = predictions.probabilities[judged].astype(np.float64)
    chances /= chances.sum(1, keepdims=True)
    found = {how: _issues(labels, chances, how) for how in ("prune_by_noise_rate", "prune_by_class")}
    own = chances[np.arange(len(labels)), labels]
    best = chances.argmax(1)
    qualities = _qualities(chances)
    quality = qualities[np.arange(len(labels)), labels]
    listed = np.flatnonzero((found["prune_by_noise_rate"] | found["prune_by_class"]) & (best != labels))
    both = found["prune_by_noise_rate"] & found["prune_by_class"] & (_right(labels, chances, qualities) <= STRONG)
    listed = listed[np.argsort(quality[listed], kind="stable")]
    shown = _examples(labels, chances)
    return tuple(
        Suspect(
            image=int(judged[i]),
            given=predictions.classes[labels[i]],
            suggested=predictions.classes[best[i]],
            given_probability=float(own[i]),
            probability=float(chances[i, best[i]]),
            quality=float(quality[i]),
            evidence="strong" if both[i] else "weak",
            example=None if (row := shown.get(int(best[i]))) is None else int(judged[row]),
        )
        for i in listed.tolist()
    )


def new_label(decision: str | None) -> str | None:
    """Return the class that a decision gives, or None."""
    return decision.removeprefix(RELABEL) if decision is not None and decision.startswith(RELABEL) else None


def relabelled(samples: SampleSet, decisions: Mapping[str, str]) -> SampleSet:
    """Return the set with the classes that decisions give."""
    if not any(map(new_label, decisions.values())):
        return samples
    changed = tuple(replace(s, label=new_label(decisions.get(s.name)) or s.label) for s in samples.samples)
    return replace(samples, samples=changed)


def spread(decisions: Mapping[str, str], fingerprints: Fingerprints, groups: Sequence[I64]) -> dict[str, str]:
    """New labels of the images that are exact copies of one that was given it, in large groups.

    Only for those that had the same label, and that nothing was decided on.
    """
    labels = fingerprints.labels or (None,) * len(fingerprints)
    found: dict[str, str] = {}
    for rows in groups if decisions else ():
        names = {int(i): fingerprints.names[i] for i in rows}
        given = {labels[i]: label for i, name in names.items() if (label := new_label(decisions.get(name)))}
        found |= {
            name: RELABEL + given[labels[i]]
            for i, name in names.items()
            if labels[i] in given and name not in decisions
        }
    return found


def _judged(samples: SampleSet, predictions: Predictions, near: NearDuplicates | None) -> NDArray[np.int64]:
    """The images that have a label, predictions, and no near-duplicate that the net learned from."""
    if not samples.has_labels:
        raise DataError(f"{samples.where}: has no classes, whose labels could be wrong: leave --labels out")
    shape = (len(samples), len(predictions.classes))
    if predictions.probabilities.shape != shape:
        raise DataError(f"{samples.where}: predictions of shape {predictions.probabilities.shape}, expected {shape}")
    if strange := sorted({str(s.label) for s in samples.samples if s.label is not None} - {*predictions.classes}):
        raise DataError(
            f"{samples.where}: class {printable(strange[0])!r} is none of {predictions.origin}: use a net of these "
            "classes, or cross-validate with --labels cv"
        )
    there = np.isfinite(predictions.probabilities).all(1) & np.array([s.label is not None for s in samples.samples])
    there &= ~learned_from(predictions, near)
    return np.flatnonzero(there)


def learned_from(predictions: Predictions, near: NearDuplicates | None) -> NDArray[np.bool_]:
    """Tell which images the net learned from, with their sure near-duplicates, whose labels it may only recall."""
    learned = np.zeros(len(predictions.probabilities), bool)
    if predictions.learned is None or not predictions.learned.any():
        return learned
    learned |= predictions.learned
    if near is not None:
        before = learned.copy()
        for rows in near.copies:  # one stands for all
            before[rows] = learned[rows] = learned[rows].any()
        a, b = near.a[near.sure], near.b[near.sure]
        learned[b[before[a]]] = True
        learned[a[before[b]]] = True
        for rows in near.scenes:  # all are nearly equal to one of them
            learned[rows] |= before[rows].any()
        for rows in near.copies:
            learned[rows] = learned[rows].any()
    return learned


def agreement(samples: SampleSet, predictions: Predictions) -> str:
    """Say in words how far a net can be trusted to judge labels."""
    chances = predictions.probabilities
    rows = np.flatnonzero(np.isfinite(chances).all(1))
    if not len(rows):
        return "none could be judged"
    best = chances[rows].argmax(1)
    given = [samples.samples[i].label for i in rows.tolist()]
    same = sum(predictions.classes[k] == label for k, label in zip(best, given, strict=True))
    told = f"{len(rows):,} of {len(samples):,} judged by {predictions.origin}, which agrees with {same / len(rows):.1%}"
    single = sorted(printable(label) for label, count in Counter(given).items() if label and count == 1)
    return told + (f"; but not the only image of its class: {', '.join(single)}" if single else "")


def _issues(labels: NDArray[np.int64], chances: NDArray[np.float64], how: str) -> NDArray[np.bool_]:
    from cleanlab.filter import find_label_issues  # loads pandas, which most audits need not

    with warnings.catch_warnings():  # of classes with one image or none; `agreement` names them
        warnings.filterwarnings("ignore", "May not flag all label issues in class", UserWarning)
        found: NDArray[np.bool_] = find_label_issues(labels, chances, filter_by=how, n_jobs=1)
    return found


def _qualities(chances: F64) -> F64:
    """The quality that each label of each image would have, (N, K)."""
    order = np.sort(chances, 1)
    other = np.where(chances == order[:, -1:], order[:, -2:-1], order[:, -1:])
    made: F64 = chances / np.maximum(chances + other, np.finfo(float).tiny)
    return made


def _right(labels: NDArray[np.int64], chances: F64, qualities: F64) -> F64:
    r"""Share of right labels that is expected among those at least as doubtful as each, (N,).

    With quality $q_{ik}$ of label $k$ of image $i$ and its probability $p_{ik}$, as `_calibrated` makes it,
    $\sum_{ik} p_{ik} [q_{ik} \le q]$ right ones are expected up to $q$; divided by the number of given labels there.
    """
    given = qualities[np.arange(len(labels)), labels]
    order = np.argsort(given, kind="stable")
    steps = given[order]
    up_to = np.bincount(
        np.searchsorted(steps, qualities.ravel()), _calibrated(labels, chances).ravel(), len(labels) + 1
    )
    share = np.empty(len(labels))
    right = up_to.cumsum()[:-1] / np.searchsorted(steps, steps, side="right")
    share[order] = np.minimum.accumulate(right[::-1])[::-1]
    return share


def _calibrated(labels: NDArray[np.int64], chances: F64) -> F64:
    r"""Probabilities that a right label is each class, of a net that is as sure as it may be, (N, K).

    At a temperature $t$, as nets are surer than they may be, and with a share $\epsilon$ of wrong labels, which fall on
    the other classes alike, so that they do not pass for doubts of the net: a label has the probability
    $(1 - \epsilon) p + \epsilon (1 - p) / (K - 1)$. The likeliest of both; where several temperatures are as likely,
    the lowest, by which the net is surest. Of a net near chance nothing is known: then every label may be right.
    """
    from scipy.special import log_softmax

    logs, rows = np.log(np.maximum(chances, LEAST)), np.arange(len(labels))
    others, fits = chances.shape[1] - 1, []
    for temperature in TEMPERATURES:
        own = np.exp(log_softmax(logs / temperature, 1)[rows, labels])
        wrong = 0.05
        for _ in range(50):  # expectation and maximisation
            by_chance = wrong * (1 - own) / others
            wrong = float((by_chance / np.maximum((1 - wrong) * own + by_chance, np.finfo(float).tiny)).mean())
        likely = np.log(np.maximum((1 - wrong) * own + wrong * (1 - own) / others, np.finfo(float).tiny)).sum()
        fits.append((likely, wrong))
    best = max(likely for likely, _ in fits)
    at = next(k for k, (likely, _) in enumerate(fits) if likely >= best - EQUAL)
    if fits[at][1] > 0.5 * others / (others + 1):
        return np.ones_like(chances)
    made: F64 = (1 - fits[at][1]) * np.exp(log_softmax(logs / TEMPERATURES[at], 1))
    return made


def _examples(labels: NDArray[np.int64], chances: NDArray[np.float64]) -> dict[int, int]:
    """For each class the row that is labelled so and most surely taken for it."""
    rows = {}
    for k in np.unique(labels).tolist():
        own = np.flatnonzero((labels == k) & (chances.argmax(1) == k))
        if len(own):
            rows[k] = int(own[chances[own, k].argmax()])
    return rows
