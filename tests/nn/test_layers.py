"""Layers without an oracle: hand-computed values, properties, and the errors of wrong shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn

F = nn.functional


def test_linear_by_hand() -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[2.0, -1.0]]), "bias": np.array([0.5])})
    assert layer(sw.tensor([[1.0, 3.0], [0.0, 0.0]])).tolist() == [[-0.5], [0.5]]
    with pytest.raises(ValueError, match=r"shape \(4, 3\).*2 features"):
        layer(sw.zeros(4, 3))


def test_activations_in_their_saturated_ends() -> None:
    x = sw.tensor([-1000.0, 1000.0], requires_grad=True)
    for function in (F.elu, F.selu, F.celu, F.silu, F.gelu, F.softplus, F.mish, F.sigmoid):
        x.grad = None
        out = function(x)
        out.sum().backward()
        assert np.isfinite(out.detach().numpy()).all(), function
        assert np.isfinite(x.grad.numpy()).all(), function


def test_kinks_have_the_documented_slopes() -> None:
    def slope(function: Any) -> float:
        return sw.grad(function)(0.0).item()

    assert slope(F.relu) == 0.0
    assert slope(lambda x: F.leaky_relu(x, 0.2)) == 0.2
    assert slope(lambda x: F.elu(x, 0.7)) == 0.7
    assert slope(F.relu6) == 0.0
    assert slope(lambda x: F.l1_loss(x, sw.tensor(0.0, dtype=sw.float64))) == 0.0


def test_activations_in_place() -> None:
    x = sw.tensor([-1.0, 2.0])
    assert F.relu(x, inplace=True) is x and x.tolist() == [0.0, 2.0]
    assert nn.ELU(inplace=True)(x) is x
    assert nn.LeakyReLU(0.1, inplace=True)(sw.tensor([-1.0])).item() == pytest.approx(-0.1)


def test_axis_and_option_errors() -> None:
    with pytest.raises(ValueError, match="along which axis"):
        nn.Softmax()(sw.zeros(3))
    with pytest.raises(ValueError, match="approximate"):
        F.gelu(sw.zeros(3), approximate="cos")
    with pytest.raises(ValueError, match="odd"):
        F.glu(sw.zeros(3))
    with pytest.raises(ValueError, match="below max_val"):
        nn.Hardtanh(1.0, 1.0)
    with pytest.raises(ValueError, match="one for each channel"):
        F.prelu(sw.zeros(2, 3), sw.zeros(2))


def test_gumbel_softmax_is_one_hot_with_soft_gradients() -> None:
    sw.manual_seed(0)
    logits = sw.zeros(200, 3, requires_grad=True)
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(np.unique(hard.detach().numpy().round(6))) == {0.0, 1.0}
    (hard * sw.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad.numpy().any()
    shares = hard.detach().numpy().mean(0)
    assert np.abs(shares - 1 / 3).max() < 0.12


# --- normalisation ------------------------------------------------------------------------------


def test_batch_norm_counts_and_moves() -> None:
    layer = nn.BatchNorm1d(1, momentum=0.5)
    layer(sw.tensor([[1.0], [3.0]]))
    assert layer.running_mean.item() == 1.0  # half way from 0 to the mean, 2
    assert layer.running_var.item() == 1.5  # half way from 1 to the unbiased variance, 2
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    out = layer(sw.tensor([[1.0]]))
    assert out.item() == 0.0 and layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert layer.running_var.item() == 1.0 and layer.num_batches_tracked.item() == 0


def test_batch_norm_of_constant_data_is_zero_with_zero_slope() -> None:
    x = sw.ones(4, 2, requires_grad=True)
    out = nn.BatchNorm1d(2)(x)
    (out**2).sum().backward()
    assert not out.detach().numpy().any() and not x.grad.numpy().any()


def test_batch_norm_errors() -> None:
    with pytest.raises(ValueError, match=r"more than 1 value per channel.*eval\(\)"):
        nn.BatchNorm1d(3)(sw.zeros(1, 3))
    with pytest.raises(ValueError, match="expected 2 or 3 axes"):
        nn.BatchNorm1d(3)(sw.zeros(3))
    with pytest.raises(ValueError, match="should contain 4 elements"):
        nn.BatchNorm1d(3)(sw.zeros(2, 4))
    with pytest.raises(ValueError, match="running_mean"):
        F.batch_norm(sw.zeros(2, 3), None, None)
    with pytest.raises(ValueError, match="do not divide"):
        nn.GroupNorm(4, 6)
    with pytest.raises(ValueError, match=r"normalized_shape=\[4\]"):
        nn.LayerNorm(4)(sw.zeros(2, 3))


@pytest.mark.parametrize("layer", [nn.LayerNorm(6), nn.GroupNorm(1, 6)])
def test_normalised_rows_have_mean_0_and_variance_1(layer: Any) -> None:
    out = layer(sw.randn(5, 6) * 10 + 3).detach().numpy()
    np.testing.assert_allclose(out.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(out.std(1), 1, atol=1e-4)


# --- dropout ------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_the_share() -> None:
    sw.manual_seed(1)
    x = sw.ones(200, 100, requires_grad=True)
    out = nn.Dropout(0.3)(x)
    values = out.detach().numpy()
    np.testing.assert_allclose(np.unique(values), [0.0, 1 / 0.7], rtol=1e-6)
    assert abs((values == 0).mean() - 0.3) < 0.02
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)


def test_dropout_repeats_with_the_seed_and_is_fresh_otherwise() -> None:
    layer, x = nn.Dropout(0.5), sw.ones(50)
    sw.manual_seed(3)
    first, second = layer(x).tolist(), layer(x).tolist()
    sw.manual_seed(3)
    assert layer(x).tolist() == first != second


def test_dropout_of_infinities_and_the_extremes() -> None:
    x = sw.tensor([math.inf] * 50)
    out = F.dropout(x, 0.5).numpy()
    assert not np.isnan(out).any() and (out == 0).any()
    assert F.dropout(sw.ones(5), 1.0).tolist() == [0.0] * 5
    assert F.dropout(x, 0.0) is x and F.dropout(x, 0.5, training=False) is x
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match="between 0 and 1"):
            nn.Dropout(p)
        with pytest.raises(ValueError, match="between 0 and 1"):
            F.dropout(x, p)


def test_channel_dropout_drops_whole_channels() -> None:
    sw.manual_seed(0)
    out = nn.Dropout2d(0.5)(sw.ones(8, 6, 3, 3)).numpy()
    channels = out.reshape(48, 9)
    assert ((channels == channels[:, :1]).all(1)).all()
    assert 5 < (channels[:, 0] == 0).sum() < 43
    assert nn.Dropout1d(0.5)(sw.ones(4, 6, 3)).shape == (4, 6, 3)
    with pytest.raises(ValueError, match="3 or 4 axes"):
        nn.Dropout2d(0.5)(sw.ones(4, 6))


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    sw.manual_seed(0)
    x = sw.randn(100_000)
    out = nn.AlphaDropout(0.2)(x).numpy()
    assert abs(out.mean()) < 0.02 and abs(out.std() - 1) < 0.02


# --- embedding ----------------------------------------------------------------------------------


def test_embedding_adds_up_gradients_of_repeated_rows() -> None:
    table = nn.Embedding(4, 2, padding_idx=-1)
    assert table.weight[3].tolist() == [0.0, 0.0]
    table(sw.tensor([1, 1, 3])).sum().backward()
    assert table.weight.grad.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
    frozen = nn.Embedding.from_pretrained(sw.ones(3, 2))
    assert not frozen.weight.requires_grad and frozen(sw.tensor(1)).tolist() == [1.0, 1.0]


def test_embedding_errors() -> None:
    table = nn.Embedding(4, 2)
    with pytest.raises(ValueError, match=r"index 4 is out of range.*0 to 3"):
        table(sw.tensor([0, 4]))
    with pytest.raises(ValueError, match="index -1"):
        table(sw.tensor([-1]))
    with pytest.raises(TypeError, match=r"\.long\(\)"):
        table(sw.tensor([1.0]))
    with pytest.raises(ValueError, match="padding_idx"):
        nn.Embedding(4, 2, padding_idx=4)


# --- convolution and pooling --------------------------------------------------------------------


def test_convolution_by_hand() -> None:
    layer = nn.Conv1d(1, 1, 2, bias=False)
    layer.load_state_dict({"weight": np.array([[[1.0, -1.0]]])})
    assert layer(sw.tensor([[[1.0, 4.0, 9.0]]])).tolist() == [[[-3.0, -5.0]]]
    assert nn.Conv2d(3, 8, 3, stride=2, padding=1)(sw.zeros(2, 3, 8, 9)).shape == (2, 8, 4, 5)
    assert nn.MaxPool2d(2)(sw.arange(16.0).reshape(1, 1, 4, 4)).flatten().tolist() == [5, 7, 13, 15]
    assert nn.AvgPool1d(2)(sw.tensor([[1.0, 3.0, 5.0, 7.0]])).tolist() == [[2.0, 6.0]]
    assert "padding=(1, 1)" in repr(nn.Conv2d(3, 8, 3, padding=1))


def test_convolution_errors() -> None:
    for bad in ({"groups": 2}, {"padding_mode": "mirror"}, {"padding": "full"}):
        with pytest.raises(ValueError, match="Conv2d"):
            nn.Conv2d(3, 4, 3, **bad)
    with pytest.raises(ValueError, match="stride 1"):
        nn.Conv1d(3, 4, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match="one number or 2"):
        nn.Conv2d(3, 4, (3, 3, 3))
    with pytest.raises(ValueError, match="channels on axis 1"):
        nn.Conv2d(3, 4, 3)(sw.zeros(1, 2, 8, 8))


# --- recurrent layers ---------------------------------------------------------------------------


def test_rnn_by_hand() -> None:
    layer = nn.RNN(1, 1)
    one, zero = np.ones((1, 1)), np.zeros(1)
    layer.load_state_dict(
        {"weight_ih_l0": one, "weight_hh_l0": one * 0.5, "bias_ih_l0": zero, "bias_hh_l0": zero}
    )
    output, last = layer(sw.tensor([[1.0], [2.0]]))
    first = math.tanh(1.0)
    assert output.flatten().tolist() == pytest.approx([first, math.tanh(2.0 + 0.5 * first)])
    assert last.item() == output[-1].item()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_recurrent_dropout_and_errors(name: str) -> None:
    layer = getattr(nn, name)(3, 4, num_layers=2, dropout=0.5)
    x = sw.randn(5, 2, 3)
    assert layer(x)[0].tolist() != layer(x)[0].tolist()
    layer.eval()
    assert layer(x)[0].tolist() == layer(x)[0].tolist()
    assert "num_layers=2" in repr(layer)
    with pytest.raises(ValueError, match="3 features"):
        layer(sw.zeros(5, 2, 4))
    with pytest.raises(ValueError, match="longer than 0"):
        layer(sw.zeros(0, 2, 3))
    wrong = sw.zeros(1, 2, 4)
    with pytest.raises(ValueError, match=r"hidden states of shape \(2, 2, 4\)"):
        layer(x, (wrong, wrong) if name == "LSTM" else wrong)
    with pytest.raises(ValueError, match="dropout"):
        getattr(nn, name)(3, 4, dropout=2.0)


def test_recurrent_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.RNN(3, 4, nonlinearity="sine")
    with pytest.raises(ValueError, match="proj_size"):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(ValueError, match="num_layers"):
        nn.GRU(3, 4, num_layers=0)


# --- attention ----------------------------------------------------------------------------------


def test_a_fully_masked_row_is_zero_and_passes_no_gradient() -> None:
    q = sw.randn(3, 4, requires_grad=True)
    mask = sw.tensor([[True, True], [False, False], [True, False]])
    out = F.scaled_dot_product_attention(q, sw.randn(2, 4), sw.randn(2, 5), attn_mask=mask)
    out.sum().backward()
    assert out[1].tolist() == [0.0] * 5 and q.grad[1].tolist() == [0.0] * 4
    assert np.isfinite(q.grad.numpy()).all()
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    x = sw.randn(2, 3, 4, requires_grad=True)
    padding = sw.tensor([[False] * 3, [True] * 3])
    output, weights = layer(x, x, x, key_padding_mask=padding)
    output.sum().backward()
    assert np.isfinite(output.detach().numpy()).all() and not weights[1].detach().numpy().any()
    assert np.isfinite(x.grad.numpy()).all()


def test_grouped_heads() -> None:
    q, k, v = sw.randn(1, 4, 3, 8), sw.randn(1, 2, 5, 8), sw.randn(1, 2, 5, 8)
    out = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    wide = F.scaled_dot_product_attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))
    assert sw.allclose(out, wide)


def test_attention_errors() -> None:
    with pytest.raises(ValueError, match="divisible by num_heads"):
        nn.MultiheadAttention(5, 2)
    layer = nn.MultiheadAttention(4, 2)
    x = sw.zeros(3, 2, 4)
    with pytest.raises(ValueError, match=r"attn_mask has shape \(2, 2\)"):
        layer(x, x, x, attn_mask=sw.zeros(2, 2))
    with pytest.raises(ValueError, match="key_padding_mask"):
        layer(x, x, x, key_padding_mask=sw.zeros(3, 3))
    with pytest.raises(ValueError, match="features on the last"):
        layer(sw.zeros(3, 2, 5), x, x)
    with pytest.raises(ValueError, match="one batch"):
        layer(x, sw.zeros(3, 1, 4), sw.zeros(3, 1, 4))
    with pytest.raises(ValueError, match="share the last axis"):
        F.scaled_dot_product_attention(sw.zeros(3, 4), sw.zeros(3, 5), sw.zeros(3, 5))
    with pytest.raises(ValueError, match="not both"):
        F.scaled_dot_product_attention(x, x, x, attn_mask=sw.zeros(2, 2), is_causal=True)


# --- transforms pass through modules -------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(3, 2),
        nn.LayerNorm(3),
        nn.GroupNorm(1, 3),
        nn.Sequential(nn.Linear(3, 4), nn.GELU()),
    ],
    ids=lambda m: type(m).__name__,
)
def test_vmap_over_a_layer_is_the_batch(layer: Any) -> None:
    x = sw.randn(5, 2, 3)
    together = sw.stack([layer(row) for row in x])
    assert sw.allclose(sw.vmap(layer)(x), together, atol=1e-6)


def test_second_derivatives_through_a_network() -> None:
    sw.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 3)).double()
    target = sw.tensor([1])

    def loss(x: Any) -> Any:
        return F.cross_entropy(model(x.reshape(1, 2)), target)

    point = np.array([0.3, -0.7])
    hessian = sw.hessian(loss)(point).detach().numpy()
    step = 1e-5
    for i in range(2):
        e = np.eye(2)[i] * step
        slopes = [sw.grad(loss)(point + sign * e).detach().numpy() for sign in (1, -1)]
        numeric = (slopes[0] - slopes[1]) / (2 * step)
        np.testing.assert_allclose(hessian[i], numeric, rtol=1e-6, atol=1e-8)
