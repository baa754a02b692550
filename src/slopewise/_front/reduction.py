"""Reductions of the front: sums, means, extrema, norms, running folds, softmax.

Invariant: `dim`/`keepdim` and `axis`/`keepdims` mean the same; None reduces everything. Mean and
variance are compositions of primitives; std goes through the norm, so that it is right at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod as _product
from typing import Any, NamedTuple

import numpy as np

from slopewise._core.aval import BOOL, DTYPES
from slopewise._core.graph import Primitive, bind
from slopewise._core.source import explain
from slopewise._front import elementwise
from slopewise._front.creation import settle_integers
from slopewise._front.documentation import compose, describe_rule
from slopewise._front.operands import (
    Axes,
    as_dtype,
    as_value,
    cast,
    one_of,
    settle_axes,
    settle_axis,
)  # fmt: skip
from slopewise._front.shape import flatten, reshape
from slopewise._ops import reduction as ops
from slopewise._ops.arithmetic import div, square, sub
from slopewise._ops.shape import sum as sum_primitive
from slopewise.errors import DTypeError, ShapeError


class Extremum(NamedTuple):
    """Values and their positions along one axis, as max, min and sort return them.

    Attributes
    ----------
    values : Tensor, shape without the axis (with it, from sort and topk)
    indices : Tensor of int64, shape of the values

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.max(sw.tensor([1.0, 5.0, 3.0]), 0)
    Extremum(values=tensor(5.), indices=tensor(1))
    """

    values: Any
    indices: Any


def _settle(
    input: Any, dim: Axes, axis: Axes, keepdim: bool, keepdims: bool, operation: str
) -> tuple[Any, dict[str, Any]]:
    x = as_value(input)
    named = one_of(dim, axis, "dim, axis", operation)
    if named is not None and not isinstance(named, int):
        named = settle_integers((named,), operation, "an axis")
    axes = settle_axes(named, x.ndim, operation)
    return x, {"axes": axes, "keepdims": bool(keepdim or keepdims)}


def _float(x: Any, operation: str, dtype: Any = None) -> Any:
    if dtype is not None:
        return cast(x, as_dtype(dtype))
    if x.dtype.kind != "f":
        raise DTypeError(
            explain(f"{operation}: needs floats, got {x.dtype}; convert with .float().", (x,))
        )
    return x


def sum(
    input: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None, axis: Axes = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return the sum over axes (all of them by default); integers and truth values give int64.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.
    dtype : dtype, optional
        Convert to it first.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.sum(sw.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([4., 6.])
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "sum")
    if dtype is not None:
        x = cast(x, as_dtype(dtype))
    elif x.dtype.kind != "f":
        x = cast(x, DTYPES["int64"])
    return bind(sum_primitive, (x,), params)


def _count(x: Any, axes: tuple[int, ...]) -> int:
    return _product(x.shape[a] for a in axes)


def mean(
    input: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None, axis: Axes = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return the mean over axes (all of them by default).

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.
    dtype : dtype, optional
        Convert to it first.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.
    DTypeError
        If the dtype is not a float.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.mean(sw.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([2., 3.])
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "mean")
    x = _float(x, "mean", dtype)
    return bind(div, (bind(sum_primitive, (x,), params), float(_count(x, params["axes"]))), {})


def _centred(x: Any, axes: tuple[int, ...]) -> Any:
    total = bind(sum_primitive, (x,), {"axes": axes, "keepdims": True})
    return bind(sub, (x, bind(div, (total, float(_count(x, axes))), {})), {})


def var(
    input: Any, dim: Axes = None, unbiased: bool = True, keepdim: bool = False, *,
    correction: float | None = None, axis: Axes = None, keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return the variance over axes, divided by n - correction (1 by default).

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.
    unbiased : bool
        Divide by n - 1, or else by n.
    correction : float, optional
        What is taken from n, in place of `unbiased`.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.
    DTypeError
        If the dtype is not a float.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.var(sw.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "var")
    x = _float(x, "var")
    less = float(unbiased) if correction is None else correction
    total = bind(sum_primitive, (bind(square, (_centred(x, params["axes"]),), {}),), params)
    return bind(div, (total, max_(0.0, _count(x, params["axes"]) - less)), {})


max_ = max


def std(
    input: Any, dim: Axes = None, unbiased: bool = True, keepdim: bool = False, *,
    correction: float | None = None, axis: Axes = None, keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return the standard deviation over axes; its gradient at constant data is 0.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.
    unbiased : bool
        Divide by n - 1, or else by n.
    correction : float, optional
        What is taken from n, in place of `unbiased`.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.
    DTypeError
        If the dtype is not a float.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.std(sw.tensor([0.0, 0.0, 2.0, 4.0, 4.0]))
    tensor(2.)
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "std")
    x = _float(x, "std")
    less = float(unbiased) if correction is None else correction
    length = bind(ops.norm, (_centred(x, params["axes"]),), params)
    return bind(div, (length, float(max_(0.0, _count(x, params["axes"]) - less)) ** 0.5), {})


def prod(
    input: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None, axis: Axes = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return the product over axes; its gradient is right with zeros among the factors.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.
    dtype : dtype, optional
        Convert to it first.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor([0.0, 2.0, 3.0], requires_grad=True)
    >>> sw.prod(x).backward()
    >>> x.grad
    tensor([6., 0., 0.])
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "prod")
    if dtype is not None:
        x = cast(x, as_dtype(dtype))
    elif x.dtype.kind != "f":
        x = cast(x, DTYPES["int64"])
    return bind(ops.prod, (x,), params)


def _nonempty(x: Any, axes: tuple[int, ...], operation: str) -> None:
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(
            explain(f"{operation}: an axis of {x.shape} is empty, so there is none.", (x,))
        )


def _extreme(name: str, primitive: Primitive, position: Primitive, pair: str) -> Any:
    def reduce(
        input: Any, dim: Any = None, keepdim: bool = False, *, axis: Axes = None,
        keepdims: bool = False, other: Any = None,
    ) -> Any:  # fmt: skip
        if other is not None or hasattr(dim, "dtype"):
            return getattr(elementwise, pair)(input, dim if other is None else other)
        x, params = _settle(input, dim, axis, keepdim, keepdims, name)
        _nonempty(x, params["axes"], name)
        values = bind(primitive, (x,), params)
        if dim is None or not isinstance(dim, int):
            return values
        if not x.ndim:
            return Extremum(values, as_value(np.asarray(0)))
        indices = bind(position, (x,), {"axis": params["axes"][0]})
        return Extremum(values, reshape(indices, values.shape))

    reduce.__name__ = reduce.__qualname__ = name
    largest = "largest" if name == "max" else "smallest"
    reduce.__doc__ = compose(
        f"Return the {name}imum over axes; with `dim`, the values and their positions.",
        [
            f"With another tensor in place of `dim`, it is `{pair}`. Ties share the gradient"
            " equally.",
            describe_rule(primitive),
        ],
        [
            ("Parameters",
             "input : Tensor, shape (...)\n"
             "dim, axis : int or sequence of int, optional\n"
             f"    The axes (default: all, and only the {largest} number is returned).\n"
             "keepdim, keepdims : bool\n"
             "    Keep reduced axes with size 1; two names for one argument.\n"
             "other : Tensor, of a shape that broadcasts, optional\n"
             "    Compare with it, elementwise."),
            ("Returns",
             "Tensor, or Extremum of `values` and `indices` for an integer `dim`\n"
             "    Each has the shape without the reduced axes."),
            ("Raises",
             "ShapeError\n    If a reduced axis is empty.\n"
             "IndexRangeError\n    If an axis does not exist.\n"
             "UsageError\n    If both `dim` and `axis` are given, or an axis twice."),
        ],
        f">>> sw.{name}(sw.tensor([[1.0, 2.0], [4.0, 3.0]]), 1).values\n"
        f"tensor({'[2., 4.]' if name == 'max' else '[1., 3.]'})",
    )  # fmt: skip
    return reduce


max = _extreme("max", ops.max, ops.argmax, "maximum")
min = _extreme("min", ops.min, ops.argmin, "minimum")


def amax(
    input: Any,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool = False,
) -> Any:
    """Return the largest value over axes; ties share the gradient equally.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.
    ShapeError
        If a reduced axis is empty.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.amax(sw.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([3., 4.])
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "amax")
    _nonempty(x, params["axes"], "amax")
    return bind(ops.max, (x,), params)


