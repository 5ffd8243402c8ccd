"""The page of a rotation probe: its figures where they belong."""

import math
import re
from xml.etree import ElementTree

import pytest

from plexus.errors import RunError
from plexus.record import RobustnessRecord
from plexus.report import render, rotation_lines
from tests.report.findings import make_probe
from tests.report.pages import MINUS, THIN, Elements, chart, charts, marks, said, ticks


@pytest.fixture(scope="module")
def made() -> str:
    return render(make_probe())


def test_the_figures_are_told_with_their_intervals(made: str) -> None:
    text = said(made)
    assert "95.0 % right upright, 41.2 % after quarter turns, 56.7 % at all other angles." in text
    assert "40 of 359 test images, each turned counter-clockwise to 24 angles." in text
    for group in make_probe()["models"][0]["curve"]["summary"]["groups"].values():
        low, high = group["accuracy_ci"]
        assert f"{100 * group['accuracy']:.1f} % {100 * low:.1f}\u2013{100 * high:.1f}" in text
        assert f"{group['drift']:.2f}" in text
    for word in ("plexus probe runs/net digits --angles 15", "row 31", "sha256:5f2b9c0e71d34a88", "seed 3"):
        assert word in text
    assert "net was trained on this data, and these are its own test images." in text


def test_failures_show_both_pictures_and_the_shorter_turn(made: str) -> None:
    assert len(Elements(made).named("img")) == 8
    assert "at 15\u00b0 0 taken for 3 , 76.5 % sure 0: 90.0 % upright, 12.3 % here" in said(made)
    assert f"at {MINUS}15\u00b0 1 taken for 4" in said(made)


def test_the_fate_of_images_that_are_right_upright(made: str) -> None:
    turns = sorted(t for t in make_probe()["models"][0]["curve"]["summary"]["first_failure"] if t)
    text = said(made)
    assert "Of 38 images it gets right upright, 8 stay right at every angle probed; half have failed" in text
    assert f"half have failed once turned by {turns[18]}\u00b0 to either side." in text  # the 19th of 38


def test_the_flat_curve_has_a_point_per_told_angle_and_tells_exact_ones_apart(made: str) -> None:
    svg = chart(made, "Accuracy in percent against the angle")
    labels = marks(svg)
    assert len(labels) == 25  # 24 angles, and 0 again at 360
    exact = [label for label in labels if "(exact)" in label]
    assert sorted(exact) == sorted(
        f"net, {a}\u00b0 (exact): {100 * (0.55 + 0.4 * math.cos(math.radians(a))):.1f}{THIN}%"
        for a in (0, 0, 90, 180, 270)
    )
    assert [label for label in labels if "net, 15\u00b0:" in label] == [f"net, 15\u00b0: 93.6{THIN}%"]
    assert ticks(svg)[:9] == [f"{a}\u00b0" for a in range(0, 361, 45)]


def points(svg: str, text: str) -> tuple[float, float]:
    """Where the mark with a label is drawn."""
    root = ElementTree.fromstring(svg)
    mark, *_ = (e for e in root.iter() if e is not root and text in e.attrib.get("aria-label", ""))
    found = re.match(r"translate\(([-\d.]+),([-\d.]+)\)", mark.attrib["transform"])
    assert found
    return float(found[1]), float(found[2])


def test_the_round_curve_turns_counter_clockwise_from_the_top() -> None:
    probe = make_probe()
    probe["models"][0]["curve"]["summary"]["accuracy"] = [0.6] * 24  # a circle
    svg = chart(render(probe), "Accuracy, %, against the angle, drawn round")
    (_, top), (left, middle), (centre, bottom), (right, _) = (
        points(svg, f"net, {a}\u00b0 ") for a in (0, 90, 180, 270)
    )
    radius = bottom - middle
    assert radius > 20
    assert (top, left, right) == pytest.approx((middle - radius, centre - radius, centre + radius), abs=0.2)


def test_the_band_tells_its_quartiles(made: str) -> None:
    mean, low, high = (f"{100 * share * 0.55:.1f}{THIN}%" for share in (0.9, 0.7, 1))
    labels = marks(chart(made, "Mean probability of the true class"))
    assert f"net, 90\u00b0 (exact): {mean}, quartiles {low} and {high}" in labels


