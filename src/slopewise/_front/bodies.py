"""Tracing the functions that control flow is given: branches, tests and bodies of loops.

Invariant: a traced body is a closed graph; what it read from outside are further operands, and
what it changes in place are further results (in a loop: further carries). It is separate because
the public functions only say how bodies are put together.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import next_order
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._core.trace import Graph, ancestors, placeholder
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value
from slopewise._core.views import family_of
from slopewise._front.hidden import Hidden, stand_for
from slopewise._front.mutation import write_in_place
from slopewise._front.operands import cast
from slopewise._front.shape import broadcast_to
from slopewise._transform.inputs import as_values
from slopewise.errors import DTypeError, ShapeError, TraceError, UsageError

_MOST_SETTLING = 8  # a carry's dtype can widen a few times, no more


def is_abstract(tree: Any) -> bool:
    """Return whether a leaf of a nest is a traced value."""
    return any(isinstance(x, Value) and x._value is None for x in flatten(tree)[0])


def is_recording() -> bool:
    """Return whether a function is being compiled, so that all control flow is recorded."""
    return state.recorder is not None


def is_number(x: Any) -> bool:
    """Return whether a leaf takes the dtype of what it meets: a Python number, or one traced."""
    if isinstance(x, Value):
        return x._weak
    return isinstance(x, (bool, int, float)) and not isinstance(x, np.generic)


def aval_of_leaf(x: Any) -> Aval:
    """Return the shape and dtype that a leaf has as a carry; a float has float64."""
    if isinstance(x, Value):
        return x.aval
    array = np.asarray(x)
    return Aval(array.shape, array.dtype)


def name_leaves(tree: Any, path: str = "carry") -> list[str]:
    """Return the place of each leaf of a nest, as one would write it."""
    if isinstance(tree, dict):
        return [n for k, v in tree.items() for n in name_leaves(v, f"{path}[{k!r}]")]
    if isinstance(tree, (tuple, list)):
        return [n for k, v in enumerate(tree) for n in name_leaves(v, f"{path}[{k}]")]
    return [] if tree is None else [path]


class Loop:
    """The body of a loop, traced: `step(carry, x) -> (carry, y)`.

    Parameters
    ----------
    operation : str
        For messages.
    step : callable
        The function of one step.
    init : nest of Tensor and numbers
        The first carry.
    xs : nest of Aval
        What one step gets.
    test : callable, optional
        `carry -> bool` for a while loop.
    weak : sequence of int
        Leaves of the carry that stand for Python numbers.
    names : list of str, optional
        What the user calls the leaves of the carry, for messages.
    """

    def __init__(
        self, operation: str, step: Callable[[Any, Any], tuple[Any, Any]], init: Any,
        xs: Any = None, test: Callable[[Any], Any] | None = None, weak: Sequence[int] = (),
        names: list[str] | None = None,
    ) -> None:  # fmt: skip
        self.operation = operation
        self.step = step
        self.init, self.structure = flatten(init)
        self.names = name_leaves(init) if names is None else names
        self.x_avals, self.x_structure = flatten(xs)
        self.avals = [aval_of_leaf(x) for x in self.init]
        self.weak = [is_number(x) or i in weak for i, x in enumerate(self.init)]
        self.hidden = Hidden()
        self._settle(test)
        self.captured = self.graph.capture()
        self._refuse_aliases()

    def _run(
        self, carry: list[Any], since: int
    ) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        xs = stand_for(self.x_avals)
        entries = [v._edge for v in xs]

        def body() -> Any:
            return self.step(unflatten(self.structure, carry), unflatten(self.x_structure, xs))

        result, placed, finals = self.hidden.run(body, True, since)
        if not isinstance(result, tuple) or len(result) != 2:
            raise UsageError(
                explain(f"{self.operation}: the body must return (carry, y), a tuple of two.")
            )
        after, y = result
        leaves, structure = flatten(after)
        if structure != self.structure:
            raise UsageError(
                explain(
                    f"{self.operation}: the body must return a carry of the same structure; it got"
                    f" {len(self.init)} value(s) and returned {len(leaves)}, or in another nest."
                )
            )
        if any(v._edge is not node for v, node in zip(xs, entries, strict=True)):
            raise TraceError(
                explain(
                    f"{self.operation}: the body changes what it gets for a step in place; change"
                    " a copy (x = x.clone())."
                )
            )
        ys, self.y_structure = flatten(y)
        return xs, leaves, placed, [*finals, *ys]

    def _settle(self, test: Callable[[Any], Any] | None) -> None:
        """Trace until the carries keep their shapes and dtypes and no further state is written."""
        if any(is_number(x) for x in self.init):
            # The first step as eager code does it: numbers take the dtype of what they meet.
            since = next_order()
            carry = [
                x if is_number(x) else placeholder(a)
                for x, a in zip(self.init, self.avals, strict=True)
            ]
            _, leaves, *_ = self._run(carry, since)
            self._adopt(leaves)
        for _ in range(_MOST_SETTLING):
            known = len(self.hidden.written)
            since = next_order()
            carry = stand_for(self.avals, self.weak)
            inputs = [v._edge for v in carry]
            xs, leaves, placed, rest = self._run(carry, since)
            moved = self._adopt(leaves)
            if test is not None:
                self._trace_test(test)
            if moved or len(self.hidden.written) != known:
                continue
            count = len(self.hidden.written)
            self._note_changes(carry, inputs, leaves)
            self.since = since
            self.graph = Graph(
                [*inputs, *(v._edge for v in (*placed, *xs))],
                [*map(self._fit, leaves, self.avals), *map(_plain, rest)],
            )
            self.carries = len(carry) + count
            return
        raise ShapeError(explain(f"{self.operation}: the carry's dtype changes with every step."))

    def _note_changes(self, carry: Sequence[Any], inputs: Sequence[Any], leaves: Any) -> None:
        """Note which carries a step changes in place: eager code changes the caller's tensor."""
        self.changed: list[int] = []
        for k, (value, node) in enumerate(zip(carry, inputs, strict=True)):
            if value._edge is node:
                continue
            if leaves[k] is not value:
                raise TraceError(
                    explain(
                        f"{self.operation}: the body changes {self.names[k]} in place and returns"
                        " another tensor for it; return the one that was changed, or change a copy"
                        " (x = x.clone())."
                    )
                )
            self.changed.append(k)

    def _refuse_aliases(self) -> None:
        """Refuse memory that a step changes under one name and knows by another one."""
        starts = [x for x in self.init if isinstance(x, Value)]
        changed = [self.init[k] for k in self.changed if isinstance(self.init[k], Value)]
        edges = {_identity(x) for x in self.captured}
        inside = ancestors(edges, floor=self.since)  # computed in the body, but the same each time
        read = edges.union(*(node.edges for node in inside))
        hidden = {_identity(self.hidden.before[k]) for k in self.hidden.written}
        for value in changed:
            family = {_identity(x) for x in (value, *self._aliases_of(value))}
            others = {_identity(x) for x in starts if x is not value}
            twice = sum(x is value for x in starts) > 1
            if twice or not family.isdisjoint(others | read):
                raise self._refusal(value)
        for value in starts:
            if _identity(value) in hidden:
                raise self._refusal(value)

    def _aliases_of(self, value: Any) -> list[Any]:
        recorder = self.hidden.recorder
        family = family_of(value)
        return family if recorder is None else [y for x in family for y in recorder.aliases_of(x)]

    def _refusal(self, value: Any) -> TraceError:
        name = self.names[next(k for k, x in enumerate(self.init) if x is value)]
        return TraceError(
            explain(
                f"{self.operation}: the body changes {name} in place, and knows the same memory by"
                " another name: another carry, or a tensor from outside. Start from a copy"
                " (x.clone()), or use one name.",
                (value,),
            )
        )

    def _adopt(self, leaves: Sequence[Any]) -> bool:
        """Let numbers take the aval of what a step made of them; return whether one changed."""
        changed = False
        for k, leaf in enumerate(leaves):
            old, new = self.avals[k], aval_of_leaf(leaf)
            weak = is_number(leaf)
            if old == new or (weak and new.shape == old.shape and not self.weak[k]):
                continue
            if weak and self.weak[k] and old.dtype.kind == new.dtype.kind:
                continue
            if not self.weak[k]:
                error = ShapeError if old.shape != new.shape else DTypeError
                raise error(
                    explain(
                        f"{self.operation}: {self.names[k]} has shape {old.shape} and dtype"
                        f" {old.dtype} before a step, and shape {new.shape} and dtype {new.dtype}"
                        " after it; a traced loop needs them equal. Start from a carry of that"
                        " shape, or convert what the body returns (.to(dtype), reshape)."
                    )
                )
            self.avals[k] = new
            self.weak[k] = weak
            changed = True
        return changed

    def _trace_test(self, test: Callable[[Any], Any]) -> None:
        since = next_order()
        carry = stand_for(self.avals, self.weak)
        count = len(self.hidden.written)
        truth, placed, _ = self.hidden.run(
            lambda: test(unflatten(self.structure, carry)), True, since
        )
        if len(self.hidden.written) != count or self.hidden.changed:
            raise TraceError(
                explain(
                    f"{self.operation}: the condition changes a tensor in place or draws random"
                    " numbers; do that in the body."
                )
            )
        self.test = Graph([v._edge for v in (*carry, *placed)], [as_truth(truth, self.operation)])

    def _fit(self, leaf: Any, aval: Aval) -> Any:
        """Return a carry as a Value of its dtype."""
        if not isinstance(leaf, Value):
            return np.asarray(leaf, aval.dtype)
        return cast(leaf, aval.dtype)

    @property
    def starts(self) -> list[Any]:
        """Return the first carries, hidden ones last."""
        made: list[Any] = []
        for leaf, aval in zip(self.init, self.avals, strict=True):
            if isinstance(leaf, Value):
                value = cast(leaf, aval.dtype)
                made.append(value if value.shape == aval.shape else broadcast_to(value, aval.shape))
            else:
                made.append(np.array(np.broadcast_to(np.asarray(leaf, aval.dtype), aval.shape)))
        return [*made, *self.hidden.starts]

    def finish(self, outs: Sequence[Any]) -> tuple[Any, Any]:
        """Store the hidden carries; return the last carry and the ys."""
        visible = len(self.init)
        self.hidden.store(outs[visible : self.carries])
        leaves = list(outs[:visible])
        for k in self.changed:
            if isinstance(self.init[k], Value):
                leaves[k] = write_in_place(self.init[k], leaves[k])
        carry = unflatten(self.structure, leaves)
        return carry, unflatten(self.y_structure, list(outs[self.carries :]))


