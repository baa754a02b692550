"""Entries: calls that Python makes without any Python in between, against the slow way."""

from __future__ import annotations

import copy
import gc
import inspect
import sys
import threading
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import IndexRangeError, ShapeError, UsageError

SCALE = 2.0
TABLE = (1.0, 2.0)
LISTED = [1.0, 2.0]


def is_quick(compiled: Any) -> bool:
    return type(compiled.__call__) is type(len)


def warm(compiled: Any, *args: Any, **kwargs: Any) -> Any:
    """Call until the entry is there; return the last result."""
    for _ in range(3):
        found = compiled(*args, **kwargs)
    assert is_quick(compiled)
    return found


def goes_slowly(compiled: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the result of a call, which must come through Python."""
    seen: list[int] = []
    inner = type(compiled)._call

    def spy(self: Any, *given: Any) -> Any:
        seen.append(1)
        return inner(self, *given)

    type(compiled)._call = spy
    try:
        return compiled(*args, **kwargs)
    finally:
        type(compiled)._call = inner
        assert seen, "the entry took it"


def goes_quickly(compiled: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the result of a call, which must not come through Python."""
    inner = type(compiled)._call

    def refuse(*_: Any) -> Any:
        raise AssertionError("the entry refused it")

    type(compiled)._call = refuse
    try:
        return compiled(*args, **kwargs)
    finally:
        type(compiled)._call = inner


def polynomial(x: Any) -> Any:
    return x * x + 2.0 * x


def both(a: Any, b: Any) -> Any:
    return a * b + a


def pair() -> tuple[Any, Any]:
    return np.arange(8.0), np.arange(8.0) + 1.0


# --- results -----------------------------------------------------------------------------------


def test_a_float() -> None:
    f = sw.compile(polynomial)
    warm(f, 3.0)
    for x in (3.0, -0.0, 1e308, float("inf"), 5e-324):
        found = goes_quickly(f, x)
        assert type(found) is float
        assert found == x * x + 2.0 * x
    assert np.isnan(goes_quickly(f, float("nan")))


def test_floats_through_a_nest_of_tuples() -> None:
    f = sw.compile(sw.value_and_grad(lambda x, y: x * x * y, argnums=(0, 1)))
    warm(f, 3.0, 2.0)
    assert goes_quickly(f, 4.0, 5.0) == (80.0, (40.0, 16.0))


def test_arrays() -> None:
    a, b = pair()
    f = sw.compile(both)
    warm(f, a, b)
    found = goes_quickly(f, b, a)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, b * a + b)
    other = goes_quickly(f, a, a)
    assert other is not found
    np.testing.assert_array_equal(other, a * a + a)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_dtypes_and_shapes(dtype: str, shape: tuple[int, ...]) -> None:
    x = np.ones(shape, dtype)
    f = sw.compile(lambda x, y: (sw.where(x > 0, x, y), x == y))
    expected = [np.asarray(v) for v in f(x, x)]
    warm(f, x, x)
    for found, wanted in zip(goes_quickly(f, x, x), expected, strict=True):
        assert type(found) is np.ndarray
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_array_equal(found, wanted)


def test_a_float_with_an_array() -> None:
    a, _ = pair()
    f = sw.compile(lambda a, s: (a * s, a.sum()))
    warm(f, a, 2.0)
    scaled, total = goes_quickly(f, a, 3.0)
    np.testing.assert_array_equal(scaled, a * 3.0)
    assert type(total) is np.ndarray
    assert total.shape == ()
    assert total == a.sum()


def test_fixed_arguments_are_compared() -> None:
    f = sw.compile(lambda x, n, flag, nothing: x**n if flag and nothing is None else x)
    warm(f, 3.0, 2, True, None)
    assert goes_quickly(f, 4.0, 2, True, None) == 16.0
    assert goes_slowly(f, 4.0, 3, True, None) == 64.0
    assert f(4.0, 2, False, None) == 4.0
    assert f(4.0, 2, True, None) == 16.0


def test_captured_arrays_and_large_constants() -> None:
    weights = np.linspace(0.0, 1.0, 300)
    f = sw.compile(lambda x: (sw.tensor(weights) * x).sum())
    x = np.ones(300)
    expected = f(x)
    warm(f, x)
    np.testing.assert_allclose(goes_quickly(f, x), expected)


