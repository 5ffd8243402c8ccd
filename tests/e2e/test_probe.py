"""`plexus probe` on a run: its own test images, the files, what it prints, and data of other classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from plexus.data import load
from plexus.record import FitRecord
from plexus.robustness import RotationCurve, rotate
from tests.e2e.commands import Command, plexus
from tests.e2e.conftest import CLASSES

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def probed(place: Path, trained: Path) -> Path:
    done = plexus("probe", trained, "images", "--angles", 30, folder=place)
    assert done.code == 0, done.err
    assert f"open {trained / 'probe' / 'rotation.html'}" in done.out
    assert "90, 180, 270" in done.out
    return trained / "probe"


def test_it_probes_the_images_the_run_was_tested_on(place: Path, trained: Path, probed: Path) -> None:
    record = json.loads((probed / "rotation.json").read_text())
    run = FitRecord.read(trained / "record.json")
    assert record["data"]["classes"] == run.data.classes == sorted(CLASSES)
    assert record["data"]["fingerprint"] == run.data.fingerprint
    assert record["models"][0]["own"] is True
    curve = RotationCurve.from_json(json.dumps(record["models"][0]["curve"]))
    test = load(place / "images").test
    assert curve.labels.tolist() == test.labels.tolist()
    assert curve.angles == tuple(map(float, range(0, 360, 30)))
    session = onnxruntime.InferenceSession(trained / "model.onnx", providers=["CPUExecutionProvider"])
    for a, angle in enumerate(curve.angles):
        (logits,) = session.run(None, {"pixels": rotate(test.images.float(), [angle])[0].numpy()})
        expected = torch.from_numpy(logits).softmax(1).gather(1, test.labels[:, None]).flatten()
        np.testing.assert_allclose(curve.probability[a], expected.numpy(), atol=1e-4)


def test_the_page_is_there_and_no_class_name_is_an_element(probed: Path) -> None:
    page = (probed / "rotation.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<img src=x" not in page
    assert sorted(p.name for p in probed.iterdir()) == ["rotation.html", "rotation.json"]


def test_data_of_other_classes_is_refused(place: Path, trained: Path) -> None:
    shutil.copytree(place / "images" / CLASSES[0], place / "others" / "cat", dirs_exist_ok=True)
    shutil.copytree(place / "images" / CLASSES[0], place / "others" / "dog", dirs_exist_ok=True)
    done = plexus("probe", trained, "others", "--out", "refused", folder=place)
    assert done.code == 2
    assert "others: its 2 classes are not the 2 of" in done.err
    assert "it adds 'cat', 'dog'; it lacks" in done.err
    assert done.err.count("\n") == 1
    assert not (place / "refused").exists()


def test_a_run_knows_its_size_and_scale(place: Path, trained: Path) -> None:
    for option, words in (
        ("--size", "takes images of 16x16; leave --size out"),
        ("--std", "leave --mean and --std out"),
    ):
        done = plexus("probe", trained, "images", option, 8, "--out", "refused", folder=place)
        assert done.code == 2
        assert words in done.err


def test_several_models_see_the_same_images(place: Path, trained: Path) -> None:
    done = plexus(
        "probe", trained, f"{trained}/model.onnx", f"{trained}/model.py:Net+{trained}/model.safetensors", "images",
        "--angles", 45, "--mask", "none", "--out", "three", folder=place,
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads((place / "three" / "rotation.json").read_text())
    first, *others = (model["curve"]["probability"] for model in record["models"])
    assert len(others) == 2
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-4)
    assert record["mask"] is None


WAITING = """
import threading
from pathlib import Path

from torch import nn

class Waits(nn.Module):
    def forward(self, x):
        Path("begun").touch()
        threading.Event().wait(60)

def waits():
    return Waits()
"""


def test_a_stopped_probe_leaves_nothing(place: Path, trained: Path) -> None:
    (place / "waiting.py").write_text(WAITING)
    command = Command("probe", "waiting.py:waits", "images", "--out", "stopped", folder=place)
    while command.process.is_alive() and not (place / "begun").exists():
        command.process.join(0.05)
    assert command.process.is_alive()
    command.interrupt()
    done = command.wait()
    assert done.code == 130
    assert done.err == "plexus: stopped\n"
    assert not (place / "stopped").exists()
