"""Sparse Jacobians: the entries against dense Jacobians, how few products they take, errors."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import slopewise as sw
from slopewise._transform import sparse as module
from slopewise.errors import GradientError, ShapeError, TraceError, UsageError


def make(pattern: np.ndarray[Any, Any], dtype: Any = np.float64) -> Any:
    """Return a function whose Jacobian has just that pattern."""
    weights = np.random.default_rng(0).uniform(0.5, 2, pattern.shape) * pattern
    fixed = sw.tensor(weights.astype(dtype))
    return lambda x: sw.sin(fixed @ (x * x + x)) + fixed @ x


def band(n: int, width: int) -> np.ndarray[Any, Any]:
    distance = abs(np.arange(n)[:, None] - np.arange(n))
    return distance <= width


def arrow(n: int, side: str) -> np.ndarray[Any, Any]:
    pattern = np.eye(n, dtype=bool)
    if side in ("row", "both"):
        pattern[0] = True
    if side in ("column", "both"):
        pattern[:, 0] = True
    return pattern


@st.composite
def patterns(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    m, n = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    share = draw(st.floats(0, 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.random((m, n)) < share


@given(patterns(), st.sampled_from(["auto", "forward", "reverse"]))
def test_random_patterns_equal_the_dense_jacobian(pattern: np.ndarray[Any, Any], mode: str) -> None:
    function = make(pattern)
    x = np.random.default_rng(1).standard_normal(pattern.shape[1])
    found = sw.sparse_jacobian(function, pattern, mode=mode, check=True)(x)
    assert found.shape == pattern.shape
    np.testing.assert_allclose(
        found.toarray(), sw.jacobian(function)(x).numpy(), rtol=1e-12, atol=1e-13
    )


@given(patterns())
def test_no_two_lines_of_one_colour_cross_the_same_line(pattern: np.ndarray[Any, Any]) -> None:
    rows, columns = np.nonzero(pattern)
    m, n = pattern.shape
    for mode in ("forward", "reverse", "auto"):
        found = module.colour_pattern(rows, columns, (m, n), mode)
        table = pattern if found.mode == "forward" else pattern.T
        assert found.colours.max(initial=-1) == found.count - 1
        for colour in range(found.count):
            assert table[:, found.colours == colour].sum(1).max(initial=0) <= 1
    counts = [module.colour_pattern(rows, columns, (m, n), w).count for w in ("forward", "reverse")]
    assert found.count == min(counts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "kind", [np.asarray, sp.csr_array, sp.csc_matrix, sp.coo_array, sp.dia_array, sp.lil_array]
)
def test_the_result_has_the_structure_of_the_pattern(kind: Any, dtype: Any) -> None:
    pattern = band(7, 1)
    jacobian = sw.sparse_jacobian(make(pattern, dtype), kind(pattern))
    x = np.linspace(-1, 1, 7).astype(dtype)
    found = jacobian(x)
    assert isinstance(found, sp.csr_array)
    assert found.dtype == dtype
    expected = sp.csr_array(pattern)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_allclose(found.toarray(), sw.jacobian(make(pattern, dtype))(x), rtol=1e-5)
    found.data[:] = 0
    found.eliminate_zeros()
    assert jacobian(x).nnz == pattern.sum(), "a result shares nothing with the pattern"


def test_zeros_are_stored() -> None:
    found = sw.sparse_jacobian(lambda x: x * 0, np.ones((2, 2), dtype=bool))(np.ones(2))
    assert found.nnz == 4
    unsorted = sp.csr_array(([0.0, 1.0], [1, 0], [0, 2]), shape=(1, 2))
    found = sw.sparse_jacobian(lambda x: x.sum(keepdim=True), unsorted)(np.ones(2))
    assert found.indices.tolist() == [0, 1]
    assert found.toarray().tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("pattern", "mode", "colours"),
    [
        (band(50, 1), "forward", 3),
        (band(50, 4), "forward", 9),
        (np.eye(9, dtype=bool), "forward", 1),
        (arrow(20, "row"), "reverse", 2),
        (arrow(20, "column"), "forward", 2),
        (arrow(6, "both"), "forward", 6),
        (np.ones((3, 8), dtype=bool), "reverse", 3),
        (np.zeros((3, 4), dtype=bool), "forward", 0),
        (np.zeros((0, 4), dtype=bool), "forward", 0),
        (np.zeros((4, 0), dtype=bool), "forward", 0),
    ],
)
def test_the_mode_with_fewer_colours_is_taken(pattern: Any, mode: str, colours: int) -> None:
    jacobian = sw.sparse_jacobian(make(pattern), pattern)
    assert (jacobian.mode, jacobian.colours) == (mode, colours)
    x = np.linspace(0.5, 1, pattern.shape[1])
    np.testing.assert_allclose(
        jacobian(x).toarray(), sw.jacobian(make(pattern))(x).numpy(), rtol=1e-12, atol=1e-14
    )


def heat(x: Any) -> Any:
    return x**3 - 2 * x + sw.pad(x[1:], (0, 1)) + sw.pad(x[:-1], (1, 0))


def test_ten_thousand_unknowns_take_three_products() -> None:
    n = 10_000
    ones = np.ones(n)
    pattern = sp.diags_array([ones[1:], ones, ones[1:]], offsets=[-1, 0, 1])
    x = np.random.default_rng(0).standard_normal(n)
    begun = time.perf_counter()
    jacobian = sw.sparse_jacobian(heat, pattern)
    found = jacobian(x)
    assert time.perf_counter() - begun < 0.5
    assert jacobian.colours == 3
    np.testing.assert_allclose(found.diagonal(), 3 * x * x - 2, rtol=1e-13, atol=1e-14)
    assert (found.diagonal(1) == 1).all()
    assert (found.diagonal(-1) == 1).all()


def test_large_products_come_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 30)
    for pattern in (band(10, 3), band(10, 3)[:, :4]):
        x = np.linspace(0.5, 1, pattern.shape[1])
        found = sw.sparse_jacobian(make(pattern), pattern)(x)
        np.testing.assert_allclose(
            found.toarray(), sw.jacobian(make(pattern))(x).numpy(), rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_compiled_entries(mode: str) -> None:
    x = np.linspace(-1, 1, 12)
    plain = sw.sparse_jacobian(heat, band(12, 1), mode=mode)
    compiled = sw.sparse_jacobian(heat, band(12, 1), mode=mode, compile=True, check=True)
    np.testing.assert_allclose(compiled(x).data, plain(x).data, rtol=1e-14)
    np.testing.assert_allclose(sw.compile(plain.values)(x), plain(x).data, rtol=1e-14)
    np.testing.assert_allclose(
        compiled(sw.tensor(x, dtype=sw.float32)).data, plain(x).data, rtol=1e-5
    )
    with pytest.raises(TraceError, match=r"sw\.compile\(jacobian\.values\)"):
        sw.compile(plain)(x)


def test_a_sparse_hessian() -> None:
    rosenbrock = lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()  # noqa: E731
    x = np.linspace(-1, 1, 9)
    jacobian = sw.sparse_jacobian(sw.grad(rosenbrock), band(9, 1))
    assert jacobian.colours == 3
    np.testing.assert_allclose(
        jacobian(x).toarray(), sw.hessian(rosenbrock)(x).numpy(), rtol=1e-12, atol=1e-12
    )


def test_arrays_of_any_shape_and_other_arguments() -> None:
    scale = sw.tensor([[2.0], [3.0]])
    function = lambda a, x: a * x.T  # noqa: E731
    x = sw.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    dense = sw.jacobian(function, 1)(scale, x).numpy().reshape(6, 6)
    jacobian = sw.sparse_jacobian(function, dense != 0, argnums=-1, check=True)
    assert jacobian.colours == 1
    np.testing.assert_array_equal(jacobian(scale, x).toarray(), dense)


def test_entries_can_be_differentiated_and_mapped() -> None:
    jacobian = sw.sparse_jacobian(lambda x: x**3, np.eye(3, dtype=bool))
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(sw.grad(lambda v: jacobian.values(v).sum())(x).numpy(), 6 * x)
    np.testing.assert_allclose(
        sw.vmap(jacobian.values)(np.stack([x, x + 1])).numpy(), 3 * np.stack([x, x + 1]) ** 2
    )


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_pattern_that_misses_an_entry_is_found(mode: str) -> None:
    pattern = band(20, 1)
    x = np.linspace(-1, 1, 20)
    pattern[7, 8] = pattern[11, 11] = False
    jacobian = sw.sparse_jacobian(heat, pattern, mode=mode, check=True)
    with pytest.raises(GradientError, match=r"misses entries in \d+ of 20 rows \(.*7"):
        jacobian(x)
    few = sw.sparse_jacobian(lambda v: v.sum() * v, np.eye(20, dtype=bool), mode=mode, check=True)
    with pytest.raises(GradientError, match=r"20 of 20 rows \(0, 1, 2, 3, 4, 5, 6, 7, \.\.\.\)"):
        few(x + 3)


def test_errors_say_what_does_not_fit() -> None:
    square = np.ones((3, 4), dtype=bool)
    with pytest.raises(ShapeError, match=r"pattern has shape \(3, 4\).*\(5,\).*shape \(5, 5\)"):
        sw.sparse_jacobian(lambda x: x * 2, square)(np.ones(5))
    with pytest.raises(ShapeError, match=r"pattern has shape \(3,\)"):
        sw.sparse_jacobian(lambda x: x, np.ones(3))
    with pytest.raises(UsageError, match="'sideways'"):
        sw.sparse_jacobian(lambda x: x, square, mode="sideways")
    with pytest.raises(UsageError, match="array of bool"):
        sw.sparse_jacobian(lambda x: x, "tridiagonal")
    with pytest.raises(ShapeError, match="one array each"):
        sw.sparse_jacobian(lambda x: (x, x), square)(np.ones(4))
    with pytest.raises(UsageError, match="argument 2"):
        sw.sparse_jacobian(lambda x: x, square, argnums=2)(np.ones(4))
