"""Long formulas: compiled without recursion, in functions of their own, and refused if endless."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile import assembly, lowering, memory, nest


@pytest.fixture(autouse=True)
def _without_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOPEWISE_CACHE", "off")


def test_a_function_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "_LONGEST", 100)

    def long_one(x: Any) -> Any:
        for _ in range(101):
            x = sw.sin(x)
        return x

    with pytest.raises(sw.errors.TraceError, match=r"long_one: .*101 operations.*fori_loop"):
        sw.compile(long_one)(np.ones(3))


def test_a_long_formula_is_compiled_and_right() -> None:
    def long_one(x: Any, a: Any, b: Any) -> Any:
        for _ in range(2000):
            x = sw.sin(x) * a + b
        return x

    x, a, b = 0.3, 0.9, 0.2
    wanted = long_one(np.float64(x), a, b)
    compiled = sw.compile(long_one)
    np.testing.assert_allclose(compiled(x, a, b), float(wanted), rtol=1e-12)
    slopes = sw.compile(sw.grad(long_one, (0, 1, 2)))(x, a, b)
    np.testing.assert_allclose(
        slopes, [float(s) for s in sw.grad(long_one, (0, 1, 2))(x, a, b)], rtol=1e-9
    )


def formula(x: Any, a: Any) -> Any:
    total = x * 0.0
    for k in range(1, 6):
        u = sw.tanh(x * k) + a * sw.exp(-x * x / k)
        total = total + sw.log(1.0 + u * u) * sw.sin(u)
    return total * a


@pytest.mark.parametrize("size", [1, 3, 50])
def test_functions_that_are_called_give_the_same_bits(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.linspace(-2.0, 2.0, size)
    made: list[bytes] = []
    for crowd in (0, 1 << 30):
        monkeypatch.setattr(nest, "CROWD", crowd)
        gradient = sw.compile(sw.grad(lambda x, a: formula(x, a).sum(), (0, 1)))
        slopes = gradient(x, 0.7)
        made.append(b"".join(np.asarray(s).tobytes() for s in slopes))
        assert ("slopewise.tanh" in gradient.llvm()) is (crowd == 0)
    assert made[0] == made[1]


def test_numbers_in_many_functions_and_beyond_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    gradient = sw.grad(formula, (0, 1))
    wanted = [float(s) for s in gradient(0.3, 0.9)]
    monkeypatch.setattr(assembly, "IN_PLACE", 3)
    monkeypatch.setattr(memory, "MANY", 2)
    compiled = sw.compile(gradient)
    np.testing.assert_allclose(compiled(0.3, 0.9), wanted, rtol=1e-13)
