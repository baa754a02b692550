"""The sigmoid linear unit (SiLU, or swish), with its first two derivatives.

Invariant: all three keep their relative accuracy far below 0, down to subnormals, and around their
roots, since e**-|x| and 1 + e**-|x| are pairs where terms cancel. It is separate from `logistic`
because these are products with x, which cancel, and the logistic family's sums do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._kernels.blocks import apply, at_most, patch, select, select_pair, with_sign
from slopewise._kernels.double_double import (
    Block,
    add_pairs,
    divide_pairs,
    multiply_pairs,
    two_product,
)
from slopewise._kernels.exponent_pairs import exp_pair, scale, scale_pair
from slopewise._kernels.logistic import FAR, exp_and_total


def silu(x: Any) -> Any:
    """Return the sigmoid linear unit, x sigmoid(x); -0.0 at -inf.

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
    S. Elfwing, E. Uchibe and K. Doya, 2018, "Sigmoid-weighted linear units for neural network
    function approximation in reinforcement learning", equation 6.

    Examples
    --------
    >>> round(float(silu(np.float64(1.0))), 12)
    0.73105857863
    """
    return apply(_silu, x, _silu_single)


def silu_slope(x: Any) -> Any:
    """Return the derivative of SiLU, sigmoid(x) (1 + x sigmoid(-x)).

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
    >>> float(silu_slope(np.float64(0.0)))
    0.5
    """
    return apply(_silu_slope, x, _silu_slope_single)


def silu_curvature(x: Any) -> Any:
    """Return the second derivative of SiLU, sigmoid'(x) (2 - x tanh(x/2)).

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
    >>> float(silu_curvature(np.float64(0.0)))
    0.5
    """
    return apply(_silu_curvature, x, _silu_curvature_single)


def _silu(x: Block) -> Block:
    small = np.exp(-abs(x))
    total = 1.0 + small
    top, error = two_product(x, select(x < 0.0, small, 1.0))
    quotient = top / total
    out = quotient + (((top - quotient) - quotient * small) + error) / total
    # Splitting a large x overflows, and below -700 the product comes near the subnormals.
    out = patch(out, abs(x) > 700.0, _silu_far, x)
    return patch(out, abs(x) < 1e-290, lambda x: 0.5 * x, x)


def _silu_far(x: Block) -> Block:
    high, low, exponent = exp_pair(-at_most(abs(x), FAR))
    size = at_most(abs(x), FAR)
    below = -scale(multiply_pairs((size, 0.0), (high, low))[0], exponent)
    return select(x < 0.0, below, x)


def _silu_single(x: Block) -> Block:
    return select(x == -np.inf, -0.0, x / (1.0 + np.exp(-x)))


def _silu_slope(x: Block) -> Block:
    small, exponent, plain, total = exp_and_total(abs(x))
    below = x < 0.0
    clipped = with_sign(at_most(abs(x), FAR), x)
    # (1 + e + x e)/(1 + e)**2 above 0, e (1 + e + x)/(1 + e)**2 below it.
    product = multiply_pairs((clipped, 0.0), select_pair(below, (1.0, 0.0), plain))
    top = add_pairs(total, product)
    top = multiply_pairs(top, select_pair(below, small, (1.0, 0.0)))
    ratio = divide_pairs(top, multiply_pairs(total, total))
    return scale_pair(ratio, select(below, exponent, exponent * 0))


def _silu_slope_single(x: Block) -> Block:
    small = np.exp(-abs(x))
    total = 1.0 + small
    clipped = at_most(abs(x), FAR)
    top = select(x < 0.0, small * (total - clipped), total + clipped * small)
    return top / (total * total)


def _silu_curvature(x: Block) -> Block:
    # e (2 (1 + e) - |x| (1 - e))/(1 + e)**3
    size = at_most(abs(x), FAR)
    small, exponent, plain, total = exp_and_total(size)
    difference = add_pairs((1.0, 0.0), (-plain[0], -plain[1]))
    high, low = multiply_pairs((-size, 0.0), difference)
    top = multiply_pairs(add_pairs((2.0 * total[0], 2.0 * total[1]), (high, low)), small)
    cube = multiply_pairs(total, multiply_pairs(total, total))
    return scale_pair(divide_pairs(top, cube), exponent)


def _silu_curvature_single(x: Block) -> Block:
    small = np.exp(-abs(x))
    total = 1.0 + small
    size = at_most(abs(x), FAR)
    return small * (2.0 * total - size * (1.0 - small)) / (total * total * total)
