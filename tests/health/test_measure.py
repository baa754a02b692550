"""Every factor by its own formula is what was measured, and factors in a row telescope."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.health import measure, record_batch
from slopewise.nn import functional as F

RNG = np.random.default_rng(3)


def chain(activation: Any, norm: Any = None, depth: int = 4, width: int = 6) -> nn.Sequential:
    layers: list[Any] = []
    for i in range(depth):
        layers.append(nn.Linear(3 if i == 0 else width, width))
        if norm is not None:
            layers.append(norm(width))
        layers.append(activation())
    return nn.Sequential(*layers, nn.Linear(width, 2)).double()


ACTIVATIONS = [nn.Sigmoid, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Softplus, nn.LeakyReLU]


@pytest.mark.parametrize("norm", [None, nn.BatchNorm1d, nn.LayerNorm])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_factors_telescope(activation: Any, norm: Any) -> None:
    sw.manual_seed(0)
    model = chain(activation, norm)
    x, y = RNG.normal(size=(16, 3)), RNG.integers(0, 2, 16)
    record = record_batch(model, F.cross_entropy, x, y)
    factors = measure(record)
    for factor in factors:
        assert factor.formula == pytest.approx(factor.measured, rel=1e-9), factor.name
    product = math.prod(f.ratio for f in factors)
    first, last = factors[0].grad_in, factors[-1].grad_out
    assert product == pytest.approx(first / last, rel=1e-9)
    assert last == pytest.approx(float(np.linalg.norm(record.grad_output)), rel=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_in_both_modes_with_its_own_scale(training: bool) -> None:
    sw.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                          nn.Linear(3 * 36, 2)).double()  # fmt: skip
    with sw.no_grad():
        model[1].weight.copy_(sw.tensor([0.5, 2.0, -1.0]))
        model[1].running_var.copy_(sw.tensor([0.3, 1.0, 4.0]))
    model.train(training)
    x, y = RNG.normal(size=(5, 1, 8, 8)), RNG.integers(0, 2, 5)
    factors = measure(record_batch(model, F.cross_entropy, x, y))
    norm = factors[1]
    assert norm.letter == "N"
    assert norm.formula == pytest.approx(norm.measured, rel=1e-9)
    kept = norm.parts["kept"]
    assert kept == pytest.approx(1.0) if not training else 0 < kept < 1


def test_the_bounds_of_the_factors() -> None:
    sw.manual_seed(2)
    x, y = RNG.normal(size=(32, 3)), RNG.integers(0, 2, 32)
    for activation, bound in ((nn.Sigmoid, 0.25), (nn.Tanh, 1.0), (nn.ReLU, 1.0)):
        for f in measure(record_batch(chain(activation), F.cross_entropy, x, y)):
            if f.letter == "A":
                assert f.ratio <= bound
            elif f.letter == "M":
                assert f.weights["smallest"] <= f.ratio * (1 + 1e-12) or f.name == "0"
                assert f.ratio <= f.weights["largest"] * (1 + 1e-12)
                assert 0 <= f.weights["rho"] <= 1
    # A squared of ReLU is the share of the gradient's energy that goes through live units.
    record = record_batch(chain(nn.ReLU), F.cross_entropy, x, y)
    call = record.calls[1]
    energy = np.sum((call.grad_y * (call.x > 0)) ** 2) / np.sum(call.grad_y**2)
    assert measure(record)[1].ratio ** 2 == pytest.approx(energy)


class Functional(nn.Module):
    """Layers with functions between them, and a connection past one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        h = F.relu(self.first(x))
        return self.third(h + sw.tanh(self.second(h)))


def test_functions_between_layers_are_found() -> None:
    sw.manual_seed(3)
    model = Functional().double()
    x, y = RNG.normal(size=(7, 3)), RNG.integers(0, 2, 7)
    record = record_batch(model, F.cross_entropy, x, y)
    kinds = [(call.name, call.kind, call.type) for call in record.calls]
    assert ("before second", "activation", "relu") in kinds
    assert [call.name for call in record.calls if call.kind == "weights"] == [
        "first", "second", "third",
    ]  # fmt: skip
    relu = measure(record)[1]
    assert relu.letter == "A" and relu.ratio <= 1


def test_nothing_is_changed() -> None:
    sw.manual_seed(4)
    model = chain(nn.Tanh, nn.BatchNorm1d)
    model.append(nn.Dropout(0.5))
    for p in model.parameters():
        p.grad = sw.ones_like(p)
    before = {k: np.array(v) for k, v in model.state_dict().items()}
    state = sw.get_rng_state()
    x, y = RNG.normal(size=(8, 3)), RNG.integers(0, 2, 8)
    record_batch(model, F.cross_entropy, x, y)
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())
    assert all(np.all(np.asarray(p.grad) == 1) for p in model.parameters())
    assert str(sw.get_rng_state()) == str(state) and model.training
    assert not any(vars(m).get("_hooks") and m._hooks.before for m in model.modules())


def test_shared_layers_are_told_apart() -> None:
    sw.manual_seed(5)
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(3, 2)).double()
    x, y = RNG.normal(size=(6, 3)), RNG.integers(0, 2, 6)
    record = record_batch(model, F.cross_entropy, x, y)
    assert [c.name for c in record.calls][:3] == ["0", "1", "0#2"]
    for factor in measure(record):
        assert factor.formula == pytest.approx(factor.measured, rel=1e-9)


def test_saturation_is_told_from_rounding() -> None:
    x = np.array([[-60.0], [-20.0], [0.0], [20.0], [60.0]])
    model = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid(), nn.Linear(1, 1))
    with sw.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.zero_()
    call = record_batch(model, F.mse_loss, x, np.ones((5, 1))).calls[1]
    # The slope is right at both ends in float32, where s (1 - s) is 0 on one of them.
    assert call.slope[1] == pytest.approx(call.slope[3], rel=1e-6)
    assert call.slope[0] == pytest.approx(math.exp(-60), rel=1e-5)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (2, 0, 1, 2), (3, 1, 1, 4)],
)
def test_convolutions_by_their_own_formula(
    stride: int, padding: int, dilation: int, groups: int
) -> None:
    """M is that of the matrix that the convolution is, column by column."""
    sw.manual_seed(6)
    layer = nn.Conv2d(4, 8, 3, stride, padding, dilation, groups, bias=False)
    size = int(np.prod(layer(sw.zeros(1, 4, 7, 9)).shape))
    model = nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(size, 2)).double()
    x, y = RNG.normal(size=(5, 4, 7, 9)), RNG.integers(0, 2, 5)
    factor = measure(record_batch(model, F.cross_entropy, x, y))[0]
    assert factor.letter == "M"
    assert factor.formula == pytest.approx(factor.measured, rel=1e-9)
    matrix = np.stack([
        layer(sw.tensor(column.reshape(1, 4, 7, 9))).detach().numpy().ravel()
        for column in np.eye(4 * 7 * 9)
    ], axis=1)  # fmt: skip
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    assert factor.ratio <= largest
    assert 0.9 * largest <= factor.weights["largest"] <= largest * (1 + 1e-9)
