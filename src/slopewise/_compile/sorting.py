"""Sorting in machine code: the stable order of each line of an array.

Invariant: elements become whole numbers of 64 bits in the order in which NumPy sorts them (-0.0
equals 0.0, NaN comes last), so that one merge sort serves all dtypes; descending order sorts the
complement, in which equal elements keep their order and NaN comes first. It is separate from the
kernels, as a sort is no loop over independent points.
"""

from __future__ import annotations

from math import prod
from typing import Any

from slopewise._compile.builder import BOOL, INT64, Builder, Module, Register, type_of
from slopewise._compile.steps import Direct

_RUN = 16  # elements that are sorted by insertion

# Source: Knuth (1998), The Art of Computer Programming, volume 3, sections 5.2.1 (insertion) and
# 5.2.4 (merging). Keys and positions move together between two pairs of arrays; the result says
# whether they ended in the second pair. A merge takes the smaller of two heads without a branch.
_CODE = f"""\
define internal i1 @merge_sort(ptr %k0, ptr %p0, ptr %k1, ptr %p1, i64 %n) noinline {{
entry:
  br label %runs
runs:
  %start = phi i64 [0, %entry], [%stop, %runs.next]
  %full = add i64 %start, {_RUN}
  %stop = call i64 @llvm.smin.i64(i64 %full, i64 %n)
  br label %insert
insert:
  %i = phi i64 [%start, %runs], [%i.next, %put]
  %some = icmp slt i64 %i, %stop
  br i1 %some, label %take, label %runs.next
take:
  %key.at = getelementptr i64, ptr %k0, i64 %i
  %key = load i64, ptr %key.at
  %position.at = getelementptr i64, ptr %p0, i64 %i
  %position = load i64, ptr %position.at
  br label %shift
shift:
  %j = phi i64 [%i, %take], [%before, %move]
  %first = icmp eq i64 %j, %start
  br i1 %first, label %put, label %look
look:
  %before = sub i64 %j, 1
  %other.at = getelementptr i64, ptr %k0, i64 %before
  %other = load i64, ptr %other.at
  %larger = icmp sgt i64 %other, %key
  br i1 %larger, label %move, label %put
move:
  %k.to = getelementptr i64, ptr %k0, i64 %j
  store i64 %other, ptr %k.to
  %p.from = getelementptr i64, ptr %p0, i64 %before
  %p.moved = load i64, ptr %p.from
  %p.to = getelementptr i64, ptr %p0, i64 %j
  store i64 %p.moved, ptr %p.to
  br label %shift
put:
  %key.to = getelementptr i64, ptr %k0, i64 %j
  store i64 %key, ptr %key.to
  %position.to = getelementptr i64, ptr %p0, i64 %j
  store i64 %position, ptr %position.to
  %i.next = add i64 %i, 1
  br label %insert
runs.next:
  %more = icmp slt i64 %stop, %n
  br i1 %more, label %runs, label %widths
widths:
  %width = phi i64 [{_RUN}, %runs.next], [%double, %swap]
  %ka = phi ptr [%k0, %runs.next], [%kb, %swap]
  %pa = phi ptr [%p0, %runs.next], [%pb, %swap]
  %kb = phi ptr [%k1, %runs.next], [%ka, %swap]
  %pb = phi ptr [%p1, %runs.next], [%pa, %swap]
  %second = phi i1 [false, %runs.next], [%other.pair, %swap]
  %done = icmp sge i64 %width, %n
  br i1 %done, label %end, label %pairs
pairs:
  %low = phi i64 [0, %widths], [%high, %pair.end]
  %low.width = add i64 %low, %width
  %middle = call i64 @llvm.smin.i64(i64 %low.width, i64 %n)
  %middle.width = add i64 %middle, %width
  %high = call i64 @llvm.smin.i64(i64 %middle.width, i64 %n)
  %alone = icmp eq i64 %middle, %high
  br i1 %alone, label %ordered, label %meet
meet:
  %last = sub i64 %middle, 1
  %last.at = getelementptr i64, ptr %ka, i64 %last
  %last.key = load i64, ptr %last.at
  %next.at = getelementptr i64, ptr %ka, i64 %middle
  %next.key = load i64, ptr %next.at
  %in.order = icmp sle i64 %last.key, %next.key
  br i1 %in.order, label %ordered, label %merge
ordered:
  %whole = sub i64 %high, %low
  %whole.bytes = mul i64 %whole, 8
  %ka.low = getelementptr i64, ptr %ka, i64 %low
  %kb.low = getelementptr i64, ptr %kb, i64 %low
  call void @llvm.memcpy.p0.p0.i64(ptr %kb.low, ptr %ka.low, i64 %whole.bytes, i1 false)
  %pa.low = getelementptr i64, ptr %pa, i64 %low
  %pb.low = getelementptr i64, ptr %pb, i64 %low
  call void @llvm.memcpy.p0.p0.i64(ptr %pb.low, ptr %pa.low, i64 %whole.bytes, i1 false)
  br label %pair.end
merge:
  %l = phi i64 [%low, %meet], [%l.next, %merge]
  %r = phi i64 [%middle, %meet], [%r.next, %merge]
  %o = phi i64 [%low, %meet], [%o.next, %merge]
  %l.at = getelementptr i64, ptr %ka, i64 %l
  %l.key = load i64, ptr %l.at
  %r.at = getelementptr i64, ptr %ka, i64 %r
  %r.key = load i64, ptr %r.at
  %right = icmp slt i64 %r.key, %l.key
  %taken = select i1 %right, i64 %r, i64 %l
  %taken.key = call i64 @llvm.smin.i64(i64 %r.key, i64 %l.key)
  %k.out = getelementptr i64, ptr %kb, i64 %o
  store i64 %taken.key, ptr %k.out
  %p.at = getelementptr i64, ptr %pa, i64 %taken
  %p.taken = load i64, ptr %p.at
  %p.out = getelementptr i64, ptr %pb, i64 %o
  store i64 %p.taken, ptr %p.out
  %step = zext i1 %right to i64
  %r.next = add i64 %r, %step
  %o.next = add i64 %o, 1
  %used = add i64 %l, 1
  %l.next = sub i64 %used, %step
  %left.some = icmp slt i64 %l.next, %middle
  %right.some = icmp slt i64 %r.next, %high
  %both = and i1 %left.some, %right.some
  br i1 %both, label %merge, label %rest
rest:
  %rest.from = select i1 %left.some, i64 %l.next, i64 %r.next
  %rest.end = select i1 %left.some, i64 %middle, i64 %high
  %rest.count = sub i64 %rest.end, %rest.from
  %rest.bytes = mul i64 %rest.count, 8
  %k.rest = getelementptr i64, ptr %ka, i64 %rest.from
  %k.rest.to = getelementptr i64, ptr %kb, i64 %o.next
  call void @llvm.memcpy.p0.p0.i64(ptr %k.rest.to, ptr %k.rest, i64 %rest.bytes, i1 false)
  %p.rest = getelementptr i64, ptr %pa, i64 %rest.from
  %p.rest.to = getelementptr i64, ptr %pb, i64 %o.next
  call void @llvm.memcpy.p0.p0.i64(ptr %p.rest.to, ptr %p.rest, i64 %rest.bytes, i1 false)
  br label %pair.end
pair.end:
  %pairs.more = icmp slt i64 %high, %n
  br i1 %pairs.more, label %pairs, label %swap
swap:
  %double = mul i64 %width, 2
  %other.pair = xor i1 %second, true
  br label %widths
end:
  ret i1 %second
}}"""


