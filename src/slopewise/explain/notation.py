"""Notation: terms in the signs that people read: plain text, LaTeX and MathML.

Invariant: the text of a term is a formula that the parser reads back; a pen knows how one format
writes each construct, and nothing about what is written. It is separate so that a new format is one
class.
"""

from __future__ import annotations

import math
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape

from slopewise._transform.expression import Expression
from slopewise.explain.reading import Terms

SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4
"""How tightly what is written holds together."""
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau"
    " upsilon phi chi psi omega"
).split()
_FOLLOWS = re.compile(r"\(|(?![eE]\d)[^\W\d]\w*(?![\w(\[/])")  # what a number needs no dot before
BAR = "\u0304"
"""After a letter: the gradient in what it stands for."""
_ARRAY_PRIMITIVES = ("contract", "transpose", "sum", "reshape", "broadcast_to", "mean_of")
OTHERWISE = {"en": "otherwise", "ko": "그 밖의 경우"}
_SPELT = {"lambda": "lamda"}  # Unicode's own spelling
_COMPARISONS = {
    "greater": (">", ">"), "greater_equal": ("≥", r"\ge"), "less": ("<", "<"),
    "less_equal": ("≤", r"\le"), "equal": ("=", "="), "not_equal": ("≠", r"\ne"),
}  # fmt: skip
_FUNCTIONS = {
    "log": "ln", "maximum": "max", "minimum": "min", "sigmoid": "sigmoid", "atan2": "atan2",
    "digamma": "digamma", "lgamma": "lgamma",
}  # fmt: skip
_LATEX_FUNCTIONS = {
    "log": r"\ln", "log2": r"\log_2", "log10": r"\log_{10}", "sin": r"\sin", "cos": r"\cos",
    "tan": r"\tan", "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan", "sinh": r"\sinh",
    "cosh": r"\cosh", "tanh": r"\tanh", "sigmoid": r"\sigma", "maximum": r"\max",
    "minimum": r"\min", "lgamma": r"\ln\Gamma", "digamma": r"\psi",
}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """Something written, how tightly it holds, and whether it starts and ends with a digit."""

    text: str
    level: int
    number: bool = False


class Pen(ABC):
    """Writes the constructs of one format."""

    @abstractmethod
    def number(self, value: float) -> Piece: ...

    @abstractmethod
    def name(self, name: str) -> Piece: ...

    @abstractmethod
    def group(self, inside: Piece) -> Piece:
        """Return a piece in parentheses."""

    @abstractmethod
    def join(self, sign: str, x: Piece, y: Piece, level: int) -> Piece:
        """Return two pieces with a sign between: one of + - * and comparisons by name."""

    @abstractmethod
    def negative(self, x: Piece) -> Piece: ...

    @abstractmethod
    def over(self, x: Piece, y: Piece) -> Piece: ...

    @abstractmethod
    def power(self, x: Piece, y: Piece) -> Piece: ...

    @abstractmethod
    def call(self, function: str, operands: Sequence[Piece]) -> Piece: ...

    @abstractmethod
    def cases(self, condition: Piece, x: Piece, y: Piece, otherwise: str) -> Piece: ...

    @abstractmethod
    def matmul(self, x: Piece, y: Piece) -> Piece: ...

    @abstractmethod
    def hadamard(self, x: Piece, y: Piece) -> Piece:
        """Return the product of two arrays, element by element."""

    @abstractmethod
    def transpose(self, x: Piece) -> Piece: ...

    @abstractmethod
    def sum_over(self, axes: str, x: Piece) -> Piece: ...

    @abstractmethod
    def derivative(self, wrt: str, x: Piece, partial: bool) -> Piece:
        """Return the derivative of a piece, still to be taken."""

    def hold(self, piece: Piece, level: int) -> Piece:
        """Return a piece in parentheses unless it holds at least so tightly."""
        return piece if piece.level >= level else self.group(piece)


