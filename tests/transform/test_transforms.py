"""Transforms: nesting, batching, custom rules, control flow, checks for users.

Invariant: references are closed forms, loops or finite differences.
"""

from __future__ import annotations

import copy
import gc
import multiprocessing
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import slopewise as sw
from slopewise.errors import GradientError, ShapeError, TraceError


def test_higher_order_by_nesting() -> None:
    f = sw.sin
    expected = [np.sin(0.3), np.cos(0.3), -np.sin(0.3), -np.cos(0.3), np.sin(0.3)]
    for value in expected:
        assert f(sw.tensor(0.3, dtype=sw.float64)).item() == pytest.approx(value, rel=1e-12)
        f = sw.grad(f)


def test_no_perturbation_confusion() -> None:
    # d/dx (x * d/dy (x + y)) = 1, in both modes and mixed.
    inner = lambda x: x * sw.grad(lambda y: x + y)(1.0)  # noqa: E731
    assert sw.grad(inner)(1.0).item() == 1
    inner = lambda x: x * sw.jvp(lambda y: x + y, (1.0,), (1.0,))[1]  # noqa: E731
    assert sw.grad(inner)(1.0).item() == 1
    assert sw.jvp(inner, (1.0,), (1.0,))[1].item() == 1


def test_jacobian_both_ways() -> None:
    f = lambda x: sw.stack([x[0] * x[1], sw.sin(x[0]), x[1] ** 3])  # noqa: E731
    x = np.array([0.7, 1.3])
    expected = [[1.3, 0.7], [np.cos(0.7), 0], [0, 3 * 1.3**2]]
    for mode in ("reverse", "forward"):
        np.testing.assert_allclose(sw.jacobian(f, mode=mode)(x).numpy(), expected, rtol=1e-12)


def test_results_of_transforms_have_no_history() -> None:
    x = sw.tensor([1.0, 2.0])
    f = lambda v: (v**3).sum()  # noqa: E731
    for out in (sw.grad(f)(x), sw.hessian(f)(x), sw.jacobian(lambda v: v**2)(x)):
        assert not out.requires_grad
    assert x.grad is None


def test_outer_parameters_flow_through_inner_gradients() -> None:
    w = sw.tensor(3.0, requires_grad=True)
    penalty = sw.grad(lambda x: w * x**2)(sw.tensor(2.0)) ** 2  # (2 w x)^2 = 16 w^2
    penalty.backward()
    assert w.grad.item() == 96


def test_nests_of_arguments() -> None:
    f = lambda p: (p["a"] * p["b"][0] + p["b"][1]).sum()  # noqa: E731
    g = sw.grad(f)({"a": sw.tensor([1.0, 2.0]), "b": (sw.tensor(3.0), sw.tensor(4.0))})
    assert g["a"].tolist() == [3, 3]
    assert g["b"][0].item() == 3
    assert g["b"][1].item() == 2


def test_vmap_of_everything_is_a_loop() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((4, 3))
    xs = rng.standard_normal((5, 3))
    model = lambda x: sw.tanh(sw.tensor(w) @ x).sum() * x[0]  # noqa: E731
    for transform in (
        lambda f: f,
        sw.grad,
        sw.hessian,
        lambda f: sw.grad(lambda v: sw.grad(f)(v).sum()),
    ):
        batched = sw.vmap(transform(model))(xs).numpy()
        looped = np.stack([transform(model)(x).detach().numpy() for x in xs])
        np.testing.assert_allclose(batched, looped, rtol=1e-10)
    nested = sw.vmap(sw.vmap(lambda x, y: x * y, (None, 0)), (0, None))(xs[0], xs[1]).numpy()
    np.testing.assert_allclose(nested, np.outer(xs[0], xs[1]))


def test_gradient_through_vmap() -> None:
    x = sw.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    sw.vmap(lambda row: (row**2).sum())(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.detach().numpy())


