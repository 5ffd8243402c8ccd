"""The order of batches is a pure function of seed and epoch, shared out evenly over processes."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plexus.data import EpochSampler, Split, loader
from plexus.errors import ConfigError


def order(n: int = 50, seed: int = 0, epoch: int = 0) -> list[int]:
    sampler = EpochSampler(n, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_an_epoch_is_a_permutation() -> None:
    assert sorted(order()) == list(range(50))
    assert order() != list(range(50))


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    sampler = EpochSampler(50, 7)
    for epoch in (3, 1, 3):
        sampler.set_epoch(epoch)
        torch.rand(5)
        assert list(sampler) == list(sampler) == order(seed=7, epoch=epoch)
    orders = {tuple(order(seed=seed, epoch=epoch)) for seed in (0, 1, 2**32, 2**40, -1) for epoch in range(4)}
    assert len(orders) == 20


def test_without_shuffle_the_order_stays() -> None:
    sampler = EpochSampler(5, 0, shuffle=False)
    sampler.set_epoch(3)
    assert list(sampler) == [0, 1, 2, 3, 4]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3), st.booleans())
def test_processes_share_one_order_evenly(n: int, world: int, epoch: int, shuffle: bool) -> None:
    whole = EpochSampler(n, 1, shuffle=shuffle)
    samplers = [EpochSampler(n, 1, shuffle=shuffle, rank=rank, world=world) for rank in range(world)]
    for sampler in (whole, *samplers):
        sampler.set_epoch(epoch)
    shares = [list(sampler) for sampler in samplers]
    assert [len(share) for share in shares] == [len(sampler) for sampler in samplers] == [-(-n // world)] * world
    turns = [index for turn in zip(*shares, strict=True) for index in turn]
    assert turns[:n] == list(whole)
    assert turns[n:] == [turns[i % n] for i in range(n, len(turns))]


@pytest.mark.parametrize(("n", "rank", "world"), [(0, 0, 1), (5, 1, 1), (5, -1, 2), (5, 0, 0)])
def test_wrong_shares_are_refused(n: int, rank: int, world: int) -> None:
    with pytest.raises(ConfigError):
        EpochSampler(n, 0, rank=rank, world=world)


SPLIT = Split(
    torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 3, 4, 4).contiguous(),
    torch.arange(10) * 10,
    tuple(f"row {i}" for i in range(10)),
)


def test_batches_hold_the_images_of_the_order_with_their_labels() -> None:
    batches = loader(SPLIT, 4, seed=3, shuffle=True)
    assert len(batches) == 3
    sampler = batches.sampler
    assert isinstance(sampler, EpochSampler)
    sampler.set_epoch(2)
    seen = list(batches)
    assert [len(labels) for _, labels in seen] == [4, 4, 2]
    assert [(images.dtype, tuple(images.shape[1:])) for images, _ in seen] == [(torch.uint8, (3, 4, 4))] * 3
    assert torch.cat([images[:, 0, 0, 0] for images, _ in seen]).tolist() == order(10, 3, 2)
    assert torch.cat([labels for _, labels in seen]).tolist() == [10 * i for i in order(10, 3, 2)]


def test_loaders_of_two_processes_share_the_split() -> None:
    shares = [loader(SPLIT, 3, seed=3, shuffle=True, rank=rank, world=2) for rank in (0, 1)]
    labels = [torch.cat([labels for _, labels in share]).tolist() for share in shares]
    assert sorted(labels[0] + labels[1]) == SPLIT.labels.tolist()


def test_loading_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    list(loader(SPLIT, 4, seed=0, shuffle=True))
    assert torch.get_rng_state().equal(state)


def test_a_batch_is_a_copy() -> None:
    images, _ = next(iter(loader(SPLIT, 10, seed=0, shuffle=False)))
    images.zero_()
    assert SPLIT.images[9].max() == 9


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size=0"):
        loader(SPLIT, 0, seed=0, shuffle=False)


def test_weights_draw_with_replacement_in_their_proportion() -> None:
    weights = np.repeat([9.0, 1.0], [100, 900])
    drawn = np.concatenate([_epoch(EpochSampler(1000, seed=0, weights=weights), epoch) for epoch in range(20)])
    assert abs((drawn < 100).mean() - 0.5) < 0.02
    one = EpochSampler(1000, seed=0, weights=weights)
    assert _epoch(one, 3).tolist() == _epoch(EpochSampler(1000, seed=0, weights=weights * 7), 3).tolist()


def _epoch(sampler: EpochSampler, epoch: int) -> Any:
    sampler.set_epoch(epoch)
    return np.array(list(sampler))
