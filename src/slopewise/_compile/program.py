"""program: a graph lowered to an executable, and the executable.

Invariant: `run` reads its inputs, writes its outputs and changes nothing else; an output buffer may
be an input's, and is then written as if at the end. It is separate from the passes it strings
together.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._compile.assembly import ENTRY, Assembler
from slopewise._compile.blas import find_routines, one_thread
from slopewise._compile.builder import Module
from slopewise._compile.jit import Code, vector_bytes
from slopewise._compile.loops import (
    Branch,
    Buffer,
    Call,
    Kernel,
    Loop,
    Pool,
    Product,
    reads_same_element,
)
from slopewise._compile.memory import plan
from slopewise._compile.registers import drop_unread
from slopewise._compile.schedule import Scheduler
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
    """Machine code for one graph."""

    def __init__(self, graph: Graph, name: str, *, checked: bool = False) -> None:
        self.name = name
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
        drop_unread(self.steps, {b.number for b in self.outputs})
        self.arena_bytes = plan(self.steps)
        self._refuse_if_too_large()
        self.constants = [b for b in pool.buffers if b.kind == "constant" and b.array is not None]
        slots = {b.number: i for i, b in enumerate((*self.inputs, *self.outputs, *self.constants))}
        self.calls: list[Call] = []
        module = Module(vector_bytes(), checked=checked)
        assembler = Assembler(module, slots, self.calls)
        assembler.write(self.steps)
        self.kernels = assembler.kernels
        self.ir = module.text()
        self.code = Code(self.ir)
        self._run = _RUN(self.code.address(ENTRY))
        self._kept = [np.ascontiguousarray(b.array) for b in self.constants]
        self._overwritten = self._find_overwritten()
        self._errors = threading.local()  # what a routine raised in the call of this thread
        self._arenas: list[tuple[Array, int]] = []
        self._outside = _OUTSIDE(self._call)
        self._routines = find_routines() if _has_products(self.steps) else None

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
        for step in self.steps:
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
        if self._routines is None:
            self._run(table, start, ctypes.addressof(status), self._outside, None)
        else:
            with one_thread():
                self._run(table, start, ctypes.addressof(status), self._outside, self._routines)
        self._arenas.append((arena, start))
        error, self._errors.found = getattr(self._errors, "found", None), None
        if error is not None:
            raise error
        if status.value:
            self._refuse(status.value)
        for given, fresh in late:
            given[...] = fresh
            results[next(i for i, r in enumerate(results) if r is fresh)] = given
        return results

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
            self._errors.found = kind(told + _line_of([step.place]))
            return
        except BaseException as error:  # raised through compiled code it would be lost
            self._errors.found = error
            return
        finally:
            restore(token)
        made = out if is_tuple(out) else (out,)
        for target, value in zip(arrays[len(step.operands) :], made, strict=True):
            target[...] = value

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


def _has_products(steps: Sequence[Any]) -> bool:
    """Return whether a step, or one inside of it, calls the BLAS."""
    inner = [
        [*s.checks, *s.body] if isinstance(s, Loop) else [*s.taken, *s.other]
        for s in steps
        if isinstance(s, (Loop, Branch))
    ]
    return any(isinstance(s, Product) for s in steps) or any(_has_products(i) for i in inner)


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
