"""The page of an audit: its figures where they belong, and what the reviewer of pairs gets."""

from typing import Any

import pytest

from plexus.errors import RunError
from plexus.report import render
from tests.report.findings import hostile_audit, make_audit, make_pictures, with_suspects
from tests.report.pages import chart, embedded, marks, said


@pytest.fixture(scope="module")
def made() -> str:
    findings = make_audit()
    return render(findings, pictures=make_pictures(findings))


def test_the_counts_are_told(made: str) -> None:
    text = said(made)
    # kinds come in fives: of 12 pairs 3 differ by class, 3 by presence, 2 by overlap; the 5th and the 10th leak
    assert "12 near-duplicate pairs among 32 images: 8 with contradictory labels, 2 across splits, 3 exact." in text
    assert "3 of class, 3 of presence, 2 of overlap" in text
    assert (
        "Searched across all images with the fingerprint thumbnail. A pair counts as near up to a distance of" in text
    )
    assert "0.1234, chosen from the data." in text
    assert "would keep 23 images and drop 9; nothing was deleted" in text
    for word in ("plexus audit scans", "14 March 2026", "seed 3", "broken-7.png", "every pixel is 0", "12 s"):
        assert word in text
    assert "3 masks of 0 and 1 were scaled" in text


def test_groups_that_given_splits_tear_are_told() -> None:
    findings = make_audit(calibration=None)
    assert "in several" not in said(render(findings))
    findings["summary"] |= {"torn_groups": 6}
    assert "leaks between splits 2 and 6 groups in several" in said(render(findings))


def test_ties_that_only_names_decided_are_told() -> None:
    findings = make_audit(calibration=None)
    assert "contradict a near-duplicate" not in said(render(findings))  # of an earlier version, which did not count
    findings["summary"] |= {"contradicting": 5, "ties": 0}
    assert "Of those 5 contradict a near-duplicate, or are copies of one that does." in said(render(findings))
    findings["summary"] |= {"ties": 3}
    assert "copies of one that does; 3 of them were ties that only the names decided." in said(render(findings))


def test_a_set_without_near_duplicates_says_so() -> None:
    page = render(make_audit(0, problems=[], calibration=None))
    text = said(page)
    assert "No near-duplicates among 8 images." in text
    assert "There are none to look at." in text
    assert "No two images hang together." in text
    assert "every image could be read" in text
    assert embedded(page)["pairs"] == []


def test_a_threshold_that_was_given_is_told_as_such() -> None:
    findings = make_audit(calibration=None)
    findings["settings"] |= {"threshold_from": "given", "scope": "group"}
    text = said(render(findings))
    assert "Searched within each group" in text
    assert "a threshold that was given" in text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "chosen from the data, from how near mirror images of other images come. Of the sure pairs, 1.0 at most"),
        (
            {"threshold_from": "default"},
            "too few pairs of images to learn one from. Of the sure pairs, 1.0 at most would",
        ),
        (
            {"threshold_from": "default", "doubt": "unknown"},
            "is not known: only exact copies are sure. The cleaning rule",
        ),
        (
            {"doubt": "drawings"},
            "law of chance does not fit them, and of their pairs only exact copies are sure. Look at",
        ),
        (
            {"doubt": "ground"},
            "Pairs that share their ground alone, as images of a fixed camera do, are listed and not",
        ),
        ({"doubt": "likeness"}, "Most pairs that are listed and not sure come no nearer than mirror images do, by"),
        (
            {"threshold_from": "given", "doubt": "drawings"},
            "a threshold that was given. Many images that come near show",
        ),
        ({"fingerprint": "blockhist"}, "from how near images come at random: 1.0 unrelated pairs would be as near."),
        ({"fingerprint": "blockhist", "threshold_from": "default"}, "to learn one from. The cleaning rule"),
    ],
)
def test_the_page_says_which_threshold_was_used_and_what_is_sure(settings: dict[str, str], told: str) -> None:
    findings = make_audit()
    findings["settings"] |= {"false_pairs": 1.0} | settings
    text = said(render(findings))
    assert told in text
    assert ("may be 2 % false" in text) is (settings == {})
    assert ("mirror images of other images come" in text) is (
        settings in ({}, {"doubt": "drawings"}, {"doubt": "ground"}, {"doubt": "likeness"})
    )


@pytest.mark.parametrize(("sure", "told"), [(0, ", none of them sure,"), (5, ", 5 of them sure,"), (6, ""), (None, "")])
def test_the_headline_says_where_few_pairs_are_sure(sure: int | None, told: str) -> None:
    findings = make_audit()
    findings["summary"]["sure"] = sure
    assert f"12 near-duplicate pairs{told} among 32 images: 8 with" in said(render(findings))


@pytest.mark.parametrize(
    ("strong", "told"), [(0, ", none of them on strong evidence"), (1, ", 1 of them on strong evidence"), (2, "")]
)
def test_the_headline_says_where_few_doubtful_labels_are_on_strong_evidence(strong: int, told: str) -> None:
    findings = with_suspects(make_audit())
    for k, suspect in enumerate(findings["suspects"]):
        suspect["evidence"] = "strong" if k < strong else "weak"
    assert f"; 3 doubtful labels{told}." in said(render(findings))


