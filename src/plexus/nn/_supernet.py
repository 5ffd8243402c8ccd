"""The supernet: every lego reads the outputs of all earlier legos and of the input, through gates."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring, stack_nodes
from plexus.nn._bank import Bank, gate_matrix
from plexus.nn._connection import Connection
from plexus.nn._lego import Scaled, run_lego


class Supernet(nn.Module):
    """A stack of legos in which connection i merges [input, out_1, ..., out_i] and feeds lego i+1.

    The first lego reads the input; the last connection's result is what `forward` returns. Only raw lego outputs are
    listed, never merged ones, so n legos have n connections with 2, 3, ..., n+1 gates.

    Each source is resampled once per size it is needed at. Gates of `concat` and `squeeze` are folded into the next
    kernel, conv(cat(g_k x_k)) = conv(cat(x_k), W with slices g_k W_k), and carried through pooling, dropout and ReLU
    until they meet one; gates of `sum` are applied while adding up.

    Args:
        legos: ordinary modules taking and giving (N, C, *spatial). Lazy modules are sized here.
        in_shape: one image's shape, (C, *spatial), with one to three spatial axes.
        **connection_options: as for `Connection`, the same for every connection.

    Attributes:
        legos, connections: `nn.ModuleList`s of equal length.
        out_channels: maps of the result.

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

    def __init__(self, legos: Sequence[nn.Module], in_shape: Sequence[int], **connection_options: Any) -> None:
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
        self.legos = nn.ModuleList(legos)
        self.connections = nn.ModuleList()
        self._sizes: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        self._build(connection_options)
        self.out_channels: int = self.connections[-1].out_channels  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        sizes = self._sizes.get(tuple(x.shape[2:]))
        if sizes is not None and self._banked():
            return self._forward_banked(x, sizes)
        positive = self.connections[0].activation == "sigmoid"
        sources, fitted = [Scaled(x)], Fitted()
        here, met = sources[0], []
        for lego, connection in zip(self.legos, self.connections, strict=True):
            sources.append(run_lego(lego, here, positive=positive))
            here = _merge(connection, sources, fitted)  # type: ignore[arg-type]
            met.append(tuple(here.x.shape[2:]))
        self._sizes[tuple(x.shape[2:])] = met
        return here.paid()

    def _banked(self) -> bool:
        """Whether the sums can go through banks: training, one gate per source, nothing to project."""
        c: Connection = self.connections[0]  # type: ignore[assignment]
        return (
            c.merge == "sum"
            and c.gate == "scalar"
            and torch.is_grad_enabled()
            and not (torch.compiler.is_compiling() or torch.jit.is_tracing())
            and not any(isinstance(p, nn.Linear) for p in self.connections[-1].projections)  # type: ignore[union-attr]
        )

    def _forward_banked(self, x: Tensor, sizes: Sequence[tuple[int, ...]]) -> Tensor:
        sources, fitted, here = [x], Fitted(), x
        bank, start = None, 0
        for i, (lego, size) in enumerate(zip(self.legos, sizes, strict=True)):
            sources.append(lego(here))
            connection: Connection = self.connections[i]  # type: ignore[assignment]
            if bank is None or size != sizes[i - 1]:
                run = [c.gates() for c, s in zip(self.connections[i:], sizes[i:], strict=True) if s == size]  # type: ignore[operator]
                start = i
                bank = Bank(
                    gate_matrix(run), i + 1, self._like(fitted.get(connection, i + 1, sources[-1], size), connection)
                )
                for k in range(i + 1):
                    bank.put(fitted.get(connection, k, sources[k], size))
            bank.put(fitted.get(connection, i + 1, sources[-1], size))
            here = bank.mix(i - start)
        return here

    @staticmethod
    def _like(maps: Tensor, connection: Connection) -> Tensor:
        """Maps with the connection's width, in the layout of these."""
        if maps.shape[1] == connection.out_channels:
            return maps
        return maps.detach()[:, :1].expand(-1, connection.out_channels, *maps.shape[2:]).contiguous()

    def wiring(self) -> Wiring:
        """Every edge with its gate as strength (the mean over maps for channel gates)."""
        names = self.node_names()
        edges = [
            Edge(source, target, gate.mean().item())
            for target, connection in zip(names[2:], self.connections, strict=True)
            for source, gate in zip(names, connection.split_gates(), strict=False)  # type: ignore[operator]
        ]
        return Wiring(names, tuple(edges))

    def node_names(self) -> tuple[str, ...]:
        """`input, lego1, ..., legon, head`."""
        return stack_nodes(len(self.legos))

    @torch.no_grad()
    def _build(self, options: dict[str, Any]) -> None:
        """Sizes lazy legos and creates the connections by sending two blank images through."""
        training = [module for module in self.legos.modules() if module.training]
        self.legos.eval()
        here = torch.zeros(2, *self.in_shape)
        sources = [here]
        for i, lego in enumerate(self.legos, 1):
            out = _try(lego, here, f"lego{i}")
            sources.append(out)
            connection = Connection([s.shape[1] for s in sources], **copy.copy(options))
            self.connections.append(connection)
            here = connection(sources)
        for module in training:
            module.training = True


