"""The listing of a compiled function: its loops as pseudo-code, with memory and work per kernel.

Invariant: it is made from the steps that were emitted, so that what is read is what runs. It is
separate because only people read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

from slopewise._compile.loops import Axis, Buffer, Index, Term, walk
from slopewise._compile.steps import Branch, Call, Direct, Kernel, Loop, Product, Region, Words

_SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "less": "<", "equal": "=="}
_LONGEST = 160


def describe(executable: Any) -> str:
    """Return the steps of an executable as text.

    Parameters
    ----------
    executable : Executable

    Returns
    -------
    str
        One block for each kernel: its loops, what it stores, how many bytes and operations, and
        its time where the executable is a timed one.
    """
    program = executable.program
    lines = [f"{executable.name}: {_count(program.steps)} steps"]
    for role, buffers in (("in", program.inputs), ("out", program.outputs)):
        lines += [f"  {role} {_declare(b)}" for b in buffers]
    lines.append(f"  arena of {executable.arena_bytes} bytes")
    if program.table.used:
        listed = ", ".join(f"{name} ({n})" for name, n in sorted(program.table.used.items()))
        lines.append(f"  rewritten: {listed}")
    _list(program.steps, lines, 1, partial(_time, executable))
    return "\n".join(lines)


def _count(steps: Sequence[Any]) -> int:
    total = 0
    for step in steps:
        total += 1
        total += sum(_count(part) for part in step.inside)
    return total


def _declare(buffer: Buffer) -> str:
    return f"{buffer.name}: {buffer.dtype}{list(buffer.shape)}"


def _time(executable: Any, step: Any) -> str:
    """Return the time of a step, where it was measured."""
    seconds = executable.time_of(step)
    if seconds is None:
        return ""
    whole = executable.seconds / executable.runs
    return f"  [{seconds * 1e6:.2f} us, {seconds / whole:.0%}]"


def _list(steps: Sequence[Any], lines: list[str], depth: int, time: Callable[[Any], str]) -> None:
    pad = "  " * depth
    for step in steps:
        if isinstance(step, Kernel):
            _list_kernel(step, lines, pad, time(step))
        elif isinstance(step, Loop):
            if step.axis is not None:
                lines.append(f"{pad}repeat {step.axis.name} < {step.axis.size}:")
            else:
                lines.append(f"{pad}while {step.test}:")
                _list(step.checks, lines, depth + 2, time)
            _list(step.body, lines, depth + 1, time)
        elif isinstance(step, Region):
            shared = f" in {step.part.size} parts" if step.part.size > 1 else ""
            lines.append(f"{pad}by {step.chunk} rows, {step.chunks} times{shared}:")
            _list([*step.begin, *step.body], lines, depth + 1, time)
            if step.rest:
                lines.append(f"{pad}and for the rows left over")
        elif isinstance(step, Branch):
            lines.append(f"{pad}if {step.condition}:")
            _list(step.taken, lines, depth + 1, time)
            lines.append(f"{pad}else:")
            _list(step.other, lines, depth + 1, time)
        elif isinstance(step, Words):
            lines.append(
                f"{pad}{step.buffer.name} = random words of {step.counter.name}{time(step)}"
            )
        elif isinstance(step, Product):
            batch, m, n, k = step.sizes
            repeated = f"{batch} times " if batch > 1 else ""
            lines.append(
                f"{pad}{step.out.name} = {repeated}matrix product {step.x.name} {step.y.name}"
                f"  ({m} x {k}) ({k} x {n}), {2 * batch * m * n * k} operations{time(step)}"
            )
        elif isinstance(step, Call):
            verb = "run" if isinstance(step, Direct) else "call"
            given = ", ".join(b.name for b in step.operands)
            made = ", ".join(b.name for b in step.outs)
            lines.append(f"{pad}{made} = {verb} {step.primitive.name}({given}){time(step)}")


def _list_kernel(kernel: Kernel, lines: list[str], pad: str, time: str) -> None:
    points = prod(a.size for a in kernel.axes)
    terms = walk(kernel.roots())
    work = points * sum(t.cost for t in terms if t.kind == "op")
    moved = sum(b.bytes for b in kernel.reads() | kernel.writes() if b.kind != "register")
    fused = ", ".join(dict.fromkeys(kernel.names))
    lines.append(f"{pad}kernel [{fused}]  {work:.0f} operations, {moved} bytes{time}")
    loops = " ".join(_loop(a, kernel) for a in kernel.axes)
    if loops:
        lines.append(f"{pad}  for {loops}:")
    for store in kernel.stores:
        if store.buffer.kind == "register":
            lines.append(f"{pad}    {store.buffer.name} = {_term(store.term)}")
        else:
            sign = "+=" if store.add else "="
            if kernel.running is not None:
                sign = f"= running {kernel.running[1]} of"
            place = f"{store.buffer.name}[{_at(store.indices)}]"
            lines.append(f"{pad}    {place} {sign} {_term(store.term)}")
    for fold in kernel.folds:
        place = f"{fold.buffer.name}[{_at(fold.indices)}]"
        lines.append(f"{pad}    {place} = {fold.operation} of {_term(fold.term)}")
    for store in kernel.ends:
        place = f"{store.buffer.name}[{_at(store.indices)}]"
        lines.append(f"{pad}    then {place} = {_term(store.term)}")


def _loop(axis: Axis, kernel: Kernel) -> str:
    return f"{axis.name}<{axis.size}{'*' if axis in kernel.reduced else ''}"


def _at(indices: Sequence[Index]) -> str:
    return ", ".join(str(i) for i in indices)


def _term(term: Term) -> str:
    text = _write(term, 6)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _write(term: Term, depth: int) -> str:
    if term.kind == "number":
        return f"{term.data:g}" if isinstance(term.data, float) else str(term.data)
    if term.kind == "load":
        buffer, indices = term.data
        return f"{buffer.name}[{_at(indices)}]"
    if term.kind == "index":
        return f"({term.data})"
    if not depth:
        return "..."
    parts = [_write(o, depth - 1) for o in term.operands]
    if term.kind == "inside":
        conditions = " and ".join(f"{low} <= {i} < {high}" for i, low, high in term.data)
        return f"({parts[0]} if {conditions} else {parts[1]})"
    name = term.data[2]
    symbol = _SYMBOLS.get(name)
    if symbol is not None and len(parts) == 2:
        return f"({parts[0]} {symbol} {parts[1]})"
    return f"{name}({', '.join(parts)})"
