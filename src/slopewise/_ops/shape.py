"""Views: broadcast, reshape, transpose, slices, embedding in zeros, flips, concatenation.

Invariant: every output element is one input element or 0, so each record is linear and its
transpose is another record of this file (or a sum). Broadcasting is stated only here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Linear, Reduce, Sample, Text, View
from slopewise.errors import ShapeError

Shape = tuple[int, ...]


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape)


_MOVED = Text("linear, elements moved", "선형: 원소의 자리만 바뀜", r"(Pu)' = P u'")


# --- broadcast_to ------------------------------------------------------------------------------


def unbroadcast(out_bar: Any, shape: Shape) -> Any:
    """Sum a cotangent back to the shape that was broadcast."""
    extra = len(out_bar.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and out_bar.shape[i + extra] != 1
    )
    summed = sum(out_bar, axes=axes, keepdims=False) if axes else out_bar
    return reshape(summed, shape=shape) if summed.shape != shape else summed


def _batch_broadcast(operands: Any, batched: Any, size: int, *, shape: Shape) -> Any:
    x = operands[0]
    inner = x.shape[1:]
    x = reshape(x, shape=(size, *(1,) * (len(shape) - len(inner)), *inner))
    return broadcast_to(x, shape=(size, *shape))


broadcast_to = Primitive(
    "broadcast_to",
    value=lambda x, *, shape: np.broadcast_to(x, shape),
    derivative=Linear(lambda out_bar, x, *, shape: unbroadcast(out_bar, x.shape)),
    lowering=View("broadcast"),
    abstract=lambda x, *, shape: Aval(shape, x.dtype),
    batch=_batch_broadcast,
    samples=lambda rng: [
        Sample((_normal(rng, 3, 1),), {"shape": (2, 3, 4)}),
        Sample((_normal(rng),), {"shape": (2,)}),
        Sample((_normal(rng, 1),), {"shape": (0,)}),
    ],
    text=_MOVED,
)


# --- sum, the transpose of broadcasting --------------------------------------------------------


def _expand(out_bar: Any, x: Aval, axes: Shape, keepdims: bool) -> Any:
    """Spread the cotangent of a reduction over what was reduced."""
    if not keepdims:
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        out_bar = reshape(out_bar, shape=kept)
    return broadcast_to(out_bar, shape=x.shape)


def reduced_shape(shape: Shape, axes: Shape, keepdims: bool) -> Shape:
    """Return the shape that a reduction over `axes` leaves."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def batch_reduce(primitive: Any) -> Any:
    """Return the batching rule of a reduction: the axes move up by one."""

    def batch(operands: Any, batched: Any, size: int, *, axes: Shape, keepdims: bool) -> Any:
        return primitive()(operands[0], axes=tuple(a + 1 for a in axes), keepdims=keepdims)

    return batch


sum = Primitive(
    "sum",
    value=lambda x, *, axes, keepdims: np.add.reduce(x, axis=axes, keepdims=keepdims),
    derivative=Linear(lambda out_bar, x, *, axes, keepdims: _expand(out_bar, x, axes, keepdims)),
    lowering=Reduce("add"),
    abstract=lambda x, *, axes, keepdims: Aval(reduced_shape(x.shape, axes, keepdims), x.dtype),
    batch=batch_reduce(lambda: sum),
    samples=lambda rng: [
        Sample((_normal(rng, 2, 3, 4),), {"axes": (0, 2), "keepdims": False}),
        Sample((_normal(rng, 2, 3),), {"axes": (1,), "keepdims": True}),
        Sample((_normal(rng),), {"axes": (), "keepdims": False}),
        Sample((_normal(rng, 0, 3),), {"axes": (0,), "keepdims": False}),
    ],
    text=Text("sum rule", "합의 미분법", r"(\sum u_i)' = \sum u_i'"),
)


# --- reshape, transpose ------------------------------------------------------------------------

