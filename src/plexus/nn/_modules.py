"""Looking at models from outside: parts chosen by name, places in the tree, evaluation mode, hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TypeGuard

from torch import nn

from plexus.errors import ConfigError

Only = Callable[[str, nn.Module], bool] | Sequence[str] | None


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part back into the mode it had afterwards.

    Args:
        module: a layer or a network.

    Example:
        >>> net = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
        >>> with evaluating(net):
        ...     [part.training for part in net]
        [False, False]
        >>> [part.training for part in net]
        [True, False]
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def is_chain(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """Tell whether calling a module means calling its parts in order: an `nn.Sequential` with no forward of its own.

    Args:
        module: any module.

    Example:
        >>> is_chain(nn.Sequential(nn.ReLU())), is_chain(nn.ReLU())
        (True, False)
    """
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def has_hooks(module: nn.Module) -> bool:
    """Tell whether somebody watches this module's calls, so that it must be called as it is.

    Args:
        module: any module; what it contains is not looked at.

    Example:
        >>> layer = nn.ReLU()
        >>> handle = layer.register_forward_hook(print)
        >>> has_hooks(layer), has_hooks(nn.ReLU())
        (True, False)
    """
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def holders(model: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """Map the id of each module to the (parent, name) pairs it hangs from: several if it is shared."""
    pairs: dict[int, list[tuple[nn.Module, str]]] = {}
    for parent in model.modules():
        for name, child in parent._modules.items():
            pairs.setdefault(id(child), []).append((parent, name))
    return pairs


def chosen(layers: Iterable[tuple[str, nn.Module]], only: Only) -> list[tuple[str, nn.Module]]:
    """Pick those of the named layers that `only` asks for, in their order; a pattern that fits none is refused."""
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
