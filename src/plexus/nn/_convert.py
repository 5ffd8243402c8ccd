"""A working model with other neurons, and back: `convert` in place, `fold` to plain layers, `transplant` to a twin."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from plexus.errors import ConfigError
from plexus.nn._modules import Only, chosen, holders
from plexus.nn._report import Change, Report, Skip, cautions, described
from plexus.nn._rotation import RotConv2d
from plexus.nn._spherical import SPHERICAL, SphericalConv2d, SphericalLinear
from plexus.nn._unit import UnitConv2d, UnitLinear, unit_weight

_CONVS: tuple[type[nn.Module], ...] = (nn.Conv2d, RotConv2d, UnitConv2d, SphericalConv2d)
_LINEARS: tuple[type[nn.Module], ...] = (nn.Linear, UnitLinear, SphericalLinear)
_FOLDED = (UnitConv2d, UnitLinear, *SPHERICAL)
_OPTIONS = {RotConv2d: ("rotations", "reduce"), UnitConv2d: ("eps",), UnitLinear: ("eps",)}
_CONV_SHAPE = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
_LINEAR_SHAPE = ("in_features", "out_features")
# these compute with their children's weights and never call them
_READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
_SHOWN = 6  # keys of each kind that a message lists


def convert(
    model: nn.Module,
    to: Callable[..., nn.Module],
    *,
    last: int | None = None,
    only: Only = None,
    dry_run: bool = False,
) -> Report:
    """Replace layers of a model by other neurons, in place; weights stay.

    Parameters stay the same objects, so that an optimiser built earlier goes on; spherical layers get new ones. Mode,
    device, dtype, `requires_grad` and hooks stay too, a layer used in several places is replaced in all, and layers
    that share a weight go on sharing it. What the model computes changes: rotation neurons answer more, unit neurons
    forget lengths. `fold` is the way back that keeps the output; converting to `nn.Conv2d` brings back the stored
    weights.

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
    parents = holders(model)
    layers = {name: layer for name, layer in model.named_modules() if _is_kin(layer, family)}
    reasons = {n: _obstacle(layer, kind, target, [p for p, _ in parents[id(layer)]]) for n, layer in layers.items()}
    picked = {name for name, _ in chosen(layers.items(), only)}
    reasons |= {name: "not chosen by only" for name in layers if name not in picked}
    able = [name for name, reason in reasons.items() if reason is None]
    if last is not None and able:
        if not 0 < last <= len(able):
            raise ConfigError(f"convert: last={last} must lie between 1 and {len(able)}, the layers that can change")
        reasons |= dict.fromkeys(able[:-last], f"not among the last {last}")
        able = able[-last:]
    reasons |= _torn(model, able, kind)
    able = [name for name in able if reasons[name] is None]
    if not able and "already so" not in reasons.values():
        raise ConfigError(f"convert: no layer can become {target}; there is {_inventory(model, layers, reasons)}")
    report = Report(
        target,
        tuple(Change(name, described(layers[name]), target) for name in able),
        tuple(Skip(name, described(layers[name]), why) for name, why in reasons.items() if why is not None),
        tuple(cautions(model, able, kind, to)),
        dry_run,
    )
    if not dry_run:
        filters: dict[int, nn.Parameter] = {}
        for name in able:
            new = _rebuilt(layers[name], to, filters)
            for parent, child in parents[id(layers[name])]:
                setattr(parent, child, new)
    return report


def fold(model: nn.Module) -> nn.Module:
    """Copy a model with plain layers of equal output where it has unit-norm and spherical ones, at no extra cost.

    The normalised filters become the weights of `nn.Conv2d` and `nn.Linear`. All else is copied as it is, rotation
    layers included; what shared a weight goes on sharing it, and the model itself is left alone.

    Args:
        model: a network, or such a layer.

    Shape:
        Layers take and give what they did, (N, C, H, W) or (N, ..., F).

    Returns:
        The copy, in the same mode, on the same device.

    Raises:
        ConfigError: a layer whose `eps` was set out of range after it was built, or one that shares its weight with a
            layer that reads it otherwise, so that no single plain weight serves both.

    Example:
        >>> from plexus.nn import UnitLinear
        >>> fold(nn.Sequential(UnitLinear(3, 4), nn.ReLU()))
        Sequential(
          (0): Linear(in_features=3, out_features=4, bias=True)
          (1): ReLU()
        )
    """
    whole = nn.ModuleList([copy.deepcopy(model)])  # a place for the model itself to be replaced in
    _refuse_torn(whole[0])
    parents, filters = holders(whole), dict[int, nn.Parameter]()
    for layer in [part for part in whole.modules() if type(part) in _FOLDED]:
        new = _rebuilt(layer, nn.Conv2d if isinstance(layer, nn.Conv2d) else nn.Linear, filters)
        if isinstance(layer, (UnitConv2d, UnitLinear)):
            if id(layer.weight) not in filters:
                unit = unit_weight(layer.weight.detach(), layer.eps)
                filters[id(layer.weight)] = nn.Parameter(unit, requires_grad=layer.weight.requires_grad)
            new.weight = filters[id(layer.weight)]
        for parent, name in parents[id(layer)]:
            setattr(parent, name, new)
    return whole[0]


