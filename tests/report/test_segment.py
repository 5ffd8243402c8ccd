"""The page of a segmentation: its figures where they belong."""

import re
from typing import Any

import numpy as np
import pytest

from plexus.report import render
from tests.report.pages import MINUS, THIN, Elements, chart, embedded, marks, said, ticks
from tests.report.tasks import RESULTS, make_segment

CURVES: dict[str, Any] = {"folds": [], "shown": []}
"""Parts that take time to draw."""


@pytest.fixture(scope="module")
def made() -> str:
    return render(make_segment())


def test_the_figures_of_every_gate_are_told(made: str) -> None:
    text = said(made)
    assert "Dice 0.674 (0.643 to 0.702) over 60 out-of-fold images." in text
    assert "With the gate expected: 5 of 45 targets missed, 2 of 15 empty images given a mask." in text
    assert "With none: 0 of 45 targets missed, 9 of 15 empty images given a mask, Dice 0.601." in text
    for gate, (dice, present, missed, false) in RESULTS.items():
        name = f"{gate} chosen" if gate == "expected" else gate
        row = f"{name} {dice:.3f} {dice - 0.031:.3f}\u2013{dice + 0.028:.3f} {present:.3f}"
        assert row in text
        right = 100 * (60 - missed - false) / 60
        assert f"12.3 12.3\u201312.4 {missed} of 45 {false} of 15 {right:.1f} % 0.912" in text
    for word in (
        "plexus segment train nerves --cv 3",
        "1,234,567",
        "ONNX on one thread",
        "1.234",
        "0.777",
        "3 min 7 s",
        "2 soft masks",
    ):
        assert word in text
    assert "broken-7.png: cannot identify image file" in text


def test_gates_are_points_with_their_intervals(made: str) -> None:
    svg = chart(made, "Dice, target present of every gate")
    assert marks(svg) == [
        f"{gate}: {present:.3f}, interval {present - 0.031:.3f} to {present + 0.028:.3f}, 45 images"
        for gate, (_, present, _, _) in RESULTS.items()
    ]
    assert sorted(text for text in ticks(svg) if text in RESULTS) == sorted(RESULTS)


@pytest.mark.parametrize("present", [True, False])
def test_the_histogram_counts_images_with_and_without_a_target_apart(present: bool) -> None:
    record = make_segment(200, **CURVES)
    values = [line["dice"] for line in record["images"] if (line["truth_area"] > 0) == present]
    which = f"Distribution of Dice over {len(values)} images {'with' if present else 'without'} a target"
    labels = marks(chart(render(record), which))
    bars = [re.fullmatch(r"Dice ([\d.]+) to ([\d.]+): (\d+) images?", label) for label in labels[:-1]]
    for bar in bars:
        assert bar
        low, high = float(bar[1]), float(bar[2])
        assert int(bar[3]) == sum(low <= v < high or (high == v == 1) for v in values)
    assert sum(int(bar[3]) for bar in bars if bar) == len(values)
    assert labels[-1] == f"mean {np.mean(values):.3f}"


def test_calibration_tells_what_was_foretold_and_found(made: str) -> None:
    labels = marks(chart(made, "Share of images with a target"))
    assert len(labels) == 10
    assert f"foretold 34.0{THIN}%, found 33.3{THIN}% of 6 images" in labels
    assert not chart(render(make_segment(calibration=[], **CURVES)), "Share of images with a target")


def test_the_errors_follow_every_threshold_and_place_the_gates() -> None:
    record = make_segment(80, **CURVES)
    for image in record["images"]:
        image["presence"] = round(image["presence"], 1)  # ties
    svg = chart(render(record), "Targets found against empty images")
    labels = marks(svg)
    assert "expected: 5 of 60 targets missed, 2 of 20 empty images given a mask" in labels
    assert len(labels) == 3
    there = np.array([image["truth_area"] > 0 for image in record["images"]])
    p = np.array([image["presence"] for image in record["images"]])
    thresholds = sorted(set(p), reverse=True)
    expected = [(0.0, 0.0)] + [(float((p[~there] >= t).mean()), float((p[there] >= t).mean())) for t in thresholds]
    paths = [re.findall(r"(-?[\d.]+),(-?[\d.]+)", path) for path in re.findall(r' d="(M[^"Z]*)"', svg)]
    (curve,) = (np.array(path, float) for path in paths if len(path) == len(expected))
    side = curve[0, 1]  # the first point is at the bottom left
    assert np.allclose(np.stack([curve[:, 0], side - curve[:, 1]], 1) / side, expected, atol=0.002)


