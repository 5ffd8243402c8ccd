"""The pages of a study and of the claims in a browser: silent, safe, readable on a phone and in the dark."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Opener, four
from tests.report.records import HOSTILE

pytestmark = pytest.mark.page


def test_the_data_of_a_figure_is_downloaded(opened: Opener, page: Page) -> None:
    opened("study")
    with page.expect_download() as waiting:
        page.locator("a.csv[download='neurons-points.csv']").click()
    lines = Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "variant,seed,test_accuracy"
    assert lines[1] == f"baseline,0,{four()[1][0].metrics['test_accuracy']}"
    assert len(lines) == 21


@pytest.mark.parametrize("name", ["hostile study", "hostile claims"])
def test_text_of_the_records_does_nothing_and_is_shown(opened: Opener, page: Page, name: str) -> None:
    opened(name)
    expect(page.locator("main")).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 0


def test_charts_tell_their_points(opened: Opener, page: Page) -> None:
    opened("study")
    page.locator("[aria-label^='baseline, seed 3']").first.hover()
    expect(page.locator("#tip")).to_contain_text("baseline, seed 3: ")


def test_a_rule_opens_by_the_keyboard(opened: Opener, page: Page) -> None:
    opened("claims")
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details").first).to_contain_text("A rule")
    expect(page.locator("details li").first).to_be_visible()
