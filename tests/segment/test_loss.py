"""The loss is the formula it states, known at its ends, and its gradient is its derivative."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from plexus.errors import ConfigError, DataError
from plexus.models import Segmentation
from plexus.segment import segmentation_loss

SURE = 200.0  # a logit whose sigmoid is 0 or 1 in float64


def batch(*, empty: tuple[int, ...] = (1,)) -> tuple[Segmentation, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 5, 6, dtype=torch.float64, generator=generator)
    mask = torch.rand(4, 1, 5, 6, generator=generator) < 0.3
    mask[list(empty)] = False
    return Segmentation(logits, torch.randn(4, dtype=torch.float64, generator=generator)), mask


def certain(mask: Tensor, says: Tensor | None = None) -> Segmentation:
    """Logits that say a mask and its presence with certainty."""
    says = mask if says is None else says
    signs = 2 * says.to(torch.float64) - 1
    return Segmentation(SURE * signs, SURE * (2 * says.flatten(1).any(1).to(torch.float64) - 1))


def plain(out: Segmentation, mask: Tensor, kind: str, positives_only: bool, weight: float, smooth: float) -> float:
    """The loss in plain loops."""
    truth = mask[:, 0].numpy().astype(float)
    p = 1 / (1 + np.exp(-out.mask_logits[:, 0].detach().numpy()))
    q = 1 / (1 + np.exp(-out.presence_logit.detach().numpy()))
    there = [bool(t.any()) for t in truth]
    used = [i for i in range(len(truth)) if there[i] or not positives_only]
    presence = -sum(math.log(q[i]) if there[i] else math.log(1 - q[i]) for i in range(len(truth))) / len(truth)
    if kind == "batch":
        common, total = sum((p[i] * truth[i]).sum() for i in used), sum((p[i] + truth[i]).sum() for i in used)
        return -(2 * common + smooth) / (total + smooth) + weight * presence
    dice = [(2 * (p[i] * truth[i]).sum() + smooth) / (p[i].sum() + truth[i].sum() + smooth) for i in used]
    pixels = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()
    return -sum(dice) / len(dice) + pixels + weight * presence


@pytest.mark.parametrize("kind", ["image", "batch"])
@pytest.mark.parametrize("positives_only", [False, True])
@pytest.mark.parametrize(("weight", "smooth"), [(0.5, 1.0), (0.0, 0.25), (2.0, 10.0)])
def test_the_loss_is_its_formula(kind: str, positives_only: bool, weight: float, smooth: float) -> None:
    out, mask = batch(empty=(1, 3))
    loss = segmentation_loss(out, mask, kind=kind, positives_only=positives_only, presence_weight=weight, smooth=smooth)
    assert loss.item() == pytest.approx(plain(out, mask, kind, positives_only, weight, smooth), rel=1e-12)


@pytest.mark.parametrize("kind", ["image", "batch"])
@pytest.mark.parametrize("empty", [(), (1,), (0, 1, 2, 3)])
def test_all_right_is_minus_one(kind: str, empty: tuple[int, ...]) -> None:
    _, mask = batch(empty=empty)
    assert segmentation_loss(certain(mask), mask, kind=kind).item() == pytest.approx(-1, abs=1e-12)


def test_answers_that_are_all_empty_have_the_value_of_the_definition() -> None:
    mask = torch.zeros(4, 1, 5, 6, dtype=torch.bool)
    mask[0, 0, :2, :3], mask[1, 0, 0, 0] = True, True  # areas 6 and 1, and two images without a target
    out = certain(mask, torch.zeros_like(mask))
    presence = 0.5 * (2 * SURE / 4)  # two of four images are present and said to be absent with certainty
    assert segmentation_loss(out, mask, kind="batch").item() == pytest.approx(-1 / 8 + presence)
    pixels = 7 * SURE / 120
    dice = (1 / 7 + 1 / 2 + 1 + 1) / 4
    assert segmentation_loss(out, mask).item() == pytest.approx(-dice + pixels + presence)
    some = (1 / 7 + 1 / 2) / 2
    assert segmentation_loss(out, mask, positives_only=True).item() == pytest.approx(-some + pixels + presence)


def test_a_batch_without_a_target_has_no_dice_term_for_positives_only() -> None:
    out, mask = batch(empty=(0, 1, 2, 3))
    presence = torch.nn.functional.softplus(out.presence_logit).mean()
    for kind, pixels in (("batch", 0.0), ("image", torch.nn.functional.softplus(out.mask_logits).mean().item())):
        loss = segmentation_loss(out, mask, kind=kind, positives_only=True)
        assert loss.item() == pytest.approx(pixels + 0.5 * presence.item())


@pytest.mark.parametrize("kind", ["image", "batch"])
@pytest.mark.parametrize("positives_only", [False, True])
@pytest.mark.parametrize("empty", [(1,), (0, 1, 2, 3)])
def test_the_gradient_is_the_derivative(kind: str, positives_only: bool, empty: tuple[int, ...]) -> None:
    out, mask = batch(empty=empty)

    def loss(logits: Tensor, presence: Tensor) -> Tensor:
        return segmentation_loss(Segmentation(logits, presence), mask, kind=kind, positives_only=positives_only)

    given = [part.clone().requires_grad_() for part in out]
    assert torch.autograd.gradcheck(loss, given)


@pytest.mark.parametrize("kind", ["image", "batch"])
def test_the_mask_may_have_any_usual_shape_and_type(kind: str) -> None:
    out, mask = batch()
    expected = segmentation_loss(out, mask, kind=kind)
    for same in (mask[:, 0], mask.float(), mask[:, 0].to(torch.uint8), mask.double()):
        assert torch.equal(segmentation_loss(out, same, kind=kind), expected)


@pytest.mark.parametrize("kind", ["image", "batch"])
def test_half_types_are_summed_in_float32(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(2, 1, 300, 300, generator=generator) < 0.5  # sums beyond what float16 holds
    out = Segmentation(torch.randn(2, 1, 300, 300, generator=generator), torch.randn(2, generator=generator))
    for half in (torch.float16, torch.bfloat16):
        small = Segmentation(*(part.to(half) for part in out))
        loss = segmentation_loss(small, mask, kind=kind)
        assert loss.dtype == torch.float32
        exact = segmentation_loss(Segmentation(*(part.double() for part in small)), mask, kind=kind)
        assert loss.item() == pytest.approx(exact.item(), rel=1e-5)


def test_nothing_is_smooth_enough_to_divide_by_zero() -> None:
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    for kind in ("image", "batch"):
        assert segmentation_loss(certain(mask), mask, kind=kind, smooth=0.0).item() == pytest.approx(0, abs=1e-12)


def test_mistakes_are_refused() -> None:
    out, mask = batch()
    with pytest.raises(ConfigError, match="kind='pixel' is unknown; choose from image, batch"):
        segmentation_loss(out, mask, kind="pixel")
    with pytest.raises(ConfigError, match=r"presence_weight=-1 and smooth=1.0 must be 0 or more"):
        segmentation_loss(out, mask, presence_weight=-1)
    with pytest.raises(DataError, match=r"logits of shape \(4, 1, 5, 6\), but masks \(4, 1, 6, 5\)"):
        segmentation_loss(out, mask.mT)
