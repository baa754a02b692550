"""Programs on disk, found by their graph: a function that was compiled once starts without a pass.

Invariant: a program is found only for an equal graph, by the same code of this package, on the same
processor; what cannot be described by plain values is not kept. Numbers and text are JSON, arrays
and code are raw bytes; nothing is unpickled. Places in the user's source are kept as positions in
the graph, so that a message names the line as it is now.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import hashlib
import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from slopewise._compile import cache, jit
from slopewise._compile.contents import Contents, Origin, Routine, Space
from slopewise._core import LOADED
from slopewise._core.graph import Node, Primitive, operand_at
from slopewise._core.trace import Graph
from slopewise._core.value import Value
from slopewise._ops.registry import collect

_PLAIN = (str, bool, int, float, type(None), type(Ellipsis))
_SOURCES = ("_core", "_ops", "_transform", "_compile", "_compile/math")
_LARGEST = 1 << 24  # bytes of constants that are kept; more of them are compiled each time


_table = lru_cache(maxsize=1)(collect)


class _Unknown(Exception):
    """Tells that a graph holds what has no plain description."""


class Listing:
    """A graph in plain values.

    Attributes
    ----------
    key : str
        Equal for equal graphs, on this processor and with this code.
    nodes : list of Node
        Those of the graph and of the graphs inside of it, in the order of the description.
    """

    def __init__(self, graph: Graph, settings: str) -> None:
        self.nodes: list[Node] = []
        self._bytes = 0
        self.key = cache.make_key(
            repr(self._graph(graph)), settings, _stamp(), *jit.processor(), jit.llvm_version()
        )

    def find_places(self) -> dict[Any, int]:
        """Return for each place in the user's source a node that was made there."""
        found: dict[Any, int] = {}
        for i, node in enumerate(self.nodes):
            found.setdefault(_key_of(node.place), i)
        return found

    def _graph(self, graph: Graph) -> Any:
        places: dict[Any, int] = {}
        described: list[Any] = []
        for edge in graph.inputs:
            places[edge] = len(places)
            described.append((edge.shape, edge.dtype.str))
        listed: list[Any] = []
        table = _table()
        for node in graph.nodes:
            places[node] = len(places)
            self.nodes.append(node)
            if node.output >= 0:
                listed.append((node.output, places[node.edges[0]]))
                continue
            name = node.primitive.name
            if table.get(name) is not node.primitive:
                raise _Unknown
            operands: list[Any] = []
            for i, edge in enumerate(node.edges):
                place = None if edge is None else places.get(edge)
                operands.append(self._constant(operand_at(node, i)) if place is None else place)
            params = self._plain(node.params) if node.params else None
            listed.append((name, operands, params, node.shape, node.dtype.str))
        outputs: list[Any] = []
        for out in graph.outputs:
            place = places.get(out) if isinstance(out, (Node, Value)) else None
            outputs.append(self._constant(out) if place is None else place)
        return described, listed, outputs

    def _plain(self, x: Any) -> Any:
        if isinstance(x, _PLAIN):
            return x if type(x) in _PLAIN else (type(x).__name__, repr(x))
        if isinstance(x, (tuple, list)):
            return type(x).__name__, [self._plain(v) for v in x]  # pyright: ignore
        if isinstance(x, dict):
            return [(k, self._plain(v)) for k, v in sorted(x.items())]  # pyright: ignore
        if isinstance(x, Graph):
            return "graph", self._graph(x)
        if isinstance(x, np.dtype):
            return "dtype", x.str  # pyright: ignore
        if isinstance(x, Primitive) and _table().get(x.name) is x:
            return "primitive", x.name
        return self._constant(x)

    def _constant(self, x: Any) -> Any:
        """Return a description of a number or an array."""
        if isinstance(x, Value):
            x = x._value
        if type(x) in (bool, int, float):
            return type(x).__name__, repr(x)
        if not isinstance(x, (np.ndarray, np.generic)):
            raise _Unknown
        kind = "array" if isinstance(x, np.ndarray) else "scalar"
        array: Any = np.asarray(x)  # pyright: ignore
        self._bytes += array.nbytes
        if array.dtype.kind not in "biuf" or self._bytes > _LARGEST:
            raise _Unknown
        whole: Any = np.ascontiguousarray(array)  # which gives a number an axis
        return kind, array.shape, array.dtype.str, hashlib.sha256(whole).hexdigest()


def _key_of(place: Any) -> Any:
    return None if place is None else (id(place[0]), place[1])


