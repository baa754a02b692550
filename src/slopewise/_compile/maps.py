"""Maps: kernels that compute each element of their results by itself.

Invariant: everything at a point is computed before anything is stored there, as buffers may share
memory. It is separate from folds, which keep accumulators.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from slopewise._compile.access import NO_PIECE, Piece
from slopewise._compile.interleaving import interleave
from slopewise._compile.loops import COSTS, Axis, Term, walk
from slopewise._compile.nest import Nest
from slopewise._compile.squares import turn


class Maps(Nest):
    """Writes kernels without folds, and copies that turn their axes."""

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
        sizes = sorted((stored.size, loaded.size))
        if sizes[0] < 4 or sizes[1] < lanes or stored not in at or loaded not in to:
            return None
        return stored, loaded, lanes

    def _emit_turn(self, stored: Axis, loaded: Axis, lanes: int) -> None:
        """Copy square tiles: vectors along one axis are loaded, turned, and stored along another.

        At the edges tiles are filled up with zeros, which are not stored.
        """
        (store,) = self.kernel.stores
        b = self.b
        outer = [a for a in self.axes if a is not stored and a is not loaded]

        def tile(columns: int, rows: int) -> None:
            self.vector, self.tile = loaded, stored
            found = [self._load(store.term, m, (0, rows), None) for m in range(columns)]
            if rows < lanes:
                found = [b.widen(x, lanes, 0.0) for x in found]
            empty = b.number(0.0, found[0].type)
            found = turn(b, [*found, *[empty] * (lanes - columns)], lanes)
            self.vector, self.tile = stored, loaded
            self.scopes.append({})
            for m, row in enumerate(found[:rows]):
                if columns == 1:
                    row = b.extract(row, 0)
                elif columns < lanes:
                    row = b.shuffle(row, row, range(columns))
                self._write(store.buffer, store.indices, row, m, (0, columns))
            self.scopes.pop()

        def parts(axis: Axis) -> list[tuple[tuple[int, int, int], int]]:
            """Return how loops run along an axis, and how much of a tile each has of it."""
            end = axis.size - axis.size % lanes
            found = [((0, end, lanes), lanes)] if end else []
            return found + ([((end, axis.size, lanes), axis.size - end)] if end < axis.size else [])

        def inside() -> None:
            for range_of_stored, columns in parts(stored):
                for range_of_loaded, rows in parts(loaded):
                    with ExitStack() as stack:
                        self.counters[stored] = stack.enter_context(b.loop(*range_of_stored))
                        self.counters[loaded] = stack.enter_context(b.loop(*range_of_loaded))
                        self.scopes.append({})
                        tile(columns, rows)
                        self.scopes.pop()
            del self.counters[stored], self.counters[loaded]

        self._open(outer, inside)

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
        lines = self.b.lines
        cuts = [len(lines)]
        for piece in pieces:
            self._fetch_ahead(piece)
            self._stores(0, piece)
            cuts.append(len(lines))
        if self._is_deep():
            for first in range(0, len(pieces) - 1, 2):
                interleave(lines, *cuts[first : first + 3])

    def _is_deep(self) -> bool:
        """Return whether a mathematical function is written out, whose steps wait for each other.

        Two of them, line by line, keep the processor busy where one after the other would not: it
        looks ahead over a few hundred instructions only.
        """
        deep = COSTS["exp"]
        return not self.b.crowded and any(t.cost >= deep for t in walk(self.kernel.roots()))
