"""Convolution and pooling: windows, then a contraction or a reduction.

Invariant: data have shape (N, channels, *space) or (channels, *space); PyTorch's arguments. It is
separate from the other contractions because everything here goes through sliding windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._front import reduction
from slopewise._front.joins import cat, pad
from slopewise._front.operands import as_value, promote_operands
from slopewise._front.shape import narrow, permute, reshape, unsqueeze
from slopewise._ops.contraction import contract
from slopewise._ops.windows import windows
from slopewise.errors import ShapeError, UsageError

Sizes = int | Sequence[int]


def _each(value: Sizes, axes: int) -> tuple[int, ...]:
    return (int(value),) * axes if isinstance(value, (int, np.integer)) else tuple(map(int, value))


def _check_steps(operation: str, axes: int, **steps: tuple[int, ...]) -> None:
    """Refuse kernel sizes, strides and dilations that are not one number above 0 for each axis."""
    for name, numbers in steps.items():
        if len(numbers) != axes or any(n < 1 for n in numbers):
            raise UsageError(
                explain(f"{operation}: {name} {numbers} must be {axes} number(s), each 1 or more.")
            )


def _border(padding: tuple[int, ...]) -> list[int]:
    """Return the padding of the last axes in the order that `pad` takes."""
    return [p for n in reversed(padding) for p in (n, n)]


def _windows(x: Any, sizes: Any, strides: Any, dilations: Any, operation: str) -> Any:
    _check_steps(operation, len(sizes), stride=strides, dilation=dilations)
    reach = tuple((k - 1) * d + 1 for k, d in zip(sizes, dilations, strict=True))
    space = tuple(x.shape[x.ndim - len(sizes) :])
    if any(r > n for r, n in zip(reach, space, strict=True)):
        raise ShapeError(
            explain(
                f"{operation}: a window that spans {reach} does not fit the padded input of size"
                f" {space}; use a smaller kernel or more padding.",
                (x,),
            )
        )
    return bind(windows, (x,), {"sizes": sizes, "strides": strides, "dilations": dilations})


def _convolve(
    axes: int, input: Any, weight: Any, bias: Any, stride: Sizes, padding: Any, dilation: Sizes,
    groups: int,
) -> Any:  # fmt: skip
    operation = f"conv{axes}d"
    x, w = promote_operands((as_value(input), as_value(weight)))
    if x.ndim == axes + 1:
        single = _convolve(axes, unsqueeze(x, 0), w, bias, stride, padding, dilation, groups)
        return reshape(single, single.shape[1:])
    if x.ndim != axes + 2 or w.ndim != axes + 2 or x.shape[1] != w.shape[1] * groups:
        raise ShapeError(
            explain(
                f"{operation}: input {tuple(x.shape)} and weight {tuple(w.shape)} with {groups}"
                f" group(s) do not fit: the input needs {axes + 2} axes and"
                f" {w.shape[1] * groups if w.ndim > 1 else '?'} channels on axis 1.",
                (x, w),
            )
        )
    strides, dilations = _each(stride, axes), _each(dilation, axes)
    sizes = tuple(w.shape[2:])
    if groups < 1 or w.shape[0] % groups:
        raise ShapeError(
            explain(
                f"{operation}: {groups} group(s) do not divide the {w.shape[0]} channels of the"
                " result.",
                (w,),
            )
        )
    _check_steps(operation, axes, kernel_size=sizes, stride=strides, dilation=dilations)
    if bias is not None and tuple(as_value(bias).shape) != (w.shape[0],):
        raise ShapeError(
            explain(
                f"{operation}: the bias has shape {tuple(as_value(bias).shape)}, and the weight"
                f" {tuple(w.shape)} needs ({w.shape[0]},), one number for each channel.",
                (as_value(bias), w),
            )
        )
    if padding == "same":
        total = [(k - 1) * d for k, d in zip(sizes, dilations, strict=True)]
        x = pad(x, [p for t in reversed(total) for p in (t // 2, t - t // 2)])
    elif padding != "valid" and any(_each(padding, axes)):
        x = pad(x, _border(_each(padding, axes)))
    patches = _windows(x, sizes, strides, dilations, operation)
    n_out, per_group = w.shape[0] // groups, w.shape[1]
    outs: list[Any] = []
    for g in range(groups):
        part = patches if groups == 1 else narrow(patches, 1, g * per_group, per_group)
        kernel = w if groups == 1 else narrow(w, 0, g * n_out, n_out)
        inner = (1, *range(2 + axes, 2 + 2 * axes))
        params = {
            "x_axes": inner, "y_axes": (1, *range(2, 2 + axes)), "x_batch": (), "y_batch": (),
        }  # fmt: skip
        out = bind(contract, (part, kernel), params)
        outs.append(permute(out, (0, axes + 1, *range(1, axes + 1))))
    out = outs[0] if groups == 1 else cat(outs, 1)
    if bias is None:
        return out
    return out + reshape(as_value(bias), (1, -1, *(1,) * axes))


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Any = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Return the 1-D cross-correlation of a batch with a bank of kernels.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L)
    weight : Tensor, shape (out, C / groups, K)
    bias : Tensor, shape (out,), optional
    stride, padding, dilation : int or tuple of int
        Padding may be "same" or "valid".
    groups : int

    Returns
    -------
    Tensor, shape (N, out, L')

    Raises
    ------
    ShapeError
        If channels or axes do not fit, or the kernel is larger than the padded input.
    UsageError
        If a stride or dilation is not above 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.conv1d(sw.tensor([[1.0, 2.0, 4.0]]), sw.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Any = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Return the 2-D cross-correlation of a batch with a bank of kernels.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
    weight : Tensor, shape (out, C / groups, KH, KW)
    bias : Tensor, shape (out,), optional
    stride, padding, dilation : int or tuple of int
        Padding may be "same" or "valid".
    groups : int

    Returns
    -------
    Tensor, shape (N, out, H', W')

    Raises
    ------
    ShapeError
        If channels or axes do not fit, or the kernel is larger than the padded input.
    UsageError
        If a stride or dilation is not above 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.conv2d(sw.ones(1, 3, 3), sw.ones(1, 1, 2, 2))
    tensor([[[4., 4.],
             [4., 4.]]])
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


def _pool(
    axes: int, kind: str, input: Any, kernel_size: Sizes, stride: Any, padding: Sizes,
    dilation: Sizes, ceil_mode: bool,
) -> tuple[Any, tuple[int, ...]]:  # fmt: skip
    operation = f"{kind}_pool{axes}d"
    x = as_value(input)
    if ceil_mode:
        raise UsageError(explain(f"{operation}: ceil_mode=True is not there; pad the input."))
    if x.ndim not in (axes + 1, axes + 2):
        raise ShapeError(explain(f"{operation}: needs {axes + 1} or {axes + 2} axes.", (x,)))
    sizes = _each(kernel_size, axes)
    strides = sizes if stride is None or stride == () else _each(stride, axes)
    around = _each(padding, axes)
    _check_steps(operation, axes, kernel_size=sizes, stride=strides)
    if len(around) != axes:
        raise UsageError(explain(f"{operation}: padding {around} must be {axes} number(s)."))
    if any(2 * p > k for p, k in zip(around, sizes, strict=True)):
        raise UsageError(explain(f"{operation}: padding {around} is over half of {sizes}."))
    if any(around):
        x = pad(x, _border(around), value=float("-inf") if kind == "max" else 0.0)
    patches = _windows(x, sizes, strides, _each(dilation, axes), operation)
    return patches, tuple(range(patches.ndim - axes, patches.ndim))


def max_pool1d(
    input: Any, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Any:  # fmt: skip
    """Return the largest value of each window; ties share the gradient equally.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L)
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        Distance between windows (default: the kernel size).
    padding : int or tuple of int
        At most half of the kernel size.
    dilation : int
        Distance between the entries of a window.
    ceil_mode : bool
        Only False is supported.

    Returns
    -------
    Tensor, shape (N, C, L') or (C, L')

    Raises
    ------
    ShapeError
        If the number of axes or the window does not fit.
    UsageError
        If ceil_mode is true, the padding is too large, or a size or stride is not above 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.max_pool1d(sw.tensor([[1.0, 3.0, 2.0, 4.0]]), 2)
    tensor([[3., 4.]])
    """
    patches, axes = _pool(1, "max", input, kernel_size, stride, padding, dilation, ceil_mode)
    return reduction.amax(patches, axes)


def max_pool2d(
    input: Any, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Any:  # fmt: skip
    """Return the largest value of each window; ties share the gradient equally.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        Distance between windows (default: the kernel size).
    padding : int or tuple of int
        At most half of the kernel size.
    dilation : int or tuple of int
        Distance between the entries of a window.
    ceil_mode : bool
        Only False is supported.

    Returns
    -------
    Tensor, shape (N, C, H', W') or (C, H', W')

    Raises
    ------
    ShapeError
        If the number of axes or the window does not fit.
    UsageError
        If ceil_mode is true, the padding is too large, or a size or stride is not above 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.max_pool2d(sw.tensor([[[1.0, 3.0], [2.0, 4.0]]]), 2)
    tensor([[[4.]]])
    """
    patches, axes = _pool(2, "max", input, kernel_size, stride, padding, dilation, ceil_mode)
    return reduction.amax(patches, axes)


def _average(
    axes: int, input: Any, kernel_size: Sizes, stride: Any, padding: Sizes, ceil_mode: bool,
    count_include_pad: bool,
) -> Any:  # fmt: skip
    patches, last = _pool(axes, "avg", input, kernel_size, stride, padding, 1, ceil_mode)
    if count_include_pad or not any(_each(padding, axes)):
        return reduction.mean(patches, last)
    ones = np.ones((1, *as_value(input).shape[-axes:]), patches.dtype)
    counted, _ = _pool(axes, "avg", ones, kernel_size, stride, padding, 1, ceil_mode)
    return reduction.sum(patches, last) / reduction.sum(counted, tuple(range(-axes, 0)))


def avg_pool1d(
    input: Any, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:  # fmt: skip
    """Return the mean of each window.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L)
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        Distance between windows (default: the kernel size).
    padding : int or tuple of int
        At most half of the kernel size.
    ceil_mode : bool
        Only False is supported.
    count_include_pad : bool
        Whether the zeros of the padding count in the mean.

    Returns
    -------
    Tensor, shape (N, C, L') or (C, L')

    Raises
    ------
    ShapeError
        If the number of axes or the window does not fit.
    UsageError
        If ceil_mode is true, the padding is too large, or a size or stride is not above 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.avg_pool1d(sw.tensor([[1.0, 3.0, 2.0, 4.0]]), 2)
    tensor([[2., 3.]])
    """
    return _average(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Any, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:  # fmt: skip
    """Return the mean of each window.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        Distance between windows (default: the kernel size).
    padding : int or tuple of int
        At most half of the kernel size.
    ceil_mode : bool
        Only False is supported.
    count_include_pad : bool
        Whether the zeros of the padding count in the mean.

    Returns
    -------
    Tensor, shape (N, C, H', W') or (C, H', W')

    Raises
    ------
    ShapeError
        If the number of axes or the window does not fit.
    UsageError
        If ceil_mode is true, the padding is too large, or a size or stride is not above 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.avg_pool2d(sw.tensor([[[1.0, 3.0], [2.0, 4.0]]]), 2)
    tensor([[[2.5000]]])
    """
    return _average(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def _averaging_matrix(n: int, m: int, dtype: Any) -> np.ndarray[Any, Any]:
    """Return the (m, n) matrix of means over m adaptive bins of n entries."""
    matrix = np.zeros((m, n), dtype)
    for i in range(m):
        start, stop = i * n // m, -(-(i + 1) * n // m)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Return means over bins that divide each of the last two axes into a fixed number of bins.

    Parameters
    ----------
    input : Tensor, shape (..., H, W)
    output_size : int or pair of (int or None)
        Number of bins on each axis; None keeps the size.

    Returns
    -------
    Tensor, shape (..., H', W')

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.adaptive_avg_pool2d(sw.tensor([[1.0, 3.0], [2.0, 4.0]]), 1)
    tensor([[2.5000]])
    """
    x = as_value(input)
    height, width = (output_size,) * 2 if isinstance(output_size, int) else output_size
    height = x.shape[-2] if height is None else height
    width = x.shape[-1] if width is None else width
    rows = as_value(_averaging_matrix(x.shape[-2], height, x.dtype))
    columns = as_value(_averaging_matrix(x.shape[-1], width, x.dtype))
    return rows @ x @ columns.T
