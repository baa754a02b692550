"""checkpoint: compute a part of a function again in reverse mode, and keep only its inputs.

Invariant: the second run equals the first, random draws included. Traced, it is a primitive over
the function's graph; eager, the function itself is run again. It is separate from the loops since
its eager form has a derivative of its own.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Node, Primitive, bind, next_order
from slopewise._core.rules import Control, Higher, Text
from slopewise._core.state import enable_grad, state
from slopewise._core.trace import ancestors
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, new_value, new_zeros, owner_of
from slopewise._front.bodies import Branches, is_abstract, is_recording
from slopewise._front.random import default_generator
from slopewise._ops import control as records
from slopewise._transform.custom import _fill_bars
from slopewise._transform.inputs import as_values, edge_of, mark
from slopewise._transform.jvp import walk_forward
from slopewise._transform.vjp import read_operands, walk_back
from slopewise.errors import UsageError


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
    if not state.grad_enabled:
        return function(*args, **kwargs)
    if is_recording() or is_abstract(args):
        return _record_checkpoint(lambda *given: function(*given, **kwargs), args)
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
    if is_abstract(outs):
        return unflatten(shape_of_out[0], outs)
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


def _record_checkpoint(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Trace the function, and record it as one step that can be computed again."""
    traced = Branches("checkpoint", [function], args)
    operands = (*traced.operands, *traced.captured)
    if not operands or not traced.graphs[0].outputs:
        return function(*args)
    return traced.finish(records.checkpoint(*operands, body=traced.graphs[0]))


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
