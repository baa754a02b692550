"""Random draws in compiled code: elements from the raw words of the counter-based generator.

Invariant: the words are those of NumPy's Philox for the same key and counter, so a compiled draw is
the eager one. It is separate because a draw is the only expression with memory behind it that no
operand gave.
"""

from __future__ import annotations

from math import pi, prod
from typing import Any

import numpy as np

from slopewise._compile.builder import FLOAT64, INT64
from slopewise._compile.loops import Buffer, Index, Pool, Term
from slopewise._transform.expression import Expression


def words(expression: Expression) -> int:
    """Return how many 64-bit words a draw takes."""
    count = prod(expression.shape)
    return 2 * -(-count // 2) if expression.name == "random_normal" else count


def _unit64(b: Any, word: Any) -> Any:
    """Return a number in [0, 1) with 53 random bits."""
    return b.mul(b.cast(b.cast(b.shift_right(word, 11), INT64), FLOAT64), 2.0**-53)


def _unit32(b: Any, word: Any) -> Any:
    """Return a number in [0, 1) with 24 random bits."""
    return b.mul(b.cast(b.cast(b.shift_right(word, 40), INT64), np.dtype(np.float32)), 2.0**-24)


def _radius(b: Any, word: Any) -> Any:
    unit = b.mul(b.add(b.cast(b.cast(b.shift_right(word, 11), INT64), FLOAT64), 0.5), 2.0**-53)
    return b.sqrt(b.mul(b.call("log", unit), -2.0))


def _angle(b: Any, word: Any) -> Any:
    unit = b.mul(b.add(b.cast(b.cast(b.shift_right(word, 11), INT64), FLOAT64), 0.5), 2.0**-53)
    return b.mul(unit, 2.0 * pi)


def _normal(b: Any, first: Any, second: Any, is_cosine: Any) -> Any:
    # Source: Box & Muller (1958), A note on the generation of random normal deviates.
    angle = _angle(b, second)
    wave = b.select(is_cosine, b.call("cos", angle), b.call("sin", angle))
    return b.mul(_radius(b, first), wave)


def _integer(b: Any, word: Any, *, low: int, high: int) -> Any:
    whole = b.floor(b.mul(_unit64(b, word), float(high - low)))
    return b.add(b.cast(whole, INT64), low)


def _truncate(b: Any, x: Any, *, dtype: Any) -> Any:
    return b.cast(x, dtype)


def _less(b: Any, x: Any, y: Any) -> Any:
    return b.compare("<", x, y)


def _wrap(b: Any, position: Any, half: Any) -> Any:
    return b.select(b.compare("<", position, half), position, b.sub(position, half))


def element(pool: Pool, expression: Expression, buffer: Buffer, position: Index) -> Term:
    """Return the element of a draw at a position in row-major order."""
    dtype = expression.dtype
    if expression.name == "random_normal":
        half = pool.number(buffer.size // 2, INT64)
        place = pool.index(position)
        first = pool.op("wrap", _wrap, (place, half), {}, INT64, 2.0)
        at = Index(0, (), ((first, 1),)) if first.kind != "number" else Index(int(first.data))
        radius = pool.load(buffer, (at,))
        angle = pool.load(buffer, (at.shift(buffer.size // 2),))
        cosine = pool.op("less", _less, (place, half), {}, np.dtype(np.bool_), 1.0)
        value = pool.op("normal", _normal, (radius, angle, cosine), {}, FLOAT64, 80.0)
    else:
        word = pool.load(buffer, (position,))
        if expression.name == "random_integers":
            params = {"low": expression.params["low"], "high": expression.params["high"]}
            value = pool.op("integer", _integer, (word,), params, INT64, 6.0)
        elif dtype == FLOAT64:
            return pool.op("uniform", _unit64, (word,), {}, dtype, 3.0)
        else:
            return pool.op("uniform", _unit32, (word,), {}, dtype, 3.0)
    if value.dtype == dtype:
        return value
    return pool.op("convert", _truncate, (value,), {"dtype": dtype}, dtype, 1.0)
