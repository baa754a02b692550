"""Compiled functions against the same functions run eagerly."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import TraceError, UsageError


@pytest.fixture(autouse=True)
def double() -> Any:
    before = sw.get_default_dtype()
    sw.set_default_dtype(sw.float64)
    yield
    sw.set_default_dtype(before)


def make_data(rows: int = 12) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return sw.tensor(rng.normal(size=(rows, 4))), sw.tensor(rng.normal(size=(rows, 2)))


def make_model(*extra: Any) -> Any:
    sw.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), *extra, nn.Tanh(), nn.Linear(8, 2))


def make_step(model: Any, optimizer: Any) -> Any:
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


def assert_same_tensors(a: Any, b: Any) -> None:
    for p, q in zip(a, b, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-12, atol=1e-14)


OPTIMIZERS = {
    "sgd": lambda p: sw.optim.SGD(p, lr=0.1),
    "decay": lambda p: sw.optim.SGD(p, lr=0.1, weight_decay=0.01),
    "momentum": lambda p: sw.optim.SGD(p, lr=0.05, momentum=0.9),
    "dampened": lambda p: sw.optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.1),
    "nesterov": lambda p: sw.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: sw.optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: sw.optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.1),
    "adamw": lambda p: sw.optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: sw.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: sw.optim.Adagrad(p, lr=0.1, lr_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_step_is_the_eager_one(name: str) -> None:
    x, y = make_data()
    eager, traced = make_model(), make_model()
    first = OPTIMIZERS[name](eager.parameters())
    second = OPTIMIZERS[name](traced.parameters())
    run, compiled = make_step(eager, first), sw.compile(make_step(traced, second))
    sides = [list(model.parameters()) for model in (eager, traced)]
    seen: list[list[list[Any]]] = [[[] for _ in parameters] for parameters in sides]
    for _ in range(20):
        np.testing.assert_allclose(compiled(x, y).item(), run(x, y).item(), rtol=1e-12)
        for parameters, gradients in zip(sides, seen, strict=True):
            for p, kept in zip(parameters, gradients, strict=True):
                kept.append(p.grad.numpy().copy())
    assert compiled.why() == []
    assert_same_tensors(*sides)
    assert_same_tensors(*([p.grad for p in parameters] for parameters in sides))
    for i, (p, q) in enumerate(zip(*sides, strict=True)):
        for key, kept in first.state.get(p, {}).items():
            other = second.state[q][key].numpy()
            if (name, key) == ("rmsprop", "momentum_buffer"):
                # It divides by the root of a difference of nearly equal numbers, which enlarges
                # last bits of the gradients: each side is held to the formula for its own ones.
                for gradients, found in ((seen[0][i], kept.numpy()), (seen[1][i], other)):
                    wanted = add_up_centred(gradients)
                    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)
            else:
                np.testing.assert_allclose(kept.numpy(), other, rtol=1e-12, atol=1e-15)


def add_up_centred(gradients: list[Any], decay: float = 0.99, momentum: float = 0.5) -> Any:
    """Return RMSprop's momentum in extended precision, by Graves (2013), eq. 38-41."""
    square = mean = buffer = np.zeros(gradients[0].shape, np.longdouble)
    for gradient in gradients:
        g = gradient.astype(np.longdouble)
        square = decay * square + (1 - decay) * g * g
        mean = decay * mean + (1 - decay) * g
        buffer = momentum * buffer + g / (np.sqrt(square - mean**2) + 1e-8)
    return buffer


LBFGS = [
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 5},
    {"line_search_fn": "strong_wolfe", "max_eval": 3},
    {"lr": 0.001, "max_iter": 4},
    {"lr": 0.001, "max_iter": 10, "history_size": 2},
    {"lr": 0.1, "max_iter": 1},
]


@pytest.mark.parametrize("options", LBFGS, ids=str)
def test_lbfgs_takes_the_eager_steps(options: dict[str, Any]) -> None:
    ends, counts, calls = [], [], []
    for compiling in (False, True):
        w = sw.tensor(np.array([-1.2, 1.0, -0.5, 0.8]), requires_grad=True)
        optimizer = sw.optim.LBFGS([w], **options)

        def closure(w: Any = w, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = ((1 - w[:-1]) ** 2).sum() + 100 * ((w[1:] - w[:-1] ** 2) ** 2).sum()
            loss.backward()
            return loss

        def step(optimizer: Any = optimizer, closure: Any = closure) -> Any:
            return optimizer.step(closure)

        run = sw.compile(step) if compiling else step
        calls.append([run().item() for _ in range(3)])
        ends.append(w.detach().numpy().copy())
        counts.append(optimizer.state_dict()["state"][0])
    np.testing.assert_allclose(calls[1], calls[0], rtol=1e-9)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-9)
    for name in ("func_evals", "n_iter"):
        assert counts[0][name] == counts[1][name]
    assert len(counts[0]["ro"]) == len(counts[1]["ro"])


