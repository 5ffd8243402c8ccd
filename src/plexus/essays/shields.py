"""Shields and warriors: the largest X*Y that a sum of money buys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import gcd, isqrt, lcm

from plexus.essays import EssayError, quoted

LARGEST = 10**18
"""The largest numerator and denominator that are taken."""
STEPS = 10**7
"""The most numbers of shields that are looked at on each side; integers up to LARGEST never need a tenth of it."""

Money = int | str | Fraction


@dataclass(frozen=True)
class Army:
    """The best that the money buys, beside the notes' rule.

    Args:
        damage: the largest X*Y.
        pairs: every (X shields, Y warriors) that reaches it, by X; none where the money does not buy one of each.
        rule: the notes' pair, X = floor(M / 2G) and as many warriors as the rest buys.
        rule_damage: its X*Y.
    """

    damage: int
    pairs: tuple[tuple[int, int], ...]
    rule: tuple[int, int]
    rule_damage: int


def best(shield: Money, warrior: Money, money: Money) -> Army:
    r"""Find the exact optimum of X*Y under X*G + Y*W <= M in integers, with all pairs that reach it.

    .. math:: f(X) = X \left\lfloor \frac{M - XG}{W} \right\rfloor \le g(X) = X\,\frac{M - XG}{W}

    Proof sketch. Rationals are multiplied by a common denominator, then G and W are divided by their greatest common
    divisor h and M becomes floor(M/h): the same pairs are bought. Let G >= W (else exchange the names). At an optimum
    Y is what the rest buys, so only X is searched. g is a parabola with its peak at c = M/2G, so from floor(c) down
    and from there up g only falls: once g(X) is below the best f so far, no X further out reaches it, nor equals it.
    Both searches stop within min(W, sqrt(1 + MW/2G^2)) steps, or so:

    - X0 = floor(c) loses at most G/W to the peak for standing beside c, and at most X0 <= M/2G to rounding Y down; so
      g(X) >= f(X0) implies (X - c)^2 G/W <= G/W + M/2G.
    - Among any W neighbours one has X*G = M modulo W, as G and W have no common divisor; there f = g, and nothing
      further from c is better.

    W <= G bounds the first by sqrt(1 + M/2W); the smaller of the two never exceeds about M^(1/3): a million steps for
    M = 10^18.

    Args:
        shield: G > 0, what a shield costs: an integer, a Fraction or text such as "3/4".
        warrior: W > 0, what a warrior costs.
        money: M >= 0.

    Returns:
        The optimum, its pairs, and the notes' rule.

    Raises:
        EssayError: not a number, out of range, or fractions whose common denominator makes the search too long.

    Example:
        >>> best(1, 1, 5)
        Army(damage=6, pairs=((2, 3), (3, 2)), rule=(2, 3), rule_damage=6)
        >>> best("3/2", 1, 5).pairs
        ((2, 2),)
    """
    g, w, m = (_fraction(v, name) for v, name in ((shield, "shield"), (warrior, "warrior"), (money, "money")))
    if g == 0 or w == 0:
        raise EssayError(f"{'shield' if g == 0 else 'warrior'} costs 0, so nothing limits the damage; give a price")
    common = lcm(g.denominator, w.denominator, m.denominator)
    whole_g, whole_w, whole_m = int(g * common), int(w * common), int(m * common)
    shields = whole_m // (2 * whole_g)
    rule = (shields, (whole_m - shields * whole_g) // whole_w)
    divisor = gcd(whole_g, whole_w)
    whole_g, whole_w, whole_m = whole_g // divisor, whole_w // divisor, whole_m // divisor
    if whole_g >= whole_w:
        damage, optima = _search(whole_g, whole_w, whole_m)
    else:
        damage, optima = _search(whole_w, whole_g, whole_m)
        optima = [(x, y) for y, x in optima]
    return Army(damage, tuple(sorted(optima)), rule, rule[0] * rule[1])


def losses(how_many: int = 5, *, both: bool = False) -> list[tuple[int, int, int, Army]]:
    """List the smallest integer cases in which the notes' rule loses, by money, then price of a shield, of a warrior.

    Args:
        how_many: how many cases.
        both: only cases in which the rule buys at least one of each.

    Returns:
        (shield, warrior, money, army) for each.

    Raises:
        EssayError: ``how_many`` is not 1 to 1000.

    Example:
        >>> [(g, w, m) for g, w, m, army in losses(2)]
        [(2, 1, 3), (1, 3, 4)]
    """
    if not 1 <= how_many <= 1000:
        raise EssayError(f"how many cases must be 1 to 1000, not {how_many}")
    return list(islice(_losses(both), how_many))


def _losses(both: bool) -> Iterator[tuple[int, int, int, Army]]:
    money = 1
    while True:
        for shield in range(1, money):
            for warrior in range(1, money - shield + 1):
                army = best(shield, warrior, money)
                if army.rule_damage < army.damage and (army.rule_damage or not both):
                    yield shield, warrior, money, army
        money += 1


def _search(g: int, w: int, m: int) -> tuple[int, list[tuple[int, int]]]:
    """Find the optimum for coprime prices g >= w."""
    if m < g + w:
        return 0, []
    if min(w, isqrt(1 + m * w // (2 * g * g))) > STEPS:
        raise EssayError("these fractions have too large a common denominator for an exact search; use coarser ones")
    middle = max(1, m // (2 * g))
    most = 0
    optima: list[tuple[int, int]] = []
    for start, step in ((middle, -1), (middle + 1, 1)):
        x = start
        while 0 < x <= (m - w) // g and x * (m - x * g) >= most * w:
            y = (m - x * g) // w
            if x * y > most:
                most, optima = x * y, []
            if x * y == most:
                optima.append((x, y))
            x += step
    return most, optima


def _fraction(value: Money, name: str) -> Fraction:
    hint = "give an integer or a fraction such as 3/4"
    if isinstance(value, bool | float):
        raise EssayError(f"{name} {quoted(value)} is not exact; {hint}")
    if isinstance(value, str) and (len(value) > 80 or "e" in value.lower()):
        raise EssayError(f"{name} {quoted(value)} is not a number that is taken; {hint}")
    try:
        exact = Fraction(value)
    except (ValueError, TypeError, ZeroDivisionError):
        raise EssayError(f"{name} {quoted(value)} is not a number; {hint}") from None
    if exact < 0:
        raise EssayError(f"{name} must not be negative, and is {quoted(str(value))}")
    if max(exact.numerator, exact.denominator) > LARGEST:
        raise EssayError(f"{name} {quoted(str(value))} is out of range; numerator and denominator go up to 10^18")
    return exact
