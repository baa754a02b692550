"""What every kernel promises beside accuracy: dtype, shape, operands left alone, any layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as array_strategies
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopewise import _kernels as kernels
from slopewise._kernels.blocks import BLOCK

from .table import ROWS, Row

DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
EVERY_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def operands_of(row: Row, dtype: type, count: int) -> list[np.ndarray]:
    """Return exactly `count` operands from the row's grid, repeated as needed."""
    return [np.resize(operand, count) for operand in row.operands(dtype, 400)]


def call(row: Row, *operands: Any) -> Any:
    with np.errstate(all="ignore"):
        return row.kernel(*operands)


@EVERY_ROW
@DTYPES
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (2, 3), (2, 1, 3)], ids=str)
def test_shape_and_dtype_are_the_operands(row: Row, dtype: type, shape: tuple[int, ...]) -> None:
    operands = [operand.reshape(shape) for operand in operands_of(row, dtype, int(np.prod(shape)))]
    result = call(row, *operands)
    assert result.shape == shape
    assert result.dtype == dtype


@EVERY_ROW
@DTYPES
def test_layout_does_not_matter(row: Row, dtype: type) -> None:
    operands = operands_of(row, dtype, 60)
    expected = call(row, *operands)
    strided = [np.repeat(operand, 2)[::2] for operand in operands]
    turned = [operand[::-1] for operand in operands]
    fortran = [np.asfortranarray(operand.reshape(6, 10)) for operand in operands]
    read_only = [operand.copy() for operand in operands]
    for operand in read_only:
        operand.flags.writeable = False
    assert_within_two_ulp(call(row, *strided), expected)
    assert_within_two_ulp(call(row, *turned)[::-1], expected)
    assert_within_two_ulp(call(row, *fortran).ravel(), expected)
    assert_within_two_ulp(call(row, *read_only), expected)


@EVERY_ROW
@DTYPES
def test_scalars_and_large_arrays_agree_with_small_arrays(row: Row, dtype: type) -> None:
    operands = operands_of(row, dtype, 60)
    expected = call(row, *operands)
    alone = [call(row, *(operand[i] for operand in operands)) for i in range(60)]
    assert_within_two_ulp(np.array(alone, dtype), expected)
    large = call(row, *(np.resize(operand, 3 * BLOCK + 7) for operand in operands))
    assert_within_two_ulp(large, np.resize(expected, 3 * BLOCK + 7))


def assert_within_two_ulp(found: np.ndarray, expected: np.ndarray) -> None:
    """NumPy takes another path for some layouts and sizes; each path is right to 2 ULP."""
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    gap = np.abs(found[finite].astype(np.float64) - expected[finite].astype(np.float64))
    assert np.all(gap <= 2.0 * np.spacing(np.abs(expected[finite])))


@EVERY_ROW
@DTYPES
def test_operands_are_left_alone(row: Row, dtype: type) -> None:
    operands = operands_of(row, dtype, 500)
    before = [operand.copy() for operand in operands]
    result = call(row, *operands)
    for operand, copy in zip(operands, before, strict=True):
        np.testing.assert_array_equal(operand, copy)
        assert not np.shares_memory(result, operand)


@pytest.mark.parametrize("row", [row for row in ROWS if row.second], ids=lambda row: row.name)
@DTYPES
def test_python_float_takes_the_arrays_dtype(row: Row, dtype: type) -> None:
    first, second = operands_of(row, dtype, 50)
    number = float(second[0])
    result = call(row, first, number)
    assert result.dtype == dtype
    expected = call(row, first, np.full_like(first, number))
    np.testing.assert_array_equal(result, expected)
    swapped = call(row, abs(number), np.abs(second))
    assert swapped.dtype == dtype
    assert call(row, first[:, None], second[None, :]).shape == (50, 50)


@pytest.mark.parametrize("name", ["exp", "gelu", "lgamma", "pow", "hypot_slope"])
def test_another_dtype_is_refused_with_the_remedy(name: str) -> None:
    kernel = getattr(kernels, name)
    operands = (np.arange(3),) * (2 if name in ("pow", "hypot_slope") else 1)
    with pytest.raises(TypeError, match=r"int64.*float32 or float64.*astype"):
        kernel(*operands)


@pytest.mark.parametrize("order", [-1, 1.5, 101])
def test_polygamma_order_out_of_range(order: float) -> None:
    with pytest.raises(ValueError, match=r"polygamma: the order n is .* from 0 to 100"):
        kernels.polygamma(order, np.ones(2))  # type: ignore[arg-type]


def test_import_needs_numpy_alone() -> None:
    # A bare parent stands in for the package, so that only the kernels' own imports count.
    code = (
        "import sys, types; package = types.ModuleType('slopewise'); "
        f"package.__path__ = [{str(Path(kernels.__file__).parents[1])!r}]; "
        "sys.modules['slopewise'] = package; import slopewise._kernels; "
        "names = {name.partition('.')[0] for name in sys.modules}; "
        "print(sorted(names & {'scipy', 'mpmath', 'torch', 'jax', 'llvmlite'}), "
        "[name for name in sys.modules if name.startswith('slopewise.') "
        "and not name.startswith('slopewise._kernels')])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "[]"]


FINITE = st.floats(allow_nan=False, allow_infinity=False)
LINES = array_strategies.arrays(np.float64, st.integers(1, 12), elements=FINITE)


@given(LINES)
def test_logistic_family_is_consistent(x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        left, right = kernels.sigmoid(x), kernels.sigmoid(-x)
        density = kernels.logistic_density(x)
        slope = kernels.sech_squared(0.5 * x)
        np.testing.assert_array_equal(density, kernels.logistic_density(-x))
    np.testing.assert_allclose(left + right, 1.0, rtol=0, atol=3e-16)
    assert np.all((left >= 0.0) & (left <= 1.0) & (density >= 0.0) & (density <= 0.25))
    np.testing.assert_allclose(density, left * right, rtol=2e-15, atol=1e-307)
    np.testing.assert_allclose(4.0 * density, slope, rtol=2e-15, atol=1e-321)


@given(LINES)
def test_odd_functions_are_odd_to_the_bit(x: np.ndarray) -> None:
    for name in ("tanh", "erf", "sinh", "asinh", "atan", "sin", "tan", "normal_density_slope"):
        kernel = getattr(kernels, name)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(kernel(-x), -kernel(x), err_msg=name)


@given(LINES)
def test_even_functions_are_even_to_the_bit(x: np.ndarray) -> None:
    names = ("cosh", "normal_density", "gelu_curvature", "silu_curvature", "sec_squared")
    for name in (*names, "sech_squared", "atan_slope", "erf_slope"):
        kernel = getattr(kernels, name)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(kernel(-x), kernel(x), err_msg=name)


@given(LINES)
def test_monotonic_functions_keep_the_order(x: np.ndarray) -> None:
    x = np.sort(x)
    for name in ("tanh", "erf", "sigmoid", "normal_cdf", "softplus", "expm1", "atan", "logsigmoid"):
        with np.errstate(all="ignore"):
            y = np.clip(getattr(kernels, name)(x), -1e308, 1e308)
            # Neighbours may be swapped by their rounding, and by no more.
            assert np.all(y[1:] - y[:-1] >= -3.0 * np.spacing(np.abs(y[1:]))), name