def test_lbfgs_goes_between_eager_and_compiled_steps() -> None:
    x, y = make_data()
    models = [make_model(), make_model()]
    optimizers = [
        sw.optim.LBFGS(m.parameters(), max_iter=4, history_size=5, line_search_fn="strong_wolfe")
        for m in models
    ]

    def make(i: int) -> Any:
        def closure() -> Any:
            optimizers[i].zero_grad()
            loss = nn.functional.mse_loss(models[i](x), y)
            loss.backward()
            return loss

        return lambda: optimizers[i].step(closure)

    eager, other = make(0), make(1)
    compiled = sw.compile(make(1))
    for number in range(6):
        wanted = eager().item()
        found = (compiled if number % 2 else other)().item()
        assert found == pytest.approx(wanted, rel=1e-6)
    assert compiled.why() == []


def test_plateau_falls_by_traced_values() -> None:
    rates = []
    for compiling in (False, True):
        w = sw.tensor([4.0, 1.0], dtype=sw.float64, requires_grad=True)
        optimizer = sw.optim.SGD([w], lr=1.0)
        schedule = sw.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=1, cooldown=1, min_lr=0.2
        )

        def step(w: Any = w, optimizer: Any = optimizer, schedule: Any = schedule) -> Any:
            optimizer.zero_grad()
            loss = ((w - 3) ** 2).sum()
            loss.backward()
            optimizer.step()
            schedule.step(loss)
            return loss

        run = sw.compile(step) if compiling else step
        rates.append([])
        for _ in range(16):
            loss = run().item()
            rates[-1].append(
                (loss, optimizer.param_groups[0]["lr"], schedule.best, schedule.num_bad_epochs,
                 schedule.cooldown_counter, schedule.last_epoch, schedule.get_last_lr())
            )  # fmt: skip
    assert rates[0] == rates[1]
    assert {rate for _, rate, *_ in rates[0]} == {1.0, 0.5, 0.25, 0.2} or rates[0][-1][1] < 1.0


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_draws_the_same(replacement: bool) -> None:
    weights = sw.tensor([[0.1, 0.2, 0.0, 0.7], [1.0, 0.0, 3.0, 4.0]])

    def draw(p: Any) -> Any:
        return sw.multinomial(p, 2, replacement=replacement)

    compiled = sw.compile(draw)
    sw.manual_seed(3)
    wanted = [draw(weights).tolist() for _ in range(50)]
    sw.manual_seed(3)
    assert [compiled(weights).tolist() for _ in range(50)] == wanted
    assert all(2 not in pair[0] and 1 not in pair[1] for pair in wanted)


def test_batch_norm_and_dropout_in_training_and_evaluation() -> None:
    x, y = make_data()
    eager = make_model(nn.BatchNorm1d(8), nn.Dropout(0.3))
    traced = make_model(nn.BatchNorm1d(8), nn.Dropout(0.3))
    run = make_step(eager, sw.optim.SGD(eager.parameters(), lr=0.1))
    compiled = sw.compile(make_step(traced, sw.optim.SGD(traced.parameters(), lr=0.1)))
    sw.manual_seed(5)
    expected = [run(x, y).item() for _ in range(5)]
    after = sw.rand(3)
    sw.manual_seed(5)
    np.testing.assert_allclose([compiled(x, y).item() for _ in range(5)], expected, rtol=1e-12)
    assert (sw.rand(3) == after).all()
    assert_same_tensors(eager.buffers(), traced.buffers())
    infer = sw.compile(lambda x: traced(x))
    with sw.no_grad():
        traced.eval(), eager.eval()
        assert_same_tensors([infer(x)], [eager(x)])
        traced.train(), eager.train()
        state = sw.get_rng_state()
        first = infer(x)
        sw.set_rng_state(state)
        assert_same_tensors([first], [eager(x)])
    assert len(infer.why()) == 1 and "training: False became True" in infer.why()[0]


def test_a_cumulative_batch_norm_refuses_or_agrees() -> None:
    x, _ = make_data()
    layers = [nn.BatchNorm1d(4, momentum=None) for _ in range(2)]
    compiled = sw.compile(layers[1])
    with sw.no_grad():
        for _ in range(3):
            layers[0](x)
            compiled(x)
    assert_same_tensors(layers[0].buffers(), layers[1].buffers())


