"""Inverse circular and hyperbolic functions, with the derivatives that need their own formula.

Invariant: every angle is that of a point whose coordinates are pairs, every inverse hyperbolic
function the logarithm of a pair; 1 - x**2 and the like are pairs too, so that nothing is lost near
branch points. All of it is float64: float32 is widened by the caller.
"""

from __future__ import annotations

import numpy as np

from slopewise._compile.math.coefficients import ATAN
from slopewise._compile.math.lanes import Lanes, fma, larger, polynomial, select, smaller
from slopewise._compile.math.logarithm import log_pair
from slopewise._compile.math.pairs import (
    Pair,
    add_pairs,
    divide_pairs,
    fast_two_sum,
    negated,
    quotient,
    root_pair,
    rounded,
    select_pair,
    square_plus,
    two_sum,
)  # fmt: skip
from slopewise._compile.math.powers import (
    LARGEST,
    binary_exponent,
    clip_integer,
    power_of_two,
)
from slopewise._kernels import fixed_point

# Above it 1 + x**2 and x**2 - 1 are x**2, to more than the bits of a float64.
_LARGE = 2.0**28


def _first_quadrant(y: Pair, x: Pair) -> Pair:
    """Return the angle of a point as a pair; x, y >= 0, not both 0, both within 2**+-500."""
    swap = y[0] > x[0]
    top, bottom = select_pair(swap, x, y), select_pair(swap, y, x)
    wide = top[0] > 0.4142 * bottom[0]
    turned = add_pairs(top, negated(bottom)), add_pairs(top, bottom)
    top, bottom = select_pair(wide, turned[0], top), select_pair(wide, turned[1], bottom)
    t, t_low = fast_two_sum(*divide_pairs(top, bottom))
    z = t * t
    change = fma(z * t, polynomial(z, ATAN), fma(-z, t_low, t_low))
    high, low = fixed_point.pair(fixed_point.pi() >> 2)
    base, base_low = select(wide, t.number(high), 0.0), select(wide, t.number(low), 0.0)
    total, rest = fast_two_sum(base, t)
    angle = fast_two_sum(total, rest + (base_low + change))
    return select_pair(swap, add_pairs((2.0 * high, 2.0 * low), negated(angle)), angle)


def atan(x: Lanes) -> Lanes:
    """Emit the arctangent."""
    zero, one = x.number(0.0), x.number(1.0)
    angle = rounded(_first_quadrant((abs(x).at_most(2.0**100), zero), (one, zero)))
    return select(abs(x) < 2.0**-28, x, angle.with_sign(x))


def atan2(y: Lanes, x: Lanes) -> Lanes:
    """Emit the angle of the point (x, y); the signs of zeros count."""
    zero = x.number(0.0)
    down, across = abs(y), abs(x)
    both = down.equals(np.inf) & across.equals(np.inf)
    largest = larger(down, across)
    # Both by one power of 2 to the middle of the range; the quotient may underflow.
    exponent = binary_exponent(smaller(largest, x.number(2.0**1000)))
    scale = power_of_two(0 - clip_integer(exponent, 1000))
    flat = largest.equals(0.0)
    top, bottom = select(both, 1.0, down * scale), select(both, 1.0, across * scale)
    bottom = select(flat, 1.0, bottom)
    tiny = top < bottom * 2.0**-60
    steep = bottom < top * 2.0**-60
    infinite = largest.equals(np.inf) & ~both
    wide_y = steep | (infinite & down.equals(np.inf))
    wide_x = tiny | (infinite & across.equals(np.inf))
    safe_top = select(wide_x | wide_y, 1.0, top)
    safe_bottom = select(wide_x | wide_y, 1.0, bottom)
    angle = _first_quadrant((safe_top, zero), (safe_bottom, zero))
    half = fixed_point.pair(fixed_point.pi() >> 1)
    ratio = select(flat, down, down / select(flat, 1.0, across))
    straight = select_pair(wide_x, (select(wide_x, ratio, 0.0), zero), half)
    angle = select_pair(wide_x | wide_y, straight, angle)
    back = (x.bits() >> 63).compare("!=", 0)
    turned = add_pairs((2.0 * half[0], 2.0 * half[1]), negated(angle))
    out = select(back, rounded(turned), rounded(angle))
    return select(x.is_nan() | y.is_nan(), x + y, out.with_sign(y))


def asin(x: Lanes) -> Lanes:
    """Emit the arcsine."""
    size = abs(x).at_most(1.0)
    cosine = _root_of_complement(size)
    angle = rounded(_first_quadrant((size, x.number(0.0)), cosine))
    out = select(size < 2.0**-28, x, angle.with_sign(x))
    return select(abs(x) <= 1.0, out, np.nan)


