"""Gates are folded into the kernels of every neuron, in the supernet's forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from plexus.nn import NEURONS, Supernet, convert
from plexus.nn.scaling import Scaled, run_scaled
from tests.nn.nets import assert_like_naive, images, legos


@pytest.mark.parametrize("kind", ["rot8", "unit", "spherical"])
@pytest.mark.parametrize("merge", ["concat", "sum", "squeeze"])
def test_a_supernet_of_neurons_is_like_the_plain_port(kind: str, merge: str) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"merge": merge, "activation": "none" if merge == "concat" else "sigmoid"}
    net = Supernet(legos(2, widths=(4, 6, 4, 5)), (3, 8, 8), **options)
    convert(net.legos, NEURONS[kind], only=lambda _, layer: bool(layer.groups == 1))  # type: ignore[arg-type]
    assert_like_naive(net, images(net))


@pytest.mark.parametrize("kind", list(NEURONS))
def test_a_factor_goes_into_the_kernel(kind: str) -> None:
    """No factor is multiplied into the maps: the neuron is called with them as they are, and owes nothing."""
    torch.manual_seed(0)
    layer = NEURONS[kind](3, 5, 3, padding=1).double()
    x, scale = torch.randn(2, 3, 6, 6, dtype=torch.double), torch.tensor([0.5, -2.0, 0.0], dtype=torch.double)
    out = run_scaled(layer, Scaled(x, scale), positive=False)
    assert out.scale is None
    torch.testing.assert_close(out.x, layer(x * scale.view(1, 3, 1, 1)))
    seen: list[torch.Tensor] = []
    layer.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    torch.testing.assert_close(run_scaled(layer, Scaled(x, scale), positive=False).x, out.x)
    torch.testing.assert_close(seen[0], x * scale.view(1, 3, 1, 1))  # who watches sees what the layer would read


def test_groups_take_no_factor() -> None:
    layer = NEURONS["unit"](4, 4, 3, groups=2)
    x, scale = torch.randn(2, 4, 6, 6), torch.rand(4)
    out = run_scaled(nn.Sequential(layer), Scaled(x, scale), positive=True)
    torch.testing.assert_close(out.x, layer(x * scale.view(1, 4, 1, 1)))
