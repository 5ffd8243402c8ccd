"""Double squares by factorisation beside the notes' loop, compiled.

Command: python benchmarks/essays.py [--rounds N] [--out FILE]
Targets: 100 numbers at 2147483647, one call each, at least 20 times faster than a Numba port of the notes' loop
(corrected, so that both count the same) in the same process, medians after a warm-up; 1,000 random 60-bit numbers in
under 5 s. 2147483647 leaves 3 when divided by 4, so a factorisation has nothing to do; therefore also: the 100 numbers
just below it that leave 1 or 2, which have to be factored. No result is kept between calls. Then the same numbers
factored wholly, by plexus's own method and by sympy's.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from numba import njit
from sympy import factorint

from plexus.essays.squares import count, factors, pairs

LARGEST = 2147483647


@njit
def loop(n: int) -> int:
    found = 0
    for x in range(int(math.sqrt(n / 2)) + 1):
        y = math.sqrt(n - x * x)
        if math.floor(y) == y:
            found += 1
    return found


def timed(work: Callable[[int], object], numbers: list[int]) -> float:
    start = time.perf_counter()
    for n in numbers:
        work(n)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="how often both are timed, in turn")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "essays.json")
    arguments = parser.parse_args()

    result: dict[str, object] = {"rounds": arguments.rounds}
    below = [n for n in range(LARGEST, LARGEST - 1000, -1) if n % 4 in (1, 2)]
    sets = {"at 2147483647": [LARGEST] * 100, "distinct, 1 or 2 modulo 4": below[:100]}
    for name, numbers in sets.items():
        assert [count(n) for n in numbers] == [loop(n) for n in numbers]
        times = [(timed(loop, numbers), timed(count, numbers)) for _ in range(arguments.rounds)]
        notes, ours = (statistics.median(column) for column in zip(*times, strict=True))
        result[name] = {
            "loop_ms": round(1e3 * notes, 4),
            "count_ms": round(1e3 * ours, 4),
            "ratio": round(notes / ours, 1),
        }

    draw = random.Random(0)
    large = [draw.randrange(2**59, 2**60) for _ in range(1000)]
    hard = [math.prod(_prime(draw) for _ in range(2)) for _ in range(100)]
    for name, numbers in {"1,000 random 60-bit": large, "100 products of two 30-bit primes": hard}.items():
        work = {"count": count, "pairs": pairs, "factors": lambda n: list(factors(n)), "sympy": factorint}
        result[name] = {f"{kind}_s": round(timed(call, numbers), 4) for kind, call in work.items()}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def _prime(draw: random.Random) -> int:
    """A 30-bit prime that leaves 1 when divided by 4."""
    while True:
        n = 4 * draw.randrange(2**27, 2**28) + 1
        if list(factors(n)) == [(n, 1)]:
            return n


if __name__ == "__main__":
    main()
