"""The table of kernels: for each its exact reference, where it is measured, and its bound.

Invariant: every public kernel has a row. `bound` is for float64; float32 is computed in float64 and
rounded once, so its bound is just over half an ULP unless a row says otherwise. The first seven
bounds of 1 are promised; other bounds below 2 guard what was reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from slopewise import _kernels as kernels

from . import oracle
from .grids import Piece, draw, exponents, magnitudes, near, uniform
from .oracle import Reference, mp

EVERYWHERE = (-np.inf, np.inf)
POSITIVE = (0.0, np.inf)


@dataclass(frozen=True)
class Row:
    """A kernel and how it is judged."""

    name: str
    kernel: Callable[..., Any]
    reference: Reference
    pieces: tuple[Piece, ...]
    bound: float = 2.0
    single_bound: float = 0.51
    domain: tuple[float, float] = EVERYWHERE
    second: tuple[Piece, ...] | None = None  # the second operand's pieces
    slope: Reference | None = None  # given where a root is no float
    cost: float = 1.0  # of one reference, roughly, as a multiple of exp's
    peer: Callable[..., Any] | None = None  # NumPy's or SciPy's, for the printed table

    def operands(self, dtype: Any, count: int) -> list[np.ndarray]:
        """Return the operands at which the row is measured."""
        dtype = np.dtype(dtype)
        first = draw(self.pieces, dtype, count, self.domain)
        if self.second is None:
            return [first]
        other = draw(self.second, dtype, count, EVERYWHERE)
        shuffled = np.random.default_rng(7).permutation(other)
        length = min(len(first), len(shuffled))
        return [first[:length], shuffled[:length]]


def power_exponents(rng: np.random.Generator, dtype: np.dtype, count: int) -> np.ndarray:
    """Return exponents of all sizes, most of them such that powers of 0.5 to 2 stay in range."""
    return rng.standard_normal(count) * np.exp(rng.uniform(-2.0, 7.0, count))


_ALL = magnitudes()
_SIZES = magnitudes(signs=False)
_TINY = magnitudes(high=1e-2)
_CENTRE = uniform(-3.0, 3.0)
_LOGISTIC = (exponents(), uniform(-40.0, 40.0), _CENTRE, _TINY)
_BELL = (uniform(-39.0, 39.0), uniform(-14.5, 14.5), _CENTRE, _TINY)
_INSIDE = (uniform(-1.0, 1.0), near(1.0), near(-1.0), _TINY)
_ABOVE_ONE = (near(1.0), uniform(1.0, 4.0), magnitudes(low=1.0, signs=False))
_BOTH = (_ALL, uniform(-10.0, 10.0), magnitudes(1e-3, 1e3))

ROWS = (
    Row("exp", kernels.exp, mp.exp, (exponents(), _CENTRE, _TINY), 1.0, peer=np.exp),
    Row("log", kernels.log, mp.log, (_SIZES, near(1.0)), 1.0, domain=POSITIVE, peer=np.log),
    Row("tanh", kernels.tanh, mp.tanh, (uniform(-22, 22), _CENTRE, _ALL), 1.0, peer=np.tanh),
    Row(
        "log1p", kernels.log1p, mp.log1p, (_SIZES, uniform(-1, 1), near(-1.0), _TINY), 1.0,
        domain=(-1.0, np.inf), peer=np.log1p,
    ),
    Row("expm1", kernels.expm1, mp.expm1, (exponents(), _CENTRE, _TINY), 1.0, peer=np.expm1),
    Row("sin", kernels.sin, mp.sin, (_ALL, uniform(-20, 20), near(np.pi)), 1.0, peer=np.sin),
    Row("cos", kernels.cos, mp.cos, (_ALL, uniform(-20, 20), near(np.pi / 2)), 1.0, peer=np.cos),
    Row("tan", kernels.tan, mp.tan, (_ALL, uniform(-20, 20), near(np.pi / 2)), peer=np.tan),
    Row("exp2", kernels.exp2, lambda x: mp.power(2, x), (exponents(base=2.0), _CENTRE, _TINY),
        peer=np.exp2),
    Row("log2", kernels.log2, lambda x: mp.log(x) / mp.log(2), (_SIZES, near(1.0)),
        domain=POSITIVE, peer=np.log2),
    Row("log10", kernels.log10, lambda x: mp.log(x) / mp.log(10), (_SIZES, near(1.0)),
        domain=POSITIVE, peer=np.log10),
    Row("asin", kernels.asin, mp.asin, _INSIDE, domain=(-1.0, 1.0), peer=np.arcsin),
    Row("acos", kernels.acos, mp.acos, _INSIDE, domain=(-1.0, 1.0), peer=np.arccos),
    Row("atan", kernels.atan, mp.atan, (_ALL, _CENTRE), peer=np.arctan),
    Row("atan2", kernels.atan2, mp.atan2, _BOTH, second=_BOTH, peer=np.arctan2),
    Row("sinh", kernels.sinh, mp.sinh, (exponents(low=0.95), _CENTRE, _TINY), peer=np.sinh),
    Row("cosh", kernels.cosh, mp.cosh, (exponents(low=0.95), _CENTRE, _TINY), peer=np.cosh),
    Row("asinh", kernels.asinh, mp.asinh, (_ALL, _CENTRE), peer=np.arcsinh),
    Row("acosh", kernels.acosh, mp.acosh, _ABOVE_ONE, 1.0, domain=(1.0, np.inf), peer=np.arccosh),
    Row("atanh", kernels.atanh, mp.atanh, _INSIDE, domain=(-1.0, 1.0), peer=np.arctanh),
    Row("sqrt", kernels.sqrt, mp.sqrt, (_SIZES,), 0.5, domain=POSITIVE, single_bound=0.5,
        peer=np.sqrt),
    Row("rsqrt", kernels.rsqrt, lambda x: 1 / mp.sqrt(x), (_SIZES, near(1.0)), domain=POSITIVE,
        single_bound=1.5),
    Row("square", kernels.square, lambda x: x * x, (_ALL,), 0.5, 0.5, peer=np.square),
    Row("reciprocal", kernels.reciprocal, lambda x: 1 / x, (_ALL,), 0.5, 0.5, peer=np.reciprocal),
    Row("hypot", kernels.hypot, mp.hypot, _BOTH, second=_BOTH, peer=np.hypot),
    Row("pow", kernels.pow, oracle.power, (_SIZES, uniform(0, 4), near(1.0)), domain=POSITIVE,
        second=(power_exponents, _CENTRE), peer=np.power),
    Row("xlogy", kernels.xlogy, lambda x, y: x * mp.log(y), (_ALL, magnitudes(1e-9, 1e9)),
        second=(_SIZES, near(1.0))),
    Row("logaddexp", kernels.logaddexp, lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
        (uniform(-800, 800), uniform(-3, 3)), second=(uniform(-800, 800), uniform(-3, 3)),
        slope=lambda x, y: oracle.sigmoid(x - y), peer=np.logaddexp),
    # the logistic family
    Row("sigmoid", kernels.sigmoid, oracle.sigmoid, _LOGISTIC),
    Row("softplus", kernels.softplus, oracle.softplus, _LOGISTIC,
        peer=lambda x: np.logaddexp(x.dtype.type(0), x)),
    Row("logsigmoid", kernels.logsigmoid, lambda x: -oracle.softplus(-x),
        (exponents(sign=-1), uniform(-40, 40), _CENTRE, _TINY)),
    Row("silu", kernels.silu, lambda x: x * oracle.sigmoid(x), (exponents(low=1.02), *_LOGISTIC)),
    Row("logistic_density", kernels.logistic_density, oracle.logistic_density, _LOGISTIC),
    Row("silu_slope", kernels.silu_slope, oracle.silu_slope,
        (exponents(low=1.02), *_LOGISTIC, near(-1.2784645427610738)),
        slope=oracle.silu_curvature),
    Row("silu_curvature", kernels.silu_curvature, oracle.silu_curvature,
        (exponents(low=1.02), *_LOGISTIC, near(2.399357280520547)),
        slope=lambda x: mp.diff(oracle.silu_curvature, x)),
    Row("logaddexp_slope", kernels.logaddexp_slope, lambda x, y: oracle.sigmoid(x - y),
        (uniform(-400, 400), _CENTRE), 1.0, second=(uniform(-400, 400), _CENTRE)),
    # the normal distribution and the error functions
    Row("erf", kernels.erf, mp.erf, (uniform(-6, 6), _CENTRE, _ALL), 1.0, cost=3),
    Row("erfc", kernels.erfc, mp.erfc, (uniform(-6, 27.3), uniform(-6, 10.1), _CENTRE, _TINY), 1.0,
        cost=3),
    Row("erf_slope", kernels.erf_slope, lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
        (uniform(-27.4, 27.4), uniform(-10.2, 10.2), _CENTRE, _TINY), 1.0),
    Row("erf_curvature", kernels.erf_curvature, lambda x: -4 * x / mp.sqrt(mp.pi) * mp.exp(-x * x),
        (uniform(-27.5, 27.5), uniform(-10.3, 10.3), _CENTRE, _TINY), 1.5),
    Row("normal_density", kernels.normal_density, oracle.normal_density, _BELL, 1.0),
    Row("normal_density_slope", kernels.normal_density_slope,
        lambda x: -x * oracle.normal_density(x), _BELL, 1.5),
    Row("normal_cdf", kernels.normal_cdf, oracle.normal_cdf, _BELL, 1.0, cost=3),
    Row("gelu", kernels.gelu, lambda x: x * oracle.normal_cdf(x), _BELL, 1.0, cost=3),
    Row("gelu_slope", kernels.gelu_slope,
        lambda x: oracle.normal_cdf(x) + x * oracle.normal_density(x),
        (*_BELL, near(-0.7517915246935645)), cost=3,
        slope=lambda x: oracle.normal_density(x) * (2 - x * x)),
    Row("gelu_curvature", kernels.gelu_curvature,
        lambda x: oracle.normal_density(x) * (2 - x * x), (*_BELL, near(2.0**0.5)), 1.0),
    # the gamma family
    Row("lgamma", kernels.lgamma, oracle.lgamma,
        (_SIZES, uniform(0, 20), near(1.0), near(2.0)), 1.0, domain=POSITIVE, cost=10),
    Row("lgamma_negative", kernels.lgamma, oracle.lgamma,
        (uniform(-40, 0), uniform(-4, 0), near(-2.4570247382208006)), slope=lambda x: mp.psi(0, x),
        cost=20),
    Row("digamma", kernels.digamma, oracle.polygamma(0),
        (magnitudes(high=1e30, signs=False), uniform(0, 20), near(1.4616321449683622)), 1.0,
        domain=POSITIVE, slope=oracle.polygamma(1), cost=10),
    Row("digamma_negative", kernels.digamma, oracle.polygamma(0),
        (uniform(-60, 0), uniform(-4, 0), near(-0.504083008264455)), slope=oracle.polygamma(1),
        cost=20),
    Row("trigamma", kernels.trigamma, oracle.polygamma(1),
        (magnitudes(high=1e30, signs=False), uniform(-20, 20), _CENTRE), 1.0,
        domain=(1e-150, np.inf), cost=20),
    Row("trigamma_negative", kernels.trigamma, oracle.polygamma(1), (uniform(-20, 0), _CENTRE),
        domain=(-np.inf, 0.0), cost=20),
    *(
        Row(f"polygamma_{order}", lambda x, order=order: kernels.polygamma(order, x),
            oracle.polygamma(order), (uniform(-9, 30), magnitudes(1e-3, 1e5, signs=False)),
            slope=oracle.polygamma(order + 1), cost=40)
        for order in (2, 3, 4, 7, 12)
    ),
    # derivatives that the public functions do not compose to within 2 ULP
    Row("sech_squared", kernels.sech_squared, lambda x: mp.sech(x) ** 2,
        (exponents(low=0.51, high=0.54), uniform(-20, 20), _CENTRE, _TINY)),
    Row("sec_squared", kernels.sec_squared, lambda x: mp.sec(x) ** 2,
        (_ALL, uniform(-20, 20), near(np.pi / 2)), 1.0),
    Row("asin_slope", kernels.asin_slope, lambda x: 1 / mp.sqrt(1 - x * x), _INSIDE, 1.0,
        domain=(-1.0, 1.0)),
    Row("atan_slope", kernels.atan_slope, lambda x: 1 / (1 + x * x), (_ALL, _CENTRE), 1.5),
    Row("acosh_slope", kernels.acosh_slope, lambda x: 1 / mp.sqrt(x * x - 1), _ABOVE_ONE, 1.0,
        domain=(1.0, np.inf)),
    Row("atanh_slope", kernels.atanh_slope, lambda x: 1 / (1 - x * x), _INSIDE, 1.0,
        domain=(-1.0, 1.0)),
    Row("rsqrt_slope", kernels.rsqrt_slope, lambda x: -1 / (2 * x * mp.sqrt(x)), (_SIZES,), 1.0,
        domain=POSITIVE),
    Row("pow_base_slope", kernels.pow_base_slope, lambda x, y: y * oracle.power(x, y - 1),
        (_SIZES, uniform(0, 4), near(1.0)), 1.0, domain=POSITIVE,
        second=(power_exponents, _CENTRE)),
    Row("pow_exponent_slope", kernels.pow_exponent_slope,
        lambda x, y: oracle.power(x, y) * mp.log(x), (_SIZES, uniform(0, 4), near(1.0)), 1.0,
        domain=POSITIVE, second=(power_exponents, _CENTRE)),
    Row("hypot_slope", kernels.hypot_slope, lambda x, y: x / mp.hypot(x, y), _BOTH, 1.0,
        second=_BOTH),
    Row("atan2_slope", kernels.atan2_slope, lambda x, y: x / (x * x + y * y), _BOTH, 1.0,
        second=_BOTH),
)  # fmt: skip
