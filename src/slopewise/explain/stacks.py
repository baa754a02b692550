"""The two stacks of the parser: operands that are read, operators and brackets that wait.

Invariant: what waits binds ever tighter up to a bracket, and `depth` counts the brackets, signs and
powers that wait. It is separate because the grammar says what may follow, and this what is built.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NoReturn

from slopewise.explain.complaints import complain
from slopewise.explain.syntax import (
    COMPARISON,
    LEVELS,
    POWER,
    SIGN,
    Binary,
    Negate,
    Number,
    Place,
    Syntax,
)
from slopewise.explain.tokens import Token, split_tokens

MAX_DEPTH = 100
"""How deep brackets, signs and powers may nest, together."""
MAX_EXPONENT = 1_000_000
"""The greatest constant power, up or down."""

BRACKET = 0


@dataclass(slots=True)
class Pending:
    """An operator or a bracket that waits for what follows it."""

    kind: str  # infix, negate, group, bar, call
    sign: str
    place: Place
    level: int = BRACKET
    conditional: bool = False  # a comparison may stand directly in it
    function: str = ""
    arguments: list[Syntax] = field(default_factory=list[Syntax])
    power: Number | None = None
    product: Token | None = None  # the name directly before a group


@dataclass(slots=True)
class Operand:
    """A tree, and its value where it is made of numbers only."""

    syntax: Syntax
    constant: float | None = None


class Stacks:
    """Two stacks: operands that are read, and operators and brackets that wait."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = split_tokens(text)
        self.before = Token("start", "", (0, 0))
        self.token = next(self.tokens)
        self.ahead: Token | None = None
        self.operands: list[Operand] = []
        self.pending: list[Pending] = []
        self.depth: int = 0
        self.raised: Syntax | None = None  # the last function with a power, as in sin^2(x)

    def advance(self) -> Token:
        """Go to the next token; return the one left behind."""
        self.before = self.token
        self.token = self.ahead if self.ahead is not None else next(self.tokens)
        self.ahead = None
        return self.before

    def peek(self) -> Token:
        """Return the token after the current one."""
        if self.ahead is None:
            self.ahead = next(self.tokens) if self.token.kind != "end" else self.token
        return self.ahead

    def fail(
        self, place: Place, id: str, expected: tuple[str, ...] = (), **values: object
    ) -> NoReturn:
        """Raise the error for a place."""
        raise complain(self.text, place, id, expected, **values)

    def found(self, token: Token) -> str:
        """Return a token as it was written."""
        written = self.text[token.place[0] : token.place[1]]
        return written if len(written) <= 40 else written[:39] + "…"

    def number(self, token: Token) -> Number:
        """Make a number of a token."""
        return Number(token.value, float(token.value), token.place)

    def push(self, syntax: Syntax) -> None:
        """Push an operand."""
        constant = syntax.value if isinstance(syntax, Number) else None
        self.operands.append(Operand(syntax, constant))

    def wait(self, made: Pending) -> None:
        """Push an operator or a bracket; count how deep it nests."""
        if made.level in (BRACKET, SIGN, POWER):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.fail(made.place, "depth", limit=MAX_DEPTH)
        self.pending.append(made)

    def reduce(self, level: int) -> None:
        """Build what waits and binds at least as tightly as `level`, up to a bracket."""
        least = max(level, COMPARISON)
        while self.pending and self.pending[-1].level >= least:
            made = self.pending.pop()
            if made.level in (SIGN, POWER):
                self.depth -= 1
            self.build(made)

    def build(self, made: Pending) -> None:
        """Build a node from the last operands."""
        right = self.operands.pop()
        if is_comparison(right.syntax):
            self.fail(right.syntax.place, "truth")
        if made.kind == "negate":
            place = (made.place[0], right.syntax.place[1])
            constant = None if right.constant is None else -right.constant
            self.operands.append(Operand(Negate(right.syntax, place), constant))
            return
        left = self.operands.pop()
        if is_comparison(left.syntax):
            self.fail(left.syntax.place, "truth")
        constant = None
        if left.constant is not None and right.constant is not None:
            constant = _compute(made.sign, left.constant, right.constant)
        power = right.constant if made.sign == "^" else None
        if power is not None and not abs(power) <= MAX_EXPONENT:  # not a number is refused too
            self.fail(right.syntax.place, "large_power", limit=MAX_EXPONENT)
        place = (left.syntax.place[0], right.syntax.place[1])
        node = Binary(made.sign, left.syntax, right.syntax, place)
        self.operands.append(Operand(node, constant))


def is_comparison(syntax: Syntax) -> bool:
    return isinstance(syntax, Binary) and LEVELS[syntax.operator] == COMPARISON


def _compute(sign: str, left: float, right: float) -> float:
    """Return the value of an operation on numbers, for the bound on constant powers."""
    try:
        if sign == "+":
            return left + right
        if sign == "-":
            return left - right
        if sign == "*":
            return left * right
        if sign == "/":
            return left / right
        return math.pow(left, right) if sign == "^" else math.nan
    except OverflowError:
        return math.inf
    except (ValueError, ZeroDivisionError):
        return math.nan
