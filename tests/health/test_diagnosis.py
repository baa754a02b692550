"""Networks whose fault is known, small enough to be examined at once, and healthy ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.health import Examination, Head, Inputs, Readings, Trajectory, diagnose, examine
from slopewise.health.progress import judge_progress
from slopewise.nn import functional as F

RNG = np.random.default_rng(5)
ANGLE = RNG.uniform(0, 2 * math.pi, 400)
INNER = RNG.integers(0, 2, 400)
RINGS = np.stack([np.cos(ANGLE), np.sin(ANGLE)], 1) * (1 - 0.5 * INNER[:, None])
RINGS = (RINGS + RNG.normal(scale=0.08, size=RINGS.shape)).astype(np.float32)
BLOBS = (RNG.normal(size=(400, 6)) + 2 * np.eye(6)[RNG.integers(0, 3, 400)]).astype(np.float32)
KINDS = BLOBS[:, :3].argmax(1)


def chain(
    sizes: list[int], activation: Callable[[], Any], gain: float | None = None,
    last: list[Any] | None = None,
) -> nn.Sequential:  # fmt: skip
    layers: list[Any] = []
    for i, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        layers += [nn.Linear(rows, columns)] + ([activation()] if i < len(sizes) - 2 else [])
        with sw.no_grad():
            nn.init.kaiming_uniform_(layers[2 * i].weight, nonlinearity="relu")
            if gain is not None:
                layers[2 * i].weight.mul_(gain)
            layers[2 * i].bias.zero_()
    return nn.Sequential(*layers, *(last or []))


class Exp(nn.Module):
    def forward(self, x: Any) -> Any:
        return sw.exp(x)


def look(model: Any, x: Any = RINGS, y: Any = INNER, loss: Any = F.cross_entropy,
         optimizer: Any = None, **options: Any) -> Examination:  # fmt: skip
    return examine(model, loss, (x, y), optimizer=optimizer, **options)


def is_found(found: Examination, id: str, cause: str) -> bool:
    return (found.verdict, found.findings[0].cause if found.findings else "") == (id, cause)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_faults_that_one_batch_shows(seed: int) -> None:
    sw.manual_seed(seed)
    deep = [2, *[5] * 8, 2]
    assert is_found(look(chain(deep, nn.Sigmoid)), "vanishing", "activation")
    assert is_found(look(chain(deep, Exp)), "exploding", "activation")
    wide = [6, *[64] * 24, 3]
    assert is_found(look(chain(wide, nn.ReLU, 0.7), BLOBS, KINDS), "forward_collapse",
                    "initialisation")  # fmt: skip
    assert look(chain(wide, nn.ReLU, 2.0), BLOBS, KINDS).verdict == "exploding"
    assert is_found(look(chain([6, 64, 64, 3], nn.Tanh, 30.0), BLOBS, KINDS), "saturated",
                    "initialisation")  # fmt: skip
    far = look(chain([6, 32, 3], nn.ReLU), BLOBS * [1, 1, 1000, 1, 1, 1], KINDS)
    assert is_found(far, "input_scale", "input")


@pytest.mark.parametrize(
    ("last", "cause"), [(nn.ReLU(), "output"), (nn.Softmax(1), "twice"), (nn.Sigmoid(), "twice"),
                        (nn.Tanh(), "output")],
)  # fmt: skip
def test_an_activation_before_a_loss_of_logits(last: Any, cause: str) -> None:
    sw.manual_seed(0)
    found = look(chain([6, 32, 3], nn.ReLU, last=[last]), BLOBS, KINDS)
    assert is_found(found, "wrong_head", cause)


def test_other_heads() -> None:
    sw.manual_seed(0)
    x, y = RINGS, INNER[:, None].astype(np.float32)
    one = chain([2, 4, 1], nn.Sigmoid, last=[nn.Softmax(1)])
    assert is_found(look(one, x, y, F.mse_loss), "no_head_gradient", "one_unit")
    assert is_found(look(chain([2, 8, 2], nn.Tanh), loss=F.nll_loss), "wrong_head", "loss")
    far = look(chain([2, 8, 1], nn.Tanh, last=[nn.Sigmoid()]), x, 50 * y + 10, F.mse_loss)
    assert is_found(far, "wrong_head", "range")
    # These are as they should be.
    fine = [
        (chain([2, 8, 1], nn.Tanh, last=[nn.Sigmoid()]), y, F.binary_cross_entropy),
        (chain([2, 8, 1], nn.Tanh), y, F.binary_cross_entropy_with_logits),
        (chain([2, 8, 2], nn.Tanh, last=[nn.LogSoftmax(1)]), INNER, F.nll_loss),
        (chain([2, 8, 1], nn.Tanh), y, F.mse_loss),
    ]
    for model, target, loss in fine:
        assert look(model, x, target, loss).healthy


def test_a_loss_of_logits_is_known_where_functions_make_the_head() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(2, 8), nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            return F.softmax(self.two(F.relu(self.one(x))), 1)

    sw.manual_seed(0)
    assert is_found(look(Twice()), "wrong_head", "twice")


def test_symmetry_is_of_hidden_layers() -> None:
    model = chain([2, 8, 8, 2], nn.Tanh)
    with sw.no_grad():
        for layer in (model[0], model[2], model[4]):
            layer.weight.fill_(0.3)
    assert is_found(look(model), "symmetry", "constant")
    flat = nn.Linear(2, 2)
    with sw.no_grad():
        flat.weight.zero_()
    assert look(nn.Sequential(flat)).healthy


def test_a_layer_that_was_spoilt_is_named() -> None:
    sw.manual_seed(2)
    for what, verdict in (("dead", "dying_relu"), ("small", "forward_collapse")):
        model = chain([6, *[32] * 5, 3], nn.ReLU)
        with sw.no_grad():
            if what == "dead":
                model[4].bias.fill_(-50.0)
            else:
                model[4].weight.mul_(1e-5)
        found = look(model, BLOBS, KINDS)
        assert found.verdict == verdict
        assert found.findings[0].layer in ("4", "5")
        assert sum(found.findings[0].shares.values()) == pytest.approx(100)


def test_healthy_and_converged() -> None:
    sw.manual_seed(0)
    for sizes, activation in (([2, *[5] * 17, 2], nn.Tanh), ([2, 24, 24, 2], nn.ReLU),
                              ([2, 16, 2], nn.Sigmoid)):  # fmt: skip
        model = chain(sizes, activation)
        optimizer = sw.optim.Adam(model.parameters(), lr=5e-3)
        found = look(model, optimizer=optimizer, batch_size=64)
        assert found.healthy and found.verdict == "healthy", found.text()
    model = chain([6, 32, 3], nn.ReLU)
    optimizer = sw.optim.Adam(model.parameters(), lr=1e-2)
    x, y = sw.tensor(BLOBS), sw.tensor(KINDS)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    found = look(model, BLOBS, KINDS, optimizer=optimizer)
    assert found.verdict == "converged" and found.healthy


def test_faults_of_the_rate() -> None:
    sw.manual_seed(0)
    x = RNG.uniform(0, 5, (300, 1)).astype(np.float32)
    y = (5 * x**2 + RNG.normal(size=x.shape) ** 3).astype(np.float32)
    model = chain([1, 50, 30, 1], nn.ReLU)
    high = look(model, x, y, F.mse_loss, sw.optim.SGD(model.parameters(), lr=0.1), batch_size=32)
    assert is_found(high, "learning_rate_high", "learning_rate")
    model = chain([6, 32, 3], nn.ReLU)
    low = look(model, BLOBS, KINDS, optimizer=sw.optim.Adam(model.parameters(), lr=1e-6))
    assert is_found(low, "learning_rate_low", "learning_rate")
    noisy = look(model, 3 * BLOBS, KINDS, batch_size=1,
                 optimizer=sw.optim.SGD(model.parameters(), lr=0.03, momentum=0.9))  # fmt: skip
    assert noisy.verdict in ("oscillation", "learning_rate_high")


def test_the_diagnosis_reads_numbers_only() -> None:
    steps = Trajectory(losses=[1.0, 4.0, 9.0], ends=[1.0, 5.0, 9.0, 20.0, 50.0],
                       ratios=[0.4, 0.5, 0.6], others={0.1: [1.0, 0.9, 0.8, 0.7, 0.6]},
                       rate=1.0)  # fmt: skip
    readings = Readings([], Head(loss=1.0, guess=1.0, best=0.0, grad=0.1), Inputs(rms=1.0), steps)
    assert [f.id for f in diagnose(readings)] == ["learning_rate_high"]
    readings.trajectory = None
    assert diagnose(readings) == []


def test_a_budget_decides_whether_a_rate_is_low() -> None:
    # The loss falls by 0.4 in ten thousand steps, whatever the rate times the steps is.
    falls = {scale: [1.0 - 0.4 * min(1.0, scale * i * 15 / 10_000) for i in range(5)]
             for scale in (1.0, 0.1, 10.0, 100.0)}  # fmt: skip
    steps = Trajectory(ends=falls.pop(1.0), ratios=[1e-5] * 60, others=falls)
    head = Head(loss=1.0, guess=1.0, best=0.0)
    few = judge_progress(Readings([], head, Inputs(), steps, budget=100))
    many = judge_progress(Readings([], head, Inputs(), steps, budget=10_000))
    assert few.too_low and few.reached > 0.95
    assert many.reached == pytest.approx(1.0 - 0.4 * 0.6)