@pytest.mark.parametrize("inside", [False, True])
def test_a_schedule_changes_the_rate(inside: bool) -> None:
    x, y = make_data()
    losses = []
    for wrap in (lambda f: f, sw.compile):
        model = make_model()
        optimizer = sw.optim.SGD(model.parameters(), lr=0.1)
        schedule = sw.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
        plain = make_step(model, optimizer)

        def step(x: Any, y: Any, plain: Any = plain, schedule: Any = schedule) -> Any:
            loss = plain(x, y)
            if inside:
                schedule.step()
            return loss

        run = wrap(step)
        seen = []
        for _ in range(6):
            seen.append(run(x, y).item())
            if not inside:
                schedule.step()
        losses.append((seen, optimizer.param_groups[0]["lr"], schedule.last_epoch))
        if wrap is sw.compile and not inside:
            assert run.why() == []
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=1e-12)
    assert losses[0][1:] == losses[1][1:]


def test_a_rebound_parameter_is_used() -> None:
    model = nn.Linear(2, 1)
    x = sw.ones(3, 2)
    predict = sw.compile(lambda x: model(x))
    with sw.no_grad():
        predict(x)
        model.weight = nn.Parameter(sw.tensor([[5.0, 7.0]]))
        assert_same_tensors([predict(x)], [model(x)])
        assert predict.why() == []
        model.weight = nn.Parameter(sw.tensor([[5.0, 7.0]]), requires_grad=False)
        assert_same_tensors([predict(x)], [model(x)])
    assert "requires_grad True became False" in predict.why()[0]


def test_a_rebound_closure_variable_is_used() -> None:
    scale = sw.tensor(2.0)
    times = sw.compile(lambda x: x * scale)
    assert times(sw.tensor(3.0)).item() == 6.0
    scale = sw.tensor(5.0)
    assert times(sw.tensor(3.0)).item() == 15.0
    assert times.why() == []
    scale = 7.0
    assert times(sw.tensor(3.0)).item() == 21.0
    scale = 8.0
    assert times(sw.tensor(3.0)).item() == 24.0
    assert times.why()[-1] == "scale: 7.0 became 8.0"


def test_another_model_of_the_same_kind_is_taken_without_compiling() -> None:
    x, y = make_data()

    @sw.compile
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        return make_step(model, optimizer)(x, y)

    for _ in range(3):
        a, b = make_model(), make_model()
        optimizer = sw.optim.Adam(a.parameters())
        run = make_step(b, sw.optim.Adam(b.parameters()))
        for _ in range(3):
            assert step(a, optimizer, x, y).item() == pytest.approx(run(x, y).item(), rel=1e-12)
        assert_same_tensors(a.parameters(), b.parameters())
    assert step.why() == []


def test_a_model_is_not_kept_alive() -> None:
    x, y = make_data()

    @sw.compile
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        return make_step(model, optimizer)(x, y)

    model = make_model()
    step(model, sw.optim.SGD(model.parameters(), lr=0.1), x, y)
    seen = weakref.ref(model), weakref.ref(model[0].weight)
    del model
    gc.collect()
    assert seen[0]() is None and seen[1]() is None


def test_a_changed_number_is_seen() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = 2
            self.options = {"shift": 1.0}

        def forward(self, x: Any) -> Any:
            return x * self.factor + self.options["shift"]

    model = Scaled()
    f = sw.compile(model)
    assert f(sw.tensor(3.0)).item() == 7.0
    model.factor = 4
    assert f(sw.tensor(3.0)).item() == 13.0
    model.options["shift"] = 0.0
    assert f(sw.tensor(3.0)).item() == 12.0
    model.factor, model.options["shift"] = 2, 1.0
    assert f(sw.tensor(3.0)).item() == 7.0
    assert f.why() == ["factor: 2 became 4", "factor: 2 became 4"] or len(f.why()) == 2


def test_hyperparameters_are_compared() -> None:
    w = sw.tensor(4.0, requires_grad=True)
    v = sw.tensor(4.0, requires_grad=True)
    a, b = sw.optim.SGD([w], lr=0.1, momentum=0.9), sw.optim.SGD([v], lr=0.1, momentum=0.9)

    def make(p: Any, optimizer: Any) -> Any:
        def step() -> None:
            optimizer.zero_grad()
            ((p - 3) ** 2).backward()
            optimizer.step()

        return step

    run, compiled = make(v, b), sw.compile(make(w, a))
    for k in range(4):
        for optimizer in (a, b):
            optimizer.param_groups[0]["momentum"] = 0.9 if k < 2 else 0.5
            optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)
        run(), compiled()
        assert w.item() == pytest.approx(v.item(), rel=1e-13)
    assert len(compiled.why()) == 1 and "momentum" in compiled.why()[0]


