"""The page of a rotation probe: whole, self-contained, escaped, and its figures where they belong."""

import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from plexus.errors import RunError
from plexus.report import _rotation_charts as charts
from plexus.report import _rotation_view as view
from plexus.report import render_rotation, rotation_lines, write_rotation
from plexus.report._words import MINUS, THIN
from tests.report.probes import hostile_probe, make_probe
from tests.report.records import HOSTILE
from tests.report.test_charts import marks, wide
from tests.report.test_page import Elements


@pytest.fixture(scope="module")
def made() -> str:
    return render_rotation(make_probe())


def test_nothing_is_loaded_from_elsewhere(made: str) -> None:
    elements = Elements(made)
    assert set(re.findall(r"https?://[^\s\"'<)]*", made)) == {"http://www.w3.org/2000/svg"}
    (policy,) = (m["content"] for m in elements.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [a for _, a in elements.found if "style" in a or any(name.startswith("on") for name in a)]
    assert all(image["src"].startswith("data:image/png;base64,") for image in elements.named("img"))


def test_the_figures_are_told_with_their_intervals(made: str) -> None:
    text = Elements(made).text.replace(THIN, " ")
    assert "95.0 % right upright, 41.2 % after quarter turns, 56.7 % at all other angles." in text
    assert "40 of 359 test images, each turned counter-clockwise to 24 angles." in text
    for group in make_probe()["models"][0]["curve"]["summary"]["groups"].values():
        low, high = group["accuracy_ci"]
        assert f"{100 * group['accuracy']:.1f} % {100 * low:.1f}\u2013{100 * high:.1f}" in text
        assert f"{group['drift']:.2f}" in text
    for said in ("plexus probe runs/net digits --angles 15", "row 31", "sha256:5f2b9c0e71d34a88", "seed 3"):
        assert said in text
    assert "net was trained on this data, and these are its own test images." in text


def test_failures_show_both_pictures_and_the_shorter_turn(made: str) -> None:
    elements = Elements(made)
    assert len(elements.named("img")) == 8
    text = elements.text.replace(THIN, " ")
    assert "at 15\u00b0 0 taken for 3 , 76.5 % sure 0: 90.0 % upright, 12.3 % here" in text
    assert f"at {MINUS}15\u00b0 1 taken for 4" in text


def test_the_fate_of_images_that_are_right_upright(made: str) -> None:
    turns = sorted(t for t in make_probe()["models"][0]["curve"]["summary"]["first_failure"] if t)
    text = Elements(made).text
    assert "Of 38 images it gets right upright, 8 stay right at every angle probed; half have failed" in text
    assert f"half have failed once turned by {turns[18]}\u00b0 to either side." in text  # the 19th of 38


def test_the_flat_curve_has_a_point_per_told_angle_and_tells_exact_ones_apart() -> None:
    model = view.models(make_probe())
    labels = marks(wide(charts.flat(model)))
    assert len(labels) == 25  # 24 angles, and 0 again at 360
    exact = [label for label in labels if "(exact)" in label]
    assert sorted(exact) == sorted(
        f"net, {a}\u00b0 (exact): {100 * (0.55 + 0.4 * math.cos(math.radians(a))):.1f}{THIN}%"
        for a in (0, 0, 90, 180, 270)
    )
    assert [label for label in labels if "net, 15\u00b0:" in label] == [f"net, 15\u00b0: 93.6{THIN}%"]


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
    svg = wide(charts.polar(view.models(probe)))
    (_, top), (left, middle), (centre, bottom), (right, _) = (
        points(svg, f"net, {a}\u00b0 ") for a in (0, 90, 180, 270)
    )
    radius = bottom - middle
    assert radius > 20
    assert (top, left, right) == pytest.approx((middle - radius, centre - radius, centre + radius), abs=0.2)


def test_the_band_tells_its_quartiles() -> None:
    labels = marks(wide(charts.band(view.models(make_probe())[0])))
    mean, low, high = 0.9 * 0.55, 0.7 * 0.55, 0.55
    assert (
        f"net, 90\u00b0 (exact): {100 * mean:.1f}{THIN}%, quartiles {100 * low:.1f}{THIN}% and {100 * high:.1f}{THIN}%"
        in labels
    )


def test_a_box_holds_the_quantiles_over_images() -> None:
    probe = make_probe(2)
    values = sorted(probe["models"][1]["curve"]["summary"]["percent_correct"])

    def quantile(q: float) -> float:
        at = q * (len(values) - 1)
        low = math.floor(at)
        return values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low])

    _, label = marks(wide(charts.boxes(view.models(probe))))
    assert label == (
        f"net 2: median {quantile(0.5):.1f} % of the angles, half of the images between {quantile(0.25):.1f} and "
        f"{quantile(0.75):.1f}, nine in ten between {quantile(0.05):.1f} and {quantile(0.95):.1f}, "
        f"mean {sum(values) / len(values):.1f}"
    )


def test_several_models_are_ranked_and_each_has_its_color() -> None:
    page = render_rotation(make_probe(8))
    text = Elements(page).text.replace(THIN, " ")
    assert re.search(r"Over all angles net \d is right on 55\.0 %; 55\.0 % net", text)
    found = view.models(make_probe(8))
    assert len({(model["color"], model["dashed"]) for model in found}) == 8
    for model in found:
        assert text.count(model["name"]) >= 6


def test_text_of_the_record_makes_no_element() -> None:
    found = Elements(render_rotation(hostile_probe()))
    assert len(found.named("img")) == 12  # what is no embedded picture is left out
    assert len(found.named("script")) == 2
    assert not [a for _, a in found.found if any(name.startswith("on") for name in a)]
    assert found.text.count(HOSTILE) >= 20


@pytest.mark.parametrize(
    "wrong", [{}, [], {"format": 1, "kind": "fit"}, {"format": 2, "kind": "rotation", "models": [1]}]
)
def test_what_is_no_probe_is_refused(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a rotation probe"):
        write_rotation(wrong, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_both_files_are_written_and_the_page_comes_from_the_record(made: str, tmp_path: Path) -> None:
    page = write_rotation(make_probe(), tmp_path / "a" / "b")
    assert page == tmp_path / "a" / "b" / "rotation.html"
    assert sorted(p.name for p in page.parent.iterdir()) == ["rotation.html", "rotation.json"]
    record = json.loads((page.parent / "rotation.json").read_text())
    assert record == make_probe()
    assert render_rotation(record) == page.read_text(encoding="utf-8") == made


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot create the folder: .*; name another with --out"):
        write_rotation(make_probe(), tmp_path / "file" / "out")


def test_the_lines_say_the_figures() -> None:
    lines = rotation_lines(make_probe(2))
    assert len(lines) == 7
    assert lines[0].split()[:3] == ["model", "degrees", "accuracy"]
    words = "net 1 90, 180, 270 41.2 % 36.2..46.2 43.3 % 0.871"
    assert lines[2].replace(THIN, " ").split() == words.split()
    assert len({len(line) for line in lines}) == 1


def test_a_name_stays_on_its_line() -> None:
    assert "\n" not in "".join(rotation_lines(make_probe(name="two\nlines")))


def test_one_image_and_one_angle_are_enough() -> None:
    probe = make_probe()
    summary = probe["models"][0]["curve"]["summary"]
    for key, value in summary.items():
        if isinstance(value, list):
            summary[key] = value[:1]
    summary["images"] = 1
    summary["groups"] = {"upright": summary["groups"]["upright"], "exact": {}, "interpolated": {}}
    probe["models"][0]["failures"] = []
    text = Elements(render_rotation(probe)).text
    assert "No image that is right upright fails at any angle probed." in text
