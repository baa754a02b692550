"""Sorting in compiled code against NumPy's stable order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile.program import Executable
from slopewise._core.aval import Aval
from slopewise._core.trace import trace
from slopewise._ops.indexing import argsort

SPECIAL = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1.0, -1.0, 5e-324, -1e-310, 2.5, 1e308]
DTYPES = ["float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool"]


def order(x: Any, axis: int, descending: bool) -> Any:
    graph, _ = trace(
        lambda v: argsort(v, axis=axis, descending=descending), [Aval(x.shape, x.dtype)]
    )
    executable = Executable(graph, "f")
    assert not executable.contents.routines, "Python is called back"
    return executable.run([x], [None])[0]


def expected(x: Any, axis: int, descending: bool) -> Any:
    """Return the order by comparing elements one by one, NaN behind all others."""
    out = np.empty(x.shape, np.int64)
    moved, target = np.moveaxis(x, axis, -1), np.moveaxis(out, axis, -1)
    for place in np.ndindex(moved.shape[:-1]):
        line = moved[place].tolist()
        keys = [(v != v, 0.0 if v != v else v) for v in line]
        found = sorted(range(len(line)), key=keys.__getitem__, reverse=descending)
        target[place] = found
    return out


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lengths_axes_and_dtypes(dtype: str, descending: bool) -> None:
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 16, 17, 33, 257):
        for shape, axis in (((n,), 0), ((2, n, 2), 1)):
            if dtype == "bool":
                x = rng.random(shape) > 0.5
            elif dtype.startswith("f"):
                with np.errstate(over="ignore"):
                    x = rng.standard_normal(shape).round(1).astype(dtype)
            else:
                limits = np.iinfo(dtype)
                x = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
            np.testing.assert_array_equal(order(x, axis, descending), expected(x, axis, descending))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_special_values(dtype: str, descending: bool) -> None:
    rng = np.random.default_rng(1)
    with np.errstate(over="ignore"):
        x = rng.choice(SPECIAL, (20, 70)).astype(dtype)
    found = order(x, 1, descending)
    np.testing.assert_array_equal(found, expected(x, 1, descending))
    np.testing.assert_array_equal(found, argsort(x, axis=1, descending=descending))


@pytest.mark.parametrize("kind", ["risen", "fallen", "equal", "sawtooth", "nearly"])
def test_orders_that_are_there_already(kind: str) -> None:
    n = 5000
    x = {
        "risen": np.arange(n) * 1.0,
        "fallen": -np.arange(n) * 1.0,
        "equal": np.zeros(n),
        "sawtooth": np.arange(n) % 7 * 1.0,
        "nearly": np.r_[np.arange(n - 1) * 1.0, 17.5],
    }[kind]
    for descending in (False, True):
        np.testing.assert_array_equal(order(x, 0, descending), expected(x, 0, descending))


def test_what_is_made_of_it() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 50)).round(1)

    def function(x: Any) -> Any:
        values, places = sw.sort(x, 1, descending=True)
        top, at = sw.topk(x.T, 3, 0)
        return values, places, top, at, sw.argsort(x * 2.0 - 1.0, 0)

    eager = function(sw.tensor(x))
    for made, wanted in zip(sw.compile(function)(x), eager, strict=True):
        np.testing.assert_array_equal(made, wanted.numpy())


def test_gradients_go_to_the_elements_that_were_moved() -> None:
    x = np.array([3.0, 1.0, 2.0])
    slope = sw.compile(sw.grad(lambda x: (sw.sort(x)[0] * np.array([1.0, 10.0, 100.0])).sum()))
    np.testing.assert_array_equal(slope(x), [100.0, 1.0, 10.0])


def test_inside_of_a_loop() -> None:
    x = np.random.default_rng(3).standard_normal(40)

    def function(x: Any) -> Any:
        return sw.fori_loop(0, 4, lambda i, c: sw.sort(c * -2.0 + i)[0], x)

    np.testing.assert_array_equal(sw.compile(function)(x), function(sw.tensor(x)).numpy())