def test_tied_weights_and_detached_aliases_are_one_input() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    alias = w.detach()

    def step() -> Any:
        w.grad = None
        (w * w).sum().backward()
        with sw.no_grad():
            w.sub_(0.25 * w.grad)
        return alias.sum()

    compiled = sw.compile(step)
    assert compiled().item() == 1.5
    assert compiled().item() == 0.75
    assert alias.tolist() == w.tolist() == [0.25, 0.5]


def test_overlapping_memory_is_refused() -> None:
    w = sw.tensor([1.0, 2.0])
    row = w[:1]
    compiled = sw.compile(lambda: (w.add_(1.0), row * 2)[1])
    with pytest.raises(TraceError, match="same memory"):
        compiled()
    assert w.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_everything_is_restored_after_an_exception(error: Any) -> None:
    model = make_model(nn.BatchNorm1d(8))
    optimizer = sw.optim.Adam(model.parameters())
    x, y = make_data()
    before = {k: v.tolist() for k, v in model.state_dict().items()}
    step = make_step(model, optimizer)

    def broken(x: Any, y: Any) -> Any:
        step(x, y)
        sw.rand(3)
        raise error("stop")

    draws = sw.get_rng_state()
    with pytest.raises(error):
        sw.compile(broken)(x, y)
    assert {k: v.tolist() for k, v in model.state_dict().items()} == before
    assert sw.get_rng_state() == draws
    assert all(p.grad is None and p.is_leaf and p.requires_grad for p in model.parameters())
    make_step(model, optimizer)(x, y)


def test_random_numbers_are_the_eager_ones_and_go_on() -> None:
    generator = sw.Generator().manual_seed(11)

    def draw(x: Any) -> Any:
        return (
            x + sw.rand(3),
            sw.randn(2, generator=generator),
            sw.randint(0, 9, (4,)),
            sw.randperm(5),
        )

    def take(f: Any) -> list[Any]:
        sw.manual_seed(1)
        generator.manual_seed(2)
        return [[t.tolist() for t in f(sw.zeros(3))] for _ in range(3)]

    compiled = sw.compile(draw)
    # The words are the same; a normal draw goes through log and cos, which round on their own.
    for found, expected in zip(take(compiled), take(draw), strict=True):
        assert [found[0], *found[2:]] == [expected[0], *expected[2:]]
        assert found[1] == pytest.approx(expected[1], rel=1e-15)
    assert compiled.why() == []
    assert sw.get_rng_state() == (1, 9)


def test_results_are_of_the_kind_of_the_arguments() -> None:
    f = sw.compile(lambda x: {"y": x * 2, "name": "n", "none": None, "n": 3})
    assert f(2.0) == {"y": 4.0, "name": "n", "none": None, "n": 3}
    assert type(f(2.0)["y"]) is float
    assert type(f(np.ones(2))["y"]) is np.ndarray
    assert isinstance(f(sw.ones(2))["y"], sw.Tensor)
    w = sw.tensor(2.0)
    assert isinstance(sw.compile(lambda x: x * w)(2.0), sw.Tensor)


def test_a_result_that_is_an_argument_or_captured_is_the_same_object() -> None:
    w = sw.tensor(2.0)
    x = sw.tensor(3.0)
    f = sw.compile(lambda x: (x, w, x * w))
    for _ in range(2):
        a, b, c = f(x)
        assert a is x and b is w and c.item() == 6.0


def test_constants_made_inside() -> None:
    def f(x: Any) -> Any:
        z = sw.zeros(3)
        z[1] = x
        z += sw.arange(3) * 2.0
        return z, sw.ones(2) * 3

    compiled = sw.compile(f)
    for k in (1.0, 5.0):
        z, c = compiled(sw.tensor(k))
        assert z.tolist() == [0.0, 2.0 + k, 4.0] and c.tolist() == [3.0, 3.0]
        c.add_(1.0)


def test_out_is_written() -> None:
    f = sw.compile(lambda x, y: (x + y, x * y))
    x, y = np.arange(3.0), np.ones(3)
    out = np.empty(3), np.empty(3)
    assert f(x, y, out=out) is out
    assert out[0].tolist() == [1.0, 2.0, 3.0] and out[1].tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(sw.errors.ShapeError, match="out"):
        f(x, y, out=(np.empty(2), np.empty(3)))


def test_several_steps_in_one_function() -> None:
    x, y = make_data()
    eager, traced = make_model(), make_model()
    run = make_step(eager, sw.optim.Adam(eager.parameters()))
    inner = make_step(traced, sw.optim.Adam(traced.parameters()))

    @sw.compile
    def steps(x: Any, y: Any) -> Any:
        for _ in range(3):
            loss = inner(x, y)
        return loss

    for _ in range(3):
        for _ in range(3):
            expected = run(x, y)
        assert steps(x, y).item() == pytest.approx(expected.item(), rel=1e-12)
    assert_same_tensors(eager.parameters(), traced.parameters())