def test_a_long_program_with_scratch_memory() -> None:
    f = sw.compile(lambda x: sw.softmax(sw.exp(x) * x, -1) / (1.0 + x.sum(0)))
    x = np.random.default_rng(0).random((60, 100))
    expected = f(x)
    warm(f, x)
    np.testing.assert_array_equal(goes_quickly(f, x), expected)


# --- out -----------------------------------------------------------------------------------------


def test_out() -> None:
    a, b = pair()
    f = sw.compile(both)
    c = np.empty(8)
    warm(f, a, b, out=c)
    c[:] = 0
    assert goes_quickly(f, a, b, out=c) is c
    np.testing.assert_array_equal(c, a * b + a)
    np.testing.assert_array_equal(goes_quickly(f, a, b), c)


def test_out_of_several_results() -> None:
    a, b = pair()
    f = sw.compile(lambda a, b: (a + b, (a * b).sum()))
    out = (np.empty(8), np.empty(()))
    warm(f, a, b)
    assert goes_quickly(f, a, b, out=out) is out
    np.testing.assert_array_equal(out[0], a + b)
    assert out[1] == a @ b
    with pytest.raises(UsageError, match="structure"):
        f(a, b, out=list(out))


def test_nested_results_with_out() -> None:
    def f(a: Any, b: Any) -> Any:
        return (a * b).sum(), (a + b, (b - a,)), a * 2.0

    compiled = sw.compile(f)
    a, b = np.arange(4.0), np.ones(4)
    out = (np.empty(()), (np.empty(4), (np.empty(4),)), np.empty(4))
    warm(compiled, a, b, out=out)
    assert goes_quickly(compiled, a, b, out=out) is out
    np.testing.assert_array_equal(out[0], 6.0)
    np.testing.assert_array_equal(out[1][0], a + 1.0)
    np.testing.assert_array_equal(out[1][1][0], 1.0 - a)
    np.testing.assert_array_equal(out[2], a * 2.0)
    x, (y, (z,)), w = out
    for other in (
        (x, (y, z), w),
        (x, (y, (z, z)), w),
        (x, y, (z,), w),
        (x, (y, (z,))),
        x,
        (x, 3, w),
    ):
        with pytest.raises((sw.errors.SlopewiseError, TypeError, ValueError)):
            compiled(a, b, out=other)
    room = np.empty(8)
    shared = (x, (room[:4], (room[2:6],)), w)
    goes_slowly(compiled, a, b, out=shared)


def test_parts_need_no_python() -> None:
    def f(x: Any, w: Any) -> Any:
        return sw.tanh(x @ w).sum()

    compiled = sw.compile(sw.value_and_grad(f, 1))
    x, w = np.random.default_rng(0).normal(size=(20_000, 12)), np.ones(12) / 12
    out = (np.empty(()), np.empty(12))
    before = sw.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 1, 3):
            sw.set_num_threads(threads)
            warm(compiled, x, w, out=out)
            goes_quickly(compiled, x, w, out=out)
            found.append([np.copy(a) for a in out])
    finally:
        sw.set_num_threads(before)
    assert "parts" in compiled.explain()
    for each in found[1:]:
        assert all(np.array_equal(p, q) for p, q in zip(found[0], each, strict=True))


def test_out_over_an_input() -> None:
    a, b = pair()
    f = sw.compile(both)
    warm(f, a, b)
    expected = a * b + a
    assert goes_quickly(f, a, b, out=a) is a
    np.testing.assert_array_equal(a, expected)
    turned = sw.compile(lambda x: sw.flip(x, (0,)) + x)
    x = np.arange(8.0)
    warm(turned, x)
    expected = x[::-1] + x
    goes_slowly(turned, x, out=x)
    np.testing.assert_array_equal(x, expected)


