"""Exponentials and logarithms: NumPy's, in float64.

Invariant: NumPy's float64 versions are within 1 ULP (log10 within 1.7) on every path that it
dispatches to, so float64 calls them as they are. Its float32 versions are not (exp 2.3, log 3.3),
so float32 is computed in float64 and rounded once. It is separate because nothing here is our own
arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._kernels.blocks import widen


def exp(x: Any) -> Any:
    """Return the exponential, e**x.

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
    >>> round(float(exp(np.float64(1.0))), 12)
    2.718281828459
    """
    return widen(np.exp, x)


def exp2(x: Any) -> Any:
    """Return 2**x.

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
    >>> round(float(exp2(np.float64(0.5))), 12)
    1.414213562373
    """
    return widen(np.exp2, x)


def expm1(x: Any) -> Any:
    """Return e**x - 1, accurate near 0.

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
    >>> round(float(expm1(np.float64(1e-10))), 12)
    1e-10
    """
    return widen(np.expm1, x)


def log(x: Any) -> Any:
    """Return the natural logarithm.

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
    >>> round(float(log(np.float64(2.0))), 12)
    0.69314718056
    """
    return widen(np.log, x)


def log2(x: Any) -> Any:
    """Return the logarithm to base 2.

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
    >>> round(float(log2(np.float64(8.0))), 12)
    3.0
    """
    return widen(np.log2, x)


def log10(x: Any) -> Any:
    """Return the logarithm to base 10.

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
    >>> round(float(log10(np.float64(1000.0))), 12)
    3.0
    """
    return widen(np.log10, x)


def log1p(x: Any) -> Any:
    """Return log(1 + x), accurate near 0.

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
    >>> round(float(log1p(np.float64(1e-10))), 12)
    1e-10
    """
    return widen(np.log1p, x)
