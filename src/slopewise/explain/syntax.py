"""The syntax tree of a formula: its nodes, walks over it, and its text with fewest parentheses.

Invariant: no walk recurses, since a sum of thousands of terms is thousands of nodes deep; two trees
are equal when they say the same, wherever they stood. `write_text` and the parser agree: what is
written reads back as the same tree. It is separate because evaluation needs no parser.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from slopewise.explain.functions import ALIASES, FUNCTIONS

Place = tuple[int, int]
"""Start and stop in the source text."""
T = TypeVar("T")

COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = 1, 10, 20, 25, 30, 40
"""How tightly an operator binds."""
LEVELS = {
    "<": COMPARISON, "<=": COMPARISON, ">": COMPARISON, ">=": COMPARISON, "==": COMPARISON,
    "!=": COMPARISON, "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "@": PRODUCT, "^": POWER,
}  # fmt: skip
"""Binary operators, each with how tightly it binds."""
CONSTANTS = ("e", "pi")
"""Names that stand for numbers unless a value is given for them."""


class Syntax:
    """A node of a syntax tree; equal to a node that says the same."""

    __slots__ = ()
    place: Place

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Syntax):
            return NotImplemented
        return _say(self) == _say(other)

    def __hash__(self) -> int:
        return hash(_say(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({write_text(self)!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Number(Syntax):
    """A number, as it was written and as float64."""

    text: str
    value: float
    place: Place


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Name(Syntax):
    """A variable, a parameter, a column of data, or a constant."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Apply(Syntax):
    """A function of arguments."""

    function: str
    arguments: tuple[Syntax, ...]
    place: Place


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Binary(Syntax):
    """Two operands: an arithmetic operator or a comparison."""

    operator: str
    left: Syntax
    right: Syntax
    place: Place


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Negate(Syntax):
    """A minus sign before an operand."""

    operand: Syntax
    place: Place


def list_children(syntax: Syntax) -> tuple[Syntax, ...]:
    """Return the operands of a node, from left to right.

    Parameters
    ----------
    syntax : Syntax

    Returns
    -------
    tuple of Syntax
        Empty for a number and for a name.

    Examples
    --------
    >>> from slopewise.explain.parser import read_formula
    >>> list_children(read_formula("w x + b"))
    (Binary('w*x'), Name('b'))
    """
    if isinstance(syntax, Binary):
        return (syntax.left, syntax.right)
    if isinstance(syntax, Apply):
        return syntax.arguments
    if isinstance(syntax, Negate):
        return (syntax.operand,)
    return ()


def walk(syntax: Syntax) -> Iterator[Syntax]:
    """Yield every node, each before its operands, from left to right.

    Parameters
    ----------
    syntax : Syntax

    Yields
    ------
    Syntax

    Examples
    --------
    >>> from slopewise.explain.parser import read_formula
    >>> [node.name for node in walk(read_formula("w x + b")) if isinstance(node, Name)]
    ['w', 'x', 'b']
    """
    pending = [syntax]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(list_children(node)))


def fold(syntax: Syntax, combine: Callable[[Syntax, list[T]], T]) -> T:
    """Combine a tree from its leaves upwards, without recursion.

    Parameters
    ----------
    syntax : Syntax
    combine : callable (node, results of its operands) -> result

    Returns
    -------
    object
        What `combine` made of the root.

    Examples
    --------
    >>> from slopewise.explain.parser import read_formula
    >>> fold(read_formula("1 + 2*(x + 3)"), lambda node, below: 1 + max(below, default=0))
    4
    """
    pending: list[tuple[Syntax, int]] = [(syntax, -1)]
    results: list[T] = []
    while pending:
        node, count = pending.pop()
        children = list_children(node) if count else ()
        if count < 0 and children:
            pending.append((node, len(children)))
            pending.extend((child, -1) for child in reversed(children))
            continue
        below = results[len(results) - len(children) :]
        del results[len(results) - len(children) :]
        results.append(combine(node, below))
    return results[0]


