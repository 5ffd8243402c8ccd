"""Which neuron each layer is: made so as the config asks, and told in words."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from plexus.errors import ConfigError
from plexus.nn import DENSE, NEURONS, RotConv2d, SphericalConv2d, SphericalLinear, UnitConv2d, UnitLinear, convert
from plexus.training._config import FitConfig

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def with_neurons(legos: Sequence[nn.Module], config: FitConfig) -> list[nn.Module]:
    """Sized legos with their last convolutions turned into the config's neuron, in place.

    Raises:
        ConfigError: none can be turned, or fewer than `last`.
    """
    stack = nn.ModuleDict({f"lego{i}": lego for i, lego in enumerate(legos, 1)})
    try:
        convert(stack, NEURONS[config.neuron], last=config.last)
    except ConfigError as error:
        raise ConfigError(f"neuron={config.neuron!r}: {str(error).removeprefix('convert: ')}") from None
    return list(stack.values())


def with_dense(head: nn.Module, config: FitConfig) -> nn.Module:
    """A sized head with its linear layers turned into the config's neuron, in place."""
    if config.dense != "plain":
        convert(head, DENSE[config.dense])
    return head


def neuron(layer: nn.Module) -> str:
    """The name of a layer's neuron, as the config has it.

    Example:
        >>> neuron(RotConv2d(1, 1, rotations=4)), neuron(nn.Linear(1, 1))
        ('rot4', 'plain')
    """
    if isinstance(layer, RotConv2d):
        return f"rot{layer.rotations}"
    if isinstance(layer, UnitConv2d | UnitLinear):
        return "unit"
    return "spherical" if isinstance(layer, SphericalConv2d | SphericalLinear) else "plain"


def neurons(net: nn.Module) -> str:
    """The neurons of a net in a few words: "rot8 in 1 of 9 convolutions"; nothing for a plain net."""
    convs = [neuron(m) for m in net.modules() if isinstance(m, _CONVS)]
    dense = [neuron(m) for m in net.modules() if isinstance(m, nn.Linear)]
    return ", ".join(
        f"{kind} in {kinds.count(kind)} of {len(kinds)} {what}"
        for kinds, what in ((convs, "convolutions"), (dense, "dense layers"))
        for kind in dict.fromkeys(kinds)
        if kind != "plain"
    )


def describe(lego: nn.Module) -> str:
    """A lego in a few words: "rot8 conv 3x3, 16 maps, pool"."""
    words = []
    for layer in lego.modules():
        kind = type(layer).__name__
        if isinstance(layer, _CONVS):
            which = "" if neuron(layer) == "plain" else f"{neuron(layer)} "
            words.append(f"{which}conv {'x'.join(map(str, layer.kernel_size))}, {layer.out_channels} maps")
        elif isinstance(layer, nn.RNNBase):
            words.append(f"{kind} {layer.hidden_size}")
        elif "Pool" in kind:
            words.append("pool")
        elif "Dropout" in kind:
            words.append("dropout")
    return ", ".join(words) or type(lego).__name__
