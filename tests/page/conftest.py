"""Opens pages of every kind in a browser that must stay silent: no error, no warning, no request."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from plexus.experiments import summary
from plexus.record import FitRecord, Record, TrialRecord
from plexus.report import write
from tests.report.findings import (
    hostile_audit,
    hostile_probe,
    hostile_study,
    make_audit,
    make_ledger,
    make_pictures,
    make_probe,
    make_records,
    make_search,
    make_study,
    with_suspects,
)
from tests.report.records import HOSTILE, hostile_record, make_record
from tests.report.tasks import hostile_represent, hostile_segment, make_represent, make_segment


def study(of: tuple[Any, list[TrialRecord]], *, hostile: bool = False) -> dict[str, Any]:
    found = summary(*of)
    return hostile_study(found, of[1]) if hostile else {**found, "records": of[1]}


def four() -> tuple[Any, list[TrialRecord]]:
    return make_study(4), make_records(make_study(4), extras=True)


def learning() -> FitRecord:
    whole = make_record(9)
    return make_record(
        9, finished=False, epochs=whole.epochs[:18], budgets=[], chosen=None, results=[], mistakes=[],
        edges=[{"source": e.source, "target": e.target} for e in whole.edges],
    )  # fmt: skip


def bare() -> FitRecord:
    whole = make_record(9)
    edges = [edge.model_copy(update={"ablation": None, "strength": None}) for edge in whole.edges]
    return make_record(
        9, epochs=[], budgets=whole.budgets[4:5], chosen=0, mistakes=[], confusion=[], gap={}, edges=edges
    )


def unmeasured() -> FitRecord:
    """A run in which only every second connection has a strength."""
    record = make_record(9, epochs=[], mistakes=[])
    for edge in record.edges[::2]:
        edge.strength = None
    return record


def mapped() -> FitRecord:
    """A run whose edges join maps: some keep a few of theirs, those that are cut none."""
    whole = make_record(15)
    edges = [
        edge.model_copy(update={"maps": [(1 + i % 192 if edge.kept else 0), 192]}) for i, edge in enumerate(whole.edges)
    ]
    return make_record(15, edges=edges)


PAGES: dict[str, Callable[[], Record | Mapping[str, Any]]] = {
    "nine": lambda: make_record(9),
    "fifteen": lambda: make_record(15),
    "mapped": mapped,
    "one": lambda: make_record(1),
    "empty": FitRecord,
    "hostile": hostile_record,
    "learning": learning,
    "bare": bare,
    "unmeasured": unmeasured,
    "audit": make_audit,
    "audit without pairs": lambda: make_audit(0, problems=[], calibration=None),
    "audit of labels": lambda: with_suspects(make_audit()),
    "audit of many": lambda: make_audit(3000),
    "hostile audit": hostile_audit,
    "probe": make_probe,
    "probe of eight": lambda: make_probe(8),
    "hostile probe": hostile_probe,
    "segment": make_segment,
    "segment of many": lambda: make_segment(5000),
    "segment under way": lambda: {key: make_segment()[key] for key in ("format", "kind", "data", "folds")},
    "hostile segment": hostile_segment,
    "represent": make_represent,
    "represent under way": lambda: {"format": 1, "kind": "represent"},
    "hostile represent": hostile_represent,
    "study": lambda: study(four()),
    "study of nine": lambda: study((make_study(9), make_records(make_study(9), seeds=3, extras=True))),
    "search": lambda: study(make_search()),
    "hostile study": lambda: study(four(), hostile=True),
    "claims": make_ledger,
    "hostile claims": lambda: make_ledger(HOSTILE * 5),
}
LARGE = ("audit of many", "segment of many")
"""Pages that take seconds to open."""

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
Opener = Callable[[str], Page]


def brightness(page: Page, place: str, what: str) -> int:
    """Sum of red, green and blue of an element's color."""
    sum_of = f"e => getComputedStyle(e).{what}.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    return int(page.locator(place).first.evaluate(sum_of))


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A page by its name in `PAGES`, written once."""
    folder = tmp_path_factory.mktemp("pages")

    def find(name: str) -> Path:
        path = folder / f"{name}.html"
        if path.exists():
            return path
        record = PAGES[name]()
        audit = isinstance(record, dict) and record.get("kind") == "audit"
        return write(record, path, pictures=make_pictures(record) if audit else None)  # type: ignore[arg-type]

    return find


@pytest.fixture
def opened(page: Page, written: Callable[[str], Path]) -> Iterator[Opener]:
    """Opens a page; at the end, anything the browser complained about or asked for fails the test."""
    noise: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: noise.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: noise.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))

    def show(name: str) -> Page:
        page.goto(written(name).as_uri())
        return page

    yield show
    assert noise == []
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} <= {page.url}
