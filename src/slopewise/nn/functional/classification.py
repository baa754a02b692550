"""Losses on classes: cross-entropy and negative log-likelihood.

Invariant: a class number outside 0..C-1 that is not `ignore_index` is an error that names the row.
The loss of class numbers reads one log-probability a row, so nothing of size C is made for the
targets. It is separate from `loss` because classes have their own checks and weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._core.aval import INT64
from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front import elementwise, reduction
from slopewise._front.operands import as_value, cast
from slopewise._front.shape import movedim, reshape
from slopewise._ops.comparison import convert, where
from slopewise._ops.indexing import take
from slopewise._ops.likelihood import count_rows, log_likelihood
from slopewise._ops.reduction import log_softmax
from slopewise.errors import DomainError, DTypeError, ShapeError, UsageError
from slopewise.nn.functional.loss import REDUCTIONS, require_integers


def _refuse_class(classes: Any, count: int, ignored: int | None, operation: str) -> None:
    """Raise the error that names the first class number out of range and its row."""
    flat = classes.reshape(-1)
    bad = (flat < 0) | (flat >= count)
    if ignored is not None:
        bad &= flat != ignored
    row = int(np.flatnonzero(bad)[0])
    place = np.unravel_index(row, classes.shape)
    where_ = f"row {row}" if classes.ndim <= 1 else f"position {tuple(int(i) for i in place)}"
    few = f"the last layer must give more than {count} outputs"
    remedy = few if flat[row] >= count else "number the classes from 0"
    raise DomainError(
        explain(
            f"{operation}: Target {int(flat[row])} is out of bounds in {where_}: with {count}"
            f" classes the numbers are 0 to {count - 1}; {remedy}, or mark rows to leave out with"
            f" ignore_index ({'none is set' if ignored is None else ignored})."
        )
    )


def _check_classes(target: Any, count: int, ignored: int, operation: str) -> bool:
    """Check all class numbers; return whether some are ignored."""
    array = target._value
    if array is None:
        return True
    if array.size == 0:
        return False
    bad = (array < 0) | (array >= count)
    skipped = array == ignored
    if (bad & ~skipped).any():
        _refuse_class(array, count, ignored, operation)
    return bool(skipped.any())


def _fused(x: Any, t: Any, ignored: int, how: str) -> Any:
    """Return the loss as one step, where it is the plain one on concrete tensors; else None."""
    logits, classes = x._value, t._value
    if logits is None or classes is None or logits.ndim != 2 or classes.ndim != 1:
        return None
    rows, count = logits.shape
    # Seen as unsigned, a negative number is a large one: one comparison checks both ends.
    if (
        rows != len(classes)
        or rows == 0
        or classes.dtype != INT64
        or 0 <= ignored < count
        or np.maximum.reduce(classes.view(np.uint64)) >= count
    ):
        return None
    return bind(log_likelihood, (x, t), {"scale": -1.0 / rows if how == "mean" else -1.0})


def _pick(log_p: Any, classes: Any) -> Any:
    """Return the log-probability of each row's class: (N, C) and (N,) to (N,)."""
    return bind(take, (log_p, count_rows(log_p.shape[0]), classes), {})


def _flatten_classes(log_p: Any, target: Any, operation: str) -> tuple[Any, Any]:
    """Return log-probabilities (M, C) and classes (M,) for (C,), (N, C) or (N, C, d1, ...)."""
    if log_p.ndim == 1:
        fits = target.ndim == 0
    else:
        fits = (log_p.shape[0], *log_p.shape[2:]) == tuple(target.shape)
    if not fits:
        raise ShapeError(
            explain(
                f"{operation}: an input of shape {tuple(log_p.shape)} needs class numbers of shape"
                f" {(log_p.shape[0], *log_p.shape[2:]) if log_p.ndim > 1 else ()}, and the target"
                f" has {tuple(target.shape)}"
                + (": take its last axis off with target.squeeze(-1)." if _extra_axis(log_p, target)
                   else "."),
                (log_p, target),
            )
        )  # fmt: skip
    classes = log_p.shape[0] if log_p.ndim == 1 else log_p.shape[1]
    if log_p.ndim > 2:
        log_p = movedim(log_p, 1, -1)
    return reshape(log_p, (-1, classes)) if log_p.ndim != 2 else log_p, (
        reshape(target, (-1,)) if target.ndim != 1 else target)  # fmt: skip


def _extra_axis(log_p: Any, target: Any) -> bool:
    return tuple(target.shape) == (*log_p.shape[:1], 1) and log_p.ndim == 2


def _class_weights(weight: Any, count: int, dtype: Any, operation: str) -> Any:
    if weight is None:
        return None
    w = cast(as_value(weight), dtype)
    if tuple(w.shape) != (count,):
        raise ShapeError(
            explain(
                f"{operation}: weight has shape {tuple(w.shape)}, and there are {count} classes;"
                " give one weight for each.",
                (w,),
            )
        )
    return w


