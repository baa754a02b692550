"""Exercises: formulas to derive by chosen rules, with worked answers, and answers that are judged.

Invariant: the derivation of an exercise uses the rule that it is of, found by reading the steps and
not by trusting the pattern; an answer is right if its value is the derivative's at points of the
domain, however it is written. It is separate because explanations ask no questions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slopewise._core.aval import DTYPES
from slopewise._core.quiet import hush, restore
from slopewise._front.operands import as_value_in
from slopewise.explain.checking import find_points
from slopewise.explain.explanation import Explanation, derivation
from slopewise.explain.formula import Formula
from slopewise.explain.reading import evaluate
from slopewise.explain.requests import check_choice, check_range
from slopewise.explain.rules import RULES

MOST = 100
"""Exercises that are made at once."""
_INNER = ("{a}x", "{a}x + {b}", "x^2 + {b}", "x^{n}", "sin(x)", "e^x", "{a}x - x^3")
_SIMPLE = ("x^{n}", "sin(x)", "cos(x)", "e^x", "ln(x)", "{a}x + {b}", "sqrt(x)")
PATTERNS: dict[str, tuple[str, ...]] = {
    "constant": ("{a}", "{a} + {b}^2", "pi·{a}"),
    "multiple": ("{a}x", "{a}·sin(x)", "{a}x^{n}", "-{a}·e^x"),
    "sum": ("{s} + {t}", "x^{n} + {a}x + {b}"),
    "difference": ("{s} - {t}", "x^{n} - {a}x + {b}"),
    "power": ("x^{n}", "({i})^{n}", "1/x^{n}", "x^({n}/2)"),
    "product": ("({s})·({t})", "x^{n}·({t})"),
    "quotient": ("({s})/({i})", "({t})/(x^2 + {b})"),
    "reciprocal": ("{a}/({i})", "1/(x + {b})"),
    "exponential": ("{a}^x", "e^({i})", "{a}^({i})"),
    "general_power": ("x^x", "x^({a}x)", "({s})^x"),
    "chain": ("sin({i})", "ln({i})", "({i})^{n}", "sqrt({i})", "e^({i})", "cos({i})"),
    "sigmoid": ("sigmoid({i})", "sigmoid(x)", "x·sigmoid({a}x)"),
    "tanh": ("tanh({i})", "tanh(x)^{n}"),
    "trigonometric": ("sin({i})", "cos({i})", "tan({a}x)", "sin(x)^{n}"),
    "inverse": ("atan({i})", "asin(x/{a})", "acos(x/{a})"),
    "logarithm": ("ln({i})", "log(x, {a})", "x·ln(x)"),
    "cases": ("where(x > {a}, {s}, {t})", "|{i}|", "relu({i})", "max({s}, {t})"),
}  # fmt: skip
"""Kinds of exercise, each with patterns: a, b, n are numbers, i and s, t formulas."""
_SHOWN_BY: dict[str, frozenset[str]] = {
    "sigmoid": frozenset({"sigmoid"}),
    "tanh": frozenset({"tanh"}),
    "trigonometric": frozenset({"sin", "cos", "tan"}),
    "inverse": frozenset({"atan", "asin", "acos"}),
    "logarithm": frozenset({"log"}),
}
_CASES = ("cases", "extremum")


@dataclass(frozen=True)
class Exercise:
    """A formula to derive in x.

    Attributes
    ----------
    kind : str
        A key of `PATTERNS`.
    formula : str
    answer : Explanation
        The derivative with its steps.

    Examples
    --------
    >>> exercise = make_exercises(["power"], 1, seed=3)[0]
    >>> exercise.judge(exercise.answer.result)
    True
    """

    kind: str
    formula: str
    answer: Explanation

    def judge(self, text: str) -> bool:
        """Return whether a formula has the value of the derivative at points of the domain.

        Parameters
        ----------
        text : str
            An answer, such as "2x + 1".

        Returns
        -------
        bool

        Raises
        ------
        FormulaError
            If the text is no formula.
        """
        given = Formula(text)
        if set(given.names) - {"x"}:
            return False
        derived = self.answer.derivations[-1]
        points = find_points(derived.terms, derived.function)
        wanted = np.broadcast_to(evaluate([derived.result], points)[derived.result.number],
                                 points.shape[1:])  # fmt: skip
        kept = hush()
        try:
            x = as_value_in(points[0], DTYPES["float64"])
            found = given(**{name: x for name in given.names}).numpy()
        finally:
            restore(kept)
        found = np.broadcast_to(found, wanted.shape)
        known = np.isfinite(wanted)
        room = 1e-6 * np.maximum(1.0, np.abs(wanted[known]))
        return bool(known.any() and np.all(np.abs(found[known] - wanted[known]) <= room))


def make_exercises(kinds: Iterable[str], count: int = 5, seed: int = 0) -> list[Exercise]:
    """Return exercises on chosen rules, the kinds in turn.

    Parameters
    ----------
    kinds : iterable of str
        Keys of `PATTERNS`; none for all of them.
    count : int
        How many, up to 100.
    seed : int
        The same seed gives the same exercises.

    Returns
    -------
    list of Exercise

    Raises
    ------
    SpokenError
        If there is no such kind, or the count is out of range.

    Examples
    --------
    >>> [exercise.kind for exercise in make_exercises(["product", "chain"], 3)]
    ['product', 'chain', 'product']
    """
    listed = list(kinds) or list(PATTERNS)
    for kind in listed:
        check_choice("quiz", "rule", kind, PATTERNS)
    check_range("quiz", "count", count, 1, MOST)
    rng = random.Random(seed)
    found: list[Exercise] = []
    seen: set[str] = set()
    for number in range(count):
        kind = listed[number % len(listed)]
        found.append(_make(rng, kind, seen))
        seen.add(found[-1].formula)
    return found


def _make(rng: random.Random, kind: str, seen: set[str]) -> Exercise:
    """Return a new exercise of a kind whose derivation shows the rule."""
    last: Exercise | None = None
    for _ in range(50):
        text = _fill(rng, rng.choice(PATTERNS[kind]))
        answer = derivation(text, "x")
        last = Exercise(kind, text, answer)
        if text not in seen and _shows(last) and answer.derivations[-1].points:
            return last
    assert last is not None
    return last


def _shows(exercise: Exercise) -> bool:
    """Return whether the steps use what the exercise is of."""
    kind = exercise.kind
    steps = exercise.answer.steps
    rules = {step.rule.removesuffix("_chain") for step in steps}
    if kind == "chain":
        return any(step.rule.endswith("_chain") for step in steps)
    if kind == "cases":
        return bool(rules & set(_CASES)) or any(s.primitive in ("abs", "relu") for s in steps)
    if kind in _SHOWN_BY:
        return any(step.primitive in _SHOWN_BY[kind] for step in steps)
    return kind in rules and kind in RULES


def _fill(rng: random.Random, pattern: str) -> str:
    """Return a pattern with numbers and formulas in it."""
    a, b, n = rng.randint(2, 7), rng.randint(1, 9), rng.randint(2, 5)

    def choose(patterns: Sequence[str]) -> str:
        return rng.choice(patterns).format(a=rng.randint(2, 5), b=rng.randint(1, 5),
                                           n=rng.randint(2, 4))  # fmt: skip

    return pattern.format(a=a, b=b, n=n, i=choose(_INNER), s=choose(_SIMPLE), t=choose(_SIMPLE))
