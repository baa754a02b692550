"""Joining: the kernel that a statement goes into, and the list of steps.

Invariant: steps are listed so that each reads what earlier ones wrote; two statements share a
kernel if they run over the same axes and each reads of the other only the element at hand. It is
separate from what is scheduled, which need not know how kernels grow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from slopewise._compile.loops import Axis, Buffer, Index, Pool, walk
from slopewise._compile.reading import Reader
from slopewise._compile.steps import Fold, Kernel, Store
from slopewise._transform.expression import Expression


class Joiner(ABC):
    """Lists steps, and joins statements to kernels that are there."""

    def __init__(self, pool: Pool, table: Any, reader: Reader | None = None) -> None:
        self.nested = reader is not None
        self.pool = pool
        self.table = table
        self.reader = Reader(pool) if reader is None else reader
        self.steps: list[Any] = []
        self.made: dict[int, int] = {}  # buffer number to the step that writes it

    @abstractmethod
    def place(self, expression: Expression) -> Buffer:
        """Give an expression a buffer, and schedule what fills it."""

    @abstractmethod
    def call(self, expression: Expression, outs: list[Buffer]) -> None:
        """Schedule a routine outside."""

    @abstractmethod
    def run(self, outputs: Sequence[Expression]) -> list[Buffer]:
        """Schedule everything that the outputs need; return a buffer for each."""

    @abstractmethod
    def nest(self) -> Joiner:
        """Return a scheduler for the inside of a loop or a branch."""

    @abstractmethod
    def compute_into(self, expression: Expression, buffer: Buffer) -> None:
        """Compute an expression that came up only now, and copy it to a buffer."""

    def add(self, step: Any) -> int:
        """List a step, and return its place."""
        self.steps.append(step)
        for buffer in step.writes():
            self.made[buffer.number] = self.made[buffer.home.number] = len(self.steps) - 1
        return len(self.steps) - 1

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

    def copy(self, source: Buffer, target: Buffer) -> None:
        """Write a buffer over another one."""
        sizes = tuple(n for n in source.shape if n != 1)
        axes = self.pool.domain(sizes)
        at = iter(axes)
        indices = tuple(Index(0) if n == 1 else Index(0, ((next(at), 1),)) for n in source.shape)
        term = self.pool.load(source, indices)
        self.add(Kernel(axes, stores=[Store(target, indices, term)], names=["copy"]))
