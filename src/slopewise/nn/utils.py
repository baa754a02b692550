"""PyTorch's `nn.utils`: gradient clipping, and parameters as one vector.

Invariant: clipping changes gradients in place and records nothing. The name is PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import no_grad
from slopewise._core.value import Value
from slopewise._front import elementwise
from slopewise._front.creation import zeros
from slopewise._front.joins import cat, stack
from slopewise._front.norms import norm as norm_of
from slopewise._front.operands import as_value
from slopewise._front.shape import flatten, narrow, reshape
from slopewise.errors import DomainError, ShapeError


def _gradients(parameters: Any) -> list[Any]:
    tensors = [parameters] if isinstance(parameters, Value) else parameters
    return [p._grad for p in tensors if p._grad is not None]


def get_total_norm(tensors: Iterable[Any], norm_type: float = 2.0) -> Any:
    """Return the norm of all tensors taken as one vector."""
    values = list(tensors)
    if not values:
        return zeros(())
    norms = stack([norm_of(flatten(v) if v.ndim else v, norm_type) for v in values])
    return norm_of(norms, norm_type)


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Any:
    """Scale gradients in place so that their common norm is at most max_norm.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without gradient are left out.
    max_norm : float
    norm_type : float
        p of the p-norm, or inf.
    error_if_nonfinite : bool
        Refuse a norm that is infinite or NaN.

    Returns
    -------
    Tensor, shape ()
        The norm before clipping.

    Raises
    ------
    DomainError
        If the norm is not finite and error_if_nonfinite is set.

    Source: Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural
    networks, algorithm 1.
    """
    grads = _gradients(parameters)
    with no_grad():
        total = get_total_norm(grads, float(norm_type))
        if error_if_nonfinite and not np.isfinite(total.item()):
            raise DomainError(
                explain(
                    f"clip_grad_norm_: the total norm of order {norm_type} is {total.item()}, so it"
                    " cannot be clipped. Look for the first layer whose gradient is not finite"
                    " (sw.autograd.detect_anomaly), or lower the learning rate."
                )
            )
        factor = elementwise.clamp(max_norm / (total + 1e-6), max=1.0)
        for grad in grads:
            grad._write(grad * factor.to(grad.dtype))
    return total


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Limit each element of the gradients to [-clip_value, clip_value], in place."""
    with no_grad():
        for grad in _gradients(parameters):
            grad._write(elementwise.clamp(grad, -float(clip_value), float(clip_value)))


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """Return all parameters as one vector, through which gradients flow."""
    return cat([reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Copy consecutive parts of a vector into parameters, in place.

    Raises
    ------
    ShapeError
        If the vector has another number of elements.
    """
    tensors, vector = list(parameters), as_value(vec)
    total = sum(prod(p.shape) for p in tensors)
    if tuple(vector.shape) != (total,):
        raise ShapeError(
            explain(
                f"vector_to_parameters: the parameters have {total} elements, the vector has shape"
                f" {tuple(vector.shape)}.",
                (vector,),
            )
        )
    start = 0
    with no_grad():
        for p in tensors:
            p._write(reshape(narrow(vector, 0, start, prod(p.shape)), p.shape))
            start += prod(p.shape)
