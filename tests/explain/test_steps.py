"""Derivations against mpmath on random formulas, and the rules one by one."""

from __future__ import annotations

import math
import random

import mpmath as mp
import pytest
from tests.explain.formulas import Tree, draw, engine, oracle

import slopewise as sw
from slopewise.errors import GradientError, UsageError
from slopewise.explain import steps
from slopewise.explain.derivations import derive

BATCHES, EACH = 40, 50  # two thousand formulas
POINTS = 4
EDGES = (0.0, 1.0, -1.0, 2.0)


def slope(tree: Tree, xs: tuple[mp.mpf, ...]) -> mp.mpf:
    """Return the slope in the first variable by differences; ValueError where there is none."""
    h = mp.mpf(10) ** -12

    def at(step: mp.mpf) -> mp.mpf:
        return oracle(tree, (xs[0] + step, *xs[1:]))

    near, far = (at(h) - at(-h)) / (2 * h), (at(2 * h) - at(-2 * h)) / (4 * h)
    left, right = (at(mp.mpf(0)) - at(-h)) / h, (at(h) - at(mp.mpf(0))) / h
    bend = 1e-5 * max(1, abs(near))
    if abs(near - far) > 1e-8 * max(1, abs(near)) or abs(left - right) > bend:
        raise ValueError("no derivative")
    return (4 * near - far) / 3


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_formulas_against_mpmath(batch: int) -> None:
    compared = 0
    with mp.workdps(40):
        for seed in range(batch * EACH, (batch + 1) * EACH):
            rng = random.Random(seed)
            tree = draw(rng)
            found = derive(
                lambda x, y, tree=tree: engine(tree, (x, y)), "xy", "x", expanded=seed % 2 == 1
            )
            for _ in range(POINTS):
                at = [rng.choice((rng.uniform(-3, 3), rng.uniform(0, 1), rng.choice(EDGES)))
                      for _ in "xy"]  # fmt: skip
                given = tuple(sw.tensor(x, dtype=sw.float64) for x in at)
                value = engine(tree, given).item()
                if not math.isfinite(value) or abs(value) > 1e100:
                    continue
                try:
                    wanted = float(slope(tree, tuple(mp.mpf(x) for x in at)))
                except (ValueError, ZeroDivisionError, OverflowError):
                    continue
                if abs(wanted) > 1e12:
                    continue
                x, y = at
                room = 1e-6 * max(1.0, abs(wanted))
                assert abs(found.value(x=x, y=y) - wanted) <= room, (seed, at)
                formula = found.formula_value(x=x, y=y)
                assert math.isnan(formula) or abs(formula - wanted) <= room, (seed, at)
                compared += 1
    assert compared > EACH // 2


CASES = [
    (lambda w: (w - 3) ** 2, "power_chain", "2(w - 3)"),
    (lambda w: w * 0 + 5.0, "sum", "0"),
    (lambda w: 3 * w, "multiple", "3"),
    (lambda w: w / 4, "multiple", "1/4"),
    (lambda w: 2 / w, "reciprocal", "-2/w^2"),
    (lambda w: sw.sin(w) * w, "product", "w·cos(w) + sin(w)"),
    (lambda w: sw.exp(w) / w, "quotient", "(w·exp(w) - exp(w))/w^2"),
    (lambda w: w**-2, "power", "-2/w^3"),
    (lambda w: w**1.5, "power", "3·sqrt(w)/2"),
    (lambda w: 2**w, "exponential", "2^w·ln(2)"),
    (lambda w: w**w, "general_power", "w^w·(ln(w) + 1)"),
    (lambda w: sw.sigmoid(w), "function", "sigmoid(w)·(1 - sigmoid(w))"),
    (lambda w: sw.log(1 + sw.exp(w)), "function_chain", "sigmoid(w)"),
    (lambda w: sw.tanh(2 * w), "function_chain", "2(1 - tanh(2w)^2)"),
    (lambda w: sw.where(w > 0, w, 2 * w), "cases", "where(w > 0, 1, 2)"),
    (lambda w: sw.floor(w), "piecewise", "0"),
    (lambda w: sw.maximum(w, 0.0), "extremum", "where(w > 0, 1, where(w == 0, 1/2, 0))"),
]


@pytest.mark.parametrize(("function", "rule", "result"), CASES)
def test_each_rule(function: object, rule: str, result: str) -> None:
    found = sw.explain.derivation(function)
    assert found.steps[0].rule == rule
    assert found.result == result


def test_the_lecture_expands_first() -> None:
    found = sw.explain.derivation(lambda w: (w - 3) ** 2, at={"w": 4.0}, expand=True)
    assert found.result == "2w - 6"
    assert found.value == 2.0
    rules = [step.rule for step in found.steps]
    assert rules == [
        "expand",
        "difference",
        "power",
        "multiple",
        "variable",
        "tidy",
        "constant",
        "tidy",
    ]


def test_higher_orders_and_several_variables() -> None:
    second = sw.explain.derivation(lambda x, y: x**3 * y, "x", order=2)
    assert second.result == "6x·y"
    assert len(second.derivations) == 2


def test_a_step_that_does_not_hold_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    right = steps.Deriver._of_mul

    def wrong(self: steps.Deriver, term: object) -> steps.Step:
        step = right(self, term)  # type: ignore[arg-type]
        return steps.replace(step, after=self.terms.times(step.after, self.terms.exact(2)))

    monkeypatch.setattr(steps.Deriver, "_of_mul", wrong)
    with pytest.raises(GradientError, match="does not agree"):
        derive(lambda x: x * sw.exp(x), "x", "x")


def test_a_power_of_zero_has_the_engines_slope() -> None:
    found = derive(lambda x, y: y**x, "xy", "x")
    assert found.value(x=2.0, y=0.0) == 0.0
    assert math.isnan(found.formula_value(x=2.0, y=0.0))


def test_a_thousand_nodes_are_derived() -> None:
    def deep(x: object) -> object:
        y = x
        for _ in range(250):
            y = sw.tanh(0.5 * y + x) + 0.1  # type: ignore[operator]
        return y

    found = derive(deep, "x", "x")
    assert found.points > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"wrt": "z"}, "no variable `z`"),
        ({}, "of which variable"),
        ({"wrt": "x", "order": 0}, "order must be"),
        ({"wrt": "x", "at": {"x": 1.0}}, "the variables are x, y"),
        ({"wrt": "x", "lang": "fr"}, "no language"),
    ],
)
def test_wrong_requests(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sw.explain.derivation(lambda x, y: x * y, **given)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs a formula or a function of numbers"):
        sw.explain.derivation(3.0)  # type: ignore[arg-type]
