"""Tapes: the graph behind a computed tensor, read without changing it.

Invariant: gradients are those of the engine's own backward pass, local derivatives those of the
same rules; nothing is freed, no hook is called and no `.grad` is written. It is separate from the
words and the drawing, which need only what is read here.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Node, check_alias
from slopewise._core.quiet import hush, restore
from slopewise._core.source import locate, operand_names
from slopewise._core.value import Value, is_array, is_tuple
from slopewise._front.backward import make_seed, refuse_backward
from slopewise._transform.vjp import leaves_zeros, pull, walk_back
from slopewise.nn import Module

MOST_DETAILED = 2000
"""Parts up to which values and local derivatives are read; of more only the gradients."""
_CALLED = {"contract": "matmul", "broadcast_to": "broadcast", "take": "select", "slice": "select"}
"""Names of primitives that read otherwise on the front."""
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "^"}
_LONGEST = 1000
_DEPTH = 2
"""How deep lists and dictionaries of the user are searched for names."""


@dataclass
class Link:
    """The way from a part back to one of its operands.

    Attributes
    ----------
    target : int
        The operand's part.
    local : numpy.ndarray or None
        The local derivative where it is one number for each of the part's elements, or the part is
        one number; None where it is a matrix, which is never written out.
    passed : numpy.ndarray or None
        What this way adds to the operand's gradient.
    """

    target: int
    local: Any
    passed: Any


@dataclass
class Part:
    """A tensor of the graph: a leaf, or the result of one operation.

    Attributes
    ----------
    name : str
        The user's variable, a parameter's name, or v1, v2, … in order of creation.
    operation : str
        The name of the primitive, as the front has it; "" for a leaf.
    formula : str
        The operation on the operands' names.
    source : str
        The expression of the user's code that ran, with its line.
    shape : tuple of int
    value, gradient : numpy.ndarray or None
        None where the engine kept none.
    links : list of Link
    rule : tuple of str
        The name of the derivative's rule in English and Korean.
    """

    name: str
    operation: str
    formula: str
    source: str
    shape: tuple[int, ...]
    value: Any = None
    gradient: Any = None
    links: list[Link] = field(default_factory=list[Link])
    rule: tuple[str, str] = ("", "")
    line: tuple[str, int] = ("", 0)


@dataclass
class Tape:
    """The graph of a computed tensor.

    Attributes
    ----------
    parts : list of Part
        In order of creation; the root is the last.
    hooked : int
        How many hooks were not called.
    """

    parts: list[Part]
    hooked: int


def read_tape(root: Any, frame: FrameType | None) -> Tape:
    """Return the graph behind a computed tensor of one number.

    Parameters
    ----------
    root : Tensor
    frame : FrameType or None
        Where the user's variables are.

    Returns
    -------
    Tape

    Raises
    ------
    GradientError
        If nothing was recorded, the graph was freed, a kept value was changed in place, or the
        tensor has several elements.

    Examples
    --------
    >>> import slopewise as sw
    >>> w = sw.tensor(4.0, requires_grad=True)
    >>> L = (w - 3) ** 2
    >>> tape = read_tape(L, None)
    >>> [(part.operation, float(part.gradient)) for part in tape.parts]
    [('', 2.0), ('sub', 2.0), ('square', 1.0)]
    """
    if not root._requires_grad:
        refuse_backward(root)
    check_alias(root, "explain.backprop")
    seed = make_seed(root, None)
    head = root if root._edge is None else root._edge
    edges = _collect(head)
    places = {edge: i for i, edge in enumerate(edges)}
    names = _find_names(frame, places)
    if not isinstance(head, Value) and head not in names:
        names[head] = "L"
    kept = hush()
    with warnings.catch_warnings(), _silence(edges) as hooked:
        warnings.simplefilter("ignore")
        try:
            bars = walk_back([(head, seed)], set(edges), attached=False, retain=True)
            parts = [_make_part(edge, names) for edge in edges]
            for part, edge in zip(parts, edges, strict=True):
                bar = bars.get(edge)
                part.gradient = None if bar is None or is_tuple(bar) else np.asarray(bar)
            _link(parts, edges, places, bars)
            if len(parts) <= MOST_DETAILED:
                _fill_values(parts, edges, places, root, _known_values(frame))
        finally:
            restore(kept)
    _name_formulas(parts, edges, places, frame)
    return Tape(parts, hooked[0])


def _collect(head: Any) -> list[Any]:
    """Return all nodes and leaves, leaves where they are first used, the head last."""
    seen: set[Any] = set()
    nodes: list[Node] = []
    pending: list[Any] = [head]
    first: dict[Any, int] = {}
    while pending:
        edge = pending.pop()
        if edge in seen:
            continue
        seen.add(edge)
        if not isinstance(edge, Node):
            continue
        nodes.append(edge)
        for below in edge.edges:
            if below is None:
                continue
            if not isinstance(below, Node):
                first[below] = min(first.get(below, edge.order), edge.order)
            pending.append(below)
    leaves = [edge for edge in seen if not isinstance(edge, Node)]
    keys = {leaf: (first.get(leaf, -1), 0) for leaf in leaves}
    keys.update({node: (node.order, 1) for node in nodes})
    return sorted(keys, key=keys.__getitem__)


@contextmanager
def _silence(edges: Sequence[Any]) -> Generator[list[int]]:
    """Take hooks and retained gradients away for a while, so that reading changes nothing."""
    taken: list[tuple[Any, str, Any]] = []
    count = [0]
    for edge in edges:
        for name in ("hooks", "retained") if isinstance(edge, Node) else ("_hooks",):
            held = getattr(edge, name)
            if held:
                count[0] += len(held) if name != "retained" else 0
                taken.append((edge, name, held))
                setattr(edge, name, None)
    try:
        yield count
    finally:
        for edge, name, held in taken:
            setattr(edge, name, held)


# --- names ---


def _find_names(frame: FrameType | None, places: dict[Any, int]) -> dict[Any, str]:
    """Return the user's names of nodes and leaves: variables, items of lists, parameters."""
    names: dict[Any, str] = {}

    def take(name: str, bound: Any, depth: int) -> None:
        if isinstance(bound, Value):
            edge = bound if bound._edge is None else bound._edge
            if edge in places and (edge not in names or len(name) < len(names[edge])):
                names[edge] = name
        elif isinstance(bound, Module):
            for path, parameter in bound.named_parameters():
                take(f"{name}.{path}", parameter, depth)
        elif depth < _DEPTH:
            for key, item in _items(bound):
                take(f"{name}[{key!r}]", item, depth + 1)

    for name, bound in _variables(frame):
        take(name, bound, 0)
    return names


