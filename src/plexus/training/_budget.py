"""From the budget a user means, in parameters or milliseconds, to how wide a net is and how much of it is cut."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.models import Backbone
from plexus.training._backbone import Front
from plexus.training._config import CHANNELS, FAN_IN, KEEP, KEEP_MAPS, FitConfig
from plexus.training._cut import Target, keep_channels, plain
from plexus.training._int8 import shrink
from plexus.training.nets import Legos, Nets
from plexus.training.onnx_model import milliseconds, to_onnx
from plexus.wiring import budget_range, importance, multiply_adds, parameters

WIDTHS = tuple(range(8, 264, 8))
"""Widths of the first stage to choose from: whole groups of maps, whole vectors of the processor."""


@dataclass(frozen=True)
class Plan:
    """The width of the net of a run, and what will be left of it; decided before the first epoch.

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
        return {"width": self.width, "note": self.note, **asdict(self.target)}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Plan:
        """Read what `to_dict` gave."""
        return cls(raw["width"], Target(raw["fan_in"], raw["edges"], raw.get("channels")), raw["note"])


def plan(
    config: FitConfig, in_shape: Sequence[int], classes: int, legos: Legos | None = None,
    *, front: Front | None = None, start: Backbone | None = None, names: int = 0,
) -> Plan:  # fmt: skip
    """Decide width and target from the options of a run.

    A wiring of equal fan-in costs the same whichever maps it picks, but for maps that nobody reads in the end, which
    make it smaller. So the cost of a mix is measured on fresh nets of wirings that read as many maps as they can. Where
    the budget decides the width, it is the largest at which every group keeps FAN_IN sources; what is left of the
    budget goes into more of them, or if even the smallest is too large, into fewer.

    Args:
        config: options of the run.
        in_shape: one image's, (C, H, W).
        classes: how many.
        legos: the function that the options only name.
        front, start: see `Nets`; what a backbone costs counts.
        names: bytes that the classes' names take in a file.

    Raises:
        ConfigError: a budget that even the smallest net exceeds; the message says what that needs.

    Example:
        >>> plan(FitConfig(preset="mix", fan_in=12), (1, 8, 8), 10).target
        Target(fan_in=12, edges=None, channels=None)
    """

    def make(width: int | None) -> Nets:
        return Nets(replace(config, width=width), in_shape, classes, legos, front=front, start=start)

    nets = make(config.width)
    (name, limit), *_ = [*config.budget().items(), ("", 0)]
    measure = _measure(config, name, front, names)
    if front is not None and name in BEFORE and limit <= BEFORE[name](front):
        raise ConfigError(f"{name}={limit:,} cannot be met: the backbone alone has {BEFORE[name](front):,}; raise it")
    if nets.options.get("residual"):
        return _channels(config, nets.pixels_shape, make, measure, name, limit)
    if nets.options["merge"] != "mix":
        return _layers(nets, config, name, before(front, name, limit))
    if name in ("", "fan_in"):
        return Plan(None, Target(fan_in=limit or FAN_IN))
    if name == "keep":
        edges = importance(nets.supernet(), method="gate").count()
        return Plan(None, Target(edges=max(1, int(limit * edges))))

    def need(width: int | None, fan_in: int) -> float:
        return measure(cut_evenly(make(width).supernet(), fan_in), nets.pixels_shape)

    width = config.width
    if width is None and config.stack == "mix":
        widths = [width for width in WIDTHS if width % config.share == 0]
        width = widths[max(0, _most(lambda i: need(widths[i], FAN_IN), len(widths), limit) - 1)]
    widest: Any = make(width).supernet().body
    most = max(sum(connection.channels) for connection in widest.connections)
    fan_in = _most(lambda i: need(width, i + 1), most, limit)
    if fan_in == 0:
        raise ConfigError(
            f"{name}={limit:g} cannot be met: the smallest such net needs {need(width, 1):,.4g}; raise it"
        )
    note = f"{name}={limit:g} is more than the whole net needs: nothing is cut for it" if fan_in == most else ""
    return Plan(None if width == config.width else width, Target(fan_in=fan_in), note)


SHARES = 16
"""Shares of the channels to choose from: one of 16, 2 of 16, ..."""


def _channels(
    config: FitConfig, in_shape: Sequence[int], make: Callable[[int | None], Nets],
    measure: Callable[[nn.Module, Sequence[int]], float], name: str, limit: float,
) -> Plan:  # fmt: skip
    """The plan of a residual net, whose streams are made narrower: what that costs is known to the last weight.

    Where the budget decides the width, it is the largest of which CHANNELS can be kept.
    """
    if name in ("", "keep"):
        return Plan(None, Target(channels=limit or CHANNELS))

    def need(width: int | None, share: float) -> float:
        net: Any = make(width).supernet().eval()
        keep_channels(net.body, share)
        return measure(plain(net, net.body.wiring()), in_shape)

    width = config.width
    if width is None:
        width = WIDTHS[max(0, _most(lambda i: need(WIDTHS[i], CHANNELS), len(WIDTHS), limit) - 1)]
    shares = _most(lambda i: need(width, (i + 1) / SHARES), SHARES, limit)
    if shares == 0:
        raise ConfigError(
            f"{name}={limit:g} cannot be met: the smallest such net needs {need(width, 1 / SHARES):,.4g}; raise it"
        )
    note = f"{name}={limit:g} is more than the whole net needs: nothing is cut for it" if shares == SHARES else ""
    return Plan(None if width == config.width else width, Target(channels=shares / SHARES), note)


