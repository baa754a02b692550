"""What bodies write in place while a function is compiled: hidden carries and hidden outputs.

Invariant: the reference is the same function run eagerly. A fake recorder shows the protocol; the
compiler's own one is run with NumPy and with machine code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._core.aval import Aval
from slopewise._core.graph import bind_abstract
from slopewise._core.state import state
from slopewise._core.trace import Graph, placeholder
from slopewise._core.tree import flatten
from slopewise._front.compile import Compiled, ReferenceExecutable, lower_graph
from slopewise.errors import TraceError

RNG = np.random.default_rng(3)
X = RNG.standard_normal((20, 4)).astype(np.float32)
Y = RNG.standard_normal((20, 1)).astype(np.float32)


def same(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    for a, b in zip(found, expected, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5 if rtol > 1e-6 else 0)


class TestHiddenState:
    """A fake of the compiler's recorder: three slots that bodies write through Python objects."""

    @pytest.fixture
    def box(self) -> Iterator[Any]:
        box = SimpleNamespace(w=None, grad=None, count=None)

        def slot(name: str) -> Any:
            return SimpleNamespace(
                name=name,
                get=lambda: getattr(box, name),
                set=lambda value: setattr(box, name, value),
            )

        def bind(primitive: Any, operands: Any, params: Any) -> Any:
            return bind_abstract(primitive, operands, params)

        made = [slot(n) for n in ("w", "grad", "count")]
        recorder = SimpleNamespace(slots=lambda: made, bind=bind)
        box.use = lambda: setattr(state, "recorder", recorder)
        yield box
        state.recorder = None

    def run(self, box: Any, function: Callable[[Any], Any], x: float) -> list[Any]:
        avals = [Aval((), np.dtype(np.float64))] * 2
        w, value = (placeholder(a) for a in avals)
        box.w, box.grad, box.count = w, None, placeholder(Aval((), np.dtype(np.int64)))
        inputs = [w._edge, value._edge, box.count._edge]
        box.use()
        try:
            out = function(value)
        finally:
            state.recorder = None
        outs = [v for v in (out, box.w, box.grad, box.count) if v is not None]
        return [np.asarray(v) for v in Graph(inputs, outs)(*map(np.asarray, (2.0, x, 0)))]

    def test_a_loop_writes_a_parameter_a_gradient_and_a_counter(self, box: Any) -> None:
        def train(x: Any) -> Any:
            def step(i: Any, total: Any) -> Any:
                box.grad = 2 * (box.w - x)
                box.w = box.w - 0.1 * box.grad
                box.count = box.count + 1
                return total + box.w

            return sw.fori_loop(0, 5, step, 0.0)

        w, total, slope = 2.0, 0.0, 0.0
        for _ in range(5):
            slope = 2 * (w - 7.0)
            w -= 0.1 * slope
            total += w
        same(self.run(box, train, 7.0), [total, w, slope, 5])

    def test_a_while_loop_and_a_checkpoint(self, box: Any) -> None:
        def run(x: Any) -> Any:
            def body(c: Any) -> Any:
                def inner(v: Any) -> Any:
                    box.w = box.w * 2
                    return v + box.w

                return sw.checkpoint(inner, c)

            return sw.while_loop(lambda c: (c < 100) & (box.w < 1e6), body, x)

        w, c = 2.0, 1.0
        while c < 100:
            w *= 2
            c += w
        same(self.run(box, run, 1.0), [c, w, 0])

    def test_one_branch_writes(self, box: Any) -> None:
        def choose(x: Any) -> Any:
            def write() -> Any:
                box.w = box.w + 1
                box.grad = x * 2
                return x

            return sw.cond(x > 0, write, lambda: -x)

        same(self.run(box, choose, 3.0), [3.0, 3.0, 6.0, 0])
        same(self.run(box, choose, -3.0), [3.0, 2.0, 0.0, 0])

    def test_a_test_may_not_write(self, box: Any) -> None:
        def run(x: Any) -> Any:
            def test(c: Any) -> Any:
                box.count = box.count + 1
                return c < 10

            return sw.while_loop(test, lambda c: c + 1, x)

        with pytest.raises(TraceError, match="condition"):
            self.run(box, run, 1.0)


