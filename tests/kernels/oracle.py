"""Exact values from mpmath, and the error of a result in units in the last place.

Invariant: a reference is computed to 200 bits from the operand as it is stored, so it is the exact
value for every purpose here. One ULP is the spacing of the result's dtype at the exact value, and
the least subnormal below the normal range. It is separate so that the tests and the table of
measured errors judge alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from typing import Any

import mpmath
import numpy as np

mp = mpmath.mp.clone()
mp.prec = 200
mpf = mp.mpf

Reference = Callable[..., Any]

_FORMATS = {np.dtype(np.float32): (24, -149, 128), np.dtype(np.float64): (53, -1074, 1024)}


def spacing(value: Any, dtype: Any) -> Any:
    """Return one ULP of a dtype at an mpmath number, as an mpmath number."""
    digits, least, _ = _FORMATS[np.dtype(dtype)]
    _, _, exponent, bits = value._mpf_
    return mp.ldexp(1, max(exponent + bits - digits, least) if value else least)


def error_in_ulp(result: float, exact: Any, dtype: Any) -> float:
    """Return |result - exact| in ULP of the exact value; inf where one is NaN or inf alone."""
    _, _, largest = _FORMATS[np.dtype(dtype)]
    if mp.isnan(exact) or isnan(result):
        return 0.0 if mp.isnan(exact) and isnan(result) else float("inf")
    if mp.isinf(exact) or abs(result) == float("inf"):
        # An exact value that rounds to inf: half an ULP past the largest number, or more.
        limit = mp.ldexp(2 - mp.ldexp(1, -_FORMATS[np.dtype(dtype)][0]), largest - 1)
        same = (exact > 0) == (result > 0) and abs(result) == float("inf")
        return 0.0 if same and abs(exact) >= limit else float("inf")
    return float(abs(mpf(result) - exact) / spacing(exact, dtype))


def errors(
    results: np.ndarray,
    operands: Sequence[np.ndarray],
    reference: Reference,
    slope: Reference | None = None,
) -> np.ndarray:
    """Return the error of each result in ULP.

    A slope is given for a function whose roots are no floats. Within 0.05 of such a root an error
    counts by what half an ULP of the operand does to the exact value: twice that stands for 2 ULP.
    """
    dtype = results.dtype
    found = np.empty(len(results))
    columns = [operand.tolist() for operand in operands]
    for index, (result, *numbers) in enumerate(zip(results.tolist(), *columns, strict=True)):
        exact_operands = [mpf(number) for number in numbers]
        exact = reference(*exact_operands)
        error = error_in_ulp(result, exact, dtype)
        if slope is not None and 0.5 < error < float("inf"):
            first, *others = exact_operands
            gradient = slope(first, *others)
            # Twice a Newton step crosses a root, but neither a pole nor a far tail.
            step = 2 * exact / gradient
            if abs(step) < 0.1 and reference(first - step, *others) * exact < 0:
                unit = abs(gradient) * spacing(first, dtype) / 2
                error = min(error, max(0.5, float(abs(mpf(result) - exact) / unit)))
        found[index] = error
    return found


# ---------------------------------------------------------------- references with no mpmath name


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(x))


def logistic_density(x: Any) -> Any:
    return sigmoid(x) * sigmoid(-x)


def silu_slope(x: Any) -> Any:
    return sigmoid(x) * (1 + x * sigmoid(-x))


def silu_curvature(x: Any) -> Any:
    return logistic_density(x) * (2 - x * mp.tanh(x / 2))


def normal_density(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def normal_cdf(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def lgamma(x: Any) -> Any:
    return mp.loggamma(x) if x > 0 else mp.log(abs(mp.gamma(x)))


def polygamma(order: int) -> Reference:
    return lambda x: mp.psi(order, x)


def power(x: Any, y: Any) -> Any:
    return mp.exp(y * mp.log(x))
