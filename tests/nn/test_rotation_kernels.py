"""The fused operator gives what a bank of rotated kernels in float64 gives, outputs and gradients, on every route."""

from __future__ import annotations

import itertools
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from plexus.errors import ConfigError
from plexus.nn.functional import rot_conv2d
from plexus.nn.kernels import _rotate

# images, maps, kernels, height, width, stride, padding, dilation
SHAPES = [
    (2, 5, 7, 9, 9, [1, 1], [1, 1], [1, 1]),
    (3, 20, 33, 13, 21, [2, 1], [1, 0], [1, 2]),
    (1, 3, 16, 150, 100, [1, 1], [2, 2], [2, 2]),  # several bands
    (1, 16, 16, 120, 130, [3, 2], [0, 4], [1, 1]),
    (2, 35, 16, 3, 3, [1, 1], [0, 0], [1, 1]),  # one pixel
    (2, 5, 7, 3, 3, [1, 1], [1, 1], [1, 1]),  # scratch memory of one size
    (0, 4, 4, 8, 8, [1, 1], [1, 1], [1, 1]),
]


def reference(given: list[Tensor], rotations: int, options: tuple[list[int], ...]) -> Tensor:
    """Float64 takes the bank."""
    (x, w, b), (stride, padding, dilation) = given, options
    return rot_conv2d(x, w, b, rotations=rotations, stride=stride, padding=padding, dilation=dilation)


def tensors(shape: tuple[Any, ...], *, last: bool) -> tuple[Tensor, Tensor, Tensor]:
    images, maps, kernels, height, width, *_ = shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, maps, height, width, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    return x, torch.randn(kernels, maps, 3, 3, generator=generator), torch.randn(kernels, generator=generator)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("shape", "rotations", "last"), [(s, r, c) for s, (r, c) in itertools.product(SHAPES, [(8, False), (4, True)])]
)
def test_the_operator_is_the_best_of_the_bank(shape: tuple[Any, ...], rotations: int, last: bool, threads: int) -> None:
    x, w, b = (t.requires_grad_() for t in tensors(shape, last=last))
    options = shape[5:]
    y, _ = _rotate.rot_max_conv2d(x, w, b, rotations, *options)
    double = [t.detach().double().requires_grad_() for t in (x, w, b)]
    wanted = reference(double, rotations, options)
    assert y.shape == wanted.shape
    close(y, wanted)
    g = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(y, (x, w, b), g)
    for got, expected in zip(grads, torch.autograd.grad(wanted, double, g.double()), strict=True):
        close(got, expected)
    if last and x.numel():
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert grads[0].is_contiguous(memory_format=torch.channels_last)


def close(got: Tensor, wanted: Tensor) -> None:
    """Equal to a few units of float32's precision in the largest number."""
    largest = wanted.abs().max().item() if wanted.numel() else 0.0
    torch.testing.assert_close(got.double(), wanted.double(), rtol=0, atol=5e-6 * largest)


def test_only_what_needs_a_gradient_gets_one() -> None:
    x, w, b = tensors(SHAPES[0], last=False)
    for leaf in (x, w, b):
        leaf.requires_grad_()
        y, winner = _rotate.rot_max_conv2d(x, w, b, 8, [1, 1], [1, 1], [1, 1])
        (grad,) = torch.autograd.grad(y.sum(), leaf)
        assert grad.shape == leaf.shape
        assert not winner.requires_grad
        leaf.requires_grad_(False)


def test_torch_finds_the_operator_in_order() -> None:
    x, w, b = (t.requires_grad_() for t in tensors(SHAPES[0], last=False))
    torch.library.opcheck(_rotate.rot_max_conv2d, (x, w, b, 8, [1, 1], [1, 1], [1, 1]))


