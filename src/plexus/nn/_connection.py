"""A connection: brings several sources to one size, weighs each by a gate, and merges them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn

from plexus.errors import ConfigError, short
from plexus.nn import functional as PF

_CHOICES = {
    "merge": ("concat", "sum", "max", "squeeze", "mix"),
    "gate": ("scalar", "channel"),
    "size": ("smallest", "largest"),
    "resize": ("area", "nearest", "bilinear", "bicubic"),
    "activation": ("sigmoid", "none"),
    "project": ("pad", "conv"),
}


class Connection(nn.Module):
    """Merge the outputs of several layers, each multiplied by a learned gate.

    y = merge_k(g_k * fit(x_k)),  g = sigmoid(w) * mask

    where `fit` brings every source to one spatial size. `mask` is a buffer of ones; setting an entry to 0 cuts that
    source, exactly as a gate of 0 would. `mix` weighs every map for every map instead,

    y = (w * mask) cat_k(fit(x_k)),  w of shape (M, C), signed,

    with one entry of the mask, (M / share, C), for a source map and a group of `share` neighbouring maps of the result.

    Args:
        channels: of each source, in order.
        merge: `concat` | `sum` | `max` (both elementwise; missing channels count as zero or are projected) | `squeeze`
            (concat, then a 1x1 convolution without bias to `squeeze_to` channels) | `mix` (the weights are the edges;
            there are no gates, and so none of their options).
        gate: one per source (`scalar`) or one per channel (`channel`).
        size: resample all to the `smallest` source, or zero-pad all to the `largest`, centred; axis by axis.
        resize: `area` | `nearest` | `bilinear` | `bicubic` (2-D only), for `smallest`.
        init: the value of w before the sigmoid; or `gaussian` (mean .5, std .1); or `chain` (last source 1,
            others .5).
        gate_init: the gate's own start value in (0, 1), or a pair (last source, all others); overrides `init`.
        activation: `sigmoid`, or `none` for g = w.
        project: for sum and max, how sources with fewer channels reach the widest: zero `pad`, or a 1x1 `conv`
            without bias.
        squeeze_to: channels that `squeeze` leaves; by default as many as the last source has.
        mix_to: M, the channels that `mix` makes; by default as many as the last source has.
        share: how many neighbouring channels of a mix are cut from a source map together; divides M. None for all of
            them: then a map is read for the whole result or not at all.
        generator: for `gaussian`, and for a mix, which starts N(0, 2 / C).

    Attributes:
        weight: w, of shape (sources,), (sum of channels,) or (M, sum of channels).
        first: of a mix, the first column of `weight` that is within reach; those before it are cut for good.
        out_channels: channels of the result.

    Shape:
        Sources (N, C_k, *spatial_k), one to three spatial axes, any sizes; result (N, out_channels, *spatial).

    Raises:
        ConfigError: an option out of range, or sources that do not fit `channels`.

    Source: the learned-connectivity notes of 2016; gates as in the forget gate of an LSTM.

    Example:
        >>> join = Connection([3, 8], merge="concat", gate_init=0.25)
        >>> join([torch.ones(1, 3, 8, 8), torch.ones(1, 8, 4, 4)]).shape
        torch.Size([1, 11, 4, 4])
        >>> join.gates()
        tensor([0.2500, 0.2500], grad_fn=<MulBackward0>)
    """

    mask: Tensor

    def __init__(
        self,
        channels: Sequence[int],
        *,
        merge: Literal["concat", "sum", "max", "squeeze", "mix"] = "concat",
        gate: Literal["scalar", "channel"] = "scalar",
        size: Literal["smallest", "largest"] = "smallest",
        resize: Literal["area", "nearest", "bilinear", "bicubic"] = "area",
        init: float | str = 0.5,
        gate_init: float | Sequence[float] | None = None,
        activation: Literal["sigmoid", "none"] = "sigmoid",
        project: Literal["pad", "conv"] = "pad",
        squeeze_to: int | None = None,
        mix_to: int | None = None,
        share: int | None = 8,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in zip(_CHOICES, (merge, gate, size, resize, activation, project), strict=True):
            if not isinstance(value, str) or value not in _CHOICES[name]:
                raise ConfigError(
                    f"Connection: {name}={short(value)} is unknown; choose from {', '.join(_CHOICES[name])}"
                )
        self.channels = tuple(int(c) for c in channels)
        if not self.channels or min(self.channels) < 1:
            raise ConfigError(
                f"Connection: channels={list(channels)} must list at least one source, each with 1 channel or more"
            )
        if squeeze_to is not None and (merge != "squeeze" or squeeze_to < 1):
            raise ConfigError(f'Connection: squeeze_to={squeeze_to} needs merge="squeeze" and at least 1 channel')
        if mix_to is not None and merge != "mix":
            raise ConfigError(f'Connection: mix_to={mix_to} needs merge="mix"')
        self.merge, self.gate, self.size, self.resize = merge, gate, size, resize
        self.activation, self.project = activation, project
        mixed = self.channels[-1] if mix_to is None else mix_to
        self.share = mixed if share is None else share
        total, widest = sum(self.channels), max(self.channels)
        if merge == "mix":
            if gate != "scalar" or init != 0.5 or gate_init is not None:
                raise ConfigError('Connection: merge="mix" has no gates; leave out gate, init and gate_init')
            self.activation = "none"
            start, mask = _mix_start(mixed, total, self.share, generator)
        else:
            counts = self.channels if gate == "channel" else [1] * len(self.channels)
            start = _start(counts, init, gate_init, activation, generator)
            mask = torch.ones_like(start)
        self.weight, self.first = nn.Parameter(start), 0
        self.register_buffer("mask", mask)
        widths = {"concat": total, "squeeze": squeeze_to or self.channels[-1], "mix": len(start)}
        self.out_channels = widths.get(merge, widest)
        # 1x1 convolutions are kept as linear layers: one kernel (M, C) serves feature maps of one to three axes
        self.squeeze = nn.Linear(total, self.out_channels, bias=False) if merge == "squeeze" else None
        needs = merge in ("sum", "max") and project == "conv"
        self.projections = nn.ModuleList(
            nn.Linear(c, widest, bias=False) if needs and c != widest else nn.Identity() for c in self.channels
        )

    @torch.no_grad()
    def uncut(self) -> None:
        """Bring back all that was cut, in place, but for what is out of reach."""
        self.mask.fill_(1)
        self.mask[..., : self.first] = 0

    def gates(self) -> Tensor:
        """Return the gates g, shaped like `weight`; of a mix the weights that are not cut."""
        if self.merge == "mix":
            return self.weight * self.mask.repeat_interleave(self.share, 0)
        return (torch.sigmoid(self.weight) if self.activation == "sigmoid" else self.weight) * self.mask

    def split_gates(self) -> tuple[Tensor, ...]:
        """Return the gates by source: shape () each, or (C_k,) each, or (M, C_k) of a mix."""
        gates = self.gates()
        if self.merge == "mix":
            return gates.split(self.channels, 1)
        return gates.unbind() if self.gate == "scalar" else gates.split(self.channels)

    def entries(self, k: int) -> slice | tuple[slice, slice]:
        """Return the place of source k's gates in `weight`, `mask` and `gates()`."""
        if self.merge == "mix":
            return slice(None), self.maps(k)
        return slice(k, k + 1) if self.gate == "scalar" else self.maps(k)

    def reached(self) -> list[int]:
        """Return the sources that are within reach."""
        return [k for k in range(len(self.channels)) if self.maps(k).start >= self.first]

    def maps(self, k: int) -> slice:
        """Return the place of source k's channels in the concatenation of all."""
        first = sum(self.channels[:k])
        return slice(first, first + self.channels[k])

    def target_size(self, sizes: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """Return the spatial size that sources of these sizes are brought to."""
        return tuple((min if self.size == "smallest" else max)(axis) for axis in zip(*sizes, strict=True))

    def fit(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Resample or pad one source to `size`."""
        halves = [2 * n for n in size] == list(x.shape[2:]) and len(size) == 2
        if self.merge == "mix" and halves and (self.size, self.resize) == ("smallest", "area"):
            return PF.mean_halved(x)  # the same up to rounding, and several times faster where maps are channels first
        return PF.resize(x, size, self.resize) if self.size == "smallest" else PF.pad_to(x, size)

    def forward(self, sources: Sequence[Tensor]) -> Tensor:
        self._check(sources)
        size = self.target_size([x.shape[2:] for x in sources])
        fitted = [self.fit(x, size) for x in sources]
        return self.mixed(fitted) if self.merge == "mix" else self.join(fitted, self.split_gates())

    def mixed(self, fitted: Sequence[Tensor], bank: PF.MixBank | None = None) -> Tensor:
        """Merge sources of one size by the weights of `mix`; `bank` is that of other connections that read them."""
        return PF.mix(fitted, self.weight, self.mask, bank)

    def join(self, fitted: Sequence[Tensor], gates: Sequence[Tensor]) -> Tensor:
        """Merge sources of one size: y = merge_k(g_k * x_k); not for `mix`."""
        if self.merge in ("sum", "max"):
            fitted, gates = self._projected(fitted, gates)
            if self.merge == "sum":
                return PF.weighted_sum(fitted, gates)
            return reduce(
                torch.maximum,
                (PF.pad_channels(x * PF.per_map(g, x), self.out_channels) for x, g in zip(fitted, gates, strict=True)),
            )
        scale = self.expand(gates)
        return (
            PF.weighted_cat(fitted, scale) if self.squeeze is None else self.squeezed(torch.cat(list(fitted), 1), scale)
        )

    def _projected(self, fitted: Sequence[Tensor], gates: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Send sources through their 1x1 convolutions, and return the gates that are still to be applied.

        A gate per channel belongs to the channels before the convolution, so it goes into the kernel; a gate per source
        may wait for the sum.
        """
        projected, left = [], []
        for x, gate, project in zip(fitted, gates, self.projections, strict=True):
            if isinstance(project, nn.Linear):
                kernel = project.weight * gate if gate.dim() else project.weight
                x, gate = PF.pointwise(x, kernel), gate.new_ones(()) if gate.dim() else gate
            projected.append(x)
            left.append(gate)
        return projected, left

    def expand(self, gates: Sequence[Tensor]) -> Tensor:
        """Return the gates as one factor per channel of the concatenation, (sum of channels,)."""
        return torch.cat([g.expand(c) for g, c in zip(gates, self.channels, strict=True)])

    def squeezed(self, joined: Tensor, scale: Tensor) -> Tensor:
        """Apply the 1x1 convolution of `squeeze`, with a factor per input channel folded into its kernel."""
        assert self.squeeze is not None
        return PF.pointwise(joined, self.squeeze.weight * scale)

    def _check(self, sources: Sequence[Tensor]) -> None:
        got = [x.shape[1] if 3 <= x.dim() <= 5 else tuple(x.shape) for x in sources]
        if tuple(got) != self.channels:
            raise ConfigError(
                f"Connection: expected sources of {list(self.channels)} channels, (N, C, *spatial) each, got {got}"
            )
        first = sources[0]
        if any(x.dim() != first.dim() or x.shape[0] != first.shape[0] for x in sources):
            shapes = [tuple(x.shape) for x in sources]
            raise ConfigError(f"Connection: sources must agree in batch size and number of axes, got {shapes}")

    def extra_repr(self) -> str:
        kind = f"share={self.share}" if self.merge == "mix" else f"gate={self.gate}"
        return f"{list(self.channels)} -> {self.out_channels}, merge={self.merge}, {kind}, size={self.size}"


def _start(
    counts: Sequence[int],
    init: float | str,
    gate_init: float | Sequence[float] | None,
    activation: str,
    generator: torch.Generator | None,
) -> Tensor:
    """Return w at the start, `counts` of them for each source."""
    *others, last = counts
    if gate_init is not None:
        pair = [gate_init, gate_init] if isinstance(gate_init, int | float) else list(gate_init)
        if len(pair) != 2 or not all(isinstance(g, int | float) and 0 < g < 1 for g in pair):
            raise ConfigError(
                f"Connection: gate_init={gate_init!r} must be a gate value in (0, 1), or two: (last source, all others)"
            )
        gates = torch.tensor([pair[1]] * sum(others) + [pair[0]] * last, dtype=torch.float32)
        return gates if activation == "none" else torch.logit(gates)
    if init == "gaussian":
        return 0.5 + 0.1 * torch.randn(sum(counts), generator=generator)
    if init == "chain":
        return torch.tensor([0.5] * sum(others) + [1.0] * last)
    if not isinstance(init, int | float) or not math.isfinite(init):
        raise ConfigError(f"Connection: init={init!r} is unknown; give a finite number, 'gaussian' or 'chain'")
    return torch.full((sum(counts),), float(init))


def _mix_start(outputs: int, inputs: int, share: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return w and the mask of a mix at the start: He's normal weights, with nothing cut."""
    if outputs < 1 or share < 1 or outputs % share:
        raise ConfigError(
            f"Connection: share={share} must divide the {outputs} channels of the mix; choose another share or mix_to"
        )
    weight = torch.randn(outputs, inputs, generator=generator) * math.sqrt(2 / inputs)
    return weight, torch.ones(outputs // share, inputs)