def _most(need: Callable[[int], float], count: int, limit: float) -> int:
    """Bisect: how many of the choices 0 to `count` - 1, in the order of their costs, are within the limit."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if need(middle) <= limit:
            low = middle + 1
        else:
            high = middle
    return low


def cut_evenly(net: nn.Module, fan_in: int) -> nn.Module:
    """Give the plain net of a wiring of equal fan-in in which as many maps as can be are read, which costs the most.

    From the head back every group takes the maps that the fewest have taken, of these the nearest: those have the
    fewest readers to come.

    Args:
        net: a classifier around a supernet of mixes; its masks are set.
        fan_in: sources of every group.
    """
    body: Any = net.body
    readers = torch.zeros(sum(body.connections[-1].channels))
    for connection in reversed(body.connections):
        groups, sources = connection.mask.shape
        connection.mask.zero_()
        for group in range(groups):
            near = torch.linspace(0.5, 0, sources)  # less than one reader
            best = (readers[:sources] + near).topk(min(fan_in, sources), largest=False).indices
            connection.mask[group, best] = 1
            readers[best] += 1
    return plain(net.eval(), body.wiring())


def _measure(
    config: FitConfig, name: str, front: Front | None, names: int
) -> Callable[[nn.Module, Sequence[int]], float]:
    """Measure of each limit, of the whole net; kilobytes are those of the int8 file where there is one."""
    measure: Callable[[nn.Module, Sequence[int]], float] | None = _MEASURES.get(name)
    if name == "max_kb":
        kilobytes = int8_kilobytes if config.int8 else _kilobytes

        def measure(net: nn.Module, in_shape: Sequence[int]) -> float:
            return kilobytes(net, in_shape) + names / 1000

    if front is None or measure is None:
        return measure or _MEASURES["max_params"]  # of other budgets nothing is measured
    return lambda net, _: measure(front.complete(net), front.in_shape)


def before(front: Front | None, name: str, limit: float) -> float:
    """Return what is left of a limit on parameters or multiply-adds behind a backbone.

    Args:
        front: the backbone; None leaves all.
        name: of the budget.
        limit: of the whole net.
    """
    return limit if front is None or name not in BEFORE else limit - BEFORE[name](front)


BEFORE: dict[str, Callable[[Front], int]] = {
    "max_params": lambda front: front.parameters, "max_macs": lambda front: front.macs
}  # fmt: skip
"""The part of a budget that a frozen backbone takes."""


def int8_kilobytes(net: nn.Module, in_shape: Sequence[int]) -> float:
    """Return the size of the smallest int8 file of a net, whatever it learns."""
    return len(shrink(to_onnx(net, in_shape, quick=True), wide=True)) / 1000 + ABOUT


def _kilobytes(net: nn.Module, in_shape: Sequence[int]) -> float:
    """The size of the float file of a net."""
    return len(to_onnx(net, in_shape, quick=True)) / 1000 + ABOUT


ABOUT = 1.0
"""Kilobytes of a file that say what it is, but for the names of its classes; and of its normalisation."""
_MEASURES: dict[str, Callable[[nn.Module, Sequence[int]], float]] = {
    "max_params": lambda net, _: parameters(net),
    "max_macs": multiply_adds,
    "max_ms": lambda net, in_shape: milliseconds(to_onnx(net, in_shape, quick=True), in_shape),
}


def like_milliseconds(make: Callable[[int], nn.Module], limit: float, in_shape: Sequence[int]) -> int:
    """Choose the width at which a net takes as many milliseconds as another, or as near to them as can be.

    Args:
        make: the net of a width, in evaluation mode.
        limit: milliseconds of the other one.
        in_shape: one image's, (C, H, W).

    Example:
        >>> like_milliseconds(lambda width: nn.Conv2d(1, width, 3), 0.0, (1, 8, 8))
        8
    """
    widths = range(8, 132, 2)

    def need(i: int) -> float:
        return _MEASURES["max_ms"](make(widths[i]), in_shape)

    above = _most(need, len(widths), limit)
    near = [i for i in (above - 1, above) if 0 <= i < len(widths)]
    return widths[min(near, key=lambda i: abs(need(i) - limit))]


def _layers(nets: Nets, config: FitConfig, name: str, limit: float) -> Plan:
    """The target where layers are joined; a limit on cost is met at the end, when it is known which edges are left."""
    net = nets.supernet()
    ranked = importance(net, method="gate")
    if name not in ("max_params", "max_macs"):
        share = limit or (KEEP_MAPS if config.stack == "maps" else KEEP)
        return Plan(None, Target(edges=max(1, int(share * ranked.count()))))
    ends = budget_range(ranked, copy.deepcopy(net).eval(), nets.pixels_shape)
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
