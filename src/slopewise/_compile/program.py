"""program: a graph lowered to an executable, and the executable.

Invariant: `run` reads its inputs, writes its outputs and changes nothing else; an output buffer may
be an input's, and is then written as if at the end. It is separate from the passes it strings
together.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from slopewise._compile.assembly import ENTRY, Assembler
from slopewise._compile.blas import make_table, one_thread
from slopewise._compile.builder import Module
from slopewise._compile.entry import Native, has_parts, is_long
from slopewise._compile.jit import Code, vector_bytes
from slopewise._compile.loops import Buffer, Pool
from slopewise._compile.memory import plan
from slopewise._compile.regions import form_regions
from slopewise._compile.registers import drop_unread
from slopewise._compile.schedule import Scheduler
from slopewise._compile.steps import Call, Kernel, Product, innermost, reads_same_element
from slopewise._compile.threads import find_spreader, keep, take_kept
from slopewise._core.quiet import hush, restore
from slopewise._core.source import locate
from slopewise._core.trace import Graph
from slopewise._core.value import is_tuple
from slopewise._transform.simplify import simplify
from slopewise.errors import IndexRangeError, ShapeError, SlopewiseError

Array = np.ndarray[Any, Any]
_LARGEST = 1 << 46  # bytes of scratch memory that no machine has
_OUTSIDE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)
_RUN = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, _OUTSIDE, ctypes.c_void_p
)


class Executable:
    """Machine code for one graph.

    Parameters
    ----------
    graph : Graph
    name : str
    checked : bool
        Whether every access is checked against its buffer.
    timed : bool
        Whether the time of each step is measured (see `explain`).
    """

    def __init__(
        self, graph: Graph, name: str, *, checked: bool = False, timed: bool = False
    ) -> None:
        self.name = name
        self.graph = graph
        inputs, outputs, self.table = simplify(graph)
        pool = Pool()
        scheduler = Scheduler(pool, self.table)
        self.inputs: list[Buffer] = []
        for i, expression in enumerate(inputs):
            buffer = pool.buffer(expression.shape, expression.dtype, "input", i)
            scheduler.reader.place(expression, buffer)
            self.inputs.append(buffer)
        self.outputs = scheduler.run(outputs)
        self.steps = scheduler.steps
        kept = {b.number for b in self.outputs}
        drop_unread(self.steps, kept)
        form_regions(self.steps, pool, kept)
        self.arena_bytes = plan(self.steps)
        self._refuse_if_too_large()
        self.constants = [b for b in pool.buffers if b.kind == "constant" and b.array is not None]
        slots = {b.number: i for i, b in enumerate((*self.inputs, *self.outputs, *self.constants))}
        self.calls: list[Call] = []
        module = Module(vector_bytes(), checked=checked)
        assembler = Assembler(module, slots, self.calls, timed)
        assembler.write(self.steps)
        self.kernels = assembler.kernels
        self.ir = module.text()
        self.code = Code(self.ir)
        self._run = _RUN(self.code.address(ENTRY))
        self._kept = [np.ascontiguousarray(b.array) for b in self.constants]
        self._overwritten = self._find_overwritten()
        self._arenas: list[tuple[Array, int]] = []
        self._outside = _OUTSIDE(self._call)
        self._has_products = any(isinstance(s, Product) for s in innermost(self.steps))
        self._routines = make_table(self._has_products)
        self._places = assembler.clocks if timed else None
        self._clocks = np.zeros(len(assembler.clocks) + 1, np.int64)
        self._routines[-1] = self._clocks.ctypes.data
        self.runs = 0
        self.seconds = 0.0  # of all runs that were timed

    def _make_arena(self) -> Array:
        try:
            return np.empty(self.arena_bytes + 64, np.uint8)
        except MemoryError:
            raise MemoryError(
                f"{self.name}: its intermediate results take {self.arena_bytes:.1e} bytes, which"
                " this machine does not have; use smaller batches, or scan over parts."
            ) from None

    def _refuse_if_too_large(self) -> None:
        """Refuse a function whose intermediate results cannot be addressed, and say which one."""
        if self.arena_bytes < _LARGEST:
            return
        largest: tuple[int, Any] = (0, None)
        for step in innermost(self.steps):
            for buffer in step.writes():
                if buffer.kind == "scratch" and buffer.bytes > largest[0]:
                    largest = (buffer.bytes, step)
        step = largest[1]
        places: list[Any] = step.places if isinstance(step, Kernel) else []
        raise ShapeError(
            f"{self.name}: an intermediate result takes {largest[0]:.1e} bytes; compute it in"
            f" parts, with scan or fori_loop.{_line_of(places)}"
        )

    def _find_overwritten(self) -> list[set[int]]:
        """Return for each output the inputs in whose memory it must not be written directly."""
        last_read: dict[int, int] = {}
        for k, step in enumerate(self.steps):
            for buffer in step.reads():
                last_read[buffer.number] = k
        found: list[set[int]] = []
        for output in self.outputs:
            first = min((k for k, s in enumerate(self.steps) if output in s.writes()), default=-2)
            bad: set[int] = set()
            for i, buffer in enumerate(self.inputs):
                last = last_read.get(buffer.number, -3)
                if last > first or (
                    last == first and not reads_same_element(self.steps[first], output, buffer)
                ):
                    bad.add(i)
            found.append(bad)
        return found

    def run(self, arrays: Sequence[Array], out: Sequence[Array | None]) -> list[Array]:
        """Return the outputs for the inputs; output i goes to `out[i]` unless that is None.

        Raises
        ------
        IndexRangeError
            If an index lies outside of its axis.
        """
        results: list[Array] = []
        late: list[tuple[Array, Array]] = []
        for k, (buffer, given) in enumerate(zip(self.outputs, out, strict=True)):
            if given is None:
                results.append(np.empty(buffer.shape, buffer.dtype))
                continue
            bad = any(
                np.may_share_memory(given, x) and (i in self._overwritten[k] or given is not x)
                for i, x in enumerate(arrays)
            )
            if bad or any(np.may_share_memory(given, r) for r in results):
                fresh = np.empty(buffer.shape, buffer.dtype)
                late.append((given, fresh))
                results.append(fresh)
            else:
                results.append(given)
        pointers = [a.ctypes.data for a in (*arrays, *results, *self._kept)]
        table = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
        # A call takes an arena of its own, so that threads may call the same code.
        try:
            arena, start = self._arenas.pop()
        except IndexError:
            arena = self._make_arena()
            start = -arena.ctypes.data % 64 + arena.ctypes.data
        status = ctypes.c_int64(0)
        self._routines[-2] = find_spreader()
        held = one_thread() if self._has_products else nullcontext()
        begin = time.perf_counter()
        with held:
            self._run(table, start, ctypes.addressof(status), self._outside, self._routines)
        self.runs += 1
        self.seconds += time.perf_counter() - begin
        self._arenas.append((arena, start))
        error = take_kept()
        if error is not None:
            raise error
        if status.value:
            self._refuse(status.value)
        for given, fresh in late:
            given[...] = fresh
            results[next(i for i, r in enumerate(results) if r is fresh)] = given
        return results

    def native(self) -> Native | None:
        """Return what an entry needs to run this without Python, or None if that cannot be.

        The code of an entry passes neither routines nor a way back, and no thread helps it.
        """
        if self.calls or self._has_products or has_parts(self.steps):
            return None
        return Native(
            self.code.address(ENTRY), self.ir, self._kept, self.arena_bytes, self._overwritten,
            is_long(self.steps), self._refuse, self,
        )  # fmt: skip

    def _refuse(self, status: int) -> None:
        kernel = next((k for n, k in self.kernels if n == status), None)
        names = [] if kernel is None else list(dict.fromkeys(kernel.names))
        places: list[Any] = [] if kernel is None else kernel.places
        raise IndexRangeError(
            f"{self.name}: an index lies outside of its axis (in {', '.join(names)}); an axis of"
            f" size n has the indices -n to n - 1.{_line_of(places)}"
        )

    def _call(self, number: int, listed: int) -> None:
        """Run a primitive's own kernel on buffers of the compiled code."""
        step = self.calls[number]
        buffers = [*step.operands, *step.outs]
        pointers = (ctypes.c_void_p * len(buffers)).from_address(listed)
        arrays = [_view(p, b) for p, b in zip(pointers, buffers, strict=True)]
        given = [a.copy() for a in arrays[: len(step.operands)]]
        token = hush()
        try:
            out = step.primitive.kernel(*given, **step.params)
        except (SlopewiseError, ValueError, np.linalg.LinAlgError, IndexError) as error:
            kind = type(error) if isinstance(error, SlopewiseError) else ShapeError
            told = str(error) if isinstance(error, SlopewiseError) else f"{step.primitive}: {error}"
            keep(kind(told + _line_of([step.place])))
            return
        except BaseException as error:  # raised through compiled code it would be lost
            keep(error)
            return
        finally:
            restore(token)
        made = out if is_tuple(out) else (out,)
        for target, value in zip(arrays[len(step.operands) :], made, strict=True):
            target[...] = value

    def timed(self) -> Executable:
        """Return the same program with a clock around each step."""
        return Executable(self.graph, self.name, timed=True)

    def time_of(self, step: Any) -> float | None:
        """Return the seconds that a step takes in one run; None where they are not measured."""
        if self._places is None or not self.runs or not self._clocks[0]:
            return None
        place = self._places.get(id(step))
        if place is None:
            return None
        per_cycle = self.seconds / float(self._clocks[0])
        return float(self._clocks[place]) * per_cycle / self.runs

    # --- telling what it is --------------------------------------------------------------------

    def explain(self) -> str:
        """Return the steps as readable pseudo-code, with the memory they move."""
        from slopewise._compile.listing import describe

        return describe(self)

    def llvm(self) -> str:
        """Return the optimised LLVM IR."""
        return self.code.llvm()

    def asm(self) -> str:
        """Return the machine code as assembly text."""
        return self.code.assembly()


def _line_of(places: Sequence[Any]) -> str:
    """Return the user's line for the first place that is known."""
    for place in places:
        if place is not None:
            return f"\n  at {locate(place)}"
    return ""


def _view(pointer: int | None, buffer: Buffer) -> Array:
    """Return memory of the compiled code as an array."""
    if not buffer.size or pointer is None:
        return np.empty(buffer.shape, buffer.dtype)
    raw = (ctypes.c_uint8 * buffer.bytes).from_address(pointer)
    array: Array = np.ndarray(buffer.shape, buffer.dtype, raw)  # pyright: ignore
    return array


def lower(graph: Graph, *, name: str, checked: bool = False) -> Executable:
    """Return machine code for a graph."""
    return Executable(graph, name, checked=checked)
