"""Losses on real-valued outputs: squared, absolute, Huber, and the divergences.

Invariant: input and target have one shape; (N, 1) against (N,) is an error and is never broadcast.
Every loss takes reduction "mean", "sum" or "none". Losses on classes are in `classification`.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front import elementwise, reduction
from slopewise._front.operands import as_value, cast, promote_operands
from slopewise._front.shape import broadcast_to
from slopewise.errors import DomainError, DTypeError, ShapeError, UsageError

REDUCTIONS = ("mean", "sum", "none")
_LOG_FLOOR = -100.0
_STEEPEST = 1e12


def reduce_loss(values: Any, how: str, operation: str) -> Any:
    """Return losses reduced as asked.

    Raises
    ------
    UsageError
        If `how` is not "mean", "sum" or "none".
    """
    if how == "mean":
        return reduction.mean(values)
    if how == "sum":
        return reduction.sum(values)
    if how == "none":
        return values
    raise UsageError(explain(f"{operation}: reduction={how!r} is not one of {REDUCTIONS}."))


def _remedy(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if given == (*wanted, 1):
        return "take the last axis of the input off: input.squeeze(-1)"
    if wanted == (*given, 1):
        return "take the last axis of the target off: target.squeeze(-1)"
    return "reshape one of them, or use target.expand_as(input) where broadcasting is meant"


def pair_operands(input: Any, target: Any, operation: str) -> tuple[Any, Any]:
    """Return input and target as floats of one shape and dtype, or raise what to mend."""
    if (
        isinstance(input, Value)
        and isinstance(target, Value)
        and input.shape == target.shape
        and input.dtype == target.dtype
        and input.dtype.kind == "f"
    ):
        return input, target
    x = as_value(input)
    if isinstance(target, (int, float)):
        target = broadcast_to(as_value(float(target)), x.shape)
    y = as_value(target)
    if tuple(x.shape) != tuple(y.shape):
        given, wanted = tuple(x.shape), tuple(y.shape)
        raise ShapeError(
            explain(
                f"{operation}: the input has shape {given} and the target {wanted}; they must be"
                f" equal, since broadcasting would compare every input with every target:"
                f" {_remedy(given, wanted)}.",
                (x, y),
            )
        )
    x, y = promote_operands((x, y), 2)
    return x, y


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the squared error (input - target)^2.

    Parameters
    ----------
    input, target : Tensor, shape (...)
        Of one shape.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor, shape () or (...)

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.functional.mse_loss(sw.tensor([1.0, 3.0]), sw.tensor([0.0, 0.0])).item()
    5.0
    """
    x, y = pair_operands(input, target, "mse_loss")
    return reduce_loss(elementwise.square(x - y), reduction, "mse_loss")


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the absolute error |input - target|; its slope at 0 is 0.

    Parameters
    ----------
    input, target : Tensor, shape (...)
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    x, y = pair_operands(input, target, "l1_loss")
    return reduce_loss(elementwise.abs(x - y), reduction, "l1_loss")


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Return half the squared error up to |error| = delta, linear beyond.

    Parameters
    ----------
    input, target : Tensor, shape (...)
    reduction : {"mean", "sum", "none"}
    delta : float
        Where the parabola ends.

    Raises
    ------
    ShapeError
        If the shapes differ.
    UsageError
        If delta is not positive.

    Source: Huber (1964), Robust estimation of a location parameter.
    """
    if delta <= 0:
        raise UsageError(explain(f"huber_loss: delta = {delta} must be positive."))
    x, y = pair_operands(input, target, "huber_loss")
    error = x - y
    size = elementwise.abs(error)
    near = elementwise.square(error) * 0.5
    far = (size - 0.5 * delta) * float(delta)
    return reduce_loss(elementwise.where(size <= delta, near, far), reduction, "huber_loss")


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Return error^2 / (2 beta) up to |error| = beta, |error| - beta/2 beyond.

    Parameters
    ----------
    input, target : Tensor, shape (...)
    reduction : {"mean", "sum", "none"}
    beta : float
        0 gives the absolute error.

    Raises
    ------
    ShapeError
        If the shapes differ.
    UsageError
        If beta is negative.

    Source: Girshick (2015), Fast R-CNN, equation 3.
    """
    if beta < 0:
        raise UsageError(explain(f"smooth_l1_loss: beta = {beta} must not be negative."))
    if beta == 0:
        return l1_loss(input, target, reduction)
    x, y = pair_operands(input, target, "smooth_l1_loss")
    error = x - y
    size = elementwise.abs(error)
    near = elementwise.square(error) * (0.5 / beta)
    values = elementwise.where(size < beta, near, size - 0.5 * beta)
    return reduce_loss(values, reduction, "smooth_l1_loss")


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Return target * (ln target - input), the divergence from log-probabilities `input`.

    Parameters
    ----------
    input : Tensor, shape (...)
        Log-probabilities.
    target : Tensor, shape (...)
        Probabilities, or their logarithms if `log_target`.
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean" divides the sum by the size of the first axis: the mathematical definition.
    log_target : bool

    Raises
    ------
    ShapeError
        If the shapes differ.

    Source: Kullback & Leibler (1951), On information and sufficiency, equation 2.4.
    """
    x, y = pair_operands(input, target, "kl_div")
    if log_target:
        values = elementwise.exp(y) * (y - x)
    else:
        values = elementwise.xlogy(y, y) - elementwise.where(y == 0, 0.0, y * x)
    if reduction == "batchmean":
        return reduce_loss(values, "sum", "kl_div") / float(x.shape[0] if x.ndim else 1)
    return reduce_loss(values, reduction, "kl_div")


def _bounded_log(p: Any) -> Any:
    """Return max(ln p, -100), with the slope of ln p everywhere (at most 1e12 where p is 0).

    The logarithm of a sigmoid, of 1 minus one or of a softmax is recognised and exact, so its slope
    must not be cut off where its value is.
    """
    out = elementwise.log(p)
    value = out._value
    if value is not None and (value.size == 0 or not value.min() < _LOG_FLOOR):
        return out
    finite = elementwise.where(out == -float("inf"), p * _STEEPEST + _LOG_FLOOR, out)
    return finite + (elementwise.clamp(finite, min=_LOG_FLOOR) - finite).detach()


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Return -(t ln p + (1 - t) ln(1 - p)), each logarithm at least -100.

    Parameters
    ----------
    input : Tensor, shape (...)
        Probabilities p in [0, 1].
    target : Tensor, shape (...)
        Targets t in [0, 1].
    weight : Tensor, broadcast to (...), optional
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ShapeError
        If the shapes differ.
    DomainError
        If a probability lies outside [0, 1].

    Examples
    --------
    >>> import slopewise as sw
    >>> F = sw.nn.functional
    >>> round(F.binary_cross_entropy(sw.tensor([0.5]), sw.tensor([1.0])).item(), 4)
    0.6931
    """
    p, t = pair_operands(input, target, "binary_cross_entropy")
    array = p._value
    if array is not None and ((array < 0).any() or (array > 1).any()):
        bad = array[(array < 0) | (array > 1)].flat[0]
        raise DomainError(
            explain(
                f"binary_cross_entropy: all elements of input should be between 0 and 1, and one is"
                f" {bad:.6g}. Apply sigmoid() first, or pass the logits to"
                " binary_cross_entropy_with_logits.",
                (p, t),
            )
        )
    values = -(t * _bounded_log(p) + (1 - t) * _bounded_log(1 - p))
    if weight is not None:
        values = values * weight
    return reduce_loss(values, reduction, "binary_cross_entropy")


