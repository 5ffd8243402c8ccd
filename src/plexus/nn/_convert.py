"""Turning the layers of a working model into other neurons, in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from plexus.errors import ConfigError
from plexus.nn._modules import Only, chosen
from plexus.nn._rebuild import SPHERICAL, rebuilt
from plexus.nn._report import Change, Report, Skip, cautions, described
from plexus.nn._rot_conv import RotConv2d
from plexus.nn._spherical import SphericalConv2d, SphericalLinear
from plexus.nn._unit import UnitConv2d, UnitLinear

_CONVS: tuple[type[nn.Module], ...] = (nn.Conv2d, RotConv2d, UnitConv2d, SphericalConv2d)
_LINEARS: tuple[type[nn.Module], ...] = (nn.Linear, UnitLinear, SphericalLinear)
_OPTIONS = {RotConv2d: ("rotations", "reduce"), UnitConv2d: ("eps",), UnitLinear: ("eps",)}
# these compute with their children's weights and never call them
_READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def convert(
    model: nn.Module,
    to: Callable[..., nn.Module],
    *,
    last: int | None = None,
    only: Only = None,
    dry_run: bool = False,
) -> Report:
    """Replaces layers of a model by other neurons, in place; weights stay.

    Parameters stay the same objects, so that an optimiser built earlier goes on; spherical layers get new ones. Mode,
    device, dtype, `requires_grad` and hooks stay too, and a layer used in several places is replaced in all. What the
    model computes changes: rotation neurons answer more, unit neurons forget lengths. `fold` is the way back that
    keeps the output; converting to `nn.Conv2d` brings back the stored weights.

    Args:
        model: any module; the layers to replace must lie inside it.
        to: RotConv2d, UnitConv2d, SphericalConv2d or nn.Conv2d; UnitLinear, SphericalLinear or nn.Linear; with
            options as `functools.partial(RotConv2d, rotations=4)`.
        last: only the last so many layers that can be converted, in the order of `model.named_modules()`.
        only: a predicate of (name, layer), or names and glob patterns of layers.
        dry_run: change nothing, only report.

    Returns:
        What changed, what was passed over and why, and what to take care of.

    Raises:
        ConfigError: no layer fits, `last` asks for more than there are, an unknown `to`, or the model itself is the
            layer.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1))
        >>> print(convert(net, partial(RotConv2d, rotations=4)))
        converted 1 layer to RotConv2d(rotations=4, reduce=max)
          0: Conv2d -> RotConv2d(rotations=4, reduce=max)
        passed over 1
          2: Conv2d: 1x1, nothing to rotate
    """
    kind, target = _target(to)
    family = _CONVS if kind in _CONVS else _LINEARS
    if type(model) in family:
        raise ConfigError(
            f"convert: the model itself is the {type(model).__name__}, which cannot be replaced in place: "
            "wrap it as nn.Sequential(layer)"
        )
    places = _places(model)
    layers = [(name, layer) for name, layer in model.named_modules() if _is_kin(layer, family)]
    reasons = {name: _obstacle(name, layer, kind, target, places) for name, layer in layers}
    picked = {name for name, _ in chosen(layers, only)}
    reasons |= {name: "not chosen by only" for name, _ in layers if name not in picked}
    able = [name for name, reason in reasons.items() if reason is None]
    if not able and "already so" not in reasons.values():
        raise ConfigError(f"convert: no layer can become {target}; there is {_inventory(model, layers, reasons)}")
    if last is not None:
        if not 0 < last <= len(able):
            raise ConfigError(f"convert: last={last} must lie between 1 and {len(able)}, the layers that can change")
        reasons |= dict.fromkeys(able[:-last], f"not among the last {last}")
        able = able[-last:]
    found = dict(layers)
    report = Report(
        target,
        tuple(Change(name, described(found[name]), target) for name in able),
        tuple(Skip(name, described(found[name]), why) for name, why in reasons.items() if why is not None),
        tuple(cautions(model, able, kind, to)),
        dry_run,
    )
    if not dry_run:
        for name in able:
            new = rebuilt(found[name], to)
            for parent, child in places[id(found[name])]:
                setattr(parent, child, new)
    return report


def _target(to: Any) -> tuple[type[nn.Module], str]:
    """The class that `to` makes, and how it describes itself; checks the options."""
    kind, options = (to.func, to.keywords) if isinstance(to, partial) else (to, {})
    if kind not in (*_CONVS, *_LINEARS):
        names = ", ".join(k.__name__ for k in (*_CONVS[1:], *_LINEARS[1:]))
        raise ConfigError(f"convert: to={to!r} is unknown; choose from {names}, or nn.Conv2d and nn.Linear")
    known = _OPTIONS.get(kind, ())
    wrong = [*map(repr, getattr(to, "args", ())), *(key for key in options if key not in known)]
    if wrong:
        few = f"may set {', '.join(known)}" if known else "takes no options here"
        raise ConfigError(f"convert: {kind.__name__} {few}, not {', '.join(wrong)}")
    if options.get("reduce") == "concat":
        raise ConfigError("convert: reduce='concat' multiplies the maps that the next layer gets; use 'squeeze'")
    sizes = (1, 1, 3) if kind in _CONVS else (1, 1)
    return kind, described(kind(*sizes, **options, device="meta"))


def _is_kin(layer: nn.Module, family: tuple[type[nn.Module], ...]) -> bool:
    """Whether somebody may ask why this layer was not converted."""
    return isinstance(layer, nn.modules.conv._ConvNd if family is _CONVS else nn.Linear)


def _places(model: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """Where each module hangs, by its id: several places if it is shared."""
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    for parent in model.modules():
        for name, child in parent._modules.items():
            places.setdefault(id(child), []).append((parent, name))
    return places


def _obstacle(
    name: str, layer: nn.Module, kind: type[nn.Module], target: str, places: dict[int, list[tuple[nn.Module, str]]]
) -> str | None:
    """Why a layer cannot become this kind, or None if it can."""
    if type(layer) is kind and described(layer) == target:
        return "already so"
    if any(is_lazy(p) for p in layer.parameters()):
        return "has no size yet; run the model once first"
    if type(layer) not in (_CONVS if kind in _CONVS else _LINEARS):
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            return f"a subclass of {'Linear' if isinstance(layer, nn.Linear) else 'Conv2d'}, which may compute more"
        return "transposed" if "Transpose" in type(layer).__name__ else "not a 2-D convolution"
    if "weight" not in layer._parameters and not isinstance(layer, SPHERICAL):
        return "its weight is computed by a hook; remove that first"
    if any(isinstance(parent, _READERS) for parent, _ in places[id(layer)]):
        return "its parent computes with its weight without calling it"
    if getattr(layer, "reduce", None) == "concat":
        return "reduce='concat' gives more maps than it has filters"
    return _unturnable(layer) if kind is RotConv2d else None


def _unturnable(layer: nn.Module) -> str | None:
    height, width = layer.kernel_size  # type: ignore[misc]
    if (height, width) == (1, 1):
        return "1x1, nothing to rotate"
    if height != width:
        return f"a {height}x{width} kernel is not square"
    return None if height % 2 else f"a {height}x{width} kernel has no centre tap"


def _inventory(model: nn.Module, layers: list[tuple[str, nn.Module]], reasons: dict[str, str | None]) -> str:
    """What a model holds, for somebody whose wish nothing in it meets."""
    if layers:
        return "; ".join(f"{name}: {type(layer).__name__}, {reasons[name]}" for name, layer in layers[:8])
    kinds = Counter(type(m).__name__ for m in model.modules() if not any(m.children()))
    return ", ".join(f"{count} {name}" for name, count in kinds.items())
