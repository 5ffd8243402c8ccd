"""What shapes Z: pure functions on tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def share_gradient(z: Tensor, share: float) -> Tensor:
    r"""Z as it is, whose gradient is scaled: the heads behind it learn whole, what is before it learns by a share.

    .. math:: y = z, \qquad \partial L / \partial z = s\,\partial L / \partial y

    Args:
        z: any shape.
        share: s, 0 to 1.

    Example:
        >>> z = torch.ones(1, requires_grad=True)
        >>> (3 * share_gradient(z, 0.5)).backward()
        >>> z.grad.item()
        1.5
    """
    return z if share == 1 else z.detach() if share == 0 else share * z + (1 - share) * z.detach()


def generative_loss(unexplained: Tensor) -> Tensor:
    r"""Negative log-likelihood of a pixel under Gaussian noise of the best variance, less a constant.

    .. math:: G = \tfrac12 \log \frac{\mathrm{mean}\,(x - \hat x)^2}{\sigma_x^2}

    Its gradient grows as the error falls, so that a balance means the same early and late, for any kind of image.

    Args:
        unexplained: share of the pixels' variance that a reconstruction leaves, a scalar.

    Source: Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders".

    Example:
        >>> generative_loss(torch.tensor(1.0)).item()
        0.0
    """
    return 0.5 * unexplained.clamp_min(1e-8).log()


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Kullback-Leibler divergence of N(mean, variance) from N(0, 1), in nats, of every unit: (N, d) -> (d,).

    .. math:: \tfrac12 (\mu^2 + \sigma^2 - 1 - \log \sigma^2)

    Example:
        >>> divergence(torch.zeros(4, 2), torch.zeros(4, 2)).tolist()
        [0.0, 0.0]
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(0)


def contrastive_loss(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    r"""Normalised-temperature cross-entropy: each view should know its twin among all other views of the batch.

    .. math:: -\frac1{2n} \sum_i \log \frac{\exp(u_i \cdot u_{i'} / t)}{\sum_{j \ne i} \exp(u_i \cdot u_j / t)}

    with u the views scaled to length 1, and i' the twin of i.

    Args:
        a, b: two views of the same images, (n, k).
        temperature: t.

    Source: Chen et al. 2020, SimCLR.

    Example:
        >>> contrastive_loss(torch.eye(2), torch.eye(2), 0.01).item() < 1e-6
        True
    """
    n = len(a)
    views = F.normalize(torch.cat([a, b]).float(), dim=1)
    itself = torch.eye(2 * n, dtype=torch.bool, device=a.device)
    scores = (views @ views.T / temperature).masked_fill(itself, -torch.inf)
    twins = torch.arange(2 * n, device=a.device).roll(n)
    return F.cross_entropy(scores, twins)


def pseudo_label_loss(plain: Tensor, varied: Tensor, confidence: float) -> Tensor:
    """Cross-entropy of the logits of varied images against what the plain ones are surely taken for.

    Args:
        plain: logits of the images as they are, (n, classes); they give the targets and no gradient.
        varied: logits of the same images after augmentation, (n, classes).
        confidence: images whose largest probability is lower count as 0.

    Source: Sohn et al. 2020, FixMatch.

    Example:
        >>> unsure = torch.zeros(1, 2)
        >>> pseudo_label_loss(unsure, torch.tensor([[5.0, 0.0]]), 0.95).item()
        0.0
    """
    sure, target = plain.detach().softmax(1).max(1)
    return (F.cross_entropy(varied, target, reduction="none") * (sure >= confidence)).mean()