def test_vmap_out_dims_and_errors() -> None:
    x = sw.tensor(np.ones((3, 2)))
    assert sw.vmap(lambda v: v * 2, out_dims=1)(x).shape == (2, 3)
    assert sw.vmap(lambda v: v * 2, in_dims=1)(x).shape == (2, 3)
    assert sw.vmap(lambda v: 1.0)(x).shape == (3,)
    with pytest.raises(ShapeError, match="one size"):
        sw.vmap(lambda a, b: a)(x, sw.ones(4))
    with pytest.raises(TraceError, match=r"sw\.where"):
        sw.vmap(lambda v: v if v.sum() > 0 else -v)(x)
    with pytest.raises(TraceError):
        sw.vmap(lambda v: v.item())(sw.ones(3))


def test_no_grad_inside_a_traced_function_holds() -> None:
    def f(v: Any) -> Any:
        with sw.no_grad():
            held = v * 2
        return (held * v).sum() + (v.detach() * v).sum()

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(sw.vmap(sw.grad(f))(x).numpy(), 3 * x)
    t = sw.tensor(x, requires_grad=True)
    sw.vmap(f)(t).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), 3 * x)


class TestControlFlow:
    def test_cond_both_ways(self) -> None:
        f = lambda x: sw.cond(x > 0, sw.sqrt, lambda v: v * 3, x)  # noqa: E731
        assert sw.grad(f)(4.0).item() == 0.25
        assert sw.grad(f)(-4.0).item() == 3
        np.testing.assert_allclose(
            sw.vmap(sw.grad(f))(np.array([4.0, -4.0, 0.0])).numpy(), [0.25, 3, 3]
        )

    def test_while_loop(self) -> None:
        f = lambda x: sw.while_loop(lambda v: v < 100, lambda v: v * x, x)  # noqa: E731
        assert sw.grad(f)(3.0).item() == 405
        assert sw.jvp(f, (3.0,), (1.0,))[1].item() == 405
        xs = np.array([2.0, 3.0, 5.0])
        np.testing.assert_allclose(sw.vmap(f)(xs).numpy(), [128, 243, 125])
        slopes = sw.vmap(lambda x: sw.jvp(f, (x,), (1.0,))[1])(xs)
        np.testing.assert_allclose(slopes.numpy(), [7 * 64, 405, 75])
        with pytest.raises(GradientError, match="fori_loop or scan"):
            sw.vmap(sw.grad(f))(xs)
        t = sw.tensor(xs, requires_grad=True)
        sw.vmap(f)(t).sum().backward()
        np.testing.assert_allclose(t.grad.numpy(), [7 * 64, 405, 75])

    def test_scan_and_fori_loop(self) -> None:
        xs = np.array([1.0, 2.0, 3.0])
        last, sums = sw.scan(lambda c, x: (c + x, c * x), 0.0, xs)
        assert last.item() == 6
        np.testing.assert_array_equal(sums.numpy(), [0, 2, 9])
        _, back = sw.scan(lambda c, x: (c + x, c), sw.tensor(0.0), xs, reverse=True)
        np.testing.assert_array_equal(back.numpy(), [5, 3, 0])
        assert sw.grad(lambda v: sw.scan(lambda c, x: (c * x, None), 1.0, v)[0])(xs).tolist() == [
            6,
            3,
            2,
        ]
        assert (
            sw.grad(lambda x: sw.fori_loop(0, 4, lambda i, v: v * x + i, x))(1.0).item() == 9
        )  # x^5 + x^2 + 2x + 3

    def test_checkpoint_counts_every_path(self) -> None:
        w = sw.tensor(3.0, requires_grad=True)
        h = w * 2
        calls: list[int] = []

        def body(v: Any) -> Any:
            calls.append(1)
            return sw.sin(v * h) * w

        for x in (sw.tensor(2.0, requires_grad=True), sw.tensor(2.0)):
            w.grad = None
            sw.checkpoint(body, x).backward(retain_graph=True)
            found = w.grad.item()
            w.grad = None
            plain = body(x)
            plain.backward(retain_graph=True)
            assert found == pytest.approx(w.grad.item(), rel=1e-6)

    def test_checkpoint_repeats_random_draws(self) -> None:
        x = sw.tensor(np.ones(100), requires_grad=True)
        seen: list[Any] = []

        def body(v: Any) -> Any:
            mask = sw.rand(100, dtype=sw.float64) > 0.5
            seen.append(mask.numpy())
            return (v * mask).sum()

        sw.checkpoint(body, x).backward()
        np.testing.assert_array_equal(seen[0], seen[1])
        np.testing.assert_array_equal(x.grad.numpy(), seen[0])


