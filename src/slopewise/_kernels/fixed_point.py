"""Constants and table entries in exact integer arithmetic, from which every table here is made.

A number v is held as the integer round(v * 2**BITS). The kernels' constants are therefore derived,
not copied: each comes from a series that a reader can check, and is rounded to float64 once. It is
separate because it runs only when a table is first needed, and never on data.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import isqrt

BITS = 256
ONE = 1 << BITS


def fixed(value: float | Fraction) -> int:
    """Return a rational number (or a float, taken exactly) in fixed point.

    Parameters
    ----------
    value : float or Fraction

    Returns
    -------
    int
        The number times 2**BITS, rounded down.

    Examples
    --------
    >>> fixed(0.5) == ONE // 2
    True
    """
    ratio = Fraction(value)
    return (ratio.numerator << BITS) // ratio.denominator


def multiply(a: int, b: int) -> int:
    """Return the product of two fixed-point numbers.

    Parameters
    ----------
    a, b : int, fixed point

    Returns
    -------
    int, fixed point

    Examples
    --------
    >>> multiply(fixed(1.5), fixed(2.0)) == fixed(3.0)
    True
    """
    return (a * b) >> BITS


def divide(a: int, b: int) -> int:
    """Return the quotient of two fixed-point numbers.

    Parameters
    ----------
    a, b : int, fixed point

    Returns
    -------
    int, fixed point

    Examples
    --------
    >>> divide(fixed(3.0), fixed(2.0)) == fixed(1.5)
    True
    """
    return (a << BITS) // b


def floats(value: int, *widths: int) -> tuple[float, ...]:
    """Return floats that sum to a fixed-point number: each what is left, rounded.

    Parameters
    ----------
    value : int, fixed point
    *widths : int
        Significant bits of each float, 1 to 53.

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> floats(fixed(Fraction(1, 3)), 2, 53)
    (0.375, -0.041666666666666664)
    """
    parts = []
    for width in widths:
        spare = max(abs(value).bit_length() - width, 0)
        part = ((value + (1 << spare >> 1)) >> spare) << spare
        parts.append(part / ONE)
        value -= part
    return tuple(parts)


def pair(value: int) -> tuple[float, float]:
    """Return the two float64 that sum to a fixed-point number, to 106 bits.

    Parameters
    ----------
    value : int, fixed point

    Returns
    -------
    (high, low) : tuple of float

    Examples
    --------
    >>> pair(fixed(Fraction(1, 3)))
    (0.3333333333333333, 1.850371707708594e-17)
    """
    high, low = floats(value, 53, 53)
    return high, low


def exponential(value: int) -> int:
    """Return e**v for a fixed-point number |v| < 2**10.

    Parameters
    ----------
    value : int, fixed point

    Returns
    -------
    int, fixed point

    Examples
    --------
    >>> floats(exponential(ONE), 53)
    (2.718281828459045,)
    """
    halvings = 24
    small, term, total, count = value >> halvings, ONE, 0, 0
    while term not in (0, -1):
        total += term
        count += 1
        term = multiply(term, small) // count
    for _ in range(halvings):
        total = multiply(total, total)
    return total


def logarithm(value: int) -> int:
    """Return the natural logarithm of a fixed-point number v > 0.

    Parameters
    ----------
    value : int, fixed point

    Returns
    -------
    int, fixed point

    Source
    ------
    log v = m log 2 + 2 artanh((z - 1) / (z + 1)), v = 2**m z, z in [1, 2).

    Examples
    --------
    >>> floats(logarithm(2 * ONE), 53)
    (0.6931471805599453,)
    """
    exponent = value.bit_length() - BITS - 1
    z = value >> exponent if exponent >= 0 else value << -exponent
    series = 2 * _artanh(divide(z - ONE, z + ONE))
    return series + (exponent * log_two() if exponent else 0)


def _artanh(value: int) -> int:
    square, power, total, count = multiply(value, value), value, 0, 1
    while power not in (0, -1):
        total += power // count
        power = multiply(power, square)
        count += 2
    return total


@cache
def log_two() -> int:
    """Return log 2, which is 2 artanh(1/3).

    Returns
    -------
    int, fixed point

    Examples
    --------
    >>> floats(log_two(), 53)
    (0.6931471805599453,)
    """
    return 2 * _artanh(ONE // 3)


@cache
def pi(bits: int = BITS) -> int:
    """Return pi times 2**bits.

    Parameters
    ----------
    bits : int

    Returns
    -------
    int

    Source
    ------
    J. Machin, 1706: pi/4 = 4 arctan(1/5) - arctan(1/239).

    Examples
    --------
    >>> pi(20) / 2**20
    3.141592025756836
    """
    guard = 16
    one = 1 << (bits + guard)

    def arctan_of_inverse(n: int) -> int:
        power, total, count = one // n, 0, 1
        while power:
            total += power // count if count % 4 == 1 else -(power // count)
            power //= n * n
            count += 2
        return total

    return (16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)) >> guard


def root(value: int) -> int:
    """Return the square root of a fixed-point number v >= 0.

    Parameters
    ----------
    value : int, fixed point

    Returns
    -------
    int, fixed point

    Examples
    --------
    >>> floats(root(2 * ONE), 53)
    (1.4142135623730951,)
    """
    return isqrt(value << BITS)


@cache
def bernoulli(count: int) -> tuple[Fraction, ...]:
    """Return the Bernoulli numbers B_2, B_4, ... as fractions.

    Parameters
    ----------
    count : int
        How many.

    Returns
    -------
    tuple of Fraction, length count

    Source
    ------
    S. Akiyama and Y. Tanigawa, 2001, "Multiple zeta values at non-positive integers".

    Examples
    --------
    >>> bernoulli(3)
    (Fraction(1, 6), Fraction(-1, 30), Fraction(1, 42))
    """
    row: list[Fraction] = []
    numbers = []
    for m in range(2 * count + 1):
        row.append(Fraction(1, m + 1))
        for j in range(m, 0, -1):
            row[j - 1] = j * (row[j - 1] - row[j])
        numbers.append(row[0])
    return tuple(numbers[2::2])
