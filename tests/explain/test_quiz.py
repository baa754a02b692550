"""Exercises are of the rule asked for, their answers are judged by value, and seeds repeat them."""

from __future__ import annotations

import pytest

from slopewise.errors import FormulaError, SpokenError
from slopewise.explain.quiz import PATTERNS, make_exercises


@pytest.mark.parametrize("kind", PATTERNS)
def test_each_kind(kind: str) -> None:
    for exercise in make_exercises([kind], 6, seed=4):
        assert exercise.kind == kind
        assert exercise.judge(exercise.answer.result)
        assert not exercise.judge(f"{exercise.answer.result} + 1/1000")
        assert not exercise.judge("y")


def test_other_spellings_are_right() -> None:
    exercise = next(e for e in make_exercises(["tanh"], 20) if e.formula == "tanh(x)^2")
    assert exercise.judge("2 tanh(x)/cosh(x)^2")
    assert not exercise.judge("2 tanh(x)")
    with pytest.raises(FormulaError):
        exercise.judge("2 tanh(")


def test_seeds_repeat() -> None:
    first, again, other = (
        [e.formula for e in make_exercises(["sum", "chain"], 8, seed=s)] for s in (1, 1, 2)
    )
    assert first == again != other
    assert len(set(first)) == 8


def test_refusals() -> None:
    with pytest.raises(SpokenError, match="there is product"):
        make_exercises(["produkt"])
    with pytest.raises(SpokenError, match="1 to 100"):
        make_exercises([], 0)
