"""Cleaning: a stated rule says which images stay, and decisions of a person override it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plexus.audit._clusters import components, members
from plexus.audit._contradictions import Contradiction, Labels
from plexus.audit._equal import ORDER
from plexus.audit._fingerprint import Fingerprints, Problem
from plexus.audit._near import NearDuplicates
from plexus.audit._suspects import new_label, spread

Said = tuple[str | None, bool | None]
"""The class of an image, and whether its target is there."""


@dataclass(frozen=True)
class Cleaned:
    """Images that stay, and why the others go.

    Args:
        keep: of every image.
        why: a few words for those that go, else None.
        labels: the new class of those that stay and were given one by a decision, else None; empty for none.
        contradicting: indices of those that go because they contradict a near-duplicate, and of their exact copies.
        ties: of these the ones that only their names decided on.

    Example:
        >>> cleaned = Cleaned((True, False), (None, "copy of a.png"))
        >>> [why for keep, why in zip(cleaned.keep, cleaned.why) if not keep]
        ['copy of a.png']
    """

    keep: tuple[bool, ...]
    why: tuple[str | None, ...]
    labels: tuple[str | None, ...] = ()
    contradicting: tuple[int, ...] = ()
    ties: tuple[int, ...] = ()


class Rule:
    """The state of cleaning: what has gone so far.

    Args:
        fingerprints: of all images.
        decisions: keep, drop, unsure or relabel:CLASS by name.
        near: pairs of the images.
        present: of the labels, True where a target is there.
    """

    def __init__(
        self,
        fingerprints: Fingerprints,
        decisions: Mapping[str, str],
        near: NearDuplicates,
        present: Sequence[bool | None],
    ) -> None:
        self.names, self.splits = fingerprints.names, fingerprints.splits
        self.why: list[str | None] = [None] * len(self.names)
        self.decided = [decisions.get(name) for name in self.names]
        # whoever gives an image its right class wants it kept; its copies, which get the class too, may go
        self.decided = ["keep" if new_label(word) else word for word in self.decided]
        given = {**decisions} | spread(decisions, fingerprints, near.copies)
        self.labels = [new_label(given.get(name)) for name in self.names]
        known = fingerprints.labels or (None,) * len(self.names)
        self.said: list[Said] = [
            (new or old, there) for new, old, there in zip(self.labels, known, present, strict=True)
        ]
        self.copies: list[list[int]] = [rows.tolist() for rows in near.copies]
        self.group = {i: rows for rows in self.copies for i in rows}
        # nearly equal images are near-duplicates of each other, whether the pair is listed or not, and so are copies
        self.scenes = [[j for i in rows.tolist() for j in self.group.get(i, [i])] for rows in near.scenes]
        self.near = near
        self.apart: set[int] = set()
        self.wrong: set[tuple[int, int]] = set()
        self.weight = [1] * len(self.names)  # how many exact copies say what an image says
        self.stands: dict[int, list[int]] = {}  # image -> its copies that went for it
        self.against: dict[int, Sequence[int]] = {}  # image that goes for a contradiction -> what it contradicts
        self.ties: set[int] = set()

    def stays(self, i: int) -> bool:
        return self.why[i] is None

    def may_go(self, i: int) -> bool:
        """Tell whether an image may go: a decision to keep it protects it, and so does being a test image."""
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
        for rows in self.copies:
            if not any(self.differ(rows[0], i) for i in rows):
                continue
            # they look the same and are said to differ: who drops one judges the label of all that say the same
            dropped = {self.said[i]: i for i in rows if self.decided[i] == "drop"}
            for i in rows:
                one = dropped.get(self.said[i])
                if one is None or self.decided[i] is not None or not self.stays(i):
                    continue
                if self.may_go(i) or self.splits[i] == self.splits[one]:
                    self.why[i] = f"decided for its copy {self.names[one]}"

    def differ(self, i: int, j: int) -> bool:
        """True where the classes of two images, or the presence of their targets, contradict each other."""
        return self._against(self.said[i], self.said[j])

    @staticmethod
    def _against(first: Said, second: Said) -> bool:
        (one, here), (two, there) = first, second
        return (None not in (one, two) and one != two) or {here, there} == {True, False}

    def leaks(self) -> None:
        """Drop, of two near-duplicates in different splits, the one in the earlier split.

        First all that is near a test image, so that nothing goes for the sake of a validation image that goes itself;
        of each split sure pairs, nearest first, and then those that are so close to being sure that they may be in the
        set that is left.
        """
        near = self.near
        sides = [(rows, rows) for rows in [*self.copies, *self.scenes]]
        sure = zip(near.a[near.sure].tolist(), near.b[near.sure].tolist(), strict=True)
        for a, b in [*sure, *map(tuple, near.margin.tolist())]:
            one, two = self.group.get(a), self.group.get(b)
            if one is None or one is not two:
                sides.append((one or [a], two or [b]))
        for split in sorted(ORDER, key=lambda split: -ORDER[split]):
            for one, two in sides:
                self._leak(one, two, split)
                self._leak(two, one, split)

    def _leak(self, here: list[int], there: list[int], split: str) -> None:
        """All of an earlier split on this side goes where the other side has its like in the split."""
        like = next((j for j in there if self.splits[j] == split and self.stays(j)), None)
        if like is None:
            return
        for i in here:
            pair = leak(self.splits[i], split)
            if pair and pair[1] == split and self.stays(i) and self.may_go(i):
                self.why[i] = f"leak: near-duplicate of {self.names[like]} in {split}"

    def exact(self, contradictory: Sequence[Contradiction]) -> None:
        """Keep one of each group of exact copies that do not contradict each other; it stands for the others.

        That is one that must not go, one with a label before one without, the first by name.
        """
        near = self.near
        self.wrong = {(min(c.a, c.b), max(c.a, c.b)) for c in contradictory}
        both = {i for c in contradictory if c.kind == "overlap" and self._one_group(c.a, c.b) for i in (c.a, c.b)}
        self.apart = both - {rows[0] for rows in self.copies}  # their masks lie elsewhere than that of the first
        pairs = [p for p in np.flatnonzero(near.exact).tolist() if int(near.a[p]) not in self.group]
        few = [rows.tolist() for rows in members(components(len(self.names), near.a[pairs], near.b[pairs]))]
        for group in [*self.copies, *few]:
            stay: list[int] = []
            alive = [i for i in group if self.stays(i)]
            for i in sorted(alive, key=lambda i: (self.may_go(i), self.said[i].count(None), self.names[i])):
                first = next((j for j in stay if not self._apart(i, j)), i)
                if first == i:
                    stay.append(i)
                elif self.may_go(i):
                    self.why[i] = f"copy of {self.names[first]}"
                    self.stands.setdefault(first, []).append(i)
                    self.weight[first] += self.said[i] == self.said[first]

    def _one_group(self, i: int, j: int) -> bool:
        """True for two images of one large group of copies."""
        return i in self.group and self.group[i] is self.group.get(j)

    def _apart(self, i: int, j: int) -> bool:
        """True where two exact copies contradict each other."""
        listed = (min(i, j), max(i, j)) in self.wrong
        return listed or self.differ(i, j) or (i in self.apart) != (j in self.apart)

    def _among_copies(self) -> Iterator[tuple[int, int]]:
        """Contradictions that are not listed: among large groups of copies, and of these with others."""
        alive = {rows[0]: [i for i in rows if self.stays(i)] for rows in self.copies}
        for rows in alive.values():
            free = [i for i in rows if self.may_go(i)]
            yield from ((i, j) for i in free for j in rows if self._apart(i, j))
        near = self.near
        for a, b in zip(near.a[near.sure].tolist(), near.b[near.sure].tolist(), strict=True):
            one, two = self.group.get(a), self.group.get(b)
            if one is two:  # no copies, or those of one group
                continue
            here, there = (alive[g[0]] if g else [i] if self.stays(i) else [] for g, i in ((one, a), (two, b)))
            yield from ((i, j) for i in here if self.may_go(i) for j in there if self.differ(i, j))
            yield from ((i, j) for j in there if self.may_go(j) for i in here if self.differ(i, j))

    def within_scenes(self, suspected: Collection[int]) -> None:
        """Among nearly equal images, too, the one with most contradictions goes, again and again.

        All with one label contradict as many others, so that they go one after the other.
        """
        for rows in self.scenes:
            while True:
                alive = [i for i in rows if self.stays(i)]
                often, doubted, last = Counter[Said](), Counter[Said](), dict[Said, str]()
                for i in alive:
                    often[self.said[i]] += self.weight[i]
                    doubted[self.said[i]] += self._doubted(i, suspected)
                    if self.may_go(i):
                        last[self.said[i]] = max(self.names[i], last.get(self.said[i], ""))
                faults = {
                    one: (sum(n for two, n in often.items() if self._against(one, two)), doubted[one], one[1] is False)
                    for one in last
                }
                worst = max(last, key=lambda one: (*faults[one], last[one]), default=None)
                if worst is None or not faults[worst][0]:
                    break
                tie = any(faults[one] == faults[worst] for one in last if self._against(worst, one))
                others = [i for i in alive if self._against(worst, self.said[i])]
                for i in alive:
                    if self.said[i] == worst and self.may_go(i):
                        self._contradicts(i, others, tie)

    def contradictions(
        self, contradictory: Sequence[Contradiction], labels: Labels, suspected: Collection[int]
    ) -> None:
        """Drop the image with most contradictions, again and again, until none is left that may go."""
        open_pairs = {(c.a, c.b) for c in contradictory if self.stays(c.a) and self.stays(c.b)}
        open_pairs |= {(min(i, j), max(i, j)) for i, j in self._among_copies()}
        partners: dict[int, set[int]] = {}
        for a, b in open_pairs:
            partners.setdefault(a, set()).add(b)
            partners.setdefault(b, set()).add(a)
        count = Counter({i: sum(self.weight[j] for j in others) for i, others in partners.items()})
        rank = {i: k for k, i in enumerate(sorted(count, key=lambda i: self.names[i]))}

        def faults(i: int) -> tuple[int, bool, bool]:
            return count[i], self._doubted(i, suspected) > 0, labels.present[i] is False

        while candidates := [i for i, n in count.items() if n and self.may_go(i)]:
            worst = max(candidates, key=lambda i: (*faults(i), rank[i]))
            others = sorted(partners.pop(worst), key=lambda i: rank[i])
            self._contradicts(worst, others, any(self.may_go(j) and faults(j) == faults(worst) for j in others))
            del count[worst]
            for other in others:
                partners[other].discard(worst)
                count[other] -= self.weight[worst]

    def _doubted(self, i: int, suspected: Collection[int]) -> int:
        """Count likely wrong labels among an image and the copies that it stands for."""
        return sum(j in suspected for j in (i, *self.stands.get(i, ())))

    def _contradicts(self, i: int, others: Sequence[int], tie: bool) -> None:
        """An image goes, and so have the copies that it stands for; why is said once it is known which others stay."""
        self.why[i] = "contradicts"
        self.against[i] = others
        if tie:
            self.ties |= {i, *self.stands.get(i, ())}

    def reasons(self) -> list[int]:
        """Say of images that go for a contradiction, and of their copies, which others say so; return them all."""
        for i, others in self.against.items():
            other = self.names[next((j for j in others if self.stays(j)), others[0])]
            self.why[i] = f"contradicts {other}"
            for j in self.stands.get(i, ()):
                self.why[j] = f"copy of {self.names[i]}, which contradicts {other}"
        return sorted({j for i in self.against for j in (i, *self.stands.get(i, ()))})


def clean(
    fingerprints: Fingerprints,
    near: NearDuplicates,
    contradictory: Sequence[Contradiction],
    labels: Labels,
    decisions: Mapping[str, str] | None = None,
    suspected: Collection[int] = (),
) -> Cleaned:
    """Decide for every image whether it stays; nothing is deleted.

    1. Images that cannot be read, or are constant, and those whose mask cannot be read, go, test images among them.
    2. Of sure near-duplicates in different splits the one in the earlier split goes: first what is near a test image,
       then what in train is near a val image that is left. Pairs that come to four times the false pairs allowed count
       here: a second audit finds no leak.
    3. Of exact copies that do not contradict each other one stays: the first by name, with a label before without.
    4. The image with most contradictions goes, and so on until no contradictory pair is left, or only pairs of test
       images. An image counts as often as it has exact copies with its label, those of 3 included, so that of copies
       with different labels the label of most stays. Of several images: one whose label is likely wrong, one with an
       empty mask, then the later name. A whole cluster never goes.

    Of test images only 1 and decisions take any. Decisions of a person come before 2 to 4, and keep a constant image;
    none keeps what cannot be read. Of more than 8 exact copies all that the rule says holds for each, whether
    a pair of them is listed or not; a new class counts for those that had the same, and where classes contradict each
    other, dropping one drops those of its class. Of more than 32 nearly equal images 2 and 4 hold for each, too.

    Args:
        fingerprints: of the images.
        near: their near-duplicates.
        contradictory: of `contradictions`.
        labels: of `read_labels`.
        decisions: ``keep``, ``drop``, ``unsure`` or ``relabel:CLASS`` by name; unsure changes nothing, and an image
            with a new class is kept.
        suspected: images whose label is likely wrong, see `suspects`.

    Returns:
        The images that stay, their new classes, why the others go, and which only the names decided on.

    Example:
        >>> from plexus.audit import fingerprint, near_duplicates
        >>> image = np.random.default_rng(0).integers(0, 256, (2, 72, 96), dtype=np.uint8)
        >>> prints = fingerprint([*image, image[0]])
        >>> clean(prints, near_duplicates(prints), (), Labels((None,) * 3, (None,) * 3, ())).why
        (None, None, 'copy of image 0')
    """
    rule = Rule(fingerprints, decisions or {}, near, labels.present)
    rule.problems([*fingerprints.problems, *labels.problems])
    rule.decisions()
    rule.leaks()
    rule.exact(contradictory)
    rule.within_scenes(suspected)
    rule.contradictions(contradictory, labels, suspected)
    contradicting = rule.reasons()
    given = tuple(label if rule.stays(i) else None for i, label in enumerate(rule.labels))
    keep = tuple(why is None for why in rule.why)
    return Cleaned(keep, tuple(rule.why), given, tuple(contradicting), tuple(sorted(rule.ties)))


def leak(one: str | None, two: str | None) -> list[str] | None:
    """Two different splits, in the order train, val, test."""
    if one not in ORDER or two not in ORDER or one == two:
        return None
    return sorted((one, two), key=lambda split: ORDER[split])