def train(
    optimizer: Callable[[Any], Any], *extra: Callable[[], Any], steps: int = 5
) -> Callable[[], tuple[Any, Any]]:
    """Return what makes a training loop, and what reads all that it changed."""

    def make() -> tuple[Any, Any]:
        layers = [sw.nn.Linear(4, 5), sw.nn.Tanh(), *(e() for e in extra), sw.nn.Linear(5, 1)]
        model = sw.nn.Sequential(*layers)
        chosen = optimizer(model.parameters())
        x, y = sw.tensor(X), sw.tensor(Y)

        def run() -> Any:
            def body(i: Any, total: Any) -> Any:
                chosen.zero_grad()
                loss = ((model(x) - y) ** 2).mean()
                loss.backward()
                chosen.step()
                return total + loss.detach()

            return sw.fori_loop(0, steps, body, 0.0)

        def read() -> list[Any]:
            values = [p.detach() for p in model.parameters()]
            return [*values, *(p.grad for p in model.parameters()), *model.buffers()]

        return run, read

    return make


def lstm() -> tuple[Any, Any]:
    model = sw.nn.LSTM(4, 3)

    def run() -> Any:
        for p in model.parameters():
            p.grad = None
        loss = (model(sw.tensor(X).reshape(10, 2, 4))[0] ** 2).sum()
        loss.backward()
        return loss.detach()

    return run, lambda: [p.grad for p in model.parameters()]


def accumulate(first: bool) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        w = sw.tensor([0.5, 0.7, -1.0], requires_grad=True)
        if first:
            w.grad = sw.ones(3)

        def run() -> Any:
            def body(i: Any, c: Any) -> Any:
                (w * c).sum().backward()
                return c + 1

            return sw.fori_loop(0, 3, body, sw.tensor(1.0))

        return run, lambda: [w.grad]

    return make


def draws() -> tuple[Any, Any]:
    dropout = sw.nn.Dropout(0.5)
    w = sw.tensor(np.arange(6) / 6, requires_grad=True)

    def run() -> Any:
        w.grad = None

        def step(c: Any, _: Any) -> Any:
            new = sw.checkpoint(lambda v: sw.sin(dropout(v) * w) + v, c)
            return new, sw.rand(2)

        last, ys = sw.scan(step, w * 2, length=3)
        last.sum().backward()
        return last.detach(), ys

    return run, lambda: [w.grad, sw.rand(3)]


def while_writing() -> tuple[Any, Any]:
    w = sw.tensor(3.0)

    def run() -> Any:
        def body(c: Any) -> Any:
            w.add_(1.0)
            scratch = sw.zeros(2)
            scratch += c
            return sw.cond(w > 5, lambda: w * scratch[0], lambda: w.mul_(2.0) + c)

        return sw.while_loop(lambda c: c < 1000.0, body, sw.tensor(1.0))

    return run, lambda: [w]


def nested_training() -> tuple[Any, Any]:
    layer = sw.nn.Linear(4, 1)
    chosen = sw.optim.Adam(layer.parameters(), lr=0.05)
    x, y = sw.tensor(X), sw.tensor(Y)

    def run() -> Any:
        def inner(j: Any, total: Any) -> Any:
            chosen.zero_grad()
            loss = ((layer(x) - y) ** 2).mean()
            loss.backward()
            chosen.step()
            return total + loss.detach()

        return sw.fori_loop(0, 2, lambda i, t: t + sw.fori_loop(0, 3, inner, 0.0), 0.0)

    return run, lambda: [*(p.detach() for p in layer.parameters()), layer.weight.grad]


def batches_and_a_branch() -> tuple[Any, Any]:
    layer = sw.nn.Linear(4, 1)
    chosen = sw.optim.SGD(layer.parameters(), lr=0.05, momentum=0.9)
    x, y = sw.tensor(X).reshape(5, 4, 4), sw.tensor(Y).reshape(5, 4, 1)

    def run() -> Any:
        def body(best: Any, pair: Any) -> Any:
            chosen.zero_grad()
            loss = ((layer(pair[0]) - pair[1]) ** 2).mean()
            loss.backward()
            seen = loss.detach()

            def move() -> Any:
                chosen.step()
                return seen

            return sw.cond(seen > 0.6, move, lambda: sw.minimum(best, seen)), seen

        return sw.scan(body, sw.tensor(9.0), (x, y))

    return run, lambda: [p.detach() for p in layer.parameters()]


