"""A net that learns from a teacher: the loss, the models that can teach, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import plexus
from plexus.errors import DataError, PlexusError, RunError
from plexus.report import render
from plexus.training import FitConfig, Teacher, distillation, export_onnx, fit, open_model, open_run, resume

SMALL: dict[str, Any] = {"epochs": 2, "limit": 150, "controls": False}
TEACHER = """
import torch
from torch import nn


class Scaled(nn.Module):
    def __init__(self, outputs=10):
        super().__init__()
        self.line = nn.Linear(64, outputs)

    def forward(self, pixels):
        return self.line((pixels.flatten(1) - 100) / 50)


def ten():
    return Scaled()


def nine():
    return Scaled(9)


def no_module():
    return 7
"""


@pytest.fixture
def taught_by(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(TEACHER)
    torch.manual_seed(0)
    save_file({"line.weight": torch.randn(10, 64), "line.bias": torch.zeros(10)}, tmp_path / "w.safetensors")
    return f"{tmp_path / 'own.py'}:ten+{tmp_path / 'w.safetensors'}"


def test_gradient_is_that_of_labels_and_of_softened_answers() -> None:
    torch.manual_seed(0)
    z, q = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.randn(5, 3, dtype=torch.float64)
    y = torch.tensor([0, 2, 1, 1, 0])
    (grad,) = torch.autograd.grad(distillation(z, y, q, temperature=3.0, share=0.7), z)
    hard = (z.softmax(1) - F.one_hot(y, 3)) / 5
    soft = 3.0 * ((z / 3).softmax(1) - (q / 3).softmax(1)) / 5  # T^2 / T
    assert torch.allclose(grad, 0.3 * hard + 0.7 * soft)


def test_a_teacher_sees_images_of_its_own_size_and_colours(tmp_path: Path) -> None:
    export_onnx(nn.Sequential(nn.AvgPool2d(6), nn.Flatten()), tmp_path / "mean.onnx", (3, 6, 6))
    teacher = Teacher(open_model(tmp_path / "mean.onnx"))
    grey = torch.full((2, 1, 12, 12), 7, dtype=torch.uint8)
    assert teacher(grey).tolist() == [[7.0] * 3] * 2


def test_a_run_teaches_and_is_measured_beside_its_pupil(tmp_path: Path) -> None:
    teacher = plexus.fit("digits", out=tmp_path / "teacher", progress=False, **SMALL)
    run = plexus.fit("digits", out=tmp_path / "run", teacher=teacher, progress=False, **SMALL)
    assert run.results["teacher"].accuracy == teacher.results["final"].accuracy
    assert run.results["teacher"].parameters == teacher.results["final"].parameters
    assert "; teacher taught it, with 90.0" in render(run.record)
    again = plexus.load(run.folder).prune(keep=0.5, progress=False)
    assert again.record.teacher == "teacher"


def test_a_stopped_run_goes_on_with_its_teacher_to_the_same_weights(taught_by: str, tmp_path: Path) -> None:
    config = FitConfig(teacher=taught_by, **SMALL)
    whole = fit(config, run=tmp_path / "whole")

    def stop(entry: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, run=tmp_path / "stopped", listen=stop)
    weights, kept = tmp_path / "w.safetensors", (tmp_path / "w.safetensors").read_bytes()
    save_file({"line.weight": torch.zeros(10, 64), "line.bias": torch.zeros(10)}, weights)
    with pytest.raises(RunError, match=r"teacher=.* is not what the run started with"):
        resume(tmp_path / "stopped")
    weights.write_bytes(kept)
    resume(tmp_path / "stopped")
    learned = [(run / "model.safetensors").read_bytes() for run in (whole, tmp_path / "stopped")]
    assert learned[0] == learned[1]
    with safe_open(whole / "checkpoints" / "fit" / "weights.safetensors", "pt") as file:
        assert not any("line" in name for name in file.keys())  # noqa: SIM118 - no mapping
    assert open_run(whole)[1].teacher == "w"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "neither a run folder, nor an .onnx file"),
        ("nowhere.onnx", "there is no such file"),
        ("own.py:nine", r"gives \(1, 9\) for one image; expected \(1, 10\)"),
        ("own.py:no_module", "must return a torch module, got int"),
        ("own.py:ten+none.safetensors", "cannot load"),
        ("own.py:missing", "has no function missing"),
    ],
)
def test_what_cannot_teach_is_told_in_a_line_and_leaves_nothing(
    taught_by: str, tmp_path: Path, name: str, message: str
) -> None:
    spec = "+".join(str(tmp_path / part) for part in name.split("+"))
    with pytest.raises(PlexusError, match=rf"^teacher: .*{message}") as told:
        fit(FitConfig(teacher=spec, **SMALL), run=tmp_path / "run")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    images = torch.randint(0, 255, (60, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    teacher = plexus.fit(images, ["cat", "dog"] * 30, out=tmp_path / "pets", progress=False, epochs=1, controls=False)
    with pytest.raises(DataError, match=r"it adds '0', '1', '2'; it lacks 'cat', 'dog'"):
        plexus.fit("digits", out=tmp_path / "run", teacher=teacher, progress=False, **SMALL)
    with pytest.raises(DataError, match="it lacks"):
        plexus.fit("digits", out=tmp_path / "b", teacher=tmp_path / "pets" / "model.onnx", progress=False, **SMALL)


def test_how_much_a_teacher_counts_needs_one() -> None:
    with pytest.raises(PlexusError, match=r"temperature=2\.0 needs teacher"):
        FitConfig(temperature=2.0)
