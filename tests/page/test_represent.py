"""The page of a representation in a browser: silent, safe, readable on a phone and in the dark, its map alive."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from plexus.report import write_represent
from tests.report.records import HOSTILE
from tests.report.represents import hostile_represent, make_represent

pytestmark = pytest.mark.page

RECORDS: dict[str, Callable[[], dict[str, Any]]] = {
    "whole": make_represent,
    "bare": lambda: {"format": 1, "kind": "represent"},
    "hostile": hostile_represent,
}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
Opener = Callable[[str], Page]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every page, written once."""
    folder = tmp_path_factory.mktemp("represents")
    return {name: write_represent(make(), folder / f"{name}.html") for name, make in RECORDS.items()}


@pytest.fixture
def opened(page: Page, written: dict[str, Path]) -> Iterator[Opener]:
    """Opens a page; anything the browser complains about or asks for fails the test."""
    noise: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: noise.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: noise.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))

    def show(name: str) -> Page:
        page.goto(written[name].as_uri())
        return page

    yield show
    assert noise == []
    assert [url for url in asked if not url.startswith("data:")] == [page.url]


def test_pointing_at_an_image_of_the_map_shows_it(opened: Opener) -> None:
    page, record = opened("whole"), make_represent()["map"]
    assert page.locator("#plane circle").count() == len(record["x"])
    page.locator("#plane circle").nth(3).hover(force=True)
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    width, height = tip.locator("canvas").evaluate("c => [c.width, c.height]")
    assert [width, height] == [3 * side for side in record["tile"]]
    shown = record["names"].index(tip.locator("p").inner_text())
    assert tip.locator("b").inner_text() == record["classes"][record["labels"][shown]]


def test_a_class_can_be_seen_alone(opened: Opener) -> None:
    page, labels = opened("whole"), make_represent()["map"]["labels"]
    button = page.locator("#legend button").nth(1)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#plane circle.faint").count() == sum(k != 1 for k in labels)
    button.click()
    assert page.locator("#plane circle.faint").count() == 0


@pytest.mark.parametrize("name", list(RECORDS))
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_no_page_is_wider_than_the_window(opened: Opener, page: Page, name: str, width: int, scheme: Any) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    assert opened(name).evaluate(OVERFLOW) <= 0
    assert page.locator("h1").inner_text()


def test_text_of_users_stays_text(opened: Opener) -> None:
    page = opened("hostile")
    assert HOSTILE in page.locator("body").inner_text()
    assert page.evaluate("document.images.length") == page.locator("img[src^='data:image/']").count()


def test_the_theme_can_be_switched(opened: Opener) -> None:
    page = opened("whole")
    before = page.evaluate("getComputedStyle(document.body).color")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).color") != before