reshape = Primitive(
    "reshape",
    value=lambda x, *, shape: x.reshape(shape),
    derivative=Linear(lambda out_bar, x, *, shape: reshape(out_bar, shape=x.shape)),
    lowering=View("reshape"),
    abstract=lambda x, *, shape: Aval(shape, x.dtype),
    batch=lambda operands, batched, size, *, shape: reshape(operands[0], shape=(size, *shape)),
    samples=lambda rng: [
        Sample((_normal(rng, 2, 3),), {"shape": (3, 2)}),
        Sample((_normal(rng),), {"shape": (1, 1)}),
        Sample((_normal(rng, 0, 3),), {"shape": (3, 0)}),
    ],
    text=_MOVED,
)


def inverse_axes(axes: Shape) -> Shape:
    """Return the permutation that undoes `axes`."""
    inverse = [0] * len(axes)
    for i, axis in enumerate(axes):
        inverse[axis] = i
    return tuple(inverse)


transpose = Primitive(
    "transpose",
    value=lambda x, *, axes: x.transpose(axes),
    derivative=Linear(lambda out_bar, _x, *, axes: transpose(out_bar, axes=inverse_axes(axes))),
    lowering=View("transpose"),
    abstract=lambda x, *, axes: Aval(tuple(x.shape[a] for a in axes), x.dtype),
    batch=lambda operands, batched, size, *, axes: transpose(
        operands[0], axes=(0, *(a + 1 for a in axes))
    ),
    samples=lambda rng: [
        Sample((_normal(rng, 2, 3, 4),), {"axes": (2, 0, 1)}),
        Sample((_normal(rng),), {"axes": ()}),
        Sample((_normal(rng, 0, 3),), {"axes": (1, 0)}),
    ],
    text=Text("transpose rule", "전치의 미분", r"(U^T)' = (U')^T"),
)


# --- slices and their transpose ----------------------------------------------------------------


