"""What every page keeps, of whatever kind of record: one file, guarded, escaped, and whole whatever part is missing."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from plexus.errors import RunError
from plexus.experiments import summary
from plexus.record import KINDS, FitRecord, Record, TrialRecord
from plexus.report import render, write
from tests.report.findings import (
    hostile_audit,
    hostile_probe,
    hostile_study,
    make_audit,
    make_ledger,
    make_pictures,
    make_probe,
    make_records,
    make_study,
)
from tests.report.pages import Elements, charts, embedded
from tests.report.records import HOSTILE, hostile_record, make_record
from tests.report.tasks import hostile_represent, hostile_segment, make_represent, make_segment

STUDY = make_study(4)
RECORDS = make_records(STUDY, extras=True)
Made = Callable[[], Record | Mapping[str, Any]]
WHOLE: dict[str, Made] = {
    "fit": lambda: make_record(9),
    "segment": make_segment,
    "represent": make_represent,
    "audit": make_audit,
    "rotation": make_probe,
    "study": lambda: {**summary(STUDY, RECORDS), "records": [trial.to_dict() for trial in RECORDS]},
    "claims": make_ledger,
}
ATTACKS: dict[str, Made] = {
    "fit": hostile_record,
    "segment": hostile_segment,
    "represent": hostile_represent,
    "audit": hostile_audit,
    "rotation": hostile_probe,
    "study": lambda: hostile_study(summary(STUDY, RECORDS), RECORDS),
    "claims": lambda: make_ledger(HOSTILE),
}
PICTURES = make_pictures(make_audit())
NAMED = {"trial": {"study": "a", "variant": "b", "options": {}, "metrics": {}}}
"""What a record cannot be without."""


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The page of a whole record of every kind."""
    return {kind: render(made(), pictures=PICTURES) for kind, made in WHOLE.items()}


@pytest.mark.parametrize("kind", WHOLE)
def test_nothing_is_loaded_from_elsewhere(pages: dict[str, str], kind: str) -> None:
    page, elements = pages[kind], Elements(pages[kind])
    assert set(re.findall(r"https?://[^\s\"'<)]*", page)) <= {"http://www.w3.org/2000/svg"}
    for tag, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert {tag for tag, _ in elements.found}.isdisjoint({"iframe", "object", "embed", "form", "base"})
    assert not re.search(r"@import|url\(", page)
    assert all("alt" in image and image["src"].startswith("data:image/") for image in elements.named("img"))


