"""Opens reports in a browser that must stay silent: no error, no warning, no request."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from plexus.record import FitRecord
from plexus.report import write_report
from tests.report.records import HOSTILE, make_record

LONG = "a/very/long/path/" * 12


def hostile() -> FitRecord:
    """Every text that may come from a user tries to become an element; some of it is very long, too."""
    record = make_record(9, classes=(HOSTILE, LONG, *"23456789"))
    record.command = f"plexus fit '{HOSTILE}' {LONG}"
    record.data.name, record.data.spec = HOSTILE, LONG
    record.data.skipped = [f"{HOSTILE}.png: unreadable", LONG]
    record.config |= {HOSTILE: LONG}
    record.labels |= {"input": HOSTILE, "lego1": f"</script>{HOSTILE}", "lego3": LONG}
    for mistake in record.mistakes:
        mistake.name = HOSTILE
    for result in record.results:
        result.label = HOSTILE
    return record


RECORDS: dict[str, Callable[[], FitRecord]] = {
    "nine": lambda: make_record(9),
    "fifteen": lambda: make_record(15),
    "one": lambda: make_record(1),
    "empty": FitRecord,
    "hostile": hostile,
    "learning": lambda: make_record(
        9, finished=False, epochs=make_record(9).epochs[:18], budgets=[], chosen=None, results=[], mistakes=[],
        edges=[{"source": e.source, "target": e.target} for e in make_record(9).edges],
    ),
    "bare": lambda: make_record(
        9, epochs=[], budgets=make_record(9).budgets[4:5], chosen=0, mistakes=[], confusion=[], gap={},
        edges=[e.model_copy(update={"ablation": None, "strength": None}) for e in make_record(9).edges],
    ),
}  # fmt: skip

Opener = Callable[[str], Page]


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The report of a record by its name in `RECORDS`, written once."""
    folder = tmp_path_factory.mktemp("reports")

    def find(name: str) -> Path:
        path = folder / f"{name}.html"
        return path if path.exists() else write_report(RECORDS[name](), path)

    return find


@pytest.fixture
def opened(page: Page, reports: Callable[[str], Path]) -> Iterator[Opener]:
    """Opens a report; at the end, anything the browser complained about or asked for fails the test."""
    noise: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: noise.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: noise.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))

    def show(name: str) -> Page:
        page.goto(reports(name).as_uri())
        return page

    yield show
    assert noise == []
    assert [url for url in asked if not url.startswith("data:")] == [url for url in asked if url.endswith(".html")][:1]
