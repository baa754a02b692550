"""History: the way back through a compiled call whose result the caller may differentiate.

Invariant: to the tape such a call is one operation over the tensors that it reads, and its way back
is a graph of its own, compiled when it is first asked for; what that graph does not read is not
kept. A derivative of the way back runs the graph's operations one by one. It is separate from
`plan`, which knows nothing of derivatives.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from slopewise._core.graph import Node, Primitive, check_alias, wrap_outputs
from slopewise._core.rules import Control, Higher, Text
from slopewise._core.trace import Graph
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
from slopewise._transform.vjp import read_operands
from slopewise.errors import SlopewiseError, UsageError

Compile = Callable[[Graph, str], Any]


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
        self.places = [i for kind, i in plan.sinks if kind == "result"]
        self.live = [kind == "result" and plan.moving[i] for kind, i in plan.sinks]
        self._compile = compile_graph
        self._executable: Any = None
        tensors = [ref() for ref in plan.tensors]
        moving = [kind == "tensor" and tensors[i]._requires_grad for kind, i in plan.sources]
        replay = Replay(plan.graph, moving)
        bars, dots = stand_ins(replay.outputs, self.live), stand_ins(replay.inputs, moving)
        found, pushed = replay.pull(bars), replay.push(dots)
        results = [
            fill(dot, o)
            for dot, o, live in zip(pushed, replay.outputs, self.live, strict=True)
            if live
        ]
        self._moving, self._found = moving, [bar is not None for bar in found]
        every = close_graph(
            [*replay.edges, *present(bars), *present(dots)], [*present(found), *results]
        )
        used = reads(every)
        self.kept = [i for i, e in enumerate(replay.edges) if e in used or moving[i]]
        edges = [replay.edges[i] for i in self.kept]
        self.backward = close_graph([*edges, *present(bars)], present(found))
        self.forward = close_graph([*edges, *present(dots)], results)
        self.primitive = Primitive(
            "compiled",
            value=_refuse_call,
            derivative=Higher(self._pull, self._push),
            lowering=Control(),
            abstract=_refuse_call,
            batch=_refuse_call,
            samples=lambda rng: (),
            text=Text("compiled function", "컴파일한 함수", r"f'"),
        )

    @property
    def executable(self) -> Any:
        """What runs the way back."""
        if self._executable is None:
            self._executable = self._compile(self.backward, f"{self.name}, backward")
        return self._executable

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
            # An array is the caller's, who may change it before the way back.
            operands.append(tensors[where] if kind == "tensor" else np.array(arrays[i]))
        for x in operands:
            if isinstance(x, Value) and x._storage.rewriter is not None:
                check_alias(x, "compile")
        numbers = [x._value if isinstance(x, Value) else x for x in operands]
        alive = [i for (kind, i), live in zip(plan.sinks, self.live, strict=True) if live]
        outs = tuple(made[i] for i in alive)
        wrapped = wrap_outputs(self.primitive, tuple(operands), numbers, {}, outs, True)
        for i, value in zip(alive, wrapped, strict=True):
            made[i] = value

    def _pull(self, node: Node, out_bar: Sequence[Any]) -> list[Any]:
        """Return a cotangent for each operand: by machine code, or recorded where bars are."""
        attached = any(isinstance(bar, Value) for bar in out_bar)
        values = list(read_operands(node, attached))
        if attached:
            bars = [
                new_zeros(o) if b is None else as_values([b])[0]
                for b, o in zip(out_bar, node.out, strict=True)
            ]
            found = self.backward(*values, *bars)
        else:
            arrays = [
                np.zeros(o.shape, o.dtype) if b is None else b
                for b, o in zip(out_bar, node.out, strict=True)
            ]
            given = [np.ascontiguousarray(x) for x in (*values, *arrays)]
            given = [x.reshape(y.shape) for x, y in zip(given, (*values, *arrays), strict=True)]
            found = self.executable.run(given, [None] * len(self.backward.outputs))
        rest = iter(found)
        return [next(rest) if self._found[i] else None for i in self.kept]

    def _push(self, node: Node, tangents: Sequence[Any]) -> tuple[Any, ...]:
        """Return the tangent of each result, by the operations of the graph."""
        values = list(read_operands(node, True))
        dots = [
            new_zeros(x) if t is None else t
            for i, x, t in zip(self.kept, values, tangents, strict=True)
            if self._moving[i]
        ]
        return tuple(self.forward(*values, *as_values(dots)))


def record_history(plan: Plan, compile_graph: Compile, name: str) -> History | None:
    """Return the way back through a plan's calls; None where they have to run eagerly.

    That is where tensors share memory, have a history themselves or hooks, and where a call changes
    what the way back reads, or more than tensors and counters.
    """
    kinds = {kind for kind, *_ in plan.sinks}
    changes = plan.settings or plan.cleared or plan.changed_flags or plan.outside
    if plan.tied or changes or not kinds <= {"result", "tensor", "counter"}:
        return None
    if any(kind != "result" or plan.moving[i] for kind, i, _ in plan.passed):
        return None
    tensors = [ref() for ref in plan.tensors]
    if any(t._requires_grad and (t._edge is not None or t._hooks) for t in tensors):
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


def _refuse_call(*_operands: Any, **_params: Any) -> NoReturn:
    raise UsageError("compile: a call that was made before cannot be mapped; map the function.")
