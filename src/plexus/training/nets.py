"""The nets a config asks for, built from a seed; which neuron each layer is, and what it is in words."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from plexus.errors import ConfigError, PlexusError
from plexus.graph import Edge, Wiring
from plexus.models import (
    Autoencoder,
    Backbone,
    Classifier,
    LinearHead,
    Preset,
    Start,
    check_start,
    head,
    preset,
    read_autoencoder,
    separable,
)
from plexus.models import deep as deep_legos
from plexus.models import maps as map_legos
from plexus.models import mix as mix_legos
from plexus.nn import (
    DENSE,
    NEURONS,
    RotConv2d,
    SphericalConv2d,
    SphericalLinear,
    Supernet,
    UnitConv2d,
    UnitLinear,
    convert,
)
from plexus.training._backbone import Front
from plexus.training._config import MEMORY, FitConfig
from plexus.training._seeds import reduce_seed
from plexus.user_code import user_function
from plexus.wiring import rebuild, trace

Legos = Callable[[Sequence[int]], Sequence[nn.Module]]
_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_OPTIONS = ("merge", "gate", "resize", "activation", "project")


class Nets:
    """Makes the supernet, the chain and retrained nets of one run.

    Args:
        config: options of the run.
        in_shape: one image's shape, (C, H, W).
        classes: how many.
        legos: the function that the options only name.
        front: a frozen backbone, whose maps the nets read.
        start: one that learns; every net has a copy.

    Raises:
        ConfigError: legos that cannot be loaded or do not fit the images.
    """

    def __init__(
        self, config: FitConfig, in_shape: Sequence[int], classes: int, legos: Legos | None = None,
        *, front: Front | None = None, start: Backbone | None = None,
    ) -> None:  # fmt: skip
        self.config, self.classes, self.front = config, classes, front
        self.pixels_shape = tuple(in_shape) if front is None else front.out_shape
        self.encoder, self.backbone = _encoder(config, in_shape), start
        before = self._start()
        self.in_shape = self.pixels_shape if before is None else before.out_shape
        self.preset = _preset(config, legos)
        self.options: dict[str, Any] = dict(self.preset.options)
        self.options |= {name: getattr(config, name) for name in _OPTIONS if getattr(config, name) is not None}
        if self.options.get("merge") == "mix":
            self.options.setdefault("share", config.share)
            self.options.pop("gate_init", None)  # of the preset; a mix has no gates
        if config.gate_init is not None:
            gates = config.gate_init
            self.options["gate_init"] = gates[0] if len(gates) == 1 else gates

    def legos(self) -> list[nn.Module]:
        """Fresh legos, unsized where they are lazy; those of other neurons than plain are sized."""
        legos = list(self.preset.legos(self.in_shape))
        if self.config.neuron == "plain":
            return legos
        return with_neurons(Supernet(legos, self.in_shape, **self.options).legos, self.config)

    def supernet(self) -> Classifier:
        """Build the supernet and its head, from the run's seed."""
        torch.manual_seed(reduce_seed(self.config.seed))
        body = Supernet(self.legos(), self.in_shape, **self.options)
        return self._headed(body, body.out_channels)

    def chain(self) -> nn.Module:
        """Build the legos one after the other, as a plain net."""
        names = ("input", *(f"lego{i}" for i in range(1, len(self.legos()) + 1)), "head")
        return self.pattern(Wiring(names, tuple(Edge(s, t, 1.0) for s, t in pairwise(names[1:]))))

    def pattern(self, wiring: Wiring) -> nn.Module:
        """Build a wiring from fresh weights, gates at 1, as a plain net."""
        torch.manual_seed(reduce_seed(self.config.seed))
        body = rebuild(self.legos(), wiring, self.in_shape, **self.options)
        with torch.no_grad():
            maps = body.eval()(torch.zeros(2, *self.in_shape))
        return trace(self._headed(body, maps.shape[1]).train())

    def _headed(self, body: nn.Module, channels: int) -> Classifier:
        start = self._start()
        top = head(self.config.head, channels, self.classes)
        if self.options.get("residual"):  # what comes out of a stream has passed no ReLU
            top.insert(0, nn.ReLU())
        net = Classifier(body, top, start)
        with torch.no_grad():
            net.eval()(torch.zeros(2, *self.pixels_shape))
        with_dense(net.head, self.config)
        return net.train()

    def linear(self, channels: int) -> nn.Module:
        """Build a linear layer on a backbone's pooled last map, from the run's seed."""
        torch.manual_seed(reduce_seed(self.config.seed))
        return trace(Classifier(nn.Identity(), LinearHead(channels, self.classes), self._start()).train())

    def _start(self) -> Start | Backbone | None:
        if self.encoder is not None:
            return Start(self.encoder, self.config.start_at, frozen=self.config.start_frozen)
        return copy.deepcopy(self.backbone)


