"""Copies that turn axes: whole tiles in registers, and what is left over, for any shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopewise._compile.program import Executable
from slopewise._core.aval import Aval
from slopewise._core.trace import trace
from slopewise._ops import shape


def turn(x: Any, axes: tuple[int, ...], start: int, checked: bool = True) -> Any:
    """Return compiled `x[start:]` with its axes in another order."""
    size = (x.shape[0] - start, *x.shape[1:])
    starts = (start, *(0 for _ in x.shape[1:]))

    def function(v: Any) -> Any:
        part = shape.slice(v, starts=starts, stops=x.shape, steps=(1,) * x.ndim)
        return shape.transpose(part, axes=axes)

    graph, _ = trace(function, [Aval(x.shape, x.dtype)])
    (found,) = Executable(graph, "turn", checked=checked).run([x], [None])
    assert found.shape == tuple(size[a] for a in axes)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
@pytest.mark.parametrize("sizes", [(16, 16), (33, 17), (48, 64), (5, 40, 35), (20, 3, 40), (64, 7)])
def test_reversed_axes(dtype: str, sizes: tuple[int, ...]) -> None:
    x = np.arange(np.prod(sizes)).reshape(sizes).astype(dtype)
    axes = tuple(reversed(range(len(sizes))))
    for checked in (False, True):
        np.testing.assert_array_equal(turn(x, axes, 0, checked), x.transpose(axes))


@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=3), st.integers(0, 3), st.randoms(),
    st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_any_order_of_axes(sizes: list[int], start: int, random: Any, dtype: str) -> None:
    start = min(start, sizes[0] - 1)
    axes = list(range(len(sizes)))
    random.shuffle(axes)
    x = np.random.default_rng(0).standard_normal(sizes).astype(dtype)
    np.testing.assert_array_equal(turn(x, tuple(axes), start), x[start:].transpose(axes))
