"""Powers, hypotenuses, and the derivatives that need their own formula, for float64.

Invariant: x**y is exp(y log x) with a logarithm of a relative error below 2**-65, so that the
power's stays below 2**-54 wherever it is finite. Scaling by powers of 2 keeps squares in range.
"""

from __future__ import annotations

import numpy as np

from slopewise._compile.math.exponential import Power, exp_pair
from slopewise._compile.math.lanes import Lanes, larger, select, smaller
from slopewise._compile.math.logarithm import log_pair
from slopewise._compile.math.pairs import (
    Pair,
    add_pairs,
    fast_two_sum,
    multiply_pairs,
    quotient,
    root_pair,
    times_number,
    two_product,
    two_sum,
)  # fmt: skip

LARGEST = float(np.finfo(np.float64).max)


def binary_exponent(x: Lanes) -> Lanes:
    """Return the exponent of the leading bit of a positive normal float64; -1023 for 0."""
    return ((x.bits() >> 52) & 0x7FF) - 1023


def power_of_two(exponent: Lanes) -> Lanes:
    """Return 2**k for -1023 < k < 1024."""
    return ((exponent + 1023) << 52).floats()


def clip_integer(x: Lanes, limit: int) -> Lanes:
    """Return integers kept within +-limit."""
    return Lanes(x.b, x.b.minimum(x.b.maximum(x.r, -limit), limit))


