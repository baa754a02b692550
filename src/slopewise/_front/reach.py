"""What a function can reach: its tensors and settings, and the way to each of them.

Invariant: a place is found again by its path from the function and its arguments, so that a rebound
parameter is seen; nothing found is kept alive. Settings (numbers, texts, flags) are remembered by
value. It is separate because only compiled functions need guards.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from slopewise._core.value import Value

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_SETTINGS = (int, float, bool, str, bytes, complex, type(None), type(Ellipsis), np.dtype)
_FOREIGN = {*sys.stdlib_module_names, "numpy", "scipy", "torch", "jax", "matplotlib", "slopewise"}
_NAMESPACES = {("types", "SimpleNamespace"), ("argparse", "Namespace")}  # they hold the user's
_UNREAD = {"_parameters", "_buffers", "_modules", "_transient", "_steps", "defaults"}
_MOST = 50_000


class Place:
    """One thing that was found: how to get it from its parent, and what must be true of it."""

    __slots__ = ("expect", "get", "kind", "label", "parent", "put", "ref", "tracked")

    def __init__(
        self, parent: int, get: Callable[[Any], Any], put: Any, label: str, tracked: Any
    ) -> None:
        self.parent = parent
        self.get = get
        self.put = put
        self.label = label
        self.tracked = tracked
        self.kind = ""
        self.expect: Any = None
        self.ref: Any = None


class Reach:
    """Everything that was found from some roots: the function, then its arguments.

    Attributes
    ----------
    places : list of Place
        A parent comes before its children.
    found : list
        The objects, while the function is traced; None afterwards.
    """

    def __init__(self, roots: Sequence[tuple[str, Any]]) -> None:
        self.places: list[Place] = []
        self.found: list[Any] = []
        self.roots = len(roots)
        names: set[str] = set()
        while True:
            before = len(names)
            self._walk(roots, names)
            if len(names) == before:
                break
        self._quick: list[int] = []
        self.exact = False  # whether `unchanged` found the very objects of the trace

    # --- finding ---

    def _walk(self, roots: Sequence[tuple[str, Any]], names: set[str]) -> None:
        self.places, self.found = [], []
        known: dict[int, int] = {}
        for i, (label, root) in enumerate(roots):
            self._add(Place(i, _itself, None, label, None), root, known)
        at = 0
        while at < len(self.places) and len(self.places) < _MOST:
            place, thing = self.places[at], self.found[at]
            if place.kind != "same":
                inner = getattr(type(thing), "_tracked", None)
                if inner is None and place.tracked == "deep" and place.kind == "container":
                    inner = "deep"
                for suffix, child, get, put in _children(thing, place.kind, names):
                    self._add(Place(at, get, put, place.label + suffix, inner), child, known)
            at += 1

    def _add(self, place: Place, thing: Any, known: dict[int, int]) -> None:
        kind = _kind(thing)
        if kind == "" and len(self.places) >= self.roots:  # a root keeps its place
            return
        place.label = place.label.lstrip(".")
        if kind != "setting":
            first = known.setdefault(id(thing), len(self.places))
            if first != len(self.places):
                place.kind, place.expect = "same", first
                self.places.append(place)
                self.found.append(thing)
                return
        place.kind, place.expect = kind, _expectation(thing, kind)
        self.places.append(place)
        self.found.append(thing)

    def tensors(self) -> Iterator[tuple[int, Any]]:
        """Yield the position of each tensor, and the tensor."""
        for i, place in enumerate(self.places):
            if place.kind == "tensor":
                yield i, self.found[i]

    def prune(self, wanted: set[int]) -> None:
        """Drop the gradients that are not wanted, and all that was found; keep weak references."""
        kept: list[int] = []
        moved: dict[int, int] = {}
        for i, place in enumerate(self.places):
            is_grad = place.label.endswith(".grad") and place.kind in ("tensor", "same")
            if is_grad and i not in wanted:
                continue
            if place.kind == "same" and place.expect not in moved:
                continue
            if i >= self.roots and place.parent not in moved:
                continue
            moved[i] = len(kept)
            kept.append(i)
        self.moved = moved
        objects = [self.found[i] for i in kept]
        self.places = [self.places[i] for i in kept]
        for i, place in enumerate(self.places):
            place.parent = i if i < self.roots else moved[place.parent]
            if place.kind == "same":
                place.expect = moved[place.expect]
        needed: set[int] = set()
        for i in reversed(range(len(self.places))):
            place = self.places[i]
            if (place.tracked is None and i >= self.roots) or i in needed:
                needed.update((i, place.parent))
        self._quick = sorted(i for i in needed if i >= self.roots)
        self.found = []
        self.arm(objects)

    def arm(self, objects: Sequence[Any]) -> None:
        """Remember, weakly, what is there now."""
        self.exact = False
        for place, thing in zip(self.places, objects, strict=True):
            place.ref = _weak(thing) if place.kind in _IDENTIFIED else None

    # --- looking again ---

    def unchanged(self, roots: Sequence[Any]) -> list[int] | None:
        """Return None unless the same objects are there, where nobody counts changes.

        Arguments may be other tensors of the same kind; their positions are returned.
        """
        self.exact = False
        exact = True
        moved: list[int] = []
        places = self.places
        there: dict[int, Any] = dict(enumerate(roots))
        for i in range(self.roots):
            ref = places[i].ref
            if ref is None or ref() is not roots[i]:
                kind = places[i].kind
                if (kind in _IDENTIFIED and kind != "tensor") or _differs(places[i], roots[i]):
                    return None
                if kind == "tensor":
                    moved.append(i)
        try:
            for i in self._quick:
                place = places[i]
                thing = place.get(there[place.parent])
                there[i] = thing
                ref = place.ref
                if ref is not None:
                    if ref() is not thing:
                        return None
                elif place.kind == "same":
                    if there.get(place.expect, thing) is not thing:
                        return None
                elif thing is place.expect:  # a setting
                    continue
                elif _differs(place, thing):
                    return None
                else:
                    exact = False
        except _MISSING:
            return None
        self.exact = exact
        return moved

    def watched(self) -> Sequence[int]:
        """Return the places that `unchanged` looks at, parents first."""
        return self._quick

    def counts(self) -> bool:
        """Return whether there are places whose changes are counted instead."""
        return len(self._quick) < len(self.places) - self.roots

    def resolve(self, roots: Sequence[Any]) -> tuple[list[Any], str | None]:
        """Return what is at each place now, and the first thing that does not fit, in words."""
        objects: list[Any] = []
        for i, place in enumerate(self.places):
            try:
                thing = roots[i] if i < self.roots else place.get(objects[place.parent])
            except _MISSING:
                return objects, f"{place.label} is not there any more"
            if place.kind == "same":
                if thing is not objects[place.expect]:
                    other = self.places[place.expect].label
                    return objects, f"{place.label} is no longer the same object as {other}"
            else:
                reason = _differs(place, thing)
                if reason:
                    return objects, reason
            objects.append(thing)
        return objects, None

    def compare(self, roots: Sequence[Any]) -> Iterator[tuple[int, Place, Any, Any]]:
        """Yield the places that changed since the walk: position, place, old and new object."""
        objects: list[Any] = []
        for i, place in enumerate(self.places):
            old = self.found[i]
            try:
                thing = roots[i] if i < self.roots else place.get(objects[place.parent])
            except _MISSING:
                thing = old
                yield i, place, old, MISSING
            objects.append(thing)
            if place.kind == "setting":
                if type(thing) is not type(old) or not _equal(thing, old):
                    yield i, place, old, thing
            elif thing is not old and place.kind != "":
                if isinstance(thing, MethodType) or isinstance(old, MethodType):
                    continue
                yield i, place, old, thing
            elif place.kind == "container" and _expectation(thing, "container") != place.expect:
                yield i, place, old, thing


MISSING = object()
_MISSING = (LookupError, AttributeError, ValueError, TypeError)
_IDENTIFIED = ("tensor", "function", "object", "array", "opaque")


def _itself(x: Any) -> Any:
    return x


def _weak(thing: Any) -> Any:
    try:
        return weakref.ref(thing)
    except TypeError:
        return None


def _kind(thing: Any) -> str:
    """Return what sort of thing it is; "" for what cannot matter."""
    if isinstance(thing, Value):
        return "tensor"
    if isinstance(thing, (_SETTINGS, np.generic)):
        return "setting"
    if isinstance(thing, (list, tuple, dict)):
        return "container" if len(thing) <= _MOST else "opaque"
    if isinstance(thing, np.ndarray):
        return "array"
    if isinstance(thing, FunctionType):
        return "function"
    if isinstance(thing, (MethodType, partial)):
        return "callable"
    if isinstance(thing, ModuleType):
        root = thing.__name__.partition(".")[0]
        return "" if root in _FOREIGN else "module"
    if isinstance(thing, type):
        return "" if _is_foreign(thing) else "class"
    if isinstance(thing, (BuiltinFunctionType, np.ufunc)):
        return ""
    return "object" if hasattr(thing, "__dict__") or _has_slots(type(thing)) else ""


def _has_slots(kind: type) -> bool:
    return not _is_foreign(kind) and any("__slots__" in vars(k) for k in kind.__mro__)


def _is_foreign(kind: type) -> bool:
    return (getattr(kind, "__module__", "") or "").partition(".")[0] in _FOREIGN


def _expectation(thing: Any, kind: str) -> Any:
    if kind == "tensor":
        return tuple(thing.shape), thing.dtype, thing._requires_grad, type(thing)
    if kind == "setting":
        return thing
    if kind == "container":
        if isinstance(thing, dict):
            keys = tuple(k if type(k) in (str, int) else "" for k in thing)
            return type(thing), keys
        return type(thing), len(thing)
    if kind == "function":
        return thing.__code__
    if kind == "module":
        return thing.__name__
    if kind == "class":
        return thing.__qualname__
    return type(thing)


def _equal(a: Any, b: Any) -> bool:
    if type(a) is float:
        return a.hex() == b.hex()
    return bool(a == b)


def _differs(place: Place, thing: Any) -> str | None:
    """Return, in words, how a thing differs from what was there; None where it fits."""
    kind, expect = place.kind, place.expect
    if kind == "setting":
        if type(thing) is type(expect) and _equal(thing, expect):
            return None
        return f"{place.label}: {expect!r} became {_show(thing)}"
    if _kind(thing) != kind:
        return f"{place.label} became {_show(thing)}"
    if kind in ("array", "opaque"):
        same = place.ref is not None and place.ref() is thing
        return None if same else f"{place.label} is another array or object"
    now = _expectation(thing, kind)
    if kind == "tensor":
        if thing._value is None:
            return f"{place.label} is traced"
        for what, a, b in zip(
            ("shape", "dtype", "requires_grad", "class"), expect, now, strict=True
        ):
            if a != b:
                return f"{place.label}: {what} {a} became {b}"
        return None
    if now == expect:
        return None
    if kind == "function":
        return f"{place.label} is another function"
    if kind == "container":
        return f"{place.label}: its length or keys changed"
    return f"{place.label}: {expect} became {now}"


def _show(thing: Any) -> str:
    if isinstance(thing, _SETTINGS):
        return repr(thing)
    return f"a {type(thing).__name__}"


Child = tuple[str, Any, Callable[[Any], Any], Any]


def _children(thing: Any, kind: str, names: set[str]) -> Iterable[Child]:
    """Yield what can be reached in one step: label, object, how to get it and how to set it."""
    if kind == "function":
        yield from _function_children(thing, names)
    elif kind == "callable":
        yield from _callable_children(thing)
    elif kind == "container":
        yield from _container_children(thing)
        if isinstance(thing, dict) and hasattr(thing, "__dict__"):
            yield from _attributes(thing, None)  # a parameter group's rate is one
    elif kind == "tensor":
        if thing._grad is not None:
            yield ".grad", thing._grad, _read_grad, None
    elif kind in ("module", "class"):
        for name, child in list(vars(thing).items()):
            if name in names and not name.startswith("__"):
                yield f".{name}", child, partial(_read_attribute, name), _write_attribute(name)
    elif kind == "object":
        if hasattr(type(thing), "_outside"):
            return
        only = getattr(type(thing), "_reach", None)
        if only is not None:
            yield from _attributes(thing, set(only))
        elif _is_foreign(type(thing)):
            module = (type(thing).__module__ or "").partition(".")[0]
            if module == "slopewise" and not hasattr(thing, "next_counter"):
                yield from _attributes(thing, None)
            elif (module, type(thing).__name__) in _NAMESPACES:
                yield from _attributes(thing, names)
        else:
            yield from _attributes(thing, names)
            yield from _methods(thing, names)


def _attributes(thing: Any, names: set[str] | None) -> Iterable[Child]:
    for name, child in list(getattr(thing, "__dict__", {}).items()):
        if name in _UNREAD:
            continue
        wanted = names is None or name in names
        if wanted or (hasattr(type(thing), "_tracked") and _is_part(child)):
            yield f".{name}", child, partial(_read_variable, name), _write_attribute(name)


def _is_part(child: Any) -> bool:
    return isinstance(child, Value) or hasattr(type(child), "_tracked")


def _methods(thing: Any, names: set[str]) -> Iterable[Child]:
    """Yield what the classes of a user's object state, as far as it is named somewhere."""
    seen = set(getattr(thing, "__dict__", {}))
    for kind in type(thing).__mro__:
        if _is_foreign(kind):
            continue
        own = {n for n in vars(kind) if n not in seen}
        seen |= own
        for name, child in list(vars(kind).items()):
            wanted = name in names or name in ("forward", "__call__")
            if wanted and isinstance(child, MemberDescriptorType):
                if hasattr(thing, name):
                    yield f".{name}", getattr(thing, name), attrgetter(name), _write_attribute(name)
                continue
            if isinstance(child, (staticmethod, classmethod)):
                child = child.__func__
            elif isinstance(child, property):
                child = child.fget
            if wanted and child is not None:
                get = partial(_read_class, None if name in own else kind.__qualname__, name)
                yield f".{name}", child, get, None


