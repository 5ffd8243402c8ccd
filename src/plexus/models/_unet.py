"""U-Nets that say where the target is and whether it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.models._unet_parts import Skips, chosen_skips, modern, nerve, own_skips, strongest
from plexus.nn import functional as PF

PRESETS = ("modern", "nerve")
NEURONS = ("plain", "rot8", "rot4", "unit")


class Segmentation(NamedTuple):
    """Answer of a segmenter.

    Args:
        mask_logits: (N, 1, H, W); a pixel belongs to the target with probability sigmoid(logit).
        presence_logit: (N,); the image has a target at all with probability sigmoid(logit).

    Example:
        >>> answer = Segmentation(torch.zeros(2, 1, 8, 8), torch.zeros(2))
        >>> answer.presence_logit.sigmoid().tolist()
        [0.5, 0.5]
    """

    mask_logits: Tensor
    presence_logit: Tensor


class UNet(nn.Module):
    """U-Net with a second answer: the presence of anything to segment.

    Encoder level i has width * 2^(i-1) channels (modern: at most 16 * width) at 1 / 2^(i-1) of the size; every decoder
    level doubles the size of the one below and takes in the encoder's channels of its own size.

    `nerve` is the notes' network: two convolutions a level, the very first 7x7, the others 3x3; 2x2 convolutions of
    stride 2 instead of pooling; batch norm and ELU after each; dropout after every level; nearest upsampling and
    concatenation; presence by a convolution over the whole bottleneck, so that one image size is built in. `modern` has
    residual blocks with group norm and ReLU, adds what it brings up (1x1 convolution, bilinear) to the encoder's
    channels, and tells presence from the mean and the maximum of the bottleneck's, so that any image size will do.

    Args:
        in_channels: channels of the image.
        preset: modern | nerve.
        width: channels at full size.
        levels: sizes, the bottleneck included.
        neuron: the kind of the convolutions larger than 1x1: plain | rot8 | rot4 (2x2 ones stay plain) | unit.
        skips: `same` (the plain U-Net); `all`, where every decoder level sees every encoder level through learned
            gates; or a `Wiring` of such edges, to build just these with their gates. See `wiring` and `prune`.
        in_size: (H, W), multiples of 2^(levels-1); nerve needs it, modern does without.
        dropout: fraction of entries set to zero in training, after every level (nerve, .5 by default) or at the
            bottleneck (modern, .1 by default).
        stem: modern: 2 computes at half the size throughout, for at most a third of the time; the mask's logits are
            interpolated.

    Attributes:
        options: the arguments as they were understood, `skips` apart.

    Shape:
        (N, C, H, W) to (N, 1, H, W) and (N,); modern repeats the edge up to a multiple of stem * 2^(levels-1) and
        crops the mask.

    Raises:
        ConfigError: an option out of range, or images that do not fit.

    Source: Ronneberger et al. 2015; the notes' network for the ultrasound nerve challenge of 2016; residual blocks
    after He et al. 2016, group norm after Wu and He 2018.

    Example:
        >>> net = UNet(width=8, levels=3)
        >>> out = net(torch.zeros(2, 1, 37, 50))
        >>> out.mask_logits.shape, out.presence_logit.shape
        (torch.Size([2, 1, 37, 50]), torch.Size([2]))
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        preset: Literal["modern", "nerve"] = "modern",
        width: int = 32,
        levels: int = 5,
        neuron: Literal["plain", "rot8", "rot4", "unit"] = "plain",
        skips: str | Wiring = "same",
        in_size: Sequence[int] | None = None,
        dropout: float | None = None,
        stem: int = 1,
    ) -> None:
        super().__init__()
        _check_options(in_channels, preset, width, levels, neuron, dropout, stem)
        notes = preset == "nerve"
        dropout = (0.5 if notes else 0.1) if dropout is None else dropout
        self.in_size = _check_size(in_size, 2 ** (levels - 1)) if notes else None
        self.options: dict[str, Any] = {
            "in_channels": in_channels, "preset": preset, "width": width, "levels": levels, "neuron": neuron,
            "in_size": self.in_size, "dropout": dropout, "stem": stem,
        }  # fmt: skip
        self.multiple = stem * 2 ** (levels - 1)
        widths = [width * (2**i if notes else min(2**i, 16)) for i in range(levels)]
        if self.in_size is not None:
            parts = nerve(in_channels, widths, neuron, dropout, self.in_size)
        else:
            parts = modern(in_channels, widths, neuron, dropout, stem)
        self.encoder, self.bottleneck = nn.ModuleList(parts.encoder), parts.bottleneck
        self.up, self.decoder = nn.ModuleList(parts.up), nn.ModuleList(parts.decoder)
        self.mask, self.presence = parts.mask, parts.presence
        self.gated = skips != "same"
        edges = chosen_skips(skips, levels)
        self.skips = nn.ModuleDict()
        for i in range(levels - 1 if self.gated else 0):
            sources = [int(name.removeprefix("enc")) - 1 for name in edges.sources(f"dec{i + 1}")]
            if sources:
                self.skips[f"dec{i + 1}"] = Skips(sources, i, widths)

    def forward(self, x: Tensor) -> Segmentation:
        self._check(x)
        height, width = x.shape[2:]
        x = self._padded(x)
        size = x.shape[2:]
        encoded = []
        for level in self.encoder:
            x = level(x)
            encoded.append(x)
        x = self.bottleneck(x)
        presence = self.presence(x).flatten()
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](self._merge(i, self.up[i](x), encoded))
        logits = PF.resize(self.mask(x), size, "bilinear")
        return Segmentation(logits[..., :height, :width], presence)

    def _merge(self, i: int, raised: Tensor, encoded: Sequence[Tensor]) -> Tensor:
        """Merge what comes up with what the skips give: side by side in nerve, as a sum in modern."""
        name = f"dec{i + 1}"
        if not self.gated:
            skip = encoded[i]
        elif name in self.skips:
            skip = self.skips[name](encoded, raised.shape[2:])
        else:  # all its edges were pruned
            return raised if self.in_size is None else PF.pad_channels(raised, raised.shape[1] + encoded[i].shape[1])
        return raised + skip if self.in_size is None else torch.cat([raised, skip], 1)

    def _padded(self, x: Tensor) -> Tensor:
        lower, right = (-side % self.multiple for side in x.shape[2:])
        return F.pad(x, [0, right, 0, lower], mode="replicate") if lower or right else x

    def _check(self, x: Tensor) -> None:
        channels = self.options["in_channels"]
        if x.dim() != 4 or x.shape[1] != channels or min(x.shape[2:]) < 1:
            raise ConfigError(f"UNet: expected images (N, {channels}, H, W), got {tuple(x.shape)}")
        if self.in_size is not None and tuple(x.shape[2:]) != self.in_size:
            raise ConfigError(
                f"UNet: this nerve net is built for images of {self.in_size}, got {tuple(x.shape[2:])}; resize them"
            )

    def wiring(self) -> Wiring:
        """Return the encoder levels that each decoder level sees, with the gates as strengths; 1 for the plain U-Net's.

        Nodes: `enc1` (full size) to `encL` (the bottleneck), `dec(L-1)` to `dec1`. The way through all levels is no
        choice and so no edge.
        """
        own = own_skips(self.options["levels"])
        if not self.gated:
            return own
        return Wiring(own.nodes, [e for name, skips in self._skips().items() for e in skips.edges(name)])

    def _skips(self) -> dict[str, Skips]:
        return {name: skips for name, skips in self.skips.items() if isinstance(skips, Skips)}

    def prune(self, keep: float | int) -> UNet:
        """Make a smaller net with the strongest skips alone; it computes what this one does with the other gates at 0.

        Args:
            keep: the fraction of the edges to keep (float, 0.0 to 1.0, rounded down) or their count (int).

        Returns:
            A copy, in the same mode, dtype and place, whose gates can be trained on. `UNet(..., skips=copy.wiring())`
            builds the same again, for `load_state_dict`.

        Raises:
            ConfigError: a net without gates, or a number out of range.

        Example:
            >>> net = UNet(width=4, levels=3, skips="all")
            >>> [(e.source, e.target) for e in net.prune(2).wiring().edges]
            [('enc2', 'dec2'), ('enc1', 'dec1')]
        """
        if not self.gated:
            raise ConfigError('UNet.prune: this net has no gates; build it with skips="all"')
        kept = strongest(self.wiring(), keep)
        small = UNet(**self.options, skips=kept)
        state, all_of = self.state_dict(), self._skips()
        for name, skips in small._skips().items():
            rows = [all_of[name].sources.index(s) for s in skips.sources]
            for entry in ("weight", "mask"):
                state[f"skips.{name}.join.{entry}"] = state[f"skips.{name}.join.{entry}"][rows]
        like = next(self.parameters())
        small.to(like.device, like.dtype).load_state_dict({k: state[k] for k in small.state_dict()})
        return small.train(self.training)


