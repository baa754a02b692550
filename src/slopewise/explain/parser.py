"""Reads the text of a formula into a syntax tree, by operator precedence and two stacks.

Invariant: nothing is executed and nothing recurses; every bound is a named constant, and whatever
the text is, the outcome is a tree or a `FormulaError`. It is separate because it knows the grammar
and nothing of values.

The grammar, from loose to tight; operators of a row read from the left unless it says otherwise:

    < <= > >= == !=     once, in the condition of where
    + -
    * / @               and the product without a sign: 1/2x is (1/2)*x, e^2x is (e^2)*x
    -u                  -x^2 is -(x^2), -a*b is (-a)*b
    ^ **                from the right; 2^-x^2 is 2^(-(x^2)); superscripts: x², x⁻²
    f(u), |u|, ( ), [ ], { }, names, numbers

A function without brackets takes one name or number: sin x, √2; sin 2x, sin x^2 and sin x y are
errors. sin^2(x) and sin²(x) are (sin x)^2. A name that is no function makes a product: w(x + 1).
"""

from __future__ import annotations

import difflib
from typing import NoReturn

from slopewise.errors import UsageError
from slopewise.explain.complaints import complain
from slopewise.explain.functions import (
    ALIASES,
    FUNCTIONS,
    INVERSES,
    REFUSED,
    count_arguments,
    names_function,
)
from slopewise.explain.stacks import (
    BRACKET,
    MAX_DEPTH,
    MAX_EXPONENT,
    Operand,
    Pending,
    Stacks,
    is_comparison,
)
from slopewise.explain.syntax import (
    COMPARISON,
    LEVELS,
    POWER,
    PRODUCT,
    SIGN,
    Apply,
    Binary,
    Name,
    Negate,
    Number,
    Place,
    Syntax,
)
from slopewise.explain.tokens import CLOSING, Token

MAX_LENGTH = 10_000
"""The most characters that a formula has."""
_OPERAND = ("number", "name", "function", "opening")
_AFTER = ("operator", "end")


