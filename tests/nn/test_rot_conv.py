"""Rotation neurons stand for plain convolutions, whatever their reduction."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.nn import RotConv2d
from tests.contract_drop_in import check_drop_in

IMAGES = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("reduce", "rotations", "times", "own"),
    [
        ("max", 8, 1, []),
        ("max", 4, 1, []),
        ("concat", 4, 4, []),
        ("squeeze", 4, 1, ["squeeze.weight"]),
        ("continuous", 8, 1, []),
    ],
)
def test_it_stands_for_a_plain_layer(reduce: Any, rotations: int, times: int, own: list[str]) -> None:
    def make() -> nn.Module:
        return RotConv2d(2, 3, 3, padding=1, rotations=rotations, reduce=reduce)

    torch.manual_seed(0)
    check_drop_in(make, lambda: nn.Conv2d(2, 3, 3, padding=1), IMAGES, times=times, own=own)


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="rotations=6: expected 4 or 8"):
        RotConv2d(1, 2, 3, rotations=6)
    with pytest.raises(ConfigError, match="reduce='mean': expected one of max"):
        RotConv2d(1, 2, 3, reduce="mean")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"kernel_size=\(2, 2\): only square kernels of odd size"):
        RotConv2d(1, 2, 2)
    with pytest.raises(ConfigError, match=r"expected \(N, 2, H, W\) or \(2, H, W\), got \(3, 5, 6, 6\)"):
        RotConv2d(2, 3, 3)(torch.zeros(3, 5, 6, 6))
