"""The normal distribution and GELU, with their derivatives.

Invariant: far tails keep their relative accuracy down to subnormals. Each is exp(-z**2/2) times a
smooth factor; the square keeps its low part (at z = 38 half an ULP of z**2 is 400 ULP of the
result), and the exponent is put back last. float32 takes the same formulas without low parts.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from slopewise._kernels import fixed_point
from slopewise._kernels.blocks import apply, at_most, clip, patch, select
from slopewise._kernels.double_double import (
    Block,
    Pair,
    add_pairs,
    fast_two_sum,
    multiply_pairs,
    two_product,
    two_square,
    two_sum,
)
from slopewise._kernels.exponent_pairs import exp_pair, scale, scale_pair
from slopewise._kernels.fixed_point import ONE
from slopewise._kernels.normal_tail import complement, scaled_tail, tail_pair

# Beyond it exp(-x**2/2) is below half the least subnormal, and 1 - Q(x) is 1.
_FAR = 39.0


def normal_density(x: Any) -> Any:
    """Return the standard normal density, exp(-x**2/2)/sqrt(2 pi).

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
    >>> float(normal_density(np.float64(0.0)))
    0.3989422804014327
    """
    return apply(_normal_density, x, _normal_density_single)


def normal_density_slope(x: Any) -> Any:
    """Return the derivative of the standard normal density, -x exp(-x**2/2)/sqrt(2 pi).

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
    >>> float(normal_density_slope(np.float64(1.0)))
    -0.24197072451914334
    """
    return apply(_normal_density_slope, x, _normal_density_slope_single)


def normal_cdf(x: Any) -> Any:
    """Return the standard normal distribution function, Phi(x) = erfc(-x/sqrt(2))/2.

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
    M. Abramowitz and I. Stegun, 1964, equation 26.2.2.

    Examples
    --------
    >>> float(normal_cdf(np.float64(-38.0)))
    2.88542835e-316
    """
    return apply(_normal_cdf, x, _normal_cdf_single)


def gelu(x: Any) -> Any:
    """Return the Gaussian error linear unit, x Phi(x), exactly and not by its tanh approximation.

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
    D. Hendrycks and K. Gimpel, 2016, "Gaussian error linear units", section 2.

    Examples
    --------
    >>> float(gelu(np.float64(1.0)))
    0.8413447460685429
    """
    return apply(_gelu, x, _gelu_single)


def gelu_slope(x: Any) -> Any:
    """Return the derivative of GELU, Phi(x) + x phi(x).

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
    >>> float(gelu_slope(np.float64(0.0)))
    0.5
    """
    return apply(_gelu_slope, x, _gelu_slope_single)


def gelu_curvature(x: Any) -> Any:
    """Return the second derivative of GELU, (2 - x**2) phi(x).

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
    >>> float(gelu_curvature(np.float64(0.0)))
    0.7978845608028654
    """
    return apply(_gelu_curvature, x, _gelu_curvature_single)


@cache
def _inverse_root_two_pi() -> Pair:
    return fixed_point.pair(fixed_point.divide(ONE, fixed_point.root(2 * fixed_point.pi())))


def _times_bell(factor: Pair, z: Block) -> tuple[Pair, Block]:
    """Return factor * exp(-z**2/2) as a pair and a power of two."""
    square, error = two_square(z)
    high, low, exponent = exp_pair(-0.5 * square, -0.5 * error)
    return multiply_pairs(factor, (high, low)), exponent


def _lower_and_upper(x: Block) -> tuple[Block, Pair, Block]:
    """Return |x|, and Q(|x|) as a pair and a power of two."""
    z = at_most(abs(x), _FAR)
    tail, exponent = _times_bell(tail_pair(z), z)
    return z, tail, exponent


def _normal_cdf(x: Block) -> Block:
    _, tail, exponent = _lower_and_upper(x)
    return select(x < 0.0, scale_pair(tail, exponent), complement(tail, exponent))


def _gelu(x: Block) -> Block:
    z, tail, exponent = _lower_and_upper(x)
    below = scale(multiply_pairs(tail, (-z, 0.0))[0], exponent)
    high, low = scale(tail[0], exponent), scale(tail[1], exponent)
    total, error = fast_two_sum(1.0, -high)
    product, rest = two_product(z, total)
    above = product + (rest + z * (error - low))
    above = select(x >= _FAR, x, above)  # Phi is 1 there, and z was clipped
    return select(x > 0.0, above, select(x == 0.0, x, below))


def _gelu_slope(x: Block) -> Block:
    z = at_most(abs(x), _FAR)
    # Phi(-z) - z phi(z) = exp(-z**2/2) (T(z) - z/sqrt(2 pi)), with its root near z = 0.75.
    lead = multiply_pairs((z, 0.0), _inverse_root_two_pi())
    factor = add_pairs(tail_pair(z), (-lead[0], -lead[1]))
    left, exponent = _times_bell(factor, z)
    high, low = scale(left[0], exponent), scale(left[1], exponent)
    total, error = two_sum(1.0, -high)
    return select(x < 0.0, scale_pair(left, exponent), total + (error - low))


def _gelu_curvature(x: Block) -> Block:
    z = clip(x, _FAR)
    square, error = two_square(z)
    high, low = two_sum(2.0, -square)
    factor = multiply_pairs((high, low - error), _inverse_root_two_pi())
    return scale_pair(*_times_bell(factor, z))


def _normal_density(x: Block) -> Block:
    return scale_pair(*_times_bell(_inverse_root_two_pi(), clip(x, _FAR)))


def _normal_density_slope(x: Block) -> Block:
    z = clip(x, _FAR)
    factor = multiply_pairs((-z, 0.0), _inverse_root_two_pi())
    out = scale_pair(*_times_bell(factor, z))
    # The product of a subnormal loses its low part; here the bell is 1.
    return patch(out, abs(x) < 1e-280, lambda x: -x * _inverse_root_two_pi()[0], x)


def _upper_single(x: Block) -> Block:
    """Return Q(|x|) to about 2**-40."""
    z = at_most(abs(x), _FAR)
    return np.exp(-0.5 * z * z) * scaled_tail(z)


def _normal_cdf_single(x: Block) -> Block:
    upper = _upper_single(x)
    return select(x < 0.0, upper, 1.0 - upper)


def _gelu_single(x: Block) -> Block:
    return np.maximum(x, -_FAR) * _normal_cdf_single(x)


def _gelu_slope_single(x: Block) -> Block:
    z = at_most(abs(x), _FAR)
    left = np.exp(-0.5 * z * z) * (scaled_tail(z) - z * _inverse_root_two_pi()[0])
    return select(x < 0.0, left, 1.0 - left)


def _gelu_curvature_single(x: Block) -> Block:
    z = at_most(abs(x), _FAR)
    return (2.0 - z * z) * _normal_density_single(z)


def _normal_density_single(x: Block) -> Block:
    return np.exp(-0.5 * x * x) * _inverse_root_two_pi()[0]


def _normal_density_slope_single(x: Block) -> Block:
    z = clip(x, _FAR)
    return -z * _normal_density_single(z)
