"""Histories: changes in place, aliases, closures and repeated values, where a gradient gets lost.

Invariant: the right answers are worked out by hand; each case was once silently wrong somewhere.
"""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import GradientError


def leaf(*numbers: float) -> Any:
    return sw.tensor(list(numbers) if len(numbers) > 1 else numbers[0], requires_grad=True)


class TestRecognitionKeepsEveryPath:
    def test_a_one_with_gradients_is_no_constant(self) -> None:
        top, u = leaf(1.0), leaf(0.5, 1.0)
        (top / (1 + sw.exp(-u))).sum().backward()
        assert top.grad.item() == pytest.approx(1.3535, abs=1e-4)
        b = leaf(1.0)
        sw.log(b + sw.exp(u)).sum().backward()
        assert b.grad is not None

    def test_equal_numbers_with_other_histories(self) -> None:
        u = leaf(0.0, 1.0)
        e = np.exp([0.0, 1.0])
        (sw.exp(u.detach()) / sw.exp(u).sum())[0].backward()
        np.testing.assert_allclose(u.grad.numpy(), -e[0] * e / e.sum() ** 2, rtol=1e-5)
        u.grad = None
        v = u.detach().requires_grad_()
        (sw.exp(v) / (1 + sw.exp(u)))[0].backward()
        assert v.grad.tolist() == pytest.approx([0.5, 0])
        assert u.grad.tolist() == pytest.approx([-0.25, 0])

    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize("shape", ["sum", "one"])
    def test_hooks_on_either_exp_count(self, which: int, shape: str) -> None:
        def gradient(hooked: bool) -> Any:
            u = sw.tensor([0.0, 1.0], dtype=sw.float64, requires_grad=True)
            pair = [sw.exp(u), sw.exp(u)]
            if hooked:
                pair[which].register_hook(lambda g: g * 0)
            else:
                pair[which] = pair[which].detach()
            (pair[0] / (pair[1].sum() if shape == "sum" else 1 + pair[1]))[0].backward()
            return u.grad.numpy()

        np.testing.assert_allclose(gradient(True), gradient(False), rtol=1e-12, atol=1e-15)

    def test_log_of_exp_of_minus_zero(self) -> None:
        assert not np.signbit(sw.log(sw.exp(sw.tensor(-0.0))).item())

    def test_memory_does_not_grow_in_long_loops(self) -> None:
        c, y = sw.ones(64) * 0.01, sw.ones(64)
        gc.collect()
        gc.disable()
        try:
            with sw.no_grad():
                for _ in range(50):
                    y = c + sw.sigmoid(y)
                before = len(gc.get_objects())
                for _ in range(1000):
                    y = c + sw.sigmoid(y)
                assert len(gc.get_objects()) <= before + 10
        finally:
            gc.enable()


class TestChangesInPlace:
    def test_constants_written_over_computed_tensors(self) -> None:
        for change in (lambda y: y.zero_(), lambda y: y.fill_(3.0), lambda y: y.copy_(sw.ones(2))):
            x = leaf(1.0, 2.0)
            y = x * 2
            change(y)
            (y * y + x).sum().backward()
            assert x.grad.tolist() == [1, 1]

    def test_copy_from_a_leaf_and_from_a_computed_tensor(self) -> None:
        w, b = leaf(1.0, 2.0), sw.zeros(2)
        b.copy_(w)
        (b * 3).sum().backward()
        assert w.grad.tolist() == [3, 3]
        z = w * 1
        z.retain_grad()
        b = sw.zeros(2)
        b.copy_(z)
        b.retain_grad()
        (b * 5).sum().backward()
        assert z.grad.tolist() == b.grad.tolist() == [5, 5]

    def test_augmented_assignment_to_parts(self) -> None:
        x = leaf(1.0, 2.0, 3.0)
        y = x * 2
        y[0] += 1
        y[1:] *= x[1:]
        (y * sw.tensor([1.0, 10.0, 100.0])).sum().backward()
        np.testing.assert_allclose(y.tolist(), [3, 8, 18])
        np.testing.assert_allclose(x.grad.numpy(), [2, 10 * 8, 100 * 12])

    def test_nested_parts_and_views_of_parts(self) -> None:
        x = leaf(1.0, 2.0)
        out = sw.zeros(2, 2)
        for i in range(2):
            for j in range(2):
                out[i][j] = x[i] * x[j]
        row = out[0]
        row.mul_(10)
        out.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), [10 * (2 + 2) + 2, 10 * 1 + 1 + 4])

    def test_a_view_changed_first_and_its_base_used(self) -> None:
        x = leaf(1.0, 2.0)
        y = x * 1
        v = y[0]
        v.mul_(2)
        y.backward(sw.ones(2))
        assert x.grad.tolist() == [2, 1]

    def test_a_stale_view_as_the_head(self) -> None:
        x = leaf(1.0, 2.0)
        y = x * 1
        v = y[0]
        y.mul_(2)
        with pytest.raises(GradientError, match="shares memory"):
            v.backward()

    def test_views_of_leaves_are_refused(self) -> None:
        w = leaf(1.0, 2.0)
        view = w[0]
        with pytest.raises(GradientError, match="view of a leaf"):
            view.add_(1)
        (w * 2).sum().backward()
        assert w.grad.tolist() == [2, 2]

    def test_detached_aliases_stay_usable(self) -> None:
        x = leaf(1.0, 2.0)
        b = sw.zeros(2)
        seen = b.detach()
        b += x
        assert (seen * 2).tolist() == [2, 4]

    def test_a_change_before_a_saved_value_is_released(self) -> None:
        x, w = leaf(2.0, 3.0), leaf(1.0, 1.0)
        y = x * 1
        z = y * w
        with sw.no_grad():
            y.add_(1)
        y.mul_(z)
        with pytest.raises(GradientError, match="inplace"):
            y.sum().backward()

    def test_arrays_changed_after_use(self) -> None:
        w = sw.tensor([1.0, 1.0], dtype=sw.float64, requires_grad=True)
        a = np.array([3.0, 4.0])
        y = w * a
        a[0] = 100
        y.sum().backward()
        assert w.grad.tolist() == [3, 4]

    def test_arguments_changed_after_a_pullback_was_made(self) -> None:
        x = sw.tensor([1.0, 2.0])
        _, pull = sw.vjp(lambda v: v * v, x)
        x.mul_(10)
        with pytest.raises(GradientError, match="inplace"):
            pull(sw.ones(2))


