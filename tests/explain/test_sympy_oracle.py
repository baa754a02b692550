"""Derivatives against SymPy: its differentiation cases that fit the grammar, and polynomials."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
import sympy
from tests.explain.formulas import draw_polynomial

import slopewise as sw
from slopewise.explain.derivations import derive_term
from slopewise.explain.notation import write
from slopewise.explain.reading import read_function

NAMES = {name: sympy.Symbol(name) for name in "abcwxyz"}
FUNCTIONS = {
    "ln": sympy.log, "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)), "e": sympy.E, "pi": sympy.pi,
    "max": sympy.Max, "min": sympy.Min, "lgamma": sympy.loggamma, "digamma": sympy.digamma,
    "where": lambda condition, x, y: sympy.Piecewise((x, condition), (y, True)),
}  # fmt: skip
CASES: list[tuple[str, str]] = [
    # core: constants, powers, products, chains
    ("1/3", "x"), ("pi", "x"), ("x^2", "x"), ("x^2", "xx"), ("x^2", "xxx"), ("x^2 + 0y", "xy"),
    ("a*b + b^5", "a"), ("a*b + b^5", "b"), ("a*b + b^5", "ba"), ("a*(b + c)", "a"),
    ("a*(b + c)", "b"), ("a*(b + c)", "ba"), ("c^5", "cccccc"), ("c^5", "ccccc"), ("c^2", "c"),
    ("a*b*c", "c"), ("3*(-2 + x^2)*cos(x) + x*(-6 + x^2)*sin(x)", "x"), ("(x + 1)^3", "x"),
    ("x*(x + 1)^3", "x"), ("2*e^(x*x)*x", "x"), ("a*b + sin(b^5)", "a"), ("a*b + sin(b^5)", "b"),
    ("tan(c)", "c"), ("c*ln(c) - c", "c"), ("ln(sin(c))", "c"), ("2^a/ln(2)", "a"),
    ("x*sin(x)", "x"), ("x*sin(x)", "xx"), ("x*sin(x)", "xxx"), ("x*sin(x)", "xxxx"),
    ("2*y*x*sin(x)*cos(x)*ln(x)*e^x", "x"), ("2*y*x*sin(x)*cos(x)*ln(x)*e^x", "xx"),
    ("2*y*x*sin(x)*cos(x)*ln(x)*e^x", "y"), ("cos(x)*sin(y)", "x"), ("cos(x)*sin(y)", "y"),
    ("1 + x^3", "x"), ("x^3", "xx"), ("x^y", "x"), ("x^y", "y"), ("x^x", "x"), ("e^(x*y)", "xy"),
    # elementary functions
    ("sin(x)/x", "x"), ("sin(x)/x", "xx"), ("asin(x)", "x"), ("acos(x)", "x"), ("atan(x)", "x"),
    ("atan(1/x)", "x"), ("1/cos(x)", "x"), ("1/sin(x)", "x"), ("acos(1/x)", "x"),
    ("asin(1/x)", "x"), ("cos(x)/sin(x)", "x"), ("cosh(x)/sinh(x)", "x"), ("sinh(x)", "x"),
    ("cosh(x)", "x"), ("tanh(x)", "x"), ("1/sinh(x)", "x"), ("1/cosh(x)", "x"), ("asinh(x)", "x"),
    ("acosh(x)", "x"), ("atanh(x)", "x"), ("atanh(1/x)", "x"), ("asinh(1/x)", "x"),
    ("acosh(1/x)", "x"), ("log(x, 2)", "x"), ("log(x, y)", "y"), ("log10(x)", "x"),
    ("sqrt(x)", "x"), ("sqrt(1 + x^2)", "xx"), ("|x|", "x"), ("x*|x|", "x"),
    ("max(x, x^2)", "x"), ("min(x, 2)", "x"), ("where(x < 1, x^2, 2x - 1)", "x"),
    # special functions
    ("erf(x)", "x"), ("erf(x^2)", "x"), ("1 - erf(x)", "x"), ("lgamma(x)", "x"),
    ("sigmoid(x)", "x"), ("sigmoid(x)", "xx"), ("ln(1 + e^x)", "x"),
]  # fmt: skip


def translate(text: str) -> sympy.Expr:
    """Return SymPy's expression of a formula in our text."""
    from sympy.parsing.sympy_parser import (
        convert_xor,
        implicit_multiplication,
        parse_expr,
        standard_transformations,
    )

    transformations = (*standard_transformations, convert_xor, implicit_multiplication)
    plain = text.replace("·", "*").replace("|x|", "Abs(x)")
    return parse_expr(plain, {**NAMES, **FUNCTIONS, "abs": sympy.Abs}, transformations)


def derive_all(text: str, wrts: Iterable[str], expanded: bool = False) -> tuple[Any, Any]:
    """Return the last line of deriving in one variable after another, and its terms."""
    formula = sw.parse(text)
    names = tuple(dict.fromkeys((*formula.names, *wrts)))
    terms, term = read_function(lambda *xs: formula(*xs[: len(formula.names)]), names)
    for wrt in wrts:
        term = derive_term(terms, term, wrt, expanded=expanded).result
    return terms, term


@pytest.mark.parametrize(("text", "wrts"), CASES)
def test_differentiation_cases(text: str, wrts: str) -> None:
    terms, term = derive_all(text, wrts)
    wanted = sympy.diff(translate(text), *[NAMES[x] for x in wrts])
    found = translate(write(terms, term))
    rng = random.Random(text)
    for low, high in ((0.1, 0.9), (1.1, 3.0), (-3.0, -1.1)):
        at = {symbol: sympy.Rational(rng.randint(0, 97), 97) * (high - low) + low
              for symbol in NAMES.values()}  # fmt: skip
        value = sympy.N(wanted.subs(at), 25)
        inside = sympy.N(translate(text).subs(at), 25).is_real  # the function itself is defined
        if not inside or not value.is_real or not value.is_finite:
            continue
        assert abs(sympy.N(found.subs(at), 25) - value) <= 1e-12 * max(1, abs(value))


@pytest.mark.parametrize("batch", range(10))
def test_polynomials(batch: int) -> None:
    for seed in range(batch * 40, (batch + 1) * 40):
        text, wrts = draw_polynomial(random.Random(seed))
        terms, term = derive_all(text, wrts, expanded=seed % 2 == 0)
        wanted = sympy.diff(translate(text), *[NAMES[x] for x in wrts])
        found = translate(write(terms, term))
        assert sympy.expand(found - wanted) == 0, (text, wrts)  # exactly, every coefficient
