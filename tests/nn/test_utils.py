"""Gradient clipping, and parameters as one vector."""

from __future__ import annotations

import math

import pytest

import slopewise as sw
from slopewise import nn


def with_grad(*values: float) -> sw.Tensor:
    w = sw.zeros(len(values), requires_grad=True)
    w.grad = sw.tensor(list(values))
    return w


def test_clipping_by_norm() -> None:
    a, b, c = with_grad(3.0, 0.0), with_grad(4.0), sw.zeros(2, requires_grad=True)
    total = nn.utils.clip_grad_norm_([a, b, c], 1.0)
    assert total.item() == 5.0
    assert a.grad.tolist() == pytest.approx([0.6, 0.0]) and b.grad.tolist() == pytest.approx([0.8])
    assert nn.utils.clip_grad_norm_(a, 10.0).item() == pytest.approx(0.6)
    assert a.grad.tolist() == pytest.approx([0.6, 0.0])
    assert nn.utils.clip_grad_norm_([c], 1.0).item() == 0.0


def test_a_norm_that_is_not_finite() -> None:
    w = with_grad(math.inf, 1.0)
    with pytest.raises(ValueError, match=r"total norm of order 2\.0 is inf"):
        nn.utils.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    assert w.grad.tolist() == [math.inf, 1.0]


def test_clipping_by_value() -> None:
    w = with_grad(-3.0, 0.1, 5.0)
    nn.utils.clip_grad_value_([w], 0.5)
    assert w.grad.tolist() == pytest.approx([-0.5, 0.1, 0.5])


def test_parameters_as_a_vector() -> None:
    model = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.shape == (9,) and vector.requires_grad
    nn.utils.vector_to_parameters(sw.arange(9.0), model.parameters())
    assert model.weight.tolist() == [[0, 1], [2, 3], [4, 5]] and model.bias.tolist() == [6, 7, 8]
    with pytest.raises(ValueError, match=r"9 elements.*\(8,\)"):
        nn.utils.vector_to_parameters(sw.zeros(8), model.parameters())
