"""The drawing follows budget, epoch and measure, and can be read by pointer and by keyboard."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Opener, mapped
from tests.report.pages import THIN
from tests.report.records import make_record

pytestmark = pytest.mark.page

LIVE = ".arc:not(.cut)"
WIDTHS = "arcs => arcs.map(a => Number(a.getAttribute('stroke-width')))"


def made(legos: int) -> Any:
    """A record whose figures are all measured."""
    return make_record(legos)


def widths(page: Page) -> list[float]:
    found: list[float] = page.locator(".arc").evaluate_all(WIDTHS)
    return found


@pytest.mark.parametrize(("name", "legos"), [("one", 1), ("nine", 9), ("fifteen", 15)])
def test_every_budget_draws_its_connections_and_says_its_figures(opened: Opener, name: str, legos: int) -> None:
    page, record = opened(name), made(legos)
    expect(page.locator(".arc")).to_have_count(len(record.edges))
    expect(page.locator(".box")).to_have_count(len(record.nodes))
    first = record.budgets[0].val_accuracy
    for step, budget in enumerate(reversed(record.budgets)):
        page.locator("#budget").fill(str(step))
        expect(page.locator(LIVE)).to_have_count(budget.edges)
        expect(page.locator("#kept")).to_have_text(f"{budget.edges} of {len(record.edges)}")
        expect(page.locator("#parameters")).to_have_text(f"{budget.parameters:,}")
        expect(page.locator("#macs")).to_have_text(
            re.compile(rf"^{budget.macs / 1e6:.2f}\s?M$|^{budget.macs / 1e3:.0f}\s?k$")
        )
        expect(page.locator("#accuracy")).to_contain_text(f"{100 * budget.val_accuracy:.1f}{THIN}%")
        shown = page.locator("#accuracy").text_content() or ""
        change = re.search(r"\(([^)]*)\)", shown)
        stated = float(change[1].replace("\u2212", "-")) if change else 0.0
        assert stated == pytest.approx(100 * (budget.val_accuracy - first), abs=0.051)
        drawn = page.locator(LIVE).evaluate_all("arcs => arcs.map(a => Number(a.dataset.edge))")
        assert sorted(drawn) == budget.kept


def test_the_page_opens_at_the_chosen_budget(opened: Opener) -> None:
    page, record = opened("nine"), made(9)
    expect(page.locator(LIVE)).to_have_count(record.budgets[record.chosen or 0].edges)
    expect(page.locator("#chosen")).to_have_text("chosen in this run")
    page.locator("#budget").fill("0")
    expect(page.locator("#chosen")).to_be_empty()


def test_the_curve_marks_the_budget_shown(opened: Opener) -> None:
    page, record = opened("nine"), made(9)
    page.locator("#budget").fill("0")
    here = page.locator("#cost-charts .here")
    expect(here).to_have_count(2)
    least = record.budgets[-1]
    assert least.macs is not None
    assert least.val_accuracy is not None
    text = rf"^{least.macs / 1e6:.2f}\s?M multiply-adds: {100 * least.val_accuracy:.1f}"
    expect(here.last).to_have_attribute("aria-label", re.compile(text))  # the other is against parameters


def test_width_is_proportional_to_the_measure(opened: Opener) -> None:
    page, record = opened("nine"), made(9)
    page.locator("#budget").fill(str(len(record.budgets) - 1))
    for measure in ("strength", "gate", "ablation"):
        page.locator(f"input[value={measure}]").check()
        drawn = dict(
            page.locator(".arc").evaluate_all("a => a.map(e => [+e.dataset.edge, +e.getAttribute('stroke-width')])")
        )
        values = [getattr(edge, measure) for edge in record.edges]
        best = max(range(len(values)), key=values.__getitem__)
        for i, value in enumerate(values):
            assert drawn[i] == pytest.approx(max(0.9, drawn[best] * max(0, value) / values[best]), abs=0.02)


def test_the_slider_answers_to_the_keyboard(opened: Opener) -> None:
    page, record = opened("nine"), made(9)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "budget":
            break
    expect(page.locator("#budget")).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("#kept")).to_have_text("54 of 54")
    page.keyboard.press("ArrowLeft")
    second = record.budgets[1]
    expect(page.locator(LIVE)).to_have_count(second.edges)
    expect(page.locator("#budget")).to_have_attribute(
        "aria-valuetext", re.compile(rf"^{second.edges} of 54 connections")
    )


def test_play_moves_epochs_and_widths_and_ends_at_the_cut(opened: Opener) -> None:
    page = opened("nine")
    expect(page.locator("#epoch-label")).to_have_text("after the cut")
    page.locator("#play").click()
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator("#epoch-label")).to_have_text(re.compile(r"^epoch [1-3] of 12$"))
    before = widths(page)
    expect(page.locator("#epoch")).to_have_value(re.compile(r"^([4-9]|1\d)$"))
    assert widths(page) != before
    page.locator("#play").click()
    expect(page.locator("#play")).to_have_text("Play")
    held = page.locator("#epoch-label").text_content()
    still = widths(page)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert (page.locator("#epoch-label").text_content(), widths(page)) == (held, still)
    page.locator("#epoch").fill("11")
    page.locator("#play").click()
    page.locator("#epoch").fill("10")
    page.locator("#play").click()
    expect(page.locator("#epoch-label")).to_have_text("after the cut")
    expect(page.locator("#play")).to_have_text("Play")


def test_an_epoch_draws_its_gates(opened: Opener) -> None:
    page, record = opened("nine"), made(9)
    gates = [epoch.gates for epoch in record.epochs if epoch.phase == "learn"]
    most = max(1.0, *(gate for row in gates for gate in row))
    page.locator("#epoch").fill("5")
    expect(page.locator("#epoch-label")).to_have_text("epoch 6 of 12")
    expect(page.locator("#epoch")).to_have_attribute("aria-valuetext", "epoch 6 of 12")
    drawn = dict(
        page.locator(".arc").evaluate_all("a => a.map(e => [+e.dataset.edge, +e.getAttribute('stroke-width')])")
    )
    thickest = max(drawn[i] / gate for i, gate in enumerate(gates[5]) if gate > 0.5) * most
    for i, gate in enumerate(gates[5]):
        assert drawn[i] == pytest.approx(max(0.9 if record.edges[i].kept else 0, thickest * gate / most), abs=0.03)
    expect(page.locator("#measure input:enabled")).to_have_count(0)


@pytest.mark.parametrize("welcome", [True, False])
def test_arcs_move_between_epochs_unless_motion_is_unwelcome(opened: Opener, page: Page, welcome: bool) -> None:
    page.emulate_media(reduced_motion="no-preference" if welcome else "reduce")
    opened("nine")
    page.evaluate(
        """() => { window.seen = new Set(); new MutationObserver(() => {
            const widths = [...document.querySelectorAll('.arc')].map(a => a.getAttribute('stroke-width')).join();
            if (document.querySelector('.plexus.learning')) window.seen.add(widths);
        }).observe(document.querySelector('#drawing'), { subtree: true, attributes: true }); }"""
    )
    page.locator("#play").click()
    expect(page.locator("#epoch")).to_have_value(re.compile(r"^([3-9]|1\d)$"))
    page.locator("#play").click()
    epochs = 1 + int(page.locator("#epoch").input_value())
    assert (page.evaluate("window.seen.size") > epochs + 1) == welcome
    page.locator("#epoch").fill("12")
    transition = page.locator(".arc").first.evaluate("arc => getComputedStyle(arc).transitionDuration")
    assert (transition != "0s") == welcome


def test_pointing_at_a_layer_tells_what_it_reads(opened: Opener) -> None:
    page, record = opened("nine"), made(9)
    kept = [edge for edge in record.edges if edge.kept]
    page.locator(".box").nth(6).hover()
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("lego6")
    touching = [edge for edge in kept if "lego6" in (edge.source, edge.target)]
    for edge in touching:
        other = edge.source if edge.target == "lego6" else edge.target
        expect(tip).to_contain_text(f"{other}{edge.strength:.2f}")
    expect(page.locator(".arc.lit")).to_have_count(len(touching))
    page.mouse.move(2, 2)
    expect(tip).to_be_hidden()
    expect(page.locator(".pointed")).to_have_count(0)


def test_layers_are_reached_by_keyboard(opened: Opener) -> None:
    page = opened("nine")
    page.locator(".box").first.focus()
    expect(page.locator("#tip")).to_contain_text("input")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".box").nth(2)).to_be_focused()
    expect(page.locator("#tip")).to_contain_text("lego2")
    expect(page.locator(".box").nth(2)).to_have_attribute(
        "aria-label", re.compile("^lego2, Conv 3x3, 16 maps.*; reads lego1")
    )
    page.keyboard.press("End")
    expect(page.locator("#tip")).to_contain_text("head")
    page.keyboard.press("Escape")
    expect(page.locator("#tip")).to_be_hidden()
    expect(page.locator(".box[tabindex='0']")).to_have_count(1)


def test_pointing_at_a_connection_tells_its_figures(opened: Opener) -> None:
    page, record = opened("nine"), made(9)
    i = next(i for i, e in enumerate(record.edges) if e.kept and (e.source, e.target) == ("input", "lego6"))
    page.locator(".box").first.scroll_into_view_if_needed()
    spot = page.locator(f".arc[data-edge='{i}']").evaluate(
        """arc => { const middle = arc.getPointAtLength(arc.getTotalLength() / 2);
            const { x, y } = middle.matrixTransform(arc.getScreenCTM()); return [x, y]; }"""
    )
    page.mouse.move(*spot)
    expect(page.locator("#tip")).to_contain_text("input \u2192 lego6")
    expect(page.locator("#tip")).to_contain_text(f"gate{record.edges[i].gate:.2f}")
    expect(page.locator(".arc.lit")).to_have_count(1)


def test_a_line_is_as_faint_as_few_of_its_map_edges_are_kept(opened: Opener) -> None:
    page, record = opened("mapped"), mapped()
    for i, edge in enumerate(record.edges):
        kept, possible = edge.maps or (0, 1)
        opacity = page.locator(f'.arc[data-edge="{i}"]').get_attribute("stroke-opacity")
        assert float(opacity or 1) == pytest.approx(0.2 + 0.8 * kept / possible, abs=0.006)
    page.locator(".hit:not(.off)").first.dispatch_event("pointerenter")
    expect(page.locator("#tip")).to_contain_text(re.compile(r"map edges kept\d+ of 192"))
    first = next(edge for edge in record.edges if edge.kept)
    assert first.maps is not None
    expect(page.locator("#connections")).to_contain_text(f"{first.maps[0]} of 192")


def test_a_run_under_way_shows_its_latest_gates(opened: Opener) -> None:
    page = opened("learning")
    expect(page.locator(LIVE)).to_have_count(54)
    expect(page.locator("#epoch-label")).to_have_text("epoch 6 of 6")
    expect(page.locator("#kept")).to_have_text("54 of 54")
    expect(page.locator("#accuracy")).to_have_text("\u2013")
    page.locator("#epoch").fill("0")
    expect(page.locator("#epoch-label")).to_have_text("epoch 1 of 6")


def test_without_strength_the_gate_sets_the_width(opened: Opener) -> None:
    page = opened("bare")
    expect(page.get_by_text("Arcs are as wide as their gate")).to_be_visible()
    expect(page.locator("#measure")).to_have_count(0)
    expect(page.locator(LIVE)).to_have_count(16)
    assert max(widths(page)) > 3
    expect(page.locator("#accuracy")).to_have_text(f"97.6{THIN}%")
