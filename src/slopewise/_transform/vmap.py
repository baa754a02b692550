"""Batching: a function of one example becomes a function of many, without a Python loop.

Invariant: the function is traced once on the shapes of one example; each node is then applied with
its batch axis in front, by the batching rule of its record. A branch on a mapped value is an error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import engine, operand_at
from slopewise._core.source import explain
from slopewise._core.trace import Graph, trace
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, is_sequence
from slopewise._ops.shape import transpose
from slopewise.errors import DTypeError, IndexRangeError, ShapeError, UsageError


def batch_graph(
    graph: Graph, arguments: Sequence[Any], batched: Sequence[bool], size: int
) -> list[Any]:
    """Apply a graph of one example to arguments whose batch axis is the first; (value, batched)."""
    results: dict[Any, Any] = {
        node: (x, b) for node, x, b in zip(graph.inputs, arguments, batched, strict=True)
    }
    for node in graph.nodes:
        if node.output >= 0:
            parent, b = results[node.edges[0]]
            results[node] = (parent[node.output], b)
            continue
        pairs = [
            results[e] if e in results else (operand_at(node, i), False)
            for i, e in enumerate(node.edges)
        ]
        flags = [b for _, b in pairs]
        operands = [x for x, _ in pairs]
        if any(flags):
            out = node.primitive.batch(operands, flags, size, **node.params)
        else:
            out = node.primitive(*operands, **node.params)
        results[node] = (out, any(flags))
    return [results.get(o, (o, False)) if not isinstance(o, (Value, np.ndarray)) and o in results
            else (o, False) for o in graph.outputs]  # fmt: skip


def _settle(axis: Any, ndim: int, name: str) -> int:
    try:
        place = operator.index(axis)
    except TypeError:
        raise UsageError(explain(f"vmap: {name} holds {axis!r}; give integers or None.")) from None
    if not -ndim <= place < ndim:
        raise IndexRangeError(
            explain(f"vmap: {name} {axis} is out of range for {ndim} axes; use 0 to {ndim - 1}.")
        )
    return place % ndim


def vmap(function: Callable[..., Any], in_dims: Any = 0, out_dims: int = 0) -> Callable[..., Any]:
    """Map a function over an axis of its arguments, as one batched computation.

    Parameters
    ----------
    function : callable
        A function of one example; it returns a nest of Tensors.
    in_dims : int, None or tuple of them
        Which axis of each argument is mapped; None: the argument is the same for all.
    out_dims : int
        Where the mapped axis goes in each output.

    Returns
    -------
    callable
        A function of arguments with the mapped axis.

    Raises
    ------
    ShapeError
        If the mapped axes differ in length, nothing is mapped, or a mapped argument has no axis.
    IndexRangeError
        If an argument or an output has no such axis.
    UsageError
        If in_dims does not have one entry for each argument.
    DTypeError
        If the function returns anything but Tensors and numbers.
    TraceError
        If the function uses the number of a mapped value (in a Python branch, say).

    Examples
    --------
    >>> import slopewise as sw
    >>> f = lambda x: (x**2).sum()
    >>> sw.vmap(sw.grad(f))(sw.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[2., 4.],
            [6., 8.]])
    """
    from slopewise._transform.inputs import as_values

    @wraps(function)
    def mapped(*args: Any) -> Any:
        dims: Sequence[Any] = in_dims if is_sequence(in_dims) else (in_dims,) * len(args)
        if len(dims) != len(args):
            raise UsageError(
                explain(
                    f"vmap: in_dims {in_dims} has {len(dims)} entries for {len(args)} argument(s);"
                    " give one for each, or one for all."
                )
            )
        leaves: list[Any] = []
        flags: list[bool] = []
        sizes: set[int] = set()
        structures: list[Any] = []
        for arg, dim in zip(args, dims, strict=True):
            flat, structure = flatten(arg)
            structures.append((structure, len(flat)))
            axes = flatten(dim)[0] if isinstance(dim, (tuple, list, dict)) else [dim] * len(flat)
            if len(axes) != len(flat):
                raise UsageError(
                    explain(f"vmap: in_dims {dim} does not have one entry for each of {len(flat)}.")
                )
            for leaf, axis in zip(as_values(flat), axes, strict=True):
                if axis is None:
                    leaves.append(leaf)
                    flags.append(False)
                    continue
                if leaf.ndim == 0:
                    raise ShapeError(
                        explain("vmap: a 0-d argument has no axis to map; use in_dims=None.")
                    )
                axis = _settle(axis, leaf.ndim, "in_dims")
                order = (axis, *(i for i in range(leaf.ndim) if i != axis))
                leaves.append(leaf if axis == 0 else transpose(leaf, axes=order))
                flags.append(True)
                sizes.add(leaf.shape[axis])
        if len(sizes) != 1:
            raise ShapeError(
                explain(
                    f"vmap: the mapped axes have sizes {sorted(sizes)}; they must be one size."
                    if sizes
                    else "vmap: nothing is mapped; give at least one argument an axis in in_dims."
                )
            )
        size = sizes.pop()
        avals = [
            Aval(x.shape[1:] if b else x.shape, x.dtype) for x, b in zip(leaves, flags, strict=True)
        ]

        def flat_function(*inputs: Any) -> Any:
            position = 0
            rebuilt: list[Any] = []
            for structure, count in structures:
                rebuilt.append(unflatten(structure, list(inputs[position : position + count])))
                position += count
            out = function(*rebuilt)
            for leaf in flatten(out)[0]:
                if not isinstance(leaf, (Value, bool, int, float, np.ndarray, np.generic)):
                    raise DTypeError(
                        explain(
                            f"vmap: the function returned {type(leaf).__name__}; return Tensors,"
                            " or a nest of them."
                        )
                    )
            return out

        graph, structure = trace(flat_function, avals)
        outs: list[Any] = []
        for out, b in batch_graph(graph, leaves, flags, size):
            if not b:
                out = as_values([out])[0]
                out = engine.broadcast(out, shape=(size, *out.shape))
            if out_dims != 0:
                axis = _settle(out_dims, len(out.shape), "out_dims")
                order = list(range(1, len(out.shape)))
                order.insert(axis, 0)
                out = transpose(out, axes=tuple(order))
            outs.append(out)
        return unflatten(structure, outs)

    return mapped
