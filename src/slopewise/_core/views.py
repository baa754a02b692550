"""Views of values that have no numbers yet: in a trace they follow their bases, as memory does.

Invariant: after a change in place, every living view of the changed value, and everything that it
is a view of, stands for the new numbers. It is separate because the engine only notes views; what
a change means for them is the front's and the recorder's to say.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import weakref
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from slopewise._core.rules import View
from slopewise._core.state import enable_grad, no_grad
from slopewise._core.value import Value, is_tuple

if TYPE_CHECKING:
    from slopewise._core.graph import Primitive

_MAPS = ("broadcast", "reshape", "transpose", "slice", "flip", "windows")  # NumPy copies nothing


class Source(NamedTuple):
    """What a view was made from, and how; `output` is not -1 for one of several views."""

    base: Value
    primitive: Primitive
    params: dict[str, Any]
    output: int


def note_views(out: Any, base: Any, primitive: Primitive, params: dict[str, Any]) -> None:
    """Let the results of a primitive that copies nothing know their base, and it them."""
    lowering = primitive.lowering
    if not primitive.quiet or (type(lowering) is View and lowering.index_map not in _MAPS):
        return
    if not isinstance(base, Value) or (
        type(lowering) is not View and primitive.name not in ("alias", "stop_gradient")
    ):
        return
    if base._views is None:
        base._views = []
    for output, view in enumerate(out) if is_tuple(out) else ((-1, out),):
        view._source = Source(base, primitive, params, output)
        base._views.append(weakref.ref(view))


def follow_base(base: Value, recorded: bool, current: Collection[int] = ()) -> None:
    """Give all views of a changed value its new numbers, but for those whose ids are `current`."""
    if base._views is None:
        return
    living: list[Any] = []
    for ref in list(base._views):
        view = ref()
        if view is None:
            continue
        living.append(ref)
        if id(view) not in current:
            if not shares_memory(view):
                continue
            _, primitive, params, output = view._source
            with enable_grad() if recorded or view._requires_grad else no_grad():
                made = primitive(base, **params)
            if output >= 0:
                made = made[output]
            view._edge, view._requires_grad = made._edge, made._requires_grad
            view._origin = None
        follow_base(view, recorded, current)
    base._views = living


def bases_of(view: Value) -> list[Value]:
    """Return a value and all that it is a view of, innermost first."""
    found = [view]
    while found[-1]._source is not None and shares_memory(found[-1]):
        found.append(found[-1]._source.base)
    return found


def family_of(value: Value) -> list[Value]:
    """Return everything that looks at the same memory as a value, itself included."""
    found = [bases_of(value)[-1]]
    for member in found:
        views = (ref() for ref in member._views or ())
        found.extend(v for v in views if v is not None and shares_memory(v))
    return found


def shares_memory(view: Value) -> bool:
    """Return whether a view is one: `reshape` copies what is not laid out in order."""
    source: Any = view._source
    if source is None or source.primitive.name != "reshape":
        return source is not None
    chain: list[Source] = []
    at: Any = view
    while at._source is not None:
        chain.append(at._source)
        at = at._source.base
    array: Any = _stand_for(at.shape)
    try:
        for _, primitive, params, output in reversed(chain):
            if primitive.name == "reshape":
                array = array.reshape(params["shape"], copy=False)
            elif primitive.name not in ("alias", "stop_gradient"):
                array = primitive.kernel(array, **params)
                array = array if output < 0 else array[output]
    except ValueError:
        return False
    return True


def _stand_for(shape: tuple[int, ...]) -> Any:
    """Return an array that is laid out in order, with a byte of memory, which is never read."""
    strides = [1]
    for n in reversed(shape[1:]):
        strides.insert(0, strides[0] * max(n, 1))
    return as_strided(np.zeros(1, np.int8), shape, strides[: len(shape)], writeable=False)