def _encoder(config: FitConfig, in_shape: Sequence[int]) -> Autoencoder | None:
    """The autoencoder to start from, where there is one."""
    if config.start_from is None:
        return None
    encoder = read_autoencoder(config.start_from)
    check_start(encoder, in_shape, config.start_from)
    return encoder


def _preset(config: FitConfig, legos: Legos | None) -> Preset:
    if config.legos is not None:
        return Preset(_function(config.legos, legos), {"merge": "sum", "gate_init": (0.95, 0.27)})
    chosen = preset(config.stack)
    if config.width is not None:
        make = {"separable": separable, "mix": mix_legos, "deep": deep_legos, "maps": map_legos}[config.stack]
        return Preset(partial(make, width=config.width), chosen.options)
    return chosen


def _function(where: str, given: Legos | None) -> Callable[[Sequence[int]], list[nn.Module]]:
    """The function that was given, or is named FILE.py:function; the file is run, as it is the user's own."""
    if given is None and where == MEMORY:
        raise ConfigError("legos were a function in memory: give it again, as plexus.load(RUN, legos=FUNCTION)")
    function = given or user_function(where, "plexus_user_legos", label=f"legos={where!r}")

    def legos(in_shape: Sequence[int]) -> list[nn.Module]:
        modules = function(in_shape) if given is None else _called(given, in_shape)
        if not isinstance(modules, list | tuple | nn.ModuleList) or not all(isinstance(m, nn.Module) for m in modules):
            raise ConfigError(
                f"legos={where!r}: {where.rpartition(':')[2]} must return a list of torch modules, "
                f"got {type(modules).__name__}"
            )
        return list(modules)

    return legos


def _called(function: Legos, in_shape: Sequence[int]) -> Sequence[nn.Module]:
    """The legos of a function in memory; whatever it raises is told in one line."""
    try:
        return function(in_shape)
    except PlexusError:
        raise
    except Exception as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise ConfigError(f"legos: {name}{tuple(in_shape)} raised {type(error).__name__}: {error}") from error


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
    """Return a sized head with its linear layers turned into the config's neuron, in place."""
    if config.dense != "plain":
        convert(head, DENSE[config.dense])
    return head


def neuron(layer: nn.Module) -> str:
    """Return the name of a layer's neuron, as the config has it.

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
    """Return the neurons of a net in a few words: "rot8 in 1 of 9 convolutions"; nothing for a plain net."""
    convs = [neuron(m) for m in net.modules() if isinstance(m, _CONVS)]
    dense = [neuron(m) for m in net.modules() if isinstance(m, nn.Linear)]
    return ", ".join(
        f"{kind} in {kinds.count(kind)} of {len(kinds)} {what}"
        for kinds, what in ((convs, "convolutions"), (dense, "dense layers"))
        for kind in dict.fromkeys(kinds)
        if kind != "plain"
    )


def describe(lego: nn.Module) -> str:
    """Return a lego in a few words: "rot8 conv 3x3, 16 maps, pool"."""
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
