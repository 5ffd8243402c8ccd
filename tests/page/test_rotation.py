"""The page of a rotation probe in a browser: silent, safe, readable on a phone and in the dark."""

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Opener
from tests.report.records import HOSTILE

pytestmark = pytest.mark.page


def test_text_of_the_record_does_nothing_and_is_shown(opened: Opener, page: Page) -> None:
    opened("hostile probe")
    page.locator("#curve [aria-label*='1, 180\u00b0']").first.hover()
    expect(page.locator("#tip")).to_contain_text(HOSTILE)
    for place in (".masthead", "#command", ".figures", ".gallery", ".making", ".models"):
        expect(page.locator(place).first).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("[...document.images].every(i => i.src.startsWith('data:image/png') && i.naturalWidth > 0)")
    assert page.locator("img").count() == 12


def test_charts_tell_their_points(opened: Opener, page: Page) -> None:
    opened("probe")
    page.locator("#curve figure").nth(1).locator("[aria-label*='90\u00b0 (exact)']").first.hover()
    expect(page.locator("#tip")).to_contain_text("net, 90\u00b0 (exact): 55.0")
    page.mouse.move(2, 2)
    expect(page.locator("#tip")).to_be_hidden()


def test_the_keyboard_reaches_everything_to_operate(opened: Opener, page: Page) -> None:
    opened("probe")
    for found in (".skip", "#theme", ".command pre", "#copy"):
        page.keyboard.press("Tab")
        expect(page.locator(found)).to_be_focused()
    expect(page.locator("#copy")).to_be_in_viewport()
