"""Portraits: tangents where there are any, at points of one variable and of several."""

from __future__ import annotations

import math

import mpmath as mp
import pytest

import slopewise as sw
from slopewise.errors import SpokenError
from slopewise.explain.portraits import explore_tangents
from slopewise.explain.sketch import find_view


def test_tangents_against_mpmath() -> None:
    found = explore_tangents("x sin(x)", [-2, 0, 1.5])
    (part,) = found.slices
    for point in part.points:
        assert point.slope == pytest.approx(float(mp.diff(lambda x: x * mp.sin(x), point.at)))
    assert part.window()[0] < -2 and part.window()[1] > 1.5
    assert part.slope(0.7) == pytest.approx(float(mp.diff(lambda x: x * mp.sin(x), 0.7)))


def test_tangent_lines_read_back() -> None:
    (table,) = (part for part in explore_tangents("(w-3)^2", [4, -1, 0, 3, 3.5]).tell("en")
                if not isinstance(part, str))  # fmt: skip
    lines = [row[-1] for row in table.rows]
    assert lines == ["2(w - 4) + 1", "-8(w + 1) + 16", "-6w + 9", "0", "(w - 3.5) + 0.25"]
    for at, line in zip([4, -1, 0, 3, 3.5], lines, strict=True):
        formula = sw.parse(line)
        for w in (-2.0, 0.3, 5.0):
            values = {"w": w} if formula.names else {}
            assert float(formula(**values)) == pytest.approx(
                (at - 3) ** 2 + 2 * (at - 3) * (w - at)
            )


@pytest.mark.parametrize(
    ("text", "at", "said", "korean"),
    [
        ("|x|", 0, "a corner, -1 and 1", "모난 점"),
        ("sqrt(x)", 0, "vertical", "수직"),
        ("1/x", 0, "no value", "함숫값이 없음"),
        ("floor(x)", 1, "a jump", "뜀"),
        ("x^1.5", 0, "an end of the domain", "정의역의 끝"),
    ],
)
def test_points_without_a_tangent(text: str, at: float, said: str, korean: str) -> None:
    found = explore_tangents(text, at)
    assert f"none: {said}" in found.text() and korean in found.text("ko")
    assert found.picture().png() and found.sketch()


def test_several_variables() -> None:
    found = explore_tangents("w^2 x", {"w": 3, "x": 2})
    assert [(s.variable, s.points[0].slope) for s in found.slices] == [("w", 12.0), ("x", 9.0)]
    assert found.slices[0].others == {"x": 2.0}
    assert [s.variable for s in explore_tangents("w x", {"w": 1, "x": 1}, wrt="x").slices] == ["x"]
    assert found.picture("ko").svg().startswith("<?xml")


def test_without_a_point() -> None:
    found = explore_tangents("sin(x)")
    assert not found.slices[0].points and found.picture().png() and found.sketch()


def test_view_leaves_poles_out() -> None:
    values = [1 / x if x else math.nan for x in (i / 10 for i in range(-50, 51))]
    low, high = find_view(values)
    assert -11 < low < -1 and 1 < high < 11
    assert find_view([2.0] * 20)[0] < 2 < find_view([2.0] * 20)[1]
    assert find_view([math.nan]) == (-1.0, 1.0)


def test_refusals() -> None:
    with pytest.raises(SpokenError, match="the variables are x, y"):
        explore_tangents("x y")
    with pytest.raises(SpokenError, match="no variable"):
        explore_tangents("3")
    with pytest.raises(SpokenError, match="finite number"):
        explore_tangents("x", [math.inf])
    with pytest.raises(SpokenError, match="points must be"):
        explore_tangents("x", list(range(99)))