def test_a_set_where_every_image_has_a_target() -> None:
    record = make_segment(**CURVES)
    record["images"] = [line for line in record["images"] if line["truth_area"] > 0]
    for entry in record["results"].values():
        entry["presence"] |= {"negatives": 0, "false_positives": 0, "auc": None}
    text = said(render(record))
    assert "With the gate expected: 5 of 45 targets missed. With none" in text
    assert "there are no two errors to weigh" in text
    assert "Images without a target" not in text


def test_curves_have_a_line_per_fold_and_their_mean(made: str) -> None:
    svg, folds = chart(made, "Validation Dice over the epochs"), make_segment()["folds"]
    values = [[fold["epochs"][e]["val_dice"] for fold in folds] for e in range(12)]
    assert marks(svg) == [
        f"validation Dice, epoch {e}: {np.mean(v):.3f}, folds {min(v):.3f} to {max(v):.3f}"
        for e, v in enumerate(values, 1)
    ]
    assert len(re.findall(r'stroke-width="0.7"', svg)) == 3
    assert len(marks(chart(made, "Training and validation loss"))) == 24
    assert ticks(svg)[:7] == ["1", "3", "5", "7", "9", "11", "epochs"]
    bare = [{"fold": 0, "epochs": [{"val_dice": v} for v in (0.1, None, 0.3)]}]
    assert ticks(chart(render(make_segment(shown=[], folds=bare) | {"images": []}), "Validation Dice"))[:3] == [
        "1",
        "2",
        "3",
    ]


def cells(page: str) -> list[tuple[str, str, str]]:
    """Shade, mean and number of nets of every skip."""
    table = page[page.index('class="confusion skips"') :]
    found = re.findall(
        r'<td class="shade-(\d)">([^<]*?) ?(?:<small>(\d)</small>)?</td>', table[: table.index("</table>")]
    )
    return [(shade, mean, nets) for shade, mean, nets in found]


def test_skips_are_the_mean_of_the_nets_that_keep_them(made: str) -> None:
    expected = []
    for t in (4, 3, 2, 1):
        for s in range(1, 6):
            kept = sum(s + t != 5 + k % 2 for k in range(3))
            expected.append((f"{0.1 * s + 0.05 * t + 1e-9:.2f}", str(kept) if kept < 3 else ""))
    assert [(mean, nets) for _, mean, nets in cells(made)] == expected
    record = make_segment(shown=[]) | {"images": []}
    for fold in record["folds"]:
        fold |= {"wiring": None, "epochs": []}
    assert "Skip connections" not in said(render(record))
    edge = {"source": "enc1", "target": "dec1", "strength": -1}
    record["model"]["wiring"] = {"nodes": ["enc1", "dec1"], "edges": [edge]}
    assert cells(render(record)) == [("5", f"{MINUS}1.00", "")]


def test_worst_cases_carry_their_layers(made: str) -> None:
    elements, record = Elements(made), make_segment()
    layers = [image for image in elements.named("img") if "layer" in image.get("class", "")]
    assert len(layers) == 3 * len(record["shown"])
    for entry in record["shown"]:
        for key in ("truth", "prediction", "error"):
            assert {"class": f"layer {key}", "src": entry[key], "alt": ""} in layers
        fault = " target missed" if entry["truth_area"] and not entry["area"] else ""
        fault = " no target, yet a mask" if not entry["truth_area"] and entry["area"] else fault
        assert re.search(
            rf"Dice {entry['dice']:.3f}{fault} target [\d.]+ %, mask [\d.]+ %, .* {entry['name']}", said(made)
        )


def test_the_table_gets_every_image(made: str) -> None:
    assert embedded(made)["images"] == make_segment()["images"]