def test_gradients_add_up_and_are_left_behind() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    add = sw.compile(lambda: (w * w).sum().backward())
    add()
    first = w.grad
    assert first.tolist() == [2.0, 4.0]
    add()
    assert w.grad is first and first.tolist() == [4.0, 8.0]
    w.grad = None
    add()
    assert w.grad.tolist() == [2.0, 4.0] and w.is_leaf

    @sw.compile
    def clear() -> None:
        (w * w).sum().backward()
        w.grad = None

    clear()
    assert w.grad is None


def test_a_gradient_that_is_held_keeps_its_numbers() -> None:
    w = sw.tensor(4.0, requires_grad=True)
    optimizer = sw.optim.SGD([w], lr=0.25)

    @sw.compile
    def step() -> None:
        optimizer.zero_grad()
        ((w - 3) ** 2).backward()
        optimizer.step()

    step()
    held = w.grad
    step()
    assert held.item() == 2.0 and w.grad.item() == 1.0


def test_changes_through_data_views_and_setitem() -> None:
    def make() -> tuple[Any, Any]:
        w = sw.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)

        def step() -> None:
            w.grad = None
            (w**2).sum().backward()
            w.data -= 0.1 * w.grad
            w.data.mul_(2.0)
            with sw.no_grad():
                w[0] = 7.0
                w[1][0] += 1.0
                w.view(-1).add_(0.5)

        return w, step

    (w, step), (v, run) = make(), make()
    compiled = sw.compile(step)
    for _ in range(3):
        compiled(), run()
        assert w.tolist() == v.tolist()


def test_branches_on_values_name_the_line() -> None:
    w = sw.tensor(1.0)

    def branch(x: Any) -> Any:
        if x * w > 0:
            return x
        return -x

    with pytest.raises(TraceError, match=r"(?s)sw.cond.*if x \* w > 0"):
        sw.compile(branch)(sw.tensor(2.0))
    assert w.item() == 1.0


def test_a_collection_that_grows_is_refused() -> None:
    losses: list[Any] = []
    w = sw.tensor(1.0)
    compiled = sw.compile(lambda x: losses.append(x * w))
    with pytest.raises(TraceError, match="losses"):
        compiled(sw.tensor(2.0))


def test_attributes_set_inside_are_set_at_each_call() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = sw.zeros(())
            self.flag = False

        def forward(self, x: Any) -> Any:
            self.last = self.last + x
            self.flag = not self.flag
            return self.last * 2

    eager, traced = Counter(), Counter()
    compiled = sw.compile(traced)
    for k in range(5):
        x = sw.tensor(float(k))
        assert compiled(x).item() == eager(x).item()
        assert traced.last.item() == eager.last.item() and traced.flag is eager.flag
    assert len(compiled.why()) == 1


def test_a_forward_pass_keeps_its_history() -> None:
    model, x = nn.Linear(4, 1), make_data()[0]
    sw.compile(model)(x).sum().backward()
    assert model.weight.grad is not None
    z = sw.tensor(2.0, requires_grad=True)
    sw.compile(lambda z: z * z)(z).backward()
    assert z.grad.item() == 4.0


def test_transforms_nest_either_way() -> None:
    cube = sw.compile(lambda x: x**3)
    assert sw.grad(cube)(2.0).item() == 12.0
    assert sw.compile(sw.grad(sw.grad(cube)))(2.0) == pytest.approx(12.0)
    assert sw.compile(sw.vmap(cube))(np.array([1.0, 2.0])).tolist() == [1.0, 8.0]
    assert sw.vmap(cube)(sw.tensor([1.0, 2.0])).tolist() == [1.0, 8.0]
    assert sw.compile(sw.hessian(lambda x: (x**3).sum()))(np.array([1.0, 2.0])).tolist() == [
        [6.0, 0.0],
        [0.0, 12.0],
    ]
    twice = sw.compile(lambda x: cube(x) + cube(x))
    assert twice(2.0) == 16.0
    value, slope = sw.compile(sw.value_and_grad(lambda x: x**2))(3.0)
    assert (value, slope) == (9.0, 6.0)


