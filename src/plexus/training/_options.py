"""What an option may hold, and what to say where it holds something else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

_CHOICES: dict[str, tuple[str, ...]] = {
    "preset": ("deep", "blocks", "legos8", "dense"),
    "start_at": ("z", "features"),
    "head": ("gap", "flatten512"),
    "neuron": ("plain", "rot8", "rot4", "unit", "spherical"),
    "dense": ("plain", "unit", "spherical"),
    "cost": ("bytes", "macs", "params"),
    "anneal": ("fade", "off"),
    "rank": ("gate", "strength", "taylor", "ablation"),
    "then": ("finetune", "retrain"),
    "merge": ("concat", "sum", "max", "squeeze"),
    "gate": ("scalar", "channel"),
    "resize": ("area", "nearest", "bilinear", "bicubic"),
    "activation": ("sigmoid", "none"),
    "project": ("pad", "conv"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
}
_AT_LEAST: dict[str, float] = {
    "epochs": 3, "batch_size": 1, "width": 1, "penalty": 0, "weight_decay": 0,
    "seed": 0, "limit": 2, "max_params": 1, "devices": 1, "gate_lr": 0, "size": 1, "warmup": 0, "last": 1,
}  # fmt: skip
Kinds = Mapping[str, tuple[type, ...]]


def read_count(text: str) -> int:
    """A whole number, perhaps in thousands or millions.

    Raises:
        ValueError: it is none.

    Example:
        >>> read_count("200k"), read_count("1.5M"), read_count("64")
        (200000, 1500000, 64)
    """
    factor = {"k": 10**3, "m": 10**6}.get(text[-1:].lower(), 1)
    value = float(text[:-1] if factor > 1 else text) * factor
    if value != int(value):
        raise ValueError(text)
    return int(value)


def read_value(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    """A value as YAML or the command line writes it, in the option's own type where that is plain."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, str) and str not in kinds:  # YAML takes 1e-3 for text
        with suppress(ValueError, OverflowError):
            return read_count(value) if name == "max_params" else float(value) if float in kinds else value
    return value


def faults(options: Mapping[str, Any], kinds: Kinds) -> list[str]:
    """Everything that is wrong, one sentence each."""
    single = {name: fault for name, value in options.items() if (fault := _fault(name, value, kinds[name]))}
    return [*single.values(), *_together({k: v for k, v in options.items() if k not in single})]


def _fault(name: str, value: Any, kinds: tuple[type, ...]) -> str | None:
    """What is wrong with one option."""
    if not _is(value, kinds):
        return f"{name}={value!r} must be {_NAMES[kinds[0]]}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name}={value} must be finite"
    if name in _CHOICES and value is not None and value not in _CHOICES[name]:
        return f"{name}={value!r} is unknown; choose from {', '.join(_CHOICES[name])}"
    if name in _AT_LEAST and value is not None and value < _AT_LEAST[name]:
        return f"{name}={value} must be at least {_AT_LEAST[name]:g}"
    if name == "keep" and value is not None and not 0 < value <= 1:
        return f"keep={value} must be a share of the edges, above 0 and at most 1"
    if name == "lr" and value <= 0:
        return f"lr={value} must be above 0"
    if name == "warmup" and value >= 1:
        return f"warmup={value} must be a share of the steps, 0 up to 1"
    if name in ("val", "test") and not 0 < value < 1:
        return f"{name}={value} must be a share of the images, between 0 and 1"
    if name == "gate_init" and value is not None:
        numbers = all(isinstance(g, int | float) and not isinstance(g, bool) and 0 < g < 1 for g in value)
        if len(value) not in (1, 2) or not numbers:
            return f"gate_init={list(value)} must be one or two gate values in (0, 1)"
    return None


def _is(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _together(options: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong between options that are right by themselves."""
    if options.get("keep") is not None and options.get("max_params") is not None:
        yield "give one budget: keep or max_params"
    if options.get("start_from") is None:
        for name, usual in (("start_at", "z"), ("start_frozen", True)):
            if options.get(name, usual) != usual:
                yield f"{name}={options[name]!r} needs start_from: a run of `plexus represent train`"
    if options.get("last") is not None and options.get("neuron") == "plain":
        yield f"last={options['last']} counts convolutions that become another neuron; say which with neuron"
    if {"select", "cut"} <= options.keys() and not 0 < options["select"] < options["cut"] < 1:
        yield f"select={options['select']} and cut={options['cut']} must be shares of the epochs, select below cut"


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of numbers"}


def kinds_of(annotation: str) -> tuple[type, ...]:
    """The types of a field's annotation, the wanted one first."""
    table: dict[str, tuple[type, ...]] = {
        "str": (str,), "int": (int,), "float": (float, int), "bool": (bool,), "None": (type(None),),
    }  # fmt: skip
    return tuple(k for part in annotation.split(" | ") for k in table.get(part, (tuple,)))
