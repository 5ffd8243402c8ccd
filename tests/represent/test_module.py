"""The balance weighs what shapes Z: at 0 labels do not reach it, at 1 pixels do not, and the heads always learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from plexus.data import Split
from plexus.models import Autoencoder
from plexus.represent import RepresentConfig
from plexus.represent.module import (
    RepresentationModule,
    Trained,
    active_units,
    balance_at,
    divergence,
    generative_loss,
    unexplained,
)
from plexus.training import Schedule
from tests.represent.shapes import KINDS, shape

IMAGES = torch.from_numpy(np.stack([shape(KINDS[i % 3], i) for i in range(12)]))[:, None]
LABELS = torch.arange(12) % 3
LATE = 30  # steps of 40: the balance is the one asked for
Gradients = dict[str, Tensor]


def task(*, few: bool = False, labels: Tensor = LABELS, **options: Any) -> RepresentationModule:
    config = RepresentConfig(
        **{"dim": 4, "width": 4, "batch_size": 12, "labels": "4" if few else "all", "precision": "32-true", **options}
    )
    torch.manual_seed(0)
    net = Autoencoder(
        (1, 12, 12), config.dim, width=4, classes=() if config.labels == "none" else ("a", "b", "c"),
        variational=config.objective == "vae", mean=(90.0,), std=(70.0,),
    )  # fmt: skip
    split = Split(IMAGES, labels, tuple(map(str, range(12)))) if few else None
    schedule = Schedule(epochs=10, whole=10, first=0, lr=1e-3, gate_lr=1e-2, weight_decay=0.0, seed=0)
    made = RepresentationModule(Trained(net, projected=config.teaches == "contrast"), schedule, 4, config, split)
    return made.train()


def gradients(
    made: RepresentationModule, images: Tensor = IMAGES, labels: Tensor = LABELS, *, at: int = LATE
) -> Gradients:
    """Of the loss at one step of the training, by name; the chance is the same every time."""
    made.__class__ = type("At", (RepresentationModule,), {"place": property(lambda self: at)})
    made.zero_grad()
    torch.manual_seed(5)
    made.loss(images, labels, torch.Generator().manual_seed(7)).backward()
    return {k: torch.zeros_like(p) if p.grad is None else p.grad.clone() for k, p in made.net.named_parameters()}


def part(found: Gradients, *names: str) -> Tensor:
    kept = [g.flatten() for k, g in found.items() if k.split(".")[1].startswith(names)]
    assert kept
    return torch.cat(kept)


def encoder(found: Gradients) -> Tensor:
    return part(found, "trunk", "to_z")


@pytest.mark.parametrize("objective", ["ae", "vae", "denoise"])
@pytest.mark.parametrize("few", [False, True])
def test_at_0_labels_do_not_reach_the_encoder(objective: str, few: bool) -> None:
    options: dict[str, Any] = {"few": few, "balance": 0.0, "objective": objective}
    swapped = LABELS.roll(1)
    ours = gradients(task(**options))
    theirs = gradients(task(**options, labels=swapped), labels=swapped)
    assert torch.equal(encoder(ours), encoder(theirs))
    assert torch.equal(part(ours, "decoder"), part(theirs, "decoder"))
    assert not torch.equal(part(ours, "classifier"), part(theirs, "classifier"))
    assert encoder(ours).any()
    assert part(ours, "classifier").any()


@pytest.mark.parametrize("objective", ["ae", "vae", "denoise"])
@pytest.mark.parametrize("few", [False, True])
def test_at_1_pixels_do_not_reach_the_encoder(objective: str, few: bool) -> None:
    """Whatever the decoder is, the encoder learns the same; and the decoder learns."""
    first = task(few=few, balance=1.0, objective=objective)
    second = task(few=few, balance=1.0, objective=objective)
    with torch.no_grad():
        for p in second.net.model.decoder.parameters():
            p.mul_(0.5).add_(0.1)
    ours, theirs = gradients(first), gradients(second)
    assert torch.equal(encoder(ours), encoder(theirs))
    assert not torch.equal(part(ours, "decoder"), part(theirs, "decoder"))
    assert encoder(ours).any()
    assert part(ours, "decoder").any()


@pytest.mark.parametrize("objective", ["ae", "vae"])
def test_between_the_encoder_learns_the_weighted_sum(objective: str) -> None:
    """At the ends each side alone; the views are the same at any balance above 0."""
    whole = encoder(gradients(task(balance=1.0, objective=objective)))
    half, three_quarters = (encoder(gradients(task(balance=b, objective=objective))) for b in (0.5, 0.75))
    generative = 2 * half - whole
    assert torch.allclose(three_quarters, 0.25 * generative + 0.75 * whole, atol=1e-5, rtol=1e-3)


def test_the_heads_learn_the_same_at_every_balance() -> None:
    found = [gradients(task(balance=b)) for b in (0.25, 0.5, 1.0)]
    for other in found[1:]:
        for name in ("decoder", "classifier"):
            assert torch.allclose(part(found[0], name), part(other, name), atol=1e-6)


@pytest.mark.parametrize("consistency", ["pseudo", "contrast"])
def test_images_without_labels_teach_the_encoder(consistency: str) -> None:
    few: dict[str, Any] = {"few": True, "balance": 1.0}
    own: dict[str, Any] = {"confidence": 0.01} if consistency == "pseudo" else {"temperature": 0.5}
    without = encoder(gradients(task(**few, consistency="none")))
    with_term = encoder(gradients(task(**few, **own, consistency=consistency)))
    assert not torch.allclose(without, with_term, atol=1e-4)


def test_no_labels_teach_where_there_are_none() -> None:
    made = unlabelled()
    ours, theirs = gradients(made), gradients(made, labels=LABELS.roll(1))
    assert all(torch.equal(v, theirs[k]) for k, v in ours.items())
    assert encoder(ours).any()  # by contrast alone
    assert any(v.any() for k, v in ours.items() if k.startswith("projection"))


def unlabelled() -> RepresentationModule:
    config = RepresentConfig(labels="none", balance=1.0, dim=4, width=4, batch_size=12)
    torch.manual_seed(0)
    net = Autoencoder((1, 12, 12), 4, width=4, mean=(90.0,), std=(70.0,))
    schedule = Schedule(epochs=10, whole=10, first=0, lr=1e-3, gate_lr=1e-2, weight_decay=0.0, seed=0)
    return RepresentationModule(Trained(net, projected=True), schedule, 4, config, None).train()


def test_the_few_labels_alone_are_read() -> None:
    """The labels of the batch could be anything."""
    ours = gradients(task(few=True, balance=0.5))
    theirs = gradients(task(few=True, balance=0.5), labels=torch.full_like(LABELS, -1))
    assert all(torch.equal(v, theirs[k]) for k, v in ours.items())


def test_the_loss_of_a_plain_autoencoder_is_its_reconstruction() -> None:
    made = task(balance=0.0, consistency="none")
    found = made.loss(IMAGES, LABELS, torch.Generator().manual_seed(0))
    model = made.net.model
    z = model.encode(IMAGES)
    rest = ((model.decode(z) - IMAGES) / 70.0).double().square().mean()
    expected = 0.5 * rest.log() + torch.nn.functional.cross_entropy(model.classify(z), LABELS)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_variational_loss_has_the_divergence_of_a_pixel() -> None:
    loss = {}
    for beta in (0.0, 1.0, 3.0):
        made = task(balance=0.0, objective="vae", beta=beta)
        torch.manual_seed(5)
        loss[beta] = made.loss(IMAGES, LABELS, torch.Generator().manual_seed(0)).item()
    nats = divergence(*task(objective="vae").net.model.posterior(IMAGES)).sum().item() / 144
    assert loss[1.0] - loss[0.0] == pytest.approx(nats, rel=1e-3)
    assert loss[3.0] - loss[0.0] == pytest.approx(3 * nats, rel=1e-3)


def test_a_denoising_encoder_sees_noise_and_is_asked_for_the_clean_image() -> None:
    clean, noisy = task(balance=0.0), task(balance=0.0, objective="denoise", noise=0.5)
    still = task(balance=0.0, objective="denoise", noise=0.0)
    ours, theirs, same = (gradients(t) for t in (clean, noisy, still))
    assert not torch.allclose(encoder(ours), encoder(theirs), atol=1e-4)
    assert torch.equal(encoder(ours), encoder(same))


def test_unexplained_is_a_share_of_the_variance() -> None:
    model = task().net.model
    assert unexplained(model, IMAGES.float(), IMAGES.float()).item() == 0
    assert unexplained(model, IMAGES.float(), IMAGES.float() + 70).item() == pytest.approx(1)
    assert generative_loss(torch.tensor(1.0)).item() == 0


@pytest.mark.parametrize(
    ("balance", "t", "found"),
    [
        (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.0, 0.5), (0.8, 0.0, 0.8), (1.0, 0.3, 1.0), (0.1, 0.0, 0.5),
        (0.1, 0.125, 0.4), (0.1, 0.25, 0.3), (0.1, 0.5, 0.1), (0.1, 0.9, 0.1), (0.4, 0.25, 0.45),
    ],
)  # fmt: skip
def test_recognition_leads_until_half_of_the_training(balance: float, t: float, found: float) -> None:
    assert balance_at(balance, t) == pytest.approx(found)


def test_the_step_has_the_balance_of_its_place() -> None:
    early, late = (encoder(gradients(task(balance=0.1), at=at)) for at in (0, LATE))
    led = encoder(gradients(task(balance=0.5), at=LATE))
    assert torch.allclose(early, led, atol=1e-6)
    assert not torch.allclose(late, led, atol=1e-4)


def test_one_image_alone_can_be_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last batch of an epoch may hold one; batch norm needs two."""
    made = task(balance=0.5)
    made.__class__ = type("At", (RepresentationModule,), {"place": property(lambda self: 0)})
    monkeypatch.setattr(made, "_trainer", None, raising=False)
    monkeypatch.setattr(type(made), "global_rank", property(lambda self: 0))
    loss = made.training_step((IMAGES[:1], LABELS[:1]), 0)
    assert torch.isfinite(loss)


def test_units_that_carry_nothing_are_not_counted() -> None:
    z = torch.randn(400, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert active_units(z) == 6
    assert active_units(z * torch.tensor([1, 1, 1, 0.05, 0.0, 1])) == 4
    assert active_units(50 * z * torch.tensor([1, 1, 1, 0.001, 0.0, 1])) == 4  # of 1 where the largest is larger
    assert active_units(1e-3 * z) == 6
    assert active_units(torch.zeros(4, 3)) == 0
    assert active_units(0.09 * z, prior=True) == 0  # all have collapsed
    assert active_units(z * torch.tensor([1, 1, 1, 0.05, 0.0, 1]), prior=True) == 4
    assert active_units(50 * z * torch.tensor([1, 1, 1, 0.001, 0.0, 1]), prior=True) == 4
