"""Folds: sums, extrema and the like, positions of extrema, and running folds.

Invariant: an accumulator starts from the identity of its operation and lies in registers; lanes are
folded at the end, those of several rows together. It is separate from maps, which keep nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

from slopewise._compile.access import NO_PIECE, Piece
from slopewise._compile.builder import INT64, Register, type_of
from slopewise._compile.loops import Axis, walk
from slopewise._compile.nest import Block, Nest, blocks
from slopewise._compile.steps import Fold, identity_of

SHORT = 128  # terms of a row's pieces that are written out for several rows


class Folds(Nest):
    """Writes kernels with folds."""

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
        if self.tail is not None and value.type.lanes > 1:
            value = b.select(self.tail, value, start)
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
        for m in tiles:
            for piece in pieces:
                self._end(m, piece)

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
                    self._fetch_ahead(piece)
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
        for m in tiles:
            self._end(m, NO_PIECE)

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
            start = identity_of(fold.operation, fold.buffer.dtype)
            whole: list[Register] = []
            for row in rows[at : at + several]:
                parts = [self.b.widen(x, widest, start) for n, x in row.items() if n != widest]
                whole.append(reduce(combine, parts, row[widest]))
            total = self.b.across_many(combine, whole)
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
        for i, m in enumerate(tiles):
            self._keep(fold, b.extract(total, i) if self.kernel.ends else total, m, NO_PIECE)
        if fold.buffer.kind == "register":
            return
        flat = self.flat(fold.buffer, fold.indices)
        beside = not flat.computed and self.tile is not None
        if not beside or self.coefficients(flat).get(self.tile) != 1:  # type: ignore[arg-type]
            for i, m in enumerate(tiles):
                self._write_total(fold, b.extract(total, i), m, NO_PIECE)
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
        self._keep(fold, total, m, piece)
        if fold.buffer.kind != "register":
            self._write_total(fold, total, m, piece)

    def _keep(self, fold: Fold, total: Register, m: int, piece: Piece) -> None:
        """Let the stores that end a kernel find a total where they would load it."""
        for term in walk(self.kernel.end_terms):
            if term.kind == "load" and term.data == (fold.buffer, fold.indices):
                self.scopes[-1][self._key(term, m, piece, None)] = total

    def _end(self, m: int, piece: Piece) -> None:
        """Write the stores that end a kernel, when all totals of a point are there."""
        for store in self.kernel.ends:
            self.value(store.term, m, piece)
        for store in self.kernel.ends:
            self._store(store, m, piece)

    def _write_total(self, fold: Fold, total: Register, m: int, piece: Piece) -> None:
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
