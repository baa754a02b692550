"""Functions of vectors and matrices as rows of a table: what each row is made of, with shapes.

Invariant: a row is a term of the array graph that people give a letter: what goes into a curved
function, what comes out of one, and what is used twice. Every row is made of the inputs and of rows
before it. It is separate from the backward sweep, which reads these rows and knows no letters.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.trace import Graph
from slopewise._core.value import Value
from slopewise._ops.registry import collect
from slopewise._transform.expression import Expression, order, read_graph
from slopewise.errors import SlopewiseError
from slopewise.explain.notation import BAR
from slopewise.explain.reading import NUMBER, Terms, trace_plainly
from slopewise.explain.requests import refuse
from slopewise.explain.shapes import Shape, choose_sizes, name_sizes

_SAME = ("alias", "copy")
_MOVES = ("broadcast_to", "reshape", "transpose", "convert", "neg")
_STRAIGHT = ("add", "sub", "mul", "div", "contract", "sum", *_MOVES, *_SAME)
_POWERS = ("pow", "square", "abs")
_LETTERS = {
    "sigmoid": "a", "tanh": "a", "relu": "a", "softplus": "a", "gelu": "a", "silu": "a",
    "softmax": "p", "log_softmax": "l", "logsumexp": "s",
}  # fmt: skip


class ArrayTerms(Terms):
    """Makes the terms of one function of arrays."""

    def apply(
        self, primitive: Primitive, operands: Sequence[Expression], params: dict[str, Any],
        place: Any = None,
    ) -> Expression:  # fmt: skip
        """Return a primitive applied to terms; what only passes a value on is left out."""
        if primitive.name in _SAME:
            return operands[0]
        if primitive.name == "guarded_mul":
            return self.times(*operands)
        if primitive.name == "contract" and any(o.is_number for o in operands):
            return self.times(*operands)  # a number times an array, as a product of no axes
        return super().apply(primitive, operands, params, place)

    def read(self, x: Any, like: np.dtype[Any] | None) -> Expression:
        """Return a term for a constant; an array of one number is that number, repeated."""
        value = np.asarray(x._value if isinstance(x, Value) else x)
        if value.dtype.kind != "f" or not value.size or not np.all(value == value.flat[0]):
            return super().read(x, like)
        number = self._read_number(float(value.flat[0]))
        if not value.ndim:
            return number
        return self.apply(collect()["broadcast_to"], [number], {"shape": value.shape})

    def _read_number(self, value: float) -> Expression:
        """Return a number; one over a size is written so."""
        size = 1 / abs(value) if value else 0.0
        if round(size) in self.sizes and 1 / round(size) == abs(value):
            return self.over(self.exact(1 if value > 0 else -1), self.exact(round(size)))
        return self.number(value, NUMBER)

    def add_input(self, name: str, aval: Aval) -> Expression:
        """Return a new input, such as the gradient in a row."""
        self.names = (*self.names, name)
        self.inputs.append(self.input(len(self.inputs), aval))
        return self.inputs[-1]


@dataclass(frozen=True)
class Row:
    """A row of the table: a letter, the term that it is, and its shape by the names of axes.

    Attributes
    ----------
    letter : str
    term : Expression
    shape : tuple of str
    """

    letter: str
    term: Expression
    shape: Shape


@dataclass(frozen=True)
class ArrayFunction:
    """A function of arrays, read.

    Attributes
    ----------
    function : callable
    terms : ArrayTerms
    root : Expression
        The value, one number.
    shapes : dict of str to tuple of str
        Of the inputs.
    sizes : dict of str to int
        Of the axes, as they were traced.
    rows : list of Row
        In the order of computation; the last is the value.
    """

    function: Callable[..., Any]
    terms: ArrayTerms
    root: Expression
    shapes: dict[str, Shape]
    sizes: dict[str, int]
    rows: list[Row]

    def name_shape(self, shape: tuple[int, ...]) -> Shape:
        """Return a shape by the names of its axes."""
        names = {size: axis for axis, size in self.sizes.items()}
        return tuple(names.get(size, str(size)) for size in shape)


def read_arrays(
    function: Callable[..., Any], names: Sequence[str], shapes: Mapping[str, Shape]
) -> ArrayFunction:
    """Return a function of arrays as rows.

    Parameters
    ----------
    function : callable
        Of as many arrays as there are names.
    names : sequence of str
    shapes : mapping of str to tuple of str
        Names of axes.

    Returns
    -------
    ArrayFunction

    Raises
    ------
    SpokenError
        If the shapes do not fit, or the value is no number.

    Examples
    --------
    >>> from slopewise.explain.formula import Formula
    >>> found = read_arrays(
    ...     Formula("mean((X @ w - y)^2)"),
    ...     ["X", "w", "y"],
    ...     {"X": ("n", "d"), "w": ("d",), "y": ("n",)},
    ... )
    >>> [(row.letter, row.shape) for row in found.rows]
    [('r', ('n',)), ('L', ())]
    """
    sizes = choose_sizes(shapes)
    graph, avals = _trace(function, names, shapes)
    terms = ArrayTerms(names, avals)
    terms.sizes = name_sizes(sizes)
    root = drop_repeats(terms, read_graph(graph, terms, terms.inputs)[0])
    if root.shape:
        raise refuse("derivation", "not_number", found=root.shape)
    found = ArrayFunction(function, terms, root, dict(shapes), sizes, [])
    return ArrayFunction(function, terms, root, dict(shapes), sizes, _find_rows(found))


def find_value_shape(function: Callable[..., Any], shapes: Mapping[str, Shape]) -> Shape:
    """Return the names of the axes of what a function gives; none for a number.

    Raises
    ------
    SpokenError
        If the shapes do not fit.

    Examples
    --------
    >>> from slopewise.explain.formula import Formula
    >>> find_value_shape(Formula("A @ x"), {"A": ("n", "d"), "x": ("d",)})
    ('n',)
    """
    graph, _ = _trace(function, list(shapes), shapes)
    names = {size: axis for axis, size in choose_sizes(shapes).items()}
    return tuple(names.get(size, str(size)) for size in graph.outputs[0].shape)


def _trace(
    function: Callable[..., Any], names: Sequence[str], shapes: Mapping[str, Shape]
) -> tuple[Graph, list[Aval]]:
    sizes = choose_sizes(shapes)
    avals = [Aval(tuple(sizes[axis] for axis in shapes[name]), NUMBER) for name in names]
    try:
        return trace_plainly(lambda *xs: (function(*xs),), avals), avals
    except SlopewiseError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        for axis, size in sizes.items():
            reason = re.sub(rf"\b{size}\b", axis, reason)
        told = ", ".join(f"{name}: {'×'.join(shapes[name]) or '1'}" for name in names)
        raise refuse("derivation", "misfit", reason=reason, shapes=told) from error


def drop_repeats(terms: Terms, root: Expression) -> Expression:
    """Return a term without what only repeats a value along axes, where arithmetic does that."""
    repeat = collect()["broadcast_to"]

    def bare(term: Expression) -> Expression | None:
        """Return the number that a term repeats, or is."""
        while term.name in ("broadcast_to", "reshape"):
            term = term.operands[0]
        return None if term.shape else term

    def change(term: Expression) -> Expression:
        if term.primitive is None:
            return term
        if term.name == "sum" and term.operands[0].name == "broadcast_to":
            inner = bare(term.operands[0])
            if inner is None:
                return term
            axes: Sequence[int] = term.params["axes"]
            count = math.prod(term.operands[0].shape[axis] for axis in axes)
            total = terms.times(terms.exact(count), inner)
            return terms.apply(repeat, [total], {"shape": term.shape}) if term.shape else total
        if not term.primitive.pointwise or not term.shape:
            return term
        numbers = [bare(operand) for operand in term.operands]
        if all(x is not None for x in numbers):
            inner = terms.apply(term.primitive, [x for x in numbers if x is not None], term.params)
            return terms.apply(repeat, [inner], {"shape": term.shape})
        operands = list(term.operands)
        for i, operand in enumerate(operands):
            full = any(o.shape == term.shape for j, o in enumerate(operands) if j != i)
            number = numbers[i]
            if full and number is not None:
                operands[i] = number
            elif full and operand.name == "broadcast_to":
                operands[i] = operand.operands[0]
        if operands == list(term.operands):
            return term
        return terms.apply(term.primitive, operands, term.params)

    return terms.rewrite("drop repeats", root, change)


def _find_rows(found: ArrayFunction) -> list[Row]:
    """Return what gets a letter."""
    listed = [term for term in order([found.root]) if term.primitive is not None]
    users: dict[int, int] = {}
    entered: set[int] = set()  # what goes into a curved function
    for term in listed:
        curved = term.name not in _STRAIGHT
        for operand in term.operands:
            users[operand.number] = users.get(operand.number, 0) + 1
            if curved and term.dtype.kind == "f":
                entered.add(operand.number)
    chosen = [
        term
        for term in listed
        if term is found.root
        or (
            term.name not in _MOVES
            and term.dtype.kind == "f"
            and (
                users[term.number] > 1
                or term.number in entered
                or term.name not in (*_STRAIGHT, *_POWERS)
            )
        )
    ]
    letters = [_choose_letter(term, found.root) for term in chosen]
    taken = set(found.terms.names)
    rows: list[Row] = []
    for term, letter in zip(chosen, letters, strict=True):
        name = letter
        if letters.count(letter) > 1 or letter in taken:
            number = 1
            while f"{letter}{number}" in taken:
                number += 1
            name = f"{letter}{number}"
        taken.add(name)
        rows.append(Row(name, term, found.name_shape(term.shape)))
    return rows


def _choose_letter(term: Expression, root: Expression) -> str:
    if term is root:
        return "L"
    if term.name in _LETTERS:
        return _LETTERS[term.name]
    if term.name == "sub":
        return "r"
    return "z" if term.name in _STRAIGHT else "h"


def name_gradient(letter: str) -> str:
    """Return the name of the gradient in a row or an input: the letter with a bar.

    Examples
    --------
    >>> name_gradient("z1") == "z" + BAR + "1"
    True
    """
    digits = letter[len(letter.rstrip("0123456789")) :]
    return letter[: len(letter) - len(digits)] + BAR + digits


def sample_inputs(found: ArrayFunction) -> list[Any]:
    """Return arrays to check with: one for each input, of the traced shapes."""
    rng = np.random.default_rng(11)
    return [rng.uniform(-1, 1, x.shape) / max(1, len(x.shape)) for x in found.terms.inputs]
