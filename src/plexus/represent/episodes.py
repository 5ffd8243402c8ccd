"""Few-shot recognition of classes that the representation has never seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from plexus.data import load
from plexus.errors import ConfigError, DataError
from plexus.progress import current
from plexus.represent.space import Space, add_to_record, digests, encode, open_model, white_of

Floats = NDArray[np.float64]
_KEPT = 8  # results that the page shows, the newest


def fewshot(
    run: str | Path,
    data: str | Path,
    *,
    ways: int = 5,
    shots: int = 1,
    episodes: int = 1000,
    queries: int = 15,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    label: str | None = None,
) -> dict[str, Any]:
    """Accuracy on classes that were not in training, from a few labelled images of each.

    An episode draws `ways` classes, `shots` labelled images and `queries` others of each. Heads: `prototype` (the
    nearest class mean, by the angle of Z about the mean Z of training), `logistic` (logistic regression on that), and
    `pixels` (the nearest class mean of raw pixels, by their angle), all on the same episodes.

    Args:
        run: a finished run of `plexus represent train`.
        data: images with classes; their test split is used where they bring one, all of them else.
        ways, shots, episodes, queries: as above.
        classes: which to draw from; by default all that the run was not trained on.
        seed: of the episodes.
        label: the column of the labels, where a table has several.

    Returns:
        `heads`: name -> mean accuracy with its 95 % interval over episodes; `gains`: each head over pixels, paired;
        and what was asked. It is also added to the run's record.

    Raises:
        ConfigError: classes that were trained on, fewer classes than ways, numbers out of range.
        DataError: too few images of a class, or images that were trained on.

    Source: episodes and prototypes after Snell et al. 2017, "Prototypical networks".

    Example:
        >>> fewshot("nowhere", "photos", ways=3)
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    for name, value, least in (
        ("ways", ways, 2), ("shots", shots, 1), ("episodes", episodes, 2), ("queries", queries, 1), ("seed", seed, 0)
    ):  # fmt: skip
        if value < least:
            raise ConfigError(f"{name}={value} must be at least {least}")
    folder = Path(run)
    model, space, record = open_model(folder, writes=True)
    channels, height, width = model.in_shape
    images_of = load(data, size=(height, width), channels=channels, label=label, white=white_of(record))
    names = _held_out(record["data"]["classes"], images_of.classes, classes, ways, str(data))
    parts = [images_of.test] if "test" in images_of.given else [images_of.train, images_of.val, images_of.test]
    images = {
        name: np.concatenate([p.images.numpy()[p.labels.numpy() == images_of.classes.index(name)] for p in parts])
        for name in names
    }
    _check(images, shots + queries, space, str(data))
    current().say(f"data    {images_of.summary}")
    z = {name: encode(model, torch.from_numpy(pixels)) for name, pixels in images.items()}
    pixels = {name: x.reshape(len(x), -1) / 255.0 for name, x in images.items()}
    heads = score_episodes(
        {name: space.direction(v) for name, v in z.items()},
        {name: v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for name, v in pixels.items()},
        ways=ways, shots=shots, episodes=episodes, queries=queries, seed=seed,
    )  # fmt: skip
    result = {
        "data": images_of.name,
        "classes": list(names),
        "trained_on": list(record["data"]["classes"]),
        "ways": ways,
        "shots": shots,
        "queries": queries,
        "episodes": episodes,
        "seed": seed,
        "heads": {name: interval(values) for name, values in heads.items()},
        "gains": {name: interval(heads[name] - heads["pixels"]) for name in heads if name != "pixels"},
    }
    add_to_record(folder, "fewshot", lambda before: [result, *(before or [])][:_KEPT])
    return result


