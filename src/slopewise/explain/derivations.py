"""Derivations: a function of numbers, the steps that derive it, and what comes out.

Invariant: a Derivation is made by `derive` and `derive_term` alone, which check every step before
anybody reads it. It is separate from the rules, which know one step at a time.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from slopewise._core.aval import DTYPES
from slopewise._front.operands import as_value_in
from slopewise._ops.registry import collect
from slopewise._transform.expression import Expression
from slopewise._transform.gradients import jvp
from slopewise.errors import GradientWarning, UsageError
from slopewise.explain.checking import check_claims, find_tangents, list_claims
from slopewise.explain.formula import Formula
from slopewise.explain.reading import NUMBER, Terms, evaluate, read_function
from slopewise.explain.recognition import recognise_sigmoid
from slopewise.explain.steps import Deriver, Step, make_rewrite
from slopewise.explain.tidy import expand, is_polynomial, tidy

_DOUBLE = DTYPES["float64"]
DEFINITIONS = {
    "sigmoid": "1/(1 + e^(-u))",
    "softplus": "ln(1 + e^u)",
    "tanh": "(e^u - e^(-u))/(e^u + e^(-u))",
    "sinh": "(e^u - e^(-u))/2",
    "cosh": "(e^u + e^(-u))/2",
    "tan": "sin(u)/cos(u)",
}
"""Functions whose rule follows from that of others, each with what it is."""


@dataclass(frozen=True)
class Derivation:
    """A derivative with the steps that lead to it.

    Attributes
    ----------
    terms : Terms
    function : Expression
        What is derived.
    wrt : str
        In what.
    first : tuple of Step
        Rewrites of the function: multiplied out, if that was asked for.
    step : Step
        The outermost; its `steps` lead to it.
    last : tuple of Step
        Rewrites of what came out.
    lemmas : mapping of str to Derivation
        How the rules of functions follow from their definitions, by the functions' names.
    points : int
        At how many points every step was checked; 0 where no point of the domain was found.
    earlier : tuple of str
        In what the function was derived before, the first first.
    measure : callable or None
        The engine's derivative of the function as the user wrote it, at a point.
    """

    terms: Terms
    function: Expression
    wrt: str
    first: tuple[Step, ...]
    step: Step
    last: tuple[Step, ...]
    lemmas: Mapping[str, Derivation]
    points: int = 0
    earlier: tuple[str, ...] = ()
    measure: Callable[[Mapping[str, float]], float] | None = None

    @property
    def result(self) -> Expression:
        """The last line."""
        return self.last[-1].result if self.last else self.step.result

    @property
    def variable(self) -> Expression:
        """The input in which is derived."""
        return self.terms.inputs[self.terms.names.index(self.wrt)]

    def list_steps(self) -> list[Step]:
        """Return all steps, outermost first, each once."""
        found: list[Step] = list(self.first)
        seen: set[tuple[bool, int]] = set()
        pending = [self.step]
        while pending:
            step = pending.pop()
            if step.key in seen:
                continue
            seen.add(step.key)
            found.append(step)
            pending.extend(reversed(step.steps))
        return found + list(self.last)

    def value(self, **at: float) -> float:
        """Return the engine's derivative at a point, also where the formula is not defined.

        The formula of 0^x, for one, speaks of ln 0, though the slope is 0.
        """
        if self.measure is not None:
            return self.measure(at)
        slopes = find_tangents(self.function, self.variable, self._point(at))
        return float(slopes[self.function.number][0])

    def formula_value(self, **at: float) -> float:
        """Return what the last line gives at a point; NaN where it is not defined."""
        return float(evaluate([self.result], self._point(at)[:, 0])[self.result.number])

    def fill_values(self, at: Mapping[str, float]) -> Derivation:
        """Return the same with the value of each step at a point."""
        point = self._point(at)
        roots = [self.function, *(step.after for step in self.first)]
        slopes: dict[int, float] = {}
        for root in roots:
            found = find_tangents(root, self.variable, point)
            slopes |= {number: float(x[0]) for number, x in found.items()}
        made = [step.before for step in self.list_steps() if step.is_rewrite]
        values = evaluate(made, point)
        done: dict[int, Step] = {}

        def fill(step: Step) -> Step:
            if step.is_rewrite:
                return replace(step, value=float(np.ravel(values[step.before.number])[0]))
            if step.before.number not in done:
                below = tuple(fill(inner) for inner in step.steps)
                value = slopes.get(step.before.number, 0.0)
                done[step.before.number] = replace(step, steps=below, value=value)
            return done[step.before.number]

        for step in reversed(self.list_steps()):  # from the innermost out, so that none recurses
            fill(step)
        first, last = (tuple(fill(s) for s in steps) for steps in (self.first, self.last))
        return replace(self, first=first, step=fill(self.step), last=last)

    def _point(self, at: Mapping[str, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.array([[at[name]] for name in self.terms.names], NUMBER).reshape(-1, 1)


def derive(
    function: Callable[..., object], names: Sequence[str], wrt: str, *, expanded: bool = False
) -> Derivation:
    """Return how the derivative of a function of numbers follows.

    Parameters
    ----------
    function : callable
        Of as many numbers as there are names.
    names : sequence of str
    wrt : str
        The name in which to derive.
    expanded : bool
        Multiply out first.

    Returns
    -------
    Derivation

    Raises
    ------
    UsageError
        If `wrt` is none of the names.
    GradientError
        If a step does not agree with the engine's derivative.

    Examples
    --------
    >>> found = derive(lambda w: (w - 3) ** 2, ["w"], "w")
    >>> found.step.rule, found.value(w=4.0)
    ('power_chain', 2.0)
    """
    if wrt not in names:
        raise UsageError(f"derivation: no variable `{wrt}`; there is {', '.join(names)}.")
    terms, term = read_function(function, names)
    found = derive_term(terms, term, wrt, expanded=expanded)
    return replace(found, measure=partial(measure_slope, function, names, wrt, 1))


def measure_slope(
    function: Callable[..., Any],
    names: Sequence[str],
    wrt: str,
    order: int,
    at: Mapping[str, float],
) -> float:
    """Return the engine's derivative of a function of numbers at a point.

    Parameters
    ----------
    function : callable
        Of as many numbers as there are names.
    names : sequence of str
    wrt : str
        The name in which to derive.
    order : int
        How many times.
    at : mapping of str to float

    Returns
    -------
    float

    Examples
    --------
    >>> measure_slope(lambda x, y: x**3 * y, "xy", "x", 2, {"x": 1.0, "y": 2.0})
    12.0
    """
    return measure_mixed(function, names, (wrt,) * order, at)


def measure_mixed(
    function: Callable[..., Any], names: Sequence[str], wrts: Sequence[str], at: Mapping[str, float]
) -> float:
    """Return the engine's derivative in one variable after another; see `measure_slope`.

    Examples
    --------
    >>> measure_mixed(lambda x, y: x**3 * y, "xy", "xy", {"x": 1.0, "y": 2.0})
    3.0
    """
    slope = function
    for wrt in wrts:
        # Forward mode: what does not change has slope 0, also inside of what is infinitely steep.
        slope = _derive_forward(slope, names.index(wrt))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientWarning)  # the slope says it: inf or NaN
        return float(slope(*(as_value_in(float(at[name]), _DOUBLE) for name in names)).item())


def _derive_forward(function: Callable[..., Any], place: int) -> Callable[..., Any]:
    def slope(*xs: Any) -> Any:
        def along(x: Any) -> Any:
            return function(*xs[:place], x, *xs[place + 1 :])

        return jvp(along, (xs[place],), (as_value_in(1.0, _DOUBLE),))[1]

    return slope


def derive_term(terms: Terms, term: Expression, wrt: str, *, expanded: bool = False) -> Derivation:
    """Return how the derivative of a term follows; see `derive`."""
    first: list[Step] = []
    if expanded:
        spread = expand(terms, term)
        if spread is not term:
            first.append(make_rewrite("expand", term, spread))
    root = first[-1].after if first else term
    deriver = Deriver(terms, terms.inputs[terms.names.index(wrt)])
    step = deriver.derive(root)
    last: list[Step] = []
    if expanded and is_polynomial(root):
        spread = expand(terms, step.result)
        if spread is not step.result:
            last.append(make_rewrite("expand", step.result, spread))
    else:
        known = recognise_sigmoid(terms, step.result)
        if known is not step.result:
            last.append(make_rewrite("recognise_sigmoid", step.result, tidy(terms, known)))
    found = Derivation(terms, term, wrt, tuple(first), step, tuple(last), {})
    steps = found.list_steps()
    used = dict.fromkeys(s.primitive for s in steps if s.primitive in DEFINITIONS)
    claims = list_claims([step, *steps], found.result, term)
    roots = [term] if root is term else [term, root]
    points = check_claims(terms, deriver.wrt, roots, claims)
    return replace(found, lemmas={name: find_lemma(name) for name in used}, points=points)


@cache
def find_lemma(name: str) -> Derivation:
    """Return how the rule of a function follows from its definition.

    Parameters
    ----------
    name : str
        A key of `DEFINITIONS`.

    Returns
    -------
    Derivation
        Of the definition in `u`; its last step recognises the function again.

    Examples
    --------
    >>> find_lemma("sigmoid").last[-1].rule
    'recognise_sigmoid'
    """
    terms, term = read_function(Formula(DEFINITIONS[name]), ["u"])
    u = terms.inputs[0]
    whole = terms.call(collect()[name], u)
    wanted = terms.partial(whole, 0)
    assert wanted is not None
    found = derive_term(terms, term, "u")
    wanted = tidy(terms, wanted)
    if found.result is wanted:
        return replace(found, first=(make_rewrite("definition", whole, term),))
    known = make_rewrite("recognise", found.step.result, wanted)
    claims = list_claims([found.step, known], wanted, term)
    check_claims(terms, u, [term], claims)
    first = (make_rewrite("definition", whole, term),)
    return replace(found, first=first, last=(known,))
