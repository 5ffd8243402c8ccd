"""Cleaning: a stated rule says which images stay, and decisions of a person override it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plexus.audit._contradictions import Contradiction, Labels
from plexus.audit._fingerprint import Fingerprints, Problem
from plexus.audit._near import ORDER, NearDuplicates, components, members
from plexus.audit._suspects import new_label


@dataclass(frozen=True)
class Cleaned:
    """Images that stay, and why the others go.

    Args:
        keep: of every image.
        why: a few words for those that go, else None.
        labels: the new class of those that stay and were given one by a decision, else None; empty for none.

    Example:
        >>> cleaned = Cleaned((True, False), (None, "copy of a.png"))
        >>> [why for keep, why in zip(cleaned.keep, cleaned.why) if not keep]
        ['copy of a.png']
    """

    keep: tuple[bool, ...]
    why: tuple[str | None, ...]
    labels: tuple[str | None, ...] = ()


class Rule:
    """The state of cleaning: what has gone so far.

    Args:
        fingerprints: of all images.
        decisions: keep, drop, unsure or relabel:CLASS by name.
    """

    def __init__(self, fingerprints: Fingerprints, decisions: Mapping[str, str]) -> None:
        self.names, self.splits = fingerprints.names, fingerprints.splits
        self.why: list[str | None] = [None] * len(self.names)
        self.decided = [decisions.get(name) for name in self.names]
        self.labels = [new_label(word) for word in self.decided]
        # whoever gives an image its right class wants it kept
        self.decided = ["keep" if label else word for word, label in zip(self.decided, self.labels, strict=True)]

    def stays(self, i: int) -> bool:
        return self.why[i] is None

    def may_go(self, i: int) -> bool:
        """A decision to keep it protects an image, and so does being a test image."""
        return self.decided[i] != "keep" and self.splits[i] != "test"

    def problems(self, problems: Sequence[Problem]) -> None:
        """Images without content, or without a mask that can be read; no decision makes them readable."""
        row = {name: i for i, name in enumerate(self.names)}
        for problem in problems:
            i = row[problem.name]
            if problem.kind in ("unreadable", "mask") or self.decided[i] != "keep":
                self.why[i] = self.why[i] or f"{problem.kind}: {problem.text}"

    def decisions(self) -> None:
        for i, decided in enumerate(self.decided):
            if decided == "drop" and self.stays(i):
                self.why[i] = "decided"

    def leaks(self, near: NearDuplicates) -> None:
        """Of two near-duplicates in different splits the one in the earlier split goes: sure pairs, nearest first.

        Then those that are so close to being sure that they may be in the set that is left.
        """
        sure = zip(near.a[near.sure].tolist(), near.b[near.sure].tolist(), strict=True)
        for a, b in [*sure, *map(tuple, near.margin.tolist())]:
            if leak(self.splits[a], self.splits[b]) is None or not (self.stays(a) and self.stays(b)):
                continue
            first, second = sorted((a, b), key=lambda i: ORDER[str(self.splits[i])])
            if self.may_go(first):
                self.why[first] = f"leak: near-duplicate of {self.names[second]} in {self.splits[second]}"

    def copies(self, near: NearDuplicates, contradictory: set[int]) -> None:
        """Of exact copies with equal labels the first by name stays."""
        pairs = [p for p in np.flatnonzero(near.exact).tolist() if p not in contradictory]
        alive = [p for p in pairs if self.stays(int(near.a[p])) and self.stays(int(near.b[p]))]
        for rows in members(components(len(self.names), near.a[alive], near.b[alive])):
            first = min(rows.tolist(), key=lambda i: (self.may_go(i), self.names[i]))
            for i in rows.tolist():
                if i != first and self.may_go(i):
                    self.why[i] = f"copy of {self.names[first]}"

    def contradictions(self, contradictory: Sequence[Contradiction], labels: Labels) -> None:
        """The image with most contradictions goes, again and again, until none is left that may go."""
        open_pairs = {(c.a, c.b) for c in contradictory if self.stays(c.a) and self.stays(c.b)}
        partners: dict[int, set[int]] = {}
        for a, b in open_pairs:
            partners.setdefault(a, set()).add(b)
            partners.setdefault(b, set()).add(a)
        count = Counter({i: len(others) for i, others in partners.items()})
        rank = {i: k for k, i in enumerate(sorted(count, key=lambda i: self.names[i]))}
        while candidates := [i for i, n in count.items() if n and self.may_go(i)]:
            worst = max(candidates, key=lambda i: (count[i], labels.present[i] is False, rank[i]))
            others = sorted(partners.pop(worst), key=lambda i: rank[i])
            self.why[worst] = f"contradicts {self.names[others[0]]}"
            del count[worst]
            for other in others:
                partners[other].discard(worst)
                count[other] -= 1


def clean(
    fingerprints: Fingerprints,
    near: NearDuplicates,
    contradictory: Sequence[Contradiction],
    labels: Labels,
    decisions: Mapping[str, str] | None = None,
) -> Cleaned:
    """Decide for every image whether it stays; nothing is deleted.

    1. Images that cannot be read, or are constant, and those whose mask cannot be read, go.
    2. Of sure near-duplicates in different splits the one in train goes, before the one in val; test images always
       stay. Pairs that come to four times the false pairs allowed count here: a second audit finds no leak.
    3. Of exact copies with equal labels the first by name stays.
    4. The image with most contradictions goes (of several: one with an empty mask, then the later name), and so on
       until no contradictory pair is left, or only pairs of test images. A whole cluster never goes.

    Decisions of a person come before 2 to 4.

    Args:
        fingerprints: of the images.
        near: their near-duplicates.
        contradictory: of `contradictions`.
        labels: of `read_labels`.
        decisions: ``keep``, ``drop``, ``unsure`` or ``relabel:CLASS`` by name; unsure changes nothing, and an image
            with a new class is kept.

    Returns:
        The images that stay, their new classes, and why the others go.

    Example:
        >>> from plexus.audit import fingerprint, near_duplicates
        >>> image = np.random.default_rng(0).integers(0, 256, (2, 72, 96), dtype=np.uint8)
        >>> prints = fingerprint([*image, image[0]])
        >>> clean(prints, near_duplicates(prints), (), Labels((None,) * 3, (None,) * 3, ())).why
        (None, None, 'copy of image 0')
    """
    rule = Rule(fingerprints, decisions or {})
    rule.problems([*fingerprints.problems, *labels.problems])
    rule.decisions()
    rule.leaks(near)
    rule.copies(near, {c.pair for c in contradictory})
    rule.contradictions(contradictory, labels)
    given = tuple(label if rule.stays(i) else None for i, label in enumerate(rule.labels))
    return Cleaned(tuple(why is None for why in rule.why), tuple(rule.why), given)


def leak(one: str | None, two: str | None) -> list[str] | None:
    """Two different splits, in the order train, val, test."""
    if one not in ORDER or two not in ORDER or one == two:
        return None
    return sorted((one, two), key=lambda split: ORDER[split])
