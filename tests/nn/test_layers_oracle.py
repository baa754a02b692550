"""Every layer against PyTorch's in float64: outputs, all gradients, buffers, names and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn

from .pairs import TOLERANCE, compare_functions, compare_layers, copy_state

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def normal(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape)


def both(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Return the layer of one name in both libraries."""
    return getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)


LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], list[np.ndarray[Any, Any]]]] = [
    ("Linear", (4, 3), {}, [normal(5, 4)]),
    ("Linear", (4, 3), {"bias": False}, [normal(2, 5, 4)]),
    ("Linear", (4, 3), {}, [normal(4)]),
    ("Bilinear", (4, 3, 2), {}, [normal(5, 4), normal(5, 3, seed=1)]),
    ("Flatten", (), {}, [normal(2, 3, 4)]),
    ("Flatten", (0, 1), {}, [normal(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [normal(4, 6)]),
    ("Identity", (), {}, [normal(4, 6)]),
    ("Conv1d", (4, 6, 3), {}, [normal(2, 4, 9)]),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 2, "dilation": 2, "groups": 2},
     [normal(2, 4, 9)]),
    ("Conv1d", (4, 6, 3), {"padding": "same", "bias": False}, [normal(4, 9)]),
    ("Conv1d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect"}, [normal(2, 4, 9)]),
    ("Conv2d", (3, 4, 3), {}, [normal(2, 3, 6, 7)]),
    ("Conv2d", (4, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 2), "groups": 4},
     [normal(2, 4, 6, 7)]),
    ("Conv2d", (2, 3, 3), {"padding": "valid", "dilation": 2}, [normal(2, 2, 7, 8)]),
    ("Conv2d", (2, 3, 3), {"padding": 1, "padding_mode": "circular"}, [normal(2, 2, 5, 6)]),
    ("Conv2d", (2, 3, 3), {"padding": (1, 2), "padding_mode": "replicate"}, [normal(2, 2, 5, 6)]),
    ("MaxPool1d", (2,), {}, [normal(2, 3, 8)]),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, [normal(2, 3, 8)]),
    ("MaxPool2d", (2,), {}, [normal(2, 3, 6, 8)]),
    ("MaxPool2d", ((3, 2),), {"stride": (1, 2), "padding": 1, "dilation": (1, 1)},
     [normal(2, 3, 6, 8)]),
    ("AvgPool1d", (2,), {}, [normal(2, 3, 8)]),
    ("AvgPool1d", (3,), {"stride": 1, "padding": 1, "count_include_pad": False}, [normal(2, 3, 8)]),
    ("AvgPool2d", (2,), {}, [normal(2, 3, 6, 8)]),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1}, [normal(2, 3, 6, 8)]),
    ("AdaptiveAvgPool2d", ((3, 2),), {}, [normal(2, 3, 7, 5)]),
    ("Embedding", (10, 3), {}, [np.array([[1, 2, 2], [9, 0, 1]])]),
    ("Embedding", (10, 3), {"padding_idx": 2}, [np.array([[1, 2, 2], [9, 0, 1]])]),
    ("BatchNorm1d", (3,), {}, [normal(8, 3)]),
    ("BatchNorm1d", (3,), {"momentum": None, "eps": 1e-3}, [normal(8, 3, 4)]),
    ("BatchNorm1d", (3,), {"affine": False, "track_running_stats": False}, [normal(8, 3)]),
    ("BatchNorm2d", (3,), {"momentum": 0.3}, [normal(4, 3, 5, 2)]),
    ("LayerNorm", (4,), {}, [normal(2, 3, 4)]),
    ("LayerNorm", ((3, 4),), {"eps": 1e-2}, [normal(2, 3, 4)]),
    ("LayerNorm", (4,), {"elementwise_affine": False}, [normal(5, 4)]),
    ("LayerNorm", (4,), {"bias": False}, [normal(5, 4)]),
    ("GroupNorm", (2, 6), {}, [normal(3, 6, 4, 2)]),
    ("GroupNorm", (3, 6), {"affine": False}, [normal(3, 6)]),
    ("Sigmoid", (), {}, [normal(3, 4) * 3]),
    ("Tanh", (), {}, [normal(3, 4) * 3]),
    ("ReLU", (), {}, [normal(3, 4)]),
    ("ReLU6", (), {}, [normal(3, 4) * 5]),
    ("LeakyReLU", (0.2,), {}, [normal(3, 4)]),
    ("PReLU", (), {}, [normal(3, 4)]),
    ("PReLU", (4,), {}, [normal(3, 4, 2)]),
    ("ELU", (0.7,), {}, [normal(3, 4) * 2]),
    ("CELU", (0.7,), {}, [normal(3, 4) * 2]),
    ("SELU", (), {}, [normal(3, 4) * 2]),
    ("GELU", (), {}, [normal(3, 4) * 2]),
    ("GELU", (), {"approximate": "tanh"}, [normal(3, 4) * 2]),
    ("SiLU", (), {}, [normal(3, 4) * 2]),
    ("Mish", (), {}, [normal(3, 4) * 2]),
    ("Hardsigmoid", (), {}, [normal(3, 4) * 4]),
    ("Hardswish", (), {}, [normal(3, 4) * 4]),
    ("Hardtanh", (-0.5, 0.8), {}, [normal(3, 4)]),
    ("Softplus", (), {}, [normal(3, 4) * 3]),
    ("Softplus", (2.0,), {}, [normal(3, 4)]),
    ("Softsign", (), {}, [normal(3, 4)]),
    ("Tanhshrink", (), {}, [normal(3, 4)]),
    ("LogSigmoid", (), {}, [normal(3, 4) * 3]),
    ("Softmax", (), {"dim": -1}, [normal(3, 4)]),
    ("Softmax", (), {"dim": 0}, [normal(3, 4, 2)]),
    ("Softmin", (), {"dim": 1}, [normal(3, 4)]),
    ("LogSoftmax", (), {"dim": 1}, [normal(3, 4)]),
    ("GLU", (), {"dim": 1}, [normal(3, 4)]),
]  # fmt: skip


