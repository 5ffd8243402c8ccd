"""Classes of unequal size, and augmentations that are chosen one by one."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from plexus.errors import ConfigError
from plexus.training import ClassificationModule, FitConfig, Schedule, fit, open_run
from plexus.training.evaluation import balanced


def test_weights_enter_the_loss_of_training_alone() -> None:
    weights, logits, labels = torch.tensor([0.5, 3.0]), torch.tensor([[1.0, 0.0], [2.0, -1.0]]), torch.tensor([0, 1])
    module = ClassificationModule(
        nn.Flatten(), nn.Identity(), 2, Schedule(epochs=1, whole=1, first=0, lr=1e-3), 1, weights=weights
    )
    images = logits.view(2, 2, 1, 1)
    assert module.loss(images, labels, torch.Generator()).equal(F.cross_entropy(logits, labels, weights))
    module.validation_step((images, labels), 0)
    assert module.val_loss.compute().item() == pytest.approx(F.cross_entropy(logits, labels).item())


def test_balanced_accuracy_is_the_mean_recall_and_given_only_where_classes_are_unequal() -> None:
    hits = torch.tensor([True] * 9 + [False, True])
    assert balanced(hits, torch.tensor([0] * 9 + [2] * 2)) == {"balanced_accuracy": 0.75}
    assert balanced(hits, torch.tensor([0] * 6 + [1] * 5)) == {}
    assert balanced(hits, torch.tensor([1] * 11)) == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"shift": 0.0, "flip": False, "crop": 0.0, "cutout": 0.0}),
        ({"data": "photos"}, {"shift": 0.1, "flip": True, "crop": 0.0, "cutout": 0.0}),
        ({"data": "photos", "augment": False}, {"shift": 0.0, "flip": False, "crop": 0.0, "cutout": 0.0}),
        ({"data": "photos", "flip": False}, {"shift": 0.1, "flip": False, "crop": 0.0, "cutout": 0.0}),
        ({"data": "photos", "shift": 0.0}, {"shift": 0.0, "flip": True, "crop": 0.0, "cutout": 0.0}),
        ({"flip": True, "cutout": 0.25}, {"shift": 0.0, "flip": True, "crop": 0.0, "cutout": 0.25}),
        ({"augment": False, "shift": 0.2, "crop": 0.3}, {"shift": 0.2, "flip": False, "crop": 0.3, "cutout": 0.0}),
    ],
)
def test_each_augmentation_is_chosen_by_itself(options: dict[str, Any], expected: dict[str, Any]) -> None:
    assert FitConfig(**options).strengths() == expected


def test_a_way_to_fit_needs_a_size() -> None:
    with pytest.raises(ConfigError, match=r"fit='crop' needs size"):
        FitConfig(fit="crop")


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_unequal_classes_are_evened_out_and_told(balance: Literal["weights", "sampling"], tmp_path: Path) -> None:
    """The rare class is noise like the other, but for a faint square: alone the common one would be answered."""
    rng = np.random.default_rng(0)
    for name, count in (("common", 90), ("rare", 18)):
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (12, 16 if i % 2 else 12), dtype=np.uint8)
            if name == "rare":
                pixels[2:9, 2:9] = 255
            Image.fromarray(pixels).save(tmp_path / "d" / name / f"{i}.png")
    config = FitConfig(
        data=str(tmp_path / "d"), size=12, epochs=4, width=8, balance=balance, cutout=0.2, cache=str(tmp_path / "cache")
    )
    run = fit(config, run=tmp_path / "run")
    record = open_run(run)[1]
    assert record.data.fit == "letterbox"
    final = record.results[0]
    assert final.accuracy is not None
    assert final.balanced_accuracy is not None
    assert final.balanced_accuracy >= 0.5
    assert list((tmp_path / "cache").glob("*.images"))