def test_the_decomposition_has_the_same_winners() -> None:
    x, w, b = tensors((2, 3, 20, 6, 7), last=False)
    options = (8, [1, 2], [1, 1], [1, 1])
    for mine, theirs in zip(
        _rotate.rot_max_conv2d(x, w, b, *options), _rotate._decomposed(x, w, b, *options), strict=True
    ):
        assert mine.shape == theirs.shape
    won, decomposed = _rotate.rot_max_conv2d(x, w, b, *options)[1], _rotate._decomposed(x, w, b, *options)[1]
    g = torch.randn(2, 20, 6, 4)
    grads = [
        _rotate.rot_max_conv2d_backward(g, x, w, each, *options, need_x=True, need_weight=True)
        for each in (won, decomposed)
    ]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(
    ("x", "weight", "bias", "match"),
    [
        (torch.zeros(1, 64, 8, 8), torch.zeros(4, 3, 3, 3), torch.zeros(4), "do not fit"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(4, 3, 1, 1), torch.zeros(4), "do not fit"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(4, 3, 3, 3), torch.zeros(3), r"bias of shape \(4,\)"),
        (torch.zeros(1, 3, 8, 8).half(), torch.zeros(4, 3, 3, 3).half(), torch.zeros(4).half(), "float32 on the CPU"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(4, 3, 3, 3).double(), torch.zeros(4), "one type"),
        (torch.zeros(1, 3, 2, 2), torch.zeros(4, 3, 3, 3), torch.zeros(4), "smaller than a 3x3 kernel"),
    ],
)
def test_the_operator_refuses_what_its_loops_must_not_see(x: Tensor, weight: Tensor, bias: Tensor, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        torch.ops.plexus.rot_max_conv2d(x, weight, bias, 8, [1, 1], [0, 0], [1, 1])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"stride": 0}, "stride"),
        ({"padding": -1}, "padding"),
        ({"dilation": 0}, "dilation"),
        ({"padding": "same", "stride": 2}, "'same' with stride 1"),
        ({"padding": "full"}, "padding='full'"),
    ],
)
def test_options_are_those_of_a_convolution(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        rot_conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(4, 3, 3, 3), **options)


def test_an_exported_net_runs_under_autocast() -> None:
    from plexus.nn import RotConv2d

    net, x = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), RotConv2d(8, 16, 3)).eval(), torch.randn(2, 3, 12, 12)
    program = torch.export.export(net, (x,)).module()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(program(x).float(), net(x).float(), rtol=0.05, atol=0.05)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own forward mode
