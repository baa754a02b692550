"""Gathering and scattering by name: gather, scatter, selection by masks, sorting.

Invariant: positions are settled by `settle_index` before a primitive sees them; repeated positions
add up in `index_add` and `scatter_add`, and the last value stays in `scatter`. It is separate from
`x[...]` itself, on which it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._core.aval import BOOL
from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front.elementwise import where
from slopewise._front.indexing import get_at, set_at, settle_index
from slopewise._front.operands import as_value, as_value_in, cast, read_array, settle_axis
from slopewise._front.reduction import Extremum
from slopewise._front.shape import (
    broadcast_to,
    existing_axis,
    flatten,
    narrow,
    permute,
    reshape,
)  # fmt: skip
from slopewise._ops import indexing as ops
from slopewise.errors import DomainError, DTypeError, ShapeError, UsageError

METHODS = [
    "gather", "scatter", "scatter_add", "index_select", "index_add", "index_fill", "take_along_dim",
    "masked_fill", "masked_select", "nonzero", "sort", "argsort", "topk",
]  # fmt: skip


INPLACE = ["scatter", "scatter_add", "index_add", "index_fill", "masked_fill"]


def scatter_set(input: Any, index: Any, value: Any) -> Any:
    """Return a copy of input with input[index] replaced (the functional form of x[i] = v).

    Parameters
    ----------
    input : Tensor, shape (...)
    index : any index of x[...]
    value : Tensor or number
        Broadcasts to the selection.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    ShapeError
        If the value does not fit the selection.
    IndexRangeError
        If a position is out of range.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.scatter_set(sw.tensor([1, 2, 3]), 0, 9)
    tensor([9, 2, 3])
    """
    return set_at(input, index, value)


def dynamic_update_slice(input: Any, update: Any, start: Any) -> Any:
    """Return a copy of input with a block replaced, from a start position on each axis.

    Parameters
    ----------
    input : Tensor, shape (n_1, ...)
    update : Tensor, shape (m_1, ...), m_i <= n_i
    start : int or 0-d Tensor, or a sequence of them
        One position for each axis; it is moved so that the block fits.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    ShapeError
        If the block does not have one size for each axis, or is larger than input.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.dynamic_update_slice(sw.zeros(4), sw.ones(2), 1)
    tensor([0., 1., 1., 0.])
    """
    x, block = as_value(input), as_value(update)
    if block.ndim != x.ndim or any(b > n for b, n in zip(block.shape, x.shape, strict=True)):
        raise ShapeError(explain("dynamic_update_slice: the block does not fit.", (x, block)))
    starts = list(start) if isinstance(start, (list, tuple)) else [start]
    grids: list[Any] = []
    for axis, (s, b, n) in enumerate(zip(starts, block.shape, x.shape, strict=True)):
        offsets = np.arange(b).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        if isinstance(s, Value):
            from slopewise._front.elementwise import clamp

            grids.append(clamp(s, 0, n - b) + as_value(offsets))
        else:
            grids.append(offsets + min(max(int(s), 0), n - b))
    return bind(ops.scatter_set, (x, cast(block, x.dtype), *grids), {})


def index_select(input: Any, dim: int, index: Any) -> Any:
    """Return the entries of one axis at the given positions.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis.
    index : Tensor of int, shape (m,)

    Returns
    -------
    Tensor, shape (..., m, ...)

    Raises
    ------
    DTypeError
        If the positions are not integers.
    IndexRangeError
        If a position or the axis is out of range.
    ShapeError
        If input is 0-d.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.index_select(sw.tensor([5, 6, 7]), 0, sw.tensor([2, 0]))
    tensor([7, 5])
    """
    x = as_value(input)
    axis = existing_axis(x, dim, "index_select")
    positions = settle_index(index, x.shape[axis], "index_select", x)
    if axis == 0:
        return bind(ops.take, (x, positions), {})
    order = (axis, *(i for i in range(x.ndim) if i != axis))
    picked = bind(ops.take, (permute(x, order), positions), {})
    rank = len(positions.shape)
    back = (*range(rank, rank + axis), *range(rank), *range(rank + axis, picked.ndim))
    return permute(picked, back)


def _grid(shape: tuple[int, ...], axis: int, index: Any) -> list[Any]:
    """Return index arrays for all axes: their own positions, and `index` along one axis."""
    return [
        index
        if i == axis
        else np.arange(n).reshape([-1 if j == i else 1 for j in range(len(shape))])
        for i, n in enumerate(shape)
    ]


def gather(input: Any, dim: int, index: Any) -> Any:
    """Return out[i][j] = input[index[i][j]][j] (for dim 0): one position for each output element.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis along which is picked.
    index : Tensor of int, shape (..., m, ...)
        As many axes as input, and no longer than it on the others.

    Returns
    -------
    Tensor, shape of index

    Raises
    ------
    DTypeError
        If the positions are not integers.
    IndexRangeError
        If a position or the axis is out of range.
    ShapeError
        If the index has another number of axes or is longer on another axis.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.gather(sw.tensor([[1, 2], [3, 4]]), 1, sw.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    x = as_value(input)
    axis = settle_axis(dim, x.ndim, "gather")
    positions = settle_index(index, x.shape[axis] if x.ndim else 1, "gather", x)
    _check_grid(x, positions, axis, "gather")
    if x.ndim == 0:
        return x
    return bind(ops.take, (x, *_grid(positions.shape, axis, positions)), {})


def _check_grid(x: Any, index: Any, axis: int, operation: str) -> None:
    if len(index.shape) != x.ndim or any(
        i != axis and m > n for i, (n, m) in enumerate(zip(x.shape, index.shape, strict=True))
    ):
        raise ShapeError(
            explain(
                f"{operation}: an index of shape {tuple(index.shape)} does not fit shape {x.shape}"
                f" along axis {axis}.",
                (x,),
            )
        )


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Return the elements at positions along one axis; other axes broadcast.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    indices : Tensor of int, shape (..., m, ...)
        As argsort and argmax(keepdim=True) give them.
    dim : int, optional
        The axis; left out, both operands are taken as vectors.

    Returns
    -------
    Tensor, shape (..., m, ...)

    Raises
    ------
    DTypeError
        If the positions are not integers.
    IndexRangeError
        If a position or the axis is out of range.
    ShapeError
        If the operands differ in their number of axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.take_along_dim(sw.tensor([[1, 2], [3, 4]]), sw.tensor([[1], [0]]), 1)
    tensor([[2],
            [3]])
    """
    x = as_value(input)
    if dim is None:
        return gather(flatten(x), 0, flatten(as_value(indices)))
    axis = settle_axis(dim, x.ndim, "take_along_dim")
    if as_value(indices).ndim != x.ndim or x.ndim == 0:
        raise ShapeError(
            explain(
                f"take_along_dim: indices of shape {tuple(as_value(indices).shape)} and input"
                f" {tuple(x.shape)} need the same number of axes; use keepdim=True or unsqueeze.",
                (x, indices),
            )
        )
    positions = settle_index(indices, x.shape[axis], "take_along_dim", x)
    shape = tuple(
        m if i == axis else max(m, n)
        for i, (n, m) in enumerate(zip(x.shape, positions.shape, strict=True))
    )
    return bind(ops.take, (x, *_grid(shape, axis, positions)), {})


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Return input with src added at positions along one axis; repeated positions add up.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis along which is written.
    index : Tensor of int, shape (..., m, ...)
        As many axes as input, and no longer than it on the others.
    src : Tensor, shape of index or larger

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DTypeError
        If the positions are not integers.
    IndexRangeError
        If a position or the axis is out of range.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.scatter_add(sw.zeros(3), 0, sw.tensor([0, 0, 2]), sw.ones(3))
    tensor([2., 0., 1.])
    """
    x, updates = as_value(input), as_value(src)
    axis = existing_axis(x, dim, "scatter_add")
    positions = settle_index(index, x.shape[axis], "scatter_add", x)
    _check_grid(x, positions, axis, "scatter_add")
    for i, m in enumerate(positions.shape):
        if updates.shape[i] != m:
            updates = narrow(updates, i, 0, m)
    grid = _grid(positions.shape, axis, positions)
    return x + bind(ops.scatter_add, (cast(updates, x.dtype), *grid), {"shape": tuple(x.shape)})


def scatter(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Return input with src (or one number) written at positions along one axis.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis along which is written.
    index : Tensor of int, shape (..., m, ...)
        As many axes as input, and no longer than it on the others.
    src : Tensor, shape of index or larger, or a number

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DTypeError
        If the positions are not integers.
    IndexRangeError
        If a position or the axis is out of range.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.scatter(sw.zeros(3), 0, sw.tensor([0, 2]), 5.0)
    tensor([5., 0., 5.])
    """
    x = as_value(input)
    updates = as_value_in(src, x.dtype)
    axis = settle_axis(dim, x.ndim, "scatter")
    positions = settle_index(index, x.shape[axis], "scatter")
    _check_grid(x, positions, axis, "scatter")
    updates = cast(updates, x.dtype)
    if updates.ndim == 0:
        updates = broadcast_to(updates, positions.shape)
    for i, m in enumerate(positions.shape):
        if updates.shape[i] != m:
            updates = narrow(updates, i, 0, m)
    return bind(ops.scatter_set, (x, updates, *_grid(positions.shape, axis, positions)), {})


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """Return input with alpha * source added at entries of one axis; repeated entries add up.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis.
    index : Tensor of int, shape (m,)
    source : Tensor, shape (..., m, ...)
    alpha : float
        Factor of the source.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DTypeError
        If the positions are not integers.
    IndexRangeError
        If a position or the axis is out of range.
    ShapeError
        If input is 0-d.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.index_add(sw.zeros(3), 0, sw.tensor([0, 0]), sw.ones(2))
    tensor([2., 0., 0.])
    """
    x, updates = as_value(input), as_value(source)
    axis = existing_axis(x, dim, "index_add")
    positions = settle_index(index, x.shape[axis], "index_add")
    order = (axis, *(i for i in range(x.ndim) if i != axis))
    back = tuple(np.argsort(order).tolist())
    moved = permute(cast(updates, x.dtype), order) if axis else cast(updates, x.dtype)
    shape = tuple(x.shape[i] for i in order)
    total = bind(ops.scatter_add, (moved, positions), {"shape": shape})
    total = permute(total, back) if axis else total
    return x + (total if alpha == 1 else total * alpha)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Return input with one number at entries of one axis.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis.
    index : Tensor of int, shape (m,)
    value : number or 0-d Tensor

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DTypeError
        If the positions are not integers.
    IndexRangeError
        If a position or the axis is out of range.
    ShapeError
        If input is 0-d.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.index_fill(sw.zeros(3), 0, sw.tensor([1]), 7.0)
    tensor([0., 7., 0.])
    """
    x = as_value(input)
    axis = existing_axis(x, dim, "index_fill")
    chosen = np.zeros(x.shape[axis], bool)
    chosen[settle_index(index, x.shape[axis], "index_fill")] = True
    mask = chosen.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return masked_fill(x, mask, value)


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """Return input with `value` where the mask is true; no gradient flows there.

    Parameters
    ----------
    input : Tensor, shape (...)
    mask : Tensor of bool, of a shape that broadcasts to that of input
    value : number or 0-d Tensor

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor([1.0, -2.0])
    >>> sw.masked_fill(x, x < 0, 0.0)
    tensor([1., 0.])
    """
    x = as_value(input)
    filling = value if not isinstance(value, Value) else cast(value, x.dtype)
    return where(mask, filling, x)


def masked_select(input: Any, mask: Any) -> Any:
    """Return the elements where the mask is true, as a vector.

    Parameters
    ----------
    input : Tensor, shape (...)
    mask : Tensor of bool, of a shape that broadcasts to that of input

    Returns
    -------
    Tensor, shape (number of true entries,)

    Raises
    ------
    ShapeError
        If the mask does not broadcast to the shape of input.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor([1.0, -2.0, 3.0])
    >>> sw.masked_select(x, x > 0)
    tensor([1., 3.])
    """
    x = as_value(input)
    truth = broadcast_to(cast(as_value(mask), BOOL), x.shape)
    return get_at(x, truth)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Return the positions of the elements that are not 0: a table, or one Tensor for each axis.

    Parameters
    ----------
    input : Tensor, shape (...)
    as_tuple : bool
        Return one vector of positions for each axis.

    Returns
    -------
    Tensor of int64, shape (m, ndim), or a tuple of ndim Tensors, shape (m,)

    Raises
    ------
    TraceError
        If the function is traced, since the shape depends on the values.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nonzero(sw.tensor([0, 3, 5]))
    tensor([[1],
            [2]])
    """
    found = np.nonzero(read_array(as_value(input)))
    if as_tuple:
        return tuple(as_value(f) for f in found)
    return as_value(np.stack(found, -1) if found else np.zeros((1, 0), np.int64))


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Return a table with a 1 at each class number.

    Parameters
    ----------
    tensor : Tensor of int, shape (...)
    num_classes : int
        By default, the largest class number plus 1.

    Returns
    -------
    Tensor of int64, shape (..., num_classes)

    Raises
    ------
    DomainError
        If a class number is negative or not below num_classes.
    DTypeError
        If the class numbers are not integers.
    UsageError
        If the tensor is traced and num_classes is left out.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.one_hot(sw.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    x = as_value(tensor)
    if x.dtype.kind not in "iu":
        raise DTypeError(explain(f"one_hot: needs integers, not {x.dtype}.", (x,)))
    if x._value is None and num_classes == -1:
        raise UsageError(explain("one_hot: give num_classes for a traced tensor.", (x,)))
    if x._value is not None:
        low, high = (int(x._value.min()), int(x._value.max())) if x._value.size else (0, -1)
        num_classes = high + 1 if num_classes == -1 else num_classes
        if low < 0 or high >= num_classes:
            raise DomainError(
                explain(
                    f"one_hot: class {low if low < 0 else high} is not in 0..{num_classes - 1}."
                )
            )
    classes = as_value(np.arange(num_classes))
    return cast(reshape(x, (*x.shape, 1)) == classes, np.dtype(np.int64))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Return the order that sorts one axis; equal elements keep their order.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim : int
        The axis to sort.
    descending : bool
        Sort from the largest to the smallest.
    stable : bool
        Taken for PyTorch's sake; the order is always stable.

    Returns
    -------
    Tensor of int64, shape of input

    Raises
    ------
    IndexRangeError
        If the axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.argsort(sw.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    del stable
    x = as_value(input)
    if x.ndim == 0:
        return as_value(np.asarray(0))
    axis = settle_axis(dim, x.ndim, "argsort")
    return bind(ops.argsort, (x,), {"axis": axis, "descending": descending})


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Return the sorted elements of one axis, and where they came from.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim : int
        The axis to sort.
    descending : bool
        Sort from the largest to the smallest.
    stable : bool
        Taken for PyTorch's sake; the order is always stable.

    Returns
    -------
    Extremum
        `values` and `indices`, each of the shape of input.

    Raises
    ------
    IndexRangeError
        If the axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.sort(sw.tensor([3.0, 1.0, 2.0])).values
    tensor([1., 2., 3.])
    """
    x = as_value(input)
    order = argsort(x, dim, descending, stable)
    return Extremum(gather(x, dim, order) if x.ndim else x, order)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Return the k largest (or smallest) elements of one axis, in order, and their positions.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    k : int
        How many.
    dim : int
        The axis.
    largest : bool
        Take the largest ones, or else the smallest.
    sorted : bool
        Taken for PyTorch's sake; the result is always in order.

    Returns
    -------
    Extremum
        `values` and `indices`, each of shape (..., k, ...).

    Raises
    ------
    ShapeError
        If the axis has fewer than k elements, or k is negative.
    IndexRangeError
        If the axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.topk(sw.tensor([3.0, 1.0, 2.0]), 2)
    Extremum(values=tensor([3., 2.]), indices=tensor([0, 2]))
    """
    del sorted
    x = as_value(input)
    axis = existing_axis(x, dim, "topk")
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError(explain(f"topk: k = {k}, but axis {axis} of {x.shape} is shorter.", (x,)))
    order = narrow(argsort(x, axis, largest), axis, 0, k)
    return Extremum(gather(x, axis, order), order)