class TestCustomRules:
    def test_custom_vjp(self) -> None:
        @sw.custom_vjp
        def f(x: Any, y: Any) -> Any:
            return x * y

        f.defvjp(lambda x, y: (x * y, (x, y)), lambda res, bar: (bar * res[1] * 10, bar * res[0]))
        assert [g.item() for g in sw.grad(f, (0, 1))(2.0, 3.0)] == [30, 2]
        np.testing.assert_allclose(
            sw.vmap(sw.grad(f), (0, None))(np.array([1.0, 2.0]), 3.0).numpy(), [30, 30]
        )
        x = sw.tensor([1.0, 2.0], requires_grad=True)
        sw.vmap(f, (0, None))(x, sw.tensor(3.0)).sum().backward()
        assert x.grad.tolist() == [30, 30]
        with pytest.raises(GradientError, match="custom_jvp"):
            sw.jvp(lambda v: f(v, 3.0), (2.0,), (1.0,))

    def test_custom_jvp_gives_both_modes(self) -> None:
        @sw.custom_jvp
        def f(x: Any) -> Any:
            return sw.sin(x)

        f.defjvp(lambda p, t: (f(*p), 10 * sw.cos(p[0]) * t[0]))
        assert sw.grad(f)(0.0).item() == 10
        assert sw.jvp(f, (0.0,), (2.0,))[1].item() == 20
        assert sw.grad(sw.grad(f))(1.0).item() == pytest.approx(-10 * np.sin(1.0))
        np.testing.assert_allclose(sw.vmap(f)(np.zeros(3)).numpy(), np.zeros(3))
        xs, ts = np.array([0.1, 0.2]), np.array([1.0, -2.0])
        _, dots = sw.jvp(sw.vmap(f), (xs,), (ts,))
        np.testing.assert_allclose(dots.numpy(), 10 * np.cos(xs) * ts)
        _, dots = sw.jvp(sw.vmap(lambda x: sw.vmap(f)(x)), (xs[None],), (ts[None],))
        np.testing.assert_allclose(dots.numpy()[0], 10 * np.cos(xs) * ts)

    def test_autograd_function(self) -> None:
        class Cube(sw.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any, factor: float) -> Any:
                ctx.save_for_backward(x)
                ctx.factor = factor
                return x**3 * factor

            @staticmethod
            def backward(ctx: Any, bar: Any) -> Any:
                (x,) = ctx.saved_tensors
                return 3 * x**2 * ctx.factor * bar, None

        x = sw.tensor([1.0, 2.0], requires_grad=True)
        (Cube.apply(x, 2.0) * x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), 8 * np.array([1.0, 8.0]))


