"""Values and derivatives, as the engine gives them, within their ULP bounds of the exact ones.

Invariant: the reference is mpmath at 60 digits, evaluated at the very number that the engine saw;
errors are measured in the result's dtype. Near a root the bound is the larger of 2 ULP and twice
what half a ULP in the input does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import slopewise as sw

mp.mp.dps = 60
SQRT2PI = mp.sqrt(2 * mp.pi)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _phi(x: Any) -> Any:
    return mp.exp(-x * x / 2) / SQRT2PI


def _cdf(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


# name, engine, value, derivative, second derivative (for roots of the first), low, high, value bound
ROWS: list[tuple[str, Any, Callable[[Any], Any], Callable[[Any], Any], float, float, float]] = [
    ("exp", sw.exp, mp.exp, mp.exp, -80, 80, 1),
    ("log", sw.log, mp.log, lambda x: 1 / x, 1e-30, 1e30, 1),
    ("tanh", sw.tanh, mp.tanh, lambda x: mp.sech(x) ** 2, -40, 40, 1),
    ("sigmoid", sw.sigmoid, _sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x), -80, 80, 2),
    ("softplus", sw.softplus, lambda x: mp.log1p(mp.exp(x)), _sigmoid, -80, 80, 2),
    ("logsigmoid", sw.logsigmoid, lambda x: -mp.log1p(mp.exp(-x)), lambda x: _sigmoid(-x), -80, 80, 2),
    ("log1p", sw.log1p, mp.log1p, lambda x: 1 / (1 + x), -0.999, 1e10, 1),
    ("expm1", sw.expm1, mp.expm1, mp.exp, -40, 40, 1),
    ("erf", sw.erf, mp.erf, lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x), -8, 8, 2),
    ("erfc", sw.erfc, mp.erfc, lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x), -8, 8, 2),
    ("gelu", sw.gelu, lambda x: x * _cdf(x), lambda x: _cdf(x) + x * _phi(x), -10, 10, 2),
    ("silu", sw.silu, lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x)), -60, 60, 2),
    ("sin", sw.sin, mp.sin, mp.cos, -100, 100, 1),
    ("cos", sw.cos, mp.cos, lambda x: -mp.sin(x), -100, 100, 1),
    ("tan", sw.tan, mp.tan, lambda x: mp.sec(x) ** 2, -1.57, 1.57, 2),
    ("asin", sw.asin, mp.asin, lambda x: 1 / mp.sqrt(1 - x * x), -0.9999, 0.9999, 2),
    ("acos", sw.acos, mp.acos, lambda x: -1 / mp.sqrt(1 - x * x), -0.9999, 0.9999, 2),
    ("atan", sw.atan, mp.atan, lambda x: 1 / (1 + x * x), -1e4, 1e4, 2),
    ("sinh", sw.sinh, mp.sinh, mp.cosh, -80, 80, 2),
    ("cosh", sw.cosh, mp.cosh, mp.sinh, -80, 80, 2),
    ("asinh", sw.asinh, mp.asinh, lambda x: 1 / mp.sqrt(1 + x * x), -1e6, 1e6, 2),
    ("acosh", sw.acosh, mp.acosh, lambda x: 1 / mp.sqrt(x * x - 1), 1.0001, 1e6, 2),
    ("atanh", sw.atanh, mp.atanh, lambda x: 1 / (1 - x * x), -0.9999, 0.9999, 2),
    ("sqrt", sw.sqrt, mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), 1e-30, 1e30, 2),
    ("rsqrt", sw.rsqrt, lambda x: 1 / mp.sqrt(x), lambda x: -1 / (2 * x * mp.sqrt(x)), 1e-20, 1e20, 2),
    ("reciprocal", sw.reciprocal, lambda x: 1 / x, lambda x: -1 / (x * x), 1e-10, 1e10, 2),
    ("exp2", sw.exp2, lambda x: mp.mpf(2) ** x, lambda x: mp.mpf(2) ** x * mp.log(2), -100, 100, 2),
    ("log2", sw.log2, lambda x: mp.log(x, 2), lambda x: 1 / (x * mp.log(2)), 1e-30, 1e30, 2),
    ("log10", sw.log10, mp.log10, lambda x: 1 / (x * mp.log(10)), 1e-30, 1e30, 2),
    ("lgamma", sw.lgamma, mp.loggamma, lambda x: mp.psi(0, x), 0.01, 1e4, 2),
    ("digamma", sw.digamma, lambda x: mp.psi(0, x), lambda x: mp.psi(1, x), 0.01, 1e4, 2),
    ("x^2.75", lambda x: x**2.75, lambda x: x ** mp.mpf(2.75), lambda x: mp.mpf(2.75) * x ** (mp.mpf(2.75) - 1), 1e-6, 1e6, 2),
]  # fmt: skip


def grid(low: float, high: float, dtype: Any) -> np.ndarray[Any, Any]:
    """Return points over the whole range, dense near 0 and the middle, on both sides."""
    rng = np.random.default_rng(1)
    points = [rng.uniform(low, high, 120)]
    if low > 0 and high / low > 1e3:
        points = [
            np.exp(rng.uniform(np.log(low), np.log(high), 160)),
            rng.uniform(max(low, 0.5), 3, 60),
        ]
    else:
        points.append(rng.uniform(max(low, -2.5), min(high, 2.5), 120))
        if low < 0 < high:
            tiny = 10.0 ** rng.uniform(-12, 0, 40) * rng.choice([-1, 1], 40)
            points.append(tiny[(tiny > low) & (tiny < high)])
    x = np.concatenate(points).astype(dtype)
    return x[(x > low) & (x < high)]


def ulps(
    found: np.ndarray[Any, Any], x: np.ndarray[Any, Any], reference: Callable[[Any], Any]
) -> float:
    """Return the largest error in ULP, an excess near roots excused by the input's half ULP."""
    worst = 0.0
    for y, at in zip(found, x, strict=True):
        point = mp.mpf(float(at))
        exact = reference(point)
        rounded = y.dtype.type(float(exact)) if y.dtype == np.float64 else np.float32(float(exact))
        unit = mp.mpf(float(np.spacing(abs(rounded))))
        error = abs(mp.mpf(float(y)) - exact) / unit
        if error > 2:
            half = mp.mpf(float(np.spacing(abs(at)))) / 2
            shift = abs(reference(point + half) - exact) / unit
            if error <= 2 * shift:
                continue
        worst = max(worst, float(error))
    return worst


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("row", ROWS, ids=[r[0] for r in ROWS])
def test_values_and_derivatives(row: Any, dtype: Any) -> None:
    _, function, value, derivative, low, high, bound = row
    x = sw.tensor(grid(low, high, dtype), requires_grad=True)
    y = function(x)
    y.sum().backward()
    points = x.detach().numpy()
    assert ulps(y.detach().numpy(), points, value) <= bound
    assert ulps(x.grad.numpy(), points, derivative) <= 2


def test_saturated_sigmoid_has_both_sides() -> None:
    x = sw.tensor([-20.0, 20.0, -100.0, 100.0], requires_grad=True)
    sw.sigmoid(x).sum().backward()
    grads = x.grad.tolist()
    assert grads[0] == grads[1] == pytest.approx(2.0611536e-09, rel=2e-7)
    assert grads[2] == grads[3] > 0