def interval(values: Floats) -> dict[str, float]:
    """Mean over episodes with its 95 % interval by Student's t.

    Example:
        >>> interval(np.array([0.5, 0.5]))
        {'mean': 0.5, 'low': 0.5, 'high': 0.5}
    """
    mean = float(values.mean())
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _held_out(
    trained: Sequence[str], there: Sequence[str], asked: Sequence[str] | None, ways: int, data: str
) -> list[str]:
    """The classes to draw from; none of them may have been in training."""
    if not trained:
        raise ConfigError(
            "the run was trained on images without classes, so that none can be known to be unseen; train it on some "
            "classes with --classes"
        )
    if asked is not None:
        strange = [name for name in asked if name not in there]
        if strange:
            raise ConfigError(f"classes: {strange[0]!r} is none of {data}: it has {', '.join(there)}")
        if overlap := [name for name in asked if name in trained]:
            raise ConfigError(
                f"classes {', '.join(overlap)} overlap with those the run was trained on: few-shot figures are of "
                "classes never seen; name others"
            )
    names = list(dict.fromkeys(asked)) if asked is not None else [name for name in there if name not in trained]
    if len(names) < ways:
        listed = f" ({', '.join(names)})" if names else ""
        raise ConfigError(
            f"ways={ways} asks for {ways} classes never seen in training, and {data} has {len(names)} of them{listed}: "
            "ask for fewer, or train on fewer with --classes"
        )
    return names


def _check(images: dict[str, NDArray[np.uint8]], needed: int, space: Space, data: str) -> None:
    for name, pixels in images.items():
        if len(pixels) < needed:
            raise DataError(
                f"{data}: class {name!r} has {len(pixels)} images, and an episode needs {needed} of each: lower "
                "--shots or --queries"
            )
        seen = int(np.isin(digests(torch.from_numpy(pixels)), space.seen).sum())
        if seen:
            raise DataError(
                f"{data}: {seen} images of class {name!r} were in training under another name: few-shot figures are "
                "of images never seen; take them out"
            )


def score_episodes(
    z: dict[str, Floats], pixels: dict[str, Floats], *, ways: int, shots: int, episodes: int, queries: int, seed: int
) -> dict[str, Floats]:
    """Draw episodes and score every head in each; see `fewshot`.

    Args:
        z: class -> directions of its images, (n, d), each of length 1.
        pixels: class -> the same images as they are, (n, p), each of length 1.
        ways, shots, queries: classes, labelled images and other images of each, in an episode.
        episodes: how many are drawn.
        seed: of the draws.

    Returns:
        Head -> accuracy in each episode, (episodes,).
    """
    rng, names = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(21,))), list(z)
    heads: dict[str, Callable[[Floats, Floats], NDArray[np.int64]]] = {
        "prototype": lambda support, asked: nearest_prototype(support, asked, ways),
        "logistic": lambda support, asked: _logistic(support, asked, ways),
        "pixels": lambda support, asked: nearest_prototype(support, asked, ways),
    }
    truth = np.repeat(np.arange(ways), queries)
    right: dict[str, list[float]] = {name: [] for name in heads}
    for _ in range(episodes):
        chosen = [names[i] for i in rng.permutation(len(names))[:ways]]
        rows = [rng.permutation(len(z[name]))[: shots + queries] for name in chosen]
        for head, answer in heads.items():
            space = pixels if head == "pixels" else z
            support = np.concatenate([space[n][r[:shots]] for n, r in zip(chosen, rows, strict=True)])
            asked = np.concatenate([space[n][r[shots:]] for n, r in zip(chosen, rows, strict=True)])
            right[head].append(float((answer(support, asked) == truth).mean()))
    return {name: np.array(values) for name, values in right.items()}


def nearest_prototype(support: Floats, asked: Floats, ways: int) -> NDArray[np.int64]:
    """Answer by the nearest class mean, by angle: argmax_k <x, m_k> / |m_k|.

    Args:
        support: labelled images, (ways * shots, d), class by class.
        asked: images to answer, (n, d).
        ways: classes.

    Returns:
        The class of each, (n,).

    Source: Snell et al. 2017, "Prototypical networks", with the angle in place of the distance.

    Example:
        >>> nearest_prototype(np.eye(2), np.array([[0.9, 0.1], [0.2, 5.0]]), 2).tolist()
        [0, 1]
    """
    means = support.reshape(ways, -1, support.shape[1]).mean(1)
    return np.asarray((asked @ means.T / np.maximum(np.linalg.norm(means, axis=1), 1e-12)).argmax(1))


def _logistic(support: Floats, asked: Floats, ways: int) -> NDArray[np.int64]:
    from sklearn.linear_model import LogisticRegression

    labels = np.repeat(np.arange(ways), len(support) // ways)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop before it has converged to the last digit
        return np.asarray(LogisticRegression(C=10.0, max_iter=200).fit(support, labels).predict(asked))
