"""Logarithms: of a number, of 1 + x, to bases 2 and 10, and of a pair as a pair.

Invariant: x = 2**k m with m from sqrt(1/2) to sqrt(2), so that k = 0 near 1 and nothing cancels;
log m = 2 artanh((m - 1)/(m + 1)). The short form's relative error is below 2**-57 (float32:
2**-27), the long form's, for float64 pairs, below 2**-65.
"""

from __future__ import annotations

import numpy as np

from slopewise._compile.math.coefficients import LOG_32, LOG_64, LOG_LONG
from slopewise._compile.math.exponential import constant_parts
from slopewise._compile.math.lanes import Lanes, fma, polynomial, select
from slopewise._compile.math.pairs import (
    Pair,
    add_pairs,
    divide_pairs,
    fast_two_sum,
    multiply_pairs,
    two_product,
    two_sum,
)  # fmt: skip
from slopewise._kernels import fixed_point

_ROOT_HALF = 0.7071067811865476


def split_exponent(x: Lanes, *, subnormal: bool = True) -> tuple[Lanes, Lanes, Lanes]:
    """Return k as a float, m, and the biased k as an integer, of positive finite numbers."""
    form = x.format
    shift = form.mantissa + 2
    offset: Lanes | float = form.magic + form.bias
    if subnormal:
        small = x < form.smallest_normal
        x = select(small, x * 2.0**shift, x)
        offset = select(small, x.number(form.magic + form.bias + shift), offset)
    root = form.bits_of(_ROOT_HALF)
    bits = x.bits() + (form.one - root)
    exponent = bits >> form.mantissa
    m = ((bits & ~form.top) + root).floats()
    return (exponent | form.magic_bits).floats() - offset, m, exponent


def log_short(k: Lanes | None, f: Lanes, low: Lanes | None = None) -> Pair:
    """Return k log 2 + log(1 + f + low) as a pair; a `low` is of the size of an ULP of 1 + f."""
    s = f / (2.0 + f)
    z = s * s
    series = z * polynomial(z, LOG_32 if f.single else LOG_64)
    half, half_error = two_product(0.5 * f, f)
    tail = fma(s, half + series, -half_error)
    if low is not None:
        tail = fma(low, fma(f, fma(f, 1.0 - f, -1.0), 1.0), tail)
    if k is None:
        high, error = fast_two_sum(f, -half)
        return high, error + tail
    bits = f.format.mantissa + 1
    first, second = fixed_point.floats(fixed_point.log_two(), bits - 12, bits)
    base, base_error = fast_two_sum(k * first, f)
    high, error = fast_two_sum(base, -half)
    return high, (error + base_error) + fma(k, second, tail)


def _log_plain(k: Lanes, f: Lanes, low: Lanes | None = None) -> Lanes:
    """Return k log 2 + log(1 + f + low), with fewer low parts than `log_short`: within 1 ULP."""
    s = f / (2.0 + f)
    z = s * s
    series = z * polynomial(z, LOG_32 if f.single else LOG_64)
    half = 0.5 * f * f
    bits = f.format.mantissa + 1
    first, second = fixed_point.floats(fixed_point.log_two(), bits - 12, bits)
    tail = fma(s, half + series, k * second)
    if low is not None:
        tail = fma(low, fma(f, fma(f, 1.0 - f, -1.0), 1.0), tail)
    return fma(k, first, f - (half - tail))


def _at_limits(x: Lanes, out: Lanes) -> Lanes:
    """Return a logarithm with its values at 0, below 0, at infinity and NaN put in."""
    out = select(x < np.inf, out, x)
    at_most_zero = select(x.equals(0.0), x.number(-np.inf), np.nan)
    return select(x <= 0.0, at_most_zero, out)


def log(x: Lanes) -> Lanes:
    """Emit the natural logarithm."""
    k, m, _ = split_exponent(x)
    return _at_limits(x, _log_plain(k, m - 1.0))


def log2(x: Lanes) -> Lanes:
    """Emit the logarithm to base 2, exact at powers of 2."""
    k, m, _ = split_exponent(x)
    high, low = log_short(None, m - 1.0)
    inverse = fixed_point.divide(fixed_point.ONE, fixed_point.log_two())
    first, second = constant_parts(inverse, x)
    product, error = two_product(high, first)
    error = fma(low, first, fma(high, second, error))
    total, rest = fast_two_sum(k, product)
    return _at_limits(x, total + (rest + error))


def log10(x: Lanes) -> Lanes:
    """Emit the logarithm to base 10."""
    k, m, _ = split_exponent(x)
    high, low = log_short(k, m - 1.0)
    ten = fixed_point.logarithm(fixed_point.fixed(10.0))
    first, second = constant_parts(fixed_point.divide(fixed_point.ONE, ten), x)
    product, error = two_product(high, first)
    return _at_limits(x, product + fma(low, first, fma(high, second, error)))


def log1p(x: Lanes) -> Lanes:
    """Emit log(1 + x)."""
    form = x.format
    total, error = two_sum(x, 1.0)
    k, m, exponent = split_exponent(total, subnormal=False)
    near = k.equals(0.0)
    scale = ((2 * form.bias + 1 - exponent) << form.mantissa).floats()
    f = select(near, x, m - 1.0)
    out = _log_plain(k, f, select(near, 0.0, 0.5 * error * scale))
    out = select(abs(x) < form.epsilon / 4, x, out)
    out = select(x < np.inf, out, x)
    at_most = select(x.equals(-1.0), x.number(-np.inf), np.nan)
    return select(x <= -1.0, at_most, out)


def log1p_of_pair(small: Pair) -> Pair:
    """Return log(1 + e) as a pair for a pair 0 <= e <= 1."""
    e, e_low = small
    upper = e > 0.41421356
    lowered, error = fast_two_sum(-1.0, e)
    f = select(upper, 0.5 * lowered, e)
    low = select(upper, 0.5 * (error + e_low), e_low)
    return log_short(select(upper, e.number(1.0), 0.0), f, low)


def log_pair(x: Lanes, low: Lanes | None = None) -> Pair:
    """Return the logarithm of a positive finite float64 (of a pair) as a pair, by the long form."""
    k, m, exponent = split_exponent(x)
    f: Pair = (m - 1.0, m.number(0.0))
    if low is not None:
        # `low` is left out for subnormal x, which have none; else x is m 2**k with this k.
        scale = ((2 * x.format.bias + 1 - exponent) << x.format.mantissa).floats()
        f = two_sum(f[0], 0.5 * low * scale)
    total, rest = fast_two_sum(2.0, f[0])
    t = divide_pairs(f, (total, rest + f[1]))
    t = fast_two_sum(*t)
    z, z_low = multiply_pairs(t, t)
    two_thirds = constant_parts(2 * fixed_point.ONE // 3, x)
    inner, inner_error = fast_two_sum(two_thirds[0], z * polynomial(z, LOG_LONG))
    series = multiply_pairs((z, z_low), (inner, inner_error + two_thirds[1]))
    cubic = multiply_pairs(t, series)
    logarithm = add_pairs((2.0 * t[0], 2.0 * t[1]), cubic)
    first, second = fixed_point.floats(fixed_point.log_two(), 41, 53)
    base = fast_two_sum(k * first, k * second)
    return add_pairs(base, logarithm)