def test_out_that_overlaps_goes_slowly() -> None:
    memory = np.arange(20.0)
    f = sw.compile(lambda a, b: (a * b + a, a - b))
    a, b = memory[:8], memory[8:16]
    warm(f, a, b)
    expected = [a * b + a, a - b]
    out = (memory[1:9], memory[10:18])
    goes_slowly(f, a, b, out=out)
    np.testing.assert_array_equal(out[0], expected[0])
    np.testing.assert_array_equal(out[1], expected[1])
    a, b = np.arange(8.0), np.ones(8)
    room = np.empty(8)
    goes_slowly(f, a, b, out=(room, room))
    view = a[:]
    g = sw.compile(both)
    warm(g, a, b)
    goes_slowly(g, a, b, out=view)


def test_out_that_does_not_fit_is_the_same_error() -> None:
    a, b = pair()
    f = sw.compile(both)
    warm(f, a, b)
    for bad in (np.empty(7), np.empty(8, np.float32), np.empty((8, 1))):
        with pytest.raises(ShapeError, match="result 0"):
            f(a, b, out=bad)
    for other in ([1.0], (np.empty(8),)):
        with pytest.raises(UsageError, match="structure"):
            f(a, b, out=other)
    with pytest.raises(UsageError, match="needs arrays"):
        f(a, b, out=5)
    locked = np.zeros(8)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        f(a, b, out=locked)
    assert not locked.any()
    apart = np.zeros(16)[::2]
    warm(f, a, b)
    assert goes_slowly(f, a, b, out=apart) is apart
    np.testing.assert_array_equal(apart, a * b + a)
    tensor = sw.zeros(8, dtype=sw.float64)
    assert f(a, b, out=tensor) is tensor
    np.testing.assert_array_equal(tensor.numpy(), a * b + a)
    np.testing.assert_array_equal(f(a, b, out=None), a * b + a)


def test_out_of_numbers_and_of_results_that_repeat() -> None:
    f = sw.compile(polynomial)
    warm(f, 3.0)
    out = np.empty(())
    assert goes_quickly(f, 3.0, out=out) is out
    assert out == 15.0
    twice = sw.compile(lambda x: (x * x, x * x))
    assert warm(twice, 3.0) == (9.0, 9.0)
    a, _ = pair()
    first, second = warm(twice, a)
    assert not np.shares_memory(first, second)
    same = sw.compile(both)
    expected = a * a + a
    warm(same, a, a)
    assert goes_quickly(same, a, a, out=a) is a
    np.testing.assert_array_equal(a, expected)


def test_a_parameter_that_is_called_out() -> None:
    f = sw.compile(lambda x, out=None: x * 2.0)
    a, _ = pair()
    for _ in range(4):
        np.testing.assert_array_equal(f(a, out=None), a * 2.0)
        np.testing.assert_array_equal(f(a), a * 2.0)


# --- what is not taken -----------------------------------------------------------------------


def test_other_arguments_go_slowly() -> None:
    f = sw.compile(polynomial)
    warm(f, 3.0)
    assert goes_slowly(f, np.float64(3.0)) == 15.0
    warm(f, 3.0)
    assert goes_slowly(f, x=3.0) == 15.0
    warm(f, 3.0)
    assert goes_slowly(f, 3) == 15
    warm(f, 3.0)
    assert isinstance(goes_slowly(f, sw.tensor(3.0)), sw.Tensor)

    class Own(float):
        pass

    warm(f, 3.0)
    goes_slowly(f, Own(3.0))
    warm(f, 3.0)
    assert goes_quickly(f, 3.0) == 15.0


def test_other_arrays_go_slowly() -> None:
    class Own(np.ndarray):
        pass

    a, b = pair()
    f = sw.compile(both)
    for x in (
        a.view(Own), a.astype(np.float32), np.repeat(a, 2)[::2], a[:7], a.reshape(2, 4),
        a.astype(np.int64), 3.0, a[0], np.ma.array(a),
    ):  # fmt: skip
        warm(f, a, b)
        y = b if np.ndim(x) == 0 or np.shape(x) == (8,) else np.ones(np.shape(x))
        np.testing.assert_allclose(
            np.asarray(goes_slowly(f, x, y)), np.asarray(x) * y + np.asarray(x)
        )
    shifted = np.frombuffer(bytearray(65), np.uint8)[1:].view(np.float64)
    assert not shifted.flags.aligned
    warm(f, a, b)
    goes_slowly(f, shifted, b)


