"""Losses without an oracle: hand-computed values, hard places, and the errors of wrong targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn

F = nn.functional
DTYPES = [sw.float32, sw.float64]


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_a_column_against_a_vector_is_an_error(name: str) -> None:
    loss = getattr(F, name)
    with pytest.raises(ValueError, match=r"\(5, 1\).*\(5,\).*squeeze\(-1\)"):
        loss(sw.zeros(5, 1), sw.zeros(5))
    with pytest.raises(ValueError, match=r"\(5,\).*\(5, 1\).*target\.squeeze\(-1\)"):
        loss(sw.zeros(5), sw.zeros(5, 1))
    with pytest.raises(ValueError, match="expand_as"):
        loss(sw.zeros(5, 2), sw.zeros(2))
    assert loss(sw.zeros(5), sw.zeros(5)).item() == 0.0


def test_binary_losses_check_shapes_too() -> None:
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.kl_div):
        with pytest.raises(ValueError, match=r"\(5, 1\).*\(5,\)"):
            loss(sw.full((5, 1), 0.5), sw.zeros(5))


def test_regression_by_hand() -> None:
    x, y = sw.tensor([0.0, 3.0]), sw.tensor([0.5, 0.0])
    assert F.mse_loss(x, y).item() == pytest.approx((0.25 + 9) / 2)
    assert F.l1_loss(x, y, reduction="sum").item() == 3.5
    assert F.huber_loss(x, y, reduction="none").tolist() == [0.125, 2.5]
    assert F.smooth_l1_loss(x, y, reduction="none", beta=2.0).tolist() == [0.0625, 2.0]
    assert F.mse_loss(x, 1).item() == pytest.approx((1 + 4) / 2)
    assert F.mse_loss(sw.tensor([1, 2]), sw.tensor([1.0, 4.0])).item() == 2.0


def test_options_out_of_range() -> None:
    x = sw.zeros(3)
    with pytest.raises(ValueError, match=r"reduction='average' is not one of"):
        F.mse_loss(x, x, reduction="average")
    with pytest.raises(ValueError, match="reduction"):
        nn.CrossEntropyLoss(reduction="batchmean")
    with pytest.raises(ValueError, match="delta"):
        F.huber_loss(x, x, delta=0.0)
    with pytest.raises(ValueError, match="beta"):
        F.smooth_l1_loss(x, x, beta=-1.0)
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(sw.zeros(2, 3), sw.tensor([0, 1]), label_smoothing=1.5)
    with pytest.raises(ValueError, match="reduction"):
        F.cross_entropy(sw.zeros(2, 3), sw.tensor([0, 1]), reduction="all")


# --- binary cross-entropy -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("logit", "target"), [(100.0, 0.0), (-100.0, 1.0), (500.0, 0.0), (9.0, 0.0)]
)
def test_cross_entropy_of_a_saturated_sigmoid_keeps_its_gradient(
    logit: float, target: float, dtype: Any
) -> None:
    x = sw.tensor([logit], dtype=dtype, requires_grad=True)
    loss = F.binary_cross_entropy(sw.sigmoid(x), sw.tensor([target], dtype=dtype))
    loss.backward()
    exact = 1 / (1 + math.exp(-logit)) - target if abs(logit) < 700 else 1.0
    assert x.grad.item() == pytest.approx(exact, rel=1e-6)
    assert loss.item() == pytest.approx(min(100.0, math.log1p(math.exp(-abs(logit))) + abs(logit)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_logits_of_a_thousand_are_exact(dtype: Any, weighted: bool) -> None:
    x = sw.tensor([1000.0, 1000.0, -1000.0, -1000.0], dtype=dtype, requires_grad=True)
    t = sw.tensor([0.0, 1.0, 0.0, 1.0], dtype=dtype)
    options = {"pos_weight": sw.tensor([2.0], dtype=dtype)} if weighted else {}
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none", **options)
    loss.sum().backward()
    factor = 2.0 if weighted else 1.0
    assert loss.tolist() == [1000.0, 0.0, 0.0, 1000.0 * factor]
    assert x.grad.tolist() == [1.0, 0.0, 0.0, -factor]


def test_small_losses_of_logits_do_not_cancel() -> None:
    x = sw.tensor([30.0, -30.0], dtype=sw.float64)
    for t in ([1.0, 0.0], [1.0 - 1e-18, 0.0]):
        loss = F.binary_cross_entropy_with_logits(x, sw.tensor(t, dtype=sw.float64))
        assert loss.item() == pytest.approx(math.exp(-30.0), rel=1e-10)


def test_probabilities_of_exactly_0_and_1() -> None:
    p = sw.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(p, sw.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    loss.sum().backward()
    assert loss.tolist() == [100.0, 100.0, 0.0, 0.0]
    np.testing.assert_allclose(p.grad.numpy(), [-1e12, 1e12, 1.0, -1.0], rtol=1e-6)


@pytest.mark.parametrize("bad", [-0.1, 1.1])
def test_probabilities_out_of_range(bad: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1.*with_logits"):
        F.binary_cross_entropy(sw.tensor([0.5, bad]), sw.tensor([0.0, 1.0]))


# --- classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss], ids=["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(
    ("wrong", "remedy"), [(3, "more than 3 outputs"), (-1, "from 0"), (99, "3 classes")]
)
def test_a_class_out_of_range_names_class_row_and_remedy(
    loss: Any, wrong: int, remedy: str
) -> None:
    target = sw.tensor([0, 2, wrong, 1])
    with pytest.raises(ValueError, match=rf"Target {wrong} is out of bounds in row 2.*{remedy}"):
        loss(sw.zeros(4, 3), target)
    assert loss(sw.zeros(4, 3), target, ignore_index=wrong).shape == ()


def test_a_class_out_of_range_in_images_names_its_position() -> None:
    target = np.zeros((2, 4, 4), np.int64)
    target[1, 2, 3] = 5
    with pytest.raises(ValueError, match=r"Target 5 .*position \(1, 2, 3\)"):
        F.cross_entropy(sw.zeros(2, 5, 4, 4), sw.tensor(target))


def test_other_integer_targets() -> None:
    logits = sw.tensor([[2.0, 0.0], [0.0, 2.0]])
    expected = F.cross_entropy(logits, sw.tensor([0, 1])).item()
    for dtype in (sw.int32, sw.uint8, sw.int8):
        assert F.cross_entropy(logits, sw.tensor([0, 1], dtype=dtype)).item() == expected
    with pytest.raises(ValueError, match="out of bounds"):
        F.cross_entropy(logits, sw.tensor([0, -1], dtype=sw.int8))


def test_wrong_targets_of_classes() -> None:
    logits = sw.zeros(4, 3)
    with pytest.raises(ValueError, match=r"shape \(4,\).*squeeze\(-1\)"):
        F.cross_entropy(logits, sw.tensor([[0], [1], [2], [0]]))
    with pytest.raises(ValueError, match=r"\.long\(\)"):
        F.cross_entropy(logits, sw.zeros(4))
    with pytest.raises(TypeError, match=r"\.long\(\)"):
        F.nll_loss(logits, sw.zeros(4))
    with pytest.raises(TypeError, match="logits"):
        F.cross_entropy(sw.tensor([[1, 2]]), sw.tensor([0]))
    with pytest.raises(ValueError, match="3 classes; give one weight for each"):
        F.cross_entropy(logits, sw.tensor([0, 1, 2, 0]), weight=sw.ones(2))
    with pytest.raises(ValueError, match=r"needs class numbers of shape \(4,\)"):
        F.cross_entropy(logits, sw.tensor([0, 1]))


def test_cross_entropy_is_exact_for_extreme_logits() -> None:
    x = sw.tensor([[1000.0, 0.0], [-1000.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, sw.tensor([1, 1]), reduction="none")
    loss.sum().backward()
    assert loss.tolist() == [1000.0, 0.0]
    assert x.grad.tolist() == [[1.0, -1.0], [0.0, 0.0]]


def test_a_masked_class_has_no_share() -> None:
    x = sw.tensor([[0.0, 0.0, -math.inf]], requires_grad=True)
    loss = F.cross_entropy(x, sw.tensor([[0.5, 0.5, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2.0))
    assert x.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_gradient_of_cross_entropy_is_softmax_minus_target() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 4))
    x = sw.tensor(logits, requires_grad=True)
    target = np.array([0, 3, 1, 1, 2])
    F.cross_entropy(x, sw.tensor(target)).backward()
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(
        x.grad.numpy(), (shares - np.eye(4)[target]) / 5, rtol=1e-12, atol=1e-15
    )


def test_ignored_rows_get_no_gradient_even_when_infinite() -> None:
    x = sw.tensor([[0.0, 1.0], [-math.inf, 0.0]], requires_grad=True)
    F.cross_entropy(x, sw.tensor([0, -100])).backward()
    assert x.grad[1].tolist() == [0.0, 0.0]


def test_empty_batches() -> None:
    assert math.isnan(F.cross_entropy(sw.zeros(0, 3), sw.tensor([], dtype=sw.int64)).item())
    total = F.cross_entropy(sw.zeros(0, 3), sw.tensor([], dtype=sw.int64), reduction="sum")
    assert total.item() == 0.0


def test_kl_div_with_zeros_in_the_target() -> None:
    log_p = sw.log_softmax(sw.tensor([[0.0, 0.0, -math.inf]]), -1).detach().requires_grad_()
    loss = F.kl_div(log_p, sw.tensor([[0.5, 0.5, 0.0]]), reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert log_p.grad.tolist() == [[-0.5, -0.5, 0.0]]


def test_class_weights_move_with_the_module() -> None:
    loss = nn.CrossEntropyLoss(weight=sw.tensor([1.0, 2.0])).double()
    assert loss.weight.dtype == sw.float64 and list(loss.state_dict()) == ["weight"]
    assert loss(sw.zeros(2, 2, dtype=sw.float64), sw.tensor([0, 1])).dtype == sw.float64
