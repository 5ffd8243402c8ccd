"""The supernet: every lego reads the outputs of all earlier legos and of the input, through gates."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring, stack_nodes
from plexus.nn import functional as PF
from plexus.nn._connection import Connection
from plexus.nn._legos import mix_widths, overwrites, tried
from plexus.nn._live import Live, find_live
from plexus.nn._modules import evaluating
from plexus.nn._sums import Bank, Form
from plexus.nn.scaling import Scaled, run_scaled


class Supernet(nn.Module):
    """A stack of legos in which connection i merges [input, out_1, ..., out_i] and feeds lego i+1.

    The first lego reads the input; the last connection's result is what `forward` returns. Only raw lego outputs are
    listed, never merged ones, so n legos have n connections with 2, 3, ..., n+1 gates.

    Each source is resampled once per size it is needed at. Gates of `concat` and `squeeze` are folded into the next
    kernel, conv(cat(g_k x_k)) = conv(cat(x_k), W with slices g_k W_k), and carried through pooling, dropout and ReLU
    until they meet one; gates of `sum` are applied while adding up. With `merge="mix"` the edges join single maps.

    A `residual` net carries one stream of maps from lego to lego, to which every mix adds,

        s_i = s_{i-1} + norm_i(mix_i(out_{i+1}, ...)),   out_{i+1} = lego_{i+1}(s_{i-1}),

    and which starts anew where size or width change; the last mix is not added. A mix of which all is
    cut adds nothing. Of such nets only what
    somebody reads is computed, so that a net of which much is cut trains in less time.

    Args:
        legos: ordinary modules taking and giving (N, C, *spatial). As with `nn.Sequential` they become parts of this
            net, not copies; lazy modules are sized here, so another net needs fresh ones.
        in_shape: one image's shape, (C, *spatial), with one to three spatial axes.
        residual: carry a stream, as above; for images (C, H, W) and `merge="mix"` with `share=None`.
        reach: of a mix, how many of the last sources are read; all by default. The others are cut from the start.
        **connection_options: as for `Connection`, the same for every connection; `mix_to` may also be a list, with one
            number for each. By default a mix makes as many channels as the layer that reads it asks for, and where that
            is free (no layer, a lazy one) as its last source has.

    Attributes:
        legos, connections: `nn.ModuleList`s of equal length.
        norms: the batch norms of a residual net, one for each connection; else empty.
        adds: for each connection, whether its result is added to that of the one before.
        out_channels: channels of the result.

    Shape:
        Input (N, *in_shape); result (N, out_channels, *spatial of the last connection).

    Raises:
        ConfigError: no legos, an `in_shape` that is not (C, *spatial), a lego that appears twice, or one whose input or
            output does not fit; the message names the lego.

    Source: the learned-connectivity notes of 2016.

    Example:
        >>> net = Supernet([nn.LazyConv2d(4, 3, padding=1), nn.MaxPool2d(2)], (3, 8, 8), merge="concat")
        >>> net(torch.ones(1, 3, 8, 8)).shape, [len(c.weight) for c in net.connections]
        (torch.Size([1, 14, 4, 4]), [2, 3])
    """

    # for type checkers: `nn.ModuleList`s give plain modules when indexed and walked
    legos: Sequence[nn.Module]
    connections: Sequence[Connection]
    norms: Sequence[nn.Module]

    def __init__(
        self,
        legos: Sequence[nn.Module],
        in_shape: Sequence[int],
        *,
        residual: bool = False,
        reach: int | None = None,
        **connection_options: Any,
    ) -> None:
        super().__init__()
        legos = list(legos)
        if not legos:
            raise ConfigError("Supernet: legos is empty; give at least one layer")
        if len({id(lego) for lego in legos}) != len(legos):
            raise ConfigError(
                "Supernet: the same module appears twice among the legos; give each its own (copy.deepcopy)"
            )
        self.in_shape = tuple(int(n) for n in in_shape)
        if not 2 <= len(self.in_shape) <= 4 or min(self.in_shape) < 1:
            raise ConfigError(
                f"Supernet: in_shape={list(in_shape)} must be (channels, *spatial) with one to three spatial axes"
            )
        if residual and (connection_options.get("merge"), connection_options.get("share", 8)) != ("mix", None):
            raise ConfigError('Supernet: residual=True needs merge="mix" and share=None')
        if residual and len(self.in_shape) != 3:
            raise ConfigError(f"Supernet: residual=True needs images (C, H, W), got in_shape={list(in_shape)}")
        if reach is not None and (reach < 1 or connection_options.get("merge") != "mix"):
            raise ConfigError(f'Supernet: reach={reach} needs merge="mix", and 1 source or more')
        self.legos = cast(Any, nn.ModuleList(legos))
        self.residual, self.adds, self._writers = residual, [False] * len(legos), [False] * len(legos)
        self.connections = cast(Any, self._build(connection_options, reach))
        widths = [c.out_channels for c in self.connections] if residual else []
        self.norms = cast(Any, nn.ModuleList(map(nn.BatchNorm2d, widths)))
        self.out_channels = self.connections[-1].out_channels
        self._sizes: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        self._live: tuple[Any, Live] | None = None

    def forward(self, x: Tensor) -> Tensor:
        # a bank is laid out before its sums are known, so the first pass at each image size goes without
        if self._banked() and tuple(x.shape[2:]) in self._sizes:
            return self._forward_banked(x, self.sizes(x.shape[2:]))
        if self.residual:
            return self._forward_residual(x)
        positive = self.connections[0].activation == "sigmoid"
        sources, fitted, met = [Scaled(x)], Fitted(), []
        here = Scaled(self.first_input(x))
        for lego, connection in zip(self.legos, self.connections, strict=True):
            # mixes leave maps channels first and owe no factors
            mixed = connection.merge == "mix"
            out = Scaled(PF.run_planes(lego, here.x)) if mixed else run_scaled(lego, here, positive=positive)
            sources.append(out)
            here = _merge(connection, sources, fitted, read=connection is not self.connections[-1])
            met.append(tuple(here.x.shape[2:]))
        if not torch.compiler.is_compiling():  # a compiled pass must leave no trace on the module
            self._sizes[tuple(x.shape[2:])] = met
        return here.paid()

    def _banked(self) -> bool:
        """Tell whether the sums can go through banks: training, one gate per source, nothing to project."""
        last = self.connections[-1]
        return (
            last.merge == "sum"
            and last.gate == "scalar"
            and torch.is_grad_enabled()
            and PF.may_fuse()
            and not any(isinstance(p, nn.Linear) for p in last.projections)
        )

    def _forward_banked(self, x: Tensor, sizes: Sequence[tuple[int, ...]]) -> Tensor:
        """Compute the same with sums through banks, one for each run of connections of equal size and width."""
        # a bank needs all its gates before its first sum, and so the sizes of connections that lie ahead
        kinds = [(size, c.out_channels) for size, c in zip(sizes, self.connections, strict=True)]
        sources, fitted, here = [x], Fitted(), self.first_input(x)
        for i, (lego, connection, kind) in enumerate(zip(self.legos, self.connections, kinds, strict=True)):
            sources.append(lego(here))
            fit = partial(fitted.get, connection, size=kind[0])
            if i == 0 or kind != kinds[i - 1]:
                first, run = i, kinds.count(kind)  # sizes and widths change one way only, so equal ones lie together
                rows = [self.connections[j].gates() for j in range(i, i + run)]
                gates = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # a later connection reads more sources
                bank = Bank(gates, i + 1, Form.of(fit(i + 1, sources[-1]), connection.out_channels))
                for k in range(i + 1):
                    bank.put(fit(k, sources[k]))
            bank.put(fit(i + 1, sources[-1]))
            here = bank.mix(i - first)
        return here

    def _forward_residual(self, x: Tensor) -> Tensor:
        """Compute with a stream, and only those channels of legos and streams that somebody reads."""
        sources, fitted, met = [x], Fitted(), []
        here, live = self.first_input(x), self.live()
        for i, (lego, connection) in enumerate(zip(self.legos, self.connections, strict=True)):
            maps, rows, read, kept = live.maps[i + 1], live.rows[i], live.inputs[i], live.kept[i]
            if maps is not None and not len(maps):  # nobody reads it: it stands for its size alone
                sources.append(here)
            else:
                some = here if read is None else here.index_select(1, read)
                if self._writers[i] and some is here:
                    some = some.clone()  # the stream goes on beside the lego
                sources.append(PF.run_planes(lego, some, maps))
            size = connection.target_size([s.shape[2:] for s in sources])
            met.append(tuple(size))
            parts = [fitted.get(connection, k, sources[k], size) for k in live.sources[i]]
            weight = connection.weight * connection.mask
            for axis, at in ((0, rows), (1, live.columns[i])):
                weight = weight if at is None else weight.index_select(axis, at)
            if parts:
                if parts[0].is_contiguous():
                    made = PF.mix(parts, weight, torch.ones_like(weight[:1]))
                else:  # channels last, where torch's own are fast, and nothing is sparse but by whole channels
                    made = F.conv2d(parts[0] if len(parts) == 1 else torch.cat(parts, 1), weight[:, :, None, None])
                made = PF.run_planes(self.norms[i], made, rows)
            else:
                made = x.new_zeros(len(x), len(weight), *size)
            if not self.adds[i]:
                here = made
            else:
                stream = here if kept is None else here.index_select(1, kept)
                here = stream + made if parts else stream
        if not torch.compiler.is_compiling():
            self._sizes[tuple(x.shape[2:])] = met
        return here

    def live(self) -> Live:
        """Return the channels that somebody reads, by the masks as they are; of a residual net."""
        masks = [connection.mask for connection in self.connections]
        kinds = [PF.narrowable(lego) for lego in self.legos]
        # the masks themselves are kept: another tensor may come to lie where one of them was
        seen = (kinds, [mask._version for mask in masks], masks)
        if self._live is None or self._live[0][:2] != seen[:2] or any(map(operator.is_not, self._live[0][2], masks)):
            self._live = seen, find_live(self, kinds)
        return self._live[1]

    def coupled(self) -> list[list[int]]:
        """List the legos whose maps go together: those that read the same stream, channel by channel.

        Returns:
            Numbers of legos, 0 for the first, in groups. Of a residual net, cutting the same maps of all legos of a
            group cuts these channels of the stream, with what makes them. Other nets have groups of one.
        """
        groups: list[list[int]] = []
        for i, lego in enumerate(self.legos):
            follows = i > 1 and self.adds[i - 1] and PF.narrowable(lego) == "inputs"
            if follows and PF.narrowable(self.legos[groups[-1][-1]]) == "inputs":
                groups[-1].append(i)
            else:
                groups.append([i])
        return groups

    def first_input(self, x: Tensor) -> Tensor:
        """Return what the first lego reads: a copy of the images if it overwrites its input, as others read them, too.

        All later legos read what a connection made for them alone.

        Args:
            x: images, (N, *in_shape).
        """
        return x.clone() if self._overwrites else x

    def sizes(self, size: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the spatial size of every connection's result, for images of a size that `forward` has seen."""
        return self._sizes[tuple(size)]

    def wiring(self) -> Wiring:
        """Return every edge with its gate as strength (the mean over channels for channel gates).

        Of a mix, an edge and the map edges within it are as strong as the root mean square of their weights, those of a
        map edge being the `share` weights that are cut together; edges that are cut altogether are left out.
        """
        names = self.node_names()
        blocks = [
            (source, target, gate.detach(), connection)
            for target, connection in zip(names[2:], self.connections, strict=True)
            for source, gate in zip(names, connection.split_gates(), strict=False)
        ]
        if self.connections[0].merge != "mix":
            return Wiring(names, [Edge(source, target, gate.mean().item()) for source, target, gate, _ in blocks])
        edges, maps = [], {}
        for source, target, weight, connection in blocks:
            squares = weight.double().square()  # in double, in which no square of a float vanishes
            groups = squares.unflatten(0, (-1, connection.share)).mean(1).sqrt().float()
            if groups.any():
                edges.append(Edge(source, target, squares.mean().sqrt().item()))
                maps[source, target] = groups.numpy(force=True)
        return Wiring(names, edges, maps)

    def reads(self, wiring: Wiring) -> list[Tensor]:
        """Tell for every connection which of its source maps a wiring has.

        Args:
            wiring: of this net; a layer that it does not name reads nothing.

        Returns:
            A bool tensor (groups, sum of channels) for each connection: the groups of maps that share their sources in
            a mix, one group for other merges. An edge without map edges has all of its source's maps.

        Raises:
            ConfigError: the wiring names a node or an edge the net lacks, or its map edges have another shape.
        """
        names = self.node_names()
        for name in wiring.nodes:
            if name not in names:
                raise ConfigError(f"the wiring's node {name!r} is not in the net, which has {', '.join(names)}")
        order = {name: i for i, name in enumerate(names)}
        masks = [c.mask for c in self.connections]
        tables = [
            torch.zeros(mask.shape[0] if mask.dim() == 2 else 1, sum(c.channels), dtype=torch.bool, device=mask.device)
            for c, mask in zip(self.connections, masks, strict=True)
        ]
        for source, target, _ in wiring.edges:
            k, i = order[source], order[target] - 2
            if k >= order[target] or i < 0:
                raise ConfigError(f"the net has no connection {source} -> {target}")
            block = tables[i][:, self.connections[i].maps(k)]
            strengths = wiring.maps.get((source, target))
            if strengths is not None and strengths.shape not in (block.shape, block.shape[1:]):
                got, wanted = strengths.shape, tuple(block.shape if len(block) > 1 else block.shape[1:])
                raise ConfigError(f"the wiring's map edges {source} -> {target} have shape {got}, the net's {wanted}")
            block[:] = True if strengths is None else torch.from_numpy(strengths != 0)
        return tables

    @torch.no_grad()
    def set_wiring(self, wiring: Wiring) -> None:
        """Set every mask so that exactly the edges of a wiring are there, down to single maps; in place.

        Args:
            wiring: of this net; its strengths are not read, except that a map edge of strength 0 is none.

        Raises:
            ConfigError: a wiring of another net, or map edges where there is one gate for a whole source.

        Example:
            >>> net = Supernet([nn.Conv2d(3, 4, 3, padding=1)], (3, 8, 8), merge="mix", share=2)
            >>> net.set_wiring(net.wiring().keep([("lego1", "head")]))
            >>> net.connections[0].mask.tolist()[0]
            [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
        """
        masks = []
        for connection, table in zip(self.connections, self.reads(wiring), strict=True):
            if connection.mask.dim() == 1:
                table = table[0]
                if connection.gate == "scalar":
                    parts = table.split(connection.channels)
                    if any(part.any() != part.all() for part in parts):
                        raise ConfigError('Supernet: map edges need a gate for each map; build it with gate="channel"')
                    table = torch.stack([part.all() for part in parts])
            masks.append(table)
        for connection, mask in zip(self.connections, masks, strict=True):
            connection.mask.copy_(mask)

    def node_names(self) -> tuple[str, ...]:
        """Return `input, lego1, ..., legon, head`."""
        return stack_nodes(len(self.legos))

    @torch.no_grad()
    def _build(self, options: dict[str, Any], reach: int | None) -> nn.ModuleList:
        """Size lazy legos and create the connections by sending two blank images through.

        In evaluation mode, so that batch norms keep their statistics and nothing is drawn at random.
        """
        connections = nn.ModuleList()
        widths = mix_widths(self.legos, options)
        here = torch.zeros(2, *self.in_shape)
        sources = [here]
        with evaluating(self):
            for i, lego in enumerate(self.legos, 1):
                sources.append(tried(lego, here, f"lego{i}"))
                connection = Connection([s.shape[1] for s in sources], **{**options, "mix_to": widths[i - 1]})
                connections.append(connection)
                far = 0 if reach is None else max(0, i + 1 - reach)  # sources that are out of reach
                if far:
                    columns, connection.first = sum(connection.channels), connection.maps(far).start
                    connection.weight.mul_(math.sqrt(columns / (columns - connection.first)))  # to its fan-in
                    connection.weight[:, : connection.first] = 0
                    connection.uncut()
                before, here = here, connection(sources)
                self.adds[i - 1] = self.residual and 1 < i < len(self.legos) and before.shape == here.shape
                self._writers[i - 1] = self.adds[i - 1] and overwrites(lego, before.shape[1:])
        self._overwrites = overwrites(self.legos[0], self.in_shape)
        return connections


