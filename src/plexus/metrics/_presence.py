"""Whether there is anything to be found: errors of that answer, apart from those of the outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata


@dataclass(frozen=True)
class Presence:
    """How good answers to "is it there" are.

    Args:
        auc: the chance that a present one ranks above an absent one, ties counting half; NaN where all are alike.
        accuracy: share of right answers.
        false_positives: absent, and said to be present.
        false_negatives: present, and said to be absent.
        positives: present ones.
        negatives: absent ones.

    Example:
        >>> presence([0.9, 0.1], [True, False]).auc
        1.0
    """

    auc: float
    accuracy: float
    false_positives: int
    false_negatives: int
    positives: int
    negatives: int


def presence(probability: ArrayLike, truth: ArrayLike, *, threshold: float = 0.5) -> Presence:
    r"""Judge probabilities of presence.

    .. math:: \mathrm{AUC} = \frac{\sum_{i \in +} r_i - n_+ (n_+ + 1) / 2}{n_+ n_-}

    with mid-ranks :math:`r_i` of the probabilities.

    Args:
        probability: of presence, or any score that rises with it.
        truth: bool, whether it is there.
        threshold: said to be present from here on.

    Shape:
        (N,), (N,).

    Raises:
        ValueError: no answers, of different lengths, NaN, or a truth that is not bool.

    Source:
        Hanley and McNeil 1982, The meaning and use of the area under a ROC curve.

    Example:
        >>> presence([0.9, 0.4, 0.6, 0.1], [True, True, False, False])
        Presence(auc=0.75, accuracy=0.5, false_positives=1, false_negatives=1, positives=2, negatives=2)
    """
    score, there = _answers(probability, truth)
    positives = int(there.sum())
    negatives = len(there) - positives
    pairs = positives * negatives
    above = float(rankdata(score)[there].sum()) - positives * (positives + 1) / 2
    said = score >= threshold
    return Presence(
        auc=above / pairs if pairs else float("nan"),
        accuracy=float((said == there).mean()),
        false_positives=int((said & ~there).sum()),
        false_negatives=int((~said & there).sum()),
        positives=positives,
        negatives=negatives,
    )


def roc(probability: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ROC curve: shares of false and of true alarms as the threshold falls, from (0, 0) to (1, 1).

    Args:
        probability: of presence, or any score that rises with it.
        truth: bool, whether it is there.

    Shape:
        (N,), (N,) -> (K,), (K,), one point per distinct score and one before all.

    Raises:
        ValueError: as `presence`, or all are alike.

    Example:
        >>> [share.tolist() for share in roc([0.9, 0.4, 0.6, 0.1], [True, True, False, False])]
        [[0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0]]
    """
    score, there = _answers(probability, truth)
    if there.all() or not there.any():
        raise ValueError("a ROC curve needs both present and absent ones")
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true = np.cumsum(there[order])[ends]
    false = ends + 1 - true
    return np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])


def _answers(probability: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    score, there = np.asarray(probability, np.float64), np.asarray(truth)
    if there.dtype != np.bool_:
        raise ValueError(f"truth must be bool, got {there.dtype}")
    if score.ndim != 1 or score.shape != there.shape or not len(score):
        raise ValueError(f"probability {score.shape} and truth {there.shape} must both be (N,), with N of 1 or more")
    if np.isnan(score).any():
        raise ValueError("probability holds NaN")
    return score, there
