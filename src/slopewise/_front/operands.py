"""What every front function does first: make operands Values, settle dtypes and axes.

Invariant: after `promote_pair`, both operands share a dtype (a Python number may stay a number,
since it takes the other's dtype). It is separate because all families need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import DTYPES, category, dtype_of_number, promote
from slopewise._core.graph import Primitive, bind
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._core.value import Value, new_value
from slopewise._ops.comparison import convert
from slopewise.errors import DTypeError, IndexRangeError, UsageError

Axes = int | Sequence[int] | None
_NUMBERS = (bool, int, float)


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Return a supported NumPy dtype for a dtype, a name or a Python type."""
    if dtype is float:
        return state.default_dtype
    if dtype is int:
        return DTYPES["int64"]
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise DTypeError(explain(f"{dtype!r} is not a dtype; use one of {list(DTYPES)}.")) from None
    if found.name not in DTYPES:
        raise DTypeError(explain(f"dtype {found} is not supported; use one of {list(DTYPES)}."))
    return found


def as_array(data: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """Return an array for nested numbers, with PyTorch's dtypes: floats get the default one."""
    if isinstance(data, Value):
        array = read_array(data)
    elif isinstance(data, np.ndarray):
        array = data
    elif isinstance(data, np.generic):
        array = np.asarray(data)
    else:
        if isinstance(data, (list, tuple)) and any(isinstance(x, Value) for x in data):
            data = [read_array(x) if isinstance(x, Value) else x for x in data]
        array = np.asarray(data)
        if array.dtype == np.float64 and dtype is None and not _holds_arrays(data):
            array = array.astype(state.default_dtype)
    if array.dtype.kind not in "buif":
        raise DTypeError(
            explain(
                f"a tensor cannot hold dtype {array.dtype}; give numbers or truth values"
                " (encode text and dates first)."
            )
        )
    return array.astype(as_dtype(dtype)) if dtype is not None else _supported(array)


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic, Value)) and type(data) is not np.float64


def read_native(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array in the byte order of this machine."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _supported(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.name in DTYPES:
        return read_native(array)
    return array.astype({"u": np.int64, "i": np.int64, "f": np.float64}[array.dtype.kind])


def read_array(value: Any) -> np.ndarray[Any, Any]:
    """Return the numbers of a concrete Value."""
    from slopewise._front.abstract import refuse_abstract

    if value._value is None:
        refuse_abstract(value, "reading its numbers")
    return value._value


def as_value(x: Any) -> Any:
    """Return a Value for a Value, an array or a number."""
    if isinstance(x, Value):
        return x
    array = as_array(x)
    # Copied, since the caller can still change the array, and a node may keep it.
    return new_value(array.copy() if array is x else array, None, False)


def as_value_in(x: Any, dtype: np.dtype[Any]) -> Any:
    """Return a Value of a dtype; numbers go there at once, not through the default dtype."""
    if isinstance(x, (bool, int, float)):
        return new_value(np.asarray(x).astype(dtype), None, False)
    return cast(as_value(x), dtype)


def cast(x: Any, dtype: np.dtype[Any]) -> Any:
    """Return `x` converted, or itself where its dtype is right already."""
    return x if x.dtype == dtype else convert(x, dtype=dtype)


def _key(x: Any) -> tuple[np.dtype[Any], int]:
    if isinstance(x, Value):
        if x._weak:
            return state.default_dtype if x.dtype.kind == "f" else x.dtype, 0
        return x.dtype, 2 if x.shape else 1
    return dtype_of_number(x), 0


def promote_operands(operands: Sequence[Any], minimum: int = 0) -> list[Any]:
    """Return operands of one dtype; `minimum` 2 makes integers floats, 1 truth values ints."""
    made = [
        x if isinstance(x, (Value, *_NUMBERS)) and not isinstance(x, np.generic) else
        (x.item() if isinstance(x, np.generic) else as_value(x))
        for x in operands
    ]  # fmt: skip
    dtype = promote(*(_key(x) for x in made))
    values = [x for x in made if isinstance(x, Value)]
    floating = state.default_dtype
    if values and all(x._weak for x in values):  # they stand for Python numbers: doubles
        weak = [x.dtype for x in values if x.dtype.kind == "f"]
        floating = weak[0] if weak else DTYPES["float64"]
        dtype = floating if dtype.kind == "f" else dtype
    if category(dtype) < minimum:
        dtype = floating if minimum == 2 else DTYPES["int64"]
    return [
        cast(x, dtype) if isinstance(x, Value)
        else (float(x) if dtype.kind == "f" else x)
        for x in made
    ]  # fmt: skip


def apply_unary(primitive: Primitive, x: Any, minimum: int = 2) -> Any:
    """Apply an elementwise primitive; integers become floats where it needs floats."""
    if isinstance(x, Value) and (x.dtype.kind == "f" or minimum < 2):
        if minimum == 1 and x.dtype.kind == "b":
            x = cast(x, DTYPES["int64"])
        return bind(primitive, (x,), {})
    x = as_value(x)
    if minimum == 2 and x.dtype.kind != "f":
        x = cast(x, state.default_dtype)
    return bind(primitive, (x,), {})


def apply_binary(primitive: Primitive, x: Any, y: Any, minimum: int = 0) -> Any:
    """Apply an elementwise primitive to two operands after promotion."""
    if isinstance(x, Value):
        dtype = x.dtype
        if dtype.kind == "f" and (
            (isinstance(y, Value) and y.dtype == dtype) or type(y) is float or type(y) is int
        ):
            return bind(primitive, (x, y), {})
    a, b = promote_operands((x, y), minimum)
    if not isinstance(a, Value) and not isinstance(b, Value):
        a = as_value(a)
    return bind(primitive, (a, b), {})


def apply_floats(primitive: Primitive, x: Any, y: Any) -> Any:
    """Apply an elementwise primitive to two float operands, numbers made arrays."""
    a, b = promote_operands((x, y), 2)
    dtype = a.dtype if isinstance(a, Value) else b.dtype if isinstance(b, Value) else None
    made = [
        v if isinstance(v, Value)
        else new_value(np.asarray(v, dtype or state.default_dtype), None, False)
        for v in (a, b)
    ]  # fmt: skip
    return bind(primitive, (made[0], made[1]), {})


def settle_axis(axis: int, ndim: int, operation: str) -> int:
    """Return an axis as a number from 0, or raise an error that names the valid range."""
    extent = max(ndim, 1)
    if not -extent <= axis < extent:
        raise IndexRangeError(
            explain(
                f"{operation}: axis {axis} is out of range for {ndim} axes; use"
                f" {-extent} to {extent - 1}."
            )
        )
    return axis % extent


def settle_axes(axes: Axes, ndim: int, operation: str) -> tuple[int, ...]:
    """Return axes (None: all of them) as sorted numbers from 0."""
    if axes is None:
        return tuple(range(ndim))
    if isinstance(axes, (int, np.integer)):
        return (settle_axis(int(axes), ndim, operation),) if ndim else ()
    settled = sorted(settle_axis(int(a), ndim, operation) for a in axes)
    if len(set(settled)) != len(settled):
        raise UsageError(explain(f"{operation}: an axis is named twice in {tuple(axes)}."))
    return tuple(settled) if ndim else ()


def one_of(first: Any, second: Any, names: str, operation: str) -> Any:
    """Return whichever of two spellings of one argument was given."""
    if first is not None and second is not None:
        raise UsageError(explain(f"{operation}: give only one of {names}."))
    return first if first is not None else second
