"""The page of an audit in a browser: pairs are looked at and decided, by mouse and by keyboard, and nothing else."""

import base64
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from plexus.report import render, write
from tests.page.conftest import Opener, brightness
from tests.report.findings import make_audit, make_pictures
from tests.report.pages import embedded
from tests.report.records import HOSTILE

pytestmark = pytest.mark.page


def pressed(page: Page, side: str) -> list[str]:
    return page.locator(f"#about-{side} [aria-pressed=true]").evaluate_all("all => all.map(b => b.dataset.word)")


def test_text_of_the_findings_does_nothing_and_is_shown(opened: Opener, page: Page) -> None:
    opened("hostile audit")
    page.keyboard.press("j")
    page.keyboard.press("d")
    page.keyboard.press("4")
    for place in (
        "h1 ~ p",
        ".masthead",
        "#rows",
        "#about-a",
        "#facts",
        ".clusters",
        ".problems",
        "#command",
        ".making",
    ):
        expect(page.locator(place).first).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("[...document.images].every(i => i.src.startsWith('data:image/'))")


def test_keys_move_and_decide(opened: Opener, page: Page) -> None:
    opened("audit")
    expect(page.locator("#place")).to_have_text("Pair 1 of 12")
    names = [image["name"] for image in make_audit()["images"]]
    expect(page.locator("#about-a .name")).to_have_text(names[0])
    page.keyboard.press("2")
    page.keyboard.press("4")
    assert (pressed(page, "a"), pressed(page, "b")) == (["drop"], ["keep"])
    page.keyboard.press("3")
    assert pressed(page, "a") == ["unsure"]
    page.keyboard.press("3")
    assert pressed(page, "a") == []  # the same again takes it back
    page.keyboard.press("ArrowRight")
    page.keyboard.press("j")
    expect(page.locator("#about-b .name")).to_have_text(names[5])
    page.keyboard.press("5")
    page.keyboard.press("k")
    expect(page.locator("#place")).to_have_text("Pair 2 of 12")
    page.keyboard.press("n")
    expect(page.locator("#place")).to_have_text("Pair 4 of 12")  # the third is settled by a drop
    expect(page.locator("#decisions")).to_contain_text("2 images decided (1 keep, 1 drop), 1 of 12 pairs settled.")


def test_the_mouse_does_the_same(opened: Opener, page: Page) -> None:
    opened("audit")
    page.locator(".row").nth(4).click()
    expect(page.locator("#place")).to_have_text("Pair 5 of 12")
    page.locator("#about-a [data-word=unsure]").click()
    page.locator("#about-b [data-word=drop]").click()
    assert (pressed(page, "a"), pressed(page, "b")) == (["unsure"], ["drop"])
    assert page.locator(".row[aria-selected=true] .marks i").evaluate_all("all => all.map(i => i.className)") == [
        "unsure", "drop",
    ]  # fmt: skip
    page.locator("#before").click()
    page.locator("#after").click()
    assert pressed(page, "b") == ["drop"]
    page.locator("#undecided").click()
    expect(page.locator("#place")).to_have_text("Pair 6 of 12")


def test_letters_belong_to_whoever_types(opened: Opener, page: Page) -> None:
    opened("audit")
    page.keyboard.press("/")
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type("1_2")
    assert pressed(page, "a") == []
    expect(page.locator("#shown")).to_have_text("1 of 12 pairs")
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#help dl")).to_be_visible()
    page.locator("#keys").uncheck()
    page.locator("h1").click()
    page.keyboard.press("1")
    assert pressed(page, "a") == []


def test_the_keyboard_reaches_everything_to_operate(opened: Opener, page: Page) -> None:
    opened("audit")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.word || ''"))
    wanted = {"theme", "kind", "decided", "order", "query", "list", "after", "undecided", "outlines", "keep", "drop"}
    assert wanted | {"unsure", "save", "load", "copy"} <= reached