def amin(
    input: Any,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool = False,
) -> Any:
    """Return the smallest value over axes; ties share the gradient equally.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.
    ShapeError
        If a reduced axis is empty.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.amin(sw.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([1., 2.])
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "amin")
    _nonempty(x, params["axes"], "amin")
    return bind(ops.min, (x,), params)


def _position(name: str, primitive: Primitive) -> Callable[..., Any]:
    def find(
        input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None,
        keepdims: bool = False,
    ) -> Any:  # fmt: skip
        x = as_value(input)
        chosen = one_of(dim, axis, "dim, axis", name)
        if chosen is None or x.ndim == 0:
            x, along = flatten(x), 0
        else:
            along = settle_axis(chosen, x.ndim, name)
        _nonempty(x, (along,), name)
        out = bind(primitive, (x,), {"axis": along})
        if chosen is not None and (keepdim or keepdims):
            out = reshape(out, tuple(1 if i == along else n for i, n in enumerate(x.shape)))
        return out

    find.__name__ = find.__qualname__ = name
    find.__doc__ = compose(
        f"Return the position of the {name[3:]}imum, of all elements or along one axis.",
        ["Of equal elements the first is taken.", describe_rule(primitive)],
        [
            ("Parameters",
             "input : Tensor, shape (...)\n"
             "dim, axis : int, optional\n"
             "    The axis; left out, input counts as one vector; two names for one argument.\n"
             "keepdim, keepdims : bool\n"
             "    Keep the axis with size 1; two names for one argument."),
            ("Returns", "Tensor of int64, shape without the axis"),
            ("Raises",
             "ShapeError\n    If the axis is empty.\n"
             "IndexRangeError\n    If the axis does not exist.\n"
             "UsageError\n    If both `dim` and `axis` are given."),
        ],
        f">>> sw.{name}(sw.tensor([2.0, 5.0, 1.0]))\ntensor({1 if name == 'argmax' else 2})",
    )  # fmt: skip
    return find


argmax = _position("argmax", ops.argmax)
argmin = _position("argmin", ops.argmin)


def any(
    input: Any,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool = False,
) -> Any:
    """Return whether any element is true (not 0).

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.

    Returns
    -------
    Tensor of bool, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.any(sw.tensor([[0, 1], [0, 0]]), 1)
    tensor([ True, False])
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "any")
    return bind(ops.any, (x if x.dtype == BOOL else elementwise.ne(x, 0),), params)


