"""Classifies images with what a run left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from plexus.data import COLOURLESS, UnreadableError, located, open_samples, places, to_shape
from plexus.errors import ConfigError, DataError, RunError, printable
from plexus.progress import bar
from plexus.record import FitRecord

FLAT = 2.0
"""The standard deviation of pixels, of 255, under which an image counts as constant."""
_BATCH = 64


def predict(
    run: str | Path, images: str | Path | Sequence[str | Path], *, skip_unreadable: bool = False, progress: bool = False
) -> list[dict[str, Any]]:
    """Return the most likely class of each image, by the run's ONNX model.

    Args:
        run: a run folder.
        images: image files, folders of them, tables, data sets: see `plexus.data.open_samples`; decoded and resized as
            in training.
        skip_unreadable: give an entry with `error` for an image that cannot be read.
        progress: show progress on stderr.

    Shape:
        The model takes float32 pixels (N, C, H, W), 0..255, and gives logits (N, K).

    Returns:
        A dict per image: image (the path), label (the class name), probability, probabilities by class, and unlike: in
        words, how the image is unlike those of the training.

    Raises:
        RunError: the run has no model yet.
        DataError: an image that cannot be read, or no image at all.

    Example:
        >>> predict("nowhere", ["seven.png"])
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere/record.json: cannot read the run record: ...; name a run folder
    """
    folder = Path(run)
    record, session = FitRecord.read(folder / "record.json"), session_of(folder)
    images = places(images)
    if not images:
        raise ConfigError("name at least one image or folder")
    about, shape = session.get_modelmeta().custom_metadata_map, tuple(record.data.in_shape)
    means = set(about.get("mean", "").split(", "))
    # grey images may have been stored in three channels, or have been among those in colour
    grey = bool(record.data.greys) or (len(means) == 1 and means != {"0"})
    answers: list[dict[str, Any]] = []
    waiting: list[tuple[dict[str, Any], NDArray[np.uint8]]] = []
    for entry, pixels in _read(images, record, skip_unreadable=skip_unreadable, progress=progress):
        answers.append(entry)
        if pixels is None:
            continue
        entry["unlike"] = _unlike(pixels, shape, record.data.original_size, grey=grey)
        waiting.append((entry, to_shape(pixels, shape, record.data.fit or "squash")))
        if len(waiting) == _BATCH:
            _answer(session, waiting, record.data.classes, folder)
            waiting = []
    _answer(session, waiting, record.data.classes, folder)
    return answers


def session_of(run: str | Path) -> onnxruntime.InferenceSession:
    """Open the ONNX model of a finished run, ready to answer."""
    folder = Path(run)
    if not (folder / "model.onnx").is_file():
        raise RunError(f"{folder}: the run has no model.onnx yet; finish it with `plexus fit --resume {folder}`")
    try:
        return onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each kind of broken file
        raise RunError(f"{folder / 'model.onnx'}: cannot be loaded: {_first_line(error)}") from None


def _read(
    images: Sequence[str | Path], record: FitRecord, *, skip_unreadable: bool, progress: bool
) -> Iterator[tuple[dict[str, Any], NDArray[np.uint8] | None]]:
    """Entries with the pixels of every image, decoded as the training images were."""
    sets = [(spec, open_samples(spec, masks=False).scaled(record.data.white)) for spec in images]
    with bar("classifying", sum(len(samples) for _, samples in sets), progress) as step:
        for spec, samples in sets:
            with samples.telling():
                for i, sample in enumerate(samples.samples):
                    name = located(spec, samples, sample)
                    try:
                        yield {"image": name}, samples.pixels(i)
                    except UnreadableError as error:
                        if not skip_unreadable:
                            raise DataError(f"{printable(name)}: {error}: replace it or leave it out") from None
                        yield {"image": name, "error": str(error)}, None
                    step()


def _unlike(pixels: NDArray[np.uint8], shape: Sequence[int], original: Sequence[float], *, grey: bool) -> list[str]:
    """Ways in which an image is unlike those that a model was trained on, as far as that can be seen without them."""
    channels, *size = shape
    colourless = pixels.ndim == 2 or bool((np.ptp(pixels, 2) <= COLOURLESS).all())
    words = []
    if channels == 3 and colourless and not grey:
        words.append("grey, not in colour")
    if channels == 1 and not colourless:
        words.append("in colour, not grey")
    if 2 * min(pixels.shape[:2]) <= min(*size, *original):  # those of the training may have been enlarged, too
        words.append("of half the model's size or less")
    if float(np.max(pixels.std((0, 1)))) < FLAT:
        words.append("almost constant")
    return words


def _answer(
    session: onnxruntime.InferenceSession, waiting: Sequence[tuple[dict[str, Any], NDArray[np.uint8]]],
    classes: Sequence[str], folder: Path,
) -> None:  # fmt: skip
    """Complete entries by what the model says of their pixels."""
    if not waiting:
        return
    try:
        (logits,) = session.run(None, {"pixels": np.stack([pixels for _, pixels in waiting]).astype(np.float32)})
        rows = torch.from_numpy(np.asarray(logits)).softmax(1).tolist()
        named = [dict(zip(classes, row, strict=True)) for row in rows]
    except Exception as error:  # a model of another kind of images or of other classes
        raise RunError(f"{folder / 'model.onnx'}: not the model of this run: {_first_line(error)}") from None
    for (entry, _), row, probabilities in zip(waiting, rows, named, strict=True):
        best = max(range(len(classes)), key=row.__getitem__)
        unlike = entry.pop("unlike")
        entry |= {
            "label": classes[best], "probability": row[best], "probabilities": probabilities, "unlike": unlike
        }  # fmt: skip


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