class TestGradcheck:
    def test_agrees_and_disagrees(self) -> None:
        x = sw.tensor([0.3, -0.7], dtype=sw.float64)
        assert sw.gradcheck(lambda v: sw.exp(v) * v, x)

        class Wrong(sw.autograd.Function):
            @staticmethod
            def forward(ctx: Any, v: Any) -> Any:
                return v * 2

            @staticmethod
            def backward(ctx: Any, bar: Any) -> Any:
                return bar * 3

        with pytest.raises(GradientError, match="the gradient is 3"):
            sw.gradcheck(Wrong.apply, x)
        assert not sw.gradcheck(Wrong.apply, x, raise_exception=False)

    def test_one_sided_at_kinks(self) -> None:
        zero = sw.tensor([0.0], dtype=sw.float64)
        assert sw.gradcheck(sw.relu, zero)
        assert sw.gradcheck(sw.abs, zero)


class TestTensors:
    def test_memory_is_freed_without_the_collector(self) -> None:
        gc.disable()
        try:
            w = sw.tensor([1.0, 2.0], requires_grad=True)
            loss = (sw.exp(w) * w).sum()
            refs = [weakref.ref(w), weakref.ref(loss), weakref.ref(loss.grad_fn)]
            loss.backward()
            del w, loss
            assert [r() for r in refs] == [None] * 3
            x = sw.tensor(1.0, requires_grad=True)
            y = sw.log(sw.softmax(sw.stack([x, x]), 0)).sum()
            refs = [weakref.ref(y), weakref.ref(y.grad_fn)]
            del y
            assert [r() for r in refs] == [None] * 2
        finally:
            gc.enable()

    def test_deepcopy_and_other_processes(self) -> None:
        w = sw.tensor([1.0, 2.0], requires_grad=True)
        w.sum().backward()
        twin = copy.deepcopy({"w": w})["w"]
        assert twin.requires_grad
        assert twin.grad.tolist() == [1, 1]
        with sw.no_grad():
            twin += 1
        assert w.tolist() == [1, 2]
        with pytest.raises(GradientError, match="detach"):
            copy.deepcopy(w * 2)
        again = pickle.loads(pickle.dumps(w))
        assert again.requires_grad
        assert again.tolist() == [1, 2]
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.map(_double, [sw.tensor([1.0, 2.0])])[0].tolist() == [2, 4]

    def test_accumulation_detach_and_gradient_argument(self) -> None:
        x = sw.tensor([1.0, 2.0], requires_grad=True)
        (x * 2).backward(sw.tensor([1.0, 10.0]))
        (x.detach() * x).sum().backward()
        assert x.grad.tolist() == [3, 22]
        with pytest.raises(GradientError, match="scalar outputs"):
            (x * 2).backward()

    def test_gradients_of_one_sum_do_not_share_memory(self) -> None:
        a = sw.tensor([1.0], requires_grad=True)
        b = sw.tensor([2.0], requires_grad=True)
        (a + b).sum().backward()
        a.grad.zero_()
        assert b.grad.tolist() == [1]

    def test_double_backward(self) -> None:
        x = sw.tensor(2.0, requires_grad=True)
        (first,) = sw.autograd.grad(x**3, x, create_graph=True)
        (first * x).backward()
        assert x.grad.item() == 12 * 2 + 12

    def test_writes_with_history(self) -> None:
        v = sw.tensor([3.0, 4.0], requires_grad=True)
        x = sw.zeros(4)
        x[1:3] = v * 2
        x[0] = v[0] ** 2
        (x * x).sum().backward()
        np.testing.assert_allclose(v.grad.numpy(), [4 * 27 + 8 * 3, 8 * 4])
        y = v * 1
        y.mul_(2)
        y.add_(v)
        v.grad = None
        y.sum().backward()
        assert v.grad.tolist() == [3, 3]

    def test_stale_views_are_refused(self) -> None:
        v = sw.tensor([3.0, 4.0], requires_grad=True)
        y = v * 1
        row = y[0]
        y.mul_(2)
        with pytest.raises(GradientError, match="shares memory"):
            row * 2
        with pytest.raises(GradientError, match="leaf Variable"):
            v += 1

    def test_read_only_memory_is_respected(self) -> None:
        a = np.arange(3.0)
        a.flags.writeable = False
        t = sw.from_dlpack(a) if hasattr(a, "__dlpack__") else sw.from_numpy(a)
        with pytest.raises(ValueError, match="read-only"):
            t.add_(1)

    def test_seeds_repeat(self) -> None:
        sw.manual_seed(5)
        first = [
            sw.rand(3),
            sw.randn(4),
            sw.randint(0, 9, (5,)),
            sw.randperm(6),
            sw.bernoulli(sw.full((4,), 0.5)),
        ]
        sw.manual_seed(5)
        second = [
            sw.rand(3),
            sw.randn(4),
            sw.randint(0, 9, (5,)),
            sw.randperm(6),
            sw.bernoulli(sw.full((4,), 0.5)),
        ]
        for a, b in zip(first, second, strict=True):
            assert a.tolist() == b.tolist()
        x = sw.randn(200_000).numpy()
        assert abs(x.mean()) < 0.01
        assert abs(x.std() - 1) < 0.01
        assert sorted(sw.randperm(50).tolist()) == list(range(50))


