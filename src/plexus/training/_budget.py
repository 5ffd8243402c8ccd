"""From the budget a user means, in parameters or milliseconds, to how wide a net is and how much of it is cut."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from plexus.errors import ConfigError
from plexus.training._config import FAN_IN, KEEP, FitConfig
from plexus.training._cut import Target, keep_strongest
from plexus.training.export import milliseconds, to_onnx
from plexus.training.nets import Nets
from plexus.wiring import budget_range, derive, importance, multiply_adds, parameters

WIDTHS = tuple(range(8, 264, 8))
"""Widths of the first stage to choose from: whole groups of maps, whole vectors of the processor."""


@dataclass(frozen=True)
class Plan:
    """What a run will train, and what will be left of it; decided before the first epoch.

    Args:
        width: channels of the first stage, where the budget decides them.
        target: what is left of the wiring.
        note: what the user should know about the budget.

    Example:
        >>> Plan(None, Target(fan_in=16)).note
        ''
    """

    width: int | None
    target: Target
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"width": self.width, "fan_in": self.target.fan_in, "edges": self.target.edges, "note": self.note}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Plan:
        """Read what `to_dict` gave."""
        return cls(raw["width"], Target(raw["fan_in"], raw["edges"]), raw["note"])


def plan(config: FitConfig, in_shape: Sequence[int], classes: int) -> Plan:
    """Decide width and target from the options of a run.

    A wiring of equal fan-in costs the same whichever maps it picks, but for maps that nobody reads in the end, which
    only make it smaller. So the cost of a mix is measured on random wirings of fresh nets.

    Args:
        config: options of the run.
        in_shape: one image's, (C, H, W).
        classes: how many.

    Raises:
        ConfigError: a budget that even the smallest net exceeds; the message says what that needs.
    """
    nets = Nets(config, in_shape, classes)
    (name, limit), *_ = [*config.budget().items(), ("", 0)]
    if nets.options["merge"] != "mix":
        return _layers(nets, config, name, limit)
    if name in ("", "fan_in"):
        return Plan(None, Target(fan_in=limit or FAN_IN))
    body: Any = nets.supernet().body
    if name == "keep":
        return Plan(None, Target(edges=max(1, int(limit * importance(body, method="gate").count()))))
    cost = _MEASURES[name]

    def need(width: int | None, fan_in: int) -> float:
        return cost(cut_at_random(Nets(replace(config, width=width), in_shape, classes).supernet(), fan_in), in_shape)

    fixed = config.width is not None or config.stack != "mix"
    most = max(sum(c.channels) for c in body.connections)
    choices = [(config.width, k) for k in _fan_ins(most)] if fixed else [(w, FAN_IN) for w in WIDTHS]
    if not fixed and need(*choices[0]) > limit:
        choices = [(WIDTHS[0], k) for k in range(1, FAN_IN)]
    best = _largest(choices, need, limit, name)
    whole = best == choices[-1]
    note = f"{name}={limit:g} is more than the largest of these nets needs: nothing is cut for it" if whole else ""
    return Plan(None if fixed else best[0], Target(fan_in=best[1]), note)


def _fan_ins(most: int) -> list[int]:
    return sorted({round(2 ** (i / 4)) for i in range(64) if 2 ** (i / 4) < most} | {most})


def _largest(
    choices: Sequence[tuple[int | None, int]], need: Callable[[int | None, int], float], limit: float, name: str
) -> tuple[int | None, int]:
    """Bisect: choices are in the order of their costs."""
    low, high = 0, len(choices)
    while low < high:
        middle = (low + high) // 2
        if need(*choices[middle]) <= limit:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        least = need(*choices[0])
        raise ConfigError(f"{name}={limit:g} cannot be met: the smallest such net needs {least:,.4g}; raise it")
    return choices[low - 1]


def cut_at_random(net: nn.Module, fan_in: int) -> nn.Module:
    """Give the plain net of a random wiring of equal fan-in; the weights of `net` are random numbers.

    Args:
        net: a classifier around a supernet of mixes; its masks are set.
        fan_in: sources of every group.
    """
    body: Any = net.body
    for connection in body.connections:
        keep_strongest(connection, fan_in)
    return derive(net.eval(), body.wiring())


_MEASURES: dict[str, Callable[[nn.Module, Sequence[int]], float]] = {
    "max_params": lambda net, _: parameters(net),
    "max_macs": multiply_adds,
    "max_ms": lambda net, in_shape: milliseconds(to_onnx(net, in_shape, quick=True), in_shape),
    "max_kb": lambda net, in_shape: len(to_onnx(net, in_shape, quick=True)) / 1000,
}


def _layers(nets: Nets, config: FitConfig, name: str, limit: float) -> Plan:
    """The target where layers are joined; a limit on cost is met at the end, when it is known which edges are left."""
    net = nets.supernet()
    ranked = importance(net, method="gate")
    if name not in ("max_params", "max_macs"):
        return Plan(None, Target(edges=max(1, int((limit or KEEP) * ranked.count()))))
    ends = budget_range(ranked, copy.deepcopy(net).eval(), nets.in_shape)
    low, high = (ends.parameters if name == "max_params" else ends.macs) or (0, 0)
    if low > limit:
        raise ConfigError(
            f"{name}={limit:,} cannot be met: the smallest wiring needs {low:,}; raise it, or use narrower legos"
        )
    note = (
        f"{name}={limit:,} is no less than the {high:,} of the whole net: nothing is cut for it"
        if high <= limit
        else ""
    )
    share = 1.0 if high <= limit else (limit - low) / max(1, high - low)
    least = len(nets.legos())
    return Plan(None, Target(edges=round(least + share * (ranked.count() - least))), note)
