"""What every layer promises that stands for one of torch's."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from tests.contract import check_layer

Make = Callable[[], nn.Module]


def check_drop_in(
    make: Make,
    plain: Make,
    x: Tensor,
    *,
    times: int = 1,
    own: Collection[str] = (),
    rounding: float = 0.0,
    zero: bool = True,
) -> None:
    """A layer can be put where one of torch's was: in training, in files, in mixed precision, compiled and exported.

    Args:
        make: builds the layer anew, with other weights each time.
        plain: builds the layer of torch that it stands for.
        x: float32 inputs, (N, C, H, W) or (N, features), two or more.
        times: how many times the maps of the plain layer it gives.
        own: keys of its state that the plain layer lacks.
        rounding: by how much outputs may differ once the state went through a file or another layer.
        zero: whether a filter of zeros answers zero.
    """
    few = x[:2, ..., :4, :4] if x.dim() == 4 else x[:2]
    check_layer(make, lambda dtype: [few.to(dtype)], rounding=rounding)
    _check_shapes(make(), plain(), x, times)
    _check_state(make, plain, x, set(own), rounding)
    _check_half(make(), plain(), x)
    _check_zero_filter(make(), x, zero)
    _check_layout(make(), plain(), x)
    _check_compiled(make(), x)
    _check_exported(make().eval(), x)


def _check_shapes(layer: nn.Module, plain: nn.Module, x: Tensor, times: int) -> None:
    """Any batch, one without images included, gets the plain layer's shape; images do not see each other."""
    shape = list(plain(x).shape)
    shape[1] *= times
    whole = layer(x)
    assert list(whole.shape) == shape
    torch.testing.assert_close(layer(x[:1]), whole[:1], rtol=1e-5, atol=1e-5)
    nothing = x[:0].clone().requires_grad_()
    out = layer(nothing)
    assert list(out.shape) == [0, *shape[1:]]
    out.sum().backward()
    assert nothing.grad is not None
    assert all(p.grad is None or not p.grad.any() for p in layer.parameters())


def _check_state(make: Make, plain: Make, x: Tensor, own: set[str], rounding: float) -> None:
    """Weights move both ways, and the keys are the same whatever the mode on either side."""
    layer, other, torchs = make(), make(), plain()
    assert set(layer.state_dict()) - set(torchs.state_dict()) == own
    missing, unexpected = layer.load_state_dict(torchs.state_dict(), strict=not own)
    assert set(missing) == own
    assert not unexpected
    if not own:
        other.load_state_dict(torchs.state_dict())
        assert torch.equal(layer(x), other(x))
    missing, unexpected = torchs.load_state_dict(layer.state_dict(), strict=not own)
    assert not missing
    assert set(unexpected) == own
    for trained, judged in ((layer.train(), other.eval()), (layer.eval(), other.train())):
        judged.load_state_dict(trained.state_dict())
        torch.testing.assert_close(judged(x), trained(x), rtol=0.0, atol=rounding)
    wrong = {key: value[:, :0] if key == "weight" else value for key, value in layer.state_dict().items()}
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        layer.load_state_dict(wrong)
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: .*"weight"'):
        layer.load_state_dict({key: value for key, value in layer.state_dict().items() if key != "weight"})


def _check_half(layer: nn.Module, plain: nn.Module, x: Tensor) -> None:
    """Mixed precision gives the plain layer's type and, to that type's rounding, the same answer."""
    expected = layer(x).detach()
    for dtype in (torch.bfloat16, torch.float16):
        layer.zero_grad()
        with torch.autocast("cpu", dtype):
            out, like = layer(x), plain(x)
            out.float().square().sum().backward()
        assert out.dtype == like.dtype == dtype
        torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.05 * float(expected.abs().max()))
        for parameter in layer.parameters():
            assert parameter.grad is not None
            assert parameter.grad.dtype == torch.float32
            assert torch.isfinite(parameter.grad).all()


def _check_zero_filter(layer: nn.Module, x: Tensor, zero: bool) -> None:
    state = layer.state_dict()
    for key in state:
        state[key] = torch.zeros_like(state[key])
    layer.load_state_dict(state)
    x = x.clone().requires_grad_()
    out = layer(x)
    assert torch.isfinite(out).all()
    assert not (zero and out.any())
    (out - 1).square().sum().backward()
    for tensor in (x, *layer.parameters()):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


def _check_layout(layer: nn.Module, plain: nn.Module, x: Tensor) -> None:
    """Maps in channels_last stay so, and mean the same."""
    if x.dim() != 4:
        return
    expected = layer(x)
    turned_too = copy.deepcopy(layer).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for turned in (layer, turned_too):
        out = turned(x.to(memory_format=torch.channels_last))
        assert out.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


def _check_compiled(layer: nn.Module, x: Tensor) -> None:
    """One graph, forward and backward; `aot_eager` traces as the default backend does, and compiles no C++."""
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    grads = []
    for run in (layer, compiled):
        layer.zero_grad()
        out = run(x)
        out.square().sum().backward()
        grads.append([out.detach(), *(p.grad for p in layer.parameters())])
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-4)


def _check_exported(layer: nn.Module, x: Tensor) -> None:
    """For any number of images, as a program and, from that, as ONNX."""
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("images")},))
    for given in (x, x[:2]):
        torch.testing.assert_close(program.module()(given), layer(given), rtol=1e-5, atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        onnx = torch.onnx.export(program, dynamo=True, verbose=False, input_names=["pixels"])
    assert onnx is not None
    session = onnxruntime.InferenceSession(onnx.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for given in (x, x[:1]):
        (got,) = session.run(None, {"pixels": given.numpy()})
        torch.testing.assert_close(torch.from_numpy(got), layer(given).detach(), rtol=0.0, atol=1e-5)