@pytest.mark.parametrize("kind", WHOLE)
def test_style_and_script_are_admitted_by_hash_alone(pages: dict[str, str], kind: str) -> None:
    elements = Elements(pages[kind])
    (policy,) = (m["content"] for m in elements.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for directive, text in (("style-src", elements.raw["style"][0]), ("script-src", elements.raw["script"][-1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert not [a for _, a in elements.found if "style" in a or any(name.startswith("on") for name in a)]
    assert len(elements.named("style")) == len(elements.named("h1")) == len(elements.named("main")) == 1


@pytest.mark.parametrize("kind", WHOLE)
def test_charts_obey_the_page_and_are_drawn_once(pages: dict[str, str], kind: str) -> None:
    colors = "ink|soft|line|accent|paper|panel|ghost|chain|learn|final|supernet|reach-[1-6]"
    found = charts(pages[kind])
    assert found
    for svg in found.values():
        for color in re.findall(r'(?:fill|stroke)="([^"]*)"', svg):
            assert re.fullmatch(rf"none|transparent|var\(--({colors})\)", color)
        assert not re.search(r"font-family| id=|url\(| style=|<style|href", svg)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_page_is_a_function_of_its_record(pages: dict[str, str], kind: str, tmp_path: Path) -> None:
    made = WHOLE[kind]()
    raw = made.to_dict() if isinstance(made, Record) else json.loads(json.dumps(made))
    path = write(raw, tmp_path / "page.html", pictures=PICTURES)
    assert path == tmp_path / "page.html"
    assert path.read_text(encoding="utf-8") == pages[kind]
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert len(pages[kind]) < 700_000


@pytest.mark.parametrize("kind", ATTACKS)
def test_text_of_a_record_makes_no_element(kind: str) -> None:
    page = render(ATTACKS[kind](), pictures=PICTURES)
    elements = Elements(page)
    assert HOSTILE not in page
    assert not [a for _, a in elements.found if a.get("src") == "x" or any(name.startswith("on") for name in a)]
    assert all(image["src"].startswith("data:image/") for image in elements.named("img"))
    assert len(elements.named("script")) == (3 if kind == "audit" else 2)
    assert elements.text.count(HOSTILE) >= 7
    assert not re.search(r"example\.com|example\.org|javascript:alert|svg\+xml", page)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_record_of_which_every_part_is_missing_has_a_page(kind: str) -> None:
    if kind == "trial":
        with pytest.raises(RunError, match="no page of its own"):
            render(TrialRecord(**NAMED["trial"]))  # type: ignore[arg-type]
        return
    elements = Elements(render({"format": 1, "kind": kind}))
    assert len(elements.named("h1")) == 1
    assert "Made by plexus. This page is one file" in elements.text


def outcome(raw: Mapping[str, Any]) -> str:
    """The page of a record, or the one line that refuses it."""
    try:
        return render(raw)
    except RunError as error:
        return str(error)


@pytest.mark.parametrize("kind", WHOLE)
def test_any_part_can_stand_alone(kind: str) -> None:
    """Indices that lead into parts that are not there are refused, all else is shown."""
    made = WHOLE[kind]()
    raw = made.to_dict() if isinstance(made, Record) else dict(made)
    for part in (name for name in raw if name not in ("format", "kind")):
        found = outcome({"format": 1, "kind": kind, part: raw[part]})
        dangling = part in ("edges", "budgets", "chosen", "pairs", "clusters") and kind in ("fit", "audit")
        assert re.search(r"^broken: .*(anew|again)$", found) if dangling else "<h1>" in found, part


@pytest.mark.parametrize("odd", [[], {}, "text", 7, True, [None], {"x": None}, [{"picture": 3}]])
@pytest.mark.parametrize("kind", ["fit", "segment", "represent", "audit", "rotation", "claims"])
def test_odd_parts_are_shown_or_refused_in_one_line(kind: str, odd: Any) -> None:
    made = WHOLE[kind]()
    raw = made.to_dict() if isinstance(made, Record) else dict(made)
    for part in (name for name in raw if name not in ("format", "kind")):
        found = outcome({"format": 1, "kind": kind, part: odd})
        assert "<h1>" in found or re.fullmatch(r"broken: .*(again|anew)", found), part


@pytest.mark.parametrize("wrong", [{}, [], None, {"format": 7}, {"kind": "fit"}, {"format": 1, "kind": "dance"}])
def test_what_is_no_record_is_refused(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run record"):
        write(wrong, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_does_not_fit_together_is_refused() -> None:
    record = make_record(2)
    record.nodes = ["input"]
    with pytest.raises(RunError, match=r"edges\[0\] has source 'input'|which is not among the nodes"):
        render(record)


def test_the_embedded_data_ends_no_element() -> None:
    name = "</script><script>alert(1)</script><!--&amp;\u2028\u2029\\ud800"
    page = render(FitRecord(nodes=[name], labels={name: name}))
    text = Elements(page).raw["script"][0]
    assert text.isascii()
    assert not set(text) & set("<>&")
    assert embedded(page)["nodes"] == [{"name": name, "label": name}]


def test_names_that_are_not_utf8_are_shown(tmp_path: Path) -> None:
    record = make_record(2, data={"skipped": ["\udcff.png"]})
    assert "\\udcff.png" in write(record, tmp_path / "report.html").read_text(encoding="utf-8")