def _items(bound: Any) -> list[tuple[Any, Any]]:
    """Return the items of a list, tuple or dictionary that is not long."""
    if not isinstance(bound, (list, tuple, dict)) or len(bound) > _LONGEST:  # pyright: ignore[reportUnknownArgumentType]
        return []
    held: Any = bound  # pyright: ignore[reportUnknownVariableType]
    return list(held.items()) if isinstance(held, dict) else list(enumerate(held))  # pyright: ignore[reportUnknownArgumentType]


def _variables(frame: FrameType | None) -> Iterator[tuple[str, Any]]:
    """Yield the names in sight, the innermost first, without private ones."""
    if frame is None:
        return
    scopes = [frame.f_locals]
    if frame.f_globals is not frame.f_locals:
        scopes.append(frame.f_globals)
    for scope in scopes:
        for name, bound in list(scope.items()):
            if not name.startswith("_"):
                yield name, bound


def _known_values(frame: FrameType | None) -> dict[Any, Any]:
    """Return the arrays of the user's tensors, by node."""
    return {
        bound._edge: bound._value
        for _, bound in _variables(frame)
        if isinstance(bound, Value) and bound._edge is not None and bound._value is not None
    }


def _make_part(edge: Any, names: dict[Any, str]) -> Part:
    shape = tuple(edge.shape)
    if not isinstance(edge, Node):
        return Part(names.get(edge, ""), "", "", "", shape, edge._value)
    spot = locate(edge.place)
    text = edge.primitive.text
    called = _CALLED.get(edge.primitive.name, edge.primitive.name)
    return Part(names.get(edge, ""), called, "", spot.expression or spot.text, shape,
                rule=(text.en, text.ko), line=(spot.file, spot.line))  # fmt: skip


def _name_formulas(
    parts: Sequence[Part], edges: Sequence[Any], places: dict[Any, int], frame: FrameType | None
) -> None:
    """Name what has no name, and write each operation on the names of its operands."""
    arrays = {id(bound._value): name for name, bound in _variables(frame)
              if isinstance(bound, Value)}  # fmt: skip
    letters = {"": "v", "leaf": "x"}
    count = dict.fromkeys(letters, 0)
    for part, edge in zip(parts, edges, strict=True):
        if part.name:
            continue
        kind = "" if isinstance(edge, Node) else "leaf"
        count[kind] += 1
        part.name = f"{letters[kind]}{count[kind]}"
    for part, edge in zip(parts, edges, strict=True):
        if isinstance(edge, Node):
            part.formula = _write(edge, part, parts, places, arrays)


