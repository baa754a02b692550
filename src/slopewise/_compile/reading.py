"""From the array graph to terms: what one element of an expression is, at given indices.

Invariant: views change indices and nothing else; an expression that has a buffer is loaded, all
others are computed in place. It is separate because the scheduler asks it what a kernel would read
before it decides what gets a buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any, Literal

import numpy as np

from slopewise._compile import draws
from slopewise._compile.builder import BOOL, INT64
from slopewise._compile.loops import (
    ZERO,
    Axis,
    Buffer,
    Index,
    Pool,
    Shape,
    Term,
    cost_of,
    delinearise,
    linearise,
)
from slopewise._core.graph import Primitive
from slopewise._core.rules import Contract, Generate, Pointwise, Reduce
from slopewise._transform.expression import Expression

Indices = tuple[Index, ...]


class Materialise(Exception):
    """Tells that an expression needs a buffer before it can be read in this order."""

    def __init__(self, expression: Expression) -> None:
        super().__init__(expression)
        self.expression = expression


def _add(b: Any, x: Any, y: Any) -> Any:
    return b.add(x, y)


def _multiply(b: Any, x: Any, y: Any) -> Any:
    return b.mul(x, y)


def _largest(b: Any, x: Any, y: Any) -> Any:
    return b.maximum(x, y)


def _smallest(b: Any, x: Any, y: Any) -> Any:
    return b.minimum(x, y)


def _conjoin(b: Any, x: Any, y: Any) -> Any:
    return b.logical_and(x, y)


def _disjoin(b: Any, x: Any, y: Any) -> Any:
    return b.logical_or(x, y)


def _same(b: Any, x: Any, y: Any) -> Any:
    return b.eq(x, y)


def _choose(b: Any, c: Any, x: Any, y: Any) -> Any:
    return b.select(c, x, y)


COMBINE: dict[str, Callable[..., Any]] = {
    "add": _add, "mul": _multiply, "maximum": _largest,
    "minimum": _smallest, "and": _conjoin, "or": _disjoin,
}  # fmt: skip
IDENTITY: dict[str, Any] = {"add": 0, "mul": 1, "and": True, "or": False}
FOLDS = {
    "sum": "add", "prod": "mul", "max": "maximum", "min": "minimum", "all": "and", "any": "or",
}  # fmt: skip

# Up to how many elements a reduction is written out in place, term by term.
UNROLLED = 16


def apply_body(
    pool: Pool, primitive: Primitive, operands: tuple[Term, ...], dtype: np.dtype[Any]
) -> Term:
    """Return an elementwise primitive without parameters, applied to terms."""
    lowering = primitive.lowering
    assert isinstance(lowering, Pointwise)
    cost = cost_of(primitive.name)
    return pool.op(primitive.name, lowering.body, operands, {}, dtype, cost)


def reduced_axes(expression: Expression) -> tuple[Shape, bool]:
    """Return the axes of a reduction, and whether they are kept with size 1."""
    axes: Shape = expression.params["axes"]
    return axes, bool(expression.params["keepdims"])


class Reader:
    """Reads expressions as terms; `placed` says which have buffers."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.placed: dict[int, Buffer] = {}
        self.words: dict[int, Buffer] = {}  # the raw random words of a draw
        self.known: dict[Any, Term] = {}

    def place(self, expression: Expression, buffer: Buffer) -> None:
        """Say that an expression is in memory."""
        self.placed[expression.number] = buffer

    def read(self, expression: Expression, indices: Indices) -> Term:
        """Return the element of an expression at the given indices.

        Raises
        ------
        Materialise
            If an expression below has to be in memory first.
        Split
            If an axis of the indices has to be split first.
        """
        number = expression.number
        buffer = self.placed.get(number)
        if buffer is not None:
            return self.pool.load(buffer, indices)
        key = (number, tuple(i.key for i in indices))
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._read(expression, indices)
        return found

    def _read(self, expression: Expression, indices: Indices) -> Term:
        if expression.data is not None:
            return self._constant(expression, indices)
        primitive = expression.primitive
        if primitive is None:
            raise Materialise(expression)
        lowering = primitive.lowering
        if isinstance(lowering, Pointwise):
            return self._pointwise(expression, indices)
        rule = VIEWS.get(primitive.name)
        if rule is not None:
            return rule(self, expression, indices)
        if isinstance(lowering, Reduce) and primitive.name in FOLDS:
            return self._reduction(expression, indices)
        if isinstance(lowering, Contract):
            return self._contraction(expression, indices)
        if isinstance(lowering, Generate) and number_of_words(expression):
            return self._draw(expression, indices)
        raise Materialise(expression)

    def _constant(self, expression: Expression, indices: Indices) -> Term:
        data = expression.data
        assert data is not None
        if data.ndim == 0:
            return self.pool.number(data, data.dtype)
        if data.size == 1:
            return self.pool.number(data.reshape(()), data.dtype)
        if data.dtype == INT64 and data.size == max(data.shape):
            slope = progression(data.reshape(-1))
            if slope is not None:
                along = next(i for i, n in zip(indices, data.shape, strict=True) if n > 1)
                return self.pool.index(along.scale(slope[1]).shift(slope[0]))
        if all(i.fixed for i in indices):
            return self.pool.number(data[tuple(i.constant for i in indices)], data.dtype)
        raise Materialise(expression)

    def _pointwise(self, expression: Expression, indices: Indices) -> Term:
        primitive = expression.primitive
        assert primitive is not None
        lowering = primitive.lowering
        assert isinstance(lowering, Pointwise)
        operands: list[Term] = []
        for operand in expression.operands:
            if operand.is_number:
                operands.append(self.pool.number(operand.data, operand.dtype))
            elif operand.shape == () and indices:
                operands.append(self.read(operand, ()))
            else:
                operands.append(self.read(operand, indices))
        if primitive.name in PASSED:
            return operands[0]
        return self.pool.op(
            primitive.name, lowering.body, tuple(operands), expression.params, expression.dtype,
            cost_of(primitive.name),
        )  # fmt: skip

    def index_of(self, expression: Expression, indices: Indices) -> Index:
        """Return an element of an index array as an Index."""
        term = self.read(expression, indices)
        if term.kind == "number":
            return Index(int(term.data))
        if term.kind == "index":
            return term.data
        if term.dtype != INT64:
            term = self.pool.op("convert", _to_int64, (term,), {}, INT64, 1.0)
        return Index(0, (), ((term, 1),))

    def combine(self, operation: str, terms: Sequence[Term], dtype: np.dtype[Any]) -> Term:
        """Fold terms pairwise, which keeps the rounding error of long sums small."""
        level = list(terms)
        while len(level) > 1:
            paired = [
                self.pool.op(operation, COMBINE[operation], (a, b), {}, dtype, 1.0)
                for a, b in zip(level[::2], level[1::2], strict=False)
            ]
            level = paired + ([level[-1]] if len(level) % 2 else [])
        return level[0]

    def _reduction(self, expression: Expression, indices: Indices) -> Term:
        operand = expression.operands[0]
        axes, keepdims = reduced_axes(expression)
        operation = FOLDS[expression.name]
        extent = [operand.shape[a] for a in axes]
        if prod(extent) > UNROLLED:
            raise Materialise(expression)
        rest = list(indices)
        if not keepdims:
            for a in sorted(axes):
                rest.insert(a, ZERO)
        terms: list[Term] = []
        for point in product(*(range(n) for n in extent)):
            at = list(rest)
            for a, p in zip(axes, point, strict=True):
                at[a] = Index(p)
            term = self.read(operand, tuple(at))
            if operation in ("and", "or") and term.dtype != BOOL:
                term = self.pool.op("truth", _to_truth, (term,), {}, BOOL, 1.0)
            terms.append(term)
        if not terms:
            if operation not in IDENTITY:
                raise Materialise(expression)
            return self.pool.number(IDENTITY[operation], expression.dtype)
        return self.combine(operation, terms, expression.dtype)

    def _contraction(self, expression: Expression, indices: Indices) -> Term:
        x, y = expression.operands
        plan = ContractionPlan(expression)
        if prod(plan.inner) > UNROLLED:
            raise Materialise(expression)
        terms: list[Term] = []
        for point in product(*(range(n) for n in plan.inner)):
            k = tuple(Index(p) for p in point)
            at_x, at_y = plan.operands(indices, k)
            pair = (self.read(x, at_x), self.read(y, at_y))
            terms.append(self.pool.op("mul", _multiply, pair, {}, expression.dtype, 1.0))
        if not terms:
            return self.pool.number(0, expression.dtype)
        total = terms[0]
        for term in terms[1:]:
            total = self.pool.op("add", _add, (total, term), {}, expression.dtype, 1.0)
        return total

    def _draw(self, expression: Expression, indices: Indices) -> Term:
        words = self.words.get(expression.number)
        if words is None:
            raise Materialise(expression)
        position = linearise(indices, expression.shape)
        return draws.element(self.pool, expression, words, position)