def read_formula(text: str) -> Syntax:
    """Read a formula into its syntax tree.

    Parameters
    ----------
    text : str
        At most `MAX_LENGTH` characters.

    Returns
    -------
    Syntax

    Raises
    ------
    FormulaError
        If the text is no formula, or a bound is passed; the message shows the place.
    UsageError
        If `text` is no str.

    Examples
    --------
    >>> read_formula("1/2x - sin²(πx)")
    Binary('1/2*x - sin(pi*x)^2')
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"read_formula: text is a {type(text).__name__}; give the formula as a str, in quotes."
        )
    if len(text) > MAX_LENGTH:
        place = (MAX_LENGTH, len(text))
        raise complain(text, place, "length", count=len(text), limit=MAX_LENGTH)
    return _Reader(text).read()


class _Reader(Stacks):
    """The grammar: what may follow what."""

    def read(self) -> Syntax:
        """Read the whole text."""
        if self.token.kind == "end":
            self.fail(self.token.place, "empty", _OPERAND)
        wanted = True
        while True:
            if wanted:
                wanted = self.read_operand()
            else:
                token = self.token
                if token.kind == "end":
                    break
                wanted = self.read_operator(token)
        self.reduce(BRACKET)
        if self.pending:
            top = self.pending[-1]
            start = top.place[1] - 1
            closing = CLOSING.get(top.sign, top.sign)
            self.fail(
                (start, start + 1), "unclosed", ("closing", "operator"),
                opened=top.sign, position=start + 1, remedy=closing,
            )  # fmt: skip
        return self.operands[0].syntax

    def read_operand(self) -> bool:
        """Read what stands where a value is wanted; return whether one is wanted still."""
        token = self.token
        kind = token.kind
        if kind == "number":
            self.push(self.number(self.advance()))
        elif kind == "quoted":
            self.push(Name(token.value, self.advance().place))
        elif kind == "name":
            return self.read_name(token)
        elif kind == "root":
            self.advance()
            return self.read_argument(token, "sqrt", None)
        elif kind == "operator" and token.value == "+":
            self.advance()
            return True
        elif kind == "operator" and token.value == "-":
            self.wait(Pending("negate", "-", self.advance().place, SIGN))
            return True
        elif kind == "open":
            self.open_group(None)
            return True
        elif kind == "bar":
            self.wait(Pending("bar", "|", self.advance().place, function="abs"))
            return True
        else:
            self.refuse_operand(token)
        return False

    def refuse_operand(self, token: Token) -> NoReturn:
        """Raise the error for a token where a value is wanted."""
        if token.kind == "end":
            self.fail(token.place, "end", _OPERAND)
        if token.kind == "close":
            top = self.pending[-1] if self.pending else None
            if top is not None and top.kind == "call" and self.before.kind == "open":
                self.fail(
                    token.place, "arguments", ("argument",), function=top.function,
                    wanted=count_arguments(top.function), count=0,
                )  # fmt: skip
            if not any(waiting.level == BRACKET for waiting in self.pending):
                self.fail(token.place, "unopened", _OPERAND, found=token.value)
        self.fail(token.place, "operand", _OPERAND, found=self.found(token))

    def read_operator(self, token: Token) -> bool:
        """Read what stands after a value; return whether a value is wanted next."""
        kind = token.kind
        if kind == "operator":
            self.read_infix(token)
            return True
        if kind == "power":
            self.read_superscript(token)
            return False
        if kind == "close":
            self.close(token)
            return False
        if kind == "comma":
            self.read_comma(token)
            return True
        if kind == "bar" and self.innermost_is_bar():
            self.reduce(BRACKET)
            self.finish(self.pending.pop(), token)
            return False
        if kind == "number":
            self.fail(token.place, "number_product", _AFTER)
        before = self.before
        self.reduce(PRODUCT)
        self.wait(Pending("infix", "*", token.place, PRODUCT))
        if kind == "open":
            self.open_group(before)
            return True
        return True

    def read_infix(self, token: Token) -> None:
        """Read a binary operator."""
        sign = token.value
        level = LEVELS[sign]
        if level == POWER:
            if self.before.kind == "power":
                self.fail(token.place, "two_powers")
            self.refuse_function_power(token)
            self.reduce(POWER + 1)
        elif level == COMPARISON:
            self.reduce(COMPARISON + 1)
            top = self.pending[-1] if self.pending else None
            if top is not None and top.kind == "infix":
                self.fail(token.place, "chain")
            if top is None or not self.holds_condition(top):
                self.fail(token.place, "comparison", found=self.found(token))
        else:
            self.reduce(level)
        self.advance()
        self.wait(Pending("infix", sign, token.place, level))

    def read_superscript(self, token: Token) -> None:
        """Raise the last operand to a superscript."""
        if self.before.kind == "power":
            self.fail(token.place, "two_powers")
        self.refuse_function_power(token)
        self.advance()
        negative = token.value.startswith("-")
        digits = token.value.removeprefix("-")
        if self.depth + 1 + negative > MAX_DEPTH:
            self.fail(token.place, "depth", limit=MAX_DEPTH)
        exponent: Syntax
        if digits.isdigit():
            exponent = Number(digits, float(digits), token.place)
            constant = float(token.value)
        else:
            exponent, constant = Name(digits, token.place), None
        if negative:
            exponent = Negate(exponent, token.place)
        self.operands.append(Operand(exponent, constant))
        self.build(Pending("infix", "^", token.place, POWER))

    def read_comma(self, token: Token) -> None:
        """End an argument of a call."""
        self.reduce(BRACKET)
        top = self.pending[-1] if self.pending else None
        after = self.peek()
        if top is None or top.kind != "call":
            if top is not None and top.product is not None:
                name = self.found(top.product)
                self.fail(
                    top.product.place, "unknown", ("function",), found=name,
                    remedy=", ".join([*FUNCTIONS, "ln"]),
                )  # fmt: skip
            if self.before.kind == "number" and after.kind == "number":
                remedy = f"{self.before.value}.{after.value}"
                self.fail(token.place, "decimal_comma", _AFTER, remedy=remedy)
            self.fail(token.place, "comma", _AFTER)
        self.end_argument(top)
        self.advance()

    def close(self, token: Token) -> None:
        """Close the innermost bracket."""
        self.reduce(BRACKET)
        if not self.pending:
            self.fail(token.place, "unopened", _AFTER, found=token.value)
        top = self.pending.pop()
        closing = CLOSING.get(top.sign, top.sign)
        if token.value != closing:
            start = top.place[1] - 1
            self.fail(
                token.place, "mismatch", ("closing", "operator"), found=token.value,
                opened=top.sign, position=start + 1, remedy=closing,
            )  # fmt: skip
        self.finish(top, token)

    def finish(self, top: Pending, token: Token) -> None:
        """Make the operand of a bracket that is closed."""
        self.advance()
        self.depth -= 1
        if top.kind == "group":
            return
        self.end_argument(top)
        start = top.place[0]
        if top.kind == "call":
            least, most = FUNCTIONS[top.function]
            if not least <= len(top.arguments) <= most:
                self.fail(
                    token.place, "arguments", function=top.function,
                    wanted=count_arguments(top.function), count=len(top.arguments),
                )  # fmt: skip
        self.push_call(top.function, tuple(top.arguments), top.power, (start, token.place[1]))

    def end_argument(self, top: Pending) -> None:
        """Move an operand to the arguments of a call."""
        syntax = self.operands.pop().syntax
        if top.function == "where" and not top.arguments and not is_comparison(syntax):
            self.fail(syntax.place, "condition", ("comparison",))
        top.arguments.append(syntax)

    def open_group(self, before: Token | None) -> None:
        """Open a bracket that only groups."""
        token = self.advance()
        top = self.pending[-1] if self.pending else None
        made = Pending("group", token.value, token.place)
        made.conditional = top is not None and self.holds_condition(top)
        if before is not None and before.kind == "name" and before.place[1] == token.place[0]:
            made.product = before
        self.wait(made)

    def holds_condition(self, top: Pending) -> bool:
        """Whether a comparison may stand where the innermost pending thing is `top`."""
        return top.conditional or (top.function == "where" and not top.arguments)

    def innermost_is_bar(self) -> bool:
        """Whether the innermost open bracket is an absolute value."""
        brackets = (waiting for waiting in reversed(self.pending) if waiting.level == BRACKET)
        innermost = next(brackets, None)
        return innermost is not None and innermost.kind == "bar"

    # -------------------------------------------------------------- names and functions

    def read_name(self, token: Token) -> bool:
        """Read a name: a function with its argument, or a variable."""
        function = ALIASES.get(token.value, token.value)
        following = self.peek()
        called = following.kind == "open"
        if token.value == "σ" and called:
            function = "sigmoid"
        self.advance()
        if function in FUNCTIONS:
            return self.read_argument(token, function, self.read_function_power(token, function))
        if called:
            if token.value in REFUSED:
                self.fail(
                    token.place, "refused", ("function",), found=self.found(token),
                    remedy=REFUSED[token.value],
                )  # fmt: skip
            if following.place[0] == token.place[1] and len(token.value) >= 3:
                known = [*FUNCTIONS, *ALIASES]
                near = difflib.get_close_matches(token.value[:40].lower(), known, 1, 0.8)
                if near or token.value.startswith("log_"):
                    self.fail(
                        token.place, "misspelt", ("function", "operator"),
                        found=self.found(token), remedy=near[0] if near else "log",
                    )  # fmt: skip
        self.push(Name(token.value, token.place))
        return False

    def read_function_power(self, token: Token, function: str) -> Number | None:
        """Read the power of a function, as in sin^2(x)."""
        power = self.token
        if power.kind == "power":
            self.advance()
        elif power.kind == "operator" and power.value == "^":
            self.advance()
            power = self.token
            if power.kind == "operator" and power.value == "-" and self.peek().value == "1":
                self.refuse_inverse(power, function)
            if power.kind == "number":
                self.advance()
        else:
            return None
        if power.value == "-1":
            self.refuse_inverse(power, function)
        # A long number is no use here, and bounds stay as they are: one rule, `large_power`.
        if not power.value.isdecimal() or float(power.value) < 1:
            self.fail(power.place, "function_power", ("number",), function=function)
        if float(power.value) > MAX_EXPONENT:
            self.fail(power.place, "large_power", limit=MAX_EXPONENT)
        return Number(power.value, float(power.value), power.place)

    def refuse_inverse(self, power: Token, function: str) -> NoReturn:
        """Refuse sin^-1(x), which is read as asin(x) by some and as 1/sin(x) by others."""
        if function not in INVERSES:
            self.fail(power.place, "function_power", ("number",), function=function)
        inverse = INVERSES[function]
        self.fail(power.place, "inverse", ("number",), function=function, remedy=inverse)

    def read_argument(self, token: Token, function: str, power: Number | None) -> bool:
        """Read what a function is applied to: brackets, or one name or number."""
        following = self.token
        if following.kind == "open":
            opened = self.advance()
            place = (token.place[0], opened.place[1])
            made = Pending("call", opened.value, place, function=function, power=power)
            self.wait(made)
            return True
        if following.kind not in ("number", "quoted", "name") or names_function(
            following.kind, following.value
        ):
            unclear = following.kind in ("name", "power", "root", "bar") or following.value == "-"
            id = "bare_argument" if unclear else "bare"
            self.fail(following.place, id, ("opening",), function=function)
        if FUNCTIONS[function][0] > 1:
            self.fail(following.place, "bare_argument", ("opening",), function=function)
        self.advance()
        after = self.token
        clear = (
            after.kind in ("end", "close", "comma", "root")
            or (after.kind == "operator" and after.value != "^")
            or (after.kind == "bar" and self.innermost_is_bar())
            or names_function(after.kind, after.value)
        )
        if not clear:
            self.fail(after.place, "bare_argument", ("operator", "end"), function=function)
        if self.depth + 1 > MAX_DEPTH:
            self.fail(following.place, "depth", limit=MAX_DEPTH)
        argument: Syntax
        if following.kind == "number":
            argument = self.number(following)
        else:
            argument = Name(following.value, following.place)
        place = (token.place[0], following.place[1])
        self.push_call(function, (argument,), power, place)
        return False

    def push_call(
        self, function: str, arguments: tuple[Syntax, ...], power: Number | None, place: Place
    ) -> None:
        """Push a function of arguments, to a power where one was written."""
        made: Syntax = Apply(function, arguments, place)
        if power is not None:
            made = self.raised = Binary("^", made, power, place)
        self.push(made)

    def refuse_function_power(self, token: Token) -> None:
        """Refuse a second power on sin^2(x), which is already one."""
        syntax = self.operands[-1].syntax
        if syntax is self.raised and self.before.place[1] == syntax.place[1]:
            self.fail(token.place, "two_powers")
