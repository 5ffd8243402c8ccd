"""Classifies images with what a run left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from plexus.data import read_image
from plexus.errors import RunError
from plexus.record import FitRecord


def predict(run: str | Path, images: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The most likely class of each image, by the run's ONNX model.

    Args:
        run: a run folder.
        images: image files; decoded and resized as in training.

    Shape:
        The model takes float32 pixels (1, C, H, W), 0..255, and gives logits (1, K).

    Returns:
        A dict per image: image (the path), label (the class name), probability, and probabilities by class.

    Raises:
        RunError: the run has no model yet.
        DataError: an image that cannot be read.

    Example:
        >>> predict("nowhere", ["seven.png"])
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere/record.json: cannot read the run record: ...; name a run folder
    """
    folder = Path(run)
    record = FitRecord.read(folder / "record.json")
    if not (folder / "model.onnx").is_file():
        raise RunError(f"{folder}: the run has no model.onnx yet; finish it with `plexus fit --resume {folder}`")
    try:
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each kind of broken file
        raise RunError(f"{folder / 'model.onnx'}: cannot be loaded: {_first_line(error)}") from None
    classes, shape = record.data.classes, tuple(record.data.in_shape)
    answers = []
    for image in images:
        pixels = read_image(image, shape, white=record.data.white).float().unsqueeze(0).numpy()
        try:
            (logits,) = session.run(None, {"pixels": pixels})
            probabilities = torch.from_numpy(np.asarray(logits[0])).softmax(0).tolist()
            by_class = dict(zip(classes, probabilities, strict=True))
        except Exception as error:  # a model of another kind of images or of other classes
            raise RunError(f"{folder / 'model.onnx'}: not the model of this run: {_first_line(error)}") from None
        best = max(range(len(classes)), key=probabilities.__getitem__)
        answers.append(
            {
                "image": str(image),
                "label": classes[best],
                "probability": probabilities[best],
                "probabilities": by_class,
            }
        )
    return answers


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
