"""Hidden state: what bodies of loops and branches write in place while a function is compiled.

Invariant: after `Hidden.run` every slot of the recorder holds what it held before, so that a body
can be traced as often as needed. It is separate because bodies are traced in the same way where
nothing is compiled, and then there is no state.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._core.trace import placeholder
from slopewise._core.value import new_value
from slopewise.errors import ShapeError, TraceError


def stand_for(avals: Sequence[Aval], weak: Sequence[bool] = ()) -> list[Any]:
    """Return a placeholder for each aval; the weak ones take the dtype of what they meet."""
    made = [placeholder(a) for a in avals]
    for value, flag in zip(made, weak, strict=False):
        value._weak = flag
    return made


class Hidden:
    """What the bodies of one control-flow operation write in place while a function is compiled.

    The recorder's slots are noted before the bodies are traced. Each run of a body starts from
    those values (in a loop: from a placeholder in every slot that is `written`), sees which slots
    hold something else afterwards, and puts back what they had. Runs are repeated until no further
    slot is written; `store` then puts the outputs of the recorded operation into the slots. A
    gradient that did not exist before starts as zeros. Slots of tensors that are first met inside
    belong to tensors made there, and stay there.
    """

    def __init__(self) -> None:
        self.recorder: Any = state.recorder
        self.written: list[int] = []
        self.avals: dict[int, Aval] = {}
        self.before: list[Any] = []
        self._note()

    def _note(self) -> None:
        self.slots: list[Any] = []
        count = -1
        while self.recorder is not None and count != len(self.slots):
            # Reading a gradient can make it a tensor with a slot of its own.
            count = len(self.slots)
            self.slots = self.recorder.slots()
            self.before = [_snapshot(slot.get()) for slot in self.slots]

    @property
    def starts(self) -> list[Any]:
        """Return what the hidden carries hold before the first step."""
        return [
            np.zeros(self.avals[k].shape, self.avals[k].dtype)
            if self.before[k] is None
            else self.before[k]
            for k in self.written
        ]

    def run(
        self, function: Callable[[], Any], carried: bool, since: int
    ) -> tuple[Any, list[Any], list[Any]]:
        """Return the result, the placeholders of the hidden carries, and their last values.

        What was recorded before number `since` lies outside of the body.
        """
        counters = dict(getattr(self.recorder, "counters", {}))
        outside = len(getattr(self.recorder, "outside", ()))
        placed_in = list(self.written) if carried else []
        placed = stand_for([self.avals[k] for k in placed_in])
        for k, value in zip(placed_in, placed, strict=True):
            self.slots[k].set(_snapshot(value))
        first = [_snapshot(slot.get()) for slot in self.slots]
        last = first
        outer, state.body = state.body, since
        try:
            result = function()
        finally:
            state.body = outer
            last = [_snapshot(slot.get()) for slot in self.slots]
            for k, slot in enumerate(self.slots):
                if not _is_same(last[k], self.before[k]):
                    slot.set(_snapshot(self.before[k]))
        if len(getattr(self.recorder, "outside", ())) != outside:
            raise TraceError(
                explain(
                    "control flow: a learning-rate schedule steps in Python, once for each call of"
                    " the compiled function, and not once for each step of a loop inside it. Call"
                    " its step() outside the loop or branch."
                )
            )
        self._reset_counters(counters)
        for k, (old, new) in enumerate(zip(first, last, strict=True)):
            if k not in self.written and not _is_same(old, new):
                self._add(k, old, new)
        self.changed = any(not _is_same(first[k], last[k]) for k in placed_in)
        finals: list[Any] = []
        for k in self.written:
            value = last[k] if k < len(last) else self.before[k]
            aval = self.avals[k]
            if value is None:
                value = np.zeros(aval.shape, aval.dtype)
            elif value.aval != aval:
                raise ShapeError(
                    explain(f"control flow: {self.slots[k].name} changes from {aval} to"
                            f" {value.aval} inside; keep its shape and dtype.")
                )  # fmt: skip
            finals.append(value)
        return result, placed, finals

    def _add(self, k: int, old: Any, new: Any) -> None:
        if new is None:
            raise TraceError(
                explain(
                    f"control flow: {self.slots[k].name} is there before and gone afterwards, so"
                    " that the first step would differ from the others. Clear gradients before"
                    " the loop or branch too (optimizer.zero_grad())."
                )
            )
        self.avals[k] = new.aval if old is None else old.aval
        self.written.append(k)

    def _reset_counters(self, known: dict[Any, Any]) -> None:
        """Let generators that were first used inside take part, from their first counter on."""
        fresh = [
            held for key, held in getattr(self.recorder, "counters", {}).items() if key not in known
        ]
        for held in fresh:
            held[2] = new_value(None, held[1], False)
        if fresh:
            count = len(self.slots)
            slots = self.recorder.slots()[-len(fresh) :]
            self.slots.extend(slots)
            self.before.extend(_snapshot(slot.get()) for slot in slots)
            for k in range(count, len(self.slots)):
                self.avals[k] = self.before[k].aval
                self.written.append(k)

    def store(self, values: Sequence[Any]) -> None:
        """Put the outputs of the recorded operation into the slots."""
        for k, value in zip(self.written, values, strict=True):
            self.slots[k].set(value)


def _snapshot(value: Any) -> Any:
    """Return a Value that later changes in place of `value` do not reach."""
    if value is None or value._value is not None:
        return value
    return new_value(None, value._edge, value._requires_grad)


def _is_same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    if a._edge is None and b._edge is None:
        return a is b
    return a._edge is b._edge
