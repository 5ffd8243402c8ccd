"""The report of a conversion, and what its model needs care with from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from plexus.errors import plural
from plexus.nn._rotation import RotConv2d
from plexus.nn._spherical import SPHERICAL

_GLOBAL = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class Change(NamedTuple):
    """A layer that becomes another: its name as in `named_modules()`, class and options before and after."""

    name: str
    before: str
    after: str


class Skip(NamedTuple):
    """A layer that stays as it is: its name as in `named_modules()`, class and options, and the reason."""

    name: str
    kind: str
    why: str


@dataclass(frozen=True)
class Report:
    """List what `convert` changed, passed over and warns of.

    Args:
        to: the class and options asked for.
        changed: the layers that became it.
        skipped: the layers that stayed, and why.
        warnings: what the model now needs care with, each naming its layers.
        dry_run: nothing was changed yet.

    Example:
        >>> from plexus.nn import UnitLinear, convert
        >>> print(convert(nn.Sequential(nn.Linear(4, 2)), UnitLinear, dry_run=True))
        would convert 1 layer to UnitLinear...
          0: Linear -> UnitLinear...
    """

    to: str
    changed: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    warnings: tuple[str, ...]
    dry_run: bool = False

    def __str__(self) -> str:
        verb = "would convert" if self.dry_run else "converted"
        lines = [f"{verb} {plural(len(self.changed), 'layer')} to {self.to}"]
        lines += [f"  {c.name}: {c.before} -> {c.after}" for c in self.changed]
        if self.skipped:
            lines += [f"passed over {len(self.skipped)}", *(f"  {s.name}: {s.kind}: {s.why}" for s in self.skipped)]
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])


def described(layer: nn.Module) -> str:
    """Name a layer's class and what it has beyond torch's: `RotConv2d(rotations=8, reduce=max)`."""
    options = [f"{key}={getattr(layer, key)}" for key in ("rotations", "reduce", "eps") if key in vars(layer)]
    if type(layer).__module__.startswith("torch.") or not options:
        return type(layer).__name__
    return f"{type(layer).__name__}({', '.join(options)})"


def cautions(model: nn.Module, names: Sequence[str], kind: type[nn.Module], to: Callable[..., Any]) -> Iterator[str]:
    """Yield what to take care of once these layers of a model become a kind; each names the layers it is about."""
    if not names:
        return
    layers = dict(model.named_modules())
    strides = [name for name, layer in layers.items() if _jumps(layer, name in names)]
    if kind is RotConv2d and strides:
        yield (
            f"stride above 1 in {', '.join(strides)}: on even sizes with padding 1 this breaks even turns by 90 "
            "degrees; prefer stride 1 and a 2x2 max-pool"
        )
    replaced = {id(layers[name]): name for name in names}
    hidden = [f"{replaced[id(v)]} in {key}" for key, v in _kept_aside(layers) if id(v) in replaced]
    if hidden:
        yield (
            f"also held outside torch's registry: {', '.join(hidden)}; what runs from there stays as it was: use "
            "nn.ModuleList or nn.ModuleDict"
        )
    if kind is RotConv2d and (end := _rigid_head(layers)):
        yield end
    if getattr(to, "keywords", {}).get("reduce") == "squeeze":
        yield f"squeeze starts from random weights in {', '.join(names)}: train them"
    if kind in SPHERICAL or any(isinstance(layers[name], SPHERICAL) for name in names):
        yield f"new parameters in {', '.join(names)}: build the optimiser after this"
    order = list(layers)
    norms = [
        name
        for name in order[order.index(names[0]) :]
        if isinstance(layers[name], _BatchNorm) and layers[name].running_mean is not None
    ]
    if norms:
        yield (
            f"batch norm after a converted layer: {', '.join(norms)} hold statistics of the old outputs; re-estimate "
            "them on a few batches in train mode"
        )


def _kept_aside(layers: Mapping[str, nn.Module]) -> Iterator[tuple[str, Any]]:
    """Yield what modules hold in plain lists, tuples and dicts, or whose methods, with the attribute's name."""
    for name, module in layers.items():
        for key, value in vars(module).items():
            if key.startswith("_"):  # torch's own registries
                continue
            held = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
            for part in held:
                yield f"{name}.{key}".strip("."), getattr(part, "__self__", part)


def _jumps(layer: nn.Module, converted: bool) -> bool:
    """Tell whether a layer may sample its input off centre; pooling in tiles does not where sizes divide."""
    if not isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        return False
    stride, kernel = _pair(layer.stride), _pair(layer.kernel_size)
    return max(stride) > 1 and (converted or stride != kernel)


def _pair(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return size if isinstance(size, tuple) else (size, size)


def _rigid_head(layers: dict[str, nn.Module]) -> str | None:
    """Say so if the first linear layer after the last feature maps sees where things are."""
    channels, pooled, last = None, False, ""
    linear: tuple[str, nn.Linear] | None = None
    for name, layer in layers.items():
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
            channels = layer.out_channels if isinstance(layer, nn.Conv2d) else layer.num_features
            pooled, last, linear = False, name, None
        elif isinstance(layer, _GLOBAL):
            pooled = pooled or layer.output_size in (1, (1, 1))
        elif isinstance(layer, nn.Linear) and linear is None:
            linear = (name, layer)
    if channels is None or linear is None or pooled or linear[1].in_features == channels:
        return None
    return (
        f"{linear[0]} reads {linear[1].in_features} inputs from the {channels} maps of {last}, so it sees positions "
        "(Flatten + Linear): outputs do not become invariant as a whole; pool globally first"
    )