def _stamp() -> str:
    """Return what tells this code from another: sizes and times of its files, and versions.

    Raises
    ------
    _Unknown
        If a file was changed since it may have been loaded.
    """
    parts: list[Any] = [sys.version, np.__version__]
    package = Path(__file__).parent.parent
    for name in _SOURCES:
        with os.scandir(package / name) as entries:
            found = [(e.name, e.stat()) for e in entries if e.name.endswith(".py")]
        if any(s.st_mtime_ns >= LOADED for _, s in found):
            raise _Unknown
        parts += sorted((n, s.st_size, s.st_mtime_ns) for n, s in found)
    return repr(parts)


def list_graph(graph: Graph, settings: str) -> Listing | None:
    """Return the description of a graph; None if it has none or the cache is off.

    Parameters
    ----------
    graph : Graph
    settings : str
        What else decides the code: numbers of the compiler that were changed.
    """
    if cache.find_folder() is None:
        return None
    try:
        return Listing(graph, settings)
    except (_Unknown, OSError):  # OSError: the sources are in an archive
        return None


def load(listing: Listing) -> tuple[Contents, bytes] | None:
    """Return the program kept for a graph and its object code, or None."""
    raw = cache.load(listing.key)
    if raw is None:
        return None
    try:
        length = int.from_bytes(raw[:8], "little")
        return _decode(json.loads(raw[8 : 8 + length]), memoryview(raw)[8 + length :], listing)
    except (ValueError, KeyError, TypeError, IndexError):
        return None  # the file is whole, so other code wrote it under the same key


def store(listing: Listing, contents: Contents, code: bytes) -> None:
    """Keep a program for a graph, if it can be described by plain values."""
    if sum(a.nbytes for a in contents.constants) > _LARGEST:
        return
    places = listing.find_places()
    routines: list[Any] = []
    by_params = {id(node.params): i for i, node in enumerate(listing.nodes)}
    for routine in contents.routines:
        node = by_params.get(id(routine.params))
        if node is None or listing.nodes[node].primitive is not routine.primitive:
            return  # it is part of what a composite is made of, and no node of the graph
        routines.append(
            (node, _spaces(routine.operands), _spaces(routine.outs),
             places.get(_key_of(routine.place), -1))
        )  # fmt: skip
    head = {
        "identity": contents.identity,
        "outputs": _spaces(contents.outputs),
        "overwritten": [sorted(bad) for bad in contents.overwritten],
        "constants": _spaces([Space(a.shape, a.dtype) for a in contents.constants]),
        "arena": contents.arena_bytes,
        "flags": [contents.products, contents.parts, contents.long],
        "routines": routines,
        "statuses": [
            (n, o.names, places.get(_key_of(o.place), -1), o.error, o.told)
            for n, o in contents.statuses.items()
        ],
    }
    text = json.dumps(head).encode()
    arrays = [a.tobytes() for a in contents.constants]
    cache.store(listing.key, b"".join([len(text).to_bytes(8, "little"), text, *arrays, code]))


def _decode(head: Any, rest: memoryview, listing: Listing) -> tuple[Contents, bytes]:
    constants: list[Any] = []
    at = 0
    for space in _read_spaces(head["constants"]):
        # A copy, as the file's bytes are not aligned.
        constants.append(
            np.frombuffer(rest, space.dtype, space.size, at).reshape(space.shape).copy()
        )
        at += space.bytes

    def place_of(i: int) -> Any:
        return None if i < 0 else listing.nodes[i].place

    routines: list[Routine] = []
    for i, operands, outs, place in head["routines"]:
        node = listing.nodes[int(i)]
        routines.append(
            Routine(node.primitive, node.params, _read_spaces(operands), _read_spaces(outs),
                    place_of(place))
        )  # fmt: skip
    products, parts, long = head["flags"]
    contents = Contents(
        head["identity"], _read_spaces(head["outputs"]), [set(x) for x in head["overwritten"]],
        constants, head["arena"], products, parts, long, routines,
        {n: Origin(names, place_of(i), *rest) for n, names, i, *rest in head["statuses"]},
    )  # fmt: skip
    return contents, bytes(rest[at:])


def _spaces(spaces: Any) -> list[Any]:
    return [(s.shape, s.dtype.str) for s in spaces]


def _read_spaces(listed: Any) -> list[Space]:
    return [Space(tuple(shape), np.dtype(name)) for shape, name in listed]
