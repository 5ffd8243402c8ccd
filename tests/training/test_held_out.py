"""Predictions of images that a net did not learn from: none of those that it did learn from is judged."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plexus.data import in_memory, open_samples
from plexus.errors import RunError
from plexus.training import FitConfig, cross_validated, fit, held_out, load_data


def stripes(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images of two classes that anything can tell apart: stripes that lie, and stripes that stand."""
    random = np.random.default_rng(seed)
    bars = np.repeat(random.integers(0, 200, (count, 8, 1)), 8, 2)
    labels = np.arange(count) % 2
    bars[labels == 1] = bars[labels == 1].transpose(0, 2, 1)
    return (bars + random.integers(0, 40, bars.shape)).astype(np.uint8), labels


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for i, (image, label) in enumerate(zip(*stripes(60), strict=True)):
        path = root / "set" / "ab"[label] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return fit(FitConfig(data=str(root / "set"), epochs=1, keep=1.0), run=root / "run")


def test_a_run_judges_all_but_what_it_learned_from_wherever_that_lies_now(run: Path, tmp_path: Path) -> None:
    data = load_data(FitConfig(data=str(run.parent / "set")))
    learned = {Path(name).name for name in data.train.names}
    for path in (run.parent / "set").rglob("*.png"):  # the same images, elsewhere, in another format
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        Image.open(path).save((tmp_path / path.parent.name / path.name).with_suffix(".bmp"))
    samples = open_samples(tmp_path)
    found = held_out(run, samples)
    assert found.learned is not None
    told = {s.name[2:-4] + ".png" for s, there in zip(samples.samples, found.learned, strict=True) if there}
    assert told == learned
    assert (np.isnan(found.probabilities).any(1) == found.learned).all()
    assert np.allclose(found.probabilities[~found.learned].sum(1), 1, atol=1e-5)
    assert f"{len(learned)} of 60 images were learned from" in found.notes[0]


def test_a_run_whose_images_have_changed_is_not_believed(run: Path, tmp_path: Path) -> None:
    image = next((run.parent / "set" / "a").glob("*.png"))
    before = image.read_bytes()
    try:
        Image.new("L", (8, 8)).save(image)
        with pytest.raises(RunError, match=r"have changed since, .*--labels cv"):
            held_out(run, in_memory(*stripes(4)).samples)
    finally:
        image.write_bytes(before)


def test_cross_validation_finds_planted_wrong_labels() -> None:
    images, labels = stripes(120, seed=3)
    wrong = [11, 40, 85]
    labels[wrong] = 1 - labels[wrong]
    samples = in_memory(images, labels).samples
    fold = np.arange(120) // 2 % 3
    fold[0] = -1
    found = cross_validated(samples, fold, epochs=20)
    assert np.isnan(found.probabilities[0]).all()
    own = found.probabilities[np.arange(120), labels]
    assert set(np.argsort(own)[:3].tolist()) == set(wrong)


def test_the_label_of_an_image_that_is_held_out_has_no_say_in_its_prediction() -> None:
    images, labels = stripes(60, seed=5)
    fold = np.arange(60) // 2 % 2
    samples = in_memory(images, labels).samples
    other = tuple(replace(s, label="1" if i == 4 else s.label) for i, s in enumerate(samples.samples))
    one, two = (cross_validated(s, fold, epochs=1) for s in (samples, replace(samples, samples=other)))
    held = fold == fold[4]
    assert np.array_equal(one.probabilities[held], two.probabilities[held])
    assert not np.array_equal(one.probabilities[~held], two.probabilities[~held])


def test_the_time_is_told_before_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    from plexus.progress import whole

    images, labels = stripes(40)
    with whole():
        cross_validated(in_memory(images, labels).samples, np.arange(40) // 2 % 2, epochs=1)
    assert re.search(r"labels  cross-validation: 2 folds of 1 epochs, about \d+ s", capsys.readouterr().err)
