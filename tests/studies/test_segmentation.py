"""The studies on images with masks: folds that leak nothing, twins that are what they are said to be, every variant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from plexus.experiments import Job, load
from studies.segmentation import EMPTIED, FOLDS, PLANTED, SHIFT, pairs, plant, shrunk, twin


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Forty grey scans of soft speckle with a bright ellipse, by crops' names: two of one cluster follow each other."""
    folder = tmp_path_factory.mktemp("scans")
    y, x = np.mgrid[:144, :192]
    for i in range(40):
        random = np.random.default_rng(i)
        mask = ((y - random.integers(48, 96)) / 18) ** 2 + ((x - random.integers(60, 132)) / 26) ** 2 < 1
        if i % 4 == 3:
            mask &= False
        speckle = gaussian_filter(random.standard_normal((144, 192)), 2)
        pixels = np.clip(110 + 35 * speckle / speckle.std() + 50 * mask, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i // 2:03}-{i:03}.png")
        Image.fromarray(mask).convert("L").save(folder / f"{i // 2:03}-{i:03}_mask.png")
    return str(folder)


def trial(name: str, variant: str, data: str, folder: Path, seed: int = 0) -> dict[str, Any]:
    study = load(name)
    scale = replace(study.scales["quick"], images=16, options={"size": 32})
    return study.trial(Job(name, study.variant(variant), seed, scale, "quick", data, folder))


def test_every_image_is_tested_once_and_groups_stay_together(scans: str) -> None:
    found = pairs(scans, 32, r"^(\d+)-")
    tested = np.concatenate([found.split(seed)[2] for seed in range(FOLDS)])
    assert sorted(tested.tolist()) == list(range(40))
    assert (found.fold[::2] == found.fold[1::2]).all()
    for seed in range(FOLDS):
        train, val, test = (set(rows.tolist()) for rows in found.split(seed))
        assert len(train) + len(val) + len(test) == 40
        assert train | val | test == set(range(40))
    assert set(found.split(1, 5)[0]) < set(found.split(1)[0])
    assert len(found.split(1, 5)[0]) == 5


def test_a_smaller_mask_holds_what_half_of_the_area_is_in() -> None:
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, :2] = mask[2, 2] = True
    assert shrunk(mask, 2).tolist() == [[True, False], [False, False]]


def test_a_twin_is_the_image_moved_and_its_mask_moves_with_it() -> None:
    y, x = np.mgrid[:40, :50]
    pixels, mask = (2 * y + x).astype(np.uint8), (y - 20) ** 2 + (x - 25) ** 2 < 64
    moves = set()
    for seed in range(40):
        changed, moved = twin(pixels, mask, np.random.default_rng(seed))
        where = np.argwhere(moved).mean(0) - np.argwhere(mask).mean(0)
        down, right = np.rint(where).astype(int).tolist()
        moves.add((down, right))
        assert np.array_equal(moved, np.roll(mask, (down, right), (0, 1)))
        inside = np.s_[5:-5, 5:-5]
        expected = np.roll(pixels, (down, right), (0, 1))[inside].astype(float).ravel()
        gain, offset = np.polyfit(expected, changed[inside].ravel(), 1)
        left = changed[inside].ravel() - (gain * expected + offset)
        assert abs(gain - 1) < 0.06 + 0.02  # .02 and 2: what the noise adds
        assert abs(offset) < 8 + 2
        assert 0.9 < left.std() < 5.4
    assert {abs(step) for move in moves for step in move} == set(range(SHIFT + 1))


def test_the_audit_finds_the_planted_contradictions_and_every_way_trains_on_what_it_says(
    scans: str, tmp_path: Path
) -> None:
    found = pairs(scans, 32)
    rows = np.arange(40)[found.masks.any((1, 2, 3)).numpy()]  # all hold something: an emptied twin contradicts
    planted = plant(found, rows, 3, tmp_path)
    twins = round(PLANTED * len(rows))
    assert len(planted.images) == len(rows) + twins
    assert len(planted.planted) == round(EMPTIED * twins)
    assert planted.facts()["found"] == 100.0
    assert planted.facts()["false"] == 0
    empty = ~planted.given.any((1, 2, 3))
    assert set(np.flatnonzero(empty.numpy()).tolist()) == {b for _, b in planted.planted}
    assert planted.right.any((1, 2, 3)).all()

    images, masks = planted.training("all")
    assert (len(images), int((~masks.any((1, 2, 3))).sum())) == (len(rows) + twins, len(planted.planted))
    assert planted.training("right")[1].any((1, 2, 3)).all()
    kept, masks = planted.training("kept")
    assert masks.any((1, 2, 3)).all()
    assert len(kept) == len(images) - len(planted.planted)
    assert len(planted.training("neither")[0]) == len(images) - 2 * len(planted.planted)


@pytest.mark.parametrize("variant", ["corrupted", "audited", "both", "clean"])
def test_a_trial_of_duplicates_runs(variant: str, scans: str, tmp_path: Path) -> None:
    found = trial("duplicates", variant, scans, tmp_path)
    assert 0 <= found["test_dice"] <= 100
    assert (found["found"] is None) == (found["contradictory"] == 0)
    assert len(found["train_loss"]) == len(found["val_accuracy_curve"]) == 1
    assert {"published_pairs", "published_images", "intended_pairs", "intended_images"} <= found.keys()


@pytest.fixture(scope="module")
def bordered(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Forty images of speckle without a twin, in black frames, and their masks."""
    folder = tmp_path_factory.mktemp("bordered")
    rng = np.random.default_rng(0)
    for i in range(40):
        pixels = np.zeros((200, 300), np.uint8)
        pixels[30:170, 50:250] = rng.integers(20, 256, (140, 200))
        Image.fromarray(pixels).save(folder / f"{i}.png")
        Image.fromarray(np.full((200, 300), 255, np.uint8)).save(folder / f"{i}_mask.png")
    return str(folder)


def test_the_published_fingerprint_takes_a_common_border_for_a_contradiction(bordered: str, tmp_path: Path) -> None:
    variants = ("published", "published_middle", "intended")
    found = {v: trial("contradictions", v, bordered, tmp_path) for v in variants}
    assert found["published"]["data"] == {"images": 16, "clean": 40, "all": 40}
    assert found["published"]["paired"] == found["published"]["reported"] == 100
    assert found["published_middle"]["reported"] == 0
    assert len({each["present"] for each in found.values()}) == 1


def test_gates_share_a_net_and_score_its_masks(scans: str, tmp_path: Path) -> None:
    found = {name: trial("absence", name, scans, tmp_path) for name in ("none", "threshold", "expected")}
    none = found["none"]
    for name, each in found.items():
        assert each["train_loss"] == none["train_loss"], name
        assert each["test_dice"] == pytest.approx(np.mean(each["images"]), abs=0.01)
        assert len(each["images"]) == len(each["groups"]) == each["data"]["test"]
    assert [found[name]["gate"]["kind"] for name in found] == ["none", "threshold", "expected"]
    assert found["threshold"]["presence_auc"] == none["presence_auc"]
    assert none["dice_present"] >= found["threshold"]["dice_present"]  # a gate can only empty masks
    assert none["empty_right"] <= found["threshold"]["empty_right"]
