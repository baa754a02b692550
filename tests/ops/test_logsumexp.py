"""log-sum-exp at infinities, NaN, over nothing, and to second order, eager and compiled."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import slopewise as sw

INF, NAN = float("inf"), float("nan")
# operands, value, gradient
ROWS: list[tuple[list[float], float, list[float]]] = [
    ([-INF, -INF], -INF, [0, 0]),
    ([-INF, 2.0], 2, [0, 1]),
    ([INF, 0.0, -INF], INF, [1, 0, 0]),
    ([INF, 1.0, INF], INF, [0.5, 0, 0.5]),
    ([INF, INF, INF, INF], INF, [0.25] * 4),
    ([1.0, NAN], NAN, [NAN, NAN]),
    ([-0.0, 0.0], float(np.log(2)), [0.5, 0.5]),
    ([1e308, -1e308], 1e308, [1, 0]),
    ([-1e308, -1e308], -1e308, [0.5, 0.5]),
    ([1000.0, 0.0], 1000, [1, 0]),
    ([-1000.0, -1001.0], -1000 + float(np.log1p(1 / np.e)), [1 - 1 / (1 + np.e), 1 / (1 + np.e)]),
]  # fmt: skip


def total(x: Any) -> Any:
    return sw.logsumexp(x, 0)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(("x", "value", "slope"), ROWS)
def test_hard_places(x: list[float], value: float, slope: list[float], compiled: bool) -> None:
    wrap: Any = sw.compile if compiled else lambda f: f
    at = np.array(x)
    np.testing.assert_allclose(np.asarray(wrap(total)(at)), value, rtol=1e-15)
    np.testing.assert_allclose(np.asarray(wrap(sw.grad(total))(at)), slope, rtol=1e-14, atol=0)
    both = wrap(sw.value_and_grad(total))(at)
    np.testing.assert_allclose(np.asarray(both[0]), value, rtol=1e-15)
    np.testing.assert_allclose(np.asarray(both[1]), slope, rtol=1e-14, atol=0)
    forward = sw.jacobian(lambda v: total(v).reshape(1), mode="forward")
    np.testing.assert_allclose(np.asarray(wrap(forward)(at)), [slope], rtol=1e-14, atol=0)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_second_order(compiled: bool) -> None:
    wrap: Any = sw.compile if compiled else lambda f: f
    for x in ([0.3, -1.0, 2.0, 2.0], [700.0, 709.0, -900.0], [5.0]):
        p = np.exp(np.array(x) - max(x))
        p /= p.sum()
        expected = np.diag(p) - np.outer(p, p)
        for make in (sw.hessian, lambda f: sw.jacobian(sw.grad(f), mode="reverse")):
            found = np.asarray(wrap(make(total))(np.array(x)))
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    third = sw.grad(lambda v: sw.hessian(total)(v)[0, 0])(np.array([0.0, 1.0]))
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(third.numpy()[0], p * (1 - p) * (1 - 2 * p), rtol=1e-12)


def test_over_nothing() -> None:
    assert sw.logsumexp(sw.zeros(2, 0), 1).tolist() == [-INF, -INF]
    assert sw.grad(lambda x: sw.logsumexp(x, 1).sum())(sw.zeros(2, 0)).shape == (2, 0)
    assert sw.grad(lambda x: sw.logsumexp(x, 1).sum())(sw.zeros(0, 2)).shape == (0, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shares_to_a_few_units(dtype: Any) -> None:
    x = (np.random.default_rng(0).standard_normal(40) * 10).astype(dtype)
    with mp.workdps(40):
        parts = [mp.exp(mp.mpf(float(v))) for v in x]
        right = [p / mp.fsum(parts) for p in parts]
        for found in (sw.grad(total)(x).numpy(), sw.compile(sw.grad(total))(x)):
            unit = float(np.finfo(dtype).eps)
            worst = max(abs(mp.mpf(float(f)) / r - 1) for f, r in zip(found, right, strict=True))
            # exp of a difference of up to 40, rounded, and then four operations.
            assert worst < (40 / 2 + 4) * unit
