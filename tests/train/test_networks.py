"""A committee in one module and as ordinary modules: the same outputs, the same weights."""

from __future__ import annotations

import numpy as np
import pytest

import slopewise as sw
from slopewise.train.architecture import ACTIVATIONS, Architecture
from slopewise.train.networks import StackedNetwork, build_model, draw_weights

X = np.random.default_rng(0).normal(size=(3, 20, 4)).astype(np.float32)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (5,), (5, 6)])
def test_both_forms_agree(hidden, activation, norm):
    shape = Architecture(4, 2, hidden, activation, norm, skip=True, members=3)
    weights = draw_weights(shape, 0)
    generator = np.random.default_rng(1)
    for values in weights.values():
        values += 0.3 * generator.normal(size=values.shape).astype(np.float32)
    stacked = StackedNetwork(shape, weights)
    stacked.train()
    for _ in range(3):
        stacked(sw.tensor(X))  # moves the running statistics
    stacked.eval()
    outputs = stacked(sw.tensor(X)).detach().numpy()
    model = build_model(shape, stacked.read_arrays())
    for member in range(3):
        plain = model.members[member](sw.tensor(X[member])).detach().numpy()
        np.testing.assert_allclose(plain, outputs[member], rtol=2e-5, atol=2e-5)
    mean = np.mean([m(sw.tensor(X[0])).detach().numpy() for m in model.members], axis=0)
    np.testing.assert_allclose(model(sw.tensor(X[0])).detach().numpy(), mean, atol=1e-5)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_training_outputs_agree_with_ordinary_modules(norm):
    shape = Architecture(4, 2, (5,), "tanh", norm)
    stacked = StackedNetwork(shape, draw_weights(shape, 0))
    model = build_model(shape, stacked.read_arrays())
    model.train()
    stacked.train()
    for _ in range(2):
        ours = stacked(sw.tensor(X[:1])).detach().numpy()[0]
        np.testing.assert_allclose(model(sw.tensor(X[0])).detach().numpy(), ours, atol=2e-6)
    again = build_model(shape, stacked.read_arrays()).state_dict()
    for key, value in model.state_dict().items():
        if "num_batches" not in key:
            np.testing.assert_allclose(
                np.asarray(again[key].detach().numpy()), value.detach().numpy(), atol=1e-6
            )


def test_weights_follow_from_the_seed_alone():
    shape = Architecture(4, 2, (5,), members=2)
    first = draw_weights(shape, 3)
    np.random.default_rng(0).normal(size=5)
    for name, values in draw_weights(shape, 3).items():
        np.testing.assert_array_equal(values, first[name])
    assert np.any(draw_weights(shape, 4)["hidden1.weight"] != first["hidden1.weight"])
    assert np.any(first["hidden1.weight"][0] != first["hidden1.weight"][1])


@pytest.mark.parametrize(
    ("init", "variance"),
    [("he", 2 / 300), ("glorot", 2 / 500), ("lecun", 1 / 300), ("normal", 0.05**2)],
)
def test_initial_scales(init, variance):
    shape = Architecture(4, 2, (300, 200), init=init)
    found = draw_weights(shape, 0)["hidden2.weight"].var()
    assert found == pytest.approx(variance, rel=0.03)


def test_arrays_are_copies():
    shape = Architecture(4, 2, (5,), norm="batch")
    network = StackedNetwork(shape, draw_weights(shape, 0))
    arrays = network.read_arrays()
    arrays["hidden1.weight"][:] = 7
    arrays["norm1.running_mean"][:] = 7
    assert not np.any(network.read_arrays()["hidden1.weight"] == 7)
    network.write_arrays(arrays)
    assert np.all(network.read_arrays()["norm1.running_mean"] == 7)
    assert np.all(network.read_arrays()["hidden1.weight"] == 7)