def list_scratch(count: int) -> list[tuple[Any, tuple[int, ...]]]:
    """Return dtypes and shapes of the memory that a sort of so many elements takes."""
    return [(INT64, (count,))] * 4


def write_routine(module: Module, step: Direct, name: str) -> None:
    """Write the function that finds the order of each line along an axis.

    It takes pointers of operand, result and scratch, the table of routines, the status and a
    number; the last three are not read.
    """
    b = Builder(
        module, name,
        [("ptr", p) for p in ("x", "out", "k0", "p0", "k1", "p1", "routines", "status")]
        + [("i64", "number")],
        linkage="internal", attributes="noinline nounwind",
    )  # fmt: skip
    source = step.operands[0]
    axis: int = step.params["axis"]
    count, inner = source.shape[axis], prod(source.shape[axis + 1 :])
    if source.size:
        _declare(module)
        with b.loop(0, prod(source.shape[:axis])) as i, b.loop(0, inner) as j:
            first = b.index_add(b.index_mul(i, count * inner), j)
            with b.loop(0, count) as k:
                at = b.index_add(first, b.index_mul(k, inner))
                value = b.load(type_of(source.dtype), b.address("%x", at, source.dtype))
                key = _key_of(b, value)
                if step.params["descending"]:
                    key = b.bit_xor(key, -1)
                b.store(key, b.address("%k0", k, INT64))
                b.store(Register(k, key.type), b.address("%p0", k, INT64))
            second = b.pointer(
                f"call i1 @merge_sort(ptr %k0, ptr %p0, ptr %k1, ptr %p1, i64 {count})"
            )
            found = b.pointer(f"select i1 {second}, ptr %p1, ptr %p0")
            with b.loop(0, count) as k:
                at = b.index_add(first, b.index_mul(k, inner))
                position = b.load(type_of(INT64), b.address(found, k, INT64))
                b.store(position, b.address("%out", at, INT64))
    b.finish("ret void")


def _declare(module: Module) -> None:
    module.declare("llvm.smin.i64", "declare i64 @llvm.smin.i64(i64, i64)")
    copy = "llvm.memcpy.p0.p0.i64"
    module.declare(copy, f"declare void @{copy}(ptr, ptr, i64, i1)")
    module.functions.setdefault("merge_sort", _CODE.splitlines())


def _key_of(b: Builder, x: Register) -> Register:
    """Return a number of 64 bits that stands in the order of the elements."""
    if not x.type.floating:
        if x.type.dtype == BOOL or x.type.bytes < 8 or x.type.dtype.kind == "i":
            return b.cast(x, INT64)
        return b.bit_xor(b.cast(x, INT64), -(1 << 63))
    plain = b.select(b.compare("==", x, 0.0), 0.0, x)
    bits = b.bits(plain)
    top = 8 * x.type.bytes - 1
    # Of negative numbers all bits but the sign are turned round, so that the larger come first.
    flipped = b.bit_and(b.shift_right_signed(bits, top), (1 << top) - 1)
    key = b.cast(b.bit_xor(bits, flipped), INT64)
    return b.select(b.unordered(x, x), (1 << 63) - 1, key)
