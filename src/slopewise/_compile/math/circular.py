"""Sine, cosine, tangent and its derivative.

Invariant: both series are evaluated in every lane and the quarter of the turn chooses. Signs are
put in by their bits. It is separate from the reduction because that is long and seldom far.
"""

from __future__ import annotations

from slopewise._compile.math.angles import Angle, cosine_pair, reduce_angle, sine_pair
from slopewise._compile.math.lanes import Lanes, select
from slopewise._compile.math.logistic import squared
from slopewise._compile.math.pairs import fast_two_sum, negated, quotient, select_pair


def _wave(x: Lanes, angle: Angle, shift: int) -> Lanes:
    """Return the sine of an angle plus `shift` quarter turns."""
    form = x.format
    quarters = angle.quarters + shift if shift else angle.quarters
    odd = (quarters & 1).compare("!=", 0)
    high, low = select_pair(odd, cosine_pair(angle.rest), sine_pair(angle.rest))
    sign = (quarters << (form.width - 2)) & (-1 << (form.width - 1))
    return ((high + low).bits() ^ sign).floats()


def sin(x: Lanes) -> Lanes:
    """Emit the sine."""
    out = _wave(x, reduce_angle(x), 0)
    return _finite_or_nan(x, select(abs(x) < x.format.epsilon / 4, x, out))


def cos(x: Lanes) -> Lanes:
    """Emit the cosine."""
    return _finite_or_nan(x, _wave(x, reduce_angle(x), 1))


def tan(x: Lanes) -> Lanes:
    """Emit the tangent."""
    angle = reduce_angle(x)
    odd = (angle.quarters & 1).compare("!=", 0)
    sine, cosine = sine_pair(angle.rest), cosine_pair(angle.rest)
    top = select_pair(odd, negated(cosine), sine)
    out = quotient(top, fast_two_sum(*select_pair(odd, sine, cosine)))
    return _finite_or_nan(x, select(abs(x) < x.format.epsilon / 4, x, out))


def sec_squared(x: Lanes) -> Lanes:
    """Emit the derivative of the tangent, 1/cos(x)**2."""
    angle = reduce_angle(x)
    odd = (angle.quarters & 1).compare("!=", 0)
    either = select_pair(odd, sine_pair(angle.rest), cosine_pair(angle.rest))
    return _finite_or_nan(x, quotient((1.0, 0.0), squared(fast_two_sum(*either))))


def _finite_or_nan(x: Lanes, out: Lanes) -> Lanes:
    """Return NaN for angles that are not finite."""
    return select(x.is_finite(), out, x - x)
