"""The nets of studies on wirings: supernets and fixed patterns, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from plexus.experiments._train import Bench
from plexus.graph import Wiring
from plexus.models import Classifier, head
from plexus.nn import Supernet
from plexus.wiring import rebuild, trace

Legos = Callable[[Sequence[int]], list[nn.Module]]
Pairs = list[list[str]]


def supernet(bench: Bench, legos: Legos, kind: str, **options: Any) -> Classifier:
    """A supernet and its head; weights follow from the seed alone, whatever the start of the gates.

    Args:
        bench: gives seed, images' shape and classes.
        legos: makes them for a shape.
        kind: of head, gap or flatten512.
        **options: of the connections.
    """
    random = torch.Generator().manual_seed(bench.job.seed)
    torch.manual_seed(bench.job.seed)
    body = Supernet(legos(bench.in_shape), bench.in_shape, generator=random, **options)
    return headed(body, body.out_channels, kind, bench)


def pattern(bench: Bench, legos: Legos, kind: str, wiring: Wiring, **options: Any) -> nn.Module:
    """A wiring from fresh weights, gates at 1, as a plain net."""
    torch.manual_seed(bench.job.seed)
    body = rebuild(legos(bench.in_shape), wiring, bench.in_shape, **options)
    with torch.no_grad():
        maps = body.eval()(torch.zeros(2, *bench.in_shape))
    return trace(headed(body, maps.shape[1], kind, bench)).train()


def headed(body: nn.Module, channels: int, kind: str, bench: Bench) -> Classifier:
    """A body and its sized head."""
    net = Classifier(body, head(kind, channels, bench.classes)).eval()
    with torch.no_grad():
        net(torch.zeros(2, *bench.in_shape))
    return net.train()


def edges(wiring: Wiring, *, strengths: bool = False) -> list[list[Any]]:
    """[source, target] for each edge, and its strength if asked for."""
    return [[e.source, e.target, *([round(e.strength, 4)] if strengths else [])] for e in wiring.edges]
