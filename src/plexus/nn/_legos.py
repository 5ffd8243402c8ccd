"""Legos before they are wired: what they take, what they give, and whether they write into their input."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from plexus.errors import ConfigError
from plexus.nn._modules import is_chain
from plexus.nn.scaling import passes_scale

# legos that some supernet has sized: a second one that they do not fit can say so
_ADOPTED: WeakSet[nn.Module] = WeakSet()


def mix_widths(legos: Sequence[nn.Module], options: dict[str, Any]) -> list[int | None]:
    """Return `mix_to` of every connection; None leaves it to the connection."""
    given = options.get("mix_to")
    if isinstance(given, Sequence):
        if len(given) != len(legos):
            raise ConfigError(f"Supernet: mix_to={list(given)} must have one number for each of {len(legos)} legos")
        return list(given)
    if given is not None or options.get("merge") != "mix":
        return [given] * len(legos)
    return [*(_asked_for(lego) for lego in legos[1:]), None]


def _asked_for(lego: nn.Module) -> int | None:
    """Return the only number of channels that a lego can read; None if any will do, or nobody knows."""
    if is_chain(lego):
        first = next((part for part in lego if is_chain(part) or not passes_scale(part, positive=True)), None)
        return None if first is None else _asked_for(first)
    if isinstance(lego, LazyModuleMixin):
        groups = getattr(lego, "groups", 1)
        return groups if groups > 1 else None
    width = getattr(lego, "in_channels", getattr(lego, "num_features", None))
    return width if isinstance(width, int) else None


def tried(lego: nn.Module, x: Tensor, name: str) -> Tensor:
    """Return the lego's output on blank feature maps, from which lazy layers take their size.

    A lego that fits is remembered, so that a second supernet that it does not fit can say so.

    Raises:
        ConfigError: a misfit, in one line.
    """
    who = f"Supernet: {name} ({type(lego).__name__})"
    if isinstance(lego, nn.RNNBase):
        raise ConfigError(f"{who} takes sequences of another layout; wrap it in plexus.nn.Recurrent")
    try:
        out = lego(x)
    except Exception as error:  # the lego is the user's: whatever it raises says that it does not fit
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if lego in _ADOPTED:
            reason += "; this lego was in another Supernet before, which sized it: give each net fresh legos"
        raise ConfigError(f"{who} does not accept maps {tuple(x.shape[1:])}: {reason}") from error
    if not isinstance(out, Tensor) or out.dim() != x.dim() or out.shape[0] != x.shape[0]:
        got = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ConfigError(f"{who} must give one tensor (N, C, *spatial), got {got} from {list(x.shape)}; wrap it")
    if min(out.shape) < 1:
        raise ConfigError(f"{who} leaves nothing of maps {tuple(x.shape[1:])}; use fewer poolings or larger images")
    _ADOPTED.add(lego)
    return out


def overwrites(lego: nn.Module, shape: Sequence[int]) -> bool:
    """Tell whether a lego writes into its input, in training or in evaluation.

    A copy is asked, since training moves the statistics of batch norms; random numbers are put back. torch counts the
    writes to a tensor and to its views in `_version`, whoever makes them: a layer, a function or the user's own code.
    """
    with torch.random.fork_rng(devices=[]):
        for mode in (True, False):
            blank = torch.zeros(2, *shape)
            try:
                copy.deepcopy(lego).train(mode)(blank)
            except Exception:  # the user's code may not train on blank images, or not be copied: then be careful
                return True
            if blank._version > 0:
                return True
    return False
