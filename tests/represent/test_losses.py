"""Every term of the loss against a formula of its own, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Normal, kl_divergence

from plexus.represent.module import (
    contrastive_loss,
    divergence,
    generative_loss,
    pseudo_label_loss,
    share_gradient,
)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_twins_are_to_be_found_among_all_other_views(temperature: float) -> None:
    a, b = rand(5, 7), rand(5, 7, seed=1)
    views = [*a, *b]
    total = 0.0
    for i, view in enumerate(views):
        cosine = [float(view @ w / (view.norm() * w.norm())) / temperature for w in views]
        twin = (i + 5) % 10
        total -= cosine[twin] - math.log(sum(math.exp(c) for j, c in enumerate(cosine) if j != i))
    assert contrastive_loss(a, b, temperature).item() == pytest.approx(total / 10, rel=1e-5)


def test_contrast_knows_no_length_and_no_order() -> None:
    a, b = rand(6, 4), rand(6, 4, seed=1)
    loss = contrastive_loss(a, b, 0.3)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    for other in (
        contrastive_loss(7 * a, b, 0.3),
        contrastive_loss(b, a, 0.3),
        contrastive_loss(a[order], b[order], 0.3),
    ):
        assert torch.allclose(loss, other, atol=1e-6)
    assert contrastive_loss(a, a, 0.3) < loss
    assert contrastive_loss(torch.ones(6, 4), torch.ones(6, 4), 0.3).item() == pytest.approx(math.log(11), rel=1e-5)


def test_divergence_is_that_of_normal_distributions() -> None:
    mean, log_variance = rand(50, 6), 0.7 * rand(50, 6, seed=1)
    exact = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).mean(0)
    assert torch.allclose(divergence(mean, log_variance), exact)
    assert divergence(mean, log_variance).shape == (6,)


def test_divergence_is_what_samples_tell() -> None:
    mean, log_variance = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-1.0]], dtype=torch.float64)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    z = mean + (0.5 * log_variance).exp() * rand(200_000, 1)
    samples = posterior.log_prob(z) - Normal(0.0, 1.0).log_prob(z)
    assert divergence(mean, log_variance).item() == pytest.approx(samples.mean().item(), abs=5 * 1.5 / 200_000**0.5)


def test_pseudo_labels_are_those_of_the_surely_taken() -> None:
    plain, varied = 3 * rand(40, 4), rand(40, 4, seed=1)
    total, counted = 0.0, 0
    for p, v in zip(plain, varied, strict=True):
        chance = Categorical(logits=p).probs
        if chance.max() >= 0.8:
            total -= Categorical(logits=v).log_prob(chance.argmax()).item()
            counted += 1
    assert 0 < counted < 40
    assert pseudo_label_loss(plain, varied, 0.8).item() == pytest.approx(total / 40)


def test_targets_of_pseudo_labels_get_no_gradient() -> None:
    plain, varied = (5 * rand(8, 3)).requires_grad_(), rand(8, 3, seed=1).requires_grad_()
    pseudo_label_loss(plain, varied, 0.5).backward()
    assert plain.grad is None
    assert varied.grad is not None
    assert varied.grad.any()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_share_of_the_gradient_passes_and_all_of_the_value(share: float) -> None:
    z = rand(3, 4).requires_grad_()
    weight = rand(3, 4, seed=1)
    y = share_gradient(z, share)
    assert torch.allclose(y, z)
    if share == 0:
        assert not y.requires_grad
        return
    (weight * y**2).sum().backward()
    assert z.grad is not None
    assert torch.allclose(z.grad, share * 2 * weight * z.detach())


def test_the_generative_loss_is_the_likelihood_of_the_best_variance() -> None:
    """Less that of an image that is explained not at all."""
    rest, whole = rand(4000), 3 * rand(4000, seed=1)

    def likelihood(x: Tensor) -> Tensor:
        best = x.square().mean().sqrt()
        return -Normal(0.0, best).log_prob(x).mean()

    share = rest.square().mean() / whole.square().mean()
    assert generative_loss(share).item() == pytest.approx((likelihood(rest) - likelihood(whole)).item())
    for scale in (0.9, 1.1):  # any other variance is worse
        other = -Normal(0.0, scale * rest.square().mean().sqrt()).log_prob(rest).mean()
        assert other > likelihood(rest)


def test_the_generative_loss_is_finite_where_all_is_explained() -> None:
    perfect = torch.zeros((), dtype=torch.float64, requires_grad=True)
    generative_loss(perfect).backward()
    assert generative_loss(perfect).item() == pytest.approx(0.5 * math.log(1e-8))
    assert perfect.grad is not None
    assert torch.isfinite(perfect.grad)


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_the_generative_gradient_grows_as_the_error_falls(share: float) -> None:
    rest = torch.tensor(share, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(generative_loss, (rest,))
    generative_loss(rest).backward()
    assert rest.grad is not None
    assert rest.grad.item() == pytest.approx(0.5 / share)


def test_gradients_are_those_of_differences() -> None:
    mean, log_variance = rand(3, 2).requires_grad_(), rand(3, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(divergence, (mean, log_variance))
    varied = rand(6, 3, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: pseudo_label_loss(4 * rand(6, 3), v, 0.6), (varied,))
