"""The probe against a plain loop, and the curve's figures against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import plexus
from plexus.errors import ConfigError
from plexus.robustness import RotationCurve, rotate, rotation

ANGLES = (0, 30, 90, 123.5, 180, 270, 330)


def net(classes: int = 4, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    made = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(6 * 49, classes)
    )
    return made.double()


def batch(n: int = 11, classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 2, 9, 9, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, classes, (n,), generator=generator)


@pytest.mark.parametrize("mask", ["circle", None])
@pytest.mark.parametrize("size", [1, 3, 16, 500])
def test_it_is_a_loop_over_angles_and_images(mask: Any, size: int) -> None:
    model, (x, y) = net(), batch()
    curve = rotation(model, x, y, ANGLES, mask, progress=False, batch_size=size)
    model.eval()
    for n in range(len(x)):
        first = model(rotate(x[n : n + 1], [0], mask)[0])[0].detach()
        assert curve.upright[n] == first.argmax()
        for a, angle in enumerate(ANGLES):
            logits = model(rotate(x[n : n + 1], [angle], mask)[0])[0].detach()
            exp = [math.exp(z) for z in logits.tolist()]
            assert curve.probability[a, n] == pytest.approx(exp[y[n]] / sum(exp), abs=1e-6)
            assert curve.predicted[a, n] == logits.argmax()
            length = math.sqrt(sum(z * z for z in first.tolist()))
            moved = math.dist(logits.tolist(), first.tolist())
            assert curve.drift[a, n] == pytest.approx(moved / length, abs=1e-6)


class Seeing(nn.Module):
    """Tells the number of a quarter turn from where the brightest quadrant lies."""

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        quarters = [x[..., :half, :half], x[..., half:, :half], x[..., half:, half:], x[..., :half, half:]]
        return torch.stack([q.mean((1, 2, 3)) for q in quarters], 1) * 20


def test_the_direction_is_that_of_rot90() -> None:
    x = torch.zeros(1, 1, 8, 8)
    x[..., 1:4, 1:4] = 1  # top left; counter-clockwise come bottom left, bottom right, top right
    curve = rotation(Seeing(), x, torch.tensor([1]), (0, 80, 90, 100, 180, 270), progress=False)
    assert curve.predicted[:, 0].tolist() == [0, 1, 1, 1, 2, 3]
    assert curve.correct[:, 0].tolist() == [False, True, True, True, False, False]


def test_modes_are_as_before_and_nothing_learns() -> None:
    model, (x, y) = net(), batch()
    model[3].eval()
    model[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = (rotation(model, x, y, ANGLES, progress=False) for _ in range(2))
    assert np.array_equal(first.probability, again.probability)  # no dropout
    assert [part.training for part in model] == [True, True, True, False, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [False, *[True] * 5]


def test_a_failing_model_gets_its_mode_back() -> None:
    model, (x, y) = nn.Sequential(net(), nn.Identity()), batch()
    with pytest.raises(RuntimeError):
        rotation(model, x[..., :7, :7], y, ANGLES, progress=False)
    assert model.training


def test_it_works_in_inference_mode() -> None:
    model, (x, y) = net(), batch()
    with torch.inference_mode():
        inside = rotation(model, x, y, ANGLES, progress=False)
    assert np.array_equal(inside.probability, rotation(model, x, y, ANGLES, progress=False).probability)


class Counting(nn.Module):
    """Counts the images it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return x.flatten(1)[:, :4]


def test_every_image_is_seen_once_per_angle_and_once_more_upright() -> None:
    model, (x, y) = Counting(), batch(20)
    rotation(model, x, y, range(0, 360, 10), progress=False, batch_size=32)
    assert sum(model.sizes) == 20 * 37
    assert max(model.sizes) == 32


def test_an_invariant_model_does_not_mind_quarter_turns() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)
    ).double()
    curve = rotation(model, *batch(), (0, 90, 180, 270, 45), progress=False)
    assert curve.drift[:4].max() < 1e-12
    assert curve.drift[4].max() > 1e-3
    assert curve.agreement[:4].tolist() == [1, 1, 1, 1]


@pytest.fixture
def curve() -> RotationCurve:
    """Three images at five angles, written by hand."""
    correct = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 0]], bool)
    labels = np.array([2, 0, 1])
    predicted = np.where(correct, labels, 3)
    predicted[1, 2] = 0  # wrong in another way
    probability = np.array(
        [[0.9, 0.8, 0.1], [0.7, 0.2, 0.3], [0.1, 0.6, 0.5], [0.5, 0.4, 0.0], [1.0, 0.5, 0.3]], np.float32
    )
    drift = np.array([[0, 0, 0], [1, 2, 3], [0.5, 0.5, 2], [1, 1, 1], [0, 3, 0]], np.float32)
    return RotationCurve((0.0, 20.0, 90.0, 200.0, 350.0), labels, predicted[0], probability, predicted, drift)