def _identity(value: Any) -> Any:
    """Return what two Values share that stand for the same numbers now."""
    return value if value is None or value._edge is None else value._edge


def _plain(x: Any) -> Any:
    """Return a leaf that a body gives out as a Value or an array."""
    return x if isinstance(x, Value) else np.asarray(x)


def as_truth(truth: Any, operation: str) -> Any:
    """Return a predicate as a 0-d truth value."""
    value = as_values([truth])[0] if not isinstance(truth, Value) else truth
    if value.shape != ():
        raise ShapeError(
            explain(
                f"{operation}: the condition has shape {tuple(value.shape)}; it must be one truth"
                " value. Reduce it with .any() or .all().",
                (value,),
            )
        )
    return cast(value, np.dtype(np.bool_)) if value.dtype.kind != "b" else value


class Branches:
    """Functions of the same operands, of which one will run: the branches of a cond."""

    def __init__(
        self, operation: str, functions: Sequence[Callable[..., Any]], operands: Sequence[Any]
    ) -> None:
        self.operation = operation
        leaves, structure = flatten(tuple(operands))
        places = [i for i, x in enumerate(leaves) if isinstance(x, Value)]
        self.operands: list[Any] = [leaves[i] for i in places]
        self.hidden = Hidden()

        def traced(function: Callable[..., Any]) -> Any:
            floor = next_order()
            inputs = stand_for([x.aval for x in self.operands], [x._weak for x in self.operands])
            full = list(leaves)
            for i, x in zip(places, inputs, strict=True):
                full[i] = x
            nodes = [x._edge for x in inputs]
            since = next_order()
            result, _, finals = self.hidden.run(
                lambda: function(*unflatten(structure, full)), False, floor
            )
            if any(x._edge is not node for x, node in zip(inputs, nodes, strict=True)):
                raise TraceError(
                    explain(
                        f"{operation}: a branch changes its operand in place; change a copy"
                        " (x = x.clone()) and return it."
                    )
                )
            return inputs, since, *flatten(result), finals

        count = -1
        sides: list[Any] = []
        while count != len(self.hidden.written):
            count = len(self.hidden.written)
            sides = [traced(f) for f in functions]
        results = [side[2] for side in sides]
        _check_same(operation, [side[3] for side in sides], results)
        self.structure = sides[0][3]
        dtypes = [_common([r[k] for r in results]) for k in range(len(results[0]))]
        graphs: list[Graph] = []
        self.captured: list[Any] = []
        for inputs, since, found, _, finals in sides:
            outs = [_to(x, d) for x, d in zip(found, dtypes, strict=True)]
            graphs.append(Graph([x._edge for x in inputs], [*outs, *finals], since=since))
        self.count = len(dtypes)
        self.graphs = self._share(graphs)

    def _share(self, graphs: list[Graph]) -> list[Graph]:
        """Give all graphs the same inputs: the operands, then what any of them captured."""
        known: dict[Any, Any] = {}
        given = len(self.operands)
        for graph in graphs:
            values = graph.capture()
            known.update(zip(graph.inputs[given:], values, strict=True))
        self.captured = list(known.values())
        for graph in graphs:
            graph.take(list(known))
        return graphs

    def finish(self, outs: Sequence[Any]) -> Any:
        """Store what is written in place; return the result."""
        self.hidden.store(outs[self.count :])
        return unflatten(self.structure, list(outs[: self.count]))


def _check_same(operation: str, structures: Sequence[Any], results: Sequence[list[Any]]) -> None:
    if any(s != structures[0] for s in structures[1:]):
        counts = " and ".join(str(len(r)) for r in results)
        raise UsageError(explain(f"{operation}: {counts} results differ."))
    for row in zip(*results, strict=True):
        shapes = [tuple(np.shape(x)) if not isinstance(x, Value) else tuple(x.shape) for x in row]
        if any(s != shapes[0] for s in shapes):
            listed = " and ".join(str(s) for s in shapes)
            raise ShapeError(explain(f"{operation}: shapes {listed} differ."))


def _common(row: Sequence[Any]) -> np.dtype[Any]:
    """Return the dtype that the results of all branches are given."""
    firm = [aval_of_leaf(x).dtype for x in row if not is_number(x)]
    loose = [aval_of_leaf(x).dtype for x in row if is_number(x)]
    if not firm:
        return np.result_type(*loose)
    found = np.result_type(*firm)
    if any(d.kind == "f" for d in loose) and found.kind != "f":
        return state.default_dtype
    return found


def _to(x: Any, dtype: np.dtype[Any]) -> Any:
    return cast(x, dtype) if isinstance(x, Value) else np.asarray(x, dtype)