# PyTorch rounds a constant of these to float32 (1/6, 1/alpha), in float64 too: 3e-8 from the truth.
COARSE = {"CELU": 1e-7, "Hardsigmoid": 1e-7}


@pytest.mark.parametrize(
    ("name", "args", "options", "operands"),
    LAYERS,
    ids=[f"{i}-{row[0]}" for i, row in enumerate(LAYERS)],
)
def test_layer(
    name: str, args: tuple[Any, ...], options: dict[str, Any], operands: list[Any]
) -> None:
    ours, theirs = both(name, *args, **options)
    compare_layers(ours, theirs, operands, COARSE.get(name, TOLERANCE))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_over_batches_and_in_evaluation(momentum: float | None) -> None:
    ours, theirs = both("BatchNorm1d", 3, momentum=momentum)
    for seed in range(3):
        compare_layers(ours, theirs, [normal(8, 3, seed=seed) * (seed + 1) + seed])
        ours.zero_grad()
        theirs.zero_grad()
    compare_layers(ours, theirs, [normal(8, 3, seed=9)], train=False)
    assert ours.num_batches_tracked.item() == 3


def test_a_network_trains_alike() -> None:
    def build(library: Any) -> Any:
        return library.Sequential(
            library.Conv2d(1, 4, 3, padding=1), library.BatchNorm2d(4), library.ReLU(),
            library.MaxPool2d(2), library.Flatten(), library.Linear(64, 10),
        )  # fmt: skip

    ours, theirs = build(nn).double(), build(torch.nn).double()
    copy_state(theirs, ours)
    x, y = normal(16, 1, 8, 8), np.arange(16) % 10
    steppers = (
        sw.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9),
        torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9),
    )
    for _ in range(5):
        losses = []
        for library, model, optimizer in zip((sw, torch), (ours, theirs), steppers, strict=True):
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(model(library.tensor(x)), library.tensor(y))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-9)


# --- recurrent layers -------------------------------------------------------------------------

RECURRENT = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False},
    {"batch_first": True, "num_layers": 2},
]


@pytest.mark.parametrize("options", RECURRENT, ids=str)
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_recurrent_layer(name: str, options: dict[str, Any]) -> None:
    ours, theirs = both(name, 3, 4, **options)
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    x, h, c = normal(5, 2, 3), normal(count, 2, 4, seed=1), normal(count, 2, 4, seed=2)
    if options.get("batch_first"):
        x = normal(2, 5, 3)
    compare_layers(ours, theirs, [x])
    ours.zero_grad()
    theirs.zero_grad()
    theirs.double()
    if name == "LSTM":
        compare_functions(lambda *s: ours(s[0], s[1:]), lambda *s: theirs(s[0], s[1:]), [x, h, c])
    else:
        compare_functions(ours, theirs, [x, h])


def test_recurrent_variants() -> None:
    compare_layers(*both("RNN", 3, 4, nonlinearity="relu"), [normal(5, 2, 3)])
    compare_layers(*both("RNN", 3, 4), [normal(5, 3)])
    compare_layers(*both("LSTM", 3, 4), [normal(5, 3)])
    options = {"proj_size": 2, "num_layers": 2, "bidirectional": True}
    compare_layers(*both("LSTM", 3, 4, **options), [normal(5, 2, 3)])