def test_a_box_holds_the_quantiles_over_images() -> None:
    probe = make_probe(2)
    values = sorted(probe["models"][1]["curve"]["summary"]["percent_correct"])

    def quantile(q: float) -> float:
        at = q * (len(values) - 1)
        low = math.floor(at)
        return float(values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low]))

    svg = chart(render(probe), "Percentage of angles classified correctly")
    _, label = marks(svg)
    assert label == (
        f"net 2: median {quantile(0.5):.1f} % of the angles, half of the images between {quantile(0.25):.1f} and "
        f"{quantile(0.75):.1f}, nine in ten between {quantile(0.05):.1f} and {quantile(0.95):.1f}, "
        f"mean {sum(values) / len(values):.1f}"
    )
    assert {"net 1", "net 2"} < set(ticks(svg))


def test_several_models_are_ranked_and_each_has_its_color() -> None:
    page = render(make_probe(8))
    text = said(page)
    assert re.search(r"Over all angles net \d is right on 55\.0 %; 55\.0 % net", text)
    key = page[page.index('class="key models"') :]
    swatches = re.findall(r"<path stroke=([^>]*?)d=[^>]*/></svg>(net \d)", key[: key.index("</p>")])
    assert len({look for look, _ in swatches}) == len(swatches) == 8
    assert all(text.count(name) >= 6 for _, name in swatches)


def test_the_lines_say_the_figures() -> None:
    lines = rotation_lines(make_probe(2))
    assert len(lines) == 7
    assert lines[0].split()[:3] == ["model", "degrees", "accuracy"]
    words = "net 1 90, 180, 270 41.2 % 36.2..46.2 43.3 % 0.871"
    assert lines[2].split() == words.split()
    assert all(line.isprintable() for line in lines)  # what is not is escaped in a terminal
    assert len({len(line) for line in lines}) == 1
    assert rotation_lines(RobustnessRecord.from_dict(make_probe(2))) == lines


def test_a_name_stays_on_its_line() -> None:
    assert "\n" not in "".join(rotation_lines(make_probe(name="two\nlines")))


def test_the_lines_of_another_record_are_refused() -> None:
    with pytest.raises(RunError, match="not the record of `plexus probe`"):
        rotation_lines({"format": 1, "kind": "fit"})


def test_one_image_and_one_angle_are_enough() -> None:
    probe = make_probe()
    summary = probe["models"][0]["curve"]["summary"]
    for key, value in summary.items():
        if isinstance(value, list):
            summary[key] = value[:1]
    summary["images"] = 1
    summary["groups"] = {"upright": summary["groups"]["upright"], "exact": {}, "interpolated": {}}
    probe["models"][0]["failures"] = []
    page = render(probe)
    assert "No image that is right upright fails at any angle probed." in said(page)
    assert "95.0 % right upright." in said(page)
    assert len(rotation_lines(probe)) == 2
    assert len(charts(page)) == 6


def test_a_mask_that_changes_answers_is_warned_of() -> None:
    record = make_probe()
    record["models"][0]["unmasked"] = {"accuracy": 0.98, "ci": [0.9, 0.99], "same": 0.96}
    text = said(render(record))
    assert "The mask itself" not in text
    assert "0 no turn and no mask 98.0 % 90.0\u201399.0 \u2013 96.0 % as masked" in text
    assert rotation_lines(record)[-1].split() == ["net", "0,", "no", "mask", "98.0", "%", "90.0..99.0", "96.0", "%"]
    record["models"][0]["unmasked"]["same"] = 0.4
    words = (
        "The mask itself changes the answer of net on 60.0 % of the images, with no turn: 98.0 % are right with their "
        "corners, 95.0 % without. It needs what the mask takes away, so its curve says little about turns; --mask none "
        "keeps the corners."
    )
    assert words in said(render(record))
    assert rotation_lines(record)[-1] == words


def test_a_model_that_answers_alike_by_chance_is_not_called_steady() -> None:
    record = make_probe()
    groups = record["models"][0]["curve"]["summary"]["groups"]
    groups["upright"]["accuracy"], groups["interpolated"]["agreement"] = 0.1, 1.0
    assert "net is right on 10.0 % of the upright images, which is chance for 10 classes" in said(render(record))
    groups["interpolated"], groups["exact"]["agreement"] = {}, 1.0  # quarter turns alone
    assert "which is chance" in said(render(record))
    assert "which is chance" in rotation_lines(record)[-1]
    groups["upright"]["accuracy"] = 0.5
    assert "which is chance" not in said(render(record))
