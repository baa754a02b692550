"""Memory planning: where buffers lie in one arena, by when they are alive.

Invariant: two buffers share bytes only if no step needs both; buffers used inside a loop live for
the whole loop, since its next round may read them. It is separate because it sees only buffers and
steps, never what they compute.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import Any

from slopewise._compile.loops import Buffer
from slopewise._compile.steps import Kernel, Region, reads_same_element

ALIGN = 64
MANY = 1000  # small buffers that the stack is given
ON_STACK = 256  # bytes up to which a buffer lies on the stack, where it can become registers


def lifetimes(steps: Sequence[Any]) -> dict[int, tuple[Buffer, int, int]]:
    """Return for each scratch buffer the first and the last step that touches it."""
    found: dict[int, tuple[Buffer, int, int]] = {}

    def note(buffer: Buffer, first: int, last: int) -> None:
        home = buffer.home
        if home.kind != "scratch":
            return
        old = found.get(home.number)
        if old is not None:
            first, last = min(first, old[1]), max(last, old[2])
        found[home.number] = (home, first, last)

    def visit(inside: Sequence[Any], start: int) -> int:
        at = start
        for step in inside:
            begin = at
            if step.inside:
                for part in step.inside:
                    at = visit(part, at)
                for buffer in step.reads() | step.writes():
                    note(buffer, begin, at)
            else:
                for buffer in step.reads() | step.writes():
                    note(buffer, at, at)
            at += 1
        return at

    visit(steps, 0)
    return found


def lend_outputs(steps: Sequence[Any], outputs: Sequence[Buffer], shared: set[int]) -> None:
    """Let what an output is computed from, element by element, lie in the output's own memory.

    It is not done where an input is read there too, as that may be what the output replaces.
    """
    touched: dict[int, list[int]] = {}
    for k, step in enumerate(steps):
        for buffer in step.reads() | step.writes():
            touched.setdefault(buffer.home.number, []).append(k)
    for output in outputs:
        places = touched.get(output.number, [])
        step = steps[places[0]] if places else None
        if output.kind != "output" or not isinstance(step, (Kernel, Region)):
            continue
        like = [
            b
            for b in step.reads()
            if b.shape == output.shape and b.dtype == output.dtype and b is not output
        ]
        if any(b.kind != "scratch" for b in like):
            continue
        for buffer in like:
            free = buffer.alias is None and buffer.number not in shared
            passed = touched[buffer.number][-1] == places[0] > touched[buffer.number][0]
            if free and passed and reads_same_element(step, output, buffer):
                buffer.alias = output
                break


def plan(steps: Sequence[Any]) -> int:
    """Give every scratch buffer an offset; return how many bytes the arena takes.

    Buffers are taken from the largest to the smallest, each at the lowest place that is free for
    its whole life. Small ones stay on the stack, or lie side by side if they are many.
    """
    alive = lifetimes(steps)
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    total = 0
    small = 0
    for buffer, first, last in sorted(alive.values(), key=lambda x: (-x[0].bytes, x[0].number)):
        size = -(-buffer.bytes // ALIGN) * ALIGN
        if buffer.bytes <= ON_STACK:
            small += 1
            if small > MANY:
                buffer.offset = total
                total += size
            continue
        offset = 0
        for begin, end, born, died in placed:
            if born <= last and first <= died and begin < offset + size:
                offset = max(offset, end)
        buffer.offset = offset
        insort(placed, (offset, offset + size, first, last))
        total = max(total, offset + size)
    return total
