"""What every layer of plexus promises, in one check."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Inputs = Callable[[torch.dtype], Sequence[Tensor]]


def check_layer(
    make: Callable[[], nn.Module], inputs: Inputs, *, gradcheck: bool = True, rounding: float = 0.0
) -> None:
    """A layer keeps its dtype, its state and its independence, and its gradients are those of its formula.

    Layers that stand for one of torch's promise more: see `tests.contract_drop_in`, which asks for all of this too.

    Args:
        make: builds the layer anew; every call draws other weights.
        inputs: its positional arguments in a dtype.
        gradcheck: compare gradients with finite differences in float64; False for layers that cost too much.
        rounding: by how much outputs may differ once the state went through a file.
    """
    layer = make()
    _check_dtype(copy.deepcopy(layer), inputs)
    _check_state(layer.eval(), make().eval(), inputs, rounding)
    _check_copy(layer, inputs)
    if gradcheck:
        _check_gradients(make().double(), inputs(torch.float64))


def _check_dtype(layer: nn.Module, inputs: Inputs) -> None:
    for dtype in (torch.float32, torch.float64):
        out = layer.to(dtype)(*inputs(dtype))
        assert out.dtype == dtype
        assert torch.isfinite(out).all()
    for name, part in layer.named_modules():
        loose = [key for key, value in vars(part).items() if isinstance(value, Tensor)]
        assert not loose, f"{name or 'the layer'} holds tensors that are neither parameter nor buffer: {loose}"


def _check_state(layer: nn.Module, other: nn.Module, inputs: Inputs, rounding: float) -> None:
    keys = list(layer.state_dict())
    assert list(layer.train().state_dict()) == keys
    layer.eval()
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    given = inputs(torch.float32)
    torch.testing.assert_close(other(*given), layer(*given), rtol=0.0, atol=rounding)


def _check_copy(layer: nn.Module, inputs: Inputs) -> None:
    given = inputs(torch.float32)
    before, twin = layer(*given), copy.deepcopy(layer)
    assert torch.equal(twin(*given), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    assert torch.equal(layer(*given), before)


def _check_gradients(layer: nn.Module, given: Sequence[Tensor]) -> None:
    names = [name for name, parameter in layer.named_parameters() if parameter.requires_grad]
    values = [p.detach().clone().requires_grad_() for p in layer.parameters() if p.requires_grad]
    leaves = [x.clone().requires_grad_() for x in given]

    def run(*flat: Tensor) -> Tensor:
        parameters = dict(zip(names, flat[: len(names)], strict=True))
        return torch.func.functional_call(layer, parameters, tuple(flat[len(names) :]))

    assert torch.autograd.gradcheck(run, (*values, *leaves))
