"""log-gamma, digamma, trigamma and polygamma, on the whole real line.

Invariant: each result is near correctly rounded, and near a root its error is that of far less than
half an ULP of the operand. Four regions: a table of Taylor series, the asymptotic series beyond it,
the recurrence f(1 + x) - f(x) around 0, and the reflection formula below -0.5. Sums of regions are
sums of pairs, since they cancel.
"""

from __future__ import annotations

from functools import cache
from math import factorial
from typing import Any

import numpy as np

from slopewise._kernels import fixed_point
from slopewise._kernels.angles import half_turn_pairs
from slopewise._kernels.blocks import apply, patch, select
from slopewise._kernels.double_double import (
    Block,
    Pair,
    add_pairs,
    divide_pairs,
    fast_two_sum,
    multiply_pairs,
    rounded,
    two_product,
    two_sum,
)
from slopewise._kernels.exponent_pairs import log_pair, scale, scale_pair
from slopewise._kernels.fixed_point import ONE
from slopewise._kernels.gamma_tables import (
    asymptotic_from,
    asymptotic_series,
    cotangent_derivative,
    taylor_table,
)

_FIRST_BITS = 1022 << 5  # row 0 of the table stands for 0.5
_HALF_STEP = 1 << 46
_LARGEST_ORDER = 100


def lgamma(x: Any) -> Any:
    """Return the logarithm of the absolute value of the gamma function.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape
        inf at 0, at negative integers and at both infinities.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Source
    ------
    M. Abramowitz and I. Stegun, 1964, equations 6.1.17, 6.1.33 and 6.1.41.

    Examples
    --------
    >>> float(lgamma(np.float64(0.5)))
    0.5723649429247001
    """
    return apply(_lgamma, x)


def digamma(x: Any) -> Any:
    """Return the derivative of log-gamma, psi(x).

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape
        -inf at 0, inf at -0.0, NaN at negative integers, where both sides differ.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Source
    ------
    M. Abramowitz and I. Stegun, 1964, equations 6.3.5, 6.3.7 and 6.3.18.

    Examples
    --------
    >>> float(digamma(np.float64(1.0)))
    -0.5772156649015329
    """
    return apply(_digamma, x)


def trigamma(x: Any) -> Any:
    """Return the second derivative of log-gamma, which is `polygamma` of order 1.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape
        inf at 0 and at negative integers.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> float(trigamma(np.float64(1.0)))
    1.6449340668482264
    """
    return polygamma(1, x)


def polygamma(n: int, x: Any) -> Any:
    """Return the n-th derivative of digamma.

    Parameters
    ----------
    n : int
        The order, 0 to 100; 0 is digamma.
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the dtype and shape of `x`
        At a pole: the infinity that both sides have for odd n, else NaN, and at 0 the infinity of
        the zero's sign.

    Raises
    ------
    TypeError
        If the dtype of `x` is neither float32 nor float64.
    ValueError
        If the order is not from 0 to 100.

    Source
    ------
    M. Abramowitz and I. Stegun, 1964, equations 6.4.6, 6.4.7, 6.4.10 and 6.4.11.

    Examples
    --------
    >>> float(polygamma(2, np.float64(1.0)))
    -2.4041138063191885
    """
    if n == 0:
        return digamma(x)
    if n != int(n) or not 0 < n <= _LARGEST_ORDER:
        raise ValueError(
            f"polygamma: the order n is {n}, and must be a whole number from 0 to "
            f"{_LARGEST_ORDER}; the operand x comes second: polygamma(n, x)"
        )
    return apply(_polygamma_core(int(n)), x)


def _taylor_pair(order: int, x: Block, low: Block = 0.0) -> Pair:
    """Return the function at x + low, 0.5 <= x <= asymptotic_from(order), from its table."""
    table = taylor_table(order)
    row = ((x.view(np.int64) + _HALF_STEP) >> 47) - _FIRST_BITS
    h = (x - table[0].take(row, mode="clip")) + low
    series = table[-1].take(row, mode="clip")
    for k in range(len(table) - 2, 4, -1):
        series = series * h + table[k].take(row, mode="clip")
    lead, lead_low = table[3].take(row, mode="clip"), table[1].take(row, mode="clip")
    slope, slope_low = table[4].take(row, mode="clip"), table[2].take(row, mode="clip")
    product, error = two_product(slope, h)
    total, more = two_sum(lead, product)
    return total, (error + more) + (lead_low + h * (slope_low + h * series))


