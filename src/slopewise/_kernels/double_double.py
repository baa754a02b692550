"""Error-free transforms, and arithmetic on pairs of float64.

A pair `(high, low)` stands for the unevaluated sum `high + low`, which carries about 106 bits.
Every function works on arrays and on NumPy scalars alike, uses only `+ - * /` and `sqrt` (so the
bits are the same on every processor), never changes its arguments, and expects finite values well
inside the exponent range. It is separate because all other kernels lean on it, and because it must
stay free of fused multiply-adds, which NumPy does not offer.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

# A float64 array or NumPy scalar; NumPy's own types cannot say "closed under arithmetic".
Block: TypeAlias = Any
Pair: TypeAlias = tuple[Block, Block]

_SPLITTER = float(2**27 + 1)


def two_sum(a: Block, b: Block) -> Pair:
    """Return the rounded sum of two numbers, and its rounding error, which is exact.

    Parameters
    ----------
    a, b : float64 array or scalar, any shape

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Source
    ------
    D. E. Knuth, The Art of Computer Programming, volume 2, section 4.2.2, theorem B.

    Examples
    --------
    >>> two_sum(1.0, 1e-20)
    (1.0, 1e-20)
    """
    high = a + b
    part = high - a
    return high, (a - (high - part)) + (b - part)


def fast_two_sum(a: Block, b: Block) -> Pair:
    """Return what `two_sum` returns, in half the operations, where |a| >= |b| or a is 0.

    Parameters
    ----------
    a, b : float64 array or scalar, any shape

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Source
    ------
    T. J. Dekker, 1971, "A floating-point technique for extending the available precision".

    Examples
    --------
    >>> fast_two_sum(2.0, 1e-20)
    (2.0, 1e-20)
    """
    high = a + b
    return high, b - (high - a)


def split(a: Block) -> Pair:
    """Return two halves of at most 26 bits each whose sum is `a`; needs |a| < 2**996.

    Parameters
    ----------
    a : float64 array or scalar, any shape

    Returns
    -------
    (high, low) : pair of float64, the operand's shape

    Source
    ------
    G. W. Veltkamp, 1968; T. J. Dekker, 1971, section 5.

    Examples
    --------
    >>> split(1.0 + 2.0**-40)
    (1.0, 9.094947017729282e-13)
    """
    wide = a * _SPLITTER
    high = wide - (wide - a)
    return high, a - high


def two_product(a: Block, b: Block) -> Pair:
    """Return the rounded product of two numbers, and its rounding error.

    The error is exact unless it underflows: the product must be 0 or above 2**-968 for that.

    Parameters
    ----------
    a, b : float64 array or scalar, any shape

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Source
    ------
    T. J. Dekker, 1971, section 5.

    Examples
    --------
    >>> two_product(1.0 + 2.0**-30, 1.0 - 2.0**-30)
    (1.0, -8.673617379884035e-19)
    """
    product = a * b
    a_high, a_low = split(a)
    b_high, b_low = split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def two_square(a: Block) -> Pair:
    """Return the rounded square of a number, and its rounding error.

    Parameters
    ----------
    a : float64 array or scalar, any shape

    Returns
    -------
    (high, low) : pair of float64, the operand's shape

    Source
    ------
    T. J. Dekker, 1971, section 5.

    Examples
    --------
    >>> two_square(1.0 + 2.0**-30)
    (1.0000000018626451, 8.673617379884035e-19)
    """
    square = a * a
    high, low = split(a)
    return square, ((high * high - square) + 2.0 * (high * low)) + low * low


def square_plus(x: Block, addend: float) -> Pair:
    """Return x**2 + addend as a pair.

    Parameters
    ----------
    x : float64 array or scalar, any shape
    addend : float

    Returns
    -------
    (high, low) : pair of float64, the operand's shape

    Examples
    --------
    >>> square_plus(1.0 + 2.0**-30, -1.0)
    (1.862645149230957e-09, 8.673617379884035e-19)
    """
    square, error = two_square(x)
    high, low = two_sum(square, addend)
    return high, low + error


def add_pairs(a: Pair, b: Pair) -> Pair:
    """Return the sum of two pairs, to about 2**-104 of the larger operand.

    Parameters
    ----------
    a, b : pair of float64, any shape

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Examples
    --------
    >>> add_pairs((1.0, 1e-20), (2.0, 1e-20))
    (3.0, 2e-20)
    """
    high, low = two_sum(a[0], b[0])
    return fast_two_sum(high, low + (a[1] + b[1]))


def multiply_pairs(a: Pair, b: Pair) -> Pair:
    """Return the product of two pairs, to a relative error of about 2**-102.

    Parameters
    ----------
    a, b : pair of float64, any shape

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Examples
    --------
    >>> multiply_pairs((3.0, 1e-20), (2.0, 0.0))
    (6.0, 2e-20)
    """
    high, low = two_product(a[0], b[0])
    return fast_two_sum(high, low + (a[0] * b[1] + a[1] * b[0]))


def divide_pairs(a: Pair, b: Pair) -> Pair:
    """Return the quotient of two pairs, to a relative error of about 2**-102.

    Parameters
    ----------
    a, b : pair of float64, any shape
        The high part of `b` must not be 0.

    Returns
    -------
    (high, low) : pair of float64, the operands' shape

    Examples
    --------
    >>> divide_pairs((1.0, 0.0), (3.0, 0.0))
    (0.3333333333333333, 1.850371707708594e-17)
    """
    quotient = a[0] / b[0]
    product, error = two_product(quotient, b[0])
    rest = ((a[0] - product) - error) + (a[1] - quotient * b[1])
    return quotient, rest / b[0]


def root_pair(a: Pair) -> Pair:
    """Return the square root of a positive pair, to a relative error of about 2**-102.

    Parameters
    ----------
    a : pair of float64, any shape
        The high part must be above 0.

    Returns
    -------
    (high, low) : pair of float64, the operand's shape

    Examples
    --------
    >>> high, low = root_pair((2.0, 0.0))
    >>> float(high), float(low)
    (1.4142135623730951, -9.667293313452912e-17)
    """
    high = np.sqrt(a[0])
    square, error = two_square(high)
    return high, (((a[0] - square) - error) + a[1]) / (high + high)


def rounded(a: Pair) -> Block:
    """Return the float64 nearest to a pair.

    Parameters
    ----------
    a : pair of float64, any shape

    Returns
    -------
    float64 array or scalar, the operand's shape

    Examples
    --------
    >>> rounded((1.0, 2.0**-53 + 2.0**-60))
    1.0000000000000002
    """
    return a[0] + a[1]