def test_the_list_is_a_list_to_the_keyboard(opened: Opener, page: Page) -> None:
    opened("audit of many")
    page.locator("#list").focus()
    for key, place in (("ArrowDown", 2), ("End", 3000), ("ArrowUp", 2999), ("Home", 1)):
        page.keyboard.press(key)
        expect(page.locator("#place")).to_have_text(f"Pair {place:,} of 3,000")
        expect(page.locator(".row[aria-selected=true]")).to_be_in_viewport()
        active = page.locator("#list").get_attribute("aria-activedescendant")
        expect(page.locator(f"#{active}")).to_have_attribute("aria-posinset", str(place))


def test_thousands_of_pairs_stay_few_elements_and_answer_at_once(opened: Opener, page: Page) -> None:
    opened("audit of many")
    size = "document.querySelectorAll('*').length"
    before = page.evaluate(size)
    assert before < 900
    press = "key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    for step in range(1, 60):  # what a key does is done when it returns, without a frame in between
        page.evaluate(press, "j")
        page.evaluate(press, "2")
        assert page.locator("#place").text_content() == f"Pair {step + 1} of 3,000"
        assert pressed(page, "a") == ["drop"]
    page.locator("#list").evaluate("list => { list.scrollTop = 100000; }")
    expect(page.locator(".row").first).to_have_attribute("aria-setsize", "3000")
    expect(page.locator("#pair-2180")).to_be_visible()
    assert page.locator(".row").count() < 40
    assert page.evaluate(size) < before + 100
    expect(page.locator("#decisions")).to_contain_text("59 images decided (59 drop), 59 of 3,000 pairs settled.")


def test_filters_and_sorting(opened: Opener, page: Page) -> None:
    opened("audit")
    pairs = make_audit()["pairs"]
    counts = {
        "contradiction": sum(p["contradiction"] is not None for p in pairs),
        "leak": sum(bool(p["leak"]) for p in pairs),
        "exact": sum(p["exact"] for p in pairs), "all": 12,
    } | {kind: sum(p["contradiction"] == kind for p in pairs) for kind in ("class", "presence", "overlap")}  # fmt: skip
    for kind, count in counts.items():
        page.locator("#kind").select_option(kind)
        assert page.locator(".row").count() == count
    page.locator("#kind").select_option("all")
    page.locator("#order").select_option("distance")
    shown = [float(text) for text in page.locator(".row .far").all_text_contents()]
    assert shown == sorted(p["distance"] for p in pairs)
    page.keyboard.press("Tab")
    page.locator("#about-a [data-word=drop]").click()
    page.locator("#decided").select_option("no")
    assert page.locator(".row").count() == 11
    page.locator("#decided").select_option("yes")
    assert page.locator(".row").count() == 1
    page.locator("#query").fill("nothing has this name")
    expect(page.locator("#place")).to_have_text("No pair fits.")
    expect(page.locator("#about-a")).to_be_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("2")


