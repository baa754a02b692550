"""How a formula on float64 blocks becomes a kernel for arrays of either dtype.

Invariant: a kernel returns its operand's dtype, works in float64 inside (float32 is rounded once,
at the end), leaves its operands alone, and holds the temporaries of a large array to one block at a
time. Special points are patched, so that they cost nothing where there are none. Warnings of the
floating-point unit are the caller's: it enters `np.errstate`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign
from typing import Any

import numpy as np

from slopewise._kernels.double_double import Block, Pair

# Elements worked on at a time: ten or so float64 temporaries of it stay in a level 2 cache.
BLOCK = 8192


def widen(ufunc: np.ufunc, x: Any) -> Any:
    """Apply a NumPy function in float64, and round the result to the operand's dtype.

    Parameters
    ----------
    ufunc : np.ufunc
        A function of one operand.
    x : float32 or float64 array or scalar, any shape

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> widen(np.exp, np.float32(1.0)).dtype
    dtype('float32')
    """
    char = x.dtype.char
    if char == "d":
        return ufunc(x)
    if char != "f":
        raise _dtype_error(ufunc.__name__, x)
    if x.ndim == 0:
        return np.float32(ufunc(np.float64(x)))
    # NumPy's buffered loop converts a piece at a time: no float64 copy of the whole array.
    return ufunc(x, out=np.empty_like(x), dtype=np.float64, casting="same_kind")


def widen_two(ufunc: np.ufunc, x: Any, y: Any) -> Any:
    """Apply a NumPy function of two operands in float64, and round to their dtype.

    Parameters
    ----------
    ufunc : np.ufunc
        A function of two operands.
    x, y : float32 or float64 array or scalar, or Python float
        Shapes that broadcast.

    Returns
    -------
    array or scalar
        The wider dtype of the two; a Python float takes the other operand's.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> widen_two(np.power, np.float32(2.0), 3.0)
    np.float32(8.0)
    """
    dtype = np.result_type(x, y)
    if dtype.char == "d":
        return ufunc(x, y)
    if dtype.char != "f":
        raise _dtype_error(ufunc.__name__, np.empty(0, dtype))
    # A Python float is rounded to float32 first, as NumPy does.
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    if x.ndim == 0 and y.ndim == 0:
        return np.float32(ufunc(np.float64(x), np.float64(y)))
    out = np.empty(np.broadcast_shapes(x.shape, y.shape), dtype)
    return ufunc(x, y, out=out, dtype=np.float64, casting="same_kind")


def apply(
    core: Callable[[Block], Block], x: Any, single: Callable[[Block], Block] | None = None
) -> Any:
    """Apply a float64 formula to an operand of either dtype, block by block.

    Parameters
    ----------
    core : callable
        From a float64 block (array or NumPy scalar) to one of the same shape.
    x : float32 or float64 array or scalar, any shape
    single : callable, optional
        A shorter formula, on float64 blocks too, that is enough for a float32 operand.

    Returns
    -------
    array or scalar, the operand's dtype and shape

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> apply(lambda x: x + 1.0, np.zeros(2, np.float32))
    array([1., 1.], dtype=float32)
    """
    dtype = x.dtype
    if dtype.char not in "fd":
        raise _dtype_error(core.__name__.strip("_"), x)
    if single is not None and dtype.char == "f":
        core = single
    if x.ndim == 0:
        return dtype.type(core(np.float64(x)))
    if x.size <= BLOCK:
        return core(x.astype(np.float64, copy=False)).astype(dtype, copy=False)
    out = np.empty(x.shape, dtype)
    source, target = x.reshape(-1), out.reshape(-1)
    for start in range(0, x.size, BLOCK):
        piece = source[start : start + BLOCK].astype(np.float64, copy=False)
        target[start : start + BLOCK] = core(piece)
    return out


def apply_two(core: Callable[[Block, Block], Block], x: Any, y: Any) -> Any:
    """Apply a float64 formula to two operands of either dtype, block by block.

    Parameters
    ----------
    core : callable
        From two float64 blocks of one shape to one of that shape.
    x, y : float32 or float64 array or scalar, or Python float
        Shapes that broadcast.

    Returns
    -------
    array or scalar
        The wider dtype of the two; a Python float takes the other operand's.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.

    Examples
    --------
    >>> apply_two(lambda x, y: x * y, np.ones(2, np.float32), 0.5)
    array([0.5, 0.5], dtype=float32)
    """
    dtype = np.result_type(x, y)
    if dtype.char not in "fd":
        raise _dtype_error(core.__name__.strip("_"), np.empty(0, dtype))
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    if x.ndim == 0 and y.ndim == 0:
        return dtype.type(core(np.float64(x), np.float64(y)))
    x, y = np.broadcast_arrays(x, y)
    if x.size <= BLOCK:
        wide = core(x.astype(np.float64, copy=False), y.astype(np.float64, copy=False))
        return wide.astype(dtype, copy=False)
    out = np.empty(x.shape, dtype)
    first, second, target = x.reshape(-1), y.reshape(-1), out.reshape(-1)
    for start in range(0, x.size, BLOCK):
        piece = slice(start, start + BLOCK)
        target[piece] = core(
            first[piece].astype(np.float64, copy=False),
            second[piece].astype(np.float64, copy=False),
        )
    return out


def select(condition: Any, a: Block, b: Block) -> Block:
    """Return `a` where the condition holds, else `b`; quick on scalars too.

    Parameters
    ----------
    condition : bool array or scalar, any shape
    a, b : float64 array or scalar, the condition's shape or none

    Returns
    -------
    float64 array or scalar, the condition's shape

    Examples
    --------
    >>> select(np.bool_(True), 1.0, 2.0)
    1.0
    """
    if isinstance(condition, np.ndarray):
        return np.where(condition, a, b)
    return a if condition else b


def select_pair(condition: Any, a: Pair, b: Pair) -> Pair:
    """Return the pair `a` where the condition holds, else the pair `b`.

    Parameters
    ----------
    condition : bool array or scalar, any shape
    a, b : pair of float64, the condition's shape or none

    Returns
    -------
    (high, low) : pair of float64, the condition's shape

    Examples
    --------
    >>> select_pair(np.bool_(False), (1.0, 0.0), (2.0, 0.0))
    (2.0, 0.0)
    """
    return select(condition, a[0], b[0]), select(condition, a[1], b[1])


def at_most(x: Block, bound: float) -> Block:
    """Return the smaller of an operand and a bound; NaN stays NaN. Quick on scalars too.

    Parameters
    ----------
    x : float64 array or scalar, any shape
    bound : float

    Returns
    -------
    float64 array or scalar, the operand's shape

    Examples
    --------
    >>> float(at_most(np.float64(3.0), 2.0))
    2.0
    """
    if isinstance(x, np.ndarray):
        return np.minimum(x, bound)
    return np.float64(bound) if x > bound else x


def with_sign(size: Block, x: Block) -> Block:
    """Return a size with the sign of another number, -0.0 included; quick on scalars too.

    Parameters
    ----------
    size, x : float64 array or scalar, any shape

    Returns
    -------
    float64 array or scalar, the operands' shape

    Examples
    --------
    >>> float(with_sign(2.0, np.float64(-0.0)))
    -2.0
    """
    if isinstance(x, np.ndarray):
        return np.copysign(size, x)
    return np.float64(copysign(size, x))


def clip(x: Block, bound: float) -> Block:
    """Return an operand cut to [-bound, bound]; NaN stays NaN, and -0.0 stays -0.0.

    Parameters
    ----------
    x : float64 array or scalar, any shape
    bound : float

    Returns
    -------
    float64 array or scalar, the operand's shape

    Examples
    --------
    >>> float(clip(np.float64(-3.0), 2.0))
    -2.0
    """
    return with_sign(at_most(abs(x), bound), x)


def patch(out: Block, special: Any, formula: Callable[..., Block], *operands: Block) -> Block:
    """Return `out`, replaced by another formula's result where the mask says so.

    Parameters
    ----------
    out : float64 array or scalar, any shape
        Owned by the caller, which gives it up.
    special : bool array or scalar, the shape of `out`
    formula : callable
        Called with the selected elements, only where there are any.
    *operands : float64 array or scalar, the shape of `out`

    Returns
    -------
    float64 array or scalar, the shape of `out`

    Examples
    --------
    >>> patch(np.array([1.0, 2.0]), np.array([False, True]), lambda x: -x, np.array([3.0, 4.0]))
    array([ 1., -4.])
    """
    if isinstance(special, np.ndarray):
        if special.any():
            out[special] = formula(*(operand[special] for operand in operands))
        return out
    return formula(*operands) if special else out


def _dtype_error(name: str, x: Any) -> TypeError:
    return TypeError(
        f"{name}: the operand has dtype {x.dtype}, and this kernel takes float32 or float64; "
        "convert it first, with x.astype(np.float64) for instance"
    )
