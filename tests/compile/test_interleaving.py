"""Interleaving: what is written in turns computes the same, and what depends stays in order.

Invariant: results are compared with eager code at lengths with and without tails.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import slopewise as sw
from slopewise._compile.interleaving import interleave


@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(0, 5), max_size=8))
def test_every_line_keeps_its_place_among_its_own(one: list[int], two: list[int]) -> None:
    first = [f"  %t{i} = use {k}" for i, k in enumerate(one)]
    second = [f"  %t{i + 100} = use {k}" for i, k in enumerate(two)]
    lines = ["before", *first, *second, "after"]
    interleave(lines, 1, 1 + len(first), 1 + len(first) + len(second))
    assert (lines[0], lines[-1]) == ("before", "after")
    names = [int(m.group(1)) for line in lines if (m := re.match(r"  %t(\d+) =", line))]
    assert [n for n in names if n < 100] == list(range(len(one)))
    assert [n - 100 for n in names if n >= 100] == list(range(len(two)))


@pytest.mark.parametrize(
    "lines",
    [
        ["  %t1 = a", "  %t2 = b", "  %t3 = c %t2", "  %t4 = d"],
        ["  br label %x", "x:", "  %t3 = c", "  %t4 = d"],
    ],
    ids=["one takes from the other", "a branch"],
)
def test_what_cannot_be_in_turns_stays(lines: list[str]) -> None:
    written = list(lines)
    interleave(written, 0, 2, 4)
    assert written == lines


@pytest.mark.parametrize("size", [1, 15, 16, 31, 32, 33, 48, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_are_those_of_eager_code(size: int, dtype: type) -> None:
    x = np.linspace(-3, 3, 5 * size).reshape(5, size).astype(dtype)
    b = np.linspace(-1, 1, size).astype(dtype)

    def f(x, b):
        return sw.vjp(lambda v: sw.tanh(v + b) * sw.sigmoid(v), x)

    made = sw.compile(lambda x, b: (f(x, b)[0], f(x, b)[1](sw.ones_like(x))))(x, b)
    value, pull = f(sw.tensor(x), sw.tensor(b))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(made[0], np.asarray(value), rtol=8 * eps, atol=8 * eps)
    np.testing.assert_allclose(made[1], np.asarray(pull(sw.tensor(x * 0 + 1))), rtol=8 * eps,
                               atol=8 * eps)  # fmt: skip
