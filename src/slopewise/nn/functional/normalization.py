"""Normalisation over a batch, over features, over groups of channels.

Invariant: each subtracts a mean and divides by sqrt(variance + eps), the biased variance, and
gradients flow through both. Running statistics change in place and outside of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.state import no_grad
from slopewise._front.operands import as_value
from slopewise._front.shape import reshape
from slopewise._ops.arithmetic import add, mul, square, sub
from slopewise._ops.powers import rsqrt
from slopewise._ops.shape import sum as sum_primitive
from slopewise.errors import ShapeError, UsageError


def _moments(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Return mean, centred values and biased variance over axes, which are kept."""
    params = {"axes": axes, "keepdims": True}
    share = 1.0 / max(1, prod(x.shape[a] for a in axes))
    mean = bind(mul, (bind(sum_primitive, (x,), params), share), {})
    centred = bind(sub, (x, mean), {})
    total = bind(sum_primitive, (bind(square, (centred,), {}),), params)
    return mean, centred, bind(mul, (total, share), {})


def _scale(centred: Any, variance: Any, eps: float) -> Any:
    return bind(mul, (centred, bind(rsqrt, (bind(add, (variance, float(eps)), {}),), {})), {})


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        x = x * weight
    return x if bias is None else x + bias


def layer_norm(
    input: Any,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Return input normalised over its last axes.

    Parameters
    ----------
    input : Tensor, shape (..., *normalized_shape)
    normalized_shape : sequence of int
    weight, bias : Tensor, shape (*normalized_shape,), optional
    eps : float

    Raises
    ------
    ShapeError
        If the last axes differ from normalized_shape.

    Source: Ba, Kiros & Hinton (2016), Layer normalization, equation 4.
    """
    x = as_value(input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if tuple(x.shape[x.ndim - len(shape) :]) != shape or len(shape) > x.ndim:
        raise ShapeError(
            explain(
                f"layer_norm: given normalized_shape={list(shape)}, an input of shape"
                f" (..., {', '.join(map(str, shape))}) is expected, and it has {tuple(x.shape)}.",
                (x,),
            )
        )
    _, centred, variance = _moments(x, tuple(range(x.ndim - len(shape), x.ndim)))
    return _affine(_scale(centred, variance, eps), weight, bias)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Return input normalised over groups of channels and all positions, each example by itself.

    Parameters
    ----------
    input : Tensor, shape (N, C, ...)
    num_groups : int
        Divides C.
    weight, bias : Tensor, shape (C,), optional
    eps : float

    Raises
    ------
    ShapeError
        If num_groups does not divide the number of channels.

    Source: Wu & He (2018), Group normalization, equation 7.
    """
    x = as_value(input)
    if x.ndim < 2 or x.shape[1] % num_groups:
        raise ShapeError(
            explain(
                f"group_norm: {num_groups} groups do not divide the channels (axis 1) of an input"
                f" of shape {tuple(x.shape)}.",
                (x,),
            )
        )
    grouped = reshape(x, (x.shape[0], num_groups, -1))
    _, centred, variance = _moments(grouped, (2,))
    out = reshape(_scale(centred, variance, eps), x.shape)
    return _affine(out, _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))


def _per_channel(values: Any, ndim: int) -> Any:
    """Return one number for each channel, shaped to broadcast along axis 1."""
    if values is None or ndim == 2:
        return values
    return reshape(values, (-1, *(1,) * (ndim - 2)))


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Return input normalised for each channel, over the batch or by running statistics.

    Parameters
    ----------
    input : Tensor, shape (N, C, ...)
    running_mean, running_var : Tensor, shape (C,), or None
        Used when not training; when training they move by `momentum` towards the batch's mean and
        unbiased variance, in place.
    weight, bias : Tensor, shape (C,), optional
    training : bool
    momentum : float
    eps : float

    Raises
    ------
    ShapeError
        If a channel has a single value in training, or the channels do not fit.
    UsageError
        If running statistics are needed and missing.

    Source: Ioffe & Szegedy (2015), Batch normalization, algorithms 1 and 2.
    """
    x = as_value(input)
    if x.ndim < 2:
        raise ShapeError(
            explain(f"batch_norm: needs (N, C, ...), got shape {tuple(x.shape)}.", (x,))
        )
    channels = x.shape[1]
    checked = (
        ("running_mean", running_mean), ("running_var", running_var), ("weight", weight),
        ("bias", bias),
    )  # fmt: skip
    for name, values in checked:
        if values is not None and tuple(values.shape) != (channels,):
            raise ShapeError(
                explain(
                    f"batch_norm: {name} should contain {channels} elements (the channels on axis 1"
                    f" of {tuple(x.shape)}), not {values.shape[0]}.",
                    (x,),
                )
            )
    if training:
        axes = (0, *range(2, x.ndim))
        count = prod(x.shape[a] for a in axes)
        if count <= 1:
            raise ShapeError(
                explain(
                    "batch_norm: Expected more than 1 value per channel when training, got input"
                    f" size {tuple(x.shape)}: the variance of one value is 0. Use larger batches"
                    " (drop_last=True in DataLoader), or eval() for single examples.",
                    (x,),
                )
            )
        mean, centred, variance = _moments(x, axes)
        if running_mean is not None:
            _move(running_mean, mean, momentum)
        if running_var is not None:
            _move(running_var, variance, momentum, count / (count - 1))
    else:
        if running_mean is None or running_var is None:
            raise UsageError(
                explain("batch_norm: evaluation needs running_mean and running_var.", (x,))
            )
        centred = x - _per_channel(running_mean, x.ndim)
        variance = _per_channel(running_var, x.ndim)
    out = _scale(centred, variance, eps)
    return _affine(out, _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))


def _move(running: Any, value: Any, momentum: float, factor: float = 1.0) -> None:
    """Move a running statistic towards a new value, in place, without recording."""
    with no_grad():
        fresh = reshape(value.detach(), running.shape)
        running._write(running * (1.0 - momentum) + fresh * (momentum * factor))
