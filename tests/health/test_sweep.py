"""Depth sweeps: the lecture's bound, and what each remedy does to the gradient."""

import math

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import SpokenError
from slopewise.health import SWEEPS, sweep_depth


@pytest.mark.parametrize("name", [name for name in SWEEPS if name != "residual"])
def test_factors_multiply_to_what_is_left(name):
    for back in sweep_depth(name, depth=12, width=24).backs:
        assert math.prod(back.products.values()) == pytest.approx(back.left, rel=1e-4)


@pytest.mark.parametrize("name", ["sigmoid", "batch_norm", "layer_norm"])
def test_sigmoids_keep_below_the_bound(name):
    found = sweep_depth(name)
    assert all(b.products["A"] <= 0.25**b.k for b in found.backs)
    assert found.backs[-1].bound == 0.25**20


def test_remedies_keep_what_the_sigmoid_loses():
    left = {name: sweep_depth(name).backs[-1].left for name in SWEEPS}
    assert left["sigmoid"] < 1e-15 < left["relu"] < left["tanh"] < 1e-3
    assert left["layer_norm"] > 1e6 * left["sigmoid"]
    for name in ("batch_norm", "xavier", "he", "orthogonal", "residual"):
        assert 0.05 < left[name] < 20, name


def test_orthogonal_weights_keep_lengths():
    assert sweep_depth("orthogonal").backs[-1].products["M"] == pytest.approx(1, abs=1e-4)


def test_random_generators_are_left_alone():
    sw.manual_seed(3)
    first = sw.randn(2).tolist()
    sw.manual_seed(3)
    sweep_depth("he", depth=2)
    assert sw.randn(2).tolist() == first


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", SWEEPS)
def test_told_in_both_languages(name, lang):
    found = sweep_depth(name, depth=3, width=8, lang=lang)
    text = found.text()
    assert text.isascii() == (lang == "en")
    assert found.markdown().count("|") > 20
    assert "<table>" in found.html()
    assert found.picture().png()[:4] == b"\x89PNG"


def test_what_is_unknown_is_refused():
    with pytest.raises(SpokenError, match="sweep_depth"):
        sweep_depth("swish")
    with pytest.raises(SpokenError, match="depth"):
        sweep_depth("he", depth=0)


@pytest.mark.oracle
def test_pytorch_measures_the_same_share():
    torch = pytest.importorskip("torch")
    found = sweep_depth("sigmoid", depth=6, width=16, seed=1)
    sw.manual_seed(1)
    layers = [sw.nn.Linear(16, 16) for _ in range(6)]
    x, pull = sw.randn(128, 16), sw.randn(128, 16)
    values = [torch.tensor(x.numpy(), requires_grad=True)]
    for layer in layers:
        weight, bias = (torch.tensor(p.detach().numpy()) for p in (layer.weight, layer.bias))
        values.append(torch.sigmoid(values[-1] @ weight.T + bias))
    grads = torch.autograd.grad((values[-1] * torch.tensor(pull.numpy())).sum(), values)
    sizes = [float(g.norm()) for g in grads]
    expected = [sizes[6 - k] / sizes[6] for k in range(7)]
    np.testing.assert_allclose([b.left for b in found.backs], expected, rtol=1e-4)