def transplant(source: nn.Module, target: nn.Module) -> nn.Module:
    """Copy a trained model's weights and buffers into its twin of other neurons, key by key.

    Unlike `convert` it leaves the source as it is and shares nothing with it. What only the target has, the
    `squeeze.weight` of rotation neurons, stays as it was, with a `UserWarning` that names it.

    Args:
        source: the trained model.
        target: the same architecture with other neurons in the same places.

    Returns:
        The target.

    Raises:
        ConfigError: keys that only one of the two has, weights whose shapes differ, or weights that the target shares
            and that differ in the source; the target is then unchanged.

    Source: the research notes' experiment, which probes rotation neurons with weights trained in plain ones.

    Example:
        >>> plain, turned = nn.Conv2d(1, 2, 3), RotConv2d(1, 2, 3)
        >>> bool((transplant(plain, turned).weight == plain.weight).all())
        True
    """
    state, wanted = source.state_dict(), target.state_dict()
    fresh = {
        f"{name}.squeeze.weight".lstrip(".")
        for name, part in target.named_modules()
        if isinstance(part, RotConv2d) and part.squeeze is not None
    } - state.keys()
    missing = [key for key in wanted if key not in state and key not in fresh]
    foreign = [key for key in state if key not in wanted]
    shapes = [
        f"{key} {tuple(state[key].shape)} against {tuple(wanted[key].shape)}"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    # one tensor under two keys would take the value of the second without a word
    torn = [
        f"{first} and {key}"
        for first, *others in _shared_keys(target)
        for key in others
        if first in state and key in state and not torch.equal(state[first], state[key])
    ]
    kinds = {
        "the source lacks": missing,
        "the target lacks": foreign,
        "shapes differ:": shapes,
        "the target shares what differs in the source:": torn,
    }
    faults = [
        f"{what} {', '.join(keys[:_SHOWN])}{f' and {len(keys) - _SHOWN} more' if len(keys) > _SHOWN else ''}"
        for what, keys in kinds.items()
        if keys
    ]
    if faults:
        raise ConfigError(f"transplant: the two are not twins: {'; '.join(faults)}")
    target.load_state_dict(state, strict=False)
    if fresh:
        warnings.warn(f"transplant: the source has no {', '.join(sorted(fresh))}: kept as they are", stacklevel=2)
    return target


def _rebuilt(old: nn.Module, make: Callable[..., nn.Module], filters: dict[int, nn.Parameter]) -> nn.Module:
    """Build a layer anew by `make`, with the old one's parameters, mode and hooks.

    Parameters are the same objects, so that an optimiser built earlier goes on. Where a spherical layer comes or goes
    they cannot be; `filters` remembers by the id of the old parameter which one took its place.
    """
    keys = _CONV_SHAPE if isinstance(old, nn.Conv2d) else _LINEAR_SHAPE
    first = next(old.parameters())
    # on the meta device nothing is drawn at random and nothing allocated
    new = make(**{key: getattr(old, key) for key in keys}, bias=old.bias is not None, device="meta", dtype=first.dtype)
    for part in new.children():  # what the new layer alone has starts as itself
        part.to_empty(device=first.device)
        part.reset_parameters()  # type: ignore[operator]
    learned = _filters(old)
    if isinstance(new, SPHERICAL):
        new.to_empty(device=first.device)
        new.set_weight(old.weight)  # type: ignore[arg-type]
        new.angles.requires_grad_(learned.requires_grad)
        new.angles = filters.setdefault(id(learned), new.angles)
    elif isinstance(old, SPHERICAL):
        weight = nn.Parameter(old.weight.detach(), requires_grad=learned.requires_grad)
        new.weight = filters.setdefault(id(learned), weight)
    else:
        new.weight = learned
    new.bias = old.bias
    new.train(old.training)
    # the very dictionaries, so that handles given out earlier still remove their hooks
    new.__dict__.update({key: value for key, value in vars(old).items() if "hook" in key})
    return new


def _filters(layer: nn.Module) -> nn.Parameter:
    """Return the parameter that a layer's filters are made of."""
    return layer.angles if isinstance(layer, SPHERICAL) else layer.weight  # type: ignore[return-value]


def _owners(model: nn.Module) -> dict[int, dict[str, nn.Module]]:
    """Map the id of each parameter to the layers that hold it, by name: several if it is shared."""
    owners: dict[int, dict[str, nn.Module]] = {}
    for name, layer in model.named_modules():
        for parameter in layer._parameters.values():
            if parameter is not None:
                owners.setdefault(id(parameter), {})[name] = layer
    return owners


def _torn(model: nn.Module, able: Iterable[str], kind: type[nn.Module]) -> dict[str, str]:
    """Say of layers that would get new parameters why they cannot: they share the old ones with a layer that stays."""
    layers, owners, reasons = dict(model.named_modules()), _owners(model), {}
    for name in able:
        if kind in SPHERICAL or isinstance(layers[name], SPHERICAL):
            stays = [other for other in owners[id(_filters(layers[name]))] if other not in able]
            if stays:
                reasons[name] = f"shares its weight with {stays[0]}, which stays"
    return reasons


def _refuse_torn(model: nn.Module) -> None:
    """Refuse filters of length 1 whose parameter another layer reads otherwise: once folded they would part."""
    owners = _owners(model)
    for name, layer in model.named_modules():
        for other, twin in owners[id(_filters(layer))].items() if type(layer) in _FOLDED else ():
            if (type(twin), getattr(twin, "eps", None)) != (type(layer), getattr(layer, "eps", None)):
                raise ConfigError(
                    f"fold: {name} and {other} share a weight that each reads in its own way, so that no plain weight "
                    "serves both; give one its own: layer.weight = nn.Parameter(layer.weight.clone())"
                )


def _shared_keys(model: nn.Module) -> Iterable[list[str]]:
    """List the keys of a state_dict that stand for one tensor, where there are several."""
    keys: dict[int, list[str]] = {}
    for name, tensor in chain(*(f(remove_duplicate=False) for f in (model.named_parameters, model.named_buffers))):
        # a spherical layer files its angles as the weight they stand for
        keys.setdefault(id(tensor), []).append(f"{name[:-6]}weight" if name.endswith("angles") else name)
    return (names for names in keys.values() if len(names) > 1)


def _target(to: Any) -> tuple[type[nn.Module], str]:
    """Return the class that `to` makes, and how it describes itself; check the options."""
    kind, options = (to.func, to.keywords) if isinstance(to, partial) else (to, {})
    if kind not in (*_CONVS, *_LINEARS):
        names = ", ".join(k.__name__ for k in (*_CONVS[1:], *_LINEARS[1:]))
        raise ConfigError(f"convert: to={to!r} is unknown; choose from {names}, or nn.Conv2d and nn.Linear")
    allowed = _OPTIONS.get(kind, ())
    wrong = [*map(repr, getattr(to, "args", ())), *(key for key in options if key not in allowed)]
    if wrong:
        few = f"may set {', '.join(allowed)}" if allowed else "takes no options here"
        raise ConfigError(f"convert: {kind.__name__} {few}, not {', '.join(wrong)}")
    if options.get("reduce") == "concat":
        raise ConfigError("convert: reduce='concat' multiplies the maps that the next layer gets; use 'squeeze'")
    sizes = (1, 1, 3) if kind in _CONVS else (1, 1)
    return kind, described(kind(*sizes, **options, device="meta"))


def _is_kin(layer: nn.Module, family: tuple[type[nn.Module], ...]) -> bool:
    """Tell whether somebody may ask why this layer was not converted."""
    return isinstance(layer, nn.modules.conv._ConvNd if family is _CONVS else nn.Linear)


def _obstacle(layer: nn.Module, kind: type[nn.Module], target: str, parents: Iterable[nn.Module]) -> str | None:
    """Say why a layer cannot become this kind, or None if it can."""
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
    if any(isinstance(parent, _READERS) for parent in parents):
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


def _inventory(model: nn.Module, layers: dict[str, nn.Module], reasons: dict[str, str | None]) -> str:
    """List what a model holds, for somebody whose wish nothing in it meets."""
    if layers:
        few = list(layers.items())[:8]
        return "; ".join(f"{name}: {type(layer).__name__}, {reasons[name]}" for name, layer in few)
    kinds = Counter(type(m).__name__ for m in model.modules() if not any(m.children()))
    return ", ".join(f"{count} {name}" for name, count in kinds.items())
