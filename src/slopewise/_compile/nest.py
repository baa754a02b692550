"""The nest of a kernel's loops: which axis vectors run along, and how axes are cut and opened.

Invariant: every point lies in one block of the vector axis; terms that depend on the loops opened
so far, and on no other, are written there. It is separate from what is written inside: maps and
folds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Any

from slopewise._compile.access import NO_PIECE, Accesses, Piece
from slopewise._compile.builder import BOOL, INT64, Register, type_of
from slopewise._compile.loops import COSTS, Axis, walk
from slopewise._compile.squares import find_runs, turn
from slopewise._compile.steps import Store

ACROSS = 3.0  # what adding up the lanes of a vector costs, in loads
APART = 2.0  # what storing one lane of a vector costs, in loads
LENGTHY = 100  # terms of a kernel that is not written out once more for the tail of its axis
CROWD = 24  # copies of mathematical functions that a kernel writes out; more are called


@dataclass(frozen=True)
class Block:
    """Some consecutive positions of an axis that are written out side by side."""

    start: int
    step: int
    count: int  # how often the block is repeated in a loop (1: no loop)
    pieces: tuple[Piece, ...]
    masked: bool = False  # whether lanes of the last repetition may lie behind the end


def blocks(size: int, lanes: int, wide: int) -> list[Block]:
    """Return how an axis is cut: repeated blocks of `wide` vectors, then what is left."""
    full, rest = divmod(size, lanes)
    pieces = [(i * lanes, lanes) for i in range(full)] + ([(full * lanes, rest)] if rest else [])
    if full <= wide + 1:
        return [Block(0, 0, 1, tuple(pieces))]
    count = full // wide
    found = [Block(0, wide * lanes, count, tuple((i * lanes, lanes) for i in range(wide)))]
    left = tuple((o - count * wide * lanes, w) for o, w in pieces[count * wide :])
    if left:
        found.append(Block(count * wide * lanes, 0, 1, left))
    return found


class Nest(Accesses):
    """Opens the loops of a kernel around what maps and folds write."""

    open_pieces: Sequence[Piece] = (NO_PIECE,)  # those whose loop is open, around other loops

    def merge_axes(self) -> None:
        """Merge neighbouring loops that every access walks through as one."""
        plain = True
        for term in walk(self.kernel.roots()):
            if term.kind in ("index", "inside"):
                plain = False
        if not plain or self.kernel.running or self.kernel.ordered:
            return
        if any(f.operation.startswith("arg") for f in self.kernel.folds):
            return
        flats = [i for i, _ in self.accesses()]
        if any(i.computed for i in flats):
            return
        position = 0
        while position + 1 < len(self.axes):
            outer, inner = self.axes[position : position + 2]
            together = (outer in self.reduced) == (inner in self.reduced)
            for flat in flats:
                k = self.coefficients(flat)
                together = together and k.get(outer, 0) == k.get(inner, 0) * inner.size
            if not together:
                position += 1
                continue
            axis = Axis(outer.name + inner.name, outer.size * inner.size, -inner.number - 1)
            for old in (outer, inner):
                for source, home in list(self.merged.items()):
                    if home is old:
                        self.merged[source] = axis
                if old in self.kernel.axes:
                    self.merged[old] = axis
            if outer in self.reduced:
                self.reduced = (self.reduced - {outer, inner}) | {axis}
            self.axes[position : position + 2] = [axis]
            position = max(0, position - 1)

    def choose_vector(self) -> None:
        """Choose the axis whose neighbours are neighbours in memory most often."""
        folds = self.kernel.folds
        if folds and not self.kernel.stores and not folds[0].operation.startswith("arg"):
            self.vector = self._choose_fold_vector()
            return
        best: tuple[float, int] | None = None
        flats = self.accesses()
        scalar_only = any(f.operation.startswith("arg") for f in self.kernel.folds)
        computed = self.kernel.ordered
        for place, axis in enumerate(self.axes):
            if axis.size < 2 or (scalar_only and axis in self.reduced):
                continue
            if self.kernel.running is not None and axis is self.kernel.running[0]:
                continue
            score = 0.0
            usable = True
            for flat, weight in flats:
                k = self.coefficients(flat).get(axis, 0)
                inside = any(axis in self.axes_of(t) for t, _ in flat.computed)
                if inside:
                    usable = usable and not computed
                    score -= 0.5
                elif k == 1:
                    score += weight
                elif k:
                    score -= 0.5 if weight == 2 else 2.0  # lanes are stored one by one
                elif computed and weight == 3:
                    usable = False  # several lanes would add to one place
            if not usable:
                continue
            score = (score + 0.25) * min(1.0, axis.size / self.lanes_for())
            if best is None or (score, place) >= best:
                best = (score, place)
        if best is not None and best[0] > -2.0:
            self.vector = self.axes[best[1]]

    def _choose_fold_vector(self) -> Axis | None:
        """Return the axis of a vector with which a point of a fold costs least.

        Loads count at every point and totals once for all that they are folded of, so that lanes of
        a fold may be added up at the end, but elements that lie apart are not gathered for each.
        """
        kernel, lanes = self.kernel, self.lanes_for()
        terms = walk(kernel.roots())
        work = sum(t.cost for t in terms if t.kind in ("op", "inside"))
        loads = [self.flat(*t.data) for t in terms if t.kind == "load"]
        folded = prod(a.size for a in self.reduced)
        best: tuple[float, Axis] | None = None
        for axis in self.axes:
            if axis.size < 2:
                continue
            vectors = -(-axis.size // lanes) / axis.size  # for each point
            cost = work * vectors
            for flat in loads:
                inside = any(axis in self.axes_of(t) for t, _ in flat.computed)
                k = self.coefficients(flat).get(axis, 0)
                cost += 0.0 if not inside and not k else vectors if k == 1 and not inside else 1.0
            for fold in kernel.folds:
                flat = self.flat(fold.buffer, fold.indices)
                k = self.coefficients(flat).get(axis, 0)
                beside = vectors if k == 1 and not flat.computed else APART
                cost += (ACROSS if axis in self.reduced else beside) / folded
            if best is None or cost <= best[0]:
                best = (cost, axis)
        return None if best is None else best[1]

    def lanes_for(self) -> int:
        dtypes = {t.dtype for t in walk(self.kernel.roots()) if t.kind != "number"}
        floats = [d.itemsize for d in dtypes if d.kind == "f"]
        widths = floats or [d.itemsize for d in dtypes if d != BOOL] or [1]
        return max(1, self.b.module.vector_bytes // max(widths))

    def is_crowded(self) -> bool:
        """Return whether writing out all mathematical functions would take too much code."""
        functions = sum(t.cost >= COSTS["exp"] for t in walk(self.kernel.roots()))
        copies = sum(len(b.pieces) + b.masked for b in self._vector_blocks(1))
        return functions * copies > CROWD

    def _vector_blocks(self, wide: int) -> list[Block]:
        if self.vector is None:
            return [Block(0, 0, 1, (NO_PIECE,))]
        size, lanes = self.vector.size, self.lanes_for()
        if wide == 1 and size > 3 * lanes and size % lanes and self._is_lengthy():
            return [Block(0, lanes, -(-size // lanes), ((0, lanes),), masked=True)]
        return blocks(size, lanes, wide)

    def _is_lengthy(self) -> bool:
        """Return whether the code is long, and masks are all that the tail of its axis needs."""
        kernel, terms = self.kernel, walk(self.kernel.roots())
        if len(terms) < LENGTHY or self.b.module.vector_bytes < 32:
            return False
        if kernel.ordered or kernel.running or any(t.kind == "inside" for t in terms):
            return False
        if any(f.operation.startswith("arg") for f in kernel.folds):
            return False
        flats = [flat for flat, _ in self.accesses()]
        return not any(
            f.computed or self.coefficients(f).get(self.vector, 0) not in (0, 1)  # type: ignore[arg-type]
            for f in flats
        )

    def _mark_tail(self, block: Block) -> None:
        """Note which lanes of a block are elements."""
        assert self.vector is not None
        b, lanes = self.b, block.step
        places = type_of(INT64, lanes)
        steps = Register(f"<{', '.join(f'i64 {i}' for i in range(lanes))}>", places)
        first = b.splat(Register(str(self.counters[self.vector]), type_of(INT64)), lanes)
        self.tail = b.compare("<", b.add(first, steps), self.vector.size)

    def _open(self, axes: Sequence[Axis], inside: Callable[[], None]) -> None:
        """Write loops over axes (short ones written out) around what `inside` writes."""
        if not axes:
            inside()
            return
        axis, rest = axes[0], axes[1:]
        if axis.size == 1:
            self._at(axis, 0, lambda: self._open(rest, inside))
            return
        with self.b.loop(0, axis.size) as counter:
            self._at(axis, counter, lambda: self._open(rest, inside))

    def _at(self, axis: Axis, counter: str | int, inside: Callable[[], None]) -> None:
        """Set a loop's counter, with a scope of its own, while `inside` writes."""
        self.counters[axis] = counter
        self.scopes.append({})
        self.hoist({a for a in self.counters}, [0], self.open_pieces)
        inside()
        self.scopes.pop()
        del self.counters[axis]

    def _each_block(
        self, axis: Axis | None, cut: Sequence[Block], body: Callable[[Sequence[Piece]], None]
    ) -> None:
        """Write a body for each block of the vector axis (or tile axis)."""
        for block in cut:
            with ExitStack() as stack:
                if axis is not None:
                    if block.count > 1:
                        stop = block.start + block.step * block.count
                        counter: str | int = stack.enter_context(
                            self.b.loop(block.start, stop, block.step)
                        )
                    else:
                        counter = block.start
                    self.counters[axis] = counter
                self.scopes.append({})
                if block.masked:
                    self._mark_tail(block)
                body(block.pieces)
                self.tail = None
                self.scopes.pop()
                if axis is not None:
                    del self.counters[axis]

    def _fetch_ahead(self, piece: Piece) -> None:
        """Ask for the rows of a later chunk that stand where this piece's rows stand."""
        if self.vector is None:
            return
        b = self.b
        for ahead in self.kernel.ahead:
            start: Any = ahead.start.constant
            for each, k in ahead.start.terms:
                start = b.index_add(b.index_mul(self.counters[each], k), start)
            row = b.index_add(self.counters[self.vector], piece[0])
            at = b.index_add(start, b.index_mul(row, ahead.row))
            dtype = ahead.buffer.dtype
            pointer = b.address(self.address(ahead.buffer), at, dtype)
            b.prefetch(pointer, piece[1] * ahead.row * dtype.itemsize, ahead.written)

    def _stores(self, m: int, piece: Piece) -> None:
        """Compute everything at a point before anything is written, as buffers may share memory."""
        for term in self.kernel.roots():
            self.value(term, m, piece)
        turned: set[int] = set()
        for columns in self._find_columns(piece[1]):
            self._store_columns(columns, m, piece)
            turned.update(map(id, columns))
        for store in self.kernel.stores:
            if id(store) not in turned:
                self._store(store, m, piece)

    def _find_columns(self, lanes: int) -> list[list[Store]]:
        """Return stores that write neighbours in memory, where lanes of one lie apart.

        Turned in registers they are rows, each written at once. There are at least half as many as
        lanes, and no more.
        """
        if lanes < 4 or lanes & (lanes - 1) or self.vector is None or self.tail is not None:
            return []
        alike: dict[Any, list[tuple[int, Store]]] = {}
        for store in self.kernel.stores:
            if store.add or store.buffer.kind == "register" or store.buffer.dtype.itemsize < 4:
                continue
            flat = self.flat(store.buffer, store.indices)
            if not flat.computed and self.coefficients(flat).get(self.vector, 0) not in (0, 1):
                key = (store.buffer.number, flat.key[1])
                alike.setdefault(key, []).append((flat.constant, store))
        return [run for listed in alike.values() for run in find_runs(listed, lanes)]

    def _store_columns(self, columns: Sequence[Store], m: int, piece: Piece) -> None:
        """Write what some stores write, row by row."""
        b, lanes = self.b, piece[1]
        buffer = columns[0].buffer
        values: list[Register] = []
        for store in columns:
            value = self.value(store.term, m, piece)
            if value.type.dtype != buffer.dtype:
                value = b.cast(value, buffer.dtype)
            values.append(b.splat(value, lanes))
        rows = turn(b, [*values, *values[:1] * (lanes - len(values))], lanes)
        start, stride = self._scalar_index(self.flat(buffer, columns[0].indices), m, piece)
        for i, row in enumerate(rows):
            at = b.index_add(start, i * stride)
            if b.module.checked:
                self._check_range(buffer, at, 1, len(columns), None)
            short = row if len(columns) == lanes else b.shuffle(row, row, range(len(columns)))
            b.store(short, b.address(self.address(buffer), at, buffer.dtype))
