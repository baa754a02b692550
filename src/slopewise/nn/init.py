"""First weights: PyTorch's `nn.init`, in place, from the global generator.

Invariant: every function changes its tensor in place, records nothing and returns the tensor. The
distributions are PyTorch's; the numbers drawn are not. LSUV, which needs data, is in `variance`.
"""

from __future__ import annotations

from math import erf, sqrt
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import no_grad
from slopewise._front.operands import as_value
from slopewise._front.random import Generator, normal_array, uniform_array
from slopewise.errors import ShapeError, UsageError
from slopewise.nn.variance import lsuv_

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "fan_in_and_out", "kaiming_normal_",
    "kaiming_uniform_", "lsuv_", "normal_", "ones_", "orthogonal_", "sparse_", "trunc_normal_",
    "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "sigmoid")


def _fill(tensor: Any, array: np.ndarray[Any, Any]) -> Any:
    with no_grad():
        return tensor._write(as_value(array.astype(tensor.dtype, copy=False)))


def uniform_(
    tensor: Any, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Any:
    """Fill with uniform numbers in [a, b).

    Examples
    --------
    >>> import slopewise as sw
    >>> w = sw.nn.init.uniform_(sw.zeros(100), -1.0, 1.0)
    >>> bool((w.abs() <= 1).all())
    True
    """
    array = uniform_array(tuple(tensor.shape), tensor.dtype, generator)
    return _fill(tensor, array * (b - a) + a)


def normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Any:
    """Fill with normal numbers of the given mean and standard deviation."""
    return _fill(tensor, normal_array(tuple(tensor.shape), tensor.dtype, generator) * std + mean)


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Any:
    """Fill with normal numbers cut to [a, b], by the inverse of the distribution function.

    Raises
    ------
    UsageError
        If a is not below b.
    """
    if not a < b:
        raise UsageError(explain(f"trunc_normal_: a = {a} must be below b = {b}."))
    from scipy.special import ndtri

    low, high = ((1.0 + erf((x - mean) / (std * sqrt(2.0)))) / 2.0 for x in (a, b))
    u = uniform_array(tuple(tensor.shape), np.float64, generator)
    return _fill(tensor, np.clip(mean + std * ndtri(low + u * (high - low)), a, b))


def constant_(tensor: Any, val: float) -> Any:
    """Fill with one number."""
    return _fill(tensor, np.full(tensor.shape, val, tensor.dtype))


def zeros_(tensor: Any) -> Any:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Any) -> Any:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def _require_ndim(tensor: Any, allowed: tuple[int, ...], operation: str) -> None:
    if len(tensor.shape) not in allowed:
        raise ShapeError(
            explain(
                f"{operation}: needs a tensor of {' or '.join(map(str, allowed))} axes, got shape"
                f" {tuple(tensor.shape)}.",
                (tensor,),
            )
        )


