"""Powers with a variable exponent, roots, absolute value, clamp, hypot and x log y.

Invariant: conventions at kinks and limits are stated beside the rule that has them. It stands above
`exponential`, since the rule of u^v needs the logarithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise import _kernels as kernels
from slopewise._core.rules import POSITIVE, REAL, Domain, Partials, Text
from slopewise._ops.arithmetic import NONZERO, div, mul, neg, sign, square
from slopewise._ops.comparison import (
    convert,
    equal,
    greater,
    greater_equal,
    less_equal,
    logical_and,
    where,
)  # fmt: skip
from slopewise._ops.elementwise import binary, pointwise, unary
from slopewise._ops.exponential import log


def _mixed_pow_partial(_out: Any, x: Any, y: Any) -> Any:
    """Return the mixed second derivative of x^y, x^(y-1) (1 + y ln x); 0 at x = 0 for y > 1."""
    value = mul(pow(x, y - 1), mul(y, log(x)) + 1)
    return where(logical_and(equal(x, 0), greater(y, 1)), x * 0.0, value)


pow_base_slope = binary(
    "pow_base_slope",
    value=kernels.pow_base_slope,
    # y x^(y-1); d(x^0)/dx is 0 everywhere, at x = 0 too.
    partials=(
        lambda _out, x, y: where(equal(y, 0), x * 0.0, mul(pow_base_slope(x, y - 1), y)),
        _mixed_pow_partial,
    ),
    singular=True,
    body=lambda b, x, y: b.call("pow_base_slope", x, y),
    domains=(POSITIVE, REAL),
    text=Text("power rule", "거듭제곱의 미분법", r"(v u^{v-1})'"),
)
pow_exponent_slope = binary(
    "pow_exponent_slope",
    value=kernels.pow_exponent_slope,
    # x^y ln x; d(0^y)/dy is 0 for y > 0.
    partials=(
        _mixed_pow_partial,
        lambda out, x, y: where(
            logical_and(equal(x, 0), greater(y, 0)), out * 0.0, mul(out, log(x))
        ),
    ),
    singular=True,
    body=lambda b, x, y: b.call("pow_exponent_slope", x, y),
    domains=(POSITIVE, REAL),
    text=Text("exponential rule", "지수함수의 미분", r"(u^v\ln u)'"),
)
pow = binary(
    "pow",
    value=kernels.pow,
    partials=(
        lambda _out, x, y: pow_base_slope(x, y),
        lambda _out, x, y: pow_exponent_slope(x, y),
    ),
    singular=True,
    body=lambda b, x, y: b.call("pow", x, y),
    domains=(POSITIVE, REAL),
    text=Text("power rule", "거듭제곱의 미분법", r"(u^v)' = v u^{v-1}u' + u^v\ln u\,v'"),
)
sqrt = unary(
    "sqrt",
    value=kernels.sqrt,
    partial=lambda out, _x: div(0.5, out),
    singular=True,
    body=lambda b, x: b.call("sqrt", x),
    domain=POSITIVE,
    text=Text("square root rule", "제곱근의 미분법", r"(\sqrt u)' = u'/(2\sqrt u)"),
)
rsqrt = unary(
    "rsqrt",
    value=kernels.rsqrt,
    partial=lambda _out, x: rsqrt_slope(x),
    singular=True,
    body=lambda b, x: b.div(b.constant(1.0), b.call("sqrt", x)),
    domain=POSITIVE,
    text=Text("power rule", "거듭제곱의 미분법", r"(u^{-1/2})' = -\tfrac12 u^{-3/2}u'"),
)
rsqrt_slope = unary(
    "rsqrt_slope",
    value=kernels.rsqrt_slope,
    partial=lambda out, x: div(out * -1.5, x),
    singular=True,
    body=lambda b, x: b.call("rsqrt_slope", x),
    domain=POSITIVE,
    text=Text("power rule", "거듭제곱의 미분법", r"(-\tfrac12 u^{-3/2})' = \tfrac34 u^{-5/2}u'"),
)
abs = unary(
    "abs",
    value=np.abs,
    # d|x|/dx at 0 is 0: the subgradient of least norm.
    partial=lambda _out, x: sign(x),
    body=lambda b, x: b.call("abs", x),
    domain=NONZERO,
    text=Text(
        "absolute value, by cases", "절댓값의 미분 (경우를 나눔)", r"|u|' = \mathrm{sign}(u)u'"
    ),
)


def _clamp(x: Any, *, low: float | None, high: float | None) -> Any:
    # minimum(maximum(...)) and not np.clip, whose result type follows the bounds.
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _inside(x: Any, low: float | None, high: float | None) -> Any:
    """Return 1 inside the closed interval, 0 outside (at its edge the slope is 1)."""
    above = greater_equal(x, -np.inf if low is None else low)
    return convert(
        logical_and(above, less_equal(x, np.inf if high is None else high)), dtype=x.dtype
    )


clamp = pointwise(
    "clamp",
    value=_clamp,
    derivative=Partials((lambda _out, x, *, low, high: _inside(x, low, high),)),
    body=lambda b, x, *, low, high: b.clamp(x, low, high),
    domains=(Domain(away=(-1.0, 1.0)),),
    params=({"low": -1.0, "high": 1.0}, {"low": None, "high": 1.0}, {"low": -1.0, "high": None}),
    text=Text(
        "clamp, by cases", "자르기의 미분 (경우를 나눔)", r"\mathrm{clamp}(u)' = u'\text{ inside}"
    ),
)
hypot = binary(
    "hypot",
    value=kernels.hypot,
    # At (0, 0) the gradient is 0: the subgradient of least norm.
    partials=(lambda _out, x, y: hypot_slope(x, y), lambda _out, x, y: hypot_slope(y, x)),
    singular=True,
    body=lambda b, x, y: b.call("hypot", x, y),
    domains=(NONZERO, NONZERO),
    text=Text("hypotenuse rule", "빗변의 미분", r"(\sqrt{u^2+v^2})' = (uu'+vv')/\sqrt{u^2+v^2}"),
)
hypot_slope = binary(
    "hypot_slope",
    value=kernels.hypot_slope,
    # x/h: by x it is (y/h)^2/h, by y it is -(x/h)(y/h)/h.
    partials=(
        lambda _out, x, y: div(square(hypot_slope(y, x)), hypot(x, y)),
        lambda out, x, y: neg(div(mul(out, hypot_slope(y, x)), hypot(x, y))),
    ),
    singular=True,
    body=lambda b, x, y: b.call("hypot_slope", x, y),
    domains=(NONZERO, NONZERO),
    text=Text("quotient rule", "몫의 미분법", r"(u/\sqrt{u^2+v^2})'"),
)
xlogy = binary(
    "xlogy",
    value=kernels.xlogy,
    partials=(lambda _out, _x, y: log(y), lambda _out, x, y: div(x, y)),
    singular=True,
    body=lambda b, x, y: b.select(
        b.logical_and(b.eq(x, b.constant(0.0)), b.eq(y, y)),
        b.constant(0.0),
        b.mul(x, b.call("log", y)),
    ),
    domains=(NONZERO, POSITIVE),
    text=Text("product rule", "곱의 미분법", r"(u\ln v)' = u'\ln v + (u/v)v'"),
)

PRIMITIVES = (
    pow, pow_base_slope, pow_exponent_slope, sqrt, rsqrt, rsqrt_slope, abs, clamp, hypot,
    hypot_slope, xlogy,
)  # fmt: skip
