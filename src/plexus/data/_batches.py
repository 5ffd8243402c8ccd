"""Batches whose order is a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from plexus.data._arrays import Split
from plexus.errors import ConfigError


class EpochSampler(Sampler[int]):
    """Give the indices 0..n-1 of this process in an order that only ``(seed, epoch)`` decides.

    With several processes each takes every ``world``-th index of the same order, so that together they see each
    image once; where ``world`` does not divide n, the order's first indices come again to make equal shares.

    Args:
        n: the number of images.
        seed: chooses the sequence of orders.
        shuffle: False keeps 0..n-1 in every epoch.
        rank: this process.
        world: the number of processes.
        first: epochs of the same orders that came before; epoch 0 is the one after them.
        weights: draw with replacement instead, image i with a probability in proportion to weight i.

    Raises:
        ConfigError: no images, or a rank outside 0..world-1.

    Example:
        >>> sampler = EpochSampler(5, seed=0, shuffle=False, rank=1, world=2)
        >>> list(sampler)
        [1, 3, 0]
    """

    def __init__(
        self, n: int, seed: int, *, shuffle: bool = True, rank: int = 0, world: int = 1, first: int = 0,
        weights: NDArray[np.float64] | None = None,
    ) -> None:  # fmt: skip
        if n < 1:
            raise ConfigError(f"n={n}: there is nothing to sample")
        if not 0 <= rank < world:
            raise ConfigError(f"rank={rank} is outside 0..{world - 1}")
        self.n, self.seed, self.shuffle, self.rank, self.world = n, seed, shuffle, rank, world
        self.first, self.epoch = first, 0
        self.weights = None if weights is None else weights / weights.sum()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives; Lightning calls it before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Iterate over this process's indices of the current epoch."""
        order = np.arange(self.n)
        if self.shuffle:
            # torch's CPU generator keeps 32 bits of a seed, too few for both numbers; this one mixes all bits of both.
            sequence = np.random.SeedSequence(self.seed & (2**64 - 1), spawn_key=(self.first + self.epoch,))
            rng = np.random.default_rng(sequence)
            order = rng.permutation(self.n) if self.weights is None else rng.choice(self.n, self.n, p=self.weights)
        return iter(np.resize(order, len(self) * self.world)[self.rank :: self.world].tolist())

    def __len__(self) -> int:
        """Return the number of indices of each process."""
        return -(-self.n // self.world)


class _Rows(Dataset[tuple[Tensor, Tensor]]):
    """A split that hands over a whole batch by one indexing of each tensor."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.split.images[index], self.split.labels[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        rows = torch.tensor(indices)
        return self.split.images.index_select(0, rows), self.split.labels.index_select(0, rows)


def _as_it_is(batch: Any) -> Any:
    return batch


def loader(
    split: Split, batch_size: int, *, seed: int, shuffle: bool, rank: int = 0, world: int = 1, first: int = 0,
    weights: NDArray[np.float64] | None = None,
) -> DataLoader[tuple[Tensor, Tensor]]:  # fmt: skip
    """Return a loader of (uint8 images, int64 labels) batches in the order of `EpochSampler`.

    The loader already shares the images out over processes: give Lightning's Trainer
    ``use_distributed_sampler=False``. With several processes a few images come twice (see `EpochSampler`).

    Args:
        split: the images, (N, C, H, W).
        batch_size: images in a batch; the last one of an epoch may be smaller.
        seed: chooses the orders.
        shuffle: a new order every epoch, or always the split's own.
        rank: this process.
        world: the number of processes.
        first, weights: see `EpochSampler`.

    Raises:
        ConfigError: a batch size below 1, an empty split, or a rank outside 0..world-1.

    Example:
        >>> split = Split(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), torch.arange(5), tuple("abcde"))
        >>> [labels.tolist() for _, labels in loader(split, 2, seed=0, shuffle=False)]
        [[0, 1], [2, 3], [4]]
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}; expected 1 or more")
    sampler = EpochSampler(
        len(split), seed, shuffle=shuffle, rank=rank, world=world, first=first, weights=weights
    )  # fmt: skip
    # Every iteration draws a number for worker processes; its own generator keeps that from torch's global one.
    return DataLoader(_Rows(split), batch_size, sampler=sampler, collate_fn=_as_it_is, generator=torch.Generator())
