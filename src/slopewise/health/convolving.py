"""Convolutions as matrices: their product with a vector and with their transpose, in NumPy.

Invariant: `apply_adjoint` is the transpose of `apply`, written by the offsets of the kernel and not
taken from any engine, so that it can be compared with the gradients that an engine measured. It is
separate from the measure, which needs no more than products.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

ROUNDS = 12
"""Products with the matrix and its transpose, for the largest singular value."""


class Convolution:
    """A convolution without its bias, as a linear map of one array to another.

    Parameters
    ----------
    weight : ndarray, shape (out, in / groups, *kernel)
    settings : mapping
        `stride`, `padding`, `dilation` and `groups`, numbers or one for each axis.
    x_shape : tuple of int
        (batch, in, *axes) of the input.

    Examples
    --------
    >>> ones = np.ones((1, 1, 2))
    >>> convolution = Convolution(ones, {"stride": 2}, (1, 1, 4))
    >>> convolution.apply(np.arange(4.0).reshape(1, 1, 4)).tolist()
    [[[1.0, 5.0]]]
    >>> convolution.apply_adjoint(np.array([[[1.0, 10.0]]])).tolist()
    [[[1.0, 1.0, 10.0, 10.0]]]
    """

    def __init__(self, weight: Any, settings: Mapping[str, Any], x_shape: tuple[int, ...]) -> None:
        axes = weight.ndim - 2
        self.weight, self.x_shape = weight, x_shape
        self.kernel = weight.shape[2:]
        self.stride, self.padding, self.dilation = (
            _spread(settings.get(name, default), axes)
            for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
        )
        self.groups = int(settings.get("groups", 1))
        self.sizes = tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                x_shape[2:], self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )

    def _windows(self) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        """Yield each offset's weights by group, and where it reads the padded input."""
        out, rows = len(self.weight), self.weight.shape[1]
        grouped = self.weight.reshape(self.groups, out // self.groups, rows, *self.kernel)
        for offset in itertools.product(*map(range, self.kernel)):
            places = tuple(
                slice(o * d, o * d + s * (n - 1) + 1, s)
                for o, d, s, n in zip(offset, self.dilation, self.stride, self.sizes, strict=True)
            )
            yield grouped[(..., *offset)], (slice(None), slice(None), *places)

    def apply(self, x: Any) -> Any:
        """Return the product with an array of the input's shape."""
        batch = len(x)
        padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in self.padding)])
        total = np.zeros((batch, self.groups, len(self.weight) // self.groups, *self.sizes))
        for weight, places in self._windows():
            part = padded[places].reshape(batch, self.groups, weight.shape[2], *self.sizes)
            total += np.einsum("goc,bgc...->bgo...", weight, part)
        return total.reshape(batch, len(self.weight), *self.sizes)

    def apply_adjoint(self, y: Any) -> Any:
        """Return the transpose's product with an array of the output's shape."""
        batch = len(y)
        lengths = (n + 2 * p for n, p in zip(self.x_shape[2:], self.padding, strict=True))
        padded = np.zeros((batch, self.x_shape[1], *lengths))
        grouped = y.reshape(batch, self.groups, len(self.weight) // self.groups, *self.sizes)
        for weight, places in self._windows():
            part = np.einsum("goc,bgo...->bgc...", weight, grouped)
            padded[places] += part.reshape(batch, self.x_shape[1], *self.sizes)
        inner = (slice(p, p + n) for n, p in zip(self.x_shape[2:], self.padding, strict=True))
        return padded[(slice(None), slice(None), *inner)]

    def measure_largest(self) -> float:
        """Return an estimate from below of the largest singular value, by power iteration."""
        one = Convolution(self.weight, self._settings(), (1, *self.x_shape[1:]))
        x = np.random.default_rng(0).normal(size=one.x_shape)
        largest = 0.0
        for _ in range(ROUNDS):
            size = float(np.linalg.norm(x))
            if not size > 0:
                return 0.0
            y = one.apply(x / size)
            largest = float(np.linalg.norm(y))
            x = one.apply_adjoint(y)
        return largest

    def _settings(self) -> dict[str, Any]:
        return {
            "stride": self.stride, "padding": self.padding, "dilation": self.dilation,
            "groups": self.groups,
        }  # fmt: skip


def _spread(value: Any, axes: int) -> tuple[int, ...]:
    """Return a setting for each axis."""
    if isinstance(value, (tuple, list)):
        return tuple(int(v) for v in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return (int(value),) * axes
