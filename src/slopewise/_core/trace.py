"""From a function to a Graph: tracing with abstract values, and replaying what was traced.

Invariant: a Graph lists exactly the nodes between its inputs and outputs, in creation order; what
the function closed over stays outside and is read through the edges. It is separate because the
transforms and the compiler start from a Graph, and eager code never makes one.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Edge, Node, Primitive, operand_at
from slopewise._core.rules import Generate, Sample, Text, Zero
from slopewise._core.value import Value, new_value


def _stand_in(*_operands: Any, **params: Any) -> Any:
    """Return the aval; a placeholder is never evaluated."""
    return params.get("aval")


def _no_samples(rng: np.random.Generator) -> tuple[Sample, ...]:
    del rng
    return ()


PLACEHOLDER = Primitive(
    "placeholder",
    value=_stand_in,
    derivative=Zero(),
    lowering=Generate("input"),
    abstract=_stand_in,
    batch=_stand_in,
    samples=_no_samples,
    text=Text("input", "입력", "x"),
)


def placeholder(aval: Aval, *, requires_grad: bool = False) -> Any:
    """Return an abstract Value that stands for an input of the traced function."""
    node = Node(PLACEHOLDER, (), (), None, {"aval": aval}, aval.shape, aval.dtype)
    node.active = node.plain = requires_grad
    return new_value(None, node, requires_grad)


def ancestors(edges: Iterable[Edge], stop: Iterable[Edge] = (), floor: int = -1) -> list[Node]:
    """Return all nodes above the given edges, in creation (topological) order.

    Nodes in `stop`, those above them, and those made before number `floor` are left out.
    """
    seen: set[Edge] = set(stop)
    found: list[Node] = []
    pending = [e for e in edges if isinstance(e, Node)]
    while pending:
        node = pending.pop()
        if node in seen or node.order < floor:
            continue
        seen.add(node)
        found.append(node)
        for edge in node.edges:
            if isinstance(edge, Node) and edge not in seen:
                pending.append(edge)
        if node.bypass is not None and isinstance(node.bypass[0], Node):
            pending.append(node.bypass[0])
    return sorted(found, key=lambda n: n.order)


@dataclass(frozen=True)
class _Program:
    """A graph with its values numbered: inputs, constants, then one value for each step."""

    constants: list[Any]
    steps: list[tuple[Primitive | None, list[int], dict[str, Any], int]]
    results: list[int]


class Graph:
    """A traced function: input nodes, the nodes that depend on them, and outputs.

    An output is a Node of the graph, or whatever the function returned that does not depend on
    the inputs (a Value or an array). What lies above an input is no part of the graph. With
    `since`, the traced nodes numbered from there on belong to the graph even where they do not
    depend on its inputs: a branch that is not taken must not be computed.
    """

    def __init__(
        self, inputs: Sequence[Edge], outputs: Sequence[Any], since: int | None = None
    ) -> None:
        self.inputs: tuple[Edge, ...] = tuple(inputs)
        self._program: _Program | None = None
        self._captured = 0
        depends: set[Node] = set(self.inputs)
        self.nodes: list[Node] = []
        heads = [v._edge for v in outputs if isinstance(v, Value)]
        orders = [e.order if isinstance(e, Node) else -1 for e in self.inputs]
        if since is not None:
            orders.append(since)
        above = ancestors(heads, self.inputs, min(orders, default=-1))
        own = set[Node]() if since is None else _traced(heads, above, since)
        for node in above:
            if node.output >= 0:
                inside = node.edges[0] in depends
            else:
                inside = node in own or any(e in depends for e in node.edges if e is not None)
            if inside:
                depends.add(node)
                self.nodes.append(node)
        self._inside: set[Any] = depends
        self.outputs = tuple(
            v._edge if isinstance(v, Value) and v._edge in depends else v for v in outputs
        )

    def __call__(self, *arguments: Any) -> list[Any]:
        """Apply the graph to arrays (evaluated at once) or Values (recorded)."""
        if self._program is None:
            self._program = self._compile()
        slots: list[Any] = [*arguments, *self._program.constants]
        for primitive, places, params, output in self._program.steps:
            if primitive is None:
                slots.append(slots[places[0]][output])
            else:
                slots.append(primitive(*[slots[i] for i in places], **params))
        return [slots[i] for i in self._program.results]

    def _compile(self) -> _Program:
        """Number all values once, so that a call needs no look-ups."""
        places: dict[Any, int] = {node: i for i, node in enumerate(self.inputs)}
        constants: list[Any] = []
        pending: list[tuple[Node, list[Any]]] = []
        for node in self.nodes:
            operands: list[Any] = []
            for i, edge in enumerate(node.edges):
                if edge is not None and edge in self._inside:
                    operands.append(edge)
                else:
                    constants.append(operand_at(node, i))
                    operands.append(len(self.inputs) + len(constants) - 1)
            pending.append((node, operands))
        free = [o for o in self.outputs if not self._is_inside(o)]
        start = len(self.inputs) + len(constants) + len(free)
        for k, (node, _) in enumerate(pending):
            places[node] = start + k
        steps = [
            (
                None if node.output >= 0 else node.primitive,
                [o if isinstance(o, int) else places[o] for o in operands],
                node.params,
                node.output,
            )
            for node, operands in pending
        ]
        results: list[int] = []
        given = len(self.inputs) + len(constants)
        for out in self.outputs:
            if self._is_inside(out):
                results.append(places[out])
            else:
                constants.append(out)
                results.append(given)
                given += 1
        return _Program(constants, steps, results)

    def _is_inside(self, out: Any) -> bool:
        return isinstance(out, (Node, Value)) and out in self._inside

    def capture(self) -> list[Any]:
        """Make what the function closed over further inputs of the graph; return its Values.

        They follow the other inputs. What is left outside is arrays alone.
        """
        inside = self._inside
        captured: dict[Any, Any] = {}
        for node in self.nodes:
            for i, edge in enumerate(node.edges):
                if edge is not None and edge not in inside and edge not in captured:
                    captured[edge] = operand_at(node, i)
        outputs: list[Any] = []
        for out in self.outputs:
            if isinstance(out, Value) and (out._edge is not None or out._requires_grad):
                edge = out if out._edge is None else out._edge
                captured.setdefault(edge, out)
                outputs.append(edge)
            else:
                outputs.append(out._value if isinstance(out, Value) else out)
        self.inputs = (*self.inputs, *captured)
        self._captured += len(captured)
        self._inside = {*inside, *captured}
        self._program = None
        self.outputs = tuple(outputs)
        return list(captured.values())

    def take(self, inputs: Sequence[Edge]) -> None:
        """Make `inputs` those after the graph's own first ones; they include what it captured."""
        own = len(self.inputs) - self._captured
        self.inputs = (*self.inputs[:own], *inputs)
        self._captured = len(inputs)
        self._inside = {*self._inside, *inputs}
        self._program = None


def _traced(heads: Sequence[Edge], above: Sequence[Node], since: int) -> set[Node]:
    """Return the nodes from number `since` on that stand for values not known yet."""
    recent = {n for n in above if n.order >= since and n.primitive is not PLACEHOLDER}
    if not recent:
        return recent
    abstract: set[Node] = set()
    for node in ancestors(heads):
        if node.primitive is PLACEHOLDER or any(e in abstract for e in node.edges):
            abstract.add(node)
    return recent & abstract


def trace(function: Callable[..., Any], avals: Sequence[Aval]) -> tuple[Graph, Any]:
    """Trace a function of flat Values; return its graph and the structure it returned."""
    from slopewise._core.tree import flatten

    inputs = [placeholder(aval) for aval in avals]
    leaves, structure = flatten(function(*inputs))
    return Graph([v._edge for v in inputs], leaves), structure
