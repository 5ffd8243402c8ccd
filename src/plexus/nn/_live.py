"""Of a residual net, the channels that somebody reads: what nobody reads is not computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from plexus.nn._supernet import Supernet


class Live(NamedTuple):
    """The channels of a residual net that somebody reads; None stands for all of them.

    Args:
        maps: for every source, its channels that are read; the images have all of theirs.
        inputs: for every lego, the places of these in the stream before it, where it reads them alone.
        rows: for every connection, the channels of its result that are read.
        kept: for every connection, the places of these in the stream that it is added to.
        sources: for every connection, the sources it reads.
        columns: for every connection, the columns of its weights for the channels that these have.
    """

    maps: list[Tensor | None]
    inputs: list[Tensor | None]
    rows: list[Tensor | None]
    kept: list[Tensor | None]
    sources: list[list[int]]
    columns: list[Tensor | None]


def find_live(net: Supernet, kinds: Sequence[str]) -> Live:
    """Go from the head back to the images, and ask for what is read."""
    last = len(net.legos) - 1
    asked = [torch.zeros(c, dtype=torch.bool) for c in net.connections[-1].channels]
    streams = [torch.ones(c.out_channels, dtype=torch.bool) for c in net.connections]
    reads = [connection.mask[0].cpu().bool().split(connection.channels) for connection in net.connections]
    asked[0][:] = True
    for i in reversed(range(last + 1)):
        if i < last:
            own = asked[i + 2]
            if not own.any() and not net.adds[i + 1]:
                own[:] = True  # nobody reads it, but the size of what comes next is its
            own = own if kinds[i + 1] == "inputs" else own.any().expand(len(streams[i]))
            streams[i] = own | streams[i + 1] if net.adds[i + 1] else own.clone()
        for k, read in enumerate(reads[i]):
            if k and streams[i].any():
                asked[k] |= read if kinds[k - 1] else read.any()
    asked[1] |= not asked[1].any()
    device = net.connections[0].mask.device

    def places(of: Tensor, among: Tensor) -> Tensor | None:
        """Say where these channels are among others; None if they are the same."""
        return None if torch.equal(of, among) else of[among].nonzero()[:, 0].to(device)

    live = Live([None], [], [], [], [], [])
    for i, rows in enumerate(streams):
        before = streams[i - 1]
        live.maps.append(places(asked[i + 1], torch.ones_like(asked[i + 1])))
        live.inputs.append(places(asked[i + 1], before) if i > 0 and kinds[i] == "inputs" else None)
        live.rows.append(places(rows, torch.ones_like(rows)))
        live.kept.append(places(rows, before) if net.adds[i] else None)
        live.sources.append([k for k, read in enumerate(reads[i]) if read.any()])
        columns = torch.cat([a & (k in live.sources[i]) for k, a in enumerate(asked[: i + 2])])
        live.columns.append(places(columns, torch.ones_like(columns)))
    return live
