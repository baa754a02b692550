"""Linear layers, and those that only change shapes: Flatten, Unflatten, Identity.

Invariant: weights have shape (out_features, in_features), and forward is one contraction and one
sum. First weights are PyTorch's: uniform up to 1 / sqrt(in_features).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from slopewise._front.contraction import linear, matmul
from slopewise._front.creation import settle_shape, zeros
from slopewise._front.shape import flatten, unflatten
from slopewise.nn import init
from slopewise.nn.module import Module
from slopewise.nn.parameter import Parameter


def draw_default_(weight: Any, bias: Any) -> None:
    """Fill a weight and a bias with PyTorch's default numbers: uniform up to 1 / sqrt(fan_in)."""
    init.kaiming_uniform_(weight, a=sqrt(5.0))
    if bias is not None:
        fan_in, _ = init.fan_in_and_out(weight)
        bound = 1.0 / sqrt(fan_in) if fan_in else 0.0
        init.uniform_(bias, -bound, bound)


class Linear(Module):
    """input @ weight.T + bias.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    device : optional
        Taken for PyTorch's sake; there is only the CPU.
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
    bias : Parameter, shape (out_features,), or None

    Raises
    ------
    DTypeError
        If a size is no integer.
    ShapeError
        If a size is negative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.Linear(3, 2)(sw.zeros(5, 3)).shape
    (5, 2)
    """

    weight: Any
    bias: Any

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        in_features, out_features = settle_shape((in_features, out_features), "Linear")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(zeros(out_features, in_features, dtype=dtype, device=device))
        if bias:
            self.bias = Parameter(zeros(out_features, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first weights again."""
        draw_default_(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        """Map (..., in_features) to (..., out_features)."""
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features},"
            f" bias={self.bias is not None}"
        )


class Bilinear(Module):
    """x1^T W_k x2 + b_k for each output k.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
    bias : bool
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter, shape (out_features, in1_features, in2_features)
    bias : Parameter, shape (out_features,), or None
    """

    weight: Any
    bias: Any

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        in1_features, in2_features, out_features = settle_shape(
            (in1_features, in2_features, out_features), "Bilinear"
        )
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(zeros(out_features, in1_features, in2_features, dtype=dtype))
        if bias:
            self.bias = Parameter(zeros(out_features, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first weights again: uniform up to 1 / sqrt(in1_features)."""
        bound = 1.0 / sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        """Map (..., in1_features) and (..., in2_features) to (..., out_features)."""
        left = matmul(input1, self.weight.permute(1, 0, 2).flatten(1))
        left = unflatten(left, -1, (self.out_features, self.in2_features))
        out = (left * input2.unsqueeze(-2)).sum(-1)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """Return the sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features},"
            f" out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """The input, as it is; arguments are taken and ignored."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """Return the input."""
        return input


class Flatten(Module):
    """Axes start_dim to end_dim joined into one; by default all but the batch.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.Flatten()(sw.zeros(5, 2, 3)).shape
    (5, 6)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Any) -> Any:
        """Return the flattened input."""
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """Return the axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One axis split into several."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        """Return the input with the axis split."""
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """Return the axis and its sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
