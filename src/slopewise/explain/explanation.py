"""What `explain.derivation` returns: one derivation for each order, and its readings.

Invariant: it holds finished, checked derivations and never changes. It is separate from
`steps`, which knows no language and no format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from slopewise.errors import UsageError
from slopewise.explain.array_explanation import ArrayExplanation, explain_arrays
from slopewise.explain.derivations import Derivation, derive_term, measure_slope
from slopewise.explain.formula import Formula
from slopewise.explain.layout import show_html, show_latex, show_line, show_markdown, show_text
from slopewise.explain.lines import say_rule
from slopewise.explain.notation import write
from slopewise.explain.reading import read_function
from slopewise.explain.requests import (
    check_lang,
    check_range,
    choose_variable,
    read_point,
    read_request,
    refuse,
)
from slopewise.explain.shapes import guess_shapes, needs_shapes, read_shapes
from slopewise.explain.steps import Step

MOST_ORDERS = 8
"""The highest order of a derivative."""


class Explanation:
    """A derivative that can be read: its steps, and its text in four formats and two languages.

    Attributes
    ----------
    derivations : tuple of Derivation
        One for each order of the derivative.
    at : dict of str to float, or None
        The point at which the slope is told.

    Examples
    --------
    >>> import slopewise as sw
    >>> found = sw.explain.derivation(lambda w: (w - 3) ** 2, at={"w": 4})
    >>> found.result, found.value
    ('2(w - 3)', 2.0)
    """

    def __init__(
        self, derivations: tuple[Derivation, ...], at: Mapping[str, float] | None, lang: str
    ) -> None:
        self.derivations = derivations
        self.at = None if at is None else dict(at)
        self.lang = lang

    @property
    def steps(self) -> list[Step]:
        """All steps, outermost first, of every order; with values where a point was given."""
        if self.at is None:
            return [step for found in self.derivations for step in found.list_steps()]
        return [s for found in self.derivations for s in found.fill_values(self.at).list_steps()]

    @property
    def result(self) -> str:
        """The derivative as a formula."""
        last = self.derivations[-1]
        return write(last.terms, last.result)

    @property
    def value(self) -> float | None:
        """The derivative at the point, or None where no point was given."""
        return None if self.at is None else self.derivations[-1].value(**self.at)

    def hints(self, lang: str | None = None) -> list[str]:
        """Return the rules in the order of use and what they say, without what they give."""
        return [say_rule(step, lang or self.lang) for step in self.steps if step.rule != "tidy"]

    def show_step(self, number: int, lang: str | None = None) -> str:
        """Return what one of the hinted steps gives, as text; the first is 1.

        Raises
        ------
        UsageError
            If there is no such step.
        """
        listed = [
            (found, step)
            for found in self.derivations
            for step in found.list_steps()
            if step.rule != "tidy"
        ]
        if not 1 <= number <= len(listed):
            raise UsageError(f"derivation: no step {number}; there are {len(listed)}.")
        return show_line(*listed[number - 1], lang or self.lang)

    def text(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as text for a terminal; `full` tells every step of a long one."""
        return self._show(show_text, lang, full, "\n\n")

    def latex(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as LaTeX for math mode."""
        return self._show(show_latex, lang, full, "\n")

    def markdown(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as Markdown with LaTeX between dollars."""
        return self._show(show_markdown, lang, full, "\n\n---\n\n")

    def html(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as a fragment of HTML with MathML."""
        return self._show(show_html, lang, full, "\n")

    def _show(self, show: Callable[..., str], lang: str | None, full: bool, between: str) -> str:
        last = len(self.derivations) - 1
        return between.join(
            show(found, lang or self.lang, self.at if i == last else None, full)
            for i, found in enumerate(self.derivations)
        )

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Explanation: {self.result}>"

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"


def _ignore(constant: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of no variables as one of a variable that it does not have."""
    return lambda *_: constant()


def derivation(
    f: str | Formula | Callable[..., Any],
    wrt: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | float | None = None,
    order: int = 1,
    expand: bool = False,
    shapes: Mapping[str, str | int | Sequence[str | int]] | None = None,
    lang: str = "en",
) -> Any:
    """Return how the derivative of a function follows, by named rules, every step checked.

    Parameters
    ----------
    f : str, Formula or callable
        A formula or a function; its names or parameters are the variables.
    wrt : str, or sequence of str, optional
        The variable; may be left out where there is one. Of vectors and matrices it may be
        several, and all of them where it is left out.
    at : mapping of str to float or ndarray, or float, optional
        A point at which to tell the slope; it names every variable.
    order : int
        1 for the derivative, 2 for its derivative, up to 8; 1 for vectors and matrices.
    expand : bool
        Multiply out first, and derive term by term.
    shapes : mapping of str to shape, optional
        For vectors and matrices: names of axes, as in ``{"X": "n,d", "w": "d"}``; what is left out
        is a number. A formula with `@`, or with mean, sum or softmax of one operand, suggests its
        own shapes; a function of arrays needs them.
    lang : str
        "en" or "ko".

    Returns
    -------
    Explanation or ArrayExplanation
        The latter for vectors and matrices.

    Raises
    ------
    SpokenError
        If the variable, the point, the order, the shapes or the language is not one there is.
    FormulaError
        If the text is no formula.
    GradientError
        If a step does not agree with the engine's own derivative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.explain.derivation("sin(x)^2").result
    '2·sin(x)·cos(x)'
    >>> sw.explain.derivation("mean((sigmoid(X @ w + b) - y)^2)", ["w", "b"]).result
    'w̄ = Xᵀ @ z̄, b̄ = sum(z̄)'
    """
    check_lang("derivation", lang)
    check_range("derivation", "order", order, 1, MOST_ORDERS)
    function, names = read_request("derivation", f)
    if shapes is not None or (isinstance(function, Formula) and needs_shapes(function)):
        check_range("derivation", "order", order, 1, 1)
        return _explain_arrays(function, names, wrt, at, shapes, lang)
    if not names:
        if not isinstance(wrt, str):
            raise refuse("derivation", "no_variable", found=f)
        function, names = _ignore(function), (wrt,)
    if wrt is not None and not isinstance(wrt, str):
        raise refuse("derivation", "wrt", found=wrt, known=", ".join(names))
    wrt = choose_variable("derivation", names, wrt)
    point = read_point("derivation", at, names)
    terms, term = read_function(function, names)
    found: list[Derivation] = []
    for _ in range(order):
        made = derive_term(terms, term, wrt, expanded=expand and not found)
        measure = partial(measure_slope, function, names, wrt, len(found) + 1)
        found.append(replace(made, earlier=(wrt,) * len(found), measure=measure))
        term = made.result
    return Explanation(tuple(found), point, lang)


def _explain_arrays(
    function: Callable[..., Any],
    names: tuple[str, ...],
    wrt: str | Sequence[str] | None,
    at: Any,
    given: Mapping[str, str | int | Sequence[str | int]] | None,
    lang: str,
) -> ArrayExplanation:
    """Explain a function of vectors and matrices."""
    if given is not None:
        shapes = read_shapes(given, names)
    else:
        assert isinstance(function, Formula)
        shapes = guess_shapes(function)
    wrts = list(names) if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
    for name in wrts:
        choose_variable("derivation", names, name)
    point: dict[str, Any] | None = None
    if at is not None:
        point = dict(at) if isinstance(at, Mapping) else {}  # pyright: ignore
        if set(point) != set(names):
            found = ", ".join(point) or "-"
            raise refuse("derivation", "point", found=found, known=", ".join(names))
    return explain_arrays(function, shapes, wrts, point, lang)
