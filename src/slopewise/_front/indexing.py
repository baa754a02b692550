"""Indexing of the front: x[...], gather and scatter, selection by masks, sorting.

Invariant: NumPy's indexing rules; every index is checked and made non-negative here, so primitives
see only positions in range. Repeated positions in `x[i] += 1` add once, as in NumPy; `index_add`
and `scatter_add` add each time.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from slopewise._core.aval import BOOL
from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front.operands import as_value, as_value_in, read_array
from slopewise._front.shape import (
    broadcast_to,
    common_shape,
    flatten,
    flip,
    permute,
    reshape,
)  # fmt: skip
from slopewise._ops import indexing as ops
from slopewise._ops import shape as views
from slopewise._ops.comparison import less
from slopewise._ops.comparison import where as select
from slopewise.errors import DTypeError, IndexRangeError, ShapeError, UsageError


def settle_index(index: Any, size: int, operation: str, operand: Any = None) -> Any:
    """Return positions from 0 for an integer index of one axis, checked against its size."""
    value = as_value(index)
    if value.dtype.kind not in "iu":
        raise DTypeError(
            explain(f"{operation}: an index needs integers, not {value.dtype}.", (operand, index))
        )
    if value._value is None:
        return bind(select, (bind(less, (value, 0), {}), value + size, value), {})
    array = value._value
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < -size or high >= size:
            bad = low if low < -size else high
            raise IndexRangeError(
                explain(
                    f"{operation}: index {bad} is out of range for an axis of size {size}; use"
                    f" {-size} to {size - 1}.",
                    (operand, index),
                )
            )
        if low < 0:
            array = np.where(array < 0, array + size, array)
    return array.astype(np.int64, copy=False)


def _expand_index(x: Any, index: Any) -> list[Any]:
    """Return one entry for each axis: Ellipsis filled in, masks turned into positions."""
    ndim = x.ndim
    entries = list(index) if isinstance(index, tuple) else [index]
    full: list[Any] = []
    used = 0
    for entry in entries:
        if isinstance(entry, (list, np.ndarray)):
            entry = as_index(entry) if len(entry) else np.zeros(0, np.int64)
        if isinstance(entry, (Value, np.ndarray)) and entry.dtype == BOOL:
            mask = read_array(as_value(entry))
            if mask.ndim == 0:
                raise IndexRangeError(
                    explain("index: a 0-d mask must be the only index; use sw.where.", (x,))
                )
            used += mask.ndim
            full.append(("mask", mask))
            continue
        if entry is not None and entry is not Ellipsis:
            used += 1
        full.append(entry)
    if used > ndim:
        raise IndexRangeError(explain(f"index: too many indices ({used}) for {ndim} axes.", (x,)))
    if sum(entry is Ellipsis for entry in full) > 1:
        raise IndexRangeError(explain("index: ... can stand only once.", (x,)))
    missing = [slice(None)] * (ndim - used)
    for i, entry in enumerate(full):
        if entry is Ellipsis:
            full[i : i + 1] = missing
            return full
    return full + missing


def as_index(entry: Any) -> np.ndarray[Any, Any]:
    """Return a nested list of positions as an array."""
    if isinstance(entry, list):
        entry = [read_array(e) if isinstance(e, Value) else e for e in entry]
    try:
        return np.asarray(entry)
    except ValueError:
        raise ShapeError(
            explain(f"index: the lists in {entry!r} differ in length; make them equal.")
        ) from None


def _zero_dim_mask(index: Any) -> bool | None:
    """Return the one truth value that an index is, or None."""
    entry = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if isinstance(entry, (bool, np.bool_)):
        return bool(entry)
    if isinstance(entry, (Value, np.ndarray)) and entry.dtype == BOOL and entry.ndim == 0:
        return bool(read_array(as_value(entry)))
    return None


def _plan(x: Any, index: Any) -> tuple[list[tuple[int, int, int]], list[int], list[Any], list[int]]:
    """Return slices for each axis, axes to flip, the entries, and for each its axis."""
    bounds = [(0, n, 1) for n in x.shape]
    flips: list[int] = []
    entries: list[Any] = []
    axes: list[int] = []
    axis = 0
    for entry in _expand_index(x, index):
        if entry is None:
            entries.append(None)
            axes.append(-1)
        elif isinstance(entry, slice):
            start, stop, step = entry.indices(x.shape[axis])
            if step < 0:
                count = max(0, -(-(start - stop) // -step))
                last = start + (count - 1) * step
                bounds[axis] = (last, start + 1, -step) if count else (0, 0, 1)
                flips.append(axis)
            else:
                bounds[axis] = (start, max(start, stop), step)
            entries.append(entry)
            axes.append(axis)
            axis += 1
        elif isinstance(entry, tuple):
            mask = entry[1]
            if mask.shape != tuple(x.shape[axis : axis + mask.ndim]):
                raise IndexRangeError(
                    explain(
                        f"index: a mask of shape {mask.shape} does not fit axes"
                        f" {tuple(x.shape[axis : axis + mask.ndim])}.",
                        (x,),
                    )
                )
            for positions in mask.nonzero():
                entries.append(positions)
                axes.append(axis)
                axis += 1
        elif isinstance(entry, (int, np.integer)) and not isinstance(entry, bool):
            size = x.shape[axis]
            if not -size <= entry < size:
                raise IndexRangeError(
                    explain(
                        f"index {entry} is out of range for axis {axis} of size {size}; use {-size}"
                        f" to {size - 1}.",
                        (x,),
                    )
                )
            entries.append(int(entry) % size)
            axes.append(axis)
            axis += 1
        elif isinstance(entry, (Value, np.ndarray)):
            entries.append(settle_index(entry, x.shape[axis], "index", x))
            axes.append(axis)
            axis += 1
        else:
            raise DTypeError(
                explain(f"index: {entry!r} is no index; use integers or slices.", (x,))
            )
    shapes = [e.shape for e in entries if isinstance(e, (Value, np.ndarray))]
    if len(shapes) > 1:
        common_shape(shapes, "index: the index arrays", (x,))
    return bounds, flips, entries, axes


def get_at(x: Any, index: Any) -> Any:
    """Return x[index] by NumPy's rules: numbers, slices, None, ..., integer arrays, masks.

    Parameters
    ----------
    x : Tensor, shape (...)
    index : int, slice, None, ..., Tensor, array or list, or a tuple of them

    Returns
    -------
    Tensor
        Of a slice a view, of positions and masks a copy.

    Raises
    ------
    IndexRangeError
        If a position is out of range, there are too many indices, or a mask does not fit.
    ShapeError
        If index arrays do not broadcast together.
    DTypeError
        If an entry is no index.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor([[1, 2], [3, 4]])
    >>> x[:, 1], x[x > 2]
    (tensor([2, 4]), tensor([3, 4]))
    """
    if _zero_dim_mask(index) is not None:
        return get_at(reshape(x, (1, *x.shape)), (np.asarray([_zero_dim_mask(index)]),))
    bounds, flips, entries, axes = _plan(x, index)
    arrays = [i for i, e in enumerate(entries) if isinstance(e, (Value, np.ndarray))]
    if not arrays:
        for entry, axis in zip(entries, axes, strict=True):
            if type(entry) is int:
                bounds[axis] = (entry, entry + 1, 1)
    out = x
    if bounds != [(0, n, 1) for n in x.shape]:
        starts, stops, steps = zip(*bounds, strict=True)
        out = bind(views.slice, (out,), {"starts": starts, "stops": stops, "steps": steps})
    if flips:
        out = flip(out, flips)
    if arrays:
        return _get_advanced(out, entries, axes)
    shape: list[int] = []
    for entry, axis in zip(entries, axes, strict=True):
        if entry is None:
            shape.append(1)
        elif type(entry) is not int:
            shape.append(out.shape[axis])
    if tuple(shape) != tuple(out.shape):
        out = bind(views.reshape, (out,), {"shape": tuple(shape)})
    elif out is x:
        out = bind(views.reshape, (x,), {"shape": tuple(x.shape)})
    return out


def _split_entries(
    entries: list[Any], axes: list[int]
) -> tuple[list[int], list[Any], list[int], int]:
    """Return advanced axes, their indices, the other axes, and where the indexed axes go."""
    advanced = [i for i, e in enumerate(entries) if isinstance(e, (Value, np.ndarray, int))]
    together = advanced == list(range(advanced[0], advanced[-1] + 1))
    indexed = [axes[i] for i in advanced]
    indices = [entries[i] for i in advanced]
    rest = [a for e, a in zip(entries, axes, strict=True) if isinstance(e, slice)]
    before = 0
    if together:
        before = sum(1 for e in entries[: advanced[0]] if not isinstance(e, int))
    return indexed, [np.asarray(i) if isinstance(i, int) else i for i in indices], rest, before


def _get_advanced(x: Any, entries: list[Any], axes: list[int]) -> Any:
    indexed, indices, rest, before = _split_entries(entries, axes)
    order = (*indexed, *rest)
    moved = x if order == tuple(range(x.ndim)) else permute(x, order)
    picked = bind(ops.take, (moved, *indices), {})
    rank = picked.ndim - len(rest)
    lead = picked.shape[:rank]
    # Put None axes back among the rest, and the indexed axes to their place.
    tail: list[int] = []
    sizes = iter(picked.shape[rank:])
    for entry in entries:
        if entry is None:
            tail.append(1)
        elif isinstance(entry, slice):
            tail.append(next(sizes))
    out = picked
    if (*lead, *tail) != tuple(out.shape):
        out = reshape(out, (*lead, *tail))
    if before:
        n = out.ndim
        out = permute(out, (*range(rank, rank + before), *range(rank), *range(rank + before, n)))
    return out


def _positions(x: Any, index: Any) -> np.ndarray[Any, Any] | None:
    """Return the flat positions that an index addresses, if it is concrete."""
    if _zero_dim_mask(index) is not None:
        numbers = np.arange(prod(x.shape)).reshape(x.shape)
        return numbers[np.asarray(_zero_dim_mask(index))]
    bounds, flips, entries, axes = _plan(x, index)
    del bounds, flips, axes
    if any(isinstance(e, Value) for e in entries):
        return None
    numbers = np.arange(prod(x.shape)).reshape(x.shape)
    return numbers[tuple(slice(None) if e is Ellipsis else e for e in entries)]


def set_at(x: Any, index: Any, value: Any) -> Any:
    """Return x with x[index] replaced by `value`; both get their gradients.

    Parameters
    ----------
    x : Tensor, shape (...)
    index : int, slice, None, ..., Tensor, array or list, or a tuple of them
    value : Tensor or number
        Broadcasts to the selection; takes the dtype of x.

    Returns
    -------
    Tensor, shape of x

    Raises
    ------
    ShapeError
        If the value does not fit the selection.
    IndexRangeError
        If a position is out of range.
    UsageError
        If a traced index is not on the leading axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor([1, 2, 3])
    >>> x[1:] = 0
    >>> x
    tensor([1, 0, 0])
    """
    target = as_value(x)
    updates = as_value_in(value, target.dtype)
    positions = _positions(target, index)
    if positions is None:
        return _set_traced(target, index, updates)
    try:
        np.broadcast_shapes(updates.shape, positions.shape)
        fits = np.broadcast_shapes(updates.shape, positions.shape) == positions.shape
    except ValueError:
        fits = False
    if not fits and updates.ndim > positions.ndim and prod(updates.shape) == positions.size:
        updates, fits = reshape(updates, positions.shape), True
    if not fits:
        raise ShapeError(
            explain(
                f"index: a value of shape {updates.shape} does not fit the selection of shape"
                f" {positions.shape}.",
                (target, updates),
            )
        )
    wide = broadcast_to(updates, positions.shape)
    flat = bind(ops.scatter_set, (flatten(target), wide, positions), {})
    return reshape(flat, target.shape)


def _set_traced(x: Any, index: Any, updates: Any) -> Any:
    """Write at positions that are traced: only integer indices of leading axes."""
    _, _, entries, axes = _plan(x, index)
    indexed = [e for e in entries if isinstance(e, (Value, np.ndarray, int))]
    places = [
        a for e, a in zip(entries, axes, strict=True) if isinstance(e, (Value, np.ndarray, int))
    ]
    if places != list(range(len(places))) or any(
        e is None or (isinstance(e, slice) and e != slice(None)) for e in entries
    ):
        raise UsageError(
            explain(
                "index: a traced index can be written only on the leading axes, with whole axes"
                " after it; use scatter_set or dynamic_update_slice.",
                (x,),
            )
        )
    indices = [np.asarray(i) if isinstance(i, int) else i for i in indexed]
    lead = np.broadcast_shapes(*(i.shape for i in indices))
    wide = broadcast_to(updates, (*lead, *x.shape[len(indices) :]))
    return bind(ops.scatter_set, (x, wide, *indices), {})
