"""Double squares: the ways to write n = x^2 + y^2 with 0 <= x <= y."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import gcd, isqrt
from os import PathLike
from pathlib import Path

from plexus.essays import EssayError, quoted

LARGEST = 2**63 - 1
"""The largest n that is taken."""
_SMALL = tuple(p for p in range(2, 600) if all(p % q for q in range(2, isqrt(p) + 1)))
_BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_BATCH = 128  # steps of the search for a divisor between two greatest common divisors, which are dear


def count(n: int) -> int:
    r"""Count the pairs 0 <= x <= y with x^2 + y^2 = n; 1 for n = 0.

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
    """List the pairs 0 <= x <= y with x^2 + y^2 = n, by x.

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
    ways = {(scale, scale if twos % 2 else 0)}
    for prime, exponent in factors(odd):
        if prime % 4 == 3:
            if exponent % 2:
                return []
            scale = prime ** (exponent // 2)
            ways = {(a * scale, b * scale) for a, b in ways}
        else:
            powers = _powers(prime, exponent)
            # (a + bi) times (c + di), and times its conjugate
            ways = {_sorted(a * c - b * d, a * d + b * c) for a, b in ways for c, d in powers} | {
                _sorted(a * c + b * d, a * d - b * c) for a, b in ways for c, d in powers
            }
    return sorted(_sorted(*pair) for pair in ways)


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
    """Read an integer 0 to 2^63 - 1 from its digits.

    Args:
        word: the digits.
        where: put before a message.

    Raises:
        EssayError: anything else.

    Example:
        >>> parse("25")
        25
    """
    if not (word.isascii() and word.removeprefix("-").isdigit()):
        raise EssayError(f"{where}{quoted(word)} is not an integer; give a number from 0 to {LARGEST}")
    if len(word.lstrip("0")) > len(str(LARGEST)):
        raise EssayError(f"{where}{quoted(word)} is out of range; give a number from 0 to {LARGEST}")
    try:
        return _checked(int(word))
    except EssayError as error:
        raise EssayError(f"{where}{error}") from None


def is_prime(n: int) -> bool:
    """Tell whether n < 2^64 is prime: Miller and Rabin's test to twelve bases, which is exact there.

    Args:
        n: below 2^64.

    Source:
        Sorenson and Webster 2017, Strong pseudoprimes to twelve prime bases.

    Example:
        >>> is_prime(2**61 - 1), is_prime(3215031751)
        (True, False)
    """
    if n < 2:
        return False
    for p in _BASES:
        if n % p == 0:
            return n == p
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    odd = (n - 1) >> twos
    # Pomerance, Selfridge and Wagstaff 1980: fewer bases are exact for smaller n
    bases = _BASES[:4] if n < 3_215_031_751 else _BASES
    for base in bases:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def factors(n: int) -> Iterator[tuple[int, int]]:
    """Yield each prime factor of n > 0 once, with its exponent; small primes first, large ones in no order.

    They come one at a time, so that a caller may stop early.

    Args:
        n: 1 to 2^64 - 1.

    Source:
        Brent 1980, An improved Monte Carlo factorization algorithm.

    Example:
        >>> sorted(factors(2**63 - 1))
        [(7, 2), (73, 1), (127, 1), (337, 1), (92737, 1), (649657, 1)]
    """
    for p in _SMALL:
        if p * p > n:
            break
        if n % p == 0:
            exponent = 0
            while n % p == 0:
                n //= p
                exponent += 1
            yield p, exponent
    parts = [n] if n > 1 else []
    while parts:
        part = parts.pop()
        if part > _SMALL[-1] ** 2 and not is_prime(part):
            divisor = _divisor(part)
            parts += [divisor, part // divisor]
            continue
        exponent = 1
        for i, other in enumerate(parts):
            while other % part == 0:
                other //= part
                exponent += 1
            parts[i] = other
        parts = [other for other in parts if other > 1]
        yield part, exponent


def _checked(n: int) -> int:
    try:
        whole = n.__index__()
    except AttributeError:
        raise EssayError(f"{quoted(n)} is not an integer; give a number from 0 to {LARGEST}") from None
    if not 0 <= whole <= LARGEST:
        raise EssayError(f"{quoted(n)} is out of range; give a number from 0 to {LARGEST}")
    return whole


def _sorted(a: int, b: int) -> tuple[int, int]:
    a, b = abs(a), abs(b)
    return (a, b) if a <= b else (b, a)


def _powers(prime: int, exponent: int) -> set[tuple[int, int]]:
    """Return the Gaussian integers of norm prime^exponent, up to units and conjugates."""
    c, d = _cornacchia(prime)
    powers = [(1, 0)]
    for _ in range(exponent):
        a, b = powers[-1]
        powers.append((a * c - b * d, a * d + b * c))
    return {(a * prime**k, b * prime**k) for k in range(exponent // 2 + 1) for a, b in [powers[exponent - 2 * k]]}


def _cornacchia(prime: int) -> tuple[int, int]:
    """Return the one pair with a^2 + b^2 = prime, for a prime that leaves 1 when divided by 4."""
    base = 2
    while pow(base, (prime - 1) // 2, prime) != prime - 1:
        base += 1
    a, b = prime, pow(base, (prime - 1) // 4, prime)
    while b * b > prime:
        a, b = b, a % b
    return b, a % b


def _divisor(n: int) -> int:
    """Find a proper divisor of a composite n without small factors: Pollard's rho, as Brent runs it."""
    root = isqrt(n)  # a square of a prime is where the search would not end
    if root * root == n:
        return root
    step = 0
    while True:
        step += 1
        y, product, reach, divisor = 2, 1, 1, 1
        x = start = y
        while divisor == 1:
            x = y
            for _ in range(reach):
                y = (y * y + step) % n
            done = 0
            while done < reach and divisor == 1:
                start = y
                for _ in range(min(_BATCH, reach - done)):
                    y = (y * y + step) % n
                    product = product * abs(x - y) % n
                divisor = gcd(product, n)
                done += _BATCH
            reach *= 2
        if divisor == n:  # several divisors met within one batch: go through it again, step by step
            divisor = 1
            while divisor == 1:
                start = (start * start + step) % n
                divisor = gcd(abs(x - start), n)
        if divisor != n:
            return divisor
