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
from slopewise.health import (
    Examination,
    Head,
    Inputs,
    Readings,
    Trajectory,
    cure,
    diagnose,
    examine,
)
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


def test_targets_out_of_scale_are_told_and_cured() -> None:
    sw.manual_seed(0)
    price = (2e6 + 5e5 * BLOBS[:, :1]).astype(np.float32)
    model = chain([6, 16, 1], nn.ReLU)
    optimizer = sw.optim.Adam(model.parameters(), lr=1e-2)
    for given in (None, optimizer):
        found = look(model, BLOBS, price, F.mse_loss, given)
        assert is_found(found, "target_scale", "target")
        assert found.findings[0].evidence["target_size"] == pytest.approx(2.3e6, rel=0.2)
    cured = cure(model, F.mse_loss, (BLOBS, price), optimizer=optimizer, examination=found)
    assert cured.remedies[0] == "scale_target" and min(cured.after) > 0.9
    with sw.no_grad():  # outputs are in the unit of the targets
        assert 1e5 < float(cured.model(sw.tensor(BLOBS)).abs().mean()) < 1e7
    small = (1e-2 * BLOBS[:, :1]).astype(np.float32)
    assert look(model, BLOBS, small * 100, F.mse_loss).healthy


@pytest.mark.parametrize("rate", [1e-5, 1e-7, 1e-9, 0.0])
def test_rates_that_move_nothing(rate: float) -> None:
    sw.manual_seed(0)
    model = chain([6, 16, 3], nn.ReLU)
    for make in (sw.optim.SGD, sw.optim.Adam):
        found = look(model, BLOBS, KINDS, optimizer=make(model.parameters(), lr=rate * 0.01),
                     batch_size=32)  # fmt: skip
        assert is_found(found, "learning_rate_low", "learning_rate")


def test_weights_that_do_not_move() -> None:
    sw.manual_seed(0)
    model, other = chain([6, 16, 3], nn.ReLU), chain([6, 16, 3], nn.ReLU)
    found = look(model, BLOBS, KINDS, optimizer=sw.optim.SGD(other.parameters(), lr=0.1))
    assert is_found(found, "frozen", "left_out") and found.findings[0].evidence["frozen"] == 1
    rings = chain([2, 32, 32, 2], nn.ReLU)
    with sw.no_grad():
        rings[4].weight.mul_(0.1)
    last = sw.optim.SGD(rings[4].parameters(), lr=0.01)
    found = look(rings, optimizer=last, batch_size=64)
    assert is_found(found, "frozen", "left_out") and found.findings[0].evidence["frozen"] > 0.9
    for p in model.parameters():
        p.requires_grad_(False)
    found = look(model, BLOBS, KINDS, lambda o, t: F.cross_entropy(o, t), sw.optim.SGD(
        model.parameters(), lr=0.1))  # fmt: skip
    assert is_found(found, "frozen", "left_out")


