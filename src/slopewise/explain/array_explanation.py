"""The derivative of a function of vectors and matrices as it is read: one sample, then the table.

Invariant: one sample is the same function with every axis of size one, derived by the rules for
numbers; the table is the sweep over all samples, checked against the engine. It is separate from
`explanation`, where everything is a number.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from slopewise._core.aval import DTYPES, Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Generate, Text, Zero
from slopewise._front.operands import as_value_in
from slopewise._transform.expression import Expression, order
from slopewise._transform.gradients import grad, jacobian
from slopewise.explain.arrays import ArrayFunction, find_value_shape, read_arrays
from slopewise.explain.cards import Card, close_cards, make_cards
from slopewise.explain.complaints import LANGUAGES
from slopewise.explain.derivations import Derivation, derive_term
from slopewise.explain.layout import show_html, show_latex, show_markdown, show_text
from slopewise.explain.lines import say_rule
from slopewise.explain.notation import PENS, write
from slopewise.explain.reading import NUMBER, Terms
from slopewise.explain.shapes import Shape
from slopewise.explain.steps import Step
from slopewise.explain.sweep import Gradient, sweep_back

_WORDS: dict[str, tuple[str, str]] = {
    "shapes": ("shapes", "모양"),
    "number": ("number", "수"),
    "weights": (
        "the value has shape {shape}, so L weighs it: any {name} of that shape; the gradient of L "
        "is the transposed Jacobian times {name}",
        "함숫값의 모양: {shape}. 따라서 L 값은 가중합입니다. 가중치: 모양이 같은 임의의 {name}. "
        "L의 그래디언트: 야코비 행렬의 전치 × {name}",
    ),
    "one": ("one sample with one feature, in numbers", "표본 하나, 특성 하나: 수로 미분"),
    "no_one": (
        "one sample is a vector here; its entries, one by one:",
        "여기서는 표본 하나가 벡터이므로 성분별로 봅니다.",
    ),
    "forward": ("all samples, forward: the values", "모든 표본, 순전파: 값"),
    "backward": (
        "all samples, backward: the gradient in each row, from the last to the first",
        "모든 표본, 역전파: 각 행의 그래디언트, 마지막 행부터",
    ),
    "bar": (
        "a bar over a letter: the gradient of L in it, of the same shape; ⊙ is element by element",
        "글자 위의 막대: 그 글자에 대한 L의 그래디언트, 모양이 같음. ⊙: 성분끼리의 곱",
    ),
    "checked": (
        "every row checked against the engine's gradient at sampled inputs",
        "모든 행을 표본 입력에서 엔진의 그래디언트와 비교하여 확인함",
    ),
}
_WEIGHTS = ("c", "v", "u", "g", "c_1", "c_2")
_SCALAR_SAME = ("sum", "broadcast_to", "reshape", "transpose", "max", "min", "prod")
_CARDS = {"softmax": "softmax", "log_softmax": "cross_entropy", "logsumexp": "logsumexp"}


def _average(x: Any, axes: Sequence[int]) -> Any:
    return np.mean(x, axis=tuple(axes))


def _average_shape(x: Any, axes: Sequence[int]) -> Aval:
    return Aval(tuple(n for i, n in enumerate(x.shape) if i not in axes), NUMBER)


MEAN = Primitive(
    "mean_of",
    value=_average,
    derivative=Zero(),
    lowering=Generate("none"),
    abstract=_average_shape,
    batch=lambda *_, **__: None,
    samples=lambda _rng: (),
    text=Text("mean", "평균", "mean"),
)  # fmt: skip
"""A sum over as many as it is divided by; for reading alone."""


def _say(key: str, lang: str) -> str:
    return _WORDS[key][LANGUAGES.index(lang)]


@dataclass(frozen=True)
class _TableRow:
    """A row as it is read: its name, what it is, its shape."""

    name: str
    term: Expression
    shape: Shape


class ArrayExplanation:
    """The derivative of a function of vectors and matrices that can be read.

    Attributes
    ----------
    read : ArrayFunction
        The function as rows; of a value that is an array, the sum of it times weights.
    function : callable
        As it was given.
    wrts : tuple of str
        The inputs that are derived in.
    weights : str
        The letter of what weighs a value that is an array; "" where the value is a number.
    gradients : list of Gradient
        In rows and inputs, from the value back.
    one : Derivation or None
        One sample in numbers, where the function has a meaning there.
    cards : tuple of Card
        Softmax and its kin, entry by entry.

    Examples
    --------
    >>> import slopewise as sw
    >>> found = sw.explain.derivation("mean((X @ w - y)^2)", "w")
    >>> found.result
    'w̄ = Xᵀ @ r̄'
    """

    def __init__(
        self,
        read: ArrayFunction,
        wrts: tuple[str, ...],
        at: Mapping[str, Any] | None,
        lang: str,
        function: Callable[..., Any],
        weights: str = "",
    ) -> None:
        self.read = read
        self.function = function
        self.weights = weights
        self.wrts = wrts
        self.gradients: list[Gradient] = sweep_back(read, wrts)
        self.lang = lang
        self.at = None if at is None else dict(at)
        self.one: Derivation | None = _derive_one(read, wrts[0])
        kinds = dict.fromkeys(kind for t in order([read.root]) if (kind := _find_kind(t)))
        self.cards: tuple[Card, ...] = tuple(c for kind in kinds for c in make_cards(kind))
        self._kinds = tuple(kinds)
        self._names = {row.term.number: row.letter for row in read.rows}

    @property
    def steps(self) -> list[Step]:
        """The steps for one sample, and of the cards."""
        found = [] if self.one is None else self.one.list_steps()
        return found + [step for card in self.cards for step in card.derivation.list_steps()]

    @property
    def result(self) -> str:
        """The gradients in the inputs, in the letters of the table."""
        rows = self._backward()[-len(self.wrts) :]
        return ", ".join(f"{row.name} = {self._write(row, 'text', 'en')}" for row in rows)

    @property
    def value(self) -> Any:
        """The engine's gradients at the arrays that were given, by name; None where none were.

        Of a value that is an array: the Jacobians.
        """
        if self.at is None:
            return None
        given = {n: as_value_in(np.asarray(x), DTYPES["float64"]) for n, x in self.at.items()}
        found: dict[str, Any] = {}
        for name in self.wrts:

            def along(x: Any, name: str = name) -> Any:
                names = [n for n in self.read.shapes if n != self.weights]
                return self.function(*(x if n == name else given[n] for n in names))

            transform = jacobian if self.weights else grad
            found[name] = np.asarray(transform(along)(given[name]))
        return found

    def hints(self, lang: str | None = None) -> list[str]:
        """Return the rules in the order of use."""
        return [say_rule(s, lang or self.lang) for s in self.steps if s.rule != "tidy"]

    def _forward(self) -> list[_TableRow]:
        return [_TableRow(row.letter, row.term, row.shape) for row in self.read.rows]

    def _backward(self) -> list[_TableRow]:
        return [_TableRow(g.name, g.term, g.shape) for g in self.gradients]

    def _write(self, row: _TableRow, form: str, lang: str) -> str:
        terms = self.read.terms
        term = terms.rewrite("means", row.term, lambda x: _find_mean(terms, x))
        return write(terms, term, form, lang, self._shown(terms))

    def _shown(self, terms: Terms) -> dict[int, str]:
        names = dict(self._names)
        for row in self.read.rows:  # a row keeps its letter when a mean is recognised in it
            made = terms.rewrite("means", row.term, lambda x: _find_mean(terms, x))
            names[made.number] = row.letter
        return names

    def _shape(self, shape: Shape, lang: str) -> str:
        return "×".join(shape) if shape else _say("number", lang)

    def _inputs(self, lang: str) -> str:
        listed = self.read.shapes.items()
        return ", ".join(f"{name}: {self._shape(shape, lang)}" for name, shape in listed)

    def _tell_weights(self, lang: str) -> list[str]:
        """Return what L is where the value is an array."""
        if not self.weights:
            return []
        shape = self._shape(self.read.shapes[self.weights], lang)
        return [_say("weights", lang).format(shape=shape, name=self.weights)]

    def _function(self, form: str, lang: str) -> str:
        """Return the whole function, no row named."""
        terms = self.read.terms
        root = terms.rewrite("means", self.read.root, lambda x: _find_mean(terms, x))
        return write(terms, root, form, lang)

    def text(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as text for a terminal."""
        lang = lang or self.lang
        rows = [f"L = {self._function('text', lang)}"]
        rows += [f"{_say('shapes', lang)}: {self._inputs(lang)}", *self._tell_weights(lang), ""]
        if self.one is not None:
            rows += [_say("one", lang), *_indent(show_text(self.one, lang, None, full)), ""]
        elif self.cards:
            rows += [_say("no_one", lang), ""]
        for kind in self._kinds:
            for card in make_cards(kind):
                rows += [card.title(lang), *_indent(show_text(card.derivation, lang, None, full))]
                rows += [f"  = {_card_result(card, 'text', lang)}", ""]
            words, formula = close_cards(kind, lang, "text")
            rows += [f"{words}: {formula}", ""]
        for title, table in (("forward", self._forward()), ("backward", self._backward())):
            rows += [_say(title, lang), *self._text_table(table, lang), ""]
        rows += [_say("bar", lang), _say("checked", lang)]
        return "\n".join(rows)

    def _text_table(self, table: Sequence[_TableRow], lang: str) -> list[str]:
        lines = [f"{row.name} = {self._write(row, 'text', lang)}" for row in table]
        width = max(_columns(line) for line in lines)
        return [
            f"  {line}{' ' * (width - _columns(line))}   {self._shape(row.shape, lang)}"
            for line, row in zip(lines, table, strict=True)
        ]

    def latex(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as LaTeX for math mode."""
        lang = lang or self.lang
        parts: list[str] = [] if self.one is None else [show_latex(self.one, lang, None, full)]
        for kind in self._kinds:
            for card in make_cards(kind):
                parts.append(show_latex(card.derivation, lang, None, full))
            parts.append(close_cards(kind, lang, "latex")[1])
        rows = [rf"L &= {self._function('latex', lang)} && \text{{{self._inputs(lang)}}}"]
        rows += [rf"& \text{{{said}}}" for said in self._tell_weights(lang)]
        for title, table in (("forward", self._forward()), ("backward", self._backward())):
            rows.append(rf"& \text{{{_say(title, lang)}}}")
            for row in table:
                name = PENS["latex"].name(row.name).text
                shape = self._latex_shape(row.shape, lang)
                rows.append(f"{name} &= {self._write(row, 'latex', lang)} && {shape}")
        body = " \\\\\n".join(rows)
        return "\n".join([*parts, f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"])

    def _latex_shape(self, shape: Shape, lang: str) -> str:
        return r" \times ".join(shape) if shape else rf"\text{{{_say('number', lang)}}}"

    def markdown(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as Markdown with LaTeX between dollars."""
        lang = lang or self.lang
        rows = [f"$$L = {self._function('latex', lang)}$$", ""]
        rows += [f"{_say('shapes', lang)}: {self._inputs(lang)}", ""]
        rows += [line for said in self._tell_weights(lang) for line in (said, "")]
        if self.one is not None:
            rows += [f"**{_say('one', lang)}**", "", show_markdown(self.one, lang, None, full), ""]
        elif self.cards:
            rows += [_say("no_one", lang), ""]
        for kind in self._kinds:
            for card in make_cards(kind):
                rows += [f"**{card.title(lang)}**", ""]
                rows += [show_markdown(card.derivation, lang, None, full), ""]
                rows += [f"$$= {_card_result(card, 'latex', lang)}$$", ""]
            words, formula = close_cards(kind, lang, "latex")
            rows += [f"{words}: ${formula}$", ""]
        for title, table in (("forward", self._forward()), ("backward", self._backward())):
            rows += [f"**{_say(title, lang)}**", "", "| | | |", "|---|---|---|"]
            for row in table:
                name = PENS["latex"].name(row.name).text
                term = self._write(row, "latex", lang)
                rows.append(f"| ${name}$ | ${term}$ | {self._shape(row.shape, lang)} |")
            rows.append("")
        rows += [_say("bar", lang), "", f"*{_say('checked', lang)}*"]
        return "\n".join(rows)

    def html(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as a fragment of HTML with MathML."""
        lang = lang or self.lang
        rows = [f'<div class="derivation" lang="{lang}">']
        rows.append(f"<p>{_math('<mi>L</mi><mo>=</mo>' + self._function('html', lang))}</p>")
        rows.append(f"<p>{_say('shapes', lang)}: {escape(self._inputs(lang))}</p>")
        rows += [f"<p>{escape(said)}</p>" for said in self._tell_weights(lang)]
        if self.one is not None:
            rows.append(f"<h4>{escape(_say('one', lang))}</h4>")
            rows.append(show_html(self.one, lang, None, full))
        elif self.cards:
            rows.append(f"<p>{escape(_say('no_one', lang))}</p>")
        for kind in self._kinds:
            for card in make_cards(kind):
                rows.append(f"<h4>{escape(card.title(lang))}</h4>")
                rows.append(show_html(card.derivation, lang, None, full))
                rows.append(f"<p>{_math('<mo>=</mo>' + _card_result(card, 'html', lang))}</p>")
            words, _ = close_cards(kind, lang, "text")
            rows.append(f"<p>{escape(words)}: {escape(close_cards(kind, lang, 'text')[1])}</p>")
        for title, table in (("forward", self._forward()), ("backward", self._backward())):
            rows += [f"<h4>{escape(_say(title, lang))}</h4>", "<table>"]
            for row in table:
                name = PENS["html"].name(row.name).text
                equation = _math(f"{name}<mo>=</mo>{self._write(row, 'html', lang)}")
                shape = escape(self._shape(row.shape, lang))
                rows.append(f"<tr><td>{equation}</td><td>{shape}</td></tr>")
            rows.append("</table>")
        rows.append(f"<p>{escape(_say('bar', lang))}</p>")
        rows += [f"<p>{escape(_say('checked', lang))}</p>", "</div>"]
        return "\n".join(rows)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<ArrayExplanation: {self.result}>"

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"


def explain_arrays(
    function: Callable[..., Any],
    shapes: Mapping[str, Shape],
    wrts: Sequence[str],
    at: Mapping[str, Any] | None,
    lang: str,
) -> ArrayExplanation:
    """Return how the gradient of a function of vectors and matrices follows.

    Parameters
    ----------
    function : callable
        Of as many arrays as there are shapes, in their order.
    shapes : mapping of str to tuple of str
        The names of the axes of each input.
    wrts : sequence of str
        The inputs to derive in.
    at : mapping of str to ndarray, optional
        Arrays at which the engine's gradients are told.
    lang : {'en', 'ko'}

    Returns
    -------
    ArrayExplanation

    Raises
    ------
    SpokenError
        If the shapes do not fit.
    GradientError
        If a row does not agree with the engine's gradient.

    Examples
    --------
    >>> from slopewise.explain.formula import Formula
    >>> explain_arrays(Formula("sum(x^2)"), {"x": ("n",)}, ["x"], None, "en").result
    'x̄ = 2x'
    """
    value = find_value_shape(function, shapes)
    if not value:
        read = read_arrays(function, list(shapes), shapes)
        return ArrayExplanation(read, tuple(wrts), at, lang, function)
    weights = next(letter for letter in _WEIGHTS if letter not in shapes)

    def weigh(*xs: Any) -> Any:
        return (function(*xs[:-1]) * xs[-1]).sum()

    weighed = {**shapes, weights: value}
    read = read_arrays(weigh, list(weighed), weighed)
    return ArrayExplanation(read, tuple(wrts), at, lang, function, weights)


def _find_kind(term: Expression) -> str | None:
    """Return the kind of cards that tell how a term is derived."""
    if term.name == "log" and term.operands[0].name == "softmax":
        return _CARDS["log_softmax"]
    return _CARDS.get(term.name)


def _derive_one(read: ArrayFunction, wrt: str) -> Derivation | None:
    """Return the derivation for one sample with one feature; None where that is no function."""
    terms = Terms(list(read.shapes))
    done: dict[int, Expression] = {}
    for term in order([read.root]):
        if term.data is not None:
            value = float(np.ravel(term.data)[0])
            done[term.number] = terms.exact(1 if value in read.terms.sizes else value)
        elif term.primitive is None:
            done[term.number] = terms.inputs[term.params["position"]]
        elif term.name in _SCALAR_SAME:
            done[term.number] = done[term.operands[0].number]
        elif term.name == "contract":
            x, y = (done[o.number] for o in term.operands)
            done[term.number] = terms.times(x, y)
        elif term.primitive.pointwise:
            operands = [done[o.number] for o in term.operands]
            divides = term.name == "div" and operands[1] is terms.exact(1)
            done[term.number] = (
                operands[0] if divides else terms.apply(term.primitive, operands, term.params)
            )
        else:
            return None
    return derive_term(terms, done[read.root.number], wrt)


def _find_mean(terms: Terms, term: Expression) -> Expression:
    """Return a sum over as many as it is divided by as a mean."""
    if term.name != "div" or term.operands[0].name != "sum" or not term.operands[1].is_number:
        return term
    total, count = term.operands
    assert count.data is not None
    axes: Sequence[int] = total.params["axes"]
    summed = math.prod(total.operands[0].shape[axis] for axis in axes)
    if count.data.item() != summed:
        return term
    return terms.apply(MEAN, [total.operands[0]], {"axes": axes})


def _card_result(card: Card, form: str, lang: str) -> str:
    """Return what a card comes to, in the letters of the probabilities."""
    found = card.derivation
    name = card.names.get(found.result.number)
    if name is not None:
        return PENS[form].name(name).text
    return write(found.terms, found.result, form, lang, card.names)


def _indent(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in text.splitlines()]


def _columns(text: str) -> int:
    """Return how wide a text is; a bar over a letter takes no column."""
    return sum(1 for c in text if c != "\u0304")


def _math(inside: str) -> str:
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{inside}</mrow></math>'
