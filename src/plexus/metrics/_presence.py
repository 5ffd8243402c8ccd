"""Presence: the errors of the answer to "is it there", apart from those of the outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata


@dataclass(frozen=True)
class Presence:
    """The quality of answers to "is it there".

    Args:
        auc: the chance that a present one ranks above an absent one, ties counting half; NaN where all are alike.
        accuracy: fraction of right answers.
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
        truth: bool, True where it is there.
        threshold: from here on the answer is "present".

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
    score, present = _answers(probability, truth)
    positives = int(present.sum())
    negatives = len(present) - positives
    pairs = positives * negatives
    # ranks among all, less those among themselves: how many absent ones each present one is above
    above = float(rankdata(score)[present].sum()) - positives * (positives + 1) / 2
    answer = score >= threshold
    return Presence(
        auc=above / pairs if pairs else float("nan"),
        accuracy=float((answer == present).mean()),
        false_positives=int((answer & ~present).sum()),
        false_negatives=int((~answer & present).sum()),
        positives=positives,
        negatives=negatives,
    )


def roc(probability: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ROC curve: the rates of false and of true alarms as the threshold falls, from (0, 0) to (1, 1).

    Args:
        probability: of presence, or any score that rises with it.
        truth: bool, True where it is there.

    Shape:
        (N,), (N,) -> (K,), (K,), one point per distinct score and one before all.

    Raises:
        ValueError: as `presence`, or all are alike.

    Example:
        >>> [rate.tolist() for rate in roc([0.9, 0.4, 0.6, 0.1], [True, True, False, False])]
        [[0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0]]
    """
    score, present = _answers(probability, truth)
    if present.all() or not present.any():
        raise ValueError("a ROC curve needs both present and absent ones")
    order = np.argsort(-score, kind="stable")
    # equal scores make one step: a point stands at the last of each
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true = np.cumsum(present[order])[ends]
    false = ends + 1 - true
    return np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])


def _answers(probability: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    score, present = np.asarray(probability, np.float64), np.asarray(truth)
    if present.dtype != np.bool_:
        raise ValueError(f"truth must be bool, got {present.dtype}")
    if score.ndim != 1 or score.shape != present.shape or not len(score):
        raise ValueError(f"probability {score.shape} and truth {present.shape} must both be (N,), with N of 1 or more")
    if np.isnan(score).any():
        raise ValueError("probability holds NaN")
    return score, present
