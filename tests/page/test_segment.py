"""The page of a segmentation in a browser: silent, safe, readable on a phone and in the dark, its table sortable."""

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Opener
from tests.report.records import HOSTILE
from tests.report.tasks import make_segment

pytestmark = pytest.mark.page


def column(page: Page, key: str) -> list[str]:
    place = page.locator("#cases th").evaluate_all("all => all.map(h => h.dataset.key)").index(key)
    return page.locator(f"#cases tbody td:nth-child({place + 1})").all_text_contents()


def test_text_of_the_record_does_nothing_and_is_shown(opened: Opener, page: Page) -> None:
    opened("hostile segment")
    for place in ("h1", ".masthead", ".figures", ".cases", "#cases", "#command", ".skipped", ".making", ".skips"):
        expect(page.locator(place).first).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("[...document.images].every(i => i.src.startsWith('data:image/') && i.naturalWidth > 0)")


def test_layers_come_and_go(opened: Opener, page: Page) -> None:
    opened("segment")
    first = page.locator(".stack").first
    for layer, shown in (("truth", True), ("prediction", True), ("error", False)):
        place, box = first.locator(f".{layer}"), page.locator(f"#layer-{layer}")
        expect(place).to_be_visible(visible=shown)
        box.focus()
        page.keyboard.press("Space")
        expect(place).to_be_visible(visible=not shown)
    image, layer_box = first.locator("img").first.bounding_box(), first.locator(".error").bounding_box()
    assert image == layer_box  # a layer lies exactly on its image


def test_the_worst_come_first_and_every_column_sorts(opened: Opener, page: Page) -> None:
    opened("segment")
    images = make_segment()["images"]
    assert column(page, "dice") == [f"{d:.3f}" for d in sorted(i["dice"] for i in images)]
    expect(page.locator("#cases th[data-key=dice]")).to_have_attribute("aria-sort", "ascending")
    page.locator("#cases th[data-key=presence] button").click()
    shown = [float(text.split("\u202f")[0]) for text in column(page, "presence")]
    assert shown == [float(f"{100 * p:.1f}") for p in sorted((i["presence"] for i in images), reverse=True)]
    page.locator("#cases th[data-key=presence] button").press("Enter")
    assert [float(text.split("\u202f")[0]) for text in column(page, "presence")] == shown[::-1]
    for _ in range(2):  # what was not measured comes last, either way
        page.locator("#cases th[data-key=hausdorff95] button").click()
        missing = sum(i["hausdorff95"] is None for i in images)
        assert column(page, "hausdorff95")[-missing:] == ["\u2013"] * missing
    page.locator("#cases th[data-key=name] button").click()
    names = column(page, "name")
    assert names.index("1_9.png") < names.index("2_10.png") < names.index("6_50.png")


def test_the_table_is_filtered(opened: Opener, page: Page) -> None:
    opened("segment")
    images = make_segment()["images"]
    counts = {
        "present": sum(i["truth_area"] > 0 for i in images),
        "empty": sum(i["truth_area"] == 0 for i in images),
        "missed": sum(i["truth_area"] > 0 and i["area"] == 0 for i in images),
        "false": sum(i["truth_area"] == 0 and i["area"] > 0 for i in images),
        "emptied": sum(i["emptied"] for i in images),
    }
    for which, count in counts.items():
        assert count > 0
        page.locator("#which").select_option(which)
        assert len(column(page, "name")) == count
    page.locator("#which").select_option("all")
    page.locator("#query").fill("2_10.PNG")
    assert column(page, "name") == ["2_10.png"]
    expect(page.locator("#found")).to_have_text("1 image")


def test_thousands_of_images_are_few_rows_until_asked_for(opened: Opener, page: Page) -> None:
    opened("segment of many")
    assert len(column(page, "name")) == 200
    expect(page.locator("#found")).to_have_text("5,000 images, the first 200 shown")
    page.locator("#more").click()
    assert len(column(page, "name")) == 400
    page.locator("#query").fill("500_4999")
    assert column(page, "name") == ["500_4999.png"]
    expect(page.locator("#more")).to_be_hidden()


def test_charts_tell_their_points(opened: Opener, page: Page) -> None:
    opened("segment")
    page.locator("#gates [aria-label^='expected: 0.674']").first.hover()
    expect(page.locator("#tip")).to_have_text("expected: 0.674, interval 0.643 to 0.702, 60 images")


def test_the_keyboard_reaches_everything_to_operate(opened: Opener, page: Page) -> None:
    opened("segment")
    reached: list[str] = []
    while "copy" not in reached and len(reached) < 40:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("(e => e.id || e.closest('th')?.dataset.key || '')(document.activeElement)"))
    wanted = ["theme", "layer-truth", "layer-prediction", "layer-error", "which", "query", "name", "dice", "copy"]
    assert [name for name in reached if name in wanted] == wanted
