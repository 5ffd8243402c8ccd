"""Strength of each connection, and of each map edge within it, by four measures."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring
from plexus.nn import Connection, Supernet, evaluating
from plexus.nn.functional import per_map
from plexus.nn.scaling import kernel_of
from plexus.wiring._inspect import connections, first_kernel, passed_to, split_head

METHODS = ("strength", "gate", "taylor", "ablation")
Batch = tuple[Tensor, Tensor]
Pair = tuple[str, str]
Measured = dict[Pair, tuple[float, Tensor]]
"""The strength of each edge, and of its map edges where the gates are of single maps."""


def importance(
    net: nn.Module,
    batches: Iterable[Batch] | None = None,
    method: Literal["strength", "gate", "taylor", "ablation"] = "strength",
    *,
    maps: bool = False,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Wiring:
    """Measure the strength of every edge of a net.

    - `gate`: |g|, averaged over channels for channel gates.
    - `strength`: what the edge can contribute, whatever scale it shares with its neighbours: |g| * ||W_slice|| (the
      Frobenius norm of the kernel slices the edge owns) for concat and squeeze; |g| * rms(x) for sum and max, where the
      kernel is shared but a source may be louder than another (rms over `batches`, 1 without them).
    - `taylor`: |g dL/dg|, the first-order change of the loss when the edge is cut, averaged over batches.
    - `ablation`: the rise of the loss when the edge is cut, measured; may be negative. One pass over the batches per
      edge.

    Where no convolution reads a concat directly, as before the head or a bare pooling lego, `strength` is |g| * rms(x),
    too. The net is measured in evaluation mode and left as it was.

    For `mix` nets the wiring has map edges, and for concat and squeeze with `maps=True`; the strength of a map edge is

    - `gate`: |g| of its map (of a gate for all maps, that); of a mix the root mean square of the weights that are cut
      together;
    - `strength`: |g| times the norm of the kernel column that reads the map, the columns of the head's linear layer
      among them; of a mix the above times rms(x) of the map, 1 without batches;
    - `taylor`: |g dL/dg| as if every map had a gate; of a mix |sum of w dL/dw| over the weights that are cut together;
    - `ablation`: the rise for the whole edge, shared out so that its strongest map edge has all of it and the others,
      in the order of `strength`, less. Map edges are not cut one by one.

    Map edges that the net's masks cut are not in the wiring, nor edges without any.

    Args:
        net: a `Supernet`, or a classifier with one as `.body` and a `.head`.
        batches: (inputs, targets) pairs; needed by `taylor` and `ablation`, optional for `strength`, unread by `gate`.
        method: strength | gate | taylor | ablation.
        maps: measure map edges, of a net whose merge is concat or squeeze; those of a mix are measured anyway.
        loss: of (net output, targets), averaged over the batch.

    Returns:
        A wiring with all edges of the net.

    Raises:
        ConfigError: an unknown method, missing or empty batches, `maps` for a net whose merge is sum or max.

    Source: ablation against gate values, "Rethinking architecture selection in differentiable NAS" (ICLR 2021).

    Example:
        >>> net = Supernet([nn.Conv2d(1, 2, 3)], (1, 8, 8), gate_init=0.5)
        >>> [round(e.strength, 3) for e in importance(net, method="gate").edges]
        [0.5, 0.5]
    """
    if method not in METHODS:
        raise ConfigError(f"importance: method={method!r} is unknown; choose from {', '.join(METHODS)}")
    body, _ = split_head(net)
    kept = list(batches) if batches is not None else []  # walked through more than once
    if not kept and (method in ("taylor", "ablation") or batches is not None):
        raise ConfigError(f"importance: method={method!r} needs batches of (inputs, targets), got none")
    merge = body.connections[0].merge
    if maps and merge in ("sum", "max"):
        raise ConfigError(f"importance: merge={merge!r} has no map edges; build the net with concat, squeeze or mix")
    if maps and merge != "mix":
        net = _gated_by_map(net)
        body, _ = split_head(net)
    maps = maps or merge == "mix"
    with evaluating(net):
        behind = _after_start(net, kept)
        if method == "taylor":
            measured = _taylor(net, body, kept, loss)
        elif method == "ablation":
            measured = _shared(_ablation(net, body, behind, loss), _strength(net, behind) if maps else {})
        else:
            measured = _strength(net, behind, plain=method == "gate")
    names = body.node_names()
    if not maps:
        return Wiring(names, [Edge(*pair, value) for pair, (value, _) in measured.items()])
    arrays = _there(body, measured)
    return Wiring(names, [Edge(*pair, measured[pair][0]) for pair in arrays], arrays)


def _there(body: Supernet, measured: Measured) -> dict[Pair, NDArray[np.float32]]:
    """Make arrays of the strengths of map edges, 0 where the mask cuts one and nowhere else."""
    arrays = {}
    for source, target, connection, _, k in _edges(body):
        uncut = (connection.mask[connection.entries(k)] != 0).numpy(force=True)
        strength = measured[source, target][1].float().numpy(force=True)
        # to a wiring, 0 is a map edge that is not there; one of no use still is
        strength = np.where(strength == 0, np.finfo(np.float32).tiny, strength) * uncut
        if uncut.any():
            arrays[source, target] = strength
    return arrays


def _gated_by_map(net: nn.Module) -> nn.Module:
    """Copy a net whose gates are those of sources, with a gate of the same value for each map."""
    net = copy.deepcopy(net)
    for connection in split_head(net)[0].connections:
        if connection.gate == "scalar":
            counts = torch.tensor(connection.channels, device=connection.mask.device)
            connection.gate = "channel"
            connection.weight = nn.Parameter(connection.weight.detach().repeat_interleave(counts))
            connection.mask = connection.mask.repeat_interleave(counts)
    return net


@torch.no_grad()
def _after_start(net: nn.Module, batches: Sequence[Batch]) -> Sequence[Batch]:
    """Give the batches as the body reads them: behind the net's start, where it has one."""
    start = getattr(net, "start", None)
    return batches if start is None else [(start(x), y) for x, y in batches]


