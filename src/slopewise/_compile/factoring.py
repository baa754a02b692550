"""Factoring: a factor that a sum does not need in full is taken out of it, and summed over once.

The sum over r and l of a[r, l] b[l, k] is the sum over l of (the sum over r of a[r, l]) b[l, k]:
less work by the number of rows. Invariant: the result is that of the sum as it stood, to rounding,
whatever the values. The two differ where a sum overflows or a factor is infinite; then what was
factored is not finite, and the sum as it stood runs instead. It is separate from the regions, whose
finished kernels it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from slopewise._compile.builder import BOOL
from slopewise._compile.loops import Axis, Buffer, Index, Pool, Term
from slopewise._compile.reading import COMBINE, apply_body
from slopewise._compile.steps import Branch, Fold, Kernel, Region, Store
from slopewise._ops.arithmetic import neg
from slopewise._ops.comparison import isfinite

WORTH = 4
"""How many times less work it must be: what is summed first goes through memory."""


def factor_sums(steps: list[Any], pool: Pool) -> None:
    """Replace sums of products that can be factored, in place, inside of loops and regions too.

    Parameters
    ----------
    steps : list
        Of the whole program.
    pool : Pool
    """
    _factor(steps, pool, None, 1)


def _factor(steps: list[Any], pool: Pool, slot: Index | None, slots: int) -> None:
    at = 0
    while at < len(steps):
        step = steps[at]
        if isinstance(step, Region):
            several = step.part.size > 1
            here = Index(0, ((step.slot, 1),)) if several else None
            for inside in (step.begin, step.body):
                _factor(inside, pool, here, step.part.size)
            _factor(step.rest, pool, Index(0) if several else None, step.part.size)
        else:
            for inside in step.inside:
                _factor(inside, pool, slot, slots)
        made = _Factorer(pool, slot, slots).factor(step) if isinstance(step, Kernel) else [step]
        steps[at : at + 1] = made
        at += len(made)


def find_factors(
    axes: Sequence[Axis], reduced: frozenset[Axis], term: Term
) -> tuple[Term, Term] | None:
    """Return the factor of a product that is to be summed first, and the one that is kept.

    Parameters
    ----------
    axes : sequence of Axis
        Of the sum, the reduced ones among them.
    reduced : frozenset of Axis
    term : Term
        What is summed: a product of two, or one negated.

    Returns
    -------
    tuple of Term, or None
        None where there is little to gain.
    """
    product = term.operands[0] if _is_negated(term) else term
    if product.kind != "op" or product.data[2] != "mul" or product.dtype.kind != "f":
        return None
    own = frozenset(axes)  # terms depend on loops around the kernel, too
    points = prod(a.size for a in axes)
    for whole, kept in (product.operands, product.operands[::-1]):
        early = (whole.axes & reduced) - kept.axes
        if points and early and own <= whole.axes | kept.axes:
            left = own - early
            fewer = prod(a.size for a in whole.axes & own) + prod(a.size for a in left)
            if fewer * WORTH <= points:
                return whole, kept
    return None


def _is_negated(term: Term) -> bool:
    return term.kind == "op" and term.data[2] == "neg"


class _Factorer:
    """Makes the steps of factored sums; those of a region have memory for each slot."""

    def __init__(self, pool: Pool, slot: Index | None, slots: int) -> None:
        self.pool = pool
        self.slot = slot
        self.slots = slots

    def factor(self, kernel: Kernel) -> list[Any]:
        """Return what computes a kernel: itself where there is nothing to gain."""
        if kernel.stores or kernel.ends or kernel.running is not None or kernel.ordered:
            return [kernel]
        made: list[Any] = []
        left: list[Fold] = []
        for fold in kernel.folds:
            same = fold.operation == "add" and fold.buffer.dtype == fold.term.dtype
            found = find_factors(kernel.axes, kernel.reduced, fold.term) if same else None
            if found is None:
                left.append(fold)
            else:
                made += self._steps(replace(kernel, folds=[fold]), fold, *found)
        return [*([replace(kernel, folds=left)] if left else []), *made]

    def _steps(self, kernel: Kernel, fold: Fold, whole: Term, kept: Term) -> list[Any]:
        pool, dtype = self.pool, fold.buffer.dtype
        if _is_negated(fold.term):
            whole = apply_body(pool, neg, (whole,), dtype)
        early = (whole.axes & kernel.reduced) - kept.axes
        names, places = list(kernel.names), list(kernel.places)
        inside = [a for a in kernel.axes if a in whole.axes and a not in early]
        out = [a for a in kernel.axes if a not in kernel.reduced]
        total, at_total = self._buffer(inside, dtype)
        result, at_result = self._buffer(out, dtype)
        usable, at_usable = self._buffer([], BOOL)
        summed = Kernel(
            tuple(a for a in kernel.axes if a in whole.axes),
            early,
            folds=[Fold(total, at_total, whole, "add")],
            names=names,
            places=places,
        )
        pair = (pool.load(total, at_total), kept)
        product = pool.op("mul", COMBINE["mul"], pair, {}, dtype, 1.0)
        later = tuple(a for a in kernel.axes if a not in early)
        if kernel.reduced - early:
            folded = [Fold(result, at_result, product, "add")]
            combined = Kernel(
                later, kernel.reduced - early, folds=folded, names=names, places=places
            )
        else:
            combined = Kernel(
                later, stores=[Store(result, at_result, product)], names=names, places=places
            )
        found = pool.load(result, at_result)
        finite = apply_body(pool, isfinite, (found,), BOOL)
        tested = (
            Kernel(tuple(out), frozenset(out), folds=[Fold(usable, at_usable, finite, "and")])
            if out
            else Kernel((), stores=[Store(usable, at_usable, finite)])
        )
        store = Store(fold.buffer, fold.indices, found, add=fold.onto)
        taken = Kernel(tuple(out), stores=[store], names=names, places=places)
        return [summed, combined, tested, Branch(usable, [taken], [kernel], at_usable)]

    def _buffer(self, axes: Sequence[Axis], dtype: Any) -> tuple[Buffer, tuple[Index, ...]]:
        """Return memory with an element for each point, for each slot, and where a point lies."""
        shape = tuple(a.size for a in axes)
        indices = tuple(Index(0, ((a, 1),)) if a.size > 1 else Index(0) for a in axes)
        if self.slot is not None:
            shape, indices = (self.slots, *shape), (self.slot, *indices)
        return self.pool.buffer(shape, dtype, "scratch"), indices
