"""The page of a rotation probe in a browser: silent, safe, readable on a phone and in the dark."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from plexus.report import write_rotation
from tests.report.probes import hostile_probe, make_probe
from tests.report.records import HOSTILE

pytestmark = pytest.mark.page

PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    "one": make_probe,
    "eight": lambda: make_probe(8),
    "hostile": hostile_probe,
}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def probed(page: Page, tmp_path: Path) -> Iterator[Callable[[str], Page]]:
    """Opens the page of a probe; anything the browser complains about or asks for fails the test."""
    noise: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: noise.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: noise.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))

    def show(name: str) -> Page:
        page.goto(write_rotation(PROBES[name](), tmp_path / name).as_uri())
        return page

    yield show
    assert noise == []
    assert [url for url in asked if not url.startswith("data:")] == [url for url in asked if url.endswith(".html")][:1]


@pytest.mark.parametrize("width", [360, 640, 800, 1280])
@pytest.mark.parametrize("name", PROBES)
def test_no_width_makes_the_page_scroll_sideways(
    probed: Callable[[str], Page], page: Page, name: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    probed(name)
    assert page.evaluate(OVERFLOW) == 0
    expect(page.locator("h1")).to_be_visible()
    assert page.locator(".chart:visible").count() >= 6


def test_text_of_the_record_does_nothing_and_is_shown(probed: Callable[[str], Page], page: Page) -> None:
    probed("hostile")
    page.locator(".wide [aria-roledescription=point]").first.hover()
    expect(page.locator("#tip")).to_contain_text(HOSTILE)
    for place in (".masthead", "#command", ".figures", ".boxes", ".gallery", ".making", ".models"):
        expect(page.locator(place).first).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("[...document.images].every(i => i.src.startsWith('data:image/png') && i.naturalWidth > 0)")
    assert page.locator("img").count() == 12


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_stand_out_in_both_themes(probed: Callable[[str], Page], page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    probed("one")
    brightness = "e => getComputedStyle(e).{}.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    paper = page.locator("html").evaluate(brightness.format("backgroundColor"))
    line = page.locator("#curve .wide .mark-line path").last.evaluate(brightness.format("stroke"))
    assert (paper < 200) == (scheme == "dark")
    assert abs(paper - line) > 200
    page.locator("#theme").click()
    assert (page.locator("html").evaluate(brightness.format("backgroundColor")) < 200) != (scheme == "dark")


def test_charts_tell_their_points(probed: Callable[[str], Page], page: Page) -> None:
    probed("one")
    page.locator("#curve figure").nth(1).locator(".wide [aria-label*='90\u00b0 (exact)']").first.hover()
    expect(page.locator("#tip")).to_contain_text("net, 90\u00b0 (exact): 55.0")
    page.mouse.move(2, 2)
    expect(page.locator("#tip")).to_be_hidden()


def test_the_keyboard_reaches_everything_to_operate(probed: Callable[[str], Page], page: Page) -> None:
    probed("one")
    for found in (".skip", "#theme", ".command pre", "#copy"):
        page.keyboard.press("Tab")
        expect(page.locator(found)).to_be_focused()
    expect(page.locator("#copy")).to_be_in_viewport()
