"""Pairs of floats that stand for their unevaluated sum, with fused multiply-adds.

Invariant: a pair `(high, low)` carries twice the bits of its dtype, and |low| is at most about an
ULP of `high`. Every product uses `fma` for its error, so nothing is split. It is separate because
all functions that keep low parts lean on it.
"""

from __future__ import annotations

from typing import TypeAlias

from slopewise._compile.math.lanes import Lanes, Operand, fma, select

Pair: TypeAlias = tuple[Lanes, Lanes]
AnyPair: TypeAlias = tuple[Operand, Operand]


def two_sum(a: Lanes, b: Operand) -> Pair:
    """Return the rounded sum and its error (Knuth, volume 2, section 4.2.2, theorem B)."""
    high = a + b
    part = high - a
    return high, (a - (high - part)) + (_lanes(high, b) - part)


def fast_two_sum(a: Operand, b: Lanes) -> Pair:
    """Return the rounded sum and its error, where |a| >= |b| or a is 0 (Dekker, 1971)."""
    high = _lanes(b, a) + b
    return high, b - (high - a)


def two_product(a: Lanes, b: Operand) -> Pair:
    """Return the rounded product and its error."""
    product = a * b
    return product, fma(a, b, -product)


def add_pairs(a: AnyPair, b: AnyPair) -> Pair:
    """Return the sum of two pairs; one high part at least is a register."""
    first, second = (a[0], b[0]) if isinstance(a[0], Lanes) else (b[0], a[0])
    assert isinstance(first, Lanes)
    high, low = two_sum(first, second)
    return fast_two_sum(high, low + _sum(high, a[1], b[1]))


def add_number(a: Pair, number: Operand) -> Pair:
    """Return a pair plus a number."""
    high, low = two_sum(a[0], number)
    return fast_two_sum(high, low + a[1])


def multiply_pairs(a: Pair, b: AnyPair) -> Pair:
    """Return the product of two pairs."""
    high, low = two_product(a[0], b[0])
    return fast_two_sum(high, fma(a[1], b[0], fma(a[0], b[1], low)))


def times_number(a: Pair, number: Operand) -> Pair:
    """Return a pair times a number."""
    high, low = two_product(a[0], number)
    return fast_two_sum(high, fma(a[1], number, low))


def divide_pairs(a: AnyPair, b: Pair) -> Pair:
    """Return the quotient of two pairs, not normalised, by one division."""
    inverse = 1.0 / b[0]
    quotient = inverse * a[0]
    rest = fma(-quotient, b[0], a[0])
    rest = fma(-quotient, b[1], rest + a[1])
    return quotient, rest * inverse


def quotient(a: AnyPair, b: Pair) -> Lanes:
    """Return the quotient of two pairs, rounded."""
    high, low = divide_pairs(a, b)
    return high + low


def root_pair(a: Pair) -> Pair:
    """Return the square root of a positive pair."""
    high = a[0].sqrt()
    rest = fma(-high, high, a[0]) + a[1]
    return high, rest / (high + high)


def square_plus(x: Lanes, addend: float) -> Pair:
    """Return x**2 + addend."""
    square, error = two_product(x, x)
    high, low = two_sum(square, addend)
    return fast_two_sum(high, low + error)


def negated(a: Pair) -> Pair:
    """Return minus a pair."""
    return -a[0], -a[1]


def rounded(a: Pair) -> Lanes:
    """Return the float nearest to a pair."""
    return a[0] + a[1]


def select_pair(condition: Lanes, a: AnyPair, b: AnyPair) -> Pair:
    """Return one pair where the condition holds, else the other; one of them has registers."""
    like = next(x for x in (*a, *b) if isinstance(x, Lanes))
    return (
        select(condition, _lanes(like, a[0]), b[0]),
        select(condition, _lanes(like, a[1]), b[1]),
    )


def _lanes(like: Lanes, x: Operand) -> Lanes:
    return x if isinstance(x, Lanes) else like.number(x)


def _sum(like: Lanes, x: Operand, y: Operand) -> Lanes:
    return _lanes(like, x) + y
