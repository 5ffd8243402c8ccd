"""Strength of each connection, by four measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring
from plexus.nn import Connection, Supernet, evaluating
from plexus.nn.functional import per_map
from plexus.wiring._inspect import connections, first_kernel, split_head

METHODS = ("strength", "gate", "taylor", "ablation")
Batch = tuple[Tensor, Tensor]


def importance(
    net: nn.Module,
    batches: Iterable[Batch] | None = None,
    method: str = "strength",
    *,
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

    Args:
        net: a `Supernet`, or a classifier with one as `.body` and a `.head`.
        batches: (inputs, targets) pairs; needed by `taylor` and `ablation`, optional for `strength`, unread by `gate`.
        method: strength | gate | taylor | ablation.
        loss: of (net output, targets), averaged over the batch.

    Returns:
        A wiring with all edges of the net.

    Raises:
        ConfigError: an unknown method, missing or empty batches.

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
    with evaluating(net):
        if method == "taylor":
            values = _taylor(net, body, kept, loss)
        elif method == "ablation":
            values = _ablation(net, body, _after_start(net, kept), loss)
        else:
            values = _strength(body, _after_start(net, kept), plain=method == "gate")
    wiring = body.wiring()
    return replace(wiring, edges=tuple(Edge(e.source, e.target, values[e.source, e.target]) for e in wiring.edges))


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
def _strength(body: Supernet, batches: Sequence[Batch], *, plain: bool) -> dict[tuple[str, str], float]:
    rms = _rms(body, batches) if batches and not plain else {}
    values = {}
    for source, target, connection, lego, k in _edges(body):
        gate = connection.split_gates()[k].abs()
        kernel = connection.squeeze.weight if connection.squeeze else None
        if connection.merge == "concat":
            kernel = first_kernel(lego)
        if plain:
            value = gate.mean()
        elif kernel is not None:
            slices = kernel[:, connection.maps(k)]
            value = (slices * per_map(gate, slices)).norm()
        else:
            value = gate.mean() * rms.get(source, 1.0)
        values[source, target] = value.item()
    return values


def _rms(body: Supernet, batches: Sequence[Batch]) -> dict[str, float]:
    """Measure the root mean square of every source over the batches."""
    names = body.node_names()
    totals = dict.fromkeys(names[:-1], 0.0)

    def listen(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: object, out: Tensor) -> None:
            totals[name] += out.double().square().mean().item() / len(batches)

        return hook

    handles = [lego.register_forward_hook(listen(name)) for name, lego in zip(names[1:], body.legos, strict=False)]
    try:
        for x, _ in batches:
            totals[names[0]] += x.double().square().mean().item() / len(batches)
            body(x)
    finally:
        for handle in handles:
            handle.remove()
    return {name: total**0.5 for name, total in totals.items()}


@torch.enable_grad()
def _taylor(
    net: nn.Module, body: Supernet, batches: Sequence[Batch], loss: Callable[..., Tensor]
) -> dict[tuple[str, str], float]:
    """Differentiate by the masks: mask * dL/dmask = g dL/dg, since g = activation(w) * mask."""
    values: dict[tuple[str, str], float] = defaultdict(float)
    for x, y in batches:
        with _masks(body) as masks:
            for connection, mask in masks.items():
                connection.mask = mask.clone().requires_grad_()
            leaves = [c.mask for c in body.connections]
            slopes = dict(zip(body.connections, torch.autograd.grad(loss(net(x), y), leaves), strict=True))
            for source, target, connection, _, k in _edges(body):
                change = (connection.mask * slopes[connection])[connection.entries(k)].sum()
                values[source, target] += change.abs().item() / len(batches)
    return values


@torch.no_grad()
def _ablation(
    net: nn.Module, body: Supernet, batches: Sequence[Batch], loss: Callable[..., Tensor]
) -> dict[tuple[str, str], float]:
    head = split_head(net)[1] or nn.Identity()
    number = {connection: i for i, connection in enumerate(body.connections)}
    values: dict[tuple[str, str], float] = defaultdict(float)
    for x, y in batches:
        outputs, result = _resume(body, [x, body.legos[0](body.first_input(x))], 0)
        whole = loss(head(result), y).item()
        for source, target, connection, _, k in _edges(body):
            with _masks(body) as masks:
                connection.mask = masks[connection].clone()
                connection.mask[connection.entries(k)] = 0
                # what comes before the connection is as it was: only the rest is computed again, half on average
                _, result = _resume(body, outputs, number[connection])
            values[source, target] += (loss(head(result), y).item() - whole) / len(batches)
    return values


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
