"""A ScalarBuilder over NumPy arrays: evaluates the `body` of a pointwise lowering.

Invariant: functions by name come from NumPy and SciPy, not from the kernels under test, so that a
body is checked against an independent reading of its names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

FUNCTIONS: dict[str, Any] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "pow": np.power, "hypot": np.hypot, "logaddexp": np.logaddexp,
    "maximum": np.maximum, "minimum": np.minimum, "abs": np.abs, "floor": np.floor, "ceil": np.ceil,
    "round": np.round, "trunc": np.trunc, "sign": np.sign, "isnan": np.isnan, "isinf": np.isinf,
    "isfinite": np.isfinite, "sigmoid": sp.expit, "logsigmoid": sp.log_expit,
    "softplus": lambda x: np.logaddexp(x, 0), "logistic_density": lambda x: sp.expit(x) * sp.expit(-x),
    "sec_squared": lambda x: 1 / np.cos(x) ** 2, "erf": sp.erf, "erfc": sp.erfc,
    "erf_slope": lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x),
    "normal_density": lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    "gelu": lambda x: x * sp.ndtr(x),
    "gelu_slope": lambda x: sp.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    "asin_slope": lambda x: (1 - x * x) ** -0.5, "atan_slope": lambda x: 1 / (1 + x * x),
    "acosh_slope": lambda x: (x * x - 1) ** -0.5, "atanh_slope": lambda x: 1 / (1 - x * x),
    "atan2_slope": lambda x, y: x / (x * x + y * y), "hypot_slope": lambda x, y: x / np.hypot(x, y),
    "rsqrt_slope": lambda x: -0.5 * x**-1.5, "pow_base_slope": lambda x, y: y * x ** (y - 1),
    "pow_exponent_slope": lambda x, y: x**y * np.log(x),
    "sech_squared": lambda x: 1 / np.cosh(x) ** 2,
    "silu": lambda x: np.where(x == -np.inf, -0.0, x * sp.expit(x)),
    "silu_slope": lambda x: sp.expit(x) * (1 + x * sp.expit(-x)),
    "lgamma": sp.gammaln, "digamma": sp.digamma,
    "remainder": np.remainder,
    "polygamma": lambda x, n: sp.polygamma(int(n), x),
    "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor,
}  # fmt: skip
COMPARISONS: dict[str, Any] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater,
    ">=": np.greater_equal,
}  # fmt: skip


class NumpyBuilder:
    """The operations that a pointwise body may use."""

    def constant(self, number: float) -> float:
        return number

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def sub(self, x: Any, y: Any) -> Any:
        return x - y

    def mul(self, x: Any, y: Any) -> Any:
        return x * y

    def div(self, x: Any, y: Any) -> Any:
        return np.divide(x, y)

    def neg(self, x: Any) -> Any:
        return -x

    def eq(self, x: Any, y: Any) -> Any:
        return x == y

    def isfinite(self, x: Any) -> Any:
        return np.isfinite(x)

    def compare(self, symbol: str, x: Any, y: Any) -> Any:
        return COMPARISONS[symbol](x, y)

    def logical_and(self, x: Any, y: Any) -> Any:
        return np.logical_and(x, y)

    def logical_or(self, x: Any, y: Any) -> Any:
        return np.logical_or(x, y)

    def logical_xor(self, x: Any, y: Any) -> Any:
        return np.logical_xor(x, y)

    def logical_not(self, x: Any) -> Any:
        return np.logical_not(x)

    def select(self, condition: Any, x: Any, y: Any) -> Any:
        return np.where(condition, x, y)

    def cast(self, x: Any, dtype: Any) -> Any:
        return np.asarray(x).astype(dtype)

    def clamp(self, x: Any, low: float | None, high: float | None) -> Any:
        return np.clip(x, low, high)

    def call(self, name: str, *operands: Any) -> Any:
        return FUNCTIONS[name](*operands)
