"""The page of a representation in a browser: silent, safe, readable on a phone and in the dark, its map alive."""

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Opener
from tests.report.records import HOSTILE
from tests.report.tasks import make_represent

pytestmark = pytest.mark.page


def test_pointing_at_an_image_of_the_map_shows_it(opened: Opener) -> None:
    page, record = opened("represent"), make_represent()["map"]
    assert page.locator("#plane circle").count() == len(record["x"])
    page.locator("#plane circle").nth(3).hover(force=True)
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    width, height = tip.locator("canvas").evaluate("c => [c.width, c.height]")
    assert [width, height] == [3 * side for side in record["tile"]]
    shown = record["names"].index(tip.locator("p").inner_text())
    assert tip.locator("b").inner_text() == record["classes"][record["labels"][shown]]


def test_a_class_can_be_seen_alone(opened: Opener) -> None:
    page, labels = opened("represent"), make_represent()["map"]["labels"]
    button = page.locator("#legend button").nth(1)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#plane circle.faint").count() == sum(k != 1 for k in labels)
    button.click()
    assert page.locator("#plane circle.faint").count() == 0


def test_text_of_users_stays_text(opened: Opener) -> None:
    page = opened("hostile represent")
    assert HOSTILE in page.locator("body").inner_text()
    assert page.evaluate("document.images.length") == page.locator("img[src^='data:image/']").count()


def test_captions_of_tables_can_be_read_on_a_phone(opened: Opener) -> None:
    page = opened("represent")
    page.set_viewport_size({"width": 360, "height": 740})
    widths = page.locator("caption").evaluate_all("all => all.map(c => c.clientWidth)")
    assert len(widths) == 3
    assert min(widths) > 300
