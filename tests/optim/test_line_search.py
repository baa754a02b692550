"""The line search on known functions: what it returns fulfils the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopewise.optim.line_search import Point, minimize_cubic, search_strong_wolfe

C1, C2 = 1e-4, 0.9
FUNCTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "bowl": (lambda t: (t - 1) ** 2, lambda t: 2 * (t - 1)),
    "far bowl": (lambda t: (t - 40) ** 2, lambda t: 2 * (t - 40)),
    "steep": (lambda t: math.exp(t) - 3 * t, lambda t: math.exp(t) - 3),
    "wavy": (
        lambda t: math.cos(3 * t) - t + 0.1 * t * t,
        lambda t: -3 * math.sin(3 * t) - 1 + 0.2 * t,
    ),
    "quartic": (lambda t: (t - 0.1) ** 4 - t, lambda t: 4 * (t - 0.1) ** 3 - 1),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("first", [1e-3, 0.3, 1.0, 7.0])
def test_conditions_hold(name: str, first: float) -> None:
    value, slope = FUNCTIONS[name]

    def evaluate(t: float) -> Point:
        return Point(t, value(t), t, slope(t))

    start = evaluate(0.0)
    found, evals = search_strong_wolfe(evaluate, start, first, 1.0, 50)
    assert 1 <= evals <= 51
    assert found.value <= start.value + C1 * found.step * start.slope
    assert abs(found.slope) <= C2 * abs(start.slope)
    assert found.value == value(found.step)


def test_the_budget_is_kept() -> None:
    calls: list[float] = []

    def evaluate(t: float) -> Point:
        calls.append(t)
        return Point(t, -t, None, -1.0)  # falls for ever: no step is flat enough

    found, evals = search_strong_wolfe(evaluate, Point(0.0, 0.0, None, -1.0), 1.0, 1.0, 5)
    assert evals == len(calls) == 6 and found.step == calls[-1]


@given(st.floats(-5, 5), st.floats(0.1, 3), st.floats(0.1, 5))
def test_cubic_interpolation_finds_the_lowest_point_of_a_parabola(
    middle: float, curvature: float, width: float
) -> None:
    def at(t: float) -> Point:
        return Point(t, curvature * (t - middle) ** 2, None, 2 * curvature * (t - middle))

    a, b = at(middle - width), at(middle + 0.7 * width)
    assert minimize_cubic(a, b) == pytest.approx(middle, abs=1e-6 * max(1, abs(middle)))
    assert minimize_cubic(b, a) == pytest.approx(middle, abs=1e-6 * max(1, abs(middle)))


def test_cubic_interpolation_without_a_minimum_takes_the_middle() -> None:
    a, b = Point(0.0, 0.0, None, -1.0), Point(1.0, -5.0, None, -1.0)
    assert 0.0 <= minimize_cubic(a, b) <= 1.0
    nan = float("nan")
    assert minimize_cubic(Point(0.0, nan, None, 1.0), Point(2.0, 0.0, None, 1.0)) == 1.0
    assert minimize_cubic(a, a) == 0.0