class Cut(nn.Module):
    """A gradient is lost on the way: by accident, or in a function of steps."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.how = how

    def forward(self, x: Any) -> Any:
        h = F.relu(self.two(F.relu(self.one(x))))
        return self.out(h.detach() if self.how == "detach" else sw.sign(h - 0.1))


@pytest.mark.parametrize(("how", "layer"), [("detach", "two"), ("sign", "two")])
def test_a_gradient_that_is_cut_off(how: str, layer: str) -> None:
    sw.manual_seed(0)
    found = look(Cut(how), BLOBS, KINDS)
    assert is_found(found, "cut_off", "cut") and found.findings[0].layer == layer
    assert len(found.findings) == 1
    assert "detach()" in found.text() and "detach()" in found.text("ko")


@pytest.mark.parametrize("loss", [F.cross_entropy, F.mse_loss])
def test_a_loss_with_the_wrong_sign(loss: Any) -> None:
    sw.manual_seed(0)
    y = KINDS if loss is F.cross_entropy else BLOBS[:, :3].copy()
    found = look(chain([6, 16, 3], nn.ReLU), BLOBS, y, lambda o, t: -loss(o, t))
    assert is_found(found, "wrong_head", "sign") and found.findings[0].remedies == ()


def test_input_that_is_no_number_is_all_that_is_told() -> None:
    sw.manual_seed(0)
    x = BLOBS.copy()
    x[7, 3] = np.nan
    found = look(chain([6, 16, 3], nn.ReLU), x, KINDS)
    assert [f.id for f in found.findings] == ["broken_input"]
    assert found.findings[0].evidence["input_column"] == 3
    model = chain([6, 16, 3], nn.ReLU)
    with sw.no_grad():
        model[0].weight.fill_(math.nan)
    assert is_found(look(model, BLOBS, KINDS), "exploding", "not_numbers")


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_rare_classes_are_no_explosion(share: float) -> None:
    sw.manual_seed(0)
    y = (RNG.uniform(size=2000) < share).astype(int)
    x = RNG.normal(size=(2000, 6)).astype(np.float32)
    x[:, 0] += 3 * y
    model = chain([6, 32, 2], nn.ReLU)
    assert look(model, x, y).healthy
    optimizer = sw.optim.Adam(model.parameters(), lr=1e-2)
    assert look(model, x, y, optimizer=optimizer, batch_size=32).healthy


@pytest.mark.parametrize("activation", [nn.ReLU6, nn.Hardsigmoid, nn.Hardswish])
def test_activations_with_flat_ends_are_not_saturated(activation: Any) -> None:
    sw.manual_seed(0)
    assert look(chain([6, 32, 32, 3], activation), BLOBS, KINDS).healthy


class Recall(nn.Module):
    """What was seen first counts, many steps later."""

    def __init__(self, forget: float) -> None:
        super().__init__()
        self.body, self.out = nn.LSTM(3, 12, batch_first=True), nn.Linear(12, 2)
        with sw.no_grad():
            self.body.bias_ih_l0[12:24].fill_(forget)

    def forward(self, x: Any) -> Any:
        return self.out(self.body(x)[0][:, -1])


def test_a_gradient_that_vanishes_in_time_and_what_makes_it_last() -> None:
    sw.manual_seed(0)
    y = RNG.integers(0, 2, 128)
    x = RNG.normal(scale=0.1, size=(128, 24, 3)).astype(np.float32)
    x[:, 0, 0] = 2 * y - 1
    model = Recall(-3.0)
    optimizer = sw.optim.Adam(model.parameters(), lr=3e-2)
    found = look(model, x, y, optimizer=optimizer, batch_size=32, budget=60)
    assert is_found(found, "vanishing", "time") and found.findings[0].layer == "body"
    cured = cure(model, F.cross_entropy, (x, y), optimizer=optimizer, batch_size=32, steps=60,
                 examination=found, remedies=["recurrence"])  # fmt: skip
    assert cured.remedies == ("recurrence",) and min(cured.after) > 0.9
    # Where the last step is enough, the same gradient is right.
    short = np.ascontiguousarray(x[:, ::-1])
    assert look(model, short, y, optimizer=optimizer, batch_size=32, budget=60).healthy


def test_dead_units_of_a_network_that_has_learned_are_no_fault() -> None:
    sw.manual_seed(0)
    model = chain([6, 64, 64, 3], nn.ReLU)
    optimizer = sw.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(model(sw.tensor(BLOBS)), sw.tensor(KINDS)).backward()
        optimizer.step()
    with sw.no_grad():  # nothing reads these units
        for i in (0, 2):
            model[i].bias[:48] = -50.0
            model[i + 2].weight[:, :48] = 0.0
    for _ in range(50):
        optimizer.zero_grad()
        F.cross_entropy(model(sw.tensor(BLOBS)), sw.tensor(KINDS)).backward()
        optimizer.step()
    found = look(model, BLOBS, KINDS)
    assert found.verdict == "converged"
    assert max(f.parts.get("dead", 0.0) for f in found.factors) >= 0.7
