"""Entering a plan without Python: what an entry is told of a plan, where a plan can have one.

Invariant: a plan has an entry only if nothing but its arguments is read at a call and nothing but
its results is written. It is separate because a backend need not have entries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from slopewise._core.tree import flatten
from slopewise._front.plan import Plan
from slopewise._front.watch import list_watches, same_watches

_LEAF = flatten(0)[1]


def enter(
    plan: Plan, roots: Sequence[Any], fallback: Callable[..., Any], siblings: Sequence[Plan],
    clock: Any,
) -> None:  # fmt: skip
    """Arm a plan's entry, a builtin function that makes such a call as this one.

    Whatever it does not take it passes on. It is made at the second call, if it can be. Where a
    sibling shows that the gradient mode makes no difference, it is taken in either mode.
    """
    plan.calls += 1
    if plan.entry is False or plan.calls < 2:
        return
    epoch = plan.epoch if plan.reach.counts() else None
    others = [p for p in siblings if p.key[2] != plan.key[2]]
    exact = plan.reach.exact and not others
    if exact and plan.exact and plan.entry and plan.entry.arm_again(epoch):
        return
    watches = list_watches(plan.reach, roots)
    if plan.entry is None:
        plan.entry = watches is not None and make_entry(plan, fallback, clock)
    if watches is None or not plan.entry:
        return
    modes = not any(_agree(plan, other, roots, watches) for other in others)
    plan.entry.arm(watches, epoch, modes)
    plan.exact = exact


def _agree(plan: Plan, other: Plan, roots: Sequence[Any], watches: Sequence[Any]) -> bool:
    """Return whether a trace in the other gradient mode gave the same program."""
    if (plan.key[:2], plan.key[3]) != (other.key[:2], other.key[3]) or not other.entry:
        return False
    if not other.fits(roots, plan.epoch) or other.reach.counts() != plan.reach.counts():
        return False
    if not same_watches(watches, list_watches(other.reach, roots)):
        return False
    return plan.entry.runs_as(other.entry)


def make_entry(plan: Plan, fallback: Callable[..., Any], clock: Any) -> Any:
    """Return the entry of a plan, or False."""
    describe = getattr(plan.executable, "native", None)
    if describe is None or not _stands_alone(plan):
        return False
    arguments = _arguments_of(plan)
    nest = None if arguments is None else _nest_of(plan.structure, len(plan.results))
    native = None if nest is None else describe()
    if native is None:
        return False
    entry: Any = import_module("slopewise._compile.entry")
    floats = all(kind != "array" for kind, *_ in arguments or ())
    outputs: list[Any] = []
    for (_, place), node in zip(plan.sinks, plan.graph.outputs, strict=True):
        shape, dtype = tuple(node.shape), np.dtype(node.dtype)
        as_float = floats and not shape and dtype.kind == "f"
        if not _is_standard(dtype) or (as_float and dtype.itemsize not in (4, 8)):
            return False
        outputs.append((place, as_float, shape, dtype))
    inputs = [where for _, where in plan.sources]  # a number is an argument's, an array a constant
    signature = entry.Signature(arguments, inputs, outputs, nest)
    return entry.make_entry(native, signature, fallback, clock) or False


def link(entries: Sequence[Any], before: Sequence[Any]) -> None:
    """Make a chain of entries: each passes on what it does not take to the one after it.

    Parameters
    ----------
    entries, before : sequence of Entry
        The new chain and the one that it replaces.
    """
    for entry in {id(e): e for e in (*before, *entries)}.values():
        entry.pass_to(None)  # so that the chain is never a ring
    for entry, following in pairwise(entries):
        entry.pass_to(following)


def _stands_alone(plan: Plan) -> bool:
    """Return whether a call reads the arguments alone, and writes the results alone."""
    return (
        plan.pure
        and not (plan.differentiable or plan.tensors or plan.generators or plan.passed)
        and {kind for kind, _ in plan.sources} <= {"argument", "constant"}
        and {kind for kind, _ in plan.results} == {"result"}
        and plan.reach.roots == 1
        and len(plan.sinks) == len(plan.results)
    )


def _arguments_of(plan: Plan) -> list[tuple[Any, ...]] | None:
    """Return what each argument must be; None unless they are plain, and given by position."""
    parts, (_, _, (positional, named)), *_ = plan.key
    if named[2] or any(child not in (_LEAF, None) for child in positional[2]):
        return None
    described: list[tuple[Any, ...]] = []
    left = iter(parts)
    for child in positional[2]:
        part: Any = ("fixed", None) if child is None else next(left)
        if part is float:
            described.append(("float",))
        elif not isinstance(part, tuple):
            return None
        elif part[0] is np.ndarray:
            if not _is_standard(part[2]):
                return None
            described.append(("array", part[1], part[2]))
        else:
            described.append(("fixed", part[-1]))
    leaves = [x for x, child in zip(described, positional[2], strict=True) if child is not None]
    if not any(x[0] != "fixed" for x in leaves):
        return None  # the results would be tensors
    return described


def _is_standard(dtype: np.dtype[Any]) -> bool:
    """Return whether all arrays of a dtype share one object for it."""
    return dtype.kind in "biuf" and dtype is np.dtype(dtype.type)


def _nest_of(structure: Any, count: int) -> list[int] | None:
    """Return how nested tuples are put together: -1 - n for a tuple of n; None for other nests."""
    nest: list[int] = []
    pushed = 0
    pending: list[Any] = [structure]
    while pending:
        part = pending.pop()
        if isinstance(part, int):
            nest.append(part)
        elif part is _LEAF:
            nest.append(pushed)
            pushed += 1
        elif part is None or part[0] is not tuple:
            return None
        else:
            children = part[2]
            pending.append(-1 - len(children))
            pending.extend(reversed(children))
    return nest if pushed == count else None
