"""Formulas of the lecture's prose: a small part of LaTeX, turned into MathML.

Invariant: what is not known is an error, so that no formula comes out wrong in silence. It is
separate because formulas that are explained come from `slopewise.explain`, and need no LaTeX.
"""

from __future__ import annotations

import re
from html import escape

SYMBOLS = {
    "cdot": "·", "times": "×", "pm": "±", "to": "→", "approx": "≈", "le": "≤", "ge": "≥",
    "ne": "≠", "ldots": "…", "cdots": "⋯", "infty": "∞",
}  # fmt: skip
LETTERS = {"Delta": "Δ", "eta": "η", "sigma": "σ", "mu": "μ", "varepsilon": "ε"}
FUNCTIONS = ("exp", "ln", "sin", "cos", "tanh", "min", "max")
LARGE = {"lim": "<mi>lim</mi>", "sum": "<mo>∑</mo>"}
"""What has its scripts below and above."""
CLOSING = {"(": ")", "[": "]"}
_TOKEN = re.compile(r"\\[A-Za-z]+|\d+(?:\.\d+)?|\s+|.")


class Source:
    """The tokens of a formula, read from the left."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [token for token in _TOKEN.findall(text) if not token.isspace()]

    def look(self) -> str:
        """Return the next token, or "" at the end."""
        return self.tokens[0] if self.tokens else ""

    def take(self, wanted: str | None = None) -> str:
        """Return the next token and go on; it must be `wanted` where that is given."""
        token = self.look()
        if not token or wanted not in (None, token):
            raise ValueError(f"formula {self.text!r}: {wanted or 'something'} is missing")
        return self.tokens.pop(0)


def write_formula(text: str, display: bool = False) -> str:
    """Return a formula as MathML.

    Parameters
    ----------
    text : str
        LaTeX: letters, numbers, brackets, scripts, and the commands of this module's tables.
    display : bool
        Whether it stands on a line of its own.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If a command is not known, or a bracket has no partner.

    Examples
    --------
    >>> write_formula("w^2")
    '<math><msup><mi>w</mi><mn>2</mn></msup></math>'
    """
    source = Source(text)
    inside = _read_row(source, "")
    return f'<math display="block">{inside}</math>' if display else f"<math>{inside}</math>"


def _read_row(source: Source, closing: str) -> str:
    """Read up to a closing sign, or to the end."""
    parts: list[str] = []
    while source.look() != closing:
        parts.append(_read_scripts(source))
    if closing:
        source.take(closing)
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


def _read_scripts(source: Source) -> str:
    """Read one thing with what stands below and above it."""
    large = source.look().removeprefix("\\") in LARGE
    base = _read_atom(source)
    below = above = ""
    while source.look() in ("_", "^", "'"):
        sign = source.take()
        if sign == "_":
            below = _read_atom(source)
        else:
            above += '<mo lspace="0" rspace="0">′</mo>' if sign == "'" else _read_atom(source)
    kinds = ("munder", "mover", "munderover") if large else ("msub", "msup", "msubsup")
    if below and above:
        return f"<{kinds[2]}>{base}{below}{above}</{kinds[2]}>"
    if below or above:
        kind = kinds[0] if below else kinds[1]
        return f"<{kind}>{base}{below}{above}</{kind}>"
    return base


def _read_atom(source: Source) -> str:
    token = source.take()
    if token == "{":
        return _read_row(source, "}")
    if token in CLOSING:
        return _enclose(token, _read_row(source, CLOSING[token]), CLOSING[token])
    if token == "|":
        return _enclose("|", _read_row(source, "|"), "|")
    if token[0].isdigit():
        return f"<mn>{token}</mn>"
    if token.isalpha():
        return f"<mi>{token}</mi>"
    if token in "+-=<>,/:!":
        return f"<mo>{escape(token.replace('-', '−'))}</mo>"
    name = token.removeprefix("\\")
    if token.startswith("\\"):
        if name in SYMBOLS:
            return f"<mo>{SYMBOLS[name]}</mo>"
        if name in LETTERS:
            return f"<mi>{LETTERS[name]}</mi>"
        if name in FUNCTIONS:
            return f"<mi>{name}</mi>"
        if name in LARGE:
            return LARGE[name]
        if name == "frac":
            above = _read_atom(source)
            return f"<mfrac>{above}{_read_atom(source)}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{_read_atom(source)}</msqrt>"
        if name == "hat":
            return f'<mover accent="true">{_read_atom(source)}<mo>^</mo></mover>'
        if name == "text":
            source.take("{")
            letters: list[str] = []
            while source.look() != "}":
                letters.append(source.take())
            source.take("}")
            return f"<mtext>{escape(''.join(letters))}</mtext>"
    raise ValueError(f"formula {source.text!r}: {token!r} is not known")


def _enclose(opening: str, inside: str, closing: str) -> str:
    return f"<mrow><mo>{opening}</mo>{inside}<mo>{closing}</mo></mrow>"
