"""The compiled mathematical functions: accuracy, special values, lanes, and how they are written.

Invariant: the reference of accuracy is mpmath at 60 digits at the very number that the code saw;
errors are in ULP of the result's dtype. Near a root the bound is the larger of 2 ULP and twice what
half a ULP in an operand does. Special values are those of the accurate NumPy kernels.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from slopewise import _kernels as kernels
from slopewise._compile.builder import FLOAT64, Module, type_of
from slopewise._compile.math import NAMES
from slopewise._compile.writer import Writer


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


HERE = Path(__file__).parent
harness = _load("compile_harness", HERE / "harness.py")
numpy_builder = _load("compile_numpy_builder", HERE.parent / "ops" / "numpy_builder.py")

Reference = Callable[..., Any]
DTYPES = [np.float64, np.float32]
mp.mp.dps = 60


def _cdf(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _phi(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _lgamma(x: Any) -> Any:
    return mp.loggamma(x) if x > 0 else mp.log(abs(mp.gamma(x)))


# Angles that must be reduced with hundreds of bits.
HUGE = [(1e18, 1e20), (1e30, 3e38), (1e300, 1.7e308)]
# name, reference, bound in ULP, ranges of the operand
UNARY: list[tuple[str, Reference, float, list[tuple[float, float]]]] = [
    ("exp", mp.exp, 1, [(-746, 710), (-1, 1)]),
    ("exp2", lambda x: mp.mpf(2) ** x, 1, [(-1075, 1024), (-1, 1)]),
    ("expm1", mp.expm1, 1, [(-50, 709), (-1, 1), (-1e-5, 1e-5)]),
    ("log", mp.log, 1, [(0, 1e300), (0, 4), (0.99, 1.01), (0, 1e-309)]),
    ("log2", lambda x: mp.log(x, 2), 2, [(0, 1e300), (0, 4), (0.99, 1.01), (0, 1e-309)]),
    ("log10", mp.log10, 2, [(0, 1e300), (0, 4), (0.99, 1.01), (0, 1e-309)]),
    ("log1p", mp.log1p, 1, [(-1, 3), (-0.01, 0.01), (0, 1e308)]),
    ("sqrt", mp.sqrt, 0.5, [(0, 1e300), (0, 1e-309), (0, 4)]),
    ("sin", mp.sin, 1, [(-10, 10), (-1e6, 1e6), *HUGE]),
    ("cos", mp.cos, 1, [(-10, 10), (-1e6, 1e6), *HUGE]),
    ("tan", mp.tan, 1, [(-10, 10), (-1e6, 1e6), *HUGE]),
    ("sec_squared", lambda x: mp.sec(x) ** 2, 2, [(-10, 10), (-1e6, 1e6), *HUGE]),
    ("asin", mp.asin, 1, [(-1, 1), (0.999, 1), (-1e-5, 1e-5)]),
    ("acos", mp.acos, 1, [(-1, 1), (0.999, 1)]),
    ("atan", mp.atan, 1, [(-3, 3), (-1e10, 1e10), (-1e-5, 1e-5)]),
    ("asin_slope", lambda x: 1 / mp.sqrt(1 - x * x), 2, [(-1, 1), (0.999, 1)]),
    ("atan_slope", lambda x: 1 / (1 + x * x), 2, [(-3, 3), (-1e10, 1e10)]),
    ("acosh_slope", lambda x: 1 / mp.sqrt(x * x - 1), 2, [(1, 3), (1, 1.001), (1, 1e10)]),
    ("atanh_slope", lambda x: 1 / (1 - x * x), 2, [(-1, 1), (0.999, 1), (-3, 3)]),
    ("sinh", mp.sinh, 1, [(-710, 710), (-2, 2), (-1e-5, 1e-5)]),
    ("cosh", mp.cosh, 1, [(-710, 710), (-2, 2)]),
    ("tanh", mp.tanh, 1, [(-25, 25), (-1, 1), (-1e-5, 1e-5)]),
    ("sech_squared", lambda x: mp.sech(x) ** 2, 2, [(-373, 373), (-2, 2)]),
    ("asinh", mp.asinh, 1, [(-1e300, 1e300), (-3, 3), (-1e-5, 1e-5)]),
    ("acosh", mp.acosh, 1, [(1, 1e300), (1, 3), (1, 1.0001)]),
    ("atanh", mp.atanh, 1, [(-1, 1), (0.999, 1), (-1e-5, 1e-5)]),
    ("sigmoid", _sigmoid, 1, [(-745, 745), (-40, 40), (-2, 2)]),
    ("logistic_density", lambda x: _sigmoid(x) * _sigmoid(-x), 1, [(-745, 745), (-4, 4)]),
    ("softplus", lambda x: mp.log1p(mp.exp(x)), 1, [(-745, 745), (-40, 40), (-2, 2)]),
    ("logsigmoid", lambda x: -mp.log1p(mp.exp(-x)), 1, [(-745, 745), (-40, 40), (-2, 2)]),
    ("silu", lambda x: x * _sigmoid(x), 2, [(-745, 745), (-752, -700), (-110, -85), (-4, 4)]),
    ("silu_slope", lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x)), 2, [(-745, 745), (-4, 4)]),
    ("rsqrt_slope", lambda x: -1 / (2 * x * mp.sqrt(x)), 1, [(0, 1e200), (0, 4)]),
    ("erf", mp.erf, 1, [(-6, 6), (-0.6, 0.6), (-1e-5, 1e-5)]),
    ("erfc", mp.erfc, 1, [(-6, 27.2), (-1, 1)]),
    ("erf_slope", lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x), 1, [(-27, 27), (-2, 2)]),
    ("normal_density", _phi, 1, [(-38, 38), (-2, 2)]),
    ("gelu", lambda x: x * _cdf(x), 1, [(-38.4, 10), (-2, 2), (-1e-300, 1e-300)]),
    ("gelu_slope", lambda x: _cdf(x) + x * _phi(x), 2, [(-38.4, 10), (-2, 2)]),
    ("lgamma", _lgamma, 1, [(0, 4), (-9, 0), (1, 1e6), (0, 1e-300)]),
    ("digamma", lambda x: mp.psi(0, x), 2, [(0, 4), (-9, 0), (1, 1e6)]),
]  # fmt: skip
POLYGAMMA = [
    (n, lambda x, n=n: mp.psi(n, x), [(0, 4), (1, 1e6)] + ([(-4, 0)] if n < 4 else []))
    for n in (1, 2, 3, 6)
]
Range = tuple[float, float]
NEAR, UNIT, WIDE = (-3.0, 3.0), (-2.0, 2.0), (-1e300, 1e300)
SMALL, TINY = (-1e-5, 1e-5), (-1e-310, 1e-310)
POWERS = [((0, 10), (-30, 30)), ((0.99, 1.01), (-3e3, 3e3))]
BINARY: list[tuple[str, Reference, list[tuple[Range, Range]]]] = [
    ("pow", lambda x, y: x**y, [*POWERS, ((0, 1e-309), UNIT)]),
    ("pow_base_slope", lambda x, y: y * x ** (y - 1), POWERS),
    ("pow_exponent_slope", lambda x, y: x**y * mp.log(x), POWERS),
    ("atan2", mp.atan2, [(NEAR, NEAR), (WIDE, (-1e-300, 1e-300)), (SMALL, NEAR)]),
    ("atan2_slope", lambda x, y: x / (x * x + y * y), [(NEAR, NEAR), ((-1e150, 1e150),) * 2]),
    ("hypot", lambda x, y: mp.sqrt(x * x + y * y), [(NEAR, NEAR), (WIDE, WIDE), (TINY, TINY)]),
    ("hypot_slope", lambda x, y: x / mp.sqrt(x * x + y * y), [(NEAR, NEAR), (SMALL, WIDE)]),
    ("logaddexp", lambda x, y: mp.log(mp.exp(x) + mp.exp(y)), [((-40, 40),) * 2, (UNIT, UNIT)]),
]  # fmt: skip


def draw(low: float, high: float, count: int, dtype: Any) -> np.ndarray[Any, Any]:
    """Return points of a range that are finite and not on its ends, in float32 cut to its range."""
    limit = float(np.finfo(dtype).max)
    low, high = max(low, -limit), min(high, limit)
    if low >= high:  # a range of float64 alone
        return np.empty(0, dtype)
    x = np.random.default_rng(3).uniform(low, high, 4 * count).astype(dtype)
    return x[(x > low) & (x < high) & (x != 0)][:count]


def error_in_ulps(found: Any, operands: tuple[Any, ...], reference: Reference) -> float:
    """Return the error in ULP, an excess excused by half a ULP of an operand."""
    points = [mp.mpf(float(x)) for x in operands]
    with mp.workdps(400 if max(abs(p) for p in points) > 1e15 else 60):
        exact = reference(*points)
        limit = mp.mpf(float(np.finfo(found.dtype).max))
        if abs(exact) > limit:
            return 0.0 if np.isinf(found) and (found > 0) == (exact > 0) else np.inf
        unit = mp.mpf(float(np.spacing(np.abs(found.dtype.type(mp.nstr(exact, 30))))))
        error = abs(mp.mpf(float(found)) - exact) / unit
        if error > 2:
            for i, x in enumerate(operands):
                moved = list(points)
                moved[i] += mp.mpf(float(np.spacing(np.abs(x)))) / 2
                if error <= 2 * abs(reference(*moved) - exact) / unit:
                    return 2.0
    return float(error)


def worst(found: Any, operands: tuple[Any, ...], reference: Reference) -> float:
    assert len(found) == len(operands[0])
    return max(
        (error_in_ulps(y, tuple(at), reference) for y, *at in zip(found, *operands, strict=True)),
        default=0.0,
    )


def width(dtype: Any) -> int:
    return 64 // np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("row", UNARY, ids=[r[0] for r in UNARY])
def test_unary_accuracy(row: Any, dtype: Any) -> None:
    name, reference, bound, ranges = row
    for low, high in ranges:
        x = draw(low, high, 60, dtype)
        assert worst(harness.run(name, x, lanes=width(dtype)), (x,), reference) <= bound


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("row", POLYGAMMA, ids=[str(r[0]) for r in POLYGAMMA])
def test_polygamma_accuracy(row: Any, dtype: Any) -> None:
    n, reference, ranges = row
    for low, high in ranges:
        x = draw(low, high, 25, dtype)
        found = harness.run("polygamma", x, lanes=width(dtype), numbers=(n,))
        assert worst(found, (x,), reference) <= 2


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("row", BINARY, ids=[r[0] for r in BINARY])
def test_binary_accuracy(row: Any, dtype: Any) -> None:
    name, reference, ranges = row
    for first, second in ranges:
        x, y = draw(*first, 60, dtype), draw(*second, 61, dtype)[1:]
        size = min(x.size, y.size)
        x, y = x[:size], y[:size]
        assert worst(harness.run(name, x, y, lanes=width(dtype)), (x, y), reference) <= 2


DENSE = ["exp", "log", "tanh", "log1p", "expm1", "sigmoid", "sin", "cos"]


@pytest.mark.parametrize("name", [*DENSE, "sech_squared", "logistic_density"])
def test_single_precision_densely(name: str) -> None:
    # float64 is exact enough a reference for float32.
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    x = np.concatenate([bits.view(np.float32), np.linspace(-20, 20, 100_000, dtype=np.float32)])
    with np.errstate(all="ignore"):
        exact = getattr(kernels, name)(x.astype(np.float64))
        rounded = exact.astype(np.float32)
        found = harness.run(name, x, lanes=16)
        error = np.abs(found - exact) / np.spacing(np.abs(rounded)).astype(np.float64)
    finite = np.isfinite(rounded)
    assert error[finite].max() <= 1
    np.testing.assert_array_equal(found[~finite], rounded[~finite])


# --- special values ----------------------------------------------------------------------------


def specials(dtype: Any) -> np.ndarray[Any, Any]:
    info: Any = np.finfo(dtype)
    tiny = [float(info.smallest_subnormal), float(info.smallest_normal) / 3, float(info.tiny)]
    usual = [1e-20, 1e-4, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 8.5, 30.0, 88.5, 103.0, 709.5, 745.0]
    large = [1e5, 8388608.0, 1e10, 1e30, float(info.max) / 2, float(info.max), np.inf, np.nan]
    sides = [1 - float(info.epsneg), 1 + float(info.eps), 0.0]
    x = np.array(tiny + usual + large + sides)
    return np.concatenate([x, -x]).astype(dtype)


PLAIN: dict[str, Any] = {
    "abs": np.abs, "floor": np.floor, "ceil": np.ceil, "round": np.round, "trunc": np.trunc,
    "sign": np.sign, "maximum": np.maximum, "minimum": np.minimum, "isnan": np.isnan,
    "isinf": np.isinf, "isfinite": np.isfinite, "remainder": np.remainder,
}  # fmt: skip
OF_TWO = {row[0] for row in BINARY} | {"maximum", "minimum", "remainder"}
INTEGER = [name for name in NAMES if name.startswith("bit") or name == "invert" or "shift" in name]
FLOAT = [name for name in NAMES if name not in INTEGER and name != "polygamma"]


def operands_of(name: str, x: Any) -> list[Any]:
    return [g.ravel() for g in np.meshgrid(x, x)] if name in OF_TWO else [x]


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("name", FLOAT)
def test_special_values(name: str, dtype: Any) -> None:
    operands = operands_of(name, specials(dtype))
    with np.errstate(all="ignore"):
        want = PLAIN.get(name, getattr(kernels, name, None))(*operands)
        found = harness.run(name, *operands, lanes=width(dtype))
        if want.dtype == np.bool_:
            np.testing.assert_array_equal(found, want)
            return
        np.testing.assert_array_equal(np.isnan(found), np.isnan(want))
        # Results of zeros and infinities are exact or limits: their signs count as well.
        edge = np.any([(x == 0) | np.isinf(x) for x in operands], axis=0) & ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(found[edge]), np.signbit(want[edge]))
        unit = np.spacing(np.abs(np.where(np.isfinite(want), want, 1)))
        # An operand's half ULP may count near a root of log(e^x + e^y).
        slack = max(np.spacing(dtype(8)), unit.min()) if name == "logaddexp" else 3 * unit
        near = np.abs(found - want) <= slack
        assert np.all(near | (found == want) | np.isnan(want))


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
def test_special_values_of_polygamma(dtype: Any, order: int) -> None:
    x = np.array([0.0, -0.0, 1.0, -1.0, -2.0, 1e300, np.inf, -np.inf, np.nan, 1e-30])
    with np.errstate(all="ignore"):
        x = x.astype(dtype)
        want = kernels.polygamma(order, x)
    found = harness.run("polygamma", x, lanes=width(dtype), numbers=(order,))
    np.testing.assert_allclose(found, want, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("name", [*FLOAT, "polygamma"])
def test_every_width_gives_the_same_bits(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([specials(dtype), rng.uniform(-3, 3, 41).astype(dtype)])
    operands = [x, rng.permutation(x)] if name in OF_TWO else [x]
    numbers = (2,) if name == "polygamma" else ()
    whole = harness.run(name, *operands, lanes=width(dtype), numbers=numbers)
    for lanes in (width(dtype) // 2, 3, 1):
        part = harness.run(name, *operands, lanes=lanes, numbers=numbers)
        np.testing.assert_array_equal(part, whole)


def test_subnormals_are_kept() -> None:
    assert harness.run("exp", np.array([-745.0]), lanes=8)[0] == 5e-324
    assert harness.run("log", np.array([5e-324]), lanes=1)[0] == pytest.approx(-744.4400719213812)
    small = np.array([1e-45, 1e-40], np.float32)
    for name in ("sin", "tanh", "asinh", "erf_slope", "log1p", "expm1", "atan"):
        found = harness.run(name, small, lanes=1)
        want = getattr(kernels, name)(small)
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("dtype", [np.int64, np.int32], ids=["int64", "int32"])
@pytest.mark.parametrize("name", INTEGER)
def test_bits_of_integers(name: str, dtype: Any) -> None:
    x = np.array([0, 1, -1, 5, -7, 12345, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    y = np.array([3, 1, 0, 2, 31, 70, 5, 1], dtype)
    one = name in ("invert", "bitwise_not")
    found = harness.run(name, *([x] if one else [x, y]), lanes=4)
    want = getattr(np, name)(x) if one else getattr(np, name)(x, y)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("name", ["abs", "sign", "floor", "ceil", "round", "trunc"])
def test_steps_of_integers(name: str) -> None:
    x = np.array([0, 4, -9, 2**40])
    np.testing.assert_array_equal(harness.run(name, x, lanes=4), getattr(np, name)(x))


# --- how they are written ----------------------------------------------------------------------


def test_every_name_that_a_body_uses_exists() -> None:
    assert set(numpy_builder.FUNCTIONS) <= set(NAMES)


def test_numbers_become_constants_and_scalars_spread() -> None:
    x = np.linspace(0.5, 3.0, 9)
    found = harness.run("pow", x, lanes=4, numbers=(2.5,))
    np.testing.assert_allclose(found, x**2.5, rtol=1e-15)


def test_long_functions_are_written_once_and_the_flag_is_put_back() -> None:
    module = Module(64)
    b = Writer(module, "f", [("ptr", "x")])
    x = b.load(type_of(FLOAT64, 8), "%x")
    b.store(b.call("erf", b.call("erf", x)), "%x")
    assert b.contract == " contract"
    b.finish("ret void")
    text = module.text()
    assert text.count("define internal") == 1
    assert text.count("slopewise.normal_tail =") == 1
    assert " contract " not in text


def test_an_unknown_name_is_an_error() -> None:
    b = Writer(Module(64), "f", [("ptr", "x")])
    x = b.load(type_of(FLOAT64, 8), "%x")
    with pytest.raises(KeyError, match="sinc"):
        b.call("sinc", x)
    assert b.contract == " contract"
