"""How tensors come to be: from data, ranges and constants.

Invariant: `tensor` copies, `from_numpy` and `as_tensor` share memory (and say so to the engine);
Python floats get the default dtype, as in PyTorch.
"""

from __future__ import annotations

import operator
from math import ceil
from sys import maxsize
from typing import Any

import numpy as np

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._core.value import Value, new_value
from slopewise._front.devices import refuse_device
from slopewise._front.operands import as_array, as_dtype, as_value, cast, read_array
from slopewise._ops.comparison import copy as copy_primitive
from slopewise._ops.comparison import stop_gradient
from slopewise.errors import DTypeError, ShapeError, SlopewiseError, UsageError


def require_float(dtype: np.dtype[Any], operation: str) -> None:
    """Refuse gradients on anything but floats."""
    if dtype.kind != "f":
        raise DTypeError(
            explain(
                f"{operation}: only Tensors of floating point dtype can require gradients, and this"
                f" one has dtype {dtype}. Write the numbers as floats (4.0 in place of 4), or pass"
                " dtype=float32."
            )
        )


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Return a new tensor with a copy of the data.

    Parameters
    ----------
    data : number, nested sequence, array or Tensor
    dtype : dtype, optional
        By default: float32 for Python floats, int64 for ints, bool; arrays keep theirs.
    device : optional
        Taken for PyTorch's sake; there is only the CPU.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape of the data

    Raises
    ------
    DTypeError
        If the data are not numbers, the dtype is not supported, or gradients are asked for on
        integers.
    UsageError
        If the device is not the CPU.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    refuse_device(device)
    if type(data) is float:
        array = np.array(data, state.default_dtype if dtype is None else as_dtype(dtype))
    else:
        array = _read_data(data, dtype)
    if requires_grad:
        require_float(array.dtype, "tensor")
    return new_value(array, None, bool(requires_grad))


