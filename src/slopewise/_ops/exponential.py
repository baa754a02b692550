"""Exponentials, logarithms, and the logistic family built on them.

Invariant: derivatives are computed from the operand, never from a rounded output that has lost the
saturated side: sigmoid' is the logistic density, right to the last digits on both far sides.
"""

from __future__ import annotations

from math import log as _log
from typing import Any

import numpy as np

from slopewise import _kernels as kernels
from slopewise._core.rules import POSITIVE, Domain, Text
from slopewise._ops.arithmetic import div, mul, neg, reciprocal, sub
from slopewise._ops.comparison import convert, equal, greater, where
from slopewise._ops.elementwise import binary, unary

_LN2 = _log(2.0)
_LN10 = _log(10.0)

exp = unary(
    "exp",
    value=kernels.exp,
    partial=lambda out, _x: out,
    body=lambda b, x: b.call("exp", x),
    text=Text("exponential rule", "지수함수의 미분", r"(e^u)' = e^u u'"),
)
exp2 = unary(
    "exp2",
    value=kernels.exp2,
    partial=lambda out, _x: out * _LN2,
    body=lambda b, x: b.call("exp2", x),
    text=Text("exponential rule", "지수함수의 미분", r"(2^u)' = 2^u\ln 2\;u'"),
)
expm1 = unary(
    "expm1",
    value=kernels.expm1,
    partial=lambda _out, x: exp(x),
    body=lambda b, x: b.call("expm1", x),
    text=Text("exponential rule", "지수함수의 미분", r"(e^u-1)' = e^u u'"),
)
log = unary(
    "log",
    value=kernels.log,
    partial=lambda _out, x: reciprocal(x),
    singular=True,
    body=lambda b, x: b.call("log", x),
    domain=POSITIVE,
    text=Text("logarithm rule", "로그함수의 미분", r"(\ln u)' = u'/u"),
)
log2 = unary(
    "log2",
    value=kernels.log2,
    partial=lambda _out, x: div(1.0 / _LN2, x),
    singular=True,
    body=lambda b, x: b.call("log2", x),
    domain=POSITIVE,
    text=Text("logarithm rule", "로그함수의 미분", r"(\log_2 u)' = u'/(u\ln 2)"),
)
log10 = unary(
    "log10",
    value=kernels.log10,
    partial=lambda _out, x: div(1.0 / _LN10, x),
    singular=True,
    body=lambda b, x: b.call("log10", x),
    domain=POSITIVE,
    text=Text("logarithm rule", "로그함수의 미분", r"(\log_{10} u)' = u'/(u\ln 10)"),
)
log1p = unary(
    "log1p",
    value=kernels.log1p,
    partial=lambda _out, x: reciprocal(1.0 + x),
    singular=True,
    body=lambda b, x: b.call("log1p", x),
    domain=Domain(-1.0),
    text=Text("logarithm rule", "로그함수의 미분", r"(\ln(1+u))' = u'/(1+u)"),
)
sigmoid = unary(
    "sigmoid",
    value=kernels.sigmoid,
    partial=lambda _out, x: logistic_density(x),
    body=lambda b, x: b.call("sigmoid", x),
    text=Text("sigmoid rule", "시그모이드의 미분", r"\sigma(u)' = \sigma(u)(1-\sigma(u))u'"),
)
logistic_density = unary(
    "logistic_density",
    value=kernels.logistic_density,
    partial=lambda out, x: neg(mul(out, tanh(x * 0.5))),
    body=lambda b, x: b.call("logistic_density", x),
    text=Text("sigmoid rule", "시그모이드의 미분", r"(\sigma(1-\sigma))' = \sigma'(1-2\sigma)"),
)
logsigmoid = unary(
    "logsigmoid",
    value=kernels.logsigmoid,
    partial=lambda _out, x: sigmoid(neg(x)),
    body=lambda b, x: b.call("logsigmoid", x),
    text=Text("log-sigmoid rule", "로그 시그모이드의 미분", r"(\ln\sigma(u))' = \sigma(-u)u'"),
)
softplus = unary(
    "softplus",
    value=kernels.softplus,
    partial=lambda _out, x: sigmoid(x),
    body=lambda b, x: b.call("softplus", x),
    text=Text("softplus rule", "소프트플러스의 미분", r"\ln(1+e^u)' = \sigma(u)u'"),
)
relu = unary(
    "relu",
    value=lambda x: np.maximum(x, 0),
    # relu' at 0 is 0: the subgradient of least norm.
    partial=lambda _out, x: convert(greater(x, 0), dtype=x.dtype),
    body=lambda b, x: b.call("maximum", x, b.constant(0.0)),
    domain=Domain(away=(0.0,)),
    text=Text("ReLU, by cases", "ReLU의 미분 (경우를 나눔)", r"\max(0,u)' = u'\text{ if }u>0"),
)
tanh = unary(
    "tanh",
    value=kernels.tanh,
    # From the operand, not as 1 - tanh^2: nothing cancels where tanh saturates.
    partial=lambda _out, x: sech_squared(x),
    body=lambda b, x: b.call("tanh", x),
    text=Text("hyperbolic tangent rule", "쌍곡탄젠트의 미분", r"(\tanh u)' = (1-\tanh^2u)u'"),
)
sech_squared = unary(
    "sech_squared",
    value=kernels.sech_squared,
    partial=lambda out, x: mul(out * -2, tanh(x)),
    body=lambda b, x: b.call("sech_squared", x),
    text=Text(
        "hyperbolic tangent rule",
        "쌍곡탄젠트의 미분",
        r"(\mathrm{sech}^2u)' = -2\,\mathrm{sech}^2u\tanh u\;u'",
    ),
)
logaddexp = binary(
    "logaddexp",
    value=kernels.logaddexp,
    partials=(
        lambda _out, x, y: logaddexp_slope(x, y),
        lambda _out, x, y: logaddexp_slope(y, x),
    ),
    body=lambda b, x, y: b.call("logaddexp", x, y),
    text=Text(
        "log-sum-exp rule", "로그-합-지수의 미분", r"\ln(e^u+e^v)' = \sigma(u-v)u'+\sigma(v-u)v'"
    ),
)


