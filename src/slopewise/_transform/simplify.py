"""Simplification: a traced graph read into a table that merges, folds and rewrites as it goes.

Invariant: the result computes what the graph computes (see `identities` for what "what" means);
composite primitives (softmax, log-sum-exp, norms) are replaced by what they are made of, so that a
compiler sees only maps, views, folds, contractions and calls. It is separate from the eager tape,
where nothing is merged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slopewise._core.graph import Primitive
from slopewise._core.quiet import hush, restore
from slopewise._core.rules import Pointwise
from slopewise._core.state import enable_grad, state
from slopewise._core.trace import Graph, trace
from slopewise._core.value import Array, Value, is_tuple
from slopewise._ops import (
    arithmetic,
    comparison,
    exponential,
    indexing,
    linalg,
    powers,
    reduction,
    shape,
)
from slopewise._transform.expression import Expression, Table, read_graph
from slopewise._transform.identities import IDENTITIES, Identity

_BY_PRIMITIVE: dict[str, list[Identity]] = {}
for _identity in IDENTITIES:
    _BY_PRIMITIVE.setdefault(_identity.primitive, []).append(_identity)
_FOLDED_UP_TO = 4096  # elements of a constant that is computed when the graph is read


def _keep(x: Any, axes: tuple[int, ...], like: Any) -> Any:
    return reduction.spread(x, axes, like)


def _softmax(x: Any, *, axis: int) -> Any:
    top = reduction.max(x, axes=(axis,), keepdims=True)
    weights = exponential.exp(arithmetic.sub(x, _keep(top, (axis,), x)))
    total = shape.sum(weights, axes=(axis,), keepdims=True)
    return arithmetic.div(weights, _keep(total, (axis,), x))


def _log_softmax(x: Any, *, axis: int) -> Any:
    top = reduction.max(x, axes=(axis,), keepdims=True)
    moved = arithmetic.sub(x, _keep(top, (axis,), x))
    total = shape.sum(exponential.exp(moved), axes=(axis,), keepdims=True)
    return arithmetic.sub(moved, _keep(exponential.log(total), (axis,), x))


def _logsumexp(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    # The same steps as in the rule of its gradient, so that both share them.
    _, total, top = reduction.exponentials(x, axes)
    out = arithmetic.add(exponential.log(total), top)
    left = shape.reduced_shape(x.shape, axes, keepdims)
    return shape.reshape(out, shape=left)


def _norm(x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    # Scaled by the largest element, so that no square overflows or vanishes.
    top = reduction.max(powers.abs(x), axes=axes, keepdims=True)
    usable = comparison.logical_and(comparison.isfinite(top), comparison.greater(top, 0.0))
    scale = comparison.where(usable, top, 1.0)
    ratio = arithmetic.div(x, _keep(scale, axes, x))
    total = shape.sum(arithmetic.square(ratio), axes=axes, keepdims=True)
    out = arithmetic.mul(powers.sqrt(total), scale)
    return shape.reshape(out, shape=shape.reduced_shape(x.shape, axes, keepdims))


def _log_likelihood(x: Any, classes: Any, *, scale: float) -> Any:
    count: int = x.shape[0]
    rows = np.arange(count)
    picked = indexing.take(_log_softmax(x, axis=1), rows, classes)
    return arithmetic.mul(shape.sum(picked, axes=(0,), keepdims=False), scale)


def _adjugate(a: Any) -> Any:
    # Through the SVD, A = U S V: adj A = det(UV) V^T adj(S) U^T, also where A is singular.
    u, s, vh = linalg.svd(a)
    sign = arithmetic.round(arithmetic.mul(linalg.det(u), linalg.det(vh)))
    eye = np.broadcast_to(np.eye(a.shape[-1], dtype=bool), a.shape)
    others = comparison.where(eye, 1.0, linalg.as_columns(s, a.shape))
    scale = reduction.prod(others, axes=(len(a.shape) - 1,), keepdims=False)
    scale = arithmetic.mul(scale, _keep(sign, (len(a.shape) - 2,), scale))
    left = arithmetic.mul(linalg.swap(vh), linalg.as_columns(scale, a.shape))
    return linalg.product(left, linalg.swap(u))


COMPOSITES: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "norm": _norm,
    "log_likelihood": _log_likelihood,
    "adjugate": _adjugate,
}


class Simplifier(Table):
    """A Table that rewrites what it is asked to add."""

    def __init__(self) -> None:
        super().__init__()
        self.used: dict[str, int] = {}
        self._graphs: dict[Any, Graph] = {}

    def read(self, x: Any, like: np.dtype[Any] | None) -> Expression:
        """Return a constant for what a node holds that is no other node's result."""
        if isinstance(x, Value):
            x = x._value  # pyright: ignore[reportPrivateUsage]
        if isinstance(x, (bool, int, float)) and like is not None:
            if isinstance(x, float) and like.kind != "f":
                return self.number(x, np.dtype(np.float64))
            return self.number(x, like)
        return self.constant(np.asarray(x))

    def constant(self, array: Any) -> Expression:
        """Return a constant; what repeats along an axis is kept once, and broadcast."""
        if not array.ndim or not 0 < array.size <= 1 << 20:
            return super().constant(np.ascontiguousarray(array) if array.ndim else array)
        kept = _without_repeats(array)
        if kept.shape == array.shape:
            return super().constant(np.ascontiguousarray(array))
        small = self.number(kept.item(), array.dtype) if kept.size == 1 else self.constant(kept)
        return self.apply(shape.broadcast_to, (small,), {"shape": array.shape})

    def apply(
        self,
        primitive: Primitive,
        operands: Sequence[Expression],
        params: dict[str, Any],
        place: Any = None,
    ) -> Expression:
        """Return a primitive applied to operands, or what is the same and simpler."""
        given = tuple(operands)
        if isinstance(primitive.lowering, Pointwise):
            given = self._bare(given)
        if given and all(o.data is not None for o in given):
            folded = self._fold(primitive, given, params)
            if folded is not None:
                return folded
        for identity in _BY_PRIMITIVE.get(primitive.name, ()):
            better = identity.rewrite(self, given, params)
            if better is not None:
                if isinstance(primitive.lowering, Pointwise):
                    better = self._spread(better, given)
                self.used[identity.name] = self.used.get(identity.name, 0) + 1
                return better
        composite = COMPOSITES.get(primitive.name)
        if composite is not None and all(n for o in given for n in o.shape):
            return self._expand(primitive, composite, given, params)
        return super().apply(primitive, given, params, place)

    def _bare(self, operands: tuple[Expression, ...]) -> tuple[Expression, ...]:
        """Replace numbers that were broadcast by the numbers, while one operand has the shape."""
        bare = [
            o.operands[0]
            if o.primitive is not None and o.name == "broadcast_to" and o.operands[0].is_number
            else o
            for o in operands
        ]
        wide = max(operands, key=lambda o: len(o.shape)).shape
        chosen = bare if any(b.shape == wide for b in bare) else list(operands)
        floats = [o.dtype for o in chosen if not o.is_number and o.dtype.kind == "f"]
        # A number takes the float dtype of what it meets.
        return tuple(
            self.number(o.data, floats[0])
            if floats and o.is_number and o.dtype.kind == "f" and o.dtype != floats[0]
            else o
            for o in chosen
        )

    def _spread(self, result: Expression, operands: tuple[Expression, ...]) -> Expression:
        """Broadcast what a rewrite left to the shape that the operands had together."""
        wide = max(operands, key=lambda o: len(o.shape)).shape
        if result.shape == wide:
            return result
        return self.apply(shape.broadcast_to, (result,), {"shape": wide})

    def _fold(
        self, primitive: Primitive, operands: tuple[Expression, ...], params: dict[str, Any]
    ) -> Expression | None:
        """Compute what depends on small constants alone."""
        if primitive.name == "broadcast_to" or primitive.text.en.startswith("random"):
            return None
        arrays = [o.data for o in operands if o.data is not None]
        if sum(a.size for a in arrays) > _FOLDED_UP_TO:
            return None
        wide = max((a.shape for a in arrays), key=len)
        if isinstance(primitive.lowering, Pointwise) and wide:
            arrays = [np.broadcast_to(a, wide) for a in arrays]
        token = hush()
        try:
            out: Any = primitive.kernel(*arrays, **params)
        finally:
            restore(token)
        if is_tuple(out):
            return None
        array: Array = np.asarray(out)
        return self.constant(array) if array.size <= _FOLDED_UP_TO else None

    def _expand(
        self,
        primitive: Primitive,
        composite: Callable[..., Any],
        operands: tuple[Expression, ...],
        params: dict[str, Any],
    ) -> Expression:
        key = (primitive.name, tuple(o.aval for o in operands), repr(params))
        graph = self._graphs.get(key)
        if graph is None:
            recorder, state.recorder = state.recorder, None
            # What a composite is made of must not be recognised as the composite.
            state.recognising = False
            try:
                with enable_grad():
                    graph, _ = trace(
                        lambda *xs: composite(*xs, **params), [o.aval for o in operands]
                    )
            finally:
                state.recorder = recorder
                state.recognising = True
            self._graphs[key] = graph
        return read_graph(graph, self, operands)[0]


def _without_repeats(array: Array) -> Array:
    """Return an array with one element along each axis where all of its slices have equal bits."""
    for axis in range(array.ndim):
        if array.shape[axis] < 2:
            continue
        first = array[(slice(None),) * axis + (slice(0, 1),)]
        if array.dtype.kind in "fiu":
            kind = f"u{array.itemsize}"
            bits, wanted = (np.ascontiguousarray(a).view(kind) for a in (array, first))
        else:
            bits, wanted = array, first
        if bool((bits == wanted).all()):
            array = first
    return array


def simplify(graph: Graph) -> tuple[list[Expression], list[Expression], Simplifier]:
    """Return the inputs and the outputs of a graph as expressions, and their table."""
    from slopewise._core.aval import Aval

    table = Simplifier()
    inputs = [table.input(i, Aval(e.shape, e.dtype)) for i, e in enumerate(graph.inputs)]
    return inputs, read_graph(graph, table, inputs), table
