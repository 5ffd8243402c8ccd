"""A learned net in front of another one, which reads its feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.user_code import first_line


class Backbone(nn.Module):
    r"""Pixels to the feature maps of a net, brought to the size of the smallest and set side by side.

    .. math:: y = \mathrm{cat}_k \, A_k \, f_k(x)

    with f the net's maps and A the mean over the cells under each cell of the smallest map. A backbone that does not
    learn stays as it is, whatever mode it is set to: its batch norms and dropouts as in evaluation.

    Args:
        net: takes pixels 0..255, (N, C, H, W), and gives one map (N, C, h, w), a list or dict of maps, or features
            (N, C), which count as a map of one pixel. It is kept, not copied.
        in_shape: one image's, (C, H, W); grey images are given to a net of colour ones three times.
        learns: with what follows it; its maps are then normalised by their running statistics.

    Attributes:
        shapes: of the maps, (C, h, w), in the net's order; the last one is what its own classifier would pool.
        out_shape: (C, h, w) of the result.

    Shape:
        (N, *in_shape), 0..255 -> (N, *out_shape)

    Raises:
        ConfigError: the net does not take such images, or gives something else.

    Source: adaptive average pooling as in torch; frozen features with layers on top as everywhere.

    Example:
        >>> front = Backbone(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()), (3, 16, 16))
        >>> front.out_shape, front(torch.zeros(2, 3, 16, 16)).shape
        ((8, 8, 8), torch.Size([2, 8, 8, 8]))
    """

    def __init__(self, net: nn.Module, in_shape: Sequence[int], *, learns: bool = False) -> None:
        super().__init__()
        self.net, self.in_shape, self.learns = net.eval(), tuple(in_shape), learns
        self.spread = 1
        maps = self._tried(torch.zeros(2, *in_shape))
        self.keys = list(maps)
        self.shapes = [tuple(y.shape[1:]) if y.dim() == 4 else (y.shape[1], 1, 1) for y in maps.values()]
        self.single = self.keys == [None]
        self.flat = [y.dim() == 2 for y in maps.values()]
        size = min(shape[1] for shape in self.shapes), min(shape[2] for shape in self.shapes)
        self.fits = nn.ModuleList(_fit(shape[1:], size) for shape in self.shapes)
        self.out_shape = (sum(shape[0] for shape in self.shapes), *size)
        self.scale = nn.BatchNorm2d(self.out_shape[0], affine=False) if learns else None
        if not learns:
            self.requires_grad_(False)
        self.train(learns)

    def forward(self, pixels: Tensor) -> Tensor:
        given: Any = self.net(pixels.expand(-1, self.spread, -1, -1) if self.spread > 1 else pixels)
        parts = []
        for key, flat, fit in zip(self.keys, self.flat, self.fits, strict=True):
            maps = given if self.single else given[key]
            parts.append(fit(maps[:, :, None, None] if flat else maps))
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        return joined if self.scale is None else self.scale(joined)

    def train(self, mode: bool = True) -> Backbone:
        """Set the mode, of a backbone that learns; else it stays in evaluation mode."""
        super().train(mode and self.learns)
        return self

    @property
    def words(self) -> str:
        """The maps in a few words."""
        return ", ".join(f"{c} of {h}x{w}" for c, h, w in self.shapes)

    @torch.no_grad()
    def _tried(self, pixels: Tensor) -> dict[Any, Tensor]:
        """Give the maps of blank images by their places in what the net gives."""
        try:
            given = self.net(pixels)
        except Exception as error:  # whatever a user's net raises
            if pixels.shape[1] != 1:
                raise ConfigError(f"cannot take images {self.in_shape}: {first_line(error)}") from None
            self.spread = 3
            try:
                given = self.net(pixels.expand(-1, 3, -1, -1))
            except Exception as error:
                raise ConfigError(f"cannot take images {self.in_shape}: {first_line(error)}") from None
        maps: dict[Any, Any] = {None: given}
        if isinstance(given, dict):
            maps = dict(given)
        elif isinstance(given, list | tuple):
            maps = dict(enumerate(given))
        for y in maps.values():
            if not isinstance(y, Tensor) or y.dim() not in (2, 4) or len(y) != len(pixels) or min(y.shape) < 1:
                got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
                raise ConfigError(f"must give maps (N, C, h, w), or a list of them, and gave {got}")
        if not maps:
            raise ConfigError("must give maps (N, C, h, w), or a list of them, and gave none")
        return maps


class Area(nn.Module):
    """Means over the cells under each cell of a smaller map, as adaptive average pooling, as two matrix products.

    ONNX has no adaptive pooling to sizes that do not divide.

    Args:
        size: rows and columns that come in.
        to: that go out.

    Shape:
        (N, C, *size) -> (N, C, *to)

    Example:
        >>> x = torch.rand(1, 2, 7, 5)
        >>> torch.allclose(Area((7, 5), (4, 2))(x), nn.AdaptiveAvgPool2d((4, 2))(x))
        True
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, size: Sequence[int], to: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("rows", _means(size[0], to[0]))
        self.register_buffer("columns", _means(size[1], to[1]).T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(torch.matmul(self.rows, x), self.columns)


class LinearHead(nn.Module):
    """A linear layer on the mean of the last maps of a backbone: what its features are worth by themselves.

    Args:
        channels: of the last map.
        classes: logits that go out.

    Shape:
        (N, C, h, w) -> (N, classes); of the C channels the last ones are read.

    Example:
        >>> LinearHead(4, 3)(torch.zeros(2, 10, 5, 5)).shape
        torch.Size([2, 3])
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels, self.line = channels, nn.Linear(channels, classes)

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.line(maps[:, -self.channels :].mean((2, 3)))
        return logits


def _fit(size: Sequence[int], to: Sequence[int]) -> nn.Module:
    if tuple(size) == tuple(to):
        return nn.Identity()
    if any(here % wanted for here, wanted in zip(size, to, strict=True)):
        return Area(size, to)
    return nn.AvgPool2d((size[0] // to[0], size[1] // to[1]))


def _means(size: int, to: int) -> Tensor:
    """The matrix (to, size) of adaptive average pooling along one side."""
    matrix = torch.zeros(to, size)
    for i in range(to):
        first, last = i * size // to, -(-(i + 1) * size // to)
        matrix[i, first:last] = 1 / (last - first)
    return matrix
