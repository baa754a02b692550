"""Recognised compositions: their values at hard places, hooks, detached parts, and their list.

Invariant: what a user writes is compared with plain NumPy where that is right, and with stated
numbers or the better function where it is not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._transform.stabilize import RECOGNITIONS

INF, NAN = float("inf"), float("nan")
SPECIAL = np.array([INF, -INF, NAN, -0.0, 0.0, 1e300, -1e300, 1e-300, 709.7, -745.2])
COMMON = np.array([-3.0, -0.5, -0.0, 0.25, 2.0, 5.0])
Case = tuple[str, Callable[[Any, Any], Any], Callable[[Any], Any]]

# What is seen, as a user writes it with a module of mathematics, and what is to be computed.
CASES: list[Case] = [
    ("log(softmax(u))", lambda m, u: m.log(m.softmax(u, 0)), lambda u: sw.log_softmax(u, 0)),
    ("log(sigmoid(u))", lambda m, u: m.log(m.sigmoid(u)), sw.logsigmoid),
    ("log(1 - sigmoid(u))", lambda m, u: m.log(1 - m.sigmoid(u)), lambda u: sw.logsigmoid(-u)),
    ("log(exp(u))", lambda m, u: m.log(m.exp(u)), lambda u: u + 0.0),
    ("log(sum(exp(u)))", lambda m, u: m.log(m.exp(u).sum()), lambda u: sw.logsumexp(u, 0)),
    (
        "log(sum(exp(u)) / n)",
        lambda m, u: m.log(m.exp(u).mean()),
        lambda u: sw.logsumexp(u, 0) - float(np.log(len(u))),
    ),
    ("log(1 + exp(u))", lambda m, u: m.log(1 + m.exp(u)), sw.softplus),
    ("log1p(exp(u))", lambda m, u: m.log1p(m.exp(u)), sw.softplus),
    ("log1p(-sigmoid(u))", lambda m, u: m.log1p(-m.sigmoid(u)), lambda u: sw.logsigmoid(-u)),
    ("1 / (1 + exp(u))", lambda m, u: (1 + m.exp(u)) ** -1.0, lambda u: sw.sigmoid(-u)),
    (
        "1 / (1 + exp(u)), exp(u) / (1 + exp(u))",
        lambda m, u: m.exp(u) / (1 + m.exp(u)),
        sw.sigmoid,
    ),
    ("exp(u) / sum(exp(u))", lambda m, u: m.exp(u) / m.exp(u).sum(), lambda u: sw.softmax(u, 0)),
    (
        "sqrt(u * u + v * v)",
        lambda m, u: (lambda v: m.sqrt(u * u + v * v))(u * 0.5),
        lambda u: sw.hypot(u, u * 0.5),
    ),
]
IDS = [case[0] for case in CASES]


class Plain:
    """NumPy, with the two functions that it lacks."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def sigmoid(u: Any) -> Any:
        return 1 / (1 + np.exp(-u))

    @staticmethod
    def softmax(u: Any, axis: int) -> Any:
        return np.exp(u) / np.exp(u).sum(axis)


def test_every_record_is_tested() -> None:
    assert [r.seen for r in RECOGNITIONS] == IDS


def test_the_page_lists_what_the_code_recognises() -> None:
    page = Path(__file__).parents[2] / "docs" / "compositions.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    assert rows[0] == ["Name", "You write", "It computes", "What it mends", "When"]
    assert rows[2:] == [
        [r.name, f"`{r.seen}`", f"`{r.computed}`", r.mends, r.valid] for r in RECOGNITIONS
    ]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("seen", "written", "better"), CASES, ids=IDS)
def test_values(seen: str, written: Any, better: Any, dtype: Any, compiled: bool) -> None:
    wrap: Any = sw.compile if compiled else lambda f: f
    rtol = 1e-5 if dtype is np.float32 else 1e-13
    found = wrap(lambda u: written(sw, u))(sw.tensor(COMMON.astype(dtype)))
    np.testing.assert_allclose(found.numpy(), written(Plain(), COMMON), rtol=rtol)
    # One at a time, as a sum mixes them; then all that go together.
    pieces = [SPECIAL[i : i + 1] for i in range(len(SPECIAL))]
    pieces += [np.array([INF, 0.0]), np.array([-INF, -INF]), np.array([1000.0, -1000.0])]
    f, g = wrap(lambda u: written(sw, u)), wrap(better)
    for piece in pieces:
        with np.errstate(over="ignore"):
            u = sw.tensor(piece.astype(dtype))
        np.testing.assert_allclose(f(u).numpy(), g(u).numpy(), rtol=0 if not compiled else rtol)


