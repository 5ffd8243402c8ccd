"""Every option of a representation, checked as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from plexus.training._options import _NAMES, _is, kinds_of, read_value
from plexus.training._settings import Settings

_CHOICES: dict[str, tuple[str, ...]] = {
    "objective": ("ae", "vae", "denoise"),
    "consistency": ("pseudo", "contrast", "none"),
    "neuron": ("plain", "rot8", "rot4", "unit"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
}
_AT_LEAST: dict[str, float] = {
    "epochs": 1, "batch_size": 2, "width": 1, "depth": 1, "dim": 1, "seed": 0, "limit": 2, "devices": 1, "size": 4,
    "weight_decay": 0, "gate_lr": 0, "rotation": 0, "shift": 0, "gain": 0, "elastic": 0, "beta": 0, "noise": 0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RepresentConfig(Settings):
    """What `plexus represent train` is told.

    Args:
        data: `digits`, a folder of class folders, parquet files, or a hub id; with labels=none any folder of images.
        seed: of the split, the choice of labels, the weights, the order and the augmentation.
        size: resize every image to SIZE x SIZE pixels.
        val: share of the training images held out for validation.
        test: share of all images held out for the test, where the data has no test split of its own.
        limit: use at most this many images for training and validation together.
        label: the column that holds the labels, where a table has several.
        classes: train on these classes only; the others stay unseen, for few-shot tests.
        skip_unreadable: leave out images that cannot be read, and record each.
        labels: all | none | a number per class; the other images are used without.
        dim: numbers in Z.
        balance: weight of recognition in what shapes Z, 0 to 1; reconstruction has the rest.
        objective: of the generative side: ae | vae | denoise.
        beta: weight of the divergence from the prior, for vae; 1 is the evidence bound.
        noise: deviation of the noise added to the input, relative to the pixels' own, for denoise.
        consistency: what images without labels teach: pseudo | contrast | none; by default what the labels suggest.
        confidence: probability from which a pseudo-label counts.
        temperature: of the contrastive term.
        width: maps of the encoder's first level; each further one has twice as many, at most 8 times.
        depth: convolutions of a level.
        neuron: of the encoder's convolutions: plain | rot8 | rot4 | unit.
        wiring: of the encoder's convolutions: learn, or the wiring.json of a run; without it a chain.
        keep: share of the connections to keep, for wiring=learn.
        gate_lr: peak learning rate of the gates, for wiring=learn.
        rotation: augmentation turns by at most this many degrees either way.
        shift: at most this share of the side.
        gain: at most this share of the brightness either way.
        elastic: deviation of smooth random displacements, as a share of the side.
        flip: mirror half of the images left to right.
        epochs: passes over the training images.
        batch_size: images in a batch, per process.
        lr: peak learning rate (AdamW, one cycle).
        weight_decay: of all parameters but gates and the weights of unit neurons.
        onnx: write encoder and decoder as ONNX, too.
        devices, strategy, precision: passed on to Lightning's Trainer; precision is 32-true | bf16-mixed | 16-mixed.

    Raises:
        ConfigError: one or more options out of range; the message lists all of them.

    Example:
        >>> RepresentConfig(labels="10").few
        10
    """

    data: str = "digits"
    seed: int = 0
    size: int | None = None
    val: float = 0.15
    test: float = 0.2
    limit: int | None = None
    label: str | None = None
    classes: tuple[str, ...] | None = None
    skip_unreadable: bool = False
    labels: str = "all"
    dim: int = 64
    balance: float = 0.1
    objective: str = "ae"
    beta: float = 1.0
    noise: float = 0.5
    consistency: str | None = None
    confidence: float = 0.95
    temperature: float = 0.2
    width: int = 32
    depth: int = 1
    neuron: str = "plain"
    wiring: str | None = None
    keep: float = 0.5
    gate_lr: float = 5e-2
    rotation: float = 15.0
    shift: float = 0.1
    gain: float = 0.1
    elastic: float = 0.03
    flip: bool = False
    epochs: int = 20
    batch_size: int = 128
    lr: float = 2e-3
    weight_decay: float = 5e-4
    onnx: bool = True
    devices: int = 1
    strategy: str = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name in ("labels", "classes"):
            object.__setattr__(self, name, self.read_option(name, getattr(self, name)))
        self.check()

    @property
    def few(self) -> int | None:
        """Labels of each class, where not all or none are used."""
        return None if self.labels in ("all", "none") else int(self.labels)

    @property
    def teaches(self) -> str:
        """What images without labels teach: measured to be best for as many labels as there are."""
        return self.consistency or {"all": "none", "none": "contrast"}.get(self.labels, "pseudo")

    @classmethod
    def read_option(cls, key: str, value: Any) -> Any:
        """A value in the option's own type where that is plain."""
        if key == "labels" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if key == "classes" and isinstance(value, list | tuple):
            return tuple(str(name) for name in value)
        return read_value(key, value, _KINDS[key])

    @classmethod
    def faults(cls, options: Mapping[str, Any]) -> list[str]:
        """Everything that is wrong, one sentence each."""
        found = {name: fault for name, value in options.items() if (fault := _fault(name, value))}
        return [*found.values(), *_together({k: v for k, v in options.items() if k not in found})]


def _fault(name: str, value: Any) -> str | None:
    """What is wrong with one option."""
    if not _is(value, _KINDS[name]):
        return f"{name}={value!r} must be {'a list of names' if name == 'classes' else _NAMES[_KINDS[name][0]]}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name}={value} must be finite"
    if value is None:
        return None
    if name in _CHOICES and value not in _CHOICES[name]:
        return f"{name}={value!r} is unknown; choose from {', '.join(_CHOICES[name])}"
    if name in _AT_LEAST and value < _AT_LEAST[name]:
        return f"{name}={value} must be at least {_AT_LEAST[name]:g}"
    if name == "labels" and value not in ("all", "none") and not (value.isascii() and value.isdecimal() and int(value)):
        return f"labels={value!r} must be all, none, or how many of each class, 1 or more"
    if name == "balance" and not 0 <= value <= 1:
        return f"balance={value} must be a share, 0 (reconstruction alone) to 1 (recognition alone)"
    if name in ("val", "test") and not 0 < value < 1:
        return f"{name}={value} must be a share of the images, between 0 and 1"
    if name == "keep" and not 0 < value <= 1:
        return f"keep={value} must be a share of the connections, above 0 and at most 1"
    if name == "confidence" and not 0 < value < 1:
        return f"confidence={value} must be a probability, between 0 and 1"
    if name in ("lr", "temperature") and value <= 0:
        return f"{name}={value} must be above 0"
    if name in ("shift", "gain", "elastic") and value > 1:
        return f"{name}={value} must be a share, 0 to 1"
    if name == "rotation" and value > 180:
        return f"rotation={value} must be degrees, 0 to 180"
    if name == "classes" and (len(set(value)) != len(value) or not value):
        return f"classes={list(value)} must name each class once"
    return None


def _together(options: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong between options that are right by themselves."""
    if options.get("consistency") == "pseudo" and options.get("labels") == "none":
        yield "consistency=pseudo learns from labels, and labels=none has none; choose contrast or none"
    if options.get("wiring") == "learn" and options.get("epochs", 2) < 2:
        yield "wiring=learn needs epochs of at least 2: some to learn it and some to train what is kept"


_KINDS = {f.name: kinds_of(str(f.type)) for f in fields(RepresentConfig)}
"""What an option may hold, and what to say where it holds something else."""
