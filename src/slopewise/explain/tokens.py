"""The words of a formula: numbers, names, operators, brackets, superscripts, with their places.

Invariant: every character belongs to one token or is white space, or it is an error; other ways to
write a sign (full-width, ×, −, ≤) give the same token. It is separate because what a character is
does not depend on where it stands in the grammar.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from slopewise.explain.complaints import complain
from slopewise.explain.syntax import Place, continues_name, is_raised, starts_name

MAX_DIGITS = 40
"""The most digits that a number has."""
MAX_POWER_OF_TEN = 308
"""The greatest power of ten in a number, up or down."""

CLOSING = {"(": ")", "[": "]", "{": "}"}
"""Opening brackets, each with its closing one."""
RAISED_LETTERS = "ⁿˣʸᵏᵐ"
"""Superscript letters that are read as powers."""
_SPACE = frozenset(" \t\n\r\u00a0\u2002\u2003\u2009\u200a\u202f\u3000")
_SIGNS = {
    **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # full-width ASCII
    **dict.fromkeys("−–﹣", "-"), **dict.fromkeys("·\u0387×⋅∙∗", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
}  # fmt: skip
_PAIRS = {"**": "^", "==": "==", "!=": "!=", "<=": "<=", ">=": ">="}
_SINGLE = {
    **{sign: sign for sign in "+-*/@^<>"}, "≤": "<=", "≥": ">=", "≠": "!=",
}  # fmt: skip
_REFUSED = {"=": "equals", "%": "percent", "!": "factorial"}
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_POWER = re.compile(rf"([⁺⁻]?)([⁰¹²³⁴-⁹]+|[{RAISED_LETTERS}])")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a formula: its kind, what it says, and where it stands.

    Kinds are number, name, quoted, operator, open, close, bar, comma, root, power, end.
    """

    kind: str
    value: str
    place: Place


def split_tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a formula, the last of kind 'end'.

    Parameters
    ----------
    text : str

    Yields
    ------
    Token

    Raises
    ------
    FormulaError
        If a character, a number or a quoted name cannot be read.

    Examples
    --------
    >>> [token.value for token in split_tokens("2w₁ × x⁻²")]
    ['2', 'w1', '*', 'x', '-2', '']
    """
    signs = "".join(_SIGNS.get(c, c) for c in text)
    at = 0
    while at < len(text):
        c = signs[at]
        if c in _SPACE:
            at += 1
            continue
        if c in "0123456789" or (c == "." and signs[at + 1 : at + 2] in set("0123456789")):
            token = _read_number(text, signs, at)
        elif starts_name(c):
            token = _read_name(signs, at)
        elif c in '"`':
            token = _read_quoted(text, signs, at)
        elif is_raised(c):
            token = _read_power(text, at)
        else:
            token = _read_sign(text, signs, at)
        yield token
        at = token.place[1]
    yield Token("end", "", (at, at))


def _read_number(text: str, signs: str, at: int) -> Token:
    found = _NUMBER.match(signs, at)
    if found is None:
        _refuse(text, at)
    number, stop = found.group(), found.end()
    mantissa, _, power = number.lower().partition("e")
    count = sum(c != "." for c in mantissa)
    if count > MAX_DIGITS:
        raise complain(text, (at, stop), "digits", count=count, limit=MAX_DIGITS)
    # The length is looked at first: converting a million digits takes long.
    if len(power) > 5 or abs(int(power or 0)) > MAX_POWER_OF_TEN or float(number) == float("inf"):
        raise complain(text, (at, stop), "exponent", limit=MAX_POWER_OF_TEN)
    following = signs[stop : stop + 1]
    if following == "_":
        raise complain(text, (stop, stop + 1), "underscore")
    if following == ".":
        raise complain(text, (stop, stop + 1), "points")
    return Token("number", number, (at, stop))


def _read_name(signs: str, at: int) -> Token:
    stop = at + 1
    # 2πr has the constant in it, while π₁ and π_1 are names of their own.
    constant = signs[at] == "π" and signs[stop : stop + 1].isalpha()
    while not constant and stop < len(signs) and continues_name(signs[stop]):
        stop += 1
    # Python reads the names of arguments in the same normal form.
    name = unicodedata.normalize("NFKC", signs[at:stop])
    return Token("name", "pi" if name == "π" else name, (at, stop))


def _read_quoted(text: str, signs: str, at: int) -> Token:
    quote, stop = signs[at], at + 1
    while True:
        stop = signs.find(quote, stop)
        if stop < 0:
            raise complain(text, (at, at + 1), "quote", found=quote)
        if signs[stop + 1 : stop + 2] != quote:
            break
        stop += 2
    inside = signs[at + 1 : stop]
    name = text[at + 1 : stop] if quote not in inside else _undouble(text[at + 1 : stop])
    if not name:
        raise complain(text, (at, stop + 1), "quote_empty", ("name",))
    for place, c in enumerate(name, at + 1):
        if unicodedata.category(c) in ("Cc", "Cs"):
            raise complain(text, (place, place + 1), "invisible", code=f"U+{ord(c):04X}")
    return Token("quoted", name, (at, stop + 1))


def _undouble(name: str) -> str:
    """Return a quoted name with each doubled quotation mark once."""
    return re.sub(r'(["＂])["＂]', r"\1", re.sub(r"([`｀])[`｀]", r"\1", name))


def _read_power(text: str, at: int) -> Token:
    found = _POWER.match(text, at)
    stop = found.end() if found else at + 1
    if found is None or (stop < len(text) and is_raised(text[stop])):
        stop = at
        while stop < len(text) and is_raised(text[stop]):
            stop += 1
        raise complain(text, (at, stop), "superscript", found=text[at : min(stop, at + 40)])
    sign, raised = found.groups()
    value = unicodedata.normalize("NFKC", raised)
    if len(value) > MAX_DIGITS:
        raise complain(text, (at, stop), "digits", count=len(value), limit=MAX_DIGITS)
    return Token("power", ("-" if sign == "⁻" else "") + value, (at, stop))


def _read_sign(text: str, signs: str, at: int) -> Token:
    c = signs[at]
    # × twice is a mistake, and no power: only two stars are.
    pair = signs[at : at + 2]
    if pair in _PAIRS and (pair != "**" or text[at : at + 2] in ("**", "＊＊")):
        return Token("operator", _PAIRS[pair], (at, at + 2))
    if c in _SINGLE:
        return Token("operator", _SINGLE[c], (at, at + 1))
    for kind, characters in (
        ("open", "([{"), ("close", ")]}"), ("bar", "|"), ("comma", ","), ("root", "√"),
    ):  # fmt: skip
        if c in characters:
            return Token(kind, c, (at, at + 1))
    _refuse(text, at, c)


def _refuse(text: str, at: int, sign: str = "") -> NoReturn:
    c = text[at]
    place = (at, at + 1)
    if sign in _REFUSED:
        raise complain(text, place, _REFUSED[sign])
    if c in "'‘’“”«»":
        raise complain(text, place, "quote_kind", found=c)
    code = f"U+{ord(c):04X}"
    if not c.isprintable() or unicodedata.category(c) in ("Cf", "Mn", "Zs"):
        raise complain(text, place, "invisible", code=code)
    raise complain(text, place, "character", found=c, code=code)
