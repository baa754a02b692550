"""Hooks of modules: what is called before and after forward, and in backward.

Invariant: a module without hooks never comes here. A full backward hook is two identity records
around the call, one over all outputs and one over all inputs, so that it sees the whole gradient of
each, once, and may replace the inputs'. It is separate because only observers need it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slopewise._core.graph import Node, bind
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, new_value
from slopewise._transform.custom import make_custom
from slopewise.errors import UsageError
from slopewise.tensor import RemovableHandle

Entry = tuple[Callable[..., Any], bool]


class HookTable:
    """The hooks of one module, in the order of their calls."""

    def __init__(self) -> None:
        self.before: list[Entry] = []
        self.after: list[Entry] = []
        self.backward: list[Entry] = []

    def add(
        self, when: str, hook: Callable[..., Any], first: bool, with_kwargs: bool
    ) -> RemovableHandle:
        """Add a hook; the handle takes it away."""
        entries: list[Entry] = getattr(self, when)
        entry = (hook, with_kwargs)
        entries.insert(0 if first else len(entries), entry)
        return RemovableHandle(entries, entry)


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call forward with everything that is hooked to it."""
    table: HookTable = module._hooks
    for hook, with_kwargs in list(table.before):
        if with_kwargs:
            changed = hook(module, args, kwargs)
            if changed is not None:
                args, kwargs = changed
        else:
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    watch = _Watch(module, table.backward) if table.backward and state.grad_enabled else None
    if watch is not None:
        args = watch.wrap_inputs(args)
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in list(table.after):
        changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        if changed is not None:
            output = changed
    return output if watch is None else watch.wrap_outputs(output)


class _Watch:
    """One call of a module that backward hooks look at."""

    def __init__(self, module: Any, entries: list[Entry]) -> None:
        self.module = module
        self.entries = entries
        self.places: list[int] = []
        self.count = 0
        self.grad_output: tuple[Any, ...] = ()

    def wrap_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Pass the positional tensors that need gradients through one identity."""
        self.count = len(args)
        self.places = [i for i, a in enumerate(args) if isinstance(a, Value) and a._requires_grad]
        if not self.places:
            return args
        wrapped = _identity("module input", [args[i] for i in self.places], self._pull_inputs)
        full = list(args)
        for i, x in zip(self.places, wrapped, strict=True):
            full[i] = x
        return tuple(full)

    def wrap_outputs(self, output: Any) -> Any:
        """Pass the output tensors that need gradients through one identity."""
        leaves, structure = flatten(output)
        places = [i for i, x in enumerate(leaves) if isinstance(x, Value) and x._requires_grad]
        if not places:
            return output
        count = len(leaves)

        def pull(node: Node, out_bar: Any) -> Sequence[Any]:
            grads: list[Any] = [None] * count
            for i, bar in zip(places, out_bar, strict=True):
                grads[i] = _as_tensor(bar)
            self.grad_output = tuple(grads)
            if not self.places:
                self._call((None,) * self.count)
            return list(out_bar)

        wrapped = _identity("module output", [leaves[i] for i in places], pull)
        for i, x in zip(places, wrapped, strict=True):
            leaves[i] = x
        return unflatten(structure, leaves)

    def _pull_inputs(self, node: Node, out_bar: Any) -> Sequence[Any]:
        grads: list[Any] = [None] * self.count
        for i, bar in zip(self.places, out_bar, strict=True):
            grads[i] = _as_tensor(bar)
        grads = list(self._call(tuple(grads)))
        return [grads[i] for i in self.places]

    def _call(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook, _ in list(self.entries):
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is None:
                continue
            given = changed if isinstance(changed, tuple) else (changed,)
            if len(given) != len(grad_input):
                raise UsageError(
                    explain(
                        f"the backward hook of {type(self.module).__name__} returned {len(given)}"
                        f" gradients for {len(grad_input)} inputs; return one for each, or None."
                    )
                )
            grad_input = given
        return grad_input


def _as_tensor(bar: Any) -> Any:
    if bar is None or isinstance(bar, Value):
        return bar
    return new_value(np.array(bar), None, False)


def _identity(name: str, values: list[Any], pull: Callable[[Node, Any], Sequence[Any]]) -> Any:
    """Return the values behind one record, whose rule sees all their gradients at once."""
    record = make_custom(name, lambda *xs: tuple(xs), pull, lambda node, tangents: tuple(tangents))
    wrapped = bind(record, tuple(values), {})
    for out, x in zip(wrapped, values, strict=True):
        out._storage = x._storage
    return wrapped