def _read_data(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """Return a copy of nested numbers; what NumPy refuses is told in the house's words."""
    try:
        return np.array(as_array(data, dtype))
    except SlopewiseError:
        raise
    except OverflowError as error:
        raise DTypeError(
            explain(f"tensor: a number does not fit the dtype ({error}); give a wider dtype.")
        ) from None
    except (ValueError, TypeError) as error:
        raise ShapeError(
            explain(
                "tensor: the nested sequences do not form a table, since their lengths differ."
                " Make them equally long, or pad them."
            )
        ) from error


def from_numpy(array: np.ndarray[Any, Any]) -> Any:
    """Return a tensor that shares memory with an array; changes of either are seen by both.

    Parameters
    ----------
    array : numpy.ndarray, shape (...)

    Returns
    -------
    Tensor, shape and dtype of the array

    Raises
    ------
    DTypeError
        If it is no array, or its dtype is not supported (nothing is converted, since memory is
        shared).

    Examples
    --------
    >>> import slopewise as sw
    >>> import numpy as np
    >>> sw.from_numpy(np.array([1.0, 2.0], np.float32))
    tensor([1., 2.])
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(
            explain(
                f"from_numpy: needs a NumPy array, not {type(array).__name__}; use sw.tensor(...)."
            )
        )
    dtype = as_dtype(array.dtype)
    if dtype != array.dtype:
        raise DTypeError(explain(f"from_numpy: dtype {array.dtype} is not supported."))
    value = new_value(array, None, False)
    value._storage.export(array)
    return value


def from_dlpack(source: Any) -> Any:
    """Return a tensor that shares memory with any array that speaks DLPack; read-only stays so.

    Parameters
    ----------
    source : object with __dlpack__, shape (...)

    Returns
    -------
    Tensor, shape and dtype of the source

    Raises
    ------
    DTypeError
        If the source does not speak DLPack, or the dtype is not supported.

    Examples
    --------
    >>> import numpy as np
    >>> import slopewise as sw
    >>> sw.from_dlpack(np.arange(3.0))
    tensor([0., 1., 2.], dtype=float64)
    """
    if not hasattr(source, "__dlpack__"):
        raise DTypeError(
            explain(
                f"from_dlpack: {type(source).__name__} does not speak DLPack; use sw.tensor(...)."
            )
        )
    return from_numpy(np.from_dlpack(source))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """Return a tensor, sharing memory where the data is an array of the right dtype.

    Parameters
    ----------
    data : number, nested sequence, array or Tensor
    dtype : dtype, optional
        A dtype other than that of the data means a copy.
    device : optional
        Only the CPU.

    Returns
    -------
    Tensor, shape of the data

    Raises
    ------
    DTypeError
        If the data are not numbers, or the dtype is not supported.
    UsageError
        If the device is not the CPU.

    Examples
    --------
    >>> import slopewise as sw
    >>> import numpy as np
    >>> array = np.zeros(2)
    >>> x = sw.as_tensor(array)
    >>> array[0] = 1.0
    >>> x
    tensor([1., 0.], dtype=float64)
    """
    refuse_device(device)
    if isinstance(data, Value):
        return data if dtype is None else cast(data, as_dtype(dtype))
    if isinstance(data, np.ndarray) and data.dtype.kind in "buif":
        array = as_array(data)
        value = new_value(array, None, False)
        if array is data:
            value._storage.export(data)
        return value if dtype is None else cast(value, as_dtype(dtype))
    return tensor(data, dtype=dtype)


asarray = as_tensor


def settle_integer(number: Any, operation: str, what: str = "a size") -> int:
    """Return a number that must be an integer (a 0-d integer Tensor may stand for one)."""
    if isinstance(number, Value) and number.ndim == 0 and number.dtype.kind in "iu":
        number = read_array(number)
    try:
        return operator.index(number)  # pyright: ignore[reportArgumentType]
    except TypeError:
        shown = f"a {number.dtype} Tensor" if isinstance(number, Value) else repr(number)
        raise DTypeError(
            explain(f"{operation}: {what} must be an integer, not {shown}; convert it with int().")
        ) from None


def settle_integers(
    numbers: tuple[Any, ...], operation: str, what: str = "a size"
) -> tuple[int, ...]:
    """Return integers given as several numbers or as one sequence of them."""
    if len(numbers) == 1 and isinstance(numbers[0], (list, tuple, range, np.ndarray)):
        numbers = tuple(numbers[0])
    return tuple(settle_integer(n, operation, what) for n in numbers)


def settle_shape(sizes: tuple[Any, ...], operation: str) -> tuple[int, ...]:
    """Return a shape given as several numbers or as one sequence of them; none is negative."""
    shape = settle_integers(sizes, operation)
    if any(n < 0 for n in shape):
        raise ShapeError(
            explain(f"{operation}: sizes {shape} hold a negative number; sizes are 0 or more.")
        )
    return shape


def _made(array: np.ndarray[Any, Any], requires_grad: bool, operation: str) -> Any:
    if requires_grad:
        require_float(array.dtype, operation)
    return new_value(array, None, requires_grad)


def _dtype(dtype: Any) -> np.dtype[Any]:
    return state.default_dtype if dtype is None else as_dtype(dtype)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Return a tensor of zeros.

    Parameters
    ----------
    *size : int, or one sequence of int
    dtype : dtype, optional
        By default the default dtype, float32.
    device : optional
        Only the CPU.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape (*size)

    Raises
    ------
    DTypeError
        If a size is no integer, gradients are asked for on integers, or the dtype is not supported.
    ShapeError
        If a size is negative.
    UsageError
        If the device is not the CPU.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    refuse_device(device)
    return _made(np.zeros(settle_shape(size, "zeros"), _dtype(dtype)), requires_grad, "zeros")


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Return a tensor of ones.

    Parameters
    ----------
    *size : int, or one sequence of int
    dtype : dtype, optional
        By default the default dtype, float32.
    device : optional
        Only the CPU.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape (*size)

    Raises
    ------
    DTypeError
        If a size is no integer, gradients are asked for on integers, or the dtype is not supported.
    ShapeError
        If a size is negative.
    UsageError
        If the device is not the CPU.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.ones(2, dtype=sw.int64)
    tensor([1, 1])
    """
    refuse_device(device)
    return _made(np.ones(settle_shape(size, "ones"), _dtype(dtype)), requires_grad, "ones")


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Return a tensor whose numbers are still to be set (zeros, so that a run repeats).

    Parameters
    ----------
    *size : int, or one sequence of int
    dtype : dtype, optional
        By default the default dtype, float32.
    device : optional
        Only the CPU.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape (*size)

    Raises
    ------
    DTypeError
        If a size is no integer, gradients are asked for on integers, or the dtype is not supported.
    ShapeError
        If a size is negative.
    UsageError
        If the device is not the CPU.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.empty(2, 3).shape
    (2, 3)
    """
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Return a tensor with one number everywhere.

    Parameters
    ----------
    size : int or sequence of int
    fill_value : number or 0-d Tensor
    dtype : dtype, optional
        By default that of the number: float32, int64 or bool.
    device : optional
        Only the CPU.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape (*size)

    Raises
    ------
    DTypeError
        If a size is no integer, gradients are asked for on integers, or the dtype is not supported.
    ShapeError
        If a size is negative.
    UsageError
        If the device is not the CPU.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.full((2,), 7)
    tensor([7, 7])
    """
    refuse_device(device)
    array = as_array(fill_value)
    if array.ndim:
        raise ShapeError(
            explain(f"full: needs one number, not shape {array.shape}; use broadcast_to.")
        )
    number = array if isinstance(fill_value, Value) else fill_value
    chosen = array.dtype if dtype is None else as_dtype(dtype)
    shape = settle_shape((size,), "full")
    try:
        return _made(np.full(shape, number, chosen), requires_grad, "full")
    except OverflowError:
        raise DTypeError(
            explain(f"full: {number} does not fit {chosen}; give a wider dtype.")
        ) from None


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Any:
    """Return the identity matrix.

    Parameters
    ----------
    n : int
        Number of rows.
    m : int, optional
        Number of columns (default: n).
    dtype : dtype, optional
        By default the default dtype, float32.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape (n, m)

    Raises
    ------
    DTypeError
        If a size is no integer, gradients are asked for on integers, or the dtype is not supported.
    ShapeError
        If a size is negative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    rows, columns = settle_shape((n, n if m is None else m), "eye")
    return _made(np.eye(rows, columns, dtype=_dtype(dtype)), requires_grad, "eye")


def _number(x: Any, operation: str) -> Any:
    """Return a Python or NumPy number; a Tensor or array must hold one."""
    array = as_array(x)
    if array.ndim:
        raise ShapeError(explain(f"{operation}: needs numbers, not shape {array.shape}."))
    return array.item() if isinstance(x, (Value, np.ndarray)) else x


def arange(*bounds: Any, dtype: Any = None, requires_grad: bool = False) -> Any:
    """Return start, start + step, ... below stop; integers where all bounds are.

    Parameters
    ----------
    *bounds : number
        stop; or start, stop; or start, stop, step.
    dtype : dtype, optional
        By default int64 where all bounds are integers, else the default dtype.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape (ceil((stop - start) / step),)

    Raises
    ------
    UsageError
        If the step is 0, or there are not one to three bounds.
    DTypeError
        If a bound is no number, gradients are asked for on integers, or the dtype is not supported.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    if not 1 <= len(bounds) <= 3:
        raise UsageError(explain("arange: give stop; start, stop; or start, stop, step."))
    bounds = tuple(_number(b, "arange") for b in bounds)
    start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if step == 0:
        raise UsageError(explain("arange: the step is 0; give another one."))
    whole = all(isinstance(b, (int, np.integer)) for b in (start, stop, step))
    chosen = as_dtype(dtype) if dtype is not None else (
        np.dtype(np.int64) if whole else state.default_dtype)  # fmt: skip
    count = max(0, ceil((stop - start) / step))
    # Multiplied, not summed up, so that the last number is as exact as the first.
    return _made((start + np.arange(count) * step).astype(chosen), requires_grad, "arange")


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False
) -> Any:
    """Return evenly spaced numbers, both ends included.

    Parameters
    ----------
    start, end : float
    steps : int
        How many numbers.
    dtype : dtype, optional
        By default the default dtype, float32.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape (steps,)

    Raises
    ------
    DTypeError
        If a size is no integer, gradients are asked for on integers, or the dtype is not supported.
    ShapeError
        If a size is negative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    (count,) = settle_shape((steps,), "linspace")
    first, last = _number(start, "linspace"), _number(end, "linspace")
    return _made(np.linspace(first, last, count).astype(_dtype(dtype)), requires_grad, "linspace")


def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None) -> Any:
    """Return base ** x for evenly spaced x.

    Parameters
    ----------
    start, end : float
        The first and the last exponent.
    steps : int
        How many numbers.
    base : float
    dtype : dtype, optional
        By default the default dtype, float32.

    Returns
    -------
    Tensor, shape (steps,)

    Raises
    ------
    DTypeError
        If the dtype is not supported.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    (count,) = settle_shape((steps,), "logspace")
    first, last = _number(start, "logspace"), _number(end, "logspace")
    return _made(
        np.logspace(first, last, count, base=base).astype(_dtype(dtype)), False, "logspace"
    )