def test_wrong_arguments_are_the_same_errors() -> None:
    fresh, f = sw.compile(both), sw.compile(both)
    a, b = pair()
    warm(f, a, b)
    for args, kwargs in (((a,), {}), ((a, b, a), {}), ((a, b), {"c": 1}), ((), {})):
        errors = []
        for each in (fresh, f):
            with pytest.raises(TypeError) as caught:
                each(*args, **kwargs)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]


# --- what was captured -----------------------------------------------------------------------


def test_a_global_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    f = sw.compile(lambda x: x * SCALE * TABLE[1])
    assert warm(f, 3.0) == 12.0
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert goes_slowly(f, 3.0) == 30.0
    assert warm(f, 3.0) == 30.0
    monkeypatch.setitem(globals(), "TABLE", (1.0, 3.0))
    assert goes_slowly(f, 3.0) == 45.0
    monkeypatch.delitem(globals(), "TABLE")
    with pytest.raises(NameError):
        f(3.0)


def test_an_equal_number_in_a_global_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    f = sw.compile(lambda x: x * SCALE)
    warm(f, 3.0)
    monkeypatch.setitem(globals(), "SCALE", float("2.0"))
    assert goes_slowly(f, 3.0) == 6.0
    assert goes_quickly(f, 3.0) == 6.0
    assert f.why() == []


def test_a_list_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LISTED", [1.0, 2.0])
    f = sw.compile(lambda x: sum(c * x for c in LISTED))
    assert warm(f, 3.0) == 9.0
    LISTED[0] = 4.0
    assert goes_slowly(f, 3.0) == 18.0
    warm(f, 3.0)
    LISTED.append(1.0)
    assert goes_slowly(f, 3.0) == 21.0
    warm(f, 3.0)
    LISTED.clear()
    assert goes_slowly(f, 3.0) == 0.0


def test_a_dictionary_is_looked_at_slowly() -> None:
    settings = {"scale": 2.0}
    f = sw.compile(lambda x: x * settings["scale"])
    assert [f(3.0) for _ in range(4)] == [6.0] * 4
    settings["scale"] = 3.0
    assert f(3.0) == 9.0


def test_a_closure_that_changes() -> None:
    scale = 2.0

    def multiply(x: Any) -> Any:
        return x * scale

    helper: Any = multiply
    f = sw.compile(lambda x: helper(x) + 1.0)
    assert warm(f, 3.0) == 7.0
    scale = 3.0
    assert goes_slowly(f, 3.0) == 10.0
    warm(f, 3.0)

    def subtract(x: Any) -> Any:
        return x - scale

    helper = subtract
    del multiply
    gc.collect()
    assert goes_slowly(f, 3.0) == 1.0


def test_another_function_of_the_same_code_is_taken() -> None:
    def make() -> Any:
        return lambda x: x * 2.0

    helper = make()
    f = sw.compile(lambda x: helper(x) + 1.0)
    warm(f, 3.0)
    helper = make()
    gc.collect()
    assert goes_slowly(f, 3.0) == 7.0
    assert goes_quickly(f, 3.0) == 7.0
    assert goes_slowly(f, x=3.0) == 7.0
    warm(f, 3.0)
    assert goes_quickly(f, 3.0) == 7.0
    assert f.why() == ["the arguments have another structure"]


def test_defaults_that_change() -> None:
    def scaled(x: Any, scale: float = 2.0, *, shift: float = 1.0) -> Any:
        return x * scale + shift

    f = sw.compile(lambda x: scaled(x))
    assert warm(f, 3.0) == 7.0
    scaled.__defaults__ = (3.0,)
    assert goes_slowly(f, 3.0) == 10.0
    warm(f, 3.0)
    scaled.__kwdefaults__["shift"] = 2.0
    assert goes_slowly(f, 3.0) == 11.0
    warm(f, 3.0)
    scaled.__kwdefaults__ = {"shift": 5.0}
    assert goes_slowly(f, 3.0) == 14.0


