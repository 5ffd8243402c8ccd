"""Masks of new images: at their own size, all or none, and as run lengths."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plexus.errors import ConfigError, DataError, RunError
from plexus.segment import evaluate, predict, submit, train
from plexus.segment.measure import gated
from plexus.segment.prediction import open_finished, to_png
from plexus.segment.rle import decode, encode
from tests.segment.discs import disc, read_record, small, write_discs, write_wide


def mask_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def bare(folder: Path, sizes: dict[str, int]) -> Path:
    """Images without masks."""
    for i, (name, side) in enumerate(sizes.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(disc(50 + i, present=True, side=side)[0]).save(folder / name)
    return folder


def test_masks_have_the_images_own_size(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"a.png": 32, "deep/b.png": 50, "c.png": 20})
    out = predict(crossed, [images], tmp_path / "masks", gate="none")
    found = {str(path.relative_to(out)) for path in out.rglob("*.*")}
    assert found == {"a_mask.png", "deep/b_mask.png", "c_mask.png", "presence.csv"}
    for name, side in (("a", 32), ("deep/b", 50), ("c", 20)):
        mask = mask_of(out / f"{name}_mask.png")
        assert mask.shape == (side, side)
        assert set(np.unique(mask)) <= {0, 255}
    rows = list(csv.DictReader((out / "presence.csv").read_text().splitlines()))
    assert {row["name"] for row in rows} == {"a", "deep/b", "c"}
    for row in rows:
        mask = mask_of(out / f"{row['name']}_mask.png")
        assert float(row["area"]) == pytest.approx((mask > 0).mean(), abs=1e-6)
        assert row["empty"] == str(int(not mask.any()))
        assert 0 <= float(row["presence"]) <= 1


def test_that_only_first_frames_are_read_is_told(crossed: Path, tmp_path: Path) -> None:
    told: list[str] = []
    frames = [Image.fromarray(disc(50 + i, present=True, side=32)[0]) for i in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    predict(crossed, [tmp_path / "a.gif"], tmp_path / "masks", tell=told.append)
    assert told[1:] == ["1 file holds several frames: the first is read (first: a.gif)"]


def test_the_mean_of_the_nets_answers(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"a.png": 32})
    run = open_finished(crossed)
    assert len(run.nets) == 2
    (found,) = run.answer([mask_of(images / "a.png")], flips=False, window=False)
    expected, _ = gated(run.gate("none"), found[0], found[0], found[1])
    out = predict(crossed, [images / "a.png"], tmp_path / "masks", gate="none")
    assert np.array_equal(mask_of(out / "a_mask.png") > 0, expected)


def test_a_gate_that_is_never_sure_leaves_all_empty(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"a.png": 32, "b.png": 32})
    out = predict(crossed, [images], tmp_path / "masks", gate="0.999999", flips=True, window=True)
    assert not mask_of(out / "a_mask.png").any()
    assert [row["empty"] for row in csv.DictReader((out / "presence.csv").read_text().splitlines())] == ["1", "1"]


def test_nothing_is_overwritten_or_half_written(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"a.png": 32, "b.png": 32})
    (images / "b.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"b\.png: .*--skip-unreadable"):
        predict(crossed, [images], tmp_path / "masks")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]
    told: list[str] = []
    predict(crossed, [images], tmp_path / "masks", skip_unreadable=True, tell=told.append)
    assert [line.partition(":")[0] for line in told if line.startswith("left out")] == ["left out b.png"]
    with pytest.raises(RunError, match="not an empty folder; name another with --out"):
        predict(crossed, [images], tmp_path / "masks", skip_unreadable=True)


def test_one_name_for_two_images(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"a.png": 32, "a.bmp": 32})
    with pytest.raises(DataError, match="a: two images have this name"):
        predict(crossed, [images / "a.png", images / "a.bmp"], tmp_path / "masks")


def test_one_place_may_be_given_alone(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"a.png": 32, "b.png": 40})
    listed = {path.name: path.read_bytes() for path in predict(crossed, [images], tmp_path / "listed").iterdir()}
    lengths = submit(crossed, [images], tmp_path / "listed.csv").read_text()
    places: tuple[str | Path, ...] = (images, str(images))
    for i, place in enumerate(places):
        alone = predict(crossed, place, tmp_path / f"{i}")
        assert {path.name: path.read_bytes() for path in alone.iterdir()} == listed
        assert submit(crossed, place, tmp_path / f"{i}.csv").read_text() == lengths


def test_an_unfinished_run_is_told(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"a.png": 32})
    for name in ("config.yaml", "record.json"):
        (tmp_path / name).write_bytes((crossed / name).read_bytes())
    with pytest.raises(RunError, match="not finished; go on with"):
        predict(tmp_path, [images], tmp_path / "masks")
    with pytest.raises(ConfigError, match="gate='2'"):
        predict(crossed, [images], tmp_path / "masks", gate="2")


def test_run_lengths_by_number(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"10.png": 32, "9.png": 40, "3.png": 3})
    out = predict(crossed, [images], tmp_path / "masks", gate="none")
    file = submit(crossed, [images], tmp_path / "submission.csv", gate="none")
    rows = list(csv.reader(file.read_text().splitlines()))
    assert rows[0] == ["img", "pixels"]
    assert [row[0] for row in rows[1:]] == ["3", "9", "10"]
    for name, pixels in rows[1:]:
        mask = mask_of(out / f"{name}_mask.png") > 0
        assert pixels == encode(mask, min_area=0)  # a small mask is one here, too
        assert np.array_equal(decode(pixels, mask.shape), mask)
    with pytest.raises(RunError, match="exists; name another"):
        submit(crossed, [images], tmp_path / "submission.csv")


def test_other_names_stay(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"1.png": 32, "x.png": 32})
    rows = list(csv.reader(submit(crossed, [images], tmp_path / "s.csv").read_text().splitlines()))
    assert [row[0] for row in rows] == ["img", "1", "x"]


def test_other_data_is_measured(crossed: Path, tmp_path: Path) -> None:
    told: list[str] = []
    record = evaluate(crossed, write_discs(tmp_path / "other", 6, first=40), out=tmp_path / "out", tell=told.append)
    assert record == read_record(tmp_path / "out" / "evaluation.json") | {"seconds": record["seconds"]}
    assert record["measured_on"] == "other"
    assert [line["fold"] for line in record["images"]] == [None] * 6
    assert record["gates"] == read_record(crossed / "record.json")["gates"]
    assert told == []


def test_groups_of_the_run_may_be_left_out(crossed: Path, tmp_path: Path) -> None:
    other = write_discs(tmp_path / "other", 6, first=40)
    with pytest.raises(DataError) as told:
        evaluate(crossed, other, out=tmp_path / "out", group_from=r"ward\d+")
    assert str(told.value).endswith(": mend the pattern, or give '' for no groups")
    assert r"--group-from ward\d+ matches no file name" in str(told.value)
    record = evaluate(crossed, other, out=tmp_path / "out", group_from="")
    assert [line["group"] for line in record["images"]] == [None] * 6
    assert (record["data"]["groups"], record["config"]["group_from"]) == (None, "")


def test_figures_and_page_come_together_or_not_at_all(crossed: Path, tmp_path: Path) -> None:
    def stopped(record: dict[str, Any]) -> str:
        raise KeyboardInterrupt

    other, out = write_discs(tmp_path / "other", 4, first=40), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        evaluate(crossed, other, out=out, page=stopped)
    assert not out.exists()
    evaluate(crossed, other, out=out, page=lambda record: str(record["measured_on"]))
    assert (out / "report.html").read_text() == "other"
    assert (out / "evaluation.json").is_file()


def test_images_of_the_run_are_recognised(crossed: Path, tmp_path: Path) -> None:
    data = write_discs(tmp_path / "other", 4, first=14)  # 14 and 15 were in the run
    told: list[str] = []
    record = evaluate(crossed, data, out=tmp_path / "out", tell=told.append)
    assert record["data"]["images"] == 4
    assert len(told) == 1
    assert "2 of 4 images (first: p7-14.png) were in the run's training" in told[0]
    told.clear()
    with pytest.raises(RunError, match="not an empty folder; name another with --out"):
        evaluate(crossed, data, out=tmp_path / "out")
    record = evaluate(crossed, data, out=tmp_path / "unseen", unseen=True, tell=told.append)
    assert [line["name"] for line in record["images"]] == ["p8-16.png", "p8-17.png"]
    assert told == []
    with pytest.raises(DataError, match="all 2 images were in the run's training"):
        evaluate(crossed, write_discs(tmp_path / "same", 2), out=tmp_path / "none", unseen=True)
    assert not (tmp_path / "none").exists()


def test_perfect_masks_score_1(crossed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known values: nets that say the truth, and nets that say nothing."""
    from plexus.segment import evaluation
    from plexus.segment.measure import Answers

    data = write_discs(tmp_path / "other", 8, first=40)

    def truth(run: object, pairs: object, **more: object) -> Answers:
        masks = pairs.masks[:, 0].numpy()  # type: ignore[attr-defined]
        logit = np.where(masks.any((1, 2)), 20.0, -20.0).astype(np.float32)
        return Answers(masks * 255, logit, np.full(len(masks), -1))

    def nothing(run: object, pairs: object, **more: object) -> Answers:
        found = truth(run, pairs)
        return Answers(np.zeros_like(found.probability), found.logit, found.fold)

    monkeypatch.setattr(evaluation, "_answers", truth)
    none = evaluate(crossed, data, out=tmp_path / "out")["results"]["none"]
    assert (none["dice"]["mean"], none["dice_present"]["mean"], none["hausdorff95"]["mean"]) == (1, 1, 0)
    assert none["presence"] | {"false_positives": 0, "false_negatives": 0, "auc": 1} == none["presence"]
    monkeypatch.setattr(evaluation, "_answers", nothing)
    none = evaluate(crossed, data, out=tmp_path / "empty")["results"]["none"]
    assert none["dice"]["mean"] == 2 / 8  # the empty ones
    assert none["dice_present"]["mean"] == 0
    assert none["dice_nan_skipped"]["n"] == 6
    assert none["hausdorff95"] is None
    assert none["presence"]["false_negatives"] == 6


