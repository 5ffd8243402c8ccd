"""Views of a net that the wiring's functions share: its supernet and head, its connections, its layers one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, fx, nn

from plexus.errors import ConfigError
from plexus.nn import NEURON_LAYERS, Connection, Supernet
from plexus.nn.scaling import is_chain, kernel_of, passes_scale, takes_scale


def split_head(net: nn.Module) -> tuple[Supernet, nn.Module | None]:
    """Return the supernet of a net, and the head behind it if the net is a classifier."""
    if isinstance(net, Supernet):
        return net, None
    body, head = getattr(net, "body", None), getattr(net, "head", None)
    if isinstance(body, Supernet) and isinstance(head, nn.Module):
        return body, head
    raise ConfigError(
        f"expected a Supernet, or a module with a Supernet as .body and a .head, got {type(net).__name__}"
    )


def connections(body: Supernet) -> Iterator[tuple[str, Connection, nn.Module | None]]:
    """Yield (target node, connection, the lego that reads it; None for the head)."""
    names = body.node_names()
    for i, connection in enumerate(body.connections):
        yield names[i + 2], connection, body.legos[i + 1] if i + 1 < len(body.legos) else None


def blank_batch(body: Supernet) -> Tensor:
    """Return two images of zeros for which the supernet was built, in its gates' dtype and on their device."""
    return body.connections[0].weight.new_zeros(2, *body.in_shape)


def unchained(module: nn.Module) -> list[nn.Module]:
    """List the modules of nested `nn.Sequential`s, in order."""
    if not is_chain(module):
        return [module]
    return [leaf for part in module for leaf in unchained(part)]


def first_kernel(lego: nn.Module | None) -> Tensor | None:
    """Return the kernel that a factor per input channel would be folded into, (O, I, ...), if there is one."""
    layer = passed_to(lego)
    return None if layer is None else kernel_of(layer)


def passed_to(module: nn.Module | None, *, flat: bool = False) -> nn.Module | None:
    """Find the layer whose kernel a factor per channel meets first; with `flat` also a linear one behind a Flatten."""
    flattened = False
    for layer in unchained(module) if module is not None else []:
        if takes_scale(layer) or (flattened and isinstance(layer, nn.Linear)):
            return layer
        if flat and type(layer) is nn.Flatten and layer.start_dim == 1:
            flattened = True
        elif not passes_scale(layer, positive=True):
            return None
    return None


def is_layer(module: nn.Module) -> bool:
    """Tell whether torch ships this module, or it is a neuron that stands for such a one."""
    return type(module).__module__.startswith("torch.nn") or type(module) in NEURON_LAYERS


def trace(module: nn.Module, *, whole: Sequence[nn.Module] = ()) -> fx.GraphModule:
    """Write a module as the operations it is made of, as `torch.fx.symbolic_trace` does, with neurons kept whole.

    Args:
        module: any module whose `forward` can be run on symbols; layers of torch, and those of plexus that stand for
            them, become calls of a module.
        whole: further modules to keep whole.

    Returns:
        A `torch.fx.GraphModule` that holds the same layers, not copies.

    Raises:
        Exception: whatever the module's `forward` raises when it is run on symbols.

    Example:
        >>> from plexus.nn import RotConv2d
        >>> [name for name, _ in trace(nn.Sequential(RotConv2d(1, 2), nn.ReLU())).named_children()]
        ['0', '1']
    """
    return fx.GraphModule(module, _Tracer(whole).trace(module), type(module).__name__)


class _Tracer(fx.Tracer):
    """Torch's tracer, which keeps torch's own layers whole, with plexus's neurons beside them."""

    def __init__(self, whole: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.whole = set(map(id, whole))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> Any:
        return id(m) in self.whole or type(m) in NEURON_LAYERS or super().is_leaf_module(m, module_qualified_name)
