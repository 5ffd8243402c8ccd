"""Fitness: why maximising 1/f does not minimise f, and maximising -f does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import differential_evolution

from plexus.essays import EssayError

Function = Callable[[float], float]


@dataclass(frozen=True)
class End:
    """The end of one search.

    Args:
        x: the place.
        fitness: there.
        evaluations: how often the fitness was asked for.
    """

    x: float
    fitness: float
    evaluations: int


def reciprocal(x: float) -> float:
    """Return the notes' first fitness, 1/x; positive infinity at 0, as seen from the right.

    Example:
        >>> reciprocal(0.5), reciprocal(-5)
        (2.0, -0.2)
    """
    return 1 / x if abs(x) > 1e-300 else (float("-inf") if x < 0 else float("inf"))


def negation(f: Function) -> Function:
    """Return -f, whose maxima are the minima of f, each in its place and in the same order.

    Args:
        f: the function to minimise.

    Example:
        >>> negation(lambda x: x)(-5.0)
        5.0
    """
    return lambda x: -f(x)


def maximise(f: Function, low: float = -5.0, high: float = 5.0, *, seed: int = 0, generations: int = 100) -> End:
    """Search for the largest f(x) on [low, high] by differential evolution, which minimises -f.

    Args:
        f: the fitness.
        low: where the interval begins.
        high: where it ends.
        seed: of the search.
        generations: how many, of 15 candidates each; they are not cut short.

    Returns:
        The fittest candidate that was met.

    Raises:
        EssayError: an interval that is none, or numbers out of range.

    Source:
        Storn and Price 1997, Differential evolution; the search is scipy's.

    Example:
        >>> round(maximise(negation(lambda x: (x - 2) ** 2)).x, 6)
        2.0
    """
    if not (np.isfinite([low, high]).all() and low < high and np.isfinite(high - low)):
        raise EssayError(f"the interval must have two finite ends, the lower one first, not {low} to {high}")
    if seed < 0:
        raise EssayError(f"the seed must be 0 or more, not {seed}")
    if not 1 <= generations <= 100_000:
        raise EssayError(f"generations go from 1 to 100000, not {generations}")
    met = End(low, float("-inf"), 0)

    def cost(x: np.ndarray) -> float:
        nonlocal met
        fitness = float(f(float(x[0])))
        if fitness > met.fitness:  # scipy reports the clipped cost, and of equals any
            met = End(float(x[0]), fitness, 0)
        # NaN loses, and infinity must not: the search takes differences of costs
        return float(np.clip(-fitness, -1e300, 1e300)) if fitness == fitness else 1e300

    with np.errstate(over="ignore", invalid="ignore"):  # scipy takes the spread of all costs, however large
        done = differential_evolution(
            cost, [(low, high)], maxiter=generations, popsize=15, tol=0, atol=-1, polish=False, rng=seed
        )
    return End(met.x, met.fitness, int(done.nfev))


def compare(seeds: int = 10, *, generations: int = 100) -> dict[str, list[End]]:
    """Minimise y = x on [-5, 5] by maximising 1/x, and by maximising -x.

    Args:
        seeds: how many searches of each, of seeds 0, 1, ...
        generations: of each.

    Returns:
        "1/x" and "-x": where each search ended, by seed.

    Raises:
        EssayError: numbers out of range.

    Example:
        >>> ends = compare(2)
        >>> all(0 <= end.x < 1e-6 for end in ends["1/x"]), [round(end.x, 3) for end in ends["-x"]]
        (True, [-5.0, -5.0])
    """
    if not 1 <= seeds <= 1000:
        raise EssayError(f"seeds must be 1 to 1000, not {seeds}")
    fitnesses: dict[str, Function] = {"1/x": reciprocal, "-x": negation(lambda x: x)}
    return {
        name: [maximise(f, seed=seed, generations=generations) for seed in range(seeds)]
        for name, f in fitnesses.items()
    }