def test_masks_are_plain_pictures(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(to_png(np.eye(3, dtype=bool)))
    assert mask_of(tmp_path / "m.png").tolist() == (np.eye(3) * 255).tolist()
    assert json.dumps(encode(np.zeros((5, 5), bool))) == '""'


def test_places_that_cannot_be_made(crossed: Path, tmp_path: Path) -> None:
    images = bare(tmp_path / "new", {"a.png": 32})
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is a file; name another place with --out"):
        submit(crossed, [images], tmp_path / "file" / "s.csv")
    with pytest.raises(RunError, match="file is a file; name another place with --out"):
        predict(tmp_path / "nowhere", [images], tmp_path / "file" / "deep")  # before the run is looked for
    with pytest.raises(RunError, match="file is a file; name another place with --out"):
        evaluate(crossed, write_discs(tmp_path / "other", 4), out=tmp_path / "file" / "deep")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"folds": [{}]}, r"'folds\[0\].fold' is missing"),
        ({"folds": []}, "it has no folds"),
        ({"folds": 3}, "'folds' should be a list"),
        ({"data": {}}, "channels"),
        ({"data": {"channels": 3, "trained_size": [32, 32]}}, "channels 3, but its nets read others"),
        ({"data": {"channels": 1, "trained_size": [0, 32]}}, "trained_size"),
        ({"gates": {}}, "expected"),
        ({"gates": 3}, "'gates' should be an object"),
        ({"model": None}, "no model"),
    ],
)
def test_a_damaged_record_is_told(crossed: Path, tmp_path: Path, change: dict[str, object], said: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(crossed, run)
    record = json.loads((run / "record.json").read_text()) | change
    (run / "record.json").write_text(json.dumps({k: v for k, v in record.items() if v is not None}))
    with pytest.raises(RunError, match=rf"record\.json: broken: .*{said}.*; train anew"):
        predict(run, [run], tmp_path / "masks")
    assert not (tmp_path / "masks").exists()


def test_16_bit_images_are_scaled_as_in_the_training(tmp_path: Path) -> None:
    """By themselves images of few shades would be scaled as 10 bits; alone or together, they are 12 bits of greys."""
    run = train(small(write_wide(tmp_path / "data", 255, 12)), run=tmp_path / "run")
    assert read_record(run / "record.json")["data"]["white"] == 4095
    found: dict[int, tuple[Any, ...]] = {}
    for bits in (8, 12):
        dark = write_wide(tmp_path / f"{bits}", 60, bits)
        figures = evaluate(run, dark, out=tmp_path / f"{bits}-figures")
        out = predict(run, [dark / "p5.png"], tmp_path / f"{bits}-masks", gate="none")
        drawn = (out / "presence.csv").read_text(), mask_of(out / "p5_mask.png").tolist()
        found[bits] = figures["images"], figures["results"], *drawn
    assert found[12] == found[8]
