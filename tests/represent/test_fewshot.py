"""Few-shot figures are of classes never seen, whatever they are called, and follow from the episodes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from plexus.data import load
from plexus.errors import ConfigError, DataError, RunError
from plexus.models import read_autoencoder
from plexus.represent import fewshot, train
from plexus.represent.episodes import interval, nearest_prototype, score_episodes
from plexus.represent.space import Space, encode
from tests.represent.shapes import read_record, small, write_flat, write_shapes

QUICK: dict[str, Any] = {"ways": 2, "shots": 1, "queries": 5, "episodes": 20}


def test_what_was_asked_and_found_is_told_and_recorded(three: Path, shapes: Path) -> None:
    found = fewshot(three, shapes, **QUICK)
    assert found["classes"] == ["rows", "tee"]
    assert found["trained_on"] == ["bar", "cross", "disc"]
    assert found | QUICK == found
    assert set(found["heads"]) == {"prototype", "logistic", "pixels"}
    assert set(found["gains"]) == {"prototype", "logistic"}
    for name, head in found["heads"].items():
        assert 0 <= head["mean"] <= 1
        assert head["low"] <= head["mean"] <= head["high"]
        if name != "pixels":
            gain = head["mean"] - found["heads"]["pixels"]["mean"]
            assert found["gains"][name]["mean"] == pytest.approx(gain)
    other = fewshot(three, shapes, **{**QUICK, "seed": 1})
    assert other["heads"] != found["heads"]
    assert fewshot(three, shapes, **QUICK) == found
    assert read_record(three / "record.json")["fewshot"] == [found, other, found]


def test_the_record_keeps_the_newest(three: Path, shapes: Path) -> None:
    for seed in range(10):
        fewshot(three, shapes, **{**QUICK, "episodes": 2, "seed": seed})
    assert [test["seed"] for test in read_record(three / "record.json")["fewshot"]] == list(range(9, 1, -1))


@pytest.mark.parametrize("shots", [1, 3])
def test_prototypes_are_class_means_by_their_angle(three: Path, shapes: Path, shots: int) -> None:
    """The whole test again, drawn the same way and computed image by image."""
    options = {**QUICK, "shots": shots, "episodes": 6}
    found = fewshot(three, shapes, **options)
    model, space, data = read_autoencoder(three), Space.read(three), load(shapes)
    z, pixels = {}, {}
    for name in ("rows", "tee"):
        k = data.classes.index(name)
        images = np.concatenate([s.images.numpy()[s.labels.numpy() == k] for s in (data.train, data.val, data.test)])
        z[name] = (encode(model, torch.from_numpy(images)) - space.mean) / space.std
        z[name] /= np.linalg.norm(z[name], axis=1, keepdims=True)
        pixels[name] = (
            images.reshape(len(images), -1) / np.linalg.norm(images.reshape(len(images), -1), axis=1)[:, None]
        )
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(21,)))
    scores: dict[str, list[float]] = {"prototype": [], "pixels": []}
    for _ in range(6):
        chosen = [["rows", "tee"][i] for i in rng.permutation(2)]
        rows = [rng.permutation(14)[: shots + 5] for _ in chosen]
        for head, values in (("prototype", z), ("pixels", pixels)):
            means = [values[n][r[:shots]].mean(0) for n, r in zip(chosen, rows, strict=True)]
            right = []
            for truth, (n, r) in enumerate(zip(chosen, rows, strict=True)):
                for i in r[shots:]:
                    x = values[n][i]
                    cosines = [x @ m / np.linalg.norm(x) / np.linalg.norm(m) for m in means]
                    right.append(int(np.argmax(cosines)) == truth)
            scores[head].append(float(np.mean(right)))
    for head, shares in scores.items():
        assert found["heads"][head]["mean"] == pytest.approx(np.mean(shares))


def test_classes_far_apart_are_told_apart_and_noise_is_chance() -> None:
    rng = np.random.default_rng(0)
    clear = {k: np.eye(3)[i] + 0.01 * rng.normal(size=(20, 3)) for i, k in enumerate("abc")}
    noise = {k: rng.normal(size=(300, 50)) for k in "abc"}
    options = {"ways": 3, "shots": 2, "queries": 10, "seed": 0}
    found = score_episodes(clear, noise, episodes=100, **options)
    assert found["prototype"].tolist() == found["logistic"].tolist() == [1.0] * 100
    assert abs(found["pixels"].mean() - 1 / 3) < 0.05


def test_episodes_never_ask_for_what_they_showed() -> None:
    """Images that are like themselves alone: were one shown, it would be known."""
    alone = {k: np.eye(40)[20 * i : 20 * i + 20] for i, k in enumerate("ab")}
    found = score_episodes(alone, alone, ways=2, shots=1, episodes=50, queries=15, seed=0)
    assert found["prototype"].tolist() == [0.5] * 50  # no likeness at all: always the first


def test_prototypes_are_not_drawn_by_their_length() -> None:
    support = np.array([[10.0, 0.0], [0.0, 0.1]])
    assert nearest_prototype(support, np.array([[0.4, 0.6], [0.6, 0.4]]), 2).tolist() == [1, 0]


def test_intervals_are_students() -> None:
    values = np.random.default_rng(0).uniform(size=30)
    found = interval(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((values.mean(), low, high))


def test_classes_that_were_trained_on_are_refused_by_name(three: Path, shapes: Path) -> None:
    with pytest.raises(ConfigError, match="classes bar, disc overlap with those the run was trained on"):
        fewshot(three, shapes, **QUICK, classes=["bar", "tee", "disc"])
    assert fewshot(three, shapes, **QUICK, classes=["tee", "rows"])["classes"] == ["tee", "rows"]


def test_the_same_images_under_another_name_are_found(three: Path, shapes: Path, tmp_path: Path) -> None:
    data = tmp_path / "d"
    shutil.copytree(shapes, data)
    (data / "bar").rename(data / "pole")
    with pytest.raises(DataError, match=r"images of class 'pole' were in training under another name") as told:
        fewshot(three, data, **QUICK)
    assert "\n" not in str(told.value)
    assert fewshot(three, data, **QUICK, classes=["rows", "tee"])["classes"] == ["rows", "tee"]
    shutil.copy(shapes / "bar" / "01.png", data / "tee" / "99.png")
    shutil.copy(shapes / "bar" / "02.png", data / "tee" / "98.png")
    seen = {"bar/01.png", "bar/02.png"} - {name.removeprefix(f"{shapes}/") for name in load(shapes).test.names}
    assert seen
    with pytest.raises(DataError, match=rf"{len(seen)} images? of class 'tee'"):
        fewshot(three, data, **QUICK, classes=["rows", "tee"])


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"ways": 3}, ConfigError, r"ways=3 asks for 3 classes never seen .* has 2 of them \(rows, tee\)"),
        ({"ways": 2, "classes": ["tee"]}, ConfigError, r"has 1 of them \(tee\)"),
        ({"classes": ["tee", "tee"]}, ConfigError, r"has 1 of them \(tee\)"),
        ({"classes": ["tee", "moon"]}, ConfigError, "'moon' is none of .*: it has bar, cross, disc, rows, tee"),
        ({"shots": 10}, DataError, "class 'rows' has 14 images, and an episode needs 15 of each"),
        ({"ways": 1}, ConfigError, "ways=1 must be at least 2"),
        ({"shots": 0}, ConfigError, "shots=0 must be at least 1"),
        ({"episodes": 1}, ConfigError, "episodes=1 must be at least 2"),
        ({"queries": 0}, ConfigError, "queries=0 must be at least 1"),
        ({"seed": -1}, ConfigError, "seed=-1 must be at least 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_tested(
    three: Path, shapes: Path, options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as told:
        fewshot(three, shapes, **{**QUICK, **options})
    assert "\n" not in str(told.value)
    assert "fewshot" not in read_record(three / "record.json")


def test_a_run_that_saw_every_class_is_refused(trained: Path, shapes: Path) -> None:
    with pytest.raises(ConfigError, match="has 0 of them: ask for fewer, or train on fewer with --classes"):
        fewshot(trained, shapes, **QUICK)


def test_a_run_without_classes_is_refused(shapes: Path, tmp_path: Path) -> None:
    run = train(small(write_flat(tmp_path / "flat"), labels="none", epochs=1), run=tmp_path / "run")
    with pytest.raises(ConfigError, match="none can be known to be unseen; train it on some classes with --classes"):
        fewshot(run, shapes, **QUICK)


def test_a_test_split_of_the_data_is_used_alone(three: Path, tmp_path: Path) -> None:
    data = tmp_path / "d"
    write_shapes(data / "train", "rows", "tee", count=9)
    write_shapes(data / "test", "rows", "tee", count=4)
    with pytest.raises(DataError, match="class 'rows' has 4 images"):
        fewshot(three, data, **QUICK)
    assert fewshot(three, data, **{**QUICK, "queries": 3})["queries"] == 3


def test_colour_images_are_read_in_grey(three: Path, tmp_path: Path) -> None:
    colour = write_shapes(tmp_path / "colour", "rows", "tee", colour=True)
    grey = tmp_path / "grey"
    for file in colour.rglob("*.png"):
        (grey / file.parent.name).mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            picture.convert("L").save(grey / file.parent.name / file.name)
    ours, theirs = fewshot(three, colour, **QUICK), fewshot(three, grey, **QUICK)
    assert ours["heads"]["prototype"] == pytest.approx(theirs["heads"]["prototype"])


def test_no_run() -> None:
    with pytest.raises(RunError, match="nowhere: "):
        fewshot("nowhere", "nowhere")
