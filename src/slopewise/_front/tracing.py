"""Tracing a function into a Plan: what it read, what it changed, and what it returned.

Invariant: after a trace every tensor, attribute and generator is what it was before, whatever was
raised; what the plan keeps of tensors is weak. What was made inside and is gone is a constant. It
is separate from `plan`, which is all that a compiled call needs.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.capture import Adopted, Recorder
from slopewise._core.graph import Node
from slopewise._core.rules import Control
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._core.trace import PLACEHOLDER, Graph, ancestors, placeholder
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, new_value
from slopewise._front.plan import Plan, partition_memory
from slopewise._front.reach import MISSING, Reach
from slopewise.errors import TraceError


def trace_plan(
    function: Callable[..., Any],
    key: Any,
    reach: Reach,
    arguments: Sequence[Any],
    structure: Any,
    roots: Sequence[Any],
) -> Plan:
    """Trace a function once and return the plan; everything is left as it was."""
    plan = Plan(key, reach)
    recorder = Recorder()
    with recorder:
        for _, tensor in reach.tensors():
            if tensor._value is not None and not _is_grad_only(reach, tensor):
                recorder.adopt(tensor)
        leaves, inputs = _stand_ins(arguments)
        args, kwargs = unflatten(structure, leaves)
        try:
            answer = function(*args, **kwargs)
        except BaseException:
            _put_back(reach, roots)
            raise
        trace = _Trace(plan, recorder, inputs)
        trace.take_answer(answer)
        del answer, args, kwargs, leaves
        trace.take_changes(roots)
        trace.let_go()
    trace.finish()
    return plan


def _is_grad_only(reach: Reach, tensor: Any) -> bool:
    return any(
        place.label.endswith(".grad") and thing is tensor and place.kind == "tensor"
        for place, thing in zip(reach.places, reach.found, strict=True)
        if thing is tensor
    )


def _stand_ins(arguments: Sequence[Any]) -> tuple[list[Any], dict[Node, int]]:
    """Return what the function is called with, and which argument each new input stands for."""
    leaves: list[Any] = []
    inputs: dict[Node, int] = {}
    for i, x in enumerate(arguments):
        if type(x) is float or isinstance(x, (np.ndarray, np.generic)):
            array = np.asarray(x)
            value = placeholder(Aval(array.shape, array.dtype))
            inputs[value._edge] = i
            # A number takes the dtype of what it meets, as it does in eager mode.
            value._weak = isinstance(x, (float, np.floating))
            leaves.append(value)
        else:
            leaves.append(x)
    return leaves, inputs


def _put_back(reach: Reach, roots: Sequence[Any]) -> None:
    """Undo what a trace did to attributes, items and variables."""
    for i, place, old, new in list(reach.compare(roots)):
        same = place.kind == "container" and new is old
        if i >= reach.roots and place.put is not None and not same:
            place.put(reach.found[place.parent], old)


class _Held:
    """What is kept of an adopted tensor once the trace no longer holds it."""

    def __init__(self, entry: Adopted) -> None:
        tensor: Any = entry.tensor
        self.ref = weakref.ref(tensor)
        self.node = entry.node
        self.array = entry.array
        self.written = entry.written
        self.edge = tensor._edge
        self.free = (entry.cleared_grad and not entry.read_grad) or not (
            entry.read_grad or entry.cleared_grad
        )  # fmt: skip
        self.had = entry.had_grad is not None
        grad = tensor._grad
        self.cleared = (grad is None and entry.had_grad is not None) or (
            grad is None and entry.cleared_grad
        )  # fmt: skip
        self.grad_edge = None
        if grad is not None and grad is not entry.had_grad:
            self.grad_edge = grad._edge
        flag = tensor._requires_grad and bool(tensor.is_leaf)
        was = entry.saved.get("_requires_grad", False)
        self.flag = flag if flag != was and tensor.is_leaf else None
        self.matters = (
            self.written or self.cleared or not self.free
            or self.grad_edge is not None or self.flag is not None
        )  # fmt: skip
        self.position: int | None = None
        self.index = -1


class _Trace:
    """Turns what a recorder noted into a plan."""

    def __init__(self, plan: Plan, recorder: Recorder, inputs: dict[Node, int]) -> None:
        self.plan = plan
        self.recorder = recorder
        self.inputs = inputs
        self.held: list[_Held] = []
        self.by_id: dict[int, _Held] = {}
        self.answer: list[tuple[str, Any, Any]] = []
        self.live: set[Node] = set()  # leaves that a result's history reaches
        self.attributes: list[tuple[int, Any, Any]] = []
        self.fixed: list[tuple[int, Any]] = []

    def take_answer(self, answer: Any) -> None:
        """Note what the function returned, without holding on to it."""
        leaves, self.plan.structure = flatten(answer)
        freed = self.recorder.freed
        for leaf in leaves:
            self.plan.moving.append(isinstance(leaf, Value) and bool(leaf._requires_grad))
            if not isinstance(leaf, Value):
                self.answer.append(self._take_other(leaf))
                continue
            if leaf._value is not None:
                copied = np.array(leaf._value)
                self.answer.append(("outside", weakref.ref(leaf), copied))
                continue
            edge: Any = leaf._edge
            adopted = self.recorder.adopted.get(id(leaf))
            if leaf._requires_grad and not edge.leaf and state.grad_enabled:
                self.live |= _live_leaves(edge, freed)
            self.answer.append(("value", edge, weakref.ref(leaf) if adopted is not None else None))

    def _take_other(self, leaf: Any) -> tuple[str, Any, Any]:
        """Note a result that is no tensor: an object that can be found again, or a plain value."""
        for i, thing in enumerate(self.plan.reach.found):
            if thing is leaf and self.plan.reach.places[i].kind in ("object", "array"):
                return "there", i, None
        return "static", leaf, None

    def take_changes(self, roots: Sequence[Any]) -> None:
        """Note the attributes, items and variables that the function changed."""
        for i, place, old, new in self.plan.reach.compare(roots):
            if place.label.endswith(".grad"):
                continue
            if new is MISSING or (place.kind == "container" and new is old) or place.put is None:
                raise TraceError(
                    explain(
                        f"compile: the function changed {place.label} (removed it, or made it"
                        " longer or shorter), which a compiled call cannot repeat. Return the value"
                        " instead, and change the collection outside."
                    )
                )
            if isinstance(new, Value):
                known = self.recorder.adopted.get(id(new))
                if new._value is not None or known is not None:
                    self.attributes.append((i, weakref.ref(new), new._edge))
                else:
                    self.attributes.append((i, None, new._edge))
            else:
                self.fixed.append((i, new))
        _put_back(self.plan.reach, roots)  # a call sets it again

    def let_go(self) -> None:
        """Give all tensors back, and keep weak references alone."""
        for entry in self.recorder.adopted.values():
            held = _Held(entry)
            self.by_id[id(entry.tensor)] = held
            self.held.append(held)
        places = {id(t): i for i, t in self.plan.reach.tensors()}
        leaves = self.recorder.leaves
        self.ends = [self.by_id[id(leaves[node].tensor)] for node in self.live]
        for number, held in self.by_id.items():
            held.position = places.get(number)
        self.counters = list(self.recorder.counters.values())
        found = {id(t): i for i, t in enumerate(self.plan.reach.found)}
        self.outside = [
            (
                found.get(id(owner)),
                weakref.ref(owner),
                nodes,
                [self.by_id[id(e.tensor)] for e in es],
            )
            for owner, nodes, es in self.recorder.outside
        ]
        self.recorder.outside.clear()
        self.recorder.release()
        self.recorder.adopted.clear()
        for cell in self.recorder.cells.values():
            cell.members.clear()  # these know each other
        self.recorder.cells.clear()
        self.recorder.leaves.clear()

    def finish(self) -> None:
        """Build the graph, and say where its inputs come from and where its outputs go."""
        plan = self.plan
        suspects = [h for h in self.held if h.position is None and h.ref() is not None]
        if suspects:
            gc.collect()  # what only a cycle keeps alive was made inside
        captured = [h for h in self.held if h.ref() is not None]
        plan.differentiable = any(h.ref() is not None for h in self.ends)
        internal = [h for h in self.held if h.ref() is None]
        heads = self._heads(captured)
        known: dict[Any, Any] = {h.node: h.array for h in internal}
        edges = [edge for _, _, edge in heads]
        extra = _fold(edges, known)
        reached = set(ancestors(edges))
        wanted_positions = {h.position for h in captured if h.position is not None}
        nodes: list[Node] = []
        used: list[_Held] = []
        moved_outside = [h for *_, changed in self.outside for h in changed]
        for held in captured:
            needed = held.node in reached
            if needed or held.matters or held in moved_outside:
                held.index = len(used)
                used.append(held)
            if needed and held.node.primitive is PLACEHOLDER:
                nodes.append(held.node)
                plan.sources.append(("tensor", held.index))
        for node, i in self.inputs.items():
            if node in reached:
                nodes.append(node)
                plan.sources.append(("argument", i))
        for k, (_, _, fresh, changed) in enumerate(self.outside):
            for node, held in zip(fresh, changed, strict=True):
                if node in reached:
                    nodes.append(node)
                    plan.sources.append(("outside", (k, held.index)))
        for generator, node, _ in self.counters:
            plan.generators.append(weakref.ref(generator))
            if node in reached:
                nodes.append(node)
                plan.sources.append(("counter", len(plan.generators) - 1))
        for node, array in extra.items():
            nodes.append(node)
            plan.sources.append(("constant", array))
        self._take_results(captured, used, known)
        self._sort_outputs(heads, nodes, known)
        plan.tensors = [h.ref for h in used]
        plan.reach.prune({h.position for h in used if h.position is not None} & wanted_positions)
        moved = plan.reach.moved
        plan.positions = [None if h.position is None else moved[h.position] for h in used]
        plan.outside = [
            (ref if i is None else moved[i], [h.index for h in changed])
            for i, ref, _, changed in self.outside
        ]
        plan.free_grads = [h.free for h in used]
        plan.had_grads = [h.had for h in used]
        plan.cleared = [h.index for h in used if h.cleared]
        plan.changed_flags = [(h.index, h.flag) for h in used if h.flag is not None]
        plan.results = [(k, moved[w] if k == "there" else w) for k, w in plan.results]
        plan.settings = [(moved[i], value) for i, value in self.fixed]
        plan.sinks = [(k, moved[w] if k == "place" else w) for k, w in plan.sinks]
        plan.passed = [(k, moved[w] if k == "place" else w, x) for k, w, x in plan.passed]
        arrays = [h.array for h in used]
        plan.partition = partition_memory(arrays)
        plan.settle()
        kinds = {k for k, *_ in (*plan.sinks, *plan.passed)}
        plan.pure = kinds <= {"result"} and not (
            plan.outside or plan.cleared or plan.settings or plan.changed_flags
        )
        _refuse_overlaps(used, reached)

    def _heads(self, captured: Sequence[_Held]) -> list[tuple[str, Any, Node]]:
        """Return every node whose value is needed: what for, whose, and the node."""
        heads: list[tuple[str, Any, Node]] = []
        for i, (kind, edge, ref) in enumerate(self.answer):
            if kind == "value" and (ref is None or ref() is None):
                heads.append(("result", i, edge))
        seen = partition_memory([h.array for h in captured])
        for i, held in enumerate(captured):
            if held.written and seen.index(seen[i]) == i:  # one for each piece of memory
                heads.append(("tensor", held, held.edge))
            if held.grad_edge is not None:
                heads.append(("grad", held, held.grad_edge))
        for k, (_, node, current) in enumerate(self.counters):
            if current._edge is not node:
                heads.append(("counter", k, current._edge))
        for i, _, edge in self.attributes:
            if edge is not None:
                heads.append(("place", i, edge))
        return heads

    def _take_results(self, captured: Any, used: list[_Held], known: Any) -> None:
        by_ref = {id(h.ref()): h for h in captured if h.ref() is not None}
        for kind, thing, extra in self.answer:
            if kind in ("static", "there"):
                self.plan.results.append((kind, thing))
            elif kind == "outside":
                alive = thing() is not None
                self.plan.results.append(("outside", thing) if alive else ("constant", extra))
            elif extra is not None and extra() is not None:
                held = by_ref[id(extra())]
                if held.index < 0:
                    held.index = len(used)
                    used.append(held)
                self.plan.results.append(("same", held.index))
            elif thing in known:
                self.plan.results.append(("constant", known[thing]))
            else:
                self.plan.results.append(("result", None))

    def _sort_outputs(self, heads: Any, nodes: list[Node], known: dict[Any, Any]) -> None:
        """Tell computed outputs from inputs and constants that are passed on."""
        plan = self.plan
        place = {node: i for i, node in enumerate(nodes)}
        outputs: list[Any] = []
        for kind, whose, edge in heads:
            where = whose.index if isinstance(whose, _Held) else whose
            if edge in known:
                if kind != "result":
                    plan.passed.append((kind, where, known[edge]))
            elif edge in place:
                plan.passed.append((kind, where, place[edge]))
            else:
                plan.sinks.append((kind, where))
                outputs.append(new_value(None, edge, False))
        plan.graph = Graph(nodes, outputs)


def _live_leaves(edge: Node, freed: set[Node]) -> set[Node]:
    """Return the leaves that a cotangent of this node would reach; none if backward was run."""
    found: set[Node] = set()
    seen: set[Node] = set()
    pending = [edge]
    while pending:
        node = pending.pop()
        if node in seen or not node.active:
            continue
        seen.add(node)
        if node in freed:
            return set()
        if node.leaf:
            found.add(node)
        else:
            pending.extend(e for e in node.edges if isinstance(e, Node))
    return found


def _fold(heads: Sequence[Node], known: dict[Any, Any]) -> dict[Node, Any]:
    """Evaluate what depends on constants alone; return the constants that must be inputs.

    `known` maps nodes to arrays, and is added to. Loops and branches are left to the backend.
    """
    extra: dict[Node, Any] = {}
    for node in ancestors(heads):
        if node in known or (node.primitive is PLACEHOLDER and node.output < 0):
            continue
        if node.output >= 0:
            parent = node.edges[0]
            if parent in known:
                known[node] = known[parent][node.output]
            continue
        edges, operands = node.edges, node.operands
        assert operands is not None
        if not any(e in known for e in edges if e is not None):
            continue
        constant = all(e is None or e in known for e in edges)
        if constant and isinstance(node.primitive.lowering, Control):
            extra.update({e: known[e] for e in edges if e is not None})
            continue
        values = tuple(
            known[e] if e is not None and e in known else x
            for e, x in zip(edges, operands, strict=True)
        )
        if constant:
            made = node.primitive(*values, **node.params)
            # A NumPy scalar among the constants must not decide the dtype.
            known[node] = made if isinstance(made, tuple) else np.asarray(made, node.dtype)
            continue
        node.operands = values
        node.edges = tuple(None if e in known else e for e in edges)
    return extra


def _refuse_overlaps(used: Sequence[_Held], reached: set[Node]) -> None:
    """Refuse to write to memory that another input looks at in another shape."""
    by_owner: dict[int, list[_Held]] = {}
    for held in used:
        base = held.array
        while isinstance(base.base, np.ndarray):
            base = base.base
        by_owner.setdefault(id(base), []).append(held)
    for group in by_owner.values():
        written = [h for h in group if h.written]
        for held in written:
            for other in group:
                same = partition_memory([held.array, other.array]) == [0, 0]
                read = other.written or other.node in reached
                if not same and read and np.shares_memory(held.array, other.array):
                    raise TraceError(
                        explain(
                            "compile: a tensor of shape"
                            f" {held.array.shape} is changed in place, and one of shape"
                            f" {other.array.shape} that the function uses too looks at the same"
                            " memory. Use one of them and take the view inside the function, or"
                            " a .clone().",
                            tuple(t for t in (held.ref(), other.ref()) if t is not None),
                        )
                    )
