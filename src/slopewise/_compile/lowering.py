"""Lowering: a graph becomes a program, IR and what has to be known of it to run it.

Invariant: the same graph gives the same text, so that its code may be kept. It is separate from the
executable, which a program found on disk needs without any of the passes strung together here.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np

from slopewise._compile.assembly import Assembler
from slopewise._compile.builder import Module
from slopewise._compile.contents import Contents, Origin, Routine, Space, line_of
from slopewise._compile.endings import absorb_stores
from slopewise._compile.factoring import factor_sums
from slopewise._compile.jit import vector_bytes
from slopewise._compile.loops import Buffer, Pool, walk
from slopewise._compile.memory import lend_outputs, plan
from slopewise._compile.regions import form_regions
from slopewise._compile.registers import drop_unread
from slopewise._compile.routines import calls_library
from slopewise._compile.schedule import Scheduler
from slopewise._compile.settings import note_settings
from slopewise._compile.steps import (
    Call,
    Direct,
    Kernel,
    Loop,
    Product,
    Region,
    Words,
    innermost,
    reads_same_element,
)
from slopewise._core.trace import Graph
from slopewise._transform.simplify import Simplifier, simplify
from slopewise.errors import ShapeError, TraceError

_LARGEST = 1 << 46  # bytes of scratch memory that no machine has
_LONG = 50_000.0  # terms: as many nanoseconds at most, in vectors a tenth of them
_LONGEST = 400_000  # operations that are compiled in about a minute


@dataclass
class Program:
    """How a graph is computed: its steps, their buffers, and the IR."""

    table: Simplifier
    inputs: list[Buffer]
    outputs: list[Buffer]
    steps: list[Any]
    clocks: dict[int, int]
    ir: str
    contents: Contents


def write_program(
    graph: Graph, name: str, *, checked: bool = False, timed: bool = False
) -> Program:
    """Return the program of a graph.

    Parameters
    ----------
    graph : Graph
    name : str
        Of the function, for messages.
    checked, timed : bool
        Whether each access is checked, and each step timed.

    Raises
    ------
    TraceError
        If the graph is so long that compiling it would take minutes.
    ShapeError
        If its intermediate results cannot be addressed.
    """
    if len(graph.nodes) > _LONGEST:
        raise TraceError(
            f"{name}: it was traced to {len(graph.nodes):,} operations, and more than {_LONGEST:,}"
            " take minutes to compile. A Python loop is written out: use fori_loop or scan, or"
            " arrays instead of single numbers."
        )
    with _no_collections():
        return _write(graph, name, checked, timed)


@contextmanager
def _no_collections() -> Generator[None]:
    """Keep the garbage collector from walking again and again through all that is being made."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _write(graph: Graph, name: str, checked: bool, timed: bool) -> Program:
    inputs, outputs, table = simplify(graph)
    pool = Pool()
    scheduler = Scheduler(pool, table)
    buffers: list[Buffer] = []
    for i, expression in enumerate(inputs):
        buffer = pool.buffer(expression.shape, expression.dtype, "input", i)
        scheduler.reader.place(expression, buffer)
        buffers.append(buffer)
    made = scheduler.run(outputs)
    steps = scheduler.steps
    kept = {b.number for b in made}
    absorb_stores(steps, pool)
    drop_unread(steps, kept)
    form_regions(steps, pool, kept)
    factor_sums(steps, pool)
    lend_outputs(steps, made, {b.home.number for b in pool.buffers if b.alias is not None})
    arena_bytes = plan(steps)
    if arena_bytes >= _LARGEST:
        _refuse(name, steps)
    constants = [b for b in pool.buffers if b.kind == "constant" and b.array is not None]
    slots = {b.number: i for i, b in enumerate((*buffers, *made, *constants))}
    calls: list[Call] = []
    module = Module(vector_bytes(), checked=checked)
    assembler = Assembler(module, slots, calls, timed)
    assembler.write(steps)
    ir = module.text()
    contents = Contents(
        hashlib.sha256(ir.encode()).hexdigest(),
        [_space(b) for b in made],
        _find_overwritten(steps, buffers, made),
        [np.ascontiguousarray(b.array) for b in constants],
        arena_bytes,
        any(calls_library(s) for s in innermost(steps)),
        _has_parts(steps),
        _is_long(steps),
        [
            Routine(c.primitive, c.params, [_space(b) for b in c.operands],
                    [_space(b) for b in c.outs], c.place)
            for c in calls
        ],
        {
            number: Origin(
                list(dict.fromkeys(kernel.names)),
                next((p for p in kernel.places if p is not None), None),
            )
            for number, kernel in reversed(assembler.kernels)
        }
        | {number: _failure_of(step) for number, step in assembler.directs},
    )  # fmt: skip
    return Program(table, buffers, made, steps, assembler.clocks, ir, contents)


