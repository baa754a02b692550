"""Cutting: kernels over rows as kernels over chunks of rows, and the parts that threads may take.

Invariant: chunks and parts depend on shapes alone, so that threads change no result; a total that
several parts add to has an accumulator in each. It is separate from the regions, which decide what
runs together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from slopewise._compile.loops import Axis, Buffer, Index, Pool, Term, walk
from slopewise._compile.rows import Use, count_operations, find_uses, is_column, work_of
from slopewise._compile.steps import Ahead, Fold, Kernel, Product, Region, Store, identity_of

HEAVY = 200_000.0  # work that is worth a wake-up of threads, in nanoseconds of one
SHARE = 40_000.0  # work of a part, in the same unit
PARTS = 16
ABREAST = 32  # rows of such, at least
VECTOR = 64  # bytes of the widest vectors
ABREAST_VECTORS = 4  # of them that a product's tile is wide
COLUMNS = 32  # rows of a chunk, at least, where they are columns of a matrix
FAR = 1 << 20  # bytes of what does not stay in the second cache
BETWEEN = 6.0  # operations on a row for each line of memory that is fetched meanwhile
WIDE = 192  # rows of a part of a product; each part has the BLAS pack the other factor again
SHORT = 32  # elements of an axis that a few vectors hold


class Cutter:
    """Makes the region of some kernels."""

    def __init__(
        self, members: Sequence[tuple[Kernel, Axis]], pool: Pool, shared: set[int],
        touched: dict[int, int],
    ) -> None:  # fmt: skip
        self.members = members
        self.pool = pool
        self.shared = shared
        self.touched = touched
        self.rows = members[0][1].size

    def make(self, chunk_bytes: int) -> list[Any] | None:
        """Return the region and the steps that join its parts; None if it would be one chunk.

        Without `chunk_bytes` each part is one chunk.
        """
        work = sum(work_of(kernel) for kernel, _ in self.members)
        uses = [find_uses(kernel, axis) for kernel, axis in self.members]
        folded = [f for k, a in self.members if a in k.reduced for f in k.folds]
        parts = _parts(work)
        rowwise: dict[int, int] = {}
        whole: dict[int, int] = {}
        for each in uses:
            for number, use in each.items():
                (whole if use.dim is None else rowwise)[number] = use.bytes
        total = sum(rowwise.values())
        kept = sum(f.buffer.bytes for f in folded)
        # Each part has sums to set, to read from far and to join: a small part of the work.
        while parts > 1 and parts * kept > min(total // 4, work / 20.0):
            parts //= 2
        most = max(1, chunk_bytes * self.rows // max(1, total)) if chunk_bytes else self.rows
        columns = [u for each in uses for u in each.values() if is_column(u)]
        least = COLUMNS if columns else 1
        if chunk_bytes:  # what all chunks need may not be more than half of what one has for itself
            least = max(least, -(-2 * sum(whole.values()) * self.rows // max(1, total)))
        parts = max(1, min(parts, self.rows // least))
        most = max(most, least)
        self.side_by_side = self._lie_side_by_side(uses)
        if self.side_by_side:
            chunk = max(ABREAST, min(most, -(-self.rows // parts)) // ABREAST * ABREAST)
        else:
            chunk = _chunk(self.rows, min(most, -(-self.rows // parts)))
            if columns:
                chunk = self._fill_vectors(chunk, columns)
        chunks = self.rows // chunk
        parts = min(parts, chunks)
        if chunks < 2:
            return None
        self.parts = parts
        row = _counter(self.pool, "row", (chunks - 1) * chunk + 1)
        part = _counter(self.pool, "part", parts)
        slot = _counter(self.pool, "slot", parts)
        self.small = self._shrink(uses, chunk)
        self.partial = {
            id(f): self.pool.buffer((parts, *f.buffer.shape), f.buffer.dtype, "scratch")
            if parts > 1 else f.buffer
            for f in folded
        }  # fmt: skip
        axes: dict[int, Axis] = {}
        begin = [self._set(f, part) for f in folded]
        body = [
            self._cut(
                k,
                a,
                chunk,
                Index(0, ((row, 1),)),
                Index(0, ((part, 1),)),
                Index(0, ((slot, 1),)),
                axes,
            )
            for k, a in self.members
        ]
        self._look_ahead(body, row, chunk)
        left = self.rows - chunks * chunk
        rest = [
            self._cut(k, a, left, Index(self.rows - left), Index(parts - 1), Index(0), axes)
            for k, a in self.members
            if left
        ]
        joined = [self._join(f) for f in folded if parts > 1]
        return [Region(begin, body, rest, row, part, slot, chunk, chunks), *joined]

    def _look_ahead(self, body: Sequence[Kernel], row: Axis, chunk: int) -> None:
        """Let the kernel that computes most, one number a row, fetch the next chunk's rows.

        They come from memory while little is read there; without that, the processor would wait
        for them when the next chunk starts. Rows that are written come from memory, too.
        """
        streamed: dict[Buffer, bool] = {}  # and whether it is written
        for kernel, (_, axis) in zip(body, self.members, strict=True):
            for buffer in sorted(kernel.reads() | kernel.writes(), key=lambda b: b.number):
                far = buffer.bytes >= FAR and buffer.shape[0] == axis.size
                if far and buffer.alias is None and buffer.kind != "register":
                    written = buffer in kernel.writes()
                    streamed[buffer] = streamed.get(buffer, False) or written
        able = [k for k in body if len(k.axes) == 1 and k.axes[0].size == chunk]
        if not able:
            return
        busiest = max(able, key=count_operations)
        lines = int(count_operations(busiest) / (chunk * BETWEEN))  # that a row leaves time for
        for buffer, written in sorted(streamed.items(), key=lambda x: (-x[0].bytes, x[0].number)):
            length = prod(buffer.shape[1:])
            lines -= -(-length * buffer.dtype.itemsize // 64)
            if lines >= 0:
                start = Index(0, ((row, length),)).shift(chunk * length)
                busiest.ahead = (*busiest.ahead, Ahead(buffer, start, length, written))

    def _fill_vectors(self, chunk: int, columns: Sequence[Use]) -> int:
        """Return a chunk of columns that fills its vectors, of so many that products like it."""
        narrowest = min(use.bytes // max(1, prod(use.shape)) for use in columns)
        lanes = VECTOR // max(1, narrowest)
        unit = lanes * ABREAST_VECTORS if chunk > 2 * lanes * ABREAST_VECTORS else lanes
        return min(self.rows, -(-chunk // unit) * unit)

    def _shrink(self, uses: Sequence[dict[int, Use]], chunk: int) -> dict[int, tuple[Buffer, int]]:
        """Return a buffer of a chunk's rows for each one that lives inside the region only."""
        counts: dict[int, int] = {}
        for each in uses:
            for number in each:
                counts[number] = counts.get(number, 0) + 1
        found: dict[int, tuple[Buffer, int]] = {}
        for kernel, _ in self.members:
            for store in (*kernel.stores, *kernel.folds, *kernel.ends):
                buffer = store.buffer
                number = buffer.number
                if buffer.kind != "scratch" or buffer.alias is not None or number in self.shared:
                    continue
                if counts.get(number, 0) != self.touched.get(number, -1):
                    continue
                dims = {each[number].dim for each in uses if number in each}
                (dim,) = dims if len(dims) == 1 else (None,)
                if dim is None or number in found:
                    continue
                shape = tuple(self.arrange(buffer.shape, dim, chunk))
                shape = (self.parts, *shape) if self.parts > 1 else shape
                found[number] = (self.pool.buffer(shape, buffer.dtype, "scratch"), dim)
        return found

    def arrange(self, listed: Sequence[Any], dim: int, row: Any) -> list[Any]:
        """Return sizes or indices of a chunk's own buffer; short rows lie side by side."""
        if self.side_by_side:
            return [*listed[:dim], *listed[dim + 1 :], row]
        return [*listed[:dim], row, *listed[dim + 1 :]]

    def _lie_side_by_side(self, uses: Sequence[dict[int, Use]]) -> bool:
        """Return whether rows are so short that vectors should run across them."""
        for (kernel, axis), each in zip(self.members, uses, strict=True):
            if any(a.size > SHORT for a in kernel.axes if a is not axis):
                return False
            for use in each.values():
                if use.dim is not None and prod(use.shape[use.dim + 1 :]) > SHORT**2:
                    return False
        return True

    def _set(self, fold: Fold, part: Axis) -> Kernel:
        """Return the kernel that sets a part's accumulator."""
        buffer = self.partial[id(fold)]
        axes, indices = self._over(fold.buffer.shape)
        if self.parts > 1:
            indices = (Index(0, ((part, 1),)), *indices)
        start = self.pool.number(identity_of(fold.operation, buffer.dtype), buffer.dtype)
        return Kernel(axes, stores=[Store(buffer, indices, start)], names=["start"])

    def _join(self, fold: Fold) -> Kernel:
        """Return the kernel that folds the parts in order."""
        source = self.partial[id(fold)]
        axes, indices = self._over(source.shape)
        term = self.pool.load(source, indices)
        whole = Fold(fold.buffer, indices[1:], term, fold.operation)
        return Kernel(axes, frozenset(axes[:1]), folds=[whole], names=["join"])

    def _over(self, shape: tuple[int, ...]) -> tuple[tuple[Axis, ...], tuple[Index, ...]]:
        axes = self.pool.domain(tuple(n for n in shape if n != 1))
        at = iter(axes)
        return axes, tuple(Index(0) if n == 1 else Index(0, ((next(at), 1),)) for n in shape)

    def _cut(
        self, kernel: Kernel, axis: Axis, size: int, start: Index, part: Index, slot: Index,
        axes: dict[int, Axis],
    ) -> Kernel:  # fmt: skip
        """Return a kernel over `size` rows from `start` on."""
        own = axes.get(size)
        if own is None:
            own = axes[size] = _counter(self.pool, "r", size)
        local = Index(0, ((own, 1),)) if size > 1 else Index(0)
        moved = _Moved(self.pool, axis, start.plus(local), local, part, slot, self)
        moved.add([*kernel.roots(), *kernel.end_terms])
        reduced = kernel.reduced
        folded = axis in reduced
        if folded:
            reduced = (reduced - {axis}) | {own}
        folds = [
            Fold(
                *moved.place(self.partial[id(f)], f.indices, folded and self.parts > 1),
                moved.terms[f.term.number], f.operation, f.onto or folded,
            )
            for f in kernel.folds
            if folded
        ] or [
            Fold(*moved.place(f.buffer, f.indices), moved.terms[f.term.number], f.operation, f.onto)
            for f in kernel.folds
        ]  # fmt: skip
        stores = [
            Store(*moved.place(s.buffer, s.indices), moved.terms[s.term.number], s.add)
            for s in kernel.stores
        ]
        ends = [
            Store(*moved.place(s.buffer, s.indices), moved.terms[s.term.number])
            for s in kernel.ends
        ]
        return replace(
            kernel,
            axes=tuple(own if a is axis else a for a in kernel.axes),
            reduced=reduced,
            stores=stores,
            folds=folds,
            ends=ends,
        )


