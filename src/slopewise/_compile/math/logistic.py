"""The logistic family: sigmoid, its density, softplus, silu', tanh, sech^2 and log-add-exp.

Invariant: all are computed from e**-|x| as a pair, so that both saturated sides keep their digits,
down to subnormal results. It is separate from the exponentials because it divides by 1 + e**-|x|.
"""

from __future__ import annotations

import numpy as np

from slopewise._compile.math.exponential import (
    Power,
    bounds,
    exp_pair,
    exp_pair_beside_expm1,
    expm1_pair,
)
from slopewise._compile.math.lanes import Lanes, fma, larger, select, smaller
from slopewise._compile.math.logarithm import log1p_of_pair
from slopewise._compile.math.pairs import (
    Pair,
    add_pairs,
    fast_two_sum,
    multiply_pairs,
    quotient,
    select_pair,
    two_sum,
)  # fmt: skip


class Decay:
    """e**-size for size >= 0, as a pair near 1 and a power, as a plain pair, and 1 plus it."""

    def __init__(self, size: Lanes, error: Lanes | None = None, *, beside: bool = False) -> None:
        """`beside` says that tanh's terms are to be used."""
        limit = _limit(size)
        low = None if error is None else -select(size < limit, error, 0.0)
        small = -size.at_most(limit)
        bits, self.near = exp_pair_beside_expm1(small) if beside else exp_pair(small, low)
        self.power = Power(bits, size, rounder=True)
        self.plain: Pair = (self.power.times(self.near[0]), self.power.times(self.near[1]))
        total, rest = fast_two_sum(1.0, self.plain[0])
        self.total: Pair = (total, rest + self.plain[1])


def _limit(size: Lanes) -> float:
    """Return where e**-size is 0, and half again: a factor cannot bring the result back."""
    return -1.25 * bounds(size)[0]


def sigmoid(x: Lanes) -> Lanes:
    """Emit 1/(1 + e**-x)."""
    decay = Decay(abs(x))
    below = x < 0.0
    top = select_pair(below, decay.near, (1.0, 0.0))
    return decay.power.where(below).times(quotient(top, decay.total))


def logistic_density(x: Lanes) -> Lanes:
    """Emit the derivative of the sigmoid, e**-x/(1 + e**-x)**2."""
    decay = Decay(abs(x))
    return decay.power.times(quotient(decay.near, squared(decay.total)))


def sech_squared(x: Lanes) -> Lanes:
    """Emit the derivative of tanh, 4 e**-2x/(1 + e**-2x)**2."""
    decay = Decay(2.0 * abs(x), beside=True)
    near = (4.0 * decay.near[0], 4.0 * decay.near[1])
    return decay.power.times(quotient(near, squared(decay.total)))


def squared(a: Pair) -> Pair:
    """Return the square of a pair, not normalised."""
    square = a[0] * a[0]
    error = fma(a[0], a[0], -square)
    return square, fma(2.0 * a[0], a[1], error)


def silu_slope(x: Lanes) -> Lanes:
    """Emit the derivative of x sigmoid(x), sigmoid(x) (1 + x sigmoid(-x))."""
    limit = -1.25 * bounds(x)[0]
    decay = Decay(abs(x))
    below = x < 0.0
    clipped = x.at_most(limit).at_least(-limit)
    factor = select_pair(below, (1.0, 0.0), decay.plain)
    product = multiply_pairs((clipped, x.number(0.0)), factor)
    top = add_pairs(decay.total, product)
    top = multiply_pairs(top, select_pair(below, decay.near, (1.0, 0.0)))
    out = quotient(top, squared(decay.total))
    return decay.power.where(below).times(out)


def softplus(x: Lanes) -> Lanes:
    """Emit log(1 + e**x)."""
    high, low = log1p_of_pair(Decay(abs(x)).plain)
    total, error = two_sum(x.at_least(0.0), high)
    return select(x > (20.0 if x.single else 42.0), x, total + (error + low))


def logsigmoid(x: Lanes) -> Lanes:
    """Emit log(sigmoid(x)) = -softplus(-x), with a positive 0 far out."""
    return 0.0 - softplus(-x)


def logaddexp(x: Lanes, y: Lanes) -> Lanes:
    """Emit log(e**x + e**y)."""
    top, bottom = larger(x, y), smaller(x, y)
    difference, error = two_sum(top, -bottom)
    same = x.equals(y)
    difference = select(same, 0.0, difference)
    error = select(same | ~difference.is_finite(), 0.0, error)
    high, low = log1p_of_pair(Decay(difference, error).plain)
    total, rest = two_sum(top, high)
    out = total + (rest + low)
    out = select(abs(top).equals(np.inf), top, out)
    return select(x.is_nan() | y.is_nan(), x + y, out)


def tanh(x: Lanes) -> Lanes:
    """Emit the hyperbolic tangent, -m/(m + 2) with m = e**-2|x| - 1."""
    size = 2.0 * abs(x)
    m, m_low = fast_two_sum(*expm1_pair(-size.at_most(_limit(size)), falling=True))
    total, error = fast_two_sum(2.0, m)
    near = quotient((-m, -m_low), (total, error + m_low))
    return select(size > (20.0 if x.single else 44.0), 1.0, near).with_sign(x)
