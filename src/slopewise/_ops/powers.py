"""Powers with a variable exponent, roots, absolute value, clamp, hypot and x log y.

Invariant: conventions at kinks and limits are stated beside the rule that has them. It stands above
`exponential`, since the rule of u^v needs the logarithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise import _kernels as kernels
from slopewise._core.rules import POSITIVE, REAL, Domain, Partials, Text
from slopewise._ops.arithmetic import NONZERO, div, mul, sign
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


def _pow_base_partial(_out: Any, x: Any, y: Any) -> Any:
    # d(x^0)/dx is 0 everywhere, at x = 0 too, where y * x^(y-1) would be 0 * inf.
    return where(equal(y, 0), x * 0.0, pow(x, y - 1) * y)


def _pow_exponent_partial(out: Any, x: Any, y: Any) -> Any:
    # d(0^y)/dy is 0 for y > 0: the value is 0 there, while log(x) is -inf.
    return where(logical_and(equal(x, 0), greater(y, 0)), out * 0.0, mul(out, log(x)))


pow = binary(
    "pow",
    value=kernels.pow,
    partials=(_pow_base_partial, _pow_exponent_partial),
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
    partial=lambda out, x: div(out * -0.5, x),
    singular=True,
    body=lambda b, x: b.div(b.constant(1.0), b.call("sqrt", x)),
    domain=POSITIVE,
    text=Text("power rule", "거듭제곱의 미분법", r"(u^{-1/2})' = -\tfrac12 u^{-3/2}u'"),
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
    partials=(
        lambda out, x, _y: where(equal(out, 0), out * 0.0, div(x, out)),
        lambda out, _x, y: where(equal(out, 0), out * 0.0, div(y, out)),
    ),
    singular=True,
    body=lambda b, x, y: b.call("hypot", x, y),
    domains=(NONZERO, NONZERO),
    text=Text("hypotenuse rule", "빗변의 미분", r"(\sqrt{u^2+v^2})' = (uu'+vv')/\sqrt{u^2+v^2}"),
)
xlogy = binary(
    "xlogy",
    value=kernels.xlogy,
    partials=(lambda _out, _x, y: log(y), lambda _out, x, y: div(x, y)),
    singular=True,
    body=lambda b, x, y: b.select(
        b.eq(x, b.constant(0.0)), b.constant(0.0), b.mul(x, b.call("log", y))
    ),
    domains=(NONZERO, POSITIVE),
    text=Text("product rule", "곱의 미분법", r"(u\ln v)' = u'\ln v + (u/v)v'"),
)

PRIMITIVES = (pow, sqrt, rsqrt, abs, clamp, hypot, xlogy)