def test_likeness_is_told_as_likeness() -> None:
    findings = make_audit()
    findings["settings"] |= {"fingerprint": "embedding net-1", "false_pairs": 1.0}
    text = said(render(findings))
    assert "12 pairs of like images among" in text
    assert "Likeness is not a copy: look at the pairs. Only exact copies are called contradictory" in text
    assert "near-duplicate pair" not in text
    assert "mirror images of other images come" not in text


def test_every_bin_is_a_bar_and_the_threshold_a_line(made: str) -> None:
    labels, raw = marks(chart(made, "Distances of candidate pairs")), make_audit()["calibration"]
    for kind, name in (("unrelated", "unrelated"), ("candidates", "candidate")):
        assert len([label for label in labels if label.endswith(f" {name} pairs")]) == sum(n > 0 for n in raw[kind])
    assert "0.45 to 0.5: 15,000 unrelated pairs" in labels
    assert "0.05 to 0.1: 6 candidate pairs" in labels
    assert "threshold 0.1234" in labels


@pytest.mark.parametrize("raw", [None, {}, {"edges": [0, 1], "unrelated": [1, 2], "candidates": []}])
def test_distances_that_were_not_measured_make_no_chart(raw: Any) -> None:
    page = render(make_audit(calibration=raw))
    assert not chart(page, "Distances")
    assert "No distances were recorded: the threshold was given." in said(page)


def test_the_reviewer_gets_pairs_and_only_images_in_pairs(made: str) -> None:
    findings, data = make_audit(), embedded(made)
    assert len(data["pairs"]) == 12
    assert len(data["images"]) == 24
    for pair, raw in zip(data["pairs"], findings["pairs"], strict=True):
        for end in "ab":
            assert data["images"][pair[end]]["name"] == findings["images"][raw[end]]["name"]
        for key in ("distance", "dice", "exact", "shift", "contradiction", "leak"):
            assert pair[key] == raw[key]


def test_images_shared_by_pairs_are_embedded_once() -> None:
    findings = make_audit(calibration=None)
    findings["pairs"] = [{**findings["pairs"][0], "a": a, "b": b} for a, b in ((5, 9), (5, 7), (7, 9))]
    page = render(findings, pictures=make_pictures(findings))
    assert [image["name"] for image in embedded(page)["images"]] == [findings["images"][i]["name"] for i in (5, 9, 7)]
    assert len(embedded(page, "pictures")) == 3
    assert [(p["a"], p["b"]) for p in embedded(page)["pairs"]] == [(0, 1), (0, 2), (2, 1)]


def test_pictures_stand_beside_their_images(made: str) -> None:
    findings = make_audit()
    given = make_pictures(findings)
    order = [i for pair in findings["pairs"] for i in (pair["a"], pair["b"])]
    assert embedded(made, "pictures") == [[given[i]["image"], given[i]["mask"]] for i in order]


def test_what_is_no_embedded_bitmap_is_left_out() -> None:
    findings = make_audit(calibration=None)
    bad = {"image": "https://example.org/a.png", "mask": "data:image/svg+xml;base64,PHN2Zz4="}
    page = render(findings, pictures={findings["pairs"][0]["a"]: bad})
    assert set(map(tuple, embedded(page, "pictures"))) == {(None, None)}
    assert "example.org" not in page


def test_flagged_clusters_come_first(made: str) -> None:
    assert "who 77 flagged 24 0.875 train/1_0.png and 23 more" in said(made)


def test_long_lists_are_cut_and_counted() -> None:
    findings = make_audit(calibration=None)
    findings["problems"] = [{"name": f"p{i}", "kind": "zero", "text": ""} for i in range(203)]
    findings["clusters"] = [{"id": i, "images": [0, 1], "diameter": 0.1, "flagged": False} for i in range(201)]
    text = said(render(findings))
    assert "3 problems more in findings.json." in text
    assert "1 smaller cluster more in findings.json." in text
    assert "p199" in text
    assert "p200" not in text


def test_decisions_are_remembered_by_the_names_of_the_set() -> None:
    def key(findings: dict[str, Any]) -> str:
        return str(embedded(render(findings | {"calibration": None}))["key"])

    keys = {key(findings) for findings in (make_audit(), make_audit(seed=9), make_audit(created=""))}
    assert len(keys) == 1
    other = make_audit()
    other["images"][3]["name"] = "another.png"
    assert key(other) not in keys
    (old,) = keys
    for fingerprint in ("sha256:0", "sha256:1"):  # that of the files, where it is known
        other["data"]["fingerprint"] = fingerprint
        assert key(other) == fingerprint != old
    assert embedded(render(hostile_audit()))["file"] == "img-src-x-onerror--window-pwned-1-decisions.json"


def test_numbers_that_are_none_are_left_out() -> None:
    findings = make_audit(calibration=None)
    findings["pairs"][0] |= {"distance": float("nan"), "dice": float("inf"), "shift": None, "contradiction": None}
    pair = embedded(render(findings))["pairs"][0]
    assert (pair["distance"], pair["dice"], pair["shift"], pair["contradiction"]) == (None, None, None, None)


@pytest.mark.parametrize("end", [24, -1, "1", None, True])
def test_a_pair_of_images_that_are_not_there_is_refused(end: Any) -> None:
    findings = make_audit()
    findings["pairs"][1]["b"] = end
    with pytest.raises(RunError, match=r"^broken: .*pair.*1.*; audit again$"):
        render(findings)