class ContractionPlan:
    """Which axes of the operands of a contraction are batch, rows, columns and summed."""

    def __init__(self, expression: Expression) -> None:
        x, y = (o.shape for o in expression.operands)
        params = expression.params
        self.x_batch: Shape = params["x_batch"]
        self.y_batch: Shape = params["y_batch"]
        self.x_axes: Shape = params["x_axes"]
        self.y_axes: Shape = params["y_axes"]
        self.x_free: Shape = tuple(
            i for i in range(len(x)) if i not in self.x_axes and i not in self.x_batch
        )
        self.y_free = tuple(
            i for i in range(len(y)) if i not in self.y_axes and i not in self.y_batch
        )
        self.inner: Shape = tuple(x[i] for i in self.x_axes)
        self.ranks = len(x), len(y)

    def operands(self, out: Indices, inner: Indices) -> tuple[Indices, Indices]:
        """Return the operands' indices for an index of the output and one of the sum."""
        at_x: list[Index] = [ZERO] * self.ranks[0]
        at_y: list[Index] = [ZERO] * self.ranks[1]
        position = 0
        for a, b in zip(self.x_batch, self.y_batch, strict=True):
            at_x[a] = at_y[b] = out[position]
            position += 1
        for a in self.x_free:
            at_x[a] = out[position]
            position += 1
        for b in self.y_free:
            at_y[b] = out[position]
            position += 1
        for a, b, k in zip(self.x_axes, self.y_axes, inner, strict=True):
            at_x[a] = at_y[b] = k
        return tuple(at_x), tuple(at_y)


