"""Vectors and matrices: what the tables show, computed as shown, against differences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import GradientError, SpokenError
from slopewise.explain import sweep
from slopewise.explain.array_explanation import ArrayExplanation
from slopewise.explain.cards import KINDS, make_cards
from slopewise.explain.notation import write
from slopewise.explain.reading import evaluate

FORMULAS = [
    "mean((sigmoid(X @ w + b) - y)^2)",
    "mean((X @ w + b - y)^2)",
    "mean((X @ w - y)^2) + 0.1 sum(w^2)",
    "mean(softplus(X @ w) - y (X @ w))",
    "mean((σ(tanh(X @ W + b) @ v + c) - y)^2)",
    "-mean(y log(softmax(X @ W + b)))",
    "-sum(y log_softmax(X @ W))/50",
    "mean(logsumexp(X @ W + b))",
    "sum(relu(X @ W + b) @ v)",
    "mean((a x + b - y)^2)",
    "sum(e^(-x^2/2))/sum(x^4 + 1)",
    "mean(sqrt(1 + (X @ w)^2))",
    "mean(max(X @ w, 0)^2 + |X @ w|)",
]
SIZES = {"n": 5, "d": 3, "k": 4, "m": 2}


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def compute(found: ArrayExplanation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Compute the rows of the tables as they are written, by NumPy."""
    values: dict[str, Any] = {**SIZES, **given}

    def sum_over(axis: str, x: Any) -> Any:
        place = [i for i, size in enumerate(np.shape(x)) if size == SIZES[axis]][-1]
        return np.sum(x, axis=place, keepdims=axis == "k" and x.ndim > 1)

    names = {
        "mean": np.mean, "sum": np.sum, "ln": np.log, "exp": np.exp, "tanh": np.tanh,
        "sqrt": np.sqrt, "sign": np.sign, "softmax": softmax, "abs": np.abs, "where": np.where,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "relu": lambda x: np.maximum(x, 0),
        "softplus": lambda x: np.log1p(np.exp(x)), "max": np.maximum,
        "log_softmax": lambda x: np.log(softmax(x)),
        "logsumexp": lambda x: np.log(np.sum(np.exp(x), axis=-1)), "sum_over": sum_over,
        "ones": np.ones,
    }  # fmt: skip
    rows = [line.strip() for line in found.text("en").splitlines()]
    start = next(i for i, line in enumerate(rows) if line.startswith("all samples, forward"))
    for line in rows[start:]:
        match = re.fullmatch(r"(\S+) = (.*?)   +(\S+)", line)
        if match is None:
            continue
        name, text, shape = match.groups()
        text = text.replace("⊙", "*").replace("·", "*").replace("^", "**")
        text = re.sub(r"(\w\u0304?\d*)ᵀ", lambda m: f"turn({m[1]})", text)
        text = re.sub(r"sum_(\w)\(", r"sum_over('\1', ", text)
        text = re.sub(r"(\d)([A-Za-z(])", r"\1*\2", text).replace("\u0304", "_bar")
        known = {k.replace("\u0304", "_bar"): align(v) for k, v in values.items()}
        value = eval(text, {"__builtins__": {}}, {**names, "turn": turn, **known})
        wanted = () if shape == "number" else tuple(SIZES[axis] for axis in shape.split("×"))
        values[name] = np.broadcast_to(fit(value, wanted), wanted)
    return values


class _Aligned(np.ndarray):
    """An array beside which a vector of as many entries as rows multiplies row by row."""

    def __mul__(self, other: Any) -> Any:
        if np.ndim(other) == 1 and self.ndim == 2 and len(other) == len(self):
            other = np.asarray(other)[:, None]
        return super().__mul__(other)


def align(x: Any) -> Any:
    return np.asarray(x).view(_Aligned) if isinstance(x, np.ndarray) else x


def turn(x: Any) -> Any:
    return _Row(x) if x.ndim == 1 else x.T


