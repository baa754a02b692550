"""Trigonometric and hyperbolic functions and their inverses.

Invariant: partials near a branch point are factored, (1-x)(1+x) in place of 1-x^2, so that they
keep their digits there.
"""

from __future__ import annotations

from slopewise import _kernels as kernels
from slopewise._core.rules import Domain, Text
from slopewise._ops.arithmetic import NONZERO, div, mul, neg, reciprocal, square
from slopewise._ops.elementwise import binary, unary
from slopewise._ops.powers import hypot, rsqrt, sqrt

_OPEN = Domain(-1.0, 1.0)

sin = unary(
    "sin",
    value=kernels.sin,
    partial=lambda _out, x: cos(x),
    body=lambda b, x: b.call("sin", x),
    text=Text("sine rule", "사인함수의 미분", r"(\sin u)' = \cos u\;u'"),
)
cos = unary(
    "cos",
    value=kernels.cos,
    partial=lambda _out, x: neg(sin(x)),
    body=lambda b, x: b.call("cos", x),
    text=Text("cosine rule", "코사인함수의 미분", r"(\cos u)' = -\sin u\;u'"),
)
tan = unary(
    "tan",
    value=kernels.tan,
    partial=lambda _out, x: sec_squared(x),
    body=lambda b, x: b.call("tan", x),
    domain=Domain(-1.4, 1.4),
    text=Text("tangent rule", "탄젠트함수의 미분", r"(\tan u)' = \sec^2u\;u'"),
)
sec_squared = unary(
    "sec_squared",
    value=kernels.sec_squared,
    partial=lambda out, x: mul(out * 2, tan(x)),
    body=lambda b, x: b.call("sec_squared", x),
    domain=Domain(-1.4, 1.4),
    text=Text("secant rule", "시컨트함수의 미분", r"(\sec^2 u)' = 2\sec^2u\tan u\;u'"),
)
asin = unary(
    "asin",
    value=kernels.asin,
    partial=lambda _out, x: rsqrt(mul(1 - x, 1 + x)),
    singular=True,
    body=lambda b, x: b.call("asin", x),
    domain=_OPEN,
    text=Text("arcsine rule", "아크사인의 미분", r"(\arcsin u)' = u'/\sqrt{1-u^2}"),
)
acos = unary(
    "acos",
    value=kernels.acos,
    partial=lambda _out, x: neg(rsqrt(mul(1 - x, 1 + x))),
    singular=True,
    body=lambda b, x: b.call("acos", x),
    domain=_OPEN,
    text=Text("arccosine rule", "아크코사인의 미분", r"(\arccos u)' = -u'/\sqrt{1-u^2}"),
)
atan = unary(
    "atan",
    value=kernels.atan,
    partial=lambda _out, x: reciprocal(square(x) + 1),
    body=lambda b, x: b.call("atan", x),
    text=Text("arctangent rule", "아크탄젠트의 미분", r"(\arctan u)' = u'/(1+u^2)"),
)
atan2 = binary(
    "atan2",
    value=kernels.atan2,
    # Divided twice by the hypotenuse, so that no square overflows.
    partials=(
        lambda _out, y, x: div(div(x, hypot(x, y)), hypot(x, y)),
        lambda _out, y, x: neg(div(div(y, hypot(x, y)), hypot(x, y))),
    ),
    singular=True,
    body=lambda b, y, x: b.call("atan2", y, x),
    domains=(NONZERO, NONZERO),
    text=Text("angle rule", "각의 미분", r"\mathrm{atan2}(u,v)' = (vu'-uv')/(u^2+v^2)"),
)
sinh = unary(
    "sinh",
    value=kernels.sinh,
    partial=lambda _out, x: cosh(x),
    body=lambda b, x: b.call("sinh", x),
    text=Text("hyperbolic sine rule", "쌍곡사인의 미분", r"(\sinh u)' = \cosh u\;u'"),
)
cosh = unary(
    "cosh",
    value=kernels.cosh,
    partial=lambda _out, x: sinh(x),
    body=lambda b, x: b.call("cosh", x),
    text=Text("hyperbolic cosine rule", "쌍곡코사인의 미분", r"(\cosh u)' = \sinh u\;u'"),
)
asinh = unary(
    "asinh",
    value=kernels.asinh,
    partial=lambda _out, x: reciprocal(hypot(x, x * 0 + 1)),
    body=lambda b, x: b.call("asinh", x),
    text=Text(
        "inverse hyperbolic sine rule",
        "역쌍곡사인의 미분",
        r"(\mathrm{arsinh}\,u)' = u'/\sqrt{u^2+1}",
    ),
)
acosh = unary(
    "acosh",
    value=kernels.acosh,
    partial=lambda _out, x: reciprocal(mul(sqrt(x - 1), sqrt(x + 1))),
    singular=True,
    body=lambda b, x: b.call("acosh", x),
    domain=Domain(1.0),
    text=Text(
        "inverse hyperbolic cosine rule",
        "역쌍곡코사인의 미분",
        r"(\mathrm{arcosh}\,u)' = u'/\sqrt{u^2-1}",
    ),
)
atanh = unary(
    "atanh",
    value=kernels.atanh,
    partial=lambda _out, x: reciprocal(mul(1 - x, 1 + x)),
    singular=True,
    body=lambda b, x: b.call("atanh", x),
    domain=_OPEN,
    text=Text(
        "inverse hyperbolic tangent rule",
        "역쌍곡탄젠트의 미분",
        r"(\mathrm{artanh}\,u)' = u'/(1-u^2)",
    ),
)

PRIMITIVES = (
    sin, cos, tan, sec_squared, asin, acos, atan, atan2, sinh, cosh, asinh, acosh, atanh,
)  # fmt: skip
