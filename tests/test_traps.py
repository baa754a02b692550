"""Hard places: where gradients are commonly NaN, wrong or silently zero.

Invariant: each row runs in float32 and float64, in reverse and forward mode, as it stands and with
other operations around it; the right answers are stated as numbers, never computed by the engine.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import GradientError, GradientWarning

INF = float("inf")
NAN = float("nan")
Function = Callable[[Any], Any]

# name, function, where, its gradient
ROWS: list[tuple[str, Function, Any, Any]] = [
    ("where keeps sqrt away", lambda x: sw.where(x > 0, sw.sqrt(x), x), -4.0, 1.0),
    ("where keeps log away", lambda x: sw.where(x > 0, sw.log(x), 2 * x), -4.0, 2.0),
    ("where keeps pow away", lambda x: sw.where(x > 0, x**0.3, 3 * x), 0.0, 3.0),
    ("where keeps asin away", lambda x: sw.where(abs(x) < 1, sw.asin(x), x), 1.0, 1.0),
    ("sinc", lambda x: sw.where(x != 0, sw.sin(x) / x, 1.0), 0.0, 0.0),
    ("0/0 masked", lambda x: sw.where(x == 0, 0.0, 3.0 / x), 0.0, 0.0),
    ("division indexed away", lambda x: (x / sw.tensor([0.0, 2.0], dtype=x.dtype))[1], [1.0, 1.0], [0.0, 0.5]),
    ("divisor indexed away", lambda x: (1 / x)[1], [0.0, 2.0], [0.0, -0.25]),
    ("norm at 0", lambda x: sw.norm(x), [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    ("norm of huge numbers", lambda x: sw.norm(x), [3e30, 4e30], [0.6, 0.8]),
    ("Frobenius norm at 0", lambda x: sw.linalg.matrix_norm(x), [[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
    ("x^0 at 0", lambda x: x**0, 0.0, 0.0),
    ("x^y at y = 0", lambda x: x ** sw.tensor(0.0, dtype=x.dtype), 0.0, 0.0),
    ("0^y", lambda y: sw.tensor(0.0, dtype=y.dtype) ** y, 2.0, 0.0),
    ("std of a constant", lambda x: sw.std(x), [2.0, 2.0, 2.0], [0.0, 0.0, 0.0]),
    ("std of a constant, times something", lambda x: sw.std(x) * 5 + x.sum(), [2.0, 2.0], [1.0, 1.0]),
    ("prod with a zero", lambda x: sw.prod(x), [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    ("prod with two zeros", lambda x: sw.prod(x), [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    ("cumprod with a zero", lambda x: sw.cumprod(x, 0).sum(), [0.0, 2.0, 3.0], [9.0, 0.0, 0.0]),
    ("log softmax, one step late", lambda x: sw.log(sw.softmax(x, 0))[1], [1000.0, 0.0], [-1.0, 1.0]),
    ("log of one softmax entry", lambda x: sw.log(sw.softmax(x, 0)[1]), [1000.0, 0.0], [-1.0, 1.0]),
    ("log of a gathered softmax", lambda x: sw.log(sw.softmax(x, 0).gather(0, sw.tensor([1]))).sum(), [1000.0, 0.0], [-1.0, 1.0]),
    ("log of a naive softmax", lambda x: (lambda e: sw.log(e / e.sum())[1])(sw.exp(x)), [1000.0, 0.0], [-1.0, 1.0]),
    ("log_softmax with -inf", lambda x: sw.log_softmax(x, 0)[0], [0.0, 0.0, -INF], [0.5, -0.5, 0.0]),
    ("logsumexp of nothing but -inf", lambda x: sw.logsumexp(x, 0), [-INF, -INF], [0.0, 0.0]),
    ("log sum exp, by hand", lambda x: sw.log(sw.exp(x).sum()), [1000.0, 0.0], [1.0, 0.0]),
    ("log mean exp, by hand", lambda x: sw.log(sw.exp(x).mean()), [1000.0, 0.0], [1.0, 0.0]),
    ("log(1+exp x)", lambda x: sw.log(1 + sw.exp(x)), 1000.0, 1.0),
    ("log(exp x + 1)", lambda x: sw.log(sw.exp(x) + 1.0), 1000.0, 1.0),
    ("log1p(exp x)", lambda x: sw.log1p(sw.exp(x)), 1000.0, 1.0),
    ("1/(1+exp(-x))", lambda x: 1 / (1 + sw.exp(-x)), -1000.0, 0.0),
    ("(1+exp(-x))^-1", lambda x: (1 + sw.exp(-x)) ** -1, -1000.0, 0.0),
    ("exp(x)/(1+exp(x))", lambda x: sw.exp(x) / (1 + sw.exp(x)), 1000.0, 0.0),
    ("cross-entropy of a sigmoid, by hand", lambda x: -sw.log(1 - sw.sigmoid(x)), 100.0, 1.0),
    ("log of a sigmoid", lambda x: sw.log(sw.sigmoid(x)), -1000.0, 1.0),
    ("log of a hand-made sigmoid", lambda x: sw.log(1 / (1 + sw.exp(-x))), -1000.0, 1.0),
    ("abs at 0", lambda x: abs(x), 0.0, 0.0),
    ("relu at 0", lambda x: sw.relu(x), 0.0, 0.0),
    ("maximum at a tie", lambda x: sw.maximum(x, sw.tensor(2.0, dtype=x.dtype)), 2.0, 0.5),
    ("minimum at a tie", lambda x: sw.minimum(x, sw.tensor(2.0, dtype=x.dtype)), 2.0, 0.5),
    ("clamp at its edge", lambda x: sw.clamp(x, 0.0, 1.0), 1.0, 1.0),
    ("max with ties", lambda x: sw.max(x), [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
    ("amin with ties", lambda x: sw.amin(x), [3.0, 3.0, 3.0, 4.0], [1 / 3, 1 / 3, 1 / 3, 0.0]),
    ("hypot(0, 0)", lambda x: sw.hypot(x[0], x[1]), [0.0, 0.0], [0.0, 0.0]),
    ("cdist(x, x)", lambda x: sw.cdist(x, x).sum(), [[1.0, 2.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]),
    ("x * 0 at inf", lambda x: x * 0, INF, 0.0),
    ("repeated rows", lambda x: x[[0, 0]].sum(), [1.0, 1.0], [2.0, 0.0]),
    ("a broadcast operand", lambda x: (x * sw.ones(3, 2, dtype=x.dtype)).sum(), [1.0, 2.0], [3.0, 3.0]),
    ("det of a singular matrix", lambda x: sw.det(x), [[1.0, 2.0], [2.0, 4.0]], [[4.0, -2.0], [-2.0, 1.0]]),
    ("sum of equal eigenvalues", lambda x: sw.linalg.eigvalsh(x).sum(), [[2.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]),
]  # fmt: skip
IDS = [row[0] for row in ROWS]
WRAPPERS: list[tuple[str, Callable[[Function], Function]]] = [
    ("as it stands", lambda f: f),
    ("with a shift undone", lambda f: lambda x: f(x.reshape(x.shape)) + 0.0 * f(x).detach()),
    ("inside a stack", lambda f: lambda x: sw.stack([f(x), f(x) * 0])[0]),
]


def gradient(function: Function, at: Any, dtype: Any) -> Any:
    x = sw.tensor(at, dtype=dtype, requires_grad=True)
    function(x).backward()
    return x.grad.numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "function", "at", "right"), ROWS, ids=IDS)
def test_reverse_mode(name: str, function: Function, at: Any, right: Any, dtype: Any) -> None:
    np.testing.assert_allclose(gradient(function, at, dtype), right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "function", "at", "right"), ROWS, ids=IDS)
def test_forward_mode_agrees(
    name: str, function: Function, at: Any, right: Any, dtype: Any
) -> None:
    x = np.asarray(at, dtype)
    total = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        direction = np.zeros_like(x)
        direction[place] = 1
        total[place] = sw.jvp(function, (x,), (direction,))[1].item()
    np.testing.assert_allclose(total, right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "function", "at", "right"), ROWS, ids=IDS)
def test_inside_other_operations(name: str, function: Function, at: Any, right: Any) -> None:
    for _, wrap in WRAPPERS:
        found = gradient(wrap(function), at, np.float64)
        if np.isfinite(np.asarray(at)).all():
            np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "function", "at", "right"), ROWS, ids=IDS)
def test_value_is_the_same_without_gradients(
    name: str, function: Function, at: Any, right: Any
) -> None:
    x = sw.tensor(at, dtype=np.float64, requires_grad=True)
    recorded = function(x).detach().numpy()
    with sw.no_grad():
        np.testing.assert_array_equal(function(x).numpy(), recorded)
    np.testing.assert_array_equal(function(x.detach()).numpy(), recorded)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_of_recognised_compositions(dtype: Any) -> None:
    x = sw.tensor([1000.0, 0.0], dtype=dtype)
    np.testing.assert_array_equal(sw.log(sw.softmax(x, 0)).numpy(), [0, -1000])
    np.testing.assert_array_equal(sw.log(1 + sw.exp(x)).numpy()[0], 1000)
    np.testing.assert_array_equal((1 / (1 + sw.exp(x))).numpy(), [0, 0.5])
    np.testing.assert_array_equal(sw.log(sw.softmax(x, 0).detach()).numpy(), [0, -1000])


def test_recognition_ends_with_a_change_in_place() -> None:
    x = sw.tensor([1000.0, 0.0])
    p = sw.softmax(x, 0)
    p[1] = 0.5
    np.testing.assert_allclose(sw.log(p).numpy(), [0, np.log(0.5)], rtol=1e-6)
    p = sw.softmax(x, 0)
    x[0] = 0.0
    assert sw.log(p).numpy()[1] == -INF
    p = sw.softmax(sw.tensor([1000.0, 0.0]), 0)
    p.numpy()[1] = 0.5
    np.testing.assert_allclose(sw.log(p).numpy(), [0, np.log(0.5)], rtol=1e-6)


def test_hooks_on_passed_values_still_work() -> None:
    x = sw.tensor([1000.0, 0.0], requires_grad=True)
    p = sw.softmax(x, 0)
    p.retain_grad()
    seen: list[Any] = []
    p.register_hook(lambda bar: seen.append(bar))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientWarning)
        sw.log(p)[0].backward()
    np.testing.assert_array_equal(p.grad.numpy(), [1, 0])
    assert len(seen) == 1
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0])


def test_a_hook_that_changes_a_passed_gradient_cancels_the_bypass() -> None:
    x = sw.tensor([1.0, 0.0], requires_grad=True)
    p = sw.softmax(x, 0)
    p.register_hook(lambda bar: bar * 2)
    (sw.log(p)[1] + p[0]).backward()
    q = p.detach().numpy()
    bar = 2 * np.array([1.0, 1 / q[1]])
    np.testing.assert_allclose(x.grad.numpy(), q * (bar - (q * bar).sum()), rtol=1e-5)


def test_gradient_of_a_passed_value_itself() -> None:
    x = sw.tensor([1.0, 0.0], requires_grad=True)
    p = sw.softmax(x, 0)
    by_x, by_p = sw.autograd.grad(sw.log(p)[1] + p[0], [x, p])
    q = p.detach().numpy()
    np.testing.assert_allclose(by_p.numpy(), [1, 1 / q[1]], rtol=1e-6)
    np.testing.assert_allclose(by_x.numpy(), q * (np.array([1, 1 / q[1]]) - 1 - q[0]), rtol=1e-5)


def test_infinite_slopes_are_explained() -> None:
    x = sw.tensor(0.0, requires_grad=True)
    with pytest.warns(GradientWarning, match="sqrt"):
        sw.sqrt(x).backward()
    assert x.grad.item() == INF
    x = sw.tensor(0.0, requires_grad=True)
    with pytest.warns(GradientWarning, match=r"sqrt.*where\(\)"):
        sw.sqrt(x**2).backward()
    assert np.isnan(x.grad.item())
    y = sw.tensor(2.0, requires_grad=True)
    with pytest.warns(GradientWarning, match="pow"):
        (sw.tensor(-2.0) ** y).backward()
    assert np.isnan(y.grad.item())
    with sw.autograd.detect_anomaly(), pytest.raises(GradientError, match=r"test_traps\.py, line"):
        sw.sqrt(x).backward()


def test_x_log_x_at_zero() -> None:
    assert gradient(lambda x: x * sw.log(x), 0.0, np.float64) == -INF


def test_second_derivatives_at_a_zero_residual() -> None:
    f = lambda u: (u**2 - 1) ** 2  # noqa: E731
    assert sw.grad(sw.grad(f))(1.0).item() == 8
    a = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    x = np.array([1.0, -1.0])
    target = sw.tensor(a @ x)
    loss = lambda v: ((sw.tensor(a) @ v - target) ** 2).sum()  # noqa: E731
    np.testing.assert_allclose(sw.hessian(loss)(x).numpy(), 2 * a.T @ a, rtol=1e-12)


def test_repeated_positions_add_once_in_place() -> None:
    x = sw.tensor([1.0, 2.0])
    x[[0, 0]] += 1
    np.testing.assert_array_equal(x.numpy(), [2, 2])


def test_equal_eigenvalues_have_no_eigenvector_gradient() -> None:
    a = sw.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
    with pytest.raises(GradientError, match="eigvalsh"):
        sw.linalg.eigh(a).eigenvectors.sum().backward()


def test_integers_have_no_gradients() -> None:
    with pytest.raises(RuntimeError, match="floating point"):
        sw.tensor([1, 2], requires_grad=True)


class TestChangesInPlace:
    """A saved value that is changed is an error, or the change does not reach it."""

    def test_by_an_operation(self) -> None:
        x = sw.tensor([2.0], requires_grad=True)
        h = x * 1
        y = h * h
        with sw.no_grad():
            h += 1
        with pytest.raises(GradientError, match="modified by an inplace operation"):
            y.sum().backward()

    @pytest.mark.parametrize("how", ["data", "numpy", "detach", "array", "dlpack", "view"])
    def test_through_an_alias_taken_later(self, how: str) -> None:
        x = sw.tensor([2.0], requires_grad=True)
        h = x * 1
        y = h * h
        self.change(h, how)
        with pytest.raises(GradientError, match="modified by an inplace operation"):
            y.sum().backward()

    @pytest.mark.parametrize("how", ["numpy", "array", "dlpack"])
    def test_through_an_alias_taken_earlier(self, how: str) -> None:
        x = sw.tensor([2.0], requires_grad=True)
        h = x * 1
        alias = self.alias(h, how)
        y = h * h
        self.overwrite(alias)
        y.sum().backward()
        assert x.grad.item() == 4

    def test_from_numpy_shares_but_saved_values_are_copies(self) -> None:
        a = np.array([2.0])
        t = sw.from_numpy(a)
        a[0] = 3
        assert t.item() == 3
        w = sw.tensor([1.0], dtype=sw.float64, requires_grad=True)
        y = w * t
        a[0] = 7
        y.sum().backward()
        assert w.grad.item() == 3

    def alias(self, h: Any, how: str) -> Any:
        h = h.detach()
        if how == "numpy":
            return h.numpy()
        if how == "array":
            return np.asarray(h)
        return np.from_dlpack(h)

    def change(self, h: Any, how: str) -> None:
        if how == "data":
            h.data.add_(1)
        elif how == "detach":
            h.detach().mul_(2)
        elif how == "view":
            h.detach()[:1].zero_()
        else:
            self.overwrite(self.alias(h, how))

    def overwrite(self, alias: Any) -> None:
        """Write through memory, as another library would (NumPy itself imports DLPack read-only)."""
        new = np.full(alias.shape, 9, alias.dtype)
        ctypes.memmove(alias.ctypes.data, new.ctypes.data, new.nbytes)


def test_backward_twice_says_how_to_keep_the_graph() -> None:
    x = sw.tensor(2.0, requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(GradientError, match="retain_graph=True"):
        y.backward()
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12


def test_grad_of_a_computed_tensor_is_explained() -> None:
    w = sw.tensor(4.0, requires_grad=True)
    (w**2).backward()
    w = w - 0.1 * w.grad
    (w**2).backward()
    with pytest.warns(UserWarning, match=r"no_grad\(\): w -= lr"):
        assert w.grad is None


def test_long_chains() -> None:
    x = sw.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1
    y = x
    for _ in range(200_000):
        y = sw.sin(y)
    del y
