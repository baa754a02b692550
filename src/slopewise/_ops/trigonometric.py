"""Trigonometric and hyperbolic functions and their inverses.

Invariant: a partial that would lose digits as a composition (near a branch point, say) is a
primitive with a kernel of its own.
"""

from __future__ import annotations

from slopewise import _kernels as kernels
from slopewise._core.rules import Domain, Text
from slopewise._ops.arithmetic import NONZERO, mul, neg, reciprocal, square, sub
from slopewise._ops.elementwise import binary, unary
from slopewise._ops.powers import hypot

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
    partial=lambda _out, x: asin_slope(x),
    singular=True,
    body=lambda b, x: b.call("asin", x),
    domain=_OPEN,
    text=Text("arcsine rule", "아크사인의 미분", r"(\arcsin u)' = u'/\sqrt{1-u^2}"),
)
acos = unary(
    "acos",
    value=kernels.acos,
    partial=lambda _out, x: neg(asin_slope(x)),
    singular=True,
    body=lambda b, x: b.call("acos", x),
    domain=_OPEN,
    text=Text("arccosine rule", "아크코사인의 미분", r"(\arccos u)' = -u'/\sqrt{1-u^2}"),
)
atan = unary(
    "atan",
    value=kernels.atan,
    partial=lambda _out, x: atan_slope(x),
    body=lambda b, x: b.call("atan", x),
    text=Text("arctangent rule", "아크탄젠트의 미분", r"(\arctan u)' = u'/(1+u^2)"),
)
atan2 = binary(
    "atan2",
    value=kernels.atan2,
    partials=(lambda _out, y, x: atan2_slope(x, y), lambda _out, y, x: neg(atan2_slope(y, x))),
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
    partial=lambda _out, x: acosh_slope(x),
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
    partial=lambda _out, x: atanh_slope(x),
    singular=True,
    body=lambda b, x: b.call("atanh", x),
    domain=_OPEN,
    text=Text(
        "inverse hyperbolic tangent rule",
        "역쌍곡탄젠트의 미분",
        r"(\mathrm{artanh}\,u)' = u'/(1-u^2)",
    ),
)

# --- slopes that lose digits as compositions, each with its own kernel --------------------------

asin_slope = unary(
    "asin_slope",
    value=kernels.asin_slope,
    partial=lambda out, x: mul(x, mul(square(out), out)),
    singular=True,
    body=lambda b, x: b.call("asin_slope", x),
    domain=_OPEN,
    text=Text("power rule", "거듭제곱의 미분법", r"((1-u^2)^{-1/2})' = u(1-u^2)^{-3/2}u'"),
)
atan_slope = unary(
    "atan_slope",
    value=kernels.atan_slope,
    partial=lambda out, x: mul(x * -2, square(out)),
    body=lambda b, x: b.call("atan_slope", x),
    text=Text("reciprocal rule", "역수의 미분법", r"(1/(1+u^2))' = -2uu'/(1+u^2)^2"),
)
acosh_slope = unary(
    "acosh_slope",
    value=kernels.acosh_slope,
    partial=lambda out, x: neg(mul(x, mul(square(out), out))),
    singular=True,
    body=lambda b, x: b.call("acosh_slope", x),
    domain=Domain(1.1),
    text=Text("power rule", "거듭제곱의 미분법", r"((u^2-1)^{-1/2})' = -u(u^2-1)^{-3/2}u'"),
)
atanh_slope = unary(
    "atanh_slope",
    value=kernels.atanh_slope,
    partial=lambda out, x: mul(x * 2, square(out)),
    singular=True,
    body=lambda b, x: b.call("atanh_slope", x),
    domain=Domain(-0.9, 0.9),
    text=Text("reciprocal rule", "역수의 미분법", r"(1/(1-u^2))' = 2uu'/(1-u^2)^2"),
)
atan2_slope = binary(
    "atan2_slope",
    value=kernels.atan2_slope,
    # x/(x^2+y^2): by x it is (y^2-x^2)/(x^2+y^2)^2, by y it is -2xy/(x^2+y^2)^2.
    partials=(
        lambda out, x, y: sub(square(atan2_slope(y, x)), square(out)),
        lambda out, x, y: mul(out * -2, atan2_slope(y, x)),
    ),
    singular=True,
    body=lambda b, x, y: b.call("atan2_slope", x, y),
    domains=(NONZERO, NONZERO),
    text=Text("quotient rule", "몫의 미분법", r"(u/(u^2+v^2))'"),
)

PRIMITIVES = (
    asin_slope, atan_slope, acosh_slope, atanh_slope, atan2_slope,
    sin, cos, tan, sec_squared, asin, acos, atan, atan2, sinh, cosh, asinh, acosh, atanh,
)  # fmt: skip