def all(
    input: Any,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool = False,
) -> Any:
    """Return whether all elements are true (not 0).

    Parameters
    ----------
    input : Tensor, shape (...)
    dim, axis : int or sequence of int, optional
        The axes to reduce (default: all); two names for one argument.
    keepdim, keepdims : bool
        Keep reduced axes with size 1; two names for one argument.

    Returns
    -------
    Tensor of bool, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    UsageError
        If both `dim` and `axis` are given, or an axis twice.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.all(sw.tensor([[1, 1], [0, 1]]), 1)
    tensor([ True, False])
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "all")
    return bind(ops.all, (x if x.dtype == BOOL else elementwise.ne(x, 0),), params)


def var_mean(input: Any, dim: Axes = None, unbiased: bool = True, keepdim: bool = False) -> Any:
    """Return the variance and the mean over axes.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim : int or sequence of int, optional
        The axes to reduce (default: all).
    unbiased : bool
        Divide by n - 1, or else by n.
    keepdim : bool
        Keep reduced axes with size 1.

    Returns
    -------
    tuple of two Tensors, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    DTypeError
        If the dtype is not a float.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.var_mean(sw.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    return var(input, dim, unbiased, keepdim), mean(input, dim, keepdim)


def std_mean(input: Any, dim: Axes = None, unbiased: bool = True, keepdim: bool = False) -> Any:
    """Return the standard deviation and the mean over axes.

    Parameters
    ----------
    input : Tensor, shape (...)
    dim : int or sequence of int, optional
        The axes to reduce (default: all).
    unbiased : bool
        Divide by n - 1, or else by n.
    keepdim : bool
        Keep reduced axes with size 1.

    Returns
    -------
    tuple of two Tensors, shape without the reduced axes

    Raises
    ------
    IndexRangeError
        If an axis does not exist.
    DTypeError
        If the dtype is not a float.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.std_mean(sw.tensor([0.0, 0.0, 2.0, 4.0, 4.0]))
    (tensor(2.), tensor(2.))
    """
    return std(input, dim, unbiased, keepdim), mean(input, dim, keepdim)