def test_decisions_are_saved_and_loaded_again(opened: Opener, page: Page, tmp_path: Path) -> None:
    opened("audit")
    names = [image["name"] for image in make_audit()["images"]]
    for key in "25j16":
        page.keyboard.press(key)
    with page.expect_download() as waiting:
        page.locator("#save").click()
    assert waiting.value.suggested_filename == "scans-decisions.json"
    saved = json.loads(Path(waiting.value.path()).read_text(encoding="utf-8"))
    decisions = {names[0]: "drop", names[1]: "drop", names[2]: "keep", names[3]: "unsure"}
    own = {"data": "scans", "key": embedded(render(make_audit()))["key"]}
    assert saved == {"format": 1, "kind": "audit-decisions", **own, "decisions": decisions}
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#clear").click()
    expect(page.locator("#decisions")).to_have_text("Nothing decided yet.")
    other = tmp_path / "mine.json"
    other.write_text(json.dumps(saved | {"decisions": decisions | {"elsewhere.png": "keep"}}))
    page.locator("#load").set_input_files(other)
    expect(page.locator("#decisions")).to_contain_text("Loaded 5 decisions, 1 of them on images of no pair here.")
    assert (pressed(page, "a"), pressed(page, "b")) == (["keep"], ["unsure"])
    other.write_text(json.dumps(saved | {"data": "nerves", "key": "sha256:0"}))
    page.locator("#load").set_input_files(other)
    told = "Loaded 4 decisions, made on other images (nerves) than those of scans."
    expect(page.locator("#decisions")).to_contain_text(told)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"kind": "audit-decisions"}', '{"format": 1, "kind": "audit-decisions", "decisions": {"a": "x"}}'],
)
def test_a_file_that_holds_no_decisions_is_refused(opened: Opener, page: Page, tmp_path: Path, text: str) -> None:
    opened("audit")
    page.keyboard.press("1")
    foreign = tmp_path / "foreign.json"
    foreign.write_text(text)
    page.locator("#load").set_input_files(foreign)
    expect(page.locator("#decisions")).to_contain_text("foreign.json holds no decisions of an audit.")
    assert pressed(page, "a") == ["keep"]


def test_decisions_outlive_the_page(opened: Opener, page: Page) -> None:
    opened("audit")
    page.keyboard.press("2")
    expect(page.locator("#decisions")).to_contain_text("Kept in this browser until cleared.")
    page.reload()
    assert pressed(page, "a") == ["drop"]


def test_a_browser_that_keeps_nothing_is_told(opened: Opener, page: Page) -> None:
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })")
    opened("audit")
    page.keyboard.press("2")
    expect(page.locator("#decisions")).to_contain_text("Kept only while this page is open: save them.")


def test_a_name_that_means_something_to_scripts_is_a_name(opened: Opener, page: Page) -> None:
    opened("hostile audit")
    expect(page.locator("#about-a .name")).to_have_text("__proto__")
    page.keyboard.press("2")
    with page.expect_download() as waiting:
        page.locator("#save").click()
    assert json.loads(Path(waiting.value.path()).read_text())["decisions"] == {"__proto__": "drop"}


def test_blinking_swaps_and_aligns(opened: Opener, page: Page) -> None:
    opened("audit")
    expect(page.locator("#screen-a")).to_be_visible()
    expect(page.locator("#screen-b")).to_be_visible()
    page.keyboard.press("b")
    expect(page.locator("#screen-a")).to_be_visible()
    expect(page.locator("#screen-b")).to_be_hidden()
    page.keyboard.press("b")
    expect(page.locator("#screen-a")).to_be_hidden()
    expect(page.locator("#screen-b")).to_be_visible()
    # B lies 3 pixels of 160 further right and 2 of 120 higher: it is moved back by as much
    move = page.locator("#screen-b img").first.evaluate(
        """i => { const m = new DOMMatrix(getComputedStyle(i).transform);
        return [m.e / i.offsetWidth, m.f / i.offsetHeight]; }"""
    )
    assert move == pytest.approx([-3 / 160, 2 / 120], abs=1e-4)
    boxes = [page.locator(f"#screen-{end}").bounding_box() for end in "ab"]
    assert boxes[0] == boxes[1]
    page.locator("#swap").click()
    expect(page.locator("#screen-a")).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator("#screen-b")).to_be_visible()


def test_images_of_two_sizes_blink_in_one_place(page: Page, tmp_path: Path) -> None:
    findings = make_audit()
    findings["images"][1]["size"] = [300, 100]
    pictures = make_pictures(findings)
    pictures[1]["image"] = flat(90, (20, 60))
    page.goto(write(findings, tmp_path / "sizes.html", pictures=pictures).as_uri())
    page.keyboard.press("b")
    boxes = [page.locator(f"#screen-{end} img").first for end in "ab"]
    assert len({tuple(box.evaluate("i => [i.offsetWidth, i.offsetHeight]")) for box in boxes}) == 1
    expect(page.locator("#remark")).to_contain_text("B is drawn at the size of A and moved back by its shift of 3.0 px")


