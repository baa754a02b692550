"""Control flow that differentiates: cond, while_loop, fori_loop, scan.

Invariant: with concrete tensors these run as plain Python does, and the tape records what ran.
Traced, each is one primitive over closed subgraphs, whatever the number of steps. The semantics are
the same.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.source import explain
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, new_value
from slopewise._front.bodies import Branches, Loop, as_truth, is_abstract, is_recording, name_leaves
from slopewise._front.creation import settle_integer
from slopewise._front.joins import stack, unbind
from slopewise._front.operands import as_value
from slopewise._front.random import default_generator
from slopewise._front.shape import flip
from slopewise._ops import control as records
from slopewise._ops.comparison import logical_and
from slopewise._transform.inputs import as_values
from slopewise.errors import DTypeError, ShapeError, UsageError


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Return true_fun(*operands) where pred holds, else false_fun(*operands).

    A concrete predicate decides at once. Traced, both branches are recorded and one of them runs;
    where `vmap` maps the predicate, both run and the results are selected.

    Parameters
    ----------
    pred : bool or 0-d Tensor of bool
    true_fun, false_fun : callable
        Both take the operands and return nests of the same structure and shapes.
    *operands : nest of Tensor

    Returns
    -------
    nest of Tensor
        What the chosen function returns.

    Raises
    ------
    UsageError
        Traced, if the two results differ in structure.
    ShapeError
        Traced, if the two results differ in shape.

    Examples
    --------
    >>> import slopewise as sw
    >>> f = lambda x: sw.cond(x > 0, lambda v: v * v, lambda v: -v, x)
    >>> sw.grad(f)(3.0).item(), sw.grad(f)(-3.0).item()
    (6.0, -1.0)
    """
    if not isinstance(pred, Value) or (pred._value is not None and not is_recording()):
        return true_fun(*operands) if bool(pred) else false_fun(*operands)
    truth = as_truth(pred, "cond")
    sides = Branches("cond", [true_fun, false_fun], operands)
    outs = ()
    if sides.graphs[0].outputs:
        taken, other = sides.graphs
        outs = records.cond(truth, *sides.operands, *sides.captured, taken=taken, other=other)
    return sides.finish(outs)


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    max_steps: int | None = None,
) -> Any:
    """Apply body_fun to a carry while cond_fun holds; return the last carry.

    With concrete tensors both modes differentiate it. Traced with a trip count that depends on
    traced values, forward mode does; reverse mode needs a bound, `max_steps`.

    Parameters
    ----------
    cond_fun : callable
        `carry -> bool or 0-d Tensor of bool`.
    body_fun : callable
        `carry -> carry`, of the same structure and shapes.
    init_val : nest of Tensor
        The first carry.
    max_steps : int, optional
        Stop after so many steps even if cond_fun still holds. Traced, this makes the loop one of
        known length, which reverse mode can pass.

    Returns
    -------
    nest of Tensor
        The last carry.

    Raises
    ------
    UsageError
        Traced, if the body returns a carry of another structure.
    ShapeError, DTypeError
        Traced, if the body changes the shape or dtype of a carry.
    GradientError
        In reverse mode through a traced loop.

    Examples
    --------
    >>> import slopewise as sw
    >>> f = lambda x: sw.while_loop(lambda v: v < 100, lambda v: v * x, x)
    >>> f(sw.tensor(3.0)).item()
    243.0
    """
    steps = None if max_steps is None else settle_integer(max_steps, "while_loop", "max_steps")
    carry = init_val
    if not is_abstract(carry) and not is_recording():
        taken = 0
        while steps is None or taken < steps:
            truth = cond_fun(carry)
            if is_abstract(truth):
                break
            if not bool(truth):
                return carry
            carry = body_fun(carry)
            taken += 1
        else:
            return carry
        steps = None if steps is None else steps - taken
    if steps is None:
        return _record_while(cond_fun, body_fun, carry)
    return _record_bounded(cond_fun, body_fun, carry, max(steps, 0))


def _record_while(
    cond_fun: Any, body_fun: Any, init: Any, operation: str = "while_loop", **named: Any
) -> Any:
    loop = Loop(operation, lambda c, _: (body_fun(c), None), init, test=cond_fun, **named)
    of_test = loop.test.capture()
    if not loop.carries:
        raise UsageError(explain(f"{operation}: a traced loop needs a carry that changes."))
    outs = records.while_(
        *loop.starts, *of_test, *loop.captured,
        test=loop.test, body=loop.graph, carries=loop.carries, test_consts=len(of_test),
    )  # fmt: skip
    return loop.finish(outs)[0]