def _inverse_series(order: int, x: Block) -> Block:
    """Return the asymptotic series' part in 1/x**2, 1/x**4, ..."""
    inverse = 1.0 / x
    square = inverse * inverse
    first, *rest = reversed(asymptotic_series(order))
    series = first * square
    for coefficient in rest:
        series = (series + coefficient) * square
    return series


@cache
def _half_log_two_pi() -> Pair:
    return fixed_point.pair(fixed_point.logarithm(2 * fixed_point.pi()) // 2)


def _lgamma_asymptotic(x: Block, low: Block = 0.0) -> Pair:
    logarithm = log_pair(x)
    # x (log x - 1) - (log x)/2 + log(2 pi)/2 + ...; scaled, so that splitting does not overflow.
    rest = add_pairs(logarithm, (-1.0, 0.0))
    high, error = multiply_pairs((x * 2.0**-64, 0.0), rest)
    total = add_pairs((high * 2.0**64, error * 2.0**64), (-0.5 * logarithm[0], -0.5 * logarithm[1]))
    total = add_pairs(total, _half_log_two_pi())
    return total[0], total[1] + (x * _inverse_series(-1, x) + low * logarithm[0])


def _lgamma_pair(x: Block, low: Block) -> Pair:
    bound = asymptotic_from(-1)
    near = _taylor_pair(-1, np.minimum(x, bound), low)
    far = _lgamma_asymptotic(np.maximum(x, bound), low)
    inside = x < bound
    return select(inside, near[0], far[0]), select(inside, near[1], far[1])


def _lgamma(x: Block) -> Block:
    out = rounded(_taylor_pair(-1, x))
    out = patch(out, x >= asymptotic_from(-1), lambda x: rounded(_lgamma_asymptotic(x)), x)
    out = patch(out, abs(x) < 0.5, _lgamma_near_zero, x)
    out = patch(out, x <= -0.5, _lgamma_reflected, x)
    # From 2**1000 on only the lead counts, and it may overflow.
    return patch(out, ~(abs(x) < 2.0**1000) | (x == 0.0), _lgamma_limit, x)


def _lgamma_limit(x: Block) -> Block:
    above = select(x > 0.0, x * (np.log(abs(x)) - 1.0), np.inf)
    return select(np.isnan(x), x, above)


def _lgamma_near_zero(x: Block) -> Block:
    high, low = log_pair(abs(x))
    return rounded(add_pairs(_taylor_pair(-1, *two_sum(1.0, x)), (-high, -low)))


def _lgamma_reflected(x: Block) -> Block:
    # log|Gamma(x)| = log pi - log|sin(pi x)| - log Gamma(1 - x)
    fraction = x - np.rint(x)
    sine, _ = half_turn_pairs(abs(fraction))
    ratio = divide_pairs(fixed_point.pair(fixed_point.pi()), sine)
    high, low = _lgamma_pair(*two_sum(1.0, -x))
    out = rounded(add_pairs(log_pair(*ratio), (-high, -low)))
    return select(fraction == 0.0, np.inf, out)


def _digamma_asymptotic(x: Block, low: Block = 0.0) -> Pair:
    high, error = log_pair(x)
    return fast_two_sum(high, error - ((0.5 - low) / x + _inverse_series(0, x)))


def _digamma_pair(x: Block, low: Block) -> Pair:
    bound = asymptotic_from(0)
    near = _taylor_pair(0, np.minimum(x, bound), low)
    far = _digamma_asymptotic(np.maximum(x, bound), low)
    inside = x < bound
    return select(inside, near[0], far[0]), select(inside, near[1], far[1])


def _digamma(x: Block) -> Block:
    out = rounded(_taylor_pair(0, x))
    out = patch(out, x >= asymptotic_from(0), lambda x: rounded(_digamma_asymptotic(x)), x)
    out = patch(out, abs(x) < 0.5, _digamma_near_zero, x)
    out = patch(out, x <= -0.5, _digamma_reflected, x)
    return patch(out, ~np.isfinite(x), lambda x: select(x < 0.0, np.nan, x), x)


def _digamma_near_zero(x: Block) -> Block:
    inverse, error = divide_pairs((1.0, 0.0), (x, 0.0))
    out = rounded(add_pairs(_taylor_pair(0, *two_sum(1.0, x)), (-inverse, -error)))
    return select(abs(x) < 1e-290, -1.0 / x, out)


def _digamma_reflected(x: Block) -> Block:
    # psi(x) = psi(1 - x) - pi cot(pi x)
    fraction = x - np.rint(x)
    sine, cosine = half_turn_pairs(fraction)
    cotangent = divide_pairs(cosine, sine)
    high, low = multiply_pairs(cotangent, fixed_point.pair(fixed_point.pi()))
    out = rounded(add_pairs(_digamma_pair(*two_sum(1.0, -x)), (-high, -low)))
    return select(fraction == 0.0, np.nan, out)


def _inverse_power(x: Block, n: int, factor: int) -> tuple[Pair, Block]:
    """Return factor / x**n as a pair and a power of two."""
    mantissa, exponent = np.frexp(x)
    power = divide_pairs((1.0, 0.0), (mantissa, 0.0))
    total: Pair = fixed_point.pair(factor * ONE)
    for bit in reversed(bin(n)[2:]):
        if bit == "1":
            total = multiply_pairs(total, power)
        power = multiply_pairs(power, power)
    # Past the largest exponent the high part is inf; the low one must stay finite.
    return total, np.minimum(-n * exponent.astype(np.int64), 1100)


def _polygamma_asymptotic(n: int, x: Block, low: Block = 0.0) -> tuple[Pair, Block]:
    (high, error), exponent = _inverse_power(x, n, factorial(n - 1))
    small = (0.5 - low) * n / x + _inverse_series(n, x)
    return fast_two_sum(high, error + high * small), exponent


@cache
def _polygamma_core(n: int) -> Any:
    sign = 1.0 if n % 2 else -1.0
    bound = asymptotic_from(n)

    def asymptotic(x: Block) -> Block:
        pair, exponent = _polygamma_asymptotic(n, x)
        return sign * scale_pair(pair, exponent)

    def near_zero(x: Block) -> Block:
        (high, low), exponent = _inverse_power(x, n + 1, factorial(n))
        rest = rounded(_taylor_pair(n, *two_sum(1.0, x)))
        return sign * scale(high, exponent) + (rest + sign * scale(low, exponent))

    def reflected(x: Block) -> Block:
        # psi_n(x) = (-1)**n psi_n(1 - x) - pi (d/dx)**n cot(pi x)
        fraction = x - np.rint(x)
        sine, cosine = half_turn_pairs(fraction)
        cotangent = divide_pairs(cosine, sine)
        square = multiply_pairs(cotangent, cotangent)
        first, *rest = cotangent_derivative(n)
        value: Pair = (first * np.ones_like(x), 0.0 * x)
        for coefficient in rest:
            value = add_pairs(multiply_pairs(value, square), (coefficient, 0.0))
        if n % 2 == 0:
            value = multiply_pairs(value, cotangent)
        half_turn = fixed_point.pair(fixed_point.pi())
        for _ in range(n + 1):
            value = multiply_pairs(value, half_turn)

        y, low = two_sum(1.0, -x)
        near = _taylor_pair(n, np.minimum(y, bound), low)
        (high, error), exponent = _polygamma_asymptotic(n, np.maximum(y, bound), low)
        far = (sign * scale(high, exponent), sign * scale(error, exponent))
        inside = y < bound
        other = (select(inside, near[0], far[0]), select(inside, near[1], far[1]))
        out = rounded(add_pairs((-value[0], -value[1]), (-sign * other[0], -sign * other[1])))
        # So near a pole its lead is all that counts, and the polynomial may overflow.
        if n > 1:
            out = patch(out, abs(fraction) < 2.0**-20, lead, fraction)
        return select(fraction == 0.0, np.inf if n % 2 else np.nan, out)

    def lead(fraction: Block) -> Block:
        pair, exponent = _inverse_power(fraction, n + 1, factorial(n))
        return sign * scale_pair(pair, exponent)

    def limit(x: Block) -> Block:
        at_zero = sign / x if n % 2 == 0 else np.inf + x
        at_infinity = select(x > 0.0, sign * 0.0, np.nan)
        return select(np.isnan(x), x, select(x == 0.0, at_zero, at_infinity))

    def polygamma(x: Block) -> Block:
        out = rounded(_taylor_pair(n, x))
        out = patch(out, x >= bound, asymptotic, x)
        out = patch(out, abs(x) < 0.5, near_zero, x)
        out = patch(out, x <= -0.5, reflected, x)
        return patch(out, ~np.isfinite(x) | (x == 0.0), limit, x)

    return polygamma