def _check_options(
    in_channels: int, preset: str, width: int, levels: int, neuron: str, dropout: float | None, stem: int
) -> None:
    """Refuse options out of range by name."""
    for name, value, choices in (("preset", preset, PRESETS), ("neuron", neuron, NEURONS)):
        if value not in choices:
            raise ConfigError(f"UNet: {name}={value!r} is unknown; choose from {', '.join(choices)}")
    for name, number, least in (("in_channels", in_channels, 1), ("width", width, 1), ("levels", levels, 2)):
        if number < least:
            raise ConfigError(f"UNet: {name}={number} must be {least} or more")
    if dropout is not None and not 0 <= dropout < 1:
        raise ConfigError(f"UNet: dropout={dropout} must be a share, 0 or more and below 1")
    if stem not in ((1,) if preset == "nerve" else (1, 2)):
        raise ConfigError(f"UNet: stem={stem} is unknown; choose 1, or 2 with preset='modern'")


def _check_size(in_size: Sequence[int] | None, multiple: int) -> tuple[int, int]:
    """Return the size a nerve net is built for, as two integers."""
    if in_size is None or len(in_size) != 2 or any(side < 1 or side % multiple for side in in_size):
        got = None if in_size is None else tuple(in_size)
        raise ConfigError(f"UNet: preset='nerve' needs in_size=(H, W), multiples of {multiple}, got {got}")
    return int(in_size[0]), int(in_size[1])
