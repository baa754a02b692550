"""Log-gamma, digamma and polygamma, for float64.

Invariant: the formulas and tables are those of the NumPy kernels: a Taylor series about the nearest
tabulated centre from 1/2 to a bound, an asymptotic series above it, the recurrence near 0 and the
reflection below -1/2, all as pairs.
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np

from slopewise._compile.math.angles import half_turn_pairs
from slopewise._compile.math.exponential import Power
from slopewise._compile.math.lanes import Lanes, fma, horner, larger, select, smaller
from slopewise._compile.math.logarithm import log_pair
from slopewise._compile.math.pairs import (
    Pair,
    add_number,
    add_pairs,
    divide_pairs,
    fast_two_sum,
    multiply_pairs,
    negated,
    rounded,
    select_pair,
    times_number,
    two_product,
    two_sum,
)  # fmt: skip
from slopewise._compile.math.powers import LARGEST, clip_integer, normal_parts
from slopewise._compile.math.tables import Rows
from slopewise._kernels import fixed_point
from slopewise._kernels.fixed_point import ONE
from slopewise._kernels.gamma_tables import (
    asymptotic_from,
    asymptotic_series,
    cotangent_derivative,
    taylor_table,
)

_FIRST_BITS = 1022 << 5
_HALF_STEP = 1 << 46


def _taylor_pair(order: int, x: Lanes, low: Lanes) -> Pair:
    """Return the function at x + low, 0.5 <= x <= the asymptotic bound, as a pair."""
    table: Any = taylor_table(order)
    row = ((x.bits() + _HALF_STEP) >> 47) - _FIRST_BITS
    rows = Rows(f"gamma_family{order + 1}", table.T, row)
    h = (x - rows.column(0)) + low
    series = horner(h, [rows.column(k) for k in range(5, len(table))])
    product, error = two_product(rows.column(4), h)
    total, more = two_sum(rows.column(3), product)
    tail = fma(h, fma(h, series, rows.column(2)), rows.column(1))
    return fast_two_sum(total, (error + more) + tail)


def _inverse_series(order: int, x: Lanes) -> Lanes:
    inverse = 1.0 / x
    square = inverse * inverse
    return square * horner(square, asymptotic_series(order))


def _joined(order: int, x: Lanes, low: Lanes, far: Any) -> Pair:
    """Return the function at x + low, x >= 0.5, by its series or by `far`, as a pair."""
    bound = asymptotic_from(order)
    near = _taylor_pair(order, smaller(x, x.number(bound)), low)
    return select_pair(x < bound, near, far(larger(x, x.number(bound)), low))


def _placed(x: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """Return x, x + 1 or 1 - x, whichever is above 0.5, with its low part, and the cases."""
    near_zero = abs(x) < 0.5
    reflected = x <= -0.5
    shifted, error = two_sum(select(reflected, -x, x), 1.0)
    moved = near_zero | reflected
    y = select(moved, shifted, x)
    return select(y >= 0.5, y, 1.0), select(moved, error, 0.0), near_zero, reflected


def _fraction(x: Lanes) -> Lanes:
    """Return x less the nearest integer, never 0 beside the integers."""
    return x - x.nearest()


def lgamma(x: Lanes) -> Lanes:
    """Emit log |gamma(x)|."""
    y, low, near_zero, reflected = _placed(x)
    big = y < 2.0**1000
    value = _joined(-1, select(big, y, 1.0), low, _lgamma_far)
    # Near 0 less log |x|; reflected log(pi/|sin pi x|) less the value at 1 - x.
    fraction = abs(_fraction(x))
    whole = fraction.equals(0.0)
    sine, _ = half_turn_pairs(select(whole, 0.5, fraction))
    half_turn = fixed_point.pair(fixed_point.pi())
    size = select(x.equals(0.0), 1.0, abs(x))
    ratio = fast_two_sum(*divide_pairs(half_turn, sine))
    plain = select(reflected, ratio[0], select(near_zero, size, 1.0))
    logarithm = log_pair(plain, select(reflected, ratio[1], 0.0))
    value = select_pair(reflected, negated(value), value)
    logarithm = select_pair(reflected, logarithm, negated(logarithm))
    out = rounded(add_pairs(value, logarithm))
    out = select((reflected & whole) | x.equals(0.0), np.inf, out)
    limit = rounded(log_pair(select(big, 2.0, y.at_most(LARGEST)))) - 1.0
    out = select(big, out, select(reflected, np.inf, x * limit))
    return select(x.is_nan(), x, select(abs(x).equals(np.inf), np.inf, out))


def _half_log_two_pi() -> tuple[float, float]:
    return fixed_point.pair(fixed_point.logarithm(2 * fixed_point.pi()) // 2)


def _lgamma_far(x: Lanes, low: Lanes) -> Pair:
    logarithm = log_pair(x)
    rest = add_number(logarithm, -1.0)
    total = add_pairs(times_number(rest, x), (-0.5 * logarithm[0], -0.5 * logarithm[1]))
    total = add_pairs(total, _half_log_two_pi())
    return total[0], total[1] + fma(low, logarithm[0], x * _inverse_series(-1, x))


def digamma(x: Lanes) -> Lanes:
    """Emit the derivative of log-gamma."""
    y, low, near_zero, reflected = _placed(x)
    value = _joined(0, y, low, _digamma_far)
    fraction = _fraction(x)
    whole = fraction.equals(0.0)
    sine, cosine = half_turn_pairs(select(whole, 0.5, fraction))
    # Near 0 less 1/x, reflected less pi cot(pi x): one division for both.
    top = multiply_pairs(cosine, fixed_point.pair(fixed_point.pi()))
    bottom = fast_two_sum(*sine)
    usual = abs(x) >= 1e-290
    own = select(near_zero & usual, x, 1.0), x.number(0.0)
    top = select_pair(reflected, top, (x.number(1.0), x.number(0.0)))
    pole = divide_pairs(top, select_pair(reflected, bottom, own))
    moved = near_zero | reflected
    pole = select_pair(moved, negated(pole), (0.0, 0.0))
    out = rounded(add_pairs(fast_two_sum(*pole), value))
    out = select(usual, out, -1.0 / x)
    out = select(reflected & whole, np.nan, out)
    return select(x.is_finite(), out, select(x < 0.0, np.nan, x))


def _digamma_far(x: Lanes, low: Lanes) -> Pair:
    high, error = log_pair(x.at_most(LARGEST))
    return fast_two_sum(high, error - ((0.5 - low) / x + _inverse_series(0, x)))


def _inverse_power(x: Lanes, n: int, factor: int) -> tuple[Pair, Lanes]:
    """Return factor/x**n as a pair and an exponent, for x not 0."""
    mantissa, exponent = normal_parts(abs(x))
    power = divide_pairs((1.0, 0.0), (mantissa.with_sign(x), x.number(0.0)))
    high, low = fixed_point.pair(factor * ONE)
    total: Pair = x.number(high), x.number(low)
    for bit in reversed(bin(n)[2:]):
        if bit == "1":
            total = multiply_pairs(total, power)
        power = multiply_pairs(power, power)
    return total, clip_integer(exponent * -n, 2040)


def polygamma(x: Lanes, n: int) -> Lanes:
    """Emit the n-th derivative of digamma, n >= 1."""
    sign = 1.0 if n % 2 else -1.0
    y, low, near_zero, reflected = _placed(x)
    bound = asymptotic_from(n)
    near = _taylor_pair(n, smaller(y, x.number(bound)), low)
    far, exponent = _far(n, larger(y, x.number(bound)).at_most(LARGEST), low)
    far_power = Power(exponent, x)
    alone = sign * far_power.times(rounded(far))  # rounded once, where it is subnormal
    scaled = sign * far_power.times(far[0]), sign * far_power.times(far[1])
    inside = y < bound
    value = select_pair(inside, near, scaled)

    fraction = _fraction(x)
    whole = fraction.equals(0.0)
    beside = select(near_zero, x, fraction)
    pole, pole_exponent = _inverse_power(
        select(beside.equals(0.0), 1.0, beside), n + 1, factorial(n)
    )  # fmt: skip
    pole_power = Power(pole_exponent, x)
    lead = sign * pole_power.times(rounded(pole))
    plain = sign * pole_power.times(pole[0]), sign * pole_power.times(pole[1])
    small = select(abs(lead) < 2.0**1000, rounded(add_pairs(plain, value)), lead)

    mirrored = _cotangent_part(select(whole, 0.5, fraction), n)
    other = (-sign * value[0], -sign * value[1])
    mirror = rounded(add_pairs(negated(mirrored), other))
    mirror = select(abs(fraction) < 2.0**-20, lead, mirror) if n > 1 else mirror
    mirror = select(whole, np.inf if n % 2 else np.nan, mirror)

    out = select(inside, rounded(value), alone)
    out = select(near_zero, small, out)
    out = select(reflected, mirror, out)
    at_zero = 1.0 / x
    at_zero = abs(at_zero) if n % 2 else -at_zero
    out = select(x.equals(0.0), at_zero, out)
    limit = select(x > 0.0, x.number(sign * 0.0), np.nan)
    return select(x.is_finite(), out, select(x.is_nan(), x, limit))


def _far(n: int, x: Lanes, low: Lanes) -> tuple[Pair, Lanes]:
    (high, error), exponent = _inverse_power(x, n, factorial(n - 1))
    small = (0.5 - low) * float(n) / x + _inverse_series(n, x)
    return fast_two_sum(high, fma(high, small, error)), exponent


def _cotangent_part(fraction: Lanes, n: int) -> Pair:
    """Return pi times the n-th derivative of cot(pi x), as a pair."""
    sine, cosine = half_turn_pairs(fraction)
    cotangent = fast_two_sum(*divide_pairs(cosine, fast_two_sum(*sine)))
    square = multiply_pairs(cotangent, cotangent)
    first, *rest = cotangent_derivative(n)
    value: Pair = fraction.number(first), fraction.number(0.0)
    for coefficient in rest:
        value = add_number(multiply_pairs(value, square), coefficient)
    if n % 2 == 0:
        value = multiply_pairs(value, cotangent)
    for _ in range(n + 1):
        value = multiply_pairs(value, fixed_point.pair(fixed_point.pi()))
    return value
