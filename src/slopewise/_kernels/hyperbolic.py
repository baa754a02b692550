"""Hyperbolic functions and their inverses, with the derivatives that need their own formula.

Invariant: tanh is within 1 ULP in float64 (C libraries reach 2.2), acosh too (2.3 there); sinh,
cosh, asinh and atanh are NumPy's, within 2. The derivatives are computed from the operand: nothing
cancels where tanh saturates, nor next to the branch points.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from slopewise._kernels import fixed_point
from slopewise._kernels.blocks import apply, at_most, clip, patch, select, widen, with_sign
from slopewise._kernels.double_double import (
    Block,
    add_pairs,
    divide_pairs,
    root_pair,
    rounded,
    square_plus,
    two_sum,
)
from slopewise._kernels.exponent_pairs import exp_pair, log_pair, scale
from slopewise._kernels.fixed_point import ONE
from slopewise._kernels.logistic import quotient_by_square

# Above it 1 + x**2 and x**2 - 1 are x**2, to more than the bits of a float64.
_LARGE = 2.0**28
# The bits of 1 + size count rows of tanh's table from this one, which stands for 1.
_FIRST_BITS = 1023 << 6
_HALF_STEP = 1 << 45
_ROWS = 512


def sinh(x: Any) -> Any:
    """Return the hyperbolic sine.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> round(float(sinh(np.float64(1.0))), 12)
    1.175201193644
    """
    return widen(np.sinh, x)


def cosh(x: Any) -> Any:
    """Return the hyperbolic cosine.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> round(float(cosh(np.float64(1.0))), 12)
    1.543080634815
    """
    return widen(np.cosh, x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> float(tanh(np.float64(0.5)))
    0.46211715726000974
    """
    return widen(np.tanh, x) if x.dtype.char == "f" else apply(_tanh, x)


def asinh(x: Any) -> Any:
    """Return the inverse hyperbolic sine.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> round(float(asinh(np.float64(1.0))), 12)
    0.88137358702
    """
    return widen(np.arcsinh, x)


def acosh(x: Any) -> Any:
    """Return the inverse hyperbolic cosine; NaN below 1.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> round(float(acosh(np.float64(2.0))), 12)
    1.316957896925
    """
    return widen(np.arccosh, x) if x.dtype.char == "f" else apply(_acosh, x)


def atanh(x: Any) -> Any:
    """Return the inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> round(float(atanh(np.float64(0.5))), 12)
    0.549306144334
    """
    return widen(np.arctanh, x)


def sech_squared(x: Any) -> Any:
    """Return the derivative of tanh, 1/cosh(x)**2.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> float(sech_squared(np.float64(20.0)))
    1.6993417021166355e-17
    """
    return apply(_sech_squared, x)


def acosh_slope(x: Any) -> Any:
    """Return the derivative of acosh, 1/sqrt(x**2 - 1); NaN below 1.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> float(acosh_slope(np.float64(1.25)))
    1.3333333333333333
    """
    return apply(_acosh_slope, x)


def atanh_slope(x: Any) -> Any:
    """Return the derivative of atanh, 1/(1 - x**2).

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> float(atanh_slope(np.float64(0.5)))
    1.3333333333333333
    """
    return apply(_atanh_slope, x)


@cache
def _tanh_table() -> np.ndarray:
    """Return for 64 steps per binade of 1 + c: c, tanh c in two parts, and 1 - tanh(c)**2."""
    columns = []
    for binade in range(_ROWS // 64):
        for step in range(64):
            centre = 2.0**binade * (1.0 + step / 64) - 1.0
            # Near 0 the series alone is accurate: next to a centre its error would count in full.
            centre = centre if centre > 0.047 else 0.0
            power = fixed_point.exponential(fixed_point.fixed(-2.0 * centre))
            tanh = fixed_point.divide(ONE - power, ONE + power)
            slope = ONE - fixed_point.multiply(tanh, tanh)
            columns.append([centre, *fixed_point.pair(tanh), slope / ONE])
    return np.array(columns).T.copy()


def _tanh(x: Block) -> Block:
    # tanh(c + h) = tanh c + (1 - tanh(c)**2) tanh h / (1 + tanh c tanh h), c from a table;
    # tanh(22) rounds to 1.
    size = at_most(abs(x), 22.0)
    row = ((size + 1.0).view(np.int64) + _HALF_STEP) >> 46
    row = (row - _FIRST_BITS) & (_ROWS - 1)  # the mask is for NaN, whose row does not matter
    centre, lead, lead_low, slope = _tanh_table().take(row, axis=1)
    h = size - centre
    square = h * h
    series = 62 / 2835 - square * (1382 / 155925)
    series = 2 / 15 - square * (17 / 315 - square * series)
    tanh_h = h - h * square * (1 / 3 - square * series)
    change = slope * tanh_h / (1.0 + lead * tanh_h)
    return with_sign(lead + (lead_low + change), x)


def _sech_squared(x: Block) -> Block:
    # 4 e/(1 + e)**2, e = exp(-2|x|); where e is subnormal the factor 4 must come before rounding.
    size = 2.0 * abs(x)
    out = 4.0 * quotient_by_square(np.exp(-size))
    return patch(out, size > 708.0, _sech_squared_far, size)


def _sech_squared_far(size: Block) -> Block:
    high, low, exponent = exp_pair(-at_most(size, 770.0))
    return scale(high + low, exponent + 2)


def _acosh(x: Block) -> Block:
    # log(x + sqrt(x**2 - 1)); for large x log(2 x), without overflow
    clipped = np.minimum(x, _LARGE)
    high, low = root_pair(square_plus(clipped, -1.0))
    total, error = two_sum(clipped, high)
    large = x >= _LARGE
    first, second = fixed_point.pair(fixed_point.log_two())
    logarithm = log_pair(select(large, x, total), select(large, 0.0, error + low))
    out = rounded(add_pairs(logarithm, (select(large, first, 0.0), select(large, second, 0.0))))
    return patch(out, ~((x > 1.0) & (x < np.inf)), np.arccosh, x)


def _acosh_slope(x: Block) -> Block:
    root = root_pair(square_plus(clip(x, 2.0 * _LARGE), -1.0))
    out = rounded(divide_pairs((1.0, 0.0), root))
    out = patch(out, abs(x) > _LARGE, lambda x: 1.0 / x, x)
    out = patch(out, x == 1.0, lambda x: np.full_like(x, np.inf), x)
    return patch(out, x < 1.0, lambda x: np.full_like(x, np.nan), x)


def _atanh_slope(x: Block) -> Block:
    out = rounded(divide_pairs((-1.0, 0.0), square_plus(clip(x, 2.0 * _LARGE), -1.0)))
    out = patch(out, abs(x) > _LARGE, lambda x: (-1.0 / x) / x, x)
    return patch(out, abs(x) == 1.0, lambda x: np.full_like(x, np.inf), x)
