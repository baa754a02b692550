"""Shape functions of the front: views, joins, splits, repetitions, triangles.

Invariant: each is a composition of the view primitives; `dim` and `axis` are both accepted where
the array API has another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from slopewise._core.aval import broadcast_shapes
from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front.creation import settle_integer, settle_integers
from slopewise._front.operands import (
    Axes,
    as_value,
    one_of,
    settle_axes,
    settle_axis,
)  # fmt: skip
from slopewise._ops import shape as ops
from slopewise._ops.comparison import where
from slopewise.errors import ShapeError, UsageError


def existing_axis(x: Any, dim: int, operation: str) -> int:
    """Return an axis that must exist, as a number from 0; a number has none."""
    axis = settle_axis(settle_integer(dim, operation, "an axis"), x.ndim, operation)
    if x.ndim == 0:
        raise ShapeError(
            explain(f"{operation}: a 0-d tensor has no axis; reshape it to (1,) first.", (x,))
        )
    return axis


def as_list(numbers: Axes) -> list[int]:
    """Return one number or several as a list."""
    return [] if numbers is None else list(settle_integers((numbers,), "axes", "an axis"))


def reshape(input: Any, *shape: Any) -> Any:
    """Return the elements in another shape; one size may be -1.

    Parameters
    ----------
    input : Tensor, shape (...)
    *shape : int, or one sequence of int
        The new sizes; -1 stands for what remains.

    Returns
    -------
    Tensor, shape (*shape)

    Raises
    ------
    ShapeError
        If the number of elements differs.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.reshape(sw.arange(4), 2, -1)
    tensor([[0, 1],
            [2, 3]])
    """
    x = as_value(input)
    given = settle_integers(shape, "reshape")
    sizes = list(given)
    total = prod(x.shape)
    if sizes.count(-1) == 1:
        known = -prod(sizes)
        sizes[sizes.index(-1)] = total // known if known else 0
    if prod(sizes) != total or any(n < 0 for n in sizes):
        raise ShapeError(
            explain(
                f"reshape: {total} elements of shape {x.shape} do not fit shape {given}.",
                (x,),
            )
        )
    return bind(ops.reshape, (x,), {"shape": tuple(sizes)})


view = reshape


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Return the axes start_dim to end_dim joined into one.

    Parameters
    ----------
    input : Tensor, shape (...)
    start_dim, end_dim : int
        First and last of the axes to join, both included; the first does not come after the last.

    Returns
    -------
    Tensor, shape (..., product of the joined sizes, ...)

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If start_dim comes after end_dim.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.flatten(sw.ones(2, 3, 4), 1).shape
    (2, 12)
    """
    x = as_value(input)
    first = settle_axis(start_dim, x.ndim, "flatten")
    last = settle_axis(end_dim, x.ndim, "flatten")
    if first > last:
        raise UsageError(
            explain(
                f"flatten: start_dim {start_dim} comes after end_dim {end_dim} of {x.ndim} axes;"
                " exchange them.",
                (x,),
            )
        )
    return reshape(x, (*x.shape[:first], prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Return one axis split into several.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis to split.
    sizes : sequence of int
        Their product is n; one of them may be -1.

    Returns
    -------
    Tensor, shape (..., *sizes, ...)

    Raises
    ------
    IndexRangeError
        If the axis does not exist.
    ShapeError
        If the sizes do not multiply to n.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.unflatten(sw.ones(2, 6), 1, (3, -1)).shape
    (2, 3, 2)
    """
    x = as_value(input)
    axis = existing_axis(x, dim, "unflatten")
    sizes = settle_integers((sizes,), "unflatten")
    return reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :])) if -1 not in sizes else (
        reshape(x, (*x.shape[:axis], *_infer(x.shape[axis], sizes), *x.shape[axis + 1 :]))
    )  # fmt: skip


def _infer(total: int, sizes: Sequence[int]) -> list[int]:
    known = -prod(sizes)
    return [(total // known if known else 0) if n == -1 else n for n in sizes]


def permute(input: Any, *dims: Any) -> Any:
    """Return the axes in another order.

    Parameters
    ----------
    input : Tensor, shape (...)
    *dims : int, or one sequence of int
        For each axis of the result, the axis of input that goes there.

    Returns
    -------
    Tensor, the sizes of input in the order of dims

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    ShapeError
        If `dims` is not a permutation of the axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.permute(sw.ones(2, 3, 4), 2, 0, 1).shape
    (4, 2, 3)
    """
    x = as_value(input)
    order = settle_integers(dims, "permute", "an axis")
    axes = tuple(settle_axis(d, x.ndim, "permute") for d in order)
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(explain(f"permute: {order} does not order {x.ndim} axes.", (x,)))
    return bind(ops.transpose, (x,), {"axes": axes})


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Return input with two axes exchanged.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim0, dim1 : int
        The axes to exchange.

    Returns
    -------
    Tensor, the shape of input with two sizes exchanged

    Raises
    ------
    IndexRangeError
        If an axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.transpose(sw.tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([[1, 3],
            [2, 4]])
    """
    x = as_value(input)
    a, b = settle_axis(dim0, x.ndim, "transpose"), settle_axis(dim1, x.ndim, "transpose")
    axes = list(range(x.ndim))
    if axes:
        axes[a], axes[b] = axes[b], axes[a]
    return bind(ops.transpose, (x,), {"axes": tuple(axes)})


swapaxes = transpose


def movedim(input: Any, source: Axes, destination: Axes) -> Any:
    """Return input with axes moved to other positions.

    Parameters
    ----------
    input : Tensor, shape (...)
    source, destination : int or sequence of int
        Where axes are, and where they go; the other axes keep their order.

    Returns
    -------
    Tensor, the sizes of input in another order

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If there are more sources than destinations, or fewer.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.movedim(sw.ones(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    x = as_value(input)
    from_ = [settle_axis(a, x.ndim, "movedim") for a in as_list(source)]
    to = [settle_axis(a, x.ndim, "movedim") for a in as_list(destination)]
    if len(from_) != len(to):
        raise UsageError(
            explain(f"movedim: {len(from_)} sources and {len(to)} destinations.", (x,))
        )
    axes = [i for i in range(x.ndim) if i not in from_]
    for d, s in sorted(zip(to, from_, strict=True)):
        axes.insert(d, s)
    return permute(x, axes)


def t(input: Any) -> Any:
    """Return the transpose of a matrix (a vector or number is returned as it is).

    Parameters
    ----------
    input : Tensor, shape (n, m), (n,) or ()

    Returns
    -------
    Tensor, shape (m, n), (n,) or ()

    Raises
    ------
    ShapeError
        If there are more than two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.t(sw.tensor([[1, 2, 3]])).shape
    (3, 1)
    """
    x = as_value(input)
    if x.ndim > 2:
        raise ShapeError(explain(f"t: needs at most 2 axes, has {x.ndim}; use .mT.", (x,)))
    return transpose(x, 0, 1) if x.ndim == 2 else x


def squeeze(input: Any, dim: Axes = None, *, axis: Axes = None) -> Any:
    """Return input without its axes of size 1 (all of them, or those named).

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        Axes to drop where their size is 1; two names for one argument.

    Returns
    -------
    Tensor, shape without those axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.squeeze(sw.ones(1, 3, 1)).shape
    (3,)
    >>> sw.squeeze(sw.ones(1, 3, 1), 0).shape
    (3, 1)
    """
    x = as_value(input)
    axes = settle_axes(one_of(dim, axis, "dim, axis", "squeeze"), x.ndim, "squeeze")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes or n != 1))


def unsqueeze(input: Any, dim: int) -> Any:
    """Return input with an axis of size 1 inserted.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim : int
        The place of the new axis in the result.

    Returns
    -------
    Tensor, shape (..., 1, ...)

    Raises
    ------
    IndexRangeError
        If there is no such place.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.unsqueeze(sw.ones(3), 0).shape
    (1, 3)
    """
    x = as_value(input)
    axis = settle_axis(dim, x.ndim + 1, "unsqueeze")
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def broadcast_to(input: Any, *shape: Any) -> Any:
    """Return input repeated to a larger shape, without a copy; -1 keeps an axis.

    Parameters
    ----------
    input : Tensor, shape (...)
    *shape : int, or one sequence of int
        The sizes; new axes come first.

    Returns
    -------
    Tensor, shape (*shape)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.broadcast_to(sw.tensor([1, 2]), 2, 2)
    tensor([[1, 2],
            [1, 2]])
    """
    x = as_value(input)
    sizes = settle_integers(shape, "expand")
    offset = len(sizes) - x.ndim
    full = tuple(x.shape[i - offset] if n == -1 and i >= offset else n for i, n in enumerate(sizes))
    fits = offset >= 0 and all(n in (1, m) for n, m in zip(x.shape, full[offset:], strict=True))
    if not fits:
        raise ShapeError(explain(f"expand: shape {x.shape} does not broadcast to {sizes}.", (x,)))
    return bind(ops.broadcast_to, (x,), {"shape": full})


expand = broadcast_to


def common_shape(
    shapes: Sequence[tuple[int, ...]], operation: str, operands: Sequence[Any]
) -> tuple[int, ...]:
    """Return the shape to which shapes broadcast; an error names the operation and operands."""
    try:
        return broadcast_shapes(*(tuple(s) for s in shapes), operation=operation)
    except ShapeError as error:
        raise ShapeError(explain(str(error), tuple(operands))) from None


def as_several(tensors: Any, operation: str) -> list[Any]:
    """Return the operands of a join, which must be a sequence of at least one."""
    if not isinstance(tensors, Value) and not isinstance(tensors, (Sequence, np.ndarray)):
        raise UsageError(explain(f"{operation}: needs a sequence of tensors: {operation}([a, b])."))
    listed: list[Any] = list(tensors)  # pyright: ignore[reportArgumentType]
    if not listed:
        raise UsageError(explain(f"{operation}: needs at least one tensor."))
    return listed


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """Return `length` entries of one axis, from `start`.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
    dim : int
        The axis to cut.
    start, length : int
        The first entry, from 0, and how many.

    Returns
    -------
    Tensor, shape (..., length, ...)

    Raises
    ------
    ShapeError
        If the part leaves the axis.
    IndexRangeError
        If the axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.narrow(sw.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    x = as_value(input)
    axis = existing_axis(x, dim, "narrow")
    if not 0 <= start <= start + length <= x.shape[axis]:
        raise ShapeError(
            explain(f"narrow: {start}..{start + length} leaves axis {axis} of {x.shape}.", (x,))
        )
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    stops = tuple(start + length if i == axis else n for i, n in enumerate(x.shape))
    return bind(ops.slice, (x,), {"starts": starts, "stops": stops, "steps": (1,) * x.ndim})


def flip(input: Any, dims: Axes = None, *, axis: Axes = None) -> Any:
    """Return input with the order along axes reversed.

    Parameters
    ----------
    input : Tensor, shape (...)
    dims, axis : int or sequence of int, optional
        The axes to reverse (default: all); two names for one argument.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dims` and `axis` are given.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.flip(sw.arange(3))
    tensor([2, 1, 0])
    """
    x = as_value(input)
    axes = settle_axes(one_of(dims, axis, "dims, axis", "flip"), x.ndim, "flip")
    return bind(ops.flip, (x,), {"axes": axes})


def _triangle(input: Any, diagonal: int, lower: bool) -> Any:
    x = as_value(input)
    name = "tril" if lower else "triu"
    if x.ndim < 2:
        raise ShapeError(
            explain(f"{name}: needs matrices on the last two axes, has {tuple(x.shape)}.", (x,))
        )
    k = settle_integer(diagonal, name, "the diagonal")
    below = np.tri(*x.shape[-2:], k=k if lower else k - 1, dtype=bool)
    mask = np.broadcast_to(below if lower else ~below, x.shape)
    return bind(where, (mask, x, 0.0 if x.dtype.kind == "f" else 0), {})


def tril(input: Any, diagonal: int = 0) -> Any:
    """Return the lower triangle of matrices, zeros elsewhere.

    Parameters
    ----------
    input : Tensor, shape (..., n, m)
    diagonal : int
        The last diagonal that is kept: 0 the main one, negative ones below it.

    Returns
    -------
    Tensor, shape (..., n, m)

    Raises
    ------
    ShapeError
        If input has less than two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.tril(sw.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return _triangle(input, diagonal, True)


def triu(input: Any, diagonal: int = 0) -> Any:
    """Return the upper triangle of matrices, zeros elsewhere.

    Parameters
    ----------
    input : Tensor, shape (..., n, m)
    diagonal : int
        The first diagonal that is kept: 0 the main one, positive ones above it.

    Returns
    -------
    Tensor, shape (..., n, m)

    Raises
    ------
    ShapeError
        If input has less than two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.triu(sw.ones(2, 2), 1)
    tensor([[0., 1.],
            [0., 0.]])
    """
    return _triangle(input, diagonal, False)


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Return the diagonal of two axes, as the last axis.

    Parameters
    ----------
    input : Tensor, shape (...), of at least two axes
    offset : int
        Which diagonal: 0 the main one, positive above it, negative below it.
    dim1, dim2 : int
        The two axes.

    Returns
    -------
    Tensor, shape (other axes..., length of the diagonal)

    Raises
    ------
    IndexRangeError
        If an axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.diagonal(sw.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    x = as_value(input)
    a, b = existing_axis(x, dim1, "diagonal"), existing_axis(x, dim2, "diagonal")
    rest = [i for i in range(x.ndim) if i not in (a, b)]
    moved = permute(x, *rest, a, b)
    n, m = moved.shape[-2:]
    if offset >= 0:
        moved, m = narrow(moved, -1, min(offset, m), max(0, m - offset)), max(0, m - offset)
    else:
        moved, n = narrow(moved, -2, min(-offset, n), max(0, n + offset)), max(0, n + offset)
    k = min(n, m)
    square = narrow(narrow(moved, -2, 0, k), -1, 0, k)
    flat = reshape(square, (*square.shape[:-2], k * k))
    if k == 0:
        return flat
    axis = flat.ndim - 1
    stops = (*flat.shape[:-1], k * k)
    steps = tuple(k + 1 if i == axis else 1 for i in range(flat.ndim))
    return bind(ops.slice, (flat,), {"starts": (0,) * flat.ndim, "stops": stops, "steps": steps})


def diag(input: Any, diagonal: int = 0) -> Any:
    """Return the diagonal of a matrix, or the matrix with a vector on its diagonal.

    Parameters
    ----------
    input : Tensor, shape (n, m) or (n,)
    diagonal : int
        Which diagonal: 0 the main one, positive above it, negative below it.

    Returns
    -------
    Tensor, shape (length,) of a matrix, (n + abs(diagonal),) * 2 of a vector

    Raises
    ------
    ShapeError
        If input has neither one nor two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.diag(sw.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    x = as_value(input)
    if x.ndim == 2:
        return globals()["diagonal"](x, diagonal)
    if x.ndim != 1:
        raise ShapeError(explain(f"diag: needs 1 or 2 axes, has {x.ndim}.", (x,)))
    n = x.shape[0] + builtin_abs(diagonal)
    start = diagonal if diagonal >= 0 else -diagonal * n
    params = {"shape": (n * n,), "starts": (start,), "steps": (n + 1,)}
    return reshape(bind(ops.embed, (x,), params), (n, n))


builtin_abs = abs
