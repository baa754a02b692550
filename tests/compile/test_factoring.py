"""Sums of products with a factor taken out, and lanes of several rows folded together.

Invariant: what is compiled gives what eager code gives: to rounding for finite numbers, and the
same infinities and NaNs where a factor is infinite or a sum overflows on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw

RNG = np.random.default_rng(7)
FACTORED = {
    "rows": lambda x, y: (x @ y).sum(0),
    "rows, kept": lambda x, y: (x @ y).sum(0, keepdims=True),
    "rows of a negated one": lambda x, y: (-(x @ y)).sum(0),
    "rows of a turned one": lambda x, y: (-(x @ y).T).sum(1),
    "columns": lambda x, y: (x @ y).sum(1),
    "one axis of several": lambda x, y: sw.einsum(
        "abl,lk->abk", x.reshape(2, -1, x.shape[1]), y
    ).sum(1),
    "in a batch": lambda x, y: sw.einsum(
        "brl,blk->brk", x.reshape(2, -1, x.shape[1]), sw.stack([y, 2.0 * y])
    ).sum(1),
}  # fmt: skip
TAKEN_WHOLE = {
    "used twice": lambda x, y: ((p := x @ y).sum(0), p),
    "curved before it is summed": lambda x, y: sw.tanh(x @ y).sum(0),
    "all of it": lambda x, y: (x @ y).sum(),
    "summed over rows and columns": lambda x, y: (x @ y).sum((0, 1)),
}


def is_factored(function: Callable[..., Any], *arrays: Any) -> bool:
    compiled = sw.compile(function)
    compiled(*arrays)
    return "    if s" in compiled.explain() or "  if s" in compiled.explain()


def eager(function: Callable[..., Any], *arrays: Any) -> Any:
    return np.asarray(function(*(sw.tensor(a) for a in arrays)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rows", [24, 1000])
@pytest.mark.parametrize("name", FACTORED)
def test_factored_sums(name: str, rows: int, dtype: Any) -> None:
    function = FACTORED[name]
    x, y = RNG.normal(size=(rows, 40)).astype(dtype), RNG.normal(size=(40, 36)).astype(dtype)
    assert is_factored(function, x, y)
    tolerance = 1e-11 if dtype == np.float64 else 2e-4
    found = sw.compile(function)(x, y)
    np.testing.assert_allclose(found, eager(function, x, y), rtol=tolerance, atol=tolerance * 40)


@pytest.mark.parametrize("name", TAKEN_WHOLE)
def test_what_is_not_factored(name: str) -> None:
    x, y = RNG.normal(size=(64, 30)), RNG.normal(size=(30, 32))
    assert not is_factored(TAKEN_WHOLE[name], x, y)


def put(array: Any, places: dict[tuple[int, int], float]) -> Any:
    changed = array.copy()
    for place, value in places.items():
        changed[place] = value
    return changed


@pytest.mark.parametrize("rows", [24, 1000])
@pytest.mark.parametrize(
    ("in_x", "in_y"),
    [
        ({}, {(3, 2): np.inf}),
        ({(0, 1): np.inf}, {(1, 4): 0.0}),
        ({(0, 1): np.inf, (5, 1): -np.inf}, {}),
        ({(2, 2): np.nan}, {}),
        ({}, {(0, 0): np.nan}),
        ({(0, 3): 1.7e308, (1, 3): 1.7e308}, {(3, k): 0.01 for k in range(36)}),
    ],
)
def test_special_values(
    rows: int, in_x: dict[tuple[int, int], float], in_y: dict[tuple[int, int], float]
) -> None:
    """Where the sum of rows is not finite, or its product, the sum as it stood is what counts."""
    x, y = put(RNG.normal(size=(rows, 40)), in_x), put(RNG.normal(size=(40, 36)), in_y)
    function = FACTORED["rows"]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(sw.compile(function)(x, y), eager(function, x, y), rtol=1e-9)


def test_zeros_keep_the_sign_of_a_sum() -> None:
    x, y = np.zeros((64, 30)), -np.ones((30, 32))
    found = np.asarray(sw.compile(FACTORED["rows"])(x, y))
    assert not found.any() and np.array_equal(
        np.signbit(found), np.signbit(eager(FACTORED["rows"], x, y))
    )


def test_threads_change_no_bit() -> None:
    """A mean that is taken from every row, its gradient, in many parts."""

    def loss(mean: Any, x: Any, w: Any) -> Any:
        return ((sw.tanh(x) - mean) @ w).square().sum() + sw.sin(x).sum()

    compiled = sw.compile(sw.grad(loss))
    mean, x, w = RNG.normal(size=20), RNG.normal(size=(5003, 20)), RNG.normal(size=(20, 20))
    before = sw.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            sw.set_num_threads(threads)
            results += [np.asarray(compiled(mean, x, w)).copy() for _ in range(3)]
    finally:
        sw.set_num_threads(before)
    assert all(np.array_equal(results[0], r) for r in results)
    np.testing.assert_allclose(results[0], eager(sw.grad(loss), mean, x, w), rtol=1e-9)


def test_inside_a_loop() -> None:
    def descend(mean: Any, x: Any, w: Any) -> Any:
        slope = sw.grad(lambda m: ((x - m) @ w).square().mean())
        return sw.fori_loop(0, 20, lambda i, m: m - 0.1 * slope(m), mean)

    arrays = RNG.normal(size=8), RNG.normal(size=(50, 8)), RNG.normal(size=(8, 24))
    np.testing.assert_allclose(sw.compile(descend)(*arrays), eager(descend, *arrays), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("operation", ["sum", "prod", "amax", "amin"])
def test_lanes_of_several_rows(operation: str, dtype: Any) -> None:
    fold = getattr(sw, operation)
    for rows in (1, 2, 3, 5, 8, 9, 17):
        for columns in (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 40, 65):
            x = RNG.normal(size=(rows, columns)).astype(dtype)
            x[rows // 2, columns // 2] = np.nan if columns % 7 == 0 else -0.0
            found = np.asarray(sw.compile(lambda x: fold(x, dim=1))(x))
            wanted = getattr(np, operation)(x.astype(np.float64), axis=1)
            np.testing.assert_allclose(found, wanted, rtol=1e-4 if dtype == np.float32 else 1e-11,
                                       atol=1e-5 if dtype == np.float32 else 1e-13)  # fmt: skip
