"""Formulas that are called: values against mpmath, gradients, vmap, compile, dtypes, errors."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import slopewise as sw
from slopewise.errors import FormulaError, UsageError
from slopewise.explain.formula import _APPLIED, Formula, parse
from slopewise.explain.functions import FUNCTIONS


def test_parts() -> None:
    formula = parse("σ(w x + b) + π·w - e")
    assert str(formula) == formula.text == "σ(w x + b) + π·w - e"
    assert formula.names == ("w", "x", "b")
    assert repr(parse("x")) == "Formula('x')"
    assert parse("x") == Formula("x") != parse("y")
    assert len({parse("x"), parse("x")}) == 1
    assert pickle.loads(pickle.dumps(formula)) == formula
    with pytest.raises(FormulaError):
        parse("2 +")


def test_every_function_is_computed() -> None:
    assert set(_APPLIED) == set(FUNCTIONS)


VALUES: list[tuple[str, dict[str, float], float]] = [
    ("-x^2", {"x": 3.0}, -9.0), ("2^3^2", {}, 512.0), ("1/2x", {"x": 4.0}, 2.0),
    ("x⁻²", {"x": 2.0}, 0.25), ("|x|", {"x": -2.5}, 2.5), ("√(x+1)", {"x": 8.0}, 3.0),
    ("sin²(x) + cos²(x)", {"x": 0.7}, 1.0), ("log(8, 2)", {}, 3.0), ("log2(8)", {}, 3.0),
    ("log10(1000)", {}, 3.0), ("ln(e)", {}, 1.0), ("e^x", {"x": 1.0}, math.e),
    ("e x", {"x": 2.0, "e": 5.0}, 10.0), ("e^x", {"x": 2.0, "e": 5.0}, 25.0),
    ("pi", {"pi": 3.0}, 3.0), ("2πr", {"r": 0.5}, math.pi), ("max(1, x, 3)", {"x": 2.0}, 3.0),
    ("min(1, x, 3)", {"x": 2.0}, 1.0), ("where(x<1, 10, 20)", {"x": 0.0}, 10.0),
    ("where(x<1, 10, 20)", {"x": 1.0}, 20.0), ("where(x<=1, 10, 20)", {"x": 1.0}, 10.0),
    ("where(x>1, 10, 20)", {"x": 1.0}, 20.0), ("where(x>=1, 10, 20)", {"x": 1.0}, 10.0),
    ("where(x==1, 10, 20)", {"x": 1.0}, 10.0), ("where(x!=1, 10, 20)", {"x": 1.0}, 20.0),
    ("σ(0)", {}, 0.5), ("softplus(0)", {}, math.log(2)), ("relu(-1)", {}, 0.0),
    ("sign(-3)", {}, -1.0), ("floor(-1.5)", {}, -2.0), ("ceil(1.2)", {}, 2.0),
    ("lgamma(5)", {}, math.log(24)), ("erf(0.5)", {}, math.erf(0.5)), ("erfc(1)", {}, math.erfc(1)),
    ("atan2(1, -1)", {}, 0.75 * math.pi), ("digamma(1)", {}, -0.5772156649015329),
    ("expm1(1e-9)", {}, math.expm1(1e-9)), ("log1p(1e-9)", {}, math.log1p(1e-9)),
    ("1/0", {}, math.inf), ("0/0", {}, math.nan), ("ln(-1)", {}, math.nan), ("9^999", {}, math.inf),
    ("silu(0)", {}, 0.0), ("gelu(0)", {}, 0.0), ("logsigmoid(0)", {}, -math.log(2)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "values", "wanted"), VALUES)
def test_values(text: str, values: dict[str, float], wanted: float) -> None:
    result = parse(text)(**values)
    assert isinstance(result, sw.Tensor)
    assert result.dtype == sw.float64
    assert result.item() == pytest.approx(wanted, rel=1e-15, abs=1e-16, nan_ok=True)
    # The same through tensors, which take another way.
    tensors = {name: sw.tensor(value, dtype=sw.float64) for name, value in values.items()}
    assert parse(text)(tensors).item() == pytest.approx(wanted, rel=1e-15, abs=1e-16, nan_ok=True)


def test_arrays() -> None:
    x = np.array([1.0, 5.0, 3.0])
    for name, wanted in (
        ("mean", 3.0), ("sum", 9.0), ("max", 5.0), ("min", 1.0),
        ("logsumexp", float(np.log(np.exp(x).sum()))),
    ):  # fmt: skip
        assert parse(f"{name}(x)")(x).item() == pytest.approx(wanted, rel=1e-15)
    shares = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(parse("softmax(x)")(x).numpy(), shares, rtol=1e-14)
    np.testing.assert_allclose(parse("log_softmax(x)")(x).numpy(), np.log(shares), rtol=1e-14)
    a = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(parse("a @ x + 1")(a=a, x=x).numpy(), a @ x + 1)
    np.testing.assert_array_equal(parse("where(x > 2, x, 0)")(x).numpy(), [0, 5, 3])


def test_dtypes() -> None:
    single = sw.tensor(1.0)
    assert parse("2π x + 1/3")(single).dtype == sw.float32
    assert parse("w x")(x=single, w=2.0).dtype == sw.float32
    assert parse("where(x < 2, 1, 0)")(single).dtype == sw.float64
    assert parse("x")(3).dtype == sw.float64
    assert parse("x")(np.float32(0.5)).dtype == sw.float64
    assert parse("x^2")(np.array([1, 2])).numpy().tolist() == [1.0, 4.0]
    assert parse("x")(10**400).item() == math.inf
    assert parse("x")(True).item() == 1.0


def test_ways_to_call() -> None:
    formula = parse('"body mass" / h^2')
    assert formula.names == ("body mass", "h")
    for result in (
        formula(80.0, 2.0),
        formula({"body mass": 80.0, "h": 2.0}),
        formula(80.0, h=2.0),
        formula({"body mass": 80.0}, h=2.0),
    ):
        assert result.item() == 20.0
    assert parse("w₁ 키")(w1=2.0, 키=3.0).item() == 6.0


def test_wrong_values() -> None:
    formula = parse("w x + rate")
    with pytest.raises(UsageError, match=r"no value for 'x', 'rate'.*'w', 'x', 'rate'"):
        formula(w=1.0)
    with pytest.raises(UsageError, match=r"no such name: 'rat'.*Did you mean 'rate' for 'rat'"):
        formula(w=1.0, x=1.0, rat=1.0)
    with pytest.raises(UsageError, match="no such name: 'e'"):
        formula(1.0, 1.0, 1.0, e=1.0)
    with pytest.raises(UsageError, match="given twice: 'w'"):
        formula(1.0, w=1.0)
    with pytest.raises(UsageError, match="4 values for 3 names"):
        formula(1.0, 2.0, 3.0, 4.0)
    with pytest.raises(UsageError, match="value of 'w' is a str"):
        formula("2", 1.0, 1.0)
    with pytest.raises(UsageError, match="Its names are: none"):
        parse("1")(x=2.0)


def test_gradients() -> None:
    formula = parse("x^2 sin(x) + e^x")
    wanted = 2 * 0.5 * math.sin(0.5) + 0.25 * math.cos(0.5) + math.exp(0.5)
    assert sw.grad(formula)(0.5).item() == pytest.approx(wanted, rel=1e-14)
    x = sw.tensor([0.5, 1.0], dtype=sw.float64, requires_grad=True)
    formula(x).sum().backward()
    assert x.grad is not None
    assert x.grad[0].item() == pytest.approx(wanted, rel=1e-14)
    branch = parse("where(x > 0, √x, -x)")
    assert sw.grad(branch)(4.0).item() == 0.25
    assert sw.grad(branch)(-4.0).item() == -1.0


def test_vmap_and_compile() -> None:
    formula = parse("where(x > 1, ln(x) + 2π, x² - max(x, 0.5))")
    x = sw.tensor([0.25, 0.75, 2.0], dtype=sw.float64)
    wanted = formula(x).numpy()
    np.testing.assert_allclose(sw.vmap(formula)(x).numpy(), wanted, rtol=1e-15)
    compiled = sw.compile(lambda x: formula(x))
    np.testing.assert_allclose(compiled(x).numpy(), wanted, rtol=1e-14)


def test_long_sums() -> None:
    assert parse("+".join(["x"] * 5_000))(2.0).item() == 10_000.0
    assert parse("x" + "-1" * 4_999)(1.0).item() == -4_998.0


# ------------------------------------------------------------------ random formulas against mpmath


@dataclass(frozen=True)
class Made:
    """A formula in our notation, and its value by mpmath; the two are made side by side."""

    text: str
    value: Callable[[dict[str, Any]], Any]


def leaf(text: str, value: Callable[[dict[str, Any]], Any]) -> Made:
    return Made(text, value)


LEAVES = st.sampled_from(
    [
        leaf("x", lambda v: v["x"]), leaf("y", lambda v: v["y"]), leaf("2", lambda v: mp.mpf(2)),
        leaf(".5", lambda v: mp.mpf("0.5")), leaf("1.25e1", lambda v: mp.mpf("12.5")),
        leaf("π", lambda v: mp.mpf(math.pi)), leaf("e", lambda v: mp.mpf(math.e)),
    ]
)  # fmt: skip
BINARY = {
    "({} + {})": lambda a, b: a + b, "[{} − {}]": lambda a, b: a - b,
    "{{{}·{}}}": lambda a, b: a * b,
    "({})({})": lambda a, b: a * b, "({}) ÷ ({})": lambda a, b: a / b, "max({}, {})": max,
    "min({}, {})": min, "-({})*({})": lambda a, b: -a * b,
    "where({0} < {1}, {0}, 2*({1}))": lambda a, b: a if a < b else 2 * b,
    "where({0} >= {1}, {0}*{0}, {1})": lambda a, b: a * a if a >= b else b,
}  # fmt: skip
UNARY = {
    "sin({})": mp.sin, "|{}|": abs, "-{}": lambda a: -a, "√({})": mp.sqrt, "ln({})": mp.log,
    "({})²": lambda a: a**2, "({})⁻¹": lambda a: 1 / a, "({})^3": lambda a: a**3,
    "tanh({})": mp.tanh,
    "σ({})": lambda a: 1 / (1 + mp.exp(-a)), "cos²({})": lambda a: mp.cos(a) ** 2,
    "atan({})": mp.atan, "e^(-|{}|)": lambda a: mp.exp(-abs(a)), "2({})": lambda a: 2 * a,
    "softplus({})": lambda a: mp.log1p(mp.exp(a)),
    "log(1 + |{}|, 2)": lambda a: mp.log(1 + abs(a), 2),
}  # fmt: skip


def grow(below: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    def pair(form: str, a: Made, b: Made) -> Made:
        return Made(
            "(" + form.format(a.text, b.text) + ")",
            lambda v: BINARY[form](a.value(v), b.value(v)),
        )

    def single(form: str, a: Made) -> Made:
        inside = f"({a.text})" if form.startswith("-") or "|" in form else a.text
        return Made("(" + form.format(inside) + ")", lambda v: UNARY[form](a.value(v)))

    return st.builds(pair, st.sampled_from(list(BINARY)), below, below) | st.builds(
        single, st.sampled_from(list(UNARY)), below
    )


@given(
    st.recursive(LEAVES, grow, max_leaves=8),
    st.floats(-4, 4).map(lambda v: round(v, 3)),
    st.floats(0.25, 3).map(lambda v: round(v, 3)),
)
def test_values_against_mpmath(made: Made, x: float, y: float) -> None:
    """Where the exact value moves little with the precision, ours agrees with it."""
    values = {"x": mp.mpf(x), "y": mp.mpf(y)}
    try:
        with mp.workprec(53):
            rough = made.value(values)
        with mp.workprec(200):
            exact = made.value(values)
    except (ZeroDivisionError, ValueError, TypeError, OverflowError):
        assume(False)
        raise
    assume(isinstance(exact, mp.mpf) and isinstance(rough, mp.mpf))
    assume(mp.isfinite(exact) and mp.isfinite(rough) and abs(exact) < 1e12)
    assume(abs(rough - exact) <= 1e-13 * (abs(exact) + mp.mpf("1e-3")))
    formula = parse(made.text)
    given = {name: value for name, value in (("x", x), ("y", y)) if name in formula.names}
    # Rounding on the way may still be cancelled later: eight operations of a few ULP each.
    assert formula(**given).item() == pytest.approx(float(exact), rel=1e-10, abs=1e-11)


def test_compiled_with_names() -> None:
    compiled = sw.compile(parse("x + 2y"))
    for _ in range(2):
        found = compiled(x=sw.ones(3), y=sw.ones(3))
        np.testing.assert_array_equal(found.numpy(), [3.0, 3.0, 3.0])
    slope = sw.compile(sw.grad(lambda x: parse("sum(x^2 y)")(x=x, y=3.0)))
    np.testing.assert_array_equal(slope(sw.ones(2)).numpy(), [6.0, 6.0])


def test_logarithm_to_a_number_keeps_every_digit() -> None:
    formula = parse("log(x, 3)")
    assert formula(x=sw.tensor(2.0, dtype=sw.float64)).item() == math.log(2) / math.log(3)
    assert formula(x=sw.tensor(2.0)).dtype == sw.float32