def slice_lengths(starts: Shape, stops: Shape, steps: Shape) -> Shape:
    """Return the shape of a slice with positive steps."""
    return tuple(
        max(0, -(-(stop - start) // step))
        for start, stop, step in zip(starts, stops, steps, strict=True)
    )


def _slices(starts: Shape, stops: Shape, steps: Shape) -> tuple[Any, ...]:
    return tuple(np.s_[a:b:c] for a, b, c in zip(starts, stops, steps, strict=True))


def _embed(x: Any, *, shape: Shape, starts: Shape, steps: Shape) -> Any:
    out = np.zeros(shape, x.dtype)
    stops = tuple(
        start + max(0, (n - 1) * step + 1)
        for start, n, step in zip(starts, x.shape, steps, strict=True)
    )
    out[_slices(starts, stops, steps)] = x
    return out


slice = Primitive(
    "slice",
    value=lambda x, *, starts, stops, steps: x[_slices(starts, stops, steps)],
    derivative=Linear(
        lambda out_bar, x, *, starts, stops, steps: embed(
            out_bar, shape=x.shape, starts=starts, steps=steps
        )
    ),
    lowering=View("slice"),
    abstract=lambda x, *, starts, stops, steps: Aval(slice_lengths(starts, stops, steps), x.dtype),
    batch=lambda operands, batched, size, *, starts, stops, steps: slice(
        operands[0], starts=(0, *starts), stops=(size, *stops), steps=(1, *steps)
    ),
    samples=lambda rng: [
        Sample((_normal(rng, 5, 4),), {"starts": (1, 0), "stops": (5, 3), "steps": (2, 1)}),
        Sample((_normal(rng, 3),), {"starts": (2,), "stops": (2,), "steps": (1,)}),
    ],
    text=_MOVED,
)
embed = Primitive(
    "embed",
    value=_embed,
    derivative=Linear(
        lambda out_bar, x, *, shape, starts, steps: slice(
            out_bar,
            starts=starts,
            stops=tuple(
                a + max(0, (n - 1) * c + 1) for a, n, c in zip(starts, x.shape, steps, strict=True)
            ),
            steps=steps,
        )
    ),
    lowering=View("embed"),
    abstract=lambda x, *, shape, starts, steps: Aval(shape, x.dtype),
    batch=lambda operands, batched, size, *, shape, starts, steps: embed(
        operands[0], shape=(size, *shape), starts=(0, *starts), steps=(1, *steps)
    ),
    samples=lambda rng: [
        Sample((_normal(rng, 2, 3),), {"shape": (5, 4), "starts": (1, 0), "steps": (2, 1)}),
        Sample((_normal(rng, 0),), {"shape": (3,), "starts": (2,), "steps": (1,)}),
    ],
    text=_MOVED,
)
flip = Primitive(
    "flip",
    value=lambda x, *, axes: np.flip(x, axes),
    derivative=Linear(lambda out_bar, _x, *, axes: flip(out_bar, axes=axes)),
    lowering=View("flip"),
    abstract=lambda x, *, axes: Aval(x.shape, x.dtype),
    batch=lambda operands, batched, size, *, axes: flip(
        operands[0], axes=tuple(a + 1 for a in axes)
    ),
    samples=lambda rng: [
        Sample((_normal(rng, 2, 3),), {"axes": (1,)}),
        Sample((_normal(rng, 0, 3),), {"axes": (0, 1)}),
    ],
    text=_MOVED,
)


# --- concatenation -----------------------------------------------------------------------------


def _split(out_bar: Any, *parts: Aval, axis: int) -> list[Any]:
    start = 0
    bars: list[Any] = []
    shape = out_bar.shape
    for part in parts:
        stop = start + part.shape[axis]
        bars.append(
            slice(
                out_bar,
                starts=tuple(start if i == axis else 0 for i in range(len(shape))),
                stops=tuple(stop if i == axis else n for i, n in enumerate(shape)),
                steps=(1,) * len(shape),
            )
        )
        start = stop
    return bars


def _cat_aval(*parts: Aval, axis: int) -> Aval:
    first = parts[0]
    for part in parts[1:]:
        if len(part.shape) != len(first.shape) or any(
            i != axis and n != m
            for i, (n, m) in enumerate(zip(part.shape, first.shape, strict=True))
        ):
            raise ShapeError(
                f"cat: shapes {first.shape} and {part.shape} differ outside axis {axis}; make the"
                " other axes equal first."
            )
    joined = 0
    for part in parts:
        joined += part.shape[axis]
    shape = tuple(joined if i == axis else n for i, n in enumerate(first.shape))
    return Aval(shape, first.dtype)


def _batch_cat(operands: Any, batched: Any, size: int, *, axis: int) -> Any:
    parts = [
        x if b else broadcast_to(x, shape=(size, *x.shape))
        for x, b in zip(operands, batched, strict=True)
    ]
    return cat(*parts, axis=axis + 1)


cat = Primitive(
    "cat",
    value=lambda *parts, axis: np.concatenate(parts, axis),
    derivative=Linear(_split),
    lowering=View("cat"),
    abstract=_cat_aval,
    batch=_batch_cat,
    samples=lambda rng: [
        Sample((_normal(rng, 2, 3), _normal(rng, 2, 1)), {"axis": 1}),
        Sample((_normal(rng, 0, 3), _normal(rng, 2, 3)), {"axis": 0}),
    ],
    text=_MOVED,
)


def _join(out_bars: tuple[Any, ...], x: Aval, *, axis: int) -> Any:
    """Return the cotangents of the slices put together; zeros where none arrived."""
    shape = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    nothing = np.zeros(shape, x.dtype)
    return cat(*(nothing if b is None else reshape(b, shape=shape) for b in out_bars), axis=axis)


unbind = Primitive(
    "unbind",
    value=lambda x, *, axis: tuple(np.moveaxis(x, axis, 0)),
    derivative=Linear(_join),
    lowering=View("slice"),
    abstract=lambda x, *, axis: (
        (Aval((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype),) * x.shape[axis]
    ),
    batch=lambda operands, batched, size, *, axis: unbind(operands[0], axis=axis + 1),
    samples=lambda rng: [
        Sample((_normal(rng, 3, 2),), {"axis": 0}),
        Sample((_normal(rng, 2, 3, 2),), {"axis": 1}),
    ],
    text=_MOVED,
)

PRIMITIVES = (unbind, broadcast_to, sum, reshape, transpose, slice, embed, flip, cat)