def test_derivatives_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """functorch's, forward ones and second ones, as the bank has them."""
    x, w, b = tensors((2, 3, 4, 6, 6, [1, 1], [1, 1], [1, 1]), last=False)

    def f(x: Tensor) -> Tensor:
        return rot_conv2d(x, w, b, padding=1).square().sum()

    def second() -> Tensor:
        leaf = x.clone().requires_grad_()
        (g,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
        return torch.autograd.grad(g.square().sum(), leaf)[0]

    def all_kinds() -> list[Tensor]:
        forward = torch.func.jvp(f, (x,), (torch.ones_like(x),))[1]
        each = torch.func.vmap(torch.func.grad(lambda image: f(image.unsqueeze(0))))(x)
        return [forward, torch.func.grad(f)(x), each, second()]

    mine = all_kinds()
    monkeypatch.setenv("PLEXUS_ROT_BACKEND", "bank")
    for got, wanted in zip(mine, all_kinds(), strict=True):
        close(got, wanted)


def test_what_is_not_a_number_stays_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, _ = tensors((1, 2, 3, 6, 6, [1, 1], [1, 1], [1, 1]), last=False)
    x[0, 0, 2, 2] = torch.nan
    lost = rot_conv2d(x, w, padding=1).isnan()
    monkeypatch.setenv("PLEXUS_ROT_BACKEND", "bank")
    assert torch.equal(lost, rot_conv2d(x, w, padding=1).isnan())


def test_the_exported_program_holds_the_operator_and_decomposes() -> None:
    from plexus.nn import RotConv2d

    x, layer = torch.randn(2, 3, 8, 8), RotConv2d(3, 4, 3)
    program = torch.export.export(layer, (x,))
    assert "plexus.rot_max_conv2d" in program.graph_module.code
    torch.testing.assert_close(program.module()(x), layer(x))
    plain = program.run_decompositions({torch.ops.plexus.rot_max_conv2d.default: _rotate._decomposed})
    assert "plexus" not in plain.graph_module.code
    torch.testing.assert_close(plain.module()(x), layer(x), rtol=0, atol=1e-5)


def test_a_backend_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, _ = tensors(SHAPES[0], last=False)
    monkeypatch.setenv("PLEXUS_ROT_BACKEND", "bank")
    banked = rot_conv2d(x, w)
    monkeypatch.setenv("PLEXUS_ROT_BACKEND", "taps")
    torch.testing.assert_close(rot_conv2d(x, w), banked, rtol=0, atol=1e-5)
    with pytest.raises(ConfigError, match="PLEXUS_ROT_BACKEND='taps': only reduce='max'"):
        rot_conv2d(x, w, reduce="concat")
    monkeypatch.setenv("PLEXUS_ROT_BACKEND", "fast")
    with pytest.raises(ConfigError, match="PLEXUS_ROT_BACKEND='fast': expected one of auto, taps, bank"):
        rot_conv2d(x, w)


def test_triton_gives_the_same() -> None:
    """In Triton's interpreter where there is no GPU."""
    _rotate_triton = pytest.importorskip("plexus.nn.kernels._rotate_triton")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for rotations, shape, last in [
        (8, (2, 5, 7, 5, 6, [1, 1], [1, 1], [1, 1]), False),
        (4, (1, 4, 6, 7, 9, [2, 1], [1, 0], [1, 2]), True),
    ]:
        x, w, b = (t.to(device) for t in tensors(shape, last=last))
        options = shape[5:]
        double = [t.double().requires_grad_() for t in (x, w, b)]
        wanted = reference(double, rotations, options)
        y, winner = _rotate_triton.forward(x, w, b, rotations, *options)
        close(y, wanted)
        g = torch.randn_like(y)
        grads = _rotate_triton.backward(g, x, w, winner, rotations, *options, need_x=True, need_weight=True)
        for got, expected in zip(grads, torch.autograd.grad(wanted, double[:2], g.double()), strict=True):
            close(got, expected)


@pytest.mark.e2e
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names an x86 processor")
def test_narrow_vectors_give_the_same() -> None:
    """The loops as a processor without AVX-512 gets them; the decomposition counts winners as they do."""
    from plexus.nn.kernels._ir import LANES

    if LANES == 8:
        pytest.skip("vectors are as narrow here, in all other tests")
    code = (
        "import torch; from plexus.nn.functional import rot_conv2d; torch.manual_seed(0)\n"
        "from plexus.nn.kernels._rotate import rot_max_conv2d, rot_max_conv2d_backward, _decomposed\n"
        "p, q, o = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3), (8, [1, 1], [1, 1], [1, 1])\n"
        "wins = [f(p, q, torch.zeros(4), *o)[1] for f in (rot_max_conv2d, _decomposed)]\n"
        "gs = [rot_max_conv2d_backward(torch.ones(2, 4, 5, 5), p, q, v, *o, True, True)[0] for v in wins]\n"
        "assert (gs[0] - gs[1]).abs().max() < 1e-5\n"
        "x, w = torch.randn(2, 5, 9, 9), torch.randn(21, 5, 3, 3, requires_grad=True)\n"
        "d = w.detach().double().requires_grad_()\n"
        "a, b = rot_conv2d(x, w, padding=1), rot_conv2d(x.double(), d, padding=1)\n"
        "from plexus.nn.kernels._ir import LANES; assert LANES == 8\n"
        "a.square().sum().backward(); b.square().sum().backward()\n"
        "assert (a - b).abs().max() < 1e-4 and (w.grad - d.grad).abs().max() < 1e-2 * d.grad.abs().max()\n"
    )
    features = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+sse2"}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **features})
