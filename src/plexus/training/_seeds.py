"""Seeds: of a training, of each of its steps, and of torch's own generators."""

from __future__ import annotations

import torch


def reduce_seed(seed: int) -> int:
    """Return a seed as torch takes it: any whole number, modulo 2^63.

    Args:
        seed: of any size.

    Example:
        >>> reduce_seed(7), reduce_seed(2**63 + 7)
        (7, 7)
    """
    return seed % 2**63


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return where the random numbers of a step start, apart for every step and every process.

    Args:
        seed: of the training.
        step: counted from the start of the cycle.
        rank: of the process.

    Example:
        >>> step_seed(0, 2), step_seed(0, 2, rank=1)
        (128, 129)
    """
    return reduce_seed((seed * 1_000_003 + step) * 64 + rank)


def seed_generators(seed: int) -> None:
    """Seed the global generators, as `torch.manual_seed` does, but in microseconds where there is no accelerator.

    torch 2.13 leaves the seed for CUDA, XPU and MTIA, too, whether or not they are there, each time with the formatted
    stack: a millisecond or more in every step.

    Args:
        seed: as torch takes it.

    Example:
        >>> seed_generators(0)
        >>> a = torch.rand(3)
        >>> torch.manual_seed(0).initial_seed(), torch.equal(torch.rand(3), a)
        (0, True)
    """
    torch.default_generator.manual_seed(seed)
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
