"""Arithmetic primitives: sums, products, quotients, roundings, and the guarded product.

Invariant: `guarded_mul` differs from an IEEE product only where the partial is not finite and the
cotangent is exactly 0; then it is 0. Partials flagged singular are multiplied through it.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from slopewise import _kernels as kernels
from slopewise._core.graph import Primitive
from slopewise._core.rules import REAL, Domain, Linear, Multilinear, Text, Zero
from slopewise._ops.elementwise import binary, pointwise, unary

NONZERO = Domain(away=(0.0,))

add = pointwise(
    "add",
    value=np.add,
    derivative=Linear(lambda out_bar, _x, _y: (out_bar, out_bar)),
    body=lambda b, x, y: b.add(x, y),
    domains=(REAL, REAL),
    text=Text("sum rule", "합의 미분법", r"(u+v)' = u'+v'"),
)
sub = pointwise(
    "sub",
    value=np.subtract,
    derivative=Linear(lambda out_bar, _x, _y: (out_bar, neg(out_bar))),
    body=lambda b, x, y: b.sub(x, y),
    domains=(REAL, REAL),
    text=Text("difference rule", "차의 미분법", r"(u-v)' = u'-v'"),
)
neg = pointwise(
    "neg",
    value=np.negative,
    derivative=Linear(lambda out_bar, _x: neg(out_bar)),
    body=lambda b, x: b.neg(x),
    domains=(REAL,),
    text=Text("constant multiple rule", "실수배의 미분법", r"(-u)' = -u'"),
)
mul = pointwise(
    "mul",
    value=np.multiply,
    derivative=Multilinear(
        (lambda out_bar, _x, y: mul(out_bar, y), lambda out_bar, x, _y: mul(out_bar, x))
    ),
    body=lambda b, x, y: b.mul(x, y),
    domains=(REAL, REAL),
    text=Text("product rule", "곱의 미분법", r"(uv)' = u'v+uv'"),
)


def all_finite(x: Any) -> bool:
    """Return whether no element is NaN or infinite."""
    return isfinite(x) if np.ndim(x) == 0 else bool(np.isfinite(x).all())


def _guarded_product(cotangent: Any, partial: Any) -> Any:
    product = np.multiply(cotangent, partial)
    if all_finite(product):
        return product
    return np.where((cotangent == 0) & ~np.isfinite(partial), product.dtype.type(0), product)


guarded_mul = pointwise(
    "guarded_mul",
    value=_guarded_product,
    derivative=Multilinear(
        (
            lambda out_bar, _c, p: guarded_mul(out_bar, p),
            lambda out_bar, c, _p: guarded_mul(c, out_bar),
        )
    ),
    body=lambda b, c, p: b.select(
        b.logical_and(b.eq(c, b.constant(0.0)), b.logical_not(b.isfinite(p))),
        b.constant(0.0),
        b.mul(c, p),
    ),
    domains=(REAL, REAL),
    text=Text("guarded product", "보호된 곱", r"c\cdot p,\ 0\cdot\infty = 0"),
)
div = binary(
    "div",
    value=np.divide,
    partials=(
        lambda _out, _x, y: div(1.0, y),
        lambda out, _x, y: neg(div(out, y)),
    ),
    singular=True,
    body=lambda b, x, y: b.div(x, y),
    domains=(REAL, NONZERO),
    text=Text("quotient rule", "몫의 미분법", r"(u/v)' = (u'v-uv')/v^2"),
)
reciprocal = unary(
    "reciprocal",
    value=kernels.reciprocal,
    partial=lambda out, _x: neg(square(out)),
    singular=True,
    body=lambda b, x: b.div(b.constant(1.0), x),
    domain=NONZERO,
    text=Text("reciprocal rule", "역수의 미분법", r"(1/u)' = -u'/u^2"),
)
square = unary(
    "square",
    value=np.square,
    partial=lambda _out, x: x * 2,
    body=lambda b, x: b.mul(x, x),
    text=Text("power rule", "거듭제곱의 미분법", r"(u^2)' = 2u\,u'"),
)


remainder = binary(
    "remainder",
    value=np.remainder,
    partials=(lambda _out, _x, _y: 1.0, lambda _out, x, y: neg(floor(div(x, y)))),
    body=lambda b, x, y: b.call("remainder", x, y),
    domains=(REAL, Domain(0.7, 2.0)),
    smooth=False,
    text=Text("remainder rule", "나머지의 미분법", r"(u \bmod v)' = u' - \lfloor u/v\rfloor v'"),
)


def _step(name: str, value: Any, symbol: str, korean: str) -> Primitive:
    """Return the record of a piecewise constant function."""
    return pointwise(
        name,
        value=value,
        derivative=Zero(),
        body=lambda b, x: b.call(name, x),
        domains=(Domain(away=(-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5)),),
        text=Text("piecewise constant", korean, symbol),
    )


floor = _step("floor", np.floor, r"\lfloor u\rfloor' = 0", "바닥 함수의 미분")
ceil = _step("ceil", np.ceil, r"\lceil u\rceil' = 0", "천장 함수의 미분")
round = _step("round", np.round, r"\mathrm{round}(u)' = 0", "반올림의 미분")
trunc = _step("trunc", np.trunc, r"\mathrm{trunc}(u)' = 0", "버림의 미분")
sign = _step("sign", np.sign, r"\mathrm{sign}(u)' = 0", "부호 함수의 미분")

PRIMITIVES = (
    add, sub, neg, mul, guarded_mul, div, reciprocal, square, remainder,
    floor, ceil, round, trunc, sign,
)  # fmt: skip
