"""Joining, splitting, repeating and padding: functions of the front that move whole parts.

Invariant: each is a composition of views, slices and concatenation, so it is linear and needs no
rule of its own. It is separate from the reshaping functions, on which it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front.creation import settle_integer, settle_shape
from slopewise._front.operands import (
    Axes,
    as_value,
    promote_operands,
    read_array,
    settle_axis,
)  # fmt: skip
from slopewise._front.shape import (
    as_list,
    as_several,
    broadcast_to,
    common_shape,
    existing_axis,
    flatten,
    narrow,
    permute,
    reshape,
    transpose,
    unsqueeze,
)
from slopewise._ops import shape as ops
from slopewise._ops.comparison import where
from slopewise._ops.indexing import take
from slopewise.errors import DomainError, DTypeError, ShapeError, UsageError


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Return all operands broadcast to their common shape.

    Parameters
    ----------
    *tensors : Tensor, of shapes that broadcast

    Returns
    -------
    tuple of Tensor, all of one shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> [x.shape for x in sw.broadcast_tensors(sw.ones(3, 1), sw.ones(2))]
    [(3, 2), (3, 2)]
    """
    values = [as_value(x) for x in tensors]
    shape = common_shape([x.shape for x in values], "broadcast_tensors", values)
    return tuple(broadcast_to(x, shape) for x in values)


