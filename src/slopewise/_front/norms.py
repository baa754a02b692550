"""Norms, log-sum-exp, softmax and running folds of the front.

Invariant: each is right at its hard places by the rule of its primitive: a norm at 0, overflow in
exp, zeros in a product. It is separate from the plain reductions because none of them needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from slopewise._core.aval import DTYPES
from slopewise._core.graph import Primitive, bind
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._front import elementwise
from slopewise._front.documentation import compose, describe_rule
from slopewise._front.operands import (
    Axes,
    as_dtype,
    as_value,
    cast,
    one_of,
    settle_axis,
)  # fmt: skip
from slopewise._front.reduction import _float, _settle
from slopewise._front.shape import reshape
from slopewise._ops import reduction as ops
from slopewise._ops.shape import sum as sum_primitive
from slopewise.errors import UsageError


def logsumexp(
    input: Any,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool = False,
) -> Any:
    """Return ln sum exp over axes without overflow; of nothing but -inf the gradient is 0.

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
    DTypeError
        If the dtype is not a float.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.logsumexp(sw.tensor([1000.0, 1000.0]))
    tensor(1000.6932)
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "logsumexp")
    return bind(ops.logsumexp, (_float(x, "logsumexp"),), params)


def softmax(
    input: Any, dim: int | None = None, *, dtype: Any = None, axis: int | None = None
) -> Any:
    """Return exp(x) / sum exp(x) along one axis.

    Source: Bridle (1990), Probabilistic interpretation of feedforward classification network
    outputs.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
        Integers become floats.
    dim, axis : int
        The axis; two names for one argument.
    dtype : dtype, optional
        Convert to it first.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    UsageError
        If no axis is given, or both `dim` and `axis`.
    IndexRangeError
        If the axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.softmax(sw.tensor([0.0, 0.0, 1000.0]), 0)
    tensor([0., 0., 1.])
    """
    return _normalise(
        ops.softmax, "softmax", input, one_of(dim, axis, "dim, axis", "softmax"), dtype
    )


def log_softmax(
    input: Any, dim: int | None = None, *, dtype: Any = None, axis: int | None = None
) -> Any:
    """Return ln softmax along one axis, without overflow.

    Parameters
    ----------
    input : Tensor, shape (..., n, ...)
        Integers become floats.
    dim, axis : int
        The axis; two names for one argument.
    dtype : dtype, optional
        Convert to it first.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    UsageError
        If no axis is given, or both `dim` and `axis`.
    IndexRangeError
        If the axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.log_softmax(sw.tensor([0.0, 1000.0]), 0)
    tensor([-1000.,     0.])
    """
    chosen = one_of(dim, axis, "dim, axis", "log_softmax")
    return _normalise(ops.log_softmax, "log_softmax", input, chosen, dtype)


def _normalise(primitive: Primitive, name: str, input: Any, dim: int | None, dtype: Any) -> Any:
    x = as_value(input)
    if dim is None:
        raise UsageError(explain(f"{name}: say along which axis, for example dim=-1.", (x,)))
    x = cast(x, as_dtype(dtype)) if dtype is not None else x
    x = x if x.dtype.kind == "f" else cast(x, state.default_dtype)
    if x.ndim == 0:
        return reshape(_normalise(primitive, name, reshape(x, (1,)), 0, None), ())
    return bind(primitive, (x,), {"axis": settle_axis(dim, x.ndim, name)})


def norm(
    input: Any, p: Any = 2, dim: Axes = None, keepdim: bool = False, *, axis: Axes = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return the p-norm over axes: 1, 2 ("fro"), inf, -inf, 0 or another number.

    The gradient of the 2-norm at 0 is 0, the subgradient of least norm.

    Parameters
    ----------
    input : Tensor of float, shape (...)
    p : float or "fro"
        Which norm; 0 counts the elements that are not 0.
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
        If both `dim` and `axis` are given, an axis twice, or p is another word.
    DTypeError
        If the dtype is not a float.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.norm(sw.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x, params = _settle(input, dim, axis, keepdim, keepdims, "norm")
    x = _float(x, "norm")
    if p not in ("fro", "inf") and not isinstance(p, (int, float, np.number)):
        raise UsageError(explain(f"norm: p {p!r} is no number, 'fro' or 'inf'.", (x,)))
    if p in (2, "fro"):
        return bind(ops.norm, (x,), params)
    size = elementwise.abs(x)
    if p == 1:
        return bind(sum_primitive, (size,), params)
    if p in (float("inf"), "inf"):
        return bind(ops.max, (size,), params)
    if p == float("-inf"):
        return bind(ops.min, (size,), params)
    if p == 0:
        return bind(sum_primitive, (cast(elementwise.ne(x, 0), x.dtype),), params)
    total = bind(sum_primitive, (elementwise.pow(size, float(p)),), params)
    return elementwise.pow(total, 1.0 / p)


def _running(name: str, primitive: Primitive) -> Callable[..., Any]:
    def run(input: Any, dim: int | None = None, *, axis: int | None = None) -> Any:
        x = as_value(input)
        chosen = one_of(dim, axis, "dim, axis", name)
        if chosen is None:
            raise UsageError(explain(f"{name}: say along which axis, for example dim=0.", (x,)))
        if x.dtype.kind != "f":
            x = cast(x, DTYPES["int64"])
        if x.ndim == 0:
            return x
        return bind(primitive, (x,), {"axis": settle_axis(chosen, x.ndim, name), "reverse": False})

    run.__name__ = run.__qualname__ = name
    run.__doc__ = compose(
        f"Return the running {'sum' if name == 'cumsum' else 'product'} along one axis.",
        [describe_rule(primitive)],
        [
            ("Parameters",
             "input : Tensor, shape (...)\n    Integers and truth values give int64.\n"
             "dim, axis : int\n    The axis; two names for one argument."),
            ("Returns", "Tensor, shape of input"),
            ("Raises",
             "UsageError\n    If no axis is given, or both `dim` and `axis`.\n"
             "IndexRangeError\n    If the axis does not exist."),
        ],
        f">>> sw.{name}(sw.tensor([2, 3, 4]), 0)\n"
        f"tensor({'[2, 5, 9]' if name == 'cumsum' else '[ 2,  6, 24]'})",
    )  # fmt: skip
    return run


cumsum = _running("cumsum", ops.cumsum)


cumprod = _running("cumprod", ops.cumprod)
