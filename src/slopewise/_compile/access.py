"""Values and accesses of a kernel: terms as registers, loads, gathers, stores.

Invariant: a term is written once in each scope and for each piece of the vector axis; a computed
position is checked before it is used. It is separate from the loops around it, which `emit`
chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from slopewise._compile.builder import BOOL, INT64, Register, type_of
from slopewise._compile.loops import Axis, Buffer, Index, Term, linearise, walk
from slopewise._compile.squares import find_windows, turn
from slopewise._compile.steps import Fold, Kernel, Store
from slopewise._compile.writer import Writer

Combine = Callable[[Register, Register], Register]
Window = list[tuple[int, Term]]  # loads at places that differ by less than a vector's lanes
Piece = tuple[int, int]  # offset along the vector axis, lanes
NO_PIECE: Piece = (0, 1)
_DEEPEST = 100  # terms inside of terms that are written by recursion


class Accesses:
    """Writes the values of a kernel's terms; `address` gives the pointer of a buffer."""

    def __init__(
        self, b: Writer, kernel: Kernel, address: Callable[[Buffer], str],
        outer: dict[Axis, str], number: str,
    ) -> None:  # fmt: skip
        self.b = b
        self.kernel = kernel
        self.address = address
        self.number = number  # what the status becomes where a position is out of range
        self.counters: dict[Axis, str | int] = dict(outer)
        self.scopes: list[dict[Any, Any]] = [{}]
        self.depth = 0  # of the terms that are being written
        self.flats: dict[Any, Index] = {}
        self.merged: dict[Axis, Axis] = {}
        self.forward: dict[Any, Term] = {}
        self.vector: Axis | None = None
        self.tile: Axis | None = None
        self.tail: Register | None = None  # which lanes are elements, in a loop over the tail, too
        self.neighbours: dict[int, dict[int, Window]] = {}  # by lanes, and number of a load
        self.axes = list(kernel.axes)
        self.reduced = set(kernel.reduced)
        self.stack: list[tuple[str, int]] = []

    # --- what the accesses look like -----------------------------------------------------------

    def flat(self, buffer: Buffer, indices: tuple[Index, ...]) -> Index:
        key = (buffer.number, tuple(i.key for i in indices))
        found = self.flats.get(key)
        if found is None:
            if len(indices) == len(buffer.shape):
                found = linearise(indices, buffer.shape)
            else:
                found = indices[0]
            self.flats[key] = found
        return found

    def accesses(self) -> list[tuple[Index, int]]:
        """Return the flat index and the weight of every access."""
        found: list[tuple[Index, int]] = []
        for term in walk([*self.kernel.roots(), *self.kernel.end_terms]):
            if term.kind == "load" and self._forwarded(term) is None:
                found.append((self.flat(*term.data), 2))
        written: list[Store | Fold] = [*self.kernel.stores, *self.kernel.folds, *self.kernel.ends]
        for each in written:
            if each.buffer.kind != "register":
                found.append((self.flat(each.buffer, each.indices), 3))
        return found

    def _forwarded(self, term: Term) -> Term | None:
        buffer, indices = term.data
        return self.forward.get((buffer.number, tuple(i.key for i in indices)))

    def axes_of(self, term: Term) -> set[Axis]:
        return {self.merged.get(a, a) for a in term.axes}

    def coefficients(self, index: Index) -> dict[Axis, int]:
        """Return the factor of each loop in an index, after loops were merged."""
        found: dict[Axis, int] = {}
        for axis, k in index.terms:
            home = self.merged.get(axis)
            if home is None:
                found[axis] = k
            else:
                found[home] = min(found.get(home, k), k, key=abs)  # the innermost one
        return found

    # --- values --------------------------------------------------------------------------------

    def hoist(self, known: Iterable[Axis], tiles: Sequence[int], pieces: Sequence[Piece]) -> None:
        """Write what depends on the loops opened so far and on no other."""
        open_axes = set(self.counters) | set(known)
        pending = [t for t in self.kernel.roots()]
        seen: set[int] = set()
        while pending:
            term = pending.pop()
            if term.number in seen or term.kind == "number":
                continue
            seen.add(term.number)
            if term.kind == "load":
                forwarded = self._forwarded(term)
                if forwarded is not None:
                    pending.append(forwarded)
                    continue
            needed = self.axes_of(term)
            if needed <= open_axes:
                for m in tiles:
                    for piece in pieces:
                        self.value(term, m, piece)
            elif term.kind != "inside":
                pending.extend(term.operands)

    def value(self, term: Term, m: int, piece: Piece, mask: Register | None = None) -> Register:
        """Return the register of a term for a row of the tile and a piece of the vector axis."""
        if term.kind == "number":
            return self.b.number(term.data, type_of(term.dtype))
        key = self._key(term, m, piece, mask)
        found = self._known(key)
        if found is not None:
            return found
        if self.depth >= _DEEPEST:
            self._make_below(term, m, piece, mask)
        self.depth += 1
        made = self._make(term, m, piece, mask)
        self.depth -= 1
        self.scopes[-1][key] = made
        return made

    def _make_below(self, term: Term, m: int, piece: Piece, mask: Register | None) -> None:
        """Write what a term needs without recursion: terms may nest as deep as a formula is long.

        The order is that of the recursion.
        """
        pending = [term]
        while pending:
            top = pending[-1]
            missing = [
                o for o in self._below(top)
                if o.kind != "number" and self._known(self._key(o, m, piece, mask)) is None
            ]  # fmt: skip
            if missing:
                pending.extend(reversed(missing))
                continue
            pending.pop()
            if top is not term:
                key = self._key(top, m, piece, mask)
                if self._known(key) is None:
                    self.scopes[-1][key] = self._make(top, m, piece, mask)

    def _key(self, term: Term, m: int, piece: Piece, mask: Register | None) -> Any:
        if not term.axes:
            return term.number, 0, NO_PIECE, None if mask is None else mask.text
        axes = self.axes_of(term)
        return (
            term.number,
            m if self.tile in axes else 0,
            piece if self.vector in axes else NO_PIECE,
            None if mask is None else mask.text,
        )

    def _known(self, key: Any) -> Register | None:
        for scope in reversed(self.scopes):
            found = scope.get(key)
            if found is not None:
                return found
        return None

    def _below(self, term: Term) -> tuple[Term, ...]:
        """Return the terms whose values a term needs at the same place and under the same mask."""
        if term.kind == "op":
            return term.operands
        if term.kind == "load":
            forwarded = self._forwarded(term)
            return () if forwarded is None else (forwarded,)
        return ()

    def _make(self, term: Term, m: int, piece: Piece, mask: Register | None) -> Register:
        b = self.b
        if term.kind == "load":
            forwarded = self._forwarded(term)
            if forwarded is not None:
                return self.value(forwarded, m, piece, mask)
            return self._load(term, m, piece, mask)
        if term.kind == "index":
            return self._index(term.data, m, piece, mask)
        if term.kind == "inside":
            return self._inside(term, m, piece, mask)
        body, params, _ = term.data
        operands = [self.value(o, m, piece, mask) for o in term.operands]
        made = body(b, *operands, **params)
        if not isinstance(made, Register):
            made = b.number(made, type_of(term.dtype))
        if made.type.dtype != term.dtype:
            made = b.cast(made, term.dtype)
        return made

    def _inside(self, term: Term, m: int, piece: Piece, mask: Register | None) -> Register:
        b = self.b
        condition: Register | None = None
        for index, low, high in term.data:
            position = self._index(index, m, piece, mask)
            bounds = index.bounds()
            if bounds is None or bounds[0] < low:
                part = b.compare(">=", position, low)
                condition = part if condition is None else b.logical_and(condition, part)
            if bounds is None or bounds[1] >= high:
                part = b.compare("<", position, high)
                condition = part if condition is None else b.logical_and(condition, part)
        assert condition is not None
        inner, outer = term.operands
        narrowed = condition if mask is None else b.logical_and(*b.meet(mask, condition))
        x = self.value(inner, m, piece, narrowed)
        y = self.value(outer, m, piece, mask)
        return b.select(condition, x, y)

    def _scalar_index(self, index: Index, m: int, piece: Piece) -> tuple[Any, int]:
        """Return the part of an index that is not computed, at the first lane, and its stride."""
        key = ("at", index.key, m, piece)
        for scope in reversed(self.scopes):
            found = scope.get(key)
            if found is not None:
                return found
        b = self.b
        total: Any = 0
        constant = index.constant
        stride = 0
        for axis, k in self.coefficients(index).items():
            if axis is self.tile:
                constant += k * m
            elif axis is self.vector:
                constant += k * piece[0]
                stride = k
            total = b.index_add(total, b.index_mul(self.counters[axis], k))
        made = (b.index_add(total, constant), stride)
        self.scopes[-1][key] = made
        return made

    def _index(self, index: Index, m: int, piece: Piece, mask: Register | None = None) -> Register:
        """Return an index as a number, one for each lane where it differs."""
        b = self.b
        start, stride = self._scalar_index(index, m, piece)
        lanes = piece[1]
        value = Register(str(start), type_of(INT64))
        if stride and lanes > 1:
            steps = ", ".join(f"i64 {i * stride}" for i in range(lanes))
            value = b.add(b.splat(value, lanes), Register(f"<{steps}>", type_of(INT64, lanes)))
        for term, k in index.computed:
            value = b.add(*b.meet(value, b.mul(self.value(term, m, piece, mask), k)))
        return value

    def _checked_flat(self, buffer: Buffer, indices: tuple[Index, ...], m: int, piece: Piece,
                      mask: Register | None) -> Register:  # fmt: skip
        """Return the flat index with computed positions checked; a bad one sets the status."""
        b = self.b
        total: Register | None = None
        stride = 1
        shape = buffer.shape if len(indices) == len(buffer.shape) else (buffer.size,)
        for index, size in zip(reversed(indices), reversed(shape), strict=True):
            position = self._index(index, m, piece, mask)
            if index.computed:
                # Indices run from 0: the front has settled negative ones.
                bad = b.logical_or(b.compare("<", position, 0), b.compare(">=", position, size))
                position = b.select(bad, 0, position)
                if mask is not None:
                    bad = b.logical_and(*b.meet(bad, mask))
                with b.when(b.across("or", bad)):
                    b.write(f"store i64 {self.number}, ptr %status")
            part = b.mul(position, stride)
            total = part if total is None else b.add(*b.meet(total, part))
            stride *= size
        assert total is not None
        return total

    def _load(self, term: Term, m: int, piece: Piece, mask: Register | None) -> Register:
        b = self.b
        buffer, indices = term.data
        base = self.address(buffer)
        flat = self.flat(buffer, indices)
        if flat.computed:
            places = self._checked_flat(buffer, indices, m, piece, mask)
            if places.type.lanes > 1:
                return self._gather(base, places, buffer.dtype, mask)
            if mask is not None and mask.type.lanes == 1:
                places = b.select(mask, places, 0)
            return b.load(type_of(buffer.dtype), b.address(base, places.text, buffer.dtype))
        start, stride = self._scalar_index(flat, m, piece)
        lanes = piece[1]
        if b.module.checked:
            self._check_range(buffer, start, stride, lanes, self.tail if mask is None else mask)
        if stride == 0 or lanes == 1:
            if mask is None:
                return b.load(type_of(buffer.dtype), b.address(base, start, buffer.dtype))
            if mask.type.lanes == 1:
                chosen = b.select(mask, Register(str(start), type_of(INT64)), 0)
                return b.load(type_of(buffer.dtype), b.address(base, chosen.text, buffer.dtype))
            return self._gather(
                base, b.splat(Register(str(start), type_of(INT64)), lanes), buffer.dtype, mask
            )
        lanes_read = self.tail if mask is None else b.splat(mask, lanes)
        if stride == 1 and lanes_read is not None and b.module.vector_bytes >= 32:
            pointer = b.address(base, start, buffer.dtype)
            return b.load_some(type_of(buffer.dtype, lanes), pointer, lanes_read)
        if stride == 1 and mask is None:
            return b.load(type_of(buffer.dtype, lanes), b.address(base, start, buffer.dtype))
        if mask is None and self.tail is None and lanes >= 4 and not lanes & (lanes - 1):
            window = self._find_neighbours(lanes).get(term.number)
            if window is not None:
                return self._load_columns(window, m, piece)[flat.constant - window[0][0]]
        if mask is None and lanes <= 4:
            return self._pick(base, start, stride, lanes, buffer.dtype)
        return self._gather(base, self._index(flat, m, piece), buffer.dtype, mask)

    def _find_neighbours(self, lanes: int) -> dict[int, Window]:
        """Return loads that are near in memory, where lanes of one lie apart, by each of them.

        Read as rows and turned in registers, they take fewer instructions than gathers. What is
        read under a condition is not among them: it may lie outside of its buffer.
        """
        if lanes not in self.neighbours:
            certain: dict[int, Term] = {}
            pending = self.kernel.roots()
            while pending:
                term = pending.pop()
                if term.number in certain:
                    continue
                certain[term.number] = term
                if term.kind == "load" and (forwarded := self._forwarded(term)) is not None:
                    pending.append(forwarded)
                else:
                    pending.extend(term.operands[1:] if term.kind == "inside" else term.operands)
            alike: dict[Any, list[tuple[int, Term]]] = {}
            for term in certain.values():
                if term.kind != "load" or self._forwarded(term) is not None:
                    continue
                buffer = term.data[0]
                flat = self.flat(*term.data)
                if flat.computed or buffer.kind == "register" or buffer.dtype.itemsize < 4:
                    continue
                if self.coefficients(flat).get(self.vector, 0) not in (0, 1):  # type: ignore[arg-type]
                    key = (buffer.number, flat.key[1])
                    alike.setdefault(key, []).append((flat.constant, term))
            windows = [w for listed in alike.values() for w in find_windows(listed, lanes)]
            self.neighbours[lanes] = {term.number: w for w in windows for _, term in w}
        return self.neighbours[lanes]

    def _load_columns(self, window: Window, m: int, piece: Piece) -> list[Register]:
        """Read a window row by row, and return it turned: a vector for each place."""
        term, width = window[0][1], window[-1][0] - window[0][0] + 1
        key = ("columns", term.number, m, piece)
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        b, lanes = self.b, piece[1]
        buffer = term.data[0]
        start, stride = self._scalar_index(self.flat(*term.data), m, piece)
        rows: list[Register] = []
        for i in range(lanes):
            at = b.index_add(start, i * stride)
            if b.module.checked:
                self._check_range(buffer, at, 1, width, None)
            pointer = b.address(self.address(buffer), at, buffer.dtype)
            row = b.load(type_of(buffer.dtype, width), pointer)
            rows.append(row if width == lanes else b.widen(row, lanes, 0.0))
        made = turn(b, rows, lanes)
        self.scopes[-1][key] = made
        return made

    def _pick(self, base: str, start: Any, stride: int, lanes: int, dtype: Any) -> Register:
        """Load a few strided elements one by one."""
        b = self.b
        found = Register("poison", type_of(dtype, lanes))
        for i in range(lanes):
            one = b.load(type_of(dtype), b.address(base, b.index_add(start, i * stride), dtype))
            found = b.insert(found, one, i)
        return found

    def _gather(self, base: str, places: Register, dtype: Any, mask: Register | None) -> Register:
        b = self.b
        lanes = places.type.lanes
        if mask is not None:
            mask = b.splat(mask, lanes)
        if dtype == BOOL:
            raw = self._gather(base, places, np.dtype(np.int8), mask)
            return b.truth(raw)
        type = type_of(dtype, lanes)
        pointers = b.pointer(
            f"getelementptr {type.element}, ptr {base}, {places.type} {places.text}"
        )
        full = f"llvm.masked.gather.{type.suffix}.v{lanes}p0"
        b.module.declare(
            full,
            f"declare {type.text} @{full}(<{lanes} x ptr>, i32, <{lanes} x i1>, {type.text})",
        )
        on = "splat (i1 true)" if mask is None else mask.text
        return b.name_value(
            f"call {type.text} @{full}(<{lanes} x ptr> {pointers}, i32 {type.bytes},"
            f" <{lanes} x i1> {on}, {type.text} zeroinitializer)",
            type,
        )

    def _check_range(
        self, buffer: Buffer, start: Any, stride: int, lanes: int, mask: Register | None
    ) -> None:
        """Set the status where an access would leave its buffer (debug mode)."""
        b = self.b
        steps = ", ".join(f"i64 {i * stride}" for i in range(lanes))
        places = b.splat(Register(str(start), type_of(INT64)), lanes)
        if lanes > 1:
            places = b.add(places, Register(f"<{steps}>", type_of(INT64, lanes)))
        bad = b.logical_or(b.compare("<", places, 0), b.compare(">=", places, buffer.size))
        if mask is not None:
            bad = b.logical_and(*b.meet(bad, mask))
        with b.when(b.across("or", bad)):
            b.write(f"store i64 {self.number}, ptr %status")

    # --- stores --------------------------------------------------------------------------------

    def _store(self, store: Store, m: int, piece: Piece) -> None:
        if store.buffer.kind == "register":
            return
        value = self.value(store.term, m, piece)
        if value.type.dtype != store.buffer.dtype:
            value = self.b.cast(value, store.buffer.dtype)
        self._write(
            store.buffer, store.indices, value, m, piece, self._added if store.add else None
        )

    def _write(
        self, buffer: Buffer, indices: tuple[Index, ...], value: Register, m: int, piece: Piece,
        combine: Combine | None = None,
    ) -> None:  # fmt: skip
        b = self.b
        base = self.address(buffer)
        flat = self.flat(buffer, indices)
        if flat.computed:
            places = self._checked_flat(buffer, indices, m, piece, None)
            stride = self.coefficients(flat).get(self.vector, 0) if self.vector is not None else 0
            start: Any = b.extract(places, 0).text
            if any(self.vector in self.axes_of(t) for t, _ in flat.computed):
                self._spread(base, places, value, buffer.dtype, combine)
                return
        else:
            start, stride = self._scalar_index(flat, m, piece)
        if b.module.checked:
            self._check_range(buffer, start, stride, piece[1], self.tail)
        if stride == 1 and self.tail is not None:
            value = b.splat(value, piece[1])
            pointer = b.address(base, start, buffer.dtype)
            if combine is not None:
                value = combine(b.load_some(value.type, pointer, self.tail), value)
            b.store_some(value, pointer, self.tail)
            return
        if stride == 1 or value.type.lanes == piece[1] == 1:
            value = b.splat(value, piece[1])
            pointer = b.address(base, start, buffer.dtype)
            if combine is not None:
                value = combine(b.load(value.type, pointer), value)
            b.store(value, pointer)
            return
        if stride == 0:
            value = b.extract(value, 0)
            pointer = b.address(base, start, buffer.dtype)
            if combine is not None:
                value = combine(b.load(value.type, pointer), value)
            b.store(value, pointer)
            return
        value = b.splat(value, piece[1])
        for i in range(piece[1]):
            one = b.extract(value, i)
            pointer = b.address(base, b.index_add(start, i * stride), buffer.dtype)
            if combine is not None:
                one = combine(b.load(one.type, pointer), one)
            b.store(one, pointer)

    def _added(self, old: Register, value: Register) -> Register:
        return self.b.logical_or(old, value) if old.type.dtype == BOOL else self.b.add(old, value)

    def _spread(
        self,
        base: str,
        places: Register,
        value: Register,
        dtype: Any,
        combine: Combine | None,
    ) -> None:
        """Store lanes one by one, in order, so that the last of equal places stays."""
        b = self.b
        value = b.splat(value, places.type.lanes)
        for i in range(places.type.lanes):
            pointer = b.address(base, b.extract(places, i).text, dtype)
            one = b.extract(value, i)
            if combine is not None:
                one = combine(b.load(one.type, pointer), one)
            b.store(one, pointer)