def _double(x: Any) -> Any:
    return x * 2


class TestErrors:
    def test_names_the_variables_and_the_line(self) -> None:
        left = sw.ones(2, 3)
        right = sw.ones(2, 3)
        with pytest.raises(ShapeError) as caught:
            left @ right
        message = str(caught.value)
        assert "`left` has shape (2, 3)" in message
        assert "`right`" in message
        assert "test_transforms.py, line" in message
        assert "left @ right" in message
        with pytest.raises(ShapeError, match="broadcast"):
            left + sw.ones(4)

    def test_index_errors(self) -> None:
        x = sw.ones(2, 3)
        with pytest.raises(IndexError, match="axis 0 of size 2"):
            x[5]
        with pytest.raises(IndexError, match="too many indices"):
            x[0, 0, 0]
        with pytest.raises(IndexError, match="out of range"):
            x.sum(4)


@st.composite
def indices(draw: Any) -> tuple[tuple[int, ...], Any]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    entries: list[Any] = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        entries.append(
            draw(
                st.one_of(
                    st.integers(-n, n - 1),
                    st.slices(n),
                    st.lists(st.integers(-n, n - 1), min_size=1, max_size=3).map(np.array),
                    st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
                    st.just(slice(None)),
                )
            )
        )
    arrays = [np.atleast_1d(e) for e in entries if isinstance(e, np.ndarray) and e.dtype != bool]
    masks = [e for e in entries if isinstance(e, np.ndarray) and e.dtype == bool]
    lengths = {len(a) for a in arrays} | {int(m.sum()) for m in masks}
    if len(lengths - {1}) > 1:
        # The others must stay on their axes, for which they were drawn.
        entries = [slice(None) if isinstance(e, np.ndarray) else e for e in entries]
    return shape, tuple(entries)


@given(indices())
def test_indexing_is_numpys(case: Any) -> None:
    shape, index = case
    a = np.arange(float(np.prod(shape))).reshape(shape)
    expected = a[index]
    x = sw.tensor(a, requires_grad=True)
    out = x[index]
    np.testing.assert_array_equal(out.detach().numpy(), expected)
    weights = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    (out * sw.tensor(weights)).sum().backward()
    right = np.zeros_like(a)
    np.add.at(right, index, weights)
    np.testing.assert_array_equal(x.grad.numpy(), right)
    y = sw.tensor(a)
    y[index] = sw.tensor(weights)
    b = a.copy()
    b[index] = weights
    np.testing.assert_array_equal(y.numpy(), b)


def test_a_mean_keeps_float32_when_traced() -> None:
    from slopewise._core.aval import Aval
    from slopewise._core.trace import trace

    graph, _ = trace(sw.grad(lambda x: (x * x).mean()), [Aval((4,), np.dtype(np.float32))])
    assert {n.dtype.name for n in graph.nodes} == {"float32"}
