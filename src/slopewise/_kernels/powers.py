"""Squares, roots, powers with a real exponent and hypot, with their derivatives.

Invariant: no derivative overflows, underflows or loses digits where its value does not: exponents
are taken out first and put back last, and y log(x) is a pair (with y log(x) = 700 half an ULP of it
is 350 ULP of the power). Conventions at 0 are stated in the docstrings.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._kernels.blocks import apply, apply_two, patch, select, widen_two, with_sign
from slopewise._kernels.double_double import (
    Block,
    Pair,
    add_pairs,
    divide_pairs,
    multiply_pairs,
    root_pair,
    two_square,
    two_sum,
)
from slopewise._kernels.exponent_pairs import exp_pair, log_pair, scale


def square(x: Any) -> Any:
    """Return x**2, correctly rounded.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Examples
    --------
    >>> float(square(np.float64(3.0)))
    9.0
    """
    return x * x


def sqrt(x: Any) -> Any:
    """Return the square root, correctly rounded; -0.0 at -0.0.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Examples
    --------
    >>> float(sqrt(np.float64(2.0)))
    1.4142135623730951
    """
    return np.sqrt(x)


def rsqrt(x: Any) -> Any:
    """Return 1/sqrt(x).

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Examples
    --------
    >>> float(rsqrt(np.float64(4.0)))
    0.5
    """
    return np.reciprocal(np.sqrt(x))


def reciprocal(x: Any) -> Any:
    """Return 1/x, correctly rounded.

    Parameters
    ----------
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Examples
    --------
    >>> float(reciprocal(np.float64(4.0)))
    0.25
    """
    return np.reciprocal(x)


def pow(x: Any, y: Any) -> Any:
    """Return x**y; 1 for y = 0, NaN for x < 0 unless y is a whole number.

    Parameters
    ----------
    x, y : float32 or float64 array or scalar, or Python float
        Shapes that broadcast.

    Returns
    -------
    array or scalar
        The wider dtype of the two; a Python float takes the other operand's.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> round(float(pow(np.float64(2.0), 0.5)), 12)
    1.414213562373
    """
    return widen_two(np.power, x, y)


def hypot(x: Any, y: Any) -> Any:
    """Return sqrt(x**2 + y**2), without overflow on the way.

    Parameters
    ----------
    x, y : float32 or float64 array or scalar, or Python float
        Shapes that broadcast.

    Returns
    -------
    array or scalar
        The wider dtype of the two; a Python float takes the other operand's.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> round(float(hypot(np.float64(3.0), 4.0)), 12)
    5.0
    """
    return widen_two(np.hypot, x, y)


def xlogy(x: Any, y: Any) -> Any:
    """Return x log(y); 0 for x = 0, whatever y is unless NaN.

    Parameters
    ----------
    x, y : float32 or float64 array or scalar, or Python float
        Shapes that broadcast.

    Returns
    -------
    array or scalar
        The wider dtype of the two; a Python float takes the other operand's.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> round(float(xlogy(np.float64(0.0), 2.0)), 12)
    0.0
    """
    return apply_two(_xlogy, x, y)


def rsqrt_slope(x: Any) -> Any:
    """Return the derivative of 1/sqrt(x), -1/(2 x sqrt(x)).

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
    >>> float(rsqrt_slope(np.float64(4.0)))
    -0.0625
    """
    return apply(_rsqrt_slope, x)


def pow_base_slope(x: Any, y: Any) -> Any:
    """Return the derivative of x**y by x, y x**(y - 1); 0 for y = 0, at x = 0 too.

    Parameters
    ----------
    x, y : float32 or float64 array or scalar, or Python float
        Shapes that broadcast.

    Returns
    -------
    array or scalar
        The wider dtype of the two; a Python float takes the other operand's.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> float(pow_base_slope(np.float64(2.0), 3.0))
    12.0
    """
    return apply_two(_pow_base_slope, x, y)


def pow_exponent_slope(x: Any, y: Any) -> Any:
    """Return the derivative of x**y by y, x**y log(x): 0 at x = 0 for y > 0, NaN for x < 0.

    Parameters
    ----------
    x, y : float32 or float64 array or scalar, or Python float
        Shapes that broadcast.

    Returns
    -------
    array or scalar
        The wider dtype of the two; a Python float takes the other operand's.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> float(pow_exponent_slope(np.float64(2.0), 3.0))
    5.545177444479562
    """
    return apply_two(_pow_exponent_slope, x, y)


def hypot_slope(x: Any, y: Any) -> Any:
    """Return the derivative of hypot(x, y) by x, x/hypot(x, y); 0 at (0, 0).

    Parameters
    ----------
    x, y : float32 or float64 array or scalar, or Python float
        Shapes that broadcast.

    Returns
    -------
    array or scalar
        The wider dtype of the two; a Python float takes the other operand's.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> float(hypot_slope(np.float64(3e200), 4e200))
    0.6
    """
    return apply_two(_hypot_slope, x, y)


def _xlogy(x: Block, y: Block) -> Block:
    out = x * np.log(y)
    return patch(out, x == 0.0, lambda y: select(np.isnan(y), y, 0.0), y)


def _power_parts(x: Block, y: Pair) -> tuple[Pair, Pair, Block]:
    """Return log|x| as a pair, and |x|**y as a pair and a power of two."""
    logarithm = log_pair(abs(x))
    high, low = multiply_pairs(y, logarithm)
    # Past the clipping bound no factor that is a float64 brings the result back into range.
    inside = abs(high) < 1600.0
    high = np.minimum(np.maximum(high, -1600.0), 1600.0)
    power, power_low, exponent = exp_pair(high, select(inside, low, 0.0))
    return logarithm, (power, power_low), exponent


def _pow_base_slope(x: Block, y: Block) -> Block:
    # Beyond 1e30 the power is 0 or inf, but at |x| = 1, where its exponent does not matter.
    limited = np.minimum(np.maximum(y, -1e30), 1e30)
    _, power, exponent = _power_parts(x, two_sum(limited, -1.0))
    factor, factor_exponent = np.frexp(y)
    high, low = multiply_pairs((factor, 0.0), power)
    out = scale(high + low, exponent + factor_exponent)
    plain = (x > 0.0) & (x < np.inf) & (y != 0.0) & np.isfinite(y)
    return patch(out, ~plain, _pow_base_slope_special, x, y)


def _pow_base_slope_special(x: Block, y: Block) -> Block:
    """Return it for x <= 0 and where an operand is infinite or NaN, and 0 for y = 0."""
    negative = (x < 0.0) & (x > -np.inf) & np.isfinite(y) & (y != 0.0)
    out = y * np.power(x, y - 1.0)
    out = patch(out, negative, _pow_base_slope_negative, x, y)
    return select((y == 0.0) & ~np.isnan(x), 0.0, out)


def _pow_base_slope_negative(x: Block, y: Block) -> Block:
    # (-x)**(y - 1) with the sign of an odd y - 1, so of an even y; NaN unless y is whole.
    size = _pow_base_slope(-x, y)
    even = np.rint(0.5 * y) == 0.5 * y
    return select(np.rint(y) == y, select(even, -size, size), np.nan)


def _pow_exponent_slope(x: Block, y: Block) -> Block:
    limited = np.minimum(np.maximum(y, -1e30), 1e30)
    logarithm, power, exponent = _power_parts(x, (limited, 0.0))
    high, low = multiply_pairs(logarithm, power)
    out = scale(high + low, exponent)
    plain = (x > 0.0) & (x < np.inf) & np.isfinite(y)
    return patch(out, ~plain, _pow_exponent_slope_special, x, y)


def _pow_exponent_slope_special(x: Block, y: Block) -> Block:
    out = np.power(x, y) * np.log(x)
    vanishing = ((x == 0.0) & (y > 0.0)) | ((x == np.inf) & (y < 0.0))
    return select(vanishing, 0.0, out)


def _rsqrt_slope(x: Block) -> Block:
    mantissa, exponent = np.frexp(x)
    odd = exponent & 1
    mantissa = np.ldexp(mantissa, odd)
    root = root_pair((mantissa, 0.0))
    high, low = divide_pairs((-0.5, 0.0), multiply_pairs(root, (mantissa, 0.0)))
    out = np.ldexp(high + low, -3 * ((exponent - odd) >> 1))
    return patch(out, ~((x > 0.0) & (x < np.inf)), lambda x: -0.5 / np.sqrt(x) / abs(x), x)


def square_sum(x: Block, y: Block) -> tuple[Pair, Block]:
    """Return (x**2 + y**2)/4**e as a pair between 1/4 and 2, and the exponent e.

    Parameters
    ----------
    x, y : float64 array or scalar, any shape

    Returns
    -------
    ((high, low), exponent) : pair of float64 and int32, the operands' shape

    Examples
    --------
    >>> (high, low), exponent = square_sum(np.float64(3.0), np.float64(4.0))
    >>> float(high), int(exponent)
    (0.390625, 3)
    """
    _, exponent = np.frexp(np.maximum(abs(x), abs(y)))
    a, b = np.ldexp(x, -exponent), np.ldexp(y, -exponent)
    return add_pairs(two_square(a), two_square(b)), exponent


def _hypot_slope(x: Block, y: Block) -> Block:
    total, exponent = square_sum(x, y)
    mantissa, own = np.frexp(x)
    high, low = divide_pairs((mantissa, 0.0), root_pair(total))
    out = with_sign(np.ldexp(high + low, own - exponent), x)
    out = patch(out, (x == 0.0) & (y == 0.0), lambda x: x, x)
    return patch(out, ~(np.isfinite(x) & np.isfinite(y)), _hypot_slope_limit, x, y)


def _hypot_slope_limit(x: Block, y: Block) -> Block:
    out = select(np.isfinite(y), np.copysign(1.0, x), select(np.isfinite(x), 0.0 * x, np.nan))
    return select(np.isnan(x) | np.isnan(y), np.nan, out)
