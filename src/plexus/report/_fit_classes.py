"""The classes on a training's page: what each is recognised at, what it is taken for, examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plexus.errors import plural
from plexus.record import FitRecord
from plexus.report._formatting import NONE, count, percent

MOST_CLASSES = 20
"""A larger confusion matrix is read as a list of its largest entries."""
NAMED = 3
"""Classes that a sentence names; of more it tells how many."""


@dataclass(frozen=True)
class Recognition:
    """One class on the test images.

    Args:
        name: of the class.
        support: test images of it.
        right: how many of these were recognised.
        answers: test images that were taken for it.
        taken_for: the class that it was mistaken for most often, and how often; None where it was not.
        trained: training images of it; None where they were not counted.
    """

    name: str
    support: int
    right: int
    answers: int
    taken_for: tuple[str, int] | None
    trained: int | None

    @property
    def recall(self) -> float | None:
        """The share of its images that was recognised."""
        return self.right / self.support if self.support else None

    @property
    def precision(self) -> float | None:
        """The share of the images taken for it that is of it."""
        return self.right / self.answers if self.answers else None


def class_name(record: FitRecord, index: int | None) -> str:
    """Return the name of a class, or its index where the record has none."""
    names = record.data.classes
    return names[index] if index is not None and 0 <= index < len(names) else str(index)


def recognitions(record: FitRecord) -> list[Recognition]:
    """Return every class in order; nothing where there is no confusion matrix."""
    matrix = record.confusion
    if not sum(map(sum, matrix)) or any(len(row) != len(matrix) for row in matrix):
        return []
    trained = record.data.class_counts
    rows = []
    for i, row in enumerate(matrix):
        wrong = [(n, -j) for j, n in enumerate(row) if j != i and n]
        most, other = max(wrong, default=(0, 0))
        rows.append(
            Recognition(
                class_name(record, i), sum(row), row[i], sum(each[i] for each in matrix),
                (class_name(record, -other), most) if most else None,
                trained[i] if len(trained) == len(matrix) else None,
            )
        )  # fmt: skip
    return rows


def never_right(rows: list[Recognition]) -> list[Recognition]:
    """Return the classes of which there are test images, and none was recognised."""
    return [row for row in rows if row.support and not row.right]


def quoted(names: list[str]) -> str:
    """Return names of classes in a sentence; of many, some and how many more."""
    shown = [f"“{name}”" for name in names[:NAMED]]
    if len(names) > NAMED:
        shown.append(f"{len(names) - NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def classes(record: FitRecord) -> dict[str, Any]:
    """Return the rows of the classes and the sentences above them."""
    rows = recognitions(record)
    never, unseen = never_right(rows), [row.name for row in rows if not row.support]
    sentences = []
    if never:
        sentences.append(f"No image of {quoted([row.name for row in never])} was ever recognised.")
    if unseen:
        sentences.append(f"There was no test image of {quoted(unseen)}, so nothing is known of it.")
    return {
        "sentences": sentences,
        "trained": any(row.trained is not None for row in rows),
        "rows": [
            {
                "name": row.name,
                "never": row in never,
                "recall": percent(row.recall),
                "precision": percent(row.precision),
                "support": count(row.support),
                "trained": count(row.trained),
                "for": f"{row.taken_for[0]} ({plural(row.taken_for[1], 'image')})" if row.taken_for else NONE,
                "order": (row.recall, row.precision, row.support, row.trained),
            }
            for row in rows
        ],
    }


def confusion(record: FitRecord) -> dict[str, Any]:
    """Return the matrix with a shade from 0 to 5 per cell, or its largest entries where there are many classes."""
    matrix, found = record.confusion, recognitions(record)
    names = [row.name for row in found]
    if not found:
        return {"rows": [], "pairs": [], "names": [], "wrong": 0, "total": 0}
    entries = [(n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n]
    most = max((n for n, _, _ in entries), default=0)
    rows = []
    for i, row in enumerate(matrix):
        shades = [0 if i == j or not n else 1 + round(4 * n / most) for j, n in enumerate(row)]
        recall = percent(found[i].recall)
        rows.append({"name": names[i], "cells": list(zip(row, shades, strict=True)), "right": i, "recall": recall})
    largest = sorted(entries, key=lambda entry: (-entry[0], entry[1:]))[:MOST_CLASSES]
    return {
        "rows": rows if len(matrix) <= MOST_CLASSES else [],
        "pairs": [(names[i], names[j], n) for n, i, j in largest],
        "names": names,
        "wrong": sum(n for n, _, _ in entries),
        "total": sum(row.support for row in found),
    }


def examples(record: FitRecord, entries: list[FitRecord.Mistake]) -> list[dict[str, Any]]:
    """Return images with their classes in words."""
    return [
        {
            "name": entry.name,
            "image": entry.image,
            "true": class_name(record, entry.true),
            "predicted": class_name(record, entry.predicted),
            "sure": percent(entry.probability),
        }
        for entry in entries
    ]
