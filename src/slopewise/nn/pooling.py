"""Pooling layers: the largest value or the mean of each window.

Invariant: a layer holds its options; forward is one call of the function of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slopewise._front import convolution as functional
from slopewise.nn.module import Module

Sizes = int | Sequence[int]


class _MaxPool(Module):
    """What max pooling over any number of axes shares."""

    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Any = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        """Return the largest value of each window."""
        return type(self)._function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding},"
            f" dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value of each window of (N, C, L); ties share the gradient equally."""

    _function = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest value of each window of (N, C, H, W); ties share the gradient equally.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.MaxPool2d(2)(sw.zeros(1, 3, 8, 8)).shape
    (1, 3, 4, 4)
    """

    _function = staticmethod(functional.max_pool2d)


class _AvgPool(Module):
    """What average pooling over any number of axes shares."""

    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Any = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        """Return the mean of each window."""
        return type(self)._function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Return the options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of (N, C, L)."""

    _function = staticmethod(functional.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of each window of (N, C, H, W)."""

    _function = staticmethod(functional.avg_pool2d)


class AdaptiveAvgPool2d(Module):
    """Means over as many bins of (N, C, H, W) as asked for.

    Parameters
    ----------
    output_size : int, or tuple of two ints or None
        Bins along H and W; None keeps the size.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.AdaptiveAvgPool2d(1)(sw.ones(1, 3, 8, 5)).shape
    (1, 3, 1, 1)
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        """Return the mean of each bin."""
        return functional.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        """Return the number of bins."""
        return f"output_size={self.output_size}"
