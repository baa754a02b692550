"""Control flow as subgraphs: values, both modes, second order, batching, errors.

Invariant: the reference is the same function run eagerly (plain Python loops), or finite
differences; what is traced has one node for a loop, whatever its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._core.aval import Aval
from slopewise._core.trace import Graph, trace
from slopewise._core.tree import flatten
from slopewise._core.value import Value
from slopewise.errors import DTypeError, GradientError, ShapeError, TraceError, UsageError

RNG = np.random.default_rng(7)
W = RNG.standard_normal((3, 3)) * 0.6
XS = RNG.standard_normal((5, 3))
H0 = RNG.standard_normal(3)


def numbers(out: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(x.detach().numpy() if isinstance(x, Value) else x) for x in flatten(out)[0]]


def graph_of(function: Callable[..., Any], *args: Any) -> Graph:
    """Return the graph of a function of arrays."""
    avals = [Aval(np.shape(a), np.asarray(a).dtype) for a in args]
    return trace(function, avals)[0]


def replay(function: Callable[..., Any], *args: Any) -> list[np.ndarray[Any, Any]]:
    """Trace a function of arrays and evaluate the graph with NumPy."""
    graph = graph_of(function, *args)
    with np.errstate(all="ignore"):
        return [np.asarray(x) for x in graph(*[np.asarray(a) for a in args])]


def every_graph(graph: Graph) -> Iterator[Graph]:
    """Yield a graph and all graphs inside it."""
    pending = [graph]
    while pending:
        graph = pending.pop()
        yield graph
        for node in graph.nodes:
            pending += [p for p in node.params.values() if isinstance(p, Graph)]


def names(graph: Graph) -> list[str]:
    return [n.primitive.name for g in every_graph(graph) for n in g.nodes if n.output < 0]


def size(graph: Graph) -> int:
    return sum(len(g.nodes) for g in every_graph(graph))


def assert_same(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    found, expected = list(found), list(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-11)


def rnn(w: Any, h: Any, xs: Any, reverse: bool = False) -> Any:
    def step(carry: Any, x: Any) -> Any:
        new = sw.tanh(w @ carry + x)
        return new, (new * x).sum()

    last, ys = sw.scan(step, h, xs, reverse=reverse)
    return (last**2).sum() + (ys * ys).sum()


def nested(w: Any, h: Any, xs: Any) -> Any:
    def outer(carry: Any, x: Any) -> Any:
        def inner(c: Any, scale: Any) -> Any:
            new = sw.sin(w @ c) * scale + x
            return new, new[0]

        last, tops = sw.scan(inner, carry, x)
        return last, tops.sum() * x[0]

    last, ys = sw.scan(outer, h, xs)
    return (last * h).sum() + (ys**2).sum()


def kept(w: Any, h: Any, xs: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        new = sw.checkpoint(lambda c, v: sw.tanh(w @ sw.sin(c)) + v, carry, x)
        return new, new.sum()

    last, ys = sw.scan(step, h, xs)
    return (last**2).sum() + (ys * ys).sum()


def branching(w: Any, h: Any, xs: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        new = sw.cond(x.sum() > 0, lambda c: sw.tanh(w @ c) + x, lambda c: c * x[0] - w[0], carry)
        return new, None

    last, _ = sw.scan(step, h, xs)
    return (last**3).sum()


def counted(w: Any, h: Any, xs: Any) -> Any:
    last = sw.fori_loop(0, 4, lambda i, c: sw.tanh(w @ c) * (i + 1) + xs[i], h)
    return (last**2).sum()


def bounded(w: Any, h: Any, xs: Any) -> Any:
    last = sw.while_loop(
        lambda c: (c * c).sum() < 30, lambda c: c * 1.5 + (w @ c) * 0.1 + xs[0], h, max_steps=9
    )
    return (last**2).sum()


def mixed(w: Any, h: Any, xs: Any) -> Any:
    """Dicts and tuples as carries, None, Python numbers, a carry that nothing reads."""

    def step(carry: Any, x: Any) -> Any:
        state_, total = carry
        new = {"a": sw.tanh(w @ state_["a"]), "b": (state_["b"][0] * 0.5 + x, None)}
        return (new, total + x[0]), {"y": new["a"] * state_["b"][0], "none": None}

    start = ({"a": h, "b": (h * 2, None)}, 0.0)
    (last, total), ys = sw.scan(step, start, xs, reverse=True)
    return last["b"][0].sum() * total + (ys["y"] ** 2).sum()


CASES = {
    "rnn": rnn,
    "reverse": lambda w, h, xs: rnn(w, h, xs, True),
    "nested": nested,
    "checkpoint": kept,
    "cond": branching,
    "fori": counted,
    "bounded while": bounded,
    "mixed": mixed,
}
PARAMS = [pytest.param(f, id=n) for n, f in CASES.items()]


@pytest.mark.parametrize("f", PARAMS)
class TestEveryTransform:
    """What is traced and evaluated by NumPy is what plain Python loops give."""

    def test_value(self, f: Any) -> None:
        assert_same(replay(f, W, H0, XS), numbers(f(*map(sw.tensor, (W, H0, XS)))))

    def test_reverse(self, f: Any) -> None:
        both = sw.value_and_grad(f, (0, 1, 2))
        assert_same(replay(both, W, H0, XS), numbers(both(W, H0, XS)))

    def test_forward(self, f: Any) -> None:
        dots = [RNG.standard_normal(a.shape) for a in (W, H0, XS)]

        def along(*args: Any) -> Any:
            return sw.jvp(f, args[:3], args[3:])

        found = replay(along, W, H0, XS, *dots)
        assert_same(found, numbers(along(W, H0, XS, *dots)))
        step = 1e-6
        ends = [
            f(*(sw.tensor(a + s * d) for a, d in zip((W, H0, XS), dots, strict=True))).item()
            for s in (step, -step)
        ]
        assert found[1] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)

    def test_second_order(self, f: Any) -> None:
        g = sw.hessian(lambda h, w, xs: f(w, h, xs))
        assert_same(replay(g, H0, W, XS), numbers(g(H0, W, XS)), rtol=1e-8)
        reverse = sw.grad(lambda w, h, xs: (sw.grad(f, 1)(w, h, xs) ** 2).sum(), (0, 2))
        assert_same(replay(reverse, W, H0, XS), numbers(reverse(W, H0, XS)), rtol=1e-8)
        mixed_modes = sw.grad(
            lambda w, h, xs: sw.jvp(lambda v: f(w, v, xs), (h,), (h * 2,))[1], (0, 1)
        )
        assert_same(replay(mixed_modes, W, H0, XS), numbers(mixed_modes(W, H0, XS)), rtol=1e-8)

    @pytest.mark.parametrize("dims", [(None, 0, None), (0, 0, 0), (0, None, None), (None, None, 0)])
    def test_vmap_of_gradient(self, f: Any, dims: Any) -> None:
        batch = [
            np.stack([a, a * 0.7 + 0.1, -a]) if d == 0 else a
            for a, d in zip((W, H0, XS), dims, strict=True)
        ]
        g = sw.grad(f, (0, 1, 2))
        rows = [
            numbers(g(*(a[k] if d == 0 else a for a, d in zip(batch, dims, strict=True))))
            for k in range(3)
        ]
        expected = [np.stack(column) for column in zip(*rows, strict=True)]
        assert_same(numbers(sw.vmap(g, dims)(*batch)), expected)
        assert_same(replay(sw.vmap(g, dims), *batch), expected)

    def test_gradient_of_vmap(self, f: Any) -> None:
        hs = np.stack([H0, H0 * 0.5, -H0 + 0.2])

        def total(w: Any, hs: Any, xs: Any) -> Any:
            return sw.vmap(f, (None, 0, None))(w, hs, xs).sum()

        def plain(w: Any, hs: Any, xs: Any) -> Any:
            return sum(f(w, hs[k], xs) for k in range(3))

        expected = numbers(sw.grad(plain, (0, 1, 2))(W, hs, XS))
        assert_same(numbers(sw.grad(total, (0, 1, 2))(W, hs, XS)), expected)
        assert_same(replay(sw.grad(total, (0, 1, 2)), W, hs, XS), expected)
        leaves = [sw.tensor(a, requires_grad=True) for a in (W, hs, XS)]
        total(*leaves).backward()
        assert_same([leaf.grad.numpy() for leaf in leaves], expected)


@pytest.mark.parametrize(
    "transform", [lambda f: f, sw.grad, lambda f: sw.grad(lambda *a: sw.grad(f)(*a).sum())]
)
@pytest.mark.parametrize("f", [rnn, kept, branching])
def test_a_loop_has_one_size(f: Any, transform: Any) -> None:
    short, long = (graph_of(transform(f), W, H0, RNG.standard_normal((n, 3))) for n in (5, 500))
    assert len(short.nodes) == len(long.nodes)
    assert names(short) == names(long)
    assert size(short) < 3000


def test_a_counted_loop_has_one_size() -> None:
    def f(n: int) -> Any:
        return lambda x: sw.fori_loop(0, n, lambda i, c: sw.sin(c) * x + i, x).sum()

    for transform in (lambda g: g, sw.grad):
        assert size(graph_of(transform(f(5)), H0)) == size(graph_of(transform(f(500)), H0))


def test_reverse_mode_runs_the_forward_loop_once() -> None:
    def scans(graph: Graph) -> int:
        return sum(n.primitive.name == "scan" and n.output < 0 for n in graph.nodes)

    assert scans(graph_of(sw.value_and_grad(rnn), W, H0, XS)) == 2
    twice = graph_of(sw.value_and_grad(nested), W, H0, XS)
    assert scans(twice) == 2
    assert names(twice).count("scan") == 4


def test_a_checkpoint_in_a_loop_keeps_only_its_operands() -> None:
    graph = graph_of(sw.grad(kept), W, H0, XS)
    forward = next(n for n in graph.nodes if n.primitive.name == "scan" and n.output < 0)
    stacked = [a for a in forward.out if a.shape[:1] == (5,)]
    assert [a.shape for a in stacked] == [(5,), (5, 3)]  # the ys, and the carry before each step
    again = [
        n.params.get("again", False)
        for g in every_graph(graph)
        for n in g.nodes
        if n.primitive.name == "checkpoint" and n.output < 0
    ]
    assert sorted(again) == [False, True]


class TestWhile:
    def test_forward_mode_with_a_counted_loop_inside(self) -> None:
        def f(x: Any) -> Any:
            def body(pair: Any) -> Any:
                v, k = pair
                return sw.fori_loop(0, 3, lambda i, c: c * 1.1 + sw.sin(x) * i, v), k + 1

            return sw.while_loop(lambda p: p[0] < 50, body, (x, 0))

        def only(x: Any, d: Any) -> Any:
            return sw.jvp(lambda y: f(y)[0], (x,), (d,))

        assert_same(replay(only, 1.5, 1.0), numbers(only(1.5, 1.0)))
        batch = np.array([1.5, 3.0, 60.0])
        expected = np.array([only(x, 1.0)[1].item() for x in batch])
        np.testing.assert_allclose(
            sw.vmap(lambda x: only(x, x * 0 + 1)[1])(batch).numpy(), expected
        )

    def test_one_predicate_for_all_examples(self) -> None:
        def f(x: Any) -> Any:
            return sw.while_loop(lambda p: p[0] < 5, lambda p: (p[0] + 1, p[1] * x), (0, x))[1]

        batch = np.array([1.5, 2.0])
        np.testing.assert_allclose(sw.vmap(f)(batch).numpy(), batch**6)
        inner = graph_of(sw.vmap(f), batch)
        loop = next(n for n in inner.nodes if n.primitive.name == "while")
        assert loop.params["test"].inputs[0].shape == ()

    def test_reverse_mode_needs_a_bound(self) -> None:
        def f(x: Any, bound: int | None) -> Any:
            return sw.while_loop(lambda v: v < 100, lambda v: v * x, x, max_steps=bound)

        with pytest.raises(GradientError, match="max_steps"):
            graph_of(sw.grad(lambda x: f(x, None)), 3.0)
        assert_same(replay(sw.grad(lambda x: f(x, 9)), 3.0), [np.array(405.0)])
        assert f(3.0, 2) == 27  # it stops after two steps
        assert_same(replay(lambda x: f(x, 2), 3.0), [np.array(27.0)])
        assert_same(replay(lambda x: f(x, 0), 3.0), [np.array(3.0)])

    def test_bounds_that_are_traced(self) -> None:
        def f(n: Any, x: Any) -> Any:
            return sw.fori_loop(1, n, lambda i, c: c * x + i, 0.0)

        expected = f(5, 1.5)
        assert_same(replay(f, np.int64(5), 1.5), [np.asarray(expected)])
        assert_same(replay(f, np.int64(0), 1.5), [np.array(0.0)])
        with pytest.raises(DTypeError, match="bound"):
            graph_of(f, 5.0, 1.5)


class TestCond:
    def test_the_branch_not_taken_is_not_computed(self) -> None:
        def f(p: Any, w: Any) -> Any:
            # Both branches only close over w.
            return sw.cond(p > 0, lambda: sw.log(w), lambda: w * 3)

        graph = graph_of(f, 1.0, 2.0)
        assert [n.primitive.name for n in graph.nodes if n.output < 0] == ["greater", "cond"]
        assert_same(replay(sw.grad(f, 1), 1.0, 2.0), [np.array(0.5)])
        assert_same(replay(sw.grad(f, 1), -1.0, 0.0), [np.array(3.0)])

    def test_a_mapped_predicate_selects(self) -> None:
        f = lambda x: sw.cond(x > 0, sw.sqrt, lambda v: v * 3, x)  # noqa: E731
        xs = np.array([4.0, -4.0, 0.0])
        expected = [np.array([0.25, 3, 3])]
        assert_same(numbers(sw.vmap(sw.grad(f))(xs)), expected)
        assert_same(replay(sw.vmap(sw.grad(f)), xs), expected)
        assert_same(replay(sw.grad(lambda v: sw.vmap(f)(v).sum()), xs), expected)

    def test_what_differs_is_an_error(self) -> None:
        with pytest.raises(UsageError, match="results differ"):
            graph_of(lambda x: sw.cond(x > 0, lambda: (x, x), lambda: x), 1.0)
        with pytest.raises(ShapeError, match="differ"):
            graph_of(lambda x: sw.cond(x > 0, lambda: x, lambda: sw.zeros(2)), 1.0)
        with pytest.raises(ShapeError, match="one truth"):
            graph_of(lambda x: sw.cond(x > 0, lambda: x, lambda: x), H0)

    def test_numbers_take_the_dtype_of_the_other_branch(self) -> None:
        f = lambda x: sw.cond(x > 0, lambda: x * 2, lambda: 0.0)  # noqa: E731
        (out,) = replay(f, np.float32(-1.0))
        assert out.dtype == np.float32
        assert out == 0


class TestScan:
    def test_no_steps(self) -> None:
        f = lambda c, xs: sw.scan(lambda c, x: (c * x, c + 1), c, xs)  # noqa: E731
        last, ys = f(sw.tensor(2.0), sw.zeros(0))
        assert last.item() == 2
        assert ys.shape == (0,)
        assert_same(replay(f, 2.0, np.zeros(0)), [np.array(2.0), np.zeros(0)])
        g = sw.grad(lambda c, xs: f(c, xs)[0] * 3)
        assert_same(replay(g, 2.0, np.zeros(0)), [np.array(3.0)])

    def test_no_carry_and_no_xs(self) -> None:
        f = lambda w, xs: sw.scan(lambda c, x: (None, x * w), None, xs)[1].sum()  # noqa: E731
        assert_same(replay(sw.grad(f, (0, 1)), 2.0, H0), [H0.sum(), np.full(3, 2.0)])
        g = lambda x: sw.scan(lambda c, _: (c * x, c), x, length=3)[1].sum()  # noqa: E731
        assert_same(replay(sw.grad(g), 2.0), [np.array(1 + 4 + 12.0)])

    def test_a_number_as_carry_takes_the_dtype_it_meets(self) -> None:
        f = lambda xs: sw.scan(lambda c, x: (c + x, None), 0.0, xs)[0]  # noqa: E731
        (out,) = replay(f, XS.astype(np.float32))
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, XS.sum(0), rtol=1e-5)

    def test_random_draws_differ_from_step_to_step(self) -> None:
        def f(x: Any) -> Any:
            return sw.scan(lambda c, _: (c, c + sw.rand(())), x, length=4)[1]

        assert len(set(sw.vmap(f)(np.zeros(2))[0].tolist())) == 4

    def test_a_carry_that_changes_is_named(self) -> None:
        def f(x: Any) -> Any:
            return sw.scan(lambda c, _: ({"h": c["h"][:2]}, None), {"h": x}, length=3)

        with pytest.raises(ShapeError, match=r"carry\['h'\] has shape \(3,\)") as caught:
            graph_of(f, H0)
        assert "test_control.py" in str(caught.value)
        with pytest.raises(DTypeError, match=r"carry\[1\] has"):
            graph_of(
                lambda x: sw.fori_loop(0, 3, lambda i, c: (c[0], c[1].to(sw.float32)), (x, x)), H0
            )
        with pytest.raises(UsageError, match="structure"):
            graph_of(lambda x: sw.scan(lambda c, _: ((c, c), None), x, length=3), H0)

    def test_a_python_branch_on_a_carry_is_an_error(self) -> None:
        with pytest.raises(TraceError, match=r"sw\.cond"):
            graph_of(lambda x: sw.scan(lambda c, _: (c if c > 0 else -c, None), x, length=2), 1.0)

    def test_closures_over_traced_and_recorded_values(self) -> None:
        w = sw.tensor(W, requires_grad=True)
        doubled = w * 0.3

        def f(h: Any) -> Any:
            outer = h * 0.3
            return sw.scan(lambda c, x: (sw.tanh(doubled @ c) + outer * x, None), h, XS)[0].sum()

        sw.vmap(f)(np.stack([H0, H0 + 1])).sum().backward()
        found = w.grad.numpy().copy()
        w.grad = None
        doubled = w * 0.3
        (f(sw.tensor(H0)) + f(sw.tensor(H0 + 1))).backward()
        np.testing.assert_allclose(found, w.grad.numpy(), rtol=1e-9)


def test_dropped_tangents_and_integer_carries() -> None:
    def f(x: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            k, v, constant = carry
            return (k + 1, v * x + k, constant), k

        (k, v, c), ks = sw.scan(step, (np.int64(0), x, np.ones(2)), length=4)
        return v * c.sum() + ks.sum() + k

    assert_same(replay(sw.value_and_grad(f), 1.3), numbers(sw.value_and_grad(f)(1.3)))
    graph = graph_of(lambda x: sw.jvp(f, (x,), (x,))[1], 1.3)
    found = [n for n in graph.nodes if n.primitive.name == "scan" and n.output < 0]
    assert [n.params["carries"] for n in found] == [3, 4]  # only v has a tangent


@pytest.mark.parametrize("f", PARAMS)
class TestMachineCode:
    """What `compile` makes of control flow, twice, is what plain Python loops give."""

    def check(self, function: Any, *args: Any, rtol: float = 1e-8) -> None:
        tensors = [sw.tensor(np.asarray(a)) for a in args]
        expected = numbers(function(*tensors))
        compiled = sw.compile(function)
        for _ in range(2):
            found = numbers(compiled(*tensors))
            assert_same(found, expected, rtol)
            assert [a.dtype for a in found] == [b.dtype for b in expected]

    def test_both_modes(self, f: Any) -> None:
        self.check(f, W, H0, XS)
        self.check(sw.value_and_grad(f, (0, 1, 2)), W, H0, XS)
        self.check(lambda *a: sw.jvp(f, a[:3], a[3:]), W, H0, XS, W * 0.5, H0 + 1, XS - 1)

    def test_second_order(self, f: Any) -> None:
        self.check(sw.hessian(lambda h, w, xs: f(w, h, xs)), H0, W, XS)
        twice = sw.grad(lambda w, h, xs: (sw.grad(f, 1)(w, h, xs) ** 2).sum(), (0, 2))
        self.check(twice, W, H0, XS)

    def test_batched(self, f: Any) -> None:
        hs, dims = np.stack([H0, H0 * 0.5, -H0 + 0.2]), (None, 0, None)
        self.check(sw.vmap(sw.grad(f, (0, 1, 2)), dims), W, hs, XS)
        total = lambda w, h, xs: sw.vmap(f, dims)(w, h, xs).sum()  # noqa: E731
        self.check(sw.grad(total, (0, 1, 2)), W, hs, XS)
        self.check(lambda w, h, xs: sw.compile(f)(w, h[0], xs), W, hs, XS)

    def test_arrays_as_arguments(self, f: Any) -> None:
        assert_same(numbers(sw.compile(f)(W, H0, XS)), numbers(f(*map(sw.tensor, (W, H0, XS)))))


@pytest.mark.parametrize("scale", [lambda x: x.mean(), lambda x: x.sum() / 5, lambda x: x / 3.0])
def test_a_number_does_not_widen_a_derivative(scale: Any) -> None:
    x = sw.tensor(np.ones(3, np.float32), requires_grad=True)
    scale(x).sum().backward()
    assert x.grad.dtype == np.float32
    assert sw.jvp(scale, (x,), (x,))[1].dtype == np.float32
    assert sw.compile(sw.grad(lambda v: scale(v).sum()))(x.detach()).dtype == np.float32
