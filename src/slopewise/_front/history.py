"""History: the way back through a compiled call whose result the caller may differentiate.

Invariant: to the tape such a call is one operation over the tensors that it reads, and its way back
is a graph of its own, compiled when it is first asked for; what that graph does not read is not
kept. A derivative of the way back runs the graph's operations one by one. It is separate from
`plan`, which knows nothing of derivatives.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any, NoReturn

import numpy as np

from slopewise._core.graph import Node, Primitive, check_alias, wrap_outputs
from slopewise._core.rules import Control, Higher, Text
from slopewise._core.trace import Graph, ancestors
from slopewise._core.value import Value, new_zeros
from slopewise._front.plan import Plan
from slopewise._transform.inputs import as_values
from slopewise._transform.linearise import (
    Replay,
    close_graph,
    fill,
    present,
    reads,
    stand_ins,
)
from slopewise._transform.vjp import freed_message, read_operands
from slopewise.errors import GradientError, SlopewiseError, UsageError

Compile = Callable[[Graph, str], Any]


class CallNode(Node):
    """The node of a call: its results may be walked back one after the other, each once."""

    asked: frozenset[int] = frozenset()
    spent: frozenset[int] = frozenset()

    def free(self) -> None:
        """Note which results were walked back; drop what is kept when all of them were."""
        self.spent = self.spent | self.asked
        if self.out is None or len(self.spent) == len(self.out):
            super().free()


@dataclass
class _Way:
    """The way back from some of the results."""

    graph: Graph
    found: list[bool]  # which inputs get a cotangent
    executable: Any = None


class History:
    """How gradients go back through the calls of one plan.

    Parameters
    ----------
    plan : Plan
        Of a function with results that require gradients.
    compile_graph : callable
        From a graph and a name to what runs it.
    name : str
        Of the function.
    """

    def __init__(self, plan: Plan, compile_graph: Compile, name: str) -> None:
        self.name = name
        self.live = [kind == "result" and plan.moving[i] for kind, i in plan.sinks]
        self._compile = compile_graph
        self._ways: dict[tuple[frozenset[int], bool], _Way] = {}
        self._lock = RLock()
        tensors = [ref() for ref in plan.tensors]
        self._moving = [kind == "tensor" and tensors[i]._requires_grad for kind, i in plan.sources]
        self._replay = replay = Replay(plan.graph, self._moving)
        self._edges = replay.edges
        every = frozenset(range(sum(self.live)))
        dots = stand_ins(replay.inputs, self._moving)
        results = [
            fill(dot, o)
            for dot, o, live in zip(replay.push(dots), replay.outputs, self.live, strict=True)
            if live
        ]
        forward = close_graph([*self._edges, *present(dots)], results)
        used = reads(forward)
        for masked in (False, True):
            used |= reads(self._trace(every, masked, range(len(self._edges)))[0])
        self.read = [i for i, e in enumerate(self._edges) if e in used]
        self.kept = [i for i, m in enumerate(self._moving) if m or i in self.read]
        edges = [self._edges[i] for i in self.read]
        self.forward = close_graph([*edges, *present(dots)], results)
        self.primitive = Primitive(
            "compiled",
            value=_refuse_call,
            derivative=Higher(self._pull, self._push, keep_out=False, masking=True),
            lowering=Control(),
            abstract=_refuse_call,
            batch=_refuse_call,
            samples=lambda rng: (),
            text=Text("compiled function", "컴파일한 함수", r"f'"),
        )
        kept = frozenset(k for k, i in enumerate(self.kept) if i in self.read)
        self.primitive.keep_mask = kept.__contains__

    def _trace(
        self, asked: frozenset[int], masked: bool, read: Sequence[int]
    ) -> tuple[Graph, list[bool]]:
        """Return the graph from inputs and cotangents of some results to those of the inputs."""
        numbers = iter(range(len(self.live)))
        wanted = [live and next(numbers) in asked for live in self.live]
        bars = stand_ins(self._replay.outputs, wanted)
        found = self._replay.pull(bars, masked)
        graph = close_graph([*(self._edges[i] for i in read), *present(bars)], present(found))
        return graph, [bar is not None for bar in found]

    def _find_way(self, asked: frozenset[int], masked: bool) -> _Way:
        with self._lock:
            way = self._ways.get((asked, masked))
            if way is None:
                way = self._ways[asked, masked] = _Way(*self._trace(asked, masked, self.read))
            return way

    def attach(self, plan: Plan, tensors: Sequence[Any], arrays: Sequence[Any], made: Any) -> None:
        """Give results their history: numbers in `made` become tensors, by the result's place.

        Parameters
        ----------
        plan : Plan
        tensors, arrays : list
            What `Plan.gather` returned.
        made : list
            The leaves of the result, numbers where they were computed.
        """
        operands: list[Any] = []
        for i in self.kept:
            kind, where = plan.sources[i]
            # What the caller or a module may change before the way back is copied, but for
            # parameters: a change of those is an error, as it is in eager code.
            named = kind == "tensor" and (self._moving[i] or where in plan.by_root.values())
            operands.append(tensors[where] if named else np.array(arrays[i]))
        for x in operands:
            if isinstance(x, Value) and x._storage.rewriter is not None:
                check_alias(x, "compile")
        numbers = [x._value if isinstance(x, Value) else x for x in operands]
        alive = [i for (_, i), live in zip(plan.sinks, self.live, strict=True) if live]
        outs = tuple(made[i] for i in alive)
        wrapped = wrap_outputs(self.primitive, tuple(operands), numbers, {}, outs, True, CallNode)
        for i, value in zip(alive, wrapped, strict=True):
            made[i] = value

    def _read_inputs(self, node: Node, attached: bool) -> list[Any]:
        """Return what the graphs read of the operands."""
        operands = read_operands(node, attached)
        return [x for i, x in zip(self.kept, operands, strict=True) if i in self.read]

    def _pull(self, node: Node, out_bar: Sequence[Any], masked: bool) -> list[Any]:
        """Return a cotangent for each operand: by machine code, or recorded where bars are."""
        assert isinstance(node, CallNode)
        asked = frozenset(i for i, bar in enumerate(out_bar) if bar is not None)
        if asked & node.spent:
            raise GradientError(freed_message(node))
        node.asked = asked
        way = self._find_way(asked, masked)
        bars = present(out_bar)
        if any(isinstance(bar, Value) for bar in bars):
            found = way.graph(*self._read_inputs(node, True), *as_values(bars))
        else:
            with self._lock:
                if way.executable is None:
                    way.executable = self._compile(way.graph, f"{self.name}, backward")
            given = (*self._read_inputs(node, False), *bars)
            arrays = [np.ascontiguousarray(x).reshape(x.shape) for x in given]
            found = way.executable.run(arrays, [None] * len(way.graph.outputs))
        rest = iter(found)
        return [next(rest) if way.found[i] else None for i in self.kept]

    def _push(self, node: Node, tangents: Sequence[Any]) -> tuple[Any, ...]:
        """Return the tangent of each result, by the operations of the graph."""
        dots = [
            new_zeros(self._replay.inputs[i]) if t is None else t
            for i, t in zip(self.kept, tangents, strict=True)
            if self._moving[i]
        ]
        return tuple(self.forward(*self._read_inputs(node, True), *as_values(dots)))


def record_history(plan: Plan, compile_graph: Compile, name: str) -> History | None:
    """Return the way back through a plan's calls; None where they have to run eagerly.

    That is where tensors share memory, have a history themselves or hooks, where a result looks at
    another one's memory or an input's, and where a call changes what the way back reads, or more
    than tensors and counters.
    """
    kinds = {kind for kind, *_ in plan.sinks}
    changes = plan.settings or plan.cleared or plan.changed_flags or plan.outside
    if plan.tied or changes or not kinds <= {"result", "tensor", "counter"}:
        return None
    if any(kind == "result" for kind, *_ in plan.passed) or _share_memory(plan):
        return None
    tensors = [ref() for ref in plan.tensors]
    if any(t._requires_grad and (t._edge is not None or t._hooks) for t in tensors):
        return None
    if any(node.retained is not None or node.hooks for node in ancestors(plan.graph.outputs)):
        return None
    written = {i for kind, i in plan.sinks if kind == "tensor"}
    if any(tensors[i]._requires_grad for i in written):
        return None
    try:
        found = History(plan, compile_graph, name)
    except SlopewiseError:
        return None  # such as a loop whose number of rounds only a run can tell
    sources = (plan.sources[i] for i in found.kept)
    return None if any(kind == "tensor" and i in written for kind, i in sources) else found


def _share_memory(plan: Plan) -> bool:
    """Return whether eager results would look at an input's memory, or at one another's."""
    inputs = set(plan.graph.inputs)
    seen: set[Node] = set()
    for (kind, _), output in zip(plan.sinks, plan.graph.outputs, strict=True):
        node: Any = output
        if kind != "result" or not isinstance(node, Node):
            continue
        while node.primitive.quiet or node.primitive.name in ("alias", "stop_gradient"):
            if node.edges[0] is None:
                break
            node = node.edges[0]
        if node in inputs or node in seen:
            return True
        seen.add(node)
    return False


def _refuse_call(*_operands: Any, **_params: Any) -> NoReturn:
    raise UsageError("compile: a call that was made before cannot be mapped; map the function.")