def split_subscript(name: str) -> tuple[str, str]:
    """Return a letter and what stands below it, as in w1 and p_i; "" where nothing does.

    Examples
    --------
    >>> split_subscript("w1"), split_subscript("p_i"), split_subscript("width")
    (('w', '1'), ('p', 'i'), ('width', ''))
    """
    found = re.fullmatch(r"([^\W\d_])(?:_(\w{1,3})|(\d+))", name)
    return (found[1], found[2] or found[3]) if found else (name, "")


def name_number(value: float) -> tuple[str, Fraction] | None:
    """Return how a float is named: (name, factor) for multiples of pi, e and ln 2; else None."""
    if not math.isfinite(value) or value == 0:
        return None
    known = (("pi", math.pi), ("e", math.e))
    for name, size in known:
        factor = Fraction(value / size).limit_denominator(24)
        if factor and factor.numerator < 10_000 and float(factor) * size == value:
            return name, factor
    return None


def spell_number(value: float) -> str:
    """Return a float in the fewest digits that give it back; whole numbers without a point."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


class TextPen(Pen):
    """Plain text that the parser reads."""

    def number(self, value: float) -> Piece:
        named = name_number(value)
        if named is not None:
            name, factor = named
            above = name if factor.numerator == 1 else f"{factor.numerator}{name}"
            if factor.denominator == 1 and factor > 0:
                return Piece(above, ATOM if factor == 1 else PRODUCT)
        short = Fraction(value).limit_denominator(1000) if math.isfinite(value) else Fraction(0)
        if short.denominator > 1 and float(short) == value and len(repr(value)) > 10:
            return Piece(f"{short.numerator}/{short.denominator}", PRODUCT if value > 0 else SUM)
        text = spell_number(value)
        return Piece(text, ATOM if value >= 0 else SUM, value >= 0)

    def name(self, name: str) -> Piece:
        return Piece(name if name.isidentifier() else f'"{name}"', ATOM)

    def group(self, inside: Piece) -> Piece:
        return Piece(f"({inside.text})", ATOM)

    def join(self, sign: str, x: Piece, y: Piece, level: int) -> Piece:
        if sign == "*":
            tight = x.number and _FOLLOWS.match(y.text) is not None
            return Piece(f"{x.text}{'' if tight else '·'}{y.text}", level)
        shown = _COMPARISONS[sign][0] if sign in _COMPARISONS else sign
        shown = {"=": "=="}.get(shown, shown)
        return Piece(f"{x.text} {shown} {y.text}", level)

    def negative(self, x: Piece) -> Piece:
        return Piece(f"-{x.text}", SUM)

    def over(self, x: Piece, y: Piece) -> Piece:
        return Piece(f"{self.hold(x, PRODUCT).text}/{self.hold(y, POWER).text}", PRODUCT)

    def power(self, x: Piece, y: Piece) -> Piece:
        return Piece(f"{self.hold(x, ATOM).text}^{self.hold(y, ATOM).text}", POWER)

    def call(self, function: str, operands: Sequence[Piece]) -> Piece:
        if function == "abs":
            return Piece(f"abs({operands[0].text})", ATOM)
        return Piece(
            f"{_FUNCTIONS.get(function, function)}({', '.join(o.text for o in operands)})", ATOM
        )

    def cases(self, condition: Piece, x: Piece, y: Piece, otherwise: str) -> Piece:
        return Piece(f"where({condition.text}, {x.text}, {y.text})", ATOM)

    def matmul(self, x: Piece, y: Piece) -> Piece:
        left, right = self.hold(x, PRODUCT).text, self.hold(y, POWER).text
        return Piece(f"{left} @ {right}", PRODUCT)

    def hadamard(self, x: Piece, y: Piece) -> Piece:
        return Piece(f"{self.hold(x, PRODUCT).text} ⊙ {self.hold(y, POWER).text}", PRODUCT)

    def transpose(self, x: Piece) -> Piece:
        return Piece(f"{self.hold(x, ATOM).text}ᵀ", ATOM)

    def sum_over(self, axes: str, x: Piece) -> Piece:
        return Piece(f"sum_{axes}({x.text})", ATOM)

    def derivative(self, wrt: str, x: Piece, partial: bool) -> Piece:
        sign = "∂" if partial else "d"
        return Piece(f"{sign}/{sign}{wrt}[{x.text}]", POWER)


class LatexPen(Pen):
    """LaTeX for math mode."""

    def number(self, value: float) -> Piece:
        named = name_number(value)
        if named is not None:
            name, factor = named
            sign = r"\pi" if name == "pi" else "e"
            above = sign if abs(factor.numerator) == 1 else f"{abs(factor.numerator)}{sign}"
            text = (
                above if factor.denominator == 1 else rf"\frac{{{above}}}{{{factor.denominator}}}"
            )
            text = text if factor > 0 else f"-{text}"
            return Piece(text, ATOM if factor > 0 else SUM)
        short = Fraction(value).limit_denominator(1000) if math.isfinite(value) else Fraction(0)
        if short.denominator > 1 and float(short) == value and len(repr(value)) > 10:
            text = rf"\frac{{{abs(short.numerator)}}}{{{short.denominator}}}"
            return Piece(text if value > 0 else f"-{text}", ATOM if value > 0 else SUM)
        text = spell_number(value)
        if "e" in text:
            digits, _, exponent = text.partition("e")
            text = rf"{digits}\cdot 10^{{{int(exponent)}}}"
        return Piece(text, ATOM if value >= 0 else SUM, value >= 0)

    def name(self, name: str) -> Piece:
        if BAR in name:
            letter, _, digits = name.partition(BAR)
            return Piece(rf"\bar{{{letter}}}" + (f"_{{{digits}}}" if digits else ""), ATOM)
        if len(name) == 1:
            return Piece(name, ATOM)
        if name in _GREEK:
            return Piece(f"\\{name}", ATOM)
        stem, below = split_subscript(name)
        if below:
            return Piece(f"{stem}_{{{below}}}", ATOM)
        shown = name.replace("\\", r"\backslash ")
        for sign in "_#$%&{}":
            shown = shown.replace(sign, "\\" + sign)
        return Piece(rf"\mathrm{{{shown}}}", ATOM)

    def group(self, inside: Piece) -> Piece:
        return Piece(rf"\left({inside.text}\right)", ATOM)

    def join(self, sign: str, x: Piece, y: Piece, level: int) -> Piece:
        if sign == "*":
            dot = r" \cdot " if y.text[:1].isdigit() or (x.number and y.number) else r" \, "
            if x.number and not y.text[:1].isdigit():
                dot = " "
            return Piece(f"{x.text}{dot}{y.text}", level)
        shown = _COMPARISONS[sign][1] if sign in _COMPARISONS else sign
        return Piece(f"{x.text} {shown} {y.text}", level)

    def negative(self, x: Piece) -> Piece:
        return Piece(f"-{x.text}", SUM)

    def over(self, x: Piece, y: Piece) -> Piece:
        return Piece(rf"\frac{{{x.text}}}{{{y.text}}}", ATOM - 1)

    def power(self, x: Piece, y: Piece) -> Piece:
        return Piece(f"{self.hold(x, ATOM).text}^{{{y.text}}}", POWER)

    def call(self, function: str, operands: Sequence[Piece]) -> Piece:
        inside = ", ".join(o.text for o in operands)
        if function == "sqrt":
            return Piece(rf"\sqrt{{{inside}}}", ATOM)
        if function == "abs":
            return Piece(rf"\left|{inside}\right|", ATOM)
        if function == "exp":
            return Piece(f"e^{{{inside}}}", POWER)
        sign = _LATEX_FUNCTIONS.get(function, rf"\operatorname{{{function}}}".replace("_", r"\_"))
        return Piece(rf"{sign}\left({inside}\right)", ATOM)

    def cases(self, condition: Piece, x: Piece, y: Piece, otherwise: str) -> Piece:
        rows = rf"{x.text} & {condition.text} \\ {y.text} & \text{{{otherwise}}}"
        return Piece(rf"\begin{{cases}} {rows} \end{{cases}}", ATOM)

    def matmul(self, x: Piece, y: Piece) -> Piece:
        return Piece(rf"{self.hold(x, PRODUCT).text} \, {self.hold(y, POWER).text}", PRODUCT)

    def hadamard(self, x: Piece, y: Piece) -> Piece:
        left, right = self.hold(x, PRODUCT).text, self.hold(y, POWER).text
        return Piece(rf"{left} \odot {right}", PRODUCT)

    def transpose(self, x: Piece) -> Piece:
        return Piece(rf"{self.hold(x, ATOM).text}^{{\top}}", POWER)

    def sum_over(self, axes: str, x: Piece) -> Piece:
        return Piece(rf"\sum_{{{axes}}}{self.group(x).text}", PRODUCT)

    def derivative(self, wrt: str, x: Piece, partial: bool) -> Piece:
        sign = r"\partial" if partial else "d"
        name = self.name(wrt).text
        return Piece(rf"\frac{{{sign}}}{{{sign} {name}}}\left[{x.text}\right]", POWER)


class MathPen(Pen):
    """Presentation MathML."""

    def number(self, value: float) -> Piece:
        text = TextPen().number(value)
        if "/" in text.text:
            above, _, below = text.text.partition("/")
            return Piece(f"<mfrac><mn>{above}</mn><mn>{below}</mn></mfrac>", ATOM)
        if text.text[0] == "-":
            return Piece(f"<mrow><mo>−</mo><mn>{text.text[1:]}</mn></mrow>", SUM)
        shown = text.text.replace("pi", "π")
        tag = "mi" if shown in ("π", "e") else "mn"
        return Piece(f"<{tag}>{shown}</{tag}>", text.level, text.number)

    def name(self, name: str) -> Piece:
        if BAR in name:
            letter, _, digits = name.partition(BAR)
            barred = f'<mover accent="true"><mi>{escape(letter)}</mi><mo>¯</mo></mover>'
            return Piece(f"<msub>{barred}<mn>{digits}</mn></msub>" if digits else barred, ATOM)
        shown = unicodedata.lookup(f"GREEK SMALL LETTER {_SPELT.get(name, name).upper()}") if (
            name in _GREEK) else name  # fmt: skip
        stem, below = split_subscript(name)
        if below:
            tag = "mn" if below.isdigit() else "mi"
            return Piece(f"<msub><mi>{escape(stem)}</mi><{tag}>{below}</{tag}></msub>", ATOM)
        return Piece(f"<mi>{escape(shown)}</mi>", ATOM)

    def group(self, inside: Piece) -> Piece:
        return Piece(f"<mrow><mo>(</mo>{inside.text}<mo>)</mo></mrow>", ATOM)

    def join(self, sign: str, x: Piece, y: Piece, level: int) -> Piece:
        if sign == "*":
            close = x.number and not y.number and not y.text.startswith("<mn>")
            shown = "&#8290;" if close else "·"
        else:
            shown = escape(_COMPARISONS[sign][0]) if sign in _COMPARISONS else sign
        shown = "−" if shown == "-" else shown
        return Piece(f"<mrow>{x.text}<mo>{shown}</mo>{y.text}</mrow>", level)

    def negative(self, x: Piece) -> Piece:
        return Piece(f"<mrow><mo>−</mo>{x.text}</mrow>", SUM)

    def over(self, x: Piece, y: Piece) -> Piece:
        return Piece(f"<mfrac>{x.text}{y.text}</mfrac>", ATOM - 1)

    def power(self, x: Piece, y: Piece) -> Piece:
        return Piece(f"<msup>{self.hold(x, ATOM).text}{y.text}</msup>", POWER)

    def call(self, function: str, operands: Sequence[Piece]) -> Piece:
        inside = "<mo>,</mo>".join(o.text for o in operands)
        if function == "sqrt":
            return Piece(f"<msqrt>{inside}</msqrt>", ATOM)
        if function == "abs":
            return Piece(f"<mrow><mo>|</mo>{inside}<mo>|</mo></mrow>", ATOM)
        if function == "exp":
            return Piece(f"<msup><mi>e</mi><mrow>{inside}</mrow></msup>", POWER)
        sign = "σ" if function == "sigmoid" else _FUNCTIONS.get(function, function)
        return Piece(f"<mrow><mi>{sign}</mi><mo>(</mo>{inside}<mo>)</mo></mrow>", ATOM)

    def cases(self, condition: Piece, x: Piece, y: Piece, otherwise: str) -> Piece:
        rows = "".join(
            f"<mtr><mtd>{value.text}</mtd><mtd>{when}</mtd></mtr>"
            for value, when in ((x, condition.text), (y, f"<mtext>{otherwise}</mtext>"))
        )
        brace = '<mo stretchy="true" form="prefix">{</mo>'
        table = f'<mtable columnalign="left">{rows}</mtable>'
        return Piece(f"<mrow>{brace}{table}</mrow>", ATOM)

    def matmul(self, x: Piece, y: Piece) -> Piece:
        left, right = self.hold(x, PRODUCT).text, self.hold(y, POWER).text
        return Piece(f"<mrow>{left}<mo>&#8290;</mo>{right}</mrow>", PRODUCT)

    def hadamard(self, x: Piece, y: Piece) -> Piece:
        left, right = self.hold(x, PRODUCT).text, self.hold(y, POWER).text
        return Piece(f"<mrow>{left}<mo>⊙</mo>{right}</mrow>", PRODUCT)

    def transpose(self, x: Piece) -> Piece:
        return Piece(f"<msup>{self.hold(x, ATOM).text}<mo>⊤</mo></msup>", POWER)

    def sum_over(self, axes: str, x: Piece) -> Piece:
        head = f"<munder><mo>∑</mo><mi>{escape(axes)}</mi></munder>"
        return Piece(f"<mrow>{head}{self.group(x).text}</mrow>", PRODUCT)

    def derivative(self, wrt: str, x: Piece, partial: bool) -> Piece:
        sign = "∂" if partial else "d"
        name = self.name(wrt).text
        head = f"<mfrac><mi>{sign}</mi><mrow><mi>{sign}</mi>{name}</mrow></mfrac>"
        return Piece(f"<mrow>{head}<mo>[</mo>{x.text}<mo>]</mo></mrow>", POWER)


PENS: dict[str, Pen] = {"text": TextPen(), "latex": LatexPen(), "html": MathPen()}


def write(
    terms: Terms,
    root: Expression,
    form: str = "text",
    lang: str = "en",
    names: Mapping[int, str] | None = None,
) -> str:
    """Return a term in a format: "text", "latex" or "html" (MathML without its outer tag).

    Parameters
    ----------
    terms : Terms
        Where the term was made.
    root : Expression
    form : str
    lang : str
    names : mapping of int to str, optional
        Parts that are written by a name, by number; the root itself never is.

    Returns
    -------
    str
    """
    pen = PENS[form]
    done = {number: pen.name(name) for number, name in (names or {}).items()}
    done.pop(root.number, None)
    pending = [root]
    while pending:
        term = pending[-1]
        left = [o for o in term.operands if o.number not in done]
        if left:
            pending += left
            continue
        pending.pop()
        if term.number not in done:
            parts = [done[o.number] for o in term.operands]
            done[term.number] = write_node(terms, term, parts, pen, lang)
    return done[root.number].text


def write_node(
    terms: Terms, term: Expression, parts: Sequence[Piece], pen: Pen, lang: str
) -> Piece:
    """Return one operation with its operands as they are written."""
    name = term.name
    if term.data is not None and term.dtype.kind == "b":  # a truth is written as one
        return pen.join(
            "equal" if term.data else "not_equal", pen.number(0), pen.number(0), SUM - 1
        )
    if term.data is not None and term.data.ndim:
        return pen.name("array")
    if term.data is not None:
        value = float(term.data.item())
        size = terms.sizes.get(abs(value))
        if size is None:
            return pen.number(value)
        pieces = [pen.name(axis) for axis in size.split("·")]
        product = pieces[0]
        for piece in pieces[1:]:
            product = pen.join("*", product, piece, PRODUCT)
        return pen.negative(product) if value < 0 else product
    if term.primitive is None:
        return pen.name(terms.names[int(term.params["position"])])
    if name in ("add", "sub"):
        x, y = parts
        right = pen.hold(y, PRODUCT)
        return pen.join("+" if name == "add" else "-", x, right, SUM)
    if name == "mul" and all(o.shape for o in term.operands):
        return pen.hadamard(*parts)
    if name in _ARRAY_PRIMITIVES:
        return _write_array(terms, term, parts, pen)
    if name == "mul":
        return pen.join("*", pen.hold(parts[0], PRODUCT), pen.hold(parts[1], POWER), PRODUCT)
    if name == "div":
        return pen.over(parts[0], parts[1])
    if name == "neg":
        return pen.negative(pen.hold(parts[0], PRODUCT))
    if name == "pow":
        return pen.power(parts[0], parts[1])
    if name == "where":
        return pen.cases(parts[0], parts[1], parts[2], OTHERWISE[lang])
    if name == "derivative":
        wrt = terms.names[int(term.params["wrt"])]
        return pen.derivative(wrt, parts[0], len(terms.names) > 1)
    if name in _COMPARISONS:
        return pen.join(name, parts[0], parts[1], SUM - 1)
    return pen.call(name, parts)


def _write_array(terms: Terms, term: Expression, parts: Sequence[Piece], pen: Pen) -> Piece:
    """Return one operation on arrays; what only arranges or repeats values is not written."""
    name = term.name
    if name == "contract":
        return _write_contract(
            term,
            [_write_ones(terms, o, p, pen) for o, p in zip(term.operands, parts, strict=True)],
            pen,
        )
    if name == "transpose" and tuple(term.params["axes"]) == (1, 0):
        return pen.transpose(parts[0])
    if name in ("sum", "mean_of"):
        operand = term.operands[0]
        axes: Sequence[int] = term.params["axes"]
        if name == "mean_of":
            return pen.call("mean", parts)
        if len(axes) == len(operand.shape):
            return pen.call("sum", parts)
        sizes = (float(operand.shape[axis]) for axis in axes)
        return pen.sum_over(",".join(terms.sizes.get(x, spell_number(x)) for x in sizes), parts[0])
    if name in ("reshape", "broadcast_to"):
        return parts[0]
    return pen.call(name, parts)


def _write_ones(terms: Terms, operand: Expression, part: Piece, pen: Pen) -> Piece:
    """Return a number that is repeated along axes as that many ones; products need to see them."""
    inner = operand
    while inner.name in ("broadcast_to", "reshape"):
        inner = inner.operands[0]
    if inner is operand or inner.shape:
        return part
    sizes = (float(size) for size in operand.shape)
    axes = [pen.name(terms.sizes.get(x, spell_number(x))) for x in sizes]
    ones = pen.call("ones", axes)
    if inner.data is not None and float(inner.data.item()) == 1:
        return ones
    return pen.join("*", pen.hold(part, PRODUCT), ones, PRODUCT)


def _write_contract(term: Expression, parts: Sequence[Piece], pen: Pen) -> Piece:
    """Return a product of vectors and matrices, transposed where the axes say so."""
    x, y = term.operands
    left, right = parts
    x_axes, y_axes = tuple(term.params["x_axes"]), tuple(term.params["y_axes"])
    plain = not term.params["x_batch"] and len(x_axes) <= 1 and len(x.shape) + len(y.shape) <= 4
    if not plain or max(len(x.shape), len(y.shape)) > 2:
        return pen.call("contract", parts)
    if not x.shape or not y.shape:
        return pen.join("*", pen.hold(left, PRODUCT), pen.hold(right, POWER), PRODUCT)
    if not x_axes:
        return pen.matmul(left, pen.transpose(right))
    if len(x.shape) == 1 and len(y.shape) == 2:
        return pen.matmul(right if y_axes == (1,) else pen.transpose(right), left)
    if x_axes == (0,):
        left = pen.transpose(left)
    if len(y.shape) == 2 and y_axes == (1,):
        right = pen.transpose(right)
    return pen.matmul(left, right)
