"""Rotation-max convolutions on a GPU: from the operator's tensors to those that Triton's kernels work on."""

from __future__ import annotations

from torch import Tensor

from plexus.nn.kernels._taps import answers, check, dense, gradients, last, numbers


def forward(
    x: Tensor, weight: Tensor, bias: Tensor, rotations: int, stride: list[int], padding: list[int], dilation: list[int]
) -> tuple[Tensor, Tensor]:
    """What the operator gives; the winners are (N, H', W', O) here."""
    from plexus.nn.kernels import _rotate_triton as loops

    check(x, weight, bias, rotations, stride, padding, dilation)
    y, winner = answers(dense(x), weight, stride, padding, dilation)
    if y.numel():
        given = numbers(x, y, stride, padding, dilation)
        out = last(y)
        loops.forward(last(x), weight, bias, rotations, (*given[1:3], *given[4:]), out, winner)
        if out.data_ptr() != y.data_ptr():
            y.copy_(out.permute(0, 3, 1, 2))
    return y, winner


def backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    winner: Tensor,
    rotations: int,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    need_x: bool,
    need_weight: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of x and weight; the one that is not needed is empty."""
    from plexus.nn.kernels import _rotate_triton as loops

    gx, gw = gradients(dense(x), weight, need_x, need_weight)
    if not (grad.numel() and x.numel()):
        return gx.zero_(), gw.zero_()
    shape = numbers(x, grad, stride, padding, dilation)
    given = (last(grad), winner, last(x), weight, rotations, (*shape[1:3], *shape[4:]))
    grad_x, grad_w = loops.backward(*given, need_x=need_x, need_weight=need_weight)
    if grad_x is not None:
        gx.copy_(grad_x.permute(0, 3, 1, 2))
    if grad_w is not None:
        gw.copy_(grad_w)
    return gx, gw