def _edges(body: Supernet) -> Iterator[tuple[str, str, Connection, nn.Module | None, int]]:
    """Yield (source, target, connection, the lego that reads it, number of the source in the connection)."""
    names = body.node_names()
    for target, connection, lego in connections(body):
        for k in range(len(connection.channels)):
            yield names[k], target, connection, lego, k


@torch.no_grad()
def _strength(net: nn.Module, batches: Sequence[Batch], *, plain: bool = False) -> Measured:
    body, head = split_head(net)
    rms, rms_of_maps = _rms(body, batches) if batches and not plain else ({}, {})
    measured = {}
    for source, target, connection, lego, k in _edges(body):
        gate = connection.split_gates()[k].abs()
        loud = rms_of_maps.get(source, gate.new_ones(()))
        kernel = connection.squeeze.weight if connection.squeeze else None
        if connection.merge == "concat":
            kernel = first_kernel(lego)
        if connection.merge == "mix":
            squares = (gate.double() * loud).square()  # in double, in which no square of a float vanishes
            value, maps = squares.mean().sqrt(), squares.unflatten(0, (-1, connection.share)).mean(1).sqrt()
        elif plain:
            value, maps = gate.mean(), gate
        elif kernel is not None:
            slices = kernel[:, connection.maps(k)]
            slices = slices * per_map(gate, slices)
            value, maps = slices.norm(), slices.transpose(0, 1).flatten(1).norm(dim=1)
        else:
            value, maps = gate.mean() * rms.get(source, 1.0), gate * loud
            if lego is None and (columns := _head_columns(head, connection)) is not None:
                maps = gate * columns[connection.maps(k)]
        measured[source, target] = value.item(), maps
    return measured


def _head_columns(head: nn.Module | None, connection: Connection) -> Tensor | None:
    """Measure the norm of the kernel column by which a head reads each map, if a linear layer or convolution does."""
    reader = passed_to(head, flat=True)
    if reader is None:
        return None
    kernel = kernel_of(reader)
    # a flattened map is as many neighbouring inputs as it has pixels
    return kernel.reshape(len(kernel), connection.out_channels, -1).norm(dim=(0, 2))


