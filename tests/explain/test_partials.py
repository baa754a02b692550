"""Gradients and Hessians against mpmath, their readings, and what is refused."""

from __future__ import annotations

import mpmath as mp
import pytest

import slopewise as sw
from slopewise.errors import SpokenError
from slopewise.explain import gradient, hessian

CASES = [
    ("x^2 y + sin(x y)", lambda x, y: x**2 * y + mp.sin(x * y), {"x": 0.7, "y": 1.3}),
    ("log(x^2 + y^2)", lambda x, y: mp.log(x**2 + y**2), {"x": 0.5, "y": -2.0}),
    ("e^(x - y)/(1 + x^2)", lambda x, y: mp.exp(x - y) / (1 + x**2), {"x": -1.0, "y": 0.25}),
    ("x^y", lambda x, y: x**y, {"x": 1.5, "y": 2.5}),
    ("(1 - x)^2 + 100 (y - x^2)^2", lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
     {"x": -1.2, "y": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "oracle", "at"), CASES)
def test_values(text: str, oracle: object, at: dict[str, float]) -> None:
    point = tuple(at.values())
    with mp.workdps(40):
        first = [float(mp.diff(oracle, point, n)) for n in ((1, 0), (0, 1))]
        mixed = [[float(mp.diff(oracle, point, n)) for n in row]
                 for row in (((2, 0), (1, 1)), ((1, 1), (0, 2)))]  # fmt: skip
    found, second = gradient(text, at=at), hessian(text, at=at)
    assert found.value == pytest.approx(first, rel=1e-12)
    for row, wanted in zip(second.value or [], mixed, strict=True):
        assert row == pytest.approx(wanted, rel=1e-11, abs=1e-12)
    for row, wanted in zip(second.entries, mixed, strict=True):  # the formulas say the same
        values = [sw.parse(x)({n: at[n] for n in sw.parse(x).names}).item() for x in row]
        assert values == pytest.approx(wanted, rel=1e-10, abs=1e-12)


def test_the_last_lines() -> None:
    text = hessian("x^2 y + sin(y)", at={"x": 1, "y": 0}).text()
    assert text.endswith(
        "Hessian: all second partial derivatives as a matrix\n"
        "H = [ 2y  2x      ]\n"
        "    [ 2x  -sin(y) ]\n"
        "it is symmetric: the order of deriving does not matter\n"
        "at x = 1, y = 0\n"
        "H = [ 0  2 ]\n"
        "    [ 2  0 ]"
    )
    assert "∂^2f/∂y∂x" in text
    assert gradient("x^2 y").text("ko").endswith("∇f = (2x·y, x^2)")


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_formats(lang: str) -> None:
    for found in (gradient("a b", at={"a": 1, "b": 2}), hessian("a^2 b", at={"a": 1, "b": 2})):
        assert found.latex(lang).count(r"\begin") == found.latex(lang).count(r"\end")
        assert "pmatrix" in found.markdown(lang)
        assert "<mtable>" in found.html(lang) == found._repr_html_() or lang == "ko"


def test_refusals() -> None:
    with pytest.raises(SpokenError, match="no variable") as caught:
        gradient("2 + 3")
    assert "변수" in caught.value.describe("ko")
    with pytest.raises(SpokenError, match="the variables are x, y"):
        hessian("x y", at={"x": 1})
    with pytest.raises(SpokenError, match="finite number"):
        gradient("x y", at={"x": 1, "y": float("nan")})
