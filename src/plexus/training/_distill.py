"""Distillation: a net learns the answers of another one beside the labels."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.data import ImageData
from plexus.errors import ConfigError, DataError, PlexusError
from plexus.training._config import MEMORY, FitConfig
from plexus.training._open_model import Opened, check_classes, check_logits, open_model

_COLOURS = {1: "grey", 3: "colour"}


def distillation(
    logits: Tensor, targets: Tensor, taught: Tensor,
    *, temperature: float = 4.0, share: float = 0.9, weights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    r"""Cross-entropy with the labels and divergence from a teacher's softened answers.

    .. math:: L = (1 - a)\,H(y, p_1) + a\,T^2\,\mathrm{KL}(q_T \,\|\, p_T), \quad p_T = \mathrm{softmax}(z / T)

    with z the net's logits, q those of the teacher, softened alike. T squared keeps the gradient of both terms of one
    size, whatever the temperature.

    Args:
        logits: z, (N, K).
        targets: y, (N,).
        taught: the teacher's logits, (N, K).
        temperature: T.
        share: a.
        weights: of the classes in the cross-entropy, (K,).

    Shape:
        A scalar.

    Source: Hinton, Vinyals and Dean 2015, Distilling the knowledge in a neural network.

    Example:
        >>> same = torch.tensor([[2.0, 0.0]])
        >>> distillation(same, torch.tensor([0]), same, share=1.0).item()
        0.0
    """
    hard = F.cross_entropy(logits, targets, weights)
    soft = F.kl_div(
        F.log_softmax(logits / temperature, 1), F.log_softmax(taught / temperature, 1),
        reduction="batchmean", log_target=True,
    )  # fmt: skip
    return (1 - share) * hard + share * temperature**2 * soft


class Teacher:
    """A model that teaches: pixels to its logits, with its own preprocessing; it does not learn.

    No module, so that its weights are in no checkpoint of what it teaches.

    Args:
        opened: the model, which reads pixels 0..255 and normalises them itself.
        temperature, share: see `distillation`.

    Example:
        >>> from plexus.training import open_model
        >>> Teacher(open_model(nn.Flatten()))(torch.ones(2, 1, 1, 3, dtype=torch.uint8)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(self, opened: Opened, *, temperature: float = 4.0, share: float = 0.9) -> None:
        self.opened, self.model = opened, opened.model.eval()
        self.temperature, self.share = temperature, share

    def loss(self, logits: Tensor, targets: Tensor, images: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the `distillation` of logits (N, K) of images (N, C, H, W), 0..255, and their labels (N,)."""
        return distillation(
            logits, targets, self(images), temperature=self.temperature, share=self.share, weights=weights
        )

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of images (N, C, H, W), 0..255, which are resized as the model takes them."""
        logits: Tensor = self.model.to(images.device)(self.taken(images))
        return logits.to(images.device).float()

    def taken(self, images: Tensor) -> Tensor:
        """Return images as the model takes them."""
        pixels, shape = images.float(), self.opened.in_shape
        if shape is not None and tuple(pixels.shape[2:]) != shape[1:]:
            pixels = F.interpolate(pixels, shape[1:], mode="bilinear", antialias=True)
        if shape is not None and pixels.shape[1] == 1:
            pixels = pixels.expand(-1, shape[0], -1, -1)  # grey, to a model of colour images
        return pixels


def open_teacher(config: FitConfig, data: ImageData, given: nn.Module | None = None) -> Teacher | None:
    """Open the teacher that options name, and refuse one of other images or classes.

    Args:
        config: options of the run.
        data: the images.
        given: the module, where it was in memory.

    Returns:
        None where the options name none.

    Raises:
        ConfigError: no model, or one that does not take the images.
        RunError: a run or a file that is missing or broken.
        DataError: a model of other classes.

    Example:
        >>> from plexus.training import load_data
        >>> open_teacher(FitConfig(), load_data(FitConfig(limit=100))) is None
        True
    """
    if (spec := config.teacher) is None:
        return None
    if spec == MEMORY and given is None:
        raise ConfigError("the teacher was a module in memory: give it again, as plexus.load(RUN, teacher=MODULE)")
    try:
        opened = open_model(spec if given is None else copy.deepcopy(given))
        shape, channels = opened.in_shape, data.in_shape[0]
        if shape is not None and shape[0] != channels and channels != 1:
            kinds = [_COLOURS.get(n, f"{n}-channel") for n in (shape[0], channels)]
            raise DataError(f"{opened.source} takes {kinds[0]} images, {data.name} has {kinds[1]} ones")
        check_classes(opened, data.name, data.classes)
        teacher = Teacher(opened, temperature=config.temperature, share=config.teacher_share)
        check_logits(opened, teacher.taken(data.train.images[:1]), len(data.classes))
    except PlexusError as error:
        raise type(error)(f"teacher: {error}") from None
    return teacher
