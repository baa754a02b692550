"""Trigonometric functions and their inverses, with the derivatives that need their own formula.

Invariant: the functions are NumPy's float64 ones, within 1 ULP for huge angles too; float32 is
computed in float64 (NumPy's own tan is 2.8 ULP off there, its atan2 as well). The derivatives hold
1/cos**2, 1 - x**2 and 1 + x**2 as pairs, so they keep their accuracy near poles and branch points.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._kernels.angles import cosine_pair, reduce_angle, sine_pair
from slopewise._kernels.blocks import (
    apply,
    apply_two,
    clip,
    patch,
    select,
    widen,
    widen_two,
    with_sign,
)
from slopewise._kernels.double_double import (
    Block,
    divide_pairs,
    multiply_pairs,
    root_pair,
    rounded,
    square_plus,
)
from slopewise._kernels.powers import square_sum

# Above it 1 + x**2 is x**2, to more than the bits of a float64.
_LARGE = 2.0**28


def sin(x: Any) -> Any:
    """Return the sine of an angle in radians.

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
    >>> round(float(sin(np.float64(0.5))), 12)
    0.479425538604
    """
    return widen(np.sin, x)


def cos(x: Any) -> Any:
    """Return the cosine of an angle in radians.

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
    >>> round(float(cos(np.float64(0.5))), 12)
    0.87758256189
    """
    return widen(np.cos, x)


def tan(x: Any) -> Any:
    """Return the tangent of an angle in radians.

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
    >>> round(float(tan(np.float64(0.5))), 12)
    0.546302489844
    """
    return widen(np.tan, x)


def asin(x: Any) -> Any:
    """Return the angle in radians, -pi/2 to pi/2, whose sine is x.

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
    >>> round(float(asin(np.float64(0.5))), 12)
    0.523598775598
    """
    return widen(np.arcsin, x)


def acos(x: Any) -> Any:
    """Return the angle in radians, 0 to pi, whose cosine is x.

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
    >>> round(float(acos(np.float64(0.5))), 12)
    1.047197551197
    """
    return widen(np.arccos, x)


def atan(x: Any) -> Any:
    """Return the angle in radians, -pi/2 to pi/2, whose tangent is x.

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
    >>> round(float(atan(np.float64(0.5))), 12)
    0.463647609001
    """
    return widen(np.arctan, x)


def atan2(y: Any, x: Any) -> Any:
    """Return the angle in radians, -pi to pi, of the point (x, y); the signs of zeros count.

    Parameters
    ----------
    y, x : float32 or float64 array or scalar, or Python float
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
    >>> round(float(atan2(np.float64(1.0), -1.0)), 12)
    2.356194490192
    """
    return widen_two(np.arctan2, y, x)


def sec_squared(x: Any) -> Any:
    """Return the derivative of tan, 1/cos(x)**2, for an angle in radians.

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
    >>> float(sec_squared(np.float64(1.0)))
    3.4255188208147596
    """
    return apply(_sec_squared, x, _sec_squared_single)


def asin_slope(x: Any) -> Any:
    """Return the derivative of asin, 1/sqrt(1 - x**2); NaN beyond -1 and 1.

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
    >>> float(asin_slope(np.float64(0.6)))
    1.25
    """
    return apply(_asin_slope, x)


def atan_slope(x: Any) -> Any:
    """Return the derivative of atan, 1/(1 + x**2).

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
    >>> float(atan_slope(np.float64(3.0)))
    0.1
    """
    return apply(_atan_slope, x)


def atan2_slope(x: Any, y: Any) -> Any:
    """Return the derivative of atan2(y, x) by y, x/(x**2 + y**2).

    By x the derivative is -atan2_slope(y, x). NaN at (0, 0), where there is none.

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
    >>> float(atan2_slope(np.float64(1e200), 1e200))
    5e-201
    """
    return apply_two(_atan2_slope, x, y)


def _sec_squared(x: Block) -> Block:
    odd, angle = reduce_angle(x)
    cosine, sine = cosine_pair(angle), sine_pair(angle)
    either = (select(odd, sine[0], cosine[0]), select(odd, sine[1], cosine[1]))
    return rounded(divide_pairs((1.0, 0.0), multiply_pairs(either, either)))


def _sec_squared_single(x: Block) -> Block:
    cosine = np.cos(x)
    return 1.0 / (cosine * cosine)


def _asin_slope(x: Block) -> Block:
    high, low = square_plus(clip(x, 2.0 * _LARGE), -1.0)
    out = rounded(divide_pairs((1.0, 0.0), root_pair((-high, -low))))
    return patch(out, abs(x) == 1.0, lambda x: np.full_like(x, np.inf), x)


def _atan_slope(x: Block) -> Block:
    out = rounded(divide_pairs((1.0, 0.0), square_plus(clip(x, 2.0 * _LARGE), 1.0)))
    return patch(out, abs(x) > _LARGE, lambda x: (1.0 / x) / x, x)


def _atan2_slope(x: Block, y: Block) -> Block:
    total, exponent = square_sum(x, y)
    mantissa, own = np.frexp(x)
    high, low = divide_pairs((mantissa, 0.0), total)
    out = with_sign(np.ldexp(high + low, own - 2 * exponent), x)
    return patch(out, ~(np.isfinite(x) & np.isfinite(y)), _atan2_slope_limit, x, y)


def _atan2_slope_limit(x: Block, y: Block) -> Block:
    return select(np.isnan(x) | np.isnan(y), np.nan, np.copysign(0.0, x))