def while_training(bound: int | None) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        w = sw.tensor([3.0, 2.0], requires_grad=True)
        chosen = sw.optim.SGD([w], lr=0.1)

        def run() -> Any:
            def body(_: Any) -> Any:
                chosen.zero_grad()
                loss = (w**2).mean()
                loss.backward()
                chosen.step()
                return loss.detach()

            return sw.while_loop(lambda v: v > 1.0, body, sw.tensor(100.0), max_steps=bound)

        return run, lambda: [w.detach(), w.grad]

    return make


def views() -> tuple[Any, Any]:
    w = sw.tensor(np.arange(6.0))

    def run() -> Any:
        def body(i: Any, c: Any) -> Any:
            w[i] = c
            w[0:2].mul_(2.0)
            w[2:5].add_(1.0)
            return c + w.sum()

        return sw.fori_loop(0, 3, body, w[0] * 0)

    return run, lambda: [w]


COMPILED = {
    "sgd": train(lambda p: sw.optim.SGD(p, lr=0.1)),
    "momentum": train(lambda p: sw.optim.SGD(p, lr=0.1, momentum=0.9)),
    "adam": train(lambda p: sw.optim.Adam(p, lr=0.1)),
    "dropout": train(
        lambda p: sw.optim.Adam(p, lr=0.01),
        lambda: sw.nn.Dropout(0.5),
        lambda: sw.nn.BatchNorm1d(5),
    ),
    "lstm": lstm,
    "accumulate": accumulate(False),
    "accumulate on": accumulate(True),
    "draws": draws,
    "while": while_writing,
    "nested training": nested_training,
    "batches and a branch": batches_and_a_branch,
    "while training": while_training(None),
    "bounded while training": while_training(50),
    "views": views,
}


def interpret(graph: Graph, name: str) -> ReferenceExecutable:
    return ReferenceExecutable(graph)


@pytest.mark.parametrize("lower", [interpret, lower_graph])
@pytest.mark.parametrize("make", [pytest.param(m, id=n) for n, m in COMPILED.items()])
def test_a_compiled_loop_changes_what_the_eager_one_changes(make: Any, lower: Any) -> None:
    def arrays(tree: Any) -> list[Any]:
        return [x.detach().numpy().copy() for x in flatten(tree)[0]]

    found: list[list[Any]] = []
    graphs: list[Graph] = []

    def backend(graph: Graph, name: str) -> Any:
        graphs.append(graph)
        return lower(graph, name)

    for wrap in (lambda f: f, lambda f: Compiled(f, backend=backend)):
        sw.manual_seed(5)
        function, read = make()
        call = wrap(function)
        found.append([*arrays(call()), *arrays(read()), *arrays(call()), *arrays(read())])
    same(found[1], found[0], rtol=2e-4)
    assert any(n.primitive.name in ("scan", "while") for n in graphs[0].nodes)


def test_a_compiled_training_loop_has_one_size() -> None:
    sizes: list[int] = []

    def backend(graph: Graph, name: str) -> Any:
        inner = [n.params["body"] for n in graph.nodes if n.primitive.name == "scan" and n.params]
        sizes.append(len(graph.nodes) + sum(len(g.nodes) for g in inner))
        return ReferenceExecutable(graph)

    for steps in (3, 30):
        run, _ = train(lambda p: sw.optim.Adam(p, lr=0.1), steps=steps)()
        Compiled(run, backend=backend)()
    assert sizes[0] == sizes[1]


def test_a_schedule_that_steps_in_a_compiled_loop_is_an_error() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    optimizer = sw.optim.SGD([w], lr=0.1)
    schedule = sw.optim.lr_scheduler.StepLR(optimizer, 2)

    def run() -> Any:
        def body(i: Any, total: Any) -> Any:
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
            schedule.step()
            return total

        return sw.fori_loop(0, 4, body, 0.0)

    with pytest.raises(TraceError, match="outside the loop"):
        Compiled(run, backend=lambda graph, name: ReferenceExecutable(graph))()
