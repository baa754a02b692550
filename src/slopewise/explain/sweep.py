"""The backward sweep over the rows of a function of arrays: the gradient in each row and input.

Invariant: what a row hands on to those before it is what the engine's reverse mode makes of it,
traced and read; every gradient in the table was compared with the engine's at sampled inputs. It is
separate from the rows, which are the same whatever is derived.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slopewise._core.aval import DTYPES
from slopewise._core.quiet import hush, restore
from slopewise._front.operands import as_value_in
from slopewise._ops.registry import collect
from slopewise._transform.expression import Expression, order, read_graph
from slopewise._transform.gradients import vjp
from slopewise.errors import GradientError
from slopewise.explain.arrays import ArrayFunction, Row, drop_repeats, name_gradient, sample_inputs
from slopewise.explain.reading import evaluate, trace_plainly
from slopewise.explain.shapes import Shape
from slopewise.explain.tidy import tidy

_DOUBLE = DTYPES["float64"]
_CLOSE = 1e-8


@dataclass(frozen=True)
class Gradient:
    """The gradient in a row or an input.

    Attributes
    ----------
    letter : str
        Of the row or input.
    name : str
        The letter with a bar.
    parts : tuple of (str, Expression)
        What each row that uses it hands back: the letter of that row, and the term.
    term : Expression
        Their sum, tidied.
    shape : tuple of str
    """

    letter: str
    name: str
    parts: tuple[tuple[str, Expression], ...]
    term: Expression
    shape: Shape


def sweep_back(found: ArrayFunction, wrts: Sequence[str]) -> list[Gradient]:
    """Return the gradients of the value in the rows on the way to some inputs, and in those.

    Parameters
    ----------
    found : ArrayFunction
    wrts : sequence of str
        Names of inputs.

    Returns
    -------
    list of Gradient
        From the value back; the inputs last, in their order.

    Raises
    ------
    GradientError
        If a gradient does not agree with the engine's.
    """
    terms = found.terms
    wanted = {terms.inputs[terms.names.index(name)].number: name for name in wrts}
    letters = {row.term.number: row.letter for row in found.rows}
    matters = _find_path(found, set(wanted))
    parts: dict[int, list[tuple[str, Expression]]] = {}
    made: list[Gradient] = []
    bars: dict[int, Expression] = {}

    def settle(row: Expression, letter: str) -> Gradient:
        listed = parts.get(row.number) or [(letter, terms.exact(0))]
        total = listed[0][1]
        for _, part in listed[1:]:
            total = terms.plus(total, part)
        shape = found.name_shape(row.shape)
        term = tidy(terms, drop_repeats(terms, total))
        return Gradient(letter, name_gradient(letter), tuple(listed), term, shape)

    for row in reversed(found.rows):
        if row.term.number not in matters:
            continue
        if row.term is found.root:
            bar = terms.exact(1)
        else:
            made.append(settle(row.term, row.letter))
            bar = bars[row.term.number] = terms.add_input(name_gradient(row.letter), row.term.aval)
        for leaf, part in _hand_back(found, row, bar, letters, matters):
            parts.setdefault(leaf.number, []).append((row.letter, part))
    for number, name in wanted.items():
        term = next(x for x in terms.inputs if x.number == number)
        made.append(settle(term, name))
    _check(found, made)
    return made


def _find_path(found: ArrayFunction, wanted: set[int]) -> set[int]:
    """Return what depends on an input that is derived in."""
    matters: set[int] = set(wanted)
    for term in order([found.root]):
        if term.dtype.kind == "f" and any(o.number in matters for o in term.operands):
            matters.add(term.number)
    return matters


def _leaves_of(row: Row, letters: dict[int, str]) -> list[Expression]:
    """Return the rows and inputs that a row is made of."""
    found: dict[int, Expression] = {}
    seen: set[int] = set()
    pending = list(reversed(row.term.operands))
    while pending:
        term = pending.pop()
        if term.number in seen or term.data is not None:
            continue
        seen.add(term.number)
        if term.number in letters or term.primitive is None:
            found[term.number] = term
        else:
            pending += reversed(term.operands)
    return list(found.values())


def _hand_back(
    found: ArrayFunction, row: Row, bar: Expression, letters: dict[int, str], matters: set[int]
) -> list[tuple[Expression, Expression]]:
    """Return what a row hands back to each thing that it is made of."""
    leaves = _leaves_of(row, letters)
    terms = found.terms
    if row.term.name == "logsumexp":  # the record's rule is the softmax, guarded against infinities
        (leaf,) = leaves
        if leaf is row.term.operands[0]:
            (axis,) = row.term.params["axes"]
            softmax = terms.apply(collect()["softmax"], [leaf], {"axis": axis})
            return [(leaf, terms.times(softmax, _as_column(found, bar, softmax)))]
    moving = [leaf for leaf in leaves if leaf.number in matters]

    def backward(*values: Any) -> tuple[Any, ...]:
        *given, out = values
        fixed = dict(zip((x.number for x in leaves), given, strict=True))

        def forward(*moved: Any) -> Any:
            known = {**fixed, **dict(zip((x.number for x in moving), moved, strict=True))}
            return replay(row.term, known)

        _, pull = vjp(forward, *(fixed[x.number] for x in moving))
        return _as_tuple(pull(out))

    graph = trace_plainly(backward, [x.aval for x in (*leaves, bar)])
    results = read_graph(graph, terms, [*leaves, bar])
    return [(leaf, drop_repeats(terms, r)) for leaf, r in zip(moving, results, strict=True)]


def _as_tuple(made: Any) -> tuple[Any, ...]:
    return tuple(made) if isinstance(made, (list, tuple)) else (made,)  # pyright: ignore


def _as_column(found: ArrayFunction, bar: Expression, like: Expression) -> Expression:
    if bar.is_number:
        return bar
    shape = (*bar.shape, 1)
    del like
    return found.terms.apply(collect()["reshape"], [bar], {"shape": shape})


def replay(root: Expression, known: dict[int, Any]) -> Any:
    """Return the engine's value of a term from the values of what it is made of."""
    found = dict(known)
    for term in order([root]):
        if term.number in found:
            continue
        if term.data is not None:
            found[term.number] = as_value_in(term.data, term.dtype)
        elif term.primitive is not None and all(o.number in found for o in term.operands):
            operands = [found[o.number] for o in term.operands]
            if term.primitive.pointwise:
                operands = [_repeat(x, term.shape) for x in operands]
            found[term.number] = term.primitive(*operands, **term.params)
    return found[root.number]


