"""Chains of entries: calls that alternate between kinds of arguments, none of which is stale."""

from __future__ import annotations

import copy
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile import entry as entries
from slopewise._front.compile import Compiled

SCALE = 2.0


@pytest.fixture
def slow_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Calls that came through Python."""
    seen: list[int] = []
    inner = Compiled._call

    def spy(self: Any, *given: Any) -> Any:
        seen.append(1)
        return inner(self, *given)

    monkeypatch.setattr(Compiled, "_call", spy)
    return seen


def mixed(a: Any, b: Any) -> Any:
    return a * b + a, (a * 2.0).sum()


def arguments() -> list[tuple[Any, Any]]:
    """Eight kinds of arguments."""
    rng = np.random.default_rng(0)
    pairs = [(rng.random(n), rng.random(n)) for n in (3, 4, 5)]
    pairs += [(a.astype(np.float32), b.astype(np.float32)) for a, b in pairs]
    return [*pairs, (rng.random((2, 3)), rng.random((2, 3))), (rng.random(3), 2.5)]


def call_all(compiled: Any, given: list[tuple[Any, Any]], times: int = 1) -> None:
    for _ in range(times):
        for args in given:
            compiled(*args)


def check(
    compiled: Any, given: list[tuple[Any, Any]], function: Callable[..., Any] = mixed
) -> None:
    for args in given:
        for made, wanted in zip(compiled(*args), function(*args), strict=True):
            assert np.asarray(made).dtype == np.asarray(wanted).dtype
            assert np.shape(made) == np.shape(wanted)
            np.testing.assert_allclose(made, wanted, rtol=1e-6)


def test_eight_kinds_without_python(slow_calls: list[int]) -> None:
    given = arguments()
    assert len(given) == 8
    f = sw.compile(mixed)
    call_all(f, given, 2)
    slow_calls.clear()
    check(f, given)
    check(f, given[::-1])
    check(f, [given[i] for i in np.random.default_rng(1).integers(0, 8, 100)])
    assert not slow_calls


def test_numbers_among_them_and_fixed_arguments(slow_calls: list[int]) -> None:
    f = sw.compile(lambda x, n: x**n + SCALE)
    given = [(3.0, 2), (3.0, 3), (np.ones(2), 2), (2.0, 2), (5.0, 3)]
    call_all(f, given, 3)
    slow_calls.clear()
    assert f(3.0, 2) == 11.0
    assert f(2.0, 3) == 10.0
    np.testing.assert_array_equal(f(np.full(2, 2.0), 2), [6.0, 6.0])
    assert not slow_calls


def test_out_along_the_chain(slow_calls: list[int]) -> None:
    f = sw.compile(lambda a: a * 2.0)
    given = [(np.arange(3.0),), (np.arange(4.0),)]
    call_all(f, given, 2)
    slow_calls.clear()
    for (a,) in given:
        out = np.empty_like(a)
        assert f(a, out=out) is out
        np.testing.assert_array_equal(out, a * 2.0)
    assert not slow_calls


def test_the_kinds_of_the_latest_calls_stay(slow_calls: list[int]) -> None:
    shapes = [(np.ones(n),) for n in range(2, 11)]
    f = sw.compile(lambda a: a * 2.0, cache=4)
    call_all(f, shapes[:4], 2)
    call_all(f, shapes[1:4], 3)  # which leaves the first one the oldest, also for Python
    f(*shapes[4])
    f(*shapes[4])
    slow_calls.clear()
    call_all(f, shapes[1:5])
    assert not slow_calls
    call_all(f, shapes[:1])
    assert slow_calls
    assert len(f._plans) == 4
    assert len(f._chain) <= 4


def test_a_chain_is_not_endless(slow_calls: list[int]) -> None:
    given = [(np.ones(n),) for n in range(1, 21)]
    f = sw.compile(lambda a: a + 1.0, cache=20)
    call_all(f, given, 2)
    assert len(f._chain) == 8
    slow_calls.clear()
    call_all(f, given[-8:])
    assert not slow_calls
    for (a,) in given:
        np.testing.assert_array_equal(f(a), a + 1.0)


def test_the_cache_is_not_exceeded_and_what_was_dropped_is_free() -> None:
    f = sw.compile(lambda a: a + 1.0, cache=2)
    for n in (1, 2):
        for _ in range(2):
            f(np.ones(n))
    dropped = [weakref.ref(plan.entry) for plan in f._plans]
    blocks = [plan.entry._block for plan in f._plans]
    programs = [weakref.ref(plan.executable) for plan in f._plans]
    before = [sys.getrefcount(b) for b in blocks]
    for n in (3, 4):
        for _ in range(2):
            f(np.ones(n))
    gc.collect()
    assert [ref() for ref in dropped] == [None, None]
    assert all(now < then for now, then in zip(map(sys.getrefcount, blocks), before, strict=True))
    del blocks
    gc.collect()
    assert [ref() for ref in programs] == [None, None]
    for n in (1, 2, 3, 4):
        np.testing.assert_array_equal(f(np.ones(n)), np.full(n, 2.0))


def test_what_was_captured_is_compared_by_each(
    monkeypatch: pytest.MonkeyPatch, slow_calls: list[int]
) -> None:
    f = sw.compile(lambda a: a * SCALE)
    given = [(np.ones(2),), (np.ones(3),), (1.0,)]
    call_all(f, given, 2)
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    for (a,) in given:
        slow_calls.clear()
        np.testing.assert_array_equal(f(a), np.asarray(a) * 5.0)
        assert slow_calls, "a program for the old value was entered"
    call_all(f, given, 2)
    slow_calls.clear()
    call_all(f, given)
    assert not slow_calls


def test_a_captured_array_that_is_gone(slow_calls: list[int]) -> None:
    weights = np.arange(3.0)
    f = sw.compile(lambda a: (sw.tensor(weights, dtype=sw.float64) * a).sum())
    given = [(np.ones(3),), (np.ones((2, 3)),)]
    call_all(f, given, 2)
    weights = np.arange(3.0) + 1.0
    gc.collect()
    for (a,) in given:
        slow_calls.clear()
        assert f(a) == (weights * a).sum()
        assert slow_calls


def test_the_gradient_mode_chooses(slow_calls: list[int]) -> None:
    f = sw.compile(lambda a: a * (2.0 if sw.is_grad_enabled() else 3.0))
    given = [(np.ones(2),), (np.ones(3),)]
    call_all(f, given, 2)
    with sw.no_grad():
        call_all(f, given, 2)
    slow_calls.clear()
    for _ in range(3):
        np.testing.assert_array_equal(f(np.ones(2)), [2.0, 2.0])
        with sw.no_grad():
            np.testing.assert_array_equal(f(np.ones(2)), [3.0, 3.0])
            np.testing.assert_array_equal(f(np.ones(3)), [3.0, 3.0, 3.0])
    assert not slow_calls


def test_changes_of_a_module_reach_all() -> None:
    layer = sw.nn.LeakyReLU(0.5)
    f = sw.compile(lambda a: layer(sw.as_tensor(a)) * 1.0)
    given = [np.full(n, -2.0) for n in (2, 3)]
    for _ in range(3):
        for a in given:
            np.testing.assert_array_equal(np.asarray(f(a)), a * 0.5)
    layer.negative_slope = 0.25
    for a in given:
        np.testing.assert_array_equal(np.asarray(f(a)), a * 0.25)


def test_the_call_that_is_explained() -> None:
    f = sw.compile(lambda a: a * a)
    small, large = np.ones(3), np.ones(1000)
    told: list[str] = []
    for a in (small, large):
        f(a)
        f(a)
        told.append(f.explain())
    assert told[0] != told[1]
    for a, wanted in ((small, told[0]), (large, told[1]), (small, told[0]), (small, told[0])):
        f(a)
        assert f.explain() == wanted
    f(np.ones((2, 2)))
    assert "[2, 2]" in f.explain()


def test_another_function_and_copies() -> None:
    f = sw.compile(lambda a: a * 2.0)
    given = [(np.ones(2),), (np.ones(3),)]
    call_all(f, given, 3)
    old, other, deep = f.__call__, copy.copy(f), copy.deepcopy(f)
    f.function = lambda a: a * 5.0
    for (a,) in given:
        for _ in range(3):
            np.testing.assert_array_equal(f(a), a * 5.0)
            np.testing.assert_array_equal(old(a), a * 2.0)
            np.testing.assert_array_equal(other(a), a * 2.0)
            np.testing.assert_array_equal(deep(a), a * 2.0)


def test_it_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        f = sw.compile(lambda a: a * 2.0)
        call_all(f, [(np.ones(2),), (np.ones(3),), (1.0,)], 3)
        ref, entry = weakref.ref(f), f.__call__
        blocks = [weakref.ref(e) for e in f._chain]
        del f
        assert ref() is None
        assert [b() for b in blocks] == [None] * 3
        assert entry(3.0) == 6.0
        np.testing.assert_array_equal(entry(np.ones(4)), np.full(4, 2.0))
    finally:
        gc.enable()


def test_reference_counts_and_memory() -> None:
    f = sw.compile(mixed)
    given = arguments()
    call_all(f, given, 3)
    blocks = [e._block for e in f._chain]
    watched = [*blocks, *(x for pair in given for x in pair), f._slow, np.dtype(np.float64)]
    before = [sys.getrefcount(w) for w in watched]
    call_all(f, given, 1000)
    assert [sys.getrefcount(w) for w in watched] == before
    gc.collect()
    start = sys.getallocatedblocks()
    call_all(f, given, 5000)
    assert sys.getallocatedblocks() - start < 100


def test_errors_along_the_chain() -> None:
    f = sw.compile(lambda a, i: a[i])
    table, longer = np.arange(5.0), np.arange(7.0)
    for _ in range(3):
        assert f(table, np.array([1]))[0] == 1.0
        assert f(longer, np.array([6]))[0] == 6.0
    for _ in range(3):
        with pytest.raises(sw.errors.IndexRangeError):
            f(table, np.array([6]))
        assert f(longer, np.array([6]))[0] == 6.0
    for bad in ((), (table,), (table, np.array([1]), 3)):
        with pytest.raises(TypeError):
            f(*bad)


def test_threads_that_drop_what_others_run() -> None:
    """Long calls run without the lock while others push their programs out of the cache."""
    f = sw.compile(lambda a: sw.softmax(sw.exp(a) * a, -1) * a.sum() + a, cache=3)
    sizes = [40_000, 40_001, 40_002, 40_003, 40_004]
    inputs = [np.random.default_rng(i).random(n) for i, n in enumerate(sizes)]
    expected = [f(a) for a in inputs]
    failures: list[int] = []

    def work(i: int) -> None:
        for k in range(60):
            j = (i + k // 6) % len(inputs)
            if not np.array_equal(f(inputs[j]), expected[j]):
                failures.append(j)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(f._plans) == 3


def test_the_code_knows_the_words() -> None:
    assert entries.Word.NEXT == 26
    assert len(entries.Word) == max(entries.Word) + 1
