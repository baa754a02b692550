"""Truth values of the front: logic, closeness, and replacing what is not a number.

Invariant: logical functions take anything and ask whether it is 0; bitwise ones take integers and
truth values only. It is separate from the functions of numbers, on which it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._core.aval import BOOL
from slopewise._core.graph import Primitive, bind
from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front.elementwise import (
    Binary,
    _document,
    abs,
    add,
    eq,
    isnan,
    le,
    mul,
    ne,
    neg,
    sub,
    where,
)
from slopewise._front.operands import (
    as_value,
    promote_operands,
)  # fmt: skip
from slopewise._ops import (
    comparison,
)  # fmt: skip
from slopewise.errors import DTypeError


def _logic(name: str, logical: Primitive, bitwise: Primitive) -> Binary:
    def function(input: Any, other: Any) -> Any:
        a, b = promote_operands((input, other))
        kind = (a if isinstance(a, Value) else as_value(b)).dtype.kind
        if kind == "f":
            raise DTypeError(
                explain(f"{name}: needs truth values or integers, not floats.", (input, other))
            )
        if not isinstance(a, Value) and not isinstance(b, Value):
            a = as_value(a)
        return bind(logical if kind == "b" else bitwise, (a, b), {})

    refusal = "DTypeError\n    If an operand is a float."
    return _document(function, name, logical, "input, other", 0, refusal)


bitwise_and = _logic("bitwise_and", comparison.logical_and, comparison.bitwise_and)


bitwise_or = _logic("bitwise_or", comparison.logical_or, comparison.bitwise_or)


bitwise_xor = _logic("bitwise_xor", comparison.logical_xor, comparison.bitwise_xor)


def _truth(x: Any) -> Any:
    value = as_value(x)
    return value if value.dtype == BOOL else ne(value, 0)


def logical_and(input: Any, other: Any) -> Any:
    """Return whether both operands are true (not 0), elementwise.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast

    Returns
    -------
    Tensor of bool, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.logical_and(sw.tensor([1, 0]), sw.tensor([2, 2]))
    tensor([ True, False])
    """
    return bind(comparison.logical_and, (_truth(input), _truth(other)), {})


def logical_or(input: Any, other: Any) -> Any:
    """Return whether one operand or both are true (not 0), elementwise.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast

    Returns
    -------
    Tensor of bool, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.logical_or(sw.tensor([1, 0]), sw.tensor([0, 0]))
    tensor([ True, False])
    """
    return bind(comparison.logical_or, (_truth(input), _truth(other)), {})


def logical_xor(input: Any, other: Any) -> Any:
    """Return whether exactly one operand is true (not 0), elementwise.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast

    Returns
    -------
    Tensor of bool, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.logical_xor(sw.tensor([1, 0]), sw.tensor([2, 2]))
    tensor([False,  True])
    """
    return bind(comparison.logical_xor, (_truth(input), _truth(other)), {})


def logical_not(input: Any) -> Any:
    """Return whether the operand is false (0), elementwise.

    Parameters
    ----------
    input : Tensor, shape (...)

    Returns
    -------
    Tensor of bool, shape of input

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.logical_not(sw.tensor([1, 0]))
    tensor([False,  True])
    """
    return bind(comparison.logical_not, (_truth(input),), {})


def bitwise_not(input: Any) -> Any:
    """Return the complement: of truth values the opposite, of integers -x - 1.

    Parameters
    ----------
    input : Tensor of bool or int, shape (...)

    Returns
    -------
    Tensor, shape and dtype of input

    Raises
    ------
    DTypeError
        If input holds floats.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.bitwise_not(sw.tensor([True, False]))
    tensor([False,  True])
    >>> sw.bitwise_not(sw.tensor([0, 5]))
    tensor([-1, -6])
    """
    x = as_value(input)
    if x.dtype.kind == "f":
        raise DTypeError(
            explain("bitwise_not: needs truth values or integers, not floats.", (input,))
        )
    return logical_not(x) if x.dtype == BOOL else sub(neg(x), 1)


def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Return whether |input - other| <= atol + rtol |other|, elementwise.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast
    rtol, atol : float
        Relative and absolute tolerance.
    equal_nan : bool
        Whether two NaNs are close.

    Returns
    -------
    Tensor of bool, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.isclose(sw.tensor([1.0, 2.0]), sw.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    close = le(abs(sub(input, other)), add(mul(abs(other), rtol), atol))
    close = logical_or(close, eq(input, other))
    return logical_or(close, logical_and(isnan(input), isnan(other))) if equal_nan else close


def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Return whether all elements are close.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast
    rtol, atol : float
        Relative and absolute tolerance.
    equal_nan : bool
        Whether two NaNs are close.

    Returns
    -------
    bool

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.allclose(sw.tensor([1.0, 2.0]), sw.tensor([1.0, 2.1]))
    False
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def nan_to_num(input: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Return input with NaN and infinities replaced by numbers; integers have none.

    Parameters
    ----------
    input : Tensor, shape (...)
    nan : float
        What NaN becomes.
    posinf, neginf : float, optional
        What infinities become (default: the largest and smallest number of the dtype).

    Returns
    -------
    Tensor, shape of input

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nan_to_num(sw.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    x = as_value(input)
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    out = where(isnan(x), nan, x)
    out = where(eq(out, np.inf), float(limits.max) if posinf is None else posinf, out)
    return where(eq(out, -np.inf), float(limits.min) if neginf is None else neginf, out)