def single(angles: tuple[float, ...], predicted: list[int]) -> RotationCurve:
    """One image of class 1 that is right upright."""
    ones = np.ones((len(angles), 1), np.float32)
    return RotationCurve(angles, np.array([1]), np.array([1]), ones, np.array(predicted)[:, None], ones)


def test_figures_per_angle(curve: RotationCurve) -> None:
    assert curve.accuracy.tolist() == pytest.approx([2 / 3, 1 / 3, 2 / 3, 1 / 3, 2 / 3])
    assert curve.mean.tolist() == pytest.approx([0.6, 0.4, 0.4, 0.3, 0.6])
    rows = curve.probability.astype(float).tolist()
    assert curve.std.tolist() == pytest.approx([math.sqrt(sum((p - sum(r) / 3) ** 2 for p in r) / 3) for r in rows])
    assert curve.min.tolist() == pytest.approx([0.1, 0.2, 0.1, 0.0, 0.3])
    for k, row in enumerate(rows):  # of three values the quartiles lie half-way between neighbours
        low, middle, high = sorted(row)
        assert curve.quartiles[:, k].tolist() == pytest.approx([(low + middle) / 2, middle, (middle + high) / 2])
    assert curve.agreement.tolist() == pytest.approx([1, 1 / 3, 1 / 3, 2 / 3, 1])
    assert curve.logit_drift.tolist() == pytest.approx([0, 2, 1, 1, 1])
    assert curve.exact.tolist() == [True, False, True, False, False]


def test_figures_per_image(curve: RotationCurve) -> None:
    assert curve.percent_correct.tolist() == pytest.approx([80, 60, 20])
    assert curve.first_failure[:2].tolist() == [90, 20]
    assert np.isnan(curve.first_failure[2])  # wrong upright
    assert curve.failing_angle[:2].tolist() == [90, 20]
    turned = single((0.0, 350.0, 20.0), [1, 2, 2])
    assert turned.first_failure.tolist() == [10]  # ten degrees clockwise
    assert turned.failing_angle.tolist() == [350]


def test_groups_tell_exact_turns_apart(curve: RotationCurve) -> None:
    upright, exact, smooth = (curve.group(name) for name in ("upright", "exact", "interpolated"))
    assert [group["angles"] for group in (upright, exact, smooth)] == [1, 1, 3]
    assert upright["accuracy"] == pytest.approx(2 / 3)
    assert upright["agreement"] == 1
    assert exact["probability"] == pytest.approx(0.4)
    assert smooth["accuracy"] == pytest.approx(4 / 9)
    assert smooth["agreement"] == pytest.approx(6 / 9)
    assert smooth["drift"] == pytest.approx(12 / 9)
    means = np.array([(0.7 + 0.5 + 1.0) / 3, (0.2 + 0.4 + 0.5) / 3, (0.3 + 0.0 + 0.3) / 3])
    reach = 4.302652729911275 * means.std(ddof=1) / math.sqrt(3)  # Student's t, two degrees of freedom
    assert smooth["probability_ci"] == pytest.approx((means.mean() - reach, means.mean() + reach))
    only = single((0.0,), [1])
    assert only.group("interpolated") == {} == only.group("exact")
    assert only.group("upright")["probability_ci"] is None


def test_intervals_solve_their_equations() -> None:
    for right, n in ((90, 100), (0, 7), (7, 7), (250, 1000)):
        predicted, same = np.arange(n) >= right, np.full((1, n), 0.25)
        labels, upright = np.zeros(n, np.int64), predicted.astype(np.int64)
        figures = RotationCurve((0.0,), labels, upright, same, upright[None], same).group("upright")
        low, high = figures["accuracy_ci"]
        fraction = figures["accuracy"]
        assert fraction == right / n
        for end in (low, high):  # Wilson's ends are where the fraction is 1.96 standard errors away
            assert abs(fraction - end) == pytest.approx(1.959963985 * math.sqrt(end * (1 - end) / n), abs=1e-6)
        assert 0 <= low <= fraction + 1e-9
        assert fraction - 1e-9 <= high <= 1
        assert figures["probability_ci"] == (0.25, 0.25)  # all alike: no spread