def test_attributes_that_change() -> None:
    class Settings:
        def __init__(self) -> None:
            self.scale = 2.0

    settings = Settings()
    f = sw.compile(lambda x: x * settings.scale)
    assert warm(f, 3.0) == 6.0
    settings.scale = 3.0
    assert goes_slowly(f, 3.0) == 9.0
    warm(f, 3.0)
    settings.__dict__ = {"scale": 4.0}
    assert goes_slowly(f, 3.0) == 12.0
    warm(f, 3.0)
    settings = Settings()
    assert goes_slowly(f, 3.0) == 6.0


def test_an_attribute_of_a_module_that_changes() -> None:
    layer = sw.nn.LeakyReLU(0.5)
    f = sw.compile(lambda x: layer(sw.as_tensor(x)) * 1.0)
    a = np.array([-2.0, 2.0])
    for _ in range(4):
        np.testing.assert_array_equal(np.asarray(f(a)), [-1.0, 2.0])
    layer.negative_slope = 0.25
    np.testing.assert_array_equal(np.asarray(f(a)), [-0.5, 2.0])


def test_a_captured_array_that_is_replaced() -> None:
    weights = np.arange(3.0)
    f = sw.compile(lambda x: (sw.tensor(weights, dtype=sw.float64) * x).sum())
    x = np.ones(3)
    assert warm(f, x) == 3.0
    weights = np.arange(3.0) + 1
    gc.collect()
    assert goes_slowly(f, x) == 6.0


def test_a_captured_tensor_is_read_at_each_call() -> None:
    weights = sw.tensor([1.0, 2.0])
    f = sw.compile(lambda x: (weights * x).sum())
    x = np.ones(2, np.float32)
    assert [f(x).item() for _ in range(4)] == [3.0] * 4
    weights.mul_(2.0)
    assert f(x).item() == 6.0


def test_a_compiled_function_inside_another() -> None:
    inner = sw.compile(polynomial)
    outer = sw.compile(lambda x: inner(x) + 1.0)
    assert warm(outer, 3.0) == 16.0
    warm(inner, 3.0)
    assert goes_quickly(outer, 4.0) == 25.0
    inner.function = lambda x: x * 10.0
    assert goes_slowly(outer, 3.0) == 31.0
    assert inner(3.0) == 30.0


def test_another_function_in_the_same_object() -> None:
    f = sw.compile(polynomial)
    entry = f.__call__
    warm(f, 3.0)
    entry = f.__call__
    f.function = lambda x: x + 1.0
    assert [f(3.0) for _ in range(4)] == [4.0] * 4
    assert entry(3.0) == 15.0


# --- switches --------------------------------------------------------------------------------


def test_the_default_dtype() -> None:
    f = sw.compile(lambda x: (sw.tensor(0.1) + 0.0 * x).item() if False else sw.tensor(0.1) + 0 * x)
    before = sw.get_default_dtype()
    try:
        sw.set_default_dtype(sw.float32)
        single = warm(f, 1.0)
        sw.set_default_dtype(sw.float64)
        double = goes_slowly(f, 1.0)
        assert (single, double) == (float(np.float32(0.1)), 0.1)
        assert warm(f, 1.0) == double
        sw.set_default_dtype(sw.float32)
        assert goes_quickly(f, 1.0) == single
    finally:
        sw.set_default_dtype(before)


def test_the_default_dtype_of_another_thread() -> None:
    f = sw.compile(lambda x: sw.tensor(0.1) + 0 * x)
    before = sw.get_default_dtype()
    found: list[Any] = []
    try:
        sw.set_default_dtype(sw.float64)
        assert warm(f, 1.0) == 0.1
        thread = threading.Thread(target=lambda: found.extend(f(1.0) for _ in range(5)))
        thread.start()
        thread.join()
        assert found == [float(np.float32(0.1))] * 5
        assert f(1.0) == 0.1
    finally:
        sw.set_default_dtype(before)