def _read_class(qualname: str | None, name: str, thing: Any) -> Any:
    """Return what a class states; without `qualname`, what the object finds by the name now."""
    if qualname is None and name in getattr(thing, "__dict__", {}):
        return vars(thing)[name]
    for kind in type(thing).__mro__:
        if kind.__qualname__ == qualname or (qualname is None and name in vars(kind)):
            child = vars(kind)[name]
            if isinstance(child, (staticmethod, classmethod)):
                return child.__func__
            return child.fget if isinstance(child, property) else child
    raise AttributeError(name)


def _function_children(function: Any, names: set[str]) -> Iterable[Child]:
    code = function.__code__
    for i, name in enumerate(code.co_freevars):
        try:
            child = function.__closure__[i].cell_contents
        except ValueError:
            continue
        yield f".{name}", child, partial(_read_cell, i), partial(_write_cell, i)
    if code.co_filename.startswith(_PACKAGE):
        return
    used = _names_of(code)
    names |= used
    scope = function.__globals__
    for name in sorted(used):
        if name in scope:
            yield f".{name}", scope[name], partial(_read_global, name), partial(_write_global, name)
    for i, child in enumerate(function.__defaults__ or ()):
        yield f".default{i}", child, partial(_read_default, i), None
    for name, child in (function.__kwdefaults__ or {}).items():
        yield f".{name}", child, partial(_read_keyword, name), None