class _Row:
    """A vector lying down: a column times it is a matrix."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __rmatmul__(self, column: Any) -> Any:
        return np.multiply.outer(column, self.x)

    __array_ufunc__ = None


def fit(value: Any, shape: tuple[int, ...]) -> Any:
    """Drop axes of one that broadcasting left."""
    value = np.asarray(value)
    return value.reshape(shape) if value.ndim > len(shape) else value


def draw(found: ArrayExplanation, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shapes = found.read.shapes.items()
    return {n: rng.normal(0, 0.7, tuple(SIZES[axis] for axis in shape)) for n, shape in shapes}


def differentiate(text: str, given: dict[str, Any], name: str) -> Any:
    """Return a gradient by central differences."""
    formula = sw.parse(text)
    x = np.array(given[name], dtype=float)
    slope = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        moved = []
        for step in (1e-6, -1e-6):
            other = x.copy()
            other[place] += step
            moved.append(formula({**given, name: other}).item())
        slope[place] = (moved[0] - moved[1]) / 2e-6
    return slope


@pytest.mark.parametrize("text", FORMULAS)
def test_tables_compute_what_they_show(text: str) -> None:
    found = sw.explain.derivation(text)
    given = draw(found)
    rows = compute(found, given)
    assert rows["L"] == pytest.approx(sw.parse(text)(given).item(), rel=1e-12)
    for name in found.wrts:
        gradient = next(g.name for g in found.gradients if g.letter == name)
        np.testing.assert_allclose(
            rows[gradient], differentiate(text, given, name), rtol=1e-5, atol=1e-8, err_msg=name
        )


def test_the_table_of_one_neuron() -> None:
    found = sw.explain.derivation("mean((sigmoid(X @ w + b) - y)^2)", ["w", "b"])
    text = found.text()
    for row in ("z = X @ w + b", "a = sigmoid(z)", "r = a - y", "L = mean(r^2)", "r̄ = 2r/n",
                "z̄ = ā ⊙ a ⊙ (1 - a)", "w̄ = Xᵀ @ z̄", "b̄ = sum(z̄)"):  # fmt: skip
        row = unicodedata.normalize("NFD", row)
        assert re.search(rf"^  {re.escape(row)}  +\S+$", text, re.M), row
    assert "∂f/∂w = 2X·(sigmoid(X·w + b) - y)·sigmoid(X·w + b)·(1 - sigmoid(X·w + b))" in text
    assert "shapes: X: n×d, w: d, b: number, y: n" in text


def test_functions_of_arrays_and_points() -> None:
    rng = np.random.default_rng(1)
    given = {"A": rng.normal(size=(4, 2)), "x": rng.normal(size=2)}
    found = sw.explain.derivation(
        lambda A, x: sw.sum((A @ x) ** 2), "x", shapes={"A": ("n", "d"), "x": "d"}, at=given
    )
    assert found.result == "x̄ = Aᵀ @ z̄"
    np.testing.assert_allclose(found.value["x"], 2 * given["A"].T @ (given["A"] @ given["x"]))


@pytest.mark.parametrize(
    ("text", "wrt"),
    [("softmax(z)", "z"), ("A @ x", "x"), ("sigmoid(W @ x + b)", "b"), ("x^2 + A@c", "c")],
)
def test_values_that_are_arrays(text: str, wrt: str) -> None:
    found = sw.explain.derivation(text, wrt)
    assert found.weights and found.weights not in sw.parse(text).names
    given = draw(found)
    rows = compute(found, given)
    inputs = {name: x for name, x in given.items() if name != found.weights}
    jacobian = sw.explain.derivation(text, wrt, at=inputs).value[wrt]
    value = np.asarray(sw.parse(text)(inputs))
    for place in np.ndindex(np.shape(inputs[wrt])):  # the Jacobian by differences, column by column
        moved = {**inputs, wrt: inputs[wrt].copy()}
        moved[wrt][place] += 1e-6
        column = (np.asarray(sw.parse(text)(moved)) - value) / 1e-6
        np.testing.assert_allclose(jacobian[(..., *place)], column, rtol=1e-4, atol=1e-5)
    gradient = next(g.name for g in found.gradients if g.letter == wrt)
    pulled = np.tensordot(given[found.weights], jacobian, axes=np.ndim(value))
    np.testing.assert_allclose(rows[gradient], pulled, rtol=1e-9, atol=1e-12)
    for lang in ("en", "ko"):
        assert found.weights in found.text(lang)


def test_the_cross_entropy_as_people_write_it() -> None:
    text = sw.explain.derivation("-sum(y*log(softmax(z)))", "z").text()
    assert "∂L/∂z = p - y" in text


def test_quadratic_forms_have_square_matrices() -> None:
    found = sw.explain.derivation("x @ (A @ x)", "x")
    assert found.read.shapes == {"x": ("d",), "A": ("d", "d")}
    assert found.result == "x̄ = A @ x + Aᵀ @ x"
    assert sw.explain.derivation("sum(w^2)/2").read.shapes == {"w": ("n",)}


def test_cards() -> None:
    results = {
        card.id: write(card.derivation.terms, card.derivation.result, names=card.names)
        for kind in KINDS
        for card in make_cards(kind)
    }
    assert results["softmax same"] == "p_i·(1 - p_i)"
    assert results["softmax other"] == "-p_i·p_j"
    assert results["cross_entropy same"] == "p_y - 1"
    # Against PyTorch's own formula at numbers: three logits.
    z = np.array([0.3, -1.2, 0.8])
    p = softmax(z)
    same, other = make_cards("softmax")
    found = evaluate([same.derivation.result], [z[0], np.exp(z[1:]).sum()])
    assert found[same.derivation.result.number] == pytest.approx(p[0] * (1 - p[0]))
    names = other.derivation.terms.names
    values = {"a": np.exp(z[0]), "z_j": z[1], "s": np.exp(z[0]) + np.exp(z[2])}
    found = evaluate([other.derivation.result], [values[name] for name in names])
    assert found[other.derivation.result.number] == pytest.approx(-p[0] * p[1])


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("text", [FORMULAS[0], FORMULAS[5], FORMULAS[7]])
def test_formats(text: str, lang: str) -> None:
    found = sw.explain.derivation(text, lang=lang)
    for form in ("text", "latex", "markdown", "html"):
        reading = getattr(found, form)()
        assert reading.count("{") == reading.count("}")
        if lang == "ko":
            plain = re.sub(r"<[^>]*>|\\[a-zA-Z]+|&#?\w+;|\{aligned\}|xmlns=\S+", " ", reading)
            plain = re.sub(
                r"\bsum_\w|\b(sigmoid|mean|softmax|logsumexp|sum|diag|exp|log|ln)\b", " ", plain
            )
            assert not re.findall(r"[A-Za-z]{3,}", plain)


def test_refusals() -> None:
    with pytest.raises(SpokenError, match="no variable `q`"):
        sw.explain.derivation("mean(X @ w)", "q")
    with pytest.raises(SpokenError, match=r"do not fit \(X: n×d, w: n\).*size d") as caught:
        sw.explain.derivation("mean(X @ w)", "w", shapes={"X": "n,d", "w": "n"})
    assert not re.search("[a-z]{3,}|10[0-9]", caught.value.describe("ko"))
    with pytest.raises(SpokenError, match="a shape for `q`"):
        sw.explain.derivation("mean(X @ w)", "w", shapes={"q": "n"})
    with pytest.raises(SpokenError, match="order"):
        sw.explain.derivation("mean(X @ w)", "w", order=2)


def test_a_wrong_row_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sweep._hand_back
    monkeypatch.setattr(
        sweep,
        "_hand_back",
        lambda found, *rest: [(x, found.terms.negative(t)) for x, t in right(found, *rest)],
    )
    with pytest.raises(GradientError, match="does not agree"):
        sw.explain.derivation("mean((X @ w - y)^2)", "w")