class Fitted:
    """Sources that were resampled already: each once per size, from the smallest version that serves."""

    def __init__(self) -> None:
        self._resampled: dict[tuple[int, tuple[int, ...]], Tensor] = {}
        self._banks: dict[tuple[int, ...], PF.MixBank] = {}

    def bank(self, size: tuple[int, ...]) -> PF.MixBank:
        """Return the bank of the sources at this size, for connections that mix their maps."""
        return self._banks.setdefault(size, PF.MixBank())

    def get(self, connection: Connection, k: int, x: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return source k, which is `x`, at this size."""
        here = tuple(x.shape[2:])
        if here == size:
            return x
        if (k, size) not in self._resampled:
            nested: list[Tensor] = []
            # a mean of means is the mean if all have equally many terms; other resampling does not nest
            if (connection.size, connection.resize) == ("smallest", "area"):
                sizes = [s for j, s in self._resampled if j == k and PF.divides(size, s) and PF.divides(s, here)]
                nested = [self._resampled[k, s] for s in sizes]
            self._resampled[k, size] = connection.fit(min(nested, key=Tensor.numel, default=x), size)
        return self._resampled[k, size]


def _merge(connection: Connection, sources: Sequence[Scaled], fitted: Fitted, *, read: bool) -> Scaled:
    """Join sources that may owe a factor; what a lego will `read` may go on owing its gates, the last result not."""
    size = connection.target_size([s.x.shape[2:] for s in sources])
    maps = [fitted.get(connection, k, source.x, size) for k, source in enumerate(sources)]
    if connection.merge == "mix":  # no gates, and so no factors that a lego could have left
        return Scaled(connection.mixed(maps, fitted.bank(size)))
    gates = connection.split_gates()
    if connection.merge in ("sum", "max"):  # here maps of several sources meet in one channel: factors are due
        owed = [g if s.scale is None else g * s.scale for g, s in zip(gates, sources, strict=True)]
        return Scaled(connection.join(maps, owed))
    scale = connection.expand([g if s.scale is None else g * s.scale for g, s in zip(gates, sources, strict=True)])
    if connection.squeeze is None and not read:
        return Scaled(PF.weighted_cat(maps, scale.to(maps[0].dtype)))
    # plain copies: the gates wait for the next kernel, where they cost a product per weight and not per pixel
    joined = torch.cat(maps, 1)
    return Scaled(joined, scale) if connection.squeeze is None else Scaled(connection.squeezed(joined, scale))
