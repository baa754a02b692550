"""Special functions: erf, the gamma family, and the normal distribution behind GELU.

Invariant: the derivative of each is another primitive of the table, so that they nest.
"""

from __future__ import annotations

from typing import Any

from slopewise import _kernels as kernels
from slopewise._core.rules import Domain, Partials, Text
from slopewise._ops.arithmetic import mul, neg, square, sub
from slopewise._ops.elementwise import pointwise, unary

erf = unary(
    "erf",
    value=kernels.erf,
    partial=lambda _out, x: erf_slope(x),
    body=lambda b, x: b.call("erf", x),
    text=Text(
        "error function rule",
        "오차 함수의 미분",
        r"\mathrm{erf}(u)' = \tfrac{2}{\sqrt\pi}e^{-u^2}u'",
    ),
)
erfc = unary(
    "erfc",
    value=kernels.erfc,
    partial=lambda _out, x: neg(erf_slope(x)),
    body=lambda b, x: b.call("erfc", x),
    text=Text(
        "error function rule",
        "오차 함수의 미분",
        r"\mathrm{erfc}(u)' = -\tfrac{2}{\sqrt\pi}e^{-u^2}u'",
    ),
)
erf_slope = unary(
    "erf_slope",
    value=kernels.erf_slope,
    partial=lambda out, x: mul(x * -2, out),
    body=lambda b, x: b.call("erf_slope", x),
    text=Text("exponential rule", "지수함수의 미분", r"(e^{-u^2})' = -2ue^{-u^2}u'"),
)
normal_density = unary(
    "normal_density",
    value=kernels.normal_density,
    partial=lambda out, x: neg(mul(x, out)),
    body=lambda b, x: b.call("normal_density", x),
    text=Text("normal density rule", "정규 밀도의 미분", r"\varphi(u)' = -u\varphi(u)u'"),
)
gelu = unary(
    "gelu",
    value=kernels.gelu,
    partial=lambda _out, x: gelu_slope(x),
    body=lambda b, x: b.call("gelu", x),
    text=Text("GELU rule", "GELU의 미분", r"(u\Phi(u))' = (\Phi(u)+u\varphi(u))u'"),
)
gelu_slope = unary(
    "gelu_slope",
    value=kernels.gelu_slope,
    partial=lambda _out, x: mul(normal_density(x), sub(2.0, square(x))),
    body=lambda b, x: b.call("gelu_slope", x),
    text=Text("GELU rule", "GELU의 미분", r"(\Phi(u)+u\varphi(u))' = (2-u^2)\varphi(u)u'"),
)
lgamma = unary(
    "lgamma",
    value=kernels.lgamma,
    partial=lambda _out, x: digamma(x),
    singular=True,
    body=lambda b, x: b.call("lgamma", x),
    domain=Domain(0.2),
    text=Text("log-gamma rule", "로그 감마 함수의 미분", r"(\ln\Gamma(u))' = \psi(u)u'"),
)
digamma = unary(
    "digamma",
    value=kernels.digamma,
    partial=lambda _out, x: polygamma(x, order=1),
    singular=True,
    body=lambda b, x: b.call("digamma", x),
    domain=Domain(0.2),
    text=Text("digamma rule", "디감마 함수의 미분", r"\psi(u)' = \psi_1(u)u'"),
)


def _polygamma(x: Any, *, order: int) -> Any:
    return kernels.polygamma(order, x)


polygamma = pointwise(
    "polygamma",
    value=_polygamma,
    derivative=Partials((lambda _out, x, *, order: polygamma(x, order=order + 1),), singular=True),
    body=lambda b, x, *, order: b.call("polygamma", x, b.constant(order)),
    domains=(Domain(0.5),),
    params=({"order": 1}, {"order": 2}),
    text=Text("polygamma rule", "폴리감마 함수의 미분", r"\psi_n(u)' = \psi_{n+1}(u)u'"),
)

PRIMITIVES = (
    erf, erfc, erf_slope, normal_density, gelu, gelu_slope, lgamma, digamma, polygamma,
)  # fmt: skip
