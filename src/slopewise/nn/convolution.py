"""Convolution layers over one axis (Conv1d) and two (Conv2d).

Invariant: the weight has shape (out_channels, in_channels / groups, *kernel), first weights are
PyTorch's (uniform up to 1 / sqrt(fan_in)), and forward is a cross-correlation, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slopewise._core.source import explain
from slopewise._front.convolution import conv1d, conv2d
from slopewise._front.creation import zeros
from slopewise._front.joins import pad
from slopewise.errors import UsageError
from slopewise.nn.linear import draw_default_
from slopewise.nn.module import Module
from slopewise.nn.parameter import Parameter

Sizes = int | Sequence[int]
_MODES = ("zeros", "reflect", "replicate", "circular")


def each_axis(value: Sizes, axes: int, name: str) -> tuple[int, ...]:
    """Return one number for each axis."""
    if isinstance(value, int):
        return (value,) * axes
    sizes = tuple(int(v) for v in value)
    if len(sizes) != axes:
        raise UsageError(explain(f"{name}: expected one number or {axes}, got {len(sizes)}."))
    return sizes


class _Convolution(Module):
    """What convolutions of any number of axes share."""

    _axes: int
    _function: Callable[..., Any]
    weight: Any
    bias: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name, axes = type(self).__name__, self._axes
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise UsageError(
                explain(
                    f"{name}: groups={groups} must divide in_channels={in_channels} and"
                    f" out_channels={out_channels}."
                )
            )
        if padding_mode not in _MODES:
            raise UsageError(explain(f"{name}: padding_mode {padding_mode!r} is not of {_MODES}."))
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise UsageError(explain(f"{name}: padding {padding!r} is not 'same' or 'valid'."))
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = each_axis(kernel_size, axes, f"{name} kernel_size")
        self.stride = each_axis(stride, axes, f"{name} stride")
        self.dilation = each_axis(dilation, axes, f"{name} dilation")
        self.padding = (
            padding if isinstance(padding, str) else each_axis(padding, axes, f"{name} padding")
        )
        if padding == "same" and any(s != 1 for s in self.stride):
            raise UsageError(explain(f"{name}: padding='same' needs stride 1, got {self.stride}."))
        self.groups = groups
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(zeros(shape, dtype=dtype, device=device))
        if bias:
            self.bias = Parameter(zeros(out_channels, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first weights again."""
        draw_default_(self.weight, self.bias)

    def _border(self) -> list[int]:
        """Return the widths for `pad`, the last axis first."""
        if self.padding == "valid":
            return [0, 0] * self._axes
        if self.padding == "same":
            spans = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [n for t in reversed(spans) for n in (t // 2, t - t // 2)]
        return [n for p in reversed(self.padding) for n in (p, p)]  # type: ignore[misc]

    def forward(self, input: Any) -> Any:
        """Map (N, in_channels, *space) to (N, out_channels, *space')."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._border(), mode=self.padding_mode), 0
        return type(self)._function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the defaults."""
        parts = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size},"
            f" stride={self.stride}"
        ]
        if self.padding != (0,) * self._axes:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self._axes:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv1d(_Convolution):
    """Cross-correlation along one axis with learnt kernels.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or tuple of 1 int
        Padding may also be "same" or "valid".
    groups : int
        Parts of the channels that do not see each other.
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels / groups, kernel_size)
    bias : Parameter, shape (out_channels,), or None

    Raises
    ------
    UsageError
        If the options do not fit together.

    Source: LeCun et al. (1989), Backpropagation applied to handwritten zip code recognition.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.Conv1d(2, 4, 3)(sw.zeros(5, 2, 10)).shape
    (5, 4, 8)
    """

    _axes = 1
    _function = staticmethod(conv1d)


class Conv2d(_Convolution):
    """Cross-correlation along two axes with learnt kernels; options as for Conv1d.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or tuple of 2 ints
    groups : int
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels / groups, *kernel_size)
    bias : Parameter, shape (out_channels,), or None

    Source: LeCun et al. (1998), Gradient-based learning applied to document recognition.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.Conv2d(1, 6, 5, padding=2)(sw.zeros(3, 1, 28, 28)).shape
    (3, 6, 28, 28)
    """

    _axes = 2
    _function = staticmethod(conv2d)
