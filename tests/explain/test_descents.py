"""Descents: verdicts on known functions, rates of quadratics, and what they say and draw."""

from __future__ import annotations

import math

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import SpokenError
from slopewise.explain.descents import VERDICTS
from slopewise.explain.trails import _WORDS, descend

SQUARE = "(w-3)^2"
BOWL = "x^2+100y^2"
BANANA = "(1-x)^2+100(y-x^2)^2"
CASES = [
    (SQUARE, [4], 1.0, "sgd", 50, "oscillates"),
    (SQUARE, [4], 0.5, "sgd", 50, "converges"),
    (SQUARE, [4], 0.1, "sgd", 50, "converges"),
    (SQUARE, [4], 0.9, "sgd", 100, "overshoots"),
    (SQUARE, [4], 1.1, "sgd", 50, "diverges"),
    (SQUARE, [3], 0.1, "sgd", 10, "already"),
    (SQUARE, [4], 1e-4, "sgd", 50, "unfinished"),
    (SQUARE, [4], 0.1, "momentum", 300, "overshoots"),
    (SQUARE, [4], 0.1, "adam", 1000, "overshoots"),
    ("e^w", [4], 1.0, "sgd", 50, "creeps"),
    ("w", [4], 1.0, "sgd", 50, "unbounded"),
    ("w^4", [1], 0.01, "sgd", 100, "creeps"),
    ("|w|", [1.05], 0.1, "sgd", 50, "oscillates"),
    ("-w^2", [0.5], 0.1, "sgd", 30, "unbounded"),
    ("x^2-y^2", [1, 0], 0.1, "sgd", 100, "saddle"),
    ("x^2-y^2", [1, 1e-3], 0.1, "sgd", 100, "unbounded"),
    (BOWL, [1, 1], 0.009, "sgd", 2000, "overshoots"),
    (BOWL, [1, 1], 0.005, "sgd", 3000, "converges"),
    (BOWL, [1, 1], 0.011, "sgd", 60, "diverges"),
    ("ln(w)", [1], 0.6, "sgd", 50, "left_domain"),
    ("w^2 (w-1)^2", [0.4], 0.1, "sgd", 300, "converges"),
    ("1e-6 (w-3)^2", [4], 1e5, "sgd", 100, "converges"),
    ("1000000 (w-3)^2", [4], 1e-7, "sgd", 100, "converges"),
    ("(w-1000003)^2", [1000004], 0.1, "sgd", 150, "converges"),
    (BANANA, [-1.2, 1], 1e-3, "sgd", 500, "creeps"),
    (BANANA, [-1.2, 1], 1e-2, "sgd", 50, "diverges"),
    ("w^3", [1], 0.1, "sgd", 200, "creeps"),
    ("w^2", [1], 0.5, "sgd", 10, "converges"),
    ("1/(1+e^(-w))", [0], 1, "sgd", 200, "creeps"),
    ("sqrt(1+w^2)", [5], 0.5, "sgd", 200, "converges"),
    ("w^4-w^2", [0], 0.1, "sgd", 10, "saddle"),
    ("w^3", [0], 0.1, "sgd", 10, "saddle"),
    ("w^2+1/w", [1], 0.1, "sgd", 200, "converges"),
    ("2 + 0 w", [1], 0.1, "sgd", 20, "already"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "start", "lr", "optimizer", "steps", "verdict"), CASES)
def test_verdicts(
    text: str, start: list[float], lr: float, optimizer: str, steps: int, verdict: str
) -> None:
    names = sw.parse(text).names
    found = descend(text, dict(zip(names, start, strict=True)), lr, optimizer, steps)
    assert found.verdict == verdict
    for lang in ("en", "ko"):
        assert found.text(lang) and found.html(lang) and found.latex(lang) and found.markdown(lang)


def test_every_verdict_has_words() -> None:
    assert set(VERDICTS) <= set(_WORDS)


