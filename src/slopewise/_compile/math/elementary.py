"""Functions that are one or two instructions: roundings, signs, tests, bits.

Invariant: they take every dtype that the primitives allow; rounding an integer gives it back. It is
separate because nothing here approximates.
"""

from __future__ import annotations

import numpy as np

from slopewise._compile.builder import BOOL, type_of
from slopewise._compile.math.lanes import Lanes, select, truth


def _is_float(x: Lanes) -> bool:
    return x.r.type.floating


def absolute(x: Lanes) -> Lanes:
    """Emit |x|."""
    return x if x.r.type.dtype.kind in "bu" else abs(x)


def floor(x: Lanes) -> Lanes:
    """Emit the largest integer not above x."""
    return Lanes(x.b, x.b.floor(x.r)) if _is_float(x) else x


def ceil(x: Lanes) -> Lanes:
    """Emit the smallest integer not below x."""
    return Lanes(x.b, x.b.ceil(x.r)) if _is_float(x) else x


def nearest(x: Lanes) -> Lanes:
    """Emit the nearest integer, even at a tie."""
    return x.nearest() if _is_float(x) else x


def trunc(x: Lanes) -> Lanes:
    """Emit the integer part."""
    return Lanes(x.b, x.b.trunc(x.r)) if _is_float(x) else x


def sign(x: Lanes) -> Lanes:
    """Emit -1, 0 or 1; NaN stays."""
    if x.r.type.dtype == BOOL:
        return x
    if x.r.type.dtype.kind == "u":
        return select(x.compare("!=", 0), x.number(1), 0)
    out = select(x > 0, x.number(1), select(x < 0, x.number(-1), 0))
    return select(x.is_nan(), x, out) if _is_float(x) else out


def maximum(x: Lanes, y: Lanes) -> Lanes:
    """Emit the larger; NaN where one is NaN."""
    return Lanes(x.b, x.b.maximum(x.r, y.r))


def minimum(x: Lanes, y: Lanes) -> Lanes:
    """Emit the smaller; NaN where one is NaN."""
    return Lanes(x.b, x.b.minimum(x.r, y.r))


def sqrt(x: Lanes) -> Lanes:
    """Emit the square root."""
    return x.sqrt()


def is_nan(x: Lanes) -> Lanes:
    """Emit whether x is NaN."""
    return x.is_nan() if _is_float(x) else truth(x, False)


def is_infinite(x: Lanes) -> Lanes:
    """Emit whether x is infinite."""
    return abs(x).equals(np.inf) if _is_float(x) else truth(x, False)


def is_finite(x: Lanes) -> Lanes:
    """Emit whether x is neither infinite nor NaN."""
    return Lanes(x.b, x.b.isfinite(x.r))


def bit_and(x: Lanes, y: Lanes) -> Lanes:
    """Emit the bitwise and."""
    return x & y


def bit_or(x: Lanes, y: Lanes) -> Lanes:
    """Emit the bitwise or."""
    return x | y


def bit_xor(x: Lanes, y: Lanes) -> Lanes:
    """Emit the bitwise exclusive or."""
    return x ^ y


def bit_not(x: Lanes) -> Lanes:
    """Emit the bitwise complement; of truth values the negation."""
    return ~x if x.r.type.dtype == BOOL else x ^ -1


def shift_left(x: Lanes, places: Lanes) -> Lanes:
    """Emit x shifted left; 0 where all bits are shifted out."""
    width = 8 * x.r.type.bytes
    inside = _unsigned(places).compare("<", width)
    return select(inside, x << select(inside, places, 0), x.number(0))


def shift_right(x: Lanes, places: Lanes) -> Lanes:
    """Emit x shifted right, by its sign if it has one."""
    width = 8 * x.r.type.bytes
    inside = _unsigned(places).compare("<", width)
    places = select(inside, places, width - 1)
    if x.r.type.dtype.kind == "u":
        return select(inside, x >> places, x.number(0))
    return Lanes(x.b, x.b.shift_right_signed(x.r, places.r))


def _unsigned(x: Lanes) -> Lanes:
    kind = np.dtype(f"uint{8 * x.r.type.bytes}")
    return Lanes(x.b, type(x.r)(x.r.text, type_of(kind, x.lanes)))


def remainder(x: Lanes, y: Lanes) -> Lanes:
    """Emit x modulo y with the sign of y; for integers, 0 where y is 0."""
    b = x.b
    a, d = b.meet(x.r, y.r)
    type = a.type
    if type.floating:
        rest = b.name_value(f"frem {type.text} {a.text}, {d.text}", type)
        moved = b.logical_xor(b.compare("<", rest, 0.0), b.compare("<", d, 0.0))
        rest = b.select(b.logical_and(moved, b.compare("!=", rest, 0.0)), b.add(rest, d), rest)
        return Lanes(b, b.select(b.eq(rest, 0.0), b.copysign(0.0, d), rest))
    # Division traps at 0, and at the least integer over -1: both are replaced by 1.
    usable = b.logical_and(b.compare("!=", d, 0), b.compare("!=", d, -1))
    safe = b.select(usable, d, 1)
    rest = b.name_value(f"srem {type.text} {a.text}, {safe.text}", type)
    moved = b.logical_xor(b.compare("<", rest, 0), b.compare("<", safe, 0))
    rest = b.select(b.logical_and(moved, b.compare("!=", rest, 0)), b.add(rest, safe), rest)
    return Lanes(b, rest)
