"""Endings: what is computed of a fold's total, point by point, before the total leaves a register.

A product's bias, its step of descent, or the sum that it is added to: each would read the product
from memory again. Invariant: a store is moved only where nothing in between reads or writes what it
touches, and where the kernel of the fold does not read what it writes. It is separate from the
schedule because it looks at finished kernels and at which carries lie in one memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from math import prod
from typing import Any

from slopewise._compile.builder import BOOL
from slopewise._compile.factoring import find_factors
from slopewise._compile.loops import Axis, Buffer, Index, Pool, Term, walk
from slopewise._compile.steps import Fold, Kernel, Store

FEWEST = 512  # totals
SHARE = 1  # of them for each term of one: long sums to few totals are cut along the terms instead
BUDGET = 8.0  # additions that a point's store may cost: it is written out for all of a tile
_LOOK = 40  # steps that a kernel may be moved over

Places = dict[Axis, Axis]


def absorb_stores(steps: list[Any], pool: Pool) -> None:
    """Move stores to the folds that they are computed from, in place, inside of loops too.

    Parameters
    ----------
    steps : list
        Of the whole program, without regions.
    pool : Pool
    """
    for step in steps:
        for part in step.inside:
            absorb_stores(part, pool)
    makers: dict[int, Kernel] = {}
    for step in steps:
        if isinstance(step, Kernel) and _can_end(step):
            makers.update((f.buffer.number, step) for f in step.folds)
    if not makers:
        return
    for step in list(steps):
        if not isinstance(step, Kernel) or step.folds or step.running or step.ordered:
            continue
        for store in list(step.stores):
            made = _absorb(steps, step, store, makers, pool)
            if made is not None:
                makers[store.buffer.number] = made
        if not step.stores:
            steps.remove(step)


def _can_end(kernel: Kernel) -> bool:
    """Return whether a kernel is a fold that stores may follow."""
    if not kernel.folds or kernel.stores or kernel.running or kernel.ordered:
        return False
    free = prod(a.size for a in kernel.axes if a not in kernel.reduced)
    if free < max(1, FEWEST, SHARE * prod(a.size for a in kernel.reduced)):
        return False
    return all(_is_simple(f, kernel) for f in kernel.folds)


def _is_simple(fold: Fold, kernel: Kernel) -> bool:
    """Return whether a fold's totals are an array of its kernel's axes, one element a point."""
    if fold.onto or fold.operation.startswith("arg") or fold.term.dtype != fold.buffer.dtype:
        return False
    if find_factors(kernel.axes, kernel.reduced, fold.term) is not None:
        return False
    found = [_axis_of(i) for i in fold.indices if not i.fixed]
    return None not in found and set(found) == set(kernel.axes) - kernel.reduced


def _axis_of(index: Index) -> Axis | None:
    """Return the axis that an index is."""
    if index.constant or index.computed or len(index.terms) != 1 or index.terms[0][1] != 1:
        return None
    return index.terms[0][0]


def _absorb(
    steps: list[Any], source: Kernel, store: Store, makers: dict[int, Kernel], pool: Pool
) -> Kernel | None:
    """Move a store of a kernel to the fold that it needs; return that fold's kernel if it went."""
    terms = walk([store.term])
    if store.add or not _is_cheap(store, terms):
        return None
    loads = [t for t in terms if t.kind == "load"]
    for load in reversed(loads):
        maker = makers.get(load.data[0].number)
        if maker is None:
            continue
        places = _match(load, maker, source)
        if places is None or not _is_safe(store, loads, places, maker, source):
            continue
        if not _bring_together(steps, maker, source, store, loads):
            continue
        moved = _Moved(pool, places)
        term = moved.term(store.term)
        maker.ends.append(Store(store.buffer, moved.indices(store.indices), term))
        maker.names += [n for n in source.names if n not in maker.names]
        maker.places += source.places
        source.stores.remove(store)
        return maker
    return None


def _is_cheap(store: Store, terms: Sequence[Term]) -> bool:
    """Return whether a store is plain arithmetic in the dtype of its buffer."""
    kinds = {t.kind for t in terms}
    dtypes = {t.dtype for t in terms if t.kind != "number"}
    cost = sum(t.cost for t in terms if t.kind == "op")
    computed = any(i.computed for i in store.indices) or any(
        i.computed for t in terms if t.kind == "load" for i in t.data[1]
    )
    plain = kinds <= {"number", "load", "op"} and dtypes <= {store.buffer.dtype, BOOL}
    return plain and not computed and cost <= BUDGET


