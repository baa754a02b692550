"""Reductions and running folds beyond the sum: products, extrema, norms, log-sum-exp, softmax.

Invariant: each derivative is stated as one tangent rule that is right at its hard places: zeros in
a product, ties in a maximum, a norm at 0, a log-sum-exp of nothing but -inf.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._core.aval import BOOL, INT64, Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Jvp, Linear, Reduce, Sample, Text, Zero
from slopewise._ops.arithmetic import div, mul, reciprocal, sub
from slopewise._ops.comparison import convert, equal, stop_gradient, where
from slopewise._ops.exponential import exp
from slopewise._ops.shape import (
    Shape,
    batch_reduce,
    broadcast_to,
    cat,
    flip,
    inverse_axes,
    reduced_shape,
    reshape,
    slice,
    sum,
    transpose,
)  # fmt: skip


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape)


def _reduction_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((_normal(rng, 2, 3, 4),), {"axes": (0, 2), "keepdims": False}),
        Sample((_normal(rng, 2, 3),), {"axes": (1,), "keepdims": True}),
        Sample((_normal(rng, 4),), {"axes": (0,), "keepdims": False}),
        Sample((_normal(rng, 0, 3),), {"axes": (1,), "keepdims": False}),
    ]


def keep_axes(x: Any, axes: Shape, like: Any) -> Any:
    """Return a reduced value with the reduced axes put back as size 1."""
    shape = tuple(1 if i in axes else n for i, n in enumerate(like.shape))
    return x if x.shape == shape else reshape(x, shape=shape)


def spread(x: Any, axes: Shape, like: Any) -> Any:
    """Return a reduced value broadcast over what was reduced."""
    return broadcast_to(keep_axes(x, axes, like), shape=like.shape)


def _reduction(
    name: str, *, value: Any, rule: Any, operation: str, text: Text, samples: Any = None
) -> Primitive:
    """Return the record of a differentiable reduction with params `axes` and `keepdims`."""
    record: Primitive = Primitive(
        name,
        value=value,
        derivative=Jvp(rule),
        lowering=Reduce(operation),
        abstract=lambda x, *, axes, keepdims: Aval(reduced_shape(x.shape, axes, keepdims), x.dtype),
        batch=batch_reduce(lambda: record),
        samples=samples or _reduction_samples,
        text=text,
    )
    return record


# --- extrema -----------------------------------------------------------------------------------


def _extremum_rule(tangents: Any, out: Any, x: Any, *, axes: Shape, keepdims: bool) -> Any:
    # Ties share the slope equally, so that the shares sum to 1.
    chosen = convert(equal(x, spread(out, axes, x)), dtype=x.dtype)
    count = sum(chosen, axes=axes, keepdims=True)
    share = div(chosen, broadcast_to(count, shape=x.shape))
    return sum(mul(tangents[0], share), axes=axes, keepdims=keepdims)


max = _reduction(
    "max",
    value=lambda x, *, axes, keepdims: np.maximum.reduce(x, axis=axes, keepdims=keepdims),
    rule=_extremum_rule,
    operation="maximum",
    text=Text("maximum, by cases", "최댓값의 미분 (경우를 나눔)", r"(\max_i u_i)' = u_k'"),
)
min = _reduction(
    "min",
    value=lambda x, *, axes, keepdims: np.minimum.reduce(x, axis=axes, keepdims=keepdims),
    rule=_extremum_rule,
    operation="minimum",
    text=Text("minimum, by cases", "최솟값의 미분 (경우를 나눔)", r"(\min_i u_i)' = u_k'"),
)


def _position(name: str, value: Any) -> Primitive:
    """Return the record of argmax or argmin along one axis."""
    record: Primitive = Primitive(
        name,
        value=value,
        derivative=Zero(),
        lowering=Reduce(name),
        abstract=lambda x, *, axis: Aval(reduced_shape(x.shape, (axis,), False), INT64),
        batch=lambda operands, batched, size, *, axis: record(operands[0], axis=axis + 1),
        samples=lambda rng: [Sample((_normal(rng, 3, 4),), {"axis": 1})],
        text=Text("piecewise constant", "계단 함수의 미분", rf"\mathrm{{{name}}}' = 0"),
    )
    return record


argmax = _position("argmax", lambda x, *, axis: np.argmax(x, axis))
argmin = _position("argmin", lambda x, *, axis: np.argmin(x, axis))


def _truth(name: str, value: Any) -> Primitive:
    """Return the record of any or all."""
    record: Primitive = Primitive(
        name,
        value=value,
        derivative=Zero(),
        lowering=Reduce(name),
        abstract=lambda x, *, axes, keepdims: Aval(reduced_shape(x.shape, axes, keepdims), BOOL),
        batch=batch_reduce(lambda: record),
        samples=lambda rng: [
            Sample((rng.random((3, 4)) < 0.5,), {"axes": (1,), "keepdims": False})
        ],
        text=Text("piecewise constant", "계단 함수의 미분", rf"\mathrm{{{name}}}' = 0"),
    )
    return record


any = _truth("any", lambda x, *, axes, keepdims: np.any(x, axes, keepdims=keepdims))
all = _truth("all", lambda x, *, axes, keepdims: np.all(x, axes, keepdims=keepdims))


# --- running folds and the product -------------------------------------------------------------


def _running_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((_normal(rng, 3, 4),), {"axis": 1, "reverse": False}),
        Sample((_normal(rng, 3, 2),), {"axis": 0, "reverse": True}),
        Sample((_normal(rng, 2, 0),), {"axis": 1, "reverse": False}),
    ]


def _cumulative(ufunc: Any) -> Any:
    def value(x: Any, *, axis: int, reverse: bool) -> Any:
        if reverse:
            return np.flip(ufunc.accumulate(np.flip(x, axis), axis), axis)
        return ufunc.accumulate(x, axis)

    return value


cumsum = Primitive(
    "cumsum",
    value=_cumulative(np.add),
    derivative=Linear(
        lambda out_bar, _x, *, axis, reverse: cumsum(out_bar, axis=axis, reverse=not reverse)
    ),
    lowering=Reduce("add", running=True),
    abstract=lambda x, *, axis, reverse: Aval(x.shape, x.dtype),
    batch=lambda operands, batched, size, *, axis, reverse: cumsum(
        operands[0], axis=axis + 1, reverse=reverse
    ),
    samples=_running_samples,
    text=Text("sum rule", "합의 미분법", r"(\sum_{j\le i} u_j)' = \sum_{j\le i} u_j'"),
)


def _cumprod_rule(tangents: Any, out: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    # d out_i = sum over j <= i of x_dot_j times the product of the other factors up to i. The
    # others are multiplied, never divided out, so that zeros among them are right.
    if reverse:
        flipped = _cumprod_rule(
            (flip(tangents[0], axes=(axis,)),),
            None,
            flip(x, axes=(axis,)),
            axis=axis,
            reverse=False,
        )
        return flip(flipped, axes=(axis,))
    n, ndim = x.shape[axis], len(x.shape)
    last = (*(i for i in range(ndim) if i != axis), axis)
    factors = transpose(x, axes=last)
    shape = (*factors.shape[:-1], n, n)
    table = broadcast_to(reshape(factors, shape=(*factors.shape[:-1], 1, n)), shape=shape)
    own = np.broadcast_to(np.eye(n, dtype=bool), shape)
    others = cumprod(where(own, 1.0, table), axis=ndim, reverse=False)
    upper = np.broadcast_to(np.triu(np.ones((n, n), dtype=bool)), shape)
    weights = where(upper, others, 0.0)
    moved = transpose(tangents[0], axes=last)
    column = broadcast_to(reshape(moved, shape=(*moved.shape, 1)), shape=shape)
    summed = sum(mul(column, weights), axes=(ndim - 1,), keepdims=False)
    return transpose(summed, axes=inverse_axes(last))


cumprod = Primitive(
    "cumprod",
    value=_cumulative(np.multiply),
    derivative=Jvp(_cumprod_rule),
    lowering=Reduce("mul", running=True),
    abstract=lambda x, *, axis, reverse: Aval(x.shape, x.dtype),
    batch=lambda operands, batched, size, *, axis, reverse: cumprod(
        operands[0], axis=axis + 1, reverse=reverse
    ),
    samples=_running_samples,
    text=Text("product rule", "곱의 미분법", r"(\prod u_j)' = \sum_k u_k'\prod_{j\ne k}u_j"),
)


def _prod_rule(tangents: Any, out: Any, x: Any, *, axes: Shape, keepdims: bool) -> Any:
    # The product of the others is an exclusive product from the left times one from the right.
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    order = kept + axes
    lead = tuple(x.shape[i] for i in kept)
    n = int(np.prod([x.shape[i] for i in axes], dtype=int))
    flat = reshape(transpose(x, axes=order), shape=(*lead, n))
    ones = np.ones((*lead, 1), x.dtype)

    def cut(value: Any, start: int, stop: int) -> Any:
        zeros = (0,) * len(lead)
        return slice(
            value, starts=(*zeros, start), stops=(*lead, stop), steps=(1,) * (len(lead) + 1)
        )

    axis = len(lead)
    if n == 0:
        return sum(tangents[0], axes=axes, keepdims=keepdims)
    left = cat(ones, cut(cumprod(flat, axis=axis, reverse=False), 0, n - 1), axis=axis)
    right = cat(cut(cumprod(flat, axis=axis, reverse=True), 1, n), ones, axis=axis)
    others = reshape(mul(left, right), shape=tuple(x.shape[i] for i in order))
    others = transpose(others, axes=inverse_axes(order))
    return sum(mul(tangents[0], others), axes=axes, keepdims=keepdims)


prod = _reduction(
    "prod",
    value=lambda x, *, axes, keepdims: np.multiply.reduce(x, axis=axes, keepdims=keepdims),
    rule=_prod_rule,
    operation="mul",
    text=Text("product rule", "곱의 미분법", r"(\prod u_i)' = \sum_k u_k'\prod_{i\ne k}u_i"),
)


# --- log-sum-exp, softmax, norm ----------------------------------------------------------------


def _logsumexp(x: Any, *, axes: Shape, keepdims: bool) -> Any:
    if x.size == 0:
        return np.log(np.sum(np.exp(x), axis=axes, keepdims=keepdims))
    top = np.max(x, axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
    total = np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True)) + top
    return total if keepdims else total.reshape(reduced_shape(x.shape, axes, False))


def exponentials(x: Any, axes: Shape) -> tuple[Any, Any, Any]:
    """Return e^(x - top), their sum over `axes`, and the largest element `top` (0 for -inf).

    Where x is +inf the exponential is 1 and all finite ones are 0, so that the sum counts the
    infinities and none of them needs a pass of its own. Shares do not depend on `top`.
    """
    top = stop_gradient(max(x, axes=axes, keepdims=True))
    top = where(equal(top, -np.inf), 0.0, top)
    moved = where(equal(x, np.inf), 0.0, sub(x, broadcast_to(top, shape=x.shape)))
    parts = exp(moved)
    return parts, sum(parts, axes=axes, keepdims=True), top


def _logsumexp_rule(tangents: Any, _out: Any, x: Any, *, axes: Shape, keepdims: bool) -> Any:
    if 0 in x.shape:
        return sum(tangents[0], axes=axes, keepdims=keepdims)
    parts, total, _ = exponentials(x, axes)
    # Where every operand is -inf the weights are 0 by convention: nothing there to move. With
    # operands at +inf the slope goes to those alone, in equal shares.
    empty = equal(total, 0.0)
    scale = where(empty, 0.0, reciprocal(where(empty, 1.0, total)))
    weights = mul(parts, broadcast_to(scale, shape=x.shape))
    return sum(mul(tangents[0], weights), axes=axes, keepdims=keepdims)


logsumexp = _reduction(
    "logsumexp",
    value=_logsumexp,
    rule=_logsumexp_rule,
    operation="logaddexp",
    text=Text("log-sum-exp rule", "로그-합-지수의 미분", r"(\ln\sum e^{u_i})' = \sum p_i u_i'"),
)


def _softmax(x: Any, *, axis: int) -> Any:
    if x.size == 0:
        return x.copy()
    shifted = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    shifted /= np.add.reduce(shifted, axis=axis, keepdims=True)
    return shifted


def _log_softmax(x: Any, *, axis: int) -> Any:
    if x.size == 0:
        return x.copy()
    shifted = x - np.maximum.reduce(x, axis=axis, keepdims=True)
    shifted -= np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))
    return shifted


def _softmax_rule(tangents: Any, out: Any, _x: Any, *, axis: int) -> Any:
    x_dot = tangents[0]
    mean = sum(mul(out, x_dot), axes=(axis,), keepdims=True)
    return mul(out, sub(x_dot, broadcast_to(mean, shape=out.shape)))


def _log_softmax_rule(tangents: Any, out: Any, _x: Any, *, axis: int) -> Any:
    x_dot = tangents[0]
    mean = sum(mul(exp(out), x_dot), axes=(axis,), keepdims=True)
    return sub(x_dot, broadcast_to(mean, shape=out.shape))


def _normalised(name: str, value: Any, rule: Any, text: Text) -> Primitive:
    """Return the record of softmax or log_softmax along one axis."""
    record: Primitive = Primitive(
        name,
        value=value,
        derivative=Jvp(rule),
        lowering=Reduce("logaddexp"),
        abstract=lambda x, *, axis: Aval(x.shape, x.dtype),
        batch=lambda operands, batched, size, *, axis: record(operands[0], axis=axis + 1),
        samples=lambda rng: [
            Sample((_normal(rng, 3, 4),), {"axis": 1}),
            Sample((_normal(rng, 3, 2),), {"axis": 0}),
            Sample((_normal(rng, 0, 2),), {"axis": 1}),
        ],
        text=text,
    )
    return record


softmax = _normalised(
    "softmax",
    _softmax,
    _softmax_rule,
    Text("softmax rule", "소프트맥스의 미분", r"p' = (\mathrm{diag}(p)-pp^T)u'"),
)
log_softmax = _normalised(
    "log_softmax",
    _log_softmax,
    _log_softmax_rule,
    Text("log-softmax rule", "로그 소프트맥스의 미분", r"(\ln p)' = u' - \sum p_iu_i'"),
)


def _norm(x: Any, *, axes: Shape, keepdims: bool) -> Any:
    if x.size == 0:
        return np.sqrt(np.sum(x * x, axis=axes, keepdims=keepdims))
    # Scaled by the largest element, so that no square overflows or vanishes.
    top = np.max(np.abs(x), axis=axes, keepdims=True)
    scale = np.where((top == 0) | ~np.isfinite(top), 1, top).astype(x.dtype)
    root = np.sqrt(np.sum(np.square(x / scale), axis=axes, keepdims=True)) * scale
    return root if keepdims else root.reshape(reduced_shape(x.shape, axes, False))


def _norm_rule(tangents: Any, out: Any, x: Any, *, axes: Shape, keepdims: bool) -> Any:
    # At 0 the gradient is 0: the subgradient of least norm.
    length = spread(out, axes, x)
    direction = where(equal(length, 0), 0.0, div(x, where(equal(length, 0), 1.0, length)))
    return sum(mul(tangents[0], direction), axes=axes, keepdims=keepdims)


norm = _reduction(
    "norm",
    value=_norm,
    rule=_norm_rule,
    operation="hypot",
    text=Text("norm rule", "노름의 미분", r"\|u\|' = u\cdot u'/\|u\|"),
)

PRIMITIVES = (
    max, min, argmax, argmin, any, all, cumsum, cumprod, prod, logsumexp, softmax, log_softmax,
    norm,
)  # fmt: skip
