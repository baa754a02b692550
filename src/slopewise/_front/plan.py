"""Plan: what one trace of a function gave: a pure graph, where its inputs come from, and what is
done with its outputs.

Invariant: a plan holds no tensor and no owner of one: it finds them weakly, and writes to them what
the eager function would have written. It is separate from `tracing`, which makes plans, and from
`compile`, which chooses among them.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.value import new_value
from slopewise._front.reach import Place, Reach
from slopewise.errors import UsageError

Source = tuple[str, Any]


class Plan:
    """One specialisation of a compiled function.

    Attributes
    ----------
    graph : Graph
        Pure: arrays in, arrays out.
    sources : list of (kind, where)
        For each input of the graph: an argument's position, a captured tensor's, a generator, or
        an array.
    differentiable : bool
        Whether a result has a history in eager mode that the caller could differentiate; such a
        call is recorded as one operation (`history`), or run eagerly where that cannot be.
    """

    def __init__(self, key: Any, reach: Reach) -> None:
        self.key = key
        self.reach = reach
        self.differentiable = False
        self.history: Any = None
        self.moving: list[bool] = []  # for each leaf of the result: whether it has a history
        self.executable: Any = None
        self.graph: Any = None
        self.sources: list[Source] = []
        self.tensors: list[Any] = []  # weak references to the captured tensors
        self.positions: list[int | None] = []  # their places
        self.free_grads: list[bool] = []  # whether their earlier gradient does not matter
        self.had_grads: list[bool] = []
        self.partition: list[int] = []
        self.tied = True  # whether captured tensors share memory
        self.by_root: dict[int, int] = {}  # argument to captured tensor
        self.storages: set[int] = set()
        self.sinks: list[Source] = []  # for each output of the graph
        self.passed: list[tuple[str, Any, Any]] = []  # inputs and constants that are given out
        self.results: list[Source] = []  # for each leaf of the result
        self.structure: Any = None
        self.cleared: list[int] = []  # captured tensors whose gradient is None at the end
        self.settings: list[tuple[int, Any]] = []  # places that are set to a plain value
        self.changed_flags: list[tuple[int, bool]] = []
        self.generators: list[Any] = []
        self.outside: list[tuple[Any, list[int]]] = []  # schedules to step, tensors they change
        self.pure = False  # whether nothing but the results is written
        self.epoch = -1
        self.calls = 0  # that came through Python
        self.exact = False  # whether it is armed with the very objects of the trace
        self.used = 0  # the clock of the function at the latest call through Python
        self.entry: Any = None  # how Python calls it directly; False where it cannot

    # --- is it the right one ---

    def fits(self, roots: Sequence[Any], epoch: int) -> bool:
        """Return whether everything is as it was at the last call."""
        if self.epoch != epoch:
            return False
        moved = self.reach.unchanged(roots)
        if moved is None or (moved and not self._move(moved, roots)):
            return False
        for ref, free, had in zip(self.tensors, self.free_grads, self.had_grads, strict=True):
            tensor = ref()
            if tensor is None or tensor._value is None:
                return False
            if not free and (tensor._grad is not None) is not had:
                return False
        return True

    def _move(self, moved: Sequence[int], roots: Sequence[Any]) -> bool:
        """Take other tensors as arguments, if they share no memory with what is captured."""
        fresh = {id(roots[i]._storage) for i in moved}
        if self.tied or len(fresh) < len(moved) or not fresh.isdisjoint(self.storages):
            return False
        for i in moved:
            place = self.reach.places[i]
            place.ref = weakref.ref(roots[i])
            if i in self.by_root:
                self.tensors[self.by_root[i]] = place.ref
        return True

    def settle(self) -> None:
        """Work out which arguments may be exchanged quickly."""
        self.tied = self.partition != list(range(len(self.partition)))
        self.by_root = {
            p: k for k, p in enumerate(self.positions) if p is not None and p < self.reach.roots
        }
        kept = [ref() for k, ref in enumerate(self.tensors) if k not in self.by_root.values()]
        self.storages = {id(t._storage) for t in kept if t is not None}

    def rebind(self, roots: Sequence[Any], epoch: int) -> str | None:
        """Take other objects of the same kinds as the new ones; say what does not fit."""
        objects, reason = self.reach.resolve(roots)
        if reason:
            return reason
        found = [
            ref() if position is None else objects[position]
            for ref, position in zip(self.tensors, self.positions, strict=True)
        ]
        for tensor, free, had in zip(found, self.free_grads, self.had_grads, strict=True):
            if tensor is None:
                return "a captured tensor is gone"
            if not free and (tensor._grad is not None) is not had:
                return f"a gradient was {'there' if had else 'None'} and is no longer"
        if partition_memory([t._value for t in found]) != self.partition:
            return "other tensors share their memory"
        self.tensors = [weakref.ref(t) for t in found]
        self.reach.arm(objects)
        self.settle()
        self.epoch = epoch
        return None

    @property
    def stamp(self) -> int:
        """The clock of the function at the latest call."""
        return max(self.used, self.entry.stamp) if self.entry else self.used

    # --- running it ---

    def gather(self, leaves: Sequence[Any], roots: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the captured tensors and the graph's input arrays."""
        tensors = [ref() for ref in self.tensors]
        stepped = self._step_outside(tensors, roots) if self.outside else []
        arrays: list[Any] = []
        for kind, where in self.sources:
            if kind == "tensor":
                array = tensors[where]._value
                if stepped:
                    array = stepped[0].get(where, array)
            elif kind == "outside":
                array = stepped[where[0] + 1][where[1]]
            elif kind == "argument":
                array = np.asarray(leaves[where])
            elif kind == "constant":
                array = where
            else:
                array = self.generators[where]()._read_counter()
            arrays.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
        return tensors, arrays

    def _step_outside(self, tensors: Sequence[Any], roots: Sequence[Any]) -> list[dict[int, Any]]:
        """Step what runs in Python; return the numbers that were there before and after each."""
        places = {i for _, changed in self.outside for i in changed}
        seen = [{i: tensors[i]._value.copy() for i in places}]
        for owner, _ in self.outside:
            (self._find(owner, roots) if isinstance(owner, int) else owner()).step()
            seen.append({i: tensors[i]._value.copy() for i in places})
        return seen

    def run(
        self,
        leaves: Sequence[Any],
        roots: Sequence[Any],
        out: Sequence[Any] | None,
        gathered: tuple[list[Any], list[Any]],
    ) -> list[Any]:
        """Run the executable, write what it updates, and return the leaves of the result."""
        tensors, arrays = gathered
        buffers: list[Any] = []
        for kind, where in self.sinks:
            buffer = None
            if kind == "tensor":
                buffer = tensors[where]._value
                _require_writeable(tensors[where])
            elif kind == "grad":
                buffer = _reusable(tensors[where])
            elif kind == "result" and out is not None:
                buffer = out[where]
            buffers.append(buffer)
        direct = [
            b if b is not None and b.flags.c_contiguous and b.flags.writeable else None
            for b in buffers
        ]
        passed = [
            (k, w, np.array(a)) for k, w, a in self._passed_on(arrays)
        ]  # copied before anything is written
        outputs = self.executable.run(arrays, direct)
        made: dict[int, Any] = {}
        for (kind, where), buffer, given, output in zip(
            self.sinks, buffers, direct, outputs, strict=True
        ):
            if buffer is not None and given is None:
                buffer[...] = output
                output = buffer
            self._sink(kind, where, output, buffer, tensors, made, roots)
        for kind, where, array in passed:
            if kind == "result" and out is not None:
                out[where][...] = array
                array = out[where]
            self._sink(kind, where, array, None, tensors, made, roots)
        for i in self.cleared:
            tensors[i]._grad = None
        for i, flag in self.changed_flags:
            tensors[i]._requires_grad = flag
        if self.settings:
            self._set(roots, {})
        return [self._result(k, i, w, made, tensors, leaves, roots) for i, (k, w) in
                enumerate(self.results)]  # fmt: skip

    def _passed_on(self, arrays: Sequence[Any]) -> list[tuple[str, Any, Any]]:
        return [(k, w, arrays[x] if isinstance(x, int) else x) for k, w, x in self.passed]

    def _sink(
        self, kind: str, where: Any, array: Any, buffer: Any, tensors: Any, made: Any, roots: Any
    ) -> None:
        if kind == "result":
            made[where] = array
        elif kind == "tensor":
            tensor = tensors[where]
            if buffer is None:
                _require_writeable(tensor)
                tensor._value[...] = array
            tensor._storage.version += 1
            tensor._origin = None
        elif kind == "grad":
            if buffer is None:
                tensors[where]._grad = new_value(np.asarray(array), None, False)
            else:
                tensors[where]._grad._storage.version += 1
        elif kind == "counter":
            generator = self.generators[where]()
            with generator._lock:
                generator._draws = int(np.asarray(array).view(np.uint64)[1])
        else:
            self._set(roots, {where: new_value(np.asarray(array), None, False)})

    def _set(self, roots: Sequence[Any], values: dict[int, Any]) -> None:
        """Set attributes, items and variables that the function sets."""
        chosen = list(values.items()) if values else self.settings
        for position, value in chosen:
            place = self.reach.places[position]
            place.put(self._find(place.parent, roots), value)

    def _find(self, position: int, roots: Sequence[Any]) -> Any:
        trail: list[Place] = []
        while position >= self.reach.roots:
            trail.append(self.reach.places[position])
            position = self.reach.places[position].parent
        thing = roots[position]
        for place in reversed(trail):
            thing = place.get(thing)
        return thing

    def _result(
        self, kind: str, i: int, where: Any, made: Any, tensors: Any, leaves: Any, roots: Any
    ) -> Any:
        if kind == "result":
            return np.asarray(made[i])
        if kind == "same":
            return tensors[where]
        if kind == "argument":
            return leaves[where]
        if kind == "outside":
            return where()
        if kind == "there":
            return self._find(where, roots)
        return np.array(where) if kind == "constant" else where


def _require_writeable(tensor: Any) -> None:
    if not tensor._value.flags.writeable:
        raise UsageError(
            explain("the tensor's memory is read-only; change a .clone() instead.", (tensor,))
        )


def _reusable(tensor: Any) -> Any:
    """Return the buffer of a gradient that nobody else holds, else None."""
    grad = tensor._grad
    if grad is None or sys.getrefcount(grad) > 3 or grad._requires_grad:
        return None
    array = grad._value
    if sys.getrefcount(array) > 3 or array.base is not None or array.shape != tensor.shape:
        return None
    return array if array.dtype == tensor.dtype else None


def partition_memory(arrays: Sequence[Any]) -> list[int]:
    """Return for each array the number of the first one over the same memory."""
    first: dict[Any, int] = {}
    return [
        first.setdefault((a.__array_interface__["data"][0], a.shape, a.strides) if a.size else i, i)
        for i, a in enumerate(arrays)
    ]