def acos(x: Lanes) -> Lanes:
    """Emit the arccosine."""
    size = abs(x).at_most(1.0)
    angle = _first_quadrant(_root_of_complement(size), (size, x.number(0.0)))
    half_turn = fixed_point.pair(fixed_point.pi())
    back = add_pairs(half_turn, negated(angle))
    out = select(x < 0.0, rounded(back), rounded(angle))
    return select(abs(x) <= 1.0, out, np.nan)


def _root_of_complement(size: Lanes) -> Pair:
    """Return sqrt(1 - x**2) as a pair."""
    high, low = square_plus(size, -1.0)
    root = root_pair((select(high < 0.0, -high, 1.0), -low))
    return select_pair(high < 0.0, root, (0.0, 0.0))


def asin_slope(x: Lanes) -> Lanes:
    """Emit 1/sqrt(1 - x**2)."""
    high, low = square_plus(abs(x).at_most(2.0 * _LARGE), -1.0)
    out = quotient((1.0, 0.0), root_pair((-high, -low)))
    return select(abs(x).equals(1.0), np.inf, out)


def acosh_slope(x: Lanes) -> Lanes:
    """Emit 1/sqrt(x**2 - 1); NaN below 1."""
    out = quotient((1.0, 0.0), root_pair(square_plus(abs(x).at_most(2.0 * _LARGE), -1.0)))
    out = select(x > _LARGE, 1.0 / x, out)
    out = select(x.equals(1.0), np.inf, out)
    return select(x < 1.0, np.nan, out)


def atan_slope(x: Lanes) -> Lanes:
    """Emit 1/(1 + x**2)."""
    size = abs(x)
    out = quotient((1.0, 0.0), square_plus(size.at_most(2.0 * _LARGE), 1.0))
    return select(size > _LARGE, 1.0 / x / x, out)


def atanh_slope(x: Lanes) -> Lanes:
    """Emit 1/(1 - x**2)."""
    size = abs(x)
    out = quotient((-1.0, 0.0), square_plus(size.at_most(2.0 * _LARGE), -1.0))
    out = select(size > _LARGE, -1.0 / x / x, out)
    return select(size.equals(1.0), np.inf, out)


def asinh(x: Lanes) -> Lanes:
    """Emit the inverse hyperbolic sine."""
    size = abs(x)
    clipped = size.at_most(_LARGE)
    root = root_pair(square_plus(clipped, 1.0))
    out = _log_of(size, add_pairs(root, (clipped, 0.0)))
    # The next term of the series is below 2**-60 there.
    near = fma(size * size, size * (-1.0 / 6.0), size)
    out = select(size < 2.0**-20, near, out)
    return select(size < 2.0**-28, x, out.with_sign(x))


def acosh(x: Lanes) -> Lanes:
    """Emit the inverse hyperbolic cosine; NaN below 1."""
    clipped = x.at_most(_LARGE)
    high, low = square_plus(clipped, -1.0)
    inside = high > 0.0
    root = root_pair((select(inside, high, 1.0), select(inside, low, 0.0)))
    out = _log_of(x, add_pairs(root, (clipped, 0.0)))
    out = select(x.equals(1.0), 0.0, out)
    return select(x < 1.0, np.nan, out)


def _log_of(x: Lanes, total: Pair) -> Lanes:
    """Return the logarithm of x + sqrt(x**2 +- 1), which is 2 x for large x."""
    large = x >= _LARGE
    logarithm = log_pair(
        select(large, x.at_most(LARGEST), total[0]), select(large, 0.0, total[1])
    )  # fmt: skip
    first, second = fixed_point.pair(fixed_point.log_two())
    addend = select(large, x.number(first), 0.0), select(large, x.number(second), 0.0)
    return select(x < np.inf, rounded(add_pairs(logarithm, addend)), x)


def atanh(x: Lanes) -> Lanes:
    """Emit the inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond."""
    size = abs(x)
    inside = size < 1.0
    safe = select(inside, size, 0.0)
    ratio = fast_two_sum(*divide_pairs(two_sum(safe, 1.0), two_sum(-safe, 1.0)))
    out = 0.5 * rounded(log_pair(*ratio))
    near = fma(size * size, size * (1.0 / 3.0), size)
    out = select(size < 2.0**-20, near, out)
    out = select(size < 2.0**-28, size, out).with_sign(x)
    edge = select(size.equals(1.0), (x * np.inf), np.nan)
    return select(inside, out, edge)
