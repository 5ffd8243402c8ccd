"""An estimator of scikit-learn: for pipelines, cross-validation and grid search; no folder is left behind."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from plexus.data import channels_first, in_memory
from plexus.errors import PlexusError
from plexus.front import named_model
from plexus.training import MEMORY, FitConfig, learn

if TYPE_CHECKING:
    from torch import Tensor

LEARNED = ("backbone", "teacher")
"""Parameters that are models."""
FEW = 4
"""Rows or columns of images that are too small for convolutions: dense legos read them."""


class PlexusClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of images with a learned wiring, for scikit-learn.

    All images train, but for a share that is held out to follow the learning. What `plexus.fit` measures and writes
    beside (other budgets, ONNX, a page) is left out. Images are learned from in 256 steps between the least and the
    largest number of X, as pixels have them: bring columns of several units to one scale first, and outliers to the
    others.

    Args:
        image_shape: (H, W), (C, H, W) or (H, W, C) of an image, where X has a row of numbers for each; by default such
            rows are squares where that comes out even, and else images of one row.
        epochs: passes over the images.
        preset, legos, width: the network; legos are a function or ``FILE.py:function``.
        backbone: a learned net whose maps are read in place of pixels: ``efficientnet-lite0``, a `Run` or its folder,
            ``FILE.py:function+WEIGHTS.safetensors``, a torch module that takes pixels 0..255, or a function that makes
            it. Rows, columns and channels of X must be those that it reads.
        teacher: a model whose answers are learned, too: a `Run` or its folder, an ``.onnx`` file,
            ``FILE.py:function+WEIGHTS.safetensors``, or a torch module that takes pixels 0..255; its logits are those
            of `classes_`, in their order.
        keep, fan_in, max_params, max_macs: the budget; one of them at most.
        augment: shift and flip.
        batch_size: images in a batch; by default 64, fewer for few images.
        lr, weight_decay: of the optimiser.
        validation_fraction: share of the images held out to follow the learning.
        options: further options of `FitConfig`, such as ``{"neuron": "rot8"}``.
        random_state: seed or generator of weights, order and split.
        verbose: show live progress.

    Attributes:
        classes_: the classes, in the order of `predict_proba`.
        model_: the net, a plain torch module: (N, C, H, W) on the scale of X -> logits.
        in_shape_: (C, H, W).
        history_: loss and accuracy of every epoch.
        n_features_in_: the second axis of X.

    Example:
        >>> X = np.zeros((8, 8, 8)); X[::2, 2] = 1; X[1::2, :, 2] = 1
        >>> PlexusClassifier(epochs=3, width=16, random_state=0).fit(X, ["lying", "upright"] * 4).classes_.tolist()
        ['lying', 'upright']
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int] | None = None,
        epochs: int = 24,
        preset: Literal["separable", "mix", "deep", "blocks", "legos8", "dense", "maps"] | None = None,
        legos: str | Callable[[Sequence[int]], Sequence[Any]] | None = None,
        backbone: Any = None,
        teacher: Any = None,
        width: int | None = None,
        keep: float | None = None,
        fan_in: int | None = None,
        max_params: int | None = None,
        max_macs: int | None = None,
        augment: bool = False,
        batch_size: int | None = None,
        lr: float = 0.006,
        weight_decay: float = 0.0005,
        validation_fraction: float = 0.1,
        options: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.image_shape = image_shape
        self.epochs = epochs
        self.preset = preset
        self.legos = legos
        self.backbone = backbone
        self.teacher = teacher
        self.width = width
        self.keep = keep
        self.fan_in = fan_in
        self.max_params = max_params
        self.max_macs = max_macs
        self.augment = augment
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.options = options
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Return the tags of scikit-learn: stacks of images are taken beside rows of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> PlexusClassifier:  # noqa: N803
        """Train on images.

        Args:
            X: (N, H, W), (N, C, H, W), (N, H, W, C), or (N, numbers).
            y: the classes, (N,).

        Raises:
            ValueError: what cannot be learned from.
        """
        stack, y = validate_data(self, _numpy(X), y, allow_nd=True, ensure_min_samples=2)
        check_classification_targets(y)
        classes, index = np.unique(y, return_inverse=True)
        counts = np.bincount(index)
        if len(counts) < 2:
            raise ValueError("y holds 1 class: two classes or more can be told apart")
        if counts.min() < 2:
            rare = classes[counts.argmin()]
            raise ValueError(f"class {rare!r} has one image: two are needed, to learn from and to follow the learning")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        try:
            images = self._stack(stack, X)
            learned = {
                name: named_model(getattr(self, name), name) for name in LEARNED if getattr(self, name) is not None
            }
            labels = index if self.teacher is None else _named(classes, index)
            # no image is held out for a test, which is cross-validation's: a copy of one stands in for it, unread
            parts = {"train": (images, labels), "test": (images[:1], labels[:1])}
            memory = in_memory(parts)
            small = self._is_small(images.shape[1:])
            legos = _whole if small else self.legos
            given = {"data": memory, **({"legos": legos} if callable(legos) else {})}
            given |= {name: model for name, (_, model) in learned.items() if model is not None}
            texts = {name: text for name, (text, _) in learned.items()}
            config = self._config(len(images), seed, texts, small=small)
            model, history = learn(config, given=given, scale=memory.scale, progress=self.verbose)
        except PlexusError as error:
            raise ValueError(str(error)) from None
        # a fit that fails leaves what an earlier one has learned, whole
        self.classes_, self.in_shape_, self.model_, self.history_ = classes, tuple(images.shape[1:]), model, history
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of every class for every image.

        Args:
            X: images on the scale of the training, see `fit`.

        Returns:
            (N, K), columns as in `classes_`.

        Raises:
            NotFittedError: `fit` comes first.
            ValueError: images of another size.
        """
        import torch

        check_is_fitted(self, "model_")
        stack = self._stack(validate_data(self, _numpy(X), reset=False, allow_nd=True), X)
        if (shape := tuple(stack.shape[1:])) != self.in_shape_:
            raise ValueError(f"X has images of {shape} (C, H, W), and {self.in_shape_} were learned from")
        # in double precision an image's answer does not depend on the batch that it comes in
        net = copy.deepcopy(self.model_).double().eval()
        with torch.no_grad():
            return np.concatenate([net(part).softmax(1).numpy() for part in stack.double().split(256)])

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the most likely class of every image.

        Args:
            X: see `predict_proba`.

        Returns:
            (N,)

        Raises:
            NotFittedError: `fit` comes first.
            ValueError: images of another size.
        """
        best = self.predict_proba(X).argmax(1)
        answers: NDArray[Any] = self.classes_[best]
        return answers

    def _stack(self, checked: NDArray[Any], given: Any) -> Tensor:
        """The images as (N, C, H, W): a tensor, whose channels nobody looks for again.

        Args:
            checked: X as scikit-learn gives it back.
            given: X as it came: the channels of a tensor come first.
        """
        import torch

        try:
            images = checked if checked.ndim > 2 else checked.reshape(len(checked), *self._shape(checked.shape[1]))
            stack = channels_first(torch.from_numpy(images) if hasattr(given, "detach") else images)
        except PlexusError as error:
            raise ValueError(str(error)) from None
        return torch.from_numpy(np.ascontiguousarray(stack))

    def _shape(self, numbers: int) -> tuple[int, ...]:
        """The shape of an image of so many numbers."""
        if self.image_shape is not None:
            shape = tuple(self.image_shape)
            if math.prod(shape) != numbers:
                raise ValueError(
                    f"image_shape={shape} holds {math.prod(shape)} numbers, and X has {numbers} for each image"
                )
            return shape
        side = math.isqrt(numbers)
        return (side, side) if side**2 == numbers and side >= FEW else (1, numbers)

    def _is_small(self, in_shape: Sequence[int]) -> bool:
        return min(in_shape[1:]) < FEW and self.legos is None and self.preset is None and self.backbone is None

    def _config(self, count: int, seed: int, learned: Mapping[str, str], *, small: bool) -> FitConfig:
        """The options of the training."""
        if taken := sorted({"data", "seed"} & set(self.options or {})):
            raise ValueError(f"options: {taken[0]} is given by X or random_state; leave it out")
        chosen: dict[str, Any] = {
            "preset": self.preset,
            "legos": MEMORY if callable(self.legos) or small else self.legos,
            "batch_size": min(64, max(4, count // 8)) if self.batch_size is None else self.batch_size,
            "val": self.validation_fraction,
            "seed": seed,
            "data": MEMORY,
        }
        same = ("epochs", "width", "keep", "fan_in", "max_params", "max_macs", "augment", "lr", "weight_decay")
        chosen |= {name: getattr(self, name) for name in same} | dict(learned) | dict(self.options or {})
        plain: dict[str, Any] = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in chosen.items()
        }
        return FitConfig(**plain)


def _whole(in_shape: Sequence[int]) -> list[Any]:
    """Dense legos, the first of which reads the whole image: for images too small to have neighbourhoods."""
    from torch import nn

    kernels: list[Any] = [tuple(in_shape[1:]), 1, 1]
    return [nn.Sequential(nn.LazyConv2d(64, k, bias=False), nn.BatchNorm2d(64), nn.ReLU()) for k in kernels]


def _named(classes: NDArray[Any], index: NDArray[Any]) -> NDArray[Any]:
    """The labels by name, as a teacher knows them, in the order of the classes."""
    if classes.dtype.kind in "iu":
        return np.asarray(classes[index])
    names = [str(name) for name in classes]
    if names != sorted(set(names)):
        raise ValueError("with a teacher the classes are whole numbers or text")
    return np.array(names)[index]


def _numpy(X: Any) -> Any:  # noqa: N803
    """A tensor as an array; anything else is scikit-learn's to judge."""
    return X.detach().cpu().numpy() if hasattr(X, "detach") else X