def _names_of(code: CodeType) -> set[str]:
    """Return every name and text that a function's code mentions."""
    found: set[str] = set()
    pending = [code]
    while pending:
        each = pending.pop()
        found.update(each.co_names)
        for constant in each.co_consts:
            if isinstance(constant, CodeType):
                pending.append(constant)
            elif isinstance(constant, str) and constant.isidentifier():
                found.add(constant)
    return found


def _callable_children(thing: Any) -> Iterable[Child]:
    if isinstance(thing, MethodType):
        yield ".__func__", thing.__func__, lambda m: m.__func__, None
        yield "", thing.__self__, lambda m: m.__self__, None
    else:
        yield "", thing.func, lambda p: p.func, None
        yield ".args", thing.args, lambda p: p.args, None
        yield ".keywords", thing.keywords, lambda p: p.keywords, None


def _container_children(thing: Any) -> Iterable[Child]:
    if isinstance(thing, dict):
        for i, (key, child) in enumerate(thing.items()):
            if type(key) is str and key == "lr" and hasattr(thing, "rate"):
                continue  # a copy of the rate, which is a tensor
            if type(key) in (str, int):
                yield f"[{key!r}]", child, partial(_read_item, key), partial(_write_item, key)
            else:
                yield f"[{i}]", child, partial(_read_entry, i), None
    else:
        put = None if isinstance(thing, tuple) else _write_item
        for i, child in enumerate(thing):
            yield f"[{i}]", child, partial(_read_item, i), put and partial(put, i)


