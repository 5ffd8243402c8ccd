"""The page around the drawing: silent, safe, readable on a phone and in the dark, sortable."""

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import LARGE, OVERFLOW, PAGES, Opener, brightness
from tests.report.records import HOSTILE, make_record

pytestmark = pytest.mark.page


@pytest.mark.parametrize("name", [name for name in PAGES if name not in LARGE])
def test_no_width_makes_a_page_scroll_sideways(opened: Opener, page: Page, name: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    opened(name)
    for width in (360, 640, 768, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(OVERFLOW) == 0
        expect(page.locator("h1")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", ["nine", "audit", "probe of eight", "segment", "represent", "study", "search"])
def test_letters_of_charts_can_be_read_at_any_width(opened: Opener, page: Page, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    opened(name)
    sizes = page.locator("figure > .chart text").evaluate_all(
        """texts => texts.map(t => parseFloat(t.getAttribute('font-size') ?? getComputedStyle(t).fontSize)
            * t.ownerSVGElement.getBoundingClientRect().width / t.ownerSVGElement.viewBox.baseVal.width)"""
    )
    assert sizes
    assert 8.9 <= min(sizes) <= max(sizes) <= 14.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "place", "what"),
    [
        ("nine", "#cost-charts .mark-symbol path", "fill"),
        ("audit", ".distances .mark-rect path", "fill"),
        ("probe", "#curve .mark-line path[stroke*='learn']", "stroke"),
        ("segment", "#gates [aria-label^='none: 0.601']", "fill"),
        ("represent", "#turning .mark-line path", "stroke"),
        ("study", "[aria-label^='baseline, seed 0']", "fill"),
        ("claims", ".word", "color"),
    ],
)
def test_marks_and_letters_stand_out_in_both_themes(
    opened: Opener, page: Page, name: str, place: str, what: str, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened(name)
    paper = brightness(page, "html", "backgroundColor")
    assert (paper < 200) == (scheme == "dark")
    assert abs(paper - brightness(page, "h1", "color")) > 500
    assert abs(paper - brightness(page, place, what)) > 120
    page.locator("#theme").click()
    assert (brightness(page, "html", "backgroundColor") < 200) != (scheme == "dark")


def test_the_drawing_turns_with_the_window(opened: Opener, page: Page) -> None:
    opened("fifteen")
    expect(page.locator("svg.plexus.across")).to_have_count(1)
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator("svg.plexus.down")).to_have_count(1)
    tall = page.locator("svg.plexus").bounding_box()
    assert tall is not None
    assert tall["height"] > tall["width"]
    boxes = [box.bounding_box() for box in page.locator(".box rect").all()]
    tops = [box["y"] for box in boxes if box]
    assert tops == sorted(tops)
    assert len(set(tops)) == 17
    expect(page.locator(".arc:not(.cut)")).to_have_count(40)


def test_text_of_the_record_does_nothing_and_is_shown(opened: Opener, page: Page) -> None:
    opened("hostile")
    for i in (0, 1, 3):
        page.locator(".box").nth(i).hover()
    page.locator(".box").first.focus()
    expect(page.locator("#tip")).to_contain_text(HOSTILE)
    page.locator("#play").click()
    page.locator("#connections th button").first.click()
    for place in (".masthead", "#command", ".confusion", ".gallery", ".making", ".skipped", ".networks"):
        expect(page.locator(place).first).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 6
    assert page.evaluate("[...document.images].every(i => i.src.startsWith('data:image/png'))")
    page.locator("#play").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_and_the_switch_between_them(opened: Opener, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened("one")

    def is_dark() -> bool:
        return brightness(page, "h1", "color") > brightness(page, "html", "backgroundColor")

    button = page.locator("#theme")
    assert is_dark() == (scheme == "dark")
    expect(button).to_have_text("Light" if scheme == "dark" else "Dark")
    button.click()
    assert is_dark() != (scheme == "dark")
    expect(button).to_have_text("Dark" if scheme == "dark" else "Light")
    button.click()
    assert is_dark() == (scheme == "dark")


def test_sorting_orders_rows_both_ways(opened: Opener, page: Page) -> None:
    record = make_record(9)
    opened("nine")
    table = page.locator("#connections")

    def column(i: int) -> list[float]:
        found: list[float] = table.locator(f"tbody td:nth-child({i})").evaluate_all("c => c.map(e => +e.dataset.value)")
        return found

    head = table.locator("th").nth(4)
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    rises = sorted((edge.ablation or 0 for edge in record.edges), reverse=True)
    assert column(5) == pytest.approx(rises)
    head.get_by_role("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert column(5) == pytest.approx(rises[::-1])
    table.locator("th button").first.click()
    assert column(1) == sorted(column(1))
    expect(table.locator("th[aria-sort]")).to_have_count(1)


def test_what_was_not_measured_is_sorted_last(opened: Opener, page: Page) -> None:
    opened("unmeasured")
    page.locator("#connections th button").nth(3).click()
    cells = page.locator("#connections tbody td:nth-child(4)")
    expect(cells.last).to_have_text("\u2013")
    expect(cells.first).not_to_have_text("\u2013")
    expect(cells).to_have_count(54)


def test_the_command_can_be_copied(opened: Opener, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened("one")
    page.locator("#copy").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == make_record(1).command


def test_a_refused_clipboard_selects_the_command(opened: Opener, page: Page) -> None:
    page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('refused'))")
    opened("one")
    page.locator("#copy").click()
    expect(page.locator("#copy")).to_have_text("Selected")
    assert page.evaluate("getSelection().toString()") == make_record(1).command


def test_charts_tell_their_points(opened: Opener, page: Page) -> None:
    opened("nine")
    point = page.locator("#cost-charts [aria-roledescription=point]").first
    point.hover()
    accuracy = make_record(9).budgets[0].val_accuracy
    assert accuracy is not None
    expect(page.locator("#tip")).to_contain_text(f" k parameters: {100 * accuracy:.1f}")
    page.mouse.move(2, 2)
    expect(page.locator("#tip")).to_be_hidden()


def test_everything_to_operate_has_a_name_and_a_visible_focus(opened: Opener, page: Page) -> None:
    opened("nine")
    page.locator("#drawing").scroll_into_view_if_needed()
    names = page.evaluate(
        """() => [...document.querySelectorAll('button, input, [tabindex]')]
            .filter(e => !e.ariaLabel && !e.textContent.trim() && !(e.labels && e.labels.length))
            .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert names == []
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Tab")
    expect(page.locator("#theme")).to_be_focused()
    assert page.locator("#theme").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_paper_shows_the_whole_table_in_light_colors(opened: Opener, page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    opened("nine")
    expect(page.locator("#budget")).to_be_hidden()
    assert (
        page.locator("#connections").evaluate("t => t.parentElement.scrollHeight - t.parentElement.clientHeight") <= 1
    )
    assert page.locator("html").evaluate("e => getComputedStyle(e).colorScheme") == "light"