def _record_bounded(cond_fun: Any, body_fun: Any, init: Any, steps: int) -> Any:
    """Record a loop of known length whose steps do nothing once the condition failed."""

    def step(pair: Any, _: Any) -> Any:
        active, carry = pair
        active = logical_and(active, as_truth(cond_fun(carry), "while_loop"))
        return (active, cond(active, body_fun, lambda c: c, carry)), None

    names = ["whether the loop still runs", *name_leaves(init)]
    start = (np.array(True), init)
    return _record_scan(step, start, None, steps, False, "while_loop", names=names)[0][1]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Return the carry after body_fun(i, carry) for i from lower to upper - 1.

    Traced, i is a 0-d int64 Tensor, and a bound may be a traced one.

    Parameters
    ----------
    lower, upper : int or 0-d integer Tensor
        The first number, and the one after the last.
    body_fun : callable
        `(i, carry) -> carry`.
    init_val : nest of Tensor
        The first carry.

    Returns
    -------
    nest of Tensor
        The last carry.

    Raises
    ------
    DTypeError
        If a bound is no integer; traced, if the body changes the dtype of a carry.
    ShapeError
        Traced, if the body changes the shape of a carry.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.grad(lambda x: sw.fori_loop(0, 3, lambda i, v: v * x, x))(2.0).item()
    32.0
    """
    if is_abstract((lower, upper)):
        return _record_counted(lower, upper, body_fun, init_val)
    first = settle_integer(lower, "fori_loop", "a bound")
    last = settle_integer(upper, "fori_loop", "a bound")
    carry = init_val
    if is_recording() or is_abstract(carry):
        draws = _draws()

        def step(pair: Any, _: Any) -> Any:
            i, inner = pair
            return (i + 1, body_fun(i, inner)), None

        names = ["the index", *name_leaves(carry)]
        start, count = np.array(first, np.int64), max(last - first, 0)
        done = _record_scan(
            step, (start, carry), None, count, False, "fori_loop", weak=(0,), names=names,
            draws=draws,
        )  # fmt: skip
        if done is not None:
            return done[0][1]
    for i in range(first, last):
        carry = body_fun(i, carry)
    return carry


def _record_counted(lower: Any, upper: Any, body_fun: Any, init: Any) -> Any:
    """Record a loop of which a bound is a traced value."""
    for bound in (lower, upper):
        if isinstance(bound, Value) and (bound.dtype.kind not in "iu" or bound.shape != ()):
            raise DTypeError(
                explain(
                    f"fori_loop: a bound has dtype {bound.dtype} and shape {tuple(bound.shape)};"
                    " it must be one integer.",
                    (bound,),
                )
            )

    def advance(pair: Any) -> Any:
        i, inner = pair
        return i + 1, body_fun(i, inner)

    start = lower if isinstance(lower, Value) else np.array(lower, np.int64)
    return _record_while(
        lambda pair: pair[0] < upper, advance, (start, init), "fori_loop", weak=(0,),
        names=["the index", *name_leaves(init)],
    )[1]  # fmt: skip


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None, length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Carry a state along the leading axis of xs and stack what each step gives out.

    Parameters
    ----------
    f : callable
        `(carry, x) -> (carry, y)`.
    init : nest of Tensor
        The first carry.
    xs : nest of Tensor, shape (length, ...), optional
    length : int, optional
        Number of steps, where xs is None.
    reverse : bool
        Go from the last entry to the first; the ys stay in the order of the xs.

    Returns
    -------
    tuple
        The last carry, and the ys stacked along a new leading axis (also where there are none).

    Raises
    ------
    ShapeError
        If the leading axes differ; traced, if f changes the shape of a carry.
    DTypeError
        Traced, if f changes the dtype of a carry.
    UsageError
        Traced, if f does not return a carry of the same structure and a y.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.scan(lambda c, x: (c + x, c + x), sw.tensor(0.0), sw.tensor([1.0, 2.0, 3.0]))[1]
    tensor([1., 3., 6.])
    """
    leaves, structure = flatten(xs)
    values = as_values(leaves)
    if any(not v.ndim for v in values):
        raise ShapeError(explain("scan: xs holds a 0-d value, which has no axis to go along."))
    sizes = {v.shape[0] for v in values}
    if length is not None:
        sizes.add(settle_integer(length, "scan", "length"))
    if len(sizes) != 1:
        raise ShapeError(
            explain(f"scan: the leading axes have sizes {sorted(sizes)}; they must be one size.")
        )
    steps = sizes.pop()
    if steps < 1 or is_recording() or is_abstract((init, values)):
        draws = _draws()
        done = _record_scan(f, init, unflatten(structure, values), steps, reverse, draws=draws)
        if done is not None:
            return done
    columns = [unbind(v, 0) for v in values]
    carry = init
    ys: list[Any] = []
    for i in reversed(range(steps)) if reverse else range(steps):
        carry, y = f(carry, unflatten(structure, [c[i] for c in columns]))
        ys.append(y)
    parts = [flatten(y) for y in ys]
    stacked = [stack([as_value(p[0][k]) for p in parts], 0) for k in range(len(parts[0][0]))]
    if reverse:
        stacked = [flip(s, 0) for s in stacked]
    return carry, unflatten(parts[0][1], stacked)


def _draws() -> Any:
    """Return how many random draws were made, where that is a number."""
    return None if is_recording() else default_generator.get_state()


def _record_scan(
    f: Any, init: Any, xs: Any, steps: int, reverse: bool, operation: str = "scan",
    draws: Any = None, **named: Any,
) -> Any:  # fmt: skip
    """Record a scan; None where the body draws numbers that would be the same in each step."""
    values, structure = flatten(xs)
    entries = unflatten(structure, [Aval(v.shape[1:], v.dtype) for v in values])
    loop = Loop(operation, f, init, entries, **named)
    if draws is not None and default_generator.get_state() != draws:
        default_generator.set_state(draws)
        if steps > 0:
            return None
    if not loop.graph.outputs:
        return loop.finish(())
    if steps <= 0:  # nothing runs, and what comes out is what went in, with its derivative
        ys = loop.graph.outputs[loop.carries :]
        none = [new_value(np.zeros((0, *y.shape), y.dtype), None, False) for y in ys]
        return loop.finish([*as_values(loop.starts), *none])
    graph = loop.graph
    count = len(loop.captured)
    if count:
        own = graph.inputs[: len(graph.inputs) - count]
        graph.inputs = (*graph.inputs[len(own) :], *own)
    outs = records.scan(
        *loop.captured, *loop.starts, *values,
        body=graph, consts=count, carries=loop.carries, length=steps, reverse=bool(reverse),
    )  # fmt: skip
    return loop.finish(outs)
