"""The rules of a connection and a supernet, written down once more as plainly as possible.

Resampling is a matrix for each axis, merging a loop; nothing is shared with the package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from plexus.nn import Connection, Supernet


def resample_matrix(have: int, want: int, mode: str) -> Tensor:
    """The (want, have) matrix that resamples one axis, in float64."""
    matrix = torch.zeros(want, have, dtype=torch.float64)
    for i in range(want):
        if mode == "area":
            low, high = math.floor(i * have / want), math.ceil((i + 1) * have / want)
            matrix[i, low:high] = 1 / (high - low)
        elif mode == "nearest":
            matrix[i, math.floor(i * have / want)] = 1
        else:
            place = (i + 0.5) * have / want - 0.5
            taps = {"bilinear": (0, 1), "bicubic": (-1, 0, 1, 2)}[mode]
            place = max(place, 0.0) if mode == "bilinear" else place
            for tap in taps:
                at = math.floor(place) + tap
                distance = abs(place - at)
                matrix[i, min(max(at, 0), have - 1)] += 1 - distance if mode == "bilinear" else _cubic(distance)
    return matrix


def _cubic(d: float, a: float = -0.75) -> float:
    return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a


def brought_to(x: Tensor, size: Sequence[int], connection: Connection) -> Tensor:
    """Maps resampled, or put in the middle of zeros."""
    for axis, want in enumerate(size, 2):
        have = x.shape[axis]
        if have == want:
            continue
        if connection.size == "smallest":
            matrix = resample_matrix(have, want, connection.resize)
        else:
            matrix = torch.zeros(want, have, dtype=torch.float64)
            matrix[(want - have) // 2 : (want - have) // 2 + have] = torch.eye(have, dtype=torch.float64)
        x = torch.tensordot(x, matrix.to(x.dtype), dims=([axis], [1])).movedim(-1, axis)
    return x


def widened(x: Tensor, channels: int) -> Tensor:
    """Maps followed by zeros until there are so many."""
    zeros = x.new_zeros(x.shape[0], channels - x.shape[1], *x.shape[2:])
    return torch.cat([x, zeros], 1)


def naive_connection(connection: Connection, sources: Sequence[Tensor]) -> Tensor:
    """Resize, multiply, merge."""
    if connection.merge == "mix":
        size = [min(x.shape[axis] for x in sources) for axis in range(2, sources[0].dim())]
        if connection.size == "largest":
            size = [max(x.shape[axis] for x in sources) for axis in range(2, sources[0].dim())]
        joined = torch.cat([brought_to(x, size, connection) for x in sources], 1)
        rows = [w * connection.mask[m // connection.share] for m, w in enumerate(connection.weight)]
        return torch.einsum("mc,nc...->nm...", torch.stack(rows), joined)
    gates = 1 / (1 + torch.exp(-connection.weight)) if connection.activation == "sigmoid" else connection.weight
    gates = gates * connection.mask
    counts = [1 if connection.gate == "scalar" else c for c in connection.channels]
    shortest_or_longest = min if connection.size == "smallest" else max
    size = [shortest_or_longest(x.shape[axis] for x in sources) for axis in range(2, sources[0].dim())]
    gated = []
    for x, gate in zip(sources, gates.split(counts), strict=True):
        gated.append(brought_to(x, size, connection) * gate.reshape(1, -1, *[1] * len(size)))
    if connection.merge in ("concat", "squeeze"):
        joined = torch.cat(gated, 1)
        if connection.squeeze is None:
            return joined
        return torch.einsum("mc,nc...->nm...", connection.squeeze.weight, joined)
    width = max(connection.channels)
    wide = []
    for x, project in zip(gated, connection.projections, strict=True):
        kernel = getattr(project, "weight", None)
        wide.append(widened(x, width) if kernel is None else torch.einsum("mc,nc...->nm...", kernel, x))
    total = wide[0]
    for x in wide[1:]:
        total = total + x if connection.merge == "sum" else torch.maximum(total, x)
    return total


def naive_supernet(net: Supernet, x: Tensor) -> Tensor:
    """Connection i sees the input and the outputs of the first i legos, and feeds the next."""
    outputs, here = [x], x
    for lego, connection in zip(net.legos, net.connections, strict=True):
        outputs.append(lego(here))
        here = naive_connection(connection, outputs)
    return here
