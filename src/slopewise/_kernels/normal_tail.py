"""The normal distribution's scaled upper tail, exp(z**2/2) Q(z), as a pair.

Invariant: the relative error stays below 2**-58 for 0 <= z <= 39, beyond which Q underflows. The
scaled tail is smooth and slow (Mills' ratio over sqrt(2 pi)), so that erf, erfc, the normal
distribution and GELU take their accuracy from it, and their range from `exp_pair`. It is separate
because its table comes from a differential equation, solved in integer arithmetic.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from slopewise._kernels import fixed_point
from slopewise._kernels.double_double import Block, Pair, fast_two_sum
from slopewise._kernels.exponent_pairs import scale
from slopewise._kernels.fixed_point import ONE

_BINADE_STEPS = 32
_LAST = 40.0
_TERMS = 10
# The first row stands for 1 + z = 1; the bits of 1 + z count rows from it.
_FIRST_BITS = 1023 << 5
_HALF_STEP = 1 << 46


@cache
def tail_table() -> np.ndarray:
    """Return Taylor coefficients of the scaled tail on 32 steps per binade of 1 + z.

    Returns
    -------
    float64 array (2 + terms, rows)
        Row 0: the centres c. Row 1: the low part of the constant term. Then the coefficients of
        (z - c)**k, k = 0, 1, ...

    Source
    ------
    T(z) = exp(z**2/2) Q(z) solves T' = z T - 1/sqrt(2 pi). The first value is its asymptotic series
    at z = 40 (W. Feller, 1968, An Introduction to Probability Theory, volume 1, chapter VII,
    lemma 2), whose least term is below 2**-1100; from there the equation is solved downward, which
    is the stable direction, by Taylor steps.

    Examples
    --------
    >>> table = tail_table()
    >>> float(table[0, 0]), float(table[2, 0])
    (0.0, 0.5)
    """
    centres = [
        2.0**binade * (1.0 + step / _BINADE_STEPS) - 1.0
        for binade in range(6)
        for step in range(_BINADE_STEPS)
    ]
    centres = [centre for centre in centres if centre <= _LAST]
    scale = fixed_point.divide(ONE, fixed_point.root(2 * fixed_point.pi()))
    z = _LAST
    term, value, count = fixed_point.divide(scale, fixed_point.fixed(z)), 0, 0
    while term not in (0, -1):
        value += term
        count += 1
        term = term * (1 - 2 * count) // int(z * z)
    rows = []
    for centre in reversed(centres):
        while z != centre:
            target = max(centre, z - 0.5)
            value = _step(z, value, target - z, scale)
            z = target
        coefficients = _coefficients(z, value, _TERMS, scale)
        high, low = fixed_point.pair(coefficients[0])
        rows.append([centre, low, high, *(c / ONE for c in coefficients[1:])])
    return np.array(rows[::-1]).T.copy()


def _coefficients(z: float, value: int, count: int, scale: int) -> list[int]:
    centre = fixed_point.fixed(z)
    series = [value, fixed_point.multiply(centre, value) - scale]
    for n in range(1, count - 1):
        series.append((fixed_point.multiply(centre, series[n]) + series[n - 1]) // (n + 1))
    return series


def _step(z: float, value: int, width: float, scale: int) -> int:
    """Return the tail at z + width by its Taylor series about z."""
    step = fixed_point.fixed(width)
    total = 0
    # Rounding errors grow like the series of exp(z width), |z width| <= 20, and must converge too.
    for coefficient in reversed(_coefficients(z, value, 110, scale)):
        total = coefficient + fixed_point.multiply(total, step)
    return total


def tail_pair(z: Block, low: Block = 0.0) -> Pair:
    """Return exp(z**2/2) Q(z) of a pair as a pair.

    Parameters
    ----------
    z, low : float64 array or scalar, any shape
        0 <= z <= 60, and |low| at most an ULP or so of `z`.

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Examples
    --------
    >>> high, low = tail_pair(np.float64(0.0))
    >>> float(high + low)
    0.5
    """
    table = tail_table()
    row = (((z + 1.0).view(np.int64) + _HALF_STEP) >> 47) - _FIRST_BITS
    h = (z - table[0].take(row, mode="clip")) + low
    series = table[-1].take(row, mode="clip")
    for n in range(len(table) - 2, 2, -1):
        series = series * h + table[n].take(row, mode="clip")
    return table[2].take(row, mode="clip"), series * h + table[1].take(row, mode="clip")


def scaled_tail(z: Block) -> Block:
    """Return exp(z**2/2) Q(z) to about 2**-45, which is enough for a float32 result.

    Parameters
    ----------
    z : float64 array or scalar, any shape
        0 <= z <= 60.

    Returns
    -------
    float64 array or scalar, the operand's shape

    Examples
    --------
    >>> float(scaled_tail(np.float64(0.0)))
    0.5
    """
    table = tail_table()
    row = (((z + 1.0).view(np.int64) + _HALF_STEP) >> 47) - _FIRST_BITS
    h = z - table[0].take(row, mode="clip")
    series = table[8].take(row, mode="clip")
    for n in range(7, 1, -1):
        series = series * h + table[n].take(row, mode="clip")
    return series


def complement(tail: Pair, exponent: Block) -> Block:
    """Return 1 - tail, for a tail of at most 1.

    Parameters
    ----------
    tail : pair of float64, any shape
    exponent : int64 array or scalar, the same shape
        The tail is (high + low) * 2**exponent.

    Returns
    -------
    float64 array or scalar, the operands' shape

    Examples
    --------
    >>> float(complement((np.float64(1.5), np.float64(0.0)), np.int64(-1)))
    0.25
    """
    high, low = scale(tail[0], exponent), scale(tail[1], exponent)
    total, error = fast_two_sum(1.0, -high)
    return total + (error - low)