def _match(load: Term, maker: Kernel, source: Kernel) -> Places | None:
    """Return which axis of the fold stands for each axis of the store, if all do."""
    buffer, indices = load.data
    written: Iterable[Fold | Store] = chain(maker.folds, maker.ends)
    target = next(w for w in written if w.buffer is buffer)
    places: Places = {}
    for at, to in zip(indices, target.indices, strict=True):
        if at.fixed and to.fixed:
            if at != to:
                return None
            continue
        one, other = _axis_of(at), _axis_of(to)
        if one is None or other is None or one.size != other.size or one in places:
            return None
        places[one] = other
    whole = set(places) == set(source.axes)
    return places if whole and load.dtype == target.buffer.dtype else None


def _is_safe(
    store: Store, loads: Sequence[Term], places: Places, maker: Kernel, source: Kernel
) -> bool:
    """Return whether a fold's kernel may write what a store writes."""
    home = store.buffer.home
    touched = {b.home for b in maker.reads()} | {w.buffer.home for w in maker.folds}
    ended = {w.buffer.home for w in maker.ends}
    if home in touched or home in ended:
        return False
    # What is read where it is written is the element at hand; the kernel's other stores read it
    # before this one was made.
    if any(t.data[0].home is home and t.data[1] != store.indices for t in loads):
        return False
    for load in loads:
        # What the fold's kernel writes is read as it was just computed, or not at all.
        if load.data[0].home in ended | {f.buffer.home for f in maker.folds}:
            own = next((w for w in (*maker.folds, *maker.ends) if w.buffer is load.data[0]), None)
            if own is None or _Moved(None, places).indices(load.data[1]) != own.indices:
                return False
    written = {s.buffer.home for s in source.stores if s is not store}
    if any(t.data[0].home in written for t in loads):
        return False
    others = [t for s in source.stores if s is not store for t in walk([s.term])]
    return not any(
        t.kind == "load" and t.data[0].home is home and t.data[0] is not store.buffer
        for t in others
    )


def _bring_together(
    steps: list[Any], maker: Kernel, source: Kernel, store: Store, loads: Sequence[Term]
) -> bool:
    """Return whether a store may run with a fold: at the fold's place, or the fold at its own."""
    first, last = (_find(steps, step) for step in (maker, source))
    if not first < last <= first + _LOOK:
        return False
    between = steps[first + 1 : last]
    reads = {t.data[0].home for t in loads}
    home = store.buffer.home
    if all(
        reads.isdisjoint(_homes(s.writes())) and home not in _homes(s.reads() | s.writes())
        for s in between
    ):
        return True
    reads, writes = _homes(maker.reads()), _homes(maker.writes())
    if all(
        reads.isdisjoint(_homes(s.writes())) and writes.isdisjoint(_homes(s.reads() | s.writes()))
        for s in between
    ):
        del steps[first]
        steps.insert(last - 1, maker)
        return True
    return False


def _find(steps: Sequence[Any], step: Any) -> int:
    return next(i for i, s in enumerate(steps) if s is step)


def _homes(buffers: Iterable[Buffer]) -> set[Buffer]:
    return {b.home for b in buffers}


class _Moved:
    """Terms over other axes."""

    def __init__(self, pool: Pool | None, places: Places) -> None:
        self.pool = pool
        self.places = places
        self.made: dict[int, Term] = {}

    def term(self, root: Term) -> Term:
        """Return a term with each axis replaced."""
        assert self.pool is not None
        for term in walk([root]):
            made = term
            if term.kind == "load":
                buffer, indices = term.data
                made = self.pool.load(buffer, self.indices(indices))
            elif term.kind == "op":
                body, params, name = term.data
                operands = tuple(self.made[o.number] for o in term.operands)
                made = self.pool.op(name, body, operands, params, term.dtype, term.cost)
            self.made[term.number] = made
        return self.made[root.number]

    def indices(self, indices: Sequence[Index]) -> tuple[Index, ...]:
        """Return indices with each axis replaced."""
        return tuple(
            Index(i.constant).plus(
                Index(0, tuple(sorted(((self.places.get(a, a), k) for a, k in i.terms),
                                      key=lambda pair: pair[0].number)))
            )
            for i in indices
        )  # fmt: skip
