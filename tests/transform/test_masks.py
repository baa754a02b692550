"""Masks: a branch that `where` does not select gives no gradient, however singular it is.

Invariant: each row is NaN or infinite inside where it is masked; the answers are stated as numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw

Function = Callable[[Any], Any]
# name, function of one number; masked at 0
ROWS: list[tuple[str, Function]] = [
    ("x / x", lambda x: x / x),
    ("squared", lambda x: (sw.sin(x) / x) ** 2),
    ("times itself", lambda x: (x / x) * (x / x)),
    ("x log x", lambda x: x * sw.log(x)),
    ("x times 1/x", lambda x: x * (1 / x)),
    ("x times a power", lambda x: x * x**-1),
    ("in exp", lambda x: sw.exp(x / x)),
    ("in sin", lambda x: sw.sin(x / x)),
    ("in tanh, summed", lambda x: x / x + sw.tanh(x / x)),
    ("in softmax", lambda x: sw.softmax(sw.stack([x / x, x]), 0)[0]),
    ("in a norm", lambda x: sw.norm(sw.stack([x / x, x]))),
    ("in logsumexp", lambda x: sw.logsumexp(sw.stack([x / x, x]), 0)),
    ("in a product", lambda x: sw.prod(sw.stack([x / x, x]))),
    ("in a variance", lambda x: sw.var(sw.stack([x / x, x]))),
    ("in a composition", lambda x: sw.log(1 + sw.exp(x / x))),
    ("in a hypotenuse", lambda x: (lambda q: sw.sqrt(q * q + x * x))(x / x)),
]
MODES: dict[str, Callable[[Function], Function]] = {
    "grad": sw.grad,
    "grad of grad": lambda f: sw.grad(sw.grad(f)),
    "jvp": lambda f: lambda x: sw.jvp(f, (x,), (1.0,))[1],
    "jvp of grad": lambda f: lambda x: sw.jvp(sw.grad(f), (x,), (1.0,))[1],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "function"), ROWS, ids=[row[0] for row in ROWS])
def test_what_is_masked_gives_no_gradient(name: str, function: Function, mode: str) -> None:
    slope = MODES[mode](lambda x: sw.where(x > 0, function(x), 1.0))
    assert slope(0.0).item() == 0
    # Beside it an element that is selected has the slope that it has without a mask.
    x = np.array([0.0, 0.7])
    whole = sw.vmap(slope)(x).numpy()
    assert whole[0] == 0
    assert whole[1] == pytest.approx(MODES[mode](function)(0.7).item(), abs=1e-12)


@pytest.mark.parametrize("name", ["squared", "x log x", "in exp", "in softmax", "in a norm"])
def test_compiled(name: str) -> None:
    function = dict(ROWS)[name]
    slope = sw.vmap(sw.grad(lambda x: sw.where(x > 0, function(x), 1.0)))
    x = np.array([0.0, 0.7, 0.0, 1.3, 2.0])
    found = sw.compile(slope)(x)
    assert (found[[0, 2]] == 0).all()
    np.testing.assert_allclose(found, slope(x).numpy(), rtol=1e-13)


def test_backward_of_tensors() -> None:
    x = sw.tensor([0.0, 2.0], requires_grad=True)
    sw.where(x > 0, x * sw.log(x), 0.0).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, np.log(2) + 1], rtol=1e-6)
    x.grad = None
    (x * sw.log(x)).masked_fill(x == 0, 0.0).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, np.log(2) + 1], rtol=1e-6)


def test_what_is_selected_stays_undefined() -> None:
    slope = sw.grad(lambda x: sw.where(x >= 0, x * sw.log(x), 0.0))
    assert slope(0.0).item() == -np.inf


def test_the_second_derivative_at_a_zero_residual_is_kept() -> None:
    f = lambda x: sw.where(x > -5, (x**2 - 1) ** 2, 0.0)  # noqa: E731
    assert sw.grad(sw.grad(f))(1.0).item() == 8
    assert sw.hessian(lambda x: sw.where(x > -5, x * x * 2, 0.0).sum())(
        sw.tensor([0.0, 0.0])
    ).tolist() == [[4, 0], [0, 4]]
