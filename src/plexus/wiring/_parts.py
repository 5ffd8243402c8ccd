"""Views of a net that several wiring functions share."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.nn import Connection, Supernet
from plexus.nn.scaling import is_chain, kernel_of, passes_scale, takes_scale


def split(net: nn.Module) -> tuple[Supernet, nn.Module | None]:
    """The supernet of a net, and the head behind it if the net is a classifier."""
    if isinstance(net, Supernet):
        return net, None
    body, head = getattr(net, "body", None), getattr(net, "head", None)
    if isinstance(body, Supernet) and isinstance(head, nn.Module):
        return body, head
    raise ConfigError(
        f"expected a Supernet, or a module with a Supernet as .body and a .head, got {type(net).__name__}"
    )


def connections(body: Supernet) -> Iterator[tuple[str, Connection, nn.Module | None]]:
    """(target node, connection, the lego that reads it; None for the head)."""
    names = body.node_names()
    for i, connection in enumerate(body.connections):
        yield names[i + 2], connection, body.legos[i + 1] if i + 1 < len(body.legos) else None


def blank_batch(body: Supernet) -> Tensor:
    """Two images of zeros for which the supernet was built, in its gates' dtype and on their device."""
    return body.connections[0].weight.new_zeros(2, *body.in_shape)


def flat(module: nn.Module) -> list[nn.Module]:
    """The modules of nested `nn.Sequential`s, in order."""
    if not is_chain(module):
        return [module]
    return [leaf for part in module for leaf in flat(part)]


def first_kernel(lego: nn.Module | None) -> Tensor | None:
    """The kernel that a factor per input map would be folded into, (O, I, ...), if there is one."""
    for layer in flat(lego) if lego is not None else []:
        if takes_scale(layer):
            return kernel_of(layer)
        if not passes_scale(layer, positive=True):
            return None
    return None
