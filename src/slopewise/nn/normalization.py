"""Normalisation layers: BatchNorm1d, BatchNorm2d, LayerNorm, GroupNorm.

Invariant: running statistics are buffers that change in training only, by PyTorch's rule: the mean
and the unbiased variance of each batch, with weight `momentum`, or averaged over all batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slopewise._core.source import explain
from slopewise._core.state import no_grad
from slopewise._front.creation import ones, tensor, zeros
from slopewise.errors import ShapeError
from slopewise.nn import init
from slopewise.nn.functional import normalization as functional
from slopewise.nn.module import Module
from slopewise.nn.parameter import Parameter


class _BatchNorm(Module):
    """What batch normalisation of any number of positions axes shares."""

    _axes: tuple[int, ...] = ()
    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        make = {"dtype": dtype, "device": device}
        self.register_parameter("weight", Parameter(ones(num_features, **make)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features, **make)) if affine else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, **make) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **make) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0) if tracked else None)

    def reset_running_stats(self) -> None:
        """Start the running statistics again: mean 0, variance 1."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1.0)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Start again: statistics, weights 1 and biases 0."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        """Return the normalised input, of the same shape."""
        if len(input.shape) not in self._axes:
            raise ShapeError(
                explain(
                    f"{type(self).__name__}: expected {' or '.join(map(str, self._axes))} axes, got"
                    f" shape {tuple(input.shape)}.",
                    (input,),
                )
            )
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            with no_grad():
                self.num_batches_tracked._write(self.num_batches_tracked + 1)
            if self.momentum is None:
                # A cumulative average: each batch so far has the same weight.
                count = self.num_batches_tracked
                momentum = 1.0 / (count.item() if count._value is not None else count)
        use_batch = self.training or self.running_mean is None
        tracked = not self.training or self.track_running_stats
        return functional.batch_norm(
            input,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            use_batch,
            momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine},"
            f" track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalise each feature over the batch (and positions).

    Parameters
    ----------
    num_features : int
        C of inputs (N, C) or (N, C, L).
    eps : float
        Added to the variance.
    momentum : float, optional
        Weight of a new batch in the running statistics; None averages over all batches.
    affine : bool
        Whether scale and shift are learnt.
    track_running_stats : bool
        Whether running statistics are kept for evaluation.
    dtype : dtype, optional

    Attributes
    ----------
    weight, bias : Parameter, shape (num_features,)
    running_mean, running_var : Tensor, shape (num_features,)
    num_batches_tracked : Tensor, shape ()

    Source: Ioffe & Szegedy (2015), Batch normalization, algorithm 1.

    Examples
    --------
    >>> import slopewise as sw
    >>> out = sw.nn.BatchNorm1d(1)(sw.tensor([[1.0], [3.0]]))
    >>> [round(x, 3) for x in out.flatten().tolist()]
    [-1.0, 1.0]
    """

    _axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of images (N, C, H, W) over batch and positions; see BatchNorm1d."""

    _axes = (4,)


class LayerNorm(Module):
    """Normalise over the last axes, each example by itself.

    Parameters
    ----------
    normalized_shape : int or sequence of int
    eps : float
    elementwise_affine : bool
        Whether scale and shift are learnt, one for each element.
    bias : bool
        Whether a shift is learnt too.
    dtype : dtype, optional

    Attributes
    ----------
    weight, bias : Parameter, shape (*normalized_shape,), or None

    Source: Ba, Kiros & Hinton (2016), Layer normalization.
    """

    weight: Any
    bias: Any

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        make = {"dtype": dtype, "device": device}
        learnt = elementwise_affine
        weight = Parameter(ones(self.normalized_shape, **make)) if learnt else None
        self.register_parameter("weight", weight)
        shift = Parameter(zeros(self.normalized_shape, **make)) if learnt and bias else None
        self.register_parameter("bias", shift)

    def reset_parameters(self) -> None:
        """Start again: weights 1 and biases 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        """Return the normalised input, of the same shape."""
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Normalise groups of channels, each example by itself.

    Parameters
    ----------
    num_groups, num_channels : int
        The groups divide the channels.
    eps : float
    affine : bool
    dtype : dtype, optional

    Attributes
    ----------
    weight, bias : Parameter, shape (num_channels,), or None

    Raises
    ------
    ShapeError
        If the groups do not divide the channels.

    Source: Wu & He (2018), Group normalization.
    """

    weight: Any
    bias: Any

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ShapeError(
                explain(f"GroupNorm: {num_groups} groups do not divide {num_channels} channels.")
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        make = {"dtype": dtype, "device": device}
        weight = Parameter(ones(num_channels, **make)) if affine else None
        self.register_parameter("weight", weight)
        self.register_parameter("bias", Parameter(zeros(num_channels, **make)) if affine else None)

    def forward(self, input: Any) -> Any:
        """Return the normalised input, of the same shape."""
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
