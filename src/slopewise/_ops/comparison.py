"""Comparisons, logic, selection, dtype conversion and the ends of gradient flow.

Invariant: nothing here needs another family, so that every other family can use it in its rules.
`where` is linear in its two branches: a branch that is not selected gets a cotangent of exactly 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import REAL, Linear, Partials, Text, Zero
from slopewise._ops.elementwise import TRUTH, bool_aval, pointwise, same_aval


def _comparison(name: str, value: Any, symbol: str) -> Primitive:
    """Return the record of a comparison: piecewise constant, dtype bool."""
    return pointwise(
        name,
        value=value,
        derivative=Zero(),
        body=lambda b, x, y: b.compare(symbol, x, y),
        domains=(REAL, REAL),
        abstract=bool_aval,
        text=Text("piecewise constant", "계단 함수의 미분", rf"(u {symbol} v)' = 0"),
    )


equal = _comparison("equal", np.equal, "==")
not_equal = _comparison("not_equal", np.not_equal, "!=")
less = _comparison("less", np.less, "<")
less_equal = _comparison("less_equal", np.less_equal, "<=")
greater = _comparison("greater", np.greater, ">")
greater_equal = _comparison("greater_equal", np.greater_equal, ">=")


def _test(name: str, value: Any) -> Primitive:
    """Return the record of a classification of one number: piecewise constant, dtype bool."""
    return pointwise(
        name,
        value=value,
        derivative=Zero(),
        body=lambda b, x: b.call(name, x),
        domains=(REAL,),
        abstract=bool_aval,
        text=Text("piecewise constant", "계단 함수의 미분", rf"\mathrm{{{name}}}(u)' = 0"),
    )


isnan = _test("isnan", np.isnan)
isinf = _test("isinf", np.isinf)
isfinite = _test("isfinite", np.isfinite)


def _logic(name: str, value: Any, operands: int) -> Primitive:
    """Return the record of a logical operation on truth values."""
    return pointwise(
        name,
        value=value,
        derivative=Zero(),
        body=lambda b, *xs: getattr(b, name)(*xs),
        domains=(TRUTH,) * operands,
        abstract=bool_aval,
        text=Text("piecewise constant", "계단 함수의 미분", rf"\mathrm{{{name}}}' = 0"),
    )


logical_and = _logic("logical_and", np.logical_and, 2)
logical_or = _logic("logical_or", np.logical_or, 2)
logical_xor = _logic("logical_xor", np.logical_xor, 2)
logical_not = _logic("logical_not", np.logical_not, 1)


def _bitwise(name: str, value: Any) -> Primitive:
    """Return the record of a bitwise operation on integers."""
    return pointwise(
        name,
        value=value,
        derivative=Zero(),
        body=lambda b, x, y: b.call(name, x, y),
        domains=(REAL, REAL),
        integers=True,
        text=Text("piecewise constant", "계단 함수의 미분", rf"\mathrm{{{name}}}' = 0"),
    )


bitwise_and = _bitwise("bitwise_and", np.bitwise_and)
bitwise_or = _bitwise("bitwise_or", np.bitwise_or)
bitwise_xor = _bitwise("bitwise_xor", np.bitwise_xor)


def _select(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)


where = pointwise(
    "where",
    value=_select,
    derivative=Linear(
        lambda out_bar, condition, _x, _y: (
            where(condition, out_bar, 0.0),
            where(condition, 0.0, out_bar),
        ),
        wrt=(1, 2),
    ),
    body=lambda b, c, x, y: b.select(c, x, y),
    domains=(TRUTH, REAL, REAL),
    abstract=lambda condition, *avals: Aval(
        same_aval(condition, *avals).shape, next(a.dtype for a in avals if isinstance(a, Aval))
    ),
    text=Text(
        "by cases", "경우를 나눈 미분", r"(u \text{ if } c \text{ else } v)' = u'\text{ or }v'"
    ),
)
maximum = pointwise(
    "maximum",
    value=np.maximum,
    # At a tie each operand gets half: the subgradient of least norm.
    derivative=Partials(
        (
            lambda _out, x, y: where(greater(x, y), 1.0, where(equal(x, y), 0.5, like(x, 0.0))),
            lambda _out, x, y: where(greater(y, x), 1.0, where(equal(x, y), 0.5, like(y, 0.0))),
        )
    ),
    body=lambda b, x, y: b.call("maximum", x, y),
    domains=(REAL, REAL),
    text=Text("maximum, by cases", "최댓값의 미분 (경우를 나눔)", r"\max(u,v)' = u'\text{ or }v'"),
)
minimum = pointwise(
    "minimum",
    value=np.minimum,
    derivative=Partials(
        (
            lambda _out, x, y: where(less(x, y), 1.0, where(equal(x, y), 0.5, like(x, 0.0))),
            lambda _out, x, y: where(less(y, x), 1.0, where(equal(x, y), 0.5, like(y, 0.0))),
        )
    ),
    body=lambda b, x, y: b.call("minimum", x, y),
    domains=(REAL, REAL),
    text=Text("minimum, by cases", "최솟값의 미분 (경우를 나눔)", r"\min(u,v)' = u'\text{ or }v'"),
)


def like(x: Any, number: float) -> Any:
    """Return a number in the dtype of `x`, for rules whose other operands are Python numbers."""
    dtype = getattr(x, "dtype", None)
    return number if dtype is None else np.asarray(number, dtype)


convert = pointwise(
    "convert",
    value=lambda x, *, dtype: x.astype(dtype),
    derivative=Linear(lambda out_bar, x, *, dtype: convert(out_bar, dtype=x.dtype)),
    body=lambda b, x, *, dtype: b.cast(x, dtype),
    domains=(REAL,),
    abstract=lambda x, *, dtype: Aval(x.shape, np.dtype(dtype)),
    params=({"dtype": np.dtype(np.float64)},),
    text=Text("identity", "항등 함수의 미분", r"u' = u'"),
)
alias = pointwise(
    "alias",
    value=lambda x: x.view(),
    derivative=Linear(lambda out_bar, _x: out_bar),
    body=lambda b, x: x,
    domains=(REAL,),
    text=Text("identity", "항등 함수의 미분", r"u' = u'"),
)
copy = pointwise(
    "copy",
    value=np.copy,
    derivative=Linear(lambda out_bar, _x: out_bar),
    body=lambda b, x: x,
    domains=(REAL,),
    text=Text("identity", "항등 함수의 미분", r"u' = u'"),
)
stop_gradient = pointwise(
    "stop_gradient",
    value=lambda x: x.view(),
    derivative=Zero(),
    body=lambda b, x: x,
    domains=(REAL,),
    abstract=same_aval,
    text=Text("held constant", "상수로 둠", r"\mathrm{stop}(u)' = 0"),
)
alias.quiet = stop_gradient.quiet = True  # their results share memory with the operand

PRIMITIVES = (
    equal, not_equal, less, less_equal, greater, greater_equal, isnan, isinf, isfinite,
    logical_and, logical_or, logical_xor, logical_not, bitwise_and, bitwise_or, bitwise_xor,
    where, maximum, minimum, convert, alias, copy, stop_gradient,
)  # fmt: skip
