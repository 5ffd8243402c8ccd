"""Double squares: the ways to write n = x^2 + y^2 with 0 <= x <= y."""

from __future__ import annotations

import sys
from os import PathLike
from pathlib import Path

from plexus.essays._error import EssayError, shown
from plexus.essays._factor import factors

LARGEST = 2**63 - 1
"""The largest n that is taken."""


def count(n: int) -> int:
    r"""How many pairs 0 <= x <= y have x^2 + y^2 = n; 1 for n = 0.

    .. math:: n = 2^t \prod p_i^{e_i} \prod q_j^{f_j}, \quad
        \mathrm{count}(n) = \left\lceil \tfrac12 \prod (e_i + 1) \right\rceil

    where the p leave 1 and the q leave 3 when divided by 4; 0 where any f is odd. Primes are searched for only until
    the first odd f.

    Args:
        n: 0 to 2^63 - 1.

    Returns:
        The exact number.

    Raises:
        EssayError: not an integer, negative or too large.

    Source:
        Jacobi 1829, Fundamenta nova theoriae functionum ellipticarum; Hardy and Wright, section 16.9.

    Example:
        >>> [count(n) for n in (0, 3, 25, 1105)]
        [1, 0, 2, 4]
    """
    n = _checked(n)
    if n == 0:
        return 1
    ways = 1
    n >>= (n & -n).bit_length() - 1
    if n % 4 == 3:  # then some f is odd
        return 0
    for prime, exponent in factors(n):
        if prime % 4 == 1:
            ways *= exponent + 1
        elif exponent % 2:
            return 0
    return (ways + 1) // 2


def pairs(n: int) -> list[tuple[int, int]]:
    """The pairs 0 <= x <= y with x^2 + y^2 = n, by x.

    Each prime that leaves 1 when divided by 4 is a sum of two squares in one way (Cornacchia's algorithm); products
    of the Gaussian integers x + iy and their conjugates give all ways for n.

    Args:
        n: 0 to 2^63 - 1.

    Returns:
        All pairs.

    Raises:
        EssayError: not an integer, negative or too large.

    Source:
        Cornacchia 1908; Cohen 1993, A Course in Computational Algebraic Number Theory, section 1.5.2.

    Example:
        >>> pairs(25)
        [(0, 5), (3, 4)]
    """
    n = _checked(n)
    if n == 0:
        return [(0, 0)]
    twos = (n & -n).bit_length() - 1
    odd = n >> twos
    if odd % 4 == 3:
        return []
    scale = 1 << twos // 2
    found = {(scale, scale if twos % 2 else 0)}
    for prime, exponent in factors(odd):
        if prime % 4 == 3:
            if exponent % 2:
                return []
            scale = prime ** (exponent // 2)
            found = {(a * scale, b * scale) for a, b in found}
        else:
            powers = _powers(prime, exponent)
            found = {_sorted(a * c - b * d, a * d + b * c) for a, b in found for c, d in powers} | {
                _sorted(a * c + b * d, a * d - b * c) for a, b in found for c, d in powers
            }
    return sorted(_sorted(*pair) for pair in found)


def count_file(path: str | PathLike[str]) -> list[tuple[int, int]]:
    """Count for each number of a file: first how many numbers follow, then the numbers.

    Args:
        path: the file; `-` is the standard input.

    Returns:
        Each number and its count, in the file's order.

    Raises:
        EssayError: the file cannot be read, is not text, or does not hold what its first number says.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w") as file:
        ...     print("3\\n25\\n3\\n0", file=file, flush=True)
        ...     count_file(file.name)
        [(25, 2), (3, 0), (0, 1)]
    """
    try:
        words = (sys.stdin.read() if str(path) == "-" else Path(path).read_text(encoding="utf-8")).split()
    except UnicodeDecodeError:
        raise EssayError(f"{path}: not a text file; expected how many numbers, then the numbers") from None
    except (OSError, ValueError) as error:
        raise EssayError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not words:
        raise EssayError(f"{path}: empty; expected how many numbers, then the numbers")
    first, *rest = (parse(word, where=f"{path}: ") for word in words)
    if first != len(rest):
        raise EssayError(f"{path}: its first number says {first} numbers, and {len(rest)} follow; correct it")
    return [(n, count(n)) for n in rest]


def parse(word: str, *, where: str = "") -> int:
    """An integer 0 to 2^63 - 1 as its digits say.

    Raises:
        EssayError: anything else.

    Example:
        >>> parse("25")
        25
    """
    if not (word.isascii() and word.removeprefix("-").isdigit()):
        raise EssayError(f"{where}{shown(word)} is not an integer; give a number from 0 to {LARGEST}")
    if len(word.lstrip("0")) > len(str(LARGEST)):
        raise EssayError(f"{where}{shown(word)} is out of range; give a number from 0 to {LARGEST}")
    try:
        return _checked(int(word))
    except EssayError as error:
        raise EssayError(f"{where}{error}") from None


def _checked(n: int) -> int:
    try:
        whole = n.__index__()
    except AttributeError:
        raise EssayError(f"{shown(n)} is not an integer; give a number from 0 to {LARGEST}") from None
    if not 0 <= whole <= LARGEST:
        raise EssayError(f"{shown(n)} is out of range; give a number from 0 to {LARGEST}")
    return whole


def _sorted(a: int, b: int) -> tuple[int, int]:
    a, b = abs(a), abs(b)
    return (a, b) if a <= b else (b, a)


def _powers(prime: int, exponent: int) -> set[tuple[int, int]]:
    """The Gaussian integers of norm prime^exponent, up to units and conjugates."""
    c, d = _cornacchia(prime)
    powers = [(1, 0)]
    for _ in range(exponent):
        a, b = powers[-1]
        powers.append((a * c - b * d, a * d + b * c))
    return {(a * prime**k, b * prime**k) for k in range(exponent // 2 + 1) for a, b in [powers[exponent - 2 * k]]}


def _cornacchia(prime: int) -> tuple[int, int]:
    """The one pair with a^2 + b^2 = prime, for a prime that leaves 1 when divided by 4."""
    base = 2
    while pow(base, (prime - 1) // 2, prime) != prime - 1:
        base += 1
    a, b = prime, pow(base, (prime - 1) // 4, prime)
    while b * b > prime:
        a, b = b, a % b
    return b, a % b
