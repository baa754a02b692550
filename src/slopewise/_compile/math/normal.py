"""The error functions, the normal density, GELU and its derivative, for float64.

Invariant: the normal distribution's scaled tail comes from the table of the NumPy kernels as a
pair, e**(-z**2/2) from the square with its low part, and the power of 2 is multiplied in last.
"""

from __future__ import annotations

from typing import Any

from slopewise._compile.math.exponential import Power, exp_pair
from slopewise._compile.math.lanes import Lanes, fma, horner, select
from slopewise._compile.math.pairs import (
    Pair,
    add_pairs,
    fast_two_sum,
    multiply_pairs,
    times_number,
    two_product,
    two_sum,
)  # fmt: skip
from slopewise._compile.math.tables import Rows
from slopewise._kernels import fixed_point
from slopewise._kernels.fixed_point import ONE
from slopewise._kernels.normal_tail import tail_table

_FAR = 39.0
_FIRST_BITS = 1023 << 5
_HALF_STEP = 1 << 46


def _two_over_root_pi() -> tuple[float, float]:
    return fixed_point.pair(fixed_point.divide(2 * ONE, fixed_point.root(fixed_point.pi())))


def _inverse_root_two_pi() -> tuple[float, float]:
    return fixed_point.pair(fixed_point.divide(ONE, fixed_point.root(2 * fixed_point.pi())))


def _tail_pair(z: Lanes, low: Lanes | None = None) -> Pair:
    """Return exp(z**2/2) Q(z), 0 <= z <= 39, as a pair."""
    table: Any = tail_table()
    row = (((z + 1.0).bits() + _HALF_STEP) >> 47) - _FIRST_BITS
    rows = Rows("normal_tail", table.T, row)
    h = z - rows.column(0)
    if low is not None:
        h = h + low
    series = horner(h, [rows.column(i) for i in range(3, len(table))])
    high, rest = fast_two_sum(rows.column(2), h * series)
    return high, rest + rows.column(1)


def _bell(z: Lanes, factor: float) -> tuple[Lanes, Pair]:
    """Return e**(factor * z**2), for factor -1 or -1/2, as exponent bits and a pair."""
    square, error = two_product(z, z)
    return exp_pair(factor * square, factor * error)


def erf_slope(x: Lanes) -> Lanes:
    """Emit 2/sqrt(pi) e**(-x**2)."""
    bits, bell = _bell(abs(x).at_most(28.0), -1.0)
    high, low = multiply_pairs(bell, _two_over_root_pi())
    return Power(bits, x, rounder=True).times(high + low)


def normal_density(x: Lanes) -> Lanes:
    """Emit e**(-x**2/2)/sqrt(2 pi)."""
    bits, bell = _bell(abs(x).at_most(_FAR), -0.5)
    high, low = multiply_pairs(bell, _inverse_root_two_pi())
    return Power(bits, x, rounder=True).times(high + low)


def _erfc_pair(size: Lanes) -> tuple[Power, Pair]:
    """Return erfc(x) for 0 <= x <= 27.5 as a power of 2 and a pair."""
    bits, bell = _bell(size, -1.0)
    root_two = fixed_point.pair(fixed_point.root(2 * ONE))
    tail = _tail_pair(*times_number((size.number(root_two[0]), size.number(root_two[1])), size))
    return Power(bits + 1, size, rounder=True), multiply_pairs(tail, bell)


def erfc(x: Lanes) -> Lanes:
    """Emit 1 - erf(x)."""
    power, tail = _erfc_pair(abs(x).at_most(27.5))
    high, low = power.times(tail[0]), power.times(tail[1])
    total, error = fast_two_sum(2.0, -high)
    return select(x < 0.0, total + (error - low), power.times(tail[0] + tail[1]))


def erf(x: Lanes) -> Lanes:
    """Emit the error function."""
    size = abs(x)
    power, tail = _erfc_pair(size.at_most(7.0))
    high, low = power.times(tail[0]), power.times(tail[1])
    total, error = fast_two_sum(1.0, -high)
    far = total + (error - low)
    clipped = size.at_most(0.5)
    square = clipped * clipped
    series = horner(square, _erf_series())
    lead, lead_low = _two_over_root_pi()
    product, error = two_product(clipped, lead)
    # The error of a tiny product underflows; then the rounded product is all there is.
    error = select(size < 1e-280, 0.0, error)
    near = product + (error + fma(clipped, lead_low, clipped * square * series))
    return select(size < 0.5, near, far).with_sign(x)


def _erf_series() -> list[float]:
    """Return coefficients of erf(x)/x in x**2 from the second on."""
    lead = fixed_point.divide(2 * ONE, fixed_point.root(fixed_point.pi()))
    series: list[float] = []
    factorial = 1
    for n in range(1, 14):
        factorial *= -n
        series.append(lead // (factorial * (2 * n + 1)) / ONE)
    return series


def gelu(x: Lanes) -> Lanes:
    """Emit x times the normal distribution function."""
    z = abs(x).at_most(_FAR)
    bits, bell = _bell(z, -0.5)
    tail = multiply_pairs(_tail_pair(z), bell)
    power = Power(bits, x, rounder=True)
    below = times_number(tail, -z)
    high, low = power.times(tail[0]), power.times(tail[1])
    total, error = fast_two_sum(1.0, -high)
    product, rest = two_product(z, total)
    above = product + fma(z, error - low, rest)
    above = select(x >= _FAR, x, above)
    # The error of a tiny product underflows.
    above = select(z < 1e-280, 0.5 * x, above)
    below = select(z < 1e-280, 0.5 * x, power.times(below[0] + below[1]))
    return select(x.equals(0.0), x, select(x < 0.0, below, above))


def gelu_slope(x: Lanes) -> Lanes:
    """Emit the derivative of GELU, Phi(x) + x phi(x)."""
    z = abs(x).at_most(_FAR)
    # Phi(-z) - z phi(z) = e**(-z**2/2) (T(z) - z/sqrt(2 pi)), with its root near z = 0.75.
    first, second = _inverse_root_two_pi()
    lead = times_number((z.number(first), z.number(second)), -z)
    bits, bell = _bell(z, -0.5)
    left = multiply_pairs(add_pairs(_tail_pair(z), lead), bell)
    power = Power(bits, x, rounder=True)
    high, low = power.times(left[0]), power.times(left[1])
    total, error = two_sum(-high, 1.0)
    return select(x < 0.0, power.times(left[0] + left[1]), total + (error - low))
