"""Surgery on models of several shapes, and cures that are proved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import UsageError
from slopewise.health import cure, record_batch, surgery
from slopewise.nn import functional as F

RNG = np.random.default_rng(7)
X = RNG.normal(size=(240, 2)).astype(np.float32)
Y = (np.hypot(*X.T) > 1.1).astype(np.int64)


class Named(nn.Module):
    """Layers with names and a forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(2, 8), nn.Sigmoid(), nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.two(self.act(self.one(x)))


def record(model: Any, x: Any = X, y: Any = Y) -> Any:
    return record_batch(model, F.cross_entropy, x[:64], y[:64])


def test_surgery_on_a_module_with_a_forward_of_its_own() -> None:
    sw.manual_seed(0)
    model = Named()
    surgery.swap_activations(model, record(model), nn.ReLU)
    assert isinstance(model.act, nn.ReLU)
    surgery.insert_norms(model, record(model), "batch")
    assert [type(m).__name__ for m in model.one] == ["Linear", "BatchNorm1d"]
    assert model(sw.tensor(X)).shape == (240, 2)
    assert [c.kind for c in record(model).calls] == ["weights", "norm", "activation", "weights"]


def test_lsuv_makes_outputs_of_variance_one() -> None:
    sw.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(),
                          nn.Linear(16, 2))  # fmt: skip
    surgery.equalise(model, record(model), sw.tensor(X))
    for call in [c for c in record(model, X, Y).calls if c.kind == "weights"][:-1]:
        assert float(call.y.std()) == pytest.approx(1.0, abs=0.2)


def test_initialisation_has_the_gain_of_the_activation() -> None:
    sw.manual_seed(2)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(),
                          nn.Linear(32, 2))  # fmt: skip
    surgery.initialise(model, record(model))
    weights = [model[i].weight.detach().numpy() for i in (0, 2, 4)]
    rows = [float(np.sqrt(np.sum(w**2) / len(w))) for w in weights]
    # He et al. (2015): a ReLU passes half of the gradient's energy, so rows have length sqrt(2).
    assert rows[0] == pytest.approx(np.sqrt(2), rel=0.05) and rows[2] == pytest.approx(1, rel=0.01)
    assert 1.4 < rows[1] < 1.6


def test_widening_and_connections() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(),
                          nn.Linear(3, 2))  # fmt: skip
    wide = surgery.widen(model, record(model), 16)
    assert wide[1].num_features == 16 and wide(sw.tensor(X)).shape == (240, 2)
    connected = surgery.wrap_residual(wide)
    assert sum(isinstance(m, surgery.Residual) for m in connected) == 1
    assert connected(sw.tensor(X)).shape == (240, 2)
    assert surgery.wrap_residual(nn.Sequential(nn.Linear(2, 3), nn.ReLU())) is None
    assert surgery.widen(wide, record(wide), 16) is None  # it is as wide already


def test_standardising_leaves_constant_columns() -> None:
    x = np.stack([X[:, 0] * 50 + 3, np.full(240, 7.0)], 1)
    y = np.asarray(surgery.Standardise(x)(sw.tensor(x.astype(np.float32))))
    assert y[:, 0].mean() == pytest.approx(0, abs=1e-4) and y[:, 0].std() == pytest.approx(1)
    assert np.all(y[:, 1] == 0)


def test_a_vanishing_gradient_is_cured_and_proved() -> None:
    sw.manual_seed(3)
    layers: list[Any] = []
    for i in range(6):
        layers += [nn.Linear(2 if i == 0 else 6, 6), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(6, 2))
    said: list[str] = []
    found = cure(model, F.cross_entropy, (X, Y), steps=150, notify=said.append,
                 optimizer=sw.optim.Adam(model.parameters(), lr=1e-2))  # fmt: skip
    assert len(said) == len(found.trials) and said[0].startswith("use another activation: 0.9")
    assert found.cured and found.remedies[0] == "activation"
    assert np.mean(found.after) > np.mean(found.before) + 0.1
    proof = next(t for t in found.trials if t.better)
    assert proof.remedy == "activation" and proof.bound >= 0.02
    assert isinstance(model[1], nn.Sigmoid) and not isinstance(found.model[1], nn.Sigmoid)
    assert "activation = nn." in found.text() and "고침" in found.text("ko")
    assert found.picture().svg()
    optimizer = found.make_optimizer()
    assert optimizer.param_groups[0]["lr"] == 1e-2


def test_nothing_is_changed_where_nothing_helps() -> None:
    sw.manual_seed(4)
    model = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 2))
    found = cure(model, F.cross_entropy, (X, Y), steps=120, remedies=["clipping", "layer_norm"],
                 optimizer=sw.optim.Adam(model.parameters(), lr=2e-2))  # fmt: skip
    assert not found.cured and found.changes == ()
    assert [t.remedy for t in found.trials] == ["clipping", "layer_norm"]
    assert not any(t.better for t in found.trials)
    assert "No remedy" in found.text()
    with pytest.raises(UsageError, match="no remedy 'prayer'"):
        cure(model, F.cross_entropy, (X, Y), remedies=["prayer"])


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_opened_gates_keep_what_was_seen(kind: Any, gates: int) -> None:
    sw.manual_seed(0)
    layer = kind(3, 6, batch_first=True)
    surgery.open_gates(layer, bias=3.0)
    weight, bias = layer.weight_hh_l0.detach().numpy(), layer.bias_ih_l0.detach().numpy()
    for rows in np.split(weight, gates):
        np.testing.assert_allclose(rows @ rows.T, np.eye(6), atol=1e-5)
    if gates == 1:
        return
    assert np.all(bias[6:12] == 3.0) and not np.any(bias[:6] == 3.0)
    assert np.all(layer.bias_hh_l0.detach().numpy()[6:12] == 0.0)
    # What comes at the first step is still there after ten of nothing.
    x = np.zeros((2, 11, 3), np.float32)
    x[1, 0] = 3.0
    out = layer(sw.tensor(x))[0].detach().numpy()
    first, last = (np.linalg.norm(out[1, t] - out[0, t]) for t in (0, -1))
    assert last > 0.3 * first
