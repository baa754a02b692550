"""Emission: one kernel of the loop program as vector code.

Invariant: every point of a kernel is computed once; the vector axis, the tiles and the order of the
loops are chosen here and change no result but the rounding of folds. Terms are written at the
outermost loop that they depend on. It is separate from the steps around kernels (loops, calls),
which `assembly` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from slopewise._compile.access import NO_PIECE, Accesses, Piece
from slopewise._compile.builder import BOOL, INT64, Register, type_of
from slopewise._compile.loops import COSTS, Axis, Term, walk
from slopewise._compile.steps import Fold, identity_of

SHORT = 128  # terms of a row's pieces that are written out for several rows
ACROSS = 3.0  # what adding up the lanes of a vector costs, in loads
CROWD = 24  # copies of mathematical functions that a kernel writes out; more are called


@dataclass(frozen=True)
class Block:
    """Some consecutive positions of an axis that are written out side by side."""

    start: int
    step: int
    count: int  # how often the block is repeated in a loop (1: no loop)
    pieces: tuple[Piece, ...]


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


class KernelEmitter(Accesses):
    """Writes one kernel: the vector axis, the tiles and the order of its loops."""

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
                beside = vectors if k == 1 and not flat.computed else 1.0
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
        return functions * sum(len(b.pieces) for b in self._vector_blocks(1)) > CROWD

    # --- the nest ------------------------------------------------------------------------------

    def emit(self) -> None:
        """Write the kernel."""
        kernel = self.kernel
        for store in kernel.stores:
            if not store.add and kernel.running is None:
                key = (store.buffer.number, tuple(i.key for i in store.indices))
                self.forward[key] = store.term
        if prod(a.size for a in kernel.axes) == 0:
            self._emit_nothing()
            return
        self.merge_axes()
        self.choose_vector()
        self.b.crowded = self.is_crowded()
        if kernel.running is not None:
            self._emit_running()
        elif kernel.folds:
            self._emit_folds()
        else:
            self._emit_map()

    def _emit_nothing(self) -> None:
        """Write the identities of folds over no elements."""
        for fold in self.kernel.folds:
            if fold.buffer.size:
                start = self._start(fold)
                with self.b.loop(0, fold.buffer.size) as i:
                    self.b.store(
                        start, self.b.address(self.address(fold.buffer), i, fold.buffer.dtype)
                    )

    def _vector_blocks(self, wide: int) -> list[Block]:
        if self.vector is None:
            return [Block(0, 0, 1, (NO_PIECE,))]
        return blocks(self.vector.size, self.lanes_for(), wide)

    def _emit_map(self) -> None:
        kernel = self.kernel
        across = self._find_turn()
        if across is not None:
            self._emit_turn(*across)
            return
        count = len(walk(kernel.roots()))
        outer = [a for a in self.axes if a is not self.vector]
        cut = self._vector_blocks(4 if count <= 8 else 2 if count <= 24 else 1)
        self.hoist(set(), [0], [NO_PIECE])
        slow = self._slow_loads()
        if any(a not in self.axes_of(t) for t in slow for a in outer):
            # What is gathered lane by lane is gathered once, around the loops that do not need it.
            outer.sort(key=lambda a: -sum(a in self.axes_of(t) for t in slow))
            self._each_block(self.vector, cut, lambda pieces: self._map_inside(outer, pieces))
        else:
            self._open(outer, lambda: self._each_block(self.vector, cut, self._map_body))

    def _find_turn(self) -> tuple[Axis, Axis, int] | None:
        """Return the axes along which a copy stores and loads neighbours, and their lanes.

        None if it is no copy, the axes are the same, or they are too short for square tiles.
        """
        stores = self.kernel.stores
        if len(stores) != 1 or stores[0].term.kind != "load" or stores[0].add:
            return None
        store, term = stores[0], stores[0].term
        dtype = store.buffer.dtype
        if store.buffer.kind == "register" or dtype != term.dtype or dtype.itemsize not in (4, 8):
            return None
        if self._forwarded(term) is not None:
            return None
        target, source = self.flat(store.buffer, store.indices), self.flat(*term.data)
        if target.computed or source.computed:
            return None
        to, at = self.coefficients(target), self.coefficients(source)
        stored = next((a for a in self.axes if to.get(a) == 1), None)
        loaded = next((a for a in self.axes if at.get(a) == 1), None)
        lanes = self.b.module.lanes(dtype)
        if stored is None or loaded is None or stored is loaded or lanes < 4:
            return None
        if min(stored.size, loaded.size) < lanes or stored not in at or loaded not in to:
            return None
        return stored, loaded, lanes

    def _emit_turn(self, stored: Axis, loaded: Axis, lanes: int) -> None:
        """Copy square tiles: vectors along one axis are loaded, turned, and stored along another.

        What does not fill a tile is copied element by element.
        """
        (store,) = self.kernel.stores
        b = self.b
        outer = [a for a in self.axes if a is not stored and a is not loaded]
        ends = {a: a.size - a.size % lanes for a in (stored, loaded)}

        def tile() -> None:
            piece = (0, lanes)
            self.vector, self.tile = loaded, stored
            rows = [self._load(store.term, m, piece, None) for m in range(lanes)]
            rows = self._turn(rows, lanes)
            self.vector, self.tile = stored, loaded
            self.scopes.append({})
            for m, row in enumerate(rows):
                self._write(store.buffer, store.indices, row, m, piece)
            self.scopes.pop()

        def single() -> None:
            self.vector = self.tile = None
            self._stores(0, NO_PIECE)

        def across(ranges: dict[Axis, tuple[int, int, int]], body: Callable[[], None]) -> None:
            with ExitStack() as stack:
                for axis, (start, stop, step) in ranges.items():
                    self.counters[axis] = stack.enter_context(b.loop(start, stop, step))
                self.scopes.append({})
                body()
                self.scopes.pop()
            for axis in ranges:
                del self.counters[axis]

        def inside() -> None:
            across({a: (0, ends[a], lanes) for a in (stored, loaded)}, tile)
            if ends[stored] < stored.size:
                rest = (ends[stored], stored.size, 1)
                across({stored: rest, loaded: (0, loaded.size, 1)}, single)
            if ends[loaded] < loaded.size:
                rest = (ends[loaded], loaded.size, 1)
                across({stored: (0, ends[stored], 1), loaded: rest}, single)

        self._open(outer, inside)

    def _turn(self, rows: Sequence[Register], lanes: int) -> list[Register]:
        """Return the columns of a square: halves are exchanged at distance 1, 2, 4, ..."""
        current = list(rows)
        distance = 1
        while distance < lanes:
            for i in range(lanes):
                if i & distance:
                    continue
                x, y = current[i], current[i + distance]
                low = [k if not k & distance else lanes + k - distance for k in range(lanes)]
                high = [k + distance if not k & distance else lanes + k for k in range(lanes)]
                current[i] = self.b.shuffle(x, y, low)
                current[i + distance] = self.b.shuffle(x, y, high)
            distance *= 2
        return current

    def _slow_loads(self) -> list[Term]:
        """Return the loads whose lanes do not lie side by side."""
        found: list[Term] = []
        vector = self.vector
        if vector is None:
            return found
        for term in walk(self.kernel.roots()):
            if term.kind == "load" and self._forwarded(term) is None:
                flat = self.flat(*term.data)
                if flat.computed or self.coefficients(flat).get(vector, 0) not in (0, 1):
                    found.append(term)
        return found

    def _map_inside(self, outer: Sequence[Axis], pieces: Sequence[Piece]) -> None:
        self.open_pieces = pieces
        self.hoist(set(self.counters), [0], pieces)
        self._open(outer, lambda: self._map_body(pieces))
        self.open_pieces = [NO_PIECE]

    def _map_body(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._stores(0, piece)

    def _stores(self, m: int, piece: Piece) -> None:
        """Compute everything at a point before anything is written, as buffers may share memory."""
        for term in self.kernel.roots():
            self.value(term, m, piece)
        for store in self.kernel.stores:
            self._store(store, m, piece)

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
                body(block.pieces)
                self.scopes.pop()
                if axis is not None:
                    del self.counters[axis]

    # --- folds ---------------------------------------------------------------------------------

    def _start(self, fold: Fold, lanes: int = 1) -> Register:
        """Return what a fold starts from."""
        dtype = fold.buffer.dtype
        return self.b.number(identity_of(fold.operation, dtype), type_of(dtype, lanes))

    def _combine(self, operation: str, x: Register, y: Register) -> Register:
        b = self.b
        return {
            "add": b.add, "mul": b.mul, "minimum": b.minimum, "maximum": b.maximum,
            "and": b.logical_and, "or": b.logical_or,
        }[operation](x, y)  # fmt: skip

    def _emit_folds(self) -> None:
        if any(f.operation.startswith("arg") for f in self.kernel.folds):
            self._emit_positions()
            return
        inner = [a for a in self.axes if a in self.reduced and a is not self.vector]
        outer = [a for a in self.axes if a not in self.reduced and a is not self.vector]
        along = self.vector is not None and self.vector in self.reduced
        count = len(walk(self.kernel.roots()))
        folds = len(self.kernel.folds)
        registers = 24 if self.b.module.vector_bytes == 64 else 10
        wide = max(1, min(4, registers // folds)) if count <= 24 else 1
        pieces = 1 if self.vector is None else -(-self.vector.size // self.lanes_for())
        # Sums of a few vectors need no accumulators, and the lanes of several rows fold together.
        short = along and not inner and pieces <= wide + 1 and pieces * count <= SHORT
        tile = self._choose_tile(outer) or (self._choose_rows(outer) if short else None)
        rows = 1
        if tile is not None:
            outer.remove(tile)
            wide = min(wide, 4 if registers > 12 else 2)
            rows = max(1, min(tile.size, registers // (max(1, min(wide, pieces)) * folds), 8))
            if short:
                rows = min(tile.size, 8)
        self.tile = tile
        cut = self._vector_blocks(wide)
        tiles = [Block(0, 0, 1, ((0, 1),))] if tile is None else blocks(tile.size, 1, rows)
        self.hoist(set(), [0], [NO_PIECE])

        def across(tile_pieces: Sequence[Piece]) -> None:
            at = [o for o, _ in tile_pieces]
            if along:
                self._fold_along(at, cut, inner)
            else:
                self._each_block(self.vector, cut, lambda p: self._fold_beside(at, p, inner))

        self._open(outer, lambda: self._each_block(tile, tiles, across))

    def _choose_tile(self, outer: Sequence[Axis]) -> Axis | None:
        """Return an axis whose rows are worth computing together, as they share loads."""
        if self.kernel.stores or not outer or self.vector is None:
            return None
        loads = [self.axes_of(t) for t in walk(self.kernel.roots()) if t.kind == "load"]
        for axis in reversed(outer):
            shared = [a for a in loads if axis not in a and a & self.reduced]
            own = [a for a in loads if axis in a]
            if axis.size >= 2 and shared and own:
                return axis
        return None

    def _choose_rows(self, outer: Sequence[Axis]) -> Axis | None:
        """Return an axis of results whose lanes are folded together: side by side, if one is."""
        if self.kernel.stores or not outer or outer[-1].size < 2:
            return None
        first = self.kernel.folds[0]
        places = self.coefficients(self.flat(first.buffer, first.indices))
        beside = [a for a in outer if places.get(a) == 1 and a.size > 1]
        return beside[0] if beside else outer[-1]

    def _accumulators(
        self, tiles: Sequence[int], pieces: Sequence[Piece]
    ) -> dict[tuple[int, int, Piece], tuple[str, Register]]:
        made: dict[tuple[int, int, Piece], tuple[str, Register]] = {}
        for k, fold in enumerate(self.kernel.folds):
            for m in tiles:
                for piece in pieces:
                    start = self._start(fold, piece[1])
                    memory = self.b.reserve(1, start.type.text)
                    self.b.write(f"store {start.type.text} {start.text}, ptr {memory}")
                    made[k, m, piece] = (memory, start)
        return made

    def _accumulate(self, k: int, memory: str, start: Register, value: Register) -> None:
        fold = self.kernel.folds[k]
        b = self.b
        value = b.splat(value, start.type.lanes)
        old = b.name_value(f"load {start.type.text}, ptr {memory}", start.type)
        new = self._combine(fold.operation, old, value)
        b.write(f"store {new.type.text} {new.text}, ptr {memory}")

    def _fold_value(self, fold: Fold, m: int, piece: Piece) -> Register:
        value = self.value(fold.term, m, piece)
        if fold.operation in ("and", "or"):
            return self.b.truth(value)
        if value.type.dtype != fold.buffer.dtype:
            value = self.b.cast(value, fold.buffer.dtype)
        return value

    def _fold_beside(
        self, tiles: Sequence[int], pieces: Sequence[Piece], inner: Sequence[Axis]
    ) -> None:
        """Fold over other axes than the vector one: each lane is a result of its own."""
        memory = self._accumulators(tiles, pieces)
        self.hoist(set(self.counters), tiles, pieces)

        def body() -> None:
            for m in tiles:
                for piece in pieces:
                    if self.kernel.stores:
                        self._stores(m, piece)
                    for k, fold in enumerate(self.kernel.folds):
                        self._accumulate(k, *memory[k, m, piece], self._fold_value(fold, m, piece))

        self._open(inner, body)
        for (k, m, piece), (place, start) in memory.items():
            total = self.b.name_value(f"load {start.type.text}, ptr {place}", start.type)
            of: Fold = self.kernel.folds[k]
            self._finish(of, total, m, piece)

    def _fold_along(
        self, tiles: Sequence[int], cut: Sequence[Block], inner: Sequence[Axis]
    ) -> None:
        """Fold over the vector axis: the lanes are folded at the end."""
        widths = sorted({p for block in cut for p in enumerate_pieces(block)})
        memory = self._accumulators(tiles, widths)
        self.hoist(set(self.counters), tiles, [NO_PIECE])

        def body(pieces: Sequence[Piece]) -> None:
            for m in tiles:
                for number, piece in enumerate(pieces):
                    if self.kernel.stores:
                        self._stores(m, piece)
                    for k, fold in enumerate(self.kernel.folds):
                        slot = memory[k, m, (number, piece[1])]
                        self._accumulate(k, *slot, self._fold_value(fold, m, piece))

        self._open(inner, lambda: self._each_block(self.vector, cut, body))
        for k, fold in enumerate(self.kernel.folds):
            rows: list[dict[int, Register]] = []
            for m in tiles:
                by_lanes: dict[int, Register] = {}
                for width in widths:
                    place, start = memory[k, m, width]
                    part = self.b.name_value(f"load {start.type.text}, ptr {place}", start.type)
                    old = by_lanes.get(width[1])
                    by_lanes[width[1]] = (
                        part if old is None else self._combine(fold.operation, old, part)
                    )
                rows.append(by_lanes)
            self._finish_rows(fold, tiles, rows)

    def _finish_rows(
        self, fold: Fold, tiles: Sequence[int], rows: Sequence[dict[int, Register]]
    ) -> None:
        """Fold the lanes of rows of a tile, as many together as lanes allow, and store them."""
        at = 0
        combine = partial(self._combine, fold.operation)
        while at < len(rows):
            widest = max(rows[at])
            several = 1
            while 2 * several <= min(len(rows) - at, widest) and fold.buffer.dtype.kind == "f":
                several *= 2
            if several == 1 or widest & (widest - 1):
                self._finish(fold, self._fold_row(fold, rows[at]), tiles[at], NO_PIECE)
                at += 1
                continue
            total = self.b.across_many(combine, [r[widest] for r in rows[at : at + several]])
            if len(rows[at]) > 1:  # what is left of short vectors
                rest = Register("poison", total.type)
                for i, row in enumerate(rows[at : at + several]):
                    part = {n: x for n, x in row.items() if n != widest}
                    rest = self.b.insert(rest, self._fold_row(fold, part), i)
                total = combine(total, rest)
            self._finish_beside(fold, total, tiles[at : at + several])
            at += several

    def _fold_row(self, fold: Fold, parts: dict[int, Register]) -> Register:
        total: Register | None = None
        for part in parts.values():
            one = self.b.across(fold.operation, part)
            total = one if total is None else self._combine(fold.operation, total, one)
        assert total is not None
        return total

    def _finish_beside(self, fold: Fold, total: Register, tiles: Sequence[int]) -> None:
        """Store the totals of some rows: as a vector where they lie side by side."""
        b = self.b
        flat = self.flat(fold.buffer, fold.indices)
        beside = not flat.computed and self.tile is not None
        if not beside or self.coefficients(flat).get(self.tile) != 1:  # type: ignore[arg-type]
            for i, m in enumerate(tiles):
                self._finish(fold, b.extract(total, i), m, NO_PIECE)
            return
        start, _ = self._scalar_index(flat, tiles[0], NO_PIECE)
        if b.module.checked:
            self._check_range(fold.buffer, start, 1, len(tiles), None)
        pointer = b.address(self.address(fold.buffer), start, fold.buffer.dtype)
        if fold.onto:
            total = self._combine(fold.operation, b.load(total.type, pointer), total)
        b.store(total, pointer)

    def _finish(self, fold: Fold, total: Register, m: int, piece: Piece) -> None:
        """Store a fold's total, or combine it with what is there."""
        combine = partial(self._combine, fold.operation) if fold.onto else None
        self._write(fold.buffer, fold.indices, total, m, piece, combine)

    def _emit_positions(self) -> None:
        """Write argmax and argmin: the first best element; a NaN is better than all numbers."""
        inner = [a for a in self.axes if a in self.reduced]
        outer = [a for a in self.axes if a not in self.reduced and a is not self.vector]
        cut = self._vector_blocks(1)

        def across(pieces: Sequence[Piece]) -> None:
            for piece in pieces:
                for fold in self.kernel.folds:
                    self._position(fold, piece, inner)

        self._open(outer, lambda: self._each_block(self.vector, cut, across))

    def _position(self, fold: Fold, piece: Piece, inner: Sequence[Axis]) -> None:
        b = self.b
        dtype = fold.term.dtype
        best = b.reserve(1, type_of(dtype, piece[1]).text)
        where = b.reserve(1, type_of(INT64, piece[1]).text)
        type, places = type_of(dtype, piece[1]), type_of(INT64, piece[1])
        b.write(f"store {places.text} {b.number(-1, places).text}, ptr {where}")
        first = b.number(0, type)
        b.write(f"store {type.text} {first.text}, ptr {best}")

        def body() -> None:
            value = b.splat(self.value(fold.term, 0, piece), piece[1])
            old = b.name_value(f"load {type.text}, ptr {best}", type)
            at = b.name_value(f"load {places.text}, ptr {where}", places)
            better = b.compare(">" if fold.operation == "argmax" else "<", value, old)
            if type.floating:
                fresh = b.bit_and(b.unordered(value, value), b.bit_xor(b.unordered(old, old), True))
                better = b.bit_or(b.bit_and(better, b.bit_xor(b.unordered(old, old), True)), fresh)
            better = b.bit_or(better, b.compare("<", at, 0))
            here = Register(str(self._position_of(inner)), type_of(INT64))
            new = b.select(better, value, old)
            b.write(f"store {type.text} {new.text}, ptr {best}")
            spot = b.select(better, b.splat(here, piece[1]), at)
            b.write(f"store {places.text} {spot.text}, ptr {where}")

        self._open(inner, body)
        found = b.name_value(f"load {places.text}, ptr {where}", places)
        self._write(fold.buffer, fold.indices, found, 0, piece)

    def _position_of(self, inner: Sequence[Axis]) -> Any:
        total: Any = 0
        for axis in inner:
            total = self.b.index_add(self.b.index_mul(total, axis.size), self.counters[axis])
        return total

    def _emit_running(self) -> None:
        """Write a running fold: each element is the fold of all up to it."""
        assert self.kernel.running is not None
        axis, operation = self.kernel.running
        (store,) = self.kernel.stores
        outer = [a for a in self.axes if a is not self.vector and a is not axis]
        cut = self._vector_blocks(1)
        fold = Fold(store.buffer, store.indices, store.term, operation)

        def across(pieces: Sequence[Piece]) -> None:
            for piece in pieces:
                start = self._start(fold, piece[1])
                memory = self.b.reserve(1, start.type.text)
                self.b.write(f"store {start.type.text} {start.text}, ptr {memory}")

                def body(
                    piece: Piece = piece, memory: str = memory, type: Any = start.type
                ) -> None:
                    value = self.b.splat(self._fold_value(fold, 0, piece), piece[1])
                    old = self.b.name_value(f"load {type.text}, ptr {memory}", type)
                    new = self._combine(operation, old, value)
                    self.b.write(f"store {type.text} {new.text}, ptr {memory}")
                    self._write(store.buffer, store.indices, new, 0, piece)

                self._open([axis], body)

        self._open(outer, lambda: self._each_block(self.vector, cut, across))


def enumerate_pieces(block: Block) -> list[Piece]:
    """Return (place in the block, lanes) for each piece: what accumulators are named by."""
    return [(number, lanes) for number, (_, lanes) in enumerate(block.pieces)]