# --- attention --------------------------------------------------------------------------------

ATTENTION: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"batch_first": True}, {"average_attn_weights": False}),
    ({"bias": False}, {"need_weights": False}),
    ({"kdim": 6, "vdim": 5}, {}),
    ({"add_bias_kv": True, "add_zero_attn": True}, {}),
    ({"batch_first": True, "add_zero_attn": True}, {"mask": "causal", "padding": True}),
    ({"batch_first": True}, {"mask": "float"}),
    ({"batch_first": True}, {"mask": "heads"}),
]


@pytest.mark.parametrize(("options", "call"), ATTENTION, ids=str)
def test_multihead_attention(options: dict[str, Any], call: dict[str, Any]) -> None:
    ours, theirs = both("MultiheadAttention", 8, 2, **options)
    if theirs.bias_k is not None:
        torch.nn.init.normal_(theirs.in_proj_bias)
    length, batch, keys = 4, 3, 4 if "mask" in call else 5
    first = options.get("batch_first", False)

    def shaped(size: int, width: int, seed: int) -> np.ndarray[Any, Any]:
        return normal(*((batch, size) if first else (size, batch)), width, seed=seed)

    operands = [
        shaped(length, 8, 0), shaped(keys, options.get("kdim", 8), 1),
        shaped(keys, options.get("vdim", 8), 2),
    ]  # fmt: skip
    masks: dict[str, Any] = {
        "causal": np.triu(np.ones((length, keys), bool), 1),
        "float": normal(length, keys, seed=5),
        "heads": normal(batch * 2, length, keys, seed=6) > 1,
    }
    passed = {k: v for k, v in call.items() if k not in ("mask", "padding")}
    arrays: dict[str, Any] = {}
    if "mask" in call:
        arrays["attn_mask"] = masks[call["mask"]]
    if call.get("padding"):
        arrays["key_padding_mask"] = np.arange(keys)[None].repeat(batch, 0) == keys - 1

    def run(layer: Any, library: Any) -> Any:
        given = {k: library.tensor(v) for k, v in arrays.items()}
        return lambda q, k, v: layer(q, k, v, **given, **passed)

    theirs.double()
    ours.double()
    copy_state(theirs, ours)
    compare_functions(run(ours, sw), run(theirs, torch), operands)
    ours.zero_grad()
    theirs.zero_grad()
    compare_layers(ours, theirs, operands)


def test_attention_with_itself() -> None:
    ours, theirs = both("MultiheadAttention", 8, 4)
    theirs.double()
    ours.double()
    copy_state(theirs, ours)
    compare_functions(lambda x: ours(x, x, x), lambda x: theirs(x, x, x), [normal(5, 2, 8)])
    compare_functions(lambda x: ours(x, x, x), lambda x: theirs(x, x, x), [normal(5, 8)])


@pytest.mark.parametrize("mask", [None, "bool", "float", "causal"])
def test_scaled_dot_product_attention(mask: str | None) -> None:
    q, k, v = normal(2, 3, 4, 8), normal(2, 3, 5, 8, seed=1), normal(2, 3, 5, 6, seed=2)
    given: dict[str, Any] = {}
    if mask == "bool":
        given["attn_mask"] = np.tri(4, 5, 1, dtype=bool)
    if mask == "float":
        given["attn_mask"] = normal(4, 5, seed=3)
    options = {"is_causal": True} if mask == "causal" else {"scale": 0.3} if mask is None else {}

    def run(library: Any) -> Any:
        arrays = {name: library.tensor(a) for name, a in given.items()}
        attend = library.nn.functional.scaled_dot_product_attention
        return lambda *x: attend(*x, **arrays, **options)

    compare_functions(run(sw), run(torch), [q, k, v])


def test_normalize_and_other_functions() -> None:
    ours, theirs = nn.functional, torch.nn.functional
    compare_functions(ours.normalize, theirs.normalize, [normal(4, 3)])
    compare_functions(
        lambda x: ours.normalize(x, p=1, dim=0),
        lambda x: theirs.normalize(x, p=1, dim=0),
        [normal(4, 3)],
    )
    for mode in ("constant", "reflect", "replicate", "circular"):
        compare_functions(
            lambda x, m=mode: ours.pad(x, (1, 2), mode=m),
            lambda x, m=mode: theirs.pad(x, (1, 2), mode=m),
            [normal(2, 3, 5)],
        )
