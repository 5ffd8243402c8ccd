"""The cleaning rule on pairs that are given: which image stays, why another goes, and what only names decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from plexus.audit import Cleaned, Contradiction, Labels, clean, fingerprint, near_duplicates

ORDER = ("train", "val", "test")


def cleaned(
    names: str | list[str],
    pairs: list[tuple[int, int]],
    *,
    labels: Sequence[str | None] | None = None,
    splits: list[str] | None = None,
    exact: bool = True,
    scene: list[int] | None = None,
    suspected: tuple[int, ...] = (),
) -> Cleaned:
    """What the rule says of sure pairs, the nearest first."""
    n, known = len(names), labels or [None] * len(names)
    blank = np.random.default_rng(0).integers(0, 256, (n, 9, 12), dtype=np.uint8)
    prints = replace(
        fingerprint(list(blank)), names=tuple(names), labels=tuple(known), splits=tuple(splits or [None] * n)
    )
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    near = replace(
        near_duplicates(prints), a=a, b=b, distance=np.linspace(0, 0.1, len(a), dtype=np.float32), shift=None,
        exact=np.full(len(a), exact), sure=np.ones(len(a), bool), kinds=("same",) * len(a), maps=None,
        expected=np.zeros(len(a)), scenes=() if scene is None else (np.array(scene),),
    )  # fmt: skip
    wrong = [
        Contradiction(i, j, p, "class") for p, (i, j) in enumerate(pairs) if None not in (known[i], known[j])
        and known[i] != known[j]
    ]  # fmt: skip
    return clean(prints, near, wrong, Labels((None,) * n, (None,) * n, ()), suspected=suspected)


def copies(names: list[str], labels: Sequence[str | None], suspected: tuple[int, ...] = ()) -> Cleaned:
    """Exact copies of one image, each a pair with each."""
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    return cleaned(names, pairs, labels=labels, suspected=suspected)


def test_of_exact_copies_the_label_of_most_stays_and_what_goes_says_so() -> None:
    names = ["ant/a", "cat/b", "cat/c", "cat/e"]
    found = copies(names, ["ant", "cat", "cat", "cat"])
    assert found.why == ("contradicts cat/b", None, "copy of cat/b", "copy of cat/b")
    assert (found.contradicting, found.ties) == ((0,), ())
    found = copies(["ant/a", "ant/b", "ant/c", "cat/d", "cat/e"], ["ant"] * 3 + ["cat"] * 2)
    assert found.why[3:] == ("contradicts ant/a", "copy of cat/d, which contradicts ant/a")
    assert (found.contradicting, found.ties) == ((3, 4), ())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_names_the_majority_wins(seed: int) -> None:
    random = np.random.default_rng(seed)
    votes = {"ant": 1, "bee": 3, "cat": 2}
    labels = random.permutation([label for label, n in votes.items() for _ in range(n)]).tolist()
    found = copies(random.permutation([f"{i}.png" for i in range(6)]).tolist(), labels)
    assert [labels[i] for i, keep in enumerate(found.keep) if keep] == ["bee"]
    assert {*found.contradicting} == {i for i, label in enumerate(labels) if label != "bee"}


def test_a_copy_that_says_nothing_has_no_vote_and_does_not_stay_for_one_that_does() -> None:
    found = copies(["a", "b", "c", "d"], [None, "cat", "ant", "cat"])
    assert found.keep == (False, True, False, False)
    found = copies(["a", "b", "c", "d", "e"], [None, None, "ant", "cat", None])
    assert found.keep == (False, False, True, False, False)
    assert found.ties == (3,)


def test_copies_vote_against_what_is_only_like_them() -> None:
    """Image 0 is no copy; 1 and 2 are, and are as like it."""
    near = cleaned(["z", "b", "c"], [(0, 1), (0, 2)], labels=["ant", "cat", "cat"], exact=False)
    assert near.keep == (False, True, True)
    names, labels = ["a", "x", "y", "z"], ["ant", "cat", "cat", "cat"]
    assert cleaned(names, [(1, 2), (1, 3), (2, 3)], labels=labels).keep == (True, True, False, False)
    assert cleaned(names, [(1, 2), (1, 3), (2, 3), (0, 1)], labels=labels).keep == (False, True, False, False)


def test_only_where_nothing_else_speaks_do_names_decide_and_are_counted() -> None:
    for n in (1, 2, 3):
        names, labels = [f"{i}" for i in range(2 * n)], ["ant"] * n + ["cat"] * n
        found = copies(names, labels)
        assert [i for i, keep in enumerate(found.keep) if keep] == [0]
        assert found.ties == found.contradicting == tuple(range(n, 2 * n))
        doubted = copies(names, labels, suspected=(n - 1,))
        assert [i for i, keep in enumerate(doubted.keep) if keep] == [n]
        assert (doubted.contradicting, doubted.ties) == (tuple(range(n)), ())


def test_among_nearly_equal_images_copies_and_doubts_count_too() -> None:
    """Frames 0 and 1 say ant; 2, 3 and 4 are copies that say cat."""
    frames: list[str | None] = ["ant", "ant", "cat", "cat", "cat"]
    pairs = [(2, 3), (2, 4), (3, 4)]
    found = cleaned("abcde", pairs, labels=frames, scene=[0, 1, 2, 3, 4])
    assert found.keep == (False, False, True, False, False)
    assert found.why[:2] == ("contradicts c", "contradicts c")
    two = cleaned("abcd", [(2, 3)], labels=frames[:4], scene=[0, 1, 2, 3])
    assert (two.keep, two.ties) == ((True, True, False, False), (2, 3))
    assert two.why[2:] == ("contradicts a", "copy of c, which contradicts a")
    two = cleaned("abcd", [(2, 3)], labels=frames[:4], scene=[0, 1, 2, 3], suspected=(1,))
    assert (two.keep, two.ties) == ((False, False, True, False), ())


def test_nothing_goes_for_the_sake_of_what_goes_itself() -> None:
    found = cleaned("abc", [(0, 1), (1, 2)], splits=["train", "val", "test"], exact=False)
    assert found.why == (None, "leak: near-duplicate of c in test", None)


@pytest.mark.parametrize("seed", range(20))
def test_no_leak_is_left_and_what_goes_for_one_has_its_like_in_what_stays(seed: int) -> None:
    random, n = np.random.default_rng(seed), 14
    splits = random.choice(ORDER, n).tolist()
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if random.random() < 0.15]
    pairs = [pairs[p] for p in random.permutation(len(pairs))]
    found = cleaned([f"{i:02}" for i in range(n)], pairs, splits=splits, exact=False)
    assert all(found.keep[i] for i in range(n) if splits[i] == "test")
    for i, j in pairs:
        assert not (found.keep[i] and found.keep[j] and splits[i] != splits[j])
    for i, why in enumerate(found.why):
        later = [k for pair in pairs if i in pair for k in pair if ORDER.index(splits[k]) > ORDER.index(splits[i])]
        assert (why is not None) is any(found.keep[k] for k in later)
        if why is not None:
            assert int(why.removeprefix("leak: near-duplicate of ").split()[0]) in later
    assert Counter(map(bool, found.keep))[True] >= splits.count("test")