def test_methods_and_decorators() -> None:
    class Model:
        def __init__(self, k: float) -> None:
            self.w = sw.tensor(k)
            self.history: list[float] = []

        @sw.compile
        def times(self, x: Any) -> Any:
            """Multiply."""
            return self.w * x

        @sw.compile(cache=2)
        def plus(self, x: Any) -> Any:
            return self.w + x

        def log(self) -> None:
            self.history.append(1.0)

    a, b = Model(2.0), Model(3.0)
    assert a.times(sw.tensor(5.0)).item() == 10.0 and b.times(sw.tensor(5.0)).item() == 15.0
    a.log()
    assert a.times(sw.tensor(5.0)).item() == 10.0
    assert a.plus(sw.tensor(1.0)).item() == 3.0
    assert Model.times.__name__ == "times" and Model.times.__doc__ == "Multiply."
    assert Model.times.why() == []


def test_the_cache_is_bounded() -> None:
    f = sw.compile(lambda x: x + 1, cache=2)
    for n in (1, 2, 3, 3, 2):
        f(np.zeros(n))
    assert f.why() == [
        "argument x: shape (1,) became (2,)",
        "argument x: shape (2,) became (3,)",
    ]
    f(np.zeros(1))
    assert len(f.why()) == 3
    with pytest.raises(UsageError, match="cache"):
        sw.compile(lambda x: x, cache=0)


def test_two_threads_call_the_same_function() -> None:
    model = make_model()
    f = sw.compile(lambda x: model(x).sum())
    wrong: list[Any] = []

    def work(n: int) -> None:
        try:
            with sw.no_grad():
                for k in range(20):
                    x = np.full((n + k % 3, 4), 0.5)
                    one = f(x[:1]).item()
                    if abs(f(x).item() - one * len(x)) > 1e-9:
                        wrong.append(n)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in (2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_traced_tensor_that_is_kept_cannot_be_read() -> None:
    kept: dict[str, Any] = {}
    sw.compile(lambda x: kept.setdefault(id(x), x * 2) if False else x * 2)(sw.tensor(2.0))

    class Box:
        pass

    box = Box()

    def f(x: Any) -> Any:
        setattr(box, "at" + "tribute", x * 2)
        return x * 3

    sw.compile(f)(sw.tensor(2.0))
    with pytest.raises(TraceError, match="trace"):
        float(box.attribute)  # type: ignore[attr-defined]


def test_gradients_with_autograd_inside() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)

    @sw.compile
    def f() -> Any:
        (g,) = sw.autograd.grad((w**3).sum(), [w])
        return g

    assert f().tolist() == [3.0, 12.0]
    assert w.grad is None


def test_clipping_and_freezing() -> None:
    x, y = make_data()
    models = make_model(), make_model()
    steps = []
    for model in models:
        optimizer = sw.optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            return loss

        steps.append(step)
    compiled = sw.compile(steps[1])
    for k in range(6):
        if k == 3:
            for model in models:
                model[0].requires_grad_(False)
        assert compiled(x, y).item() == pytest.approx(steps[0](x, y).item(), rel=1e-12)
    assert_same_tensors(models[0].parameters(), models[1].parameters())
    assert len(compiled.why()) == 1


def test_a_python_float_takes_the_dtype_of_what_it_meets() -> None:
    sw.set_default_dtype(sw.float32)
    for f in (lambda w, k: w * k, lambda w, k: w + 2 * k, lambda w, k: k - sw.sin(w)):
        compiled = sw.compile(f)
        for w in (sw.tensor(2.0), sw.ones(3), sw.tensor([1, 2]), sw.tensor(2.0, dtype=sw.float64)):
            found, expected = compiled(w, 0.3), f(w, 0.3)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)
    assert sw.compile(lambda x: x * 0.1 + 3)(0.3) == 0.3 * 0.1 + 3


def test_an_object_that_is_returned_is_the_one_of_this_call() -> None:
    @sw.compile
    def move(model: Any, x: Any) -> Any:
        return model, model(x)

    x = sw.ones(1, 4)
    with sw.no_grad():
        for _ in range(2):
            model = make_model()
            found, y = move(model, x)
            assert found is model
            assert_same_tensors([y], [model(x)])
    assert move.why() == []


def test_a_schedule_inside_is_stepped_without_compiling_again() -> None:
    w = sw.tensor(4.0, requires_grad=True)
    optimizer = sw.optim.SGD([w], lr=0.5)
    schedule = sw.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    @sw.compile
    def step() -> None:
        for _ in range(2):
            optimizer.zero_grad()
            (2 * w).backward()
            optimizer.step()
            schedule.step()

    step(), step()
    assert w.item() == 4.0 - (1.0 + 0.5 + 0.25 + 0.125)
    assert schedule.last_epoch == 4 and optimizer.param_groups[0]["lr"] == 0.5**5
    assert step.why() == []


def test_numpy_arrays_as_constants_are_copied() -> None:
    a = np.ones(2)
    f = sw.compile(lambda x: x + a)
    assert f(sw.zeros(2)).tolist() == [1.0, 1.0]
    a = np.full(2, 5.0)
    assert f(sw.zeros(2)).tolist() == [5.0, 5.0]


