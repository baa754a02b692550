"""Explorers: their numbers against mpmath and PyTorch, their words in both languages."""

from __future__ import annotations

import math
import re
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import SpokenError
from slopewise.explain.accounts import Account
from slopewise.explain.explorers.activations import NAMES, SATURATED, explore_activation
from slopewise.explain.explorers.depth import explore_depth
from slopewise.explain.explorers.exponential import explore_exp
from slopewise.explain.explorers.sigmoids import explore_sigmoid, explore_slopes
from slopewise.explain.explorers.softmaxes import explore_softmax

ALL: dict[str, Any] = {
    "exp": explore_exp, "sigmoid": explore_sigmoid, "slopes": explore_slopes,
    "depth": explore_depth, "softmax": explore_softmax,
    **{name: lambda lang="en", name=name: explore_activation(name, lang=lang) for name in NAMES},
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_words_and_pictures(name: str) -> None:
    english, korean = (ALL[name](lang=lang) for lang in ("en", "ko"))
    assert isinstance(english, Account)
    for form in ("text", "markdown", "html", "latex"):
        assert not re.search("[가-힣]", getattr(english, form)())
        assert re.search("[가-힣]", getattr(korean, form)())
    assert english.picture().png().startswith(b"\x89PNG")
    assert len(english.sketch().splitlines()) > 5


@pytest.mark.parametrize("name", ALL)
def test_particles_never_touch_a_formula(name: str) -> None:
    text = ALL[name](lang="ko").text()
    assert not re.findall(r".{8}[A-Za-z)](?:을|를|이|가|은|는|와|과|로|만|이므로)(?!름).{4}", text)


def test_powers_are_raised_on_pages() -> None:
    page = explore_exp().html()
    assert "x<sup>2</sup>" in page and "^" not in page


@pytest.mark.parametrize("name", ALL)
def test_korean_has_no_english_words(name: str) -> None:
    text = ALL[name](lang="ko").text()
    names = {
        "softmax",
        "exp",
        "cos",
        "tanh",
        "relu",
        "sin",
        "float32",
        "sigmoid",
        "diag",
        "ln",
        "inf",
        "e",
    }
    found = set(re.findall(r"[A-Za-z]{3,}[A-Za-z0-9]*", text))
    assert {word for word in found if word not in names | set(NAMES)} == set()


def test_exp() -> None:
    found = explore_exp()
    np.testing.assert_array_equal(found.values["exp(x)"], found.slopes["exp(x)"])
    for i, x in enumerate(found.points):
        assert found.slopes["x^2"][i] == 2 * x
        assert found.slopes["sin(x)"][i] == pytest.approx(float(mp.cos(x)))
    assert found.rules == {"x^2": "2x", "sin(x)": "cos(x)", "exp(x)": "exp(x)"}
    for base, slope in found.bases.items():
        assert slope == pytest.approx(float(mp.log(base)))


def test_the_lectures_sigmoid() -> None:
    found = explore_sigmoid()
    assert [f"{float(v):.6f}" for v in found.values] == [
        "0.000000", "0.017986", "0.119203", "0.500000", "0.880797", "0.982014", "1.000000",
    ]  # fmt: skip
    assert found.written[-1] == 0.0 and found.slopes[-1] == found.slopes[0] > 0
    with mp.workdps(40):
        for x, slope in zip(found.points, found.slopes, strict=True):
            exact = mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2
            assert slope == pytest.approx(float(exact), rel=1e-15)
    assert found.slopes.max() == 0.25


def test_slopes() -> None:
    found = explore_slopes((0.5, 3))
    assert found.steepest == {0.5: 0.125, 3.0: 0.75}
    rise = float(found.text().splitlines()[4].split()[-1])
    low, high = (float(sw.sigmoid(sw.tensor(3.0 * side * rise / 2))) for side in (-1, 1))
    assert (low, high) == pytest.approx((0.1, 0.9), abs=1e-3)


def test_depth() -> None:
    torch = pytest.importorskip("torch")
    found = explore_depth(6, 0.5)
    for name in ("sigmoid", "tanh", "relu"):
        for k in range(1, 7):
            x = start = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
            for _ in range(k):
                x = getattr(torch, name)(x)
            x.backward()
            assert found.products[name][k - 1] == pytest.approx(start.grad.item(), rel=1e-12)
    for left, most in zip(found.products["sigmoid"], found.bound, strict=True):
        assert 0 < left <= most
    assert explore_depth(3, -1.0).products["relu"] == [0.0, 0.0, 0.0]
    assert explore_depth(3, -1.0, ("relu",)).sketch()


def test_softmax() -> None:
    found = explore_softmax((2, -1, 0.5), (0.5, 2))
    for temperature, p in zip(found.temperatures, found.shares, strict=True):
        exact = [mp.exp(z / temperature) for z in found.scores]
        np.testing.assert_allclose(p, [float(e / sum(exact)) for e in exact], rtol=1e-14)
    p = found.shares[0]
    np.testing.assert_allclose(found.jacobian, (np.diag(p) - np.outer(p, p)) / 0.5, atol=1e-15)
    assert explore_softmax((1e4, 0), (0.01,)).text()


@pytest.mark.parametrize("name", NAMES)
def test_activations_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    found = explore_activation(name, [-7.3, -3.1, -0.4, 0.9, 2.5, 8.0])
    x = torch.tensor(found.points, dtype=torch.float64, requires_grad=True)
    y = getattr(torch.nn, name)().double()(x)
    y.sum().backward()
    # PyTorch's sixth in these two is rounded to float32, whatever the input's dtype.
    near = 1e-7 if name in ("Hardsigmoid", "Hardswish") else 1e-12
    np.testing.assert_allclose(found.values, y.detach().numpy(), rtol=near, atol=1e-15)
    np.testing.assert_allclose(found.slopes, x.grad.numpy(), rtol=near, atol=1e-15)
    grid = np.linspace(-9.99, 9.99, 777)
    x = torch.tensor(grid, requires_grad=True)
    getattr(torch.nn, name)().double()(x).sum().backward()
    slopes = x.grad.numpy()
    for place, slope in zip(grid, slopes, strict=True):
        inside = [r for r in found.ranges if r.start < place < r.stop]
        edges = [e for r in found.ranges for e in (r.start, r.stop)]
        if min((abs(place - e) for e in edges), default=1.0) < 1e-6:
            continue
        assert (abs(slope) < SATURATED) == bool(inside), (name, place, slope)
        if inside and inside[0].kind == "dead":
            assert slope == 0


def test_ranges() -> None:
    names = ("ReLU6", "Hardtanh", "GELU", "Tanhshrink", "LeakyReLU")
    found = {name: explore_activation(name).ranges for name in names}
    kinds = {name: [(r.kind, r.start, r.stop) for r in found[name]] for name in names}
    assert kinds["ReLU6"] == [("dead", -math.inf, 0.0), ("dead", 6.0, math.inf)]
    assert kinds["Hardtanh"] == [("dead", -math.inf, -1.0), ("dead", 1.0, math.inf)]
    assert [k[0] for k in kinds["GELU"]] == ["saturated", "flat"]
    assert [k[0] for k in kinds["Tanhshrink"]] == ["flat"]
    assert kinds["LeakyReLU"] == [("saturated", -math.inf, 0.0)]
    assert "죽음: 정확히 0" in explore_activation("relu", lang="ko").text()


def test_a_module_and_a_function() -> None:
    assert explore_activation(nn.LeakyReLU(0.3)).slopes[0] == pytest.approx(0.3)
    card = explore_activation(lambda x: x * x)
    assert card.slopes.tolist() == [-8, -4, -2, 0, 2, 4, 8]


def test_refusals() -> None:
    with pytest.raises(SpokenError, match="no activation 'rellu'; there is relu"):
        explore_activation("rellu")
    with pytest.raises(SpokenError, match="depth must be 1 to 200"):
        explore_depth(0)
    with pytest.raises(SpokenError, match="no names 'selu'"):
        explore_depth(2, 0.5, ("selu",))
    with pytest.raises(SpokenError, match="temperatures must be above 0"):
        explore_softmax((1, 2), (0,))
    with pytest.raises(SpokenError, match="factors must be above 0"):
        explore_slopes((-1,))
    for call in (explore_exp, explore_sigmoid, explore_softmax):
        with pytest.raises(SpokenError, match="finite number"):
            call([math.nan])
        with pytest.raises(SpokenError, match="must be 1 to 1000"):
            call([])
        with pytest.raises(SpokenError, match="no language"):
            call(lang="fr")