def flat(grey: int, size: tuple[int, int] = (32, 24)) -> str:
    buffer = io.BytesIO()
    Image.new("L", size, grey).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_blinking_by_itself_goes_on_until_told(opened: Opener, page: Page) -> None:
    page.clock.install()
    opened("audit")
    page.keyboard.press("b")
    page.clock.run_for(5000)
    expect(page.locator("#screen-b")).to_be_hidden()  # nothing moves unasked
    page.locator("#auto").check()
    page.clock.run_for(750)
    expect(page.locator("#screen-b")).to_be_visible()
    page.clock.run_for(700)
    expect(page.locator("#screen-b")).to_be_hidden()


def test_outlines_can_be_hidden(opened: Opener, page: Page) -> None:
    opened("audit")
    outline = page.locator("#screen-a .outline")
    expect(outline).to_be_visible()
    page.keyboard.press("o")
    expect(outline).to_be_hidden()
    page.locator("#outlines").check()
    expect(outline).to_be_visible()


def light(page: Page) -> float:
    """Mean brightness of the difference, where nothing is drawn over it."""
    return float(
        page.locator("#difference").evaluate(
            """canvas => { const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let s = 0; for (let i = 0; i < d.length; i += 4) s += d[i] + d[i + 1] + d[i + 2]; return s / d.length; }"""
        )
    )


def test_the_difference_is_small_where_the_shift_and_the_light_are_known(opened: Opener, page: Page) -> None:
    opened("audit")
    page.locator("#outlines").uncheck()
    page.locator("[name=mode][value=difference]").check()
    remark = page.locator("#remark")
    expect(remark).to_contain_text("grey levels apart on average")
    expect(remark).to_contain_text("moved back by its shift of 3.0 px right, 2.0 px up")
    aligned = light(page)
    value = float((remark.text_content() or "").split()[0])
    page.locator("#match").uncheck()
    expect(remark).not_to_contain_text(f"{value} of 255")
    assert light(page) > 1.5 * aligned
    page.locator("#match").check()
    page.locator("#after").click()  # without a shift
    expect(remark).not_to_contain_text("moved back")
    assert float((remark.text_content() or "").split()[0]) > 1.5 * value
    expect(page.locator("#difference")).to_have_attribute("aria-label", re.compile("Difference of A and B"))


