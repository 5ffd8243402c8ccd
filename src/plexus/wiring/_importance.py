"""How much each connection matters, by four measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring
from plexus.nn import Connection, Supernet
from plexus.wiring._parts import connections, first_kernel, split

METHODS = ("strength", "gate", "taylor", "ablation")
Batch = tuple[Tensor, Tensor]


def importance(
    net: nn.Module,
    batches: Iterable[Batch] | None = None,
    method: str = "strength",
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Wiring:
    """The net's wiring with every edge's strength measured.

    - `gate`: |g|, averaged over maps for channel gates.
    - `strength`: what the edge can contribute, whatever scale it shares with its neighbours: |g| * ||W_slice|| (the
      Frobenius norm of the kernel slices the edge owns) for concat and squeeze; |g| * rms(x) for sum and max, where the
      kernel is shared but a source may be louder than another (rms over `batches`, 1 without them).
    - `taylor`: |g dL/dg|, the first-order change of the loss when the edge is cut, averaged over batches.
    - `ablation`: the rise of the loss when the edge is cut, measured; may be negative. One pass over the batches per edge.

    The net is measured in evaluation mode and left as it was.

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
    body, _ = split(net)
    held = list(batches) if batches is not None else []
    if not held and (method in ("taylor", "ablation") or batches is not None):
        raise ConfigError(f"importance: method={method!r} needs batches of (inputs, targets), got none")
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        if method == "taylor":
            values = _taylor(net, body, held, loss)
        elif method == "ablation":
            values = _ablation(net, body, held, loss)
        else:
            with torch.no_grad():
                values = _strength(body, held, plain=method == "gate")
    finally:
        for module, training in modes.items():
            module.training = training
    wiring = body.wiring()
    return replace(wiring, edges=tuple(Edge(e.source, e.target, values[e.source, e.target]) for e in wiring.edges))


def _edges(body: Supernet) -> Iterable[tuple[str, str, Connection, nn.Module | None, int]]:
    names = body.node_names()
    for target, connection, lego in connections(body):
        for k in range(len(connection.channels)):
            yield names[k], target, connection, lego, k


def _strength(body: Supernet, batches: Sequence[Batch], *, plain: bool) -> dict[tuple[str, str], float]:
    louder = _loudness(body, batches) if batches and not plain else {}
    values = {}
    for source, target, connection, lego, k in _edges(body):
        gate = connection.split_gates()[k].abs()
        first = sum(connection.channels[:k])
        kernel = connection.squeeze or (first_kernel(lego) if connection.merge == "concat" else None)
        if plain:
            value = gate.mean()
        elif kernel is not None:
            slices = kernel.weight[:, first : first + connection.channels[k]]  # type: ignore[index]
            value = (slices * (gate if gate.dim() == 0 else gate.view(1, -1, *[1] * (slices.dim() - 2)))).norm()
        else:
            value = gate.mean() * louder.get(source, 1.0)
        values[source, target] = value.item()
    return values


def _loudness(body: Supernet, batches: Sequence[Batch]) -> dict[str, float]:
    """Root mean square of every source over the batches."""
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


def _taylor(
    net: nn.Module, body: Supernet, batches: Sequence[Batch], loss: Callable[..., Tensor]
) -> dict[tuple[str, str], float]:
    """mask * dL/dmask = g dL/dg, since g = activation(w) * mask."""
    masks: list[Tensor] = [c.mask for c in body.connections]  # type: ignore[misc]
    values: dict[tuple[str, str], float] = defaultdict(float)
    try:
        for x, y in batches:
            leaves = [m.clone().requires_grad_() for m in masks]
            for connection, leaf in zip(body.connections, leaves, strict=True):
                connection.mask = leaf
            slopes = dict(zip(body.connections, torch.autograd.grad(loss(net(x), y), leaves), strict=True))
            for source, target, connection, _, k in _edges(body):
                change = (connection.mask * slopes[connection])[connection.entries(k)].sum()
                values[source, target] += change.abs().item() / len(batches)
    finally:
        for connection, mask in zip(body.connections, masks, strict=True):
            connection.mask = mask
    return values


@torch.no_grad()
def _ablation(
    net: nn.Module, body: Supernet, batches: Sequence[Batch], loss: Callable[..., Tensor]
) -> dict[tuple[str, str], float]:
    head = split(net)[1] or nn.Identity()
    place = {connection: i for i, connection in enumerate(body.connections)}
    values: dict[tuple[str, str], float] = defaultdict(float)
    for x, y in batches:
        outputs = [x, body.legos[0](x)]
        whole = loss(head(_resume(body, outputs, 0)), y).item()
        for source, target, connection, _, k in _edges(body):
            held = connection.mask.clone()
            connection.mask[connection.entries(k)] = 0
            cut = loss(head(_resume(body, outputs, place[connection])), y).item()
            connection.mask.copy_(held)
            values[source, target] += (cut - whole) / len(batches)
    return values


def _resume(body: Supernet, outputs: list[Tensor], i: int) -> Tensor:
    """The body's result from connection i on; `outputs` holds what does not depend on it, and grows when more is known."""
    known = len(outputs)
    now = outputs[: i + 2]
    for j in range(i, len(body.connections)):
        here = body.connections[j](now)
        if j + 1 < len(body.legos):
            now.append(body.legos[j + 1](here))
    if i == 0 and known == 2:
        outputs[:] = now
    return here  # type: ignore[no-any-return]
