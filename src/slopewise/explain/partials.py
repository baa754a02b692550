"""Partial derivatives together: a gradient as a vector, a Hessian as a matrix, with the steps.

Invariant: every entry is a derivation of its own, checked like any other, and the value at a point
is the engine's. It is separate because a derivation has one variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any, TypeVar

from slopewise.explain.complaints import LANGUAGES
from slopewise.explain.derivations import Derivation, derive_term, measure_mixed, measure_slope
from slopewise.explain.explanation import Explanation
from slopewise.explain.notation import spell_number, write
from slopewise.explain.reading import read_function
from slopewise.explain.requests import (
    check_lang,
    choose_variable,
    read_point,
    read_request,
    refuse,
)

_WORDS: dict[str, tuple[str, str]] = {
    "gradient": (
        "gradient: all partial derivatives as a vector",
        "그래디언트: 편도함수를 모은 벡터",
    ),
    "hessian": (
        "Hessian: all second partial derivatives as a matrix",
        "헤세 행렬: 이계 편도함수를 모은 행렬",
    ),
    "symmetric": (
        "it is symmetric: the order of deriving does not matter",
        "대칭 행렬: 미분하는 순서와 관계없음",
    ),
    "at": ("at {point}", "다음 점에서: {point}"),
}


T = TypeVar("T")


def _say(key: str, lang: str, **values: object) -> str:
    return _WORDS[key][LANGUAGES.index(lang)].format(**values)


class Partials:
    """Partial derivatives of a function of several numbers: a gradient or a Hessian.

    Attributes
    ----------
    kind : {'gradient', 'hessian'}
    names : tuple of str
        The variables that are derived in.
    explanations : tuple of Explanation
        One for each partial derivative; for a Hessian of each first one and of each entry from the
        diagonal on.
    at : dict of str to float, or None

    Examples
    --------
    >>> import slopewise as sw
    >>> found = sw.explain.gradient("x^2 y", at={"x": 1, "y": 2})
    >>> found.entries, found.value
    (['2x·y', 'x^2'], [4.0, 1.0])
    """

    def __init__(
        self,
        kind: str,
        names: tuple[str, ...],
        explanations: tuple[Explanation, ...],
        at: Mapping[str, float] | None,
        lang: str,
    ) -> None:
        self.kind = kind
        self.names = names
        self.explanations = explanations
        self.at = None if at is None else dict(at)
        self.lang = lang

    @property
    def _last(self) -> list[Derivation]:
        """What the entries are; of a Hessian those from the diagonal on, row by row."""
        count = len(self.names) if self.kind == "hessian" else 0
        return [found.derivations[-1] for found in self.explanations[count:]]

    def _arrange(self, entries: Sequence[T]) -> list[list[T]]:
        """Return the rows: of one entry each for a gradient, mirrored for a Hessian."""
        if self.kind == "gradient":
            return [[entry] for entry in entries]
        count = len(self.names)
        upper = iter(entries)
        place: dict[tuple[int, int], T] = {}
        for row in range(count):
            for column in range(row, count):
                place[row, column] = place[column, row] = next(upper)
        return [[place[row, column] for column in range(count)] for row in range(count)]

    def _flatten(self, rows: list[list[T]]) -> list[Any]:
        return [row[0] for row in rows] if self.kind == "gradient" else list(rows)

    @property
    def entries(self) -> list[Any]:
        """The formulas: a list, for a Hessian a list of rows."""
        return self._flatten(self._arrange([write(d.terms, d.result) for d in self._last]))

    @property
    def value(self) -> list[Any] | None:
        """The engine's values at the point, or None where no point was given."""
        return None if self.at is None else self._flatten(self._arrange(self._values()))

    def text(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as text for a terminal."""
        lang = lang or self.lang
        parts = [found.text(lang, full=full) for found in self.explanations]
        rows = [_say(self.kind, lang)]
        rows += self._text_rows([write(d.terms, d.result) for d in self._last])
        if self.kind == "hessian":
            rows.append(_say("symmetric", lang))
        if self.at is not None:
            rows.append(_say("at", lang, point=self._point()))
            rows += self._text_rows([spell_number(x) for x in self._values()])
        return "\n\n".join([*parts, "\n".join(rows)])

    def latex(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as LaTeX for math mode."""
        lang = lang or self.lang
        parts = [found.latex(lang, full=full) for found in self.explanations]
        entries = self._arrange([write(d.terms, d.result, "latex", lang) for d in self._last])
        rows = [rf"{self._sign('latex')} &= {_latex_matrix(entries)}"]
        if self.at is not None:
            said = _say("at", lang, point="")
            rows.append(
                rf"&= {_latex_matrix(self._spelt())} \quad"
                rf" \text{{{said.strip()}}}\ {self._point()}"
            )
        body = " \\\\\n".join(rows)
        return "\n".join([*parts, f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"])

    def markdown(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as Markdown with LaTeX between dollars."""
        lang = lang or self.lang
        parts = [found.markdown(lang, full=full) for found in self.explanations]
        entries = self._arrange([write(d.terms, d.result, "latex", lang) for d in self._last])
        rows = [f"**{_say(self.kind, lang)}**", ""]
        rows.append(f"$${self._sign('latex')} = {_latex_matrix(entries)}$$")
        if self.kind == "hessian":
            rows += ["", _say("symmetric", lang)]
        if self.at is not None:
            value = _latex_matrix(self._spelt())
            rows += ["", _say("at", lang, point=self._point()), ""]
            rows.append(f"$${self._sign('latex')} = {value}$$")
        return "\n\n---\n\n".join([*parts, "\n".join(rows)])

    def html(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as a fragment of HTML with MathML."""
        lang = lang or self.lang
        parts = [found.html(lang, full=full) for found in self.explanations]
        entries = self._arrange([write(d.terms, d.result, "html", lang) for d in self._last])
        rows = [
            f'<div class="derivation" lang="{lang}">',
            f"<p>{escape(_say(self.kind, lang))}</p>",
        ]
        rows.append(_math(f"{self._sign('html')}<mo>=</mo>{_math_matrix(entries)}"))
        if self.kind == "hessian":
            rows.append(f"<p>{escape(_say('symmetric', lang))}</p>")
        if self.at is not None:
            rows.append(f"<p>{escape(_say('at', lang, point=self._point()))}</p>")
            value = self._arrange([f"<mn>{spell_number(x)}</mn>" for x in self._values()])
            rows.append(_math(f"{self._sign('html')}<mo>=</mo>{_math_matrix(value)}"))
        return "\n".join([*parts, *rows, "</div>"])

    def _values(self) -> list[float]:
        assert self.at is not None
        return [found.value(**self.at) for found in self._last]

    def _spelt(self) -> list[list[str]]:
        return self._arrange([spell_number(x) for x in self._values()])

    def _text_rows(self, entries: Sequence[str]) -> list[str]:
        """Return a vector on one line, or a matrix with its columns in line."""
        sign = self._sign("text")
        if self.kind == "gradient":
            return [f"{sign} = ({', '.join(entries)})"]
        table = self._arrange(entries)
        widths = [max(len(row[i]) for row in table) for i in range(len(table))]
        rows = ["  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)) for row in table]
        heads = [f"{sign} = ", *[" " * (len(sign) + 3)] * (len(rows) - 1)]
        return [f"{head}[ {row} ]" for head, row in zip(heads, rows, strict=True)]

    def _sign(self, form: str) -> str:
        if self.kind == "gradient":
            return {"text": "∇f", "latex": r"\nabla f", "html": "<mo>∇</mo><mi>f</mi>"}[form]
        return {"text": "H", "latex": "H", "html": "<mi>H</mi>"}[form]

    def _point(self) -> str:
        assert self.at is not None
        return ", ".join(f"{name} = {spell_number(x)}" for name, x in self.at.items())

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<{self.kind}: {self.entries}>"

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"


def _latex_matrix(rows: Sequence[Sequence[str]]) -> str:
    body = r" \\ ".join(" & ".join(row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def _math_matrix(rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in row)}</mtr>" for row in rows)
    return f"<mrow><mo>(</mo><mtable>{cells}</mtable><mo>)</mo></mrow>"


def _math(inside: str) -> str:
    return f'<p><math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{inside}</mrow></math></p>'


def gradient(
    f: str | Callable[..., Any],
    wrt: Sequence[str] | None = None,
    *,
    at: Mapping[str, float] | float | None = None,
    lang: str = "en",
) -> Partials:
    """Return the gradient of a function of numbers, each partial derivative with its steps.

    Parameters
    ----------
    f : str, Formula or callable
        A formula, or a function of numbers.
    wrt : sequence of str, optional
        The variables, in this order; all of them where it is left out.
    at : mapping of str to float, optional
        A point at which to tell the values.
    lang : str
        "en" or "ko".

    Returns
    -------
    Partials

    Raises
    ------
    SpokenError
        If the function, a variable, the point or the language is not one there is.

    Examples
    --------
    >>> gradient("w x + b").entries
    ['x', 'w', '1']
    >>> gradient("w x + b", ["b", "w"]).entries
    ['1', 'x']
    """
    function, names, wrts, point = _read("gradient", f, wrt, at, lang)
    found = [_explain_first(function, names, name, point, lang) for name in wrts]
    return Partials("gradient", wrts, tuple(found), point, lang)


def hessian(
    f: str | Callable[..., Any],
    wrt: Sequence[str] | None = None,
    *,
    at: Mapping[str, float] | float | None = None,
    lang: str = "en",
) -> Partials:
    """Return the Hessian of a function of numbers, each second derivative with its steps.

    Parameters
    ----------
    f : str, Formula or callable
        A formula, or a function of numbers.
    wrt : sequence of str, optional
        The variables, in this order; all of them where it is left out.
    at : mapping of str to float, optional
        A point at which to tell the values.
    lang : str
        "en" or "ko".

    Returns
    -------
    Partials

    Raises
    ------
    SpokenError
        If the function, a variable, the point or the language is not one there is.

    Examples
    --------
    >>> hessian("x^2 y").entries
    [['2y', '2x'], ['2x', '0']]
    """
    function, names, wrts, point = _read("hessian", f, wrt, at, lang)
    first = [_explain_first(function, names, name, None, lang) for name in wrts]
    second: list[Explanation] = []
    for i, found in enumerate(first):
        known = found.derivations[-1]
        for name in wrts[i:]:
            made = derive_term(known.terms, known.result, name)
            measure = partial(measure_mixed, function, names, (wrts[i], name))
            made = replace(made, earlier=(wrts[i],), measure=measure)
            second.append(Explanation((made,), point, lang))
    return Partials("hessian", wrts, (*first, *second), point, lang)


def _read(
    operation: str,
    f: Any,
    wrt: Sequence[str] | None,
    at: Mapping[str, float] | float | None,
    lang: str,
) -> tuple[Callable[..., Any], tuple[str, ...], tuple[str, ...], dict[str, float] | None]:
    check_lang(operation, lang)
    function, names = read_request(operation, f)
    if not names:
        raise refuse(operation, "no_variable", found=f)
    wrts = (wrt,) if isinstance(wrt, str) else tuple(names if wrt is None else wrt)
    for name in wrts:
        choose_variable(operation, names, name)
    if not wrts or len(set(wrts)) < len(wrts):
        raise refuse(operation, "wrt_twice", found=", ".join(wrts) or "-")
    return function, names, wrts, read_point(operation, at, names)


def _explain_first(
    function: Callable[..., Any],
    names: tuple[str, ...],
    name: str,
    at: Mapping[str, float] | None,
    lang: str,
) -> Explanation:
    terms, term = read_function(function, names)
    measure = partial(measure_slope, function, names, name, 1)
    return Explanation((replace(derive_term(terms, term, name), measure=measure),), at, lang)
