"""A run leaves nets, answers and a record; stopped and gone on with, the very same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plexus.data import load_segmentation, open_samples
from plexus.errors import DataError
from plexus.metrics import dice
from plexus.segment import SegmentConfig, finished, train
from plexus.segment.gate import Gate
from plexus.segment.nets import enlarge, from_bytes, load_net, predict_proba, to_bytes
from tests.segment.discs import disc, read_record, small, write_discs

KEYS = {
    "format", "kind", "created", "command", "seed", "finished", "config", "versions", "machine", "data", "model",
    "folds", "gate", "gates", "measured_on", "results", "chosen", "images", "calibration", "shown", "seconds",
}  # fmt: skip


def test_the_record_says_all(crossed: Path) -> None:
    record = read_record(crossed / "record.json")
    assert set(record) == KEYS
    assert finished(crossed)
    assert record["measured_on"] == "out-of-fold images"
    assert record["data"] | {"images": 16, "present": 12, "groups": 8, "size": [32, 32]} == record["data"]
    assert [fold["fold"] for fold in record["folds"]] == [0, 1]
    for fold in record["folds"]:
        assert (fold["train"], fold["validation"]) == (8, 8)
        assert [entry["epoch"] for entry in fold["epochs"]] == [0, 1, 2]
    assert set(record["results"]) == {"none", "0.5", "expected"}
    assert record["chosen"] == record["gate"]["kind"] == "expected"
    assert SegmentConfig.read(crossed / "config.yaml").cv == 2
    assert not list(crossed.glob("*.onnx"))  # the small runs leave it out


def test_nobody_is_judged_by_a_net_that_saw_the_patient(crossed: Path) -> None:
    record = read_record(crossed / "record.json")
    folds: dict[str, set[int]] = {}
    for image in record["images"]:
        folds.setdefault(image["group"], set()).add(image["fold"])
    assert len(folds) == 8
    assert all(len(fold) == 1 for fold in folds.values())


def test_kept_answers_are_those_of_the_kept_nets(crossed: Path, scans: Path) -> None:
    kept = np.load(crossed / "oof.npz", allow_pickle=False)
    pairs = load_segmentation(open_samples(scans, masks=True), (32, 32))
    assert kept["name"].tolist() == list(pairs.names)
    assert np.array_equal(np.unpackbits(kept["truth"], axis=-1, count=32), pairs.masks[:, 0].numpy())
    for fold in (0, 1):
        rows = np.flatnonzero(kept["fold"] == fold)
        maps, logits = predict_proba([load_net(crossed / f"model-{fold}.safetensors")], pairs.images[rows])
        assert np.abs(to_bytes(maps).astype(int) - kept["probability"][rows]).max() <= 1
        np.testing.assert_allclose(logits, kept["logit"][rows], atol=1e-5)


def test_dice_of_an_epoch_is_of_masks_where_presence_is_likely(tmp_path: Path) -> None:
    scans = write_discs(tmp_path / "scans", absent=2)
    run = train(small(scans, cv=2, group_from=r"^p\d+", epochs=6, lr=0.03), run=tmp_path / "run")
    kept, record = np.load(run / "oof.npz", allow_pickle=False), read_record(run / "record.json")
    truth = np.unpackbits(kept["truth"], axis=-1, count=32).astype(bool)
    drawn = (from_bytes(kept["probability"]) > 0.5) & (kept["logit"] > 0)[:, None, None]
    assert ((from_bytes(kept["probability"]) > 0.5).any((1, 2)) & (kept["logit"] <= 0)).any()  # emptied by presence
    for fold in record["folds"]:
        rows = kept["fold"] == fold["fold"]
        assert fold["epochs"][-1]["val_dice"] == pytest.approx(dice(drawn[rows], truth[rows]).mean(), abs=1e-4)


def test_the_figures_follow_from_the_kept_answers(crossed: Path, scans: Path) -> None:
    """Gate `none`, by hand: Dice per image, 1 where both are empty."""
    record = read_record(crossed / "record.json")
    kept = np.load(crossed / "oof.npz", allow_pickle=False)
    pairs = load_segmentation(open_samples(scans, masks=True), (32, 32))
    threshold = Gate.from_dict(record["gates"]["none"]).mask_threshold
    scores = []
    for i in range(len(pairs)):
        mask, truth = from_bytes(kept["probability"][i]) >= threshold, pairs.truth(i)
        total = int(mask.sum()) + int(truth.sum())
        scores.append(2 * int((mask & truth).sum()) / total if total else 1.0)
    if threshold == 0.5:  # the same in every fold
        assert record["results"]["none"]["dice"]["mean"] == pytest.approx(np.mean(scores))
        assert record["results"]["none"]["dice"]["n"] == 16
    present = record["results"]["expected"]
    lines = record["images"]
    assert present["dice"]["mean"] == pytest.approx(np.mean([line["dice"] for line in lines]))
    assert present["dice_present"]["mean"] == pytest.approx(
        np.mean([line["dice"] for line in lines if line["truth_area"] > 0])
    )
    assert present["presence"]["positives"] == 12
    assert present["presence"]["false_positives"] == sum(line["area"] > 0 and line["truth_area"] == 0 for line in lines)
    assert present["presence"]["false_negatives"] == sum(line["area"] == 0 and line["truth_area"] > 0 for line in lines)


def test_the_worst_come_first(crossed: Path) -> None:
    record = read_record(crossed / "record.json")
    scores = [entry["dice"] for entry in record["shown"]]
    assert scores == sorted(scores)
    assert len(scores) == 16
    for key in ("image", "truth", "prediction", "error"):
        assert record["shown"][0][key].startswith("data:image/")
    assert sum(b["count"] for b in record["calibration"]) == 16


def test_images_keep_their_own_size(tmp_path: Path) -> None:
    """Nets read 16 pixels; figures are of 40."""
    run = train(small(write_discs(tmp_path / "d", 8, side=40), size=16, epochs=1), run=tmp_path / "run")
    record = read_record(run / "record.json")
    kept = np.load(run / "oof.npz", allow_pickle=False)
    assert kept["probability"].shape[1:] == (16, 16)
    for i, line in enumerate(record["images"]):
        number = int(line["name"].partition("-")[2].removesuffix(".png"))
        truth = disc(number, present=number % 4 != 3, side=40)[1]
        assert line["truth_area"] == truth.mean()
        if not line["emptied"]:
            large = enlarge(from_bytes(kept["probability"][i]), (40, 40))
            threshold = Gate.from_dict(record["gate"]).cuts(from_bytes(kept["probability"][i])[None])[0] - 1e-6
            assert line["area"] == (large >= threshold).mean() or line["area"] == 0


def test_learned_skips_are_cut_and_kept(scans: Path, tmp_path: Path) -> None:
    config = small(scans, wiring="skips", keep=0.5, epochs=2, onnx=True)
    record = read_record(train(config, run=tmp_path / "run") / "record.json")
    assert 0 < record["model"]["latency_ms"] < 1000
    whole = 2 * 3 - 1  # every decoder level sees every encoder level, but for the one it stands on
    assert len(record["model"]["wiring"]["edges"]) == whole // 2
    assert [entry["epoch"] for entry in record["folds"][0]["epochs"]] == [0, 1]
    net = load_net(tmp_path / "run" / "model-0.safetensors")
    assert len(net.net.wiring().edges) == whole // 2


def folds_file(scans: Path, path: Path, **more: Any) -> Path:
    names = [sample.name for sample in open_samples(scans, masks=True).samples]
    raw = {"format": 1, "kind": "folds", "k": 2, "seed": 0, "dropped": names[:2]}
    raw["folds"] = {name: int(name.startswith(("p0", "p1", "p2", "p3"))) for name in names[2:]}
    path.write_text(json.dumps(raw | more))
    return path


def test_an_audits_folds_are_followed(scans: Path, tmp_path: Path) -> None:
    file = folds_file(scans, tmp_path / "folds.json")
    wanted = json.loads(file.read_text())
    record = read_record(train(small(scans, folds=str(file), epochs=1), run=tmp_path / "run") / "record.json")
    assert {line["name"]: line["fold"] for line in record["images"]} == wanted["folds"]
    assert not {line["name"] for line in record["images"]} & set(wanted["dropped"])
    assert any("2 images that the audit dropped" in note for note in record["data"]["notes"])


def test_a_test_split_is_left_alone(tmp_path: Path) -> None:
    for k, split in enumerate(("train", "val", "test")):
        write_discs(tmp_path / "d" / split, 4, first=4 * k)
    config = small(tmp_path / "d", epochs=1, group_from=r"(\d)\.png$")  # the last figure of 0 to 11: two come again
    record = read_record(train(config, run=tmp_path / "run") / "record.json")
    told = "10 groups, 2 of them in several of the data's own splits (first: 0)"
    assert told in record["data"]["notes"]
    assert record["data"]["images"] == 8
    assert record["measured_on"] == "validation images"
    assert {line["name"].partition("/")[0] for line in record["images"]} == {"val"}


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda d: write_discs(d, 6, absent=1), {}, "not one of the .* training images has anything in its mask"),
        (lambda d: write_discs(d, 2), {"cv": 5}, "2 images cannot be dealt out to 5 folds"),
        (lambda d: write_discs(d, 4), {"group_from": "."}, "all images are of one group"),
        (lambda d: d, {}, "no such file or folder"),
        (lambda d: write_discs(d, 4), {"folds": "none.json"}, "none.json: cannot read the folds"),
    ],
)
def test_data_that_cannot_be_used_leaves_nothing_behind(
    tmp_path: Path, make: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said) as told:
        train(small(make(tmp_path / "d"), **options), run=tmp_path / "run")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_maps_on_a_threshold_are_chosen_as_they_are_measured() -> None:
    """51 of 255 is a threshold that an image may choose; bytes on it are inside in choice and use, at any size."""
    from plexus.segment.gate import Gate, best_cut
    from plexus.segment.measure import Maps, gated
    from plexus.segment.nets import enlarge, from_bytes

    kept = np.full((1, 8, 8), 51, np.uint8)
    small = from_bytes(kept[0])
    assert (Maps(kept)[0] >= best_cut(Maps(kept)[0])).all()
    for threshold in (0.2, 0.0):
        mask, _ = gated(Gate(mask_threshold=threshold), small, enlarge(small, (37, 53)), 0.0)
        assert mask.all()


def test_validation_images_of_one_group_do_not_choose_their_own_gate(tmp_path: Path) -> None:
    data = write_discs(tmp_path / "d", 12)
    for i in range(12):
        for end in ("", "_mask"):
            (data / f"p{i // 2}-{i}{end}.png").rename(data / f"g{i // 6}-{i}{end}.png")
    record = read_record(train(small(data, epochs=1, val=0.5, group_from=r"^g\d"), run=tmp_path / "r") / "record.json")
    assert any("of one group" in note for note in record["data"]["notes"])
    probabilities = {line["presence"] for line in record["images"]}
    kept = np.load(tmp_path / "r" / "oof.npz")
    whole = Gate.from_dict(record["gates"]["expected"]).presence(kept["logit"], from_bytes(kept["probability"]))
    assert probabilities.isdisjoint(whole.tolist())  # each was calibrated by the others