def progression(values: np.ndarray[Any, Any]) -> tuple[int, int] | None:
    """Return (start, step) of integers that grow evenly."""
    if values.size < 2:
        return None
    step = int(values[1]) - int(values[0])
    if step and bool((values == values[0] + step * np.arange(values.size)).all()):
        return int(values[0]), step
    return None


def number_of_words(expression: Expression) -> int:
    """Return how many raw random words a draw takes (0: it is no draw)."""
    primitive = expression.primitive
    if primitive is None or not isinstance(primitive.lowering, Generate):
        return 0
    if primitive.lowering.source != "philox":
        return 0
    return draws.words(expression)


def _to_int64(b: Any, x: Any) -> Any:
    return b.cast(x, INT64)


def _to_truth(b: Any, x: Any) -> Any:
    return b.truth(x)


PASSED = frozenset(("alias", "copy", "stop_gradient"))

# --- views ---------------------------------------------------------------------------------------


def _broadcast(reader: Reader, expression: Expression, indices: Indices) -> Term:
    operand = expression.operands[0]
    inner = indices[len(indices) - len(operand.shape) :]
    at = tuple(ZERO if n == 1 else i for i, n in zip(inner, operand.shape, strict=True))
    return reader.read(operand, at)


def _reshape(reader: Reader, expression: Expression, indices: Indices) -> Term:
    operand = expression.operands[0]
    position = linearise(indices, expression.shape)
    at = delinearise(position, operand.shape)
    if at is not None:
        return reader.read(operand, tuple(at))
    buffer = reader.placed.get(operand.number)
    if buffer is None:
        raise Materialise(operand)
    return reader.pool.load(buffer, (position,))


def _transpose(reader: Reader, expression: Expression, indices: Indices) -> Term:
    at: list[Index] = [ZERO] * len(indices)
    for place, axis in enumerate(expression.params["axes"]):
        at[axis] = indices[place]
    return reader.read(expression.operands[0], tuple(at))


