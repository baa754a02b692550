"""The few tests that run before every commit: the package imports, is quick to import, and learns.

They need nothing but NumPy and take well under five seconds.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

import slopewise as sw

pytestmark = pytest.mark.smoke

HEAVY = ["scipy", "llvmlite", "duckdb", "narwhals", "safetensors", "click", "rich", "jinja2"]
HEAVY += ["matplotlib", "torch"]


def test_scalar_cell():
    w = sw.tensor(4.0, requires_grad=True)
    loss = (w - 3) ** 2
    loss.backward()
    assert (loss.item(), w.item(), w.grad.item()) == (1.0, 4.0, 2.0)


def test_one_step_of_descent():
    w = sw.tensor(4.0, requires_grad=True)
    ((w - 3) ** 2).backward()
    sw.optim.SGD([w], lr=0.5).step()
    assert w.item() == 3.0


def test_a_missing_gradient_is_explained():
    w = sw.tensor(4.0)
    loss = (w - 3) ** 2
    with pytest.raises(RuntimeError, match=r"does not require grad(.|\n)*`w`"):
        loss.backward()


def test_gradient_of_a_small_network():
    sw.manual_seed(0)
    model = sw.nn.Sequential(sw.nn.Linear(2, 8), sw.nn.Tanh(), sw.nn.Linear(8, 1))
    x = sw.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = sw.tensor([[0.0], [1.0], [1.0], [0.0]])
    optimizer = sw.optim.SGD(model.parameters(), lr=0.1)
    losses: list[float] = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = sw.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_import_leaves_the_heavy_libraries_alone():
    program = f"import sys, slopewise; print([m for m in {HEAVY!r} if m in sys.modules])"
    path = f"import sys; sys.path[:0] = {sys.path!r}; "
    done = subprocess.run(
        [sys.executable, "-c", path + program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
