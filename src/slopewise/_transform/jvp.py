"""Forward mode: one walk over recorded nodes, from inputs to outputs.

Invariant: it reads the same nodes and the same rules as reverse mode. Tangents belong to edges, so
nested calls cannot confuse their perturbations. It is separate from reverse mode because the two
share nothing but the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slopewise._core.graph import Node
from slopewise._core.rules import Higher, Jvp, Linear, Multilinear, Partials, Zero
from slopewise._core.state import enable_grad, no_grad
from slopewise._core.trace import ancestors
from slopewise._core.value import Value
from slopewise._ops.arithmetic import add, guarded_mul
from slopewise._transform.vjp import check_guards, read_operands, read_out

Tangents = Sequence[Any]


def zero_tangent(edge: Any, operand: Any) -> Any:
    """Return a zero tangent for an operand of a node; for a number, the number 0."""
    like = operand if edge is None else edge
    return np.zeros(like.shape, like.dtype) if hasattr(like, "dtype") else 0.0


def push_partials(node: Node, rule: Partials, tangents: Tangents, attached: bool) -> Any:
    operands = read_operands(node, attached)
    out = read_out(node, attached)
    total: Any = None
    for tangent, partial in zip(tangents, rule.partials, strict=True):
        if tangent is None or partial is None:
            continue
        factor = partial(out, *operands, **node.params)
        if type(factor) is np.float64:
            factor = float(factor)  # computed from numbers alone: the tangent keeps its dtype
        term = guarded_mul(tangent, factor) if rule.singular else tangent * factor
        total = term if total is None else add(total, term)
    return total


def push_linear(node: Node, rule: Linear, tangents: Tangents, attached: bool) -> Any:
    operands = list(read_operands(node, attached))
    wrt = range(len(operands)) if rule.wrt is None else rule.wrt
    if all(tangents[i] is None for i in wrt):
        return None
    for i in wrt:
        tangent = tangents[i]
        operands[i] = zero_tangent(node.edges[i], operands[i]) if tangent is None else tangent
    return node.primitive(*operands, **node.params)


def push_multilinear(node: Node, rule: Multilinear, tangents: Tangents, attached: bool) -> Any:
    operands = list(read_operands(node, attached))
    total: Any = None
    for i, tangent in enumerate(tangents):
        if tangent is None:
            continue
        kept = operands[i]
        operands[i] = tangent
        term = node.primitive(*operands, **node.params)
        operands[i] = kept
        total = term if total is None else add(total, term)
    return total


def push_jvp(node: Node, rule: Jvp, tangents: Tangents, attached: bool) -> Any:
    operands = read_operands(node, attached)
    out = read_out(node, attached)
    given = tuple(
        zero_tangent(node.edges[i], operands[i]) if tangents[i] is None else tangents[i]
        for i in rule.wrt
    )
    return rule.rule(given, out, *operands, **node.params)


def push_zero(node: Node, rule: Zero, tangents: Tangents, attached: bool) -> Any:
    return None


def push_higher(node: Node, rule: Higher, tangents: Tangents, attached: bool) -> Any:
    return rule.push(node, tangents)


PUSHES: dict[type, Callable[..., Any]] = {
    Partials: push_partials,
    Linear: push_linear,
    Multilinear: push_multilinear,
    Jvp: push_jvp,
    Zero: push_zero,
    Higher: push_higher,
}


def walk_forward(heads: Sequence[Any], seeds: dict[Any, Any], *, attached: bool) -> list[Any]:
    """Push the tangents in `seeds` (by edge) up to the edges `heads`; None where none arrives."""
    tangents: dict[Any, Any] = dict(seeds)
    mode = enable_grad() if attached else no_grad()
    with mode, np.errstate(all="ignore"):
        for node in ancestors(heads):
            if node in tangents or not node.active:
                continue
            if node.bypass is not None:
                tangent = tangents.get(node.bypass[0])
            elif node.output >= 0:
                parent = tangents.get(node.edges[0])
                tangent = None if parent is None else parent[node.output]
            else:
                incoming = [None if e is None else tangents.get(e) for e in node.edges]
                if all(t is None for t in incoming):
                    continue
                if node.guards:
                    check_guards(node)
                rule = node.primitive.derivative
                tangent = PUSHES[type(rule)](node, rule, incoming, attached)
            if tangent is not None:
                tangents[node] = tangent
    return [tangents.get(edge) for edge in heads]


def reaches_beyond(heads: Sequence[Any], seeds: set[Any]) -> bool:
    """Return whether outputs depend on leaves or abstract values other than the seeds."""
    for node in ancestors([h for h in heads if isinstance(h, Node)]):
        if node in seeds:
            continue
        for edge in node.edges:
            if isinstance(edge, Value) and edge not in seeds:
                return True
        if not node.edges and node.primitive.name == "placeholder":
            return True
    return False