def _slice(reader: Reader, expression: Expression, indices: Indices) -> Term:
    params = expression.params
    at = tuple(
        i.scale(step).shift(start)
        for i, start, step in zip(indices, params["starts"], params["steps"], strict=True)
    )
    return reader.read(expression.operands[0], at)


def _flip(reader: Reader, expression: Expression, indices: Indices) -> Term:
    axes = expression.params["axes"]
    at = tuple(
        i.scale(-1).shift(n - 1) if k in axes else i
        for k, (i, n) in enumerate(zip(indices, expression.shape, strict=True))
    )
    return reader.read(expression.operands[0], at)


def _zero(reader: Reader, expression: Expression) -> Term:
    return reader.pool.number(0, expression.dtype)


def _embed(reader: Reader, expression: Expression, indices: Indices) -> Term:
    operand = expression.operands[0]
    params = expression.params
    conditions: list[tuple[Index, int, int]] = []
    at: list[Index] = []
    if 0 in operand.shape:
        return _zero(reader, expression)
    for i, start, step, size in zip(
        indices, params["starts"], params["steps"], operand.shape, strict=True
    ):
        moved = i.shift(-start)
        if step != 1:
            quotient = _divide_exactly(moved, step)
            if quotient is False:
                return _zero(reader, expression)
            if quotient is None:
                raise Materialise(expression)
            moved = quotient
        conditions.append((moved, 0, size))
        at.append(ZERO if size == 1 else moved)
    for index, low, high in conditions:
        bounds = index.bounds()
        if bounds is not None and (bounds[1] < low or bounds[0] >= high):
            return _zero(reader, expression)
    inner = reader.read(operand, tuple(at))
    return reader.pool.inside(tuple(conditions), inner, _zero(reader, expression))


