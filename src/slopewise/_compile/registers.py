"""Which results stay in registers: those that only their own kernel reads.

Invariant: a buffer that is marked is neither written nor read in memory. It is separate because it
looks at all steps at once, when they are all there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slopewise._compile.loops import Buffer, walk
from slopewise._compile.steps import Branch, Kernel, Loop


def drop_unread(steps: Sequence[Any], kept: set[int]) -> None:
    """Keep in registers what no other step reads; drop kernels that are left with nothing."""
    readers: dict[int, set[int]] = {}

    def note(listed: Sequence[Any]) -> None:
        for step in listed:
            for part in step.inside:
                note(part)
            asked = [step.test] if isinstance(step, Loop) else []
            asked += [step.condition] if isinstance(step, Branch) else []
            found = asked if step.inside else _reads_beyond(step)
            for buffer in found:
                if buffer is not None:
                    readers.setdefault(buffer.home.number, set()).add(id(step))

    note(steps)

    def mark(listed: Sequence[Any]) -> None:
        for step in listed:
            for part in step.inside:
                mark(part)
            if isinstance(step, Kernel) and step.running is None and not step.ordered:
                totals = step.folds if step.ends else []
                for store in (*step.stores, *step.ends, *totals):
                    home = store.buffer.home.number
                    if home not in readers and home not in kept:
                        store.buffer.kind = "register"

    mark(steps)


def _reads_beyond(step: Any) -> set[Buffer]:
    """Return the buffers that a step reads from memory (not what it has just computed)."""
    if not isinstance(step, Kernel):
        return step.reads()
    own = [*(s for s in step.stores if not s.add), *step.ends, *(step.folds if step.ends else [])]
    written = {(w.buffer.number, tuple(i.key for i in w.indices)) for w in own}
    found: set[Buffer] = set()
    for term in walk([*step.roots(), *step.end_terms]):
        if term.kind == "load":
            buffer, indices = term.data
            if (buffer.number, tuple(i.key for i in indices)) not in written:
                found.add(buffer)
    return found