def normal_parts(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return positive x with its mantissa in [1, 2), and its exponent, for subnormal x too."""
    small = x < 2.0**-1022
    scaled = select(small, x * 2.0**54, x)
    exponent = binary_exponent(scaled)
    mantissa = ((scaled.bits() & ((1 << 52) - 1)) | (1023 << 52)).floats()
    return mantissa, select(small, exponent - 54, exponent)


def _parts(size: Lanes, y: Pair) -> tuple[Pair, Pair, Lanes]:
    """Return log x as a pair, and x**y as a pair and an integer whose low bits are its exponent."""
    logarithm = log_pair(size)
    high, low = multiply_pairs(y, logarithm)
    inside = abs(high) < 1400.0
    bits, power = exp_pair(high.at_most(1400.0).at_least(-1400.0), select(inside, low, 0.0))
    return logarithm, power, bits


def _integer_kind(y: Lanes) -> tuple[Lanes, Lanes]:
    """Return where y is an integer, and where it is an odd one."""
    half = 0.5 * y
    whole = y.nearest().equals(y)
    return whole, whole & half.nearest().compare("!=", half)


def pow(x: Lanes, y: Lanes) -> Lanes:
    """Emit x**y, with C's values at zeros, infinities and negative bases."""
    size = abs(x)
    plain = (size > 0.0) & (size < np.inf)
    limited = y.at_most(1e30).at_least(-1e30)
    _, power, bits = _parts(select(plain, size, 1.0), (limited, x.number(0.0)))
    value = Power(bits, x, rounder=True).times(power[0] + power[1])
    # At 0 and infinity by the sign of the exponent.
    vanishing = (size < 1.0).equals(y > 0.0)
    at_end = select(vanishing, x.number(0.0), np.inf)
    value = select(plain, value, at_end)
    whole, odd = _integer_kind(y)
    negative = (x.bits() >> 63).compare("!=", 0)
    value = select(negative & odd, -value, value)
    finite = x.is_finite() & (x < 0.0)
    value = select(finite & ~(whole | abs(y).equals(np.inf)), np.nan, value)
    # An infinite exponent: limited to 1e30 it gives 0, 1 or infinity as it should.
    value = select(x.is_nan() | y.is_nan(), x + y, value)
    return select(y.equals(0.0) | x.equals(1.0), 1.0, value)


def pow_base_slope(x: Lanes, y: Lanes) -> Lanes:
    """Emit the derivative of x**y by x, y x**(y - 1); 0 where y is 0."""
    size = abs(x)
    plain = (size > 0.0) & (size < np.inf) & y.is_finite() & y.compare("!=", 0.0)
    limited = select(plain, y.at_most(1e30).at_least(-1e30), 1.0)
    exponent = two_sum(limited, -1.0)
    _, power, bits = _parts(select(plain, size, 1.0), exponent)
    factor, factor_exponent = normal_parts(select(plain, abs(y), 1.0))
    high, low = multiply_pairs((factor, y.number(0.0)), power)
    k = bits - x.format.magic_bits
    # Far out the power is 0 or infinite, and stays so.
    far = Lanes(x.b, x.b.absolute(k.r)).compare(">", 1900)
    total = clip_integer(k + select(far, 0, factor_exponent), 2040)
    value = Power(total, x).times(high + low)
    whole, odd = _integer_kind(y)
    value = select((x < 0.0) & whole & ~odd, -value, value)
    value = select((x < 0.0) & ~whole, np.nan, value)
    value = value.with_sign(select(y < 0.0, -value, value))
    special = y * pow(x, y - 1.0)
    value = select(plain, value, special)
    return select(y.equals(0.0) & ~x.is_nan(), 0.0, value)


def pow_exponent_slope(x: Lanes, y: Lanes) -> Lanes:
    """Emit the derivative of x**y by y, x**y log x; NaN where x < 0."""
    plain = (x > 0.0) & (x < np.inf)
    limited = y.at_most(1e30).at_least(-1e30)
    logarithm, power, bits = _parts(select(plain, x, 1.0), (limited, x.number(0.0)))
    high, low = multiply_pairs(logarithm, power)
    value = Power(bits, x, rounder=True).times(high + low)
    end = select(x.equals(0.0), x.number(-np.inf), np.inf)
    positive = select(x.equals(0.0), y < 0.0, y > 0.0)
    vanishing = select(x.equals(0.0), y > 0.0, y < 0.0)
    limit = select(positive | y.equals(0.0), end, np.nan)
    _, odd = _integer_kind(y)
    negative = (x.bits() >> 63).compare("!=", 0)
    limit = select(negative & odd, -limit, limit)
    limit = select(vanishing, 0.0, limit)
    value = select(plain, value, select((x < 0.0) | x.is_nan(), np.nan, limit))
    return select(y.is_nan(), select(x.equals(1.0), 0.0, y), value)


def rsqrt_slope(x: Lanes) -> Lanes:
    """Emit the derivative of 1/sqrt(x), -x**(-3/2)/2."""
    plain = (x > 0.0) & (x < np.inf)
    mantissa, exponent = normal_parts(select(plain, x, 1.0))
    odd = exponent & 1
    mantissa = mantissa * (1.0 + odd.cast("float64"))
    root = root_pair((mantissa, x.number(0.0)))
    out = quotient((-0.5, 0.0), times_number(fast_two_sum(*root), mantissa))
    half = Lanes(x.b, x.b.shift_right_signed((exponent - odd).r, 1))
    out = Power(half * -3, x).times(out)
    special = -0.5 / x.sqrt() / abs(x)
    return select(plain, out, special)


def _square_sum(x: Lanes, y: Lanes) -> tuple[Pair, Lanes, Lanes]:
    """Return x**2 + y**2 of operands scaled by a power of 2, the power, and its inverse's half."""
    largest = larger(abs(x), abs(y))
    exponent = binary_exponent(smaller(largest, x.number(2.0**1000)))
    exponent = select(exponent.compare("<", -1000), -1000, exponent)
    scale = power_of_two(0 - exponent)
    a, b = x * scale, y * scale
    total = add_pairs(two_product(a, a), two_product(b, b))
    return total, scale, power_of_two(exponent)


def hypot(x: Lanes, y: Lanes) -> Lanes:
    """Emit sqrt(x**2 + y**2); infinite where one is, even where the other is NaN."""
    total, _, inverse = _square_sum(x, y)
    positive = total[0] > 0.0
    root = root_pair((select(positive, total[0], 1.0), total[1]))
    out = select(positive, (root[0] + root[1]) * inverse, 0.0)
    out = select(x.is_nan() | y.is_nan(), x + y, out)
    return select(abs(x).equals(np.inf) | abs(y).equals(np.inf), np.inf, out)


def hypot_slope(x: Lanes, y: Lanes) -> Lanes:
    """Emit the derivative of the hypotenuse by x, x/sqrt(x**2 + y**2); 0 at the origin."""
    total, scale, _ = _square_sum(x, y)
    positive = total[0] > 0.0
    root = root_pair((select(positive, total[0], 1.0), total[1]))
    # x is scaled by its own power, so that a subnormal quotient is rounded once.
    mantissa, exponent = normal_parts(select(x.equals(0.0), 1.0, abs(x)))
    ratio = quotient((mantissa, 0.0), fast_two_sum(*root))
    shift = clip_integer(exponent + binary_exponent(scale), 2040)
    out = Power(shift, x).times(ratio)
    out = select(x.equals(0.0), 0.0, out).with_sign(x)
    limit = select(y.is_finite(), x.number(1.0).with_sign(x), np.nan)
    limit = select(x.is_finite(), 0.0 * x, limit)
    out = select(x.is_finite() & y.is_finite(), out, limit)
    return select(x.is_nan() | y.is_nan(), x + y, out)


def atan2_slope(x: Lanes, y: Lanes) -> Lanes:
    """Emit x/(x**2 + y**2), the derivative of the angle of (x, y) by y."""
    total, scale, _ = _square_sum(x, y)
    flat = x.equals(0.0) & y.equals(0.0)
    mantissa, exponent = normal_parts(select(x.equals(0.0), 1.0, abs(x)))
    ratio = quotient((mantissa, 0.0), (select(flat, 1.0, total[0]), total[1]))
    shift = clip_integer(exponent + binary_exponent(scale) * 2, 2040)
    out = Power(shift, x).times(ratio)
    out = select(x.equals(0.0), 0.0, out).with_sign(x)
    out = select(flat, np.nan, out)
    out = select(x.is_finite() & y.is_finite(), out, x.number(0.0).with_sign(x))
    return select(x.is_nan() | y.is_nan(), x + y, out)