class _Moved:
    """Terms with the axis of the rows replaced by a chunk's own."""

    def __init__(
        self, pool: Pool, axis: Axis, whole: Index, local: Index, part: Index, slot: Index,
        maker: Cutter,
    ) -> None:  # fmt: skip
        self.pool = pool
        self.axis = axis
        self.whole = whole  # the row
        self.local = local  # the row within the chunk
        self.part = part
        self.slot = slot
        self.maker = maker
        self.terms: dict[int, Term] = {}

    def add(self, roots: Iterable[Term]) -> None:
        """Replace the axis in everything under the roots."""
        for term in walk(roots):
            self.terms[term.number] = self._term(term)

    def _term(self, term: Term) -> Term:
        pool = self.pool
        operands = tuple(self.terms[o.number] for o in term.operands)
        if term.kind == "load":
            return pool.load(*self.place(*term.data))
        if term.kind == "index":
            return pool.index(self.index(term.data))
        if term.kind == "op":
            body, params, name = term.data
            return pool.op(name, body, operands, params, term.dtype, term.cost)
        if term.kind == "inside":
            conditions = tuple((self.index(i), low, high) for i, low, high in term.data)
            return pool.inside(conditions, *operands)
        return term

    def index(self, index: Index, row: Index | None = None) -> Index:
        """Return an index with the axis replaced by a row."""
        made = Index(
            index.constant,
            tuple((a, k) for a, k in index.terms if a is not self.axis),
            tuple((self.terms[t.number], k) for t, k in index.computed),
        )
        for axis, k in index.terms:
            if axis is self.axis:
                made = made.plus((self.whole if row is None else row).scale(k))
        return made

    def place(
        self, buffer: Buffer, indices: tuple[Index, ...], partial: bool = False
    ) -> tuple[Buffer, tuple[Index, ...]]:
        """Return where an element lies: buffers of the region alone hold a chunk's rows."""
        small = self.maker.small.get(buffer.number)
        if small is not None:
            fresh, dim = small
            moved = self.maker.arrange([self.index(i) for i in indices], dim, self.local)
            return fresh, (self.slot, *moved) if self.maker.parts > 1 else tuple(moved)
        moved = tuple(self.index(i) for i in indices)
        return buffer, (self.part, *moved) if partial else moved


