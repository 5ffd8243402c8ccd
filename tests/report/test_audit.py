"""The page of an audit as text: self-contained, escaped, and its figures where they belong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from plexus.errors import RunError
from plexus.report import _audit_view as view
from plexus.report import render_audit, write_audit
from plexus.report._audit_charts import distances
from plexus.report._words import THIN
from tests.report.audits import hostile_audit, make_audit, make_pictures
from tests.report.records import HOSTILE
from tests.report.test_charts import marks, wide
from tests.report.test_page import Elements


@pytest.fixture(scope="module")
def made() -> str:
    findings = make_audit()
    return render_audit(findings, make_pictures(findings))


def embedded(page: str, name: str) -> Any:
    """What the page's script reads."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_nothing_is_loaded_from_elsewhere(made: str) -> None:
    elements = Elements(made)
    assert set(re.findall(r"https?://[^\s\"'<)]*", made)) == {"http://www.w3.org/2000/svg"}
    (policy,) = (m["content"] for m in elements.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [a for _, a in elements.found if "style" in a or any(name.startswith("on") for name in a)]


def test_the_counts_are_told(made: str) -> None:
    text = Elements(made).text.replace(THIN, " ")
    # kinds come in fives: of 12 pairs 3 differ by class, 3 by presence, 2 by overlap; the 5th and the 10th leak
    assert "12 near-duplicate pairs among 32 images: 8 with contradictory labels, 2 across splits, 3 exact." in text
    assert "3 of class, 3 of presence, 2 of overlap" in text
    assert (
        "Searched across all images with the fingerprint thumbnail. A pair counts as near up to a distance of" in text
    )
    assert "0.1234, chosen from the data: about one unrelated pair in 100,000 comes as near." in text
    assert "would keep 23 images and drop 9; nothing was deleted" in text
    for said in ("plexus audit scans", "14 March 2026", "seed 3", "broken-7.png", "every pixel is 0", "12 s"):
        assert said in text
    assert "3 masks of 0 and 1 were scaled" in text


def test_a_set_without_near_duplicates_says_so() -> None:
    page = render_audit(make_audit(0, problems=[], calibration=None))
    text = Elements(page).text
    assert "No near-duplicates among 8 images." in text
    assert "There are none to look at." in text
    assert "No two images hang together." in text
    assert "every image could be read" in text
    assert embedded(page, "data")["pairs"] == []


def test_a_threshold_that_was_given_is_told_as_such() -> None:
    findings = make_audit()
    findings["settings"] |= {"threshold_from": "given", "false_positive_rate": None, "scope": "group"}
    assert "Searched within each group" in view.lede(findings)
    assert "a threshold that was given" in view.lede(findings)


def test_every_bin_is_a_bar_and_the_threshold_a_line() -> None:
    findings = make_audit()
    labels = marks(wide(distances(findings)))
    raw = findings["calibration"]
    unrelated = [label for label in labels if label.endswith(" unrelated pairs")]
    assert len(unrelated) == sum(n > 0 for n in raw["unrelated"])
    assert "0.45 to 0.5: 15,000 unrelated pairs" in labels
    assert len([label for label in labels if label.endswith(" candidate pairs")]) == sum(
        n > 0 for n in raw["candidates"]
    )
    assert "0.05 to 0.1: 6 candidate pairs" in labels
    assert "threshold 0.1234" in labels


@pytest.mark.parametrize("raw", [None, {}, {"edges": [0, 1], "unrelated": [1, 2], "candidates": []}])
def test_distances_that_were_not_measured_make_no_chart(raw: Any) -> None:
    assert distances(make_audit(calibration=raw)) == ""


def test_the_reviewer_gets_pairs_and_only_images_in_pairs(made: str) -> None:
    findings = make_audit()
    data = embedded(made, "data")
    assert len(data["pairs"]) == 12
    assert len(data["images"]) == 24
    for pair, raw in zip(data["pairs"], findings["pairs"], strict=True):
        for end in "ab":
            assert data["images"][pair[end]]["name"] == findings["images"][raw[end]]["name"]
        for key in ("distance", "dice", "exact", "shift", "contradiction", "leak"):
            assert pair[key] == raw[key]


def test_images_shared_by_pairs_are_embedded_once() -> None:
    findings = make_audit()
    findings["pairs"] = [{**findings["pairs"][0], "a": a, "b": b} for a, b in ((5, 9), (5, 7), (7, 9))]
    page = render_audit(findings, make_pictures(findings))
    assert [image["name"] for image in embedded(page, "data")["images"]] == [
        findings["images"][i]["name"] for i in (5, 9, 7)
    ]
    assert len(embedded(page, "pictures")) == 3
    assert [(p["a"], p["b"]) for p in embedded(page, "data")["pairs"]] == [(0, 1), (0, 2), (2, 1)]


def test_pictures_stand_beside_their_images(made: str) -> None:
    findings = make_audit()
    given = make_pictures(findings)
    order = [i for pair in findings["pairs"] for i in (pair["a"], pair["b"])]
    assert embedded(made, "pictures") == [[given[i]["image"], given[i]["mask"]] for i in order]


def test_what_is_no_embedded_bitmap_is_left_out() -> None:
    findings = make_audit()
    bad = {"image": "https://example.org/a.png", "mask": "data:image/svg+xml;base64,PHN2Zz4="}
    page = render_audit(findings, {findings["pairs"][0]["a"]: bad})
    assert set(map(tuple, embedded(page, "pictures"))) == {(None, None)}
    assert "example.org" not in page


def test_flagged_clusters_come_first() -> None:
    rows = view.clusters(make_audit())
    assert [row["flagged"] for row in rows] == [True] + [False] * 6
    assert (rows[0]["size"], rows[0]["diameter"], rows[1]["diameter"]) == (24, "0.875", "0.052")
    text = Elements(render_audit(make_audit())).text
    assert "77 flagged 24 0.875 train/1_0.png and 23 more" in text


def test_long_lists_are_cut_and_counted() -> None:
    findings = make_audit()
    findings["problems"] = [{"name": f"p{i}", "kind": "zero", "text": ""} for i in range(view.SHOWN + 3)]
    findings["clusters"] = [
        {"id": i, "images": [0, 1], "diameter": 0.1, "flagged": False} for i in range(view.SHOWN + 1)
    ]
    text = Elements(render_audit(findings)).text
    assert "3 problems more in findings.json." in text
    assert "1 smaller cluster more in findings.json." in text
    assert f"p{view.SHOWN - 1}" in text
    assert f"p{view.SHOWN}" not in text


def test_text_of_the_findings_makes_no_element() -> None:
    findings = hostile_audit()
    page = render_audit(findings, make_pictures(findings))
    found = Elements(page)
    assert found.named("img") == []
    assert len(found.named("script")) == 3
    assert not [a for _, a in found.found if any(name.startswith("on") for name in a)]
    assert found.text.count(HOSTILE) >= 10
    assert embedded(page, "data")["file"] == "img-src-x-onerror--window-pwned-1-decisions.json"


def test_decisions_are_remembered_by_the_names_of_the_set() -> None:
    keys = {view.payload(findings)["key"] for findings in (make_audit(), make_audit(seed=9), make_audit(created=""))}
    assert len(keys) == 1
    other = make_audit()
    other["images"][3]["name"] = "another.png"
    assert view.payload(other)["key"] not in keys


def test_numbers_that_are_none_are_left_out() -> None:
    findings = make_audit()
    findings["pairs"][0] |= {"distance": float("nan"), "dice": float("inf"), "shift": [1, None], "contradiction": "odd"}
    pair = embedded(render_audit(findings), "data")["pairs"][0]
    assert (pair["distance"], pair["dice"], pair["shift"], pair["contradiction"]) == (None, None, None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {}, [], None, {"format": 1, "kind": "fit"}, {"format": 1, "kind": "audit"}, make_audit(format=2),
        make_audit() | {"pairs": None}, make_audit() | {"summary": []},
    ],
)  # fmt: skip
def test_what_is_no_audit_is_refused(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not the findings of an audit"):
        write_audit(wrong, {}, tmp_path / "audit.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [24, -1, "1", None, True])
def test_a_pair_of_images_that_are_not_there_is_refused(end: Any) -> None:
    findings = make_audit()
    findings["pairs"][1]["b"] = end
    with pytest.raises(RunError, match="broken findings: pair 1 does not name two of the 24 images"):
        render_audit(findings)


def test_the_page_is_written_as_rendered_and_the_same_from_json(made: str, tmp_path: Path) -> None:
    findings = make_audit()
    path = write_audit(json.loads(json.dumps(findings)), make_pictures(findings), tmp_path / "audit.html")
    assert path.read_text(encoding="utf-8") == made
