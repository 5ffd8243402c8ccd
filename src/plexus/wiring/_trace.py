"""Modules as the operations they are made of; torch's own layers and neurons stay whole."""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from plexus.nn import NEURON_LAYERS


def is_layer(module: nn.Module) -> bool:
    """Whether torch ships this module, or it is a neuron that stands for such a one."""
    return type(module).__module__.startswith("torch.nn") or type(module) in NEURON_LAYERS


def trace(module: nn.Module) -> fx.GraphModule:
    """Write a module as the operations it is made of, as `torch.fx.symbolic_trace` does, with neurons kept whole.

    Args:
        module: any module whose `forward` can be run on symbols; layers of torch, and those of plexus that stand for
            them, become calls of a module.

    Returns:
        A `torch.fx.GraphModule` that holds the same layers, not copies.

    Raises:
        Exception: whatever the module's `forward` raises when it is run on symbols.

    Example:
        >>> from plexus.nn import RotConv2d
        >>> [name for name, _ in trace(nn.Sequential(RotConv2d(1, 2), nn.ReLU())).named_children()]
        ['0', '1']
    """
    return fx.GraphModule(module, _Tracer().trace(module), type(module).__name__)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> Any:
        return type(m) in NEURON_LAYERS or super().is_leaf_module(m, module_qualified_name)