def divide_product(step: Product, pool: Pool) -> Any:
    """Cut a product into parts along the longer side of its result."""
    batch, m, n, k = step.sizes
    lengthwise = m >= n
    size = m if lengthwise else n
    parts = max(1, min(_parts(work_of(step)), size // WIDE))
    chunk = _chunk(size, -(-size // parts))
    if chunk >= size:
        return step
    row = _counter(pool, "row", size - size % chunk - chunk + 1)
    part = _counter(pool, "part", size // chunk)
    slot = _counter(pool, "slot", size // chunk)

    def cut(start: Index, count: int) -> Product:
        moved = [step.x_place[0], step.y_place[0], step.out_place[0]]
        strides = (step.x_place[2], 0, step.out_place[2]) if lengthwise else (0, step.y_place[3], 1)
        moved = [at.plus(start.scale(s)) for at, s in zip(moved, strides, strict=True)]
        return replace(
            step,
            sizes=(batch, count, n, k) if lengthwise else (batch, m, count, k),
            x_place=(moved[0], *step.x_place[1:]),
            y_place=(moved[1], *step.y_place[1:]),
            out_place=(moved[2], *step.out_place[1:]),
        )

    left = size % chunk
    rest = [cut(Index(size - left), left)] if left else []
    body = [cut(Index(0, ((row, 1),)), chunk)]
    return Region([], body, rest, row, part, slot, chunk, size // chunk)


def _counter(pool: Pool, name: str, size: int) -> Axis:
    made = Axis(f"{name}{pool.axis_count}", size, pool.axis_count)
    pool.axis_count += 1
    return made


def _parts(work: float) -> int:
    """Return into how many parts work is cut; nothing but the shapes decides it."""
    if work < HEAVY:
        return 1
    return max(2, min(PARTS, int(work / SHARE)))


def _chunk(rows: int, most: int) -> int:
    """Return a chunk's rows: a divisor of all rows if one is near, as then none are left over."""
    most = max(1, min(most, rows))
    for size in range(most, max(most // 2, most - 1000, 1) - 1, -1):
        if rows % size == 0:
            return size
    return most if most < 16 else most - most % 16