def test_json_comes_back(curve: RotationCurve) -> None:
    again = RotationCurve.from_json(curve.to_json())
    assert again.angles == curve.angles
    assert again.mask == curve.mask
    for name in ("labels", "upright", "predicted", "correct"):
        assert np.array_equal(getattr(again, name), getattr(curve, name))
    for name in ("probability", "drift"):
        np.testing.assert_allclose(getattr(again, name), getattr(curve, name), atol=5.1e-6)
    assert again.to_json() == curve.to_json()
    assert curve.summary()["first_failure"] == [90, 20, None]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "not a rotation curve"),
        ("{", "not a rotation curve"),
        ('{"format": 2}', "format 2"),
        ('{"format": 1}', "'angles'"),
        (
            '{"format":1,"angles":[0],"labels":[1],"upright":[1],"probability":[[1,1]],"predicted":[[1]],"drift":[[0]],'
            '"mask":null}',
            "1 angles x 1 images",
        ),
    ],
)
def test_what_is_no_curve_is_told(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RotationCurve.from_json(text)


def test_as_text_it_is_a_small_table(curve: RotationCurve) -> None:
    lines = str(curve).splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["degrees", "accuracy", "95", "%", "true", "class", "agreement", "drift"]
    assert lines[3].startswith("all others")
    assert " 44.4% " in lines[3]
    assert " 66.7% " in lines[3]


def tensors(**change: object) -> dict[str, object]:
    x, y = batch()
    return {"model": net(), "images": x, "labels": y, "angles": (0, 10), "progress": False, **change}


class Gives(nn.Module):
    """Whatever it was told."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor) -> object:
        return self.output(x) if callable(self.output) else self.output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": torch.zeros(0, 2, 9, 9), "labels": torch.zeros(0, dtype=torch.int64)}, "there are no images"),
        ({"images": torch.zeros(11, 2, 9, 8)}, "images are 9x8"),
        ({"labels": torch.zeros(10, dtype=torch.int64)}, r"labels have shape \(10,\); expected \(11,\)"),
        ({"labels": torch.zeros(11)}, "labels are torch.float32; expected class indices"),
        ({"labels": torch.full((11,), -1)}, "labels hold -1"),
        ({"labels": torch.full((11,), 4)}, "labels go up to 4, but the model has 4 classes"),
        ({"angles": ()}, "angles must be one or more finite numbers"),
        ({"angles": (0, float("nan"))}, "angles must be one or more finite numbers"),
        ({"angles": "all"}, "angles='all' must be numbers"),
        ({"mask": "square"}, "mask='square'"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"device": "meta"}, "device='meta', but the model is on cpu; move it first"),
        ({"model": Gives(torch.zeros(3, 4))}, r"gives shape \(3, 4\) for 11 images"),
        ({"model": Gives(lambda x: x)}, r"gives shape \(11, 2, 9, 9\)"),
        ({"model": Gives((1, 2))}, "gives a tuple for 11 images"),
        ({"model": Gives(lambda x: x.flatten(1)[:, :4] / 0)}, "logits are NaN or infinite at 0 degrees"),
    ],
)
def test_mistakes_are_told_in_one_line(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        rotation(**tensors(**change))  # type: ignore[arg-type]
    assert "\n" not in str(told.value)


def test_a_network_may_fail_at_one_angle_only() -> None:
    def broken(x: Tensor) -> Tensor:
        flat = x.flatten(1)[:, 40:44]
        return flat if len(x) == 11 else flat * math.nan

    with pytest.raises(ConfigError, match="NaN or infinite at 0 to 10 degrees"):
        rotation(**tensors(model=Gives(broken)))  # type: ignore[arg-type]


def test_zero_logits_have_no_nan_drift() -> None:
    curve = rotation(Gives(lambda x: x.flatten(1)[:, :4] * 0), *batch(), (0, 45), progress=False)
    assert np.isfinite(curve.drift).all()
    assert math.isfinite(float(curve.logit_drift.sum()))


class Corner(nn.Module):
    """Knows the class by the pixel in one corner."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([-(x[:, 0, 0, 0] - k).abs() for k in range(3)], 1)


def test_a_probe_measures_what_its_mask_takes_away() -> None:
    labels = torch.arange(12) % 3
    images = torch.full((12, 8, 8), 0.5)
    images[:, 0, 0] = labels.float()
    (model,) = plexus.probe(Corner(), images, labels, step=90, progress=False).record.models
    assert model.unmasked is not None
    assert model.unmasked.accuracy == 1.0
    assert model.unmasked.same == pytest.approx(1 / 3)  # black is class 0
    assert model.curve.summary.groups["upright"].accuracy == pytest.approx(1 / 3)
    (open_corners,) = plexus.probe(Corner(), images, labels, step=90, mask=None, progress=False).record.models
    assert open_corners.unmasked is None
