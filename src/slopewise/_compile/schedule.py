"""Scheduling: which expressions get buffers, and in which order they are filled.

Invariant: an expression without a buffer is cheap enough to be computed wherever it is read, and
one that is read at other places than it is computed has one. It is separate from reading, which
knows what an element is, and from memory, which decides where buffers lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from slopewise._compile.control import schedule_control
from slopewise._compile.loops import Buffer, Pool, cost_of
from slopewise._compile.reading import (
    FOLDS,
    UNROLLED,
    ContractionPlan,
    Reader,
    number_of_words,
    reduced_axes,
)
from slopewise._compile.routines import list_scratch
from slopewise._compile.steps import Call, Direct
from slopewise._compile.sums import Sums
from slopewise._core.rules import Contract, Control, Library, Pointwise, Reduce, View
from slopewise._transform.expression import Expression, order

DEPTH = 40  # how many operations are nested before one gets a buffer (or a register) of its own
SLOPES = {"tanh": "sech_squared", "sigmoid": "logistic_density"}
NEAR = 1 << 18  # bytes that are read back sooner than computed again

_EXACT = {"neg", "abs", "relu", "maximum", "minimum", "where", "alias", "stop_gradient", "copy"}


class Scheduler(Sums):
    """Makes the steps that compute expressions; nested ones share the pool and the table."""

    def __init__(self, pool: Pool, table: Any, reader: Reader | None = None) -> None:
        super().__init__(pool, table, reader)
        self.costs: dict[int, tuple[float, int]] = {}

    # --- the whole -----------------------------------------------------------------------------

    def run(self, outputs: Sequence[Expression]) -> list[Buffer]:
        """Schedule everything that the outputs need; return a buffer for each."""
        self.roots = {o.number for o in outputs}
        everything = order(outputs)
        for expression in everything:
            for operand in expression.operands:
                self.uses.setdefault(operand.number, []).append(expression)
        # What is one number, and made of numbers, goes first: it keeps no kernels apart.
        numbers = _list_numbers(everything)
        others = (e for e in everything if e.number not in numbers)
        for expression in (*numbers.values(), *others):
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
        self._place_slope(expression, buffer)
        return buffer

    def _place_slope(self, expression: Expression, buffer: Buffer) -> None:
        """Compute a function's slope beside it, where both share most of their work."""
        wanted = SLOPES.get(expression.name)
        if wanted is None or buffer.bytes > NEAR:
            return
        for use in self.uses.get(expression.operands[0].number, ()):
            if use.name == wanted and use.data is None:
                self.place(use)

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

    def call(self, expression: Expression, outs: list[Buffer]) -> None:
        assert expression.primitive is not None
        operands = [self.place(o) for o in expression.operands]
        given = (expression.primitive, expression.params, operands, outs, expression.place)
        if isinstance(expression.primitive.lowering, Library) and not any(o.size for o in outs):
            return
        needed = list_scratch(expression.name, operands, expression.params)
        if needed is None:
            self.add(Call(*given))
            return
        scratch = [self.pool.buffer(shape, dtype, "scratch") for dtype, shape in needed]
        self.add(Direct(*given, scratch))

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


def _list_numbers(expressions: Sequence[Expression]) -> dict[int, Expression]:
    """Return those of one element that are computed from such ones alone, by their numbers."""
    found: dict[int, Expression] = {}
    for expression in expressions:
        if prod(expression.shape) != 1 or len(expression.avals) > 1 or expression.output >= 0:
            continue
        primitive = expression.primitive
        if primitive is not None and not isinstance(primitive.lowering, (Pointwise, View)):
            continue
        if all(o.number in found for o in expression.operands):
            found[expression.number] = expression
    return found