def test_the_lectures_steps() -> None:
    found = descend(SQUARE, 4, lr=1.0, steps=4)
    assert found.points == [4.0, 2.0, 4.0, 2.0, 4.0]
    assert found.losses == [1.0] * 5
    text = found.text()
    assert "the slope is +2: uphill to the right, so go left by 1 × 2 = 2, to w = 2." in text
    assert "the slope is -2: downhill to the right, so go right by 1 × 2 = 2" in text
    assert "it oscillates: it goes to and fro between w = 4 and w = 2" in text
    assert "0 < lr < 2/2 = 1" in text and "fastest at lr = 1/2 = 0.5" in text
    small = descend(SQUARE, 4, lr=0.1, steps=50)
    for n, point in enumerate(small.points):
        assert point == pytest.approx(3 + 0.8**n, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_rates_of_quadratics(seed: int) -> None:
    """Just below the derived bound it comes nearer, and just above it goes away."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    a, b, c = (m := basis @ np.diag(rng.uniform(0.1, 10, 2)) @ basis.T)[0, 0], m[0, 1], m[1, 1]

    def bowl(x: sw.Tensor, y: sw.Tensor) -> sw.Tensor:
        return 0.5 * (a * x * x + 2 * b * x * y + c * y * y)

    quadratic = descend(bowl, {"x": 1.0, "y": -2.0}, lr=1e-3, steps=1).quadratic
    assert quadratic is not None
    low, high = np.linalg.eigvalsh(m)
    assert (quadratic.low, quadratic.high) == pytest.approx((low, high))
    for lr, shrinks in ((0.98 * quadratic.most, True), (1.02 * quadratic.most, False)):
        walk = descend(bowl, {"x": 1.0, "y": -2.0}, lr=lr, steps=400)
        assert (math.hypot(*walk.points[-1]) < math.hypot(*walk.points[0])) is shrinks
    # No other rate does better in its slowest direction than the best one.
    for lr in np.linspace(0.01, 1, 50) * quadratic.most:
        worst = np.abs(1 - lr * np.array([low, high])).max()
        assert worst >= np.abs(1 - quadratic.best * np.array([low, high])).max() - 1e-12


def test_no_quadratic() -> None:
    for text in ("w^4", "e^w", "3w", "|w|"):
        assert descend(text, 0.5, steps=1).quadratic is None
    saddle = descend("x^2-y^2", {"x": 1, "y": 1}, steps=2)
    assert "no minimum, whatever the learning rate" in saddle.text()


def test_momentum_carries_uphill() -> None:
    found = descend(SQUARE, 4, 0.1, "momentum", 40)
    assert "what is left of earlier steps carries it" in found.text()
    assert "2(1 + 0.9)/2 = 1.9" in found.text()


def test_an_optimizer_of_ones_own() -> None:
    found = descend(SQUARE, 4, 0.1, lambda p: sw.optim.Adam(p, lr=0.5), 200)
    assert found.points[-1] == pytest.approx(3, abs=1e-3)


def test_drawings() -> None:
    one = descend(SQUARE, 4, 0.1, steps=20)
    two = descend(BOWL, {"x": 1, "y": 1}, 0.009, steps=50)
    three = descend("x^2+y^2+z^2", {"x": 1, "y": 1, "z": 0}, 0.1, steps=5)
    for found in (one, two, three, descend("ln(w)", 1, 0.6, steps=50)):
        assert found.picture().png().startswith(b"\x89PNG")
    assert len(one.sketch(40, 10).splitlines()) == 11
    assert "●" in two.sketch() and not three.sketch()


def test_a_picture_keeps_to_the_losses_of_the_path() -> None:
    # e^w reaches 7e8 within the window; drawn whole, a path from 55 to 0 would be a flat line.
    curve = descend("e^w", 4, 1.0, steps=3).picture().figure.axes[0]
    bottom, top = curve.get_ylim()
    assert bottom < 0 and 54.6 < top < 100


def test_refusals() -> None:
    for lr in (0, -1, math.nan, math.inf):
        with pytest.raises(SpokenError, match="learning rate"):
            descend(SQUARE, 4, lr)
    with pytest.raises(SpokenError, match="steps must be 1"):
        descend(SQUARE, 4, steps=0)
    with pytest.raises(SpokenError, match="no optimizer 'adm'; there is adam"):
        descend(SQUARE, 4, optimizer="adm")
    with pytest.raises(SpokenError, match="the variables are w"):
        descend(SQUARE, {"x": 4})
    with pytest.raises(SpokenError, match="no variable"):
        descend("3", 4)
    with pytest.raises(SpokenError, match="gives an array"):
        descend(lambda w: w * sw.ones(3), 4)
