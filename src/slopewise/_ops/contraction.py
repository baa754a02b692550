"""Contraction: sums of products over named axes, the one primitive behind matmul and einsum.

Invariant: the output's axes are the batch axes, then the free axes of x, then those of y. Its
transposes are contractions again, arranged so that a matrix product never needs a copy.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Contract, Multilinear, Sample, Text
from slopewise._ops.shape import Shape, inverse_axes, transpose


@cache
def _free(ndim: int, *taken: Shape) -> Shape:
    used = {a for axes in taken for a in axes}
    return tuple(i for i in range(ndim) if i not in used)


def _contract(
    x: Any, y: Any, *, x_axes: Shape, y_axes: Shape, x_batch: Shape, y_batch: Shape
) -> Any:
    if not x_batch and x.ndim == 2 and y.ndim == 2 and len(x_axes) == 1:
        return (x if x_axes[0] == 1 else x.T) @ (y if y_axes[0] == 0 else y.T)
    x_free = _free(x.ndim, x_axes, x_batch)
    y_free = _free(y.ndim, y_axes, y_batch)
    batch = tuple(x.shape[i] for i in x_batch)
    inner = prod(x.shape[i] for i in x_axes)
    x_outer = tuple(x.shape[i] for i in x_free)
    y_outer = tuple(y.shape[i] for i in y_free)
    a = x.transpose((*x_batch, *x_free, *x_axes)).reshape((*batch, prod(x_outer), inner))
    b = y.transpose((*y_batch, *y_axes, *y_free)).reshape((*batch, inner, prod(y_outer)))
    return np.matmul(a, b).reshape((*batch, *x_outer, *y_outer))


def _aval(
    x: Aval, y: Aval, *, x_axes: Shape, y_axes: Shape, x_batch: Shape, y_batch: Shape
) -> Aval:
    shape = (
        *(x.shape[i] for i in x_batch),
        *(x.shape[i] for i in _free(x.ndim, x_axes, x_batch)),
        *(y.shape[i] for i in _free(y.ndim, y_axes, y_batch)),
    )
    return Aval(shape, x.dtype)


Plan = tuple[dict[str, Shape], Shape | None]


@cache
def _x_plan(
    x_ndim: int, y_ndim: int, x_axes: Shape, y_axes: Shape, x_batch: Shape, y_batch: Shape
) -> Plan:
    """Return the contraction (out_bar, y) that gives x's cotangent, and the order of its axes."""
    batches = len(x_batch)
    x_free = _free(x_ndim, x_axes, x_batch)
    y_free = _free(y_ndim, y_axes, y_batch)
    start = batches + len(x_free)
    params = {
        "x_axes": tuple(range(start, start + len(y_free))), "y_axes": y_free,
        "x_batch": tuple(range(batches)), "y_batch": y_batch,
    }  # fmt: skip
    ascending = sorted(range(len(y_axes)), key=lambda i: y_axes[i])
    return params, _arrangement((*x_batch, *x_free, *(x_axes[i] for i in ascending)))


@cache
def _y_plan(
    x_ndim: int, y_ndim: int, x_axes: Shape, y_axes: Shape, x_batch: Shape, y_batch: Shape
) -> tuple[bool, Plan]:
    """Return whether x comes first, the contraction that gives y's cotangent, and its order."""
    batches = len(x_batch)
    x_free = _free(x_ndim, x_axes, x_batch)
    y_free = _free(y_ndim, y_axes, y_batch)
    outer = tuple(range(batches, batches + len(x_free)))
    ascending = sorted(range(len(x_axes)), key=lambda i: x_axes[i])
    inner = tuple(y_axes[i] for i in ascending)
    batch = tuple(range(batches))
    if y_axes and y_free and y_axes[0] < y_free[0]:
        params = {"x_axes": x_free, "y_axes": outer, "x_batch": x_batch, "y_batch": batch}
        return True, (params, _arrangement((*y_batch, *inner, *y_free)))
    params = {"x_axes": outer, "y_axes": x_free, "x_batch": batch, "y_batch": x_batch}
    return False, (params, _arrangement((*y_batch, *y_free, *inner)))


def _arrangement(layout: Shape) -> Shape | None:
    """Return the permutation that brings axes in the order `layout` back, if one is needed."""
    return None if layout == tuple(range(len(layout))) else inverse_axes(layout)


def _x_transpose(out_bar: Any, x: Any, y: Any, **axes: Shape) -> Any:
    params, order = _x_plan(len(x.shape), len(y.shape), **axes)
    partial = contract(out_bar, y, **params)
    return partial if order is None else transpose(partial, axes=order)


def _y_transpose(out_bar: Any, x: Any, y: Any, **axes: Shape) -> Any:
    x_first, (params, order) = _y_plan(len(x.shape), len(y.shape), **axes)
    partial = contract(x, out_bar, **params) if x_first else contract(out_bar, x, **params)
    return partial if order is None else transpose(partial, axes=order)


def _batch(
    operands: Any, batched: Any, size: int, *, x_axes: Shape, y_axes: Shape, x_batch: Shape,
    y_batch: Shape,
) -> Any:  # fmt: skip
    x, y = operands
    up_x = tuple(a + 1 for a in x_axes) if batched[0] else x_axes
    up_y = tuple(a + 1 for a in y_axes) if batched[1] else y_axes
    up_xb = tuple(a + 1 for a in x_batch) if batched[0] else x_batch
    up_yb = tuple(a + 1 for a in y_batch) if batched[1] else y_batch
    if batched[0] and batched[1]:
        return contract(x, y, x_axes=up_x, y_axes=up_y, x_batch=(0, *up_xb), y_batch=(0, *up_yb))
    out = contract(x, y, x_axes=up_x, y_axes=up_y, x_batch=up_xb, y_batch=up_yb)
    # The mapped axis is the first free axis of its operand; bring it to the front.
    position = len(x_batch) + (0 if batched[0] else len(_free(len(x.shape), x_axes, x_batch)))
    axes = (position, *(i for i in range(len(out.shape)) if i != position))
    return transpose(out, axes=axes)


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape)


contract = Primitive(
    "contract",
    value=_contract,
    derivative=Multilinear((_x_transpose, _y_transpose)),
    lowering=Contract(),
    abstract=_aval,
    batch=_batch,
    samples=lambda rng: [
        Sample(
            (_normal(rng, 3, 4), _normal(rng, 4, 2)),
            {"x_axes": (1,), "y_axes": (0,), "x_batch": (), "y_batch": ()},
        ),
        Sample(
            (_normal(rng, 3, 4), _normal(rng, 2, 4)),
            {"x_axes": (1,), "y_axes": (1,), "x_batch": (), "y_batch": ()},
        ),
        Sample(
            (_normal(rng, 2, 3, 4, 5), _normal(rng, 5, 2, 6, 4)),
            {"x_axes": (2, 3), "y_axes": (3, 0), "x_batch": (0,), "y_batch": (1,)},
        ),
        Sample(
            (_normal(rng, 3), _normal(rng, 3)),
            {"x_axes": (0,), "y_axes": (0,), "x_batch": (), "y_batch": ()},
        ),
        Sample(
            (_normal(rng, 0, 3), _normal(rng, 3, 2)),
            {"x_axes": (1,), "y_axes": (0,), "x_batch": (), "y_batch": ()},
        ),
    ],
    text=Text("matrix product rule", "행렬 곱의 미분", r"(UV)' = U'V+UV'"),
)

PRIMITIVES = (contract,)
