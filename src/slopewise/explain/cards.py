"""Cards: how softmax, log-sum-exp and cross-entropy are derived, entry by entry.

Invariant: a card is a derivation like any other, of one entry in one logit, with everything that
does not move gathered in one letter; what it is recognised as is checked. It is separate because
these functions have as many derivatives as pairs of entries, and two cases tell them all.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from slopewise._transform.expression import Expression, read_graph
from slopewise.explain.checking import check_claims, list_claims
from slopewise.explain.complaints import LANGUAGES
from slopewise.explain.derivations import Derivation, derive_term
from slopewise.explain.formula import Formula
from slopewise.explain.reading import Terms, read_function, trace_numbers
from slopewise.explain.steps import make_rewrite
from slopewise.explain.tidy import tidy

KINDS = ("softmax", "logsumexp", "cross_entropy")
_TITLES: dict[str, tuple[str, str]] = {
    "softmax same": (
        "softmax, i = j: p_i in its own logit z_i; s is the sum of the other e^z",
        "소프트맥스, i = j. 확률: p_i, 변수: 로짓 z_i, 나머지 항의 합: s",
    ),
    "softmax other": (
        "softmax, i ≠ j: p_i in another logit z_j; a = e^(z_i), s is the sum without e^(z_j)",
        "소프트맥스, i ≠ j. 확률: p_i, 변수: 다른 로짓 z_j, a = e^(z_i), 나머지 항의 합: s",
    ),
    "logsumexp": (
        "log-sum-exp in a logit z_i; s is the sum of the other e^z",
        "로그섬엑스프. 변수: 로짓 z_i, 나머지 항의 합: s",
    ),
    "cross_entropy same": (
        "cross-entropy of softmax, L = ln Σ e^z - z_y, in the logit z_y of the true class; "
        "s is the sum of the other e^z",
        "소프트맥스의 교차 엔트로피 L = ln Σ e^z - z_y, i = y. 변수: 정답 클래스의 로짓 z_y, "
        "나머지 항의 합: s",
    ),
    "cross_entropy other": (
        "cross-entropy of softmax in another logit, i ≠ y; a = z_y, s is the rest of the sum",
        "소프트맥스의 교차 엔트로피, i ≠ y. 변수: 다른 로짓 z_i, a = z_y, 나머지 항의 합: s",
    ),
}
_CLOSINGS: dict[str, tuple[tuple[str, str], str, str]] = {
    "softmax": (
        ("both cases in one matrix", "두 경우를 한 행렬로"),
        "∂p/∂z = diag(p) - p pᵀ",
        r"\frac{\partial p}{\partial z} = \operatorname{diag}(p) - p\,p^{\top}",
    ),
    "logsumexp": (
        ("all entries in one vector", "모든 성분을 한 벡터로"),
        "∇ logsumexp(z) = softmax(z) = p",
        r"\nabla \operatorname{logsumexp}(z) = \operatorname{softmax}(z) = p",
    ),
    "cross_entropy": (
        ("both cases in one vector; y is 1 for the true class, else 0",
         "두 경우를 한 벡터로. y: 정답 클래스이면 1, 아니면 0"),
        "∂L/∂z = p - y",
        r"\frac{\partial L}{\partial z} = p - y",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """One case of a rule.

    Attributes
    ----------
    id : str
    derivation : Derivation
    names : dict of int to str
        How the probabilities are written, by number.
    """

    id: str
    derivation: Derivation
    names: dict[int, str]

    def title(self, lang: str) -> str:
        """Return what the case is."""
        return _TITLES[self.id][LANGUAGES.index(lang)]


def close_cards(kind: str, lang: str, form: str) -> tuple[str, str]:
    """Return the sentence and the formula that gather the cases of a kind.

    Examples
    --------
    >>> close_cards("cross_entropy", "en", "text")[1]
    '∂L/∂z = p - y'
    """
    words, plain, latex = _CLOSINGS[kind]
    return words[LANGUAGES.index(lang)], latex if form in ("latex", "html") else plain


@cache
def make_cards(kind: str) -> tuple[Card, ...]:
    """Return the cases of softmax, log-sum-exp or the cross-entropy of softmax.

    Parameters
    ----------
    kind : {'softmax', 'logsumexp', 'cross_entropy'}

    Returns
    -------
    tuple of Card

    Examples
    --------
    >>> from slopewise.explain.notation import write
    >>> for card in make_cards("softmax"):
    ...     print(write(card.derivation.terms, card.derivation.result, names=card.names))
    p_i·(1 - p_i)
    -p_i·p_j
    """
    if kind == "softmax":
        return (
            _make("softmax same", "e^z_i/(e^z_i + s)", "z_i", {"p_i": "e^z_i/(e^z_i + s)"},
                  lambda t, p: t.times(p["p_i"], t.minus(t.exact(1), p["p_i"]))),
            _make("softmax other", "a/(e^z_j + s)", "z_j",
                  {"p_i": "a/(e^z_j + s)", "p_j": "e^z_j/(e^z_j + s)"},
                  lambda t, p: t.negative(t.times(p["p_i"], p["p_j"]))),
        )  # fmt: skip
    if kind == "logsumexp":
        return (
            _make("logsumexp", "ln(e^z_i + s)", "z_i", {"p_i": "e^z_i/(e^z_i + s)"},
                  lambda t, p: p["p_i"]),
        )  # fmt: skip
    return (
        _make("cross_entropy same", "ln(e^z_y + s) - z_y", "z_y", {"p_y": "e^z_y/(e^z_y + s)"},
              lambda t, p: t.minus(p["p_y"], t.exact(1))),
        _make("cross_entropy other", "ln(e^z_i + s) - a", "z_i", {"p_i": "e^z_i/(e^z_i + s)"},
              lambda t, p: p["p_i"]),
    )  # fmt: skip


def _make(
    id: str, text: str, wrt: str, probabilities: dict[str, str],
    combine: Callable[[Terms, dict[str, Expression]], Expression],
) -> Card:  # fmt: skip
    """Return a card: the derivation of a formula, recognised as a combination of probabilities."""
    formula = Formula(text)
    terms, term = read_function(formula, formula.names)
    found = derive_term(terms, term, wrt)
    spelt: dict[str, Expression] = {}
    for name, spelling in probabilities.items():
        spelt[name] = tidy(terms, _read_into(terms, Formula(spelling)))
    wanted = combine(terms, spelt)
    known = make_rewrite("recognise_softmax", found.result, wanted)
    last = () if found.result is wanted else (known,)
    claims = list_claims([found.step, *last], wanted, term)
    check_claims(terms, found.variable, [term], claims)
    names = {term.number: name for name, term in spelt.items()}
    return Card(id, replace(found, last=last), names)


def _read_into(terms: Terms, formula: Formula) -> Expression:
    """Return a formula as a term of those that are there, by their names."""
    graph = trace_numbers(formula, len(formula.names))
    inputs = [terms.inputs[terms.names.index(name)] for name in formula.names]
    return read_graph(graph, terms, inputs)[0]
