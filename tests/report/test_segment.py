"""The page of a segmentation as text: self-contained, escaped, and its figures where they belong."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plexus.errors import RunError
from plexus.report import _segment_charts as charts
from plexus.report import _segment_curves as curves
from plexus.report import _segment_view as view
from plexus.report import render_segment, write_segment
from plexus.report._words import THIN
from tests.report.records import HOSTILE
from tests.report.segments import RESULTS, hostile_segment, make_segment
from tests.report.test_audit import embedded
from tests.report.test_charts import marks, wide
from tests.report.test_page import Elements


@pytest.fixture(scope="module")
def made() -> str:
    return render_segment(make_segment())


def test_nothing_is_loaded_from_elsewhere(made: str) -> None:
    elements = Elements(made)
    assert set(re.findall(r"https?://[^\s\"'<)]*", made)) == {"http://www.w3.org/2000/svg"}
    (policy,) = (m["content"] for m in elements.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert not [a for _, a in elements.found if "style" in a or any(name.startswith("on") for name in a)]
    assert all(image["src"].startswith("data:image/") for image in elements.named("img"))


def test_the_figures_of_every_gate_are_told(made: str) -> None:
    text = Elements(made).text.replace(THIN, " ")
    assert "Dice 0.674 (0.643 to 0.702) over 60 out-of-fold images." in text
    assert "With the gate expected: 5 of 45 targets missed, 2 of 15 empty images given a mask." in text
    assert "With none: 0 of 45 targets missed, 9 of 15 empty images given a mask, Dice 0.601." in text
    for gate, (dice, present, missed, false) in RESULTS.items():
        name = f"{gate} chosen" if gate == "expected" else gate
        row = f"{name} {dice:.3f} {dice - 0.031:.3f}\u2013{dice + 0.028:.3f} {present:.3f}"
        assert row in text
        right = 100 * (60 - missed - false) / 60
        assert f"12.3 12.3\u201312.4 {missed} of 45 {false} of 15 {right:.1f} % 0.912" in text
    for said in ("plexus segment train nerves --cv 3", "1,234,567", "1.234", "0.777", "3 min 7 s", "2 soft masks"):
        assert said in text
    assert "broken-7.png: cannot identify image file" in text


def test_gates_are_points_with_their_intervals() -> None:
    record = make_segment()
    labels = marks(wide(charts.gates(record["results"], "expected", "dice_present", "name")))
    assert labels == [
        f"{gate}: {present:.3f}, interval {present - 0.031:.3f} to {present + 0.028:.3f}, 45 images"
        for gate, (_, present, _, _) in RESULTS.items()
    ]
    assert charts.gates({"none": {"dice": None}}, "none", "dice", "name") == ""


@pytest.mark.parametrize("present", [True, False])
def test_the_histogram_counts_images_with_and_without_a_target_apart(present: bool) -> None:
    record = make_segment(200)
    values = [line["dice"] for line in record["images"] if (line["truth_area"] > 0) == present]
    labels = marks(wide(charts.histogram(view.images(record), present=present)))
    bars = [re.fullmatch(r"Dice ([\d.]+) to ([\d.]+): (\d+) images?", label) for label in labels[:-1]]
    for bar in bars:
        assert bar
        low, high = float(bar[1]), float(bar[2])
        assert int(bar[3]) == sum(low <= v < high or (high == v == 1) for v in values)
    assert sum(int(bar[3]) for bar in bars if bar) == len(values)
    assert labels[-1] == f"mean {np.mean(values):.3f}"


def test_calibration_tells_what_was_foretold_and_found() -> None:
    labels = marks(wide(charts.calibration(make_segment()["calibration"])))
    assert len(labels) == 10
    assert f"foretold 34.0{THIN}%, found 33.3{THIN}% of 6 images" in labels
    assert charts.calibration([]) == charts.calibration(None) == ""


def test_operating_points_are_those_of_every_threshold() -> None:
    images = view.images(make_segment(80))
    for image in images:
        image["presence"] = round(image["presence"], 1)  # ties
    there = np.array([image["truth_area"] > 0 for image in images])
    p = np.array([image["presence"] for image in images])
    expected = [(0.0, 0.0)] + [
        (float((p[~there] >= t).mean()), float((p[there] >= t).mean())) for t in sorted(set(p), reverse=True)
    ]
    assert np.allclose(charts.operating(images), expected)
    assert charts.operating([image for image in images if image["truth_area"] > 0]) == []


def test_errors_place_the_gates() -> None:
    record = make_segment()
    labels = marks(wide(charts.errors(view.images(record), record["results"], "expected")))
    assert "expected: 5 of 45 targets missed, 2 of 15 empty images given a mask" in labels
    assert len(labels) == 3


def test_a_set_where_every_image_has_a_target() -> None:
    record = make_segment()
    record["images"] = [line for line in record["images"] if line["truth_area"] > 0]
    for entry in record["results"].values():
        entry["presence"] |= {"negatives": 0, "false_positives": 0, "auc": None}
    text = Elements(render_segment(record)).text
    assert "With the gate expected: 5 of 45 targets missed. With none" in text
    assert "there are no two errors to weigh" in text
    assert "Images without a target" not in text


def test_curves_have_a_line_per_fold_and_their_mean() -> None:
    folds = make_segment()["folds"]
    found = curves.rows(folds, "val_dice", "validation Dice", "red")
    assert len([row for row in found if not row["mean"]]) == 36
    means = [row for row in found if row["mean"]]
    for e, row in enumerate(means):
        values = [fold["epochs"][e]["val_dice"] for fold in folds]
        assert row["value"] == pytest.approx(np.mean(values))
        assert (row["low"], row["high"], row["at"]) == (min(values), max(values), e + 1)
    labels = marks(wide(curves.dice(folds)))
    assert labels == [row["text"] for row in means]
    assert len(marks(wide(curves.losses(folds)))) == 24
    assert curves.losses([]) == curves.dice([{"fold": 0, "epochs": [{"val_dice": None}]}]) == ""


def test_skips_are_the_mean_of_the_nets_that_keep_them() -> None:
    record = make_segment()
    skips = view.skips(record)
    assert skips["sources"] == [f"enc{i}" for i in range(1, 6)]
    assert [row["name"] for row in skips["rows"]] == ["dec4", "dec3", "dec2", "dec1"]
    for row in skips["rows"]:
        t = int(row["name"][3])
        for s, cell in enumerate(row["cells"], 1):
            kept = sum(s + t != 5 + k % 2 for k in range(3))
            assert cell["nets"] == kept
            assert cell["text"] == f"{0.1 * s + 0.05 * t + 1e-9:.2f}"
    record["folds"][0]["wiring"] = record["folds"][1]["wiring"] = record["folds"][2]["wiring"] = None
    assert view.skips(record)["rows"] == []
    record["model"]["wiring"] = {
        "nodes": ["enc1", "dec1"],
        "edges": [{"source": "enc1", "target": "dec1", "strength": -1}],
    }
    (row,) = view.skips(record)["rows"]
    assert row["cells"] == [{"text": "\u22121.00", "shade": 5, "nets": 1}]


def test_worst_cases_carry_their_layers(made: str) -> None:
    elements = Elements(made)
    record = make_segment()
    layers = [image for image in elements.named("img") if "layer" in image.get("class", "")]
    assert len(layers) == 3 * len(record["shown"])
    for entry in record["shown"]:
        assert entry["name"] in elements.text
        for key in ("truth", "prediction", "error"):
            assert {"class": f"layer {key}", "src": entry[key], "alt": ""} in layers
    shown = view.shown(record)
    for entry, raw in zip(shown, record["shown"], strict=True):
        fault = "target missed" if raw["truth_area"] and not raw["area"] else ""
        fault = "no target, yet a mask" if not raw["truth_area"] and raw["area"] else fault
        assert entry["fault"] == fault


def test_the_table_gets_every_image(made: str) -> None:
    for row, line in zip(embedded(made, "data")["images"], make_segment()["images"], strict=True):
        assert row == line


def test_numbers_that_are_none_are_left_out() -> None:
    record = make_segment()
    record["images"][0] |= {"hausdorff95": float("nan"), "presence": None, "truth_area": None}
    row = embedded(render_segment(record), "data")["images"][0]
    assert (row["hausdorff95"], row["presence"], row["truth_area"]) == (None, None, None)


def test_a_run_that_has_not_finished_shows_its_epochs() -> None:
    record = make_segment()
    bare = {key: record[key] for key in ("format", "kind", "data", "folds")}
    bare["folds"] = [{**record["folds"][0], "epochs": record["folds"][0]["epochs"][:5]}]
    text = Elements(render_segment(bare)).text
    assert "This run has not finished: 5 epochs recorded so far." in text
    assert "Every image" not in text
    assert "The gate" not in text
    assert "This run has not finished: 0 epochs" in render_segment({"format": 1, "kind": "segment", "data": {}})


def test_marks_of_the_axes_are_whole() -> None:
    folds = [{"fold": 0, "epochs": [{"val_dice": v} for v in (0.1, 0.2, 0.3)]}]
    assert re.findall(r">(\d)</text>", wide(curves.dice(folds)))[:3] == ["1", "2", "3"]
    record = make_segment()
    few = [image for image in view.images(record) if image["truth_area"] == 0][:2]
    histogram = wide(charts.histogram([image | {"dice": 0.0} for image in few], present=False))
    assert re.findall(r">(\d)</text>", histogram) == ["0", "1", "2"]


def test_intervals_say_what_they_resample() -> None:
    record = make_segment()
    assert view.lede(record).endswith("by bootstrap over groups.")
    record["data"]["groups"] = None
    assert view.lede(record).endswith("by bootstrap over images.")


def test_an_evaluation_names_its_data() -> None:
    assert view.headline(make_segment(measured_on="others")) == "Dice 0.674 (0.643 to 0.702) over 60 images of others."


def test_text_of_the_record_makes_no_element() -> None:
    found = Elements(render_segment(hostile_segment()))
    images = found.named("img")
    assert all(image["src"].startswith("data:image/") for image in images)
    assert len(images) == 4 * 8 - 4 - 2  # a case without its picture; another without two layers
    assert len(found.named("script")) == 2
    assert not [a for _, a in found.found if any(name.startswith("on") for name in a)]
    assert found.text.count(HOSTILE) >= 15


@pytest.mark.parametrize(
    "wrong", [{}, [], None, {"format": 1, "kind": "fit"}, make_segment(format=2), make_segment(data=None)]
)
def test_what_is_no_segmentation_is_refused(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not the record of a segmentation"):
        write_segment(wrong, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_written_as_rendered_and_the_same_from_json(made: str, tmp_path: Path) -> None:
    path = write_segment(json.loads(json.dumps(make_segment())), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == made
