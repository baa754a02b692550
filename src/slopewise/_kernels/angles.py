"""Sine and cosine as pairs, of any finite float64 and of fractions of a half turn.

Invariant: relative errors stay below 2**-58, near the roots too and for arguments up to 1.8e308.
It serves what divides by a sine or a cosine (tan', the gamma family's reflection); sin and cos
themselves are NumPy's. It is separate because of the reduction modulo pi/2, which for large
arguments needs 1200 bits of 2/pi.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from slopewise._kernels import fixed_point
from slopewise._kernels.blocks import select
from slopewise._kernels.double_double import (
    Block,
    Pair,
    divide_pairs,
    fast_two_sum,
    multiply_pairs,
    two_square,
    two_sum,
)

_CHUNKS, _WIDTH = 7, 26


@cache
def quarter_turns() -> np.ndarray:
    """Return 2**(e - 53) * 2/pi modulo 4, for each exponent e, cut into pieces of 26 bits.

    Since a float64 is an integer times 2**(e - 53), whole turns can be dropped beforehand.

    Returns
    -------
    float64 array (7, 1025)
        Column e holds the pieces, the largest first; together they reach to 2**-180.

    Source
    ------
    M. Payne and R. Hanek, 1983, "Radian reduction for trigonometric functions".

    Examples
    --------
    >>> quarter_turns().shape
    (7, 1025)
    """
    bits = 1024 + _CHUNKS * _WIDTH + 64
    two_over_pi = (2 << (2 * bits)) // fixed_point.pi(bits)
    depth = _CHUNKS * _WIDTH - 2
    columns = []
    for exponent in range(1025):
        shift = bits - depth - (exponent - 53)
        value = (two_over_pi >> shift) & ((4 << depth) - 1)
        column = []
        for piece in range(_CHUNKS):
            below = _WIDTH * (_CHUNKS - 1 - piece)
            column.append(((value >> below) & ((1 << _WIDTH) - 1)) * 2.0 ** (below - depth))
        columns.append(column)
    return np.array(columns).T.copy()


def reduce_angle(x: Block) -> tuple[Block, Pair]:
    """Return the nearest number of quarter turns, and what is left, as a pair of radians.

    Parameters
    ----------
    x : float64 array or scalar, any shape
        Finite, in radians.

    Returns
    -------
    (odd, (high, low)) : bool and pair of float64, the operand's shape
        Whether the number of quarter turns is odd; |high| is at most about pi/4.

    Source
    ------
    M. Payne and R. Hanek, 1983, "Radian reduction for trigonometric functions".

    Examples
    --------
    >>> odd, (high, low) = reduce_angle(np.float64(1e22))
    >>> bool(odd), float(high)
    (True, 0.5506189342358097)
    """
    mantissa, exponent = np.frexp(x)
    upper = np.rint(mantissa * 2.0**26)
    lower = mantissa * 2.0**53 - upper * 2.0**27
    upper = upper * 2.0**27
    table = quarter_turns()
    q = [row.take(exponent, mode="clip") for row in table]

    # Products of 27 and 26 bits are exact. `upper * q[0]` is a multiple of 4, so it drops out.
    turns = _drop_turns(upper * q[1]) + _drop_turns(lower * q[0])
    turns = turns + (_drop_turns(upper * q[2]) + _drop_turns(lower * q[1]))
    count = np.rint(turns)
    high, low = turns - count, 0.0
    for piece in range(2, _CHUNKS - 1):
        for term in (lower * q[piece], upper * q[piece + 1]):
            high, error = two_sum(high, term)
            low = low + error
    first, second = fixed_point.pair(fixed_point.pi() >> 1)
    rest, rest_low = multiply_pairs(fast_two_sum(high, low), (first, second))
    near = abs(x) < 0.75
    odd = (np.rint(count * 0.5) * 2.0 != count) & ~near
    return odd, (select(near, x, rest), select(near, 0.0, rest_low))


def sine_pair(angle: Pair) -> Pair:
    """Return the sine of a pair |x| <= pi/4, as a pair.

    Parameters
    ----------
    angle : pair of float64, any shape
        In radians.

    Returns
    -------
    (high, low) : pair of float64, the operand's shape

    Examples
    --------
    >>> high, low = sine_pair((np.float64(0.5), 0.0))
    >>> float(high + low)
    0.479425538604203
    """
    high, low = angle
    square, error = two_square(high)
    series = 1.0 / _FACTORIALS[17]
    for n in (15, 13, 11, 9, 7, 5):
        series = 1.0 / _FACTORIALS[n] - square * series
    cube, cube_low = multiply_pairs((square, error), (high, 0.0))
    sixth, sixth_low = divide_pairs((cube, cube_low), (6.0, 0.0))
    total, rest = fast_two_sum(high, -sixth)
    tail = cube * (square * series) - sixth_low
    return fast_two_sum(total, tail + (rest + (low - 0.5 * square * low)))


def cosine_pair(angle: Pair) -> Pair:
    """Return the cosine of a pair |x| <= pi/4, as a pair.

    Parameters
    ----------
    angle : pair of float64, any shape
        In radians.

    Returns
    -------
    (high, low) : pair of float64, the operand's shape

    Examples
    --------
    >>> high, low = cosine_pair((np.float64(0.5), 0.0))
    >>> float(high + low)
    0.8775825618903728
    """
    high, low = angle
    square, error = two_square(high)
    series = 1.0 / _FACTORIALS[18]
    for n in (16, 14, 12, 10, 8, 6):
        series = 1.0 / _FACTORIALS[n] - square * series
    fourth = divide_pairs(multiply_pairs((square, error), (square, error)), (24.0, 0.0))
    total, rest = fast_two_sum(1.0, -0.5 * square)
    total, more = fast_two_sum(total, fourth[0])
    tail = fourth[1] - square * (square * (square * series))
    # The low part counts by the sine.
    change = 0.5 * error + low * (high - high * square / 6.0)
    return fast_two_sum(total, tail + (more + (rest - change)))


def half_turn_pairs(fraction: Block) -> tuple[Pair, Pair]:
    """Return sin(pi f) and cos(pi f), as pairs.

    Parameters
    ----------
    fraction : float64 array or scalar, any shape
        f in half turns, -0.5 to 0.5, taken exactly.

    Returns
    -------
    (sine, cosine) : two pairs of float64, the operand's shape

    Examples
    --------
    >>> (sine, _), (cosine, _) = half_turn_pairs(np.float64(-0.5))
    >>> float(sine), float(cosine)
    (-1.0, 0.0)
    """
    size = abs(fraction)
    swap = size > 0.25
    half_turn = fixed_point.pair(fixed_point.pi())
    angle = multiply_pairs((select(swap, 0.5 - size, size), 0.0), half_turn)
    first, second = sine_pair(angle), cosine_pair(angle)
    sign = select(fraction < 0.0, -1.0, 1.0)
    sine = (select(swap, second[0], first[0]) * sign, select(swap, second[1], first[1]) * sign)
    return sine, (select(swap, first[0], second[0]), select(swap, first[1], second[1]))


def _drop_turns(quarters: Block) -> Block:
    return quarters - 4.0 * np.rint(quarters * 0.25)


_FACTORIALS = [1.0]
for _n in range(1, 19):
    _FACTORIALS.append(_FACTORIALS[-1] * _n)
