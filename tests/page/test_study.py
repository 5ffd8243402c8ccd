"""The pages of a study and of the claims in a browser: silent, safe, readable on a phone and in the dark."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from plexus.experiments import summary
from plexus.report import write_claims, write_study
from tests.report.records import HOSTILE
from tests.report.studies import make_records, make_search, make_study
from tests.report.test_claims import make_ledger
from tests.report.test_study import RECORDS, SUMMARY, hostile

pytestmark = pytest.mark.page

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def write_nine(path: Path) -> Path:
    study = make_study(9)
    records = make_records(study, seeds=3, extras=True)
    return write_study(summary(study, records), records, path)


def write_search(path: Path) -> Path:
    study, records = make_search()
    return write_study(summary(study, records), records, path)


PAGES: dict[str, Callable[[Path], Path]] = {
    "four": lambda path: write_study(SUMMARY, RECORDS, path),
    "nine": write_nine,
    "search": write_search,
    "hostile": lambda path: write_study(*hostile(), path),
    "claims": lambda path: write_claims(make_ledger(), path),
    "hostile claims": lambda path: write_claims(make_ledger(HOSTILE * 5), path),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A page by its name, written once."""
    folder = tmp_path_factory.mktemp("studies")

    def find(name: str) -> Path:
        path = folder / f"{name}.html"
        return path if path.exists() else PAGES[name](path)

    return find


@pytest.fixture
def shown(page: Page, written: Callable[[str], Path]) -> Iterator[Callable[[str], Page]]:
    """Opens a page; anything the browser complains about or asks for fails the test."""
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
    assert [url for url in asked if not url.startswith("data:")] == [url for url in asked if url.endswith(".html")][:1]


@pytest.mark.parametrize("name", PAGES)
def test_no_width_makes_the_page_scroll_sideways(shown: Callable[[str], Page], page: Page, name: str) -> None:
    shown(name)
    for width in (360, 640, 768, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(OVERFLOW) == 0
        expect(page.locator("h1")).to_be_visible()


def test_the_data_of_a_figure_is_downloaded(shown: Callable[[str], Page], page: Page) -> None:
    shown("four")
    with page.expect_download() as waiting:
        page.locator("a.csv[download='neurons-points.csv']").click()
    lines = Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "variant,seed,test_accuracy"
    assert lines[1] == f"baseline,0,{RECORDS[0]['metrics']['test_accuracy']}"
    assert len(lines) == 21


@pytest.mark.parametrize("name", ["hostile", "hostile claims"])
def test_text_of_the_records_does_nothing_and_is_shown(shown: Callable[[str], Page], page: Page, name: str) -> None:
    shown(name)
    expect(page.locator("main")).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_points_stand_out_in_both_themes(shown: Callable[[str], Page], page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    shown("four")
    brightness = "e => getComputedStyle(e).{}.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    paper = page.locator("html").evaluate(brightness.format("backgroundColor"))
    point = page.locator("[aria-label^='baseline, seed 0']").first.evaluate(brightness.format("fill"))
    assert (paper < 200) == (scheme == "dark")
    assert abs(paper - point) > 200
    page.locator("#theme").click()
    assert (page.locator("html").evaluate(brightness.format("backgroundColor")) < 200) != (scheme == "dark")


def test_charts_tell_their_points(shown: Callable[[str], Page], page: Page) -> None:
    shown("four")
    page.locator(".wide [aria-label^='baseline, seed 3']").first.hover()
    expect(page.locator("#tip")).to_contain_text("baseline, seed 3: ")


def test_a_rule_opens_by_the_keyboard(shown: Callable[[str], Page], page: Page) -> None:
    shown("claims")
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details").first).to_contain_text("A rule")
    expect(page.locator("details li").first).to_be_visible()
