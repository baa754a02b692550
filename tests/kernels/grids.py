"""Where the kernels are measured: pieces of the real line, drawn alike in every run.

A piece is a function of a random generator, a dtype and a count; a grid joins pieces, rounds to the
dtype and drops what lies outside a domain. It is separate because the table of rows reads better
without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np

Piece = Callable[[np.random.Generator, np.dtype, int], np.ndarray]


@dataclass(frozen=True)
class Range:
    """The ends of a dtype: least subnormal, least normal number, largest number."""

    least: float
    normal: float
    largest: float

    @classmethod
    def of(cls, dtype: np.dtype) -> Range:
        info = np.finfo(dtype)
        return cls(float(info.smallest_subnormal), float(info.smallest_normal), float(info.max))


def uniform(low: float, high: float) -> Piece:
    """Return numbers spread evenly."""
    return lambda rng, dtype, count: rng.uniform(low, high, count)


def magnitudes(low: float = 0.0, high: float = np.inf, *, signs: bool = True) -> Piece:
    """Return numbers spread evenly by exponent, from the least subnormal to the largest number."""

    def draw(rng: np.random.Generator, dtype: np.dtype, count: int) -> np.ndarray:
        ends = Range.of(dtype)
        start, stop = max(low, ends.least), min(high, ends.largest)
        values = np.exp(rng.uniform(log(start), log(stop), count))
        return values * rng.choice([-1.0, 1.0], count) if signs else values

    return draw


def near(point: float) -> Piece:
    """Return numbers closing in on a point from both sides, to its neighbours in the dtype."""

    def draw(rng: np.random.Generator, dtype: np.dtype, count: int) -> np.ndarray:
        width = max(abs(point), Range.of(dtype).normal)
        distance = np.exp(rng.uniform(log(float(np.finfo(dtype).eps) / 2), log(0.2), count))
        return point + width * distance * rng.choice([-1.0, 1.0], count)

    return draw


def exponents(*, base: float = np.e, low: float = 1.0, high: float = 1.0, sign: int = 1) -> Piece:
    """Return exponents of a base whose powers fill the dtype's range, subnormals included.

    The multiples `low` and `high` widen or narrow the two ends; a sign of -1 mirrors the range.
    """

    def draw(rng: np.random.Generator, dtype: np.dtype, count: int) -> np.ndarray:
        ends = Range.of(dtype)
        start, stop = (log(ends.least) - log(2.0)) / log(base), log(ends.largest) / log(base)
        return sign * rng.uniform(low * start, high * stop, count)

    return draw


def draw(
    pieces: tuple[Piece, ...], dtype: np.dtype, count: int, domain: tuple[float, float]
) -> np.ndarray:
    """Return about `count` numbers of a dtype from the pieces, inside an open domain."""
    rng = np.random.default_rng(20240607)
    share = max(count // len(pieces), 1)
    with np.errstate(over="ignore", under="ignore"):
        values = np.concatenate([piece(rng, dtype, share) for piece in pieces]).astype(dtype)
    inside = (values > domain[0]) & (values < domain[1]) & np.isfinite(values)
    return np.ascontiguousarray(values[inside])
