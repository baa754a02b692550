"""Random draws from one counter-based generator (Philox 4x64-10).

Invariant: a draw is a function of its counter (seed, number of the draw) and nothing else, so a run
repeats bit for bit, whatever the order of evaluation. Two draws are two nodes, since their counters
differ.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Generate, Sample, Text, Zero
from slopewise._ops.shape import Shape

_NO_DERIVATIVE = Text("random draw, held constant", "난수 추출: 상수로 둠", r"\xi' = 0")


def random_words(counter: Any, count: int) -> np.ndarray[Any, Any]:
    """Return 64-bit words for a (seed, draw) pair.

    Source: Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers, section 3.3 (Philox).
    """
    seed, draw = (int(x) & (2**64 - 1) for x in counter)
    words: np.ndarray[Any, Any] = np.random.Philox(key=seed, counter=[0, draw, 0, 0]).random_raw(
        count
    )
    return words


def _uniform(counter: Any, *, shape: Shape, dtype: np.dtype[Any]) -> Any:
    words = random_words(counter, prod(shape))
    if dtype == np.float32:
        numbers = (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    else:
        numbers = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers.reshape(shape)


def _normal(counter: Any, *, shape: Shape, dtype: np.dtype[Any]) -> Any:
    # Source: Box & Muller (1958), A note on the generation of random normal deviates.
    count = prod(shape)
    half = -(-count // 2)
    words = random_words(counter, 2 * half)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log(uniform[:half]))
    angle = 2.0 * np.pi * uniform[half:]
    pair = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))
    return pair[:count].astype(dtype).reshape(shape)


def _integers(counter: Any, *, shape: Shape, low: int, high: int, dtype: np.dtype[Any]) -> Any:
    uniform = _uniform(counter, shape=shape, dtype=np.dtype(np.float64))
    return (np.floor(uniform * (high - low)).astype(np.int64) + low).astype(dtype)


def _draw(name: str, value: Any, params: dict[str, Any]) -> Primitive:
    """Return the record of a draw; a mapped counter gives each example its own draw."""

    def batch(operands: Any, batched: Any, size: int, **given: Any) -> Any:
        from slopewise._ops.shape import cat, reshape, slice

        rows = [
            record(
                reshape(
                    slice(operands[0], starts=(i, 0), stops=(i + 1, 2), steps=(1, 1)), shape=(2,)
                ),
                **given,
            )
            for i in range(size)
        ]
        return cat(*(reshape(r, shape=(1, *r.shape)) for r in rows), axis=0)

    record: Primitive = Primitive(
        name,
        value=value,
        derivative=Zero(),
        lowering=Generate("philox"),
        abstract=lambda counter, *, shape, dtype, **_rest: Aval(shape, np.dtype(dtype)),
        batch=batch,
        samples=lambda rng: [Sample((np.array([3, 5]),), params)],
        text=_NO_DERIVATIVE,
    )
    return record


_FLOAT64 = np.dtype(np.float64)
random_uniform = _draw("random_uniform", _uniform, {"shape": (3, 2), "dtype": _FLOAT64})
random_normal = _draw("random_normal", _normal, {"shape": (3, 2), "dtype": _FLOAT64})
random_integers = _draw(
    "random_integers",
    _integers,
    {"shape": (4,), "low": 2, "high": 9, "dtype": np.dtype(np.int64)},
)

PRIMITIVES = (random_uniform, random_normal, random_integers)
