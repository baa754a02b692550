"""Scheduling: which expressions get buffers, and which kernels they are computed in.

Invariant: steps are listed so that each reads what earlier ones wrote; two expressions share a
kernel if they run over the same axes and each reads of the other only the element at hand. It is
separate from reading, which knows what an element is, and from memory, which decides where buffers
lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from slopewise._compile.builder import UINT64
from slopewise._compile.control import schedule_control
from slopewise._compile.factoring import WORTH, find_factors
from slopewise._compile.loops import (
    Axis,
    Buffer,
    Index,
    Pool,
    Shape,
    Split,
    Term,
    cost_of,
    linearise,
    walk,
)
from slopewise._compile.products import LARGE, match_product, suits_blas
from slopewise._compile.reading import (
    COMBINE,
    FOLDS,
    UNROLLED,
    ContractionPlan,
    Materialise,
    Reader,
    apply_body,
    number_of_words,
    reduced_axes,
)
from slopewise._compile.steps import (
    Call,
    Fold,
    Kernel,
    Store,
    Words,
)
from slopewise._core.rules import Contract, Control, Library, Pointwise, Reduce, View
from slopewise._ops.arithmetic import add, neg
from slopewise._transform.expression import Expression, order

MANY = 3  # embeddings that are written piece by piece, not read as a sum
ABREAST = 8  # results side by side, and terms of each, for which a factor is turned
SHARED = 16  # rows that read it
DEPTH = 40  # how many operations are nested before one gets a buffer (or a register) of its own

_EXACT = {"neg", "abs", "relu", "maximum", "minimum", "where", "alias", "stop_gradient", "copy"}

_PASSED = ("neg", "transpose")  # between a product and a sum over its rows

Box = tuple[tuple[int, int, int], ...]  # start, step and count along each axis


@dataclass(frozen=True)
class SummedProduct:
    """A product that is needed for a sum over its rows or columns alone.

    `order` says which of the product's axes each axis of the summed operand is.
    """

    product: Expression
    plan: ContractionPlan
    negated: bool
    order: list[int]


class Scheduler:
    """Makes the steps that compute expressions; nested ones share the pool and the table."""

    def __init__(self, pool: Pool, table: Any, reader: Reader | None = None) -> None:
        self.nested = reader is not None
        self.pool = pool
        self.table = table
        self.reader = Reader(pool) if reader is None else reader
        self.steps: list[Any] = []
        self.made: dict[int, int] = {}  # buffer number to the step that writes it
        self.uses: dict[int, list[Expression]] = {}
        self.costs: dict[int, tuple[float, int]] = {}
        self.roots: set[int] = set()
        self.parts: dict[int, dict[Box, list[Expression]] | None] = {}

    # --- the whole -----------------------------------------------------------------------------

    def run(self, outputs: Sequence[Expression]) -> list[Buffer]:
        """Schedule everything that the outputs need; return a buffer for each."""
        self.roots = {o.number for o in outputs}
        everything = order(outputs)
        for expression in everything:
            for operand in expression.operands:
                self.uses.setdefault(operand.number, []).append(expression)
        for expression in everything:
            if expression.number not in self.reader.placed and self._needs_buffer(expression):
                self.place(expression)
        return [self._output(o) for o in outputs]

    def _output(self, expression: Expression) -> Buffer:
        """Return a buffer of its own that holds an output at the end."""
        if expression.data is not None and not expression.is_number:
            self.place(expression)
        buffer = self.reader.placed.get(expression.number)
        taken = buffer is not None and buffer.kind in ("output", "input", "constant", "carry")
        if buffer is not None and not taken:
            buffer.kind = "output"
            return buffer
        fresh = self.pool.buffer(expression.shape, expression.dtype, "output")
        self._map(expression, fresh)
        return fresh

    def _needs_buffer(self, expression: Expression) -> bool:
        primitive = expression.primitive
        if primitive is None or expression.data is not None:
            return False
        if len(expression.avals) > 1 and primitive.name == "unbind":
            return False
        if expression.output >= 0 and primitive.name == "unbind":
            return False
        if expression.number in self.roots:
            return True
        lowering = primitive.lowering
        if isinstance(lowering, (Library, Control)) or expression.output >= 0:
            return True
        cost, depth = self._cost(expression)
        if isinstance(lowering, (Reduce, Contract)) and cost < 0:
            return not self._is_summed(expression)
        if depth > DEPTH:
            return True
        uses = self.uses.get(expression.number, [])
        if self._is_put_together(expression) and not all(self._parts(use) for use in uses):
            return True
        for use in uses:
            if use.primitive is not None and isinstance(use.primitive.lowering, Control):
                return True
            if self._repeats(use, expression) and cost > 1.5:
                return True
        if self._is_sought(expression) and not self._is_exact(expression):
            return True
        return len(uses) > 1 and cost > 3.0

    def _is_summed(self, product: Expression) -> bool:
        """Return whether a product is used by one sum alone, which is less work without it."""
        expression = product
        while True:
            uses = self.uses.get(expression.number, ())
            if len(uses) != 1 or expression.number in self.roots:
                return False
            (expression,) = uses
            if expression.name not in _PASSED:
                found = self._summed_product(expression)
                return found is not None and found.product is product

    def _summed_product(self, total: Expression) -> SummedProduct | None:
        """Return the product whose rows or columns a sum adds up; None if it needs that product."""
        if total.name != "sum" or total.dtype.kind != "f":
            return None
        product, negated = total.operands[0], False
        order = list(range(len(product.shape)))  # the product's axes, in the order of the sum's
        while product.name in _PASSED and product.number not in self.reader.placed:
            if product.name == "neg":
                negated = not negated
            else:
                order = [product.params["axes"][a] for a in order]
            if len(self.uses.get(product.number, ())) != 1 or product.number in self.roots:
                return None
            (product,) = product.operands
        if product.name != "contract" or product.data is not None:
            return None
        if product.number in self.reader.placed or product.number in self.roots:
            return None
        if len(self.uses.get(product.number, ())) != 1:
            return None
        plan = ContractionPlan(product)
        batch = len(plan.x_batch)
        rows = range(batch, batch + len(plan.x_free))
        folded = [order[a] for a in reduced_axes(total)[0]]
        of_x = all(a in rows for a in folded)
        if not of_x and any(a < rows.stop for a in folded):
            return None
        whole = prod(product.operands[0 if of_x else 1].shape)
        points = prod(product.shape) * prod(plan.inner)
        left = points // max(1, prod(product.shape[a] for a in folded))
        if WORTH * (whole + left) > points:
            return None
        return SummedProduct(product, plan, negated, order)

    def _repeats(self, use: Expression, operand: Expression) -> bool:
        """Return whether a use reads elements of an operand several times."""
        if use.name in ("broadcast_to", "contract", "windows", "fold"):
            return use.name != "broadcast_to" or prod(use.shape) > prod(operand.shape)
        return isinstance(use.primitive.lowering, (Library, Control)) if use.primitive else False

    def _is_sought(self, expression: Expression) -> bool:
        """Return whether an extremum of it is looked for among its elements, by their equality."""
        names: set[str] = set()
        pending = [expression]
        while pending:
            for use in self.uses.get(pending.pop().number, []):
                names.add(use.name)
                if use.primitive is not None and isinstance(use.primitive.lowering, View):
                    pending.append(use)
        return "equal" in names and not names.isdisjoint(("max", "min"))

    def _is_exact(self, expression: Expression) -> bool:
        """Return whether two kernels that compute it get the same bits.

        A product may be fused with the sum that it goes into, in one kernel and not in the other.
        """
        rounded = 0
        pending = [expression]
        while pending:
            each = pending.pop()
            if each.primitive is None or each.data is not None:
                continue
            if each.number in self.reader.placed:
                continue
            if not isinstance(each.primitive.lowering, View) and each.name not in _EXACT:
                rounded += 1
            if rounded > 1:
                return False
            pending.extend(each.operands)
        return True

    def _cost(self, expression: Expression) -> tuple[float, int]:
        """Return what one element costs computed in place, and how deep it nests (-1: cannot)."""
        found = self.costs.get(expression.number)
        if found is not None:
            return found
        cost, depth = 1.0, 0
        primitive = expression.primitive
        if primitive is not None and expression.number not in self.reader.placed:
            cost = cost_of(primitive.name) if isinstance(primitive.lowering, Pointwise) else 0.0
            for operand in expression.operands:
                if operand.data is not None or operand.number in self.reader.placed:
                    cost += 0.0 if operand.is_number else 1.0
                    continue
                inner, below = self._cost(operand)
                cost += max(inner, 1.0)
                depth = max(depth, below + 1)
            if isinstance(primitive.lowering, Reduce) and primitive.name in FOLDS:
                axes, _ = reduced_axes(expression)
                count = prod(expression.operands[0].shape[a] for a in axes)
                cost = -1.0 if count > UNROLLED or cost * count > 200 else cost * count
            elif isinstance(primitive.lowering, Contract):
                count = prod(ContractionPlan(expression).inner)
                small = count <= UNROLLED and prod(expression.shape) <= 64
                cost = cost * count if small else -1.0
            elif isinstance(primitive.lowering, Reduce):
                cost = -1.0
        self.costs[expression.number] = (cost, depth)
        return cost, depth

    # --- giving buffers ------------------------------------------------------------------------

    def place(self, expression: Expression) -> Buffer:
        """Give an expression a buffer, and schedule what fills it."""
        known = self.reader.placed.get(expression.number)
        if known is not None:
            return known
        if expression.data is not None:
            buffer = self.pool.buffer(expression.shape, expression.dtype, "constant")
            buffer.array = expression.data
            self.reader.place(expression, buffer)
            return buffer
        primitive = expression.primitive
        assert primitive is not None, "an input has a buffer from the start"
        if expression.output >= 0 and primitive.name != "unbind":
            self.place_all(expression.operands[0])
            return self.reader.placed[expression.number]
        lowering = primitive.lowering
        if isinstance(lowering, Control) or len(expression.avals) > 1:
            return self.place_all(expression)[0]
        buffer = self.pool.buffer(expression.shape, expression.dtype, "scratch")
        self._fill(expression, buffer)
        self.reader.place(expression, buffer)
        self.costs[expression.number] = (1.0, 0)
        return buffer

    def place_all(self, expression: Expression) -> list[Buffer]:
        """Give all outputs of an expression buffers."""
        outs = [self.pool.buffer(a.shape, a.dtype, "scratch") for a in expression.avals]
        for i, buffer in enumerate(outs):
            self.reader.place(self.table.select(expression, i), buffer)
        self.reader.place(expression, outs[0])  # so that it is not computed again
        assert expression.primitive is not None
        if isinstance(expression.primitive.lowering, Control):
            schedule_control(self, expression, outs)
        else:
            self.call(expression, outs)
        return outs

    def add(self, step: Any) -> int:
        """List a step, and return its place."""
        self.steps.append(step)
        for buffer in step.writes():
            self.made[buffer.number] = self.made[buffer.home.number] = len(self.steps) - 1
        return len(self.steps) - 1

    def call(self, expression: Expression, outs: list[Buffer]) -> None:
        operands = [self.place(o) for o in expression.operands]
        self.add(Call(expression.primitive, expression.params, operands, outs, expression.place))

    def _fill(self, expression: Expression, buffer: Buffer) -> None:
        primitive = expression.primitive
        assert primitive is not None
        name = primitive.name
        lowering = primitive.lowering
        if isinstance(lowering, Contract):
            self._contract(expression, buffer)
        elif isinstance(lowering, Reduce) and name in FOLDS:
            self._reduce(expression, buffer, FOLDS[name])
        elif name in ("argmax", "argmin"):
            self._reduce(expression, buffer, name)
        elif name in ("cumsum", "cumprod"):
            self._running(expression, buffer, "add" if name == "cumsum" else "mul")
        elif number_of_words(expression):
            self._draw(expression, buffer)
        elif name == "scatter_set":
            self._scatter(expression, buffer)
        elif isinstance(lowering, (Library, Reduce)):
            self.call(expression, [buffer])
        else:
            self._map(expression, buffer)

    def _read(
        self, expression: Expression, dims: list[list[int]], build: Any, filling: bool = False
    ) -> Any:
        """Read terms over a domain, splitting its axes and placing operands as that demands."""
        while True:
            sizes = tuple(n for dim in dims for n in dim if n != 1)
            axes = self.pool.domain(sizes)
            indices: list[Index] = []
            position = 0
            for dim in dims:
                index = Index(0)
                for k, n in enumerate(dim):
                    stride = prod(dim[k + 1 :])
                    if n != 1:
                        index = index.plus(Index(0, ((axes[position], stride),)))
                        position += 1
                indices.append(index)
            try:
                return axes, indices, build(tuple(indices))
            except Split as split:
                place = axes.index(split.axis)
                count = -1
                for dim in dims:
                    for k, n in enumerate(dim):
                        count += n != 1
                        if n != 1 and count == place:
                            dim[k : k + 1] = [n // split.inner, split.inner]
                            break
                    else:
                        continue
                    break
            except Materialise as need:
                if need.expression is expression and filling:
                    raise
                self.place(need.expression)

    def _map(self, expression: Expression, buffer: Buffer) -> None:
        """Schedule a buffer whose elements are read one by one."""
        if self._is_put_together(expression):
            self._put_together(expression, buffer)
            return
        try:
            axes, indices, term = self._read(
                expression,
                [[n] for n in expression.shape],
                partial(self.reader.read, expression),
                filling=True,
            )
        except Materialise:
            self._fill_pieces(expression, buffer)
            return
        self.join(axes, Store(buffer, tuple(indices), term), expression)

    def _fill_pieces(self, expression: Expression, buffer: Buffer) -> None:
        """Schedule what is written piece by piece: joined parts, embeddings, folded windows."""
        if expression.name == "cat":
            axis: int = expression.params["axis"]
            start = 0
            for operand in expression.operands:
                self._write_piece(operand, buffer, {axis: start}, {})
                start += operand.shape[axis]
            return
        if expression.name == "scatter_add":
            self._scatter(expression, buffer)
            return
        self._zeros(buffer)
        if expression.name == "embed":
            starts: Shape = expression.params["starts"]
            steps: Shape = expression.params["steps"]
            self._write_piece(
                expression.operands[0], buffer, dict(enumerate(starts)), dict(enumerate(steps))
            )
            return
        assert expression.name == "fold", expression.name
        self._overlap(expression, buffer)

    def _parts(self, expression: Expression) -> dict[Box, list[Expression]] | None:
        """Return what a sum of embeddings writes to each place; None if it is no such sum."""
        if expression.number in self.parts:
            return self.parts[expression.number]
        found: dict[Box, list[Expression]] | None = None
        if expression.number in self.reader.placed:
            pass
        elif expression.name == "embed":
            operand, params = expression.operands[0], expression.params
            box = tuple(zip(params["starts"], params["steps"], operand.shape, strict=True))
            found = {box: [operand]}
        elif expression.name == "add" and expression.data is None:
            both = [self._parts(o) for o in expression.operands]
            if both[0] is not None and both[1] is not None:
                found = {box: list(listed) for box, listed in both[0].items()}
                for box, listed in both[1].items():
                    found.setdefault(box, []).extend(listed)
        self.parts[expression.number] = found
        return found

    def _is_put_together(self, expression: Expression) -> bool:
        parts = self._parts(expression)
        return parts is not None and len(parts) >= MANY and _lie_apart(list(parts))

    def _put_together(self, expression: Expression, buffer: Buffer) -> None:
        """Schedule the parts of a sum of embeddings, each written where it belongs."""
        parts = self._parts(expression)
        assert parts is not None
        if sum(prod(n for _, _, n in box) for box in parts) < buffer.size:
            self._zeros(buffer)
        for box, operands in parts.items():
            total = operands[0]
            for operand in operands[1:]:
                total = self.table.apply(add, (total, operand), {})
            starts = {k: start for k, (start, _, _) in enumerate(box)}
            steps = {k: step for k, (_, step, _) in enumerate(box)}
            self._write_piece(total, buffer, starts, steps)

    def _zeros(self, buffer: Buffer) -> None:
        axes = self.pool.domain(tuple(n for n in buffer.shape if n != 1))
        at = iter(axes)
        indices = tuple(Index(0) if n == 1 else Index(0, ((next(at), 1),)) for n in buffer.shape)
        self.add(Kernel(axes, stores=[Store(buffer, indices, self.pool.number(0, buffer.dtype))]))

    def _write_piece(
        self, operand: Expression, buffer: Buffer, starts: dict[int, int], steps: dict[int, int]
    ) -> None:
        if not prod(operand.shape):
            return
        axes, indices, term = self._read(
            operand, [[n] for n in operand.shape], partial(self.reader.read, operand)
        )
        moved = tuple(
            i.scale(steps.get(k, 1)).shift(starts.get(k, 0)) for k, i in enumerate(indices)
        )
        self.join(axes, Store(buffer, moved, term), operand)

    def _overlap(self, expression: Expression, buffer: Buffer) -> None:
        """Schedule the sum of overlapping windows: each adds itself where it came from."""
        operand = expression.operands[0]
        params = expression.params
        count = len(params["extents"])
        axes, indices, term = self._read(
            operand, [[n] for n in operand.shape], partial(self.reader.read, operand)
        )
        lead = len(operand.shape) - 2 * count
        moved = [
            p.scale(stride).plus(o.scale(dilation))
            for p, o, stride, dilation in zip(
                indices[lead : lead + count], indices[lead + count :], params["strides"],
                params["dilations"], strict=True,
            )
        ]  # fmt: skip
        store = Store(buffer, (*indices[:lead], *moved), term, add=True)
        self.add(Kernel(axes, stores=[store], ordered=True, names=["fold"]))

    def _sum_product(self, total: Expression, buffer: Buffer, found: SummedProduct) -> bool:
        """Schedule a sum over a product's rows or columns as one sum, if that can be factored."""
        product, plan = found.product, found.plan
        x, y = product.operands
        count = len(product.shape)

        def build(at: tuple[Index, ...]) -> Term:
            at_x, at_y = plan.operands(at[:count], at[count:])
            pair = (self.reader.read(x, at_x), self.reader.read(y, at_y))
            term = self.pool.op("mul", COMBINE["mul"], pair, {}, total.dtype, 1.0)
            return apply_body(self.pool, neg, (term,), total.dtype) if found.negated else term

        dims = (*product.shape, *plan.inner)
        axes, indices, term = self._read(product, [[n] for n in dims], build)
        folded, keepdims = reduced_axes(total)
        at = [indices[a] for a in found.order]
        summed = [at[k] for k in folded] + list(indices[count:])
        out = tuple(
            Index(0) if k in folded else i for k, i in enumerate(at) if keepdims or k not in folded
        )
        reduced = frozenset(a for i in summed for a in i.axes())
        if find_factors(axes, reduced, term) is None:
            self.place(product)
            return False
        self.join(axes, Fold(buffer, out, term, "add"), total, reduced)
        return True

    def _reduce(self, expression: Expression, buffer: Buffer, operation: str) -> None:
        operand = expression.operands[0]
        found = self._summed_product(expression) if operation == "add" else None
        if found is not None and self._sum_product(expression, buffer, found):
            return
        if operation.startswith("arg"):
            axis = expression.params["axis"]
            folded: tuple[int, ...] = (axis,)
            keepdims = bool(expression.params.get("keepdims", False))
        else:
            folded, keepdims = reduced_axes(expression)
        axes, indices, term = self._read(
            operand, [[n] for n in operand.shape], partial(self.reader.read, operand)
        )
        reduced = frozenset(a for k in folded for a in indices[k].axes())
        out = tuple(
            Index(0) if k in folded else i
            for k, i in enumerate(indices)
            if keepdims or k not in folded
        )
        if not prod(operand.shape) and operation in ("minimum", "maximum", "argmax", "argmin"):
            self.call(expression, [buffer])
            return
        self.join(axes, Fold(buffer, out, term, operation), expression, reduced)

    def _contract(self, expression: Expression, buffer: Buffer) -> None:
        x, y = expression.operands
        plan = ContractionPlan(expression)
        out = expression.shape
        inner = plan.inner

        def build(at: tuple[Index, ...]) -> Term:
            at_x, at_y = plan.operands(at[: len(out)], at[len(out) :])
            pair = (self.reader.read(x, at_x), self.reader.read(y, at_y))
            if expression.dtype.kind == "b":
                return self.pool.op("and", COMBINE["and"], pair, {}, expression.dtype, 1.0)
            return self.pool.op("mul", COMBINE["mul"], pair, {}, expression.dtype, 1.0)

        dims = (*out, *inner)
        axes, indices, term = self._read(expression, [[n] for n in dims], build)
        reduced = frozenset(a for i in indices[len(out) :] for a in i.axes())
        if prod(dims) >= LARGE and expression.dtype.kind == "f":
            for attempt in range(2):
                product = match_product(buffer, axes, indices[: len(out)], term)
                if product is not None and suits_blas(product, self._is_fixed(product.y)):
                    self.add(product)
                    return
                if product is not None:
                    break
                if attempt == 0 and min(prod(x.shape), prod(y.shape)) < prod(dims) // 16:
                    # Operands that are computed or lie across are copied to memory first.
                    self.place(x)
                    self.place(y)
                    axes, indices, term = self._read(expression, [[n] for n in dims], build)
            reduced = frozenset(a for i in indices[len(out) :] for a in i.axes())
        operation = "or" if expression.dtype.kind == "b" else "add"
        if reduced and out:
            term = self._turned(term, indices[len(out) - 1], reduced)
        fold = Fold(buffer, tuple(indices[: len(out)]), term, operation)
        if not reduced and prod((*out, *inner)):
            self.join(axes, Store(buffer, fold.indices, term), expression)
            return
        self.join(axes, fold, expression, reduced)

    def _is_fixed(self, buffer: Buffer) -> bool:
        """Return whether a buffer is the same in all rounds of the loop around these steps."""
        return self.nested and buffer.home.number not in self.made and buffer.home.kind != "carry"

    def _turned(self, term: Term, last: Index, reduced: frozenset[Axis]) -> Term:
        """Return a product that reads a turned copy of a factor whose columns are summed along.

        Then the lanes of a vector are results side by side, and are not added up at the end.
        """
        if len(last.terms) != 1 or last.terms[0][0].size < ABREAST:
            return term
        axis = last.terms[0][0]
        factors = list(term.operands)
        for k, factor in enumerate(factors):
            if factor.kind != "load" or factor.operands or axis in factors[1 - k].axes:
                continue
            buffer, places = factor.data
            if len(places) != len(buffer.shape):
                continue
            strides = dict(linearise(places, buffer.shape).terms)
            again = prod(a.size for a in factors[1 - k].axes if a not in strides)
            shared = again >= SHARED or self._is_fixed(buffer)
            if strides.get(axis, 1) == 1 or not shared:
                continue
            if not any(strides.get(a) == 1 and a.size >= ABREAST for a in reduced):
                continue
            order = [*(a for a in strides if a is not axis), axis]
            fresh = self.pool.domain(tuple(a.size for a in order))
            turned = self.pool.buffer(tuple(a.size for a in order), buffer.dtype, "scratch")
            home = dict(zip(order, fresh, strict=True))
            source = tuple(
                Index(i.constant, tuple(sorted(((home[a], c) for a, c in i.terms),
                                               key=lambda x: x[0].number)))
                for i in places
            )  # fmt: skip
            here = tuple(Index(0, ((a, 1),)) for a in fresh)
            copy = Store(turned, here, self.pool.load(buffer, source))
            self.add(Kernel(fresh, stores=[copy], names=["turn"]))
            factors[k] = self.pool.load(turned, tuple(Index(0, ((a, 1),)) for a in order))
        body, params, name = term.data
        return self.pool.op(name, body, tuple(factors), params, term.dtype, term.cost)

    def _running(self, expression: Expression, buffer: Buffer, operation: str) -> None:
        operand = expression.operands[0]
        axis = expression.params["axis"]
        if operand.shape[axis] == 1 or not prod(operand.shape):
            self._write_piece(operand, buffer, {}, {})
            return
        while True:
            axes, indices, term = self._read(
                operand, [[n] for n in operand.shape], partial(self.reader.read, operand)
            )
            along = list(indices[axis].axes())
            if len(along) == 1:
                break
            self.place(operand)  # its axis was split: read it from memory instead
        if expression.params["reverse"]:
            # Walked from the other end: both the reads and the writes are turned round.
            flipped = tuple(
                i.scale(-1).shift(operand.shape[axis] - 1) if k == axis else i
                for k, i in enumerate(indices)
            )
            term, indices = self.reader.read(operand, flipped), list(flipped)
        store = Store(buffer, tuple(indices), term)
        self.add(
            Kernel(
                axes,
                stores=[store],
                running=(along[0], operation),
                names=[expression.name],
                places=[expression.place],
            )
        )

    def _draw(self, expression: Expression, buffer: Buffer) -> None:
        words = self.pool.buffer((number_of_words(expression),), UINT64, "scratch")
        self.add(Words(words, self.place(expression.operands[0])))
        self.reader.words[expression.number] = words
        self._map(expression, buffer)

    def _scatter(self, expression: Expression, buffer: Buffer) -> None:
        if expression.name == "scatter_set":
            base, updates, *arrays = expression.operands
            self._write_piece(base, buffer, {}, {})
        else:
            updates, *arrays = expression.operands
            self._zeros(buffer)
        rank = len(updates.shape) - (len(expression.shape) - len(arrays))
        if expression.name == "scatter_set":
            shapes = [a.shape for a in arrays]
            front = np.broadcast_shapes(*shapes)
            full = (*front, *expression.shape[len(arrays) :])
            rank = len(front)
            if updates.shape != full:
                from slopewise._ops.shape import broadcast_to

                updates = self.table.apply(broadcast_to, (updates,), {"shape": full})
        if not prod(updates.shape):
            return

        def build(at: tuple[Index, ...]) -> Any:
            places: list[Index] = []
            for array in arrays:
                own = at[rank - len(array.shape) : rank]
                inner = tuple(
                    Index(0) if n == 1 else i for i, n in zip(own, array.shape, strict=True)
                )
                places.append(self.reader.index_of(array, inner))
            return places, self.reader.read(updates, at)

        axes, indices, (places, term) = self._read(expression, [[n] for n in updates.shape], build)
        store = Store(
            buffer, (*places, *indices[rank:]), term, add=expression.name == "scatter_add"
        )
        self.add(
            Kernel(
                axes,
                stores=[store],
                ordered=True,
                names=[expression.name],
                places=[expression.place],
            )
        )

    # --- kernels -------------------------------------------------------------------------------

    def join(
        self,
        axes: tuple[Axis, ...],
        statement: Store | Fold,
        expression: Expression | None,
        reduced: frozenset[Axis] = frozenset(),
    ) -> None:
        """Put a statement in the latest kernel that may hold it, or in a new one."""
        name, place_of = (
            ("slice", None) if expression is None else (expression.name, expression.place)
        )
        first = 0
        own: dict[int, list[tuple[Index, ...]]] = {}
        roots = [statement.term]
        roots += [t for i in statement.indices for t, _ in i.computed]
        for term in walk(roots):
            if term.kind == "load":
                buffer, indices = term.data
                step = self.made.get(buffer.number)
                if step is not None:
                    own.setdefault(buffer.number, []).append(indices)
                    first = max(first, step)
        first = max(first, self.made.get(statement.buffer.number, 0))  # pieces after the zeros
        for place in range(len(self.steps) - 1, first - 1, -1):
            kernel = self.steps[place]
            if self._fits(kernel, axes, statement, reduced, own):
                if isinstance(statement, Store):
                    kernel.stores.append(statement)
                else:
                    kernel.folds.append(statement)
                    kernel.reduced = reduced
                kernel.names.append(name)
                kernel.places.append(place_of)
                self.made[statement.buffer.number] = place
                return
        fresh = Kernel(axes, reduced, names=[name], places=[place_of])
        if isinstance(statement, Store):
            fresh.stores.append(statement)
        else:
            fresh.folds.append(statement)
        self.add(fresh)

    def _fits(
        self, kernel: Any, axes: tuple[Axis, ...], statement: Store | Fold,
        reduced: frozenset[Axis], own: dict[int, list[tuple[Index, ...]]],
    ) -> bool:  # fmt: skip
        if not isinstance(kernel, Kernel) or kernel.axes != axes:
            return False
        if kernel.running is not None or kernel.ordered or len(kernel.stores) > 200:
            return False
        if isinstance(statement, Fold):
            positions = statement.operation.startswith("arg")
            if kernel.folds and kernel.reduced != reduced:
                return False
            if any(f.operation.startswith("arg") != positions for f in kernel.folds):
                return False
            if positions and kernel.stores:
                return False
        elif any(f.operation.startswith("arg") for f in kernel.folds):
            return False
        for fold in kernel.folds:
            if fold.buffer.number in own:
                return False
        for store in kernel.stores:
            for indices in own.get(store.buffer.number, ()):
                if indices != store.indices:
                    return False
        return True

    # --- steps for others -----------------------------------------------------------------------

    def nest(self) -> Scheduler:
        """Return a scheduler for the inside of a loop or a branch."""
        return Scheduler(self.pool, self.table, self.reader)

    def compute_into(self, expression: Expression, buffer: Buffer) -> None:
        """Compute an expression that came up only now, and copy it to a buffer."""
        inner = self.nest()
        inner.steps, inner.made = self.steps, self.made
        inner.run([expression])
        found = self.reader.placed[expression.number]
        found.kind = "scratch" if found.kind == "output" else found.kind
        self.copy(found, buffer)

    def copy(self, source: Buffer, target: Buffer) -> None:
        """Write a buffer over another one."""
        sizes = tuple(n for n in source.shape if n != 1)
        axes = self.pool.domain(sizes)
        at = iter(axes)
        indices = tuple(Index(0) if n == 1 else Index(0, ((next(at), 1),)) for n in source.shape)
        term = self.pool.load(source, indices)
        self.add(Kernel(axes, stores=[Store(target, indices, term)], names=["copy"]))


def _lie_apart(boxes: Sequence[Box]) -> bool:
    """Return whether no two boxes share a place."""
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            if all(
                a[0] <= b[0] + b[1] * (b[2] - 1) and b[0] <= a[0] + a[1] * (a[2] - 1)
                for a, b in zip(one, other, strict=True)
            ):
                return False
    return True