def _write(
    node: Node, part: Part, parts: Sequence[Part], places: dict[Any, int], arrays: dict[int, str]
) -> str:
    """Return an operation as the user might write it."""
    said = operand_names(part.source)
    words: list[str] = []
    for i, edge in enumerate(node.edges):
        kept = node.operands[i] if node.operands is not None else None
        if edge is not None:
            words.append(parts[places[edge]].name)
        elif id(kept) in arrays:
            words.append(arrays[id(kept)])
        elif isinstance(kept, (int, float)) or (is_array(kept) and kept.ndim == 0):
            words.append(f"{float(kept):.6g}")
        elif len(said) == len(node.edges) and said[i].isidentifier():
            words.append(said[i])
        else:
            shape = tuple(getattr(kept, "shape", ()))
            words.append(f"array{list(shape)}")
    sign = _INFIX.get(part.operation)
    if sign and len(words) == 2:
        return f"{words[0]} {sign} {words[1]}"
    if part.operation == "neg":
        return f"-{words[0]}"
    if node.output >= 0:
        return f"{words[0]}[{node.output}]"
    shown = list(dict.fromkeys(words)) if len(words) > 4 else words
    return f"{part.operation}({', '.join(shown)})"


# --- values and local derivatives ---


def _link(
    parts: Sequence[Part], edges: Sequence[Any], places: dict[Any, int], bars: dict[Any, Any]
) -> None:
    """Fill in the local derivatives and what each passes on, from the root down."""
    behind: set[Any] = set()
    for part, edge in zip(reversed(parts), reversed(edges), strict=True):
        if not isinstance(edge, Node):
            continue
        if not edge.edges:
            pull(edge, bars.get(edge), False)  # it was freed, which this says
        bar = bars.get(edge)
        if edge.output >= 0:
            passed: Sequence[Any] = (bar,)
        elif bar is None:
            passed = (None,) * len(edge.edges)
        else:
            passed = pull(edge, bar, False, edge in behind)
        if leaves_zeros(edge, behind):
            behind.update(edge.edges)
        local: Sequence[Any] = (None,) * len(edge.edges)
        single = int(np.prod(edge.shape, dtype=np.int64)) == 1 and not is_tuple(bar)
        if edge.output < 0 and (edge.primitive.pointwise or single) and len(parts) <= MOST_DETAILED:
            local = pull(edge, np.ones(edge.shape, edge.dtype), False, edge in behind)
        for below, one, two in zip(edge.edges, local, passed, strict=True):
            if below is not None:
                given = [None if x is None or is_tuple(x) else np.asarray(x) for x in (one, two)]
                part.links.append(Link(places[below], *given))


def _fill_values(
    parts: Sequence[Part], edges: Sequence[Any], places: dict[Any, int], root: Any,
    known: dict[Any, Any],
) -> None:  # fmt: skip
    """Find the value of every node: kept by itself, its user or a variable, or computed again."""
    kept: dict[Any, Any] = {**known, edges[-1]: root._value}
    for edge in edges:
        if not isinstance(edge, Node) or edge.operands is None:
            continue
        if is_array(edge.out):
            kept[edge] = edge.out
        for below, operand in zip(edge.edges, edge.operands, strict=True):
            if isinstance(below, Node) and is_array(operand) and operand.shape == below.shape:
                kept[below] = operand
    for part, edge in zip(parts, edges, strict=True):
        if not isinstance(edge, Node):
            continue
        part.value = kept[edge] if edge in kept else _compute(edge, parts, places)


def _compute(node: Node, parts: Sequence[Part], places: dict[Any, int]) -> Any:
    """Return the value of a node computed again from its operands, or None."""
    if node.operands is None or node.output >= 0 or is_tuple(node.out):
        return None
    operands: list[Any] = []
    for edge, operand in zip(node.edges, node.operands, strict=True):
        found = operand if edge is None else parts[places[edge]].value
        if found is None or isinstance(found, Aval):
            return None
        operands.append(found)
    try:
        value = node.primitive.kernel(*operands, **node.params)
    except Exception:  # a value is a courtesy; the derivative is what counts
        return None
    return None if is_tuple(value) else np.asarray(value)
