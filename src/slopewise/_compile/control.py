"""Scheduling of control flow: bodies become loops and branches of steps, carries stay in place.

Invariant: when a body has run, each carry's buffer holds its next value, and nothing that the body
computed counts as known outside. It is separate from `schedule`, which decides what lies inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slopewise._compile.joining import Joiner
from slopewise._compile.loops import Axis, Buffer, Index, walk
from slopewise._compile.steps import Branch, Kernel, Loop, Store, reads_same_element
from slopewise._core.aval import Aval
from slopewise._transform.expression import Expression, read_graph


def schedule_control(scheduler: Joiner, expression: Expression, outs: list[Buffer]) -> None:
    """Schedule a loop or a branch over subgraphs; the results lie in `outs`."""
    name = expression.name
    if name == "checkpoint":
        results = read_graph(expression.params["body"], scheduler.table, expression.operands)
        for result, buffer in zip(results, outs, strict=True):
            scheduler.compute_into(result, buffer)
    elif name == "scan":
        _scan(scheduler, expression, outs)
    elif name == "while":
        _while(scheduler, expression, outs)
    elif name == "cond":
        _cond(scheduler, expression, outs)
    else:
        scheduler.call(expression, outs)


def _fresh_input(
    scheduler: Joiner, shape: tuple[int, ...], dtype: Any, buffer: Buffer
) -> Expression:
    """Return an expression that stands for a buffer inside a subgraph."""
    made = scheduler.table.input(-1 - scheduler.table.count, Aval(shape, dtype))
    scheduler.reader.place(made, buffer)
    return made


def _inputs_of_body(scheduler: Joiner, operands: Sequence[Expression]) -> None:
    """Compute what a loop reads from outside before the loop."""
    for operand in operands:
        if operand.number not in scheduler.reader.placed and operand.data is None:
            scheduler.place(operand)


def _hand_over(scheduler: Joiner, results: Sequence[Buffer], carries: Sequence[Buffer]) -> None:
    """Let the results of a body become the next carries, in their memory where that is safe.

    It is safe where the old carry is not read any more once the new one is written, or is
    read only at the element that is being written.
    """
    late: list[tuple[Buffer, Buffer]] = []
    for made, carry in zip(results, carries, strict=True):
        made.kind = "scratch"
        if _update_in_place(scheduler, made, carry):
            continue
        safe = made.shape == carry.shape and made.dtype == carry.dtype
        first = -1
        for k, step in enumerate(scheduler.steps):
            if first < 0 and made.home in {b.home for b in step.writes()}:
                first = k  # a loop that changes it comes later
            if first >= 0 and carry.home in {b.home for b in step.reads()}:
                safe = safe and k == first and reads_same_element(step, made, carry)
        if safe and first >= 0:
            made.alias = carry
        else:
            late.append((made, carry))
    for made, carry in late:
        scheduler.copy(made, carry)


def _update_in_place(scheduler: Joiner, made: Buffer, carry: Buffer) -> bool:
    """Write single places of a carry into it, instead of into a copy, where that is safe.

    It is safe where nothing reads the old carry after the copy, but for the update itself at
    the places that it writes, if these are different at all of its points.
    """
    writers = [s for s in scheduler.steps if made in s.writes()]
    if len(writers) != 2 or not all(isinstance(s, Kernel) for s in writers):
        return False
    copy, update = writers
    if not update.ordered or len(update.stores) != 1 or made.shape != carry.shape:
        return False
    copies = [s for s in copy.stores if s.buffer is made]
    source = copies[0].term if len(copies) == 1 else None
    if source is None or source.kind != "load" or source.data != (carry, copies[0].indices):
        return False
    (store,) = update.stores
    alone = not update.axes  # one point: it is read before it is written
    apart = not any(t.axes for i in store.indices for t, _ in i.computed)
    for step in scheduler.steps[scheduler.steps.index(copy) + 1 :]:
        if carry.home not in {b.home for b in step.reads()}:
            continue
        if step is not update or not apart:
            return False
        loads = [t for t in walk(step.roots()) if t.kind == "load"]
        here = all(t.data[1] == store.indices for t in loads if t.data[0].home is carry.home)
        if not (alone or here):
            return False
    copy.stores.remove(copies[0])
    if not copy.stores and not copy.folds:
        scheduler.steps.remove(copy)
    made.alias = carry
    return True


def _scan(scheduler: Joiner, expression: Expression, outs: list[Buffer]) -> None:
    """Schedule a loop of known length; slices of the inputs are read, and of the ys written."""
    params = expression.params
    consts, count, length = params["consts"], params["carries"], params["length"]
    operands = expression.operands
    _inputs_of_body(scheduler, operands)
    carries = outs[:count]
    for operand, carry in zip(operands[consts : consts + count], carries, strict=True):
        carry.kind = "carry"
        scheduler.copy(scheduler.place(operand), carry)
    if length == 0:
        return
    axis = Axis(f"step{scheduler.pool.axis_count}", length, scheduler.pool.axis_count)
    scheduler.pool.axis_count += 1
    step = Index(0, ((axis, 1),))
    if params["reverse"]:
        step = Index(length - 1, ((axis, -1),))
    given = list(operands[:consts])
    given += [_fresh_input(scheduler, c.shape, c.dtype, c) for c in carries]
    inner = scheduler.nest()
    for operand in operands[consts + count :]:
        source = scheduler.place(operand)
        part = scheduler.pool.buffer(operand.shape[1:], operand.dtype, "scratch")
        _slice_copy(inner, source, part, step, False)
        given.append(_fresh_input(scheduler, part.shape, part.dtype, part))
    results = read_graph(params["body"], scheduler.table, given)
    before = set(scheduler.reader.placed)
    found = inner.run(results)
    for made, target in zip(found[count:], outs[count:], strict=True):
        made.kind = "scratch"
        _slice_copy(inner, made, target, step, True)
    _hand_over(inner, found[:count], carries)
    _forget(scheduler, before)
    _hoist(scheduler, inner.steps, axis)
    for carry in carries:
        carry.kind = "scratch"
    scheduler.add(Loop(inner.steps, axis))


def _hoist(
    scheduler: Joiner, body: list[Any], axis: Axis | None, checks: Sequence[Any] = ()
) -> None:
    """Move kernels that compute the same in each round in front of the loop."""
    changing: dict[int, int] = {}
    for step in (*body, *checks):
        for buffer in step.writes():
            changing[buffer.home.number] = changing.get(buffer.home.number, 0) + 1
    for step in list(body):
        if not isinstance(step, Kernel) or step.ordered:
            continue
        terms = walk(step.roots())
        if any(axis in t.axes or (t.kind == "load" and t.operands) for t in terms):
            continue
        made = {b.home.number for b in step.writes()}
        reads = {b.home.number for b in step.reads()} - made
        own = all(b.kind == "scratch" and b.alias is None for b in step.writes())
        stays = any(changing.get(n, 0) for n in reads) or any(changing[n] > 1 for n in made)
        written = [i for s in (*step.stores, *step.folds) for i in s.indices]
        if not own or stays or any(axis in set(i.axes()) for i in written):
            continue
        for number in made:
            changing[number] = 0
        body.remove(step)
        scheduler.add(step)


def _forget(scheduler: Joiner, before: set[int]) -> None:
    """Drop what was computed inside a body: outside, it has no value."""
    for number in list(scheduler.reader.placed):
        if number not in before:
            del scheduler.reader.placed[number]
    scheduler.reader.known.clear()


def _slice_copy(inner: Joiner, source: Buffer, target: Buffer, step: Index, outward: bool) -> None:
    """Copy the slice at a loop's step out of (or into) a stack of slices."""
    small = source if outward else target
    axes = inner.pool.domain(tuple(n for n in small.shape if n != 1))
    at = iter(axes)
    indices = tuple(Index(0) if n == 1 else Index(0, ((next(at), 1),)) for n in small.shape)
    if outward:
        store = Store(target, (step, *indices), inner.pool.load(source, indices))
    else:
        store = Store(target, indices, inner.pool.load(source, (step, *indices)))
    inner.join(axes, store, None)


