"""Steps of a program: kernels over axes, matrix products, routines, loops, branches and regions.

Invariant: a step says which buffers it reads and writes, and lists the steps inside of it; the
passes that follow the schedule need no more. It is separate from the terms that kernels compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from slopewise._compile.builder import BOOL
from slopewise._compile.loops import Axis, Buffer, Index, Term, walk


class Step:
    """What the passes know of every step: its buffers and the steps inside of it."""

    @property
    def inside(self) -> tuple[list[Any], ...]:
        """The lists of steps that this one runs."""
        return ()

    def reads(self) -> set[Buffer]:
        """Return the buffers that are read."""
        return {b for steps in self.inside for step in steps for b in step.reads()}

    def writes(self) -> set[Buffer]:
        """Return the buffers that are written."""
        return {b for steps in self.inside for step in steps for b in step.writes()}


@dataclass
class Store:
    """Writes (or with `add`, adds) a term to an element of a buffer, for every point."""

    buffer: Buffer
    indices: tuple[Index, ...]
    term: Term
    add: bool = False


@dataclass
class Fold:
    """Folds a term over the reduced axes into an element of a buffer."""

    buffer: Buffer
    indices: tuple[Index, ...]
    term: Term
    operation: str  # add mul minimum maximum and or argmax argmin
    onto: bool = False  # starts from what the buffer holds


def identity_of(operation: str, dtype: np.dtype[Any]) -> Any:
    """Return the number that a fold starts from."""
    if operation in ("minimum", "maximum"):
        low = operation == "maximum"
        if dtype.kind == "f":
            return -np.inf if low else np.inf
        if dtype == BOOL:
            return not low
        info = np.iinfo(dtype)
        return info.min if low else info.max
    return {"add": 0, "mul": 1, "and": True, "or": False}[operation]


@dataclass(frozen=True)
class Ahead:
    """Rows of a buffer that a later chunk touches: fetched while a kernel computes.

    `start` is the first element, for the kernel's first row, and `row` how many a row has.
    """

    buffer: Buffer
    start: Index
    row: int
    written: bool


@dataclass
class Kernel(Step):
    """Loops over `axes`; those in `reduced` are folded, `ordered` must run one after the other.

    `ends` are stores of what is computed from the folds' totals, a point of the other axes at a
    time, when the totals are there.
    """

    axes: tuple[Axis, ...]
    reduced: frozenset[Axis] = frozenset()
    stores: list[Store] = field(default_factory=list[Store])
    folds: list[Fold] = field(default_factory=list[Fold])
    ends: list[Store] = field(default_factory=list[Store])
    running: tuple[Axis, str] | None = None  # a running fold of the only store along this axis
    ordered: bool = False  # computed positions may repeat: one point after the other
    names: list[str] = field(default_factory=list[str])
    places: list[Any] = field(default_factory=list[Any])
    ahead: tuple[Ahead, ...] = ()

    @property
    def terms(self) -> list[Term]:
        return [s.term for s in self.stores] + [f.term for f in self.folds]

    def reads(self) -> set[Buffer]:
        """Return the buffers that the kernel loads from."""
        found: set[Buffer] = set()
        for term in walk([*self.roots(), *self.end_terms]):
            if term.kind == "load":
                found.add(term.data[0])
        return found

    @property
    def end_terms(self) -> list[Term]:
        return [s.term for s in self.ends]

    def roots(self) -> list[Term]:
        """Return the terms of every point, and those of computed places."""
        found = self.terms
        for each in (*self.stores, *self.folds):
            found.extend(t for i in each.indices for t, _ in i.computed)
        return found

    def writes(self) -> set[Buffer]:
        """Return the buffers that the kernel writes to."""
        return {w.buffer for w in (*self.stores, *self.folds, *self.ends)}


@dataclass
class Product(Step):
    """A matrix product by the BLAS: out[batch, m, n] = sum over k of x[batch, m, k] y[batch, k, n].

    Each operand is a buffer with an offset and strides, in elements, for its three axes.
    """

    out: Buffer
    x: Buffer
    y: Buffer
    sizes: tuple[int, int, int, int]  # batch, m, n, k
    x_place: tuple[Index, int, int, int]  # offset; batch, m, k
    y_place: tuple[Index, int, int, int]  # offset; batch, k, n
    out_place: tuple[Index, int, int]  # offset; batch, m; n is contiguous

    def reads(self) -> set[Buffer]:
        return {self.x, self.y}

    def writes(self) -> set[Buffer]:
        return {self.out}


@dataclass
class Call(Step):
    """A routine outside: a library's, or the primitive's own NumPy kernel."""

    primitive: Any
    params: dict[str, Any]
    operands: list[Buffer]
    outs: list[Buffer]
    place: Any = None

    def reads(self) -> set[Buffer]:
        return set(self.operands)

    def writes(self) -> set[Buffer]:
        return set(self.outs)


@dataclass
class Direct(Call):
    """A routine whose code is part of the program: LAPACK, or a sort; `scratch` is its memory."""

    scratch: list[Buffer] = field(default_factory=list[Buffer])

    @property
    def time(self) -> float:
        """About how many nanoseconds it takes."""
        shape: tuple[int, ...] = self.operands[0].shape
        if self.primitive.name == "argsort":
            axis: int = self.params["axis"]
            return 3.0 * self.operands[0].size * (shape[axis] + 1).bit_length()
        longest: int = max((1, *shape[-2:]))
        return 1000.0 * prod(shape[:-2]) + float(longest * sum(o.size for o in self.outs))

    def writes(self) -> set[Buffer]:
        return {*self.outs, *self.scratch}


@dataclass
class Words(Step):
    """Fills a buffer with raw random words for a counter: two integers, seed and draw."""

    buffer: Buffer
    counter: Buffer

    def reads(self) -> set[Buffer]:
        return {self.counter}

    def writes(self) -> set[Buffer]:
        return {self.buffer}


@dataclass
class Loop(Step):
    """Runs a body of steps, either `length` times over `axis` or while `test` is true."""

    body: list[Any]
    axis: Axis | None
    test: Buffer | None = None
    checks: list[Any] = field(default_factory=list[Any])  # the steps that make `test`

    @property
    def inside(self) -> tuple[list[Any], ...]:
        return self.checks, self.body

    def reads(self) -> set[Buffer]:
        return super().reads() | ({self.test} if self.test is not None else set())


@dataclass
class Branch(Step):
    """Runs one of two lists of steps, by one element of a buffer."""

    condition: Buffer
    taken: list[Any]
    other: list[Any]
    at: tuple[Index, ...] = ()

    @property
    def inside(self) -> tuple[list[Any], ...]:
        return self.taken, self.other

    def reads(self) -> set[Buffer]:
        return super().reads() | {self.condition}


@dataclass
class Region(Step):
    """Runs steps for one chunk of rows after the other; parts of the rows may run in threads.

    `body` is for the `chunk` rows from `row` on, `rest` for those left over at the end. Each part
    has accumulators of its own, which `begin` sets, so that the threads change no result. What
    lives within a chunk belongs to a thread: `slot` is 0 for the first one, and so on, so that one
    thread uses the same memory for all parts, which stays in its cache.
    """

    begin: list[Any]
    body: list[Any]
    rest: list[Any]
    row: Axis
    part: Axis
    slot: Axis
    chunk: int
    chunks: int

    @property
    def inside(self) -> tuple[list[Any], ...]:
        return self.begin, self.body, self.rest


def innermost(steps: Iterable[Any]) -> Iterator[Any]:
    """Yield the steps that hold no others, those inside of loops, branches and regions too."""
    for step in steps:
        if step.inside:
            for part in step.inside:
                yield from innermost(part)
        else:
            yield step


def reads_same_element(step: Any, output: Buffer, source: Buffer) -> bool:
    """Return whether a step reads of a buffer only the element that it writes."""
    if isinstance(step, Region):
        members = list(innermost([step]))
        return all(
            reads_same_element(s, output, source)
            for s in members
            if source in s.reads() or output in s.writes()
        )
    if not isinstance(step, Kernel) or step.ordered or step.running is not None:
        return False
    if source.shape != output.shape or source.dtype != output.dtype:
        return False
    wanted = {s.indices for s in (*step.stores, *step.ends) if s.buffer is output}
    if len(wanted) != 1 or any(f.buffer is output for f in step.folds):
        return False
    (indices,) = wanted
    return all(
        t.data[1] == indices
        for t in walk([*step.roots(), *step.end_terms])
        if t.kind == "load" and t.data[0] is source
    )
