"""Sliding windows and their overlap-add: what convolution and pooling are made of.

Invariant: `windows` is only an index map, and `fold`, which adds windows back to where they came
from, is its transpose. They act on the last axes of their operand.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Index, Linear, Sample, Text, View
from slopewise._ops.shape import Shape


def window_counts(extents: Shape, sizes: Shape, strides: Shape, dilations: Shape) -> Shape:
    """Return how many windows fit on each axis."""
    return tuple(
        max(0, (n - (k - 1) * d - 1) // s + 1)
        for n, k, s, d in zip(extents, sizes, strides, dilations, strict=True)
    )


def _windows(x: Any, *, sizes: Shape, strides: Shape, dilations: Shape) -> Any:
    axes = len(sizes)
    lead = x.shape[: x.ndim - axes]
    counts = window_counts(x.shape[x.ndim - axes :], sizes, strides, dilations)
    steps = x.strides[x.ndim - axes :]
    view = np.lib.stride_tricks.as_strided(
        x,
        (*lead, *counts, *sizes),
        (
            *x.strides[: x.ndim - axes],
            *(b * s for b, s in zip(steps, strides, strict=True)),
            *(b * d for b, d in zip(steps, dilations, strict=True)),
        ),
        writeable=False,
    )
    return view


def _fold(x: Any, *, extents: Shape, strides: Shape, dilations: Shape) -> Any:
    axes = len(extents)
    lead = x.shape[: x.ndim - 2 * axes]
    counts = x.shape[len(lead) : len(lead) + axes]
    sizes = x.shape[len(lead) + axes :]
    out = np.zeros((*lead, *extents), x.dtype)
    for offset in product(*(range(k) for k in sizes)):
        target = tuple(
            np.s_[o * d : o * d + (n - 1) * s + 1 : s]
            for o, d, n, s in zip(offset, dilations, counts, strides, strict=True)
        )
        if all(counts):
            out[(..., *target)] += x[(..., *offset)]
    return out


def _windows_aval(x: Aval, *, sizes: Shape, strides: Shape, dilations: Shape) -> Aval:
    axes = len(sizes)
    lead = x.shape[: x.ndim - axes]
    counts = window_counts(x.shape[x.ndim - axes :], sizes, strides, dilations)
    return Aval((*lead, *counts, *sizes), x.dtype)


windows = Primitive(
    "windows",
    value=_windows,
    derivative=Linear(
        lambda out_bar, x, *, sizes, strides, dilations: fold(
            out_bar, extents=tuple(x.shape[len(x.shape) - len(sizes) :]), strides=strides,
            dilations=dilations,
        )
    ),
    lowering=View("windows"),
    abstract=_windows_aval,
    batch=lambda operands, batched, size, **params: windows(operands[0], **params),
    samples=lambda rng: [
        Sample(
            (rng.standard_normal((2, 6, 5)),),
            {"sizes": (3, 2), "strides": (1, 2), "dilations": (2, 1)},
        ),
        Sample((rng.standard_normal(7),), {"sizes": (3,), "strides": (2,), "dilations": (1,)}),
    ],
    text=Text("linear, elements moved", "선형: 원소의 자리만 바뀜", r"(Pu)' = P u'"),
)  # fmt: skip
fold = Primitive(
    "fold",
    value=_fold,
    derivative=Linear(
        lambda out_bar, x, *, extents, strides, dilations: windows(
            out_bar, sizes=tuple(x.shape[len(x.shape) - len(extents) :]), strides=strides,
            dilations=dilations,
        )
    ),
    lowering=Index("scatter_add"),
    abstract=lambda x, *, extents, strides, dilations: Aval(
        (*x.shape[: x.ndim - 2 * len(extents)], *extents), x.dtype
    ),
    batch=lambda operands, batched, size, **params: fold(operands[0], **params),
    samples=lambda rng: [
        Sample(
            (rng.standard_normal((2, 2, 2, 3, 2)),),
            {"extents": (6, 5), "strides": (1, 2), "dilations": (2, 1)},
        ),
        Sample(
            (rng.standard_normal((3, 3)),), {"extents": (7,), "strides": (2,), "dilations": (1,)}
        ),
    ],
    text=Text("linear, elements moved", "선형: 원소의 자리만 바뀜", r"(P^Tu)' = P^Tu'"),
)  # fmt: skip

PRIMITIVES = (windows, fold)
