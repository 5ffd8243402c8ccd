"""Windows cover an image, blend without seams, and are the plain answer where one is enough."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from plexus.data import to_shape
from plexus.models import Segmentation, UNet
from plexus.segment.nets import Segmenter, blend_weights, enlarge, from_bytes, places, predict_proba, to_bytes, windowed
from plexus.training import Normalize


class Pointwise(nn.Module):
    """A pixel's logit is its value; the target is as present as the brightest pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Segmentation:
        return Segmentation(x / 50 - 2, x.flatten(1).amax(1))


def image(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns), dtype=np.uint8)


def real() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(UNet(width=4, levels=3), Normalize(torch.tensor([100.0]), torch.tensor([50.0]))).eval()


@given(st.integers(1, 300), st.integers(1, 64))
def test_windows_cover_everything(length: int, window: int) -> None:
    length = max(length, window)
    found = places(length, window)
    assert (found[0], found[-1]) == (0, length - window)
    steps = np.diff(found)
    assert len(steps) == 0 or (steps > 0).all()
    assert all(step <= max(1, window // 2) for step in steps.tolist())


def test_weights_are_symmetric_and_never_0() -> None:
    weight = blend_weights((5, 8))
    assert np.array_equal(weight, weight[::-1, ::-1])
    assert weight.min() > 0
    assert weight.max() == 1


def test_a_pointwise_net_leaves_no_seam() -> None:
    net, pixels = Pointwise().eval(), image(70, 45)
    got, logit = windowed([net], pixels, (16, 16), (16.0, 16.0), channels=1)  # type: ignore[list-item]
    expected = 1 / (1 + np.exp(2 - pixels.astype(np.float64) / 50))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert logit == pixels.max()


def test_an_image_of_the_usual_size_needs_one_window() -> None:
    net, pixels = real(), image(60, 80)
    got, logit = windowed([net], pixels, (24, 32), (60.0, 80.0), channels=1)
    expected, logits = predict_proba([net], torch.from_numpy(to_shape(pixels, (1, 24, 32)))[None])
    np.testing.assert_allclose(got, expected[0], atol=1e-6)
    assert logit == logits[0]


def test_larger_images_keep_the_scale_and_smaller_ones_the_size() -> None:
    net = real()
    assert windowed([net], image(120, 80), (24, 32), (60.0, 80.0), channels=1)[0].shape == (48, 32)
    assert windowed([net], image(10, 10), (24, 32), (60.0, 80.0), channels=1)[0].shape == (24, 32)


def test_flips_make_the_answer_symmetric() -> None:
    net = real()
    pixels = torch.from_numpy(image(16, 16))[None, None]
    there, logit = predict_proba([net], pixels, flips=True)
    back, again = predict_proba([net], pixels.flip(-1), flips=True)
    np.testing.assert_allclose(there, back[:, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(logit, again, atol=1e-6)
    assert not np.allclose(there, predict_proba([net], pixels)[0])


def test_several_nets_answer_with_their_mean() -> None:
    first, pixels = real(), torch.from_numpy(image(16, 16))[None, None]
    torch.manual_seed(1)
    second = Segmenter(UNet(width=4, levels=3), Normalize(torch.tensor([90.0]), torch.tensor([40.0]))).eval()
    both = predict_proba([first, second], pixels)
    each = [predict_proba([net], pixels) for net in (first, second)]
    for k in (0, 1):
        np.testing.assert_allclose(both[k], (each[0][k] + each[1][k]) / 2, atol=1e-6)


def test_kept_probabilities_keep_their_side_of_a_half() -> None:
    p = np.linspace(0, 1, 1001, dtype=np.float32)
    assert np.array_equal(from_bytes(to_bytes(p)) >= 0.5, p >= 0.5)
    assert np.abs(from_bytes(to_bytes(p)) - p).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("size", [(20, 30), (3, 4), (6, 8)])
def test_enlarging_keeps_constants_and_bounds(size: tuple[int, int]) -> None:
    constant = np.full((6, 8), 0.3, np.float32)
    np.testing.assert_allclose(enlarge(constant, size), 0.3, atol=1e-6)
    noisy = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    got = enlarge(noisy, size)
    assert got.shape == size
    assert noisy.min() - 1e-6 <= got.min()
    assert got.max() <= noisy.max() + 1e-6
