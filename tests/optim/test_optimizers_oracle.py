"""Every optimiser against PyTorch's, step by step over 100 steps from one start, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

STEPS = 100
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.02, "momentum": 0.9}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.001, "momentum": 0.5, "maximize": True}),
    ("SGD", {"lr": 0.001, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.01, "maximize": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "centered": True}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5}),
    ("Adagrad", {"lr": 0.3}),
    ("Adagrad", {"lr": 0.3, "lr_decay": 0.05, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.3, "initial_accumulator_value": 0.5, "eps": 1e-6}),
]


def loss_of(library: Any, weights: list[Any], x: Any, y: Any) -> Any:
    """Return a loss that is not convex, of a small network."""
    hidden = library.tanh(x @ weights[0] + weights[1])
    return ((hidden @ weights[2] - y) ** 2).mean()


class Problem:
    """One start and one data set in both libraries."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        start = [rng.standard_normal(s) for s in ((4, 5), (5,), (5, 2))]
        x, y = rng.standard_normal((20, 4)), rng.standard_normal((20, 2))
        self.libraries = (sw, torch)
        self.weights = [
            [lib.tensor(w.copy(), requires_grad=True) for w in start] for lib in (sw, torch)
        ]
        self.data = [(lib.tensor(x), lib.tensor(y)) for lib in (sw, torch)]

    def optimizers(self, name: str, options: dict[str, Any]) -> list[Any]:
        return [
            getattr(lib.optim, name)(w, **options)
            for lib, w in zip(self.libraries, self.weights, strict=True)
        ]

    def step(self, optimizers: list[Any]) -> None:
        for lib, weights, data, optimizer in zip(
            self.libraries, self.weights, self.data, optimizers, strict=True
        ):
            optimizer.zero_grad()
            loss_of(lib, weights, *data).backward()
            optimizer.step()

    def assert_equal(self, tolerance: float, what: str = "") -> None:
        for ours, theirs in zip(*self.weights, strict=True):
            np.testing.assert_allclose(
                ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance,
                err_msg=what,
            )  # fmt: skip


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: str(v))
def test_hundred_steps(name: str, options: dict[str, Any]) -> None:
    problem = Problem()
    optimizers = problem.optimizers(name, options)
    for i in range(STEPS):
        problem.step(optimizers)
        problem.assert_equal(1e-9, f"step {i}")


@pytest.mark.parametrize(
    "options",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 5},
        {"lr": 0.1, "max_iter": 4},
        {"lr": 0.5, "max_iter": 10, "history_size": 10},
    ],
    ids=str,
)
def test_lbfgs(options: dict[str, Any]) -> None:
    # The penalty makes the minimum a point. Without it the steps are chaotic: PyTorch itself ends
    # elsewhere when the start moves by 1e-15.
    problem = Problem()
    optimizers = problem.optimizers("LBFGS", options)
    for i in range(STEPS):
        losses = []
        for lib, weights, data, optimizer in zip(
            problem.libraries, problem.weights, problem.data, optimizers, strict=True
        ):

            def closure(lib=lib, weights=weights, data=data, optimizer=optimizer) -> Any:
                optimizer.zero_grad()
                loss = loss_of(lib, weights, *data)
                loss = loss + 0.05 * sum((w**2).sum() for w in weights)
                loss.backward()
                return loss

            losses.append(optimizer.step(closure).item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
        problem.assert_equal(1e-6, f"step {i}")


def rosenbrock(w: Any) -> Any:
    """Return Rosenbrock's function, whose minimum lies in a curved valley."""
    return ((1 - w[:-1]) ** 2).sum() + 100 * ((w[1:] - w[:-1] ** 2) ** 2).sum()


def test_lbfgs_takes_the_same_evaluations_down_a_curved_valley() -> None:
    counts = []
    ends = []
    for lib in (sw, torch):
        w = lib.tensor(np.array([-1.2, 1.0, -0.5, 0.8]), requires_grad=True)
        optimizer = lib.optim.LBFGS([w], max_iter=100, line_search_fn="strong_wolfe")
        calls = []

        def closure(w=w, optimizer=optimizer, calls=calls) -> Any:
            optimizer.zero_grad()
            loss = rosenbrock(w)
            loss.backward()
            calls.append(loss.item())
            return loss

        optimizer.step(closure)
        counts.append(len(calls))
        ends.append(w.detach().numpy())
    assert counts[0] == counts[1]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)


def test_groups_with_settings_of_their_own() -> None:
    problem = Problem()
    optimizers = []
    for lib, (a, b, c) in zip(problem.libraries, problem.weights, strict=True):
        groups = [{"params": [a, b], "weight_decay": 0.1}, {"params": [c], "lr": 0.2}]
        optimizers.append(lib.optim.SGD(groups, lr=0.05, momentum=0.5))
    for _ in range(STEPS):
        problem.step(optimizers)
    problem.assert_equal(1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": 0.02, "momentum": 0.9}),
        ("Adam", {"lr": 0.05, "amsgrad": True}),
        ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.3}),
        ("Adagrad", {"lr": 0.3}),
    ],
)
def test_a_state_of_pytorch_goes_on_here(name: str, options: dict[str, Any]) -> None:
    problem = Problem()
    optimizers = problem.optimizers(name, options)
    for _ in range(5):
        problem.step(optimizers)
    theirs = optimizers[1].state_dict()
    state = {
        number: {k: np.array(v.numpy()) if hasattr(v, "numpy") else v for k, v in entries.items()}
        for number, entries in theirs["state"].items()
    }
    fresh = getattr(sw.optim, name)(problem.weights[0], **options)
    fresh.load_state_dict({"state": state, "param_groups": theirs["param_groups"]})
    for _ in range(20):
        problem.step([fresh, optimizers[1]])
    problem.assert_equal(1e-9)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf"), 3.0])
@pytest.mark.parametrize("max_norm", [0.1, 1e3])
def test_clip_grad_norm(norm_type: float, max_norm: float) -> None:
    problem = Problem()
    totals = []
    for lib, weights, data in zip(problem.libraries, problem.weights, problem.data, strict=True):
        loss_of(lib, weights, *data).backward()
        totals.append(lib.nn.utils.clip_grad_norm_(weights, max_norm, norm_type).item())
    assert totals[0] == pytest.approx(totals[1], rel=1e-10)
    for ours, theirs in zip(*problem.weights, strict=True):
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-10)


def test_clip_grad_value() -> None:
    problem = Problem()
    for lib, weights, data in zip(problem.libraries, problem.weights, problem.data, strict=True):
        loss_of(lib, weights, *data).backward()
        lib.nn.utils.clip_grad_value_(weights, 0.02)
    for ours, theirs in zip(*problem.weights, strict=True):
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-10)
