"""Prime factors of integers below 2^64, found one at a time so that a caller may stop early."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, isqrt

_SMALL = tuple(p for p in range(2, 600) if all(p % q for q in range(2, isqrt(p) + 1)))
_BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_BATCH = 128


def is_prime(n: int) -> bool:
    """Whether n < 2^64 is prime: Miller and Rabin's test to twelve bases, which is exact there.

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


def _divisor(n: int) -> int:
    """A proper divisor of a composite n without small factors: Pollard's rho, as Brent runs it."""
    root = isqrt(n)
    if root * root == n:
        return root
    step = 0
    while True:
        step += 1
        y, product, reach, found = 2, 1, 1, 1
        x = start = y
        while found == 1:
            x = y
            for _ in range(reach):
                y = (y * y + step) % n
            done = 0
            while done < reach and found == 1:
                start = y
                for _ in range(min(_BATCH, reach - done)):
                    y = (y * y + step) % n
                    product = product * abs(x - y) % n
                found = gcd(product, n)
                done += _BATCH
            reach *= 2
        if found == n:
            found = 1
            while found == 1:
                start = (start * start + step) % n
                found = gcd(abs(x - start), n)
        if found != n:
            return found
