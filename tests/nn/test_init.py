"""First weights: bounds, moments and structure; the default distributions of every layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import slopewise as sw
from slopewise import nn

init = nn.init


def draw(function: Any, *shape: int, **options: Any) -> np.ndarray[Any, Any]:
    """Return what an initialiser fills a float64 tensor with."""
    sw.manual_seed(0)
    tensor = sw.zeros(shape, dtype=sw.float64, requires_grad=True)
    assert function(tensor, **options) is tensor
    assert tensor.is_leaf and tensor.requires_grad
    return tensor.detach().numpy()


def assert_uniform(values: np.ndarray[Any, Any], bound: float) -> None:
    """Test against the uniform distribution on [-bound, bound], by Kolmogorov and Smirnov."""
    assert np.abs(values).max() <= bound
    assert stats.kstest(values.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


def assert_normal(values: np.ndarray[Any, Any], std: float, mean: float = 0.0) -> None:
    """Test against a normal distribution, by Kolmogorov and Smirnov."""
    assert stats.kstest(values.ravel(), stats.norm(mean, std).cdf).pvalue > 1e-3


def test_plain_fillings() -> None:
    assert_uniform(draw(init.uniform_, 50, 40, a=-2.0, b=2.0), 2.0)
    assert_normal(draw(init.normal_, 50, 40, mean=1.0, std=3.0), 3.0, 1.0)
    assert (draw(init.constant_, 3, val=7.0) == 7).all()
    assert (draw(init.ones_, 3) == 1).all() and (draw(init.zeros_, 3) == 0).all()
    np.testing.assert_array_equal(draw(init.eye_, 3, 4), np.eye(3, 4))
    cut = draw(init.trunc_normal_, 100, 100, std=2.0, a=-1.0, b=3.0)
    assert cut.min() >= -1.0 and cut.max() <= 3.0
    assert stats.kstest(cut.ravel(), stats.truncnorm(-0.5, 1.5, 0, 2.0).cdf).pvalue > 1e-3


def test_the_same_seed_gives_the_same_weights() -> None:
    sw.manual_seed(5)
    first = nn.Linear(7, 3).weight.tolist()
    second = nn.Linear(7, 3).weight.tolist()
    sw.manual_seed(5)
    assert nn.Linear(7, 3).weight.tolist() == first != second
    generator = sw.Generator().manual_seed(1)
    a = init.uniform_(sw.zeros(4), generator=generator).tolist()
    assert init.uniform_(sw.zeros(4), generator=sw.Generator().manual_seed(1)).tolist() == a


def test_glorot_and_he() -> None:
    shape = (60, 40, 3, 2)  # fan in 240, fan out 360
    assert_uniform(draw(init.xavier_uniform_, *shape, gain=2.0), 2 * math.sqrt(6 / 600))
    assert_normal(draw(init.xavier_normal_, *shape), math.sqrt(2 / 600))
    assert_uniform(draw(init.kaiming_uniform_, *shape, nonlinearity="relu"), math.sqrt(6 / 240))
    he = draw(init.kaiming_normal_, *shape, a=0.5, mode="fan_out")
    assert_normal(he, math.sqrt(2 / 1.25 / 360))
    assert init.fan_in_and_out(sw.zeros(shape)) == (240, 360)


def test_gains() -> None:
    gain = init.calculate_gain
    assert gain("linear") == gain("sigmoid") == gain("conv2d") == 1
    assert gain("tanh") == pytest.approx(5 / 3) and gain("relu") == pytest.approx(math.sqrt(2))
    assert gain("leaky_relu") == pytest.approx(math.sqrt(2 / 1.0001))
    assert gain("leaky_relu", 0.5) == pytest.approx(math.sqrt(1.6)) and gain("selu") == 0.75
    with pytest.raises(ValueError, match="unsupported nonlinearity 'swish'"):
        gain("swish")
    with pytest.raises(ValueError, match="no number"):
        gain("leaky_relu", True)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (6, 2, 3)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = draw(init.orthogonal_, *shape, gain=3.0).reshape(shape[0], -1) / 3
    small = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)


def test_orthogonal_is_uniform_over_the_group() -> None:
    sw.manual_seed(0)
    corner = [init.orthogonal_(sw.zeros(3, 3))[0, 0].item() for _ in range(2000)]
    # The first coordinate of a uniform point of the sphere is uniform on [-1, 1] (Archimedes).
    assert stats.kstest(corner, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_dirac_passes_channels_on() -> None:
    layer = nn.Conv2d(2, 4, 3, padding=1, groups=1, bias=False)
    init.dirac_(layer.weight)
    x = sw.randn(1, 2, 5, 5)
    out = layer(x)
    assert (out[:, :2] == x).all() and not out[:, 2:].detach().numpy().any()
    assert init.dirac_(sw.zeros(4, 2, 3), groups=2)[2, 0].tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="do not divide"):
        init.dirac_(sw.zeros(3, 2, 3), groups=2)


def test_sparse() -> None:
    matrix = draw(init.sparse_, 20, 10, sparsity=0.3, std=2.0)
    assert ((matrix == 0).sum(0) == 6).all()


def test_errors() -> None:
    with pytest.raises(ValueError, match="fewer than 2 axes"):
        init.xavier_uniform_(sw.zeros(3))
    with pytest.raises(ValueError, match="2 or more axes"):
        init.orthogonal_(sw.zeros(3))
    with pytest.raises(ValueError, match="fan_in"):
        init.kaiming_uniform_(sw.zeros(3, 3), mode="fan_both")
    with pytest.raises(ValueError, match="2 axes"):
        init.eye_(sw.zeros(3))
    with pytest.raises(ValueError, match="below"):
        init.trunc_normal_(sw.zeros(3), a=1.0, b=0.0)


# --- the defaults of the layers -----------------------------------------------------------------

UNIFORM_DEFAULTS = [
    (lambda: nn.Linear(100, 80), 0.1),
    (lambda: nn.Conv2d(4, 100, (5, 5)), 0.1),
    (lambda: nn.Conv1d(10, 100, 10, groups=2), 1 / math.sqrt(50)),
    (lambda: nn.LSTM(30, 25, 2), 0.2),
    (lambda: nn.GRU(30, 25, bidirectional=True), 0.2),
    (lambda: nn.RNN(30, 25), 0.2),
    (lambda: nn.Bilinear(25, 20, 30), 0.2),
]


@pytest.mark.parametrize(("build", "bound"), UNIFORM_DEFAULTS)
def test_default_weights_are_uniform(build: Any, bound: float) -> None:
    sw.manual_seed(0)
    for parameter in build().parameters():
        assert_uniform(parameter.detach().numpy().astype(np.float64), bound * (1 + 1e-6))


def test_other_defaults() -> None:
    sw.manual_seed(0)
    assert_normal(nn.Embedding(60, 50).weight.detach().numpy(), 1.0)
    layer = nn.BatchNorm1d(4)
    assert layer.weight.tolist() == [1.0] * 4 and layer.bias.tolist() == [0.0] * 4
    attention = nn.MultiheadAttention(32, 4, add_bias_kv=True)
    assert_uniform(attention.in_proj_weight.detach().numpy(), math.sqrt(6 / 128) * (1 + 1e-6))
    assert_uniform(attention.out_proj.weight.detach().numpy(), 1 / math.sqrt(32) * (1 + 1e-6))
    assert not attention.in_proj_bias.detach().numpy().any()
    assert not attention.out_proj.bias.detach().numpy().any()


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Linear", (40, 50)),
        ("Conv1d", (8, 40, 5)),
        ("Conv2d", (8, 40, 3)),
        ("Embedding", (60, 40)),
        ("RNN", (30, 40)),
        ("LSTM", (30, 20, 2)),
        ("GRU", (30, 20)),
        ("MultiheadAttention", (40, 4)),
        ("Bilinear", (20, 10, 15)),
        ("PReLU", (5,)),
    ],
)
def test_defaults_are_distributed_as_pytorchs(name: str, args: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    sw.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    for (path, a), (other, b) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert path == other
        x, y = a.detach().numpy().ravel(), b.detach().numpy().ravel()
        if len(set(y.tolist())) == 1:
            assert set(x.tolist()) == set(y.tolist())
        elif x.size > 20:
            assert stats.ks_2samp(x, y).pvalue > 1e-3, path


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("xavier_uniform_", {"gain": 1.5}),
        ("xavier_normal_", {}),
        ("kaiming_uniform_", {"a": 0.3}),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
        ("trunc_normal_", {"std": 0.5, "a": -0.4, "b": 1.0}),
        ("orthogonal_", {"gain": 2.0}),
        ("normal_", {"std": 0.2}),
        ("sparse_", {"sparsity": 0.2}),
    ],
)
def test_initialisers_are_distributed_as_pytorchs(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    sw.manual_seed(1)
    torch.manual_seed(1)
    ours = getattr(init, name)(sw.zeros(80, 50), **options).numpy().ravel()
    theirs = getattr(torch.nn.init, name)(torch.zeros(80, 50), **options).numpy().ravel()
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3


# --- LSUV -----------------------------------------------------------------------------------------


def build_deep(activation: Any) -> Any:
    """Return ten layers with weights that are far too small."""
    layers: list[Any] = []
    for _ in range(10):
        layers += [nn.Linear(32, 32), activation()]
    model = nn.Sequential(*layers, nn.Linear(32, 4))
    with sw.no_grad():
        for parameter in model.parameters():
            parameter *= 0.05
    return model


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh], ids=lambda a: a.__name__)
@pytest.mark.parametrize("orthonormal", [True, False])
def test_lsuv_brings_every_layer_to_variance_1(activation: Any, orthonormal: bool) -> None:
    sw.manual_seed(0)
    model, x = build_deep(activation), sw.randn(512, 32)
    assert init.lsuv_(model, x, tol=0.05, orthonormal=orthonormal) is model
    for layer in model:
        before, x = x, layer(x)
        if isinstance(layer, nn.Linear):
            assert abs(x.detach().numpy().var() - 1) < 0.06
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert before is not x


def test_lsuv_leaves_statistics_and_other_layers_alone() -> None:
    model = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    table = model[0].weight.detach().clone()
    init.lsuv_(model, sw.randint(0, 5, (64,)))
    assert (model[0].weight.detach() == table).all()
    assert model[2].num_batches_tracked.item() == 0 and not model[2].running_mean.numpy().any()


def test_lsuv_errors() -> None:
    with pytest.raises(ValueError, match="no layer with a weight matrix"):
        init.lsuv_(nn.ReLU(), sw.zeros(3))
    with pytest.raises(ValueError, match=r"layer `0` has variance 0\.0"):
        init.lsuv_(nn.Sequential(nn.Linear(3, 3, bias=False)), sw.zeros(4, 3))
