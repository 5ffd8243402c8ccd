"""Choosing layers by name, by pattern or by a question asked of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from plexus.errors import ConfigError

Only = Callable[[str, nn.Module], bool] | Sequence[str] | None


def chosen(layers: Iterable[tuple[str, nn.Module]], only: Only) -> list[tuple[str, nn.Module]]:
    """Those of the named layers that `only` picks, in their order.

    Args:
        layers: names and modules.
        only: None for all; a predicate of (name, module); or names and glob patterns, each of which must fit a layer.

    Raises:
        ConfigError: a name or pattern that fits no layer.

    Example:
        >>> [name for name, _ in chosen(nn.Sequential(nn.ReLU(), nn.ReLU()).named_children(), ["1*"])]
        ['1']
    """
    layers = list(layers)
    if only is None:
        return layers
    if callable(only):
        return [(name, layer) for name, layer in layers if only(name, layer)]
    patterns = [only] if isinstance(only, str) else list(only)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name, _ in layers):
            raise ConfigError(f"only={pattern!r} fits no layer; there are {', '.join(n for n, _ in layers) or 'none'}")
    return [(name, layer) for name, layer in layers if any(fnmatchcase(name, p) for p in patterns)]
