"""The page as text: self-contained, guarded, escaped, and whole whatever part of the record is missing."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from plexus.errors import RunError
from plexus.record import FitRecord
from plexus.report import _page, _view, render, write_report
from tests.report.records import HOSTILE, make_record


class Elements(HTMLParser):
    """Every element of a page with its attributes, and its text outside of style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inside: list[str] = []
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        raw = self.inside[-1] if self.inside and self.inside[-1] in self.raw else None
        (self.raw[raw] if raw else self.words).append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def made() -> str:
    return render(make_record(9))


@pytest.fixture(scope="module")
def elements(made: str) -> Elements:
    return Elements(made)


def test_the_page_is_a_function_of_the_record(made: str) -> None:
    assert render(make_record(9).to_dict()) == made
    assert render(json.loads(make_record(9).to_json())) == made


def test_nothing_is_loaded_from_elsewhere(made: str, elements: Elements) -> None:
    assert set(re.findall(r"https?://[^\s\"'<)]*", made)) == {"http://www.w3.org/2000/svg"}
    for tag, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert {tag for tag, _ in elements.found}.isdisjoint({"iframe", "object", "embed", "form", "base"})
    assert "@import" not in made
    assert "url(" not in made


def test_style_and_script_are_admitted_by_hash_alone(elements: Elements) -> None:
    (policy,) = (m["content"] for m in elements.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for directive, text in (("style-src", elements.raw["style"][0]), ("script-src", elements.raw["script"][-1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert not [a for _, a in elements.found if "style" in a or any(name.startswith("on") for name in a)]


def test_everything_the_record_says_is_on_the_page(made: str, elements: Elements) -> None:
    record = make_record(9)
    text = elements.text.replace("\u202f", " ")
    assert "Kept 16 of 54 connections: 98.3 % against 95.3 % for the chain, 19.2 k parameters." in text
    for said in (
        *(entry.label for entry in record.results),
        *map(str, record.config),
        *record.versions.values(),
        record.machine["processor"],
        record.data.fingerprint,
        record.data.skipped[0],
        record.command,
        *(mistake.name for mistake in record.mistakes),
    ):
        assert said in text
    table = made[made.index('id="connections"') :]
    assert table[: table.index("</table>")].count("<tr") == 1 + len(record.edges)
    assert len(elements.named("img")) == len(record.mistakes)


def test_the_embedded_data_comes_back(elements: Elements) -> None:
    assert json.loads(elements.raw["script"][0]) == _view.drawing(make_record(9))


def test_the_embedded_data_ends_no_element() -> None:
    hostile = {"</script><script>alert(1)</script>": ["<!--", "&amp;", "\u2028\u2029", "\ud800"]}
    text = _page.embedded(hostile)
    assert text.isascii()
    assert not set(text) & set("<>&")
    assert json.loads(text) == hostile


SPOTS: dict[str, Any] = {
    "command": HOSTILE,
    "created": HOSTILE,
    "config": {HOSTILE: HOSTILE},
    "versions": {"plexus": HOSTILE},
    "machine": {HOSTILE: HOSTILE},
    "data": {"name": HOSTILE, "classes": [HOSTILE] * 10, "skipped": [HOSTILE], "fingerprint": HOSTILE},
    "nodes": ["input", HOSTILE, "lego2", "head"],
    "labels": {"lego2": HOSTILE, "head": f"</script>{HOSTILE}"},
    "edges": [{"source": HOSTILE, "target": "head", "gate": 0.5, "ablation": 0.1, "kept": True}],
    "budgets": [],
    "chosen": None,
    "results": [{"name": "final", "label": HOSTILE, "accuracy": 0.9}],
    "mistakes": [{"name": HOSTILE, "image": HOSTILE, "true": 0, "predicted": 1, "probability": 0.5}],
}


@pytest.mark.parametrize("count", [10, 30])
def test_text_of_the_record_makes_no_element(count: int) -> None:
    matrix = [[1] * count for _ in range(count)]
    data = SPOTS["data"] | {"classes": [HOSTILE] * count}
    made = render(
        make_record(2, epochs=[{"phase": "learn", "gates": [0.5]}] * 2, **SPOTS | {"data": data}, confusion=matrix)
    )
    found = Elements(made)
    assert not found.named("img")
    assert len(found.named("script")) == 2
    assert not [attributes for _, attributes in found.found if any(name.startswith("on") for name in attributes)]
    assert found.text.count(HOSTILE) >= 12


def test_names_that_are_not_utf8_are_shown(tmp_path: Path) -> None:
    record = make_record(2, data={"skipped": ["\udcff.png"]})
    assert "\\udcff.png" in write_report(record, tmp_path / "report.html").read_text(encoding="utf-8")


SENTENCES = {
    "edges": "No connections have been recorded, so there is no wiring to draw yet.",
    "budgets": "No budget has been measured yet",
    "epochs": "No epoch has been recorded yet.",
    "results": "No network has been tested in this run yet.",
    "gap": "The accuracy before and after cutting was not measured in this run.",
    "confusion": "The final net has not been tested yet, so there is no confusion matrix.",
    "mistakes": "No pictures of mistakes were recorded.",
    "command": "The command was not recorded.",
    "data": "None: every image was read.",
}
ALONGSIDE = {"edges": ("edges", "budgets", "chosen"), "budgets": ("budgets", "chosen")}


@pytest.mark.parametrize("part", SENTENCES)
def test_a_missing_part_becomes_a_sentence(part: str, elements: Elements) -> None:
    raw = make_record(1).to_dict()
    for name in ALONGSIDE.get(part, (part,)):
        del raw[name]
    assert SENTENCES[part] in Elements(render(raw)).text
    assert SENTENCES[part] not in elements.text


@pytest.mark.parametrize(
    "part", ["config", "versions", "machine", "labels", "seconds", "then", "created", "finished", "chosen"]
)
def test_a_page_without_this_part_is_still_a_page(part: str) -> None:
    raw = make_record(1, epochs=[]).to_dict()
    del raw[part]
    assert len(Elements(render(raw)).named("section")) == 6


def test_an_empty_record_is_a_page_of_sentences() -> None:
    text = Elements(render(FitRecord())).text
    assert "This run has not finished: 0 epochs recorded so far." in text
    assert all(said in text for part, said in SENTENCES.items() if part != "budgets")


def test_entries_without_figures_are_shown_as_unmeasured() -> None:
    record = make_record(2)
    bare = make_record(
        2,
        edges=[{"source": e.source, "target": e.target} for e in record.edges],
        budgets=[{}, {"kept": [0]}],
        chosen=1,
        epochs=[{"phase": "learn"}, {"phase": "unheard of"}, {}],
        results=[{"name": "final"}, {"accuracy": 0.5}],
        mistakes=[{}],
        gap={"before": 0.5},
        seconds={"total": None},
    )
    text = Elements(render(bare)).text
    assert "no picture" in text
    assert "Accuracy was not measured at several budgets, so there is no curve to show." in text
    assert "The gates were not recorded over epochs." in text


def test_no_chain_and_one_budget_are_said() -> None:
    record = make_record(9)
    text = Elements(render(make_record(9, results=record.results[1:], budgets=record.budgets[4:5], chosen=0))).text
    assert "No chain was trained in this run, so there is no plain network to compare with." in text
    assert "One budget was measured." in text


def test_a_run_without_mistakes_says_so() -> None:
    matrix = [[3, 0], [0, 4]]
    text = Elements(render(make_record(2, classes=("a", "b"), confusion=matrix, mistakes=[]))).text
    assert "There are no mistakes to show." in text


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(RunError, match="not a run record"):
        render({"format": 7})


def test_write_report_writes_the_page(made: str, tmp_path: Path) -> None:
    path = write_report(make_record(9), tmp_path / "report.html")
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == made
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_page_stays_small(made: str) -> None:
    assert len(made) < 300_000
