"""Where a program's outputs may be written: beside brute force, and with hundreds of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import slopewise as sw
from slopewise._compile.program import Executable

SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), min_size=1, max_size=6)


class Contents:
    """What is asked of a program: the inputs that each output overwrites too early."""

    def __init__(self, overwritten: list[frozenset[int]]) -> None:
        self.overwritten = overwritten


def overlap(a: Any, b: Any) -> bool:
    """Whether two arrays share a byte, told byte by byte."""
    bytes_of = [set(range(v.ctypes.data, v.ctypes.data + v.nbytes)) for v in (a, b)]
    return bool(bytes_of[0] & bytes_of[1])


@given(SPANS, st.data())
def test_outputs_go_where_no_other_array_is(spans: list[tuple[int, int]], data: Any) -> None:
    memory = np.zeros(32)
    arrays = [memory[start : start + size] for start, size in spans]
    others = [memory[start : start + size] for start, size in data.draw(SPANS)]
    out = data.draw(st.lists(st.sampled_from([*arrays, *others, None]), min_size=1, max_size=6))
    numbers = st.frozensets(st.integers(0, len(arrays) - 1))
    needed = data.draw(st.lists(numbers, min_size=len(out), max_size=len(out)))
    executable: Any = object.__new__(Executable)
    executable.contents = Contents(needed)
    places = [a.ctypes.data for a in arrays]
    at = dict(zip(map(id, arrays), places, strict=True))
    found = executable._find_apart(arrays, places, at, out)
    written: list[Any] = []
    for k, (target, place) in enumerate(zip(out, found, strict=True)):
        if target is None:
            assert place is None
            continue
        if not target.size:
            continue  # wherever it is, nothing is written
        alone = all(
            not overlap(a, target) or (a is target and i not in needed[k])
            for i, a in enumerate(arrays)
        ) and not any(overlap(w, target) for w in written)
        assert place == (target.ctypes.data if alone else None)
        written += [target] if alone else []


def test_hundreds_of_arrays_change_in_place() -> None:
    state = [sw.tensor(np.full(3, float(i))) for i in range(400)]

    def step(x: Any) -> Any:
        for tensor in state:
            tensor.add_(x)
        return state[-1] * 2

    compiled = sw.compile(step)
    memory = [t.data_ptr() for t in state]
    for _ in range(3):
        out = compiled(sw.ones(3))
    assert out.tolist() == [2 * (399.0 + 3)] * 3
    assert [float(t[0]) for t in state] == [i + 3.0 for i in range(400)]
    assert [t.data_ptr() for t in state] == memory