def _all_certain(x: Any, t: Any) -> bool:
    """Return whether every target is known to be 0 or 1 exactly."""
    if x._value is None or t._value is None or t._requires_grad:
        return False
    return bool(((t._value == 0) | (t._value == 1)).all())


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Return the binary cross-entropy of sigmoid(input), exact for logits of any size.

    Parameters
    ----------
    input : Tensor, shape (...)
        Logits x.
    target : Tensor, shape (...)
        Targets t in [0, 1].
    weight : Tensor, broadcast to (...), optional
    reduction : {"mean", "sum", "none"}
    pos_weight : Tensor, broadcast to (...), optional
        Factor on the loss of positive targets.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import slopewise as sw
    >>> F = sw.nn.functional
    >>> F.binary_cross_entropy_with_logits(sw.tensor([1000.0]), sw.tensor([0.0])).item()
    1000.0
    """
    x, t = pair_operands(input, target, "binary_cross_entropy_with_logits")
    if pos_weight is None and _all_certain(x, t):
        values = elementwise.softplus((1 - 2 * t) * x)
    else:
        # Both terms are positive, so that nothing cancels where the loss is small.
        positive = t * elementwise.softplus(-x)
        if pos_weight is not None:
            positive = positive * cast(as_value(pos_weight), x.dtype)
        values = (1 - t) * elementwise.softplus(x) + positive
    if weight is not None:
        values = values * weight
    return reduce_loss(values, reduction, "binary_cross_entropy_with_logits")


def require_integers(target: Any, operation: str) -> None:
    """Refuse class numbers that are no integers."""
    if target.dtype.kind not in "iu":
        raise DTypeError(
            explain(
                f"{operation}: class numbers must be integers, and the target has dtype"
                f" {target.dtype}; convert it with .long().",
                (target,),
            )
        )