def eye_(tensor: Any) -> Any:
    """Fill a matrix with the identity, so that a square linear layer passes its input on."""
    _require_ndim(tensor, (2,), "eye_")
    return _fill(tensor, np.eye(*tensor.shape, dtype=tensor.dtype))


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Fill the weight of a convolution so that each channel passes on as it is.

    Raises
    ------
    ShapeError
        If the output channels do not divide into the groups.
    """
    _require_ndim(tensor, (3, 4, 5), "dirac_")
    out, into, *kernel = tensor.shape
    if out % groups:
        raise ShapeError(explain(f"dirac_: {groups} groups do not divide {out} output channels."))
    array = np.zeros(tensor.shape, tensor.dtype)
    middle = tuple(n // 2 for n in kernel)
    per_group = out // groups
    for group in range(groups):
        for channel in range(min(per_group, into)):
            array[(group * per_group + channel, channel, *middle)] = 1
    return _fill(tensor, array)


def fan_in_and_out(tensor: Any) -> tuple[int, int]:
    """Return how many inputs an output has, and how many outputs an input has.

    Raises
    ------
    ShapeError
        If the tensor has fewer than 2 axes (a bias has no fan).
    """
    if len(tensor.shape) < 2:
        raise ShapeError(
            explain(
                "Fan in and fan out can not be computed for a tensor with fewer than 2 axes: shape"
                f" {tuple(tensor.shape)}. Give a bias constant_ or uniform_ numbers.",
                (tensor,),
            )
        )
    out, into, *kernel = tensor.shape
    area = int(np.prod(kernel, dtype=np.int64))
    return into * area, out * area


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor on the standard deviation that a nonlinearity asks for.

    Parameters
    ----------
    nonlinearity : str
        "linear", "conv1d", "conv2d", "sigmoid": 1; "tanh": 5/3; "relu": sqrt(2);
        "leaky_relu": sqrt(2 / (1 + slope^2)); "selu": 3/4.
    param : float, optional
        The slope of leaky_relu (0.01 by default).

    Raises
    ------
    UsageError
        If the name is unknown.

    Source: He et al. (2015), Delving deep into rectifiers, equations 10 and 15.

    Examples
    --------
    >>> import slopewise as sw
    >>> round(sw.nn.init.calculate_gain("relu"), 4)
    1.4142
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3.0
    if nonlinearity == "relu":
        return sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise UsageError(explain(f"calculate_gain: negative_slope {param!r} is no number."))
        return sqrt(2.0 / (1.0 + slope**2))
    if nonlinearity == "selu":
        return 0.75
    raise UsageError(
        explain(
            f"calculate_gain: unsupported nonlinearity {nonlinearity!r}; use one of {_LINEAR},"
            " 'tanh', 'relu', 'leaky_relu', 'selu'."
        )
    )


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    """Fill with uniform numbers of variance 2 gain^2 / (fan_in + fan_out).

    Source: Glorot & Bengio (2010), Understanding the difficulty of training deep feedforward neural
    networks, equation 16.
    """
    bound = gain * sqrt(6.0 / sum(fan_in_and_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    """Fill with normal numbers of variance 2 gain^2 / (fan_in + fan_out).

    Source: Glorot & Bengio (2010), equation 12.
    """
    return normal_(tensor, 0.0, gain * sqrt(2.0 / sum(fan_in_and_out(tensor))), generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), fan_in_and_out(tensor), strict=True))
    if mode not in fans:
        raise UsageError(explain(f"kaiming: mode {mode!r} is not 'fan_in' or 'fan_out'."))
    return calculate_gain(nonlinearity, a) / sqrt(max(1, fans[mode]))


def kaiming_uniform_(
    tensor: Any,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Any:
    """Fill with uniform numbers of variance gain^2 / fan.

    Source: He et al. (2015), Delving deep into rectifiers, equation 10.
    """
    bound = sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Any:
    """Fill with normal numbers of variance gain^2 / fan.

    Source: He et al. (2015), Delving deep into rectifiers, equation 10.
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    """Fill with a random (semi-)orthogonal matrix; axes after the first count as one.

    Raises
    ------
    ShapeError
        If the tensor has fewer than 2 axes.

    Source: Saxe, McClelland & Ganguli (2013), Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks; uniform over the group by Mezzadri (2007), section 5.

    Examples
    --------
    >>> import slopewise as sw
    >>> q = sw.nn.init.orthogonal_(sw.zeros(3, 3, dtype=sw.float64))
    >>> sw.allclose(q @ q.T, sw.eye(3, dtype=sw.float64), atol=1e-12)
    True
    """
    if len(tensor.shape) < 2:
        raise ShapeError(
            explain(f"orthogonal_: needs 2 or more axes, got shape {tuple(tensor.shape)}.")
        )
    rows = tensor.shape[0]
    columns = int(np.prod(tensor.shape[1:], dtype=np.int64))
    if rows * columns == 0:
        return tensor
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(normal_array(tall, np.float64, generator))
    # The signs of r's diagonal make the decomposition unique, and so q uniform.
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    matrix = q if rows >= columns else q.T
    return _fill(tensor, gain * matrix.reshape(tensor.shape))


def sparse_(
    tensor: Any, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Any:
    """Fill a matrix with normal numbers, of which a share in each column is 0.

    Source: Martens (2010), Deep learning via Hessian-free optimization, section 5.
    """
    _require_ndim(tensor, (2,), "sparse_")
    rows, columns = tensor.shape
    array = normal_array((rows, columns), np.float64, generator) * std
    order = np.argsort(uniform_array((rows, columns), np.float64, generator), axis=0)
    zeros = int(np.ceil(sparsity * rows))
    np.put_along_axis(array, order[:zeros], 0.0, axis=0)
    return _fill(tensor, array)
