"""The logistic family: sigmoid, its density, softplus, silu', tanh, sech^2 and log-add-exp.

Invariant: all are computed from e**-|x| as a pair, so that both saturated sides keep their digits,
down to subnormal results. It is separate from the exponentials because it divides by 1 + e**-|x|.
"""

from __future__ import annotations

import numpy as np

from slopewise._compile.math.exponential import Power, bounds, exp_pair
from slopewise._compile.math.lanes import Lanes, fma, larger, select, smaller
from slopewise._compile.math.logarithm import log1p_of_pair
from slopewise._compile.math.pairs import (
    AnyPair,
    Pair,
    add_pairs,
    multiply_pairs,
    negated,
    quotient,
    select_pair,
    two_product,
    two_sum,
)  # fmt: skip


class Decay:
    """e**-size for size >= 0, as a pair near 1 and a power, and 1 plus it.

    Attributes
    ----------
    near : pair
        e**-size / power.
    power : Power
    scale : Lanes
        The power as a number, 0 or subnormal far out.
    total : pair
        1 + e**-size.
    """

    def __init__(self, size: Lanes, error: Lanes | None = None) -> None:
        limit = _limit(size)
        low = None if error is None else -select(size < limit, error, 0.0)
        bits, self.near = exp_pair((-size).at_least(-limit), low)
        self.power = Power(bits, size, rounder=True)
        self.scale = self.power.times(size.number(1.0))
        self.total = self._plus(1.0)

    def _plus(self, number: float) -> Pair:
        """Return a number of the size of 1, plus e**-size; the error of the sum is exact."""
        high = fma(self.near[0], self.scale, number)
        error = fma(self.near[0], self.scale, number - high)
        return high, fma(self.near[1], self.scale, error)

    def less_one(self) -> Pair:
        """Return e**-size - 1, whose low part is all there is of it near 0."""
        return self._plus(-1.0)

    def plain(self) -> Pair:
        """Return e**-size as a pair."""
        return self.near[0] * self.scale, self.near[1] * self.scale

    def divide(self, top: AnyPair, *, twice: bool = False) -> Lanes:
        """Return a pair over 1 + e**-size, or over its square.

        There is one division, which all that is computed from the same `size` shares.
        """
        inverse = 1.0 / self.total[0]
        rest = fma(-inverse, self.total[1], fma(-inverse, self.total[0], 1.0))
        high, error = two_product(inverse, top[0])
        error = fma(inverse, top[1], error)
        if twice:
            high, last = two_product(high, inverse)
            error = fma(error, inverse, last)
            rest = rest + rest
        return high + fma(high, rest, error)


def _limit(size: Lanes) -> float:
    """Return where e**-size is 0, and half again: a factor cannot bring the result back."""
    return -1.25 * bounds(size)[0]


def sigmoid(x: Lanes) -> Lanes:
    """Emit 1/(1 + e**-x)."""
    decay = Decay(abs(x))
    below = x < 0.0
    top = select_pair(below, decay.near, (1.0, 0.0))
    return decay.power.where(below).times(decay.divide(top))


def logistic_density(x: Lanes) -> Lanes:
    """Emit the derivative of the sigmoid, e**-x/(1 + e**-x)**2."""
    decay = Decay(abs(x))
    return decay.power.times(decay.divide(decay.near, twice=True))


def sech_squared(x: Lanes) -> Lanes:
    """Emit the derivative of tanh, 4 e**-2x/(1 + e**-2x)**2."""
    decay = Decay(2.0 * abs(x))
    return decay.power.shifted(2).times(decay.divide(decay.near, twice=True))


def squared(a: Pair) -> Pair:
    """Return the square of a pair, not normalised."""
    square = a[0] * a[0]
    error = fma(a[0], a[0], -square)
    return square, fma(2.0 * a[0], a[1], error)


def silu(x: Lanes) -> Lanes:
    """Emit x sigmoid(x), scaled last, so that subnormal results are rounded once."""
    decay = Decay(abs(x))
    below = x < 0.0
    top = select_pair(below, decay.near, (1.0, 0.0))
    return decay.power.where(below).times(x.at_least(-_limit(x)) * decay.divide(top))


def silu_slope(x: Lanes) -> Lanes:
    """Emit the derivative of x sigmoid(x), sigmoid(x) (1 + x sigmoid(-x))."""
    limit = -1.25 * bounds(x)[0]
    decay = Decay(abs(x))
    below = x < 0.0
    clipped = x.at_most(limit).at_least(-limit)
    factor = select_pair(below, (1.0, 0.0), decay.plain())
    product = multiply_pairs((clipped, x.number(0.0)), factor)
    top = add_pairs(decay.total, product)
    top = multiply_pairs(top, select_pair(below, decay.near, (1.0, 0.0)))
    out = quotient(top, squared(decay.total))
    return decay.power.where(below).times(out)


def softplus(x: Lanes) -> Lanes:
    """Emit log(1 + e**x)."""
    high, low = log1p_of_pair(Decay(abs(x)).plain())
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
    high, low = log1p_of_pair(Decay(difference, error).plain())
    total, rest = two_sum(top, high)
    out = total + (rest + low)
    out = select(abs(top).equals(np.inf), top, out)
    return select(x.is_nan() | y.is_nan(), x + y, out)


def tanh(x: Lanes) -> Lanes:
    """Emit the hyperbolic tangent, (1 - e**-2|x|)/(1 + e**-2|x|)."""
    size = abs(x)
    decay = Decay(2.0 * size)
    out = decay.divide(negated(decay.less_one())).with_sign(x)
    # There the high and the low part are of one size, and their sum would be rounded twice.
    return select(size < x.format.epsilon, x, out)
