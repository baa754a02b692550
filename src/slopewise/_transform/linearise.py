"""Tools that turn one closed graph into others: its tangents, its cotangents, its batched form.

Invariant: a graph is never changed; it is replayed on fresh placeholders, the tape of that replay
is walked by the ordinary rules, and what was recorded is closed again. Forward values that a
pullback reads can be cut off as residuals. It is separate from the rules of control flow, which
only say how the new graphs are put together.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Edge, Node, engine, next_order
from slopewise._core.rules import Pointwise, View
from slopewise._core.state import enable_grad
from slopewise._core.trace import Graph, ancestors, placeholder
from slopewise._core.value import Value, new_value
from slopewise._transform.jvp import walk_forward
from slopewise._transform.vjp import walk_back
from slopewise._transform.vmap import batch_graph
from slopewise.errors import UsageError


class Replay:
    """A graph run again on placeholders, of which the `moving` ones are differentiated."""

    def __init__(self, graph: Graph, moving: Sequence[bool]) -> None:
        self.moving = list(moving)
        with enable_grad():
            self.inputs: list[Any] = [
                placeholder(Aval(e.shape, e.dtype), requires_grad=m)
                for e, m in zip(graph.inputs, moving, strict=True)
            ]
            self.outputs: list[Any] = graph(*self.inputs)
        self.edges: list[Edge] = [x._edge for x in self.inputs]
        self.end = next_order()

    @property
    def depends(self) -> list[bool]:
        """Return which outputs change with the moving inputs."""
        return [isinstance(o, Value) and o._requires_grad for o in self.outputs]

    def push(self, dots: Sequence[Any]) -> list[Any]:
        """Return the tangent of each output (None: zero) for tangents of the inputs."""
        seeds = {e: d for e, d in zip(self.edges, dots, strict=True) if d is not None}
        depends = self.depends
        live = [o._edge for o, d in zip(self.outputs, depends, strict=True) if d]
        arrived = iter(walk_forward(live, seeds, attached=True))
        return [next(arrived) if d else None for d in depends]

    def pull(self, bars: Sequence[Any], masked: bool = False) -> list[Any]:
        """Return the cotangent of each input (None: zero) for cotangents of the outputs.

        `masked` says that these may be 0 because `where` selected another branch.
        """
        heads = [
            (o._edge, b)
            for o, b, d in zip(self.outputs, bars, self.depends, strict=True)
            if b is not None and d
        ]
        targets = {e for e, m in zip(self.edges, self.moving, strict=True) if m}
        found = walk_back(heads, targets, attached=True, retain=True, masked=masked)
        return [found.get(e) for e in self.edges]

    def read_by(self, heads: Iterable[Any], steady: set[Edge]) -> list[Edge]:
        """Return what later nodes above `heads` read of the replay, as edges.

        What depends on `steady` inputs alone is computed again, and so is a view that is no smaller
        than what it looks at, and what is computed point by point from others that are read.
        """
        tops = [h._edge for h in heads if isinstance(h, Value) and h._edge is not None]
        varying: set[Edge] = {e for e in self.edges if e not in steady}
        late: set[Edge] = set()
        for node in ancestors(tops):
            if node.order >= self.end and (node.output < 0 or node.edges[0] in late):
                late.add(node)
            elif any(e in varying for e in node.edges):
                varying.add(node)
        through = {e for e in ancestors(tops) if e in late or e not in varying or _is_cheap(e)}
        cut = _cut(tops, through)
        known = set(cut)
        again = {e for e in cut if _is_composed(e, known, varying, BUDGET)}
        if not again:
            return cut
        inside = set(ancestors(again))
        pointwise = {e for e in inside if isinstance(e.primitive.lowering, Pointwise)}
        return _cut(tops, through | again | (pointwise - known))


BUDGET = 4
"""Operations that are computed again for one value that is not stored, beside its own."""


def _cut(tops: Iterable[Edge], through: set[Edge]) -> list[Edge]:
    """Return the nodes that are reached first from above, going on through some of them."""
    cut: list[Edge] = []
    seen: set[Edge] = set()
    pending: list[Edge] = list(tops)
    while pending:
        edge = pending.pop()
        if edge in seen or not isinstance(edge, Node):
            continue
        seen.add(edge)
        if edge in through:
            pending.extend(edge.edges)
        else:
            cut.append(edge)
    return cut


def _is_composed(node: Node, known: set[Edge], varying: set[Edge], budget: int) -> bool:
    """Return whether a node is computed point by point from known ones, in a few operations.

    What it is computed from may itself be composed of others: they come before it, so that some
    are left.
    """
    if not isinstance(node.primitive.lowering, Pointwise) or node.output >= 0:
        return False
    for operand in node.edges:
        if operand is None or operand in known or operand not in varying:
            continue
        if not budget or not _is_composed(operand, known, varying, budget - 1):
            return False
    return True


def _is_cheap(node: Node) -> bool:
    """Return whether a node is a view that would take no less room than its operand."""
    if not isinstance(node.primitive.lowering, View) or node.output >= 0 or len(node.edges) != 1:
        return False
    operand = node.edges[0]
    return operand is not None and operand.aval.size <= node.aval.size


def settle_moving(graph: Graph, moving: Sequence[bool], first: int, carries: int) -> Replay:
    """Replay the body of a loop with all carries moving that come to move in some step."""
    flags = list(moving)
    while True:
        replay = Replay(graph, flags)
        grown = [k for k in range(carries) if replay.depends[k] and not flags[first + k]]
        if not grown:
            return replay
        for k in grown:
            flags[first + k] = True


def stand_ins(avals: Iterable[Any], wanted: Iterable[bool]) -> list[Any]:
    """Return a placeholder for each wanted aval, None for the others."""
    return [placeholder(Aval(a.shape, a.dtype)) if w else None
            for a, w in zip(avals, wanted, strict=True)]  # fmt: skip


def fill(x: Any, like: Any) -> Any:
    """Return `x`, or zeros (which take no memory) of the shape of `like` where it is None."""
    if x is not None:
        return x
    return np.broadcast_to(np.zeros((), like.dtype), like.shape)


def zeros_for(x: Any, like: Any) -> Any:
    """Return `x`, or an array of zeros of the shape of `like` where it is None."""
    return np.zeros(like.shape, like.dtype) if x is None else x


def present(values: Iterable[Any]) -> list[Any]:
    """Return the entries that are not None."""
    return [v for v in values if v is not None]


def spread(x: Any, batched: bool, size: int) -> Any:
    """Return `x` with a batch axis in front."""
    return x if batched else engine.broadcast(x, shape=(size, *x.shape))


class Mapped:
    """A graph of one example, applied to placeholders with a batch axis where `flags` say so."""

    def __init__(self, graph: Graph, flags: Sequence[bool], size: int) -> None:
        self.size = size
        with enable_grad():
            self.inputs = [
                placeholder(Aval((size, *e.shape) if b else e.shape, e.dtype))
                for e, b in zip(graph.inputs, flags, strict=True)
            ]
            pairs = batch_graph(graph, self.inputs, flags, size)
        self.values: list[Any] = [x for x, _ in pairs]
        self.flags = [b for _, b in pairs]

    def close(self, wanted: Sequence[bool]) -> Graph:
        """Return the batched graph, its outputs given a batch axis where `wanted`."""
        outputs = [
            spread(x, b, self.size) if w else x
            for x, b, w in zip(self.values, self.flags, wanted, strict=True)
        ]
        return close_graph(self.inputs, outputs)


def settle_batched(
    graph: Graph, flags: Sequence[bool], first: int, carries: int, size: int
) -> tuple[Mapped, list[bool]]:
    """Batch the body of a loop with all carries batched that become so in some step."""
    settled = list(flags)
    while True:
        mapped = Mapped(graph, settled, size)
        grown = [k for k in range(carries) if mapped.flags[k] and not settled[first + k]]
        if not grown:
            return mapped, settled
        for k in grown:
            settled[first + k] = True


def close_graph(inputs: Sequence[Any], outputs: Sequence[Any]) -> Graph:
    """Return the graph from inputs (Values or edges) to outputs, with nothing read from outside."""
    edges = [x._edge if isinstance(x, Value) and x._edge is not None else x for x in inputs]
    graph = Graph(edges, outputs)
    if graph.capture():
        raise UsageError("control flow: a subgraph reads a value from outside; pass it in.")
    return graph


def reads(graph: Graph) -> set[Edge]:
    """Return the edges that a graph's nodes and outputs read."""
    found: set[Edge] = {e for node in graph.nodes for e in node.edges if e is not None}
    return found | {o for o in graph.outputs if isinstance(o, Node)}


def value_at(edge: Node) -> Any:
    """Return the Value of an abstract node."""
    return new_value(None, edge, edge.active and edge.dtype.kind == "f")
