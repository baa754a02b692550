"""Abstract values: the shape and dtype of an array without its numbers, and dtype promotion.

Invariant: promotion follows PyTorch: a Python number is weaker than a 0-d array, which is weaker
than an array with axes, and a weaker operand changes the dtype only through its category (bool,
integer, float). It is separate because tracing needs shapes where no numbers exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from slopewise._core.state import state
from slopewise.errors import DTypeError, ShapeError

BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)
DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name) for name in ("bool uint8 int8 int16 int32 int64 float32 float64".split())
}


@dataclass(frozen=True, slots=True)
class Aval:
    """The shape and dtype of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)


def broadcast_shapes(*shapes: tuple[int, ...], operation: str = "broadcast") -> tuple[int, ...]:
    """Return the common shape of several shapes by NumPy's rule, or raise a `ShapeError`."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    ndim = max(len(shape) for shape in shapes)
    result: list[int] = []
    for axis in range(-ndim, 0):
        size = 1
        for shape in shapes:
            extent = shape[axis] if -axis <= len(shape) else 1
            if extent != 1:
                if size not in (1, extent):
                    listed = " and ".join(str(s) for s in shapes)
                    raise ShapeError(
                        f"{operation}: shapes {listed} do not broadcast together: axis {axis} has"
                        f" sizes {size} and {extent}. Reshape one operand, or insert an axis of"
                        " size 1 with unsqueeze."
                    )
                size = extent
        result.append(size)
    return tuple(result)


_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


def category(dtype: np.dtype[Any]) -> int:
    """Return 0 for bool, 1 for integers, 2 for floats."""
    found = _CATEGORY.get(dtype.kind)
    if found is None:
        raise DTypeError(f"dtype {dtype} is not supported; use one of {', '.join(DTYPES)}.")
    return found


@lru_cache(maxsize=4096)
def _promote(keys: tuple[tuple[np.dtype[Any], int], ...]) -> np.dtype[Any]:
    """Promote (dtype, rank class) pairs; the class is 2 for arrays, 1 for 0-d, 0 for numbers."""
    best: np.dtype[Any] | None = None
    for rank in (2, 1, 0):
        dtypes = [dtype for dtype, r in keys if r == rank]
        if not dtypes:
            continue
        here = dtypes[0]
        for dtype in dtypes[1:]:
            here = _promote_pair(here, dtype)
        if best is None or category(here) > category(best):
            # A number brings only its category: a Python float next to an int array gives the
            # default float dtype, not float64.
            best = here
    assert best is not None
    return best


def _promote_pair(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    if a == b:
        return a
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    return np.promote_types(a, b)


def dtype_of_number(number: bool | int | float) -> np.dtype[Any]:
    """Return the dtype that a bare Python number has: bool, int64 or the default float."""
    if isinstance(number, bool):
        return BOOL
    if isinstance(number, int):
        return INT64
    return state.default_dtype


def promote(*keys: tuple[np.dtype[Any], int]) -> np.dtype[Any]:
    """Return the dtype of an operation on operands given as (dtype, rank class)."""
    return _promote(keys)