def test_the_gradient_mode_where_it_matters() -> None:
    f = sw.compile(lambda x: x * 2.0 if sw.is_grad_enabled() else x * 3.0)
    assert warm(f, 1.0) == 2.0
    with sw.no_grad():
        assert warm(f, 1.0) == 3.0
    assert warm(f, 1.0) == 2.0
    with sw.no_grad():
        assert f(1.0) == 3.0
        with sw.enable_grad():
            assert f(1.0) == 2.0
    sw.set_grad_enabled(False)
    assert f(1.0) == 3.0
    sw.set_grad_enabled(True)
    assert f(1.0) == 2.0


def test_the_gradient_mode_where_it_does_not() -> None:
    f = sw.compile(polynomial)
    warm(f, 3.0)
    with sw.no_grad():
        warm(f, 3.0)
    assert f(3.0) == 15.0
    for _ in range(2):
        assert goes_quickly(f, 3.0) == 15.0
        with sw.no_grad():
            assert goes_quickly(f, 3.0) == 15.0


def test_inside_another_trace() -> None:
    f = sw.compile(lambda x: sw.exp(x))
    warm(f, 0.0)
    outer = sw.compile(lambda y: f(0.0).reshape(1) * y)  # a float has no reshape
    np.testing.assert_array_equal(outer(np.ones(3)), np.ones(3))
    slope = sw.grad(lambda w: f(w) * f(0.0))
    assert slope(0.0) == 1.0
    np.testing.assert_allclose(
        np.asarray(sw.vmap(lambda x: f(x) * f(0.0))(np.zeros(3))), np.ones(3)
    )


def test_generators_are_drawn_from_at_each_call() -> None:
    f = sw.compile(lambda x: sw.rand(2) * x)
    x = np.ones(2, np.float32)
    assert len({tuple(np.asarray(f(x)).tolist()) for _ in range(6)}) == 6


# --- errors ----------------------------------------------------------------------------------


def test_an_index_out_of_range() -> None:
    f = sw.compile(lambda x, i: x[i])
    x = np.arange(5.0)
    warm(f, x, np.array([1, 2]))
    np.testing.assert_array_equal(goes_quickly(f, x, np.array([4, -5])), [4.0, 0.0])
    quick = f.__call__
    bad = np.array([1, 7])
    before = sys.getrefcount(bad)
    for _ in range(5):
        with pytest.raises(IndexRangeError, match="outside of its axis") as caught:
            goes_quickly(f, x, bad)
    with pytest.raises(IndexRangeError) as expected:
        f._slow(x, bad)
    assert str(caught.value) == str(expected.value)
    del caught, expected
    assert sys.getrefcount(bad) == before
    assert quick is f.__call__
    np.testing.assert_array_equal(goes_quickly(f, x, np.array([0, 1])), [0.0, 1.0])


# --- the object ------------------------------------------------------------------------------


def test_the_object_is_what_it_was() -> None:
    @sw.compile
    def shown(x: float, y: float = 1.0) -> float:
        """Says what it does."""
        return x * y

    for _ in range(2):
        assert repr(shown) == "<compiled test_the_object_is_what_it_was.<locals>.shown>" or (
            repr(shown) == "<compiled shown>"
        )
        assert shown.__name__ == "shown"
        assert shown.__doc__ == "Says what it does."
        assert shown.__wrapped__ is shown.function
        assert list(inspect.signature(shown).parameters) == ["x", "y"]
        assert callable(shown)
        warm(shown, 2.0, 3.0)
    assert "the last call" not in shown.explain()


def test_a_method() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        @sw.compile
        def run(self, x: Any) -> Any:
            return x * self.scale

    model = Model(2.0)
    assert [model.run(3.0) for _ in range(4)] == [6.0] * 4
    model.scale = 5.0
    assert model.run(3.0) == 15.0
    assert Model(7.0).run(3.0) == 21.0
    bound = sw.compile(model.run.func.__wrapped__.__get__(model))
    assert warm(bound, 3.0) == 15.0
    model.scale = 6.0
    assert goes_slowly(bound, 3.0) == 18.0


def test_copies_stand_alone() -> None:
    f = sw.compile(polynomial)
    warm(f, 3.0)
    other = copy.copy(f)
    assert not is_quick(other)
    assert warm(other, 3.0) == 15.0
    other.function = lambda x: x + 1.0
    assert (f(3.0), other(3.0)) == (15.0, 4.0)
    assert copy.deepcopy(f)(3.0) == 15.0