def _read_grad(tensor: Any) -> Any:
    grad = tensor._grad
    if grad is None:
        raise LookupError
    return grad


def _read_variable(name: str, thing: Any) -> Any:
    return vars(thing)[name]


def _read_attribute(name: str, thing: Any) -> Any:
    return vars(thing)[name]


def _write_attribute(name: str) -> Any:
    def write(thing: Any, value: Any) -> None:
        setattr(thing, name, value)

    return write


def _read_cell(i: int, function: Any) -> Any:
    return function.__closure__[i].cell_contents


def _write_cell(i: int, function: Any, value: Any) -> None:
    function.__closure__[i].cell_contents = value


def _read_global(name: str, function: Any) -> Any:
    return function.__globals__[name]


def _write_global(name: str, function: Any, value: Any) -> None:
    function.__globals__[name] = value


def _read_default(i: int, function: Any) -> Any:
    return function.__defaults__[i]


def _read_keyword(name: str, function: Any) -> Any:
    return function.__kwdefaults__[name]


def _read_item(key: Any, thing: Any) -> Any:
    return dict.__getitem__(thing, key) if isinstance(thing, dict) else thing[key]


def _write_item(key: Any, thing: Any, value: Any) -> None:
    thing[key] = value


def _read_entry(i: int, thing: Any) -> Any:
    return next(islice(thing.values(), i, None))
