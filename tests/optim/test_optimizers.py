"""Optimisers without an oracle: first steps by hand, state, groups, errors, and traced updates."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import optim
from slopewise._core.aval import Aval
from slopewise._core.state import no_grad
from slopewise._core.trace import trace
from slopewise.optim.adagrad import adagrad_update
from slopewise.optim.adam import adam_update
from slopewise.optim.rmsprop import rmsprop_update
from slopewise.optim.sgd import sgd_update

ALL: list[tuple[Any, dict[str, Any]]] = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    (optim.Adam, {"lr": 0.1}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    (optim.AdamW, {"lr": 0.1}),
    (optim.RMSprop, {"lr": 0.05}),
    (optim.RMSprop, {"lr": 0.05, "centered": True, "momentum": 0.5}),
    (optim.Adagrad, {"lr": 0.5}),
]
EVERY = pytest.mark.parametrize(
    ("kind", "options"), ALL, ids=lambda v: getattr(v, "__name__", str(v))
)


def parameter(*values: float, dtype: Any = None) -> Any:
    return sw.tensor(list(values), dtype=dtype, requires_grad=True)


def descend(optimizer: Any, w: Any, steps: int) -> list[list[float]]:
    """Step down a bowl with its lowest point at 3; return where each step ended."""
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        ((w - 3) ** 2).sum().backward()
        optimizer.step()
        path.append(w.tolist())
    return path


@EVERY
def test_a_bowl_is_descended(kind: Any, options: dict[str, Any]) -> None:
    w = parameter(4.0, -1.0)
    path = descend(kind([w], **options), w, 60)
    start = abs(np.array([4.0, -1.0]) - 3).sum()
    assert abs(np.array(path[-1]) - 3).sum() < 0.6 * start


def test_first_steps_by_hand() -> None:
    w = parameter(4.0)
    assert descend(optim.SGD([w], lr=0.5), w, 1) == [[3.0]]
    w = parameter(4.0)
    assert descend(optim.SGD([w], lr=0.25, momentum=0.5), w, 2) == [[3.5], [3.0]]
    w = parameter(4.0, dtype=sw.float64)
    assert descend(optim.Adam([w], lr=0.1, eps=0.0), w, 1)[0] == pytest.approx([3.9])
    w = parameter(4.0, dtype=sw.float64)
    assert descend(optim.AdamW([w], lr=0.1, eps=0.0), w, 1)[0] == pytest.approx([4 * 0.999 - 0.1])
    w = parameter(4.0, dtype=sw.float64)
    assert descend(optim.Adagrad([w], lr=0.1, eps=0.0), w, 1)[0] == pytest.approx([3.9])
    w = parameter(4.0, dtype=sw.float64)
    assert descend(optim.RMSprop([w], lr=0.1, eps=0.0), w, 1)[0] == pytest.approx([3.0])


def test_steps_change_in_place_and_count_as_changes() -> None:
    w = parameter(4.0)
    view = w.detach()
    loss = (w**2).sum()
    optimizer = optim.SGD([w], lr=0.5)
    w.grad = sw.tensor([1.0])
    optimizer.step()
    assert view.tolist() == [3.5] and w.is_leaf and w.requires_grad
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_parameters_without_gradient_stay() -> None:
    a, b = parameter(1.0), parameter(1.0)
    optimizer = optim.Adam([a, b], lr=0.1, weight_decay=1.0)
    a.grad = sw.tensor([1.0])
    optimizer.step()
    assert b.tolist() == [1.0] and b not in optimizer.state


@EVERY
@pytest.mark.parametrize("dtype", [sw.float32, sw.float64], ids=str)
def test_states_keep_the_dtype(kind: Any, options: dict[str, Any], dtype: Any) -> None:
    w = parameter(4.0, dtype=dtype)
    optimizer = kind([w], **options)
    descend(optimizer, w, 2)
    assert w.dtype == dtype
    for name, entry in optimizer.state.get(w, {}).items():
        assert entry.dtype == (sw.float64 if name == "step" else dtype), name


@EVERY
def test_a_state_goes_round_through_text_and_arrays(kind: Any, options: dict[str, Any]) -> None:
    w = parameter(4.0, -1.0)
    optimizer = kind([w], **options)
    descend(optimizer, w, 3)
    state = optimizer.state_dict()
    groups = json.loads(json.dumps(state["param_groups"]))
    arrays = {
        number: {name: entry.numpy().copy() for name, entry in entries.items()}
        for number, entries in state["state"].items()
    }
    twin = sw.tensor(w.tolist(), requires_grad=True)
    other = kind([twin], **{**options, "lr": 99.0})
    other.load_state_dict({"state": arrays, "param_groups": groups})
    assert other.param_groups[0]["lr"] == options["lr"]
    assert descend(optimizer, w, 5) == descend(other, twin, 5)


def test_a_wrong_state_is_refused() -> None:
    w = parameter(4.0)
    optimizer = optim.Adam([w])
    descend(optimizer, w, 1)
    state = optimizer.state_dict()
    other = optim.Adam([parameter(1.0, 2.0)])
    with pytest.raises(ValueError, match=r"exp_avg has shape \(1,\).*\(2,\)"):
        other.load_state_dict(state)
    with pytest.raises(ValueError, match="size of optimizer's group"):
        optim.Adam([parameter(1.0), parameter(1.0)]).load_state_dict(state)
    two = optim.Adam([{"params": [parameter(1.0)]}, {"params": [parameter(1.0)]}])
    with pytest.raises(ValueError, match="different number of parameter groups"):
        two.load_state_dict(state)


def test_rates_are_numbers_that_live_in_a_tensor() -> None:
    w = parameter(4.0)
    optimizer = optim.SGD([w], lr=0.5)
    group = optimizer.param_groups[0]
    rate = group.rate
    group["lr"] *= 0.5
    assert group["lr"] == group.get("lr") == 0.25 and type(group["lr"]) is float
    assert group.rate is rate and rate.item() == 0.25 and rate.dtype == sw.float64
    rate.fill_(0.125)
    assert group["lr"] == 0.125
    group.update(lr=sw.tensor(0.5), momentum=0.0)
    assert group["lr"] == 0.5
    assert optimizer.state_dict()["param_groups"] == [
        {"lr": 0.5, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False,
         "maximize": False, "params": [0]}
    ]  # fmt: skip
    assert "lr: 0.5" in repr(optimizer)


def test_groups_and_added_groups() -> None:
    a, b, c = parameter(1.0), parameter(1.0), parameter(1.0)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": c, "lr": 1.0})
    for p in (a, b, c):
        p.grad = sw.tensor([1.0])
    optimizer.step()
    assert [p.item() for p in (a, b, c)] == pytest.approx([0.9, 0.5, 0.0])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [a]})
    with pytest.raises(TypeError, match="dict"):
        optimizer.add_param_group([a])  # pyright: ignore[reportArgumentType]


def test_momentum_can_be_switched_on_later() -> None:
    w = parameter(4.0)
    optimizer = optim.SGD([w], lr=0.1)
    descend(optimizer, w, 1)
    optimizer.param_groups[0]["momentum"] = 0.9
    descend(optimizer, w, 2)
    assert "momentum_buffer" in optimizer.state[w]


def test_zero_grad() -> None:
    w = parameter(4.0)
    optimizer = optim.SGD([w], lr=0.1)
    w.grad = sw.tensor([1.0])
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert w.grad is None


def test_closures_run_with_gradients_and_give_their_loss() -> None:
    w = parameter(4.0)
    optimizer = optim.SGD([w], lr=0.5)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((w - 3) ** 2).sum()
        loss.backward()
        return loss

    with sw.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert w.item() == 3.0


def test_wrong_parameters_say_what_to_do() -> None:
    w = parameter(1.0)
    with pytest.raises(ValueError, match=r"can't optimize a non-leaf Tensor.*detach"):
        optim.SGD([w * 2], lr=0.1)
    with pytest.raises(ValueError, match=r"empty parameter list.*ModuleList"):
        optim.SGD([], lr=0.1)
    with pytest.raises(TypeError, match=r"one Tensor; put it in a list"):
        optim.SGD(w, lr=0.1)
    with pytest.raises(TypeError, match="one of the params is int"):
        optim.SGD([1], lr=0.1)
    with pytest.raises(ValueError, match="twice in one"):
        optim.SGD([w, w], lr=0.1)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (optim.SGD, {"lr": -0.1}),
        (optim.SGD, {"lr": float("nan")}),
        (optim.SGD, {"momentum": -1.0}),
        (optim.SGD, {"weight_decay": -1.0}),
        (optim.Adam, {"betas": (1.0, 0.9)}),
        (optim.Adam, {"eps": -1.0}),
        (optim.RMSprop, {"alpha": -1.0}),
        (optim.Adagrad, {"lr_decay": -1.0}),
        (optim.LBFGS, {"lr": -1.0}),
    ],
)
def test_settings_out_of_range(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        kind([parameter(1.0)], **options)


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ValueError, match="requires a momentum and zero dampening"):
        optim.SGD([parameter(1.0)], lr=0.1, nesterov=True)


# --- L-BFGS ---------------------------------------------------------------------------------------


def test_lbfgs_finds_the_minimum_of_a_curved_valley() -> None:
    w = parameter(-1.2, 1.0, dtype=sw.float64)
    optimizer = optim.LBFGS(
        [w], max_iter=100, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    assert w.tolist() == pytest.approx([1.0, 1.0], abs=1e-6)
    assert optimizer.state[w]["func_evals"] < 80


def test_lbfgs_state_goes_round() -> None:
    def run(w: Any, optimizer: Any, steps: int) -> list[list[float]]:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = (w**4).sum() + (w - 1).square().sum()
            loss.backward()
            return loss

        return [(optimizer.step(closure), w.tolist())[1] for _ in range(steps)]

    w = parameter(2.0, -3.0, dtype=sw.float64)
    first = optim.LBFGS([w], max_iter=2)
    run(w, first, 2)
    twin = sw.tensor(w.tolist(), dtype=sw.float64, requires_grad=True)
    second = optim.LBFGS([twin], max_iter=2)
    second.load_state_dict(first.state_dict())
    assert run(w, first, 3) == run(twin, second, 3)


def test_lbfgs_errors() -> None:
    w = parameter(1.0)
    with pytest.raises(ValueError, match="closure"):
        optim.LBFGS([w]).step()
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [w]}, {"params": [parameter(2.0)]}])
    with pytest.raises(ValueError, match="strong_wolfe"):
        optim.LBFGS([w], line_search_fn="armijo")


# --- updates on traced tensors -------------------------------------------------------------------

SHAPE, SCALAR = Aval((3,), np.dtype(np.float32)), Aval((), np.dtype(np.float64))
PLAIN = {"weight_decay": 0.1, "maximize": False}
SGD_OPTIONS = {**PLAIN, "momentum": 0.0, "dampening": 0.0, "nesterov": False}
NESTEROV = {**SGD_OPTIONS, "momentum": 0.9, "nesterov": True, "maximize": True}
DAMPENED = {**SGD_OPTIONS, "momentum": 0.9, "dampening": 0.4}
ADAM = {**PLAIN, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "decoupled": False}
RMSPROP = {**PLAIN, "alpha": 0.9, "eps": 1e-8, "momentum": 0.5, "centered": True}
UPDATES: list[tuple[Any, list[Aval], dict[str, Any]]] = [
    (sgd_update, [], SGD_OPTIONS),
    (sgd_update, [SHAPE], NESTEROV),
    (sgd_update, [SHAPE, SCALAR], DAMPENED),
    (adam_update, [SCALAR, SHAPE, SHAPE], ADAM),
    (adam_update, [SCALAR, SHAPE, SHAPE, SHAPE], {**ADAM, "decoupled": True}),
    (rmsprop_update, [SCALAR, SHAPE, SHAPE, SHAPE], RMSPROP),
    (adagrad_update, [SCALAR, SHAPE], {**PLAIN, "lr_decay": 0.1, "eps": 1e-8}),
]


@pytest.mark.parametrize(("update", "state", "options"), UPDATES)
def test_an_update_traces_to_the_same_numbers(
    update: Any, state: list[Aval], options: dict[str, Any]
) -> None:
    """The function of an eager step, traced with the rate and the counts as inputs."""
    rng = np.random.default_rng(0)

    def numbers(aval: Aval) -> np.ndarray[Any, Any]:
        return np.asarray(rng.random(aval.shape) + 2, aval.dtype)

    arrays = [numbers(a) for a in (SHAPE, SHAPE, *state)]
    rate = np.asarray(0.05)
    with no_grad():
        graph, _ = trace(
            lambda *xs: update(*xs[:-1], lr=xs[-1], **options), [SHAPE, SHAPE, *state, SCALAR]
        )
    eager = update(*arrays, lr=0.05, **options)
    traced = graph(*arrays, rate)
    for a, b, aval in zip(eager, traced, [SHAPE, *state], strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype == aval.dtype
        np.testing.assert_allclose(a, b, rtol=1e-6)