def _failure_of(step: Direct) -> Origin:
    """Return what tells that a routine found no result."""
    failure = step.primitive.lowering.failure
    error = None if failure is None else failure(**step.params)
    told = "" if error is None else str(error)
    return Origin([step.primitive.name], step.place, type(error).__name__, told)


def _space(buffer: Buffer) -> Space:
    return Space(buffer.shape, buffer.dtype)


def _refuse(name: str, steps: Sequence[Any]) -> None:
    """Say which intermediate result cannot be addressed."""
    largest: tuple[int, Any] = (0, None)
    for step in innermost(steps):
        for buffer in step.writes():
            if buffer.kind == "scratch" and buffer.bytes > largest[0]:
                largest = (buffer.bytes, step)
    step = largest[1]
    places: list[Any] = step.places if isinstance(step, Kernel) else []
    raise ShapeError(
        f"{name}: an intermediate result takes {largest[0]:.1e} bytes; compute it in"
        f" parts, with scan or fori_loop.{line_of(places)}"
    )


def _find_overwritten(
    steps: Sequence[Any], inputs: Sequence[Buffer], outputs: Sequence[Buffer]
) -> list[set[int]]:
    """Return for each output the inputs in whose memory it must not be written directly."""
    last_read: dict[int, int] = {}
    for k, step in enumerate(steps):
        for buffer in step.reads():
            last_read[buffer.number] = k
    found: list[set[int]] = []
    for output in outputs:
        first = min(
            (k for k, s in enumerate(steps) if any(b.home is output for b in s.writes())),
            default=-2,
        )
        bad: set[int] = set()
        for i, buffer in enumerate(inputs):
            last = last_read.get(buffer.number, -3)
            if last > first or (
                last == first and not reads_same_element(steps[first], output, buffer)
            ):
                bad.add(i)
        found.append(bad)
    return found


def _has_parts(steps: Sequence[Any]) -> bool:
    """Return whether threads may share a step."""
    return any(
        (isinstance(s, Region) and s.part.size > 1) or any(_has_parts(part) for part in s.inside)
        for s in steps
    )


def _is_long(steps: Sequence[Any]) -> bool:
    """Return whether a program runs so long that other threads should not wait for it."""
    return _work_of(steps) > _LONG


def _work_of(steps: Sequence[Any]) -> float:
    """Return about how many terms are computed; infinite where only a run can tell."""
    total = 0.0
    for step in steps:
        times = 1.0
        if isinstance(step, Kernel):
            total += prod(a.size for a in step.axes) * len(walk(step.roots()))
        elif isinstance(step, Words):
            total += 8.0 * step.buffer.size
        elif isinstance(step, Product):
            total += prod(step.sizes) / 8
        elif isinstance(step, Direct):
            total += step.time
        elif isinstance(step, Loop):
            times = inf if step.axis is None else step.axis.size
        elif isinstance(step, Region):
            times = step.chunks
        inside = sum(_work_of(part) for part in step.inside)
        total += times * inside if inside else 0.0
    return total


note_settings()