logaddexp_slope = binary(
    "logaddexp_slope",
    value=kernels.logaddexp_slope,
    partials=(
        lambda _out, x, y: logistic_density(_difference(x, y)),
        lambda _out, x, y: neg(logistic_density(_difference(x, y))),
    ),
    # Equal infinities share the slope: their difference is no number.
    body=lambda b, x, y: b.select(b.eq(x, y), b.constant(0.5), b.call("sigmoid", b.sub(x, y))),
    text=Text("sigmoid rule", "시그모이드의 미분", r"\sigma(u-v)' = \sigma'(u-v)(u'-v')"),
)
silu = unary(
    "silu",
    value=kernels.silu,
    partial=lambda _out, x: silu_slope(x),
    body=lambda b, x: b.call("silu", x),
    text=Text("SiLU rule", "SiLU의 미분", r"(u\sigma(u))' = \sigma(u)(1+u\sigma(-u))u'"),
)
silu_slope = unary(
    "silu_slope",
    value=kernels.silu_slope,
    partial=lambda _out, x: mul(logistic_density(x), 2.0 - mul(x, tanh(x * 0.5))),
    body=lambda b, x: b.call("silu_slope", x),
    text=Text("product rule", "곱의 미분법", r"(\sigma(u)(1+u\sigma(-u)))'"),
)


def _difference(x: Any, y: Any) -> Any:
    """Return x - y; two equal infinities differ by 0."""
    return where(equal(x, y), 0.0, sub(x, y))


PRIMITIVES = (
    exp, exp2, expm1, log, log2, log10, log1p, sigmoid, logistic_density, logsigmoid, softplus,
    relu, tanh, sech_squared, logaddexp, logaddexp_slope, silu, silu_slope,
)  # fmt: skip
