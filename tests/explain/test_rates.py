"""Limits: the lecture's values, slopes against mpmath, and points that have no slope."""

from __future__ import annotations

import math

import mpmath as mp
import pytest

from slopewise.errors import SpokenError
from slopewise.explain.rates import limit

SMOOTH = [
    ("(w-3)^2", lambda w: (w - 3) ** 2, 4.0), ("(w-3)^2", lambda w: (w - 3) ** 2, 3.0),
    ("sin(x)", mp.sin, 1e6), ("e^x", mp.exp, 20.0), ("ln(x)", mp.log, 1e-3),
    ("sin(1000000x)", lambda x: mp.sin(1000000 * x), 0.3), ("x^3", lambda x: x**3, 0.0),
    ("x^2", lambda x: x**2, 1e8), ("1e-9 x", lambda x: mp.mpf(1e-9) * x, 0.0),
    ("e^(-x^2)", lambda x: mp.exp(-(x**2)), 0.0), ("sqrt(x)", mp.sqrt, 2.0),
    ("tanh(x)", mp.tanh, 0.5), ("3x", lambda x: 3 * x, 1.0), ("x^x", lambda x: x**x, 0.7),
    ("1/(1 + e^(-x))", lambda x: 1 / (1 + mp.exp(-x)), -2.0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "oracle", "at"), SMOOTH)
def test_smooth_points(text: str, oracle: object, at: float) -> None:
    found = limit(text, at)
    with mp.workdps(40):
        slope, bend = (float(mp.diff(oracle, at, n)) for n in (1, 2))
    assert found.verdict == "tangent"
    # The argument of sin(1000000 x) is rounded, which costs digits of any derivative there.
    assert found.slope == pytest.approx(slope, rel=1e-9 if "000" in text else 1e-12, abs=1e-15)
    assert found.left == pytest.approx(slope, rel=1e-3, abs=1e-6)
    assert found.right == pytest.approx(slope, rel=1e-3, abs=1e-6)
    for rate in found.rates:
        assert rate.error == abs(rate.rate - found.slope) or math.isnan(rate.error)
    if found.turn is not None and bend:
        # Well above the turn the error is half the bend times h, and below it is larger.
        wide = limit(text, at, h=[found.turn * 1000]).rates[0]
        if wide.h < 1e-3:
            assert wide.error == pytest.approx(abs(bend) / 2 * wide.h, rel=0.2)


def test_the_lectures_values() -> None:
    assert limit("(w-3)^2", 3, h=1).rates[0].rate == 1.0
    at_four = limit("(w-3)^2", 4)
    assert [round(r.rate, 9) for r in at_four.rates[:5]] == [3.0, 2.5, 2.1, 2.01, 2.001]
    assert at_four.slope == 2.0 and limit("(w-3)^2", 3).slope == 0.0
    assert at_four.best is not None and 1e-9 <= at_four.best.h <= 1e-6
    assert 1e-9 < (at_four.turn or 0) < 1e-6
    assert "rounding" in at_four.text() and "반올림 오차" in at_four.text("ko")


@pytest.mark.parametrize(
    ("text", "at", "verdict", "left", "right"),
    [
        ("|x|", 0, "corner", -1, 1),
        ("relu(x)", 0, "corner", 0, 1),
        ("|x| + x^2", 0, "corner", -1, 1),
        ("|x - 1000000|", 1e6, "corner", -1, 1),
        ("max(x, 2x)", 0, "corner", 1, 2),
        ("sqrt(x)", 0, "vertical", math.nan, math.inf),
        ("where(x < 0, -sqrt(-x), sqrt(x))", 0, "vertical", math.inf, math.inf),
        ("floor(x)", 1, "jump", math.inf, 0),
        ("where(x < 0, 1, 2)", 0, "jump", math.inf, 0),
        ("x^1.5", 0, "one_sided", math.nan, 0),
        ("ln(x)", 0, "undefined", None, None),
        ("1/x", 0, "undefined", None, None),
    ],
)
def test_points_without_a_slope(
    text: str, at: float, verdict: str, left: float | None, right: float | None
) -> None:
    found = limit(text, at)
    assert found.verdict == verdict
    for side, wanted in ((found.left, left), (found.right, right)):
        if wanted is not None:
            assert side == pytest.approx(wanted, abs=1e-6, nan_ok=True)
    for lang in ("en", "ko"):
        assert found.text(lang) and found.html(lang) and found.latex(lang)


def test_several_variables_and_functions() -> None:
    found = limit(lambda w, b: w * b**2, {"w": 2.0, "b": 3.0}, wrt="b")
    assert found.slope == pytest.approx(12.0)
    assert "the function" in found.text()
    negative = limit("x^2", 1, h=[-0.5, -0.25])
    assert [r.rate for r in negative.rates] == [1.5, 1.75]


def test_drawings() -> None:
    found = limit("(w-3)^2", 4)
    assert found.picture("ko").png().startswith(b"\x89PNG")
    lines = found.sketch(40, 10).splitlines()
    assert len(lines) == 11 and "●" in found.sketch(40, 10)
    assert limit("ln(x)", 0).picture().png()


def test_refusals() -> None:
    with pytest.raises(SpokenError, match="finite number"):
        limit("x", 0, h=0)
    with pytest.raises(SpokenError, match="of which variable"):
        limit("x y", {"x": 1, "y": 2})
    with pytest.raises(SpokenError, match="no language"):
        limit("x", 0, lang="fr")
    with pytest.raises(SpokenError, match="the variables are x"):
        limit("x", {"y": 0})