class Fitted:
    """What was resampled already: each source once per size, from the smallest version that serves."""

    def __init__(self) -> None:
        self._maps: dict[tuple[int, tuple[int, ...]], Tensor] = {}

    def get(self, connection: Connection, k: int, x: Tensor, size: tuple[int, ...]) -> Tensor:
        if tuple(x.shape[2:]) == size:
            return x
        if (k, size) not in self._maps:
            nested = (
                []
                if (connection.size, connection.resize) != ("smallest", "area")
                else [
                    t
                    for (kk, s), t in self._maps.items()
                    if kk == k
                    and all(b % a == 0 for a, b in zip(size, s, strict=True))
                    and all(b % a == 0 for a, b in zip(s, x.shape[2:], strict=True))
                ]
            )
            self._maps[k, size] = connection.fit(min(nested, key=Tensor.numel, default=x), size)
        return self._maps[k, size]


def _merge(connection: Connection, sources: Sequence[Scaled], fitted: Fitted) -> Scaled:
    """One connection over sources that may owe a factor; `fitted` remembers what was resampled already."""
    size = connection.target_size([s.x.shape[2:] for s in sources])
    maps = [fitted.get(connection, k, source.x, size) for k, source in enumerate(sources)]
    gates = connection.split_gates()
    if connection.merge in ("sum", "max"):
        owed = [g if s.scale is None else g * s.scale for g, s in zip(gates, sources, strict=True)]
        return Scaled(connection.join(maps, owed))
    scale = connection.expand([g if s.scale is None else g * s.scale for g, s in zip(gates, sources, strict=True)])
    joined = torch.cat(maps, 1)
    return Scaled(joined, scale) if connection.squeeze is None else Scaled(connection.squeezed(joined, scale))


def _try(lego: nn.Module, x: Tensor, name: str) -> Tensor:
    """The lego's output on blank maps; a misfit is told in one line."""
    try:
        out = lego(x)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"Supernet: {name} ({type(lego).__name__}) does not accept maps {tuple(x.shape[1:])}: {reason}"
        ) from error
    if not isinstance(out, Tensor) or out.dim() != x.dim() or out.shape[0] != x.shape[0]:
        raise ConfigError(
            f"Supernet: {name} ({type(lego).__name__}) must give one tensor (N, C, *spatial); wrap it in a module that does"
        )
    if min(out.shape) < 1:
        raise ConfigError(
            f"Supernet: {name} ({type(lego).__name__}) leaves nothing of maps {tuple(x.shape[1:])}; use fewer poolings or larger images"
        )
    return out
