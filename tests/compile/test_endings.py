"""Endings: stores that follow a fold give what they gave as kernels of their own.

Invariant: every program is compared with eager code, and `explain` tells which stores were moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw

RNG = np.random.default_rng(0)
N = 40


def draw(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) * 0.3).astype(np.float32)


def check(function: Any, *args: Any, moved: int) -> str:
    """Compare a function with itself compiled; return what `explain` says."""
    compiled = sw.compile(function)
    expected = function(*map(sw.tensor, args))
    expected = expected if isinstance(expected, tuple) else (expected,)
    for _ in range(2):
        found = compiled(*args)
        for a, b in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
            np.testing.assert_allclose(a, np.asarray(b), rtol=2e-5, atol=2e-5)
    text = compiled.explain()
    assert text.count("then ") == moved, text
    return text


def test_a_bias_and_a_branch_follow_a_product() -> None:
    def f(x: Any, w: Any, b: Any) -> Any:
        return sw.relu(x @ w + b)

    text = check(f, draw(N, 30), draw(30, N), draw(N), moved=1)
    assert "copy" not in text


def test_a_step_of_descent_is_taken_in_place() -> None:
    def f(w: Any, x: Any, y: Any) -> Any:
        def step(_: Any, w: Any) -> Any:
            return w - 0.1 * (x.T @ (x @ w - y))

        return sw.fori_loop(0, 5, step, w)

    text = check(f, draw(30, N), draw(20, 30), draw(20, N), moved=2)
    assert "[copy]" not in text.split("repeat")[1]


def test_a_product_that_reads_what_is_stored_is_left_alone() -> None:
    def f(w: Any) -> Any:
        return sw.fori_loop(0, 3, lambda _, w: w - 0.1 * (w @ w), w)

    compiled = sw.compile(f)
    w = draw(N, N)
    np.testing.assert_allclose(compiled(w), np.asarray(f(sw.tensor(w))), rtol=2e-5, atol=2e-5)


def test_two_carries_that_read_each_other() -> None:
    def f(a: Any, b: Any) -> Any:
        def step(_: Any, c: Any) -> Any:
            a, b = c
            return a * 0.9 + a @ b, b - a.T * 0.1

        return sw.fori_loop(0, 4, step, (a, b))

    check(f, draw(N, N) * 0.2, draw(N, N) * 0.2, moved=1)


def test_what_is_swapped_between_rounds() -> None:
    def f(a: Any, b: Any) -> Any:
        return sw.fori_loop(0, 3, lambda _, c: (c[1] + c[0] @ c[1], c[0]), (a, b))

    compiled = sw.compile(f)
    args = draw(N, N) * 0.2, draw(N, N) * 0.2
    for found, expected in zip(compiled(*args), f(*map(sw.tensor, args)), strict=True):
        np.testing.assert_allclose(found, np.asarray(expected), rtol=2e-5, atol=2e-5)


def test_momentum_follows_with_both_of_its_stores() -> None:
    def f(w: Any, v: Any, x: Any) -> Any:
        v = 0.9 * v + x.T @ x
        return w - 0.1 * v, v

    check(f, draw(N, N), draw(N, N), draw(20, N), moved=2)


def test_turned_operands_and_sums_of_two_products() -> None:
    def f(x: Any, y: Any, z: Any) -> Any:
        return (x @ y).T + z @ y + z.T

    check(f, draw(N, N), draw(N, N), draw(N, N), moved=1)


def test_long_sums_and_costly_functions_stay_apart() -> None:
    check(lambda x, y: sw.tanh(x @ y), draw(N, 20), draw(20, N), moved=0)
    check(lambda x, y: x @ y + 1.0, draw(N, 5000), draw(5000, N), moved=0)
    check(lambda x, y: x @ y + 1.0, draw(4, 3), draw(3, 4), moved=0)


@pytest.mark.parametrize("shape", [(33, 17, 31), (64, 10, 16), (16, 16, 64), (5, 5, 200)])
def test_tails_of_tiles(shape: tuple[int, int, int]) -> None:
    m, k, n = shape

    def f(x: Any, y: Any, b: Any, c: Any) -> Any:
        z = x @ y + b
        return sw.where(z > 0, z, 0.1 * z) * c, z

    check(f, draw(m, k), draw(k, n), draw(n), draw(m, n), moved=2)


def test_a_loop_in_between_that_writes_the_same_memory() -> None:
    def f(x: Any) -> Any:
        start = (x @ x) * 0.5
        last = sw.fori_loop(0, 3, lambda _, c: c * 0.5 + 1.0, start)
        return last + start, last

    compiled = sw.compile(f)
    x = draw(N, N)
    for found, expected in zip(compiled(x), f(sw.tensor(x)), strict=True):
        np.testing.assert_allclose(found, np.asarray(expected), rtol=2e-5, atol=2e-5)