def test_gradients_of_the_earlier_call_are_used() -> None:
    def make() -> Any:
        w = sw.tensor(4.0, requires_grad=True)
        optimizer = sw.optim.SGD([w], lr=0.25)

        def step() -> Any:
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
            ((w - 3) ** 2).backward()
            return w.detach().clone()

        return step

    run, compiled = make(), sw.compile(make())
    assert [run().item() for _ in range(4)] == [compiled().item() for _ in range(4)]


def test_python_numbers_change_once_and_not_after_an_exception() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0
            self.line = nn.Linear(2, 1)

        def forward(self, x: Any, broken: bool = False) -> Any:
            self.calls += 1
            if broken:
                raise ValueError
            return self.line(x)

    model = Counted()
    f = sw.compile(model)
    for k in range(3):
        f(sw.ones(1, 2))  # differentiable: eager
        assert model.calls == 2 * k + 1
        with sw.no_grad():
            f(sw.ones(1, 2))
        assert model.calls == 2 * k + 2
    with pytest.raises(ValueError):
        f(sw.ones(1, 2), True)
    assert model.calls == 6


def test_a_compiled_function_inside_another_one_keeps_its_state() -> None:
    count = sw.tensor(0.0)

    @sw.compile
    def inner() -> Any:
        count.add_(1.0)
        return count.clone()

    outer = sw.compile(lambda: inner() + inner())
    assert [outer().item(), outer().item()] == [3.0, 7.0]
    assert count.item() == 4.0


def test_a_loop_of_steps_inside() -> None:
    def make() -> Any:
        w = sw.tensor(4.0, requires_grad=True)
        optimizer = sw.optim.Adam([w], lr=0.1)

        def body(i: int, total: Any) -> Any:
            optimizer.zero_grad()
            loss = (w - 3) ** 2
            loss.backward()
            optimizer.step()
            return total + loss.detach()

        return w, lambda: sw.fori_loop(0, 5, body, sw.tensor(0.0))

    (w, run), (v, plain) = make(), make()
    compiled = sw.compile(run)
    for _ in range(2):
        assert compiled().item() == pytest.approx(plain().item(), rel=1e-12)
        assert w.item() == pytest.approx(v.item(), rel=1e-12)


def test_a_choice_between_two_numbers() -> None:
    x = sw.tensor([4.0, -4.0, 0.5])
    assert sw.compile(lambda v: sw.where(v > 0, 1.0, 3.0))(x).tolist() == [1.0, 3.0, 1.0]
    slope = sw.grad(lambda v: sw.where(v > 0, v * 2, v * 3).sum())
    assert sw.compile(slope)(x).tolist() == [2.0, 3.0, 2.0]


