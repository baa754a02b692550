"""Dropout, and looking up rows of a table: what reads or drops single entries.

Invariant: dropout draws a fresh mask at each call from the global generator, and a dropped entry
contributes exactly 0, whatever its value. Index errors name the entry and the size of the table.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._front import elementwise
from slopewise._front.gathering import one_hot
from slopewise._front.operands import as_value, read_array
from slopewise._front.random import rand
from slopewise._ops.indexing import take
from slopewise.errors import DomainError, DTypeError, ShapeError

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "embedding", "one_hot"]


def _check_probability(p: float, operation: str) -> None:
    if not 0.0 <= p <= 1.0:
        raise DomainError(
            explain(f"{operation}: dropout probability has to be between 0 and 1, but got {p}.")
        )


def _drop(x: Any, shape: tuple[int, ...], p: float) -> Any:
    """Return x with entries dropped by a mask of `shape`, the others scaled by 1 / (1 - p)."""
    scale = 1.0 / (1.0 - p) if p < 1.0 else 0.0
    kept = rand(shape, dtype=x.dtype) >= p
    return elementwise.where(kept, x * scale, 0.0)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Return input with each element dropped (set to 0) with probability p, others scaled up.

    Parameters
    ----------
    input : Tensor, shape (...)
    p : float
        In [0, 1].
    training : bool
        Nothing is dropped otherwise.
    inplace : bool

    Raises
    ------
    DomainError
        If p lies outside [0, 1].

    Source: Srivastava et al. (2014), Dropout, section 4 (scaled in training, section 10).
    """
    _check_probability(p, "dropout")
    if not training or p == 0.0:
        return input
    x = as_value(input)
    out = _drop(x, tuple(x.shape), p)
    return input._write(out) if inplace else out


def _drop_channels(input: Any, p: float, training: bool, spatial: int, operation: str) -> Any:
    _check_probability(p, operation)
    x = as_value(input)
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(
            explain(
                f"{operation}: needs {spatial + 1} or {spatial + 2} axes, got shape"
                f" {tuple(x.shape)}.",
                (x,),
            )
        )
    if not training or p == 0.0:
        return input
    return _drop(x, (*x.shape[: x.ndim - spatial], *(1,) * spatial), p)


def dropout1d(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Return input (N, C, L) with whole channels dropped with probability p.

    Source: Tompson et al. (2015), Efficient object localization, section 3.2.
    """
    return _drop_channels(input, p, training, 1, "dropout1d")


def dropout2d(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Return input (N, C, H, W) with whole channels dropped with probability p.

    Source: Tompson et al. (2015), Efficient object localization, section 3.2.
    """
    return _drop_channels(input, p, training, 2, "dropout2d")


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False) -> Any:
    """Return input with entries set to SELU's lower limit, rescaled to keep mean and variance.

    Source: Klambauer et al. (2017), Self-normalizing neural networks, section "New dropout".
    """
    from slopewise.nn.functional.activation import SELU_ALPHA, SELU_SCALE

    _check_probability(p, "alpha_dropout")
    if not training or p == 0.0:
        return input
    x = as_value(input)
    low = -SELU_ALPHA * SELU_SCALE
    if p == 1.0:
        return x * 0.0
    a = ((1.0 - p) * (1.0 + p * low**2)) ** -0.5
    kept = rand(tuple(x.shape), dtype=x.dtype) >= p
    return elementwise.where(kept, x, low) * a + (-a * low * p)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Return the rows of a table at the given positions.

    Parameters
    ----------
    input : Tensor of integers, shape (...)
    weight : Tensor, shape (num_embeddings, embedding_dim)
    padding_idx : int, optional
        The row that gets no gradient.

    Returns
    -------
    Tensor, shape (..., embedding_dim)

    Raises
    ------
    DTypeError
        If the positions are no integers.
    DomainError
        If a position is not in 0..num_embeddings - 1.
    """
    index, table = as_value(input), as_value(weight)
    if index.dtype.kind not in "iu":
        raise DTypeError(
            explain(
                f"embedding: the input holds row numbers and must be integers, not {index.dtype};"
                " convert it with .long().",
                (index,),
            )
        )
    rows = table.shape[0]
    if index._value is not None:
        array = read_array(index)
        if array.size and (array.min() < 0 or array.max() >= rows):
            bad = int(array.min()) if array.min() < 0 else int(array.max())
            raise DomainError(
                explain(
                    f"embedding: index {bad} is out of range: the table has {rows} rows, 0 to"
                    f" {rows - 1}. Make num_embeddings larger, or map unknown entries to one row.",
                    (index, table),
                )
            )
    if padding_idx is None:
        return bind(take, (table, index), {})
    if not -rows <= padding_idx < rows:
        raise DomainError(
            explain(f"embedding: padding_idx {padding_idx} is not a row of {rows}.", (table,))
        )
    picked = bind(take, (table, index), {})
    padding = elementwise.ne(index, padding_idx % rows)
    return elementwise.where(_as_column(padding), picked, picked.detach())


def _as_column(mask: Any) -> Any:
    from slopewise._front.shape import unsqueeze

    return unsqueeze(mask, mask.ndim)
