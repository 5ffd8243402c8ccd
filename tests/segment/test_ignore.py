"""Pixels that are ignored count neither in the loss nor in any score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from plexus.data import load_segmentation, open_samples
from plexus.models import Segmentation
from plexus.segment import SegmentConfig, evaluate, segmentation_loss, train
from plexus.segment.gate import Gate
from plexus.segment.measure import Answers, gates_for, measure


@pytest.mark.parametrize("kind", ["image", "batch"])
def test_nothing_at_ignored_pixels_changes_the_loss_or_its_gradient(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 6, 7, generator=generator, dtype=torch.float64)
    mask = torch.rand(3, 1, 6, 7, generator=generator) > 0.6
    ignored = torch.rand(3, 1, 6, 7, generator=generator) > 0.7
    mask[2] = ignored[2]  # without what is ignored, this one is empty
    presence = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)

    def loss(at: torch.Tensor, truth: torch.Tensor) -> tuple[float, torch.Tensor]:
        at = at.clone().requires_grad_()
        value = segmentation_loss(Segmentation(at, presence), truth, kind=kind, ignored=ignored)
        value.backward()
        assert at.grad is not None
        return value.item(), at.grad

    one, slope = loss(logits, mask)
    other, same = loss(torch.where(ignored, 9.0, logits), mask | ignored)
    assert one == pytest.approx(other, abs=1e-12)
    assert torch.allclose(slope, same, atol=1e-12)
    assert (slope[ignored] == 0).all()
    assert (slope[~ignored] != 0).all()


def test_without_ignored_pixels_the_loss_is_what_it_was() -> None:
    out = Segmentation(torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(1)), torch.zeros(2))
    mask = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(2)) > 0.5
    none = segmentation_loss(out, mask, ignored=torch.zeros_like(mask))
    assert none.item() == pytest.approx(segmentation_loss(out, mask).item(), abs=1e-6)


def discs(root: Path, rim: int) -> Path:
    """Bright discs; a ring of `rim` pixels around each, in which the image is bright as well, is to be ignored."""
    random, (y, x) = np.random.default_rng(0), np.mgrid[:32, :32]
    root.mkdir()
    for i in range(12):
        a, b = random.uniform(11, 21, 2)
        far = np.hypot(y - a, x - b)
        mask = np.where(far <= 5, 1, np.where(far <= 5 + rim, 255, 0))
        Image.fromarray((random.rayleigh(20, (32, 32)) + 120 * (far <= 5 + rim)).clip(0, 255).astype(np.uint8)).save(
            root / f"{i}.png"
        )
        Image.fromarray(mask.astype(np.uint8)).save(root / f"{i}_mask.png")
    return root


def test_a_prediction_in_ignored_pixels_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    pairs = load_segmentation(open_samples(discs(tmp_path / "set", 4), ignore=255), (32, 32))
    truth, ignored = pairs.masks[:, 0].numpy() > 0, pairs.masks[:, 1].numpy() > 0
    gate = Gate("none")
    scores: list[Any] = []
    for inside in (truth, truth | ignored):
        answers = Answers((255 * inside).astype(np.uint8), np.ones(12, np.float32), np.full(12, -1))
        scores.append(measure(answers, pairs, {"none": [gate] * 12})["none"])
        assert (
            gates_for("expected", answers, pairs, seed=0)[0]
            == gates_for(
                "expected", Answers((255 * truth).astype(np.uint8), answers.logit, answers.fold), pairs, seed=0
            )[0]
        )
    for found in scores:
        assert (found.dice == 1).all()
        assert (found.hausdorff95 == 0).all()
        assert found.area.tolist() == truth.mean((1, 2)).tolist()


def test_a_run_ignores_in_training_in_its_figures_and_in_its_evaluation(tmp_path: Path) -> None:
    root = discs(tmp_path / "set", 3)
    config = SegmentConfig(
        data=str(root), ignore=255, size=32, width=4, levels=2, epochs=1, batch_size=4, cv=2, onnx=False
    )
    run = train(config, run=tmp_path / "run")
    record = evaluate(run, root)
    assert "pixels of value 255 in masks are ignored" in record["data"]["notes"]
    areas = [entry["truth_area"] for entry in record["images"]]
    masks = [np.asarray(Image.open(root / entry["name"].replace(".png", "_mask.png"))) for entry in record["images"]]
    assert areas == [float((mask == 1).mean()) for mask in masks]