def test_numbers_that_are_none_are_left_out() -> None:
    record = make_segment(**CURVES)
    record["images"][0] |= {"hausdorff95": float("nan"), "presence": None, "truth_area": None}
    row = embedded(render(record))["images"][0]
    assert (row["hausdorff95"], row["presence"], row["truth_area"]) == (None, None, None)


def test_a_run_that_has_not_finished_shows_its_epochs() -> None:
    record = make_segment()
    bare = {key: record[key] for key in ("format", "kind", "data", "folds")}
    bare["folds"] = [{**record["folds"][0], "epochs": record["folds"][0]["epochs"][:5]}]
    text = said(render(bare))
    assert "This run has not finished: 5 epochs recorded so far." in text
    assert "Every image" not in text
    assert "The gate" not in text


def test_few_images_are_counted_in_whole_numbers() -> None:
    few = [image | {"dice": 0.0} for image in make_segment()["images"] if image["truth_area"] == 0][:2]
    svg = chart(render(make_segment(**CURVES) | {"images": few}), "Distribution of Dice over 2 images without")
    assert [text for text in ticks(svg) if text in ("0", "1", "2")] == ["0", "1", "2"]


def test_intervals_and_evaluations_say_what_they_are_of() -> None:
    record = make_segment(**CURVES)
    assert "by bootstrap over groups." in said(render(record))
    record["data"]["groups"], record["measured_on"] = None, "others"
    text = said(render(record))
    assert "95\xa0% by bootstrap over images." in render(record)
    assert "Dice 0.674 (0.643 to 0.702) over 60 images of others." in text


@pytest.mark.parametrize(
    ("presence", "present", "says"),
    [
        (
            {"positives": 45, "negatives": 15, "false_negatives": 45, "false_positives": 0}, 0.0,
            "Nothing was found: all 45 targets were missed. Dice {dice} over {on} comes of empty images alone.",
        ),
        (
            {"positives": 1, "negatives": 0, "false_negatives": 1, "false_positives": 0}, 0.0,
            "Nothing was found: the one target was missed. Dice {dice} over {on}.",
        ),
        (
            {"positives": 0, "negatives": 60, "false_negatives": 0, "false_positives": 4}, None,
            "The target was absent everywhere, so nothing is known of how it is found. Dice {dice} over {on} comes of "
            "empty images alone.",
        ),
        (
            {"positives": 45, "negatives": 15, "false_negatives": 5, "false_positives": 0}, 0.0,
            "Nothing was found: no mask touches its target, of 45 targets. Dice {dice}",
        ),
        ({"positives": 45, "negatives": 15, "false_negatives": 5, "false_positives": 0}, 0.4, "Dice {dice} over {on}."),
    ],
)  # fmt: skip
def test_the_headline_says_where_nothing_was_found(presence: dict[str, int], present: float | None, says: str) -> None:
    raw = make_segment()
    chosen = raw["results"][raw["chosen"]]
    chosen["presence"] |= presence
    for row in raw["results"].values():
        row["dice_present"] = None if present is None else {"mean": present, "n": 45}
    d = chosen["dice"]
    usual = said(render(make_segment()))
    on = re.search(r"Dice [\d.]+ \([\d.]+ to [\d.]+\) over ([^.]*)\.", usual)
    assert on is not None
    dice = f"{d['mean']:.3f} ({d['low']:.3f} to {d['high']:.3f})"
    headline = said(render(raw)).partition(": ")[2]
    assert headline.startswith(says.format(dice=dice, on=on[1]))


def test_the_headline_says_which_gate_misses_what_another_draws() -> None:
    raw = make_segment()
    chosen = raw["results"][raw["chosen"]]
    chosen["presence"] |= {"positives": 45, "negatives": 15, "false_negatives": 45, "false_positives": 0}
    chosen["dice_present"] = {"mean": 0.0, "n": 45}
    raw["results"]["none"]["dice_present"] = {"mean": 0.64, "n": 45}
    raw["results"]["0.5"]["dice_present"] = {"mean": 0.6, "n": 45}
    words = "all 45 targets were missed by the gate expected; with none Dice is 0.640 where the target is. Dice"
    assert words in said(render(raw))