def _while(scheduler: Joiner, expression: Expression, outs: list[Buffer]) -> None:
    """Schedule a loop with a test, which is computed before each round."""
    params = expression.params
    count, tests = params["carries"], params["test_consts"]
    operands = expression.operands
    _inputs_of_body(scheduler, operands)
    for operand, carry in zip(operands[:count], outs, strict=True):
        carry.kind = "carry"
        scheduler.copy(scheduler.place(operand), carry)
    given = [_fresh_input(scheduler, c.shape, c.dtype, c) for c in outs]
    before = set(scheduler.reader.placed)
    checker = scheduler.nest()
    test = read_graph(params["test"], scheduler.table, [*given, *operands[count : count + tests]])
    (condition,) = checker.run(test)
    condition.kind = "scratch"
    _forget(scheduler, before)
    inner = scheduler.nest()
    results = read_graph(params["body"], scheduler.table, [*given, *operands[count + tests :]])
    _hand_over(inner, inner.run(results), outs)
    _forget(scheduler, before)
    _hoist(scheduler, inner.steps, None, checker.steps)
    for carry in outs:
        carry.kind = "scratch"
    scheduler.add(Loop(inner.steps, None, condition, checker.steps))


def _cond(scheduler: Joiner, expression: Expression, outs: list[Buffer]) -> None:
    """Schedule a branch; both sides write to the same buffers."""
    predicate, *operands = expression.operands
    _inputs_of_body(scheduler, operands)
    condition = scheduler.place(predicate)
    branches: list[list[Any]] = []
    before = set(scheduler.reader.placed)
    for key in ("taken", "other"):
        inner = scheduler.nest()
        found = inner.run(read_graph(expression.params[key], scheduler.table, operands))
        for made, target in zip(found, outs, strict=True):
            made.kind = "scratch"
            inner.copy(made, target)
        _forget(scheduler, before)
        branches.append(inner.steps)
    scheduler.add(Branch(condition, branches[0], branches[1]))
