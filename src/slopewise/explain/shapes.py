"""Shapes of a formula's variables: as the user gives them, or as the formula suggests them.

Invariant: every axis has a name; the same name is the same size everywhere. Sizes to trace with are
primes above a hundred, so that a number that is one of them, or their product, stands for sizes. It
is separate because only vector and matrix formulas have shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations_with_replacement

from slopewise.explain.formula import Formula
from slopewise.explain.requests import refuse
from slopewise.explain.syntax import (
    CONSTANTS,
    Apply,
    Binary,
    Name,
    Negate,
    Number,
    Syntax,
    fold,
    walk,
)

Shape = tuple[str, ...]
"""Names of axes."""
SIZES = (101, 103, 107, 109, 113, 127, 131, 137)
"""What named axes are traced with."""
_WHOLE = ("mean", "sum", "max", "min", "softmax", "log_softmax", "logsumexp")
_TARGETS = ("y", "t", "Y", "T")
_DATA = ("x", "X", *_TARGETS)


def needs_shapes(formula: Formula) -> bool:
    """Return whether a formula speaks of vectors or matrices.

    Parameters
    ----------
    formula : Formula

    Returns
    -------
    bool

    Examples
    --------
    >>> needs_shapes(Formula("mean((X @ w - y)^2)")), needs_shapes(Formula("max(x, 0)"))
    (True, False)
    """
    return any(
        (isinstance(node, Binary) and node.operator == "@")
        or (isinstance(node, Apply) and node.function in _WHOLE and len(node.arguments) == 1)
        for node in walk(formula.syntax)
    )


def read_shapes(
    given: Mapping[str, str | int | Sequence[str | int]], names: Sequence[str]
) -> dict[str, Shape]:
    """Return a shape for every name; those that are not given are numbers.

    Parameters
    ----------
    given : mapping of str to shape
        A shape is a sequence of names of axes, or a str such as "n,d" or "n×d"; "" is a number.
    names : sequence of str

    Returns
    -------
    dict of str to tuple of str

    Raises
    ------
    SpokenError
        If a name is none of the formula's, or there are too many axes.

    Examples
    --------
    >>> read_shapes({"X": "n,d", "w": ("d",)}, ["X", "w", "b"])
    {'X': ('n', 'd'), 'w': ('d',), 'b': ()}
    """
    for name in given:
        if name not in names:
            raise refuse("derivation", "shape_name", found=name, known=", ".join(names))
    found: dict[str, Shape] = {}
    for name in names:
        shape = given.get(name, ())
        if isinstance(shape, int):
            shape = (shape,)
        if isinstance(shape, str):
            shape = [part for part in shape.replace("×", ",").replace(" ", ",").split(",") if part]
        found[name] = tuple(map(str, shape))
    if len({axis for shape in found.values() for axis in shape}) > len(SIZES):
        raise refuse("derivation", "axes", limit=len(SIZES))
    return found


def guess_shapes(formula: Formula) -> dict[str, Shape]:
    """Return the shapes that a formula suggests, by the usual way of writing.

    Capital letters are matrices; what stands beside `@` is a vector; `y` and `t` are targets, which
    have the shape of what they stand beside; what is added to rows is one number for a column.
    Without any of these, x, y and t are data.

    Parameters
    ----------
    formula : Formula

    Returns
    -------
    dict of str to tuple of str

    Examples
    --------
    >>> guess_shapes(Formula("mean((sigmoid(X @ w + b) - y)^2)"))
    {'X': ('n', 'd'), 'w': ('d',), 'b': (), 'y': ('n',)}
    """
    known: dict[str, Shape] = {}
    spare = [axis for axis in ("k", "m", "p", "q", "r") if axis not in formula.names]

    def settle(node: Syntax, shape: Shape) -> Shape:
        """Return the shape of an operand, which is `shape` if it is a name not met before."""
        if isinstance(node, Name) and node.name not in CONSTANTS:
            return known.setdefault(node.name, shape)
        return shapes.get(id(node), ())

    shapes: dict[int, Shape] = {}

    def combine(node: Syntax, below: list[Shape]) -> Shape:
        if isinstance(node, (Number, Name)):
            shape = known.get(node.name, ()) if isinstance(node, Name) else ()
        elif isinstance(node, Negate):
            shape = below[0]
        elif isinstance(node, Apply):
            shape = _apply_shape(node, below, settle)
        elif isinstance(node, Binary) and node.operator == "@":
            left = settle(node.left, ("n", "d") if _is_matrix(node.left) else ("d",))
            inner = left[-1] if left else "d"
            other = (inner, spare.pop(0) if spare else "k") if _is_matrix(node.right) else (inner,)
            right = settle(node.right, other)
            if left and right and left[-1] != right[0]:  # as in x @ (A @ x): A is square
                old, new = right[0], left[-1]
                known.update({name: _rename(s, old, new) for name, s in known.items()})
                shapes.update({part: _rename(s, old, new) for part, s in shapes.items()})
                left, right = _rename(left, old, new), _rename(right, old, new)
            shape = (*left[:-1], *right[1:])
        else:
            assert isinstance(node, Binary)
            shape = max(below, key=len)
            for operand in (node.left, node.right):
                if not shape or not isinstance(operand, Name):
                    continue
                if operand.name[:1] in _TARGETS:
                    settle(operand, shape)
                elif node.operator in "+-":
                    settle(operand, shape[1:])
        shapes[id(node)] = shape
        return shape

    fold(formula.syntax, combine)
    return {name: known.get(name, ()) for name in formula.names}


def _apply_shape(
    node: Apply, below: list[Shape], settle: Callable[[Syntax, Shape], Shape]
) -> Shape:
    first = node.arguments[0]
    if len(node.arguments) > 1 or node.function not in _WHOLE:
        return max(below, key=len)
    axis = "n" if node.function in ("mean", "sum", "max", "min") else "k"
    shape: Shape = below[0] if below[0] else settle(first, (axis,))
    if not shape:  # nothing told that it is a vector: what is named like data is
        letters = [x for x in walk(first) if isinstance(x, Name) and x.name not in CONSTANTS]
        for inner in [x for x in letters if x.name[:1] in _DATA] or letters:
            settle(inner, (axis,))
    if node.function in ("softmax", "log_softmax"):
        return shape
    return shape[:-1] if node.function == "logsumexp" else ()


def _rename(shape: Shape, old: str, new: str) -> Shape:
    return tuple(new if axis == old else axis for axis in shape)


def _is_matrix(node: Syntax) -> bool:
    return isinstance(node, Name) and node.name[:1].isupper()


def choose_sizes(shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Return a size for each axis: a number for itself, a prime for a name."""
    axes = dict.fromkeys(axis for shape in shapes.values() for axis in shape)
    primes = iter(SIZES)
    return {axis: int(axis) if axis.isdigit() else next(primes) for axis in axes}


def name_sizes(sizes: Mapping[str, int]) -> dict[float, str]:
    """Return how numbers that are sizes, or products of up to three, are written.

    Examples
    --------
    >>> name_sizes({"n": 101, "k": 103})[101.0 * 103.0]
    'n·k'
    """
    named = {axis: size for axis, size in sizes.items() if not axis.isdigit()}
    return {
        float(math.prod(named[axis] for axis in axes)): "·".join(axes)
        for count in (3, 2, 1)
        for axes in combinations_with_replacement(named, count)
    }
