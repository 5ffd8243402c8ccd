"""Predictions of images that a net did not learn from: a run's, or cross-validated ones."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plexus.audit import Predictions
from plexus.data import ImageData, SampleSet, Split, UnreadableError, read_batches
from plexus.errors import DataError, RunError
from plexus.progress import current
from plexus.training._classification import logits_of
from plexus.training._config import MEMORY, FitConfig
from plexus.training._fit import load_data, open_run
from plexus.training._predict import session_of
from plexus.training._task import FitTask

EPOCHS = 12
"""Of the net of each fold."""
SMALL = 64
"""Pixels a side that images are brought to where they are larger, or of several sizes."""
_BATCH = 256
_PILOT = 640
"""Images by which the time is estimated."""


def held_out(run: str | Path, samples: SampleSet) -> Predictions:
    """Predict with a run's model the images that it did not learn from.

    An image counts as learned where its pixels, at the model's size, are those of a training image of the run,
    wherever its file lies now.

    Args:
        run: a finished run of `plexus fit`.
        samples: the set.

    Returns:
        Probabilities; images that were learned from are marked, and have none.

    Raises:
        RunError: no such run, or its training images are gone or have changed, so that nobody knows what it learned.

    Example:
        >>> from plexus.data import open_samples
        >>> held_out("nowhere", open_samples("digits"))
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus fit`
    """
    config, record = open_run(run)
    session = session_of(run)
    trained = _trained_on(run, config, record.data.fingerprint)
    how: dict[str, Any] = {"fit": record.data.fit or "squash", "white": record.data.white}
    row = {sample.name: i for i, sample in enumerate(samples.samples)}
    chances = np.full((len(samples), len(record.data.classes)), np.nan, np.float32)
    learned = np.zeros(len(samples), bool)
    with current().part("judging labels", len(samples)) as step:
        for batch, pixels in read_batches(
            [samples], record.data.in_shape, batch_size=_BATCH, skip_unreadable=True, **how
        ):
            rows = np.array([row[sample.name] for sample in batch])
            learned[rows] = [_digest(image) in trained for image in pixels.numpy()]
            logits = torch.from_numpy(session.run(None, {"pixels": pixels.float().numpy()})[0])
            chances[rows] = logits.softmax(1).numpy()
            step(len(batch))
    chances[learned] = np.nan
    notes = []
    if learned.any():
        notes.append(
            f"{learned.sum():,} of {len(samples):,} images were learned from by {run}: their labels are not judged; "
            "--labels cv judges all"
        )
    return Predictions(tuple(record.data.classes), chances, f"the run {run}", learned, tuple(notes))


def cross_validated(
    samples: SampleSet, fold: NDArray[np.int64], *, epochs: int = EPOCHS, seed: int = 0, progress: bool = False
) -> Predictions:
    """Predict each image by a net that learned from the other folds: the default one of `plexus fit`, nothing cut.

    Images that are larger than 64 pixels a side, or of several sizes, are brought to 64x64.

    Args:
        samples: the set, with a class for each image.
        fold: of each image, from 0; -1 for none.
        epochs: of each net.
        seed: of each net.
        progress: show progress on stderr.

    Returns:
        Probabilities.

    Raises:
        DataError: a class that is in one fold only, so that no net can learn it for that fold.

    Example:
        >>> from plexus.data import in_memory
        >>> samples = in_memory(np.zeros((3, 8, 8)), ["a", "b", "b"]).samples
        >>> cross_validated(samples, np.array([0, 0, 1]))
        Traceback (most recent call last):
        plexus.errors.DataError: images in memory: class 'a' has images in one fold only: add some, or take it out
    """
    labels = _indices(samples)
    fold = np.where(labels < 0, -1, fold)
    folds = sorted(set(fold[fold >= 0].tolist()))
    for k, name in enumerate(samples.classes):
        if len(set(fold[(labels == k) & (fold >= 0)].tolist())) == 1:
            raise DataError(f"{samples.where}: class {name!r} has images in one fold only: add some, or take it out")
    whole, kept = _all(samples, labels, fold)
    fold = fold[kept]
    chances = np.full((len(samples), len(samples.classes)), np.nan, np.float32)
    config = FitConfig(data=MEMORY, epochs=epochs, seed=seed, keep=1.0)
    with current().part("judging labels", len(folds)) as step:
        seconds = _seconds(whole, config, samples.classes) * len(kept) * len(folds) * epochs
        text = f"{seconds / 60:,.0f} minutes" if seconds > 90 else f"{max(1, round(seconds))} s"
        current().say(f"labels  cross-validation: {len(folds)} folds of {epochs} epochs, about {text}")
        for number, k in enumerate(folds):
            held = np.flatnonzero(fold == k)
            _, logits = _trained(whole, np.flatnonzero(fold != k), held, config, samples.classes)
            chances[kept[held]] = logits.softmax(1).numpy()
            step(1, f"fold {number + 1} of {len(folds)}")
    return Predictions(samples.classes, chances, f"cross-validation, {len(folds)} folds of {epochs} epochs")


class _FoldTask(FitTask):
    """The training of a fit on images that are split already; it is not evaluated."""

    def load(self) -> str:
        self.data = self.given["images"]
        return self.data.fingerprint

    def save(self) -> None:
        """Nothing: nobody goes on with a fold, and its folder goes."""


def _trained(
    whole: Split, rest: NDArray[np.int64], held: NDArray[np.int64], config: FitConfig, classes: tuple[str, ...]
) -> tuple[FitTask, torch.Tensor]:
    """The task whose net learned from the rest, and its logits of the images held out."""
    train, test = whole.take(rest), whole.take(held)
    # nothing is chosen by validation images here: no edge is cut, and the last epoch's net is taken
    data = ImageData("fold", train, test, test, classes, "")
    with tempfile.TemporaryDirectory(prefix="plexus-labels-") as folder:
        record: dict[str, Any] = {"epochs": [], "seconds": {}}
        task = _FoldTask(Path(folder), config, record, listen=None, progress=False, given={"images": data})
        task.load()
        task.check()
        task.train()
        return task, logits_of(task.trained.final, task.normalize, test.images)


def _seconds(whole: Split, config: FitConfig, classes: tuple[str, ...]) -> float:
    """Seconds of an epoch for each image, from the second epoch of a few images."""
    some = np.linspace(0, len(whole) - 1, min(_PILOT, len(whole)), dtype=np.int64)
    task, _ = _trained(whole, some, some[::4], replace(config, epochs=2), classes)
    return float(task.record["epochs"][-1]["seconds"]) / (1.25 * len(some))


def _trained_on(run: str | Path, config: FitConfig, fingerprint: str | None) -> set[bytes]:
    """Digests of the pixels that a run learned from."""
    remedy = "so nobody knows which images it learned from; cross-validate with --labels cv"
    if config.data == MEMORY:
        raise RunError(f"{run}: its images were in memory, {remedy}")
    try:
        data = load_data(config)
    except DataError as error:
        raise RunError(f"{run}: its images cannot be read ({error}), {remedy}") from None
    if fingerprint and data.fingerprint != fingerprint:
        raise RunError(f"{run}: the images at {config.data} have changed since, {remedy}")
    return {_digest(image) for image in data.train.images.numpy()}


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()


def _indices(samples: SampleSet) -> NDArray[np.int64]:
    index = {name: k for k, name in enumerate(samples.classes)}
    return np.array([-1 if s.label is None else index[s.label] for s in samples.samples], np.int64)


def _all(samples: SampleSet, labels: NDArray[np.int64], fold: NDArray[np.int64]) -> tuple[Split, NDArray[np.int64]]:
    """All images that are in a fold and can be read, at one size, and their rows."""
    rows = np.flatnonzero(fold >= 0)
    part = samples.take(rows.tolist())
    row = {sample.name: i for i, sample in zip(rows.tolist(), part.samples, strict=True)}
    images, names = [], []
    for batch, pixels in read_batches([part], _shape(part), batch_size=_BATCH, skip_unreadable=True, fit="letterbox"):
        images.append(pixels)
        names += [sample.name for sample in batch]
    kept = np.array([row[name] for name in names], np.int64)
    return Split(torch.cat(images), torch.from_numpy(labels[kept]), tuple(names)), kept


def _shape(samples: SampleSet) -> tuple[int, int, int]:
    """Channels, rows and columns: those of the images where all are small and alike."""
    sizes, colour = set(), False
    for i in range(len(samples)):
        try:
            sizes.add(samples.size(i))
            if not colour and i % max(1, len(samples) // 64) == 0:
                colour = samples.pixels(i).ndim == 3
        except UnreadableError:
            continue
    one = sizes.pop() if len(sizes) == 1 else (SMALL + 1, 0)
    return (3 if colour else 1, *(one if max(one) <= SMALL else (SMALL, SMALL)))
