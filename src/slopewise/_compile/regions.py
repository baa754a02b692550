"""Regions: kernels that run together over chunks of rows.

Invariant: kernels share a region only if each reads, of what another one writes, the rows at hand,
so that running them chunk by chunk changes nothing but the order of sums. It is separate from the
schedule because it looks at finished kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from slopewise._compile.cutting import ABREAST, HEAVY, Cutter, divide_product
from slopewise._compile.loops import Axis, Pool
from slopewise._compile.rows import Use, find_uses, is_column, work_of
from slopewise._compile.steps import Kernel, Product, innermost

CHUNK = 1 << 15  # bytes that the rows of a chunk may take: they stay in the nearest cache
WORTH = 1 << 18  # bytes whose second reading a region must save
_LOOK = 40  # how many steps a region may reach over
_FEWEST = 32  # rows


@dataclass
class Group:
    """Kernels, each with the axis of the shared rows, and the steps that go before or after."""

    members: list[tuple[Kernel, Axis]]
    places: list[int]
    uses: dict[int, Use]
    early: list[int] = field(default_factory=list[int])
    waiting: list[int] = field(default_factory=list[int])


def form_regions(steps: list[Any], pool: Pool, kept: set[int]) -> None:
    """Put kernels that share rows into regions, and split heavy steps into parts, in place.

    Parameters
    ----------
    steps : list
        Of the whole program; lists inside of loops and branches are changed too.
    kept : set of int
        Numbers of buffers that somebody reads after the program.
    """
    readers: dict[int, int] = {}
    shared: set[int] = set(kept)
    _count_steps(steps, readers, shared)
    _form(steps, pool, shared, readers)


def _count_steps(steps: Sequence[Any], touched: dict[int, int], shared: set[int]) -> None:
    """Note how many steps touch each memory, and which memories have several names."""
    for step in innermost(steps):
        for buffer in step.reads() | step.writes():
            home = buffer.home
            touched[home.number] = touched.get(home.number, 0) + 1
            if home is not buffer:
                shared.add(home.number)


def _form(steps: list[Any], pool: Pool, shared: set[int], touched: dict[int, int]) -> None:
    for step in steps:
        for part in step.inside:
            _form(part, pool, shared, touched)
    at = 0
    while at < len(steps):
        best: tuple[float, Group] | None = None
        for axis in _rows_of(steps[at]):
            group = _grow(steps, at, axis)
            saved = _saving(group)
            if best is None or saved > best[0]:
                best = (saved, group)
        if best is not None and best[0] >= WORTH:
            group = best[1]
            made = Cutter(group.members, pool, shared, touched).make(CHUNK)
            if made is not None:
                last = group.places[-1]
                early = [steps[i] for i in group.early if i < last]
                late = [steps[i] for i in group.waiting if i < last]
                steps[at : last + 1] = [*early, *made, *late]
                at += len(early) + len(made)
                continue
        lone = _divide(steps[at], pool, shared, touched)
        steps[at : at + 1] = lone
        at += len(lone)


def _rows_of(step: Any) -> list[Axis]:
    """Return the axes of a kernel that may be cut into chunks."""
    if not isinstance(step, Kernel) or step.ordered:
        return []
    along = step.running[0] if step.running is not None else None
    positions = any(f.operation.startswith("arg") for f in step.folds)
    whole = positions or bool(step.ends)  # a total is not there before all of its terms
    return [
        a
        for a in step.axes
        if a.size >= _FEWEST and a is not along and not (whole and a in step.reduced)
    ]


def _grow(steps: Sequence[Any], start: int, axis: Axis) -> Group:
    """Return the largest group that starts with a kernel and its axis."""
    first = steps[start]
    group = Group([(first, axis)], [start], find_uses(first, axis))
    waiting: set[int] = set()  # memory that steps which were passed over write
    held: set[int] = set()  # and memory that they read
    if not _pays(first, group.uses, axis.size):
        return group
    for place in range(start + 1, min(len(steps), start + _LOOK)):
        step = steps[place]
        reads = {b.home.number for b in step.reads()}
        writes = {b.home.number for b in step.writes()}
        free = waiting.isdisjoint(reads | writes) and held.isdisjoint(writes)
        chosen: tuple[Axis, dict[int, Use]] | None = None
        for other in _rows_of(step) if free else []:
            if other.size == axis.size:
                uses = find_uses(step, other)
                if _joins(group.uses, uses) and _pays(step, uses, other.size):
                    chosen = (other, uses)
                    break
        if chosen is None:
            if free and _precedes(reads, writes, group.uses):
                group.early.append(place)
            else:
                group.waiting.append(place)
                waiting |= writes
                held |= reads
            continue
        group.members.append((step, chosen[0]))
        group.places.append(place)
        for number, use in chosen[1].items():
            old = group.uses.get(number)
            if old is None:
                group.uses[number] = use
            else:
                aligned = old.dim == use.dim and old.shape == use.shape
                old.dim = old.dim if aligned else None
                old.reads |= use.reads
                old.writes |= use.writes
    return group


def _precedes(reads: set[int], writes: set[int], uses: dict[int, Use]) -> bool:
    """Return whether a step needs nothing that a group writes, and writes nothing it uses."""
    return writes.isdisjoint(uses) and not any(n in uses and uses[n].writes for n in reads)


def _pays(kernel: Kernel, uses: dict[int, Use], rows: int) -> bool:
    """Return whether what a kernel needs for every chunk is less than what it has of its own."""
    whole = own = 0
    for use in uses.values():
        size = use.bytes
        if use.dim is None:
            whole += size
        else:
            own += size
    return whole <= max(ABREAST, CHUNK * rows // max(1, own)) * own // rows


def _joins(group: dict[int, Use], uses: dict[int, Use]) -> bool:
    """Return whether a kernel shares rows with a group and meets what it writes only there."""
    common = False
    for number, use in uses.items():
        old = group.get(number)
        if old is None:
            continue
        aligned = use.dim is not None and old.dim == use.dim and old.shape == use.shape
        if (old.writes or use.writes) and not aligned:
            return False
        common = common or aligned
    return common


def _saving(group: Group) -> float:
    """Return how many bytes need not come from memory again."""
    if len(group.members) < 2:
        return 0.0
    each = [find_uses(kernel, axis) for kernel, axis in group.members]
    total = 0.0
    for uses in each:
        for number, use in uses.items():
            if use.dim is not None and group.uses[number].dim is not None:
                total += use.bytes
    for use in group.uses.values():
        if use.dim is not None:
            total -= use.bytes
    return total


def _divide(step: Any, pool: Pool, shared: set[int], touched: dict[int, int]) -> list[Any]:
    """Cut one heavy step into parts."""
    if isinstance(step, Product):
        return [divide_product(step, pool)] if work_of(step) >= HEAVY else [step]
    if not isinstance(step, Kernel) or work_of(step) < HEAVY:
        return [step]
    rows = _rows_of(step)
    outer = [a for a in rows if a not in step.reduced]

    def rank(axis: Axis) -> tuple[bool, int]:
        return any(is_column(u) for u in find_uses(step, axis).values()), -axis.size

    for axis in sorted(outer, key=rank)[:1] or rows[:1]:
        made = Cutter([(step, axis)], pool, shared, touched).make(0)
        if made is not None:
            return made
    return [step]
