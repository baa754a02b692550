"""The fused log-likelihood: equal to its four steps in value and in every kind of derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._core.graph import bind
from slopewise._ops.likelihood import log_likelihood
from slopewise.nn import functional as F

CLASSES = np.array([0, 3, 3, 1, 2])
LOGITS = np.random.default_rng(0).standard_normal((5, 4)) * 2


def fused(x: Any) -> Any:
    return bind(log_likelihood, (x, sw.tensor(CLASSES)), {"scale": -0.2})


def stepwise(x: Any) -> Any:
    return F.nll_loss(sw.log_softmax(x, 1), sw.tensor(CLASSES))


def test_cross_entropy_is_recorded_as_one_step() -> None:
    x = sw.tensor(LOGITS, requires_grad=True)
    loss = F.cross_entropy(x, sw.tensor(CLASSES))
    assert loss.grad_fn.primitive is log_likelihood
    for options in ({"reduction": "none"}, {"label_smoothing": 0.1}, {"ignore_index": 3}):
        other = F.cross_entropy(x, sw.tensor(CLASSES), **options)
        assert other.grad_fn.primitive is not log_likelihood


def test_value_and_derivatives_agree_with_the_steps() -> None:
    direction = np.random.default_rng(1).standard_normal(LOGITS.shape)
    close = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(fused(sw.tensor(LOGITS)).item(), stepwise(sw.tensor(LOGITS)).item())
    np.testing.assert_allclose(
        sw.grad(fused)(LOGITS).numpy(), sw.grad(stepwise)(LOGITS).numpy(), **close
    )
    pushed = [sw.jvp(f, (LOGITS,), (direction,))[1].item() for f in (fused, stepwise)]
    assert pushed[0] == pytest.approx(pushed[1], rel=1e-12)
    np.testing.assert_allclose(
        sw.hessian(fused)(LOGITS).numpy(), sw.hessian(stepwise)(LOGITS).numpy(), **close
    )
    assert sw.gradcheck(fused, (sw.tensor(LOGITS, requires_grad=True),))


def test_samples_evaluate_to_their_abstract_shape() -> None:
    for sample in log_likelihood.samples(np.random.default_rng(0)):
        out = np.asarray(log_likelihood.value(*sample.operands, **sample.params))
        assert out.shape == () and out.dtype == np.float64


def test_a_batch_of_batches() -> None:
    logits = np.random.default_rng(2).standard_normal((3, 5, 4))
    mapped = sw.vmap(fused)(sw.tensor(logits))
    single = [fused(sw.tensor(row)).item() for row in logits]
    np.testing.assert_allclose(mapped.numpy(), single, rtol=1e-12)


def test_the_target_must_not_change_before_backward() -> None:
    x, target = sw.tensor(LOGITS, requires_grad=True), sw.tensor(CLASSES)
    for options in ({}, {"reduction": "none"}):
        loss = F.cross_entropy(x, target, **options).sum()
        target += 0
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_rows_of_an_embedding_must_not_change_before_backward() -> None:
    table, rows = sw.zeros(4, 2, requires_grad=True), sw.tensor([1, 2])
    out = F.embedding(rows, table).sum()
    rows.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()