class TestFunctionsWithinFunctions:
    def test_checkpoint_and_what_reaches_its_input_otherwise(self) -> None:
        w = leaf(2.0)
        sw.checkpoint(lambda v: v * w * w, w).backward()
        assert w.grad.item() == 12
        x = np.array([0.5, 2.0])
        f = lambda x: sw.checkpoint(lambda v: sw.sin(v) * v * x[0], x).sum()  # noqa: E731
        g = lambda x: (sw.sin(x) * x * x[0]).sum()  # noqa: E731
        np.testing.assert_allclose(sw.grad(f)(x).numpy(), sw.grad(g)(x).numpy(), rtol=1e-12)
        np.testing.assert_allclose(sw.hessian(f)(x).numpy(), sw.hessian(g)(x).numpy(), rtol=1e-12)
        _, dot = sw.jvp(f, (x,), (np.ones(2),))
        assert dot.item() == pytest.approx(sw.grad(g)(x).numpy().sum(), rel=1e-12)

    def test_functions_differentiate_twice_and_map(self) -> None:
        class Cube(sw.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                square = x * x
                ctx.save_for_backward(x, square)
                return square * x

            @staticmethod
            def backward(ctx: Any, bar: Any) -> Any:
                _, square = ctx.saved_tensors
                return bar * 3 * square

        xs = np.array([1.0, 2.0, 3.0])
        assert sw.grad(sw.grad(Cube.apply))(2.0).item() == 12
        np.testing.assert_allclose(sw.vmap(sw.grad(Cube.apply))(xs).numpy(), 3 * xs**2)
        mapped = sw.grad(lambda x: sw.vmap(Cube.apply)(x).sum())(xs)
        np.testing.assert_allclose(mapped.numpy(), 3 * xs**2)

    def test_outputs_have_buffers_of_their_own(self) -> None:
        class Same(sw.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return x.view_as(x)

            @staticmethod
            def backward(ctx: Any, bar: Any) -> Any:
                return bar

        a = leaf(1.0, 2.0)
        y = Same.apply(a)
        s = (a * a).sum()
        y.mul_(10)
        s.backward()
        assert a.tolist() == [1, 2]
        assert a.grad.tolist() == [2, 4]

    def test_closures_with_gradients_are_refused(self) -> None:
        w = leaf(2.0)

        @sw.custom_vjp
        def f(x: Any) -> Any:
            return x * w

        f.defvjp(lambda x: (x * w, x), lambda x, bar: (bar * w,))
        with pytest.raises(GradientError, match="pass it as an argument"):
            f(leaf(3.0))

    def test_shared_parts_that_keep_nothing_can_be_walked_twice(self) -> None:
        x = leaf(1.0)
        y = x + 1
        (y * 2).backward()
        (y * 3).backward()
        assert x.grad.item() == 5

    def test_numbers_keep_their_digits(self) -> None:
        x = sw.tensor([0.05, 0.0], dtype=sw.float64)
        x[0] = 0.1
        assert x[0].item() == 0.1
        assert x.scatter(0, sw.tensor([1]), 0.1)[1].item() == 0.1

    def test_set_grad_enabled_decorates(self) -> None:
        @sw.set_grad_enabled(False)
        def f(x: Any) -> Any:
            return x * 2

        assert sw.is_grad_enabled()
        assert not f(leaf(1.0)).requires_grad
        assert sw.is_grad_enabled()

    def test_tangents_are_not_aliased(self) -> None:
        t = sw.tensor([1.0, 2.0])
        _, dot = sw.jvp(lambda v: v, (sw.tensor([0.0, 0.0]),), (t,))
        dot.mul_(5)
        assert t.tolist() == [1, 2]

    def test_block_writes(self) -> None:
        x = sw.tensor(np.ones((3, 4)), requires_grad=True)
        block = sw.tensor(np.full((2, 2), 5.0), requires_grad=True)
        for start in ((1, 2), (9, 9), (sw.tensor(1), sw.tensor(2))):
            x.grad = block.grad = None
            out = sw.dynamic_update_slice(x, block, start)
            (out * sw.tensor(np.arange(12.0).reshape(3, 4))).sum().backward()
            expected = np.ones((3, 4))
            expected[1:, 2:] = 5
            np.testing.assert_array_equal(out.detach().numpy(), expected)
            np.testing.assert_array_equal(block.grad.numpy(), [[6, 7], [10, 11]])
            assert x.grad.numpy()[1:, 2:].sum() == 0
            assert x.grad.numpy().sum() == 66 - 34
