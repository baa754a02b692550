"""exp, expm1 and log of a pair, as a pair: what the accurate kernels are composed of.

Invariant: relative errors stay below 2**-60 (so that a rounded result is within 0.51 ULP), and the
exponent of exp is kept apart, so that a later factor is multiplied before anything over- or
underflows. Both work by a table of 64 or 128 steps and a short series, and use no platform function
but `frexp` and `ldexp`: the bits are the same everywhere.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from slopewise._kernels import fixed_point
from slopewise._kernels.double_double import (
    Block,
    Pair,
    fast_two_sum,
    split,
    two_square,
    two_sum,
)

_STEPS = 64
# Adding and taking away 1.5 * 2**52 rounds to the nearest integer, quicker than np.rint on scalars.
_ROUNDER = 1.5 * 2.0**52


class ExpTable(NamedTuple):
    """Constants of the reduction x = (64 m + j) log(2)/64 + r, and 2**(j/64) for each j."""

    inverse_step: float
    step: tuple[float, float, float]
    high: np.ndarray
    low: np.ndarray


class LogTable(NamedTuple):
    """log 2 in two parts; for each z near j/128 a short c near 1/z, and -log c in two parts."""

    log_two: tuple[float, float]
    first: int
    inverse: np.ndarray
    high: np.ndarray
    low: np.ndarray


@cache
def exp_table() -> ExpTable:
    """Make the table of `exp_pair`.

    Returns
    -------
    ExpTable

    Examples
    --------
    >>> float(exp_table().high[0]), len(exp_table().high)
    (1.0, 64)
    """
    step = fixed_point.log_two() // _STEPS
    powers = [fixed_point.exponential(j * step) for j in range(_STEPS)]
    # 26 bits times half of a split number is exact, and so is k times 35 bits for |k| < 2**18.
    pairs = np.array([fixed_point.floats(power, 26, 53) for power in powers])
    first, second, third = fixed_point.floats(step, 35, 35, 53)
    inverse = fixed_point.floats(fixed_point.divide(fixed_point.ONE, step), 53)[0]
    return ExpTable(inverse, (first, second, third), pairs[:, 0].copy(), pairs[:, 1].copy())


@cache
def log_table() -> LogTable:
    """Make the table of `log_pair`.

    Returns
    -------
    LogTable

    Examples
    --------
    >>> table = log_table()
    >>> float(table.inverse[128 - table.first])
    1.0
    """
    first, last, grid = 90, 182, 1 << (fixed_point.BITS - 42)

    def on_grid(value: int) -> tuple[float, float]:
        high = (value + grid // 2) // grid * grid  # m log 2 - log c is then exact in its high part
        return high / fixed_point.ONE, (value - high) / fixed_point.ONE

    inverse = [Fraction(round(Fraction(128 << 11, j)), 1 << 11) for j in range(first, last + 1)]
    logs = np.array([on_grid(-fixed_point.logarithm(fixed_point.fixed(c))) for c in inverse])
    return LogTable(
        on_grid(fixed_point.log_two()),
        first,
        np.array([float(c) for c in inverse]),
        logs[:, 0].copy(),
        logs[:, 1].copy(),
    )


def _reduce(high: Block, low: Block) -> tuple[Block, Pair]:
    """Return the integer k nearest to 64 x / log 2, and x - k log(2)/64 as a pair."""
    table = exp_table()
    first, second, third = table.step
    k = (high * table.inverse_step + _ROUNDER) - _ROUNDER
    rest, error = two_sum(high - k * first, k * -second)
    return k.astype(np.int64), fast_two_sum(rest, error + (low - k * third))


def exp_pair(high: Block, low: Block = 0.0) -> tuple[Block, Block, Block]:
    """Return the exponential of a pair as a pair and a power of two.

    Parameters
    ----------
    high, low : float64 array or scalar, any shape
        |high| < 2000, and |low| at most an ULP or so of `high`.

    Returns
    -------
    (high, low, exponent) : float64, float64 and int64, the operands' shape
        e**x is (high + low) * 2**exponent, with high in [1, 2.02).

    Source
    ------
    P. T. P. Tang, 1989, "Table-driven implementation of the exponential function in IEEE
    floating-point arithmetic"; here with a pair for the reduced argument.

    Examples
    --------
    >>> high, low, exponent = exp_pair(np.float64(1.0))
    >>> float(high + low), int(exponent)
    (1.3591409142295225, 1)
    """
    k, (r, r_low) = _reduce(high, low)
    table = exp_table()
    index = k & (_STEPS - 1)
    step, step_low = table.high.take(index), table.low.take(index)
    rest = r_low + _exp_series(r)
    upper, lower = split(r)
    total, error = fast_two_sum(step, step * upper)
    error = error + ((step * lower + step * rest) + (step_low + step_low * (r + rest)))
    return (*fast_two_sum(total, error), k >> 6)


def expm1_pair(high: Block, low: Block = 0.0) -> Pair:
    """Return e**x - 1 of a pair as a pair, with its full relative precision near 0 too.

    Parameters
    ----------
    high, low : float64 array or scalar, any shape
        |high| < 700, and |low| at most an ULP or so of `high`.

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Source
    ------
    P. T. P. Tang, 1992, "Table-driven implementation of the expm1 function in IEEE floating-point
    arithmetic"; here with a pair for the reduced argument.

    Examples
    --------
    >>> high, low = expm1_pair(np.float64(1e-10))
    >>> float(high + low)
    1.00000000005e-10
    """
    k, (r, r_low) = _reduce(high, low)
    table = exp_table()
    index = k & (_STEPS - 1)
    exponent = (k >> 6).astype(np.intc)
    step = np.ldexp(table.high.take(index), exponent)
    step_low = np.ldexp(table.low.take(index), exponent)
    rest = r_low + _exp_series(r)
    upper, lower = split(r)
    base, error = two_sum(step, -1.0)
    total, more = two_sum(base, step * upper)
    error = error + more
    error = error + ((step * lower + step * rest) + (step_low + step_low * (r + rest)))
    return fast_two_sum(total, error)


def _exp_series(r: Block) -> Block:
    """Return e**r - 1 - r for |r| < log(2)/128, to 2**-75."""
    tail = r * (1 / 5040) + 1 / 720
    tail = (tail * r + 1 / 120) * r + 1 / 24
    tail = (tail * r + 1 / 6) * r + 0.5
    return tail * (r * r)


def log_pair(high: Block, low: Block = 0.0) -> Pair:
    """Return the natural logarithm of a pair as a pair, with its full precision near 1 too.

    Parameters
    ----------
    high, low : float64 array or scalar, any shape
        0 < high < inf; |low| at most an ULP or so of `high`.

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Source
    ------
    P. T. P. Tang, 1990, "Table-driven implementation of the logarithm function in IEEE
    floating-point arithmetic"; here with a pair for the reduced argument.

    Examples
    --------
    >>> high, low = log_pair(np.float64(1.0), np.float64(1e-20))
    >>> float(high + low)
    1e-20
    """
    table = log_table()
    z, exponent = np.frexp(high)
    small = z < 0.7071067811865476
    z = z + z * small
    exponent = exponent - small
    index = (z * 128.0 + 0.5).astype(np.int64) - table.first
    c = table.inverse.take(index, mode="clip")
    upper, lower = split(z)
    r, r_low = two_sum(upper * c - 1.0, lower * c)
    r, r_low = fast_two_sum(r, r_low + np.ldexp(low, -exponent) * c)

    # log(1 + r) = r - r**2/2 + r**3/3 - ...: the square is exact, the rest is below 2**-22.
    square, error = two_square(r)
    tail = r * (1 / 9) - 1 / 8
    tail = (tail * r + 1 / 7) * r - 1 / 6
    tail = (tail * r + 1 / 5) * r - 1 / 4
    tail = (tail * r + 1 / 3) * (square * r)
    small_parts = (r_low - r_low * r) + (tail - 0.5 * error)

    first, second = table.log_two
    base = exponent * first + table.high.take(index, mode="clip")
    total, error = two_sum(base, r)
    total, more = two_sum(total, -0.5 * square)
    small_parts = small_parts + (exponent * second + table.low.take(index, mode="clip"))
    return fast_two_sum(total, (error + more) + small_parts)


def scale(value: Block, exponent: Block) -> Block:
    """Return value * 2**exponent, rounded once.

    Parameters
    ----------
    value : float64 array or scalar, any shape
    exponent : int64 array or scalar, the same shape
        Below 2**31 in magnitude.

    Returns
    -------
    float64 array or scalar, the operands' shape

    Examples
    --------
    >>> float(scale(np.float64(1.5), np.int64(-1)))
    0.75
    """
    return np.ldexp(value, exponent.astype(np.intc))


def scale_pair(pair: Pair, exponent: Block) -> Block:
    """Return (high + low) * 2**exponent, the sum rounded before it is scaled.

    Parameters
    ----------
    pair : pair of float64, any shape
    exponent : int64 array or scalar, the same shape
        Below 2**31 in magnitude.

    Returns
    -------
    float64 array or scalar, the operands' shape

    Examples
    --------
    >>> float(scale_pair((np.float64(1.5), 0.0), np.int64(-1)))
    0.75
    """
    return scale(pair[0] + pair[1], exponent)