def cat(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """Return tensors joined along an existing axis.

    Parameters
    ----------
    tensors : sequence of Tensor, shapes (..., n_i, ...)
        Dtypes are promoted to a common one; an empty vector is left out.
    dim, axis : int
        The axis to join along (default 0); two names for one argument.

    Returns
    -------
    Tensor, shape (..., sum of the n_i, ...)

    Raises
    ------
    ShapeError
        If the other axes differ, or a tensor has none.
    IndexRangeError
        If the axis does not exist.
    UsageError
        If there is no tensor.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.cat([sw.tensor([1, 2]), sw.tensor([3])])
    tensor([1, 2, 3])
    """
    given = [as_value(x) for x in as_several(tensors, "cat")]
    parts = promote_operands(given)
    parts = [p for p in parts if p.shape != (0,)] or parts[:1]
    along = existing_axis(parts[0], dim if axis is None else axis, "cat")
    try:
        ops.cat.abstract(*(p.aval for p in parts), axis=along)
    except ShapeError as error:
        raise ShapeError(explain(str(error), tuple(given))) from None
    return bind(ops.cat, tuple(parts), {"axis": along})


concat = concatenate = cat


def stack(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """Return tensors of one shape joined along a new axis.

    Parameters
    ----------
    tensors : sequence of Tensor, of one shape (...)
    dim, axis : int
        The place of the new axis (default 0); two names for one argument.

    Returns
    -------
    Tensor, shape (..., len(tensors), ...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    IndexRangeError
        If there is no such place.
    UsageError
        If there is no tensor.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.stack([sw.tensor([1, 2]), sw.tensor([3, 4])], 1)
    tensor([[1, 3],
            [2, 4]])
    """
    values = [as_value(x) for x in as_several(tensors, "stack")]
    shapes = {x.shape for x in values}
    if len(shapes) != 1:
        raise ShapeError(
            explain(
                f"stack: shapes differ: {sorted(shapes)}; use cat to join along an axis.",
                tuple(values),
            )
        )
    along = settle_axis(dim if axis is None else axis, values[0].ndim + 1, "stack")
    return cat([unsqueeze(x, along) for x in values], along)


def split(input: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Return consecutive parts of one axis: of one size, or of the given sizes.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    split_size_or_sections : int or sequence of int
        One size for all parts (the last may be smaller), or the size of each.
    dim : int
        The axis to split.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ShapeError
        If the given sizes do not sum to n, or one is negative.
    IndexRangeError
        If the axis does not exist.
    UsageError
        If the one size is not above 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.split(sw.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    x = as_value(input)
    n = x.shape[existing_axis(x, dim, "split")]
    if not isinstance(split_size_or_sections, Sequence):
        size = settle_integer(split_size_or_sections, "split")
        if size < 1:
            raise UsageError(
                explain(f"split: a part of size {size} cannot be; give 1 or more.", (x,))
            )
        sizes = [min(size, n - i) for i in range(0, n, size)] or [0]
    else:
        sizes = list(settle_shape((split_size_or_sections,), "split"))
        if sum(sizes) != n:
            raise ShapeError(explain(f"split: sizes {sizes} do not sum to {n}.", (x,)))
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    return tuple(narrow(x, dim, a, m) for a, m in zip(starts, sizes, strict=True))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Return at most `chunks` consecutive parts of equal size (the last may be smaller).

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    chunks : int
        How many parts at most.
    dim : int
        The axis to split.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    IndexRangeError
        If the axis does not exist.
    UsageError
        If chunks is not above 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.chunk(sw.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    x = as_value(input)
    n = x.shape[existing_axis(x, dim, "chunk")]
    if settle_integer(chunks, "chunk", "the number of parts") < 1:
        raise UsageError(explain(f"chunk: {chunks} parts cannot be; give 1 or more.", (x,)))
    return split(x, max(1, -(-n // chunks)), dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Return the slices along one axis, without that axis.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis to take apart.

    Returns
    -------
    tuple of n Tensors, each of the shape without that axis

    Raises
    ------
    IndexRangeError
        If the axis does not exist.
    ShapeError
        If input is 0-d.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.unbind(sw.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    x = as_value(input)
    axis = existing_axis(x, dim, "unbind")
    return bind(ops.unbind, (x,), {"axis": axis}) if x.shape[axis] else ()


def roll(input: Any, shifts: Axes, dims: Axes = None) -> Any:
    """Return input with entries moved along axes, those that leave coming in at the other end.

    Parameters
    ----------
    input : Tensor, shape (...)
    shifts : int or sequence of int
        By how many places, for each axis in dims.
    dims : int or sequence of int, optional
        The axes; left out, the elements are rolled as one vector.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If there is not one shift for each axis.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.roll(sw.arange(4), 1)
    tensor([3, 0, 1, 2])
    """
    x = as_value(input)
    if dims is None:
        return reshape(roll(flatten(x), shifts, 0), x.shape)
    places, axes = as_list(shifts), as_list(dims)
    if len(places) != len(axes):
        raise UsageError(
            explain(f"roll: {len(places)} shift(s) for {len(axes)} axes; give one for each.", (x,))
        )
    for shift, dim in zip(places, axes, strict=True):
        n = x.shape[existing_axis(x, dim, "roll")]
        if n:
            k = shift % n
            x = cat([narrow(x, dim, n - k, k), narrow(x, dim, 0, n - k)], dim)
    return x


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Any:
    """Return input with a border; `pad` counts from the last axis: (left, right, top, bottom...).

    Parameters
    ----------
    input : Tensor, shape (...)
    pad : sequence of int
        Two counts for each axis, the last axis first; negative counts cut (mode "constant").
    mode : {"constant", "reflect", "replicate", "circular"}
    value : float
        What a constant border holds.

    Returns
    -------
    Tensor, each padded axis longer by its two counts

    Raises
    ------
    UsageError
        If the mode is another word, or `pad` does not give pairs for the axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.pad(sw.tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    """
    x = as_value(input)
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise UsageError(explain(f"pad: {list(pad)} does not give pairs for {x.ndim} axes.", (x,)))
    before, after = [0] * x.ndim, [0] * x.ndim
    for i in range(len(pad) // 2):
        before[-1 - i], after[-1 - i] = int(pad[2 * i]), int(pad[2 * i + 1])
    if mode == "constant":
        return _pad_constant(x, before, after, value)
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in modes:
        raise UsageError(explain(f"pad: mode {mode!r} is not one of constant, {list(modes)}."))
    for axis, (a, b) in enumerate(zip(before, after, strict=True)):
        if a or b:
            source = np.pad(np.arange(x.shape[axis]), (a, b), mode=modes[mode])  # type: ignore[call-overload]
            x = _pick(x, axis, source)
    return x


def _pick(x: Any, axis: int, positions: np.ndarray[Any, Any]) -> Any:
    """Return the entries of one axis at known positions."""
    front = (axis, *(i for i in range(x.ndim) if i != axis))
    picked = bind(take, (permute(x, front) if axis else x, positions), {})
    return permute(picked, tuple(np.argsort(front).tolist())) if axis else picked


def _pad_constant(x: Any, before: list[int], after: list[int], value: float) -> Any:
    cut = [(max(0, -a), max(0, -b)) for a, b in zip(before, after, strict=True)]
    for axis, (a, b) in enumerate(cut):
        if a or b:
            x = narrow(x, axis, a, x.shape[axis] - a - b)
    starts = tuple(max(0, a) for a in before)
    ends = [max(0, b) for b in after]
    shape = tuple(n + a + b for n, a, b in zip(x.shape, starts, ends, strict=True))
    params = {"shape": shape, "starts": starts, "steps": (1,) * x.ndim}
    out = bind(ops.embed, (x,), params)
    if value == 0:
        return out
    inside = np.zeros(shape, bool)
    inside[tuple(np.s_[a : a + n] for a, n in zip(starts, x.shape, strict=True))] = True
    return bind(where, (inside, out, float(value) if x.dtype.kind == "f" else value), {})


def tile(input: Any, *dims: Any) -> Any:
    """Return input repeated along axes, new ones in front if there are more counts than axes.

    Parameters
    ----------
    input : Tensor, shape (...)
    *dims : int, or one sequence of int
        How often to repeat each axis; counts belong to the last axes.

    Returns
    -------
    Tensor, each size multiplied by its count

    Raises
    ------
    DTypeError
        If a count is no integer.
    ShapeError
        If a count is negative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.tile(sw.tensor([1, 2]), 2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    x = as_value(input)
    counts = settle_shape(dims, "repeat")
    ndim = max(len(counts), x.ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    sizes = (1,) * (ndim - x.ndim) + x.shape
    paired = tuple(m for n in sizes for m in (1, n))
    grown = tuple(m for c, n in zip(counts, sizes, strict=True) for m in (c, n))
    full = tuple(c * n for c, n in zip(counts, sizes, strict=True))
    return reshape(broadcast_to(reshape(x, paired), grown), full)


repeat = tile


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Any:
    """Return input with each entry of an axis repeated, a fixed or its own number of times.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    repeats : int, or Tensor of int, shape (n,)
        One count for all entries, or one for each.
    dim : int, optional
        The axis; left out, the elements are taken as one vector.

    Returns
    -------
    Tensor, shape (..., sum of the counts, ...)

    Raises
    ------
    IndexRangeError
        If the axis does not exist.
    ShapeError
        If there is neither one count nor one for each entry.
    DTypeError
        If a count is no integer.
    DomainError
        If a count is negative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.repeat_interleave(sw.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    x = given = as_value(input)
    if dim is None:
        x, dim = flatten(x), 0
    axis = existing_axis(x, dim, "repeat_interleave")
    counts = read_array(repeats) if isinstance(repeats, Value) else np.asarray(repeats)
    if counts.dtype.kind not in "iu":
        raise DTypeError(explain("repeat_interleave: the counts must be integers.", (given,)))
    if counts.shape not in ((), (1,), (x.shape[axis],)):
        raise ShapeError(
            explain(
                f"repeat_interleave: counts of shape {counts.shape} for an axis of size"
                f" {x.shape[axis]}; give one count, or one for each entry.",
                (given,),
            )
        )
    if counts.size and counts.min() < 0:
        raise DomainError(
            explain("repeat_interleave: a count is negative; use 0 or more.", (given,))
        )
    return _pick(x, axis, np.repeat(np.arange(x.shape[axis]), counts))


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Return coordinate grids of vectors; indexing "xy" exchanges the first two axes.

    Parameters
    ----------
    *tensors : Tensor, shape (n_i,), or one sequence of them
    indexing : {"ij", "xy"}
        Whether the first vector runs along axis 0 or along axis 1.

    Returns
    -------
    tuple of Tensor, shape (n_1, n_2, ...) each
        With "xy", the first two sizes are exchanged.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.meshgrid(sw.arange(2), sw.arange(2))
    (tensor([[0, 0],
            [1, 1]]), tensor([[0, 1],
            [0, 1]]))
    """
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    vectors = [as_value(x) for x in given]
    shape = tuple(v.shape[0] for v in vectors)
    grids = [
        broadcast_to(reshape(v, tuple(-1 if i == k else 1 for i in range(len(vectors)))), shape)
        for k, v in enumerate(vectors)
    ]
    return tuple(transpose(g, 0, 1) if indexing == "xy" and len(vectors) > 1 else g for g in grids)