def _say(syntax: Syntax) -> tuple[tuple[Any, ...], ...]:
    """Return what a tree says, node by node, without places."""
    said: list[tuple[Any, ...]] = []
    for node in walk(syntax):
        if isinstance(node, Number):
            said.append(("number", node.text, node.value))
        elif isinstance(node, Name):
            said.append(("name", node.name))
        elif isinstance(node, Apply):
            said.append(("apply", node.function, len(node.arguments)))
        elif isinstance(node, Binary):
            said.append(("binary", node.operator))
        else:
            said.append(("negate",))
    return tuple(said)


# ------------------------------------------------------------------ names


def is_raised(character: str) -> bool:
    """Whether a character is a superscript.

    Parameters
    ----------
    character : str
        One character.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_raised("²"), is_raised("₂")
    (True, False)
    """
    return character > "\x7f" and unicodedata.decomposition(character).startswith("<super>")


def starts_name(character: str) -> bool:
    """Whether a name can start with a character: a letter of any script, or an underscore.

    Parameters
    ----------
    character : str
        One character.

    Returns
    -------
    bool

    Examples
    --------
    >>> starts_name("키"), starts_name("σ"), starts_name("2")
    (True, True, False)
    """
    return character.isidentifier() and not is_raised(character)


def continues_name(character: str) -> bool:
    """Whether a name can go on with a character: letters, digits, underscores, subscripts.

    Parameters
    ----------
    character : str
        One character.

    Returns
    -------
    bool

    Examples
    --------
    >>> continues_name("1"), continues_name("₁"), continues_name("²")
    (True, True, False)
    """
    if character <= "\x7f":
        return character.isalnum() or character == "_"
    # Python's names may hold the middle dot, in either of its codes; here it is a product.
    if is_raised(character) or character in "·\u0387":
        return False
    return ("a" + character).isidentifier() or "₀" <= character <= "₉"


def write_name(name: str) -> str:
    """Return a name as a formula has it: in quotes where it would read as something else.

    Parameters
    ----------
    name : str
        Not empty, without control characters.

    Returns
    -------
    str

    Examples
    --------
    >>> write_name("w1"), write_name("body mass"), write_name("max")
    ('w1', '"body mass"', '"max"')
    """
    plain = (
        name.isidentifier()
        and starts_name(name[0])
        and all(map(continues_name, name))
        and unicodedata.normalize("NFKC", name) == name
        and name not in FUNCTIONS
        and name not in ALIASES
        and (name[0] != "π" or not name[1:2].isalpha())
        and name != "π"
    )
    return name if plain else '"' + name.replace('"', '""') + '"'


# ------------------------------------------------------------------ text


def write_text(syntax: Syntax) -> str:
    """Return the text of a tree, with the fewest parentheses that keep its meaning.

    Reading the text gives the same tree, where it keeps the parser's bounds.

    Parameters
    ----------
    syntax : Syntax

    Returns
    -------
    str

    Examples
    --------
    >>> from slopewise.explain.parser import read_formula
    >>> write_text(read_formula("((2)x) - (b - (c²))^(-1)"))
    '2*x - (b - c^2)^-1'
    """
    return fold(syntax, _write_node)[0]


def _write_node(node: Syntax, below: list[tuple[str, int]]) -> tuple[str, int]:
    """Return the text of a node, and how tightly it holds together."""
    if isinstance(node, Number):
        return node.text, ATOM
    if isinstance(node, Name):
        return write_name(node.name), ATOM
    if isinstance(node, Apply):
        return f"{node.function}({', '.join(text for text, _ in below)})", ATOM
    if isinstance(node, Negate):
        return "-" + _enclose(below[0], SIGN), SIGN
    if not isinstance(node, Binary):
        raise TypeError(f"write_text: {type(node).__name__} is no node of a formula")
    level = LEVELS[node.operator]
    # A power reads from the right, a comparison does not chain, all others read from the left.
    left = _enclose(below[0], level if level in (SUM, PRODUCT) else level + 1)
    if below[1][1] == SIGN:  # a sign after an operator belongs to what follows
        right = below[1][0]
    else:
        right = _enclose(below[1], level if level == POWER else level + 1)
    gap = " " if level in (COMPARISON, SUM) else ""
    return f"{left}{gap}{node.operator}{gap}{right}", level


def _enclose(piece: tuple[str, int], level: int) -> str:
    """Return a text, in parentheses where it holds less tightly than `level`."""
    return piece[0] if piece[1] >= level else f"({piece[0]})"
