"""Figures of a trained net against their definitions."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import fx, nn

from plexus.data import Split
from plexus.training import Normalize, accuracy, logits_of
from plexus.training import evaluation as measure
from plexus.training.export import with_pixels
from plexus.wiring import derive
from tests.training.nets import SHAPE, images, normalize, supernet


class Brightest(nn.Module):
    """Logits are the mean pixel and its opposite: dark images are of class 1."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean((1, 2, 3)) * self.one
        return torch.stack([mean, -mean], 1)


def wilson(right: int, n: int) -> tuple[float, float]:
    z, p = 1.959963984540054, right / n
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


@pytest.mark.parametrize("right", [0, 7, 19, 20])
def test_a_result_has_wilsons_interval(right: int) -> None:
    pixels = torch.full((20, *SHAPE), 200, dtype=torch.uint8)
    labels = (torch.arange(20) >= right).long()
    split = Split(pixels, labels, ("",) * 20)
    row = measure.result("a", "b", fx.symbolic_trace(Brightest()), normalize(), split, SHAPE)
    assert row["accuracy"] == right / 20 == accuracy(Brightest(), normalize(), split)
    assert row["ci"] == pytest.approx(wilson(right, 20), abs=1e-12)
    assert row["parameters"] == 1
    assert row["kb"] > 0
    file = row["onnx"]
    budget = {"edges": 3, "onnx": file}
    measure.take_turns([row, budget, {"name": "teacher"}], SHAPE)
    assert row["latency_ms"] == budget["latency_ms"] > 0  # the same file is measured once
    assert "onnx" not in row


class Sorted(Brightest):
    """The exporter has no word for it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.linalg.eigh(x[..., :8])[0][..., None])


def test_what_onnx_cannot_express_has_no_file_to_measure() -> None:
    net = fx.symbolic_trace(Sorted())
    costs = measure.costs(net, normalize(), SHAPE)
    assert (costs["parameters"], costs["latency_ms"], costs["kb"]) == (1, None, None)


def test_logits_do_not_depend_on_batches_and_modes_stay() -> None:
    net = supernet()
    net.body.eval()
    modes = [m.training for m in net.modules()]
    data = images().train.images
    one, all_ = (logits_of(net, normalize(), data, batch=b) for b in (5, 500))
    torch.testing.assert_close(one, all_, rtol=0, atol=1e-6)
    assert [m.training for m in net.modules()] == modes


def test_confusion_counts_rows_true_columns_predicted() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, (2, 200))
    counts = measure.confusion(torch.eye(4)[predicted], torch.from_numpy(true), 4)
    expected = np.zeros((4, 4), int)
    for t, p in zip(true, predicted, strict=True):
        expected[t, p] += 1
    assert counts == expected.tolist()


def test_the_surest_mistakes_come_first() -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, 9.0], [5.0, 0.0], [0.0, 4.0], [3.0, 0.0]])
    labels = torch.tensor([0, 1, 0, 0, 1])
    split = Split(images(5).train.images, labels, tuple("abcde"))
    found = measure.mistakes(logits, split)
    assert [(m["name"], m["true"], m["predicted"]) for m in found] == [("d", 0, 1), ("e", 1, 0), ("a", 0, 1)]
    assert [m["probability"] for m in found] == pytest.approx([1 / (1 + math.exp(-d)) for d in (4, 3, 1)])
    assert [m["name"] for m in measure.mistakes(logits, split, most=1)] == ["d"]


@pytest.mark.parametrize(("channels", "side", "shown"), [(1, 8, 8), (3, 16, 16), (3, 200, 96)])
def test_a_picture_is_the_image(channels: int, side: int, shown: int) -> None:
    image = torch.randint(0, 256, (channels, side, side), dtype=torch.uint8)
    head, _, body = measure.picture(image).partition(",")
    png = Image.open(io.BytesIO(base64.b64decode(body)))
    assert (head, png.size) == ("data:image/png;base64", (shown, shown))
    if shown == side:
        assert np.array_equal(np.asarray(png), image.squeeze(0).numpy() if channels == 1 else image.permute(1, 2, 0))


def test_pixels_go_through_the_normalisation_first() -> None:
    net = supernet(merge="concat").eval()
    plain = derive(net, net.body.wiring())  # type: ignore[operator]
    norm = Normalize(torch.tensor([70.0]), torch.tensor([30.0]))
    whole = with_pixels(plain, norm)
    pixels = images().train.images.float()
    torch.testing.assert_close(whole(pixels), plain(norm(pixels)), rtol=0, atol=0)
    assert {"pixel_mean", "pixel_std"} <= whole.state_dict().keys()
    assert not {"pixel_mean", "pixel_std"} & plain.state_dict().keys()