COMPOSITIONS: dict[str, Any] = {
    "log sum exp": lambda x: sw.log(sw.exp(x).sum()),
    "1 / (1 + exp)": lambda x: 1 / (1 + sw.exp(-x)),
    "log(1 + exp)": lambda x: sw.log(1 + sw.exp(x)),
    "log1p(exp)": lambda x: sw.log1p(sw.exp(x)),
    "log softmax": lambda x: sw.log(sw.softmax(x, 0)),
    "log sigmoid": lambda x: sw.log(sw.sigmoid(x)),
    "exp over its sum": lambda x: sw.exp(x) / sw.exp(x).sum(),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
@pytest.mark.parametrize("x", [[1000.0, 2.0, -800.0], [1e-9, 3.0, 1e200], [-900.0, -901.0, -1e9]])
def test_compositions_are_as_stable_as_in_eager_code(name: str, x: list[float]) -> None:
    f = COMPOSITIONS[name]
    given = np.array(x)
    np.testing.assert_allclose(sw.compile(f)(given), f(sw.tensor(given)).numpy(), rtol=1e-14)
    slope = sw.grad(lambda v: f(v).sum())
    expected = slope(sw.tensor(given)).numpy()
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(sw.compile(slope)(given), expected, rtol=1e-13, atol=1e-300)


def test_a_loop_read_inside_a_later_one_runs_once_and_before_it() -> None:
    def function(x: Any, w: Any, b: Any, n: Any, m: Any) -> Any:
        w, b = sw.fori_loop(0, n, lambda i, c: (c[0] * 2.0, c[1] + 1.0), (w, b))
        return w, b, sw.fori_loop(0, m, lambda i, s: s + (x[i] @ w + b).sum(), sw.zeros(()))

    x, w, b = np.ones((4, 2, 3), "f"), np.ones((3, 5), "f"), np.ones(5, "f")
    for m in (0, 1):
        found = sw.compile(function)(x, w, b, np.array(2), np.array(m))
        np.testing.assert_array_equal(found[0], 4 * w)
        np.testing.assert_array_equal(found[1], 3 * b)
        assert found[2] == m * 2 * 5 * 15.0


class TestCarriesChangedInPlace:
    """A body may change its carry in place: the caller's tensor changes, as in eager code."""

    @staticmethod
    def fill(x: Any) -> Any:
        def body(i: Any, c: Any) -> Any:
            c[i % 5] = c[i % 5] * 0.5 + c[(i * 3) % 5] + 1.0
            return c

        return sw.fori_loop(0, 12, body, x)

    def test_as_in_eager_code(self) -> None:
        eager, traced = (sw.tensor(np.arange(5.0)) for _ in range(2))
        assert self.fill(eager) is eager
        compiled = sw.compile(self.fill)
        assert compiled(traced) is traced
        np.testing.assert_array_equal(traced.numpy(), eager.numpy())
        array = np.arange(5.0)
        np.testing.assert_array_equal(compiled(array), eager.numpy())
        np.testing.assert_array_equal(array, np.arange(5.0))

    def test_the_carry_is_not_copied_in_each_step(self) -> None:
        compiled = sw.compile(self.fill)
        compiled(np.arange(5.0))
        loop = compiled._last.executable.steps[-1]
        assert not any(s.axes for s in loop.body)

    def test_rows_that_read_other_rows_are_not_mixed_up(self) -> None:
        def function(x: Any, rows: Any) -> Any:
            def body(i: Any, c: Any) -> Any:
                return sw.scatter_set(c, (rows,), c[rows[::-1]] * 2.0)

            return sw.fori_loop(0, 3, body, x)

        x, rows = np.arange(12.0).reshape(4, 3), np.array([0, 2, 3])
        expected = function(sw.tensor(x), sw.tensor(rows)).numpy()
        np.testing.assert_array_equal(sw.compile(function)(x, rows), expected)

    def test_equal_rows_are_written_in_order(self) -> None:
        def function(x: Any, rows: Any) -> Any:
            def body(i: Any, c: Any) -> Any:
                return sw.scatter_set(c, (rows,), c[rows] * 2.0 + i)

            return sw.fori_loop(0, 3, body, x)

        x, rows = np.arange(12.0).reshape(4, 3), np.array([1, 1, 3])
        expected = function(sw.tensor(x), sw.tensor(rows)).numpy()
        np.testing.assert_array_equal(sw.compile(function)(x, rows), expected)

    def test_what_cannot_be_followed_is_refused(self) -> None:
        def other(i: Any, c: Any) -> Any:
            c.mul_(2.0)
            return c + 1.0

        def branch(x: Any) -> Any:
            return sw.cond(x.sum() > 0, lambda v: v.mul_(2.0), lambda v: v, x)

        def step(c: Any, x: Any) -> Any:
            x.mul_(2.0)
            return c + x, None

        for function in (
            lambda x: sw.fori_loop(0, 3, other, x),
            branch,
            lambda x: sw.scan(step, x[0] * 1.0, x)[0],
        ):
            with pytest.raises(sw.errors.TraceError, match="in place"):
                sw.compile(function)(np.ones(3))


class TestFailures:
    def test_an_index_out_of_range_names_the_line(self) -> None:
        pick = sw.compile(lambda x, i: x[i])
        x = np.arange(5.0)
        assert pick(x, np.array([-1, 2])).tolist() == [4.0, 2.0]
        with pytest.raises(sw.errors.IndexRangeError, match=r"lambda x, i: x\[i\]"):
            pick(x, np.array([1, 7]))
        with pytest.raises(sw.errors.IndexRangeError):
            pick(x, np.array([1, -6]))
        assert pick(x, np.array([1, 2])).tolist() == [1.0, 2.0]

    def test_a_class_number_out_of_range(self) -> None:
        loss = sw.compile(lambda x, y: sw.nn.functional.cross_entropy(x, y))
        with pytest.raises(sw.errors.IndexRangeError):
            loss(np.zeros((3, 4)), np.array([0, 4, 1]))

    def test_a_routine_that_fails_tells_why(self) -> None:
        with pytest.raises(sw.errors.DomainError, match=r"singular.*\n  at test_compile"):
            sw.compile(sw.linalg.inv)(np.zeros((2, 2)))

    def test_what_cannot_be_addressed_is_refused(self) -> None:
        outer = sw.compile(lambda x: (x[:, None] * x[None, :]).cumsum(0).cumsum(1)[-1].sum())
        with pytest.raises(sw.errors.ShapeError, match="cumsum"):
            outer(np.ones(3_000_000))
