"""Assembly: the steps of a program as one LLVM function, from kernels, loops, branches and calls.

Invariant: the function takes a table of pointers (inputs, outputs, constants), an arena and a
status; it holds no address, so its code can be kept. It is separate from the emission of single
kernels.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

from slopewise._compile.blas import BOARD, CLOCKS, READ, ROUTINES, SET, SPREAD, WATCH
from slopewise._compile.builder import BOOL, Module, Register, literal, type_of
from slopewise._compile.emit import KernelEmitter
from slopewise._compile.interrupts import LONG, PERIOD, write_watch
from slopewise._compile.jit import ENTRY
from slopewise._compile.loops import Axis, Buffer, Index, linearise, walk
from slopewise._compile.memory import ON_STACK
from slopewise._compile.philox import write_philox
from slopewise._compile.routines import calls_library, write_routine
from slopewise._compile.rows import time_of
from slopewise._compile.steps import (
    Branch,
    Call,
    Direct,
    Kernel,
    Loop,
    Product,
    Region,
    Words,
    innermost,
)
from slopewise._compile.writer import Writer

IN_PLACE = 400  # terms of a kernel that is written in place
SHORT = 8  # points of one in a loop that is, whatever memory it touches
_COPY = "llvm.memcpy.p0.p0.i64"
_HANDED = 10  # words of a part's context before its pointers


class Assembler:
    """Writes the steps of a program."""

    def __init__(
        self, module: Module, slots: dict[int, int], calls: list[Call], timed: bool = False
    ) -> None:
        self.module = module
        self.timed = timed
        self.clocks: dict[int, int] = {}  # the place of each timed step's counter; 0: the whole
        self.slots = slots
        self.calls = calls
        self.b = Writer(
            module, ENTRY,
            [("ptr", "table"), ("ptr", "arena"), ("ptr noalias", "status"), ("ptr", "outside"),
             ("ptr", "routines")],
            attributes="nounwind",
        )  # fmt: skip
        self.pointers: dict[int, str] = {}
        self.handed: list[Buffer] | None = None  # what a part's function gets from its caller
        self.late: list[tuple[str, int, int]] = []  # outputs to copy at the end
        self.counters: dict[Axis, str] = {}
        self.count = 0
        self.watched = False  # whether a loop around looks for interrupts, or none can
        self.kernels: list[tuple[int, Any]] = []
        self.directs: list[tuple[int, Direct]] = []
        self.functions: dict[tuple[str, str], str] = {}

    def address(self, buffer: Buffer) -> str:
        """Return the pointer of a buffer, worked out once in the entry block."""
        home = buffer.home
        found = self.pointers.get(home.number)
        if found is not None:
            return found
        b = self.b
        slot = self.slots.get(home.number)
        name = b.fresh()
        if self.handed is not None:
            self._take(_HANDED + len(self.handed), name, "ptr")
            self.handed.append(home)
        elif slot is not None and not (home.kind == "output" and home.bytes <= ON_STACK):
            at = b.fresh()
            b.entry.append(f"  {at} = getelementptr ptr, ptr %table, i64 {slot}")
            b.entry.append(f"  {name} = load ptr, ptr {at}, !invariant.load !0")
        elif home.offset < 0:
            element = "i8" if home.dtype.kind == "b" else type_of(home.dtype).element
            if slot is not None:  # an output that loops may hold in registers until the end
                self.late.append((name, slot, home.bytes))
            b.entry.append(f"  {name} = alloca [{max(1, home.size)} x {element}], align 64")
        else:
            b.entry.append(f"  {name} = getelementptr i8, ptr %arena, i64 {home.offset}")
        self.pointers[home.number] = name
        return name

    def write(self, steps: Sequence[Any]) -> None:
        """Write all steps and close the function."""
        before = self._read_clock() if self.timed else ""
        with self._one_thread(any(calls_library(s) for s in innermost(steps))):
            self._steps(steps)
        if self.timed:
            self._add_time(0, before)
        for source, slot, size in self.late:
            target = self.b.pointer(
                f"load ptr, ptr {self.b.pointer(f'getelementptr ptr, ptr %table, i64 {slot}')}"
            )
            self.module.declare(_COPY, f"declare void @{_COPY}(ptr, ptr, i64, i1)")
            self.b.write(f"call void @{_COPY}(ptr {target}, ptr {source}, i64 {size}, i1 false)")
        self.b.finish("ret void")
        self.module.attributes.append("!0 = !{}")

    @contextmanager
    def _one_thread(self, needed: bool) -> Generator[None]:
        """Hold the BLAS to one thread while the steps run, if they call it and it can be told."""
        if not needed:
            yield
            return
        b = self.b
        read, write = (
            b.pointer(f"load ptr, ptr {b.pointer(f'getelementptr ptr, ptr %routines, i64 {i}')}")
            for i in (READ, SET)
        )
        ask, on = b.label("ask"), b.label("on")
        known = b.pointer(f"icmp ne ptr {read}, null")
        start = b.label("start")
        b.jump(start)
        b.open_block(start)
        b.write(f"br i1 {known}, label %{ask}, label %{on}")
        b.open_block(ask)
        found = b.pointer(f"call i32 {read}()")
        b.jump(on)
        b.open_block(on)
        count = b.pointer(f"phi i32 [1, %{start}], [{found}, %{ask}]")
        several = Register(b.pointer(f"icmp ne i32 {count}, 1"), type_of(BOOL))
        with b.when(several):
            b.write(f"call void {write}(i32 1)")
        yield
        with b.when(several):
            b.write(f"call void {write}(i32 {count})")

    def _steps(self, steps: Sequence[Any]) -> None:
        for step in steps:
            self.count += 1
            if self.timed and not step.inside:
                self._timed(step)
            else:
                self._step(step)

    def _timed(self, step: Any) -> None:
        """Write a step between two readings of the processor's clock."""
        number = self.clocks.setdefault(id(step), len(self.clocks) + 1)
        before = self._read_clock()
        self._step(step)
        self._add_time(number, before)

    def _read_clock(self) -> str:
        self.module.declare("llvm.readcyclecounter", "declare i64 @llvm.readcyclecounter()")
        return self.b.pointer("call i64 @llvm.readcyclecounter()")

    def _add_time(self, number: int, before: str) -> None:
        """Add the cycles since `before` to a counter; several threads may do so."""
        b = self.b
        spent = b.pointer(f"sub i64 {self._read_clock()}, {before}")
        slot = b.pointer(f"getelementptr ptr, ptr %routines, i64 {CLOCKS}")
        clock = b.pointer(f"load ptr, ptr {slot}")
        at = b.pointer(f"getelementptr i64, ptr {clock}, i64 {number}")
        b.write(f"atomicrmw add ptr {at}, i64 {spent} monotonic, align 8")

    def _step(self, step: Any) -> None:
        if isinstance(step, Kernel):
            self._kernel(step)
        elif isinstance(step, Loop):
            self._loop(step)
        elif isinstance(step, Branch):
            self._branch(step)
        elif isinstance(step, Region):
            self._region(step)
        elif isinstance(step, Words):
            self._words(step)
        elif isinstance(step, Product):
            self._product(step)
        elif isinstance(step, Direct):
            self._direct(step)
        else:
            assert isinstance(step, Call)
            self._call(step)

    def _kernel(self, kernel: Kernel) -> None:
        """Write a kernel: in place if its buffers may become registers, else as a function.

        Equal functions are written once: layers of one size share their code. Long straight-line
        code is cut into functions, as the time that LLVM takes grows faster than their length.
        """
        self.kernels.append((self.count, kernel))
        touched = kernel.reads() | kernel.writes()
        small = all(b.home.bytes <= ON_STACK for b in touched if b.kind != "register")
        # In a loop, a few numbers that are carried from round to round then stay in registers.
        short = bool(self.counters) and prod(a.size for a in kernel.axes) <= SHORT
        if (small or short) and len(walk(kernel.roots())) <= IN_PLACE:
            KernelEmitter(self.b, kernel, self.address, self.counters, str(self.count)).emit()
            return
        buffers: dict[int, Buffer] = {}
        names: dict[int, str] = {}

        def address(buffer: Buffer) -> str:
            home = buffer.home
            if home.number not in names:
                buffers[home.number] = home
                names[home.number] = f"%p{len(names)}"
            return names[home.number]

        inside = Writer(self.module, "", [])
        counters = {axis: f"%c{i}" for i, axis in enumerate(self.counters)}
        KernelEmitter(inside, kernel, address, counters, "%number").emit()
        parameters = [f"ptr %p{i}" for i in range(len(names))]
        parameters += [f"i64 %c{i}" for i in range(len(counters))]
        head = f"({', '.join([*parameters, 'i64 %number', 'ptr noalias %status'])})"
        body = [*inside.entry, *inside.lines]
        key = (head, "\n".join(body))
        name = self.functions.get(key)
        if name is None:
            name = self.functions[key] = f"kernel_{len(self.functions)}"
            self.module.functions[name] = [
                f"define internal void @{name}{head} noinline nounwind {{", "entry:", *body,
                "  ret void", "}",
            ]  # fmt: skip
        given = [f"ptr {self.address(b)}" for b in buffers.values()]
        given += [f"i64 {c}" for c in self.counters.values()]
        given += [f"i64 {self.count}", "ptr %status"]
        self.b.write(f"call void @{name}({', '.join(given)})")

    def _loop(self, step: Loop) -> None:
        """Write a loop; a long one looks from time to time whether it was interrupted."""
        b = self.b
        round_time = max(1.0, sum(time_of(s) for s in (*step.checks, *step.body)))
        period = max(1, int(PERIOD / round_time))
        if step.axis is None:
            self._while(step, 0 if self.watched else 1 << (period.bit_length() - 1))
            return
        size = step.axis.size
        if self.watched or size * round_time < LONG:
            self._rounds(step, 0, size)
            return
        self.watched = True
        before, head, body, end = (b.label(s) for s in ("before", "blocks", "block", "done"))
        b.jump(before)
        b.open_block(before)
        b.jump(head)
        b.open_block(head)
        start = b.pointer(f"phi i64 [0, %{before}], [%n.{head}, %{body}.last]")
        stop = b.pointer(f"add i64 {start}, {period}")
        over = b.pointer(f"icmp sgt i64 {stop}, {size}")
        stop = b.pointer(f"select i1 {over}, i64 {size}, i64 {stop}")
        self._rounds(step, start, stop)
        b.branch(self._watch(), end, body)
        b.open_block(body)
        b.jump(f"{body}.last")
        b.open_block(f"{body}.last")
        b.write(f"%n.{head} = add i64 {start}, {period}")
        more = b.pointer(f"icmp slt i64 %n.{head}, {size}")
        b.branch(Register(more, type_of(BOOL)), head, end)
        b.open_block(end)
        self.watched = False

    def _rounds(self, step: Loop, start: Any, stop: Any) -> None:
        assert step.axis is not None
        with self.b.loop(start, stop) as counter:
            self.counters[step.axis] = counter
            self._steps(step.body)
            del self.counters[step.axis]

    def _while(self, step: Loop, period: int) -> None:
        """Write a loop with a test; it looks for interrupts every `period` rounds, a power of 2."""
        b = self.b
        head, body, end = b.label("test"), b.label("again"), b.label("done")
        watched, self.watched = self.watched, True
        count = b.reserve(1, "i64", 8) if period else ""
        if period:
            b.write(f"store i64 0, ptr {count}")
        b.jump(head)
        b.open_block(head)
        self._steps(step.checks)
        assert step.test is not None
        b.branch(self._truth(step.test), body, end)
        b.open_block(body)
        self._steps(step.body)
        if period:
            look = b.label("look")
            rounds = b.pointer(f"add i64 {b.pointer(f'load i64, ptr {count}')}, 1")
            b.write(f"store i64 {rounds}, ptr {count}")
            rest = b.pointer(f"and i64 {rounds}, {period - 1}")
            due = b.pointer(f"icmp eq i64 {rest}, 0")
            b.branch(Register(due, type_of(BOOL)), look, head)
            b.open_block(look)
            b.branch(self._watch(), end, head)
        else:
            b.jump(head)
        b.open_block(end)
        self.watched = watched

    def _watch(self) -> Register:
        """Return whether loops should end."""
        self.module.functions.setdefault("watch", write_watch(WATCH))
        text = "call i1 @watch(ptr %routines, ptr %status)"
        return self.b.name_value(text, type_of(BOOL))

    def _region(self, step: Region) -> None:
        """Write a region: its parts one after the other, or handed to the threads."""
        if step.part.size == 1:
            self._part(step, 0, step.chunks)
        else:
            self._hand_out(step)
        self.counters[step.part] = str(step.part.size - 1)
        self.counters[step.slot] = "0"
        self._steps(step.rest)
        del self.counters[step.part], self.counters[step.slot]

    def _part(self, step: Region, first: Any, last: Any, part: str = "0", slot: str = "0") -> None:
        """Write the chunks of one part."""
        b = self.b
        self.counters[step.part], self.counters[step.slot] = part, slot
        self._steps(step.begin)
        start, stop = (b.index_mul(place, step.chunk) for place in (first, last))
        with b.loop(start, stop, step.chunk) as counter:
            self.counters[step.row] = counter
            self._steps(step.body)
            del self.counters[step.row]
        del self.counters[step.part], self.counters[step.slot]

    def _take(self, slot: int, name: str, kind: str) -> None:
        """Read a word that the caller of a part's function left for it."""
        at = self.b.fresh()
        self.b.entry.append(f"  {at} = getelementptr i64, ptr %context, i64 {slot}")
        self.b.entry.append(f"  {name} = load {kind}, ptr {at}, align 8, !invariant.load !0")

    def _hand_out(self, step: Region) -> None:
        """Write a part as a function, and have it called for each part, by threads if there are.

        Its context is a list of words: status, routines, outer counters, and pointers of buffers.
        """
        b, pointers, handed, counters = self.b, self.pointers, self.handed, self.counters
        name = f"part_{self.count}"
        self.b = Writer(
            self.module, name, [("ptr", "context"), ("i64", "part"), ("i64", "slot")],
            linkage="internal", attributes="nounwind",
        )  # fmt: skip
        self.pointers, self.handed, self.counters = {}, [], {}
        self._take(0, "%status", "ptr")
        self._take(1, "%routines", "ptr")
        for i, axis in enumerate(counters):
            self.counters[axis] = f"%outer{i}"
            self._take(2 + i, f"%outer{i}", "i64")
        assert len(counters) <= _HANDED - 2, "loops are not nested that deep"
        ends: list[str] = []
        for place in ("%part", self.b.pointer("add i64 %part, 1")):
            product = self.b.index_mul(place, step.chunks)
            ends.append(self.b.pointer(f"udiv i64 {product}, {step.part.size}"))
        self._part(step, *ends, part="%part", slot="%slot")
        self.b.finish("ret void")
        needed = self.handed
        self.b, self.pointers, self.handed, self.counters = b, pointers, handed, counters
        words = [("ptr", "%status"), ("ptr", "%routines")]
        words += [("i64", c) for c in counters.values()]
        words += [("i64", "0")] * (_HANDED - len(words))
        words += [("ptr", self.address(buffer)) for buffer in needed]
        context = b.reserve(len(words), "i64", 8)
        for i, (kind, value) in enumerate(words):
            at = b.pointer(f"getelementptr i64, ptr {context}, i64 {i}")
            b.write(f"store {kind} {value}, ptr {at}, align 8")
        self._declare_spread()
        b.write(
            f"call void @spread(ptr %routines, ptr @{name}, ptr {context}, i64 {step.part.size})"
        )

    def _declare_spread(self) -> None:
        """Write once how parts are run: by what the threads offer, or else one by one here."""
        if "spread" in self.module.functions:
            return
        b = Writer(
            self.module, "spread",
            [("ptr", "routines"), ("ptr", "function"), ("ptr", "context"), ("i64", "count")],
            linkage="internal",
        )  # fmt: skip
        threads, board = (
            b.pointer(f"load ptr, ptr {b.pointer(f'getelementptr ptr, ptr %routines, i64 {i}')}")
            for i in (SPREAD, BOARD)
        )
        alone, many, end = b.label("alone"), b.label("many"), b.label("end")
        b.branch(Register(b.pointer(f"icmp eq ptr {threads}, null"), type_of(BOOL)), alone, many)
        b.open_block(alone)
        with b.loop(0, "%count") as part:
            b.write(f"call void %function(ptr %context, i64 {part}, i64 0)")
        b.jump(end)
        b.open_block(many)
        b.write(f"call void {threads}(ptr {board}, ptr %function, ptr %context, i64 %count)")
        b.jump(end)
        b.open_block(end)
        b.finish("ret void")

    def _truth(self, buffer: Buffer, place: Any = 0) -> Register:
        at = self.b.address(self.address(buffer), place, buffer.dtype)
        return self.b.load(type_of(buffer.dtype), at)

    def _branch(self, step: Branch) -> None:
        b = self.b
        taken, other, end = b.label("taken"), b.label("other"), b.label("joined")
        place = self._offset(linearise(step.at, step.condition.shape)) if step.at else 0
        b.branch(self._truth(step.condition, place), taken, other)
        b.open_block(taken)
        self._steps(step.taken)
        b.jump(end)
        b.open_block(other)
        self._steps(step.other)
        b.jump(end)
        b.open_block(end)

    def _call(self, step: Call) -> None:
        """Call a routine outside: (number of the call, pointers of operands and results)."""
        b = self.b
        number = len(self.calls)
        self.calls.append(step)
        buffers = [*step.operands, *step.outs]
        listed = b.reserve(len(buffers), "ptr")
        for i, buffer in enumerate(buffers):
            at = b.pointer(f"getelementptr ptr, ptr {listed}, i64 {i}")
            b.write(f"store ptr {self.address(buffer)}, ptr {at}")
        b.write(f"call void %outside(i64 {number}, ptr {listed})")

    def _direct(self, step: Direct) -> None:
        """Call a routine whose code is part of the program; equal ones are written once."""
        name = write_routine(self.module, step)
        self.directs.append((self.count, step))
        given = [f"ptr {self.address(b)}" for b in (*step.operands, *step.outs, *step.scratch)]
        given += ["ptr %routines", "ptr %status", f"i64 {self.count}"]
        self.b.write(f"call void @{name}({', '.join(given)})")

    def _offset(self, index: Index) -> Any:
        """Return an index made of counters as a number."""
        total: Any = index.constant
        for axis, k in index.terms:
            total = self.b.index_add(self.b.index_mul(self.counters[axis], k), total)
        return total

    def _product(self, step: Product) -> None:
        """Call the BLAS, which counts by columns: out^T = y^T x^T."""
        b = self.b
        dtype = step.out.dtype
        element = type_of(dtype).element
        batch, m, n, k = step.sizes
        routine = ROUTINES.index("sgemm" if dtype.itemsize == 4 else "dgemm")
        slot = b.pointer(f"getelementptr ptr, ptr %routines, i64 {routine}")
        function = b.pointer(f"load ptr, ptr {slot}, !invariant.load !0")

        def hold(kind: str, value: str) -> str:
            place = b.reserve(1, kind, 8)
            b.write(f"store {kind} {value}, ptr {place}")
            return place

        def matrix(place: tuple[Any, int, int, int], buffer: Buffer) -> tuple[str, str, str]:
            """Return the order, the leading stride and the address of an operand."""
            at, _, row, column = place
            flipped = column != 1
            start = b.address(self.address(buffer), self._offset(at), dtype)
            order = hold("i8", "84" if flipped else "78")
            return order, hold("i32", str(column if flipped else row)), start

        x_order, x_stride, x_start = matrix(step.x_place, step.x)
        y_order, y_stride, y_start = matrix(step.y_place, step.y)
        sizes = [hold("i32", str(value)) for value in (n, m, k)]
        one, zero = (hold(element, literal(v, type_of(dtype))) for v in (1.0, 0.0))
        out_at, out_batch, out_row = step.out_place
        out_start = b.address(self.address(step.out), self._offset(out_at), dtype)
        out_stride = hold("i32", str(out_row))
        with b.loop(0, batch) as i:
            pointers = [
                b.address(start, b.index_mul(i, stride), dtype)
                for start, stride in (
                    (x_start, step.x_place[1]), (y_start, step.y_place[1]),
                    (out_start, out_batch),
                )
            ]  # fmt: skip
            given = [y_order, x_order, *sizes, one, pointers[1], y_stride, pointers[0], x_stride,
                     zero, pointers[2], out_stride]  # fmt: skip
            b.write(f"call void {function}({', '.join(f'ptr {g}' for g in given)})")

    def _words(self, step: Words) -> None:
        """Fill a buffer with Philox words for the counter (seed, draw)."""
        write_philox(self.module)
        self.b.write(
            f"call void @philox(ptr {self.address(step.buffer)}, i64 {step.buffer.size},"
            f" ptr {self.address(step.counter)})"
        )
