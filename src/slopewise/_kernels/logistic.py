"""The logistic family: sigmoid, softplus, logaddexp and their derivatives.

Invariant: nothing is computed from a rounded output, so both saturated sides keep their relative
accuracy down to subnormals: 1 - sigmoid(40) is 4e-18 here, not 0. sigmoid, softplus and logsigmoid
call NumPy's exp, since they are in every network; the derivatives are divided as pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._kernels.blocks import (
    apply,
    apply_two,
    at_most,
    patch,
    select,
    select_pair,
    widen_two,
)
from slopewise._kernels.double_double import (
    Block,
    Pair,
    add_pairs,
    divide_pairs,
    fast_two_sum,
    rounded,
    two_sum,
)
from slopewise._kernels.exponent_pairs import exp_pair, log_pair, scale, scale_pair

# FAR**2 e**-FAR is below half the least subnormal.
FAR = 770.0


def sigmoid(x: Any) -> Any:
    """Return the logistic function, 1/(1 + e**-x).

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
    >>> round(float(sigmoid(np.float64(-1000.0))), 12)
    0.0
    """
    return apply(_sigmoid, x, _sigmoid_single)


def logsigmoid(x: Any) -> Any:
    """Return log(sigmoid(x)) = -softplus(-x).

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
    >>> round(float(logsigmoid(np.float64(-1000.0))), 12)
    -1000.0
    """
    return apply(_logsigmoid, x)


def softplus(x: Any) -> Any:
    """Return log(1 + e**x).

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
    >>> round(float(softplus(np.float64(1000.0))), 12)
    1000.0
    """
    return apply(_softplus, x)


def logistic_density(x: Any) -> Any:
    """Return the logistic density, sigmoid(x) sigmoid(-x), which is sigmoid'.

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
    >>> round(float(logistic_density(np.float64(40.0))), 12)
    0.0
    """
    return apply(_logistic_density, x)


def logaddexp(x: Any, y: Any) -> Any:
    """Return log(e**x + e**y), without overflow on the way.

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
    >>> round(float(logaddexp(np.float64(1000.0), 1000.0)), 12)
    1000.69314718056
    """
    if np.result_type(x, y).char == "f":
        return widen_two(np.logaddexp, x, y)
    return apply_two(_logaddexp, x, y)


def logaddexp_slope(x: Any, y: Any) -> Any:
    """Return the derivative of logaddexp(x, y) by x: sigmoid(x - y), 0.5 where x is y.

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
    >>> float(logaddexp_slope(np.float64(0.0), 1000.0))
    0.0
    """
    return apply_two(_logaddexp_slope, x, y)


def _sigmoid(x: Block) -> Block:
    small = np.exp(-abs(x))
    top = np.exp(at_most(x, 0.0))
    bottom = 1.0 + small
    quotient = top / bottom
    # The quotient's own error, exactly but for one product, so that exp's is all that is left.
    return quotient + ((top - quotient) - quotient * small) / bottom


def _sigmoid_single(x: Block) -> Block:
    return 1.0 / (1.0 + np.exp(-x))


def _softplus(x: Block) -> Block:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-abs(x)))


def _logsigmoid(x: Block) -> Block:
    return np.minimum(x, 0.0) - np.log1p(np.exp(-abs(x)))


def exp_and_total(size: Block, error: Block = 0.0) -> tuple[Pair, Block, Pair, Pair]:
    """Return e = exp(-size - error), and 1 + e.

    Parameters
    ----------
    size, error : float64 array or scalar, any shape
        size >= 0, and |error| at most an ULP of it.

    Returns
    -------
    (small, exponent, plain, total) : pair, int64, pair and pair, the operands' shape
        e is small * 2**exponent, with `small` in [1, 2.02), and also the pair `plain`, which may
        underflow; `total` is 1 + e.

    Examples
    --------
    >>> small, exponent, plain, total = exp_and_total(np.float64(0.0))
    >>> float(small[0]), int(exponent), float(plain[0]), float(total[0])
    (1.0, 0, 1.0, 2.0)
    """
    high, low, exponent = exp_pair(-at_most(size, FAR), -error)
    plain = (scale(high, exponent), scale(low, exponent))
    total, rest = fast_two_sum(1.0, plain[0])
    return (high, low), exponent, plain, (total, rest + plain[1])


def quotient_by_square(small: Block) -> Block:
    """Return e/(1 + e)**2 for 0 <= e <= 1, with hardly more than its last rounding.

    Parameters
    ----------
    small : float64 array or scalar, any shape

    Returns
    -------
    float64 array or scalar, the operand's shape

    Examples
    --------
    >>> float(quotient_by_square(np.float64(1.0)))
    0.25
    """
    total = 1.0 + small
    out = small / total / total
    # The rest e - out (1 + 2e + e**2), in an order in which hardly anything is rounded.
    rest = ((small - out) - out * (2.0 * small)) - out * (small * small)
    return out + rest / (total * total)


def _logistic_density(x: Block) -> Block:
    return quotient_by_square(np.exp(-abs(x)))


def _logaddexp_slope(x: Block, y: Block) -> Block:
    difference, error = two_sum(x, -y)
    size = np.minimum(abs(difference), FAR)
    below = difference < 0.0
    # |x - y| has the error's sign turned where x - y is below 0.
    error = select(size < FAR, select(below, -error, error), 0.0)
    small, exponent, _, total = exp_and_total(size, error)
    ratio = divide_pairs(select_pair(below, small, (1.0, 0.0)), total)
    out = scale_pair(ratio, select(below, exponent, exponent * 0))
    return patch(out, x == y, lambda x: np.full_like(x, 0.5), x)


def _logaddexp(x: Block, y: Block) -> Block:
    out = np.logaddexp(x, y)
    # The larger operand and what is added to it, log 2 at most, cancel only here.
    top = np.maximum(x, y)
    return patch(out, (top > -3.0) & (top < 0.0), _logaddexp_near_root, x, y)


def _logaddexp_near_root(x: Block, y: Block) -> Block:
    top, bottom = np.maximum(x, y), np.minimum(x, y)
    difference, error = two_sum(top, -bottom)
    near = difference < FAR
    _, _, _, total = exp_and_total(difference, select(near, error, 0.0))
    return rounded(add_pairs(log_pair(*total), (top, 0.0)))
