"""The error functions erf and erfc, with the derivatives of erf.

Invariant: the far tail of erfc keeps its relative accuracy down to subnormals: it is exp(-x**2)
times the normal distribution's scaled tail, the square keeps its low part, and the exponent is put
back last. float32 takes the same formulas without low parts.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from slopewise._kernels import fixed_point
from slopewise._kernels.blocks import apply, at_most, clip, patch, select, with_sign
from slopewise._kernels.double_double import (
    Block,
    Pair,
    fast_two_sum,
    multiply_pairs,
    two_product,
    two_square,
)
from slopewise._kernels.exponent_pairs import exp_pair, scale, scale_pair
from slopewise._kernels.fixed_point import ONE
from slopewise._kernels.normal_tail import complement, scaled_tail, tail_pair


def erf(x: Any) -> Any:
    """Return the error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.

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

    Source
    ------
    M. Abramowitz and I. Stegun, 1964, equations 7.1.1 and 7.1.5.

    Examples
    --------
    >>> float(erf(np.float64(0.5)))
    0.5204998778130465
    """
    return apply(_erf, x, _erf_single)


def erfc(x: Any) -> Any:
    """Return the complementary error function, 1 - erf(x), accurate where that is small.

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

    Source
    ------
    M. Abramowitz and I. Stegun, 1964, equation 7.1.2.

    Examples
    --------
    >>> float(erfc(np.float64(26.0)))
    5.663192408856143e-296
    """
    return apply(_erfc, x, _erfc_single)


def erf_slope(x: Any) -> Any:
    """Return the derivative of erf, 2/sqrt(pi) exp(-x**2).

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
    >>> float(erf_slope(np.float64(0.0)))
    1.1283791670955126
    """
    return apply(_erf_slope, x, _erf_slope_single)


def erf_curvature(x: Any) -> Any:
    """Return the second derivative of erf, -4 x/sqrt(pi) exp(-x**2).

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
    >>> float(erf_curvature(np.float64(1.0)))
    -0.8302149948411894
    """
    return apply(_erf_curvature, x, _erf_curvature_single)


@cache
def _two_over_root_pi() -> Pair:
    return fixed_point.pair(fixed_point.divide(2 * ONE, fixed_point.root(fixed_point.pi())))


@cache
def _root_two() -> Pair:
    return fixed_point.pair(fixed_point.root(2 * ONE))


@cache
def _erf_series() -> tuple[float, ...]:
    """Return coefficients of erf(x)/x in x**2 from the second on, highest first."""
    lead = fixed_point.divide(2 * ONE, fixed_point.root(fixed_point.pi()))
    series, factorial = [], 1
    for n in range(1, 14):
        factorial *= -n
        series.append(lead // (factorial * (2 * n + 1)) / ONE)
    return tuple(reversed(series))


def _erf_slope(x: Block) -> Block:
    z = clip(x, 28.0)
    square, error = two_square(z)
    high, low, exponent = exp_pair(-square, -error)
    return scale_pair(multiply_pairs(_two_over_root_pi(), (high, low)), exponent)


def _erf_curvature(x: Block) -> Block:
    z = clip(x, 28.0)
    square, error = two_square(z)
    high, low, exponent = exp_pair(-square, -error)
    factor = multiply_pairs((-2.0 * z, 0.0), _two_over_root_pi())
    out = scale_pair(multiply_pairs(factor, (high, low)), exponent)
    return patch(out, abs(x) < 1e-280, lambda x: -2.0 * x * _two_over_root_pi()[0], x)


def _erfc_pair(x: Block) -> tuple[Pair, Block]:
    """Return erfc(x) for x >= 0 as a pair and a power of two."""
    square, error = two_square(x)
    high, low, exponent = exp_pair(-square, -error)
    tail = tail_pair(*multiply_pairs((x, 0.0), _root_two()))
    return multiply_pairs(tail, (high, low)), exponent + 1


def _erfc(x: Block) -> Block:
    tail, exponent = _erfc_pair(at_most(abs(x), 27.5))
    high, low = scale(tail[0], exponent), scale(tail[1], exponent)
    total, error = fast_two_sum(2.0, -high)
    return select(x < 0.0, total + (error - low), scale_pair(tail, exponent))


def _erf(x: Block) -> Block:
    size = abs(x)
    far = with_sign(complement(*_erfc_pair(at_most(size, 7.0))), x)
    return patch(far, size < 0.5, _erf_near_zero, x)


def _erf_near_zero(x: Block) -> Block:
    square = x * x
    first, *rest = _erf_series()
    series = first * np.ones_like(square)
    for coefficient in rest:
        series = series * square + coefficient
    lead, lead_low = _two_over_root_pi()
    product, error = two_product(x, lead)
    # The error of a tiny product underflows; then the rounded product is all there is.
    error = select(abs(x) < 1e-280, 0.0, error)
    return with_sign(product + (error + x * lead_low + x * square * series), x)


def _erf_slope_single(x: Block) -> Block:
    return np.exp(-x * x) * _two_over_root_pi()[0]


def _erf_curvature_single(x: Block) -> Block:
    z = clip(x, 28.0)
    return -2.0 * z * _erf_slope_single(z)


def _erfc_single(x: Block) -> Block:
    z = at_most(abs(x), 27.5)
    upper = 2.0 * np.exp(-z * z) * scaled_tail(z * _root_two()[0])
    return select(x < 0.0, 2.0 - upper, upper)


def _erf_single(x: Block) -> Block:
    return patch(with_sign(1.0 - _erfc_single(abs(x)), x), abs(x) < 0.5, _erf_near_zero, x)