@pytest.mark.parametrize("mode", ["reverse", "forward", "compiled"])
@pytest.mark.parametrize(("seen", "written", "better"), CASES, ids=IDS)
def test_slopes(seen: str, written: Any, better: Any, mode: str) -> None:
    def slope(f: Any) -> Any:
        if mode == "forward":
            return lambda u: sw.jvp(f, (u,), (sw.ones_like(u),))[1]
        made = sw.grad(lambda u: (f(u) * sw.cos(u.detach())).sum())
        return sw.compile(made) if mode == "compiled" else made

    for piece in ([0.0, 0.0], [1000.0, -1000.0], [3.0, -0.5], [1e200, 2e200], [INF, 1.0], [NAN]):
        u = sw.tensor(piece, dtype=sw.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sw.errors.GradientWarning)
            found, right = slope(lambda v: written(sw, v))(u), slope(better)(u)
        np.testing.assert_allclose(found.numpy(), right.numpy(), rtol=1e-12, atol=1e-300)


class TestHypotenuse:
    @pytest.mark.parametrize(
        "square", [lambda u: u * u, lambda u: u**2, sw.square], ids=["u*u", "u**2", "square"]
    )
    @pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
    def test_no_overflow_and_no_nan_at_zero(self, square: Any, compiled: bool) -> None:
        def length(p: Any) -> Any:
            u, v = p[0], p[1]
            return sw.sqrt(square(u) + square(v))

        wrap: Any = sw.compile if compiled else lambda f: f
        for dtype, big in ((sw.float64, 1e200), (sw.float32, 1e25)):
            for at, value, slope in (
                ([0.0, 0.0], 0, [0, 0]),
                ([-0.0, 0.0], 0, [0, 0]),
                ([3 * big, -4 * big], 5 * big, [0.6, -0.8]),
                ([3 / big, 4 / big], 5 / big, [0.6, 0.8]),
                ([INF, 1.0], INF, [1, 0]),
                ([1.0, -INF], INF, [0, -1]),
                ([INF, NAN], INF, None),
                ([1.0, NAN], NAN, None),
            ):
                p = sw.tensor(at, dtype=dtype)
                np.testing.assert_allclose(wrap(length)(p).item(), value, rtol=1e-6)
                if slope is not None:
                    np.testing.assert_allclose(
                        wrap(sw.grad(length))(p).numpy(), slope, rtol=1e-6, atol=1e-30
                    )

    def test_batched_and_broadcast(self) -> None:
        u, v = sw.zeros(3, 1), sw.tensor([0.0, 4.0])
        slope = sw.grad(lambda u, v: sw.sqrt(u * u + v * v).sum(), (0, 1))
        assert slope(u, v)[0].tolist() == [[0.0]] * 3
        assert slope(u, v)[1].tolist() == [0.0, 3.0]
        mapped = sw.vmap(sw.grad(lambda u, v: sw.sqrt(u * u + v * v)))
        assert mapped(sw.tensor([0.0, 3.0]), v).tolist() == [0.0, pytest.approx(0.6)]

    def test_a_constant_leg(self) -> None:
        u = sw.tensor(0.0, requires_grad=True)
        leg = sw.tensor(0.0)
        sw.sqrt(u * u + leg * leg).backward()
        assert u.grad.item() == 0

    def test_hooks_and_gradients_of_what_is_passed_by(self) -> None:
        u = sw.tensor(3.0, requires_grad=True)
        v = sw.tensor(4.0, requires_grad=True)
        squared = u * u
        squared.retain_grad()
        sw.sqrt(squared + v * v).backward()
        assert squared.grad.item() == pytest.approx(0.1)
        assert u.grad.item() == pytest.approx(0.6)
        u.grad = None
        squared = u * u
        squared.register_hook(lambda bar: bar * 10)
        sw.sqrt(squared + v * v).backward()
        assert u.grad.item() == pytest.approx(6.0)

    def test_a_detached_square_ends_the_gradient(self) -> None:
        u = sw.tensor(3.0, requires_grad=True)
        v = sw.tensor(4.0, requires_grad=True)
        sw.sqrt((u * u).detach() + v * v).backward()
        assert u.grad is None
        assert v.grad.item() == pytest.approx(0.8)
        with sw.no_grad():
            held = u * u
        sw.sqrt(held + v * v).backward()
        assert u.grad is None

    def test_what_is_not_two_squares_of_one_dtype_is_left_alone(self) -> None:
        u, v = sw.tensor(1e200, dtype=sw.float64), sw.tensor(2e200, dtype=sw.float64)
        assert sw.sqrt(u * u + u * v).item() == INF
        assert sw.sqrt(u * u + 1).item() == INF
        assert sw.sqrt(u * u - v * v).isnan().item()
        whole = sw.tensor([3, 5])
        assert sw.sqrt(whole * whole + whole * whole).tolist()[0] == pytest.approx(18**0.5)
        single = sw.tensor(3.0, dtype=sw.float32)
        mixed = sw.sqrt(single * single + sw.tensor([16.0], dtype=sw.float64) ** 2)
        assert mixed.dtype == sw.float64
        changed = u * u
        changed[...] = 9.0
        assert sw.sqrt(changed + sw.tensor(4.0, dtype=sw.float64) ** 2).item() == 5

    def test_a_mean_of_squares_remembers_nothing(self) -> None:
        x = sw.tensor([1.0, 2.0])
        assert (x * x)._origin is not None
        assert (x * x).sum()._origin is None
        assert ((x - 1) ** 2).mean()._origin is None
        assert sw.log(sw.exp(x * x * 1000).sum()).item() == 4000
