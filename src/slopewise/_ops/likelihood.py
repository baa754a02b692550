"""The log-likelihood of class numbers as one primitive: the eager form of cross-entropy.

Invariant: it equals the sum over rows of log_softmax at each row's class, times a constant, and is
recorded as one step instead of four. Traced values take those four, which a compiler fuses itself.
It has a file of its own because it stands above all other families.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Jvp, Reduce, Sample, Text
from slopewise._ops.arithmetic import mul, sub
from slopewise._ops.indexing import scatter_add, take
from slopewise._ops.reduction import log_softmax, softmax
from slopewise._ops.shape import broadcast_to
from slopewise._ops.shape import sum as sum_primitive


@lru_cache(maxsize=64)
def count_rows(count: int) -> np.ndarray[Any, Any]:
    """Return 0 .. count-1, the same array each time."""
    rows = np.arange(count)
    rows.flags.writeable = False
    return rows


def _value(x: Any, classes: Any, *, scale: float) -> Any:
    shifted = x - np.maximum.reduce(x, axis=1, keepdims=True)
    picked = shifted[count_rows(len(x)), classes]
    picked -= np.log(np.add.reduce(np.exp(shifted), axis=1))
    return np.add.reduce(picked) * scale


def _tangent(tangents: Any, _out: Any, x: Any, classes: Any, *, scale: float) -> Any:
    """Return the sum of scale * (one-hot of the classes - softmax) * x_dot."""
    rows = x.shape[0]
    shares = np.full(rows, scale, x.dtype)
    target = scatter_add(shares, count_rows(rows), classes, shape=x.shape)
    slope = sub(target, mul(softmax(x, axis=1), scale))
    return sum_primitive(mul(slope, tangents[0]), axes=(0, 1), keepdims=False)


def _batch(operands: Any, batched: Any, size: int, *, scale: float) -> Any:
    x, classes = (
        operand if mapped else broadcast_to(operand, shape=(size, *operand.shape))
        for operand, mapped in zip(operands, batched, strict=True)
    )
    rows = count_rows(x.shape[1])
    sizes = count_rows(size).reshape(-1, 1)
    picked = take(log_softmax(x, axis=2), sizes, rows, classes)
    return mul(sum_primitive(picked, axes=(1,), keepdims=False), scale)


log_likelihood = Primitive(
    "log_likelihood",
    value=_value,
    derivative=Jvp(_tangent),
    lowering=Reduce("logaddexp"),
    abstract=lambda x, classes, *, scale: Aval((), x.dtype),
    batch=_batch,
    samples=lambda rng: [
        Sample((rng.standard_normal((4, 3)), np.array([0, 2, 2, 1])), {"scale": -0.25}),
        Sample((rng.standard_normal((1, 2)), np.array([1])), {"scale": 1.0}),
    ],
    text=Text(
        "cross-entropy rule",
        "교차 엔트로피의 미분",
        r"\left(\sum_n\ln p_{n,c_n}\right)' = \sum_n\left(u'_{n,c_n}-\sum_i p_{ni}u'_{ni}\right)",
    ),
)

PRIMITIVES = (log_likelihood,)
