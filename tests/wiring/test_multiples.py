"""Channels in whole vectors: rounding up keeps channels that nobody reads, and changes no result."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.models import Classifier, head, mix
from plexus.nn import Supernet
from plexus.training import keep_strongest
from plexus.wiring import derive


def cut() -> Any:
    torch.manual_seed(0)
    body = Supernet(mix((3, 16, 16), width=16), (3, 16, 16), merge="mix")
    for connection in body.connections:
        keep_strongest(connection, 2)
    return Classifier(body, head("gap", body.out_channels, 5)).eval()


def widths(net: nn.Module) -> list[int]:
    return [m.num_features for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


def test_every_lego_has_the_next_multiple_and_the_same_answer() -> None:
    net, x = cut(), torch.randn(2, 3, 16, 16)
    exact, rounded = derive(net, net.body.wiring()), derive(net, net.body.wiring(), multiple=8)
    assert any(width % 8 for width in widths(exact))
    assert all(width % 8 == 0 for width in widths(rounded))
    assert all(wide >= narrow for wide, narrow in zip(widths(rounded), widths(exact), strict=True))
    assert sum(widths(rounded)) < sum(lego[0].out_channels for lego in net.body.legos)
    assert torch.allclose(exact(x), rounded(x), atol=1e-6)
    assert torch.allclose(net(x), rounded(x), atol=1e-5)


def test_there_is_no_more_than_there_is() -> None:
    net = cut()
    assert set(widths(derive(net, net.body.wiring(), multiple=1000))) == {16, 32}
    with pytest.raises(ConfigError, match="multiple=0 must be 1 or more"):
        derive(net, net.body.wiring(), multiple=0)
