"""Long kernels, whose loop covers the tail of its axis with masks, against eager code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile import nest
from slopewise._compile.jit import vector_bytes
from slopewise._compile.program import Executable
from slopewise._core.aval import Aval
from slopewise._core.trace import trace

pytestmark = pytest.mark.skipif(vector_bytes() < 32, reason="its vectors have no masks")
SIZES = [25, 26, 31, 33, 47, 50, 63, 65, 127]


def lengthen(x: Any, y: Any) -> Any:
    """Return an expression of many terms, none of which is computed twice."""
    for k in range(1, 40):
        x = x * y + k * 0.01 if k % 3 else sw.where(x > y, x - y, y * 0.5)
    return x


def build(function: Callable[..., Any], *arrays: Any, checked: bool = False) -> Executable:
    graph, _ = trace(function, [Aval(a.shape, a.dtype) for a in arrays])
    return Executable(graph, "f", checked=checked)


def agree(function: Callable[..., Any], *arrays: Any, masked: bool = True) -> None:
    wanted = function(*(sw.tensor(a) for a in arrays))
    listed = wanted if isinstance(wanted, tuple) else (wanted,)
    for checked in (False, True):
        executable = build(function, *arrays, checked=checked)
        # A mask that is computed: short kernels have constant ones for their tails.
        computed = re.search(r"call [^\n]*llvm\.masked\.load[^\n]* x i1> %", executable.program.ir)
        assert (computed is not None) is masked
        made = executable.run(arrays, [None] * len(executable.outputs))
        for a, b in zip(made, listed, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.numpy().dtype)
            tolerance = 1e-11 if a.dtype == np.float64 else 1e-4
            np.testing.assert_allclose(a, b.numpy(), rtol=tolerance, atol=tolerance)


def pair(*shape: int, dtype: Any = np.float64) -> tuple[Any, Any]:
    rng = np.random.default_rng(shape[-1])
    return rng.uniform(0.1, 0.9, shape).astype(dtype), rng.uniform(0.1, 0.9, shape).astype(dtype)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sizes(size: int, dtype: Any) -> None:
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    agree(lengthen, *pair(size, dtype=dtype), masked=size > 3 * lanes and size % lanes > 0)


@pytest.mark.parametrize("shape", [(27,), (3, 29), (29, 3), (2, 5, 33)])
def test_results_of_other_kinds_beside(shape: tuple[int, ...]) -> None:
    def function(x: Any, y: Any) -> Any:
        long = lengthen(x, y)
        return long > y, sw.floor(long * 10.0).to(sw.int64), long.to(sw.float32), long

    agree(function, *pair(*shape))


@pytest.mark.parametrize("size", [25, 33, 50])
def test_folds_over_the_axis(size: int) -> None:
    def function(x: Any, y: Any) -> Any:
        long = lengthen(x, y)
        return long.sum(), sw.amax(long), sw.amin(long - 5.0), sw.prod(long * 0.2 + 0.9), long * 2.0

    agree(function, *pair(size))


def test_all_and_any() -> None:
    def function(x: Any, y: Any) -> Any:
        long = lengthen(x, y)
        return (long > -1e9).all(), (long < -1e9).any(), (long > y).any()

    agree(function, *pair(45))


def test_folds_across_the_axis() -> None:
    agree(lambda x, y: (lengthen(x, y).sum(0), lengthen(x, y * 0.5).sum(1)), *pair(6, 35))


def test_numbers_and_rows_that_are_spread() -> None:
    x, y = pair(4, 35)
    agree(lambda x, y, row, s: lengthen(x * s, y + row) * row, x, y, y[2], np.array(0.3))


def test_a_result_over_its_operand() -> None:
    x, y = pair(50)
    compiled = sw.compile(lengthen)
    wanted = compiled(x, y)
    for _ in range(3):
        kept = x.copy()
        assert compiled(kept, y, out=kept) is kept
        np.testing.assert_array_equal(kept, wanted)


def test_what_lies_behind_the_end_is_not_touched() -> None:
    x, y = pair(50)
    room = np.full(80, 7.0)
    build(lengthen, x, y).run([x, y], [room[:50]])
    np.testing.assert_array_equal(room[50:], np.full(30, 7.0))


def test_gradients_and_the_other_way_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(x: Any, y: Any) -> Any:
        return (sw.tanh(lengthen(x, y)) * sw.exp(x)).sum()

    slope = sw.grad(loss, (0, 1))
    x, y = pair(50)
    short = sw.compile(slope)(x, y)
    monkeypatch.setattr(nest, "LENGTHY", 10**9)
    long = sw.compile(slope)(x, y)
    for a, b in zip(short, long, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_code_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pair(50)
    once = len(build(lengthen, x, y).program.ir.splitlines())
    monkeypatch.setattr(nest, "LENGTHY", 10**9)
    assert once < 0.7 * len(build(lengthen, x, y).program.ir.splitlines())
