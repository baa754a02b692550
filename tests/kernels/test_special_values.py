"""NaN, infinities, signed zeros and poles: the exact result, with the sign of a zero."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from slopewise import _kernels as kernels

INF, NAN = np.inf, np.nan
LEAST = {np.float64: 5e-324, np.float32: 1.401298464324817e-45}

# name: (operand, result), ...
ONE_OPERAND: dict[str, tuple[tuple[float, float], ...]] = {
    "exp": ((INF, INF), (-INF, 0.0), (-0.0, 1.0), (800.0, INF), (-800.0, 0.0)),
    "exp2": ((INF, INF), (-INF, 0.0), (3.0, 8.0), (2000.0, INF), (-2000.0, 0.0)),
    "expm1": ((INF, INF), (-INF, -1.0), (-0.0, -0.0), (-800.0, -1.0)),
    "log": ((INF, INF), (0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN)),
    "log2": ((INF, INF), (0.0, -INF), (1.0, 0.0), (-1.0, NAN), (0.125, -3.0)),
    "log10": ((INF, INF), (0.0, -INF), (1.0, 0.0), (-1.0, NAN)),
    "log1p": ((INF, INF), (-1.0, -INF), (-0.0, -0.0), (-2.0, NAN)),
    "sqrt": ((INF, INF), (-0.0, -0.0), (0.0, 0.0), (-1.0, NAN)),
    "rsqrt": ((INF, 0.0), (0.0, INF), (-1.0, NAN), (4.0, 0.5)),
    "rsqrt_slope": ((INF, -0.0), (0.0, -INF), (-1.0, NAN), (4.0, -0.0625)),
    "square": ((INF, INF), (-INF, INF), (-0.0, 0.0), (-3.0, 9.0)),
    "reciprocal": ((INF, 0.0), (-INF, -0.0), (0.0, INF), (-0.0, -INF)),
    "sin": ((INF, NAN), (-INF, NAN), (-0.0, -0.0)),
    "cos": ((INF, NAN), (-0.0, 1.0)),
    "tan": ((INF, NAN), (-0.0, -0.0)),
    "sec_squared": ((INF, NAN), (-INF, NAN), (-0.0, 1.0)),
    "asin": ((-0.0, -0.0), (1.5, NAN), (INF, NAN)),
    "acos": ((1.0, 0.0), (1.5, NAN), (-INF, NAN)),
    "atan": ((-0.0, -0.0),),
    "asin_slope": ((0.0, 1.0), (1.0, INF), (-1.0, INF), (1.5, NAN), (INF, NAN), (-INF, NAN)),
    "atan_slope": ((0.0, 1.0), (INF, 0.0), (-INF, 0.0)),
    "sinh": ((INF, INF), (-INF, -INF), (-0.0, -0.0)),
    "cosh": ((INF, INF), (-INF, INF), (-0.0, 1.0)),
    "tanh": ((INF, 1.0), (-INF, -1.0), (-0.0, -0.0), (30.0, 1.0), (-1e30, -1.0)),
    "asinh": ((INF, INF), (-INF, -INF), (-0.0, -0.0)),
    "acosh": ((INF, INF), (1.0, 0.0), (0.5, NAN), (-INF, NAN), (-2.0, NAN)),
    "atanh": ((1.0, INF), (-1.0, -INF), (-0.0, -0.0), (1.5, NAN), (INF, NAN)),
    "sech_squared": ((INF, 0.0), (-INF, 0.0), (0.0, 1.0)),
    "acosh_slope": ((INF, 0.0), (1.0, INF), (0.5, NAN), (-2.0, NAN), (-INF, NAN)),
    "atanh_slope": ((0.0, 1.0), (1.0, INF), (-1.0, INF), (INF, -0.0)),
    "sigmoid": ((INF, 1.0), (-INF, 0.0), (0.0, 0.5), (1000.0, 1.0), (-1000.0, 0.0)),
    "softplus": ((INF, INF), (-INF, 0.0), (1000.0, 1000.0), (-1000.0, 0.0)),
    "logsigmoid": ((INF, 0.0), (-INF, -INF), (-1000.0, -1000.0)),
    "logistic_density": ((INF, 0.0), (-INF, 0.0), (0.0, 0.25), (1000.0, 0.0)),
    "silu": ((INF, INF), (-INF, -0.0), (-0.0, -0.0), (0.0, 0.0), (1e38, 1e38)),
    "silu_slope": ((INF, 1.0), (-INF, -0.0), (0.0, 0.5), (1e38, 1.0)),
    "silu_curvature": ((INF, -0.0), (-INF, -0.0), (0.0, 0.5)),
    "erf": ((INF, 1.0), (-INF, -1.0), (-0.0, -0.0), (0.0, 0.0)),
    "erfc": ((INF, 0.0), (-INF, 2.0), (0.0, 1.0), (-0.0, 1.0)),
    "erf_slope": ((INF, 0.0), (-INF, 0.0)),
    "erf_curvature": ((INF, -0.0), (-INF, 0.0), (0.0, -0.0), (-0.0, 0.0)),
    "normal_density": ((INF, 0.0), (-INF, 0.0)),
    "normal_density_slope": ((INF, -0.0), (-INF, 0.0), (0.0, -0.0), (-0.0, 0.0)),
    "normal_cdf": ((INF, 1.0), (-INF, 0.0), (0.0, 0.5), (-0.0, 0.5)),
    "gelu": ((INF, INF), (-INF, -0.0), (-0.0, -0.0), (0.0, 0.0), (1e38, 1e38), (-1e38, -0.0)),
    "gelu_slope": ((INF, 1.0), (-INF, -0.0), (0.0, 0.5)),
    "gelu_curvature": ((INF, -0.0), (-INF, -0.0)),
    "lgamma": (
        (INF, INF), (-INF, INF), (0.0, INF), (-0.0, INF), (-3.0, INF), (1.0, 0.0), (2.0, 0.0),
        (-1e30, INF),
    ),
    "digamma": ((INF, INF), (-INF, NAN), (0.0, -INF), (-0.0, INF), (-3.0, NAN), (-1e30, NAN)),
    "trigamma": ((INF, 0.0), (-INF, NAN), (0.0, INF), (-0.0, INF), (-3.0, INF), (-1e30, INF)),
}  # fmt: skip

# name: (first operand, second operand, result), ...
TWO_OPERANDS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "atan2": (
        (0.0, 1.0, 0.0), (-0.0, 1.0, -0.0), (0.0, 0.0, 0.0), (-0.0, 0.0, -0.0),
        (1.0, INF, 0.0), (-1.0, INF, -0.0),
    ),
    "hypot": ((0.0, 0.0, 0.0), (INF, NAN, INF), (NAN, -INF, INF), (NAN, 1.0, NAN), (-3, -4, 5)),
    "hypot_slope": (
        (0.0, 0.0, 0.0), (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (3.0, 4.0, 0.6), (-2.0, 0.0, -1.0),
        (INF, 1.0, 1.0), (-INF, 1.0, -1.0), (1.0, INF, 0.0), (-1.0, INF, -0.0),
        (INF, INF, NAN), (NAN, 1.0, NAN), (NAN, INF, NAN), (1.0, NAN, NAN),
    ),
    "atan2_slope": (
        (0.0, 0.0, NAN), (2.0, 0.0, 0.5), (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (INF, 1.0, 0.0),
        (-INF, INF, -0.0), (1.0, INF, 0.0), (NAN, INF, NAN), (1.0, NAN, NAN),
    ),
    "logaddexp": (
        (INF, INF, INF), (-INF, -INF, -INF), (-INF, 3.0, 3.0), (INF, -INF, INF), (NAN, 1.0, NAN),
        (-1.0, -INF, -1.0), (-1.0, -1e30, -1.0),
    ),
    "logaddexp_slope": (
        (INF, INF, 0.5), (-INF, -INF, 0.5), (INF, 1.0, 1.0), (1.0, INF, 0.0), (-INF, 1.0, 0.0),
        (1e38, -1e38, 1.0), (-3e38, 3e38, 0.0), (NAN, 1.0, NAN), (1.0, NAN, NAN),
    ),
    "xlogy": (
        (0.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, INF, 0.0), (0.0, NAN, NAN), (1.0, 0.0, -INF),
        (2.0, 1.0, 0.0), (NAN, 2.0, NAN), (1.0, -1.0, NAN),
    ),
    "pow": (
        (0.0, 0.0, 1.0), (NAN, 0.0, 1.0), (1.0, NAN, 1.0), (-2.0, 3.0, -8.0), (-2.0, 0.5, NAN),
        (0.0, -1.0, INF), (-0.0, -1.0, -INF), (INF, -1.0, 0.0), (-0.0, 3.0, -0.0),
        (2.0, -2000.0, 0.0), (2.0, 2000.0, INF), (-2.0, 2001.0, -INF),
    ),
    "pow_base_slope": (
        (0.0, 0.0, 0.0), (5.0, 0.0, 0.0), (-5.0, 0.0, 0.0), (INF, 0.0, 0.0), (0.0, 1.0, 1.0),
        (0.0, 2.0, 0.0), (0.0, 0.5, INF), (0.0, -1.0, -INF), (-2.0, 3.0, 12.0), (-2.0, 2.0, -4.0),
        (-2.0, 1.0, 1.0), (-2.0, -1.0, -0.25), (-2.0, -2.0, 0.25), (-2.0, 0.5, NAN),
        (INF, 2.0, INF), (INF, 0.5, 0.0), (INF, 1.0, 1.0), (-INF, 3.0, INF), (2.0, INF, INF),
        (0.5, INF, NAN), (NAN, 2.0, NAN), (2.0, NAN, NAN), (1.0, 7.0, 7.0), (2.0, 3.0, 12.0),
    ),
    "pow_exponent_slope": (
        (0.0, 2.0, 0.0), (0.0, 0.0, -INF), (0.0, -1.0, -INF), (1.0, 5.0, 0.0), (1.0, 1e30, 0.0),
        (-2.0, 2.0, NAN), (INF, -1.0, 0.0), (INF, 1.0, INF), (NAN, 2.0, NAN), (2.0, NAN, NAN),
        (0.5, 1e38, -0.0), (0.5, -1e38, -INF),
    ),
}  # fmt: skip


def same(result: Any, expected: float) -> bool:
    """Return whether a result is the expected number, the sign of a zero included."""
    if np.isnan(expected):
        return bool(np.isnan(result))
    return result == expected and np.signbit(result) == np.signbit(expected)


def cases(table: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, case) for name, rows in table.items() for case in rows]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("name", "case"), cases(ONE_OPERAND) + cases(TWO_OPERANDS))
def test_special_value(name: str, case: tuple[float, ...], dtype: type) -> None:
    *operands, expected = case
    with np.errstate(all="ignore"):
        expected = dtype(expected)
        kernel = getattr(kernels, name)
        alone = kernel(*(np.asarray(operand, dtype) for operand in operands))
        among = kernel(*(np.asarray([0.75, operand, 0.75], dtype) for operand in operands))
    assert alone.dtype == among.dtype == dtype
    assert same(alone, expected), f"{name}{tuple(operands)} is {alone!r}, not {expected!r}"
    assert same(among[1], expected), f"{name}{tuple(operands)} is {among[1]!r} within an array"


def kernels_of(operands: int) -> list[str]:
    """Return the names of the public kernels that take so many operands."""
    return [
        name
        for name in kernels.__all__
        if name != "polygamma"
        and len(inspect.signature(getattr(kernels, name)).parameters) == operands
    ]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", kernels_of(1))
def test_nan_stays_nan(name: str, dtype: type) -> None:
    with np.errstate(all="ignore"):
        kernel = getattr(kernels, name)
        assert np.isnan(kernel(np.asarray(NAN, dtype)))
        assert np.isnan(kernel(np.asarray([NAN, 0.5, NAN], dtype))).tolist()[::2] == [True, True]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("expm1", 1.0), ("log1p", 1.0), ("sin", 1.0), ("tan", 1.0), ("asin", 1.0), ("atan", 1.0),
        ("sinh", 1.0), ("tanh", 1.0), ("asinh", 1.0), ("atanh", 1.0), ("silu", 0.5), ("gelu", 0.5),
        ("erf", 1.1283791670955126),
    ],
)  # fmt: skip
def test_subnormal_operand_keeps_the_slope_at_zero(name: str, slope: float, dtype: type) -> None:
    counts = np.array([-1000.0, -3.0, -1.0, 1.0, 2.0, 7.0, 1001.0])
    with np.errstate(all="ignore"):
        operands = (counts * LEAST[dtype]).astype(dtype)
        found = getattr(kernels, name)(operands).astype(np.float64) / LEAST[dtype]
    assert np.all(np.abs(found - counts * slope) <= 0.5 + 1e-12 * np.abs(counts))


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_polygamma_at_its_poles(order: int) -> None:
    poles = np.array([0.0, -0.0, -1.0, -7.0, INF, -INF])
    with np.errstate(all="ignore"):
        found = kernels.polygamma(order, poles)
    if order % 2:
        assert found[:4].tolist() == [INF] * 4
    else:
        assert found[:2].tolist() == [-INF, INF]
        assert np.isnan(found[2:4]).all()
    assert found[4] == 0.0
    assert np.signbit(found[4]) == (order % 2 == 0)
    assert np.isnan(found[5])
