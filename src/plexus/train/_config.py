"""Every option of a fit, checked as a whole."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from plexus.errors import ConfigError

_CHOICES: dict[str, tuple[str, ...]] = {
    "preset": ("deep", "blocks", "legos8"),
    "head": ("gap", "flatten512"),
    "cost": ("bytes", "macs", "params"),
    "anneal": ("fade", "off"),
    "rank": ("gate", "strength", "taylor", "ablation"),
    "then": ("finetune", "retrain"),
    "merge": ("concat", "sum", "max", "squeeze"),
    "gate": ("scalar", "channel"),
    "resize": ("area", "nearest", "bilinear", "bicubic"),
    "activation": ("sigmoid", "none"),
    "project": ("pad", "conv"),
}
_AT_LEAST: dict[str, float] = {
    "epochs": 3, "batch_size": 1, "width": 1, "penalty": 0, "weight_decay": 0,
    "seed": 0, "limit": 2, "max_params": 1, "devices": 1, "gate_lr": 0, "size": 1,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """What `plexus fit` is told.

    Training takes `epochs` epochs under one cycle of the learning rate: all edges learn; after `select` of the epochs
    the edges to keep are chosen and the others fade out; after `cut` of the epochs they are cut, and the plain net
    trains on to the end. The controls, the chain and the supernet with nothing cut, get as many epochs.

    Args:
        data: `digits`, a folder, or a hub id.
        seed: of the split, the weights, the order and the augmentation.
        size: resize every image to SIZE x SIZE pixels.
        val: share of the training images held out for validation.
        test: share of all images held out for the test, where the data has no test split of its own.
        limit: use at most this many training images.
        skip_unreadable: leave out images that cannot be read, and record each.
        augment: shifts of up to 10 % and flips; by default on, but for digits.
        preset: deep | blocks | legos8.
        legos: FILE.py:function giving your own legos for an input shape, in place of a preset.
        width: maps of every lego of `deep`.
        head: gap | flatten512.
        merge, gate, resize, activation, project: connection options; by default the preset's.
        gate_init: the gates' own start value: one number, or two (previous layer, all others).
        epochs: epochs in all, of the pruned net and of each control.
        select: share of the epochs after which the edges to keep are chosen.
        cut: share of the epochs after which the other edges are cut.
        warmup: share of all steps for which gates stay as they started.
        penalty: weight of the mean of gate x cost in the loss, until the choice.
        cost: what an edge costs: bytes | macs | params.
        rank: what decides which edges go: gate | strength | taylor | ablation.
        keep: share of the edges to keep.
        max_params: in place of keep, the most parameters the result may have.
        anneal: fade (edges to be cut go to 0 step by step between choice and cut) | off (choose and cut at once).
        then: finetune (go on with the weights) | retrain (the pattern from fresh weights, for all epochs).
        controls: train the chain and the unpruned supernet too, to compare with.
        batch_size: images in a batch, per process.
        lr: peak learning rate (AdamW, one cycle).
        gate_lr: peak learning rate of the gates.
        weight_decay: of all parameters but the gates.
        devices, strategy, precision: passed on to Lightning's Trainer.

    Raises:
        ConfigError: one or more options out of range; the message lists all of them.

    Example:
        >>> FitConfig(keep=0.2).data
        'digits'
    """

    data: str = "digits"
    seed: int = 0
    size: int | None = None
    val: float = 0.15
    test: float = 0.2
    limit: int | None = None
    skip_unreadable: bool = False
    augment: bool | None = None
    preset: str = "deep"
    legos: str | None = None
    width: int = 16
    head: str = "gap"
    merge: str | None = None
    gate: str | None = None
    resize: str | None = None
    activation: str | None = None
    project: str | None = None
    gate_init: tuple[float, ...] | None = None
    epochs: int = 24
    select: float = 0.25
    cut: float = 0.65
    warmup: float = 0.0
    penalty: float = 0.0
    cost: str = "bytes"
    rank: str = "gate"
    keep: float | None = 0.3
    max_params: int | None = None
    anneal: str = "fade"
    then: str = "finetune"
    controls: bool = True
    batch_size: int = 64
    lr: float = 6e-3
    gate_lr: float = 5e-2
    weight_decay: float = 5e-4
    devices: int = 1
    strategy: str = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        if self.max_params is not None and self.keep == FitConfig.keep:
            object.__setattr__(self, "keep", None)
        if isinstance(self.gate_init, list):
            object.__setattr__(self, "gate_init", tuple(self.gate_init))
        if faults := list(self._faults()):
            raise ConfigError("; ".join(faults))

    def _faults(self) -> list[str]:
        faults = []
        for name, value in asdict(self).items():
            kinds = _KINDS[name]
            if isinstance(value, bool) and bool not in kinds or not isinstance(value, kinds):
                faults.append(f"{name}={value!r} must be {' or '.join(k.__name__ for k in kinds if k is not type(None))}")
            elif isinstance(value, float) and not math.isfinite(value):
                faults.append(f"{name}={value} must be finite")
            elif name in _CHOICES and value is not None and value not in _CHOICES[name]:
                faults.append(f"{name}={value!r} is unknown; choose from {', '.join(_CHOICES[name])}")
            elif name in _AT_LEAST and value is not None and value < _AT_LEAST[name]:
                faults.append(f"{name}={value} must be at least {_AT_LEAST[name]:g}")
        if faults:
            return faults
        if (self.keep is None) == (self.max_params is None):
            faults.append("give one budget: keep or max_params")
        if self.keep is not None and not 0 < self.keep <= 1:
            faults.append(f"keep={self.keep} must be a share of the edges, above 0 and at most 1")
        if self.lr <= 0:
            faults.append(f"lr={self.lr} must be above 0")
        if not 0 <= self.warmup < 1:
            faults.append(f"warmup={self.warmup} must be a share of the steps, 0 up to 1")
        if self.gate_init is not None and (len(self.gate_init) not in (1, 2) or not all(0 < g < 1 for g in self.gate_init)):
            faults.append(f"gate_init={list(self.gate_init)} must be one or two gate values in (0, 1)")
        if not 0 < self.select < self.cut < 1:
            faults.append(f"select={self.select} and cut={self.cut} must be shares of the epochs, select below cut")
        return faults

    def spans(self) -> tuple[int, int]:
        """Epochs until the choice, and until the cut; at least one before, between and after."""
        cut = min(max(round(self.cut * self.epochs), 2), self.epochs - 1)
        return min(max(round(self.select * self.epochs), 1), cut - 1), cut

    def to_yaml(self) -> str:
        """The options as YAML, in the order of this class."""
        raw = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], *, name: str = "config") -> FitConfig:
        """A config from names and values; an unknown name is refused with the nearest known one."""
        known = [f.name for f in fields(cls)]
        for key in raw:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                raise ConfigError(f"{name}: unknown option {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()})

    @classmethod
    def read(cls, path: str | Path, **over: Any) -> FitConfig:
        """A config from a YAML file, with some options replaced."""
        return cls.from_mapping({**read_yaml(path), **over}, name=str(path))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file that holds option: value lines."""
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected lines of option: value")
    return raw


def _kinds(annotation: str) -> tuple[type, ...]:
    table: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,), "None": (type(None),)}
    return tuple(k for part in annotation.split(" | ") for k in table.get(part, (tuple,)))


_KINDS = {f.name: _kinds(str(f.type)) for f in fields(FitConfig)}
