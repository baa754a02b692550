"""Folding: names for parts of long terms, and how deep the steps of a long derivation are shown.

Invariant: what is folded loses nothing: each named part is told once, and what is not shown is
counted. It is separate because short derivations need none of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from slopewise._transform.expression import Expression, order
from slopewise.explain.derivations import Derivation
from slopewise.explain.notation import ATOM, PENS, Piece, write_node
from slopewise.explain.reading import Terms
from slopewise.explain.steps import Step

LONGEST = 160
"""Characters of a term that is written out whole."""
PART = 60
"""Characters of a part, and of what is left of a term, once parts have names."""
MOST_STEPS = 30
"""Steps of a derivation that are shown."""
_SHORT = 12


def name_parts(terms: Terms, roots: Sequence[Expression]) -> dict[int, str]:
    """Return names for parts of terms, by number, so that everything is short to write.

    Parameters
    ----------
    terms : Terms
        Where the terms were made.
    roots : sequence of Expression
        All that will be written.

    Returns
    -------
    dict of int to str
        Empty where every root is short; inner parts come before those that hold them.

    Examples
    --------
    >>> from slopewise.explain.formula import Formula
    >>> from slopewise.explain.reading import read_function
    >>> terms, term = read_function(Formula("+".join(f"sin(x)^{n}" for n in range(2, 30))), ["x"])
    >>> list(name_parts(terms, [term]).values())[:2]
    ['t1', 't2']
    """
    names = _cut(terms, roots, LONGEST)
    return _cut(terms, roots, PART) if names else {}


def _cut(terms: Terms, roots: Sequence[Expression], most: int) -> dict[int, str]:
    """Name the longest operands of whatever is longer than `most`."""
    pen = PENS["text"]
    letter = _free_letter(terms.names)
    pieces: dict[int, Piece] = {}
    names: dict[int, str] = {}

    def rewrite(term: Expression) -> Piece:
        parts = [pieces[o.number] for o in term.operands]
        return write_node(terms, term, parts, pen, "en")

    for term in order(roots):
        pieces[term.number] = rewrite(term)
        while len(pieces[term.number].text) > most:
            # A derivative still to be taken keeps its sign; what it is taken of gets the name.
            inner = [(o.operands[0] if o.name == "derivative" else o, o) for o in term.operands]
            part, operand = max(inner, key=lambda pair: len(pieces[pair[0].number].text))
            if len(pieces[part.number].text) <= _SHORT:
                break
            names[part.number] = f"{letter}{len(names) + 1}"
            pieces[part.number] = Piece(names[part.number], ATOM)
            if operand is not part:
                pieces[operand.number] = rewrite(operand)
            pieces[term.number] = rewrite(term)
    return names


def _free_letter(names: Sequence[str]) -> str:
    """Return a letter that no variable begins with, if there is one."""
    return next((c for c in "tsqhmk" if not any(n.startswith(c) for n in names)), "part_")


def list_parts(
    roots: Sequence[Expression], names: dict[int, str]
) -> tuple[list[Expression], dict[int, str]]:
    """Return the named parts that terms speak of, and names for them in that order.

    Parameters
    ----------
    roots : sequence of Expression
        All that will be written.
    names : dict of int to str
        Of `name_parts`.

    Returns
    -------
    list of Expression
        The nearest first, then those inside them.
    dict of int to str
    """
    found: dict[int, Expression] = {}
    pending = list(roots)
    while pending:
        inner: list[Expression] = []
        for root in pending:
            for term in _reach(root, names):
                if term.number not in found:
                    found[term.number] = term
                    inner.append(term)
        pending = inner
    letters = next(iter(names.values())).rstrip("0123456789") if names else ""
    return list(found.values()), {n: f"{letters}{i}" for i, n in enumerate(found, 1)}


def _reach(root: Expression, names: dict[int, str]) -> list[Expression]:
    """Return the named parts that are seen when a term is written."""
    found: dict[int, Expression] = {}
    seen: set[int] = set()
    pending = list(reversed(root.operands))
    while pending:
        term = pending.pop()
        if term.number in seen:
            continue
        seen.add(term.number)
        if term.number in names:
            found[term.number] = term
        else:
            pending += reversed(term.operands)
    return list(found.values())


def find_depths(found: Derivation) -> list[tuple[Step, int]]:
    """Return the steps that are read, each with how deep it is inside others, outermost first."""
    listed: list[tuple[Step, int]] = []
    seen: set[tuple[bool, int]] = set()
    pending = [(found.step, 0)]
    while pending:
        step, depth = pending.pop()
        if step.is_rewrite or step.key in seen:
            continue
        seen.add(step.key)
        listed.append((step, depth))
        pending.extend((inner, depth + 1) for inner in reversed(step.steps))
    return listed


def choose_depth(listed: Sequence[tuple[Step, int]], most: int) -> int:
    """Return down to which depth steps are shown, so that they are at most so many.

    Parameters
    ----------
    listed : sequence of (Step, int)
        Of `find_depths`.
    most : int

    Returns
    -------
    int
        At least 0: the outermost step is always shown.
    """
    counts = Counter(depth for _, depth in listed)
    shown, deepest = 0, 0
    for depth in range(max(counts) + 1):
        shown += counts[depth]
        if shown > most:
            break
        deepest = depth
    return deepest