def _rms(body: Supernet, batches: Sequence[Batch]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Measure the root mean square of every source over the batches, and of each of its maps."""
    names = body.node_names()
    totals: dict[str, float] = dict.fromkeys(names[:-1], 0.0)
    by_map: dict[str, Tensor] = {}

    def add(name: str, out: Tensor) -> None:
        squares = out.double().square()
        totals[name] += squares.mean().item() / len(batches)
        by_map[name] = by_map.get(name, 0) + squares.transpose(0, 1).flatten(1).mean(1) / len(batches)

    def listen(name: str) -> Callable[..., None]:
        return lambda _, __, out: add(name, out)

    handles = [lego.register_forward_hook(listen(name)) for name, lego in zip(names[1:], body.legos, strict=False)]
    try:
        for x, _ in batches:
            add(names[0], x)
            body(x)
    finally:
        for handle in handles:
            handle.remove()
    return {name: total**0.5 for name, total in totals.items()}, {name: s.sqrt() for name, s in by_map.items()}


@torch.enable_grad()
def _taylor(net: nn.Module, body: Supernet, batches: Sequence[Batch], loss: Callable[..., Tensor]) -> Measured:
    """Differentiate by the masks: mask * dL/dmask = g dL/dg, since g = activation(w) * mask; a mix by its weights."""
    values: dict[Pair, float] = defaultdict(float)
    maps: dict[Pair, Tensor] = {}
    for x, y in batches:
        with _leaves(body) as leaves:
            slopes = torch.autograd.grad(loss(net(x), y), list(leaves.values()), materialize_grads=True)
        changes = {}
        for (connection, leaf), slope in zip(leaves.items(), slopes, strict=True):
            change = (leaf * slope).detach()
            mixed = connection.merge == "mix"
            changes[connection] = change.unflatten(0, (-1, connection.share)).sum(1) if mixed else change
        for source, target, connection, _, k in _edges(body):
            change = changes[connection][connection.entries(k)]
            values[source, target] += change.sum().abs().item() / len(batches)
            maps[source, target] = maps.get((source, target), 0) + change.abs() / len(batches)
    return {pair: (values[pair], maps[pair]) for pair in maps}


@contextmanager
def _leaves(body: Supernet) -> Iterator[dict[Connection, Tensor]]:
    """Give what is differentiated by: of each connection the mask, or the weights of a mix, which has no gates."""
    with _masks(body) as masks:
        frozen = [c.weight for c in body.connections if not c.weight.requires_grad]
        for connection, mask in masks.items():
            if connection.merge == "mix":
                connection.weight.requires_grad_()
            else:
                connection.mask = mask.clone().requires_grad_()
        try:
            yield {c: c.weight if c.merge == "mix" else c.mask for c in body.connections}
        finally:
            for weight in frozen:
                weight.requires_grad_(False)


@torch.no_grad()
def _ablation(
    net: nn.Module, body: Supernet, batches: Sequence[Batch], loss: Callable[..., Tensor]
) -> dict[Pair, float]:
    head = split_head(net)[1] or nn.Identity()
    number = {connection: i for i, connection in enumerate(body.connections)}
    values: dict[Pair, float] = defaultdict(float)
    for x, y in batches:
        if body.residual:  # a stream is not among the outputs that one could go on from
            outputs, result = [x], body(x)
        else:
            outputs, result = _resume(body, [x, body.legos[0](body.first_input(x))], 0)
        whole = loss(head(result), y).item()
        for source, target, connection, _, k in _edges(body):
            with _masks(body) as masks:
                connection.mask = masks[connection].clone()
                connection.mask[connection.entries(k)] = 0
                # what comes before the connection is as it was: only the rest is computed again, half on average
                result = body(x) if body.residual else _resume(body, outputs, number[connection])[1]
            values[source, target] += (loss(head(result), y).item() - whole) / len(batches)
    return values


def _shared(rises: dict[Pair, float], strengths: Measured) -> Measured:
    """Share the rise of each edge out among its map edges, in the order of their strengths."""
    measured = {}
    for pair, rise in rises.items():
        maps = strengths[pair][1] if strengths else torch.ones(1)
        part = maps / maps.max().clamp_min(torch.finfo(maps.dtype).tiny)
        # the strongest has the rise, weaker ones less; of a fall they have more, which is less
        measured[pair] = rise, rise * (part if rise > 0 else 2 - part)
    return measured


def _resume(body: Supernet, outputs: Sequence[Tensor], i: int) -> tuple[list[Tensor], Tensor]:
    """Go on from connection i, which reads the input and i + 1 legos; give all outputs and the end result."""
    now = list(outputs[: i + 2])
    for connection, lego in zip(body.connections[i:-1], body.legos[i + 1 :], strict=True):
        now.append(lego(connection(now)))
    return now, body.connections[-1](now)


@contextmanager
def _masks(body: Supernet) -> Iterator[dict[Connection, Tensor]]:
    """Give the masks of all connections, which are put back at the end, whatever happens."""
    masks = {connection: connection.mask for connection in body.connections}
    try:
        yield masks
    finally:
        for connection, mask in masks.items():
            connection.mask = mask