def _negative_log_likelihood(
    log_p: Any, target: Any, weight: Any, ignored: int, how: str, smoothing: float, operation: str
) -> Any:
    """Return the loss of class numbers, smoothed towards the uniform distribution."""
    if how not in REDUCTIONS:
        raise UsageError(explain(f"{operation}: reduction={how!r} is not one of {REDUCTIONS}."))
    shape = tuple(target.shape)
    flat, classes = _flatten_classes(log_p, target, operation)
    count = flat.shape[1]
    some_ignored = _check_classes(target, count, ignored, operation)
    if not some_ignored and weight is None and smoothing == 0.0:
        picked = _pick(flat, classes)
        if how == "mean":
            return -reduction.mean(picked)
        return -reduction.sum(picked) if how == "sum" else reshape(-picked, shape)
    weights = _class_weights(weight, count, flat.dtype, operation)
    kept = elementwise.ne(classes, ignored)
    safe = bind(where, (kept, classes, 0), {})
    factors = bind(convert, (kept,), {"dtype": flat.dtype})
    if weights is not None:
        factors = factors * bind(take, (weights, safe), {})
    values = -bind(where, (kept, _pick(flat, safe), 0.0), {}) * factors
    if smoothing:
        table = flat if weights is None else flat * weights
        spread = bind(where, (kept, reduction.sum(table, 1), 0.0), {})
        values = values * (1.0 - smoothing) - spread * (smoothing / count)
    if how == "none":
        return reshape(values, shape)
    total = reduction.sum(values)
    return total if how == "sum" else total / reduction.sum(factors)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """Return minus the log-probability of each row's class.

    Parameters
    ----------
    input : Tensor, shape (N, C), (C,) or (N, C, d1, ...)
        Log-probabilities.
    target : Tensor of integers, shape (N,), () or (N, d1, ...)
        Class numbers 0..C-1.
    weight : Tensor, shape (C,), optional
        A factor for each class; "mean" divides by the sum of the factors used.
    ignore_index : int
        Rows of this class number count nothing; with nothing left the mean is NaN, as in PyTorch.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor, shape () or that of the target

    Raises
    ------
    DomainError
        If a class number is out of range.
    ShapeError
        If the shapes do not fit.
    """
    log_p, classes = as_value(input), as_value(target)
    require_integers(classes, "nll_loss")
    return _negative_log_likelihood(
        log_p, classes, weight, ignore_index, reduction, 0.0, "nll_loss"
    )


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy of softmax(input) with class numbers or with probabilities.

    Parameters
    ----------
    input : Tensor, shape (N, C), (C,) or (N, C, d1, ...)
        Logits.
    target : Tensor, shape (N,), () or (N, d1, ...) of integers, or that of the input
        Class numbers 0..C-1, or probabilities of the classes.
    weight : Tensor, shape (C,), optional
        A factor for each class.
    ignore_index : int
        Rows of this class number count nothing (class numbers only).
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        The share of the target that is spread evenly over the classes, in [0, 1].

    Returns
    -------
    Tensor, shape () or that of the target without classes

    Raises
    ------
    DomainError
        If a class number is out of range.
    ShapeError
        If the shapes do not fit.
    UsageError
        If label_smoothing lies outside [0, 1].

    Source: Szegedy et al. (2016), Rethinking the Inception architecture, section 7 (smoothing).

    Examples
    --------
    >>> import slopewise as sw
    >>> logits = sw.tensor([[2.0, 0.0], [0.0, 2.0]])
    >>> round(sw.nn.functional.cross_entropy(logits, sw.tensor([0, 1])).item(), 4)
    0.1269
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise UsageError(
            explain(f"cross_entropy: label_smoothing = {label_smoothing} must be in [0, 1].")
        )
    x = input if isinstance(input, Value) else as_value(input)
    t = target if isinstance(target, Value) else as_value(target)
    if x.dtype.kind != "f" or x.ndim == 0:
        raise DTypeError(
            explain(
                f"cross_entropy: the input must be logits of shape (N, C), floats; it has shape"
                f" {tuple(x.shape)} and dtype {x.dtype}.",
                (x,),
            )
        )
    if weight is None and not label_smoothing and reduction in ("mean", "sum"):
        loss = _fused(x, t, ignore_index, reduction)
        if loss is not None:
            return loss
    axis = 0 if x.ndim == 1 else 1
    log_p = bind(log_softmax, (x,), {"axis": axis})
    if t.dtype.kind == "f":
        if tuple(t.shape) != tuple(x.shape):
            raise ShapeError(
                explain(
                    f"cross_entropy: a target of floats is taken for probabilities and must have"
                    f" the input's shape {tuple(x.shape)}; it has {tuple(t.shape)}. Class numbers"
                    " must be integers: convert them with .long().",
                    (x, t),
                )
            )
        return _with_probabilities(log_p, t, weight, reduction, label_smoothing, axis)
    require_integers(t, "cross_entropy")
    return _negative_log_likelihood(
        log_p, t, weight, ignore_index, reduction, label_smoothing, "cross_entropy"
    )


def _with_probabilities(
    log_p: Any, target: Any, weight: Any, how: str, smoothing: float, axis: int
) -> Any:
    if how not in REDUCTIONS:
        raise UsageError(explain(f"cross_entropy: reduction={how!r} is not one of {REDUCTIONS}."))
    count = log_p.shape[axis]
    t = cast(target, log_p.dtype)
    if smoothing:
        t = t * (1.0 - smoothing) + smoothing / count
    # A class of probability 0 counts nothing, also where its logit is -inf.
    terms = elementwise.where(t == 0, 0.0, log_p) * t
    weights = _class_weights(weight, count, log_p.dtype, "cross_entropy")
    if weights is not None:
        terms = terms * reshape(weights, (count, *(1,) * (log_p.ndim - axis - 1)))
    values = -reduction.sum(terms, axis)
    if how == "none":
        return values
    total = reduction.sum(values)
    rows = int(np.prod(values.shape, dtype=np.int64))
    return total if how == "sum" else total / float(rows)