def test_the_difference_of_pictures_is_exact(page: Page, tmp_path: Path) -> None:
    """Two flat pictures of 100 and 90 grey levels: 10 apart, and none once the brightness is matched."""
    findings = make_audit()
    findings["pairs"] = [findings["pairs"][0] | {"shift": None}]
    pictures: dict[int, dict[str, str | None]] = {i: {"image": flat(g), "mask": None} for i, g in enumerate((100, 90))}
    page.goto(write(findings, tmp_path / "flat.html", pictures=pictures).as_uri())
    page.keyboard.press("d")
    expect(page.locator("#remark")).to_contain_text("0.0 of 255 grey levels apart")
    page.locator("#match").uncheck()
    expect(page.locator("#remark")).to_contain_text("10.0 of 255 grey levels apart")
    assert light(page) == pytest.approx((0.35 + 0.6 + 1) * 40 / 4, abs=0.01)  # of four channels, four times as strong


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_pressed_stands_out_in_both_themes(opened: Opener, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened("audit")
    page.keyboard.press("2")
    paper, button = brightness(page, "html", "backgroundColor"), "#about-a [data-word=drop]"
    back = brightness(page, button, "backgroundColor")
    assert (paper < 200) == (scheme == "dark")
    assert abs(paper - back) > 200
    assert abs(brightness(page, button, "color") - back) > 200


def test_the_chart_tells_its_bars(opened: Opener, page: Page) -> None:
    opened("audit")
    page.locator("[aria-label^='0.05 to 0.1: 6 candidate']").first.hover()
    expect(page.locator("#tip")).to_contain_text("0.05 to 0.1: 6 candidate pairs")


def test_a_doubtful_label_is_seen_beside_an_example_and_changed(opened: Opener, page: Page, tmp_path: Path) -> None:
    opened("audit of labels")
    expect(page.locator("#shown")).to_have_text("12 pairs and 3 doubtful labels")
    page.locator("#kind").select_option("label")
    expect(page.locator("#shown")).to_have_text("3 of 15 pairs and labels")
    expect(page.locator("#place")).to_have_text("Label 1 of 3")
    names = [image["name"] for image in make_audit()["images"]]
    expect(page.locator("#about-a .name")).to_have_text(names[0])
    expect(page.locator("#about-b .name")).to_have_text(f"{names[1]}, an example of malignant")
    expect(page.locator("#facts")).to_contain_text("more likely malignant, probability 0.970")
    expect(page.locator("#about-b .decide")).to_be_hidden()
    page.locator("#place").click()
    page.keyboard.press("r")
    expect(page.locator("#relabel-a")).to_have_value("malignant")
    page.locator("#evidence").select_option("unsure")
    expect(page.locator("#place")).to_have_text("Label 1 of 1")
    page.locator("#relabel-a").select_option("malignant")
    page.locator("#relabel-a").select_option("")
    expect(page.locator("#decisions")).to_contain_text("1 image decided (1 relabel)")
    for button, name in (("#save", "scans-decisions.json"), ("#save-table", "scans-decisions.csv")):
        with page.expect_download() as download:
            page.locator(button).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    assert json.loads((tmp_path / "scans-decisions.json").read_text())["decisions"] == {names[0]: "relabel:malignant"}
    table = (tmp_path / "scans-decisions.csv").read_text()
    assert table.split() == ["name,decision,label", f"{names[0]},relabel,malignant"]


def test_the_contact_sheet_is_gone_through_by_keys(opened: Opener, page: Page) -> None:
    opened("audit of labels")
    page.keyboard.press("c")
    expect(page.locator("#stage")).to_be_hidden()
    expect(page.locator("#sheet-place")).to_have_text("Pair 1 of 15")
    expect(page.locator(".cell").first).to_contain_text(make_audit()["images"][0]["name"])
    for key in ("d", "ArrowRight", "k", "End", "u"):
        page.keyboard.press(key)
    expect(page.locator("#sheet-place")).to_have_text("Pair 15 of 15")
    expect(page.locator("#decisions")).to_contain_text("5 images decided (2 keep, 1 drop, 2 unsure), 4 of 12 pairs and")
    page.keyboard.press("u")  # once more takes it back
    expect(page.locator("#decisions")).to_contain_text("3 images decided (2 keep, 1 drop), 3 of 12 pairs and")
    page.locator("#kind").select_option("label")
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#bulk [data-word=relabel]").click()
    expect(page.locator("#decisions")).to_contain_text("3 relabel")
    page.locator("#sheet").press("Enter")
    expect(page.locator("#stage")).to_be_visible()


def test_no_name_is_cut_short_in_list_or_sheet(page: Page, tmp_path: Path) -> None:
    audit = make_audit()
    for i, image in enumerate(audit["images"]):
        wide = "\u56fe" * (i % 7)
        image["name"] = f"{'a folder with a long name/' * (i % 5)}{i}-{wide}.png"
    page.goto(write(audit, tmp_path / "audit.html").as_uri())
    fits = "all => all.every(e => e.scrollHeight <= e.clientHeight + 1)"
    assert page.locator(".row").evaluate_all(fits)
    page.keyboard.press("c")
    expect(page.locator(".cell").first).to_be_visible()
    assert page.locator(".cell").evaluate_all(fits)
    for i in range(2):
        expect(page.locator(".cell").first).to_contain_text(audit["images"][i]["name"])
