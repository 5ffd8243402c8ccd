"""A body that makes maps and a head that makes logits."""

from __future__ import annotations

from torch import Tensor, nn

from plexus.errors import ConfigError

_POOL = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


class Classifier(nn.Module):
    """A body that makes maps, and a head that makes logits of them: head(body(start(x))).

    Args:
        body: a `Supernet`, a chain, or any module giving (N, C, *spatial).
        head: a module giving (N, classes) from it.
        start: stands before the body, as a `Start` from an encoder's Z; none for a body that reads pixels.

    Example:
        >>> Classifier(nn.Conv2d(1, 4, 3), head("gap", 4, 10))(__import__("torch").ones(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, body: nn.Module, head: nn.Module, start: nn.Module | None = None) -> None:
        super().__init__()
        self.start, self.body, self.head = start, body, head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x if self.start is None else self.start(x)))


def head(kind: str, channels: int, classes: int, *, axes: int = 2) -> nn.Sequential:
    """The end of a classifier.

    Args:
        kind: `gap` (global average pooling, then one linear layer) or `flatten512` (the notes': flatten, 512 ReLU
            units, dropout .5, one linear layer; sized at its first call).
        channels: maps that come in, for `gap`.
        classes: logits that go out.
        axes: spatial axes of the maps.

    Raises:
        ConfigError: an unknown kind.

    Example:
        >>> head("gap", 16, 10)
        Sequential(
          (0): AdaptiveAvgPool2d(output_size=1)
          (1): Flatten(start_dim=1, end_dim=-1)
          (2): Linear(in_features=16, out_features=10, bias=True)
        )
    """
    if kind == "gap":
        return nn.Sequential(_POOL[axes](1), nn.Flatten(), nn.Linear(channels, classes))
    if kind == "flatten512":
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, classes))
    raise ConfigError(f"head={kind!r} is unknown; choose gap or flatten512")
