"""Expression: the array graph as a compiler reads it, with equal nodes merged.

Invariant: an Expression is immutable and unique in its Table: two that apply the same primitive to
the same operands with the same params are one object. It is separate from Node, whose tape holds
what a derivative needs, twice where it was computed twice.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Node, Primitive, operand_at
from slopewise._core.trace import Graph
from slopewise._core.value import Array, Value, is_array, is_tuple


class Expression:
    """One application of a primitive, an input, a constant array or a number.

    Attributes
    ----------
    primitive : Primitive, optional
        None for an input, a constant and a number.
    operands : tuple of Expression
    params : dict
    avals : tuple of Aval
        One for each output; most have one.
    output : int
        Which output of its only operand this stands for, or -1.
    data : ndarray or None
        The array of a constant; the 0-d array of a number.
    place : tuple
        The code object and instruction that made it, for messages.
    """

    __slots__ = ("avals", "data", "key", "number", "operands", "output", "params", "place",
                 "primitive")  # fmt: skip

    def __init__(
        self,
        primitive: Primitive | None,
        operands: tuple[Expression, ...],
        params: dict[str, Any],
        avals: tuple[Aval, ...],
        number: int,
    ) -> None:
        self.primitive = primitive
        self.operands = operands
        self.params = params
        self.avals = avals
        self.number = number
        self.output = -1
        self.data: Array | None = None
        self.place: Any = None
        self.key: Any = None

    @property
    def name(self) -> str:
        if self.primitive is not None:
            return self.primitive.name
        return "input" if self.data is None else "constant"

    @property
    def aval(self) -> Aval:
        return self.avals[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.avals[0].shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.avals[0].dtype

    @property
    def is_number(self) -> bool:
        """Whether this is a constant without axes."""
        return self.data is not None and self.data.ndim == 0

    def __repr__(self) -> str:
        return f"<{self.number}: {self.name} {self.dtype}{list(self.shape)}>"


def freeze(params: Any) -> Any:
    """Return params as something to compare and hash by; graphs and functions by identity."""
    if isinstance(params, dict):
        return tuple(sorted((k, freeze(v)) for k, v in params.items()))  # pyright: ignore
    if isinstance(params, (list, tuple)):
        return tuple(freeze(v) for v in params)  # pyright: ignore
    if is_array(params):
        return ("array", id(params))
    if isinstance(params, float):
        return ("float", params.hex())
    try:
        hash(params)
    except TypeError:
        return id(params)
    return params


class Table:
    """Makes Expressions, each once."""

    def __init__(self) -> None:
        self.known: dict[Any, Expression] = {}
        self.kept: list[Any] = []  # what keys name by identity must not be freed
        self.count = 0

    def add(self, key: Any, make: tuple[Any, ...]) -> Expression:
        found = self.known.get(key)
        if found is None:
            primitive, operands, params, avals = make
            found = Expression(primitive, operands, params, avals, self.count)
            self.known[key] = found
            found.key = key
            self.count += 1
        return found

    def input(self, position: int, aval: Aval) -> Expression:
        return self.add(("input", position), (None, (), {"position": position}, (aval,)))

    def number(self, value: Any, dtype: np.dtype[Any]) -> Expression:
        """Return a 0-d constant."""
        data = np.asarray(value, dtype)
        expression = self.add(("number", data.tobytes(), dtype), (None, (), {}, (Aval((), dtype),)))
        expression.data = data
        return expression

    def constant(self, array: Array) -> Expression:
        """Return a constant; an array that holds one number only is that number, broadcast."""
        if array.ndim == 0:
            return self.number(array, array.dtype)
        self.kept.append(array)
        expression = self.add(
            ("constant", id(array)), (None, (), {}, (Aval(array.shape, array.dtype),))
        )
        expression.data = array
        return expression

    def apply(
        self,
        primitive: Primitive,
        operands: Sequence[Expression],
        params: dict[str, Any],
        place: Any = None,
    ) -> Expression:
        """Return a primitive applied to operands (all its outputs, where it has several)."""
        frozen = freeze(params)
        self.kept.append(params)
        key = (primitive.name, id(primitive), tuple(o.number for o in operands), frozen)
        found = self.known.get(key)
        if found is None:
            # Beside arrays of numbers, a number says nothing about the dtype.
            bare = any(not o.is_number and o.dtype.kind != "b" for o in operands)
            stated = primitive.abstract(
                *(o.data if o.is_number and bare and primitive.pointwise else o.aval
                  for o in operands), **params,
            )  # fmt: skip
            if primitive.pointwise:
                wide = max((len(o.shape), o.shape) for o in operands)[1]
                stated = Aval(wide, stated.dtype)
            avals = stated if is_tuple(stated) else (stated,)
            found = self.add(key, (primitive, tuple(operands), params, avals))
            found.place = place
        return found

    def select(self, parent: Expression, output: int) -> Expression:
        """Return one output of an expression that has several."""
        found = self.add(
            ("output", parent.number, output),
            (parent.primitive, (parent,), {}, (parent.avals[output],)),
        )
        found.output = output
        found.place = parent.place
        return found


def order(roots: Iterable[Expression]) -> list[Expression]:
    """Return everything the roots need, operands first (their numbers are that order)."""
    seen: dict[int, Expression] = {}
    pending = list(roots)
    while pending:
        expression = pending.pop()
        if expression.number in seen:
            continue
        seen[expression.number] = expression
        pending.extend(expression.operands)
    return [seen[k] for k in sorted(seen)]


def read_graph(graph: Graph, table: Any, inputs: Sequence[Expression]) -> list[Expression]:
    """Return the outputs of a graph as Expressions made by `table` (its apply may rewrite)."""
    places: dict[Any, Expression] = dict(zip(graph.inputs, inputs, strict=True))

    def operand(node: Node, i: int, like: np.dtype[Any]) -> Expression:
        edge = node.edges[i]
        found = places.get(edge) if edge is not None else None
        return table.read(operand_at(node, i), like) if found is None else found

    for node in graph.nodes:
        if node.output >= 0:
            places[node] = table.select(places[node.edges[0]], node.output)
            continue
        like = _dtype_of_numbers(node, places)
        operands = [operand(node, i, like) for i in range(len(node.edges))]
        places[node] = table.apply(node.primitive, operands, node.params, node.place)
        assert places[node].shape == node.shape or len(places[node].avals) > 1, (node, operands)
    results: list[Expression] = []
    for out in graph.outputs:
        inside = isinstance(out, (Node, Value)) and out in places
        results.append(places[out] if inside else table.read(out, None))
    return results


def _dtype_of_numbers(node: Node, places: dict[Any, Expression]) -> np.dtype[Any]:
    """Return the dtype that bare numbers among a node's operands take: that of their peers."""
    assert node.operands is not None
    for i in range(len(node.edges) - 1, -1, -1):
        edge = node.edges[i]
        if edge is not None and edge in places:
            return places[edge].dtype
        x = operand_at(node, i)
        if hasattr(x, "dtype"):
            return x.dtype
    return node.dtype
