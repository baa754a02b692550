"""Control flow that differentiates: cond, while_loop, fori_loop, scan, checkpoint.

Invariant: with concrete tensors these run as plain Python does, and the tape records what ran.
Traced, `cond` computes both branches and selects, loops of known length unroll, and `while_loop` is
a primitive of its own. The semantics are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Node, Primitive, bind, next_order
from slopewise._core.rules import Control, Higher, Text
from slopewise._core.source import explain
from slopewise._core.state import enable_grad, state
from slopewise._core.trace import Graph, ancestors, trace
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, new_value, new_zeros, owner_of
from slopewise._front.creation import settle_integer
from slopewise._front.elementwise import where
from slopewise._front.joins import stack, unbind
from slopewise._front.operands import as_value
from slopewise._front.random import default_generator
from slopewise._front.reduction import any as any_of
from slopewise._front.shape import broadcast_to, flip, reshape
from slopewise._transform.custom import _fill_bars
from slopewise._transform.inputs import as_values, edge_of, mark
from slopewise._transform.jvp import walk_forward
from slopewise._transform.vjp import read_operands, walk_back
from slopewise._transform.vmap import batch_graph
from slopewise.errors import GradientError, ShapeError, UsageError


def _is_abstract(tree: Any) -> bool:
    return any(isinstance(x, Value) and x._value is None for x in flatten(tree)[0])


def _same_structure(operation: str, first: Any, second: Any) -> None:
    a, b = flatten(first), flatten(second)
    if a[1] != b[1]:
        raise UsageError(explain(f"{operation}: {len(a[0])} and {len(b[0])} results differ."))
    for x, y in zip(a[0], b[0], strict=True):
        if np.shape(x) != np.shape(y) if not isinstance(x, Value) else x.shape != as_value(y).shape:
            raise ShapeError(
                explain(f"{operation}: shapes {as_value(x).shape} and {as_value(y).shape} differ.")
            )


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Return true_fun(*operands) where pred holds, else false_fun(*operands).

    Traced, both are computed and one is selected; the other contributes a gradient of exactly 0.

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
    if not isinstance(pred, Value) or pred._value is not None:
        return true_fun(*operands) if bool(pred) else false_fun(*operands)
    taken, other = true_fun(*operands), false_fun(*operands)
    _same_structure("cond", taken, other)
    leaves, structure = flatten(taken)
    return unflatten(
        structure,
        [where(pred, a, b) for a, b in zip(leaves, flatten(other)[0], strict=True)],
    )


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any
) -> Any:
    """Apply body_fun to a carry while cond_fun holds; return the last carry.

    With concrete tensors both modes differentiate it. Traced with a trip count that depends on
    traced values, forward mode does; reverse mode needs a bounded loop (fori_loop, scan).

    Parameters
    ----------
    cond_fun : callable
        `carry -> bool or 0-d Tensor of bool`.
    body_fun : callable
        `carry -> carry`, of the same structure and shapes.
    init_val : nest of Tensor
        The first carry.

    Returns
    -------
    nest of Tensor
        The last carry.

    Raises
    ------
    UsageError
        Traced, if the body returns a carry of another structure.
    GradientError
        In reverse mode through a traced loop.

    Examples
    --------
    >>> import slopewise as sw
    >>> f = lambda x: sw.while_loop(lambda v: v < 100, lambda v: v * x, x)
    >>> f(sw.tensor(3.0)).item()
    243.0
    """
    carry = init_val
    if not _is_abstract(carry):
        truth = cond_fun(carry)
        if not _is_abstract(truth):
            while bool(truth):
                carry = body_fun(carry)
                truth = cond_fun(carry)
                if _is_abstract(truth):
                    break
            else:
                return carry
    return _traced_while(cond_fun, body_fun, carry)


def _traced_while(cond_fun: Any, body_fun: Any, init: Any) -> Any:
    leaves, structure = flatten(init)
    values = as_values(leaves)
    avals = [Aval(v.shape, v.dtype) for v in values]
    test, _ = trace(lambda *xs: cond_fun(unflatten(structure, list(xs))), avals)
    body, after = trace(lambda *xs: body_fun(unflatten(structure, list(xs))), avals)
    if after != structure:
        raise UsageError(explain("while_loop: the body must return a carry of the same structure."))
    test_captured = test.capture()
    body_captured = body.capture()
    outs = bind(
        while_primitive,
        (*values, *test_captured, *body_captured),
        {"test": test, "body": body, "carries": len(values), "tests": len(test_captured)},
    )
    return unflatten(structure, list(outs))


def _run_while(*operands: Any, test: Graph, body: Graph, carries: int, tests: int) -> Any:
    carry = list(operands[:carries])
    test_extra, body_extra = operands[carries : carries + tests], operands[carries + tests :]
    while bool(np.asarray(test(*carry, *test_extra)[0])):
        carry = [np.asarray(x) for x in body(*carry, *body_extra)]
    return tuple(np.asarray(x) for x in carry)


def _batch_while(
    operands: Sequence[Any], batched: Sequence[bool], size: int, *, test: Graph, body: Graph,
    carries: int, tests: int,
) -> Any:  # fmt: skip
    """Run until no example continues; examples that are done keep their carry."""
    values = as_values(list(operands))
    carry = [
        x if b else broadcast_to(x, (size, *x.shape))
        for x, b in zip(values[:carries], batched[:carries], strict=True)
    ]
    test_extra, body_extra = values[carries : carries + tests], values[carries + tests :]
    test_flags, body_flags = batched[carries : carries + tests], batched[carries + tests :]
    mapped = [True] * carries

    def going(state_: list[Any]) -> Any:
        out, flag = batch_graph(test, [*state_, *test_extra], [*mapped, *test_flags], size)[0]
        return out if flag else broadcast_to(as_value(out), (size,))

    def advance(state_: list[Any]) -> list[Any]:
        mask = going(state_)
        new = batch_graph(body, [*state_, *body_extra], [*mapped, *body_flags], size)
        return [
            where(reshape(mask, (size, *(1,) * (old.ndim - 1))), as_value(x), old)
            for (x, _), old in zip(new, state_, strict=True)
        ]

    return tuple(while_loop(lambda s: any_of(going(s)), advance, carry))


def _push_while(node: Node, tangents: Sequence[Any]) -> Any:
    """Forward mode: the loop carries values and tangents together."""
    from slopewise._transform.gradients import jvp

    params: dict[str, Any] = node.params
    carries, tests = params["carries"], params["tests"]
    operands = as_values(list(read_operands(node, True)))
    dots = [
        new_value(np.zeros(x.shape, x.dtype), None, False) if t is None else as_values([t])[0]
        for x, t in zip(operands, tangents, strict=True)
    ]
    floats = [x.dtype.kind == "f" for x in operands]
    test_extra = operands[carries : carries + tests]
    body_extra, body_dots = operands[carries + tests :], dots[carries + tests :]

    def body(pair: Any) -> Any:
        carry, carry_dots = pair
        every = [*carry, *body_extra]
        every_dots = [*carry_dots, *body_dots]
        flags = [*floats[:carries], *floats[carries + tests :]]
        moving = [i for i, f in enumerate(flags) if f]

        def along(*xs: Any) -> Any:
            full = list(every)
            for i, x in zip(moving, xs, strict=True):
                full[i] = x
            return tuple(params["body"](*full))

        outs, out_dots = jvp(along, [every[i] for i in moving], [every_dots[i] for i in moving])
        return list(as_values(outs)), [
            d if f else old
            for d, f, old in zip(out_dots, floats[:carries], carry_dots, strict=True)
        ]

    _, final = while_loop(
        lambda pair: params["test"](*pair[0], *test_extra)[0],
        body,
        (operands[:carries], dots[:carries]),
    )
    return tuple(final)


def _pull_while(node: Node, out_bar: Any) -> Any:
    raise GradientError(
        "while_loop: reverse mode through a traced loop whose trip count is not known would have to"
        " store an unknown number of steps. Use fori_loop or scan with a bound (and where() to stop"
        " early), or forward mode (jvp)."
    )


while_primitive = Primitive(
    "while",
    value=_run_while,
    derivative=Higher(_pull_while, _push_while),
    lowering=Control(),
    abstract=lambda *avals, carries, **_rest: tuple(avals[:carries]),
    batch=_batch_while,
    samples=lambda rng: (),
    text=Text(
        "loop, step by step", "반복: 단계마다 합성함수의 미분법", r"(f_n\circ\dots\circ f_1)'"
    ),
)


def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """Return the carry after body_fun(i, carry) for i from lower to upper - 1.

    Parameters
    ----------
    lower, upper : int
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
        If a bound is no integer.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.grad(lambda x: sw.fori_loop(0, 3, lambda i, v: v * x, x))(2.0).item()
    32.0
    """
    first = settle_integer(lower, "fori_loop", "a bound")
    carry = init_val
    for i in range(first, settle_integer(upper, "fori_loop", "a bound")):
        carry = body_fun(i, carry)
    return carry


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
        The last carry, and the ys stacked along a new leading axis.

    Raises
    ------
    ShapeError
        If the leading axes differ.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.scan(lambda c, x: (c + x, c + x), sw.tensor(0.0), sw.tensor([1.0, 2.0, 3.0]))[1]
    tensor([1., 3., 6.])
    """
    leaves, structure = flatten(xs)
    values = as_values(leaves)
    sizes = {v.shape[0] for v in values if v.ndim}
    if length is not None:
        sizes.add(length)
    if len(sizes) != 1:
        raise ShapeError(
            explain(f"scan: the leading axes have sizes {sorted(sizes)}; they must be one size.")
        )
    steps = sizes.pop()
    columns = [unbind(v, 0) for v in values]
    carry = init
    ys: list[Any] = []
    for i in reversed(range(steps)) if reverse else range(steps):
        carry, y = f(carry, unflatten(structure, [c[i] for c in columns]))
        ys.append(y)
    if not ys:
        return carry, None
    parts = [flatten(y) for y in ys]
    stacked = [stack([p[0][k] for p in parts], 0) for k in range(len(parts[0][0]))]
    if reverse:
        stacked = [flip(s, 0) for s in stacked]
    return carry, unflatten(parts[0][1], stacked)


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool = False, **kwargs: Any
) -> Any:
    """Return function(*args), keeping only its inputs: backward computes it again.

    Random draws inside are repeated exactly. What the function closes over gets its gradients too.

    Source: Chen et al. (2016), Training deep nets with sublinear memory cost, section 4.

    Parameters
    ----------
    function : callable
        Returns a nest of Tensors.
    *args, **kwargs : nest of Tensor and others
        The arguments of the function.
    use_reentrant : bool
        Taken for PyTorch's sake; it changes nothing.

    Returns
    -------
    nest of Tensor
        What the function returns.

    Raises
    ------
    GradientError
        In forward mode.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor(2.0, requires_grad=True)
    >>> sw.checkpoint(lambda v: sw.exp(sw.sin(v)), x).backward()
    >>> round(x.grad.item(), 4)
    -1.0331
    """
    del use_reentrant
    leaves, structure = flatten(args)
    places = [i for i, x in enumerate(leaves) if isinstance(x, Value)]
    if _is_abstract(args) or not state.grad_enabled:
        return function(*args, **kwargs)
    seed_state = default_generator.get_state()
    shape_of_out: list[Any] = []

    def run(operands: Sequence[Any]) -> list[Any]:
        full = list(leaves)
        for i, x in zip(places, operands, strict=True):
            full[i] = x
        outs, out_structure = flatten(function(*unflatten(structure, full), **kwargs))
        shape_of_out[:] = [out_structure]
        return as_values(outs)

    inputs = [leaves[i] for i in places]
    floats = [x.dtype.kind == "f" for x in inputs]
    start = next_order()
    with enable_grad():
        first = [mark(x, "checkpoint") if f else x for x, f in zip(inputs, floats, strict=True)]
        outs = run(first)
    fresh = {edge_of(x) for x in first}
    captured = _outer_edges([edge_of(o) for o in outs if o._requires_grad], fresh, start)
    operands = [*inputs, *captured.values()]

    def repeat(node: Node) -> tuple[list[Any], list[Any]]:
        """Run the function again on the node's operands, with the same random draws."""
        now = default_generator.get_state()
        default_generator.set_state(seed_state)
        try:
            values = as_values(list(read_operands(node, True)))[: len(inputs)]
            again = [mark(x, "checkpoint") if f else x for x, f in zip(values, floats, strict=True)]
            with enable_grad():
                return again, run(again)
        finally:
            default_generator.set_state(now)

    def pull(node: Node, out_bar: Any) -> Any:
        again, results = repeat(node)
        heads = [
            (edge_of(o), b)
            for o, b in zip(results, _fill_bars(node, out_bar), strict=True)
            if o._requires_grad
        ]
        targets = {edge_of(x) for x, f in zip(again, floats, strict=True) if f} | set(captured)
        found = walk_back(heads, targets, attached=True, retain=True, boundary=True)
        bars = [found.get(edge_of(x)) if f else None for x, f in zip(again, floats, strict=True)]
        return [*bars, *(found.get(e) for e in captured)]

    def push(node: Node, tangents: Sequence[Any]) -> Any:
        again, results = repeat(node)
        edges = [edge_of(x) if f else None for x, f in zip(again, floats, strict=True)]
        seeds = {
            e: as_values([t])[0]
            for e, t in zip([*edges, *captured], tangents, strict=True)
            if e is not None and t is not None
        }
        heads = [edge_of(o) if o._requires_grad else None for o in results]
        arrived = iter(walk_forward([h for h in heads if h is not None], seeds, attached=True))
        dots = [None if h is None else next(arrived) for h in heads]
        return tuple(new_zeros(o) if d is None else d for d, o in zip(dots, results, strict=True))

    # Copied where an output is an input, or looks at one: each has a buffer of its own.
    given = [owner_of(x._value) for x in operands]
    arrays = tuple(
        o._value.copy() if any(owner_of(o._value) is g for g in given) else o._value for o in outs
    )
    record_ = Primitive(
        "checkpoint",
        value=lambda *_operands: arrays,
        derivative=Higher(pull, push),
        lowering=Control(),
        abstract=lambda *_avals: tuple(Aval(a.shape, a.dtype) for a in arrays),
        batch=_never_mapped,
        samples=lambda rng: (),
        text=Text("computed again", "다시 계산함", r"f'"),
    )
    if not operands:
        return unflatten(shape_of_out[0], outs)
    return unflatten(shape_of_out[0], list(bind(record_, tuple(operands), {})))


def _never_mapped(*_operands: Any, **_params: Any) -> NoReturn:
    """Refuse to batch a checkpoint: a traced one is inlined, so no mapped graph holds it."""
    raise UsageError("checkpoint: cannot be mapped after it ran; map the function itself.")


def _outer_edges(heads: list[Any], fresh: set[Any], start: int) -> dict[Any, Any]:
    """Return what the recorded run reached beyond its own inputs, as edge -> Value."""
    found: dict[Any, Any] = {}
    for node in ancestors(heads):
        if node.order < start or node in fresh:
            continue
        for i, edge in enumerate(node.edges):
            if edge is None or edge in fresh:
                continue
            if isinstance(edge, Value):
                found[edge] = edge
            elif edge.order < start:
                array = None if node.operands is None else node.operands[i]
                found[edge] = new_value(
                    np.zeros(edge.shape, edge.dtype) if array is None else array, edge, True
                )
    return found
