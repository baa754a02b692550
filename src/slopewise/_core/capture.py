"""Recorder: what tracing a function for compilation notes of the tensors that it touches.

Invariant: while a recorder is active every operation is recorded, and a concrete tensor that takes
part is adopted: it stands for an input (and for what was written to it since) until `release`
gives it back exactly what it had. A leaf stays a leaf: its node knows its tensor. It is separate
because eager code never makes one, and control flow needs only `slots`.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Node, Primitive, bind_abstract, engine
from slopewise._core.state import enable_grad, recorders, state
from slopewise._core.trace import placeholder
from slopewise._core.value import Array, Value, is_array, new_value
from slopewise._core.views import follow_base

_FIELDS = (
    "_value", "_edge", "_requires_grad", "_storage", "_origin", "_grad", "_hooks", "_base", "_born",
    "_source", "_views",
)  # fmt: skip


class Adopted:
    """A tensor that takes part in a trace: what it had, and the input that it stands for."""

    def __init__(self, tensor: Value, node: Node, cell: Cell) -> None:
        self.tensor = tensor
        self.saved: dict[str, Any] = {
            name: vars(tensor)[name] for name in _FIELDS if name in vars(tensor)
        }
        self.array: Array = self.saved["_value"]
        self.had_grad: Any = tensor._grad
        self.computed = tensor._edge is not None and tensor._requires_grad
        self.node = node
        self.cell = cell
        self.written = False
        self.read_grad = False  # whether it mattered if there was a gradient before
        self.cleared_grad = False

    def restore(self) -> None:
        """Give the tensor what it had."""
        fields = vars(self.tensor)
        for name in _FIELDS:
            if name in self.saved:
                fields[name] = self.saved[name]
            else:
                fields.pop(name, None)


class Cell:
    """One piece of memory, and the adopted tensors that look at it in the same shape."""

    def __init__(self) -> None:
        self.members: list[Adopted] = []


class Slot:
    """One thing that the traced function can change: a tensor's numbers, its gradient, a counter.

    Attributes
    ----------
    name : str
        What it is, for messages.
    """

    def __init__(
        self, name: str, get: Callable[[], Value | None], put: Callable[[Value | None], None]
    ) -> None:
        self.name = name
        self._get = get
        self._put = put

    def get(self) -> Value | None:
        """Return the current value (its `_edge` is the node), or None for no gradient."""
        return self._get()

    def set(self, value: Value | None) -> None:
        """Make `value` the current one."""
        self._put(value)


class Recorder:
    """Adopts the tensors that a traced function touches; knows what they stand for.

    Attributes
    ----------
    adopted : dict of int to Adopted
        By the identity of the tensor, in the order of adoption.
    counters : dict of int to list
        For each random generator: itself, its input, and the current counter.
    """

    def __init__(self) -> None:
        self.adopted: dict[int, Adopted] = {}
        self.cells: dict[Any, Cell] = {}
        self.leaves: dict[Node, Adopted] = {}
        self.counters: dict[int, list[Any]] = {}
        self.outside: list[tuple[Any, list[Node], list[Adopted]]] = []
        self.freed: set[Node] = set()  # nodes whose backward pass was run
        self._outer: Any = None

    # --- from begin to end ---

    def __enter__(self) -> Recorder:
        self._outer = state.recorder
        recorders.append(self)
        state.recorder = self
        return self

    def __exit__(self, *_error: object) -> None:
        state.recorder = self._outer
        recorders.remove(self)
        self.release()

    def release(self) -> None:
        """Give every adopted tensor back what it had before the trace."""
        for entry in self.adopted.values():
            entry.restore()

    # --- operations ---

    def bind(self, primitive: Primitive, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Record an operation, whatever its operands; arrays are copied, as constants."""
        given: list[Any] = []
        for x in operands:
            if isinstance(x, Value):
                if x._value is not None:
                    self.adopt(x)
                given.append(x)
            else:
                given.append(x.copy() if is_array(x) else x)
        out = bind_abstract(primitive, tuple(given), params)
        if isinstance(out, Value) and primitive is not engine.convert:
            out._weak = all(x._weak for x in given if isinstance(x, Value)) and not any(
                is_array(x) for x in given
            )
        return out

    def adopt(self, tensor: Value) -> Adopted:
        """Let a concrete tensor stand for an input until the trace ends."""
        known = self.adopted.get(id(tensor))
        if known is not None:
            return known
        array = tensor._value
        assert array is not None
        cell, first = self._cell_of(array)
        requires = tensor._requires_grad
        if first is None:
            node: Node = placeholder(
                Aval(array.shape, array.dtype), requires_grad=requires
            )._edge  # fmt: skip
        else:
            node = _cut(first.tensor, requires)
        entry = Adopted(tensor, node, cell)
        cell.members.append(entry)
        self.adopted[id(tensor)] = entry
        tensor._value = None
        tensor._origin = tensor._base = tensor._source = tensor._views = None
        self._stand(entry, node)
        return entry

    def _cell_of(self, array: Array) -> tuple[Cell, Adopted | None]:
        address = array.__array_interface__["data"][0] if array.size else id(array)
        key = (address, array.shape, array.strides, array.dtype)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell()
            return cell, None
        return cell, cell.members[0]

    def _stand(self, entry: Adopted, node: Node) -> None:
        """Make `node` the leaf that an adopted tensor stands for now."""
        tensor = entry.tensor
        node.leaf = True
        if tensor._requires_grad:
            node.active = node.plain = True
            if tensor._hooks:
                node.hooks = tensor._hooks
                node.plain = False
        tensor._edge = node
        self.leaves[node] = entry

    # --- changes in place ---

    def write(
        self, tensor: Value, result: Value, recorded: bool, current: Collection[int] = ()
    ) -> None:
        """Take over what was written to a tensor; a leaf stays one unless it was `recorded`.

        Views of the tensor follow, but for those that are `current`.
        """
        entry = self.adopted.get(id(tensor))
        if entry is None:
            tensor._edge = result._edge
            tensor._requires_grad = result._requires_grad
            follow_base(tensor, recorded, current)
            return
        entry.written = True
        if recorded:
            tensor._edge, tensor._requires_grad = result._edge, True
        else:
            self._stand(entry, _cut(result, tensor._requires_grad))
        for other in entry.cell.members:
            if other is not entry:
                other.written = True
                self._stand(other, _cut(tensor, other.tensor._requires_grad))
                follow_base(other.tensor, recorded, current)
        follow_base(tensor, recorded, current)

    def aliases_of(self, tensor: Value) -> list[Value]:
        """Return the adopted tensors that look at the same memory, or the tensor alone."""
        entry = self.adopted.get(id(tensor))
        return [tensor] if entry is None else [m.tensor for m in entry.cell.members]

    def require_grad(self, tensor: Value, requires_grad: bool) -> None:
        """Switch recording for an adopted leaf, from here on."""
        entry = self.adopted.get(id(tensor))
        tensor._requires_grad = requires_grad
        if entry is not None:
            self._stand(entry, _cut(tensor, requires_grad))

    def is_traced_leaf(self, tensor: Value) -> bool:
        """Return whether the tensor is an adopted leaf."""
        return tensor._edge is not None and tensor._edge in self.leaves

    def run_outside(self, owner: Any, changed: list[Any]) -> None:
        """Note that `owner.step()` runs in Python before the graph, and changes these tensors."""
        nodes: list[Node] = []
        for tensor in changed:
            if tensor._value is not None:
                self.adopt(tensor)
            node: Node = placeholder(Aval(tuple(tensor.shape), tensor.dtype))._edge
            self._stand(self.adopted[id(tensor)], node)
            nodes.append(node)
        self.outside.append((owner, nodes, [self.adopted[id(t)] for t in changed]))

    # --- gradients ---

    def read_grad(self, tensor: Value) -> None:
        """Note that it matters whether the tensor had a gradient before."""
        if tensor._value is not None:
            self.adopt(tensor)
        entry = self.adopted.get(id(tensor))
        if entry is not None and not entry.cleared_grad:
            entry.read_grad = True

    def clear_grad(self, tensor: Value) -> None:
        """Drop a gradient, which from here on does not depend on the one before."""
        if tensor._value is not None:
            self.adopt(tensor)
        entry = self.adopted.get(id(tensor))
        if entry is not None:
            entry.cleared_grad = True
        tensor._grad = None

    # --- random numbers ---

    def next_counter(self, generator: Any) -> Value:
        """Return the counter of the next draw, and step the generator's."""
        held = self.counter_of(generator)
        current: Value = held[2]
        held[2] = self.bind(_addition(), (current, np.array([0, 1], np.int64)), {})
        return current

    def counter_of(self, generator: Any) -> list[Any]:
        """Return the generator, the input of its counter, and the current counter."""
        held = self.counters.get(id(generator))
        if held is None:
            first = placeholder(Aval((2,), np.dtype(np.int64)))
            held = self.counters[id(generator)] = [generator, first._edge, first]
        return held

    # --- for control flow ---

    def slots(self) -> list[Slot]:
        """Return everything that the function can change, in a fixed order."""
        made: list[Slot] = []
        for entry in self.adopted.values():
            made.append(Slot(f"a tensor of shape {entry.array.shape}", *self._value_slot(entry)))
            made.append(
                Slot(f"the gradient of shape {entry.array.shape}", *self._grad_slot(entry.tensor))
            )
        for held in self.counters.values():
            made.append(Slot("a random generator", *_counter_slot(held)))
        return made

    def _value_slot(self, entry: Adopted) -> Any:
        def put(value: Value | None) -> None:
            assert value is not None
            self.write(entry.tensor, value, False)

        return (lambda: _snapshot(entry.tensor)), put

    def _grad_slot(self, tensor: Value) -> Any:
        def get() -> Value | None:
            grad: Value | None = tensor._grad
            if grad is None:
                return None
            if grad._value is not None:
                self.adopt(grad)
            return _snapshot(grad)

        def put(value: Value | None) -> None:
            tensor._grad = value

        return get, put


def _snapshot(tensor: Value) -> Value:
    """Return a Value of what a tensor stands for now, which later changes do not reach."""
    return new_value(None, tensor._edge, tensor._requires_grad)


def _counter_slot(held: list[Any]) -> Any:
    def put(value: Value | None) -> None:
        held[2] = value

    return (lambda: held[2]), put


def _cut(value: Value, requires_grad: bool) -> Node:
    """Return a fresh leaf node with the numbers of a value."""
    with enable_grad():
        node: Node = bind_abstract(engine.stop, (value,), {})._edge
    node.active = node.plain = requires_grad
    return node


def _addition() -> Primitive:
    return engine.add
