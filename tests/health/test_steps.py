"""Recurrent layers step by step, and connections past a block, against gradients of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.health import measure, record_batch

RNG = np.random.default_rng(4)


class Reader(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(x)[0]).sum(1)


def unroll(layer: Any, x: Any) -> Any:
    """Return the outputs of every step, each a tensor of its own, by the layer's cell."""
    outputs: list[Any] = []
    state: Any = None
    for t in range(x.shape[1]):
        out, state = layer(x[:, t : t + 1], state)
        outputs.append(out)
    return outputs


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_gradients_of_time_steps(kind: str) -> None:
    sw.manual_seed(0)
    layer = getattr(nn, kind)(3, 4, batch_first=True).double()
    model = Reader(layer).double()
    x, y = RNG.normal(size=(5, 6, 3)), RNG.normal(size=(5, 1))
    record = record_batch(model, nn.functional.mse_loss, x, y)
    (factor,) = [f for f in measure(record) if f.kind == "recurrent"]
    assert len(factor.steps) == 6
    # The oracle: the same layer run step by step, each state a tensor with a gradient of its own.
    outputs: list[Any] = []
    states: list[Any] = []
    state: Any = None
    given = sw.tensor(x)
    for t in range(6):
        out, state = layer(given[:, t : t + 1], state)
        state = tuple(s + 0 for s in state) if isinstance(state, tuple) else state + 0
        states.append(state)
        outputs.append(out)
    loss = nn.functional.mse_loss(model.head(sw.cat(outputs, 1)).sum(1), sw.tensor(y))
    for t in range(5):
        own = list(states[t]) if isinstance(states[t], tuple) else [states[t]]
        # What comes back through the state alone: the step after, times its ratio.
        found = sw.autograd.grad(loss, own, retain_graph=True)
        size = float(np.sqrt(sum(np.sum(np.asarray(g) ** 2) for g in found)))
        after = factor.steps[t + 1]
        assert after["grad"] * after["ratio"] == pytest.approx(size, rel=1e-9)
    if kind == "RNN":
        assert all(s["A"] * s["M"] == pytest.approx(s["ratio"]) for s in factor.steps)
        assert all(s["A"] <= 1 for s in factor.steps)


class Past(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.bend = nn.Tanh()

    def forward(self, x: Any) -> Any:
        h = self.first(x)
        return self.last(h + self.bend(self.inner(h)))


def test_shares_of_a_residual_connection_sum_to_one() -> None:
    sw.manual_seed(1)
    model = Past().double()
    x, y = RNG.normal(size=(7, 3)), RNG.integers(0, 2, 7)
    record = record_batch(model, nn.functional.cross_entropy, x, y)
    (factor,) = [f for f in measure(record) if f.kind == "add"]
    assert factor.parts["past"] + factor.parts["through"] == pytest.approx(1.0, abs=1e-12)
    # Brute force: the gradient that the block hands back, by its Jacobian, sample by sample.
    calls = {call.name: call for call in record.calls}
    g, h = calls["last"].grad_x, calls["first"].y
    slope = 1 - np.tanh(h @ calls["inner"].parameters["weight"].T
                        + calls["inner"].parameters["bias"]) ** 2  # fmt: skip
    back = np.stack([(np.diag(s) @ calls["inner"].parameters["weight"]).T @ v
                     for s, v in zip(slope, g, strict=True)])  # fmt: skip
    whole = g + back
    assert factor.parts["through"] == pytest.approx(np.sum(back * whole) / np.sum(whole**2))