def _repeat(x: Any, shape: tuple[int, ...]) -> Any:
    return x if tuple(x.shape) == shape else collect()["broadcast_to"](x, shape=shape)


def _check(found: ArrayFunction, made: Sequence[Gradient]) -> None:
    """Compare every gradient with the engine's at sampled inputs."""
    given = sample_inputs(found)
    count = len(found.shapes)
    kept = hush()
    try:
        for attempt in (0.0, 1.5):  # away from zero, where logarithms and roots need that
            inputs = [np.asarray(x) + attempt for x in given[:count]]
            values = evaluate([row.term for row in found.rows], inputs)
            if np.isfinite(values[found.root.number]):
                break
        numbers: dict[str, Any] = {}
        for gradient in made:
            bars = [numbers.get(name, 0.0) for name in found.terms.names[count:]]
            value = evaluate([gradient.term], [*inputs, *bars])[gradient.term.number]
            wanted = _measure(found, gradient.letter, inputs, values)
            shape = np.shape(wanted)
            value = np.broadcast_to(value, shape)
            numbers[gradient.name] = wanted
            known = np.isfinite(wanted) & np.isfinite(value)
            room = _CLOSE * max(1.0, float(np.max(np.abs(wanted[known]), initial=0.0)))
            if not np.all(np.abs(value - wanted)[known] <= room):
                raise GradientError(
                    f"derivation: the gradient in `{gradient.letter}` does not agree with the"
                    " engine's; please report the formula."
                )
    finally:
        restore(kept)


def _measure(
    found: ArrayFunction, letter: str, inputs: Sequence[Any], values: dict[int, Any]
) -> Any:
    """Return the engine's gradient of the value in a row or an input, as an array."""
    terms = found.terms
    rows = {row.letter: row.term for row in found.rows}
    term = rows.get(letter) or terms.inputs[terms.names.index(letter)]
    listed = terms.inputs[: len(inputs)]
    given = {x.number: as_value_in(v, _DOUBLE) for x, v in zip(listed, inputs, strict=True)}

    def value_from(x: Any) -> Any:
        return replay(found.root, {**given, term.number: x})

    start = values[term.number] if letter in rows else inputs[listed.index(term)]
    _, pull = vjp(value_from, as_value_in(np.asarray(start), _DOUBLE))
    return np.asarray(_as_tuple(pull(as_value_in(1.0, _DOUBLE)))[0])
