"""Rows: how kernels use memory along one of their axes, and how long they take.

Invariant: a use has a dimension only if every access finds its row at that one. It is separate
because forming regions and cutting kernels both ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from slopewise._compile.loops import Axis, Buffer, Index, walk
from slopewise._compile.steps import Direct, Kernel, Loop, Product, Region


@dataclass
class Use:
    """How a step uses a buffer's memory: along which dimension its rows run, if it has rows."""

    shape: tuple[int, ...]
    dim: int | None
    bytes: int
    reads: bool = False
    writes: bool = False


def find_uses(kernel: Kernel, axis: Axis) -> dict[int, Use]:
    """Return how a kernel uses memory, seen along one of its axes."""
    found: dict[int, Use] = {}

    def note(buffer: Buffer, indices: tuple[Index, ...], reads: bool, lost: bool) -> None:
        dim = None if lost or len(indices) != len(buffer.shape) else _row(indices, axis)
        old = found.get(buffer.home.number)
        if old is None:
            old = found[buffer.home.number] = Use(buffer.shape, dim, buffer.bytes)
        elif old.dim != dim or old.shape != buffer.shape:
            old.dim = None
        old.reads |= reads
        old.writes |= not reads

    kept = {b.number for b in kernel.writes() if b.kind == "register"}
    for term in walk([*kernel.roots(), *kernel.end_terms]):
        if term.kind == "load" and term.data[0].number not in kept:
            note(*term.data, reads=True, lost=False)
    for store in (*kernel.stores, *kernel.ends):
        if store.buffer.kind != "register":
            note(store.buffer, store.indices, reads=False, lost=False)
    for fold in kernel.folds:
        if fold.buffer.kind == "register":
            continue
        note(fold.buffer, fold.indices, reads=False, lost=axis in kernel.reduced)
    return found


def _row(indices: tuple[Index, ...], axis: Axis) -> int | None:
    """Return the one dimension whose index is the axis, if no other index needs it."""
    found: int | None = None
    for place, index in enumerate(indices):
        if axis not in set(index.axes()):
            continue
        if found is not None or index.key != (0, ((axis.number, 1),), ()):
            return None
        found = place
    return found


def is_column(use: Use) -> bool:
    """Return whether the rows are columns of a matrix, which lie side by side in memory."""
    return use.dim is not None and use.dim == len(use.shape) - 1 > 0


def work_of(step: Any) -> float:
    """Return about how many nanoseconds a kernel or a product takes."""
    if isinstance(step, Product):
        return 2.0 * prod(step.sizes) / (80.0 if step.out.dtype.itemsize == 4 else 40.0)
    assert isinstance(step, Kernel)
    points = prod(a.size for a in step.axes)
    terms = walk(step.roots())
    moved = sum(b.bytes for b in step.reads() | step.writes() if b.kind != "register")
    operations = points * sum(t.cost for t in terms if t.kind == "op")
    return max(moved / 12.0, operations / 12.0)


def count_operations(kernel: Kernel) -> float:
    """Return what a kernel computes, whatever it moves."""
    points = prod(a.size for a in kernel.axes)
    return points * sum(t.cost for t in walk(kernel.roots()) if t.kind == "op")


def time_of(step: Any) -> float:
    """Return about how many nanoseconds a step takes; a loop with a test counts as one round."""
    if isinstance(step, Kernel | Product):
        return work_of(step)
    if isinstance(step, Direct):
        return step.time
    times = step.axis.size if isinstance(step, Loop) and step.axis is not None else 1
    if isinstance(step, Region):
        times = step.chunks
    return times * sum(time_of(s) for part in step.inside for s in part) if step.inside else 1000.0
