"""Linear algebra in machine code: what runs around LAPACK's routines for stacks of matrices.

Invariant: matrices are row-major outside and are copied to LAPACK's columns and back, so that the
same routine sees the same numbers as in eager code, which are of double precision for float32, too,
as in NumPy; a routine that finds no result sets the status
and leaves NaN. Addresses come from the table of routines. It is separate from assembly, which only
calls what is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from slopewise._compile.blas import ROUTINES
from slopewise._compile.builder import (
    BOOL,
    FLOAT64,
    INT32,
    INT64,
    Module,
    Register,
    type_of,
)
from slopewise._compile.steps import Direct
from slopewise._compile.writer import Writer

_DOUBLE = type_of(FLOAT64)
_BLOCK = 64  # columns that LAPACK's blocked algorithms take at once, at most


class _Routine:
    """The function of one routine: its parameters, and what its body is made of."""

    def __init__(self, module: Module, step: Direct, name: str) -> None:
        listed = (("x", step.operands), ("y", step.outs), ("w", step.scratch))
        self.x, self.y, self.w = (
            [f"%{stem}{i}" for i in range(len(buffers))] for stem, buffers in listed
        )
        parameters = [("ptr", p[1:]) for p in (*self.x, *self.y, *self.w)]
        parameters += [("ptr", "routines"), ("ptr", "status"), ("i64", "number")]
        self.b = Writer(
            module, name, parameters, linkage="internal", attributes="noinline nounwind"
        )
        self.step = step
        self.type = type_of(step.operands[0].dtype)
        self.shape = step.operands[0].shape
        self.batch = prod(self.shape[:-2])

    # --- elements ------------------------------------------------------------------------------

    def part(self, base: str, index: Any, size: int) -> str:
        """Return the address of one matrix of a stack of operands or results."""
        return self.b.address(base, self.b.index_mul(index, size), self.type.dtype)

    def place(self, base: str, pairs: tuple[tuple[Any, int], ...], dtype: Any) -> str:
        """Return the address of an element, given indices and their strides."""
        total: Any = 0
        for index, stride in pairs:
            total = self.b.index_add(total, self.b.index_mul(index, stride))
        return self.b.address(base, total, dtype)

    def take(self, base: str, *pairs: tuple[Any, int]) -> Register:
        """Return an element of an operand."""
        return self.b.load(self.type, self.place(base, pairs, self.type.dtype))

    def give(self, value: Register, base: str, *pairs: tuple[Any, int]) -> None:
        """Store a number as an element of a result."""
        kept = self.b.cast(value, self.type.dtype)
        self.b.store(kept, self.place(base, pairs, self.type.dtype))

    def read(self, base: str, *pairs: tuple[Any, int]) -> Register:
        """Return an element of what LAPACK works on."""
        return self.b.load(_DOUBLE, self.place(base, pairs, FLOAT64))

    def keep(self, value: Register, base: str, *pairs: tuple[Any, int]) -> None:
        """Store an element of what LAPACK works on."""
        self.b.store(self.b.cast(value, FLOAT64), self.place(base, pairs, FLOAT64))

    def turn(self, source: str, target: str, rows: int, columns: int) -> None:
        """Copy a matrix of an operand, so that its columns lie together."""
        with self.b.loop(0, rows) as i, self.b.loop(0, columns) as j:
            self.keep(self.take(source, (i, columns), (j, 1)), target, (j, rows), (i, 1))

    def turn_back(self, source: str, target: str, rows: int, columns: int) -> None:
        """Copy a matrix whose columns lie together to a result."""
        with self.b.loop(0, rows) as i, self.b.loop(0, columns) as j:
            self.give(self.read(source, (j, rows), (i, 1)), target, (i, columns), (j, 1))

    def copy(self, source: str, target: str, count: int) -> None:
        """Copy numbers to a result."""
        with self.b.loop(0, count) as i:
            self.give(self.read(source, (i, 1)), target, (i, 1))

    def fill(self, value: float, base: str, count: int) -> None:
        with self.b.loop(0, count) as i:
            self.keep(self.b.number(value, _DOUBLE), base, (i, 1))

    def even(self, source: str, target: str, n: int) -> None:
        """Copy the symmetric part of an operand, in which rows and columns are the same."""
        b = self.b
        with b.loop(0, n) as i, b.loop(0, n) as j:
            total = b.add(self.take(source, (i, n), (j, 1)), self.take(source, (j, n), (i, 1)))
            self.keep(b.mul(total, 0.5), target, (i, n), (j, 1))

    def triangle(self, source: str, target: str, n: int, rows: int, lower: bool) -> None:
        """Give a triangle of a matrix of columns, of so many rows, with zeros beside it."""
        b = self.b
        with b.loop(0, n) as i, b.loop(0, n) as j:
            order = (j, i) if lower else (i, j)
            inside = b.pointer(f"icmp sle i64 {order[0]}, {order[1]}")
            value = self.read(source, (j, rows), (i, 1))
            kept = b.select(Register(inside, type_of(BOOL)), value, 0.0)
            self.give(kept, target, (i, n), (j, 1))

    # --- calls ---------------------------------------------------------------------------------

    def number(self, value: int) -> str:
        """Return the address of a whole number."""
        at = self.b.reserve(1, "i32", 8)
        self.b.entry.append(f"  store i32 {value}, ptr {at}")
        return at

    def letter(self, text: str) -> str:
        """Return the address of a letter."""
        at = self.b.reserve(1, "i8", 8)
        self.b.entry.append(f"  store i8 {ord(text)}, ptr {at}")
        return at

    def call(self, name: str, *given: str, letters: int = 0) -> Register:
        """Call a routine, and return whether it failed; Fortran passes lengths of letters last."""
        b = self.b
        slot = b.pointer(f"getelementptr ptr, ptr %routines, i64 {ROUTINES.index('d' + name)}")
        function = b.pointer(f"load ptr, ptr {slot}, !invariant.load !0")
        information = b.reserve(1, "i32", 8)
        listed = [f"ptr {g}" for g in (*given, information)] + ["i64 1"] * letters
        b.write(f"call void {function}({', '.join(listed)})")
        told = b.load(type_of(INT32), information)
        return b.compare("!=", told, 0)

    def refuse(self, failed: Register, *outs: tuple[str, int]) -> None:
        """Where a routine failed set the status, unless it is set, and leave NaN."""
        b = self.b
        with b.when(failed):
            known = b.load(type_of(INT64), "%status")
            mine = Register("%number", known.type)
            b.store(b.select(b.compare("==", known, 0), mine, known), "%status")
            for out, count in outs:
                self.fill(np.nan, out, count)


# --- the routines ------------------------------------------------------------------------------


def _write_solve(r: _Routine, columns: int | None) -> None:
    """Solve for given columns, or for those of the identity: the inverse."""
    n = r.shape[-1]
    width = n if columns is None else columns
    matrix, right, pivots = r.w
    sizes = [r.number(n), r.number(width)]
    with r.b.loop(0, r.batch) as k:
        r.turn(r.part(r.x[0], k, n * n), matrix, n, n)
        if columns is None:
            r.fill(0.0, right, n * n)
            with r.b.loop(0, n) as i:
                r.keep(r.b.number(1.0, _DOUBLE), right, (i, n + 1))
        else:
            r.turn(r.part(r.x[1], k, n * width), right, n, width)
        failed = r.call("gesv", *sizes, matrix, sizes[0], pivots, right, sizes[0])
        r.refuse(failed, (right, n * width))
        r.turn_back(right, r.part(r.y[0], k, n * width), n, width)


def _write_slogdet(r: _Routine, whole: bool) -> None:
    """Write sign and logarithm of determinants, or (`whole`) the determinants."""
    b = r.b
    n = r.shape[-1]
    matrix, pivots = r.w
    size = r.number(n)
    sign, total = (b.reserve(1, "double", 8) for _ in range(2))
    with b.loop(0, r.batch) as k:
        b.store(b.number(1.0, _DOUBLE), sign)
        b.store(b.number(0.0, _DOUBLE), total)
        if n:
            r.turn(r.part(r.x[0], k, n * n), matrix, n, n)
            failed = r.call("getrf", size, size, matrix, size, pivots)
            with b.loop(0, n) as i:
                pivot = b.load(type_of(INT32), b.address(pivots, i, INT32))
                following = Register(b.pointer(f"add i64 {i}, 1"), type_of(INT64))
                moved = b.compare("!=", b.cast(pivot, INT64), following)
                value = r.read(matrix, (i, n + 1))
                turned = b.logical_xor(moved, b.compare("<", value, 0.0))
                now = b.load(_DOUBLE, sign)
                b.store(b.select(turned, b.neg(now), now), sign)
                logarithm = b.call("log", b.absolute(value))
                b.store(b.add(b.load(_DOUBLE, total), logarithm), total)
            with b.when(failed):  # a pivot is 0
                b.store(b.number(0.0, _DOUBLE), sign)
                b.store(b.number(-np.inf, _DOUBLE), total)
        made = b.load(_DOUBLE, sign), b.load(_DOUBLE, total)
        if whole:  # as NumPy does it: the product of the pivots could overflow on the way
            made = (b.mul(made[0], b.call("exp", made[1])),)
        for out, value in zip(r.y, made, strict=True):
            r.give(value, out, (k, 1))


def _write_cholesky(r: _Routine) -> None:
    n = r.shape[-1]
    (matrix,) = r.w
    size, lower = r.number(n), r.letter("L")
    with r.b.loop(0, r.batch) as k:
        r.even(r.part(r.x[0], k, n * n), matrix, n)
        failed = r.call("potrf", lower, size, matrix, size, letters=1)
        r.refuse(failed, (matrix, n * n))
        r.triangle(matrix, r.part(r.y[0], k, n * n), n, n, lower=True)


def _write_qr(r: _Routine) -> None:
    m, n = r.shape[-2:]
    matrix, scales, work = r.w
    rows, columns, room = (r.number(size) for size in (m, n, r.step.scratch[2].size))
    with r.b.loop(0, r.batch) as k:
        r.turn(r.part(r.x[0], k, m * n), matrix, m, n)
        r.call("geqrf", rows, columns, matrix, rows, scales, work, room)
        r.triangle(matrix, r.part(r.y[1], k, n * n), n, m, lower=False)
        r.call("orgqr", rows, columns, columns, matrix, rows, scales, work, room)
        r.turn_back(matrix, r.part(r.y[0], k, m * n), m, n)


def _write_eigh(r: _Routine, vectors: bool) -> None:
    n = r.shape[-1]
    matrix, levels, work, counts = r.w
    size = r.number(n)
    room, counted = (r.number(w.size) for w in r.step.scratch[2:])
    letters = r.letter("V" if vectors else "N"), r.letter("L")
    with r.b.loop(0, r.batch) as k:
        r.even(r.part(r.x[0], k, n * n), matrix, n)
        failed = r.call(
            "syevd", *letters, size, matrix, size, levels, work, room, counts, counted, letters=2
        )
        r.refuse(failed, (levels, n), (matrix, n * n))
        r.copy(levels, r.part(r.y[0], k, n), n)
        if vectors:
            r.turn_back(matrix, r.part(r.y[1], k, n * n), n, n)


def _write_svd(r: _Routine, vectors: bool) -> None:
    m, n = r.shape[-2:]
    count = min(m, n)
    matrix, levels, work, counts, *sides = r.w
    rows, columns, least = (r.number(size) for size in (m, n, count))
    room = r.number(r.step.scratch[2].size)
    job = r.letter("S" if vectors else "N")
    left, right = sides or (work, work)  # which are not touched without vectors
    with r.b.loop(0, r.batch) as k:
        r.turn(r.part(r.x[0], k, m * n), matrix, m, n)
        failed = r.call(
            "gesdd", job, rows, columns, matrix, rows, levels, left, rows, right, least, work, room,
            counts, letters=1,
        )  # fmt: skip
        made = [(left, m * count), (right, count * n)] if vectors else []
        r.refuse(failed, (levels, count), *made)
        r.copy(levels, r.part(r.y[1 if vectors else 0], k, count), count)
        if vectors:
            r.turn_back(left, r.part(r.y[0], k, m * count), m, count)
            r.turn_back(right, r.part(r.y[2], k, count * n), count, n)


def _write_gaps(r: _Routine) -> None:
    """Write 1 / (second level - first level), 0 on the diagonal; equal levels are refused."""
    b = r.b
    n = r.shape[-1]
    largest = b.reserve(1, r.type.element, 8)
    near = 4 * float(np.finfo(r.type.dtype).eps)
    with b.loop(0, prod(r.shape[:-1])) as k:
        levels = r.part(r.x[0], k, n)
        b.store(b.number(0.0, r.type), largest)
        with b.loop(0, n) as i:
            size = b.absolute(r.take(levels, (i, 1)))
            b.store(b.maximum(b.load(r.type, largest), size), largest)
        bound = b.mul(b.load(r.type, largest), near)
        out = r.part(r.y[0], k, n * n)
        with b.loop(0, n) as i, b.loop(0, n) as j:
            gap = b.sub(r.take(levels, (j, 1)), r.take(levels, (i, 1)))
            apart = Register(b.pointer(f"icmp ne i64 {i}, {j}"), type_of(BOOL))
            r.refuse(b.logical_and(apart, b.compare("<=", b.absolute(gap), bound)))
            gap = b.select(b.compare("==", gap, 0.0), 1.0, gap)
            r.give(b.select(apart, b.div(1.0, gap), 0.0), out, (i, n), (j, 1))


Scratch = Sequence[tuple[Any, tuple[int, ...]]]


def _solve_scratch(a: Any, columns: int) -> Scratch:
    n = a.shape[-1]
    return (FLOAT64, (n, n)), (FLOAT64, (columns, n)), (INT32, (n,))


def _slogdet_scratch(a: Any) -> Scratch:
    n = a.shape[-1]
    return (FLOAT64, (n, n)), (INT32, (n,))


def _cholesky_scratch(a: Any) -> Scratch:
    return ((FLOAT64, a.shape[-2:]),)


def _qr_scratch(a: Any) -> Scratch:
    m, n = a.shape[-2:]
    return (FLOAT64, (n, m)), (FLOAT64, (n,)), (FLOAT64, (n * _BLOCK,))


def _eigh_scratch(a: Any, vectors: bool) -> Scratch:
    n = a.shape[-1]
    room, count = (1 + 6 * n + 2 * n * n, 3 + 5 * n) if vectors else (1 + 2 * n, 1)
    work = FLOAT64, (room + n * _BLOCK,)
    return (FLOAT64, (n, n)), (FLOAT64, (n,)), work, (INT32, (count,))


def _svd_scratch(a: Any, vectors: bool) -> Scratch:
    m, n = a.shape[-2:]
    least = min(m, n)
    room = 4 * least * least + 7 * least if vectors else 3 * least + max(m, n, 7 * least)
    room += (m + n + least) * _BLOCK
    shared = (FLOAT64, (n, m)), (FLOAT64, (least,)), (FLOAT64, (room,)), (INT32, (8 * least,))
    return (*shared, (FLOAT64, (least, m)), (FLOAT64, (n, least))) if vectors else shared


def _right_scratch(a: Any, b: Any) -> Scratch:
    return _solve_scratch(a, b.shape[-1])


def _inverse_scratch(a: Any) -> Scratch:
    return _solve_scratch(a, a.shape[-1])


def _no_scratch(_a: Any) -> Scratch:
    return ()


def _write_right(r: _Routine) -> None:
    _write_solve(r, r.step.operands[1].shape[-1])


Table = dict[str, tuple[Callable[..., Scratch], Callable[[_Routine], None]]]
_WRITERS: Table = {
    "inv": (_inverse_scratch, partial(_write_solve, columns=None)),
    "solve": (_right_scratch, _write_right),
    "det": (_slogdet_scratch, partial(_write_slogdet, whole=True)),
    "slogdet": (_slogdet_scratch, partial(_write_slogdet, whole=False)),
    "cholesky": (_cholesky_scratch, _write_cholesky),
    "qr": (_qr_scratch, _write_qr),
    "eigh": (partial(_eigh_scratch, vectors=True), partial(_write_eigh, vectors=True)),
    "eigvalsh": (partial(_eigh_scratch, vectors=False), partial(_write_eigh, vectors=False)),
    "svd": (partial(_svd_scratch, vectors=True), partial(_write_svd, vectors=True)),
    "svdvals": (partial(_svd_scratch, vectors=False), partial(_write_svd, vectors=False)),
    "inverse_gaps": (_no_scratch, _write_gaps),
}


def list_scratch(name: str, operands: Sequence[Any]) -> Scratch | None:
    """Return dtypes and shapes of the memory that a primitive's routine takes; None if not here.

    Parameters
    ----------
    name : str
        Of the primitive.
    operands : sequence
        With `shape` and `dtype`.
    """
    found = _WRITERS.get(name)
    if found is None or operands[0].dtype.name not in ("float32", "float64"):
        return None
    return found[0](*operands)


def write_routine(module: Module, step: Direct, name: str) -> None:
    """Write the function of a primitive for the sizes of a step.

    It takes pointers of operands, results and scratch, the table of routines, the status, and the
    number that the status becomes.
    """
    routine = _Routine(module, step, name)
    if any(out.size for out in step.outs):
        _WRITERS[step.primitive.name][1](routine)
    routine.b.finish("ret void")
