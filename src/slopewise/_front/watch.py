"""Watches: where machine code finds what a compiled function captured.

Invariant: while every watched place holds the same object, `Reach.unchanged` would find nothing
changed where nobody counts changes; a place that cannot be watched so makes the whole list None. It
is separate from `reach`, which compares by value and says what changed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from functools import cache, partial
from types import MethodType, ModuleType
from typing import Any

from slopewise._front import reach as places
from slopewise._front.reach import Place, Reach

Watch = tuple[str, Any, Any, Any]
"""Where to look, the object to look in, the name or index there, and what is there."""


class _Unwatchable(Exception):
    """Tells that a place is known to Python only."""


def list_watches(reach: Reach, roots: Sequence[Any]) -> list[Watch] | None:
    """Return what to compare so that a function is known to be what it was when it was traced."""
    there: dict[int, Any] = dict(enumerate(roots))
    found: list[Watch] = []
    try:
        for i in reach.watched():
            place = reach.places[i]
            parent = there[place.parent]
            thing = there[i] = place.get(parent)
            found.extend(_watch(place, parent, thing))
    except (_Unwatchable, AttributeError, LookupError, TypeError, ValueError):
        return None
    return found


def same_watches(some: Sequence[Watch], others: Sequence[Watch] | None) -> bool:
    """Return whether two lists compare the same places with the same objects."""
    if others is None or len(some) != len(others):
        return False
    return all(
        p[0] == q[0] and p[1] is q[1] and p[2] == q[2] and (p[3] is q[3] or p[0] == "length")
        for p, q in zip(some, others, strict=True)
    )


def _watch(place: Place, parent: Any, thing: Any) -> Iterator[Watch]:
    """Yield the comparisons that make sure that a place holds a thing."""
    get: Any = place.get
    if isinstance(parent, MethodType):
        pass  # its function and its object never change
    elif not isinstance(get, partial):
        raise _Unwatchable
    elif get.func is places._read_cell:
        yield "cell", parent.__closure__[get.args[0]], 0, thing
    elif get.func is places._read_global:
        yield "dict", parent.__globals__, get.args[0], thing
    elif get.func is places._read_default:
        yield "defaults", parent, 0, parent.__defaults__
    elif get.func is places._read_keyword:
        yield "keyword", parent, get.args[0], thing
    elif get.func is places._read_attribute and isinstance(parent, ModuleType):
        yield "dict", vars(parent), get.args[0], thing
    elif get.func is places._read_variable and _keeps_variables(parent):
        yield "variable", parent, get.args[0], thing
    elif get.func is places._read_item and isinstance(parent, tuple):
        pass  # nor do the items of a tuple
    elif get.func is places._read_item and type(parent) is list:
        yield "item", parent, get.args[0], thing
    else:
        raise _Unwatchable
    if place.kind == "callable" and not isinstance(thing, MethodType):
        raise _Unwatchable
    if isinstance(thing, list) and type(thing) is list:
        yield "length", thing, 0, len(thing)
    elif place.kind == "container" and not isinstance(thing, tuple):
        raise _Unwatchable


@cache
def _find_dict() -> Any:
    """Return what gives the dictionary of an object, as the entry finds it."""
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p)(
        ("PyObject_GenericGetDict", ctypes.pythonapi)
    )


def _keeps_variables(thing: Any) -> bool:
    """Return whether an object's attributes are where CPython keeps them."""
    return _find_dict()(thing, None) is vars(thing)
