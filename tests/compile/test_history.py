"""Compiled calls whose results are differentiated outside: the gradients of eager code.

Invariant: each case runs eagerly and compiled from the same state; what `grad_fn` names tells
whether the call became one operation.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import GradientError

functional = nn.functional


def is_recorded(result: Any) -> bool:
    return "compiled" in repr(result.grad_fn)


def network(norm: bool = True) -> Any:
    sw.manual_seed(0)
    middle = [nn.BatchNorm1d(8), nn.Dropout(0.3)] if norm else [nn.Tanh()]
    return nn.Sequential(nn.Linear(5, 8), *middle, nn.ReLU(), nn.Linear(8, 3))


def train(model: Any, call: Callable[[Any], Any], steps: int = 4) -> list[float]:
    sw.manual_seed(1)
    x, y = sw.randn(16, 5), sw.randint(0, 3, (16,))
    optimizer = sw.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses: list[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = functional.cross_entropy(call(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


@pytest.mark.parametrize("norm", [False, True], ids=["plain", "norm and dropout"])
def test_a_compiled_model_trains_like_the_model(norm: bool) -> None:
    model = network(norm)
    other = copy.deepcopy(model)
    compiled = sw.compile(other)
    expected, found = train(model, model), train(other, compiled)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    for name, value in model.state_dict().items():
        near = {"rtol": 1e-3, "atol": 1e-5}
        np.testing.assert_allclose(np.asarray(other.state_dict()[name]), np.asarray(value), **near)
    assert is_recorded(compiled(sw.randn(16, 5)))
    assert compiled.why() == []


def test_gradients_add_up_and_reach_arguments() -> None:
    w = sw.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = sw.tensor([0.5, -1.0, 2.0], requires_grad=True)
    f = sw.compile(lambda x: (x * w * w).sum())
    for _ in range(2):
        f(v).backward()
    np.testing.assert_allclose(np.asarray(w.grad), np.asarray(2 * 2 * v.detach() * w.detach()))
    np.testing.assert_allclose(np.asarray(v.grad), np.asarray(2 * w.detach() ** 2))


def test_of_several_results_some_are_used() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    f = sw.compile(lambda: {"a": (w**2).sum(), "b": sw.exp(w), "c": w.detach() * 2, "n": 3})
    out = f()
    assert out["n"] == 3 and not out["c"].requires_grad and out["a"].requires_grad
    out["b"][1].backward()
    np.testing.assert_allclose(np.asarray(w.grad), [0.0, np.exp(2.0)], rtol=1e-6)
    w.grad = None
    (f()["a"] + f()["b"].sum()).backward()
    expected = 2 * np.array([1, 2]) + np.exp([1, 2])
    np.testing.assert_allclose(np.asarray(w.grad), expected, rtol=1e-6)


def test_second_derivatives() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    f = sw.compile(lambda: (w**4).sum())
    (slope,) = sw.autograd.grad(f(), w, create_graph=True)
    (second,) = sw.autograd.grad(slope.sum(), w, create_graph=True)
    (third,) = sw.autograd.grad(second.sum(), w)
    np.testing.assert_allclose(np.asarray(slope.detach()), [4, 32])
    np.testing.assert_allclose(np.asarray(second.detach()), [12, 48])
    np.testing.assert_allclose(np.asarray(third), [24, 48])


def test_a_second_backward_needs_the_graph() -> None:
    w = sw.tensor(2.0, requires_grad=True)
    f = sw.compile(lambda: w**3)
    kept = f()
    kept.backward(retain_graph=True)
    kept.backward()
    assert float(w.grad) == 24.0
    with pytest.raises(GradientError, match="retain_graph"):
        kept.backward()


def test_what_is_changed_before_the_way_back_is_an_error() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    result = sw.compile(lambda: (w**3).sum())()
    with sw.no_grad():
        w.add_(1.0)
    with pytest.raises(GradientError, match=r"in place|changed"):
        result.backward()


def test_the_callers_array_may_change() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    f = sw.compile(lambda x: (w**2 * sw.tensor(1.0) * x).sum())
    x = np.array([3.0, 4.0], np.float32)
    result = f(x)
    x[:] = 100.0
    result.backward()
    np.testing.assert_allclose(np.asarray(w.grad), [6.0, 16.0])


def test_loops_and_branches_inside() -> None:
    w = sw.tensor([0.3, 0.7], requires_grad=True)

    def f(x: Any) -> Any:
        y, _ = sw.scan(lambda c, _: (sw.tanh(c * w + x), None), w, None, length=5)
        return sw.cond(y.sum() > 0, lambda a: a * 2, lambda a: a * 3, y).sum()

    x = sw.tensor([0.1, -0.2])
    f(x).backward()
    expected, w.grad = np.asarray(w.grad).copy(), None
    result = sw.compile(f)(x)
    assert is_recorded(result)
    result.backward()
    np.testing.assert_allclose(np.asarray(w.grad), expected, rtol=1e-5)


def test_dropout_goes_back_through_the_same_mask() -> None:
    w = sw.ones(1000, requires_grad=True)
    f = sw.compile(lambda: functional.dropout(w, 0.5))
    for seed in (0, 1):
        sw.manual_seed(seed)
        result = f()
        w.grad = None
        result.sum().backward()
        np.testing.assert_array_equal(np.asarray(w.grad), np.asarray(result.detach()))
    sw.manual_seed(1)
    eager = functional.dropout(w, 0.5)
    np.testing.assert_array_equal(np.asarray(eager.detach()), np.asarray(result.detach()))


CASES: dict[str, Callable[[Any], Callable[[], Any]]] = {
    "an operand with a history": lambda w: (lambda u: lambda: u * 3)(w * 2),
    "a loop of unknown length": lambda w: (
        lambda: sw.while_loop(lambda c: c.sum() < 50, lambda c: c * 2, w * 1.0)
    ),
    "memory under two names": lambda w: (lambda u: lambda: w * 2 + u.sum())(w.detach()),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_one_operation_runs_eagerly(name: str) -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    f = CASES[name](w)
    compiled = sw.compile(f)
    for _ in range(2):
        result = compiled()
        assert not is_recorded(result)
        w.grad = None
        result.sum().backward(retain_graph=True)
        found, w.grad = np.asarray(w.grad).copy(), None
        f().sum().backward(retain_graph=True)
        np.testing.assert_allclose(found, np.asarray(w.grad))


def test_hooks_of_a_tensor_are_called() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    seen: list[Any] = []
    w.register_hook(lambda g: seen.append(np.asarray(g).copy()))
    sw.compile(lambda: (w**2).sum())().backward()
    np.testing.assert_allclose(seen, [[2.0, 4.0]])


def test_gradient_modes_are_kept_apart() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    f = sw.compile(lambda x: (w * x).sum())
    x = sw.ones(2)
    for _ in range(3):
        with sw.no_grad():
            assert not f(x).requires_grad
        assert f(x).requires_grad
    w.requires_grad_(False)
    assert not f(x).requires_grad


def test_inside_of_transforms_the_function_is_inlined() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    f = sw.compile(lambda x: (w * x * x).sum())
    x = np.array([3.0, 4.0], np.float32)
    f(sw.tensor(x))
    slope = sw.grad(f)(sw.tensor(x))
    np.testing.assert_allclose(np.asarray(slope.detach()), [6.0, 16.0])
    _, dot = sw.jvp(f, (sw.tensor(x),), (sw.ones(2),))
    assert float(dot) == 22.0
    rows = sw.vmap(f)(sw.tensor(np.stack([x, x + 1])))
    np.testing.assert_allclose(np.asarray(rows.detach()), [41.0, 66.0])


def test_a_parameter_among_the_results_is_itself() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    same, twice = sw.compile(lambda: (w, w * 2))()
    assert same is w and is_recorded(twice)


def test_a_call_inlined_in_another() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    f = sw.compile(lambda x: (w * x * x).sum())
    x = np.array([3.0, 4.0], np.float32)
    assert float(sw.compile(lambda v: f(v) * 2)(sw.tensor(x))) == 82.0


def test_another_model_with_the_same_function() -> None:
    models = [network(norm=False) for _ in range(2)]

    @sw.compile
    def call(model: Any, x: Any) -> Any:
        return model(x).square().mean()

    x = sw.randn(4, 5)
    for model in models:
        call(model, x).backward()
        found = [np.asarray(p.grad).copy() for p in model.parameters()]
        model.zero_grad()
        model(x).square().mean().backward()
        for p, g in zip(model.parameters(), found, strict=True):
            np.testing.assert_allclose(g, np.asarray(p.grad), rtol=1e-4, atol=1e-6)


# --- what a first version got wrong ---------------------------------------------------------------


def test_a_result_that_is_not_used_has_no_say() -> None:
    w = sw.tensor([40.0, 60.0], requires_grad=True)

    def f() -> Any:
        loss = (w * w).sum() / 10
        return loss, sw.exp(loss)  # which is infinite

    sw.compile(f)()[0].backward()
    np.testing.assert_allclose(np.asarray(w.grad), [8.0, 12.0])


def test_a_branch_that_is_not_selected_outside_gives_zero() -> None:
    w = sw.tensor([0.0, 100.0, 1.0], requires_grad=True)
    y = sw.compile(lambda: sw.exp(w))()
    sw.where(y < 50, y, 0.0).sum().backward()
    np.testing.assert_allclose(np.asarray(w.grad), [1.0, 0.0, np.e], rtol=1e-6)


def test_a_parameter_of_another_result_gets_no_gradient() -> None:
    w, v = (sw.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    f = sw.compile(lambda: ((w * w).sum(), (v * v).sum()))
    f()[0].backward()
    assert v.grad is None and w.grad is not None
    with pytest.raises(GradientError):
        sw.autograd.grad(f()[0], v)


def test_hooks_inside_of_the_function_are_called() -> None:
    w = sw.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def f() -> Any:
        a = w * w
        a.register_hook(lambda g: sw.clamp(g, -0.1, 0.1))
        return (a * w).sum()

    sw.compile(f)().backward()
    np.testing.assert_allclose(np.asarray(w.grad), [1.2, 4.4, 9.6], rtol=1e-6)

    def kept() -> Any:
        y = w * 2
        y.retain_grad()
        return y

    result = sw.compile(kept)()
    result.sum().backward()
    np.testing.assert_array_equal(np.asarray(result.grad), [1.0, 1.0, 1.0])


def test_results_share_memory_as_in_eager_code() -> None:
    w = sw.tensor([1.0, 2.0, 3.0], requires_grad=True)
    same, _ = sw.compile(lambda: (w.detach(), w * 2))()
    same.add_(1.0)
    np.testing.assert_array_equal(np.asarray(w.detach()), [2.0, 3.0, 4.0])

    def views() -> Any:
        y = w * 2
        return y, y.reshape(3, 1)

    a, b = sw.compile(views)()
    a.add_(1.0)
    np.testing.assert_array_equal(np.asarray(b.detach())[:, 0], np.asarray(a.detach()))
    a, b = sw.compile(lambda: (w * 2,) * 2)()
    assert a is b


def test_a_result_may_be_changed_in_place() -> None:
    w = sw.tensor([1.0, 2.0, 3.0], requires_grad=True)
    f = sw.compile(lambda x: (w * x).sum())
    total = f(sw.ones(3))
    total += f(sw.ones(3) * 2)
    total.backward()
    np.testing.assert_array_equal(np.asarray(w.grad), [3.0, 3.0, 3.0])


def test_what_the_way_back_does_not_read_may_change() -> None:
    w, b = (sw.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    y = sw.compile(lambda: (w * 2 + b).sum())()
    with sw.no_grad():
        b.add_(1.0)
    y.backward()
    np.testing.assert_array_equal(np.asarray(b.grad), [1.0, 1.0])
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    compiled, x = sw.compile(model), sw.randn(5, 3)
    model.eval()
    y = compiled(x)
    assert is_recorded(y)
    model.train()
    compiled(x)  # which moves the running statistics
    y.sum().backward()


def test_results_are_walked_back_one_after_the_other() -> None:
    first, second = nn.Linear(3, 1), nn.Linear(3, 1)
    a, b = sw.compile(lambda x: (first(x).sum(), second(x).sum()))(sw.ones(2, 3))
    a.backward()
    b.backward()
    with pytest.raises(GradientError, match="retain_graph"):
        b.backward()
    w = sw.ones(3, requires_grad=True)
    total = sw.compile(lambda: w.sum())()  # nothing is kept, as in eager code
    total.backward()
    total.backward()
    np.testing.assert_array_equal(np.asarray(w.grad), [2.0, 2.0, 2.0])


def test_a_call_while_another_thread_traces() -> None:
    w = sw.tensor(np.eye(40, dtype=np.float32), requires_grad=True)
    tracing, going = threading.Event(), threading.Event()

    def f(x: Any) -> Any:
        if x.shape[0] == 3:
            tracing.set()
            going.wait(0.5)
        return (x @ w).sum()

    compiled = sw.compile(f)
    wide, narrow = sw.ones(40, 40), sw.ones(3, 40)
    compiled(wide).backward()
    w.grad = None
    other = threading.Thread(target=lambda: compiled(narrow))
    other.start()
    tracing.wait()
    compiled(wide).backward()
    going.set()
    other.join()
    np.testing.assert_array_equal(np.asarray(w.grad), np.full((40, 40), 40.0))


def test_a_compiled_model_has_the_attributes_of_the_model() -> None:
    model = network()
    compiled = sw.compile(model)
    assert [id(p) for p in compiled.parameters()] == [id(p) for p in model.parameters()]
    compiled.eval()
    assert not model.training and not compiled.training
    compiled.train()
    losses = train(compiled, compiled)
    assert losses[-1] < losses[0]
    assert compiled.state_dict().keys() == model.state_dict().keys()
    found = sw.health.examine(
        compiled, functional.cross_entropy, (sw.randn(32, 5), sw.randint(0, 3, (32,)))
    )
    assert [f.type for f in found.readings.factors][:2] == ["Linear", "BatchNorm1d"]
    with pytest.raises(AttributeError, match="no attribute 'weight'"):
        sw.compile(lambda x: x).weight  # noqa: B018
    with pytest.raises(AttributeError):
        compiled.no_such_thing  # noqa: B018
