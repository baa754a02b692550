"""Reads and writes at computed positions: take, scatter, dynamic slices, sorting orders.

Invariant: `take` and `scatter_add` are each other's transposes; k broadcast index arrays address
the first k axes jointly. Writing the same position twice keeps the last value, and only the value
kept gets a gradient. Indices are integers in range, from 0 (the front settles negative ones).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from slopewise._core.aval import INT64, Aval, broadcast_shapes
from slopewise._core.graph import Primitive
from slopewise._core.rules import Index, Library, Linear, Sample, Text, Zero
from slopewise._ops.comparison import equal, where
from slopewise._ops.shape import Shape, broadcast_to, reshape

_MOVED = Text("linear, elements moved", "선형: 원소의 자리만 바뀜", r"(Pu)' = P u'")


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape)


def _index_shape(indices: tuple[Any, ...]) -> Shape:
    return broadcast_shapes(*(i.shape for i in indices), operation="take")


def _align(index: Any, batched: bool, rank: int, size: int) -> Any:
    """Return an index array with the batch axis in front and ones up to the common rank."""
    inner = index.shape[1:] if batched else index.shape
    front = size if batched else 1
    return reshape(index, shape=(front, *(1,) * (rank - len(inner)), *inner))


def _batch_indices(indices: Any, batched: Any, size: int, mapped: bool) -> tuple[list[Any], int]:
    """Return aligned index arrays, led by the batch's own positions where data are mapped."""
    inner = [i.shape[1:] if b else i.shape for i, b in zip(indices, batched, strict=True)]
    rank = len(broadcast_shapes(*inner))
    aligned = [_align(i, b, rank, size) for i, b in zip(indices, batched, strict=True)]
    if mapped:
        rows = np.arange(size).reshape(size, *(1,) * rank)
        return [rows, *aligned], rank
    return aligned, rank


def _batch_take(operands: Any, batched: Any, size: int) -> Any:
    x, *indices = operands
    aligned, _ = _batch_indices(indices, batched[1:], size, batched[0])
    return take(x, *aligned)


take = Primitive(
    "take",
    value=lambda x, *indices: x[indices],
    derivative=Linear(
        lambda out_bar, x, *indices: scatter_add(out_bar, *indices, shape=x.shape), wrt=(0,)
    ),
    lowering=Index("gather"),
    abstract=lambda x, *indices: Aval((*_index_shape(indices), *x.shape[len(indices) :]), x.dtype),
    batch=_batch_take,
    samples=lambda rng: [
        Sample((_normal(rng, 4, 3), np.array([0, 2, 2, 3]))),
        Sample((_normal(rng, 4, 3), np.array([[0], [2]]), np.array([1, 1]))),
        Sample((_normal(rng, 4), np.array(2))),
        Sample((_normal(rng, 4, 0), np.array([1, 1]))),
    ],
    text=_MOVED,
)


def _scatter_add(updates: Any, *indices: Any, shape: Shape) -> Any:
    out = np.zeros(shape, updates.dtype)
    np.add.at(out, indices, updates)
    return out


def _batch_scatter_add(operands: Any, batched: Any, size: int, *, shape: Shape) -> Any:
    updates, *indices = operands
    aligned, _ = _batch_indices(indices, batched[1:], size, True)
    if not batched[0]:
        updates = broadcast_to(updates, shape=(size, *updates.shape))
    return scatter_add(updates, *aligned, shape=(size, *shape))


scatter_add = Primitive(
    "scatter_add",
    value=_scatter_add,
    derivative=Linear(lambda out_bar, _u, *indices, shape: take(out_bar, *indices), wrt=(0,)),
    lowering=Index("scatter_add"),
    abstract=lambda updates, *indices, shape: Aval(shape, updates.dtype),
    batch=_batch_scatter_add,
    samples=lambda rng: [
        Sample((_normal(rng, 4, 3), np.array([0, 2, 2, 1])), {"shape": (5, 3)}),
        Sample((_normal(rng, 2), np.array([0, 1]), np.array([1, 1])), {"shape": (2, 3)}),
        Sample((_normal(rng, 0, 3), np.zeros(0, np.int64)), {"shape": (2, 3)}),
    ],
    text=_MOVED,
)


def _scatter_set(x: Any, updates: Any, *indices: Any) -> Any:
    out = x.copy()
    out[indices] = updates
    return out


def _last_writes(updates: Any, indices: Any, shape: Shape) -> Any:
    """Return which updates are still there in the end, in the shape of the updates."""
    positions = _index_shape(tuple(indices))
    order = np.arange(prod(positions)).reshape(positions)
    lead = shape[: len(indices)]
    final = scatter_set(np.full(lead, -1), order, *indices)
    kept = equal(take(final, *indices), order)
    wide = reshape(kept, shape=(*positions, *(1,) * (len(updates.shape) - len(positions))))
    return broadcast_to(wide, shape=updates.shape)


def _scatter_set_transpose(out_bar: Any, x: Any, updates: Any, *indices: Any) -> Any:
    nothing = np.zeros(updates.shape, out_bar.dtype)
    kept = _last_writes(updates, indices, x.shape)
    x_bar = scatter_set(out_bar, nothing, *indices)
    return x_bar, where(kept, take(out_bar, *indices), 0.0)


def _batch_scatter_set(operands: Any, batched: Any, size: int) -> Any:
    x, updates, *indices = operands
    aligned, _ = _batch_indices(indices, batched[2:], size, True)
    if not batched[0]:
        x = broadcast_to(x, shape=(size, *x.shape))
    if not batched[1]:
        updates = broadcast_to(updates, shape=(size, *updates.shape))
    return scatter_set(x, updates, *aligned)


scatter_set = Primitive(
    "scatter_set",
    value=_scatter_set,
    derivative=Linear(_scatter_set_transpose, wrt=(0, 1)),
    lowering=Index("scatter_set"),
    abstract=lambda x, updates, *indices: Aval(x.shape, x.dtype),
    batch=_batch_scatter_set,
    samples=lambda rng: [
        Sample((_normal(rng, 4, 3), _normal(rng, 3, 3), np.array([0, 2, 2]))),
        Sample((_normal(rng, 4), _normal(rng, 2), np.array([3, 1]))),
        Sample((_normal(rng, 4), _normal(rng), np.array(1))),
    ],
    text=_MOVED,
)


def _order_batch(operands: Any, batched: Any, size: int, *, axis: int, descending: bool) -> Any:
    return argsort(operands[0], axis=axis + 1, descending=descending)


def _argsort(x: Any, *, axis: int, descending: bool) -> Any:
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Sorted backwards and turned round, so that equal elements keep their order.
    flipped = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.flip(x.shape[axis] - 1 - flipped, axis)


argsort = Primitive(
    "argsort",
    value=_argsort,
    derivative=Zero(),
    lowering=Library("sort"),
    abstract=lambda x, *, axis, descending: Aval(x.shape, INT64),
    batch=_order_batch,
    samples=lambda rng: [
        Sample((_normal(rng, 3, 4),), {"axis": 1, "descending": False}),
        Sample((_normal(rng, 3, 4),), {"axis": 0, "descending": True}),
    ],
    text=Text("piecewise constant", "계단 함수의 미분", r"\mathrm{argsort}' = 0"),
)

PRIMITIVES = (take, scatter_add, scatter_set, argsort)