def _divide_exactly(index: Index, step: int) -> Index | Literal[False] | None:
    """Return index / step; False where it is never whole, None where that depends."""
    if any(k % step for _, k in (*index.terms, *index.computed)):
        return None
    if index.constant % step:
        return False
    return Index(
        index.constant // step,
        tuple((a, k // step) for a, k in index.terms),
        tuple((t, k // step) for t, k in index.computed),
    )


def _cat(reader: Reader, expression: Expression, indices: Indices) -> Term:
    axis: int = expression.params["axis"]
    along = indices[axis]
    start = 0
    pieces: list[tuple[int, int, Expression]] = []
    bounds = along.bounds()
    for operand in expression.operands:
        stop = start + operand.shape[axis]
        if stop > start and (bounds is None or (bounds[0] < stop and bounds[1] >= start)):
            pieces.append((start, stop, operand))
        start = stop
    if len(pieces) > 4:
        raise Materialise(expression)
    found: Term | None = None
    for start, stop, operand in reversed(pieces):
        at = list(indices)
        at[axis] = ZERO if stop - start == 1 else along.shift(-start)
        value = reader.read(operand, tuple(at))
        if found is None:
            found = (
                value
                if len(pieces) == 1
                else reader.pool.inside(((along, start, stop),), value, _zero(reader, expression))
            )
        else:
            found = reader.pool.inside(((along, start, stop),), value, found)
    assert found is not None
    return found


def _unbind(reader: Reader, expression: Expression, indices: Indices) -> Term:
    if expression.output < 0:
        raise Materialise(expression)
    parent = expression.operands[0]
    axis = parent.params["axis"]
    at = (*indices[:axis], Index(expression.output), *indices[axis:])
    return reader.read(parent.operands[0], at)


def _windows(reader: Reader, expression: Expression, indices: Indices) -> Term:
    params = expression.params
    sizes = params["sizes"]
    count = len(sizes)
    lead = indices[: len(indices) - 2 * count]
    at = tuple(
        p.scale(stride).plus(o.scale(dilation))
        for p, o, stride, dilation in zip(
            indices[len(lead) : len(lead) + count], indices[len(lead) + count :],
            params["strides"], params["dilations"], strict=True,
        )
    )  # fmt: skip
    return reader.read(expression.operands[0], (*lead, *at))


def _fold(reader: Reader, expression: Expression, indices: Indices) -> Term:
    operand = expression.operands[0]
    params = expression.params
    count = len(params["extents"])
    lead = indices[: len(indices) - count]
    counts = operand.shape[len(lead) : len(lead) + count]
    sizes = operand.shape[len(lead) + count :]
    if prod(sizes) > 2 * UNROLLED:
        raise Materialise(expression)
    terms: list[Term] = []
    for offset in product(*(range(k) for k in sizes)):
        positions: list[Index] = []
        conditions: list[tuple[Index, int, int]] = []
        for i, o, stride, dilation, n in zip(
            indices[len(lead) :], offset, params["strides"], params["dilations"], counts,
            strict=True,
        ):  # fmt: skip
            moved = _divide_exactly(i.shift(-o * dilation), stride)
            if moved is None:
                raise Materialise(expression)
            if moved is False:
                break
            assert isinstance(moved, Index)
            positions.append(moved)
            conditions.append((moved, 0, n))
        else:
            bounded = [(i.bounds(), low, high) for i, low, high in conditions]
            if any(b is not None and (b[1] < low or b[0] >= high) for b, low, high in bounded):
                continue
            value = reader.read(operand, (*lead, *positions, *(Index(o) for o in offset)))
            terms.append(reader.pool.inside(tuple(conditions), value, _zero(reader, expression)))
    if not terms:
        return _zero(reader, expression)
    return reader.combine("add", terms, expression.dtype)


def _take(reader: Reader, expression: Expression, indices: Indices) -> Term:
    x, *positions = expression.operands
    rank = len(expression.shape) - (len(x.shape) - len(positions))
    front = indices[:rank]
    at: list[Index] = []
    for array in positions:
        own = front[rank - len(array.shape) :]
        inner = tuple(ZERO if n == 1 else i for i, n in zip(own, array.shape, strict=True))
        at.append(reader.index_of(array, inner))
    return reader.read(x, (*at, *indices[rank:]))


def _scatter_add(reader: Reader, expression: Expression, indices: Indices) -> Term:
    """Read a scatter backwards where each target row gets exactly the updates of one position."""
    updates, *arrays = expression.operands
    rank = len(updates.shape) - (len(expression.shape) - len(arrays))
    positions = updates.shape[:rank]
    axes = reader.pool.domain((*positions, -1))[:rank]
    settled: dict[Axis, Index] = {}
    equations: list[tuple[Term, Index]] = []
    for place, array in enumerate(arrays):
        own = axes[rank - len(array.shape) :]
        at = tuple(
            ZERO if n == 1 else Index(0, ((a, 1),)) for a, n in zip(own, array.shape, strict=True)
        )
        try:
            term = reader.read(array, at)
        except Materialise:
            raise Materialise(expression) from None
        if term.kind == "index" and term.data.key[0] == 0 and len(term.data.terms) == 1:
            (axis, factor) = term.data.terms[0]
            if factor == 1 and axis.size == expression.shape[place] and axis not in settled:
                settled[axis] = indices[place]
                continue
        equations.append((term, indices[place]))
    if any(n != 1 and a not in settled for a, n in zip(axes, positions, strict=True)):
        raise Materialise(expression)
    at = tuple(settled.get(a, ZERO) for a in axes)
    value = reader.read(updates, (*at, *indices[len(arrays) :]))
    for place, array in enumerate(arrays):
        own = at[rank - len(array.shape) :]
        inner = tuple(ZERO if n == 1 else i for i, n in zip(own, array.shape, strict=True))
        chosen = reader.read(array, inner)
        target = reader.pool.index(indices[place])
        if chosen is target:
            continue
        if chosen.dtype != INT64:
            chosen = reader.pool.op("convert", _to_int64, (chosen,), {}, INT64, 1.0)
        hit = reader.pool.op("equal", _same, (chosen, target), {}, BOOL, 1.0)
        value = reader.pool.op(
            "where", _choose, (hit, value, _zero(reader, expression)), {}, expression.dtype, 1.0
        )
    return value


VIEWS: dict[str, Callable[[Reader, Expression, Indices], Term]] = {
    "broadcast_to": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "flip": _flip,
    "embed": _embed,
    "cat": _cat,
    "unbind": _unbind,
    "windows": _windows,
    "fold": _fold,
    "take": _take,
    "scatter_add": _scatter_add,
}