def _like(input: Any, dtype: Any) -> tuple[tuple[int, ...], Any]:
    x = as_value(input)
    return x.shape, x.dtype if dtype is None else dtype


def zeros_like(input: Any, *, dtype: Any = None, requires_grad: bool = False) -> Any:
    """Return zeros of the shape and dtype of the operand.

    Parameters
    ----------
    input : Tensor, shape (...)
    dtype : dtype, optional
        By default that of input.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DTypeError
        If gradients are asked for on integers, or the dtype is not supported.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.zeros_like(sw.tensor([1, 2]))
    tensor([0, 0])
    """
    shape, chosen = _like(input, dtype)
    return zeros(shape, dtype=chosen, requires_grad=requires_grad)


def ones_like(input: Any, *, dtype: Any = None, requires_grad: bool = False) -> Any:
    """Return ones of the shape and dtype of the operand.

    Parameters
    ----------
    input : Tensor, shape (...)
    dtype : dtype, optional
        By default that of input.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DTypeError
        If gradients are asked for on integers, or the dtype is not supported.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.ones_like(sw.tensor([1, 2]))
    tensor([1, 1])
    """
    shape, chosen = _like(input, dtype)
    return ones(shape, dtype=chosen, requires_grad=requires_grad)


def empty_like(input: Any, *, dtype: Any = None, requires_grad: bool = False) -> Any:
    """Return a tensor still to be set, of the shape and dtype of the operand.

    Parameters
    ----------
    input : Tensor, shape (...)
    dtype : dtype, optional
        By default that of input.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DTypeError
        If gradients are asked for on integers, or the dtype is not supported.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.empty_like(sw.tensor([1, 2])).shape
    (2,)
    """
    return zeros_like(input, dtype=dtype, requires_grad=requires_grad)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False
) -> Any:
    """Return one number everywhere, of the shape and dtype of the operand.

    Parameters
    ----------
    input : Tensor, shape (...)
    fill_value : number or 0-d Tensor
    dtype : dtype, optional
        By default that of input.
    requires_grad : bool
        Whether gradients are recorded for it.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DTypeError
        If gradients are asked for on integers, or the dtype is not supported.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.full_like(sw.tensor([1, 2]), 7)
    tensor([7, 7])
    """
    shape, chosen = _like(input, dtype)
    return full(shape, fill_value, dtype=chosen, requires_grad=requires_grad)


def clone(input: Any) -> Any:
    """Return a copy through which gradients flow.

    Parameters
    ----------
    input : Tensor, shape (...)

    Returns
    -------
    Tensor, shape of input

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor([1.0, 2.0])
    >>> y = sw.clone(x)
    >>> y[0] = 5.0
    >>> x
    tensor([1., 2.])
    """
    out = bind(copy_primitive, (as_value(input),), {})
    if out._value is not None and not out._value.flags.c_contiguous:
        # A copy lies in memory in order, whatever the strides of what was copied.
        out._value = np.ascontiguousarray(out._value)
    return out


def detach(input: Any) -> Any:
    """Return the same numbers, in shared memory, without their history.

    Parameters
    ----------
    input : Tensor, shape (...)

    Returns
    -------
    Tensor, shape of input
        It does not require gradients; a change in place is seen by both.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.detach(sw.tensor([1.0], requires_grad=True)).requires_grad
    False
    """
    x = as_value(input)
    if x._value is None:
        return bind(stop_gradient, (x,), {})
    value = new_value(x._value, None, False)
    value._storage = x._storage
    value._born = maxsize  # it has no history that could be stale
    value._origin = x._origin
    return value