def test_it_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        f = sw.compile(lambda x: x * 2.0)
        warm(f, 3.0)
        ref, entry = weakref.ref(f), f.__call__
        del f
        assert ref() is None
        assert entry(3.0) == 6.0  # it still stands for the function
        assert entry(np.float64(3.0)) == 6.0
    finally:
        gc.enable()


def test_recursion() -> None:
    def power(x: Any, n: int) -> Any:
        return x if n == 1 else x * recursive(x, n - 1)

    recursive = sw.compile(power)
    assert warm(recursive, 2.0, 5) == 32.0


def test_the_last_call_is_the_one_that_is_explained() -> None:
    f = sw.compile(polynomial)
    warm(f, 3.0)
    quick = f.llvm()
    warm(f, np.ones(100))
    assert f.llvm() != quick
    warm(f, 3.0)
    assert f.llvm() == quick


# --- memory and threads ----------------------------------------------------------------------


def test_reference_counts() -> None:
    a, b = pair()
    c = np.empty(8)
    f = sw.compile(lambda a, b: (a * b, a + b))
    g = sw.compile(both)
    h = sw.compile(polynomial)
    x = 1234.5
    watched = (a, b, c, np.dtype(np.float64), x, a.dtype)

    def use(times: int) -> None:
        for _ in range(times):
            f(a, b)
            f(a, b, out=(c, b * 0))
            g(a, b, out=c)
            g(a, b)
            h(x)

    use(10)
    assert is_quick(f) and is_quick(g) and is_quick(h)
    before = [sys.getrefcount(w) for w in watched]
    use(1000)
    assert [sys.getrefcount(w) for w in watched] == before
    assert sys.getrefcount(f(a, b)) == sys.getrefcount(f._slow(a, b))
    assert sys.getrefcount(f(a, b)[0]) == sys.getrefcount(f._slow(a, b)[0])
    assert sys.getrefcount(h(x)) == sys.getrefcount(h._slow(x))


def test_a_million_calls_take_no_memory() -> None:
    a, b = pair()
    g, h = sw.compile(lambda a, b: (a * b, a + b)), sw.compile(polynomial)
    warm(g, a, b)
    warm(h, 3.0)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(500_000):
        g(a, b)
        h(3.0)
    assert sys.getallocatedblocks() - before < 100
    tracemalloc.start()
    try:
        g(a, b)
        first = tracemalloc.get_traced_memory()[0]
        for _ in range(5_000):  # the memory of arrays, too
            g(a, b)
        assert tracemalloc.get_traced_memory()[0] - first < 10_000
    finally:
        tracemalloc.stop()


def test_other_threads_run_during_a_long_call() -> None:
    f = sw.compile(lambda x: sw.fori_loop(0, 10_000_000, lambda i, w: w - 1e-6 * w, x))
    expected = warm(f, 3.0)
    counted = [0]
    done = threading.Event()

    def count() -> None:
        while not done.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    found = f(3.0)
    during = counted[0] - before
    done.set()
    thread.join()
    assert found == expected
    assert during > 1000


@pytest.mark.parametrize("size", [8, 40_000])
def test_threads(size: int) -> None:
    f = sw.compile(lambda a, b: sw.softmax(a * b, -1) * b.sum() + a)
    inputs = [(np.random.default_rng(i).random(size), np.full(size, i + 1.0)) for i in range(4)]
    expected = [f(a, b) for a, b in inputs]
    warm(f, *inputs[0])
    failures: list[int] = []
    times = 10_000 if size == 8 else 60

    def work(i: int) -> None:
        a, b = inputs[i]
        with sw.no_grad() if i % 2 else sw.enable_grad():
            for _ in range(times):
                if not np.array_equal(f(a, b), expected[i]):
                    failures.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_without_entries_all_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from slopewise._compile import entry

    entry._find_system.cache_clear()
    monkeypatch.setattr(entry, "_is_known", lambda: False)
    try:
        f = sw.compile(polynomial)
        assert [f(3.0) for _ in range(4)] == [15.0] * 4
        assert not is_quick(f)
    finally:
        entry._find_system.cache_clear()
